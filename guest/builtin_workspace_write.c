// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace_write.c - The server "workspace": changes
 *
 * Files appear whole, by fswrite.h.  Folders above a new file are not made, so
 * that a mistyped path is told and not followed.
 */
#include <fcntl.h>
#include <string.h>

#include "guest/builtin_workspace.h"
#include "guest/fsat.h"
#include "guest/fswrite.h"
#include "guest/linediff.h"
#include "guest/textedit.h"
#include "vfs/path.h"

static int say(struct wstool_call *c, const char *what, struct jv path)
{
	autofree char *name = jv_strdup(path, NULL);

	jw_lit(&c->text, what, strlen(what));
	if (name != NULL)
		jw_lit(&c->text, name, strlen(name));
	return 0;
}

/* Does the folder exist that a file is to be made in? */
static int check_parent(struct wstool_call *c, const struct wstool_path *p,
			const char *syscall)
{
	struct err e = {0};
	const char *name;
	autoclose int dir = fsat_parent(c->fs.root, p->at, false, &name, &e);

	return dir < 0 ? wstool_fail_err(c, &e, syscall, p->at) : 0;
}

/*
 * Contents.
 */

static bool is_folder(struct wstool_call *c, const struct wstool_path *p)
{
	autoclose int fd = fsat_resolve(c->fs.root, p->at, O_PATH);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int put(struct wstool_call *c, const struct wstool_path *p,
	       const char *data, size_t len, struct err *e)
{
	const struct fswrite_spec spec = {
		.path = p->at, .mode = -1, .offset = -1};
	struct fswrite *w = NULL;
	int r = fswrite_begin(c->fs.tree, c->fs.root, &spec, &w, e);

	if (r == 0)
		r = fswrite_feed(w, data, len, e);
	if (r == 0)
		r = fswrite_commit(w, &c->fs.out, e);
	fswrite_free(w);
	return r;
}

static int write_text(struct wstool_call *c, const struct wstool_path *p,
		      const char *data, size_t len)
{
	struct err e = {0};

	if (is_folder(c, p))
		return wstool_fail_errno(c, EISDIR, "open", p->at);
	if (!p->exists && check_parent(c, p, "open") < 0)
		return -1;
	if (put(c, p, data, len, &e) < 0)
		return wstool_fail_err(c, &e, "open", p->at);
	return 0;
}

int wstool_write_file(struct wstool_call *c)
{
	struct jv path = jv_get(c->fs.in, "path");
	struct wstool_path p;
	autofree char *data = NULL;
	size_t len;

	if (wstool_find(c, path, &p) < 0)
		return -1;
	data = jv_strdup(jv_get(c->fs.in, "content"), &len);
	if (data == NULL)
		return wstool_fail(c, "content is no string");
	if (write_text(c, &p, data, len) < 0)
		return -1;
	return say(c, "Successfully wrote to ", path);
}

/*
 * Edits.
 */

static void text_done(struct text *t)
{
	free(t->s);
}
#define autotext cleanup(text_done)

static int take_text(struct wstool_call *c, struct jv v, struct text *out)
{
	out->s = jv_strdup(v, &out->len);
	if (out->s == NULL)
		return wstool_fail(c, "an edit has oldText and newText, "
				      "which are strings");
	textedit_line_ends(out);
	return 0;
}

static int edit_one(struct wstool_call *c, struct text *t, struct jv edit)
{
	autotext struct text old = {0}, new = {0};
	autofree char *shown = NULL;
	int r;

	if (take_text(c, jv_get(edit, "oldText"), &old) < 0 ||
	    take_text(c, jv_get(edit, "newText"), &new) < 0)
		return -1;
	r = textedit_replace(t, &old, &new);
	if (r == 0 && t->len <= WSTOOL_TEXT_MAX)
		return 0;
	if (r == 0)
		return wstool_fail(c,
				   "The file would have more than %u "
				   "bytes",
				   WSTOOL_TEXT_MAX);
	if (r == -ENOMEM)
		return wstool_fail_memory(c);
	shown = jv_strdup(jv_get(edit, "oldText"), NULL);
	return wstool_fail(c, "Could not find exact match for edit:\n%s",
			   shown != NULL ? shown : "");
}

static int edit_all(struct wstool_call *c, struct text *t)
{
	struct jv edits = jv_get(c->fs.in, "edits");
	int r = 0;

	for (struct jv it = jv_first(edits);
	     r == 0 && jv_has(it) && !c->fs.gone; it = jv_next(edits, it))
		r = edit_one(c, t, it);
	return r;
}

/* The longest row of backticks. */
static size_t longest_fence(const char *s, size_t n)
{
	size_t longest = 0, row = 0;

	for (size_t i = 0; i < n; i++) {
		row = s[i] == '`' ? row + 1 : 0;
		longest = row > longest ? row : longest;
	}
	return longest;
}

static void put_fence(struct jw *w, size_t n)
{
	while (n-- > 0)
		jw_lit(w, "`", 1);
}

/* The change, in a fence that nothing in it closes. */
static int put_diff(struct wstool_call *c, const struct wstool_path *p,
		    const struct text *old, const struct text *new)
{
	autojw struct jw diff = {0}, name = {0};
	size_t fence;

	jw_lit(&name, c->fs.tree->root, strlen(c->fs.tree->root));
	jw_lit(&name, "/", 1);
	jw_lit(&name, p->at, strlen(p->at));
	if (name.failed || linediff_write(name.buf, old->s, old->len, new->s,
					  new->len, &diff) < 0)
		return wstool_fail_memory(c);
	fence = longest_fence(diff.buf, diff.len) + 1;
	fence = fence < 3 ? 3 : fence;
	put_fence(&c->text, fence);
	jw_lit(&c->text, "diff\n", 5);
	jw_lit(&c->text, diff.buf, diff.len);
	put_fence(&c->text, fence);
	jw_lit(&c->text, "\n\n", 2);
	return 0;
}

int wstool_edit_file(struct wstool_call *c)
{
	bool dry_run = jv_bool(jv_get(c->fs.in, "dryRun"), false);
	autotext struct text old = {0}, new = {0};
	struct wstool_path p;

	if (wstool_find(c, jv_get(c->fs.in, "path"), &p) < 0)
		return -1;
	old.s = wstool_read(c, &p, &old.len);
	if (old.s == NULL)
		return -1;
	textedit_line_ends(&old);
	new.s = malloc(old.len + 1);
	if (new.s == NULL)
		return wstool_fail_memory(c);
	memcpy(new.s, old.s, old.len + 1);
	new.len = old.len;
	if (edit_all(c, &new) < 0 || put_diff(c, &p, &old, &new) < 0)
		return -1;
	return dry_run ? 0 : write_text(c, &p, new.s, new.len);
}

/*
 * Names.
 */

static int change(struct wstool_call *c,
		  int (*run)(struct fscall *c, struct err *e),
		  struct jw *params, struct err *e)
{
	autojson struct json j = {0};
	struct jv in = c->fs.in;
	int r;

	jw_obj_end(params);
	if (params->failed || json_parse(&j, params->buf, params->len, e) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	c->fs.in = json_root(&j);
	r = run(&c->fs, e);
	c->fs.in = in;
	return r;
}

int wstool_create_directory(struct wstool_call *c)
{
	struct jv path = jv_get(c->fs.in, "path");
	autojw struct jw w = {0};
	struct wstool_path p;
	struct err e = {0};

	if (wstool_find(c, path, &p) < 0)
		return -1;
	if (p.exists && !is_folder(c, &p))
		return wstool_fail_errno(c, EEXIST, "mkdir", p.at);
	jw_obj(&w);
	vfs_path_put(&w, "path", p.at[0] != '\0' ? p.at : "/",
		     p.at[0] != '\0' ? strlen(p.at) : 1);
	jw_kbool(&w, "parents", true);
	if (change(c, fs_mkdir, &w, &e) < 0)
		return wstool_fail_err(c, &e, "mkdir", p.at);
	return say(c, "Successfully created directory ", path);
}

static int fail_move(struct wstool_call *c, int error, const char *from,
		     const char *to)
{
	const char *root = c->fs.tree->root;

	return wstool_fail(c, "%s: %s, rename '%s/%s' -> '%s/%s'",
			   error == ENOENT ? "ENOENT" : "EACCES",
			   error == ENOENT ? "no such file or directory"
					   : "permission denied",
			   root, from, root, to);
}

int wstool_move_file(struct wstool_call *c)
{
	struct jv source = jv_get(c->fs.in, "source");
	struct jv destination = jv_get(c->fs.in, "destination");
	struct wstool_path from, to;
	autojw struct jw w = {0};
	struct err e = {0};

	if (wstool_find(c, source, &from) < 0 ||
	    wstool_find(c, destination, &to) < 0)
		return -1;
	if (to.exists)
		return wstool_fail(c, "Destination already exists: %s/%s",
				   c->fs.tree->root, to.at);
	if (!from.exists || check_parent(c, &to, "rename") < 0)
		return fail_move(c, ENOENT, from.at, to.at);
	jw_obj(&w);
	vfs_path_put(&w, "from", from.at, strlen(from.at));
	vfs_path_put(&w, "to", to.at, strlen(to.at));
	if (change(c, fs_move, &w, &e) < 0) {
		if (e.code == -FAULT_FORBIDDEN)
			return fail_move(c, EACCES, from.at, to.at);
		return wstool_fail_err(c, &e, "rename", from.at);
	}
	say(c, "Successfully moved ", source);
	return say(c, " to ", destination);
}
