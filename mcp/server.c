// SPDX-License-Identifier: Apache-2.0
/*
 * server.c - The server side of MCP: life of servers and connections
 *
 * Bytes become messages in the connection's wire; requests go on to
 * server_request.c, notifications to the owner, answers to the calls made of the
 * client.  While the server is starting, requests and notifications wait as
 * text, in order, and are read again when it is open: whatever they mean is
 * decided then.
 *
 * Callbacks may close the connection that they are called from.  So whoever
 * calls them enters it before and leaves it after; a connection closed in
 * between is dead for all others at once and freed by the last who leaves.
 */
#include "mcp/server.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "mcp/scan.h"
#include "mcp/server_impl.h"

/* --- messages ------------------------------------------------------------- */

static void park(struct mcp_conn *c, const struct rpc_msg *m)
{
	size_t len = c->wire.line_len, id_len;
	struct mcp_parked *p = NULL;
	const char *id;

	if (c->n_parked < MCP_PARKED_MAX &&
	    len <= MCP_PARKED_BYTES - c->parked_bytes)
		p = malloc(sizeof(*p) + len);
	if (p == NULL) {
		id = jv_raw(m->id, &id_len);
		if (m->kind == RPC_REQUEST)
			mcp_send_error(c, id, id_len, RPC_INTERNAL,
				       "too much sent while the server starts");
		return;
	}
	p->len = len;
	memcpy(p->text, c->wire.line, len);
	STAILQ_INSERT_TAIL(&c->parked, p, link);
	c->n_parked++;
	c->parked_bytes += len;
}

static struct mcp_parked *unpark(struct mcp_conn *c)
{
	struct mcp_parked *p = STAILQ_FIRST(&c->parked);

	if (p == NULL)
		return NULL;
	STAILQ_REMOVE_HEAD(&c->parked, link);
	c->n_parked--;
	c->parked_bytes -= p->len;
	return p;
}

static struct mcp_request *find_request(const struct mcp_conn *c, struct jv id)
{
	struct mcp_request *q;
	size_t len, q_len;
	const char *raw = jv_raw(id, &len), *q_raw;

	TAILQ_FOREACH (q, &c->requests, link) {
		q_raw = jv_raw(q->id, &q_len);
		if (raw != NULL && len == q_len && memcmp(raw, q_raw, len) == 0)
			return q;
	}
	return NULL;
}

static void on_cancelled(struct mcp_conn *c, struct jv params)
{
	struct mcp_request *q = find_request(c, jv_get(params, "requestId"));

	if (q == NULL)
		return;
	if (q->listen != NULL)
		mcp_listen_end(q);
	else
		mcp_request_cancel(c->server, q);
}

static void on_notification(struct mcp_conn *c, const struct rpc_msg *m)
{
	const struct mcp_server *s = c->server;

	if (jv_eq(m->method, "notifications/cancelled")) {
		on_cancelled(c, m->params);
		return;
	}
	if (jv_eq(m->method, "notifications/initialized"))
		c->initialized = true;
	if (s->ops->notify != NULL)
		s->ops->notify(c, m, s->arg);
}

static void on_message(const struct rpc_msg *m, void *arg)
{
	struct mcp_conn *c = arg;

	if (c->server->state == SERVER_STARTING && m->kind != RPC_RESPONSE &&
	    !jv_eq(m->method, "ping")) {
		park(c, m);
		return;
	}
	switch (m->kind) {
	case RPC_REQUEST:
		mcp_request_begin(c, m);
		break;
	case RPC_NOTIFICATION:
		on_notification(c, m);
		break;
	case RPC_RESPONSE:
		if (c->calls != NULL)
			rpc_dispatch(c->calls, m);
		break;
	}
}

static void on_dropped(enum mcp_drop why, const char *line, size_t len,
		       void *arg)
{
	static const struct {
		int code;
		const char *message;
	} answers[] = {
		[MCP_DROP_LONG] = {RPC_INVALID_REQUEST, "message too long"},
		[MCP_DROP_DEEP] = {RPC_INVALID_REQUEST, "message too complex"},
		[MCP_DROP_JUNK] = {RPC_PARSE_ERROR, "this is not JSON"},
		[MCP_DROP_INVALID] = {RPC_INVALID_REQUEST,
				      "this is no message of JSON-RPC 2.0"},
	};
	const char *id = NULL;
	size_t id_len = 0;

	if (why == MCP_DROP_LONG || why == MCP_DROP_DEEP)
		id = mcp_scan_id(line, len, &id_len);
	mcp_send_error(arg, id, id_len, answers[why].code,
		       answers[why].message);
}

static const struct mcp_wire_ops wire_ops = {
	.message = on_message,
	.dropped = on_dropped,
};

/* --- connections ---------------------------------------------------------- */

struct mcp_conn *mcp_conn_new(struct mcp_server *s,
			      const struct mcp_conn_spec *spec)
{
	struct mcp_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->server = s;
	c->spec = *spec;
	c->client_params.i = -1;
	TAILQ_INIT(&c->requests);
	STAILQ_INIT(&c->parked);
	mcp_wire_init(&c->wire, &wire_ops, c);
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	return c;
}

static void conn_free(struct mcp_conn *c)
{
	mcp_wire_done(&c->wire);
	mcp_doc_free(c->client);
	jw_done(&c->out);
	free(c);
}

void mcp_conn_enter(struct mcp_conn *c)
{
	c->busy++;
}

void mcp_conn_leave(struct mcp_conn *c)
{
	assert(c->busy > 0);
	if (--c->busy == 0 && c->closed)
		conn_free(c);
}

void mcp_conn_close(struct mcp_conn *c)
{
	struct mcp_request *q;
	struct mcp_parked *p;

	if (c == NULL || c->closed)
		return;
	c->closed = true;
	mcp_wire_stop(&c->wire);
	mcp_conn_enter(c);
	TAILQ_REMOVE(&c->server->conns, c, link);
	while ((p = unpark(c)) != NULL)
		free(p);
	while ((q = TAILQ_FIRST(&c->requests)) != NULL) {
		TAILQ_REMOVE(&c->requests, q, link);
		mcp_asks_leave(q);
		q->conn = NULL;
		if (q->listen != NULL)
			mcp_request_end(q);
		else
			mcp_request_cancel(c->server, q);
	}
	rpc_free(c->calls);
	c->calls = NULL;
	mcp_conn_leave(c);
}

int mcp_conn_feed(struct mcp_conn *c, char *data, size_t n)
{
	int r;

	mcp_conn_enter(c);
	r = mcp_wire_feed(&c->wire, data, n);
	mcp_conn_leave(c);
	return r == -ENOMEM ? r : 0;
}

int mcp_conn_message(struct mcp_conn *c, const char *text, size_t len)
{
	int r;

	mcp_conn_enter(c);
	r = mcp_wire_message(&c->wire, text, len);
	mcp_conn_leave(c);
	return r == -ENOMEM ? r : 0;
}

/* Read what waited. */
static void conn_resume(struct mcp_conn *c)
{
	struct mcp_parked *p;

	mcp_conn_enter(c);
	while (!c->closed && c->server->state != SERVER_STARTING &&
	       (p = unpark(c)) != NULL) {
		if (mcp_wire_message(&c->wire, p->text, p->len) == -ENOMEM)
			mcp_conn_close(c);
		free(p);
	}
	mcp_conn_leave(c);
}

struct mcp_server *mcp_conn_server(const struct mcp_conn *c)
{
	return c->server;
}

void *mcp_conn_arg(const struct mcp_conn *c)
{
	return c->spec.arg;
}

enum mcp_era mcp_conn_era(const struct mcp_conn *c)
{
	return c->era;
}

struct jv mcp_conn_client_caps(const struct mcp_conn *c)
{
	return jv_get(c->client_params, "capabilities");
}

struct jv mcp_conn_client_info(const struct mcp_conn *c)
{
	return jv_get(c->client_params, "clientInfo");
}

const char *mcp_conn_version(const struct mcp_conn *c)
{
	return c->version;
}

uint64_t mcp_conn_dropped(const struct mcp_conn *c)
{
	uint64_t n = 0;

	for (int i = 0; i < MCP_DROP_REASONS; i++)
		n += c->wire.dropped[i];
	return n;
}

size_t mcp_conn_held(const struct mcp_conn *c)
{
	size_t n = mcp_wire_held(&c->wire) + mcp_doc_held(c->client) +
		   c->parked_bytes;
	const struct mcp_request *q;

	TAILQ_FOREACH (q, &c->requests, link)
		n += mcp_doc_held(q->doc);
	return n;
}

/* --- servers -------------------------------------------------------------- */

struct mcp_server *mcp_server_new(uv_loop_t *loop,
				  const struct mcp_server_ops *ops, void *arg)
{
	struct mcp_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	if (mcp_seal_init(&s->seal) < 0) {
		free(s);
		return NULL;
	}
	s->loop = loop;
	s->ops = ops;
	s->arg = arg;
	TAILQ_INIT(&s->conns);
	return s;
}

static void forget_info(struct mcp_server *s)
{
	json_done(&s->caps);
	free(s->initialize);
	free(s->discover);
	free(s->server_info);
	free(s->capabilities);
	s->initialize = s->discover = s->server_info = s->capabilities = NULL;
}

void mcp_server_free(struct mcp_server *s)
{
	struct mcp_conn *c;

	if (s == NULL)
		return;
	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		mcp_conn_close(c);
	forget_info(s);
	free(s->why);
	free(s);
}

static char *write_server_info(const struct mcp_info *info)
{
	autojw struct jw w = {0};

	if (info->server_info != NULL)
		return strdup(info->server_info);
	jw_obj(&w);
	jw_kstr(&w, "name", info->name ? info->name : "");
	if (info->title != NULL)
		jw_kstr(&w, "title", info->title);
	jw_kstr(&w, "version", info->version ? info->version : "");
	jw_obj_end(&w);
	return jw_take(&w, NULL);
}

static char *write_initialize(const struct mcp_server *s,
			      const struct mcp_info *info)
{
	autojw struct jw w = {0};

	jw_kraw(&w, "capabilities", s->capabilities);
	jw_kraw(&w, "serverInfo", s->server_info);
	if (info->instructions != NULL)
		jw_kstr(&w, "instructions", info->instructions);
	return jw_take(&w, NULL);
}

/* The core adds the rest, as to all results. */
static char *write_discover(const struct mcp_server *s,
			    const struct mcp_info *info)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "supportedVersions");
	jw_arr(&w);
	jw_str(&w, MCP_MODERN_LATEST);
	jw_arr_end(&w);
	jw_kraw(&w, "capabilities", s->capabilities);
	if (info->instructions != NULL)
		jw_kstr(&w, "instructions", info->instructions);
	jw_obj_end(&w);
	return jw_take(&w, NULL);
}

static bool is_object(const char *text)
{
	autojson struct json j = {0};

	return json_parse(&j, text, strlen(text), NULL) == 0 &&
	       jv_is(json_root(&j), JV_OBJECT);
}

/* Fill the texts of @s from @info.  On failure some may be missing. */
static int take_info(struct mcp_server *s, const struct mcp_info *info)
{
	const char *caps = info->capabilities ? info->capabilities : "{}";

	if (!is_object(caps) ||
	    (info->server_info != NULL && !is_object(info->server_info)))
		return -EINVAL;
	s->server_info = write_server_info(info);
	s->capabilities = strdup(caps);
	if (s->server_info == NULL || s->capabilities == NULL)
		return -ENOMEM;
	s->initialize = write_initialize(s, info);
	s->discover = write_discover(s, info);
	if (s->initialize == NULL || s->discover == NULL)
		return -ENOMEM;
	snprintf(s->cache, sizeof(s->cache),
		 "\"ttlMs\":%lld,\"cacheScope\":\"%s\"",
		 (long long)info->ttl_ms,
		 info->cache_public ? "public" : "private");
	return json_parse(&s->caps, s->capabilities, strlen(s->capabilities),
			  NULL);
}

/* The state has left STARTING.  A callback may close any connection, so the walk
 * begins anew after each that had something to say. */
static void resume_all(struct mcp_server *s)
{
	struct mcp_conn *c;

	do {
		TAILQ_FOREACH (c, &s->conns, link)
			if (c->n_parked > 0)
				break;
		if (c != NULL)
			conn_resume(c);
	} while (c != NULL && s->state != SERVER_STARTING);
}

int mcp_server_open(struct mcp_server *s, const struct mcp_info *info)
{
	struct mcp_server fresh = {0};
	int r = take_info(&fresh, info);

	if (r < 0) {
		forget_info(&fresh);
		return r;
	}
	forget_info(s);
	s->server_info = fresh.server_info;
	s->capabilities = fresh.capabilities;
	s->initialize = fresh.initialize;
	s->discover = fresh.discover;
	s->caps = fresh.caps;
	memcpy(s->cache, fresh.cache, sizeof(s->cache));
	s->state = SERVER_OPEN;
	resume_all(s);
	return 0;
}

void mcp_server_fail(struct mcp_server *s, const char *message)
{
	free(s->why);
	s->why = strdup(message);
	s->state = SERVER_FAILED;
	resume_all(s);
}

void mcp_server_list_changed(struct mcp_server *s, const char *kind)
{
	struct mcp_conn *c;

	TAILQ_FOREACH (c, &s->conns, link)
		mcp_conn_list_changed(c, kind);
}
