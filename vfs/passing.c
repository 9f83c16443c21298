// SPDX-License-Identifier: Apache-2.0
/*
 * passing.c - Names that files have in passing, until they are renamed
 *
 *	take:  record, then the caller makes the file
 *	drop:  the caller has renamed or removed the file, then the record
 *
 * so at any moment each such file has its record.
 *
 * A link cannot say a path of any length (1024 bytes on XFS, a block on ext4).
 * A longer one stands in a file instead, which is synced, since the content of a
 * file may come to the disk later than its name.
 */
#include "vfs/passing.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOLDER	   "passing"
#define PREFIX	   ".hib-"
#define DIGITS	   16
#define LINK_BYTES 1000 /* Of a path that every file system takes. */

int vfs_passing_open(int dir, uid_t owner)
{
	autoclose int fd = -1;
	struct stat st;

	if (mkdirat(dir, FOLDER, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, FOLDER,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* A disk that was copied may have it from another map of ids. */
	if (st.st_uid != owner && fchown(fd, owner, owner) < 0)
		return -errno;
	return take_fd(&fd);
}

/*
 * Records.
 */

static int write_file(int records, const char *name, const char *path)
{
	const size_t n = strlen(path);
	autoclose int fd = openat(
		records, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	errno = EIO; /* Of a short write. */
	if (write(fd, path, n) == (ssize_t)n && fsync(fd) == 0)
		return 0;
	vfs_passing_drop(records, name);
	return -1;
}

int vfs_passing_take(int records, const char *path, char out[VFS_PASSING_MAX])
{
	char name[VFS_PASSING_MAX];
	uint64_t random;
	int r = 0;

	if (strlen(path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (getrandom(&random, sizeof(random), 0) < 0)
		return -1;
	snprintf(name, sizeof(name), PREFIX "%0*llx", DIGITS,
		 (unsigned long long)random);
	if (records >= 0)
		r = strlen(path) <= LINK_BYTES
			    ? symlinkat(path, records, name)
			    : write_file(records, name, path);
	if (r == 0)
		memcpy(out, name, sizeof(name));
	return r;
}

void vfs_passing_drop(int records, const char *name)
{
	int error = errno;

	if (records >= 0)
		(void)unlinkat(records, name, 0);
	errno = error;
}

/* Return: 0, or -1 when it is no path that we have written. */
static int read_record(int records, const char *name, char path[PATH_MAX])
{
	ssize_t n = readlinkat(records, name, path, PATH_MAX - 1);
	autoclose int fd = -1;

	if (n < 0 && errno == EINVAL) {
		/* A disk that came from elsewhere may have a fifo here. */
		fd = openat(records, name,
			    O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, path, PATH_MAX - 1);
	}
	if (n <= 0)
		return -1;
	path[n] = '\0';
	return 0;
}

bool vfs_passing_resembles(const char *name)
{
	const size_t n = strlen(PREFIX);

	return strncmp(name, PREFIX, n) == 0 &&
	       strspn(name + n, "0123456789abcdef") == DIGITS &&
	       name[n + DIGITS] == '\0';
}

/* access(2) would ask for the user that the process is, not for that of a thread
 * that works as another. */
bool vfs_passing_is(int records, const char *name)
{
	struct stat st;

	return records >= 0 && vfs_passing_resembles(name) &&
	       fstatat(records, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The sweep.
 */

/* The folder that a file would be in.  Return: a descriptor or -1. */
static int open_folder(int root, char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	bool absolute = path[0] == '/';
	char real[PATH_MAX], *slash;

	/* Whoever was given an absolute path has followed its last link, too. */
	if (absolute && realpath(path, real) != NULL)
		path = real;
	slash = strrchr(path, '/');
	if (slash != NULL)
		slash[slash == path] = '\0';
	if (absolute)
		return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return (int)syscall(SYS_openat2, root, slash != NULL ? path : ".", &how,
			    sizeof(how));
}

static bool nothing_is_there(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP ||
	       error == EXDEV || error == EISDIR;
}

static void sweep_one(int records, const char *name, int root)
{
	char path[PATH_MAX];
	autoclose int dir = -1;

	/* Half a record is one of a file that was never made. */
	if (vfs_passing_resembles(name) &&
	    read_record(records, name, path) == 0) {
		dir = open_folder(root, path);
		if ((dir < 0 || unlinkat(dir, name, 0) < 0) &&
		    !nothing_is_there(errno))
			return;
	}
	vfs_passing_drop(records, name);
}

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static DIR *list(int records)
{
	int fd = openat(records, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static const char *next_name(DIR *d)
{
	const struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			return entry->d_name;
	return NULL;
}

bool vfs_passing_any(int records)
{
	cleanup(close_dirp) DIR *d = list(records);

	return next_name(d) != NULL;
}

void vfs_passing_sweep(int records, int root)
{
	cleanup(close_dirp) DIR *d = list(records);
	const char *name;

	while ((name = next_name(d)) != NULL)
		sweep_one(records, name, root);
}
