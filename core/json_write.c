// SPDX-License-Identifier: Apache-2.0
/*
 * json_write.c - Writing JSON
 *
 * One rule places all commas: a value or key that follows a finished value
 * gets one in front.  jw.comma remembers whether the last thing written was a
 * finished value.
 */
#include <string.h>

#include "core/json.h"
#include "core/json_plain.h"
#include "core/utf8.h"

#define FIRST_CAP 256

/* Make room for n more bytes and a NUL.  False: failed, now or before. */
static bool reserve(struct jw *w, size_t n)
{
	size_t cap = w->cap ? w->cap : FIRST_CAP;
	char *buf;

	if (w->failed)
		return false;
	if (n < w->cap - w->len)
		return true;

	w->failed = true;
	if (n >= SIZE_MAX / 4 - w->len)
		return false;
	while (cap - w->len <= n)
		cap *= 2;
	buf = realloc(w->buf, cap);
	if (buf == NULL)
		return false;
	w->buf = buf;
	w->cap = cap;
	w->failed = false;
	return true;
}

static void put(struct jw *w, const char *s, size_t n)
{
	if (!reserve(w, n))
		return;
	memcpy(w->buf + w->len, s, n);
	w->len += n;
	w->buf[w->len] = '\0';
}

static void put_char(struct jw *w, char c)
{
	put(w, &c, 1);
}

static void begin(struct jw *w)
{
	if (w->comma)
		put_char(w, ',');
	w->comma = true;
}

/* A whole value that is text already. */
static void put_value(struct jw *w, const char *s, size_t n)
{
	begin(w);
	put(w, s, n);
}

static void open_bracket(struct jw *w, char c)
{
	put_value(w, &c, 1);
	w->comma = false;
}

static void close_bracket(struct jw *w, char c)
{
	put_char(w, c);
	w->comma = true;
}

static void put_escape(struct jw *w, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
	const char *s = c != '\0' ? strchr(shorts, c) : NULL;

	if (s != NULL) {
		char two[] = {'\\', names[s - shorts]};

		put(w, two, sizeof(two));
	} else {
		char six[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

		put(w, six, sizeof(six));
	}
}

static void put_string(struct jw *w, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	const unsigned char *end = p + n;

	put_char(w, '"');
	while (p < end && !w->failed) {
		const unsigned char *stop = json_skip_plain(p, end);
		size_t k;

		put(w, (const char *)p, (size_t)(stop - p));
		p = stop;
		if (p == end)
			break;
		k = utf8_len(p, end);
		if (k == 0)
			put(w, UTF8_REPLACEMENT, strlen(UTF8_REPLACEMENT));
		else if (*p < 0x20 || *p == '"' || *p == '\\')
			put_escape(w, *p);
		else
			put(w, (const char *)p, k);
		p += k ? k : 1;
	}
	put_char(w, '"');
}

void jw_init(struct jw *w)
{
	*w = (struct jw){0};
}

void jw_done(struct jw *w)
{
	free(w->buf);
	*w = (struct jw){0};
}

char *jw_take(struct jw *w, size_t *len)
{
	char *text;

	put(w, "", 0); /* Even nothing is a string. */
	if (w->failed) {
		jw_done(w);
		return NULL;
	}
	text = w->buf;
	if (len != NULL)
		*len = w->len;
	*w = (struct jw){0};
	return text;
}

void jw_reset(struct jw *w)
{
	w->len = 0;
	w->comma = false;
	w->failed = false;
	if (w->buf != NULL)
		w->buf[0] = '\0';
}

void jw_obj(struct jw *w)
{
	open_bracket(w, '{');
}

void jw_obj_end(struct jw *w)
{
	close_bracket(w, '}');
}

void jw_arr(struct jw *w)
{
	open_bracket(w, '[');
}

void jw_arr_end(struct jw *w)
{
	close_bracket(w, ']');
}

void jw_key(struct jw *w, const char *key)
{
	begin(w);
	put_string(w, key, strlen(key));
	put_char(w, ':');
	w->comma = false;
}

void jw_str(struct jw *w, const char *s)
{
	if (s == NULL)
		jw_null(w);
	else
		jw_strn(w, s, strlen(s));
}

void jw_strn(struct jw *w, const char *s, size_t n)
{
	begin(w);
	put_string(w, n ? s : "", n);
}

void jw_int(struct jw *w, int64_t n)
{
	char digits[24];
	char *p = digits + sizeof(digits);
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;

	do
		*--p = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (n < 0)
		*--p = '-';
	put_value(w, p, (size_t)(digits + sizeof(digits) - p));
}

void jw_bool(struct jw *w, bool b)
{
	const char *word = b ? "true" : "false";

	put_value(w, word, strlen(word));
}

void jw_null(struct jw *w)
{
	put_value(w, "null", 4);
}

void jw_raw(struct jw *w, const char *json, size_t n)
{
	put_value(w, json, n);
}

void jw_value(struct jw *w, struct jv v)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	if (raw == NULL)
		jw_null(w);
	else
		put_value(w, raw, n);
}

static void map_object(struct jw *w, struct jv v, jw_string_fn string,
		       void *arg)
{
	jw_obj(w);
	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k)) {
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_mapped(w, jv_value(k), string, arg);
	}
	jw_obj_end(w);
}

void jw_mapped(struct jw *w, struct jv v, jw_string_fn string, void *arg)
{
	if (jv_is(v, JV_STRING)) {
		string(w, v, arg);
	} else if (jv_is(v, JV_ARRAY)) {
		jw_arr(w);
		for (struct jv it = jv_first(v); jv_has(it);
		     it = jv_next(v, it))
			jw_mapped(w, it, string, arg);
		jw_arr_end(w);
	} else if (jv_is(v, JV_OBJECT)) {
		map_object(w, v, string, arg);
	} else {
		jw_value(w, v);
	}
}

void jw_lit(struct jw *w, const char *bytes, size_t n)
{
	if (n == 0)
		return;
	put(w, bytes, n);
	w->comma = memchr("{[:,\n", bytes[n - 1], 5) == NULL;
}

void jw_kstr(struct jw *w, const char *key, const char *s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void jw_kint(struct jw *w, const char *key, int64_t n)
{
	jw_key(w, key);
	jw_int(w, n);
}

void jw_kbool(struct jw *w, const char *key, bool b)
{
	jw_key(w, key);
	jw_bool(w, b);
}

void jw_kraw(struct jw *w, const char *key, const char *json)
{
	jw_key(w, key);
	if (json == NULL)
		jw_null(w);
	else
		jw_raw(w, json, strlen(json));
}

void jw_kvalue(struct jw *w, const char *key, struct jv v)
{
	jw_key(w, key);
	jw_value(w, v);
}
