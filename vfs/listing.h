/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - A whole directory as bytes, in the format of `git ls-tree -lz`
 *
 *	100644 blob <40 hex> <size>\t<name>\0
 *	040755 tree <40 hex> -\t<name>\0
 *
 * Modes are six octal digits of st_mode with its permissions; names are those
 * of the files, nothing escaped; a blank before a size may be many, as git
 * writes them.  Names are in strictly ascending order of their bytes, so none
 * comes twice.  The reader trusts nothing.
 */
#ifndef VFS_LISTING_H
#define VFS_LISTING_H

#include "core/err.h"
#include "core/json.h"
#include "vfs/entry.h"

#define LISTING_BYTES_MAX   (64u << 20) /* Of one directory. */
#define LISTING_ENTRIES_MAX 524288u

struct listing_reader {
	/* Private. */
	const char *p, *end;
	size_t n;
	struct vfs_entry last;
};

/* Read @n bytes at @data, which must stay as long as they are read and as the
 * names found are used.  Return: 0 or -EMSGSIZE. */
int listing_read(struct listing_reader *r, const char *data, size_t n,
		 struct err *e);

/* Return: 1 with the next entry in @out, 0 at the end, -EINVAL or -EMSGSIZE
 * when it is no listing, after which the reader is at its end. */
int listing_next(struct listing_reader *r, struct vfs_entry *out,
		 struct err *e);

/* Makes one; entries may come in any order. */
struct listing_writer {
	/* Private. */
	struct jw text;
	struct listing_line *lines;
	size_t n, cap;
	bool unsorted;
};

void listing_writer_init(struct listing_writer *w); /* Or = {0}. */
void listing_writer_done(struct listing_writer *w);

/* Add a copy of an entry.
 * Return: 0; -EINVAL when there cannot be such an entry; -EMSGSIZE when the
 * directory outgrows a listing; -ENOMEM. */
int listing_add(struct listing_writer *w, const struct vfs_entry *entry,
		struct err *e);

/**
 * listing_end() - Append the whole listing to @out
 * @w: Empty again afterwards, and to be used or not
 *
 * Return: 0; -EEXIST when a name was added twice; -ENOMEM.
 */
int listing_end(struct listing_writer *w, struct jw *out, struct err *e);

#endif
