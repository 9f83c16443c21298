// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_disk.c - The folders that /workspace is made of
 *
 * Only renames and small folders here, so a reset takes as long with a million
 * files as with one.  The trash is emptied later, by another thread.
 */
#include "guest/workspace_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "guest/idmap.h"

#define TRASH_NAME_MAX 32

static int fail(struct err *e, const char *verb, const char *name)
{
	int code = -errno;

	return err_set(e, code, "workspace: %s %s: %s", verb, name,
		       strerror(-code));
}

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int make_folder(int dir, const char *name, mode_t mode, unsigned owner,
		       struct err *e)
{
	if (mkdirat(dir, name, mode) < 0)
		return errno == EEXIST ? 0 : fail(e, "make", name);
	/* The mask of the process is no part of what was asked. */
	if (fchmodat(dir, name, mode, 0) < 0 ||
	    (owner != 0 && fchownat(dir, name, owner, owner, 0) < 0))
		return fail(e, "own", name);
	return 0;
}

int workspace_disk_make(int dir, struct err *e)
{
	int r = make_folder(dir, "upper", 0755, idmap_agent(), e);

	if (r == 0)
		r = make_folder(dir, "work", 0700, 0, e);
	if (r == 0)
		r = make_folder(dir, "cache", 0700, 0, e);
	return r < 0 ? r : make_folder(dir, "trash", 0700, 0, e);
}

static int throw_away(int dir, const char *name, struct err *e)
{
	char to[TRASH_NAME_MAX];
	uint64_t random;

	if (!exists(dir, name))
		return 0;
	if (getrandom(&random, sizeof(random), 0) < 0)
		return fail(e, "name the rest of", name);
	snprintf(to, sizeof(to), "trash/%016llx", (unsigned long long)random);
	if (make_folder(dir, "trash", 0700, 0, e) < 0)
		return e->code;
	return renameat(dir, name, dir, to) < 0 ? fail(e, "drop", name) : 0;
}

/* An old/ that is there belongs to a reset that was killed: the upper/ of now
 * has at most what that one had moved. */
int workspace_disk_reset(int dir, struct err *e)
{
	int r;

	if (!exists(dir, "old") && renameat(dir, "upper", dir, "old") < 0 &&
	    errno != ENOENT)
		return fail(e, "put aside", "upper");
	r = throw_away(dir, "work", e);
	return r < 0 ? r : workspace_disk_make(dir, e);
}

int workspace_disk_drop_old(int dir, struct err *e)
{
	return throw_away(dir, "old", e);
}

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

/* A folder may be closed to its owner's own eyes; we own it all. */
static DIR *open_folder(int dir, const char *name)
{
	int fd;
	DIR *d;

	(void)fchmodat(dir, name, 0700, 0);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void empty(int dir, const char *name, const volatile bool *stop)
{
	cleanup(close_dirp) DIR *d = open_folder(dir, name);
	const struct dirent *entry;

	while (d != NULL && !*stop && (entry = readdir(d)) != NULL) {
		if (is_dots(entry->d_name) ||
		    unlinkat(dirfd(d), entry->d_name, 0) == 0)
			continue;
		empty(dirfd(d), entry->d_name, stop);
		(void)unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
	}
}

bool workspace_disk_has_trash(int dir)
{
	cleanup(close_dirp) DIR *d = open_folder(dir, "trash");
	const struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (!is_dots(entry->d_name))
			return true;
	return false;
}

void workspace_disk_empty_trash(int dir, const volatile bool *stop)
{
	empty(dir, "trash", stop);
}
