// SPDX-License-Identifier: Apache-2.0
/*
 * http_deliver.c - What a server said over HTTP, on its way to the owner
 *
 * Here is seen what the transport has to know: that a request is answered, which
 * version a legacy conversation has, and which arguments of tools go into headers.
 */
#include <stdio.h>
#include <string.h>

#include "mcp/client.h"
#include "mcp/http_impl.h"

static bool same_id(const struct exchange *x, struct jv id)
{
	size_t len;
	const char *raw = jv_raw(id, &len);

	return x->id != NULL && raw != NULL && strlen(x->id) == len &&
	       memcmp(x->id, raw, len) == 0;
}

static struct exchange *find_asking(struct mcp_http *h, struct jv id)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &h->open, link)
		if (x->unanswered && same_id(x, id))
			return x;
	return NULL;
}

static void hand_on(struct mcp_http *h, const struct rpc_msg *m,
		    const char *text, size_t len)
{
	if (!h->closing && !h->lost)
		h->events->message(h, m, text, len, h->arg);
}

/* --- tools ---------------------------------------------------------------- */

static bool is_usable(struct mcp_http *h, struct jv tool)
{
	return param_headers_learn(h->params, tool) == 0;
}

static void put_usable(struct mcp_http *h, struct jw *w, struct jv tools)
{
	jw_arr(w);
	for (struct jv t = jv_first(tools); jv_has(t); t = jv_next(tools, t))
		if (is_usable(h, t))
			jw_value(w, t);
	jw_arr_end(w);
}

static void put_members(struct jw *w, struct jv object, const char *but)
{
	for (struct jv k = jv_first(object); jv_has(k); k = jv_next(object, k))
		if (!jv_eq(k, but)) {
			jw_value(w, k);
			jw_lit(w, ":", 1);
			jw_value(w, jv_value(k));
		}
}

/* A list of tools without those that must not be used. */
static void put_list(struct mcp_http *h, struct jw *w, const struct rpc_msg *m)
{
	jw_obj(w);
	put_members(w, m->root, "result");
	jw_key(w, "result");
	jw_obj(w);
	put_members(w, m->result, "tools");
	jw_key(w, "tools");
	put_usable(h, w, jv_get(m->result, "tools"));
	jw_obj_end(w);
	jw_obj_end(w);
}

static bool has_annotations(const struct exchange *x, const struct rpc_msg *m,
			    const char *text, size_t len)
{
	return x->version != NULL && x->method != NULL &&
	       strcmp(x->method, "tools/list") == 0 &&
	       jv_is(jv_get(m->result, "tools"), JV_ARRAY) &&
	       memmem(text, len, "mcp-header", 10) != NULL;
}

static void hand_list(struct mcp_http *h, const struct rpc_msg *m)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct rpc_msg usable;

	put_list(h, &w, m);
	if (!w.failed && rpc_decode(&j, w.buf, w.len, &usable, NULL) == 0)
		hand_on(h, &usable, w.buf, w.len);
}

/* --- messages ------------------------------------------------------------- */

static void take_version(struct mcp_http *h, struct jv result)
{
	char version[32] = "";

	(void)jv_strcpy(jv_get(result, "protocolVersion"), version,
			sizeof(version));
	h->version = mcp_legacy_version(version);
}

/* The server should end a stream that has answered; not all do. */
static void end_soon(struct exchange *x)
{
	x->again = uv_now(x->h->timer.loop) + MCP_HTTP_LINGER_MS;
	http_arm_timer(x->h);
}

/* An answer to nothing is not handed on: it came too late. */
static void deliver_response(struct mcp_http *h, const struct rpc_msg *m,
			     const char *text, size_t len)
{
	struct exchange *x = find_asking(h, m->id);

	if (x == NULL)
		return;
	x->unanswered = false;
	if (strcmp(x->method, "initialize") == 0)
		take_version(h, m->result);
	if (has_annotations(x, m, text, len))
		hand_list(h, m);
	else
		hand_on(h, m, text, len);
	if (x->state != EXCHANGE_RUNNING)
		exchange_remove(x);
	else if (x->is_sse)
		end_soon(x);
}

static void deliver_one(struct mcp_http *h, const char *text, size_t len)
{
	autojson struct json j = {0};
	struct rpc_msg m;

	if (rpc_decode(&j, text, len, &m, NULL) < 0)
		return;
	if (m.kind == RPC_RESPONSE)
		deliver_response(h, &m, text, len);
	else
		hand_on(h, &m, text, len);
}

/* Servers of 2025-03-26 may answer with several messages. */
static void deliver_batch(struct mcp_http *h, const char *text, size_t len)
{
	autojson struct json j = {0};
	struct jv all;

	if (json_parse(&j, text, len, NULL) < 0)
		return;
	all = json_root(&j);
	for (struct jv v = jv_first(all); jv_has(v); v = jv_next(all, v)) {
		size_t n;
		const char *one = jv_raw(v, &n);

		deliver_one(h, one, n);
	}
}

static void deliver_line(struct mcp_http *h, const char *text, size_t len)
{
	size_t blank = strspn(text, " \t");

	if (text[blank] == '[')
		deliver_batch(h, text, len);
	else
		deliver_one(h, text, len);
}

void http_deliver(struct exchange *x, const char *text, size_t len)
{
	autofree char *line = NULL;

	if (memchr(text, '\n', len) == NULL &&
	    memchr(text, '\r', len) == NULL) {
		deliver_line(x->h, text, len);
		return;
	}
	/* Line ends in JSON are nothing but white space. */
	line = malloc(len + 1);
	if (line == NULL)
		return;
	for (size_t i = 0; i < len; i++)
		line[i] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
	line[len] = '\0';
	deliver_line(x->h, line, len);
}

/* --- answers of our own --------------------------------------------------- */

static void begin_answer(const struct exchange *x, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "jsonrpc", "2.0");
	jw_kraw(w, "id", x->id);
	jw_key(w, "error");
}

static void end_answer(struct exchange *x, struct jw *w)
{
	jw_obj_end(w);
	if (!w->failed)
		deliver_one(x->h, w->buf, w->len);
}

void exchange_fail(struct exchange *x, int status, const char *why)
{
	autojw struct jw w = {0};

	if (!x->unanswered)
		return;
	begin_answer(x, &w);
	jw_obj(&w);
	jw_kint(&w, "code", RPC_INTERNAL);
	jw_kstr(&w, "message", why);
	jw_key(&w, "data");
	jw_obj(&w);
	jw_kint(&w, MCP_HTTP_STATUS, status);
	jw_obj_end(&w);
	jw_obj_end(&w);
	end_answer(x, &w);
}

bool exchange_refuse(struct exchange *x, const char *text, size_t len)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct jv error;

	if (!x->unanswered || json_parse(&j, text, len, NULL) < 0)
		return false;
	error = jv_get(json_root(&j), "error");
	if (!jv_is(jv_get(error, "code"), JV_NUMBER))
		return false;
	begin_answer(x, &w);
	jw_value(&w, error);
	jw_obj_end(&w);
	if (w.failed)
		return false;
	http_deliver(x, w.buf, w.len);
	return true;
}
