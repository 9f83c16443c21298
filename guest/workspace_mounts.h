/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace_mounts.h - The mounts that make /workspace
 *
 * Calls block.
 */
#ifndef GUEST_WORKSPACE_MOUNTS_H
#define GUEST_WORKSPACE_MOUNTS_H

#include "core/err.h"
#include "vfs/oid.h"

/* Show upper/ of the folder @dir at @at. */
int workspace_mount_plain(int dir, const char *at, struct err *e);

struct workspace_overlay {
	const char *vfs;   /* Folder of upper/ and work/. */
	const char *lower; /* Folder with one for each commit. */
	const char *at;
	struct vfs_oid commit;
};
/* The folder of the commit.  Return: a descriptor or -1. */
int workspace_open_lower(const struct workspace_overlay *o);
/* Show upper/ over the files of the commit.  Not by the thread that serves those
 * files.  Return: 0; -EOPNOTSUPP where there is no such overlay. */
int workspace_mount_overlay(const struct workspace_overlay *o, struct err *e);

/* Folders of the host that the VM was made with: the launcher put the i-th of
 * them aside, to be shown at a path in the VM. */
#define WORKSPACE_BINDS_AT "/hib/mounts"

/* Show the @i-th at @at, an absolute path that is walked without following a
 * symbolic link, in /workspace least of all.  What is missing of it is made.
 * Not by the thread that serves committed files. */
int workspace_bind(unsigned i, const char *at, struct err *e);

#endif
