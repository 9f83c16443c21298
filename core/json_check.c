// SPDX-License-Identifier: Apache-2.0
/*
 * json_check.c - Is it JSON, and within the limits?
 *
 * One pass over the bytes by recursive descent, a function for each rule of the
 * grammar (RFC 8259).  Each starts at its first byte and leaves the cursor
 * behind the last; false means that code and what tell why not, and that the
 * cursor stands where it went wrong.
 */
#include "core/json_check.h"

#include <string.h>

#include "core/json.h"
#include "core/json_plain.h"
#include "core/utf8.h"

struct scan {
	const unsigned char *p, *end;
	unsigned n_tok;
	unsigned depth;
	int code; /* Set on failure, with what. */
	const char *what;
};

static bool fail(struct scan *s, const char *what)
{
	s->code = -EINVAL;
	s->what = what;
	return false;
}

static bool too_much(struct scan *s, const char *what)
{
	s->code = -E2BIG;
	s->what = what;
	return false;
}

/* The byte at the cursor; -1 at the end, which is no byte. */
static int peek(const struct scan *s)
{
	return s->p < s->end ? *s->p : -1;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' ||
				 *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

static bool scan_escape(struct scan *s)
{
	s->p++;
	switch (peek(s)) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		s->p++;
		return true;
	case 'u':
		s->p++;
		for (int i = 0; i < 4; i++, s->p++)
			if (json_hex_digit(peek(s)) < 0)
				return fail(s, "bad \\u escape");
		return true;
	default:
		return fail(s, "bad escape");
	}
}

static bool scan_string(struct scan *s)
{
	s->p++;
	for (;;) {
		size_t n;

		s->p = json_skip_plain(s->p, s->end);
		if (s->p == s->end)
			return fail(s, "string without end");
		if (*s->p == '"') {
			s->p++;
			return true;
		}
		if (*s->p == '\\') {
			if (!scan_escape(s))
				return false;
			continue;
		}
		if (*s->p < 0x20)
			return fail(s, "control byte in a string");
		n = utf8_len(s->p, s->end);
		if (n == 0)
			return fail(s, "bad UTF-8");
		s->p += n;
	}
}

static bool scan_digits(struct scan *s)
{
	if (!json_is_digit(peek(s)))
		return fail(s, "bad number");
	while (json_is_digit(peek(s)))
		s->p++;
	return true;
}

static bool scan_number(struct scan *s)
{
	if (peek(s) == '-')
		s->p++;
	if (peek(s) == '0')
		s->p++;
	else if (!scan_digits(s))
		return false;

	if (peek(s) == '.') {
		s->p++;
		if (!scan_digits(s))
			return false;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->p++;
		if (peek(s) == '+' || peek(s) == '-')
			s->p++;
		if (!scan_digits(s))
			return false;
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return fail(s, "unknown word");
	s->p += n;
	return true;
}

static bool count_token(struct scan *s)
{
	if (s->n_tok == JSON_TOKENS_MAX)
		return too_much(s, "too many values");
	s->n_tok++;
	return true;
}

static bool scan_value(struct scan *s);

static bool scan_element(struct scan *s)
{
	skip_space(s);
	return scan_value(s);
}

static bool scan_member(struct scan *s)
{
	skip_space(s);
	if (peek(s) != '"')
		return fail(s, "a key was expected");
	if (!count_token(s) || !scan_string(s))
		return false;
	skip_space(s);
	if (peek(s) != ':')
		return fail(s, "':' was expected");
	s->p++;
	return scan_element(s);
}

/* What stands between brackets: a list of whatever @item reads. */
static bool scan_list(struct scan *s, int close, bool (*item)(struct scan *s))
{
	s->p++;
	if (s->depth == JSON_DEPTH_MAX)
		return too_much(s, "nested too deep");
	s->depth++;

	skip_space(s);
	if (peek(s) != close) {
		for (;;) {
			if (!item(s))
				return false;
			skip_space(s);
			if (peek(s) != ',')
				break;
			s->p++;
		}
	}
	if (peek(s) != close)
		return fail(s, "',' or a closing bracket was expected");
	s->p++;
	s->depth--;
	return true;
}

/* Recursive, to JSON_DEPTH_MAX at most. */
static bool scan_value(struct scan *s)
{
	if (!count_token(s))
		return false;

	switch (peek(s)) {
	case '{':
		return scan_list(s, '}', scan_member);
	case '[':
		return scan_list(s, ']', scan_element);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (peek(s) != '-' && !json_is_digit(peek(s)))
			return fail(s, "a value was expected");
		return scan_number(s);
	}
}

static bool scan_document(struct scan *s)
{
	skip_space(s);
	if (!scan_value(s))
		return false;
	skip_space(s);
	if (s->p != s->end)
		return fail(s, "more after the value");
	return true;
}

int json_check(const char *text, size_t len, unsigned *out_n_tok, struct err *e)
{
	const unsigned char *bytes = (const unsigned char *)(len ? text : "");
	struct scan s = {.p = bytes, .end = bytes + len};

	if (len > JSON_BYTES_MAX)
		return err_set(e, -E2BIG, "json: %zu bytes are too many", len);
	if (!scan_document(&s))
		return err_set(e, s.code, "json: %s at byte %zu", s.what,
			       (size_t)(s.p - bytes));
	*out_n_tok = s.n_tok;
	return 0;
}

size_t json_check_object(const char *text, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)text;
	struct scan s = {.p = bytes,
			 .end = bytes + len,
			 .n_tok = JSON_TOKENS_MAX - JSON_TOKENS_MAX / 4,
			 .depth = 1};

	if (len > JSON_BYTES_MAX || peek(&s) != '{' || !scan_value(&s))
		return 0;
	return (size_t)(s.p - bytes);
}
