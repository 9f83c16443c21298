// SPDX-License-Identifier: Apache-2.0
/*
 * test_history.c - The commits of a workspace: which, when, by which turn
 */
#include "vfs/history.h"

#include "core/json.h"
#include "tests/commit_kit.h"

#define SES "ses_00000000000000000000000000000001"
#define TRN "trn_00000000000000000000000000000002"

static int note(const struct vfs_history_commit *c, void *arg)
{
	jw_lit(arg, c->reason, strlen(c->reason));
	return 0;
}

/* The reasons of commits that are listed, one letter each. */
static void check_log(struct git_kit *k, const struct vfs_oid *from,
		      const char *path, uint64_t limit, const char *want)
{
	const struct vfs_history_query q = {
		.from = *from,
		.path = path,
		.limit = limit,
	};
	autojw struct jw got = {0};
	struct err e = {0};

	jw_lit(&got, "", 0);
	EQ(vfs_history_log(k->repo, &q, note, &got, &e), 0);
	STR_EQ(got.len > 0 ? got.buf : "", want);
}

TEST(a_commit_tells_what_it_is_of)
{
	struct vfs_history_commit h;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	FILES(&k, "echo 1 >f");
	struct vfs_oid one = commit_all(&k, "x\n\nReason: late");
	struct vfs_oid two = commit_all(&k, "x\n\nSession: " SES "\nTurn: " TRN
					    "\nEvent-Seq: 12\nReason: turn");
	EQ(vfs_history_get(k.repo, &one, &h, &e), 0);
	OK(!h.has_parent && h.time_ms > 1000000000000);
	STR_EQ(h.session, "");
	STR_EQ(h.reason, "late");
	EQ(vfs_history_get(k.repo, &two, &h, &e), 0);
	OK(h.has_parent && vfs_oid_eq(&h.parent, &one));
	STR_EQ(h.session, SES);
	STR_EQ(h.turn, TRN);
	EQ(h.seq, 12);
	git_kit_close(&k);
}

TEST(a_log_can_be_of_one_path)
{
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k, "mkdir d && echo 1 >d/f && echo 1 >g");
	commit_all(&k, "x\n\nReason: a");
	FILES(&k, "echo 2 >g");
	commit_all(&k, "x\n\nReason: b");
	FILES(&k, "chmod 755 d/f");
	commit_all(&k, "x\n\nReason: c");
	FILES(&k, "rm d/f");
	commit_all(&k, "x\n\nReason: d");
	FILES(&k, "mkdir -p d; echo 3 >d/f");
	struct vfs_oid head = commit_all(&k, "x\n\nReason: e");
	check_log(&k, &head, NULL, 0, "edcba");
	check_log(&k, &head, NULL, 2, "ed");
	check_log(&k, &head, "d/f", 0, "edca");
	check_log(&k, &head, "d", 0, "edca");
	check_log(&k, &head, "d/f", 1, "e");
	check_log(&k, &head, "g", 0, "ba");
	check_log(&k, &head, "no", 0, "");
	check_log(&k, &head, "", 0, "edcba");
	git_kit_close(&k);
}

TEST(people_name_commits_in_many_ways)
{
	struct git_kit k;
	struct err e = {0};
	struct vfs_oid got;
	char hex[VFS_OID_HEX];

	git_kit_open(&k);
	EQ(vfs_history_resolve(k.repo, NULL, NULL, &got, &e),
	   -FAULT_SNAPSHOT_NOT_FOUND);
	FILES(&k, "echo 1 >f");
	struct vfs_oid one = commit_all(&k, "one");
	struct vfs_oid two = commit_all(&k, "two");
	vfs_oid_format(&one, hex);
	EQ(sh("git --git-dir=%s update-ref refs/hib/" SES "/" TRN " %s", k.path,
	      hex),
	   0);
	EQ(vfs_history_resolve(k.repo, NULL, NULL, &got, &e), 0);
	OK(vfs_oid_eq(&got, &two));
	EQ(vfs_history_resolve(k.repo, NULL, "HEAD", &got, &e), 0);
	OK(vfs_oid_eq(&got, &two));
	EQ(vfs_history_resolve(k.repo, NULL, TRN, &got, &e), 0);
	OK(vfs_oid_eq(&got, &one));
	EQ(vfs_history_resolve(k.repo, NULL, hex, &got, &e), 0);
	hex[9] = '\0';
	EQ(vfs_history_resolve(k.repo, NULL, hex, &got, &e), 0);
	OK(vfs_oid_eq(&got, &one));
	EQ(vfs_history_resolve(k.repo, NULL, SES "/" TRN, &got, &e), 0);
	OK(vfs_oid_eq(&got, &one));
	EQ(vfs_history_resolve(k.repo, NULL,
			       "trn_00000000000000000000000000000003", &got,
			       &e),
	   -FAULT_TURN_NOT_FOUND);
	EQ(vfs_history_resolve(k.repo, NULL, "", &got, &e),
	   -FAULT_SNAPSHOT_NOT_FOUND);
	git_kit_close(&k);
}

TEST(people_count_commits_back)
{
	static const char *const to_one[] = {"HEAD~2", "HEAD~~", "HEAD^^",
					     "HEAD^~1", "HEAD~0~2"};
	static const char *const nowhere[] = {
		"HEAD~3",  "HEAD^2", "~1", "HEAD~99999999999999999999",
		"HEAD~-1", "HEAD~x", "^",  "HEAD~1000000~1000000"};
	struct git_kit k;
	struct err e = {0};
	struct vfs_oid got;

	git_kit_open(&k);
	FILES(&k, "echo 1 >f");
	struct vfs_oid one = commit_all(&k, "one");
	FILES(&k, "echo 2 >f");
	commit_all(&k, "two");
	FILES(&k, "echo 3 >f");
	commit_all(&k, "three");
	for (size_t i = 0; i < ARRAY_LEN(to_one); i++) {
		EQ(vfs_history_resolve(k.repo, NULL, to_one[i], &got, &e), 0);
		OK(vfs_oid_eq(&got, &one));
	}
	for (size_t i = 0; i < ARRAY_LEN(nowhere); i++)
		EQ(vfs_history_resolve(k.repo, NULL, nowhere[i], &got, &e),
		   -FAULT_SNAPSHOT_NOT_FOUND);
	git_kit_close(&k);
}

TESTS(CASE(a_commit_tells_what_it_is_of), CASE(a_log_can_be_of_one_path),
      CASE(people_name_commits_in_many_ways), CASE(people_count_commits_back))
