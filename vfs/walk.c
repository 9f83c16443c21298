// SPDX-License-Identifier: Apache-2.0
/*
 * walk.c - Everything that a commit holds, a folder before what is in it
 *
 * What is yet to be told lies on a stack, the next entry on top.  A folder that
 * is told is replaced by its entries.
 */
#include "vfs/walk.h"

#include <stdio.h>
#include <string.h>

struct item {
	char *path;
	struct vfs_entry entry; /* Its name lies in @path. */
};

struct walk {
	struct vfs_repo *repo;
	struct item *todo;
	size_t n, cap;
	const char *at; /* The folder that is read. */
	struct err *e;
};

static int no_memory(struct walk *w)
{
	return err_set(w->e, -ENOMEM, "walk: out of memory");
}

static int grow(struct walk *w)
{
	size_t cap = w->cap > 0 ? 2 * w->cap : 64;
	struct item *todo = realloc(w->todo, cap * sizeof(todo[0]));

	if (todo == NULL)
		return no_memory(w);
	w->todo = todo;
	w->cap = cap;
	return 0;
}

static int push(const struct vfs_entry *entry, void *arg)
{
	struct walk *w = arg;
	int n, r = w->n == w->cap ? grow(w) : 0;
	struct item *item;

	if (r < 0)
		return r;
	item = &w->todo[w->n];
	n = asprintf(&item->path, "%s%s%s", w->at, w->at[0] ? "/" : "",
		     entry->name);
	if (n < 0)
		return no_memory(w);
	item->entry = *entry;
	item->entry.name = item->path + n - entry->name_len;
	w->n++;
	if (n > VFS_PATH_MAX)
		return err_set(w->e, -FAULT_STORE_CORRUPT,
			       "a path of more than %d bytes", VFS_PATH_MAX);
	return 0;
}

/* Put the entries of a folder on the stack, the first one on top. */
static int open_folder(struct walk *w, const struct vfs_oid *oid,
		       const char *path)
{
	size_t low = w->n, high;
	int r;

	w->at = path;
	r = vfs_browse_tree(w->repo, oid, push, w, w->e);
	for (high = w->n; r == 0 && low + 1 < high; low++) {
		struct item swap = w->todo[low];

		w->todo[low] = w->todo[--high];
		w->todo[high] = swap;
	}
	return r;
}

int vfs_walk(struct vfs_repo *repo, const struct vfs_oid *oid, vfs_walk_cb cb,
	     void *arg, struct err *e)
{
	struct walk w = {.repo = repo, .e = e};
	int r = open_folder(&w, oid, "");

	while (r == 0 && w.n > 0) {
		struct item item = w.todo[--w.n];

		r = cb(item.path, &item.entry, arg);
		if (r == 0 && S_ISDIR(item.entry.mode))
			r = open_folder(&w, &item.entry.oid, item.path);
		free(item.path);
	}
	while (w.n > 0)
		free(w.todo[--w.n].path);
	free(w.todo);
	return r;
}
