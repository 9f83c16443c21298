// SPDX-License-Identifier: Apache-2.0
/*
 * files_relay.c - Contents and changes, from the guest to the client
 *
 * What the guest sends first is a line: what is told of the file, or that it
 * watches.  A client who is slow leaves the window of the guest's stream closed,
 * so that nothing piles up here.  A content that breaks off breaks the client's
 * connection: half a file never looks like a whole one.
 */
#include <stdio.h>
#include <string.h>

#include "core/lines.h"
#include "core/sse.h"
#include "host/daemon/files.h"

#define LINE_MAX_BYTES (64u << 10) /* Of what the guest tells. */

struct relay {
	struct http_req *r;	  /* NULL once the client is gone. */
	struct h2_stream *stream; /* NULL once it has ended. */
	int status;
	bool events;	/* Changes, else a content. */
	bool begun;	/* The answer's head is out. */
	struct jw head; /* The first line, or an error. */
	struct lines lines;
	size_t owed; /* Bytes that the client has not taken. */
};

static void relay_free(struct relay *y)
{
	if (y->r != NULL || y->stream != NULL)
		return;
	jw_done(&y->head);
	lines_done(&y->lines);
	free(y);
}

/* The client's side is over. */
static struct http_req *take_request(struct relay *y)
{
	struct http_req *r = take_ptr(y->r);

	if (r != NULL)
		http_on_end(r, NULL, NULL);
	return r;
}

static void relay_on_gone(struct http_req *r, void *arg)
{
	struct relay *y = arg;

	(void)r;
	y->r = NULL;
	if (y->stream != NULL)
		h2_reset(y->stream);
	relay_free(y);
}

static void relay_on_drained(struct http_req *r, void *arg)
{
	struct relay *y = arg;
	size_t n = y->owed;

	(void)r;
	y->owed = 0;
	if (y->stream != NULL && n > 0)
		h2_consume(y->stream, n);
}

/* --- refusals ----------------------------------------------------------- */

static void read_error(const struct relay *y, int r, struct err *e)
{
	autojson struct json j = {0};

	if (r < 0)
		err_set(e, -FAULT_GUEST_UNREACHABLE,
			"the channel to the guest broke: %s", strerror(-r));
	else if (y->status != 200 && y->head.len > 0 &&
		 json_parse(&j, y->head.buf, y->head.len, NULL) == 0)
		(void)err_read(e, json_root(&j));
	else
		err_set(e, -FAULT_BAD_FRAME, "the guest answered %d",
			y->status);
}

static void refuse(struct relay *y, int why)
{
	struct http_req *r = take_request(y);
	struct err e = {0};

	if (r == NULL)
		return;
	read_error(y, why, &e);
	http_reply_err(r, &e);
}

/* --- a content ---------------------------------------------------------- */

static bool begin_content(struct relay *y)
{
	autojson struct json j = {0};

	if (json_parse(&j, y->head.buf, y->head.len, NULL) < 0 ||
	    !jv_is(json_root(&j), JV_OBJECT)) {
		h2_reset(y->stream);
		return false;
	}
	files_put_headers(y->r, y->head.buf);
	http_stream_begin(y->r, 200, "application/octet-stream",
			  relay_on_drained, y);
	y->begun = true;
	return true;
}

/* What is the first line's, and then the content. */
static void take_content(struct relay *y, const char *data, size_t n)
{
	const char *nl;
	size_t line;

	if (y->begun) {
		http_stream_write(y->r, data, n);
		return;
	}
	nl = memchr(data, '\n', n);
	line = nl != NULL ? (size_t)(nl - data) : n;
	if (y->head.len + line > LINE_MAX_BYTES) {
		h2_reset(y->stream);
		return;
	}
	jw_lit(&y->head, data, line);
	if (nl != NULL && begin_content(y))
		http_stream_write(y->r, nl + 1, n - line - 1);
}

/* --- changes ------------------------------------------------------------ */

static void put_event(struct relay *y, const char *name, const char *data,
		      size_t n)
{
	autojw struct jw w = {0};

	sse_write(&w, -1, name, data, n);
	if (!w.failed)
		http_stream_write(y->r, w.buf, w.len);
}

static int take_line(char *line, size_t n, void *arg)
{
	struct relay *y = arg;
	autojson struct json j = {0};
	const char *name = "change";

	if (json_parse(&j, line, n, NULL) < 0)
		return -EPROTO;
	if (jv_eq(jv_get(json_root(&j), "type"), "overflow"))
		name = "overflow";
	if (!y->begun) {
		http_stream_begin(y->r, 200, "text/event-stream",
				  relay_on_drained, y);
		y->begun = true;
		name = "open";
	}
	put_event(y, name, line, n);
	return 0;
}

/* --- the guest's stream ------------------------------------------------- */

static void relay_on_head(struct h2_stream *s, int status, void *arg)
{
	struct relay *y = arg;

	(void)s;
	y->status = status;
}

static void relay_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct relay *y = arg;

	y->owed += n;
	if (y->r == NULL)
		return;
	if (y->status != 200 && y->head.len + n <= FILES_ERROR_MAX)
		jw_lit(&y->head, data, n);
	else if (y->status == 200 && !y->events)
		take_content(y, data, n);
	else if (y->status == 200 &&
		 lines_feed(&y->lines, data, n, take_line, y) < 0)
		h2_reset(s);
	if (!y->begun || http_stream_queued(y->r) < FILES_QUEUE_MAX)
		relay_on_drained(y->r, y);
}

/* All is there. */
static void relay_on_fin(struct h2_stream *s, void *arg)
{
	struct relay *y = arg;
	struct http_req *r;

	(void)s;
	if (y->r == NULL)
		return;
	if (!y->begun) {
		refuse(y, 0);
		return;
	}
	if (y->events)
		put_event(y, "end", "{\"reason\":\"deleted\"}", 20);
	r = take_request(y);
	http_stream_end(r);
}

static void relay_on_end(struct h2_stream *s, int r, void *arg)
{
	struct relay *y = arg;
	struct http_req *req;

	(void)s;
	y->stream = NULL;
	if (y->r != NULL && !y->begun) {
		refuse(y, r < 0 ? r : -EPROTO);
	} else if (y->r != NULL && y->events) {
		put_event(y, "end", "{\"reason\":\"vm\"}", 15);
		req = take_request(y);
		http_stream_end(req);
	} else if (y->r != NULL) {
		req = take_request(y);
		http_stream_abort(req);
	}
	relay_free(y);
}

static const struct h2_stream_events relay_events = {
	.head = relay_on_head,
	.data = relay_on_data,
	.fin = relay_on_fin,
	.end = relay_on_end,
};

static void relay(struct op *op, const char *name, bool events)
{
	struct vm *vm = vm_find(op->d, op->vm);
	struct relay *y = calloc(1, sizeof(*y));

	if (op->r == NULL || y == NULL || op->params.failed) {
		free(y);
		op_refuse(op, -ENOMEM, "files: out of memory");
		return;
	}
	y->events = events;
	lines_init(&y->lines, LINE_MAX_BYTES);
	y->stream =
		link_files_stream(vm ? vm_link(vm) : NULL, name, op->params.buf,
				  op->params.len, false, &relay_events, y);
	if (y->stream == NULL) {
		relay_free(y);
		op_refuse(op, -FAULT_GUEST_UNREACHABLE,
			  "the channel to the guest is down");
		return;
	}
	y->r = op->r;
	op->r = NULL;
	op_reply_empty(op);
	http_on_end(y->r, relay_on_gone, y);
}

void files_relay_content(struct op *op)
{
	relay(op, "read", false);
}

void files_relay_changes(struct op *op)
{
	relay(op, "watch", true);
}
