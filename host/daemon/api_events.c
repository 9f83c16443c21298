// SPDX-License-Identifier: Apache-2.0
/*
 * api_events.c - Reading logs: pages, streams, views, exports
 *
 * A long answer is sent page by page, each when the one before has left for
 * the client, so a slow reader holds one page of memory and nobody's time.
 */
#include <stdio.h>
#include <string.h>

#include "core/messages_filter.h"
#include "host/daemon/routes.h"
#include "host/transfer.h"
#include "host/views.h"

#define PAGE_EVENTS 512
#define PAGE_BYTES  (512u << 10)

/* --- query -------------------------------------------------------------- */

bool op_query_number(struct op *op, const char *name, int64_t *out)
{
	const char *text = http_query(op->r, name);
	char *end;
	long long n;

	if (text == NULL)
		return true;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && n >= 0) {
		*out = n;
		return true;
	}
	op_refuse(op, -FAULT_INVALID_ARGUMENT, "%s '%.40s' is no number", name,
		  text);
	return false;
}

static bool read_query(struct op *op, struct event_query *q)
{
	const char *order = http_query(op->r, "order");
	int64_t limit = 0;

	*q = (struct event_query){
		.session = op->session,
		.turn = http_query(op->r, "turn"),
		.types = http_query(op->r, "types"),
		.exclude = http_query(op->r, "exclude"),
		.descending = order != NULL && strcmp(order, "desc") == 0,
	};
	if (!op_query_number(op, "since", &q->since) ||
	    !op_query_number(op, "limit", &limit) ||
	    !op_query_number(op, "from", &q->from_ms) ||
	    !op_query_number(op, "to", &q->to_ms))
		return false;
	q->limit = limit > READER_PAGE_MAX ? READER_PAGE_MAX : (unsigned)limit;
	return true;
}

/* --- one page as an object ---------------------------------------------- */

/* Lines to array elements: every line end but the last becomes a comma. */
static void put_lines(struct jw *w, struct jw *lines)
{
	jw_arr(w);
	if (lines->len > 0) {
		for (size_t i = 0; i + 1 < lines->len; i++) {
			if (lines->buf[i] == '\n')
				lines->buf[i] = ',';
		}
		jw_raw(w, lines->buf, lines->len - 1);
	}
	jw_arr_end(w);
}

static void events_page(struct op *op, const struct event_query *q)
{
	autojw struct jw lines = {0};
	struct event_page page = {.out = &lines};
	struct session_brief b;
	struct err e = {0};
	struct jw *w = &op->out;

	if (reader_events(op->d->reader, q, &page, &e) < 0 ||
	    reader_session(op->d->reader, op->session, &b, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_obj(w);
	jw_key(w, "events");
	put_lines(w, &lines);
	jw_kint(w, "next_since", page.next_since);
	jw_kbool(w, "has_more", page.has_more);
	jw_kint(w, "last_seq", b.last_seq);
	jw_kint(w, "through_seq", b.last_seq);
	jw_kbool(w, "tail_complete",
		 views_tail_complete(op->d->reader, op->session));
	jw_obj_end(w);
	op_reply_out(op);
}

/* --- lines, streamed ---------------------------------------------------- */

struct lines_out {
	struct op *op;
	struct event_query q;
	char *turn, *types, *exclude; /* The query's own copies. */
	unsigned left;		      /* Events yet to send; 0: all. */
	struct jw buf;
};

static void lines_on_end(struct http_req *r, void *arg)
{
	struct lines_out *o = arg;

	(void)r;
	o->op->r = NULL;
	op_reply_empty(o->op); /* Frees it. */
	jw_done(&o->buf);
	free(o->turn);
	free(o->types);
	free(o->exclude);
	free(o);
}

static void lines_page(struct http_req *r, void *arg)
{
	struct lines_out *o = arg;
	struct event_page page = {.out = &o->buf};
	unsigned asked = o->left;

	if (o->q.descending && o->q.limit == 0)
		o->q.limit = READER_PAGE_EVENTS;
	o->q.limit = asked && asked < PAGE_EVENTS ? asked : PAGE_EVENTS;
	o->q.max_bytes = PAGE_BYTES;
	if (reader_events(o->op->d->reader, &o->q, &page, NULL) < 0) {
		http_stream_abort(r);
		return;
	}
	o->q.since = page.next_since;
	if (asked > 0)
		o->left -= page.count;
	http_stream_write(r, o->buf.buf, o->buf.len);
	jw_reset(&o->buf);
	if (!page.has_more || (asked > 0 && o->left == 0))
		http_stream_end(r);
	else if (page.count == 0)
		lines_page(r, o); /* All of the page was filtered away. */
}

static void events_lines(struct op *op, const struct event_query *q)
{
	struct lines_out *o;
	struct event_page page = {0};
	autojw struct jw probe = {0};
	struct event_query first = *q;
	struct err e = {0};

	/* The head goes out before the first page: refuse what can be. */
	first.limit = 1;
	page.out = &probe;
	if (reader_events(op->d->reader, &first, &page, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL) {
		op_refuse(op, -ENOMEM, "events: out of memory");
		return;
	}
	o->op = op;
	o->q = *q;
	o->left = q->limit;
	o->q.session = op->session;
	o->q.turn = o->turn = q->turn ? strdup(q->turn) : NULL;
	o->q.types = o->types = q->types ? strdup(q->types) : NULL;
	o->q.exclude = o->exclude = q->exclude ? strdup(q->exclude) : NULL;
	http_on_end(op->r, lines_on_end, o);
	http_stream_begin(op->r, 200, "application/x-ndjson", lines_page, o);
	lines_page(op->r, o);
}

/* --- routes ------------------------------------------------------------- */

static void subscribe(struct op *op)
{
	struct http_req *r = op->r;
	const char *last = http_header(r, "Last-Event-ID");
	struct hub *hub = op->d->hub;
	char session[ID_MAX];
	int64_t since = 0;

	if (http_query(r, "since") == NULL && last != NULL)
		since = strtoll(last, NULL, 10);
	else if (!op_query_number(op, "since", &since))
		return;
	memcpy(session, op->session, sizeof(session));
	op->r = NULL;
	op_reply_empty(op);
	hub_subscribe(hub, r, session, since);
}

void session_stream_route(struct op *op)
{
	if (op_load_session(op))
		subscribe(op);
}

void session_events_route(struct op *op)
{
	const char *accept = http_header(op->r, "Accept");
	struct event_query q;

	if (!op_load_session(op))
		return;
	if (accept != NULL && strstr(accept, "text/event-stream") != NULL) {
		subscribe(op);
		return;
	}
	if (!read_query(op, &q))
		return;
	if (accept != NULL && strstr(accept, "application/json") != NULL)
		events_page(op, &q);
	else
		events_lines(op, &q);
}

void session_messages_route(struct op *op)
{
	struct messages_query q = {
		.session = op->session,
		.turn = http_query(op->r, "turn"),
	};
	struct messages_filter f = {
		.parts = http_query(op->r, "parts"),
		.tool = http_query(op->r, "tool"),
	};
	struct err e = {0};

	if (!op_load_session(op) || !op_query_number(op, "from", &f.from_ms) ||
	    !op_query_number(op, "to", &f.to_ms) ||
	    !op_query_flag(op, "notice", &f.notice))
		return;
	jw_arr(&op->out);
	if (messages_write_filtered(op->d->reader, &q, &f, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

void session_rows_route(struct op *op)
{
	struct err e = {0};

	if (!op_load_session(op))
		return;
	if (views_rows(op->d->reader, op->what, op->session, &op->out, &e) < 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

void session_usage_route(struct op *op)
{
	struct err e = {0};
	bool tree = false;

	if (!op_load_session(op) || !op_query_flag(op, "tree", &tree))
		return;
	if (tree && op->only[0] != '\0')
		op_refuse(op, -FAULT_FORBIDDEN,
			  "the token is for one session, not for its children");
	else if (views_usage(op->d->reader, op->session, tree, &op->out, &e) <
		 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

void session_export_route(struct op *op)
{
	struct event_query q = {.session = op->session};
	autojw struct jw head = {0};
	struct http_req *r = op->r;
	struct lines_out *o;

	if (!op_load_session(op))
		return;
	o = calloc(1, sizeof(*o));
	transfer_write_head(op->session, &head);
	if (o == NULL || head.failed) {
		free(o);
		op_refuse(op, -ENOMEM, "export: out of memory");
		return;
	}
	o->op = op;
	o->q = q;
	http_on_end(r, lines_on_end, o);
	http_stream_begin(r, 200, "application/x-ndjson", lines_page, o);
	http_stream_write(r, head.buf, head.len);
	lines_page(r, o);
}
