/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - Well-formed UTF-8, as Unicode table 3-7 has it
 *
 * No overlong forms, no surrogates, nothing past U+10FFFF.
 */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include "core/base.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define UTF8_CHAR_MAX	 4		/* Bytes of the longest character. */

static inline bool utf8_is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/**
 * utf8_len() - Length of the character at @p
 * @p:   First byte; there is at least one
 * @end: End of the text
 *
 * Return: 1 to 4; 0 when the bytes are not well-formed.
 */
static inline size_t utf8_len(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p);
	unsigned char c = p[0];

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || left < 2 || !utf8_is_tail(p[1]))
		return 0;
	if (c < 0xe0)
		return 2;
	if (left < 3 || !utf8_is_tail(p[2]))
		return 0;
	if (c < 0xf0) {
		bool overlong = c == 0xe0 && p[1] < 0xa0;
		bool surrogate = c == 0xed && p[1] >= 0xa0;

		return overlong || surrogate ? 0 : 3;
	}
	if (left < 4 || !utf8_is_tail(p[3]))
		return 0;
	if (c > 0xf4 || (c == 0xf0 && p[1] < 0x90) ||
	    (c == 0xf4 && p[1] >= 0x90))
		return 0;
	return 4;
}

/* How many of the bytes, from the first one on, are well-formed and no NUL: what
 * can be shown as text. */
static inline size_t utf8_span(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + n;
	size_t at = 0;

	while (at < n && p[at] != '\0') {
		size_t len = utf8_len(p + at, end);

		if (len == 0)
			break;
		at += len;
	}
	return at;
}

/* Write one code point, not a surrogate.  Return: its bytes, 1 to 4. */
static inline size_t utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

#endif
