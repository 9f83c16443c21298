/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git_kit.h - A repository of ours in a fresh folder, for tests
 *
 * The real git says whether what we wrote is right.
 */
#ifndef TESTS_GIT_KIT_H
#define TESTS_GIT_KIT_H

#include <stdarg.h>

#include "tests/tap.h"
#include "vfs/repo.h"

struct git_kit {
	char dir[64], path[96];
	struct vfs_repo *repo;
};

static inline int sh(const char *fmt, ...) printf_like(1, 2);

/* Run a command of the shell.  Return: its exit status. */
static inline int sh(const char *fmt, ...)
{
	char cmd[2048];
	va_list args;
	int n, status;

	va_start(args, fmt);
	n = vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	OK(n < (int)sizeof(cmd));
	status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline const char *sh_line(const char *fmt, ...) printf_like(1, 2);

/* The first line that a command prints, without its newline; valid until the
 * next call. */
static inline const char *sh_line(const char *fmt, ...)
{
	static char line[4096];
	char cmd[2048];
	va_list args;
	FILE *f;

	va_start(args, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	f = popen(cmd, "r");
	OK(f != NULL);
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	while (fgetc(f) != EOF)
		;
	EQ(pclose(f), 0);
	return line;
}

static inline void git_kit_open(struct git_kit *k)
{
	struct err e = {0};

	*k = (struct git_kit){.dir = "/tmp/hib-git-XXXXXX"};
	OK(mkdtemp(k->dir) != NULL);
	snprintf(k->path, sizeof(k->path), "%s/w.git", k->dir);
	if (vfs_repo_create(k->path, &k->repo, &e) < 0)
		FAIL("vfs_repo_create: %s", e.msg);
	setenv("GIT_COMMITTER_NAME", "test", 1);
	setenv("GIT_COMMITTER_EMAIL", "test@localhost", 1);
	/* git finds nothing of ours to be someone else's. */
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("GIT_CONFIG_COUNT", "1", 1);
	setenv("GIT_CONFIG_KEY_0", "safe.directory", 1);
	setenv("GIT_CONFIG_VALUE_0", "*", 1);
}

static inline void git_kit_close(struct git_kit *k)
{
	vfs_repo_close(k->repo);
	k->repo = NULL;
	EQ(sh("rm -rf %s", k->dir), 0);
}

/* Nothing to complain of. */
static inline void git_kit_fsck(const char *path)
{
	EQ(sh("cd %s && git fsck --strict --no-dangling >fsck.out 2>&1 &&"
	      " ! grep -v '^notice' fsck.out >&2; r=$?; rm -f fsck.out;"
	      " exit $r",
	      path),
	   0);
}

#endif
