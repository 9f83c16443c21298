// SPDX-License-Identifier: Apache-2.0
/*
 * fsop.c - Read or write one file, as a program of its own
 *
 * A file is written aside (aside.h), so that no reader sees half of it and a full
 * disk leaves what was there.  It keeps its mode, a link to it stays one,
 * and folders that are missing are made.  Where that cannot be, since the folder
 * may not be written, the file is another user's, or it has other names that
 * would keep the old content, it is written in place.
 *
 * Only regular files are read and written: a fifo or a device could hold us up
 * or never end.
 */
#include "guest/fsop.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base.h"
#include "guest/limits.h"
#include "vfs/aside.h"

#define BUF_BYTES (64u << 10)

/* Which lines are wanted. */
struct range {
	int64_t skip; /* Before the first one. */
	int64_t left; /* -1: all. */
};

static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, data, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		data += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The file opened, which is a regular one.  Return: fd or a negative errno. */
static int open_regular(const char *path, int flags)
{
	autoclose int fd =
		open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return take_fd(&fd);
}

/*
 * Read.
 */

/* Cut from the piece *data what is before the range, and at its end.
 * Return: the bytes that belong to it. */
static size_t in_range(struct range *r, const char **data, size_t n)
{
	const char *end = *data + n, *p;

	while (r->skip > 0) {
		p = memchr(*data, '\n', (size_t)(end - *data));
		if (p == NULL)
			return 0;
		*data = p + 1;
		r->skip--;
	}
	if (r->left < 0)
		return (size_t)(end - *data);
	for (p = *data; r->left > 0 && p < end; r->left--) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if (nl == NULL)
			return (size_t)(end - *data);
		p = nl + 1;
	}
	return (size_t)(p - *data);
}

static int copy_lines(int fd, struct range *r)
{
	char buf[BUF_BYTES];
	size_t total = 0;
	ssize_t n;

	while (r->left != 0 && (n = read(fd, buf, sizeof(buf))) != 0) {
		const char *data = buf;
		size_t part;
		int e;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		part = in_range(r, &data, (size_t)n);
		total += part;
		if (total > FILE_BYTES_MAX)
			return -EFBIG;
		e = write_all(STDOUT_FILENO, data, part);
		if (e < 0)
			return e;
	}
	return 0;
}

static int read_file(const char *path, struct range *r)
{
	autoclose int fd = open_regular(path, O_RDONLY);

	return fd < 0 ? fd : copy_lines(fd, r);
}

/*
 * Write.
 */

static int copy_stdin(int fd)
{
	char buf[BUF_BYTES];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(STDIN_FILENO, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : write_all(fd, buf, (size_t)n);
	}
	return r;
}

/* Make the folders above @path, which is changed for a moment. */
static int make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		int r;

		*p = '\0';
		r = mkdir(path, 0777);
		*p = '/';
		if (r < 0 && errno != EEXIST && errno != EISDIR &&
		    errno != EROFS && errno != EACCES)
			return -errno;
	}
	return 0;
}

static int write_in_place(const char *path)
{
	autoclose int fd = open_regular(path, O_WRONLY);

	if (fd < 0)
		return fd;
	if (ftruncate(fd, 0) < 0)
		return -errno;
	return copy_stdin(fd);
}

/* The folder that a file is in, to make one beside it.  Return: fd or -errno. */
static int open_folder(const char *path)
{
	char folder[PATH_MAX];
	int fd;

	snprintf(folder, sizeof(folder), "%.*s/",
		 (int)(strrchr(path, '/') - path), path);
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_aside(struct vfs_aside *a, const char *path, mode_t mode)
{
	int r = copy_stdin(a->fd);

	if (r == 0 && (fchmod(a->fd, mode) < 0 ||
		       vfs_aside_put(a, strrchr(path, '/') + 1, true) < 0))
		r = -errno;
	vfs_aside_close(a);
	return r;
}

static mode_t default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/* @path: what all links lead to; @old: what is there. */
static int replace(const char *path, const struct stat *old, const char *name)
{
	autoclose int dir = -1;
	struct vfs_aside a;

	if (!S_ISREG(old->st_mode))
		return S_ISDIR(old->st_mode) ? -EISDIR : -EINVAL;
	if (access(path, W_OK) < 0)
		return -errno;
	if (old->st_nlink == 1 && old->st_uid == geteuid())
		dir = open_folder(path);
	if (dir < 0 || vfs_aside_open(&a, dir, name, 0600) < 0)
		return write_in_place(path);
	return write_aside(&a, path, old->st_mode & 07777);
}

static int create(char *path, const char *name)
{
	int r = make_parents(path);
	autoclose int dir = r < 0 ? r : open_folder(path);
	struct vfs_aside a;

	if (dir < 0)
		return dir;
	return vfs_aside_open(&a, dir, name, 0600) < 0
		       ? -errno
		       : write_aside(&a, path, default_mode());
}

static int write_file(char *path, const char *name)
{
	char real[PATH_MAX];
	struct stat st;

	if (realpath(path, real) != NULL)
		return stat(real, &st) < 0 ? -errno : replace(real, &st, name);
	if (errno != ENOENT)
		return -errno;
	/* A link that leads to nothing: nothing is made in its stead. */
	if (lstat(path, &st) == 0)
		return -ENOENT;
	return create(path, name);
}

int fsop_main(int argc, char **argv)
{
	struct range r;

	if (argc == 5 && strcmp(argv[1], FSOP_READ) == 0) {
		r.skip = strtoll(argv[3], NULL, 10) - 1;
		r.left = strtoll(argv[4], NULL, 10);
		return -read_file(argv[2], &r);
	}
	if (argc == 4 && strcmp(argv[1], FSOP_WRITE) == 0)
		return -write_file(argv[2], argv[3]);
	return -1;
}
