// SPDX-License-Identifier: Apache-2.0
/*
 * export_git.c - A repository of a commit and those before it
 *
 * The new repository borrows all objects while it is made, and keeps what is
 * new in memory: folders with other names than they are stored by, and commits.
 * Then one pack takes everything that the last commit needs.
 */
#include <git2/sys/mempack.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "vfs/export.h"
#include "vfs/gitobj.h"
#include "vfs/history.h"
#include "vfs/name.h"
#include "vfs/refs.h"
#include "vfs/repo.h"

/* A folder as it is stored, and as it is exported. */
struct pair {
	git_oid from, to;
	bool empty; /* Nothing is left of it. */
};

struct export
{
	struct vfs_repo *from;
	git_repository *to;
	void *pairs; /* Of tsearch(3). */
	struct vfs_export_stats stats;
	struct err *e;
};

static int compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return git_oid_cmp(&x->from, &y->from);
}

static int fail(struct export *ex, int r)
{
	return vfs_repo_giterr(ex->e, r, "export");
}

/* --- folders ------------------------------------------------------------ */

static int convert_tree(struct export *ex, const git_oid *id, struct pair *out);

/* Add an entry under its real name.  Return: 0 or an error. */
static int convert_entry(struct export *ex, const git_tree_entry *entry,
			 git_treebuilder *to)
{
	git_filemode_t mode = git_tree_entry_filemode(entry);
	struct pair as = {.to = *git_tree_entry_id(entry)};
	char name[VFS_NAME_MAX + 1];
	int r = 0;

	if (vfs_name_load(git_tree_entry_name(entry), name) < 0)
		return 0;
	if (mode == GIT_FILEMODE_TREE)
		r = convert_tree(ex, git_tree_entry_id(entry), &as);
	if (r < 0 || as.empty)
		return r;
	if (git_treebuilder_insert(NULL, to, name, &as.to, mode) < 0)
		ex->stats.n_skipped++; /* Not a name of git's. */
	return 0;
}

static int build_tree(struct export *ex, const git_oid *id, struct pair *out)
{
	autogit(tree) *tree = NULL;
	autogit(treebuilder) *to = NULL;
	int r = git_tree_lookup(&tree, ex->to, id);

	if (r == 0)
		r = git_treebuilder_new(&to, ex->to, NULL);
	if (r < 0)
		return fail(ex, r);
	for (size_t i = 0; r == 0 && i < git_tree_entrycount(tree); i++)
		r = convert_entry(ex, git_tree_entry_byindex(tree, i), to);
	if (r < 0)
		return r;
	out->empty = git_treebuilder_entrycount(to) == 0;
	r = git_treebuilder_write(&out->to, to);
	return r < 0 ? fail(ex, r) : 0;
}

/* Paths have at most VFS_PATH_MAX bytes, and so many folders at most contain
 * each other: there is stack for that. */
static int convert_tree(struct export *ex, const git_oid *id, struct pair *out)
{
	struct pair key = {.from = *id}, *made;
	struct pair **found = tfind(&key, &ex->pairs, compare);
	int r;

	if (found != NULL) {
		*out = **found;
		return 0;
	}
	r = build_tree(ex, id, &key);
	if (r < 0)
		return r;
	made = malloc(sizeof(*made));
	if (made == NULL)
		return err_set(ex->e, -ENOMEM, "export: out of memory");
	*made = key;
	if (tsearch(made, &ex->pairs, compare) == NULL) {
		free(made);
		return err_set(ex->e, -ENOMEM, "export: out of memory");
	}
	*out = key;
	return 0;
}

/* --- commits ------------------------------------------------------------ */

/* The same commit with other files, on top of @parent (NULL: the first). */
static int convert_commit(struct export *ex, const struct vfs_oid *id,
			  const git_oid *parent, git_oid *out)
{
	git_oid from = vfs_oid_to_git(id);
	autogit(commit) *old = NULL, *before = NULL;
	autogit(tree) *tree = NULL;
	struct pair root;
	int r = git_commit_lookup(&old, ex->to, &from);

	if (r < 0)
		return fail(ex, r);
	r = convert_tree(ex, git_commit_tree_id(old), &root);
	if (r < 0)
		return r;
	r = git_tree_lookup(&tree, ex->to, &root.to);
	if (r == 0 && parent != NULL)
		r = git_commit_lookup(&before, ex->to, parent);
	if (r == 0) {
		const git_commit *parents[] = {before};

		r = git_commit_create(out, ex->to, NULL, git_commit_author(old),
				      git_commit_committer(old), NULL,
				      git_commit_message(old), tree,
				      parent != NULL, parents);
	}
	ex->stats.n_commits++;
	return r < 0 ? fail(ex, r) : 0;
}

struct line {
	struct vfs_oid *ids; /* The newest first. */
	size_t n, cap;
	struct err *e;
};

static int on_commit(const struct vfs_history_commit *c, void *arg)
{
	struct line *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap > 0 ? 2 * l->cap : 256;
		struct vfs_oid *ids = realloc(l->ids, cap * sizeof(ids[0]));

		if (ids == NULL)
			return err_set(l->e, -ENOMEM, "export: out of memory");
		l->ids = ids;
		l->cap = cap;
	}
	l->ids[l->n++] = c->id;
	return 0;
}

static int convert_all(struct export *ex, const struct vfs_oid *commit,
		       git_oid *out)
{
	const struct vfs_history_query q = {.from = *commit};
	struct line l = {.e = ex->e};
	git_oid last = {{0}};
	int r = vfs_history_log(ex->from, &q, on_commit, &l, ex->e);

	for (size_t i = l.n; r == 0 && i > 0; i--) {
		git_oid parent = last;

		r = convert_commit(ex, &l.ids[i - 1], i < l.n ? &parent : NULL,
				   &last);
	}
	free(l.ids);
	if (r == 0)
		*out = last;
	return r;
}

/* --- the new repository ------------------------------------------------- */

static int borrow(struct export *ex)
{
	char objects[PATH_MAX];
	git_odb_backend *memory = NULL;
	git_odb *odb = NULL;
	int r = git_repository_odb(&odb, ex->to);

	snprintf(objects, sizeof(objects), "%s/objects",
		 vfs_repo_dir(ex->from));
	if (r == 0)
		r = git_odb_add_disk_alternate(odb, objects);
	if (r == 0)
		r = git_mempack_new(&memory);
	if (r == 0)
		r = git_odb_add_backend(odb, memory, 999);
	git_odb_free(odb);
	return r < 0 ? fail(ex, r) : 0;
}

static int pack(struct export *ex, const git_oid *head)
{
	autogit(packbuilder) *pb = NULL;
	autogit(revwalk) *walk = NULL;
	int r = git_packbuilder_new(&pb, ex->to);

	if (r == 0)
		r = git_revwalk_new(&walk, ex->to);
	if (r == 0)
		r = git_revwalk_push(walk, head);
	if (r == 0)
		r = git_packbuilder_insert_walk(pb, walk);
	if (r == 0)
		r = git_packbuilder_write(pb, NULL, 0, NULL, NULL);
	return r < 0 ? fail(ex, r) : 0;
}

static int init(struct export *ex, const char *dir, bool bare)
{
	git_repository_init_options o;
	int r;

	if (rmdir(dir) < 0 && errno != ENOENT)
		return err_set(ex->e,
			       errno == ENOTEMPTY || errno == EEXIST ||
					       errno == ENOTDIR
				       ? -FAULT_ALREADY_EXISTS
				       : -errno,
			       "%.128s: %s", dir, strerror(errno));
	git_repository_init_options_init(&o,
					 GIT_REPOSITORY_INIT_OPTIONS_VERSION);
	o.flags = GIT_REPOSITORY_INIT_MKDIR | GIT_REPOSITORY_INIT_NO_REINIT |
		  (bare ? GIT_REPOSITORY_INIT_BARE : 0);
	o.initial_head = "main";
	r = git_repository_init_ext(&ex->to, dir, &o);
	return r < 0 ? fail(ex, r) : 0;
}

/* With what is on its disk alone. */
static int finish(struct export *ex, const char *dir, const git_oid *head)
{
	autogit(repository) *git = NULL;
	autogit(reference) *ref = NULL;
	git_checkout_options o;
	int r = git_repository_open(&git, dir);

	if (r == 0)
		r = git_reference_create(&ref, git, VFS_REF_MAIN, head, 1,
					 NULL);
	git_checkout_options_init(&o, GIT_CHECKOUT_OPTIONS_VERSION);
	o.checkout_strategy = GIT_CHECKOUT_FORCE;
	if (r == 0 && !git_repository_is_bare(git))
		r = git_checkout_head(git, &o);
	return r < 0 ? fail(ex, r) : 0;
}

int vfs_export_git(struct vfs_repo *repo, const struct vfs_oid *commit,
		   const char *dir, bool bare, struct vfs_export_stats *out,
		   struct err *e)
{
	struct export ex = {.from = repo, .e = e};
	struct vfs_history_commit c;
	git_oid head;
	int r = vfs_history_get(repo, commit, &c, e);

	if (r == 0)
		r = init(&ex, dir, bare);
	if (r == 0)
		r = borrow(&ex);
	if (r == 0)
		r = convert_all(&ex, commit, &head);
	if (r == 0)
		r = pack(&ex, &head);
	git_repository_free(ex.to);
	if (r == 0)
		r = finish(&ex, dir, &head);
	tdestroy(ex.pairs, free);
	if (r == 0)
		*out = ex.stats;
	return r;
}
