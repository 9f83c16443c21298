// SPDX-License-Identifier: Apache-2.0
/*
 * test_repo.c - Repositories, their heads, forks and names of commits
 */
#include "vfs/repo.h"

#include <fcntl.h>

#include "tests/git_kit.h"
#include "vfs/refs.h"

/* A commit with one file, made by git. */
static struct vfs_oid commit(const char *path, const char *ref,
			     const char *text)
{
	struct vfs_oid oid;
	const char *hex = sh_line(
		"cd %s && b=$(printf %%s '%s' | git hash-object -w --stdin) &&"
		" t=$(printf '100644 blob %%s\\tf\\n' $b | git mktree) &&"
		" export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a"
		" GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a &&"
		" c=$(git commit-tree -m '%s' $t) &&"
		" git update-ref %s $c && echo $c",
		path, text, text, ref);

	EQ(vfs_oid_parse(hex, &oid), 0);
	return oid;
}

static void check_head(struct vfs_repo *r, const struct vfs_oid *want)
{
	struct err e = {0};
	struct vfs_oid got;

	EQ(vfs_repo_head(r, &got, &e), 0);
	OK(vfs_oid_eq(&got, want));
}

static int resolve(struct vfs_repo *r, const char *rev, struct vfs_oid *out)
{
	struct err e = {0};

	return vfs_repo_resolve(r, rev, out, &e);
}

TEST(git_works_with_a_new_repository)
{
	struct vfs_oid oid;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	EQ(vfs_repo_head(k.repo, &oid, &e), -ENOENT);
	git_kit_fsck(k.path);
	STR_EQ(sh_line("git -C %s symbolic-ref HEAD", k.path),
	       "refs/heads/main");
	STR_EQ(sh_line("git -C %s rev-parse --is-bare-repository", k.path),
	       "true");
	oid = commit(k.path, "refs/heads/main", "one");
	check_head(k.repo, &oid);
	EQ(sh("git -C %s log --stat >/dev/null", k.path), 0);
	git_kit_close(&k);
}

TEST(creating_again_changes_nothing_and_finishes_what_was_begun)
{
	struct vfs_repo *r;
	struct vfs_oid oid;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	oid = commit(k.path, "refs/heads/main", "one");
	EQ(vfs_repo_create(k.path, &r, &e), 0);
	check_head(r, &oid);
	vfs_repo_close(r);
	vfs_repo_close(k.repo);
	k.repo = NULL;
	EQ(sh("rm %s/HEAD %s/config && rmdir %s/objects/info", k.path, k.path,
	      k.path),
	   0);
	EQ(vfs_repo_open(k.path, true, &r, &e), -FAULT_STORE_CORRUPT);
	EQ(vfs_repo_create(k.path, &r, &e), 0);
	check_head(r, &oid);
	vfs_repo_close(r);
	git_kit_close(&k);
}

TEST(what_is_no_repository_is_not_opened)
{
	struct vfs_repo *r;
	struct git_kit k;
	struct err e = {0};
	char path[128];

	git_kit_open(&k);
	snprintf(path, sizeof(path), "%s/none", k.dir);
	EQ(vfs_repo_open(path, true, &r, &e), -FAULT_FILE_NOT_FOUND);
	EQ(vfs_repo_open(k.dir, true, &r, &e), -FAULT_STORE_CORRUPT);
	snprintf(path, sizeof(path), "%s/no/such", k.dir);
	EQ(vfs_repo_create(path, &r, &e), -FAULT_STORE_ERROR);
	git_kit_close(&k);
}

TEST(revisions_are_found_by_all_their_names)
{
	char hex[VFS_OID_HEX], rev[64];
	struct vfs_oid one, got;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	one = commit(k.path, "refs/heads/main", "one");
	EQ(sh("git -C %s tag -m t v1 main && git -C %s update-ref"
	      " refs/hib/ses_1/trn_1 main",
	      k.path, k.path),
	   0);
	vfs_oid_format(&one, hex);
	snprintf(rev, sizeof(rev), "%.7s", hex);
	EQ(resolve(k.repo, rev, &got), 0);
	OK(vfs_oid_eq(&got, &one));
	static const char *const good[] = {
		"HEAD",
		"main",
		"refs/heads/main",
		"refs/tags/v1",
		"refs/hib/ses_1/trn_1",
		"ses_1/trn_1",
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		memset(&got, 0, sizeof(got));
		EQ(resolve(k.repo, good[i], &got), 0);
		OK(vfs_oid_eq(&got, &one));
	}
	EQ(resolve(k.repo, hex, &got), 0);
	hex[39] = hex[39] == '0' ? '1' : '0';
	static const char *const bad[] = {
		"",	  "HEAD~1",  "HEAD@{0}",    "nope",
		"123456", "../main", "refs/heads/", "refs/../HEAD",
		":/one",  "-",	     "main^{tree}",
	};
	EQ(resolve(k.repo, hex, &got), -FAULT_FILE_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (resolve(k.repo, bad[i], &got) != -FAULT_FILE_NOT_FOUND)
			FAIL("resolved: '%s'", bad[i]);
	memset(hex, 'a', sizeof(hex) - 1);
	EQ(vfs_repo_resolve(k.repo, hex, &got, &e), -FAULT_FILE_NOT_FOUND);
	git_kit_close(&k);
}

TEST(forks_borrow_objects_of_forks)
{
	char a[128], b[128], c[128], moved[128], hex[VFS_OID_HEX];
	struct vfs_repo *r;
	struct vfs_oid one, two, got, none = {{1}};
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	EQ(sh("mkdir -p %s/x/b %s/y", k.dir, k.dir), 0);
	snprintf(a, sizeof(a), "%s/x/a.git", k.dir);
	snprintf(b, sizeof(b), "%s/x/b/b.git", k.dir);
	snprintf(c, sizeof(c), "%s/y/c.git", k.dir);
	one = commit(k.path, "refs/heads/main", "one");
	EQ(vfs_repo_create_fork(a, k.path, &none, &r, &e),
	   -FAULT_FILE_NOT_FOUND);
	EQ(access(a, F_OK), -1);
	EQ(vfs_repo_create_fork(a, k.path, &one, NULL, &e), 0);
	two = commit(a, "refs/heads/main", "two");
	EQ(vfs_repo_create_fork(b, a, &two, NULL, &e), 0);
	EQ(vfs_repo_create_fork(c, b, &one, &r, &e), 0);
	check_head(r, &one);
	EQ(vfs_repo_resolve(r, vfs_oid_format(&two, hex), &got, &e), 0);
	vfs_repo_close(r);
	git_kit_fsck(a);
	git_kit_fsck(b);
	git_kit_fsck(c);
	STR_EQ(sh_line("git -C %s log -1 --format=%%s", c), "one");
	STR_EQ(sh_line("git -C %s show main:f", b), "two");

	/* The ways are relative: all of it may move together. */
	vfs_repo_close(k.repo);
	k.repo = NULL;
	snprintf(moved, sizeof(moved), "%s-moved", k.dir);
	EQ(sh("mv %s %s", k.dir, moved), 0);
	STR_EQ(sh_line("git -C %s/y/c.git log -1 --format=%%s", moved), "one");
	EQ(sh("mv %s %s", moved, k.dir), 0);
	git_kit_close(&k);
}

TEST(stale_locks_of_ours_are_removed_and_those_of_git_respected)
{
	struct vfs_oid one, two;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	one = commit(k.path, "refs/heads/main", "one");
	two = commit(k.path, "refs/heads/other", "two");
	EQ(sh("cd %s && echo x >refs/heads/main.lock", k.path), 0);
	EQ(vfs_refs_set(k.path, "refs/heads/main", &two, &e),
	   -FAULT_OVERLOADED);
	check_head(k.repo, &one);
	EQ(sh("cd %s && ln refs/heads/main.lock hib-ref", k.path), 0);
	EQ(vfs_refs_set(k.path, "refs/heads/main", &two, &e), 0);
	check_head(k.repo, &two);
	EQ(sh("cd %s && git pack-refs --all && ! test -e hib-ref", k.path), 0);
	EQ(vfs_refs_set(k.path, "refs/heads/main", &one, &e), 0);
	EQ(vfs_refs_set(k.path, "refs/hib/a/b", &one, &e), 0);
	EQ(vfs_refs_set(k.path, "refs/hib/a/b", &two, &e), 0);
	check_head(k.repo, &one);
	STR_EQ(sh_line("git -C %s log -1 --format=%%s refs/hib/a/b", k.path),
	       "two");

	/* The lock is ours also when another reference is moved before. */
	EQ(sh("cd %s && echo x >hib-ref && ln hib-ref refs/heads/main.lock",
	      k.path),
	   0);
	EQ(vfs_refs_set(k.path, "refs/hib/a/c", &two, &e), 0);
	EQ(vfs_refs_set(k.path, "refs/heads/main", &two, &e), 0);
	check_head(k.repo, &two);
	git_kit_close(&k);
}

TEST(one_lock_is_held_once)
{
	struct git_kit k;
	struct err e = {0};
	int a, b;

	git_kit_open(&k);
	EQ(vfs_repo_lock(k.repo, "hib-test.lock", &a, &e), 0);
	EQ(vfs_repo_lock(k.repo, "hib-test.lock", &b, &e), -FAULT_OVERLOADED);
	close(a);
	EQ(vfs_repo_lock(k.repo, "hib-test.lock", &b, &e), 0);
	close(b);
	git_kit_close(&k);
}

TESTS(CASE(git_works_with_a_new_repository),
      CASE(creating_again_changes_nothing_and_finishes_what_was_begun),
      CASE(what_is_no_repository_is_not_opened),
      CASE(revisions_are_found_by_all_their_names),
      CASE(forks_borrow_objects_of_forks),
      CASE(stale_locks_of_ours_are_removed_and_those_of_git_respected),
      CASE(one_lock_is_held_once))
