// SPDX-License-Identifier: Apache-2.0
/*
 * quote.c - Names of any bytes in a line of text, as git quotes them
 */
#include "vfs/quote.h"

#include <string.h>

static const char letters[] = "abtnvfr\"\\";
static const char meant[] = "\a\b\t\n\v\f\r\"\\";

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool all_plain(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_plain((unsigned char)s[i]))
			return false;
	return n > 0;
}

static char *put(char *p, unsigned char c)
{
	const char *m = c != '\0' ? strchr(meant, c) : NULL;

	if (is_plain(c)) {
		*p++ = (char)c;
		return p;
	}
	*p++ = '\\';
	if (m != NULL) {
		*p++ = letters[m - meant];
		return p;
	}
	*p++ = (char)('0' + (c >> 6));
	*p++ = (char)('0' + (c >> 3 & 7));
	*p++ = (char)('0' + (c & 7));
	return p;
}

size_t vfs_quote(const char *s, size_t n, char *out)
{
	char *p = out;

	if (all_plain(s, n)) {
		memcpy(out, s, n);
		return n;
	}
	*p++ = '"';
	for (size_t i = 0; i < n; i++)
		p = put(p, (unsigned char)s[i]);
	*p++ = '"';
	return (size_t)(p - out);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Read what follows a backslash.  Return: the bytes that it took, 0: wrong. */
static size_t escape(const char *s, size_t n, char *out)
{
	const char *l = n > 0 && s[0] != '\0' ? strchr(letters, s[0]) : NULL;

	if (l != NULL) {
		*out = meant[l - letters];
		return 1;
	}
	if (n < 3 || s[0] > '3' || !is_octal(s[0]) || !is_octal(s[1]) ||
	    !is_octal(s[2]))
		return 0;
	*out = (char)((s[0] - '0') << 6 | (s[1] - '0') << 3 | (s[2] - '0'));
	return 3;
}

int vfs_unquote(const char *s, size_t n, char *out)
{
	size_t len = 0;

	if (memchr(s, '\0', n) != NULL)
		return -EINVAL;
	if (n == 0 || s[0] != '"') {
		memcpy(out, s, n);
		return (int)n;
	}
	if (n < 2 || s[n - 1] != '"')
		return -EINVAL;
	for (size_t i = 1; i < n - 1; len++) {
		size_t took = 0;

		if (s[i] == '"')
			return -EINVAL;
		if (s[i] != '\\') {
			out[len] = s[i++];
			continue;
		}
		took = escape(s + i + 1, n - 2 - i, &out[len]);
		if (took == 0 || out[len] == '\0')
			return -EINVAL;
		i += 1 + took;
	}
	return (int)len;
}
