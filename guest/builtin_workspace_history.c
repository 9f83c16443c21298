// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace_history.c - The server "workspace": commits
 *
 *	call --checkpoint--> what is there is committed --host--> answer
 *
 * The guest has no git: what two commits differ in is asked of the host, and so
 * is a restore, which the host then makes through the files API.
 */
#include <string.h>

#include "core/base64.h"
#include "core/content.h"
#include "guest/builtin_workspace.h"
#include "guest/checkpoint.h"
#include "guest/guest.h"
#include "guest/hostcall.h"
#include "guest/limits.h"
#include "guest/session.h"
#include "guest/workspace.h"
#include "mcp/proto.h"
#include "vfs/path.h"

struct history {
	struct checkpoint c;
	struct guest *guest;
	struct builtin_call *q;
	char from[VFS_OID_HEX]; /* Of this turn; or "". */
	void (*next)(struct history *h);
};

static void history_free(struct history *h)
{
	checkpoint_done(&h->c);
	free(h);
}

static void history_fail(struct history *h, const struct err *e)
{
	builtin_fault(h->q, e);
	history_free(h);
}

static void history_on_committed(struct checkpoint *c, const struct err *e)
{
	struct history *h = container_of(c, struct history, c);

	if (e != NULL)
		history_fail(h, e);
	else
		h->next(h);
}

/* Commit what is there, then @next. */
static void begin(struct builtin_call *q, void (*next)(struct history *h))
{
	struct guest *g = session_guest(q->session);
	struct history *h = calloc(1, sizeof(*h));
	struct vfs_oid from;

	if (h == NULL || g->checkpoints == NULL ||
	    !workspace_is_mounted(g->workspace)) {
		free(h);
		builtin_error(q, "this VM keeps no commits of its workspace");
		return;
	}
	h->guest = g;
	h->q = q;
	h->next = next;
	if (session_turn_from(q->session, &from))
		(void)vfs_oid_format(&from, h->from);
	h->c.reason = "request";
	h->c.wait_ms = WORKSPACE_HOST_MS;
	h->c.done = history_on_committed;
	checkpoint_start(g->checkpoints, &h->c);
}

/*
 * checkpoint
 */

static void reply_commit(struct history *h)
{
	autojw struct jw w = {0};
	char hex[VFS_OID_HEX];

	jw_obj(&w);
	jw_kstr(&w, "commit",
		h->c.head.has ? vfs_oid_format(&h->c.head.oid, hex) : NULL);
	jw_kbool(&w, "changed", h->c.changed);
	jw_obj_end(&w);
	builtin_reply_value(h->q, w.failed ? NULL : w.buf);
	history_free(h);
}

void wstool_checkpoint_tool(struct builtin_call *q)
{
	begin(q, reply_commit);
}

/*
 * diff
 */

static void put(struct jw *w, const char *text)
{
	jw_lit(w, text, strlen(text));
}

/* The patch of a file, or that there is none. */
static void put_row(struct jw *w, struct jv row)
{
	struct jv b64 = jv_get(row, "patch_b64");
	size_t len = 0;
	autofree char *patch =
		jv_strdup(jv_has(b64) ? b64 : jv_get(row, "patch"), &len);
	autofree char *path = jv_strdup(jv_get(row, "path"), NULL);
	autofree char *kind = jv_strdup(jv_get(row, "kind"), NULL);

	if (patch != NULL && jv_has(b64) && base64_read(patch, &len) < 0)
		len = 0;
	if (patch != NULL) {
		jw_lit(w, patch, len);
		return;
	}
	put(w, kind != NULL ? kind : "change");
	put(w, " ");
	put(w, path != NULL ? path : "");
	put(w, jv_bool(jv_get(row, "binary"), false)
		       ? " (no text)\n"
		       : " (too long to be shown, or only its mode)\n");
}

static void put_patch(struct jw *w, struct jv answer)
{
	struct jv files = jv_get(answer, "files");

	for (struct jv it = jv_first(files); jv_has(it);
	     it = jv_next(files, it))
		put_row(w, it);
	if (jv_bool(jv_get(answer, "truncated"), false))
		put(w, "...and more files than are shown\n");
	if (w->len == 0)
		put(w, "No changes\n");
}

static void write_patch(struct jw *w, const struct jw *patch)
{
	jw_obj(w);
	jw_key(w, "content");
	jw_arr(w);
	content_text(w, patch->buf, patch->len);
	jw_arr_end(w);
	jw_key(w, "structuredContent");
	jw_obj(w);
	jw_key(w, "content");
	jw_strn(w, patch->buf, patch->len);
	jw_obj_end(w);
	jw_obj_end(w);
}

static void diff_on_answer(const struct err *e, const char *answer, size_t len,
			   void *arg)
{
	autojw struct jw patch = {0}, w = {0};
	autojson struct json j = {0};
	struct history *h = arg;
	struct err bad = *e;

	if (bad.code == 0 && json_parse(&j, answer, len, &bad) < 0)
		bad.code = -FAULT_BAD_FRAME;
	if (bad.code < 0) {
		history_fail(h, &bad);
		return;
	}
	put_patch(&patch, json_root(&j));
	write_patch(&w, &patch);
	if (w.len > MCP_LINE_MAX / 2)
		builtin_error(h->q, "The diff is too long to be shown");
	else
		builtin_reply(h->q, w.failed || patch.failed ? NULL : w.buf);
	history_free(h);
}

static void ask(struct history *h, const char *path, const struct jw *body,
		hostcall_cb done)
{
	struct err e = {0};

	if (hostcall_post(h->guest, path, body, done, h) == 0)
		return;
	err_set(&e, -ENOMEM, "%s: out of memory", path);
	history_fail(h, &e);
}

/* HEAD~1 when nothing is known of a turn: what the last commit has changed. */
static void ask_diff(struct history *h)
{
	struct jv from = jv_get(h->q->args, "from");
	struct jv to = jv_get(h->q->args, "to");
	autojw struct jw body = {0};

	jw_obj(&body);
	if (jv_has(from) && !jv_is(from, JV_NULL))
		jw_kvalue(&body, "from", from);
	else
		jw_kstr(&body, "from", h->from[0] ? h->from : "HEAD~1");
	if (jv_has(to) && !jv_is(to, JV_NULL))
		jw_kvalue(&body, "to", to);
	jw_obj_end(&body);
	ask(h, "/diff", &body, diff_on_answer);
}

void wstool_diff_tool(struct builtin_call *q)
{
	begin(q, ask_diff);
}

/*
 * restore
 */

static void restore_on_answer(const struct err *e, const char *answer,
			      size_t len, void *arg)
{
	struct history *h = arg;

	(void)len;
	if (e->code < 0) {
		history_fail(h, e);
		return;
	}
	builtin_reply_value(h->q, answer);
	history_free(h);
}

/* Paths as the other tools take them: below the root, absolute or not. */
static int put_paths(struct history *h, struct jw *w, struct err *e)
{
	struct jv paths = jv_get(h->q->args, "paths");
	const char *root = h->guest->opt->workspace;
	size_t n = strlen(root);

	jw_key(w, "paths");
	jw_arr(w);
	for (struct jv it = jv_first(paths); jv_has(it);
	     it = jv_next(paths, it)) {
		autofree char *text = jv_strdup(it, NULL);
		struct vfs_path p;

		if (text == NULL)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "a path is no string");
		if (text[0] == '/' &&
		    (strncmp(text, root, n) != 0 || text[n] != '/'))
			return err_set(e, -FAULT_PATH_ESCAPE,
				       "%.128s is not in %s", text, root);
		if (vfs_path_read(&p, text, strlen(text), e) < 0)
			return e->code;
		jw_strn(w, p.text, p.len);
	}
	jw_arr_end(w);
	return 0;
}

static void ask_restore(struct history *h)
{
	autojw struct jw body = {0};
	struct err e = {0};

	jw_obj(&body);
	jw_kvalue(&body, "to", jv_get(h->q->args, "to"));
	if (put_paths(h, &body, &e) < 0) {
		jw_done(&body);
		history_fail(h, &e);
		return;
	}
	jw_obj_end(&body);
	ask(h, "/restore", &body, restore_on_answer);
}

void wstool_restore_tool(struct builtin_call *q)
{
	begin(q, ask_restore);
}
