/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aside.h - A file that is written aside, and put into its place when it is whole
 *
 * It has no name before, where the file system knows files without one; a kill
 * leaves nothing then.  Elsewhere, and for the moment in which it replaces
 * another, it has one that its caller gives (vfs/passing.h).
 *
 * It blocks.
 */
#ifndef VFS_ASIDE_H
#define VFS_ASIDE_H

#include <sys/types.h>

#include "core/base.h"

struct vfs_aside {
	int fd;		  /* To be written to. */
	int dir;	  /* Private, all below. */
	const char *name; /* In passing... */
	bool named;	  /* ...which it has. */
};

/* A new file for the folder @dir, made with @mode as by open(2).  @dir and @name
 * are borrowed until vfs_aside_close().  Return: 0, or -1 with errno and nothing
 * to be closed. */
int vfs_aside_open(struct vfs_aside *a, int dir, const char *name, mode_t mode);
/* Put it into its place, over what is there if @over says so.  Return: 0 or -1
 * with errno, which is EEXIST for what is there. */
int vfs_aside_put(struct vfs_aside *a, const char *place, bool over);
/* What was not put is gone.  errno stays. */
void vfs_aside_close(struct vfs_aside *a);

#endif
