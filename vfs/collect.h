/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect.h - What has changed in a workspace since the host was told
 *
 * Walks the upper tree, compares it with vfs.db (sent.h) and writes the
 * difference as a change set (changes_write.h).  The tree may be written
 * meanwhile: every file is told as it was at some moment of the walk.
 *
 * A path that a rule ignores (ignore.h) is not entered, unless the host has it
 * already: as in git, rules are about what no commit has.
 */
#ifndef VFS_COLLECT_H
#define VFS_COLLECT_H

#include "core/err.h"

struct vfs_sent;

struct vfs_collect_spec {
	int upper; /* Descriptor of the folder with what was written. */
	/* The workspace as its users see it, where .hibignore files are looked
	 * up: a rule may be older than the upper tree.  May be @upper. */
	int view;
	/* The files of the commit that the upper tree lies over; -1: none. */
	int lower;
	/* Names of these records (passing.h) are told of no file; or -1. */
	int passing;
	/* What the host has.  Rows are changed as it is told; the caller
	 * commits them when the host has taken the change set, or rolls back. */
	struct vfs_sent *sent;
	/* The change set begins with `deleteall`, if it has anything else. */
	bool from_nothing;
	/* A piece of the change set.  May block, and so holds up the walk.  Not
	 * called at all when nothing has changed.  A negative result ends the
	 * walk and is returned. */
	int (*write)(const char *data, size_t n, void *arg);
	void *arg;
};

struct vfs_collect_result {
	bool changed; /* Something was written. */
	uint64_t n_entries, n_put, n_deleted, n_bytes;
	uint64_t n_special;    /* Skipped: neither file, folder nor link. */
	uint64_t n_unreadable; /* Skipped, too; or too long a path. */
	uint64_t n_passing;    /* Skipped: names that files have in passing. */
	uint64_t n_racy;       /* To be looked at again next time. */
};

/* Blocks; any thread.  Return: 0 or a negative code. */
int vfs_collect(const struct vfs_collect_spec *spec,
		struct vfs_collect_result *out, struct err *e);

#endif
