// SPDX-License-Identifier: Apache-2.0
/*
 * diff.c - What changed between two commits, as git tells it
 *
 * libgit2 compares the trees and finds renames; our own .hib-dir files are kept
 * from it and compared here, since they hold permissions and empty folders.
 * Both give rows, which are sorted by their real paths; for the first of them
 * modes are looked up in the decoded folders, and patches made.
 */
#include "vfs/diff.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/utf8.h"
#include "vfs/dir.h"
#include "vfs/gitobj.h"
#include "vfs/name.h"
#include "vfs/patch.h"
#include "vfs/repo.h"

struct row {
	char *path;
	char *old_path; /* Of a rename; else NULL. */
	git_oid old, new;
	bool has_old, has_new; /* A file or link; neither: only modes. */
	unsigned similarity;
};

/* Folders of one commit; the last one used is kept. */
struct side {
	bool there;
	struct vfs_oid root;
	char *at; /* Path of @dir; NULL: none is loaded. */
	struct vfs_dir dir;
};

struct diff {
	struct vfs_repo *repo;
	struct side old, new;
	struct row *rows;
	size_t n, cap;
	char **metas; /* Stored paths of folders whose .hib-dir changed. */
	size_t n_metas, cap_metas;
	uint64_t n_more; /* Changes beyond VFS_DIFF_CHANGES_MAX. */
	uint64_t bytes;	 /* Compared so far. */
	size_t text;	 /* Of patches so far. */
	struct jw *out;
	struct err *e;
};

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "compare: out of memory");
}

/* --- folders ------------------------------------------------------------ */

/* Load a folder of one side.  Return: 1; 0 when there is none; an error. */
static int load_folder(struct diff *d, struct side *s, const char *path)
{
	struct vfs_entry entry;
	int r;

	if (!s->there)
		return 0;
	if (s->at != NULL && strcmp(s->at, path) == 0)
		return 1;
	vfs_dir_done(&s->dir);
	free(s->at);
	s->at = NULL;
	r = vfs_browse_find(d->repo, &s->root, path, &entry, d->e);
	if (r == -FAULT_FILE_NOT_FOUND || (r == 0 && !S_ISDIR(entry.mode)))
		return 0;
	if (r == 0)
		r = vfs_dir_load(d->repo, &entry.oid, &s->dir, d->e);
	if (r < 0)
		return r;
	s->at = strdup(path);
	return s->at ? 1 : no_memory(d->e);
}

/* What a path is.  Return: 0 (mode 0: nothing is there) or an error. */
static int look(struct diff *d, struct side *s, const char *path,
		struct vfs_entry *out)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	autofree char *folder =
		strndup(path, slash ? (size_t)(slash - path) : 0);
	const struct vfs_entry *entry;
	int r;

	*out = (struct vfs_entry){0};
	if (folder == NULL)
		return no_memory(d->e);
	r = load_folder(d, s, folder);
	if (r <= 0)
		return r;
	entry = vfs_dir_get(&s->dir, name, strlen(name));
	if (entry != NULL)
		*out = *entry;
	return 0;
}

/* --- rows --------------------------------------------------------------- */

/* The real path of a stored one.  Return: 0; -ENOENT: it is no file's. */
static int load_path(const char *stored, char out[VFS_PATH_MAX + 1])
{
	char name[VFS_NAME_MAX + 1], part[VFS_STORED_MAX];
	size_t len = 0;

	for (;;) {
		size_t n = strcspn(stored, "/");

		if (n >= sizeof(part))
			return -ENOENT;
		memcpy(part, stored, n);
		part[n] = '\0';
		if (vfs_name_load(part, name) < 0 ||
		    len + strlen(name) + 1 > VFS_PATH_MAX)
			return -ENOENT;
		len += (size_t)sprintf(out + len, "%s%s", len ? "/" : "", name);
		if (stored[n] == '\0')
			return 0;
		stored += n + 1;
	}
}

static struct row *add_row(struct diff *d, const char *path)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 64;
		struct row *rows = realloc(d->rows, cap * sizeof(rows[0]));

		if (rows == NULL)
			return NULL;
		d->rows = rows;
		d->cap = cap;
	}
	d->rows[d->n] = (struct row){.path = strdup(path)};
	return d->rows[d->n].path ? &d->rows[d->n++] : NULL;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int take_delta(struct diff *d, const git_diff_delta *delta)
{
	bool added = delta->status == GIT_DELTA_ADDED;
	bool renamed = delta->status == GIT_DELTA_RENAMED;
	char path[VFS_PATH_MAX + 1];
	struct row *row;

	if (load_path(added || renamed ? delta->new_file.path
				       : delta->old_file.path,
		      path) < 0)
		return 0;
	row = add_row(d, path);
	if (row == NULL)
		return no_memory(d->e);
	row->has_old = !added;
	row->has_new = delta->status != GIT_DELTA_DELETED;
	row->old = delta->old_file.id;
	row->new = delta->new_file.id;
	if (!renamed)
		return 0;
	row->similarity = delta->similarity;
	if (load_path(delta->old_file.path, path) < 0)
		strcpy(path, "");
	row->old_path = strdup(path);
	return row->old_path ? 0 : no_memory(d->e);
}

/* --- what libgit2 finds ------------------------------------------------- */

static int keep_meta(struct diff *d, const char *path, size_t n)
{
	if (d->n_metas == d->cap_metas) {
		size_t cap = d->cap_metas ? 2 * d->cap_metas : 64;
		char **metas = realloc(d->metas, cap * sizeof(metas[0]));

		if (metas == NULL)
			return -1;
		d->metas = metas;
		d->cap_metas = cap;
	}
	d->metas[d->n_metas] = strndup(path, n);
	return d->metas[d->n_metas] ? (int)++d->n_metas : -1;
}

/* Return: 0 to keep the change, 1 to drop it. */
static int on_change(const git_diff *so_far, const git_diff_delta *delta,
		     const char *pathspec, void *arg)
{
	const char *path = delta->status == GIT_DELTA_ADDED
				   ? delta->new_file.path
				   : delta->old_file.path;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct diff *d = arg;

	(void)pathspec;
	if (delta->old_file.mode == GIT_FILEMODE_COMMIT ||
	    delta->new_file.mode == GIT_FILEMODE_COMMIT)
		return 1;
	if (strcmp(name, VFS_DIRMETA_NAME) == 0)
		return d->n_metas >= VFS_DIFF_CHANGES_MAX ||
				       keep_meta(d, path,
						 slash ? (size_t)(slash - path)
						       : 0) > 0
			       ? 1
			       : -1;
	if (git_diff_num_deltas(so_far) < VFS_DIFF_CHANGES_MAX)
		return 0;
	d->n_more++;
	return 1;
}

static int lookup_tree(struct diff *d, const struct side *s, git_tree **out)
{
	git_oid id = vfs_oid_to_git(&s->root);
	int r = s->there ? git_tree_lookup(out, vfs_repo_git(d->repo), &id) : 0;

	if (r < 0)
		return vfs_repo_giterr(d->e, r, "compare");
	return 0;
}

/* Bytes of all files that came or went; errors count as too many. */
static uint64_t candidate_bytes(struct diff *d, git_diff *diff)
{
	uint64_t sum = 0, size;

	for (size_t i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *delta = git_diff_get_delta(diff, i);
		struct vfs_oid oid = vfs_oid_of_git(
			delta->status == GIT_DELTA_ADDED ? &delta->new_file.id
							 : &delta->old_file.id);

		if (delta->status != GIT_DELTA_ADDED &&
		    delta->status != GIT_DELTA_DELETED)
			continue;
		if (vfs_browse_size(d->repo, &oid, &size, NULL) < 0)
			return UINT64_MAX;
		sum += size;
	}
	return sum;
}

static int find_renames(struct diff *d, git_diff *diff)
{
	git_diff_find_options o;
	uint64_t pairs =
		(uint64_t)git_diff_num_deltas_of_type(diff, GIT_DELTA_ADDED) *
		git_diff_num_deltas_of_type(diff, GIT_DELTA_DELETED);
	int r;

	if (pairs == 0 || pairs > VFS_DIFF_EXACT_MAX || d->n_more > 0)
		return 0;
	git_diff_find_options_init(&o, GIT_DIFF_FIND_OPTIONS_VERSION);
	o.flags = GIT_DIFF_FIND_RENAMES;
	o.rename_limit = git_diff_num_deltas(diff);
	if (pairs > VFS_DIFF_PAIRS_MAX ||
	    candidate_bytes(d, diff) > VFS_DIFF_SIMILAR_MAX)
		o.flags |= GIT_DIFF_FIND_EXACT_MATCH_ONLY;
	r = git_diff_find_similar(diff, &o);
	if (r < 0)
		return vfs_repo_giterr(d->e, r, "compare");
	return 0;
}

static int compare_trees(struct diff *d)
{
	autogit(tree) *old = NULL, *new = NULL;
	autogit(diff) *diff = NULL;
	git_diff_options o;
	int r = lookup_tree(d, &d->old, &old);

	if (r == 0)
		r = lookup_tree(d, &d->new, &new);
	if (r < 0)
		return r;
	git_diff_options_init(&o, GIT_DIFF_OPTIONS_VERSION);
	o.flags = GIT_DIFF_INCLUDE_TYPECHANGE;
	o.notify_cb = on_change;
	o.payload = d;
	r = git_diff_tree_to_tree(&diff, vfs_repo_git(d->repo), old, new, &o);
	if (r < 0)
		return vfs_repo_giterr(d->e, r, "compare");
	r = find_renames(d, diff);
	for (size_t i = 0; r == 0 && i < git_diff_num_deltas(diff); i++)
		r = take_delta(d, git_diff_get_delta(diff, i));
	return r;
}

/* --- what .hib-dir files tell ------------------------------------------- */

/* The permissions of something that is on both sides are not the same. */
static int take_modes(struct diff *d, const char *path,
		      const struct vfs_entry *old, const struct vfs_entry *new)
{
	struct row *row;

	if (old->mode == new->mode || ((old->mode ^ new->mode) & S_IFMT) != 0)
		return 0;
	row = add_row(d, path);
	if (row == NULL)
		return no_memory(d->e);
	row->has_old = row->has_new = !S_ISDIR(new->mode);
	row->old = vfs_oid_to_git(&old->oid);
	row->new = vfs_oid_to_git(&new->oid);
	return 0;
}

/* A folder without files is on one side alone. */
static int take_empty(struct diff *d, struct side *s, const char *path)
{
	int r = load_folder(d, s, path);

	if (r <= 0 || s->dir.n > 0)
		return r < 0 ? r : 0;
	return add_row(d, path) ? 0 : no_memory(d->e);
}

static int take_path(struct diff *d, const char *path)
{
	struct vfs_entry old, new;
	int r = look(d, &d->old, path, &old);

	if (r == 0)
		r = look(d, &d->new, path, &new);
	if (r < 0)
		return r;
	if (old.mode != 0 && new.mode != 0)
		return take_modes(d, path, &old, &new);
	if (S_ISDIR(old.mode))
		return take_empty(d, &d->old, path);
	return S_ISDIR(new.mode) ? take_empty(d, &d->new, path) : 0;
}

static int take_children(struct diff *d, const char *path)
{
	autodir struct vfs_dir dir = {0};
	int r = load_folder(d, &d->new, path);

	/* Taken over: what follows loads others. */
	dir = d->new.dir;
	d->new.dir = (struct vfs_dir){0};
	free(d->new.at);
	d->new.at = NULL;
	for (size_t i = 0; r >= 0 && i < dir.n; i++) {
		autofree char *child = NULL;

		if (asprintf(&child, "%s%s%s", path, path[0] ? "/" : "",
			     dir.entries[i].name) < 0)
			return no_memory(d->e);
		if (strlen(child) <= VFS_PATH_MAX)
			r = take_path(d, child);
	}
	return r < 0 ? r : 0;
}

static int compare_metas(struct diff *d)
{
	char path[VFS_PATH_MAX + 1] = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->n_metas; i++) {
		if (d->metas[i][0] == '\0')
			path[0] = '\0';
		else if (load_path(d->metas[i], path) < 0)
			continue;
		if (path[0] != '\0')
			r = take_path(d, path);
		if (r == 0)
			r = take_children(d, path);
	}
	return r;
}

/* Sort; a file whose content and permissions changed was found twice. */
static void sort_rows(struct diff *d)
{
	size_t kept = 0;

	if (d->n > 0)
		qsort(d->rows, d->n, sizeof(d->rows[0]), compare_rows);
	for (size_t i = 0; i < d->n; i++) {
		if (kept == 0 ||
		    compare_rows(&d->rows[kept - 1], &d->rows[i]) != 0) {
			d->rows[kept++] = d->rows[i];
			continue;
		}
		free(d->rows[i].path);
		free(d->rows[i].old_path);
	}
	d->n = kept;
}

/* --- changes ------------------------------------------------------------ */

/* One row with all that is known of it; borrows from @row. */
struct change {
	struct vfs_diff_change is;
	struct vfs_oid old, new;
	unsigned similarity;
};

static enum vfs_diff_kind kind_of(const struct vfs_diff_change *c)
{
	if (c->old_path != NULL)
		return VFS_DIFF_RENAME;
	if (c->old_mode == 0)
		return VFS_DIFF_ADD;
	return c->mode == 0 ? VFS_DIFF_DELETE : VFS_DIFF_MODIFY;
}

/* A file's row is of files: a folder in its place has rows of its own. */
static int describe(struct diff *d, const struct row *row, struct change *out)
{
	bool file = row->has_old || row->has_new;
	struct vfs_entry was, is;
	int r = look(d, &d->old, row->old_path ? row->old_path : row->path,
		     &was);

	if (r == 0)
		r = look(d, &d->new, row->path, &is);
	if (r < 0)
		return r;
	*out = (struct change){
		.old = vfs_oid_of_git(&row->old),
		.new = vfs_oid_of_git(&row->new),
		.similarity = row->similarity,
		.is.path = row->path,
		.is.old_path = row->old_path,
		.is.old = row->has_old ? &out->old : NULL,
		.is.new = row->has_new ? &out->new : NULL,
		.is.old_mode = file && !row->has_old ? 0 : was.mode,
		.is.mode = file && !row->has_new ? 0 : is.mode,
	};
	out->is.kind = kind_of(&out->is);
	return 0;
}

/* --- patches ------------------------------------------------------------ */

static int append(const void *data, size_t n, void *arg)
{
	jw_lit(arg, data, n);
	return 0;
}

/* Read one state of a file, if there is one, into @text. */
static int read_side(struct diff *d, const struct vfs_oid *oid,
		     struct vfs_patch_side *side, struct jw *text)
{
	int r;

	if (oid == NULL)
		return 0;
	r = vfs_browse_read(d->repo, oid, 0, UINT64_MAX, append, text, d->e);
	if (r == 0 && text->failed)
		r = no_memory(d->e);
	vfs_oid_format(oid, side->oid);
	side->data = text->buf;
	side->len = text->len;
	return r;
}

/* Is it too large to be compared?  Its bytes are counted. */
static int is_large(struct diff *d, const struct vfs_diff_change *c, bool *out)
{
	uint64_t old = 0, new = 0;
	int r = 0;

	if (c->old != NULL)
		r = vfs_browse_size(d->repo, c->old, &old, d->e);
	if (r == 0 && c->new != NULL)
		r = vfs_browse_size(d->repo, c->new, &new, d->e);
	*out = old > VFS_DIFF_FILE_MAX || new > VFS_DIFF_FILE_MAX ||
	       d->bytes + old + new > VFS_DIFF_BYTES_MAX;
	if (!*out)
		d->bytes += old + new;
	return r;
}

static bool is_utf8(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + n;
	size_t len = 1;

	while (p < end && len > 0) {
		len = utf8_len(p, end);
		p += len;
	}
	return p == end;
}

/* Add the patch, unless there is no room left for it. */
static bool put_patch(struct diff *d, const struct jw *patch)
{
	bool text = is_utf8(patch->buf, patch->len);
	autojw struct jw value = {0};

	if (text)
		jw_strn(&value, patch->buf, patch->len);
	else
		base64_write(&value, patch->buf, patch->len);
	if (value.failed || d->text + value.len > VFS_DIFF_PATCHES_MAX)
		return false;
	d->text += value.len;
	jw_key(d->out, text ? "patch" : "patch_b64");
	jw_raw(d->out, value.buf, value.len);
	return true;
}

static void put_counts(struct jw *w, const struct vfs_patch_stats *stats)
{
	if (stats->binary)
		jw_kbool(w, "binary", true);
	jw_kint(w, "added", (int64_t)stats->added);
	jw_kint(w, "deleted", (int64_t)stats->deleted);
}

static int put_content(struct diff *d, const struct change *c)
{
	struct vfs_patch_side old = {.path = c->is.old_path ? c->is.old_path
							    : c->is.path,
				     .mode = c->is.old_mode};
	struct vfs_patch_side new = {.path = c->is.path, .mode = c->is.mode};
	autojw struct jw before = {0}, after = {0}, patch = {0};
	struct vfs_patch_stats stats = {0};
	bool large = false;
	int r = is_large(d, &c->is, &large);

	if (r == 0 && !large)
		r = read_side(d, c->is.old, &old, &before);
	if (r == 0 && !large)
		r = read_side(d, c->is.new, &new, &after);
	if (r < 0)
		return r;
	r = large ? -EMSGSIZE
		  : vfs_patch_write(&old, &new, c->similarity,
				    VFS_DIFF_PATCH_MAX, &patch, &stats, d->e);
	if (r < 0 && r != -EMSGSIZE)
		return r;
	put_counts(d->out, &stats);
	if (r < 0 || (patch.len > 0 && !put_patch(d, &patch)))
		jw_kbool(d->out, "truncated", true);
	return 0;
}

/* --- output ------------------------------------------------------------- */

static void put_oid(struct jw *w, const char *key, const struct vfs_oid *oid)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, key, oid ? vfs_oid_format(oid, hex) : NULL);
}

static void put_mode(struct jw *w, const char *key, uint32_t mode)
{
	char text[16];

	snprintf(text, sizeof(text), "%06o", mode);
	jw_kstr(w, key, text);
}

static int put_row(struct diff *d, const struct row *row)
{
	struct change c;
	int r = describe(d, row, &c);

	if (r < 0)
		return r;
	jw_obj(d->out);
	vfs_path_put(d->out, "path", row->path, strlen(row->path));
	jw_kstr(d->out, "kind", vfs_diff_kind_name(c.is.kind));
	if (row->old_path != NULL)
		vfs_path_put(d->out, "old_path", row->old_path,
			     strlen(row->old_path));
	put_oid(d->out, "old", c.is.old);
	put_oid(d->out, "new", c.is.new);
	if (c.is.old_mode != 0 && c.is.old_mode != c.is.mode)
		put_mode(d->out, "old_mode", c.is.old_mode);
	if (c.is.mode != 0)
		put_mode(d->out, "mode", c.is.mode);
	if (c.is.old != NULL || c.is.new != NULL)
		r = put_content(d, &c);
	else
		put_counts(d->out, &(struct vfs_patch_stats){0});
	jw_obj_end(d->out);
	return r;
}

static int put_rows(struct diff *d, struct vfs_diff_stats *out)
{
	size_t begin = d->out->len, i;
	int r = 0;

	jw_arr(d->out);
	for (i = 0; r == 0 && i < d->n && i < VFS_DIFF_FILES_MAX &&
		    d->out->len - begin - d->text < VFS_DIFF_ROWS_MAX;
	     i++)
		r = put_row(d, &d->rows[i]);
	jw_arr_end(d->out);
	if (r == 0 && d->out->failed)
		r = no_memory(d->e);
	*out = (struct vfs_diff_stats){
		.n_files = d->n + d->n_more,
		.truncated = d->n + d->n_more > i,
	};
	return r;
}

static void done(struct diff *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->rows[i].path);
		free(d->rows[i].old_path);
	}
	free(d->rows);
	for (size_t i = 0; i < d->n_metas; i++)
		free(d->metas[i]);
	free(d->metas);
	vfs_dir_done(&d->old.dir);
	vfs_dir_done(&d->new.dir);
	free(d->old.at);
	free(d->new.at);
}

/* Find all that changed; what comes after a failure is still done(). */
static int begin(struct diff *d, const struct vfs_oid *from,
		 const struct vfs_oid *to)
{
	int r = 0;

	d->old.there = from != NULL;
	d->new.there = true;
	if (from != NULL)
		r = vfs_browse_root(d->repo, from, &d->old.root, d->e);
	if (r == 0)
		r = vfs_browse_root(d->repo, to, &d->new.root, d->e);
	if (r == 0)
		r = compare_trees(d);
	if (r == 0)
		r = compare_metas(d);
	if (r == 0)
		sort_rows(d);
	return r;
}

const char *vfs_diff_kind_name(enum vfs_diff_kind kind)
{
	static const char *const names[] = {
		[VFS_DIFF_ADD] = "add",
		[VFS_DIFF_MODIFY] = "modify",
		[VFS_DIFF_DELETE] = "delete",
		[VFS_DIFF_RENAME] = "rename",
	};

	return names[kind];
}

int vfs_diff_each(struct vfs_repo *repo, const struct vfs_oid *from,
		  const struct vfs_oid *to, vfs_diff_cb cb, void *arg,
		  struct vfs_diff_stats *out, struct err *e)
{
	struct diff d = {.repo = repo, .e = e};
	int r = begin(&d, from, to);

	for (size_t i = 0; r == 0 && i < d.n; i++) {
		struct change c;

		r = describe(&d, &d.rows[i], &c);
		if (r == 0)
			r = cb(&c.is, arg);
	}
	*out = (struct vfs_diff_stats){
		.n_files = d.n + d.n_more,
		.truncated = d.n_more > 0,
	};
	done(&d);
	return r;
}

int vfs_diff(struct vfs_repo *repo, const struct vfs_oid *from,
	     const struct vfs_oid *to, struct vfs_diff_stats *out,
	     struct jw *files, struct err *e)
{
	struct diff d = {.repo = repo, .out = files, .e = e};
	int r = begin(&d, from, to);

	if (r == 0)
		r = put_rows(&d, out);
	done(&d);
	return r;
}
