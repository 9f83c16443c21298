// SPDX-License-Identifier: Apache-2.0
/*
 * http_head.c - The head of an HTTP message, kept while it is worked on
 *
 * One buffer holds all strings in the order they came; fields are offsets, as
 * the buffer moves when it grows.  llhttp hands out a string in any number of
 * pieces, and none at all when it is empty, so each part ends when the next one
 * begins.
 */
#include "core/http_head.h"

#include <string.h>
#include <strings.h>

#define FIRST_CAP 512

void http_head_done(struct http_head *h)
{
	free(h->buf);
	*h = (struct http_head){0};
}

static int append(struct http_head *h, const char *data, size_t n)
{
	size_t cap = h->cap ? h->cap : FIRST_CAP;
	char *buf;

	if (n > HTTP_HEAD_MAX - h->len)
		return -E2BIG;
	while (cap < h->len + n)
		cap *= 2;
	if (cap != h->cap) {
		buf = realloc(h->buf, cap);
		if (buf == NULL)
			return -ENOMEM;
		h->buf = buf;
		h->cap = cap;
	}
	memcpy(h->buf + h->len, data, n);
	h->len += n;
	return 0;
}

/* End the target or a value; white space behind a value is not part of it. */
static int end_string(struct http_head *h)
{
	if (h->part == HEAD_VALUE) {
		size_t start = h->field[h->n_fields - 1].value;

		while (h->len > start && (h->buf[h->len - 1] == ' ' ||
					  h->buf[h->len - 1] == '\t'))
			h->len--;
	}
	return append(h, "", 1);
}

int http_head_target(struct http_head *h, const char *data, size_t n)
{
	return append(h, data, n);
}

int http_head_name(struct http_head *h, const char *data, size_t n)
{
	int r;

	if (h->part == HEAD_SEALED)
		return 0;
	if (h->part != HEAD_NAME) {
		if (h->n_fields == HTTP_HEADERS_MAX)
			return -E2BIG;
		r = end_string(h);
		if (r < 0)
			return r;
		h->part = HEAD_NAME;
		h->field[h->n_fields++].name = (uint32_t)h->len;
	}
	return append(h, data, n);
}

int http_head_name_end(struct http_head *h)
{
	int r;

	if (h->part != HEAD_NAME)
		return 0;
	r = append(h, "", 1);
	if (r < 0)
		return r;
	/* llhttp, built as Debian has it, lets blanks in names pass. */
	if (strpbrk(h->buf + h->field[h->n_fields - 1].name, " \t") != NULL)
		return -EINVAL;
	h->part = HEAD_VALUE;
	h->field[h->n_fields - 1].value = (uint32_t)h->len;
	return 0;
}

int http_head_value(struct http_head *h, const char *data, size_t n)
{
	return h->part == HEAD_VALUE ? append(h, data, n) : 0;
}

int http_head_seal(struct http_head *h)
{
	int r = end_string(h);

	h->part = HEAD_SEALED;
	return r;
}

const char *http_head_get(const struct http_head *h, const char *name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (strcasecmp(h->buf + h->field[i].name, name) == 0)
			return h->buf + h->field[i].value;
	return NULL;
}

unsigned http_head_count(const struct http_head *h, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		n += strcasecmp(h->buf + h->field[i].name, name) == 0;
	return n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copy [s, end) to *out, decoded and NUL-terminated; *out moves behind the NUL.
 * In place works too: what is written never overtakes what is read. */
static int decode(char **out, const char *s, const char *end, bool form)
{
	char *o = *out;

	while (s < end) {
		char c = *s++;

		if (c == '%') {
			int hi = s < end ? hex(s[0]) : -1;
			int lo = hi >= 0 && s + 1 < end ? hex(s[1]) : -1;

			if (lo < 0 || (hi | lo) == 0)
				return -EINVAL;
			c = (char)(hi << 4 | lo);
			s += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		*o++ = c;
	}
	*o++ = '\0';
	*out = o;
	return 0;
}

/* "name=value" to name NUL value NUL; the same for "name" alone. */
static int decode_param(char **out, const char *s, const char *end)
{
	const char *eq = memchr(s, '=', (size_t)(end - s));
	int r = decode(out, s, eq ? eq : end, true);

	if (r < 0)
		return r;
	return decode(out, eq ? eq + 1 : end, end, true);
}

static int decode_query(struct http_url *u, const char *s, const char *end)
{
	/* At worst every second byte is a name, and becomes three. */
	char *out = malloc(2 * (size_t)(end - s) + 2);
	int r = 0;

	if (out == NULL)
		return -ENOMEM;
	u->query = out;
	while (s < end && r == 0) {
		const char *amp = memchr(s, '&', (size_t)(end - s));
		const char *stop = amp ? amp : end;

		if (stop > s)
			r = decode_param(&out, s, stop);
		s = stop + 1;
	}
	u->query_len = (size_t)(out - u->query);
	return r;
}

int http_url_parse(struct http_url *u, char *target)
{
	char *end = target + strcspn(target, "#");
	char *query = memchr(target, '?', (size_t)(end - target));
	char *out = target;
	int r = 0;

	*u = (struct http_url){.path = target};
	if (target[0] != '/')
		return -EINVAL;
	if (query != NULL)
		r = decode_query(u, query + 1, end);
	if (r == 0)
		r = decode(&out, target, query ? query : end, false);
	if (r < 0)
		http_url_done(u);
	return r;
}

void http_url_done(struct http_url *u)
{
	free(u->query);
	*u = (struct http_url){0};
}

const char *http_url_query(const struct http_url *u, const char *name)
{
	const char *s = u->query;
	const char *end = s ? s + u->query_len : NULL;

	while (s < end) {
		const char *value = s + strlen(s) + 1;

		if (strcmp(s, name) == 0)
			return value;
		s = value + strlen(value) + 1;
	}
	return NULL;
}
