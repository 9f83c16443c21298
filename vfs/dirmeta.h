/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirmeta.h - What git cannot hold of a directory: its entry `.hib-dir`
 *
 * A blob of lines `<permissions> <name>`: four octal digits, and the true name,
 * quoted as git quotes (vfs/quote.h), bytewise in order of names.  It has those
 * entries whose permissions git cannot tell: files that have neither 0644 nor
 * 0755, directories without 0755.  "." is the root of the workspace, in the
 * `.hib-dir` of the root alone.  What is not there has the permissions of its
 * git mode.  That there is a `.hib-dir`, even an empty one, keeps a directory
 * that has nothing else.
 */
#ifndef VFS_DIRMETA_H
#define VFS_DIRMETA_H

#include "core/err.h"
#include "vfs/name.h"
#include "vfs/quote.h"

#define VFS_DIRMETA_MAX	     (64u << 20) /* Bytes of one. */
#define VFS_DIRMETA_LINE_MAX (6 + VFS_QUOTED_MAX(VFS_NAME_MAX))

struct vfs_dirmeta_entry {
	const char *name; /* NUL-terminated. */
	uint32_t mode;	  /* Permissions: at most 07777. */
};

struct vfs_dirmeta {
	struct vfs_dirmeta_entry *entries; /* In order of names. */
	size_t n;
	char *names; /* Private. */
};

/**
 * vfs_dirmeta_load() - Read a `.hib-dir`
 * @out: To be given to vfs_dirmeta_free()
 *
 * Return: 0; -FAULT_STORE_CORRUPT when it is none; -FAULT_INTERNAL for want of
 * memory.
 */
int vfs_dirmeta_load(const char *text, size_t n, struct vfs_dirmeta *out,
		     struct err *e);
void vfs_dirmeta_free(struct vfs_dirmeta *m);

/* Permissions of an entry, or @otherwise when nothing is said. */
uint32_t vfs_dirmeta_mode(const struct vfs_dirmeta *m, const char *name,
			  uint32_t otherwise);

/* Write the line of one entry, without a NUL.  Return: its length. */
size_t vfs_dirmeta_line(char out[VFS_DIRMETA_LINE_MAX], const char *name,
			uint32_t mode);

#endif
