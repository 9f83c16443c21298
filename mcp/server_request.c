// SPDX-License-Identifier: Apache-2.0
/*
 * server_request.c - One request: who answers it, and the answer
 *
 * A request is modern when its _meta says so; then its _meta must be complete.
 * All else is legacy.  What the server answers by itself stands in a table by
 * method; the rest goes to the owner.  While the owner is called the values are
 * those of the line just read; a request still open afterwards takes the
 * document with it.
 *
 * A result of the modern era carries resultType, the server's name in _meta
 * and, for what may be cached, for how long.  They are put in front of what the
 * owner gave, unless it brought its own: a gateway passes on what another server
 * said.
 */
#include <assert.h>
#include <string.h>

#include "mcp/scan.h"
#include "mcp/server.h"
#include "mcp/server_impl.h"

#define LIT(w, text) jw_lit(w, text, sizeof(text) - 1)

/* --- answers -------------------------------------------------------------- */

void mcp_request_end(struct mcp_request *q)
{
	if (q->conn != NULL) {
		TAILQ_REMOVE(&q->conn->requests, q, link);
		q->conn->n_requests--;
	}
	mcp_asks_free(q);
	mcp_listen_free(q->listen);
	if (q->conn != NULL)
		q->conn->open_bytes -= q->doc_len;
	mcp_doc_free(q->doc);
	free(q);
}

/* The answer was sent.  While it is being served its memory is needed. */
static void finish(struct mcp_request *q)
{
	assert(!q->answered);
	q->answered = true;
	if (!q->serving)
		mcp_request_end(q);
}

void mcp_request_cancel(struct mcp_server *s, struct mcp_request *q)
{
	bool asking = mcp_asks_wait(q);

	if (q->cancelled)
		return;
	q->cancelled = true;
	if (asking)
		finish(q); /* Its handler has done its work. */
	else if (s->ops->cancelled != NULL && !q->answered)
		s->ops->cancelled(q, s->arg);
}

/* Return: NULL when nobody waits for an answer. */
static struct jw *begin_answer(struct mcp_request *q)
{
	const char *id;
	struct jw *w;
	size_t len;

	if (q->cancelled)
		return NULL;
	w = mcp_send_begin(q->conn);
	id = jv_raw(q->id, &len);
	LIT(w, ",\"id\":");
	jw_raw(w, id, len);
	return w;
}

/* What a result has already of the members that modern ones need. */
struct outside {
	struct mcp_member type, meta;
	bool has_type, has_meta, has_cache;
};

static struct outside look_at(const char *result, size_t len)
{
	struct outside o = {0};
	struct mcp_member m;
	struct mcp_scan s;

	mcp_scan_init(&s, result, len);
	while (mcp_scan_next(&s, &m)) {
		if (mcp_member_is(&m, "resultType")) {
			o.has_type = true;
			o.type = m;
		} else if (mcp_member_is(&m, "_meta")) {
			o.has_meta = true;
			o.meta = m;
		} else if (mcp_member_is(&m, "ttlMs")) {
			o.has_cache = true;
		}
	}
	return o;
}

static bool is_complete(const struct outside *o)
{
	static const char complete[] = "\"complete\"";

	return !o->has_type ||
	       (o->type.value_len == sizeof(complete) - 1 &&
		memcmp(o->type.value, complete, sizeof(complete) - 1) == 0);
}

static bool is_cacheable(const char *method)
{
	static const char *const methods[] = {
		"server/discover", "tools/list",     "prompts/list",
		"resources/list",  "resources/read", "resources/templates/list",
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(method, methods[i]) == 0)
			return true;
	return false;
}

/* Copy the members of an object's text, but for _meta. */
static void put_members(struct jw *w, const char *text, size_t len)
{
	struct mcp_member m;
	struct mcp_scan s;

	mcp_scan_init(&s, text, len);
	while (mcp_scan_next(&s, &m))
		if (!mcp_member_is(&m, "_meta"))
			jw_raw(w, m.key - 1,
			       (size_t)(m.value + m.value_len - m.key) + 1);
}

static void put_meta(struct jw *w, const struct mcp_server *s,
		     const struct outside *o)
{
	struct mcp_member own;

	jw_key(w, "_meta");
	jw_obj(w);
	if (s->server_info != NULL &&
	    (!o->has_meta || !mcp_scan_find(o->meta.value, o->meta.value_len,
					    MCP_META_SERVER_INFO, &own)))
		jw_kraw(w, MCP_META_SERVER_INFO, s->server_info);
	if (o->has_meta)
		put_members(w, o->meta.value, o->meta.value_len);
	jw_obj_end(w);
}

static void put_modern(struct jw *w, const struct mcp_request *q,
		       const char *result, size_t len)
{
	const struct mcp_server *s = q->conn->server;
	struct outside o = look_at(result, len);

	jw_obj(w);
	if (!o.has_type)
		jw_kstr(w, "resultType", "complete");
	put_meta(w, s, &o);
	if (!o.has_cache && is_complete(&o) && is_cacheable(q->method))
		jw_raw(w, s->cache, strlen(s->cache));
	put_members(w, result, len);
	jw_obj_end(w);
}

void mcp_reply_raw(struct mcp_request *q, const char *result, size_t len)
{
	struct jw *w = begin_answer(q);

	if (w != NULL) {
		LIT(w, ",\"result\":");
		if (q->era == MCP_ERA_MODERN)
			put_modern(w, q, result, len);
		else
			jw_raw(w, result, len);
		(void)mcp_send(q->conn, q);
	}
	finish(q);
}

void mcp_reply(struct mcp_request *q, const char *result)
{
	if (result == NULL)
		result = "{}";
	mcp_reply_raw(q, result, strlen(result));
}

void mcp_reply_error_raw(struct mcp_request *q, const char *error, size_t len)
{
	struct jw *w = begin_answer(q);

	if (w != NULL) {
		LIT(w, ",\"error\":");
		jw_raw(w, error, len);
		(void)mcp_send(q->conn, q);
	}
	finish(q);
}

void mcp_reply_error(struct mcp_request *q, int code, const char *message,
		     const char *data)
{
	struct jw *w = begin_answer(q);

	if (w != NULL) {
		jw_key(w, "error");
		rpc_write_error(w, code, message, data);
		(void)mcp_send(q->conn, q);
	}
	finish(q);
}

bool mcp_client_has(const struct mcp_request *q, const char *capability)
{
	return jv_is(jv_get(q->client_caps, capability), JV_OBJECT);
}

void mcp_reply_missing(struct mcp_request *q, const char *capability)
{
	autojw struct jw data = {0};
	int code = q->era == MCP_ERA_MODERN ? MCP_MISSING_CAPABILITY
					    : RPC_INVALID_REQUEST;

	jw_obj(&data);
	jw_key(&data, "requiredCapabilities");
	jw_obj(&data);
	jw_kraw(&data, capability, "{}");
	jw_obj_end(&data);
	jw_obj_end(&data);
	mcp_reply_error(q, code, "the client lacks a capability",
			data.failed ? NULL : data.buf);
}

/* --- what the server answers by itself ------------------------------------ */

static void serve_initialize(struct mcp_request *q)
{
	struct mcp_conn *c = q->conn;
	char version[32];
	autojw struct jw w = {0};

	if (jv_strcpy(jv_get(q->params, "protocolVersion"), version,
		      sizeof(version)) < 0)
		version[0] = '\0';
	c->version = mcp_legacy_version(version);
	if (c->version == NULL)
		c->version = MCP_LEGACY_LATEST;
	c->era = MCP_ERA_LEGACY;

	jw_obj(&w);
	jw_kstr(&w, "protocolVersion", c->version);
	jw_raw(&w, c->server->initialize, strlen(c->server->initialize));
	jw_obj_end(&w);
	if (w.failed) {
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
		return;
	}
	mcp_reply_raw(q, w.buf, w.len);
	mcp_doc_free(c->client);
	c->client = mcp_wire_keep(&c->wire);
	c->client_params = q->params;
	if (c->client == NULL)
		c->client_params.i = -1;
}

static void serve_ping(struct mcp_request *q)
{
	mcp_reply(q, NULL);
}

static void serve_set_level(struct mcp_request *q)
{
	const struct mcp_server *s = q->conn->server;
	struct jv level = jv_get(q->params, "level");
	int least = mcp_log_level(level);
	char name[16];

	if (least < 0) {
		mcp_reply_error(q, RPC_INVALID_PARAMS, "no such level", NULL);
		return;
	}
	q->conn->log_level = least;
	mcp_reply(q, NULL);
	if (s->ops->log_level != NULL && jv_strcpy(level, name, 16) > 0)
		s->ops->log_level(q->conn, name, s->arg);
}

static void serve_discover(struct mcp_request *q)
{
	mcp_reply(q, q->conn->server->discover);
}

static void serve_nothing(struct mcp_request *q)
{
	mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "method not found", NULL);
}

/* Methods that the server knows; without a function they are the owner's. */
static const struct method {
	const char *name;
	void (*legacy)(struct mcp_request *q);
	void (*modern)(struct mcp_request *q);
	const char *capability; /* Without it there is no such method. */
} methods[] = {
	{"initialize", serve_initialize, serve_nothing, NULL},
	{"ping", serve_ping, serve_nothing, NULL},
	{"logging/setLevel", serve_set_level, serve_nothing, "logging"},
	{"resources/subscribe", NULL, serve_nothing, "resources"},
	{"resources/unsubscribe", NULL, serve_nothing, "resources"},
	{"server/discover", serve_nothing, serve_discover, NULL},
	{"subscriptions/listen", serve_nothing, mcp_listen_begin, NULL},
	{"tools/list", NULL, NULL, "tools"},
	{"tools/call", NULL, NULL, "tools"},
	{"resources/list", NULL, NULL, "resources"},
	{"resources/templates/list", NULL, NULL, "resources"},
	{"resources/read", NULL, NULL, "resources"},
	{"prompts/list", NULL, NULL, "prompts"},
	{"prompts/get", NULL, NULL, "prompts"},
	{"completion/complete", NULL, NULL, "completions"},
};

static const struct method *find_method(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(name, methods[i].name) == 0)
			return &methods[i];
	return NULL;
}

/* --- the way of a request ------------------------------------------------- */

/* Return: whether the _meta will do; else it is answered. */
static bool accept_meta(struct mcp_request *q, const struct mcp_meta *meta)
{
	const char *message = NULL;
	autojw struct jw data = {0};
	int code = mcp_meta_check(meta, &message, &data);

	if (code == 0)
		return true;
	mcp_reply_error(q, code, message,
			data.len > 0 && !data.failed ? data.buf : NULL);
	return false;
}

static void give_to_owner(struct mcp_request *q)
{
	const struct mcp_server *s = q->conn->server;

	s->ops->request(q, s->arg);
}

static void route(struct mcp_request *q, const struct mcp_meta *meta)
{
	const struct method *m = find_method(q->method);
	const struct mcp_server *s = q->conn->server;
	bool modern_only = m != NULL && m->legacy == serve_nothing;
	void (*serve)(struct mcp_request * q) = NULL;

	if ((q->era == MCP_ERA_MODERN || modern_only) && !accept_meta(q, meta))
		return;
	if (m != NULL)
		serve = q->era == MCP_ERA_MODERN ? m->modern : m->legacy;
	if (s->state == SERVER_FAILED && serve != serve_ping)
		mcp_reply_error(q, RPC_INTERNAL, s->why ? s->why : "no server",
				NULL);
	else if (m != NULL && m->capability != NULL &&
		 !jv_has(jv_get(json_root(&s->caps), m->capability)))
		serve_nothing(q);
	else if (serve != NULL)
		serve(q);
	else
		give_to_owner(q);
}

/* It stays open beyond the line that it came in. */
static void keep(struct mcp_conn *c, struct mcp_request *q)
{
	static const struct jv absent = {.i = -1};

	q->doc = mcp_wire_keep(&c->wire);
	if (q->doc != NULL) {
		q->doc_len = c->wire.line_len;
		c->open_bytes += q->doc_len;
		return;
	}
	if (!q->cancelled)
		mcp_send_error(c, NULL, 0, RPC_INTERNAL, "out of memory");
	q->id = q->params = q->client_caps = absent;
	q->progress_token = q->log_level = absent;
	mcp_request_cancel(c->server, q);
}

static void fill(struct mcp_request *q, const struct rpc_msg *m,
		 const struct mcp_meta *meta)
{
	struct mcp_conn *c = q->conn;
	bool modern = c->spec.stateless || mcp_meta_is_modern(meta);

	q->era = modern ? MCP_ERA_MODERN : MCP_ERA_LEGACY;
	q->id = m->id;
	q->params = m->params;
	q->client_caps = modern ? meta->client_caps : mcp_conn_client_caps(c);
	q->progress_token = meta->progress_token;
	q->log_level = meta->log_level;
	if (jv_strcpy(m->method, q->method, sizeof(q->method)) < 0)
		q->method[0] = '\0'; /* None that anyone knows. */
	if (modern && c->era == MCP_ERA_UNKNOWN)
		c->era = MCP_ERA_MODERN;
}

void mcp_request_begin(struct mcp_conn *c, const struct rpc_msg *m)
{
	struct mcp_request *q = NULL;
	struct mcp_meta meta;
	const char *id;
	size_t len;

	id = jv_raw(m->id, &len);
	if (jv_is(m->id, JV_NULL)) {
		mcp_send_error(c, NULL, 0, RPC_INVALID_REQUEST, "id is null");
		return;
	}
	if (c->n_requests < MCP_REQUESTS_MAX &&
	    c->wire.line_len <= MCP_OPEN_BYTES - c->open_bytes)
		q = calloc(1, sizeof(*q));
	if (q == NULL) {
		mcp_send_error(c, id, len, RPC_INTERNAL, "too many requests");
		return;
	}
	q->conn = c;
	TAILQ_INSERT_TAIL(&c->requests, q, link);
	c->n_requests++;
	mcp_meta_read(&meta, m->params);
	fill(q, m, &meta);

	q->serving = true;
	route(q, &meta);
	q->serving = false;
	if (q->answered)
		mcp_request_end(q);
	else
		keep(c, q);
}

void mcp_request_serve(struct mcp_request *q)
{
	q->serving = true;
	give_to_owner(q);
	q->serving = false;
	if (q->answered)
		mcp_request_end(q);
}
