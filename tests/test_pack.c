// SPDX-License-Identifier: Apache-2.0
/*
 * test_pack.c - Packing, while others read and commit
 */
#include "vfs/pack.h"

#include <signal.h>

#include "tests/changes_kit.h"

#define ROUNDS 12 /* Of packing, beside readers and writers. */

static struct vfs_pack_stats pack(struct vfs_repo *r)
{
	struct vfs_pack_stats s;
	struct err e = {0};

	if (vfs_pack(r, &s, &e) < 0)
		FAIL("vfs_pack: %s", e.msg);
	return s;
}

/* One commit that changes one file of a few. */
static struct vfs_oid step(struct vfs_repo *r, int i)
{
	char path[32], content[256];

	snprintf(path, sizeof(path), "d%d/f%d", i % 3, i % 10);
	memset(content, 'a' + i % 26, sizeof(content));
	snprintf(content, sizeof(content), "%d", i);
	content[strlen(content)] = ' ';
	content[sizeof(content) - 1] = '\0';
	begin();
	put(path, content);
	return commit(r).commit;
}

static int count(const struct git_kit *k, const char *what)
{
	return atoi(sh_line("cd %s/objects && find . -path '%s' | wc -l",
			    k->path, what));
}

TEST(many_packs_become_one)
{
	struct vfs_pack_stats s;
	struct vfs_oid first, got;
	char hex[VFS_OID_HEX];
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	OK(!vfs_pack_wanted(k.repo));
	EQ(pack(k.repo).objects, 0);
	first = step(k.repo, 0);
	for (int i = 1; i <= VFS_PACKS_MAX; i++)
		(void)step(k.repo, i);
	OK(vfs_pack_wanted(k.repo));
	s = pack(k.repo);
	EQ(s.packs_before, VFS_PACKS_MAX + 1);
	EQ(s.packs_after, 1);
	OK(s.bytes_after < s.bytes_before);
	OK(!vfs_pack_wanted(k.repo));
	EQ(count(&k, "./pack/pack-*"), 2);
	EQ(count(&k, "./hib-pack/*"), 0);
	git_kit_fsck(k.path);
	EQ(vfs_repo_resolve(k.repo, vfs_oid_format(&first, hex), &got, &e), 0);
	STR_EQ(sh_line("git -C %s rev-list --count main", k.path), "51");

	/* Alone, the large one stays; with a small one, too. */
	s = pack(k.repo);
	EQ(s.objects, 0);
	(void)step(k.repo, 100);
	EQ(pack(k.repo).objects, 0);
	(void)step(k.repo, 101);
	s = pack(k.repo);
	OK(s.objects > 0 && s.objects < 20);
	EQ(s.packs_after, 2);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(loose_objects_are_packed)
{
	struct vfs_pack_stats s;
	struct git_kit k;

	git_kit_open(&k);
	(void)step(k.repo, 1);
	EQ(sh("cd %s && git tag -a -m x t main && echo loose |"
	      " git hash-object -w --stdin >/dev/null",
	      k.path),
	   0);
	EQ(count(&k, "./[0-9a-f][0-9a-f]/*"), 2);
	s = pack(k.repo);
	EQ(s.loose, 2);
	EQ(s.packs_after, 1);
	EQ(count(&k, "./[0-9a-f][0-9a-f]/*"), 0);
	STR_EQ(sh_line("cd %s && git cat-file blob $(echo loose |"
		       " git hash-object --stdin)",
		       k.path),
	       "loose");
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(packs_with_big_objects_are_left_alone)
{
	static char big[VFS_OBJECT_BIG + 2];
	struct vfs_pack_stats s;
	struct git_kit k;

	git_kit_open(&k);
	memset(big, 'x', sizeof(big) - 1);
	begin();
	put("big", big);
	(void)commit(k.repo);
	memset(big, 'y', sizeof(big) - 1);
	begin();
	put("bigger", big);
	(void)commit(k.repo);
	(void)step(k.repo, 1);
	(void)step(k.repo, 2);
	s = pack(k.repo);
	EQ(s.packs_before, 4);
	EQ(s.packs_after, 3);
	EQ(count(&k, "*.keep"), 2);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(forks_see_what_was_packed)
{
	struct vfs_repo *fork_repo;
	struct vfs_oid head = {{0}};
	struct git_kit k;
	struct err e = {0};
	char path[128];

	git_kit_open(&k);
	snprintf(path, sizeof(path), "%s/fork.git", k.dir);
	for (int i = 0; i < 5; i++)
		head = step(k.repo, i);
	EQ(vfs_repo_create_fork(path, k.path, &head, &fork_repo, &e), 0);
	EQ(pack(k.repo).packs_after, 1);
	/* The packs that it found are gone. */
	(void)step(fork_repo, 7);
	(void)step(fork_repo, 8);
	OK(pack(fork_repo).objects < 10);
	vfs_repo_close(fork_repo);
	git_kit_fsck(path);
	STR_EQ(sh_line("git -C %s rev-list --count main", path), "7");
	git_kit_close(&k);
}

TEST(what_a_kill_left_is_cleared_away)
{
	struct git_kit k;
	struct err e = {0};
	struct vfs_pack_stats s;
	int lock;

	git_kit_open(&k);
	(void)step(k.repo, 1);
	(void)step(k.repo, 2);
	EQ(sh("cd %s/objects && mkdir hib-pack && echo x >hib-pack/pack_git2_1"
	      " && echo x >pack/tmp_pack_hib && echo x >pack/tmp_idx_hib",
	      k.path),
	   0);
	(void)step(k.repo, 3);
	EQ(count(&k, "./pack/tmp*"), 0);
	EQ(vfs_repo_lock(k.repo, "hib-pack.lock", &lock, &e), 0);
	EQ(vfs_pack(k.repo, &s, &e), -FAULT_OVERLOADED);
	close(lock);
	(void)pack(k.repo);
	EQ(count(&k, "./hib-pack/*"), 0);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

/* Reads every object that is reachable, for ever. */
static void read_for_ever(const char *path)
{
	struct vfs_repo *r;
	struct err e = {0};

	if (vfs_repo_open(path, true, &r, &e) < 0)
		_exit(2);
	for (;;) {
		git_revwalk *walk;
		git_oid id;

		if (git_revwalk_new(&walk, vfs_repo_git(r)) < 0 ||
		    git_revwalk_push_head(walk) < 0)
			_exit(3);
		while (git_revwalk_next(&id, walk) == 0) {
			git_object *o, *b;

			if (git_object_lookup(&o, vfs_repo_git(r), &id,
					      GIT_OBJECT_COMMIT) < 0)
				_exit(4);
			if (git_object_lookup_bypath(&b, o, "d1",
						     GIT_OBJECT_TREE) == 0)
				git_object_free(b);
			else if (git_error_last() != NULL &&
				 git_error_last()->klass != GIT_ERROR_TREE)
				_exit(5);
			git_object_free(o);
		}
		git_revwalk_free(walk);
	}
}

static void commit_for_ever(const char *path)
{
	struct vfs_repo *r;
	struct err e = {0};

	if (vfs_repo_open(path, false, &r, &e) < 0)
		_exit(2);
	for (int i = 1000;; i++)
		(void)step(r, i);
}

static pid_t start(void (*run)(const char *path), const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(CASE_SECONDS);
		run(path);
	}
	OK(pid > 0);
	return pid;
}

/* It must have lived until now. */
static void stop(pid_t pid)
{
	int status;

	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		FAIL("it ended with %d", WEXITSTATUS(status));
	EQ(WTERMSIG(status), SIGKILL);
}

TEST(readers_and_commits_go_on_meanwhile)
{
	pid_t reader, writer;
	struct git_kit k;
	size_t packed = 0;

	git_kit_open(&k);
	for (int i = 0; i < 4; i++)
		(void)step(k.repo, i);
	reader = start(read_for_ever, k.path);
	writer = start(commit_for_ever, k.path);
	for (int i = 0; i < ROUNDS; i++) {
		packed += pack(k.repo).objects;
		EQ(sh("git -C %s log --stat >/dev/null", k.path), 0);
	}
	OK(packed > 0);
	stop(writer);
	stop(reader);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TESTS(CASE(many_packs_become_one), CASE(loose_objects_are_packed),
      CASE(packs_with_big_objects_are_left_alone),
      CASE(forks_see_what_was_packed), CASE(what_a_kill_left_is_cleared_away),
      CASE(readers_and_commits_go_on_meanwhile))
