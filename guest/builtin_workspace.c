// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace.c - The server "workspace": calls and their answers
 *
 *	call --pool--> the tool, the answer as JSON --loop--> told, gone
 *
 * Everything that may take long is done on the pool's thread, but for reading the
 * arguments, which stay in place until the call is answered.
 */
#include "guest/builtin_workspace.h"

#include <string.h>

#include "core/content.h"
#include "guest/checkpoint.h"
#include "guest/fsat.h"
#include "guest/fsserve.h"
#include "guest/guest.h"
#include "guest/session.h"
#include "mcp/proto.h"

#define RESULT_MAX (MCP_LINE_MAX - (64u << 10)) /* With what goes around it. */

static const struct file_tool {
	const char *name;
	int (*run)(struct wstool_call *c);
	bool changes;
} file_tools[] = {
	{"read_file", wstool_read_text_file, false},
	{"read_text_file", wstool_read_text_file, false},
	{"read_media_file", wstool_read_media_file, false},
	{"read_multiple_files", wstool_read_multiple_files, false},
	{"write_file", wstool_write_file, true},
	{"edit_file", wstool_edit_file, true},
	{"create_directory", wstool_create_directory, true},
	{"list_directory", wstool_list_directory, false},
	{"list_directory_with_sizes", wstool_list_directory_with_sizes, false},
	{"directory_tree", wstool_directory_tree, false},
	{"move_file", wstool_move_file, true},
	{"search_files", wstool_search_files, false},
	{"get_file_info", wstool_get_file_info, false},
	{"list_allowed_directories", wstool_list_allowed_directories, false},
};

static const struct file_tool *find_tool(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(file_tools); i++)
		if (strcmp(file_tools[i].name, name) == 0)
			return &file_tools[i];
	return NULL;
}

/*
 * On the pool.
 */

static void put_block(struct jw *w, const struct wstool_call *c,
		      const struct jw *text)
{
	jw_key(w, "content");
	jw_arr(w);
	if (c->item.len > 0 && text != &c->error) {
		jw_raw(w, c->item.buf, c->item.len);
	} else {
		content_text(w, text->buf, text->len);
	}
	jw_arr_end(w);
}

static void write_error(struct wstool_call *c)
{
	struct jw *w = &c->result;

	jw_reset(w);
	jw_obj(w);
	put_block(w, c, &c->error);
	jw_kbool(w, "isError", true);
	jw_obj_end(w);
}

static void write_result(struct wstool_call *c)
{
	struct jw *w = &c->result;

	jw_obj(w);
	put_block(w, c, &c->text);
	jw_key(w, "structuredContent");
	jw_obj(w);
	if (c->item.len > 0) {
		put_block(w, c, &c->text);
	} else {
		jw_key(w, "content");
		jw_strn(w, c->text.buf, c->text.len);
	}
	jw_obj_end(w);
	jw_obj_end(w);
}

static int run(struct wstool_call *c)
{
	struct err e = {0};

	c->fs.root = fsat_root(c->fs.tree->root, &e);
	if (c->fs.root < 0)
		return wstool_fail(c, "%s", e.msg);
	if (c->tool->run(c) < 0)
		return -1;
	if (c->text.failed || c->item.failed)
		return wstool_fail_memory(c);
	write_result(c);
	if (c->result.failed)
		return wstool_fail_memory(c);
	if (c->result.len > RESULT_MAX)
		return wstool_fail(c,
				   "The result has more than %u bytes; ask "
				   "for a part of it",
				   RESULT_MAX);
	return 0;
}

static void work_run(struct fswork *w)
{
	struct wstool_call *c = container_of(w, struct wstool_call, work);

	if (!c->fs.gone && run(c) < 0)
		write_error(c);
	close_fd(&c->fs.root);
}

/*
 * On the loop.
 */

/* What somebody else than the agent in its turn does is not the turn's. */
static void touch(struct wstool_call *c)
{
	struct session *s = c->q->session;

	if (c->tool->changes && c->guest->checkpoints != NULL &&
	    (s == NULL || !session_in_turn(s)))
		checkpoints_touch(c->guest->checkpoints);
}

static void work_done(struct fswork *w)
{
	struct wstool_call *c = container_of(w, struct wstool_call, work);

	touch(c);
	builtin_reply(c->q, c->result.failed || c->result.len == 0
				    ? NULL
				    : c->result.buf);
	jw_done(&c->text);
	jw_done(&c->item);
	jw_done(&c->error);
	jw_done(&c->result);
	jw_done(&c->fs.out);
	free(c);
}

static void on_cancelled(struct builtin_call *q)
{
	struct wstool_call *c = q->data;

	c->fs.gone = true;
}

void wstool_file_tool(struct builtin_call *q)
{
	struct wstool_call *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		builtin_error(q, "out of memory");
		return;
	}
	c->q = q;
	c->guest = session_guest(q->session);
	c->tool = find_tool(q->tool);
	c->deadline = uv_hrtime() + WSTOOL_MS * (uint64_t)1000000;
	c->fs.tree = fsserve_tree(c->guest->files);
	c->fs.root = -1;
	c->fs.in = q->args;
	c->work.run = work_run;
	c->work.done = work_done;
	q->data = c;
	q->cancelled = on_cancelled;
	fspool_submit(fsserve_pool(c->guest->files), &c->work);
}
