/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ignore.h - Which paths of a workspace are left out of its commits
 *
 * The syntax is gitignore(5)'s, in files named .hibignore at any level, behind
 * a built-in list of what can be made again (ignore.c).  As in git the last
 * rule that matches decides, a deeper file before a higher one, the built-in
 * list after all; `!` takes a path back in; and nothing below an ignored folder
 * can be taken back, since nobody looks there.
 *
 * The rules live with a walk: it tells which folder it is in, depth first.
 * Rules are written by whoever writes the workspace: past a limit below they
 * have no effect.
 */
#ifndef VFS_IGNORE_H
#define VFS_IGNORE_H

#include "core/base.h"

#define VFS_IGNORE_FILE	     ".hibignore"
#define VFS_IGNORE_BYTES_MAX (64u << 10) /* Of one file. */
#define VFS_IGNORE_RULES_MAX 4096	 /* In force in one folder. */

enum vfs_ignore_verdict {
	VFS_IGNORE_UNSAID, /* No rule is about it. */
	VFS_IGNORE_SKIP,
	VFS_IGNORE_KEEP, /* A rule with ! is. */
};

struct vfs_ignore;

/* With the built-in list.  Return: 0 or -ENOMEM. */
int vfs_ignore_new(struct vfs_ignore **out);
void vfs_ignore_free(struct vfs_ignore *ig); /* NULL is allowed. */

/**
 * vfs_ignore_enter() - The walk is in a folder now
 * @dir:  Its path below the workspace, "" for the workspace itself.  Rules of
 *        folders that are not above it are forgotten
 * @text: Its .hibignore, copied; NULL when it has none
 *
 * Return: 0 or -ENOMEM.
 */
int vfs_ignore_enter(struct vfs_ignore *ig, const char *dir, const char *text,
		     size_t n);

/* What the rules say of @path, relative to the workspace, in the folder
 * entered last or below it.  They are asked about @path alone: that the folders
 * above it are not ignored is known. */
enum vfs_ignore_verdict vfs_ignore_ask(const struct vfs_ignore *ig,
				       const char *path, bool is_dir);

#endif
