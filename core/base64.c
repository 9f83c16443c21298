// SPDX-License-Identifier: Apache-2.0
/*
 * base64.c - Any bytes as text (RFC 4648, section 4: with padding)
 */
#include "core/base64.h"

#include "core/json.h"
#include "core/utf8.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789+/";

#define GROUPS 256 /* Of four digits, written at once. */

/* Up to three bytes as four digits. */
static void put_group(char *out, const unsigned char *p, size_t n)
{
	unsigned bits = (unsigned)p[0] << 16 |
			(n > 1 ? (unsigned)p[1] << 8 : 0) |
			(n > 2 ? (unsigned)p[2] : 0);

	out[0] = digits[bits >> 18];
	out[1] = digits[bits >> 12 & 63];
	out[2] = n > 1 ? digits[bits >> 6 & 63] : '=';
	out[3] = n > 2 ? digits[bits & 63] : '=';
}

void base64_write(struct jw *w, const char *data, size_t n)
{
	const unsigned char *p = (const unsigned char *)data;
	char out[4 * GROUPS];
	size_t filled = 0;

	jw_raw(w, "\"", 1);
	while (n > 0) {
		size_t part = n < 3 ? n : 3;

		put_group(out + filled, p, part);
		filled += 4;
		p += part;
		n -= part;
		if (filled == sizeof(out) || n == 0) {
			jw_lit(w, out, filled);
			filled = 0;
		}
	}
	jw_lit(w, "\"", 1);
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, the last ones padding.  Return: bytes, or -EINVAL. */
static int get_group(const char *in, bool last, char *out)
{
	int a = digit(in[0]), b = digit(in[1]), c = digit(in[2]),
	    d = digit(in[3]);
	int n = 3;

	if (last && in[3] == '=') {
		n = in[2] == '=' ? 1 : 2;
		c = n == 1 ? 0 : c;
		d = 0;
	}
	if ((a | b | c | d) < 0 || (n == 1 && (b & 15) != 0) ||
	    (n == 2 && (c & 3) != 0))
		return -EINVAL;
	out[0] = (char)(a << 2 | b >> 4);
	if (n > 1)
		out[1] = (char)(b << 4 | c >> 2);
	if (n > 2)
		out[2] = (char)(c << 6 | d);
	return n;
}

int base64_read(char *text, size_t *len)
{
	size_t n = *len, at = 0;

	if (n % 4 != 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i += 4) {
		char group[4] = {text[i], text[i + 1], text[i + 2],
				 text[i + 3]};
		int r = get_group(group, i + 4 == n, text + at);

		if (r < 0)
			return r;
		at += (size_t)r;
	}
	if (n > 0)
		text[at] = '\0';
	*len = at;
	return 0;
}

void base64_kbytes(struct jw *w, const char *key, const char *b64_key,
		   const char *data, size_t n)
{
	bool text = utf8_span(data, n) == n;

	jw_key(w, text ? key : b64_key);
	if (text)
		jw_strn(w, data, n);
	else
		base64_write(w, data, n);
}
