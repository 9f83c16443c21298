/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sent.h - What the host has of a workspace: the file vfs.db
 *
 * A row for each entry of the upper tree, as it was when the host took it.  An
 * entry that still looks the same need not be read or sent again, and a row
 * whose entry is gone is a deletion.
 *
 * Changes gather in one transaction and count once vfs_sent_commit() has been
 * called, with the commit that they are part of.  So whatever is killed when,
 * the rows are those of a commit that the host has; at worst it has a newer one,
 * and what is sent again changes nothing there.  A file that is lost or damaged
 * is made anew, without rows: then everything is sent.
 *
 * One thread at a time; all calls may block on the disk.
 */
#ifndef VFS_SENT_H
#define VFS_SENT_H

#include "vfs/oid.h"

struct err;
struct vfs_sent; /* Opaque. */

enum vfs_sent_kind {
	VFS_SENT_FILE,
	VFS_SENT_FOLDER,
	VFS_SENT_LINK,
	VFS_SENT_DELETED, /* A whiteout: what was below is not there. */
	VFS_SENT_IGNORED, /* Nothing of it was sent. */
};

struct vfs_sent_row {
	enum vfs_sent_kind kind;
	uint32_t mode; /* st_mode. */
	int64_t size, mtime_ns, ctime_ns;
	uint64_t ino; /* Devices have another number after each boot. */
	bool racy;    /* It may have changed since without a trace. */
	bool opaque;  /* A folder that hides all that was below. */
};

/* Open, making it when it is not there or of no use.
 * Return: 0; -ENOSPC, -EACCES... */
int vfs_sent_open(const char *path, struct vfs_sent **out, struct err *e);
void vfs_sent_close(struct vfs_sent *s); /* NULL is allowed. */

/* Called for each row, in bytewise order of @name; not 0 ends the list and is
 * returned.  The callback makes no other call here. */
typedef int (*vfs_sent_cb)(const char *name, const struct vfs_sent_row *row,
			   void *arg);
/* The rows of one folder.  @dir: its path, "" for the workspace. */
int vfs_sent_list(struct vfs_sent *s, const char *dir, vfs_sent_cb cb,
		  void *arg, struct err *e);
/* All that was ignored, by whole paths, those of one folder together. */
int vfs_sent_ignored(struct vfs_sent *s, vfs_sent_cb cb, void *arg,
		     struct err *e);

/*
 * Changes, none of which counts before the commit.
 */

/* Add or replace a row; nothing below it is touched. */
int vfs_sent_put(struct vfs_sent *s, const char *dir, const char *name,
		 const struct vfs_sent_row *row, struct err *e);
/* Forget a row with all below it. */
int vfs_sent_drop(struct vfs_sent *s, const char *dir, const char *name,
		  struct err *e);
/* Forget what is below a folder, but not the folder. */
int vfs_sent_drop_below(struct vfs_sent *s, const char *dir, struct err *e);
/* Has anything been changed? */
bool vfs_sent_is_dirty(const struct vfs_sent *s);

/* Let the changes count.  @head: the commit that the host has now; NULL when it
 * has the same as before. */
int vfs_sent_commit(struct vfs_sent *s, const struct vfs_oid *head,
		    struct err *e);
/* Take them back. */
void vfs_sent_rollback(struct vfs_sent *s);
/* After -ENOSPC: give up the space that is held for this, until a commit. */
void vfs_sent_make_room(struct vfs_sent *s);

/* Which upper tree the rows are about, by the number that it was given; 0 for a
 * new file.  Return: 0 or a negative code. */
int vfs_sent_generation(struct vfs_sent *s, int64_t *out, struct err *e);
/* Forget all rows and the commit: they are about another tree now. */
int vfs_sent_reset(struct vfs_sent *s, int64_t generation, struct err *e);

/* The commit that the rows are part of.  Return: 0 or -ENOENT. */
int vfs_sent_head(struct vfs_sent *s, struct vfs_oid *out, struct err *e);

#endif
