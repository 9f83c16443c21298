// SPDX-License-Identifier: Apache-2.0
/*
 * artifacts.c - Which files of a commit are results that somebody waits for
 *
 * Both trees are walked side by side, and only into folders that differ, so it
 * costs what has changed.  Folders to be looked at lie on a stack of ours.
 */
#include "vfs/artifacts.h"

#include <sodium.h>
#include <string.h>

#include "vfs/dir.h"
#include "vfs/ignore.h"
#include "vfs/path.h"

#define PATTERNS_BYTES_MAX \
	(VFS_ARTIFACT_PATTERNS_MAX * (VFS_ARTIFACT_PATTERN_BYTES + 1))

/* The matcher of ignored paths, asked the other way round. */
struct vfs_artifacts {
	struct vfs_ignore *rules;
};

/* A folder that differs. */
struct folder {
	char *path;
	struct vfs_oid old, new;
	bool has_old;
};

struct find {
	const struct vfs_artifacts *artifacts;
	struct vfs_repo *repo;
	struct folder *todo;
	size_t n, cap;
	struct jw *out;
	uint64_t found;
	struct err *e;
};

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "artifacts: out of memory");
}

/* --- patterns ----------------------------------------------------------- */

static int add_pattern(struct jw *text, struct jv pattern, struct err *e)
{
	char line[VFS_ARTIFACT_PATTERN_BYTES + 1];
	int n = jv_strcpy(pattern, line, sizeof(line));

	if (n <= 0 || strlen(line) != (size_t)n || strpbrk(line, "\r\n"))
		return err_set(
			e, -FAULT_INVALID_ARGUMENT,
			"artifacts: a pattern is a line of 1 to %d bytes",
			VFS_ARTIFACT_PATTERN_BYTES);
	jw_lit(text, line, (size_t)n);
	jw_lit(text, "\n", 1);
	return 0;
}

static int read_patterns(struct jv patterns, struct jw *text, struct err *e)
{
	unsigned n = 0;

	if (jv_type(patterns) != JV_ARRAY)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "artifacts: a list of patterns is needed");
	for (struct jv p = jv_first(patterns); jv_has(p);
	     p = jv_next(patterns, p)) {
		int r = ++n > VFS_ARTIFACT_PATTERNS_MAX
				? err_set(e, -FAULT_INVALID_ARGUMENT,
					  "artifacts: more than %d patterns",
					  VFS_ARTIFACT_PATTERNS_MAX)
				: add_pattern(text, p, e);

		if (r < 0)
			return r;
	}
	return text->failed ? no_memory(e) : 0;
}

int vfs_artifacts_new(struct jv patterns, struct vfs_artifacts **out,
		      struct err *e)
{
	autojw struct jw text = {0};
	struct vfs_artifacts *a;
	int r = read_patterns(patterns, &text, e);

	_Static_assert(PATTERNS_BYTES_MAX <= VFS_IGNORE_BYTES_MAX,
		       "all patterns are read");
	if (r < 0)
		return r;
	a = calloc(1, sizeof(*a));
	if (a == NULL || vfs_ignore_new(&a->rules) < 0 ||
	    vfs_ignore_enter(a->rules, "", text.len ? text.buf : "", text.len) <
		    0) {
		vfs_artifacts_free(a);
		return no_memory(e);
	}
	*out = a;
	return 0;
}

void vfs_artifacts_free(struct vfs_artifacts *a)
{
	if (a != NULL)
		vfs_ignore_free(a->rules);
	free(a);
}

/* --- one file ----------------------------------------------------------- */

static int hash_data(const void *data, size_t n, void *arg)
{
	return crypto_hash_sha256_update(arg, data, n);
}

static int put_artifact(struct find *f, const char *path,
			const struct vfs_entry *entry, uint64_t size)
{
	unsigned char sum[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(sum) + 1], oid[VFS_OID_HEX];
	crypto_hash_sha256_state state;
	int r;

	crypto_hash_sha256_init(&state);
	r = vfs_browse_read(f->repo, &entry->oid, 0, size, hash_data, &state,
			    f->e);
	if (r < 0)
		return r;
	crypto_hash_sha256_final(&state, sum);
	jw_obj(f->out);
	vfs_path_put(f->out, "name", entry->name, entry->name_len);
	vfs_path_put(f->out, "path", path, strlen(path));
	jw_kstr(f->out, "oid", vfs_oid_format(&entry->oid, oid));
	jw_kint(f->out, "size", (int64_t)size);
	jw_kstr(f->out, "sha256",
		sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum)));
	jw_obj_end(f->out);
	return 0;
}

static int take_file(struct find *f, const char *path,
		     const struct vfs_entry *entry)
{
	uint64_t size;
	int r;

	if (vfs_ignore_ask(f->artifacts->rules, path, false) != VFS_IGNORE_SKIP)
		return 0;
	if (f->found++ >= VFS_ARTIFACTS_MAX)
		return 0;
	r = vfs_browse_size(f->repo, &entry->oid, &size, f->e);
	return r < 0 ? r : put_artifact(f, path, entry, size);
}

/* --- the walk ----------------------------------------------------------- */

/* @path: taken. */
static int push(struct find *f, char *path, const struct vfs_entry *old,
		const struct vfs_entry *new)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 32;
		struct folder *todo = realloc(f->todo, cap * sizeof(todo[0]));

		if (todo == NULL) {
			free(path);
			return no_memory(f->e);
		}
		f->todo = todo;
		f->cap = cap;
	}
	f->todo[f->n] = (struct folder){
		.path = path,
		.new = new->oid,
		.has_old = old != NULL,
	};
	if (old != NULL)
		f->todo[f->n].old = old->oid;
	f->n++;
	return 0;
}

static int take_entry(struct find *f, const char *dir,
		      const struct vfs_entry *old, const struct vfs_entry *new)
{
	autofree char *path = NULL;

	if (old != NULL && (old->mode & S_IFMT) != (new->mode &S_IFMT))
		old = NULL;
	if ((old != NULL && vfs_oid_eq(&old->oid, &new->oid)) ||
	    S_ISLNK(new->mode))
		return 0;
	if (asprintf(&path, "%s%s%s", dir, dir[0] ? "/" : "", new->name) < 0) {
		path = NULL;
		return no_memory(f->e);
	}
	if (strlen(path) > VFS_PATH_MAX)
		return 0;
	if (!S_ISDIR(new->mode))
		return take_file(f, path, new);
	return push(f, take_ptr(path), old, new);
}

static int take_folder(struct find *f, const struct folder *at)
{
	autodir struct vfs_dir old = {0}, new = {0};
	int r = vfs_dir_load(f->repo, &at->new, &new, f->e);

	if (r == 0 && at->has_old)
		r = vfs_dir_load(f->repo, &at->old, &old, f->e);
	for (size_t i = 0; r == 0 && i < new.n; i++) {
		const struct vfs_entry *entry = &new.entries[i];

		r = take_entry(f, at->path,
			       vfs_dir_get(&old, entry->name, entry->name_len),
			       entry);
	}
	return r;
}

static int walk(struct find *f)
{
	int r = 0;

	while (r == 0 && f->n > 0) {
		struct folder at = f->todo[--f->n];

		r = take_folder(f, &at);
		free(at.path);
	}
	return r;
}

/* The folders on top of both commits. */
static int begin(struct find *f, const struct vfs_oid *from,
		 const struct vfs_oid *to)
{
	struct vfs_entry old = {0}, new = {0};
	char *top;
	int r = vfs_browse_root(f->repo, to, &new.oid, f->e);

	if (r == 0 && from != NULL)
		r = vfs_browse_root(f->repo, from, &old.oid, f->e);
	if (r < 0 || (from != NULL && vfs_oid_eq(&old.oid, &new.oid)))
		return r;
	top = strdup("");
	return top ? push(f, top, from ? &old : NULL, &new) : no_memory(f->e);
}

int vfs_artifacts_find(const struct vfs_artifacts *a, struct vfs_repo *repo,
		       const struct vfs_oid *from, const struct vfs_oid *to,
		       struct jw *out, uint64_t *more, struct err *e)
{
	struct find f = {.artifacts = a, .repo = repo, .out = out, .e = e};
	int r;

	jw_arr(out);
	r = begin(&f, from, to);
	if (r == 0)
		r = walk(&f);
	jw_arr_end(out);
	while (f.n > 0)
		free(f.todo[--f.n].path);
	free(f.todo);
	if (r == 0 && out->failed)
		r = no_memory(e);
	if (r == 0)
		*more = f.found > VFS_ARTIFACTS_MAX
				? f.found - VFS_ARTIFACTS_MAX
				: 0;
	return r;
}
