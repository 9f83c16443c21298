// SPDX-License-Identifier: Apache-2.0
/*
 * fscopy.c - Copy a file, a link or a folder
 *
 *	copy {from, to, recursive: false, overwrite: false} -> entry
 *
 * Modes are kept, links stay links, other than files, folders and links is left
 * out.  A folder is copied to where nothing is, and what of it was copied stays
 * when the rest cannot be.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "guest/fsat.h"
#include "guest/fswalk.h"
#include "guest/fswrite.h"
#include "guest/limits.h"
#include "vfs/path.h"

struct copy {
	struct fscall *call;
	struct vfs_path from, to;
	bool overwrite, recursive;
	char *buf; /* FS_CHUNK */
	struct err *e;
};

static int pump(struct copy *c, int fd, struct fswrite *w)
{
	for (;;) {
		ssize_t n = read(fd, c->buf, FS_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fsat_fail(errno, c->from.text, c->e);
		if (n == 0)
			return 0;
		if (fswrite_feed(w, c->buf, (size_t)n, c->e) < 0)
			return c->e->code;
		if (atomic_load(&c->call->gone))
			return err_set(c->e, -FAULT_CANCELLED,
				       "nobody waits for it");
	}
}

static int copy_file(struct copy *c, const char *from, const char *to)
{
	autojw struct jw entry = {0};
	struct fswrite *w = NULL;
	struct stat st;
	autoclose int fd = fsat_file(c->call->root, from, O_RDONLY, &st, c->e);
	const struct fswrite_spec spec = {
		.path = to,
		.mode = fd < 0 ? -1 : (int)(st.st_mode & 07777),
		.offset = -1,
		.expect = {.nothing = !c->overwrite},
	};
	int r = fd;

	if (r >= 0)
		r = fswrite_begin(c->call->tree, c->call->root, &spec, &w,
				  c->e);
	if (r >= 0)
		r = pump(c, fd, w);
	if (r >= 0)
		r = fswrite_commit(w, &entry, c->e);
	fswrite_free(w);
	return r < 0 ? r : 0;
}

/* @dir, @name: the link.  @to: where its copy goes. */
static int copy_link(struct copy *c, int dir, const char *name, const char *to)
{
	char target[VFS_PATH_MAX + 2];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
	autoclose int to_dir = -1;

	if (n < 0)
		return fsat_fail(errno, to, c->e);
	target[n] = '\0';
	to_dir = fsat_parent(c->call->root, to, true, &name, c->e);
	if (to_dir < 0)
		return to_dir;
	return symlinkat(target, to_dir, name) < 0 ? fsat_fail(errno, to, c->e)
						   : 0;
}

/* One that the owner may not enter is copied with what is in it first. */
static int copy_folder(struct copy *c, const char *to, mode_t mode)
{
	const char *name;
	autoclose int dir = fsat_parent(c->call->root, to, true, &name, c->e);

	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, 0700) < 0 ||
	    fchmodat(dir, name, (mode & 07777) | 0700, 0) < 0)
		return fsat_fail(errno, to, c->e);
	return 0;
}

static int copy_entry(struct copy *c, const struct fswalk_entry *en,
		      const char *to)
{
	switch (en->st->st_mode & S_IFMT) {
	case S_IFREG:
		return copy_file(c, en->path, to);
	case S_IFLNK:
		return copy_link(c, en->dir, en->name, to);
	case S_IFDIR:
		return copy_folder(c, to, en->st->st_mode);
	default:
		return 0;
	}
}

static int copy_below(const struct fswalk_entry *en, void *arg)
{
	struct copy *c = arg;
	char to[VFS_PATH_MAX + 1];

	if (snprintf(to, sizeof(to), "%s%s", c->to.text,
		     en->path + c->from.len) >= (int)sizeof(to))
		fsat_fail(ENAMETOOLONG, en->path, c->e);
	else
		(void)copy_entry(c, en, to);
	return c->e->code < 0 ? FSWALK_END : 0;
}

static bool is_below(const struct vfs_path *p, const struct vfs_path *folder)
{
	return strncmp(p->text, folder->text, folder->len) == 0 &&
	       (folder->len == 0 || p->text[folder->len] == '/' ||
		p->text[folder->len] == '\0');
}

static int copy_tree(struct copy *c)
{
	const struct fswalk_spec walk = {
		.root = c->call->root,
		.passing = c->call->tree->passing,
		.path = c->from.text,
		.depth = VFS_PATH_MAX,
		.entry = copy_below,
		.arg = c,
	};

	if (is_below(&c->to, &c->from))
		return err_set(c->e, -FAULT_INVALID_ARGUMENT,
			       "a folder cannot be copied into itself");
	(void)fswalk(&walk, c->e);
	return c->e->code;
}

static int copy_top(struct copy *c)
{
	const char *name;
	autoclose int dir =
		fsat_parent(c->call->root, c->from.text, false, &name, c->e);
	struct stat st;
	const struct fswalk_entry top = {c->from.text, name, dir, &st};
	int r;

	if (dir < 0)
		return dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fsat_fail(errno, c->from.text, c->e);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) &&
	    !S_ISDIR(st.st_mode))
		return err_set(c->e, -FAULT_INVALID_ARGUMENT,
			       "/%.*s: it is no file, link or folder",
			       ERR_MSG_MAX / 2, c->from.text);
	if (!S_ISDIR(st.st_mode))
		return copy_entry(c, &top, c->to.text);
	if (!c->recursive)
		return fsat_fail(EISDIR, c->from.text, c->e);
	if (is_below(&c->to, &c->from))
		return copy_tree(c);
	r = copy_entry(c, &top, c->to.text);
	return r < 0 ? r : copy_tree(c);
}

static int put_copy(struct fscall *c, const char *path, struct err *e)
{
	autoclose int fd = fsat_look(c->root, path, false, e);

	return fd < 0 ? fd : fsentry_put_fd(&c->out, path, fd, false, e);
}

static int copy(struct copy *c)
{
	int r;

	c->buf = malloc(FS_CHUNK);
	if (c->buf == NULL)
		return err_set(c->e, -ENOMEM, "copy: out of memory");
	r = copy_top(c);
	free(c->buf);
	return r;
}

int fs_copy_all(struct fscall *call, const struct vfs_path *from,
		const struct vfs_path *to, bool overwrite, struct err *e)
{
	struct copy c = {
		.call = call,
		.from = *from,
		.to = *to,
		.overwrite = overwrite,
		.recursive = true,
		.e = e,
	};

	return copy(&c);
}

int fs_copy(struct fscall *call, struct err *e)
{
	struct copy c = {.call = call, .e = e};

	if (vfs_path_get(&c.from, call->in, "from", e) < 0 ||
	    vfs_path_get(&c.to, call->in, "to", e) < 0)
		return e->code;
	c.overwrite = jv_bool(jv_get(call->in, "overwrite"), false);
	c.recursive = jv_bool(jv_get(call->in, "recursive"), false);
	return copy(&c) < 0 ? e->code : put_copy(call, c.to.text, e);
}
