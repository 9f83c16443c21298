// SPDX-License-Identifier: Apache-2.0
/*
 * steps.c - What to do to the files of a workspace so that some paths are as in
 * another commit
 */
#include "host/daemon/steps.h"

#include <assert.h>
#include <string.h>

#include "vfs/dir.h"

#define FOLDER_OPEN 0700u /* What its owner needs to change what is in it. */

struct compare {
	struct vfs_repo *repo;
	struct steps *out;
	char path[VFS_PATH_MAX + 1]; /* Of the entry at hand. */
	size_t len;
	bool removes; /* It, and what is above it, up to some folder. */
	struct err *e;
};

void steps_done(struct steps *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].path);
	free(s->v);
	*s = (struct steps){0};
}

static int grow(struct steps *s)
{
	size_t cap = s->cap > 0 ? 2 * s->cap : 64;
	struct step *v = reallocarray(s->v, cap, sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	s->v = v;
	s->cap = cap;
	return 0;
}

/* For k->path. */
static int add(struct compare *k, enum step_kind kind, uint32_t mode,
	       const struct vfs_oid *oid)
{
	struct steps *s = k->out;
	struct step step = {.kind = kind, .mode = mode & 07777};

	if (s->n == STEPS_MAX)
		return err_set(k->e, -FAULT_MESSAGE_TOO_LARGE,
			       "restore: more than %u files differ", STEPS_MAX);
	if (oid != NULL)
		step.oid = *oid;
	step.path = strdup(k->path);
	if (step.path == NULL || (s->n == s->cap && grow(s) < 0)) {
		free(step.path);
		return err_set(k->e, -ENOMEM, "restore: out of memory");
	}
	s->v[s->n++] = step;
	return 0;
}

static int compare(struct compare *k, const struct vfs_entry *has,
		   const struct vfs_entry *wanted);

/* An entry of the folder k->path.  Either may be NULL. */
static int compare_child(struct compare *k, const struct vfs_entry *has,
			 const struct vfs_entry *wanted)
{
	const struct vfs_entry *any = wanted != NULL ? wanted : has;
	size_t before = k->len, n;
	int r;

	assert(any != NULL);
	n = any->name_len;
	if (before + 1 + n > VFS_PATH_MAX)
		return err_set(k->e, -FAULT_STORE_CORRUPT,
			       "%.100s/%.100s is too long", k->path, any->name);
	k->path[before] = '/';
	memcpy(k->path + before + 1, any->name, n);
	k->len = before + 1 + n;
	k->path[k->len] = '\0';
	r = compare(k, has, wanted);
	k->len = before;
	k->path[before] = '\0';
	return r;
}

/* Both are sorted. */
static int compare_children(struct compare *k, const struct vfs_dir *has,
			    const struct vfs_dir *wanted)
{
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < has->n || j < wanted->n)) {
		const struct vfs_entry *a =
			i < has->n ? &has->entries[i] : NULL;
		const struct vfs_entry *b =
			j < wanted->n ? &wanted->entries[j] : NULL;
		int order = a == NULL	? 1
			    : b == NULL ? -1
					: vfs_entry_order(a, b);

		i += order <= 0;
		j += order >= 0;
		r = compare_child(k, order <= 0 ? a : NULL,
				  order >= 0 ? b : NULL);
	}
	return r;
}

/* What is in two folders, the first of which may be NULL. */
static int compare_inside(struct compare *k, const struct vfs_entry *has,
			  const struct vfs_entry *wanted)
{
	autodir struct vfs_dir a = {0}, b = {0};
	int r = 0;

	if (has != NULL)
		r = vfs_dir_load(k->repo, &has->oid, &a, k->e);
	if (r == 0)
		r = vfs_dir_load(k->repo, &wanted->oid, &b, k->e);
	return r == 0 ? compare_children(k, &a, &b) : r;
}

/* Its permissions come last: what is in it must be changed before. */
static int compare_folders(struct compare *k, const struct vfs_entry *has,
			   const struct vfs_entry *wanted)
{
	bool alike = has != NULL && vfs_oid_eq(&has->oid, &wanted->oid);
	uint32_t mode = (has != NULL ? has->mode : wanted->mode) & 07777;
	int r = 0;

	if (!alike && (has == NULL || (mode & FOLDER_OPEN) != FOLDER_OPEN)) {
		mode |= FOLDER_OPEN;
		r = add(k, has == NULL ? STEP_FOLDER : STEP_MODE, mode, NULL);
	}
	if (r == 0 && !alike)
		r = compare_inside(k, has, wanted);
	if (r == 0 && (wanted->mode & 07777) != mode)
		r = add(k, STEP_MODE, wanted->mode, NULL);
	return r;
}

/* A folder to be removed: what is in it can be, in folders that are closed. */
static int open_inside(struct compare *k, const struct vfs_entry *has)
{
	autodir struct vfs_dir d = {0};
	int r = 0;

	if ((has->mode & FOLDER_OPEN) != FOLDER_OPEN)
		r = add(k, STEP_MODE, has->mode | FOLDER_OPEN, NULL);
	if (r == 0)
		r = vfs_dir_load(k->repo, &has->oid, &d, k->e);
	for (size_t i = 0; r == 0 && i < d.n; i++)
		if (S_ISDIR(d.entries[i].mode))
			r = compare_child(k, &d.entries[i], NULL);
	return r;
}

static int remove_all(struct compare *k, const struct vfs_entry *has)
{
	bool outer = !k->removes;
	int r = 0;

	k->removes = true;
	if (S_ISDIR(has->mode))
		r = open_inside(k, has);
	if (outer) {
		k->removes = false;
		r = r == 0 ? add(k, STEP_REMOVE, 0, NULL) : r;
	}
	return r;
}

/* The entry whose path is k->path. */
static int compare(struct compare *k, const struct vfs_entry *has,
		   const struct vfs_entry *wanted)
{
	bool same = has != NULL && wanted != NULL &&
		    (has->mode & S_IFMT) == (wanted->mode & S_IFMT);

	assert(has != NULL || wanted != NULL);
	if (wanted == NULL)
		return remove_all(k, has);
	if (has != NULL && !same &&
	    (S_ISDIR(has->mode) || S_ISDIR(wanted->mode)) &&
	    remove_all(k, has) < 0)
		return k->e->code;
	if (S_ISDIR(wanted->mode))
		return compare_folders(k, same ? has : NULL, wanted);
	if (!same || !vfs_oid_eq(&has->oid, &wanted->oid))
		return add(k, S_ISLNK(wanted->mode) ? STEP_LINK : STEP_FILE,
			   wanted->mode, &wanted->oid);
	if (has->mode != wanted->mode)
		return add(k, STEP_MODE, wanted->mode, NULL);
	return 0;
}

/* What is at k->path in a commit, which may be NULL.  Return: 1; 0: nothing. */
static int find(struct compare *k, const struct vfs_oid *commit,
		struct vfs_entry *out)
{
	struct err e = {0};
	int r = commit == NULL
			? -FAULT_FILE_NOT_FOUND
			: vfs_browse_find(k->repo, commit, k->path, out, &e);

	if (r == 0)
		return 1;
	if (r == -FAULT_FILE_NOT_FOUND)
		return 0;
	*k->e = e;
	return r;
}

/* Is k->path made already, for another path? */
static bool is_made(const struct compare *k)
{
	const struct step *s;

	for (s = k->out->v; s < k->out->v + k->out->n; s++)
		if (s->kind == STEP_FOLDER && strcmp(s->path, k->path) == 0)
			return true;
	return false;
}

/* A folder above a path: @wanted has it.  What is in it is left alone. */
static int make_above(struct compare *k, const struct vfs_oid *has,
		      const struct vfs_entry *wanted)
{
	struct vfs_entry old;
	int r = find(k, has, &old);

	if (r < 0 || (r > 0 && S_ISDIR(old.mode)) || is_made(k))
		return r < 0 ? r : 0;
	if (r > 0 && add(k, STEP_REMOVE, 0, NULL) < 0)
		return k->e->code;
	return add(k, STEP_FOLDER, wanted->mode, NULL);
}

/* All folders above @path that the wanted commit has. */
static int make_all_above(struct compare *k, const struct vfs_oid *has,
			  const struct vfs_oid *wanted, const char *path)
{
	const char *slash = path;
	struct vfs_entry entry;
	int r = 1;

	while (r > 0 && (slash = strchr(slash, '/')) != NULL) {
		k->len = (size_t)(slash++ - path);
		memcpy(k->path, path, k->len);
		k->path[k->len] = '\0';
		r = find(k, wanted, &entry);
		if (r > 0 && !S_ISDIR(entry.mode))
			r = 0;
		if (r > 0 && make_above(k, has, &entry) < 0)
			r = k->e->code;
	}
	return r < 0 ? r : 0;
}

static int compare_path(struct compare *k, const struct vfs_oid *has,
			const struct vfs_oid *wanted, const char *path)
{
	struct vfs_entry a, b;
	int has_a, has_b, r = make_all_above(k, has, wanted, path);

	if (r < 0)
		return r;
	k->len = strlen(path);
	memcpy(k->path, path, k->len + 1);
	has_a = find(k, has, &a);
	has_b = has_a < 0 ? has_a : find(k, wanted, &b);
	if (has_b < 0)
		return has_b;
	if (has_a == 0 && has_b == 0)
		return err_set(k->e, -FAULT_FILE_NOT_FOUND,
			       "/%.128s: no such file, here or there", path);
	return compare(k, has_a ? &a : NULL, has_b ? &b : NULL);
}

int steps_find(const struct retake *t, struct vfs_repo *repo,
	       const struct vfs_oid *has, const struct vfs_oid *wanted,
	       struct steps *out, struct err *e)
{
	struct compare k = {.repo = repo, .out = out, .e = e};
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++)
		r = compare_path(&k, has, wanted, t->paths[i]);
	return r;
}
