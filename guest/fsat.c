// SPDX-License-Identifier: Apache-2.0
/*
 * fsat.c - Files below the root of the workspace, and nowhere else
 *
 * A file is looked at by an O_PATH descriptor first and opened through that
 * descriptor if it is a regular one: opening a fifo or a device can wait or have
 * effects, and between a stat() and an open() it could come in the way.
 */
#include "guest/fsat.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "vfs/path.h"

#define TRIES 64 /* Of a resolution that renames get in the way of. */

#define FD_PATH_MAX 32 /* "/proc/self/fd/N" */

static const struct {
	int number, code;
	const char *words; /* NULL: those of strerror(). */
} faults[] = {
	{ENOENT, FAULT_FILE_NOT_FOUND, "no such file"},
	{ENOTDIR, FAULT_FILE_NOT_FOUND, "a name before it is no folder"},
	/* What the kernel says of links that lead out. */
	{EXDEV, FAULT_PATH_ESCAPE, "a link leads out of the workspace"},
	{ELOOP, FAULT_PATH_ESCAPE, "links lead in a circle"},
	{EEXIST, FAULT_ALREADY_EXISTS, "it exists"},
	{ENOTEMPTY, FAULT_HAS_CHILDREN, "the folder is not empty"},
	{EISDIR, FAULT_INVALID_ARGUMENT, "it is a folder"},
	{EINVAL, FAULT_INVALID_ARGUMENT, NULL},
	{ENAMETOOLONG, FAULT_INVALID_ARGUMENT, NULL},
	{EACCES, FAULT_FORBIDDEN, NULL},
	{EPERM, FAULT_FORBIDDEN, NULL},
	{EROFS, FAULT_FORBIDDEN, NULL},
	{EBUSY, FAULT_FORBIDDEN, NULL},
	{ETXTBSY, FAULT_FORBIDDEN, NULL},
	{ENOSPC, FAULT_DISK_FULL, NULL},
	{EDQUOT, FAULT_DISK_FULL, NULL},
	{EFBIG, FAULT_MESSAGE_TOO_LARGE, NULL},
	{EMFILE, FAULT_OVERLOADED, NULL},
	{ENFILE, FAULT_OVERLOADED, NULL},
	{EAGAIN, FAULT_OVERLOADED, "it is moved all the time"},
};

int fsat_fail(int error, const char *path, struct err *e)
{
	const char *words = strerror(error);
	int code = -error;

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		if (faults[i].number != error)
			continue;
		code = -faults[i].code;
		words = faults[i].words ? faults[i].words : words;
	}
	return err_set(e, code, "/%.*s: %s", ERR_MSG_MAX / 2, path, words);
}

int fsat_root(const char *root, struct err *e)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd
		       : err_set(e, -errno, "%s: %s", root, strerror(errno));
}

/* Return: a descriptor, or -1 with errno. */
static int resolve(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	for (int i = 0; i < TRIES && fd < 0; i++) {
		fd = (int)syscall(SYS_openat2, root, path[0] ? path : ".", &how,
				  sizeof(how));
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd;
}

int fsat_resolve(int root, const char *path, int flags)
{
	int fd = resolve(root, path, flags);

	return fd >= 0 ? fd : -errno;
}

int fsat_look(int root, const char *path, bool follow, struct err *e)
{
	int fd = resolve(root, path, O_PATH | (follow ? 0 : O_NOFOLLOW));

	return fd >= 0 ? fd : fsat_fail(errno, path, e);
}

int fsat_folder(int root, const char *path, struct err *e)
{
	int fd = resolve(root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);

	if (fd < 0 && errno == ENOTDIR &&
	    (fd = resolve(root, path, O_PATH)) >= 0) {
		close(fd);
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "/%.*s: it is no folder", ERR_MSG_MAX / 2, path);
	}
	return fd >= 0 ? fd : fsat_fail(errno, path, e);
}

static int open_again(int fd, int flags)
{
	char self[FD_PATH_MAX];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return open(self, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int fsat_file(int root, const char *path, int flags, struct stat *st,
	      struct err *e)
{
	autoclose int look = fsat_look(root, path, true, e);
	int fd;

	if (look < 0)
		return look;
	if (fstat(look, st) < 0)
		return fsat_fail(errno, path, e);
	if (S_ISDIR(st->st_mode))
		return fsat_fail(EISDIR, path, e);
	if (!S_ISREG(st->st_mode))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "/%.*s: it is no regular file", ERR_MSG_MAX / 2,
			       path);
	fd = open_again(look, flags);
	return fd >= 0 ? fd : fsat_fail(errno, path, e);
}

/* Open the folder @path[0..n), making its last name in @above if need be.
 * Return: a descriptor or -1 with errno. */
static int step(int root, int above, char *path, char *end)
{
	char *name = memrchr(path, '/', (size_t)(end - path));
	char saved = *end;
	int fd;

	name = name != NULL ? name + 1 : path;
	*end = '\0';
	fd = resolve(root, path, O_PATH | O_DIRECTORY);
	if (fd < 0 && errno == ENOENT &&
	    (mkdirat(above, name, 0755) == 0 || errno == EEXIST))
		fd = resolve(root, path, O_PATH | O_DIRECTORY);
	*end = saved;
	return fd;
}

/* As resolve(), and what is missing is made. */
static int make_folders(int root, const char *path)
{
	char text[VFS_PATH_MAX + 1];
	autoclose int above = fcntl(root, F_DUPFD_CLOEXEC, 0);
	char *end = text;

	(void)stpcpy(text, path);
	while (above >= 0 && *end != '\0') {
		int next;

		end += strcspn(end, "/");
		next = step(root, above, text, end);
		close_fd(&above);
		above = next;
		end += *end == '/';
	}
	return take_fd(&above);
}

int fsat_parent(int root, const char *path, bool make, const char **out_name,
		struct err *e)
{
	const char *slash = strrchr(path, '/');
	char above[VFS_PATH_MAX + 1] = "";
	int fd;

	if (path[0] == '\0')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the root of the workspace stays as it is");
	if (slash != NULL)
		memcpy(above, path, (size_t)(slash - path));
	fd = resolve(root, above, O_PATH | O_DIRECTORY);
	if (fd < 0 && errno == ENOENT && make)
		fd = make_folders(root, above);
	if (fd < 0)
		return fsat_fail(errno, path, e);
	*out_name = slash != NULL ? slash + 1 : path;
	return fd;
}

/* The name that the kernel has for a descriptor.  Return: its length or -1. */
static ssize_t name_of(int fd, char *out, size_t cap)
{
	char self[FD_PATH_MAX];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, out, cap);
	if (n < 0 || (size_t)n >= cap)
		return -1;
	out[n] = '\0';
	return n;
}

int fsat_real(int root, const char *path, char *out, size_t cap, struct err *e)
{
	autoclose int fd = fsat_look(root, path, true, e);
	char top[VFS_PATH_MAX + 1], name[2 * VFS_PATH_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = name_of(root, top, sizeof(top));
	if (n < 0 || name_of(fd, name, sizeof(name)) < 0)
		return fsat_fail(ENAMETOOLONG, path, e);
	/* Removed, or moved away from below the root, since. */
	if (strncmp(name, top, (size_t)n) != 0 ||
	    (name[n] != '/' && name[n] != '\0') || strlen(name + n) > cap)
		return fsat_fail(ENOENT, path, e);
	(void)stpcpy(out, name + n + (name[n] == '/'));
	return 0;
}
