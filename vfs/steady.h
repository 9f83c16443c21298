/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steady.h - Read a file that somebody may be writing
 *
 * What is told of a file is one state of it: it is read again as long as it
 * changes meanwhile, up to VFS_STEADY_TRIES times.
 */
#ifndef VFS_STEADY_H
#define VFS_STEADY_H

#include <sys/stat.h>

#include "core/err.h"

#define VFS_STEADY_TRIES 5
#define VFS_STEADY_CHUNK (256u << 10) /* Up to here nothing is told twice. */

struct vfs_steady_sink {
	/* One reading: its size, so many bytes in pieces, its end.  A later
	 * one takes the place of an earlier one.  Negative results end it all. */
	int (*begin)(const struct stat *st, void *arg);
	int (*data)(const char *data, size_t n, void *arg);
	int (*end)(void *arg);
	void *arg;
	char *buffer; /* VFS_STEADY_CHUNK bytes of scratch space. */
};

/**
 * vfs_steady_read() - Tell @sink what is in a regular file
 * @fd:	      Open for reading, at its beginning
 * @out:      The file as it was when it was read last
 * @out_racy: A later change might not show in *@out: it was changing all the
 *	      time, or its last change is not older than its clock can tell
 *
 * Return: 0; what @sink returned; -EIO and others when it cannot be read.
 */
int vfs_steady_read(int fd, const struct vfs_steady_sink *sink,
		    struct stat *out, bool *out_racy);

#endif
