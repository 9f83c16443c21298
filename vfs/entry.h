/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.h - One entry of a committed directory
 *
 * A regular file, a directory or a symbolic link: commits hold nothing else.
 */
#ifndef VFS_ENTRY_H
#define VFS_ENTRY_H

#include <sys/stat.h>

#include "core/err.h"
#include "vfs/oid.h"

#ifndef VFS_NAME_MAX
#define VFS_NAME_MAX 255 /* Bytes, without NUL. */
#endif
#define VFS_LINK_MAX 4095	  /* Bytes of what a symbolic link says. */
#define VFS_SIZE_MAX (1ull << 40) /* Bytes of a file. */

struct vfs_entry {
	uint32_t mode;	    /* st_mode; of a link exactly S_IFLNK. */
	struct vfs_oid oid; /* Of the tree or blob. */
	uint64_t size;	    /* Bytes of the blob; 0 for a directory. */
	const char *name;   /* NUL-terminated; lives as long as its source. */
	size_t name_len;
};

/* Called for each entry.  What it returns, when not 0, ends the walk. */
typedef int (*vfs_entry_cb)(const struct vfs_entry *entry, void *arg);

/* A name of @n bytes that a directory can hold: not empty, not too long, not
 * "." or "..", without '/' and NUL. */
bool vfs_entry_is_name(const char *name, size_t n);

/* Bytewise, as a listing is sorted: <0, 0, >0. */
int vfs_entry_order(const struct vfs_entry *a, const struct vfs_entry *b);

/**
 * vfs_entry_check() - Whether an entry is one that a commit can hold
 * @e: Set to what is wrong with it
 *
 * Return: 0 or -EINVAL.
 */
int vfs_entry_check(const struct vfs_entry *entry, struct err *e);

#endif
