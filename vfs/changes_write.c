// SPDX-License-Identifier: Apache-2.0
/*
 * changes_write.c - Write a change set
 */
#include "vfs/changes_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Add the path and the end of its line at @n. */
static size_t put_path(char *out, size_t n, const char *path)
{
	size_t len = strlen(path);

	assert(len <= VFS_CHANGE_PATH_MAX);
	n += vfs_quote(path, len, out + n);
	out[n++] = '\n';
	return n;
}

size_t vfs_changes_write_file(char out[VFS_CHANGE_MAX], const char *path,
			      uint32_t mode, uint64_t size)
{
	size_t n;

	/* A link's permissions mean nothing. */
	if (S_ISLNK(mode))
		mode = S_IFLNK;
	n = (size_t)sprintf(out, "M %06" PRIo32 " inline ", mode);
	n = put_path(out, n, path);
	return n + (size_t)sprintf(out + n, "data %" PRIu64 "\n", size);
}

size_t vfs_changes_write_dir(char out[VFS_CHANGE_MAX], const char *path,
			     uint32_t mode)
{
	size_t n = (size_t)sprintf(out, "M %06" PRIo32 " dir ",
				   S_IFDIR | (mode & 07777));

	return put_path(out, n, path);
}

size_t vfs_changes_write_remove(char out[VFS_CHANGE_MAX], const char *path)
{
	return put_path(out, (size_t)sprintf(out, "D "), path);
}

size_t vfs_changes_write_clear(char out[VFS_CHANGE_MAX])
{
	return (size_t)sprintf(out, "deleteall\n");
}

size_t vfs_changes_write_done(char out[VFS_CHANGE_MAX])
{
	return (size_t)sprintf(out, "done\n");
}
