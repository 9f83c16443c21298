/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit_kit.h - Commits that plain git makes from a folder, for tests
 *
 * Files are made by the shell below DIR/w; commit_all() commits them to the
 * repository of a struct git_kit.
 */
#ifndef TESTS_COMMIT_KIT_H
#define TESTS_COMMIT_KIT_H

#include "tests/git_kit.h"

/* A commit of all that is in DIR/w, with that message. */
static inline struct vfs_oid commit_all(const struct git_kit *k,
					const char *message)
{
	struct vfs_oid oid;
	const char *hex = sh_line(
		"mkdir -p %s/w && cd %s/w && export GIT_DIR=%s GIT_WORK_TREE=."
		" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b"
		" GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b &&"
		" git -c core.bare=false add -A . &&"
		" git -c core.bare=false commit -q --allow-empty -m '%s' &&"
		" git rev-parse HEAD",
		k->dir, k->dir, k->path, message);

	if (vfs_oid_parse(hex, &oid) < 0)
		FAIL("commit: %s", hex);
	return oid;
}

/* Run the shell in DIR/w. */
#define FILES(k, script) \
	EQ(sh("mkdir -p %s/w && cd %s/w && %s", (k)->dir, (k)->dir, script), 0)

#endif
