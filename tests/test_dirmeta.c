// SPDX-License-Identifier: Apache-2.0
/*
 * test_dirmeta.c - Permissions that git cannot hold; SHA-1 on the way
 */
#include "vfs/dirmeta.h"

#include "tests/tap.h"
#include "vfs/sha1.h"

TEST(what_is_written_is_read)
{
	static const struct vfs_dirmeta_entry entries[] = {
		{"\n", 07777}, {".", 0700},	   {".git", 0640},
		{"a b", 0},    {"quo\"te", 01777}, {"\xff\\", 04755},
	};
	char text[6 * VFS_DIRMETA_LINE_MAX];
	struct vfs_dirmeta m;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		n += vfs_dirmeta_line(text + n, entries[i].name,
				      entries[i].mode);
	EQ(vfs_dirmeta_load(text, n, &m, NULL), 0);
	EQ(m.n, ARRAY_LEN(entries));
	for (size_t i = 0; i < m.n; i++) {
		STR_EQ(m.entries[i].name, entries[i].name);
		EQ(vfs_dirmeta_mode(&m, entries[i].name, 1), entries[i].mode);
	}
	EQ(vfs_dirmeta_mode(&m, "none", 0644), 0644);
	vfs_dirmeta_free(&m);
	EQ(vfs_dirmeta_load("", 0, &m, NULL), 0);
	EQ(vfs_dirmeta_mode(&m, "a", 0755), 0755);
	vfs_dirmeta_free(&m);
}

TEST(anything_else_is_damaged)
{
	static const char *const bad[] = {
		"0644 a",
		"0644 \n",
		"0844 a\n",
		"644 a\n",
		"0644 b\n0644 a\n",
		"0644 a\n0644 a\n",
		"0644 a/b\n",
		"0644 ..\n",
		"0644 \"a\n",
		"0644  \"\\000\"\nx",
		"\n",
		"0644\ta\n",
	};
	char line[400] = "0644 ";
	struct vfs_dirmeta m;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EQ(vfs_dirmeta_load(bad[i], strlen(bad[i]), &m, NULL),
		   -FAULT_STORE_CORRUPT);
	memset(line + 5, 'a', 256);
	line[261] = '\n';
	EQ(vfs_dirmeta_load(line, 262, &m, NULL), -FAULT_STORE_CORRUPT);
	line[260] = '\n';
	EQ(vfs_dirmeta_load(line, 261, &m, NULL), 0);
	vfs_dirmeta_free(&m);
}

TEST(longest_line_fits)
{
	char name[VFS_NAME_MAX + 1], line[VFS_DIRMETA_LINE_MAX];
	struct vfs_dirmeta m;
	size_t n;

	memset(name, 1, VFS_NAME_MAX);
	name[VFS_NAME_MAX] = '\0';
	n = vfs_dirmeta_line(line, name, 0600);
	OK(n <= sizeof(line));
	EQ(vfs_dirmeta_load(line, n, &m, NULL), 0);
	EQ(vfs_dirmeta_mode(&m, name, 0), 0600);
	vfs_dirmeta_free(&m);
}

/* RFC 3174 and FIPS 180; and lengths around a block, in odd pieces. */
TEST(sha1_is_right_however_it_is_fed)
{
	char hex[VFS_OID_HEX], text[300];
	struct vfs_oid whole, split;
	struct sha1 s;

	sha1_init(&s);
	sha1_add(&s, "abc", 3);
	whole = sha1_end(&s);
	STR_EQ(vfs_oid_format(&whole, hex),
	       "a9993e364706816aba3e25717850c26c9cd0d89d");
	sha1_init(&s);
	for (int i = 0; i < 10000; i++)
		sha1_add(&s,
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			 100);
	whole = sha1_end(&s);
	STR_EQ(vfs_oid_format(&whole, hex),
	       "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
	sha1_init_object(&s, "tree", 0);
	whole = sha1_end(&s);
	STR_EQ(vfs_oid_format(&whole, hex),
	       "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
	memset(text, 'x', sizeof(text));
	for (size_t n = 0; n < sizeof(text); n++) {
		sha1_init(&s);
		sha1_add(&s, text, n);
		whole = sha1_end(&s);
		sha1_init(&s);
		for (size_t i = 0; i < n; i += 7)
			sha1_add(&s, text + i, n - i < 7 ? n - i : 7);
		split = sha1_end(&s);
		OK(vfs_oid_eq(&whole, &split));
	}
}

TESTS(CASE(what_is_written_is_read), CASE(anything_else_is_damaged),
      CASE(longest_line_fits), CASE(sha1_is_right_however_it_is_fed))
