// SPDX-License-Identifier: Apache-2.0
/*
 * name.c - Names of files as git can hold them
 *
 * The rules are those of git's fsck.c, path.c and utf8.c, taken a little wider:
 * a name is folded (lower case, without what HFS+ ignores), cut at backslashes,
 * and each piece compared with the names that mean something to git, whatever
 * spaces and dots follow.  To escape a name that needs none does no harm.
 *
 * .gitattributes is escaped because git shows and checks out other bytes than
 * were stored where attributes tell it to.  .gitignore and .mailmap change
 * nothing of what is stored, so they keep their names.
 */
#include "vfs/name.h"

#include <string.h>

#define RESERVED ".hib-"
#define ESCAPED	 RESERVED "x"
#define SHORT	 8 /* Characters of a short name on NTFS, as GITMOD~1. */
#define PREFIX	 6 /* Before its tilde at most. */

/* Length of a code point that HFS+ ignores in names, else 0. */
static size_t ignored_len(const unsigned char *s, size_t n)
{
	unsigned char c;

	if (n < 3)
		return 0;
	c = s[2];
	if (s[0] == 0xe2 && s[1] == 0x80) /* U+200C..200F, 202A..202E */
		return (c >= 0x8c && c <= 0x8f) || (c >= 0xaa && c <= 0xae) ? 3
									    : 0;
	if (s[0] == 0xe2 && s[1] == 0x81) /* U+206A..206F */
		return c >= 0xaa && c <= 0xaf ? 3 : 0;
	return s[0] == 0xef && s[1] == 0xbb && c == 0xbf ? 3 : 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* NUL-terminated.  Return: its length. */
static size_t fold(const char *name, size_t n, char out[VFS_NAME_MAX + 1])
{
	size_t len = 0, skip;

	for (size_t i = 0; i < n; i += skip ? skip : 1) {
		skip = ignored_len((const unsigned char *)name + i, n - i);
		if (skip == 0)
			out[len++] = lower(name[i]);
	}
	out[len] = '\0';
	return len;
}

/* Is the rest of a name nothing, for some file system?  NTFS drops spaces and
 * dots and takes what follows a colon for a stream; git gives up at bytes that
 * are no UTF-8. */
static bool is_end(const char *s)
{
	s += strspn(s, " .");
	return *s == '\0' || *s == ':' || (*s & 0x80);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Up to six characters of @prefix, a tilde, and a number up to the eighth. */
static bool is_numbered(const char *s, const char *prefix)
{
	size_t i = 0;

	while (i < PREFIX && s[i] == prefix[i])
		i++;
	if (s[i++] != '~' || s[i] == '0')
		return false;
	for (; i < SHORT; i++)
		if (!is_digit(s[i]))
			return false;
	return is_end(s + SHORT);
}

/* @s: folded, up to a backslash. */
static bool means_something(const char *s)
{
	static const struct {
		const char *name;
		const char *hash; /* NTFS's short name when four are taken. */
	} names[] = {
		{".git", NULL},
		{"git~1", NULL},
		{".gitmodules", "gi7eba"},
		{"gitmod~", "gi7eba"},
		{".gitattributes", "gi7d29"},
		{"gitatt~", "gi7d29"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i].name);

		if (strncmp(s, names[i].name, n) == 0 &&
		    is_end(s + n + (s[n - 1] == '~' && is_digit(s[n]))))
			return true;
		if (names[i].hash != NULL && is_numbered(s, names[i].hash))
			return true;
	}
	return false;
}

static bool needs_escape(const char *name, size_t n)
{
	char folded[VFS_NAME_MAX + 1], *rest = folded, *piece;

	if (n >= strlen(RESERVED) &&
	    memcmp(name, RESERVED, strlen(RESERVED)) == 0)
		return true;
	(void)fold(name, n, folded);
	while ((piece = strsep(&rest, "\\")) != NULL)
		if (means_something(piece))
			return true;
	return false;
}

static bool is_dots(const char *name, size_t n)
{
	return (n == 1 && name[0] == '.') ||
	       (n == 2 && name[0] == '.' && name[1] == '.');
}

int vfs_name_store(const char *name, size_t n, char out[VFS_STORED_MAX])
{
	char *p = out;

	if (n == 0 || is_dots(name, n) || memchr(name, '/', n) != NULL ||
	    memchr(name, '\0', n) != NULL)
		return -EINVAL;
	if (n > VFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!needs_escape(name, n)) {
		memcpy(out, name, n);
		out[n] = '\0';
		return 0;
	}
	p = stpcpy(p, ESCAPED);
	for (size_t i = 0; i < n; i++) {
		*p++ = name[i];
		if (name[i] == '\\')
			*p++ = 'x';
	}
	*p = '\0';
	return 0;
}

/* Undo what vfs_name_store() did to @s, without its prefix.
 * Return: the length, or -ENOENT. */
static int unescape(const char *s, char out[VFS_NAME_MAX + 1])
{
	size_t n = 0;

	for (; *s != '\0'; s++) {
		if (n == VFS_NAME_MAX)
			return -ENOENT;
		out[n++] = *s;
		if (*s == '\\' && *++s != 'x')
			return -ENOENT;
	}
	out[n] = '\0';
	return (int)n;
}

int vfs_name_load(const char *stored, char out[VFS_NAME_MAX + 1])
{
	char name[VFS_NAME_MAX + 1], again[VFS_STORED_MAX];
	size_t prefix = strlen(ESCAPED);
	int n;

	if (strncmp(stored, ESCAPED, prefix) == 0) {
		n = unescape(stored + prefix, name);
	} else {
		n = strlen(stored) > VFS_NAME_MAX ? -ENOENT
						  : (int)strlen(stored);
		if (n >= 0)
			memcpy(name, stored, (size_t)n + 1);
	}
	if (n < 0 || vfs_name_store(name, (size_t)n, again) < 0 ||
	    strcmp(again, stored) != 0)
		return -ENOENT;
	memcpy(out, name, (size_t)n + 1);
	return 0;
}
