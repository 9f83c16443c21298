// SPDX-License-Identifier: Apache-2.0
/*
 * mount_files.c - Files that are given with a mount, to be read only
 *
 * The folder is ours, and no VM can write to it: paths need no more care here
 * than that they stay below it, which their one form (vfs/path.h) sees to.  VMs
 * share the files as hard links.
 */
#include "host/daemon/mount_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base64.h"
#include "host/daemon/initial_files.h"
#include "vfs/path.h"

#define NUMBER_MAX 16
#define MODE_PLAIN 0644

static int fail(struct err *e, const char *verb, const char *path)
{
	int code = -errno;

	return err_set(e, code, "mounts: %s %.160s: %s", verb, path,
		       strerror(-code));
}

/* @mode stays as it is when the file says nothing. */
static int read_mode(struct jv file, mode_t *mode, struct err *e)
{
	struct jv v = jv_get(file, "mode");
	char text[8], *end = text;

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	if (jv_strcpy(v, text, sizeof(text)) > 0)
		*mode = (mode_t)strtoul(text, &end, 8);
	if (end == text || *end != '\0' || (*mode & ~(mode_t)0777) != 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mounts: a mode is no string of octal digits");
	return 0;
}

/* Return: the bytes of a file, to be freed; or NULL. */
static char *read_content(struct jv file, size_t *n, struct err *e)
{
	struct jv b64 = jv_get(file, "content_b64");
	char *text = jv_strdup(jv_has(b64) ? b64 : jv_get(file, "content"), n);

	if (text != NULL && (!jv_has(b64) || base64_read(text, n) == 0))
		return text;
	free(text);
	err_set(e, -FAULT_INVALID_ARGUMENT,
		"mounts: the content of a file is no string, or no base64");
	return NULL;
}

int mount_files_check(struct jv files, struct err *e)
{
	int r = initial_files_check(files, e);

	for (struct jv v = jv_first(files); jv_has(v) && r == 0;
	     v = jv_next(files, v)) {
		autofree char *content = NULL;
		mode_t mode = 0;
		size_t n;

		r = read_mode(v, &mode, e);
		content = r < 0 ? NULL : read_content(v, &n, e);
		if (r == 0 && content == NULL)
			r = e->code;
	}
	return r;
}

static int open_folder(int dir, const char *name)
{
	bool made = mkdirat(dir, name, 0755) == 0;

	/* Whatever our mask is. */
	if (made ? fchmodat(dir, name, 0755, 0) < 0 : errno != EEXIST)
		return -1;
	return openat(dir, name,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The folder that @path is in; its last name is @out. */
static int open_parent(int dir, char *path, char **out)
{
	autoclose int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	char *slash;

	while (fd >= 0 && (slash = strchr(path, '/')) != NULL) {
		int next;

		*slash = '\0';
		next = open_folder(fd, path);
		close(fd);
		fd = next;
		path = slash + 1;
	}
	*out = path;
	return take_fd(&fd);
}

static int write_file(int dir, struct jv file, struct err *e)
{
	autofree char *content = NULL;
	autoclose int parent = -1, fd = -1;
	mode_t mode = MODE_PLAIN;
	struct vfs_path path;
	char *name;
	size_t n;

	if (vfs_path_get(&path, file, "path", e) < 0 ||
	    read_mode(file, &mode, e) < 0)
		return e->code;
	content = read_content(file, &n, e);
	if (content == NULL)
		return e->code;
	parent = open_parent(dir, path.text, &name);
	fd = parent < 0 ? -1
			: openat(parent, name,
				 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
					 O_CLOEXEC,
				 mode);
	if (fd < 0)
		return fail(e, "make", name);
	if (write(fd, content, n) != (ssize_t)n || fchmod(fd, mode) < 0)
		return fail(e, "write", name);
	return 0;
}

static int write_all(int dir, unsigned i, struct jv files, struct err *e)
{
	char number[NUMBER_MAX];
	autoclose int at = -1;
	int r = 0;

	snprintf(number, sizeof(number), "%u", i);
	at = open_folder(dir, number);
	if (at < 0)
		return fail(e, "make", number);
	for (struct jv v = jv_first(files); jv_has(v) && r == 0;
	     v = jv_next(files, v))
		r = write_file(at, v, e);
	return r;
}

static int open_files(const char *vm_dir, bool make)
{
	autoclose int dir =
		open(vm_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return -1;
	if (make)
		return open_folder(dir, MOUNT_FILES_AT);
	return openat(dir, MOUNT_FILES_AT,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int mount_files_write(const char *vm_dir, struct jv mounts, struct err *e)
{
	autoclose int dir = -1;
	unsigned i = 0;
	int r = 0;

	for (struct jv v = jv_first(mounts); jv_has(v) && r == 0;
	     v = jv_next(mounts, v), i++) {
		struct jv files = jv_get(v, "files");

		if (!jv_is(files, JV_ARRAY))
			continue;
		if (dir < 0)
			dir = open_files(vm_dir, true);
		r = dir < 0 ? fail(e, "make", MOUNT_FILES_AT)
			    : write_all(dir, i, files, e);
	}
	return r;
}

/* --- sharing --- */

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

/* Both are taken. */
static int link_folder(int from, int to)
{
	cleanup(close_dirp) DIR *d = from < 0 ? NULL : fdopendir(from);
	autoclose int dir = to;
	const struct dirent *entry;
	int r = d == NULL || dir < 0 ? -1 : 0;

	if (d == NULL)
		close_fd(&from);
	while (r == 0 && (entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;
		int below;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		below = openat(dirfd(d), name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = below >= 0 ? link_folder(below, open_folder(dir, name))
			       : linkat(dirfd(d), name, dir, name, 0);
	}
	return r;
}

int mount_files_share(const char *from_dir, const char *to_dir, struct err *e)
{
	int from = open_files(from_dir, false);

	if (from < 0)
		return errno == ENOENT ? 0 : fail(e, "open", from_dir);
	if (link_folder(from, open_files(to_dir, true)) < 0)
		return fail(e, "share", from_dir);
	return 0;
}
