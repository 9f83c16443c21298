// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_live.c - Files of a VM as they are now, by hibd
 *
 * What comes from a VM is not trusted: a path that is none, or is not where it
 * should be, ends the reading.
 */
#include "host/files/workspace_live.h"

#include <stdio.h>
#include <string.h>

#define PAGE 10000 /* Entries asked for at a time. */

static int fail(const struct hib_error *he, struct err *e)
{
	return err_set(e, -he->code, "%s", he->message);
}

static int strange(struct err *e)
{
	return err_set(e, -FAULT_BAD_FRAME, "the VM's answer makes no sense");
}

/* --- does it run? ------------------------------------------------------- */

/* A handle that starts no daemon. */
static struct hib *open_quietly(struct cli *c)
{
	struct hib_options o = {
		.size = sizeof(o),
		.home = c->home.root,
		.token = getenv("HIB_TOKEN"),
		.no_autostart = true,
		.attempts = 1,
	};
	struct hib_error e;
	struct hib *h = NULL;

	if (hib_open(&o, &h, &e) < 0)
		return NULL;
	if (hib_health(h, NULL, &e) == 0)
		return h;
	hib_close(h);
	return NULL;
}

bool workspace_is_live(struct workspace *ws)
{
	struct cli *c = ws->cli;
	autofree char *row = NULL;
	autojson struct json j = {0};

	if (c->hib == NULL)
		c->hib = open_quietly(c);
	return c->hib != NULL && hib_vm_get(c->hib, ws->vm, &row, NULL) == 0 &&
	       json_parse(&j, row, strlen(row), NULL) == 0 &&
	       jv_eq(jv_get(json_root(&j), "state"), "running");
}

/* --- entries ------------------------------------------------------------ */

static int take_entry(struct jv row, struct live_entry *en, struct err *e)
{
	struct jv type = jv_get(row, "type"), path = jv_get(row, "path");
	char mode[16], text[8];
	const char *slash;

	*en = (struct live_entry){.row = row};
	/* The root's own path is empty. */
	if (jv_strcpy(path, text, sizeof(text)) != 0 &&
	    vfs_path_get(&en->path, row, "path", e) < 0)
		return strange(e);
	if (jv_strcpy(jv_get(row, "mode"), mode, sizeof(mode)) <= 0)
		return strange(e);
	en->entry.mode = (uint32_t)strtoul(mode, NULL, 8);
	if (jv_eq(type, "dir") != S_ISDIR(en->entry.mode) ||
	    jv_eq(type, "link") != S_ISLNK(en->entry.mode))
		return strange(e);
	en->entry.size = (uint64_t)jv_int(jv_get(row, "size"), 0);
	slash = strrchr(en->path.text, '/');
	en->entry.name = slash != NULL ? slash + 1 : en->path.text;
	en->entry.name_len = strlen(en->entry.name);
	return 0;
}

int workspace_live_stat(struct cli *c, const char *vm, const char *path,
			const char *at, struct live_entry *en, struct json *j,
			char **text, struct err *e)
{
	struct hib_error he;

	if (hib_stat_file(c->hib, vm, path[0] ? path : "/", at, text, &he) < 0)
		return fail(&he, e);
	if (json_parse(j, *text, strlen(*text), e) < 0)
		return e->code;
	return take_entry(json_root(j), en, e);
}

static bool is_below(const struct vfs_path *p, const char *folder)
{
	size_t n = strlen(folder);

	return p->len > n && strncmp(p->text, folder, n) == 0 &&
	       (n == 0 || p->text[n] == '/');
}

/* One page.  @after: of it, then of the next; empty when that was the last. */
static int walk_page(struct jv page, const char *path, struct vfs_path *after,
		     live_entry_cb cb, void *arg, struct err *e)
{
	struct jv list = jv_get(page, "entries");
	int r = 0;

	after->len = 0;
	for (struct jv v = jv_first(list); r == 0 && jv_has(v);
	     v = jv_next(list, v)) {
		struct live_entry en;

		r = take_entry(v, &en, e);
		if (r < 0)
			return r;
		if (!is_below(&en.path, path))
			return strange(e);
		r = cb(&en, arg);
	}
	if (r == 0 && jv_bool(jv_get(page, "truncated"), false))
		r = vfs_path_get(after, page, "next", e);
	return r;
}

int workspace_live_walk(struct cli *c, const char *vm, const char *path,
			const char *at, unsigned depth, live_entry_cb cb,
			void *arg, struct err *e)
{
	struct hib_files_options o = {
		.size = sizeof(o), .at = at, .depth = depth, .limit = PAGE};
	struct vfs_path after = {0};
	int r = 0;

	do {
		autofree char *text = NULL;
		autojson struct json j = {0};
		struct hib_error he;

		o.after = after.len > 0 ? after.text : NULL;
		if (hib_list_files(c->hib, vm, path[0] ? path : "/", &o, &text,
				   &he) < 0)
			return fail(&he, e);
		if (json_parse(&j, text, strlen(text), e) < 0)
			return e->code;
		r = walk_page(json_root(&j), path, &after, cb, arg, e);
	} while (r == 0 && after.len > 0);
	return r;
}

/* --- as a source -------------------------------------------------------- */

int workspace_live_row(struct workspace *ws, const char *path, struct jw *w,
		       struct err *e)
{
	autofree char *text = NULL;
	struct hib_error he;

	if (hib_stat_file(ws->cli->hib, ws->vm, path[0] ? path : "/", NULL,
			  &text, &he) < 0)
		return fail(&he, e);
	jw_lit(w, text, strlen(text));
	return 0;
}

static int live_stat(struct workspace *ws, const char *path,
		     struct vfs_entry *out, struct err *e)
{
	autofree char *text = NULL;
	autojson struct json j = {0};
	struct live_entry en;
	const char *slash = strrchr(path, '/');
	int r = workspace_live_stat(ws->cli, ws->vm, path, NULL, &en, &j, &text,
				    e);

	if (r < 0)
		return r;
	*out = en.entry;
	out->name = slash != NULL ? slash + 1 : path;
	out->name_len = strlen(out->name);
	return 0;
}

struct listing {
	vfs_entry_cb cb;
	void *arg;
};

static int list_entry(const struct live_entry *en, void *arg)
{
	struct listing *l = arg;

	return l->cb(&en->entry, l->arg);
}

static int live_list(struct workspace *ws, const char *path, vfs_entry_cb cb,
		     void *arg, struct err *e)
{
	struct listing l = {cb, arg};

	return workspace_live_walk(ws->cli, ws->vm, path, NULL, 1, list_entry,
				   &l, e);
}

struct reading {
	vfs_data_cb cb;
	void *arg;
	int r;
};

static int read_bytes(const char *data, size_t n, void *arg)
{
	struct reading *r = arg;

	r->r = r->cb(data, n, r->arg);
	return r->r;
}

static int read_link(struct workspace *ws, const char *path, vfs_data_cb cb,
		     void *arg, struct err *e)
{
	autofree char *text = NULL, *target = NULL;
	autojson struct json j = {0};
	struct live_entry en;
	int r = workspace_live_stat(ws->cli, ws->vm, path, NULL, &en, &j, &text,
				    e);

	if (r < 0)
		return r;
	target = jv_strdup(jv_get(en.row, "target"), NULL);
	return target != NULL ? cb(target, strlen(target), arg) : strange(e);
}

static int live_read(struct workspace *ws, const char *path,
		     const struct vfs_entry *entry, vfs_data_cb cb, void *arg,
		     struct err *e)
{
	struct reading r = {cb, arg, 0};
	struct hib_error he;

	if (S_ISLNK(entry->mode))
		return read_link(ws, path, cb, arg, e);
	if (hib_read_file(ws->cli->hib, ws->vm, path, NULL, read_bytes, &r,
			  NULL, &he) == 0)
		return 0;
	return r.r != 0 ? r.r : fail(&he, e);
}

const struct workspace_source workspace_live = {
	.stat = live_stat,
	.list = live_list,
	.read = live_read,
};
