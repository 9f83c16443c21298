// SPDX-License-Identifier: Apache-2.0
/*
 * trees.c - Parts of the host that will be seen in the sandbox
 *
 * open_tree(OPEN_TREE_CLONE) makes the detached copy, mount_setattr() takes
 * rights away from it while nobody can use it, move_mount() puts it in place.
 */
#include "host/sandbox/trees.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "host/sandbox/box.h"

static int next_tree(struct trees *t, const char *under, const char *name,
		     struct tree **out, struct err *e)
{
	struct tree *tree = &t->v[t->n];
	int n;

	if (t->n == TREES_MAX)
		return err_set(e, -E2BIG, "the image has more than %d parts",
			       TREES_MAX);
	n = snprintf(tree->at, sizeof(tree->at), "%s/%s", under, name);
	if (n < 0 || (size_t)n >= sizeof(tree->at))
		return err_set(e, -ENAMETOOLONG, "name %s in the image", name);
	tree->fd = -1;
	*out = tree;
	return 0;
}

static unsigned clone_flags(unsigned flags)
{
	unsigned f = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

	if (!(flags & TREE_ALONE))
		f |= AT_RECURSIVE;
	if (flags & TREE_NOFOLLOW)
		f |= AT_SYMLINK_NOFOLLOW;
	if (flags & TREE_SELF)
		f |= AT_EMPTY_PATH;
	return f;
}

static int restrict_tree(int fd, unsigned flags)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID};

	if (!(flags & TREE_DEVICE))
		attr.attr_set |= MOUNT_ATTR_NODEV;
	if (flags & TREE_RDONLY)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	return mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			     sizeof(attr));
}

int trees_take(struct trees *t, const struct tree_source *from,
	       const char *under, const char *name, struct err *e)
{
	struct tree *tree;
	struct stat st;
	int r = next_tree(t, under, name, &tree, e);
	autoclose int fd = -1;

	if (r < 0)
		return r;
	fd = open_tree(from->dir, from->flags & TREE_SELF ? "" : from->path,
		       clone_flags(from->flags));
	if (fd < 0 && errno == ENOENT && (from->flags & TREE_OPTIONAL))
		return 0;
	if (fd < 0)
		return fail(e, "open tree", from->path);
	if (restrict_tree(fd, from->flags) < 0)
		return fail(e, "set mount attributes of", from->path);
	if (fstat(fd, &st) < 0)
		return fail(e, "stat", from->path);
	if (S_ISLNK(st.st_mode))
		return err_set(e, -ELOOP, "%s is a symbolic link", from->path);

	tree->is_dir = S_ISDIR(st.st_mode);
	tree->fd = take_fd(&fd);
	t->n++;
	return 0;
}

static int take_link(struct trees *t, int dir, const char *name,
		     const char *under, struct err *e)
{
	struct tree *tree;
	int r = next_tree(t, under, name, &tree, e);
	ssize_t n;

	if (r < 0)
		return r;
	n = readlinkat(dir, name, tree->link, sizeof(tree->link));
	if (n < 0)
		return fail(e, "read link", name);
	if ((size_t)n >= sizeof(tree->link))
		return err_set(e, -ENAMETOOLONG, "link %s in the image", name);

	tree->link[n] = '\0';
	t->n++;
	return 0;
}

int trees_take_entry(struct trees *t, int dir, const char *name,
		     const char *under, struct err *e)
{
	const struct tree_source from = {
		.dir = dir,
		.path = name,
		.flags = TREE_NOFOLLOW,
	};
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(e, "stat", name);
	if (S_ISLNK(st.st_mode))
		return take_link(t, dir, name, under, e);
	if (S_ISDIR(st.st_mode))
		return trees_take(t, &from, under, name, e);
	return 0;
}

/* Most mount points are new; /workspace and its like are there already. */
static int make_point(const struct tree *tree, uint32_t owner)
{
	int r = tree->is_dir ? mkdir(tree->at, 0755)
			     : mknod(tree->at, S_IFREG | 0444, 0);

	if (r < 0 && errno == EEXIST)
		return 0;
	if (r == 0 && owner != 0)
		r = lchown(tree->at, owner, owner);
	return r;
}

static int place(struct tree *tree, uint32_t owner, struct err *e)
{
	if (tree->fd < 0) {
		if (symlink(tree->link, tree->at) < 0)
			return fail(e, "link", tree->at);
		return 0;
	}
	if (make_point(tree, owner) < 0)
		return fail(e, "make mount point", tree->at);
	if (move_mount(tree->fd, "", AT_FDCWD, tree->at,
		       MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(e, "mount", tree->at);
	close(tree->fd);
	tree->fd = -1;
	return 0;
}

int trees_place(struct trees *t, uint32_t owner, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < t->n && r == 0; i++)
		r = place(&t->v[i], owner, e);
	return r;
}
