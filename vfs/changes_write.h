/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_write.h - Write a change set (its format: vfs/changes.h)
 *
 * Each call writes one command into a buffer and returns its length.  After
 * that of a file come its bytes, as many as were said, and a newline.  Paths
 * are relative to the workspace, of any bytes, at most VFS_CHANGE_PATH_MAX.
 */
#ifndef VFS_CHANGES_WRITE_H
#define VFS_CHANGES_WRITE_H

#include "core/base.h"
#include "vfs/quote.h"

#define VFS_CHANGE_PATH_MAX 4095 /* Bytes of a path. */
#define VFS_CHANGE_MAX	    (VFS_QUOTED_MAX(VFS_CHANGE_PATH_MAX) + 64)

/* A regular file or a symbolic link of @size bytes; @mode is st_mode. */
size_t vfs_changes_write_file(char out[VFS_CHANGE_MAX], const char *path,
			      uint32_t mode, uint64_t size);
/* A directory is there, with these permissions; "." is the workspace. */
size_t vfs_changes_write_dir(char out[VFS_CHANGE_MAX], const char *path,
			     uint32_t mode);
/* Nothing is there any more, nor below it. */
size_t vfs_changes_write_remove(char out[VFS_CHANGE_MAX], const char *path);
/* Nothing is there at all; what follows is everything. */
size_t vfs_changes_write_clear(char out[VFS_CHANGE_MAX]);
/* The end. */
size_t vfs_changes_write_done(char out[VFS_CHANGE_MAX]);

#endif
