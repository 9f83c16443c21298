/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs.h - Directories by object id: from memory, the cache or the source
 *
 * Those used last stay in memory, up to LOWER_DIRS_BYTES; any of them can be had
 * again.  Commits share the directories they have in common.
 */
#ifndef VFS_DIRS_H
#define VFS_DIRS_H

#include "vfs/entry.h"
#include "vfs/fetch.h"
#include "vfs/objcache.h"
#include "vfs/table.h"

struct dir;

/* Somebody who waits for a directory; embedded, in place until @done. */
struct dir_wait {
	/* @status 0, -ENOENT when the source has no such directory, -EIO; @d is
	 * valid during the call.  The wait is over. */
	void (*done)(struct dir_wait *w, int status, const struct dir *d);

	/* Private. */
	TAILQ_ENTRY(dir_wait) link;
	struct dir *dir;
};

TAILQ_HEAD(dir_list, dir);

struct dirs {
	size_t bytes, n; /* Of those in memory. */
	uint64_t hits;	 /* Found in the cache. */

	/* Private. */
	struct fetch *fetch;
	struct objcache *cache; /* NULL: none. */
	struct table table;
	struct dir_list used; /* Those in memory, longest unused first. */
};

/* @cache may be NULL and is not owned. */
void dirs_init(struct dirs *d, struct fetch *f, struct objcache *cache);
/* After fetch_close(), which ends all waits. */
void dirs_done(struct dirs *d);

/* Return: the directory, valid until the next call of any function here that
 * can change it; NULL when it has to be fetched. */
const struct dir *dirs_find(struct dirs *d, const struct vfs_oid *oid);

/* Fetch one that was not found.
 * Return: 0, and @w->done is called later; -ENOMEM. */
int dirs_load(struct dirs *d, const struct vfs_oid *oid, struct dir_wait *w);
/* Wait no longer; @done is not called. */
void dirs_cancel(struct dir_wait *w);

/* The directory, if it is in memory.  It counts as no use of it. */
const struct dir *dirs_peek(const struct dirs *d, const struct vfs_oid *oid);
/* Ask for one that somebody may want, unless it is here.  Return: whether it is
 * here or on its way. */
bool dirs_ahead(struct dirs *d, const struct vfs_oid *oid);

size_t dir_count(const struct dir *d);
/* Entry @i, in the order of a listing. */
void dir_entry(const struct dir *d, size_t i, struct vfs_entry *out);
/* Return: whether there is such an entry; where it stands. */
bool dir_lookup(const struct dir *d, const char *name, size_t *out);

#endif
