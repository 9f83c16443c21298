// SPDX-License-Identifier: Apache-2.0
/*
 * patch.c - The change of one file as text that `git apply` takes
 *
 * libgit2 compares the bytes; the lines around its hunks are written here, as
 * git(1) writes them, because they tell real names and libgit2 knows only
 * stored ones.
 */
#include "vfs/patch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"
#include "vfs/gitobj.h"
#include "vfs/path.h"
#include "vfs/quote.h"
#include "vfs/repo.h"

static const char null_oid[] = "0000000000000000000000000000000000000000";

/* The mode as git has it. */
static unsigned git_mode(uint32_t mode)
{
	if (S_ISLNK(mode))
		return 0120000;
	return mode & 0100 ? 0100755 : 0100644;
}

static void put(struct jw *w, const char *text)
{
	jw_lit(w, text, strlen(text));
}

static void printf_like(2, 3) putf(struct jw *w, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(w, line);
}

/* "a/" and a name, C-quoted when git would. */
static void put_name(struct jw *w, const char *prefix, const char *name)
{
	char full[VFS_PATH_MAX + 3], quoted[VFS_QUOTED_MAX(sizeof(full))];
	int n = snprintf(full, sizeof(full), "%s%s", prefix, name);

	jw_lit(w, quoted, vfs_quote(full, (size_t)n, quoted));
}

/* --- head --------------------------------------------------------------- */

static void put_modes(struct jw *w, const struct vfs_patch_side *old,
		      const struct vfs_patch_side *new)
{
	if (old->mode == 0)
		putf(w, "new file mode %06o\n", git_mode(new->mode));
	else if (new->mode == 0)
		putf(w, "deleted file mode %06o\n", git_mode(old->mode));
	else if (git_mode(old->mode) != git_mode(new->mode))
		putf(w, "old mode %06o\nnew mode %06o\n", git_mode(old->mode),
		     git_mode(new->mode));
}

static void put_rename(struct jw *w, const char *from, const char *to,
		       unsigned similarity)
{
	if (strcmp(from, to) == 0)
		return;
	putf(w, "similarity index %u%%\nrename from ", similarity);
	put_name(w, "", from);
	put(w, "\nrename to ");
	put_name(w, "", to);
	put(w, "\n");
}

static bool same_content(const struct vfs_patch_side *old,
			 const struct vfs_patch_side *new)
{
	return old->mode != 0 && new->mode != 0 &&
	       strcmp(old->oid, new->oid) == 0;
}

static void put_index(struct jw *w, const struct vfs_patch_side *old,
		      const struct vfs_patch_side *new)
{
	if (same_content(old, new))
		return;
	putf(w, "index %s..%s", old->mode ? old->oid : null_oid,
	     new->mode ? new->oid : null_oid);
	if (old->mode != 0 && new->mode != 0 &&
	    git_mode(old->mode) == git_mode(new->mode))
		putf(w, " %06o", git_mode(new->mode));
	put(w, "\n");
}

/* A name with a blank ends in a tab, so that patch(1) finds its end. */
static void put_file(struct jw *w, const char *sign, const char *prefix,
		     const struct vfs_patch_side *side)
{
	put(w, sign);
	if (side->mode == 0)
		put(w, "/dev/null");
	else
		put_name(w, prefix, side->path);
	put(w, side->mode != 0 && strchr(side->path, ' ') ? "\t\n" : "\n");
}

static void put_head(struct jw *w, const struct vfs_patch_side *old,
		     const struct vfs_patch_side *new, unsigned similarity)
{
	put(w, "diff --git ");
	put_name(w, "a/", old->path);
	put(w, " ");
	put_name(w, "b/", new->path);
	put(w, "\n");
	put_modes(w, old, new);
	put_rename(w, old->path, new->path, similarity);
	put_index(w, old, new);
}

/* --- hunks -------------------------------------------------------------- */

static int put_line(struct jw *w, const git_diff_line *line)
{
	char origin = line->origin;

	/* "\ No newline at end of file", with the line end before it. */
	if (origin == GIT_DIFF_LINE_CONTEXT ||
	    origin == GIT_DIFF_LINE_ADDITION ||
	    origin == GIT_DIFF_LINE_DELETION)
		jw_lit(w, &origin, 1);
	jw_lit(w, line->content, line->content_len);
	return 0;
}

static int put_hunk(struct jw *w, git_patch *patch, size_t i, size_t max)
{
	const git_diff_hunk *hunk;
	const git_diff_line *line;
	size_t n;
	int r = git_patch_get_hunk(&hunk, &n, patch, i);

	if (r < 0)
		return r;
	jw_lit(w, hunk->header, hunk->header_len);
	for (size_t k = 0; r == 0 && k < n && w->len <= max; k++) {
		r = git_patch_get_line_in_hunk(&line, patch, i, k);
		if (r == 0)
			r = put_line(w, line);
	}
	return r;
}

/* Stops when there is too much, which the caller sees. */
static int put_hunks(struct jw *w, git_patch *patch, size_t max)
{
	size_t n = git_patch_num_hunks(patch);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n && w->len <= max; i++)
		r = put_hunk(w, patch, i, max);
	return r;
}

static int compare(const struct vfs_patch_side *old,
		   const struct vfs_patch_side *new, git_patch **out,
		   struct vfs_patch_stats *stats, struct err *e)
{
	git_diff_options o;
	size_t added = 0, deleted = 0;
	int r;

	git_diff_options_init(&o, GIT_DIFF_OPTIONS_VERSION);
	o.flags = GIT_DIFF_INDENT_HEURISTIC;
	o.context_lines = VFS_PATCH_CONTEXT;
	r = git_patch_from_buffers(out, old->data ? old->data : "", old->len,
				   NULL, new->data ? new->data : "", new->len,
				   NULL, &o);
	if (r == 0 && *out != NULL)
		r = git_patch_line_stats(NULL, &added, &deleted, *out);
	if (r < 0)
		return vfs_repo_giterr(e, r, "compare");
	if (*out == NULL)
		return 0; /* Equal. */
	stats->binary |=
		(git_patch_get_delta(*out)->flags & GIT_DIFF_FLAG_BINARY) != 0;
	stats->added += added;
	stats->deleted += deleted;
	return 0;
}

/* One "diff --git"; what is written too much is not undone here. */
static int write_one(const struct vfs_patch_side *old,
		     const struct vfs_patch_side *new, unsigned similarity,
		     size_t max, struct jw *w, struct vfs_patch_stats *stats,
		     struct err *e)
{
	autogit(patch) *patch = NULL;
	int r = same_content(old, new) ? 0
				       : compare(old, new, &patch, stats, e);

	if (r < 0)
		return r;
	if (same_content(old, new) && strcmp(old->path, new->path) == 0 &&
	    git_mode(old->mode) == git_mode(new->mode))
		return 0; /* Permissions that git does not know. */
	put_head(w, old, new, similarity);
	if (patch == NULL || stats->binary || git_patch_num_hunks(patch) == 0)
		return 0;
	put_file(w, "--- ", "a/", old);
	put_file(w, "+++ ", "b/", new);
	if (put_hunks(w, patch, max) < 0)
		return vfs_repo_giterr(e, -1, "compare");
	return 0;
}

int vfs_patch_write(const struct vfs_patch_side *old,
		    const struct vfs_patch_side *new, unsigned similarity,
		    size_t max, struct jw *out, struct vfs_patch_stats *stats,
		    struct err *e)
{
	const struct vfs_patch_side none_old = {.path = old->path},
				    none_new = {.path = new->path};
	const bool other_type = old->mode != 0 && new->mode != 0 &&
				S_ISLNK(old->mode) != S_ISLNK(new->mode);
	autojw struct jw w = {0};
	int r;

	*stats = (struct vfs_patch_stats){0};
	if (!other_type) {
		r = write_one(old, new, similarity, max, &w, stats, e);
	} else {
		r = write_one(old, &none_new, 0, max, &w, stats, e);
		if (r == 0)
			r = write_one(&none_old, new, 0, max, &w, stats, e);
	}
	if (r < 0)
		return r;
	if (w.failed)
		return err_set(e, -ENOMEM, "compare: out of memory");
	if (stats->binary)
		return 0;
	if (w.len > max)
		return -EMSGSIZE;
	if (out != NULL && w.len > 0)
		jw_lit(out, w.buf, w.len);
	return 0;
}
