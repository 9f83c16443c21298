// SPDX-License-Identifier: Apache-2.0
/*
 * event_line.c - The line of an event in our own form, read in place
 *
 * The words between the values are compared as they stand, and the values are
 * checked: what is in ctx and data by the validator that goes before every tree
 * (json_check.h).
 */
#include "core/event_line.h"

#include <string.h>

#include "core/json_check.h"

#define DIGITS_MAX 18 /* Of a number that surely fits. */

struct cursor {
	const char *p, *end;
};

static bool take(struct cursor *c, const char *word, size_t n)
{
	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return false;
	c->p += n;
	return true;
}

#define TAKE(c, word) take(c, word, sizeof(word) - 1)

/* Up to the next quote. */
static bool take_word(struct cursor *c, char *out, size_t cap)
{
	size_t left = (size_t)(c->end - c->p), n;
	const char *quote = memchr(c->p, '"', left < cap ? left : cap);

	if (quote == NULL)
		return false;
	n = (size_t)(quote - c->p);
	memcpy(out, c->p, n);
	out[n] = '\0';
	c->p = quote + 1;
	return strlen(out) == n;
}

static bool take_number(struct cursor *c, int64_t *out)
{
	const char *begin = c->p;
	int64_t n = 0;

	for (; c->p < c->end && json_is_digit(*c->p); c->p++) {
		if (c->p - begin == DIGITS_MAX)
			return false;
		n = 10 * n + (*c->p - '0');
	}
	*out = n;
	return c->p == begin + 1 || (c->p > begin && *begin != '0');
}

static bool take_object(struct cursor *c, const char **out, size_t *len)
{
	*out = c->p;
	*len = json_check_object(c->p, (size_t)(c->end - c->p));
	c->p += *len;
	return *len > 0;
}

static bool take_names(struct cursor *c, struct event_line *l)
{
	return TAKE(c, ",\"type\":\"") &&
	       take_word(c, l->type, sizeof(l->type)) &&
	       event_type_ok(l->type) &&
	       (!TAKE(c, ",\"turn\":\"") ||
		(take_word(c, l->turn, sizeof(l->turn)) &&
		 id_is(l->turn, "trn")));
}

static bool take_bodies(struct cursor *c, struct event_line *l)
{
	return (!TAKE(c, ",\"ctx\":") ||
		take_object(c, &l->ctx, &l->ctx_len)) &&
	       TAKE(c, ",\"data\":") &&
	       take_object(c, &l->data, &l->data_len) && TAKE(c, "}");
}

bool event_line_read(const char *line, size_t len, struct event_line *out)
{
	struct cursor c = {line, line + len};

	out->turn[0] = '\0';
	out->ctx = NULL;
	out->ctx_len = 0;
	return TAKE(&c, "{\"v\":1,\"session\":\"") &&
	       take_word(&c, out->session, sizeof(out->session)) &&
	       id_is(out->session, "ses") && TAKE(&c, ",\"seq\":") &&
	       take_number(&c, &out->seq) && out->seq > 0 &&
	       TAKE(&c, ",\"epoch\":") && take_number(&c, &out->epoch) &&
	       out->epoch > 0 && TAKE(&c, ",\"ts\":") &&
	       take_number(&c, &out->ts_ms) && take_names(&c, out) &&
	       take_bodies(&c, out) && c.p == c.end;
}
