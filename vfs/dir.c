// SPDX-License-Identifier: Apache-2.0
/*
 * dir.c - One folder of a commit, decoded: real names, real permissions
 *
 * A tree of git is sorted, but not as we want it: by stored names, and folders
 * as if their names ended in a slash.  What git can hold and a folder cannot (a
 * name with a slash, a submodule, two names that decode to one) is left out.
 */
#include "vfs/dir.h"

#include <string.h>

#include "vfs/dirmeta.h"
#include "vfs/gitobj.h"
#include "vfs/name.h"
#include "vfs/repo.h"

static uint32_t mode_of(git_filemode_t mode)
{
	switch (mode) {
	case GIT_FILEMODE_TREE:
		return S_IFDIR | 0755;
	case GIT_FILEMODE_BLOB:
		return S_IFREG | 0644;
	case GIT_FILEMODE_BLOB_EXECUTABLE:
		return S_IFREG | 0755;
	case GIT_FILEMODE_LINK:
		return S_IFLNK;
	default:
		return 0;
	}
}

/* What .hib-dir says of an entry of this mode. */
static uint32_t with_permissions(const struct vfs_dirmeta *meta,
				 const char *name, uint32_t mode)
{
	if (S_ISLNK(mode))
		return mode;
	return (mode & S_IFMT) | vfs_dirmeta_mode(meta, name, mode & 07777);
}

/* Decode one entry; its name goes to @names.  Return: whether it shows. */
static bool take_entry(const git_tree_entry *from,
		       const struct vfs_dirmeta *meta, struct vfs_entry *to,
		       char *names)
{
	char name[VFS_NAME_MAX + 1];

	to->mode = mode_of(git_tree_entry_filemode(from));
	if (to->mode == 0 ||
	    vfs_name_load(git_tree_entry_name(from), name) < 0 ||
	    !vfs_entry_is_name(name, strlen(name)))
		return false;
	to->mode = with_permissions(meta, name, to->mode);
	to->oid = vfs_oid_of_git(git_tree_entry_id(from));
	to->name = strcpy(names, name);
	to->name_len = strlen(name);
	return true;
}

static int compare(const void *a, const void *b)
{
	return vfs_entry_order(a, b);
}

static void sort(struct vfs_dir *d)
{
	size_t kept = 0;

	qsort(d->entries, d->n, sizeof(d->entries[0]), compare);
	for (size_t i = 0; i < d->n; i++) {
		if (kept > 0 &&
		    compare(&d->entries[kept - 1], &d->entries[i]) == 0)
			continue;
		d->entries[kept++] = d->entries[i];
	}
	d->n = kept;
}

/* A decoded name is never longer than it was stored. */
static size_t names_size(const git_tree *tree)
{
	size_t bytes = 0;

	for (size_t i = 0; i < git_tree_entrycount(tree); i++)
		bytes += strlen(git_tree_entry_name(
				 git_tree_entry_byindex(tree, i))) +
			 1;
	return bytes;
}

/* Read .hib-dir, if there is one. */
static int load_meta(struct vfs_repo *repo, const git_tree *tree,
		     struct vfs_dirmeta *out, struct err *e)
{
	const git_tree_entry *entry =
		git_tree_entry_byname(tree, VFS_DIRMETA_NAME);
	autogit(blob) *blob = NULL;
	struct vfs_oid oid;
	uint64_t size;
	int r;

	if (entry == NULL)
		return 0;
	oid = vfs_oid_of_git(git_tree_entry_id(entry));
	r = vfs_browse_size(repo, &oid, &size, e);
	if (r < 0 || size > VFS_DIRMETA_MAX)
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "the permissions of a folder are missing");
	r = git_blob_lookup(&blob, vfs_repo_git(repo),
			    git_tree_entry_id(entry));
	if (r < 0)
		return vfs_repo_giterr(e, r, "read a folder");
	return vfs_dirmeta_load(git_blob_rawcontent(blob), size, out, e);
}

static int fill(struct vfs_dir *d, const git_tree *tree,
		const struct vfs_dirmeta *meta, struct err *e)
{
	size_t n = git_tree_entrycount(tree);
	char *names;

	if (n > VFS_DIR_ENTRIES_MAX)
		return err_set(e, -E2BIG, "a folder of %zu entries", n);
	d->mode = with_permissions(meta, ".", S_IFDIR | 0755);
	d->entries = calloc(n + 1, sizeof(d->entries[0]));
	d->names = names = malloc(names_size(tree) + 1);
	if (d->entries == NULL || names == NULL)
		return err_set(e, -ENOMEM, "read a folder: out of memory");
	for (size_t i = 0; i < n; i++) {
		struct vfs_entry *to = &d->entries[d->n];

		if (!take_entry(git_tree_entry_byindex(tree, i), meta, to,
				names))
			continue;
		names += to->name_len + 1;
		d->n++;
	}
	sort(d);
	return 0;
}

int vfs_dir_load(struct vfs_repo *repo, const struct vfs_oid *oid,
		 struct vfs_dir *out, struct err *e)
{
	git_oid id = vfs_oid_to_git(oid);
	autogit(tree) *tree = NULL;
	struct vfs_dirmeta meta = {0};
	autodir struct vfs_dir d = {0};
	int r = git_tree_lookup(&tree, vfs_repo_git(repo), &id);

	if (r < 0)
		return vfs_repo_giterr(e, r, "read a folder");
	r = load_meta(repo, tree, &meta, e);
	if (r == 0)
		r = fill(&d, tree, &meta, e);
	vfs_dirmeta_free(&meta);
	if (r < 0)
		return r;
	*out = d;
	d = (struct vfs_dir){0};
	return 0;
}

void vfs_dir_done(struct vfs_dir *d)
{
	free(d->entries);
	free(d->names);
	*d = (struct vfs_dir){0};
}

const struct vfs_entry *vfs_dir_get(const struct vfs_dir *d, const char *name,
				    size_t n)
{
	const struct vfs_entry key = {.name = name, .name_len = n};

	if (d->n == 0) /* Then there may be no array either. */
		return NULL;
	return bsearch(&key, d->entries, d->n, sizeof(key), compare);
}
