// SPDX-License-Identifier: Apache-2.0
/*
 * carry.c - Ignored trees survive a reset of the workspace
 *
 * One walk over old/, which enters no ignored folder, so it takes as long as
 * there were changes.
 */
#include "guest/carry.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/limits.h"
#include "vfs/cachetag.h"
#include "vfs/ignore.h"
#include "vfs/path.h"

struct carry {
	int old, upper, below;
	struct vfs_ignore *ignore;
	int n_moved;
	unsigned depth;
	char path[VFS_PATH_MAX + 1]; /* Where the walk is. */
};

static int fail(struct err *e, const char *verb, const char *name)
{
	int code = -errno;

	return err_set(e, code, "carry: %s %.100s: %s", verb, name,
		       strerror(-code));
}

static int open_at(int dir, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path[0] == '\0' ? "." : path,
			    &how, sizeof(how));
}

/* --- moving --- */

/* One folder of upper/ as the commit has it. */
static int make_like(int upper, int below, const char *path)
{
	struct stat st;

	if (mkdirat(upper, path, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	if (fstatat(below, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchownat(upper, path, st.st_uid, st.st_gid, 0) < 0)
		return -1;
	return fchmodat(upper, path, st.st_mode & 07777, 0);
}

/* All folders above @path, which the new files have. */
static int make_parents(const struct carry *c, char *path)
{
	int r = 0;

	if (c->upper == c->below)
		return 0;
	for (char *slash = strchr(path, '/'); slash != NULL && r == 0;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = make_like(c->upper, c->below, path);
		*slash = '/';
	}
	return r;
}

/* Is the folder that @path is in there, and nothing at @path? */
static bool has_place(const struct carry *c, char *path)
{
	char *slash = strrchr(path, '/');
	autoclose int parent = -1;
	const char *name = slash == NULL ? path : slash + 1;

	if (slash != NULL)
		*slash = '\0';
	parent = open_at(c->below, slash == NULL ? "" : path,
			 O_PATH | O_DIRECTORY);
	if (slash != NULL)
		*slash = '/';
	return parent >= 0 &&
	       faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

static void move(struct carry *c)
{
	if (has_place(c, c->path) && make_parents(c, c->path) == 0 &&
	    renameat2(c->old, c->path, c->upper, c->path, RENAME_NOREPLACE) ==
		    0)
		c->n_moved++;
}

/* --- the walk --- */

/* The rules of a folder: its own file, or that of the commit. */
static int enter(struct carry *c, int folder, struct err *e)
{
	autofree char *text = malloc(VFS_IGNORE_BYTES_MAX);
	autoclose int fd = open_at(folder, VFS_IGNORE_FILE,
				   O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	autoclose int parent = -1;
	ssize_t n = -1;

	if (text == NULL)
		return err_set(e, -ENOMEM, "carry: out of memory");
	if (fd < 0) {
		parent = open_at(c->below, c->path, O_PATH | O_DIRECTORY);
		fd = parent < 0 ? -1
				: open_at(parent, VFS_IGNORE_FILE,
					  O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	}
	if (fd >= 0)
		n = read(fd, text, VFS_IGNORE_BYTES_MAX);
	if (vfs_ignore_enter(c->ignore, c->path, n < 0 ? NULL : text,
			     n < 0 ? 0 : (size_t)n) < 0)
		return err_set(e, -ENOMEM, "carry: out of memory");
	return 0;
}

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static int walk(struct carry *c, struct err *e);

/* As vfs/collect.c has it, for what the commit lacks. */
static bool is_ignored(const struct carry *c, int dir, const char *name,
		       bool is_dir)
{
	enum vfs_ignore_verdict said =
		vfs_ignore_ask(c->ignore, c->path, is_dir);

	if (said == VFS_IGNORE_UNSAID && is_dir)
		return vfs_cachetag_is(dir, name);
	return said == VFS_IGNORE_SKIP;
}

/* An entry of the folder that the walk is in: ignored ones are moved in the
 * first round, and in the second the walk goes into the other folders. */
static int visit(struct carry *c, int dir, const char *name, bool first,
		 struct err *e)
{
	size_t len = strlen(c->path), add = strlen(name);
	struct stat st;
	bool deeper = false;
	int r = 0;

	if (len + add + 2 > sizeof(c->path) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    S_ISCHR(st.st_mode) || (!first && !S_ISDIR(st.st_mode)))
		return 0;
	snprintf(c->path + len, sizeof(c->path) - len, "%s%s",
		 len > 0 ? "/" : "", name);
	if (!is_ignored(c, dir, name, S_ISDIR(st.st_mode)))
		deeper = !first && c->depth < WORKSPACE_DEPTH_MAX;
	else if (first)
		move(c);
	if (deeper)
		r = walk(c, e);
	c->path[len] = '\0';
	/* Back from another folder, whose rules are forgotten by that. */
	return deeper && r == 0 ? enter(c, dir, e) : r;
}

static int go_round(struct carry *c, DIR *d, bool first, struct err *e)
{
	const struct dirent *entry;
	int r = 0;

	rewinddir(d);
	while (r == 0 && (entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		r = visit(c, dirfd(d), entry->d_name, first, e);
	}
	return r;
}

static int walk(struct carry *c, struct err *e)
{
	int fd = open_at(c->old, c->path, O_RDONLY | O_DIRECTORY);
	cleanup(close_dirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r;

	if (d == NULL) {
		r = fail(e, "read", c->path);
		close_fd(&fd);
		return r;
	}
	c->depth++;
	r = enter(c, dirfd(d), e);
	if (r == 0)
		r = go_round(c, d, true, e);
	if (r == 0)
		r = go_round(c, d, false, e);
	c->depth--;
	return r;
}

int carry_over(int dir, int below, struct err *e)
{
	autoclose int old = open_at(dir, "old", O_RDONLY | O_DIRECTORY);
	autoclose int upper = open_at(dir, "upper", O_RDONLY | O_DIRECTORY);
	struct carry c = {.old = old, .upper = upper, .below = below};
	int r;

	if (old < 0)
		return errno == ENOENT ? 0 : fail(e, "open", "old");
	if (upper < 0)
		return fail(e, "open", "upper");
	if (below < 0)
		c.below = upper;
	if (vfs_ignore_new(&c.ignore) < 0)
		return err_set(e, -ENOMEM, "carry: out of memory");
	r = walk(&c, e);
	vfs_ignore_free(c.ignore);
	return r < 0 ? r : c.n_moved;
}
