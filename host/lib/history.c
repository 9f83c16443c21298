// SPDX-License-Identifier: Apache-2.0
/*
 * history.c - Reading what is stored: pages, whole logs, views, files
 *
 * A whole log comes as lines and is handed on line by line.  When the connection
 * breaks in the middle the rest is asked for from the last event that was handed
 * on, as long as each attempt brings at least one more.
 */
#include <string.h>

#include "core/lines.h"
#include "host/lib/lib.h"

/* Of a newer daemon, which may say more. */
static bool decode_json(struct event_line *l, const char *line, size_t len)
{
	autojson struct json j = {0};
	struct jv v;

	if (json_parse(&j, line, len, NULL) < 0)
		return false;
	v = json_root(&j);
	l->seq = jv_int(jv_get(v, "seq"), 0);
	l->ts_ms = jv_int(jv_get(v, "ts"), 0);
	(void)jv_strcpy(jv_get(v, "turn"), l->turn, sizeof(l->turn));
	return l->seq > 0 &&
	       jv_strcpy(jv_get(v, "session"), l->session,
			 sizeof(l->session)) >= 0 &&
	       jv_strcpy(jv_get(v, "type"), l->type, sizeof(l->type)) >= 0;
}

bool event_decode(struct hib_event *ev, struct event_line *text,
		  const char *line, size_t len)
{
	if (!event_line_read(line, len, text) && !decode_json(text, line, len))
		return false;
	*ev = (struct hib_event){
		.size = sizeof(*ev),
		.session = text->session,
		.type = text->type,
		.turn = text->turn,
		.seq = text->seq,
		.ts_ms = text->ts_ms,
		.json = line,
		.len = len,
	};
	return true;
}

static void put_query(struct jw *path, const struct hib_event_query *q)
{
	path_query_int(path, "since", q->since);
	path_query(path, "types", q->types);
	path_query(path, "exclude", q->exclude);
	path_query(path, "turn", q->turn);
	if (q->from_ms > 0)
		path_query_int(path, "from", q->from_ms);
	if (q->to_ms > 0)
		path_query_int(path, "to", q->to_ms);
	if (q->limit > 0)
		path_query_int(path, "limit", q->limit);
	path_query(path, "order", q->descending ? "desc" : NULL);
}

int hib_get_sequenced_events(struct hib *h, const char *session,
			     const struct hib_event_query *query, char **json,
			     struct hib_error *e)
{
	struct hib_event_query q;
	struct jw path = {0};
	struct err err = {0};
	int r = lib_options(&q, sizeof(q), query, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	path = path_session(session, "/events");
	put_query(&path, &q);
	return request_get(h, &path, json, e);
}

int hib_get_messages(struct hib *h, const char *session, const char *turn,
		     char **json, struct hib_error *e)
{
	struct jw path = path_session(session, "/messages");

	path_query(&path, "turn", turn);
	return request_get(h, &path, json, e);
}

int hib_find_messages(struct hib *h, const char *session,
		      const struct hib_message_query *query, char **json,
		      struct hib_error *e)
{
	struct hib_message_query q;
	struct jw path = {0};
	struct err err = {0};
	int r = lib_options(&q, sizeof(q), query, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	path = path_session(session, "/messages");
	path_query(&path, "turn", q.turn);
	path_query(&path, "parts", q.parts);
	path_query(&path, "tool", q.tool);
	if (q.from_ms > 0)
		path_query_int(&path, "from", q.from_ms);
	if (q.to_ms > 0)
		path_query_int(&path, "to", q.to_ms);
	path_query(&path, "notice", q.notice ? "1" : NULL);
	return request_get(h, &path, json, e);
}

int hib_get_view(struct hib *h, const char *session, const char *view,
		 char **json, struct hib_error *e)
{
	static const char *const known[] = {
		"turns",     "requests", "tools", "elements",  "plans", "diffs",
		"artifacts", "cursors",	 "mcp",	  "summaries", "stats"};
	struct err err = {0};
	struct jw path;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(view, known[i]) != 0)
			continue;
		path = path_session(session, "/");
		if (path.len > 0)
			jw_lit(&path, view, strlen(view));
		return request_get(h, &path, json, e);
	}
	err_set(&err, -FAULT_INVALID_ARGUMENT, "there is no view '%.32s'",
		view);
	return lib_result(err.code, &err, e);
}

int hib_search(struct hib *h, const char *text,
	       const struct hib_search_options *options, char **json,
	       struct hib_error *e)
{
	struct hib_search_options o;
	struct jw path = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	jw_lit(&path, "/v1/search", 10);
	path_query(&path, "q", text);
	path_query(&path, "session", o.session);
	if (o.limit > 0)
		path_query_int(&path, "limit", o.limit);
	return request_get(h, &path, json, e);
}

/* --- a whole log -------------------------------------------------------- */

struct history {
	struct lines lines;
	struct hib_event_query query;
	hib_event_cb on_event;
	int (*on_line)(const char *line, size_t len, void *arg);
	void *arg;
	bool progress;
};

static int history_on_line(char *line, size_t len, void *arg)
{
	struct history *y = arg;
	struct event_line text;
	struct hib_event ev;
	int r = 0;

	if (!event_decode(&ev, &text, line, len))
		return -EPROTO;
	if (y->on_event != NULL)
		y->on_event(&ev, y->arg);
	if (y->on_line != NULL)
		r = y->on_line(line, len, y->arg);
	y->query.since = ev.seq;
	if (y->query.limit > 1)
		y->query.limit--;
	y->progress = true;
	return r;
}

static int history_on_data(struct request *q, char *data, size_t n)
{
	struct history *y = q->arg;

	return lines_feed(&y->lines, data, n, history_on_line, y);
}

static int history_once(struct hib *h, const char *session, struct history *y,
			struct err *e)
{
	struct jw path = path_session(session, "/events");
	struct request q = {
		.method = "GET",
		.headers = "Accept: application/x-ndjson\r\n",
		.on_data = history_on_data,
		.arg = y,
		.once = true,
	};
	int r;

	put_query(&path, &y->query);
	q.path = path.buf;
	lines_init(&y->lines, EVENT_LINE_MAX);
	y->progress = false;
	r = q.path ? request_run(h, &q, e)
		   : err_set(e, -FAULT_INVALID_ID, "that is no session id");
	lines_done(&y->lines);
	jw_done(&q.out);
	jw_done(&path);
	return r;
}

static int history_run(struct hib *h, const char *session, struct history *y,
		       struct err *e)
{
	unsigned failures = 0;
	int r;

	for (;;) {
		r = history_once(h, session, y, e);
		if (r != -FAULT_GUEST_UNREACHABLE || y->query.descending)
			return r;
		failures = y->progress ? 1 : failures + 1;
		if (failures >= h->attempts ||
		    lib_pause(h, lib_pause_ms(failures)) < 0)
			return r;
	}
}

int hib_get_session_events(struct hib *h, const char *session,
			   const struct hib_event_query *query,
			   hib_event_cb on_event, void *arg,
			   struct hib_error *e)
{
	struct history y = {.on_event = on_event, .arg = arg};
	struct err err = {0};
	int r = lib_options(&y.query, sizeof(y.query), query, &err);

	if (r == 0)
		r = history_run(h, session, &y, &err);
	return lib_result(r, &err, e);
}

/* --- files -------------------------------------------------------------- */

struct export_out {
	hib_write_cb write;
	void *arg;
};

static int export_data(struct request *q, char *data, size_t n)
{
	struct export_out *x = q->arg;

	return x->write(data, n, x->arg) == 0 ? 0 : -ECANCELED;
}

/* Hand the bytes of an answer on.  @path: taken. */
static int get_bytes(struct hib *h, struct jw *path, hib_write_cb write,
		     void *arg, struct hib_error *e)
{
	struct export_out x = {write, arg};
	struct request q = {
		.method = "GET",
		.path = path->buf,
		.once = true,
		.on_data = export_data,
		.arg = &x,
	};
	int r = request_json(h, &q, NULL, e);

	jw_done(path);
	return r;
}

int hib_export_session(struct hib *h, const char *session, hib_write_cb write,
		       void *arg, struct hib_error *e)
{
	struct jw path = path_session(session, "/export");

	return get_bytes(h, &path, write, arg, e);
}

int hib_get_artifact(struct hib *h, const char *session, const char *artifact,
		     hib_write_cb write, void *arg, struct hib_error *e)
{
	struct jw path = path_session(session, "/artifacts/");
	struct err err = {0};

	if (!id_is(artifact, "art")) {
		jw_done(&path);
		err_set(&err, -FAULT_INVALID_ID, "that is no artifact's id");
		return lib_result(err.code, &err, e);
	}
	if (path.len > 0)
		jw_lit(&path, artifact, strlen(artifact));
	return get_bytes(h, &path, write, arg, e);
}

int hib_import_session(struct hib *h, hib_read_cb read, void *arg, char **json,
		       struct hib_error *e)
{
	struct request q = {
		.method = "POST",
		.path = "/v1/import",
		.content_type = "application/x-ndjson",
		.once = true,
		.read = read,
		.arg = arg,
	};
	struct err err = {0};

	/* A stream cannot be sent twice: see that somebody is there. */
	struct request hello = {.method = "GET", .path = "/v1/health"};
	int r = request_run(h, &hello, &err);

	jw_done(&hello.out);
	if (r < 0)
		return lib_result(r, &err, e);
	return request_json(h, &q, json, e);
}
