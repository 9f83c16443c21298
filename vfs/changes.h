/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes.h - Read a change set: what became of the files of a workspace
 *
 * A stream of the file commands of git-fast-import(1), names quoted as there:
 *
 *	M <mode> inline <path> LF data <n> LF <n bytes> LF
 *	M <mode> dir <path> LF
 *	D <path> LF
 *	deleteall LF
 *	done LF
 *
 * Modes are st_mode in octal, with all permissions; `dir`, a directory that is
 * there, is ours.  Paths are relative, in any order, and may come again: the
 * last command wins.  "." stands for the workspace itself, in `dir` alone.
 * `done` ends the stream, and a stream without it is not whole.
 *
 * The input is hostile: it comes from inside a VM.
 */
#ifndef VFS_CHANGES_H
#define VFS_CHANGES_H

#include "core/err.h"

#define VFS_CHANGES_MAX	      4000000u	    /* Commands. */
#define VFS_CHANGES_BYTES_MAX (64ull << 30) /* Of all contents. */

/* What is read, in order.  A path lives during the call, is NUL-terminated, and
 * has no component that is empty, ".", ".." or too long.  What a call returns,
 * when not 0, ends the reading. */
struct vfs_changes_ops {
	/* @mode: S_IFREG and permissions, or S_IFLNK.  Its bytes follow in any
	 * number of calls of data(), and then file_end(). */
	int (*file)(void *arg, const char *path, uint32_t mode, uint64_t size,
		    struct err *e);
	int (*data)(void *arg, const char *data, size_t n, struct err *e);
	int (*file_end)(void *arg, struct err *e);
	/* @mode: permissions.  @path "": the workspace. */
	int (*dir)(void *arg, const char *path, uint32_t mode, struct err *e);
	int (*remove)(void *arg, const char *path, struct err *e);
	int (*clear)(void *arg, struct err *e);
};

/* Zero: the default. */
struct vfs_changes_limits {
	uint64_t commands;   /* VFS_CHANGES_MAX */
	uint64_t file_bytes; /* VFS_SIZE_MAX */
	uint64_t bytes;	     /* VFS_CHANGES_BYTES_MAX */
};

struct vfs_changes;

/* @ops lives as long as the reader.  @limits may be NULL.
 * Return: NULL for want of memory. */
struct vfs_changes *vfs_changes_new(const struct vfs_changes_ops *ops,
				    void *arg,
				    const struct vfs_changes_limits *limits);
/* NULL is allowed. */
void vfs_changes_free(struct vfs_changes *c);

/**
 * vfs_changes_feed() - Add bytes of the stream, split anywhere
 *
 * Return: 0; -FAULT_PATH_ESCAPE for a path that is absolute or has "..";
 * -FAULT_INVALID_ARGUMENT for what is no change set; -FAULT_MESSAGE_TOO_LARGE
 * for too many commands or too long a path; -FAULT_QUOTA_EXCEEDED for too many
 * bytes; or what a call returned.  After a failure it does nothing but fail.
 */
int vfs_changes_feed(struct vfs_changes *c, const char *data, size_t n,
		     struct err *e);

/* The stream has ended.  Return: 0, or -FAULT_INVALID_ARGUMENT when it is not
 * whole, or what feeding it returned. */
int vfs_changes_end(const struct vfs_changes *c, struct err *e);

#endif
