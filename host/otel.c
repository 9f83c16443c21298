// SPDX-License-Identifier: Apache-2.0
/*
 * otel.c - A session's turns as OpenTelemetry traces
 */
#include "host/otel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/views.h"

#define SPAN_KIND_INTERNAL 1
#define STATUS_OK	   1
#define STATUS_ERROR	   2
#define SPAN_ID_MAX	   17 /* 16 hex digits and NUL. */
#define TRACE_ID_MAX	   33

/* What of a row makes a span. */
struct span {
	char trace[TRACE_ID_MAX];
	char id[SPAN_ID_MAX];
	const char *parent; /* NULL: a root. */
	struct jv name, fallback;
	int64_t from_ms, to_ms; /* to_ms 0: still open. */
	bool failed;
	struct jv row; /* Its members become attributes. */
};

static void put_time(struct jw *w, const char *key, int64_t ms)
{
	char ns[32];

	snprintf(ns, sizeof(ns), "%" PRId64 "000000", ms);
	jw_kstr(w, key, ns);
}

static void put_attribute(struct jw *w, const char *key, struct jv v)
{
	if (!jv_is(v, JV_STRING))
		return;
	jw_obj(w);
	jw_kstr(w, "key", key);
	jw_key(w, "value");
	jw_obj(w);
	jw_kvalue(w, "stringValue", v);
	jw_obj_end(w);
	jw_obj_end(w);
}

static void put_span(struct jw *w, const struct span *s)
{
	static const char *const attributes[] = {
		"id", "tool_call_id", "state", "status", "stop_reason", "kind"};

	jw_obj(w);
	jw_kstr(w, "traceId", s->trace);
	jw_kstr(w, "spanId", s->id);
	if (s->parent != NULL)
		jw_kstr(w, "parentSpanId", s->parent);
	jw_kvalue(w, "name", jv_is(s->name, JV_STRING) ? s->name : s->fallback);
	jw_kint(w, "kind", SPAN_KIND_INTERNAL);
	put_time(w, "startTimeUnixNano", s->from_ms);
	put_time(w, "endTimeUnixNano", s->to_ms ? s->to_ms : s->from_ms);
	jw_key(w, "attributes");
	jw_arr(w);
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		put_attribute(w, attributes[i], jv_get(s->row, attributes[i]));
	jw_arr_end(w);
	jw_key(w, "status");
	jw_obj(w);
	jw_kint(w, "code", s->failed ? STATUS_ERROR : STATUS_OK);
	jw_obj_end(w);
	jw_obj_end(w);
}

/* The hex part of a turn's id; its second half is random: the root's id. */
static bool turn_ids(struct jv id, struct span *s)
{
	char turn[ID_MAX];

	if (jv_strcpy(id, turn, sizeof(turn)) < 0 || !id_is(turn, "trn"))
		return false;
	memcpy(s->trace, turn + strlen("trn_"), TRACE_ID_MAX);
	memcpy(s->id, s->trace + 16, SPAN_ID_MAX);
	return true;
}

static void put_tools(struct jw *w, struct jv tools, const struct span *root,
		      struct jv turn_id)
{
	size_t len, want_len;
	const char *want = jv_raw(turn_id, &want_len);

	for (struct jv t = jv_first(tools); jv_has(t); t = jv_next(tools, t)) {
		const char *of = jv_raw(jv_get(t, "turn_id"), &len);
		struct span s = {
			.parent = root->id,
			.name = jv_get(t, "title"),
			.fallback = jv_get(t, "tool_call_id"),
			.from_ms = jv_int(jv_get(t, "first_ms"), 0),
			.to_ms = jv_int(jv_get(t, "last_ms"), 0),
			.failed = jv_eq(jv_get(t, "status"), "failed"),
			.row = t,
		};

		if (of == NULL || len != want_len || memcmp(of, want, len) != 0)
			continue;
		memcpy(s.trace, root->trace, sizeof(s.trace));
		snprintf(s.id, sizeof(s.id), "%016" PRIx64,
			 (uint64_t)jv_int(jv_get(t, "first_seq"), 0));
		put_span(w, &s);
	}
}

static void put_turns(struct jw *w, struct jv turns, struct jv tools)
{
	for (struct jv t = jv_first(turns); jv_has(t); t = jv_next(turns, t)) {
		struct span s = {
			.name = {.i = -1},
			.fallback = jv_get(t, "id"),
			.from_ms = jv_int(jv_get(t, "started_ms"), 0),
			.to_ms = jv_int(jv_get(t, "ended_ms"), 0),
			.failed = !jv_eq(jv_get(t, "state"), "completed"),
			.row = t,
		};

		if (!turn_ids(jv_get(t, "id"), &s))
			continue;
		put_span(w, &s);
		put_tools(w, tools, &s, jv_get(t, "id"));
	}
}

static int load(struct reader *r, const char *session, const char *view,
		struct jw *text, struct json *j, struct err *e)
{
	int n = views_rows(r, view, session, text, e);

	if (n < 0)
		return n;
	if (text->failed)
		return err_set(e, -ENOMEM, "%s: out of memory", view);
	return json_parse(j, text->buf, text->len, e);
}

int otel_write(struct reader *r, const char *session, struct jw *out,
	       struct err *e)
{
	autojw struct jw turn_text = {0}, tool_text = {0};
	autojson struct json turns = {0}, tools = {0};
	int n = load(r, session, "turns", &turn_text, &turns, e);

	if (n == 0)
		n = load(r, session, "tools", &tool_text, &tools, e);
	if (n < 0)
		return n;
	jw_obj(out);
	jw_key(out, "resourceSpans");
	jw_arr(out);
	jw_obj(out);
	jw_kraw(out, "resource",
		"{\"attributes\":[{\"key\":\"service.name\",\"value\":"
		"{\"stringValue\":\"hibernacle\"}}]}");
	jw_key(out, "scopeSpans");
	jw_arr(out);
	jw_obj(out);
	jw_kraw(out, "scope", "{\"name\":\"hib\"}");
	jw_key(out, "spans");
	jw_arr(out);
	put_turns(out, json_root(&turns), json_root(&tools));
	jw_arr_end(out);
	jw_obj_end(out);
	jw_arr_end(out);
	jw_obj_end(out);
	jw_arr_end(out);
	jw_obj_end(out);
	return out->failed ? err_set(e, -ENOMEM, "export: out of memory") : 0;
}
