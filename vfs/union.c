// SPDX-License-Identifier: Apache-2.0
/*
 * union.c - What later commits changed, path by path
 *
 * Commits are compared with their parents, the newest first, and the first that
 * is heard of a path is kept, in a tree sorted by path.
 */
#include "vfs/union.h"

#include <search.h>
#include <string.h>

#include "vfs/diff.h"
#include "vfs/history.h"
#include "vfs/path.h"

struct item {
	char *path, *old_path; /* old_path: of a rename; else NULL. */
	enum vfs_diff_kind kind;
	struct vfs_oid commit;
	char session[ID_MAX], turn[ID_MAX];
};

struct walk {
	void *items; /* Of tsearch(3). */
	size_t n;
	struct vfs_history_commit at; /* Whose changes are taken. */
	struct vfs_union_stats *stats;
	struct err *e;
};

static int compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void free_item(void *p)
{
	struct item *item = p;

	free(item->path);
	free(item->old_path);
	free(item);
}

static struct item *new_item(const struct walk *w, const char *path,
			     const char *old_path, enum vfs_diff_kind kind)
{
	struct item *item = calloc(1, sizeof(*item));

	if (item == NULL)
		return NULL;
	item->path = strdup(path);
	item->old_path = old_path ? strdup(old_path) : NULL;
	item->kind = kind;
	item->commit = w->at.id;
	memcpy(item->session, w->at.session, sizeof(item->session));
	memcpy(item->turn, w->at.turn, sizeof(item->turn));
	if (item->path != NULL && (old_path == NULL || item->old_path != NULL))
		return item;
	free_item(item);
	return NULL;
}

/* Note a change, unless a later one of that path is known. */
static int add(struct walk *w, const char *path, const char *old_path,
	       enum vfs_diff_kind kind)
{
	struct item *item, **found;

	if (w->n == VFS_UNION_PATHS_MAX) {
		w->stats->truncated = true;
		return 0;
	}
	item = new_item(w, path, old_path, kind);
	found = item ? tsearch(item, &w->items, compare) : NULL;
	if (found == NULL) {
		if (item != NULL)
			free_item(item);
		return err_set(w->e, -ENOMEM, "changes: out of memory");
	}
	if (*found != item)
		free_item(item);
	else
		w->n++;
	return 0;
}

static int on_change(const struct vfs_diff_change *c, void *arg)
{
	int r = add(arg, c->path, c->old_path, c->kind);

	if (r == 0 && c->old_path != NULL)
		r = add(arg, c->old_path, NULL, VFS_DIFF_DELETE);
	return r;
}

static void put(const void *node, VISIT which, void *arg)
{
	const struct item *item = *(struct item *const *)node;
	struct jw *w = arg;
	char hex[VFS_OID_HEX];

	if (which != postorder && which != leaf)
		return;
	jw_obj(w);
	vfs_path_put(w, "path", item->path, strlen(item->path));
	jw_kstr(w, "kind", vfs_diff_kind_name(item->kind));
	if (item->old_path != NULL)
		vfs_path_put(w, "old_path", item->old_path,
			     strlen(item->old_path));
	jw_kstr(w, "commit", vfs_oid_format(&item->commit, hex));
	if (item->turn[0] != '\0')
		jw_kstr(w, "turn", item->turn);
	if (item->session[0] != '\0')
		jw_kstr(w, "session", item->session);
	jw_obj_end(w);
}

/* The line of parents is cheap to follow, comparing is not. */
static int check_before(struct vfs_repo *repo, const struct vfs_oid *since,
			const struct vfs_oid *to, struct err *e)
{
	struct vfs_history_commit c = {.parent = *to, .has_parent = true};
	char hex[VFS_OID_HEX];

	while (!vfs_oid_eq(&c.parent, since)) {
		struct vfs_oid at = c.parent;
		int r = vfs_history_get(repo, &at, &c, e);

		if (r < 0)
			return r;
		if (!c.has_parent)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "commit %s is not before the other",
				       vfs_oid_format(since, hex));
	}
	return 0;
}

/* The changes of one commit; @at goes to its parent.  Return: 1; 0: it had
 * none; an error. */
static int take_commit(struct vfs_repo *repo, struct vfs_oid *at,
		       struct walk *w)
{
	struct vfs_diff_stats stats = {0};
	const struct vfs_history_commit *c = &w->at;
	int r = vfs_history_get(repo, at, &w->at, w->e);

	if (r < 0)
		return r;
	w->stats->n_commits++;
	r = vfs_diff_each(repo, c->has_parent ? &c->parent : NULL, at,
			  on_change, w, &stats, w->e);
	w->stats->truncated |= stats.truncated;
	*at = c->parent;
	return r < 0 ? r : c->has_parent;
}

int vfs_union(struct vfs_repo *repo, const struct vfs_oid *since,
	      const struct vfs_oid *to, struct vfs_union_stats *stats,
	      struct jw *out, struct err *e)
{
	struct walk w = {.stats = stats, .e = e};
	struct vfs_oid at = *to;
	int r = since ? check_before(repo, since, to, e) : 0;

	if (r < 0)
		return r;
	*stats = (struct vfs_union_stats){0};
	do {
		if (since != NULL && vfs_oid_eq(&at, since))
			break;
		r = take_commit(repo, &at, &w);
	} while (r > 0);
	if (r >= 0) {
		jw_arr(out);
		twalk_r(w.items, put, out);
		jw_arr_end(out);
	}
	tdestroy(w.items, free_item);
	return r < 0 ? r : 0;
}
