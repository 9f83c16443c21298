// SPDX-License-Identifier: Apache-2.0
/*
 * test_union.c - What later commits changed, path by path
 */
#include "vfs/union.h"

#include "tests/commit_kit.h"

/* "path kind" of each row, in one line. */
static void check(struct git_kit *k, const struct vfs_oid *since,
		  const struct vfs_oid *to, uint64_t commits, const char *want)
{
	autojw struct jw rows = {0}, got = {0};
	autojson struct json j = {0};
	struct vfs_union_stats stats;
	struct err e = {0};
	struct jv all;

	if (vfs_union(k->repo, since, to, &stats, &rows, &e) < 0)
		FAIL("vfs_union: %s", e.msg);
	EQ(json_parse(&j, rows.buf, rows.len, &e), 0);
	all = json_root(&j);
	jw_lit(&got, "", 1);
	got.len = 0;
	for (struct jv row = jv_first(all); jv_has(row);
	     row = jv_next(all, row)) {
		char path[64], kind[16], line[96];

		OK(jv_strcpy(jv_get(row, "path"), path, sizeof(path)) > 0);
		OK(jv_strcpy(jv_get(row, "kind"), kind, sizeof(kind)) > 0);
		snprintf(line, sizeof(line), "%s %s; ", path, kind);
		jw_lit(&got, line, strlen(line));
	}
	STR_EQ(got.buf, want);
	EQ(stats.n_commits, commits);
	OK(!stats.truncated);
}

TEST(it_is_the_union_of_all_later_diffs)
{
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k, "echo 1 >a && echo 1 >b && seq 50 >c");
	struct vfs_oid one = commit_all(&k, "one");
	FILES(&k, "echo 2 >a && echo 1 >d");
	struct vfs_oid two = commit_all(&k, "two");
	FILES(&k, "echo 1 >a && rm d && mv c e");
	struct vfs_oid three = commit_all(&k, "three");
	check(&k, &one, &three, 2, "a modify; c delete; d delete; e rename; ");
	check(&k, &two, &three, 1, "a modify; c delete; d delete; e rename; ");
	check(&k, &one, &two, 1, "a modify; d add; ");
	check(&k, &two, &two, 0, "");
	check(&k, NULL, &two, 2, "a modify; b add; c add; d add; ");
	git_kit_close(&k);
}

TEST(each_path_tells_its_last_commit)
{
	autojw struct jw rows = {0};
	struct vfs_union_stats stats;
	struct git_kit k;
	struct err e = {0};
	char hex[VFS_OID_HEX];

	git_kit_open(&k);
	FILES(&k, "echo 1 >a");
	struct vfs_oid one = commit_all(&k, "one");
	FILES(&k, "echo 2 >a");
	commit_all(&k, "two");
	FILES(&k, "echo 3 >a");
	struct vfs_oid three = commit_all(
		&k, "three\n\nTurn: trn_00000000000000000000000000000003");
	EQ(vfs_union(k.repo, &one, &three, &stats, &rows, &e), 0);
	OK(strstr(rows.buf, vfs_oid_format(&three, hex)) != NULL);
	OK(strstr(rows.buf, "trn_00000000000000000000000000000003") != NULL);
	git_kit_close(&k);
}

TEST(what_is_not_before_is_refused)
{
	const struct vfs_oid none = {{1}};
	autojw struct jw rows = {0};
	struct vfs_union_stats stats;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	FILES(&k, "echo 1 >a");
	struct vfs_oid one = commit_all(&k, "one");
	struct vfs_oid two = commit_all(&k, "two");
	EQ(vfs_union(k.repo, &two, &one, &stats, &rows, &e),
	   -FAULT_INVALID_ARGUMENT);
	EQ(vfs_union(k.repo, NULL, &none, &stats, &rows, &e),
	   -FAULT_SNAPSHOT_NOT_FOUND);
	EQ(rows.len, 0);
	git_kit_close(&k);
}

TESTS(CASE(it_is_the_union_of_all_later_diffs),
      CASE(each_path_tells_its_last_commit),
      CASE(what_is_not_before_is_refused))
