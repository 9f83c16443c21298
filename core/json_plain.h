/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_plain.h - Private to json*.c: the fast path over string bytes
 */
#ifndef CORE_JSON_PLAIN_H
#define CORE_JSON_PLAIN_H

#include <string.h>

#include "core/base.h"

/* ASCII that stands for itself in a JSON string. */
static inline bool json_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Are all eight bytes plain?  Each term has the high bit of a byte set when
 * some byte is the one looked for ("Bit Twiddling Hacks", determine if a word
 * has a zero byte, or one less than n). */
static inline bool json_is_plain8(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101u;
	const uint64_t high = ones << 7;
	uint64_t quote = x ^ (ones * '"');
	uint64_t slash = x ^ (ones * '\\');
	uint64_t bad = x;

	bad |= (x - ones * 0x20) & ~x;
	bad |= (quote - ones) & ~quote;
	bad |= (slash - ones) & ~slash;
	return (bad & high) == 0;
}

/* First byte in [p, end) that is not plain, or end. */
static inline const unsigned char *json_skip_plain(const unsigned char *p,
						   const unsigned char *end)
{
	uint64_t x;

	while (end - p >= (ptrdiff_t)sizeof(x)) {
		memcpy(&x, p, sizeof(x));
		if (!json_is_plain8(x))
			break;
		p += sizeof(x);
	}
	while (p < end && json_is_plain(*p))
		p++;
	return p;
}

#endif
