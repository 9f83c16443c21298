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

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static DIR *open_folder(int dir, const char *name)
{
	int fd = openat(dir, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_empty(int dir, const char *name)
{
	cleanup(close_dirp) DIR *d = open_folder(dir, name);
	const struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (!is_dots(entry->d_name))
			return false;
	return true;
}

/* Have a folder be one of the trash, under another name.  Return: 0 or -1. */
static int move_to_trash(int dir, const char *name, int trash)
{
	char to[TRASH_NAME_MAX];
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return -1;
	snprintf(to, sizeof(to), "%016llx", (unsigned long long)random);
	return renameat(dir, name, trash, to);
}

static int throw_away(int dir, const char *name, struct err *e)
{
	autoclose int trash = -1;

	if (!exists(dir, name))
		return 0;
	if (make_folder(dir, "trash", 0700, 0, e) < 0)
		return e->code;
	trash = openat(dir, "trash",
		       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return trash < 0 || move_to_trash(dir, name, trash) < 0
		       ? fail(e, "drop", name)
		       : 0;
}

/* An old/ that is there is one of three:
 *
 *	of a reset whose state was saved, not all of it moved yet; then upper/
 *	  has what was moved, and maybe files of a commit, which are not wanted;
 *	of one that was killed before that: upper/ is new;
 *	of one that is complete, and was to be dropped: upper/ is in use. */
static int settle_old(int dir, const struct workspace_state *now, struct err *e)
{
	bool checked_out = now->has_lower && now->mode != WORKSPACE_OVERLAY;

	if (!exists(dir, "old"))
		return 0;
	if (now->carry)
		return checked_out ? throw_away(dir, "upper", e) : 0;
	return is_empty(dir, "upper") ? 0 : throw_away(dir, "old", e);
}

int workspace_disk_reset(int dir, const struct workspace_state *now,
			 struct err *e)
{
	int r = settle_old(dir, now, e);

	if (r < 0)
		return r;
	if (!exists(dir, "old") && renameat(dir, "upper", dir, "old") < 0 &&
	    errno != ENOENT)
		return fail(e, "put aside", "upper");
	r = throw_away(dir, "work", e);
	return r < 0 ? r : workspace_disk_make(dir, e);
}

int workspace_disk_drop_work(int dir, struct err *e)
{
	int r = throw_away(dir, "work", e);

	return r < 0 ? r : workspace_disk_make(dir, e);
}

int workspace_disk_drop_old(int dir, struct err *e)
{
	return throw_away(dir, "old", e);
}

/* A folder may be closed to its owner's own eyes; we own it all.
 * Folders in a folder become the trash's own, so that it takes no more
 * descriptors, and no more stack, the deeper they are. */
static bool remove_folder(int trash, const char *name, const atomic_bool *stop)
{
	cleanup(close_dirp) DIR *d = NULL;
	const struct dirent *entry;

	if (fchmodat(trash, name, 0700, 0) == 0)
		d = open_folder(trash, name);
	while (d != NULL && !atomic_load(stop) &&
	       (entry = readdir(d)) != NULL) {
		if (is_dots(entry->d_name) ||
		    unlinkat(dirfd(d), entry->d_name, 0) == 0)
			continue;
		/* A folder that is moved is written to: its ".." is another. */
		if (fchmodat(dirfd(d), entry->d_name, 0700, 0) == 0)
			(void)move_to_trash(dirfd(d), entry->d_name, trash);
	}
	return unlinkat(trash, name, AT_REMOVEDIR) == 0;
}

bool workspace_disk_has_trash(int dir)
{
	return !is_empty(dir, "trash");
}

void workspace_disk_empty_trash(int dir, const atomic_bool *stop)
{
	cleanup(close_dirp) DIR *d = open_folder(dir, "trash");
	const struct dirent *entry;
	bool removed = d != NULL;

	while (removed && !atomic_load(stop)) {
		removed = false;
		rewinddir(d);
		while (!atomic_load(stop) && (entry = readdir(d)) != NULL)
			removed |= !is_dots(entry->d_name) &&
				   remove_folder(dirfd(d), entry->d_name, stop);
	}
}
