// SPDX-License-Identifier: Apache-2.0
/*
 * test_gitstore_crash.c - A repository is whole, however its writer ends
 *
 * A child commits and packs as fast as it can, and writes the number of each
 * commit into a pipe once it is made.  The parent kills it at some moment and
 * looks: git finds nothing wrong, the head is the last commit that it was told
 * of or the one after, with all of its files, and the next commit works at
 * once.
 */
#include <fcntl.h>
#include <signal.h>

#include "core/id.h"
#include "tests/changes_kit.h"
#include "vfs/pack.h"

#define ROUNDS	 25    /* In each case; there are four. */
#define FILES	 12    /* That each commit changes. */
#define LIFE_US	 40000 /* Of a child at most, once it works. */
#define BIG	 (3u << 20)
#define PACK_PER 4 /* Commits. */

struct crash {
	struct git_kit kit;
	int pipe[2];
	char session[ID_MAX];
};

/* Commit number @i: every file says so. */
static void write_changes(int i)
{
	static char big[BIG];
	char path[32], content[32];

	begin();
	snprintf(content, sizeof(content), "%d", i);
	for (int f = 0; f < FILES; f++) {
		snprintf(path, sizeof(path), "d%d/.git/f%d", f % 3, f);
		put(path, content);
	}
	if (i % 5 == 0) {
		memset(big, 'a' + i % 26, sizeof(big) - 1);
		put("big", big);
	}
	put("n", content);
	len += vfs_changes_write_done(text + len);
}

static int make_commit(const struct crash *c, int i,
		       struct vfs_commit_result *out)
{
	char turn[ID_MAX];
	struct vfs_oid head;
	struct err e = {0};
	struct vfs_commit_spec spec = {
		.session = c->session,
		.turn = turn,
		.reason = "turn",
		.n = i,
		.time_ms = i * 1000,
	};

	id_new(turn, "trn");
	if (vfs_repo_head(c->kit.repo, &head, &e) == 0)
		spec.base = &head;
	write_changes(i);
	return try_commit(c->kit.repo, &spec, out, &e);
}

static void child(struct crash *c, int i)
{
	struct vfs_commit_result res;
	struct vfs_pack_stats stats;
	struct err e = {0};

	vfs_repo_close(c->kit.repo);
	if (vfs_repo_open(c->kit.path, false, &c->kit.repo, &e) < 0)
		_exit(2);
	for (;; i++) {
		if (make_commit(c, i, &res) < 0)
			_exit(3);
		if (write(c->pipe[1], &i, sizeof(i)) != (ssize_t)sizeof(i))
			_exit(4);
		if (i % PACK_PER == 0 && vfs_pack(c->kit.repo, &stats, &e) < 0)
			_exit(5);
	}
}

/* Return: the number of the last commit that the child told of, or @before. */
static int run_and_kill(struct crash *c, int before, unsigned *seed)
{
	int status, i, last = before;
	pid_t pid;

	EQ(pipe2(c->pipe, O_CLOEXEC), 0);
	pid = fork();
	OK(pid >= 0);
	if (pid == 0)
		child(c, before + 1);
	close(c->pipe[1]);
	usleep((useconds_t)(rand_r(seed) % LIFE_US));
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		FAIL("the child ended with %d", WEXITSTATUS(status));
	while (read(c->pipe[0], &i, sizeof(i)) == (ssize_t)sizeof(i))
		last = i;
	close(c->pipe[0]);
	return last;
}

/* Return: the number of the head, all of whose files say the same. */
static int check(const struct crash *c)
{
	const char *path = c->kit.path;
	int n;

	git_kit_fsck(path);
	if (sh("git -C %s rev-parse -q --verify main >/dev/null", path) != 0)
		return 0;
	n = atoi(sh_line("git -C %s show main:n", path));
	EQ(atoi(sh_line("git -C %s ls-tree -r main | grep /f |"
			" awk '{print $3}' | sort | uniq -c",
			path)),
	   FILES);
	STR_EQ(sh_line("git -C %s show main:d1/.hib-x.git/f1", path),
	       sh_line("echo %d", n));
	return n;
}

static void crash_again_and_again(unsigned seed)
{
	struct vfs_commit_result res;
	struct vfs_oid head;
	struct crash c;
	struct err e = {0};
	int n = 0;

	git_kit_open(&c.kit);
	id_new(c.session, "ses");
	for (int round = 0; round < ROUNDS; round++) {
		int told = run_and_kill(&c, n, &seed);

		n = check(&c);
		if (n != told && n != told + 1)
			FAIL("told of %d, the head is %d", told, n);
		memset(&head, 0, sizeof(head));
		(void)vfs_repo_head(c.kit.repo, &head, &e);
		EQ(make_commit(&c, ++n, &res), 0);
		OK(res.changed && vfs_oid_eq(&res.parent, &head));
		EQ(check(&c), n);
	}
	EQ(sh("git -C %s rev-list --count main | grep -qx %d", c.kit.path, n),
	   0);
	git_kit_close(&c.kit);
}

TEST(repository_is_whole_after_kills)
{
	crash_again_and_again(1);
}

TEST(repository_is_whole_after_more_kills)
{
	crash_again_and_again(2);
}

TEST(repository_is_whole_after_even_more_kills)
{
	crash_again_and_again(3);
}

TEST(repository_is_whole_after_a_hundred_kills)
{
	crash_again_and_again(4);
}

TESTS(CASE(repository_is_whole_after_kills),
      CASE(repository_is_whole_after_more_kills),
      CASE(repository_is_whole_after_even_more_kills),
      CASE(repository_is_whole_after_a_hundred_kills))
