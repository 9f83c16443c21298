// SPDX-License-Identifier: Apache-2.0
/*
 * durable.c - Small files and folders that a power cut leaves whole
 *
 * Content is synced before it gets its name, and the name before the call
 * returns.
 */
#include "vfs/durable.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int vfs_durable_sync_dir(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int vfs_durable_sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *parent = NULL;

	if (slash == NULL)
		return vfs_durable_sync_dir(".");
	parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	return parent == NULL ? -ENOMEM : vfs_durable_sync_dir(parent);
}

int vfs_durable_mkdir(const char *path)
{
	if (mkdir(path, 0777) == 0)
		return vfs_durable_sync_parent(path);
	return errno == EEXIST ? 0 : -errno;
}

static int fill(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int vfs_durable_create(const char *path, const char *data, size_t n)
{
	autoclose int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int r;

	if (fd < 0)
		return -errno;
	r = fill(fd, data, n);
	if (r < 0)
		(void)unlink(path);
	return r;
}

int vfs_durable_write(const char *path, const char *data, size_t n)
{
	char tmp[PATH_MAX];
	int r = snprintf(tmp, sizeof(tmp), "%s.new", path);

	if (r >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	if (unlink(tmp) < 0 && errno != ENOENT)
		return -errno;
	r = vfs_durable_create(tmp, data, n);
	if (r < 0)
		return r;
	if (rename(tmp, path) < 0) {
		r = -errno;
		(void)unlink(tmp);
		return r;
	}
	return vfs_durable_sync_parent(path);
}
