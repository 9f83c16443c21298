// SPDX-License-Identifier: Apache-2.0
/*
 * test_oid.c - Ids of git objects as text
 */
#include "vfs/oid.h"

#include "tests/tap.h"

TEST(what_is_parsed_is_formatted_the_same)
{
	static const char hex[] = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
	struct vfs_oid a, b = {{0}};
	char out[VFS_OID_HEX];

	EQ(vfs_oid_parse(hex, &a), 0);
	STR_EQ(vfs_oid_format(&a, out), hex);
	OK(vfs_oid_eq(&a, &a));
	OK(!vfs_oid_eq(&a, &b));
}

TEST(anything_else_is_refused_and_changes_nothing)
{
	static const char *const bad[] = {
		NULL,
		"",
		"4b825dc642cb6eb9a060e54bf8d69288fbee490",
		"4b825dc642cb6eb9a060e54bf8d69288fbee49044",
		"4B825DC642CB6EB9A060E54BF8D69288FBEE4904",
		"4b825dc642cb6eb9a060e54bf8d69288fbee490g",
	};
	struct vfs_oid oid = {{7}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		OK(vfs_oid_parse(bad[i], &oid) < 0);
	EQ(oid.b[0], 7);
}

TESTS(CASE(what_is_parsed_is_formatted_the_same),
      CASE(anything_else_is_refused_and_changes_nothing))
