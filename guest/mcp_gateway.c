// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_gateway.c - Between the MCP clients of a session and its MCP servers
 *
 * A front is an mcp_server (mcp/server.h), and a peer a connection of it.  It
 * opens when it is known what its upstream is: at once, if that was ready before
 * or is remembered, else with the first readiness; what clients send earlier
 * waits in their connections.  If the server cannot be had it fails, and opens
 * when the next try succeeds.
 */
#include "guest/mcp_gateway.h"

#include <string.h>

#include "guest/mcp_gateway_impl.h"

/*
 * What a server says of itself.
 */

bool mcp_upstream_can(const struct upstream *u, const char *what)
{
	autojson struct json j = {0};
	const char *caps = u->info.capabilities;

	return caps != NULL && json_parse(&j, caps, strlen(caps), NULL) == 0 &&
	       jv_is(jv_get(json_root(&j), what), JV_OBJECT);
}

/* What we can pass on of what it can do. */
static void write_capabilities(const struct upstream *u, struct jw *w)
{
	static const char *const as_they_are[] = {"prompts", "resources",
						  "completions"};
	autojson struct json j = {0};
	const char *caps = u->info.capabilities;
	struct jv root = {.i = -1};

	if (caps != NULL && json_parse(&j, caps, strlen(caps), NULL) == 0)
		root = json_root(&j);
	jw_obj(w);
	jw_kraw(w, "tools", "{\"listChanged\":true}");
	for (size_t i = 0; i < ARRAY_LEN(as_they_are); i++)
		if (jv_is(jv_get(root, as_they_are[i]), JV_OBJECT))
			jw_kvalue(w, as_they_are[i],
				  jv_get(root, as_they_are[i]));
	/* What a shared server logs may be about another session. */
	if (jv_is(jv_get(root, "logging"), JV_OBJECT) && !u->spec->shared)
		jw_kraw(w, "logging", "{}");
	jw_obj_end(w);
}

/* Has it told its name?  Clients refuse a server without. */
static bool has_name(const struct upstream_info *info)
{
	autojson struct json j = {0};

	return info->server != NULL &&
	       json_parse(&j, info->server, strlen(info->server), NULL) == 0 &&
	       jv_is(jv_get(json_root(&j), "name"), JV_STRING) &&
	       jv_is(jv_get(json_root(&j), "version"), JV_STRING);
}

/* Some of those who wait for the end of what they asked have nothing open. */
static void tell_idle(struct mcp_front *f)
{
	struct mcp_peer *p, *next;

	for (p = TAILQ_FIRST(&f->peers); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->finishing && p->n_open == 0)
			p->spec.idle(p->spec.arg);
	}
}

static void front_open(struct mcp_front *f)
{
	const struct upstream *u = f->upstream;
	autojw struct jw caps = {0};
	struct mcp_info info = {
		.name = u->spec->name,
		.version = "",
		.server_info = has_name(&u->info) ? u->info.server : NULL,
		.instructions = u->info.instructions,
	};
	int r;

	write_capabilities(u, &caps);
	info.capabilities = caps.buf;
	r = caps.failed ? -ENOMEM : mcp_server_open(f->server, &info);
	if (r < 0)
		mcp_server_fail(f->server, strerror(-r));
	f->known = true;
	tell_idle(f);
}

/*
 * Requests.
 */

struct mcp_peer *mcp_peer_of(const struct mcp_request *q)
{
	return q->conn == NULL ? NULL : mcp_conn_arg(q->conn);
}

void mcp_peer_began(struct mcp_request *q)
{
	mcp_peer_of(q)->n_open++;
}

/* Until the front is known, requests may wait in its connection. */
void mcp_peer_answered(struct mcp_peer *p)
{
	if (p != NULL && --p->n_open == 0 && p->finishing && p->front->known)
		p->spec.idle(p->spec.arg);
}

/* A tool's object; legacy clients know no output but objects. */
static void write_tool(struct jv tool, bool modern, struct jw *w)
{
	struct jv output = jv_get(tool, "outputSchema");

	if (modern || !jv_has(output) ||
	    jv_eq(jv_get(output, "type"), "object")) {
		jw_value(w, tool);
		return;
	}
	jw_obj(w);
	for (struct jv it = jv_first(tool); jv_has(it);
	     it = jv_next(tool, it)) {
		size_t len;
		const char *key = jv_raw(it, &len);

		if (jv_eq(it, "outputSchema"))
			continue;
		jw_raw(w, key, len);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(it));
	}
	jw_obj_end(w);
}

static bool allows(const struct mcp_spec *spec, struct jv name)
{
	autofree char *text = jv_strdup(name, NULL);

	return text != NULL && mcp_spec_allows(spec, text);
}

int mcp_front_write_list(const struct mcp_front *f, struct jv tools,
			 bool modern, struct jw *w)
{
	jw_obj(w);
	jw_key(w, "tools");
	jw_arr(w);
	for (struct jv it = jv_first(tools); jv_has(it);
	     it = jv_next(tools, it))
		if (allows(f->upstream->spec, jv_get(it, "name")))
			write_tool(it, modern, w);
	jw_arr_end(w);
	jw_obj_end(w);
	return w->failed ? -ENOMEM : 0;
}

int mcp_front_write_tools(struct mcp_front *f, bool modern, struct jw *w)
{
	const struct upstream *u = f->upstream;
	autojson struct json j = {0};

	if (u == NULL)
		return mcp_all_write_tools(f, w);
	if (u->tools == NULL)
		return -ENOENT;
	if (json_parse(&j, u->tools, u->tools_len, NULL) < 0)
		return -ENOMEM;
	return mcp_front_write_list(f, json_root(&j), modern, w);
}

static void serve_tools_list(struct mcp_front *f, struct mcp_request *q)
{
	autojw struct jw w = {0};
	int r = mcp_front_write_tools(f, q->era == MCP_ERA_MODERN, &w);

	if (r == 0)
		mcp_reply_raw(q, w.buf, w.len);
	else
		mcp_reply_error(q, RPC_INTERNAL, "the list is not known", NULL);
	mcp_peer_answered(mcp_peer_of(q));
}

static void serve_tools_call(struct mcp_front *f, struct mcp_request *q)
{
	struct jv name = jv_get(q->params, "name");

	if (jv_is(name, JV_STRING) && allows(f->upstream->spec, name)) {
		mcp_relay(f, q, f->upstream, NULL);
		return;
	}
	mcp_reply_error(q, RPC_INVALID_PARAMS, "there is no such tool", NULL);
	mcp_peer_answered(mcp_peer_of(q));
}

static void serve_passed_on(struct mcp_front *f, struct mcp_request *q)
{
	mcp_relay(f, q, f->upstream, NULL);
}

static void serve_subscribe(struct mcp_front *f, struct mcp_request *q)
{
	mcp_subscribe(f, q, f->upstream);
}

static const struct method {
	const char *name;
	void (*serve)(struct mcp_front *f, struct mcp_request *q);
} methods[] = {
	{"tools/call", serve_tools_call},
	{"tools/list", serve_tools_list},
	{"prompts/list", serve_passed_on},
	{"prompts/get", serve_passed_on},
	{"resources/list", serve_passed_on},
	{"resources/templates/list", serve_passed_on},
	{"resources/read", serve_passed_on},
	{"resources/subscribe", serve_subscribe},
	{"resources/unsubscribe", mcp_unsubscribe},
	{"completion/complete", serve_passed_on},
};

static void front_on_request(struct mcp_request *q, void *arg)
{
	struct mcp_front *f = arg;

	mcp_peer_began(q);
	if (f->upstream == NULL) {
		mcp_all_request(f, q);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(q->method, methods[i].name) == 0) {
			methods[i].serve(f, q);
			return;
		}
	mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "method not found", NULL);
	mcp_peer_answered(mcp_peer_of(q));
}

static void front_on_cancelled(struct mcp_request *q, void *arg)
{
	struct mcp_front *f = arg;
	struct mcp_peer *p = mcp_peer_of(q);

	if (f->upstream != NULL || !mcp_all_cancelled(f, q))
		mcp_relay_cancelled(q);
	mcp_peer_answered(p);
}

static void front_on_level(struct mcp_conn *c, const char *level, void *arg)
{
	struct mcp_front *f = arg;
	autojw struct jw w = {0};

	(void)c;
	if (f->upstream == NULL || f->upstream->spec->shared)
		return;
	jw_obj(&w);
	jw_kstr(&w, "level", level);
	jw_obj_end(&w);
	if (!w.failed)
		mcp_relay_unheard(f->upstream, "logging/setLevel", w.buf);
}

static void front_on_listen(struct mcp_conn *c, struct jv wants, void *arg)
{
	(void)arg;
	mcp_subs_listen(mcp_conn_arg(c), wants);
}

static const struct mcp_server_ops server_ops = {
	.request = front_on_request,
	.cancelled = front_on_cancelled,
	.log_level = front_on_level,
	.listen = front_on_listen,
};

/*
 * What servers tell.
 */

static void all_update(struct mcp_gateway *g, bool tools)
{
	if (g->all != NULL)
		mcp_all_update(g->all, tools);
}

static void upstream_on_ready(struct upstream *u, bool fresh, void *arg)
{
	struct mcp_front *f = arg;
	bool told = f->known;

	front_open(f);
	mcp_subs_renew(f->gateway, u);
	if (told && fresh)
		mcp_server_list_changed(f->server, "tools");
	all_update(f->gateway, fresh);
}

static void upstream_on_failed(struct upstream *u,
			       const struct upstream_end *end, void *arg)
{
	struct mcp_front *f = arg;

	if (u->tools == NULL) {
		mcp_server_fail(f->server, end->why.msg);
		f->known = true;
		tell_idle(f);
	}
	all_update(f->gateway, false);
}

static void upstream_on_changed(struct upstream *u, const char *kind, void *arg)
{
	struct mcp_front *f = arg;
	struct mcp_front *all = f->gateway->all;
	bool tools = strcmp(kind, "tools") == 0;

	(void)u;
	mcp_server_list_changed(f->server, kind);
	all_update(f->gateway, tools);
	if (all != NULL && !tools)
		mcp_server_list_changed(all->server, kind);
}

/* A line of its log, to those who are not too far behind to hear it. */
static void pass_on_log(struct mcp_front *f, struct jv params)
{
	autofree char *level = jv_strdup(jv_get(params, "level"), NULL);
	autofree char *logger = jv_strdup(jv_get(params, "logger"), NULL);
	struct jv data = jv_get(params, "data");
	size_t len;
	const char *raw = jv_raw(data, &len);
	autofree char *text = raw == NULL ? NULL : strndup(raw, len);
	struct mcp_peer *p;

	if (level == NULL || text == NULL)
		return;
	TAILQ_FOREACH (p, &f->peers, link)
		mcp_conn_log(p->conn, level, logger, text);
}

static void upstream_on_notify(struct upstream *u, const struct rpc_msg *m,
			       void *arg)
{
	struct mcp_front *f = arg;

	if (jv_eq(m->method, "notifications/resources/updated"))
		mcp_subs_updated(f->gateway, u, m->params);
	else if (jv_eq(m->method, "notifications/message") && !u->spec->shared)
		pass_on_log(f, m->params);
}

static void upstream_on_request(struct upstream *u,
				const struct upstream_question *q, void *arg)
{
	const struct mcp_front *f = arg;

	mcp_ask_back(f->gateway, u, q);
}

static void upstream_on_request_gone(struct upstream *u, int64_t id, void *arg)
{
	const struct mcp_front *f = arg;

	mcp_ask_gone(f->gateway, u, id);
}

static const struct upstream_events upstream_events = {
	.ready = upstream_on_ready,
	.failed = upstream_on_failed,
	.changed = upstream_on_changed,
	.notify = upstream_on_notify,
	.request = upstream_on_request,
	.request_gone = upstream_on_request_gone,
};

/*
 * Peers.
 */

static void peer_send(const char *msg, size_t len,
		      const struct mcp_request *related, void *arg)
{
	const struct mcp_peer *p = arg;

	(void)related;
	p->spec.send(msg, len, p->spec.arg);
}

/* Somebody wants to know what the server is. */
static void want(struct mcp_front *f)
{
	struct upstream *u = f->upstream;

	if (u == NULL || u->tools != NULL)
		return;
	upstream_want(u);
	if (f->known || u->state == UPSTREAM_STARTING ||
	    u->state == UPSTREAM_READY)
		return;
	mcp_server_fail(f->server, "the server cannot be started");
	f->known = true;
}

struct mcp_peer *mcp_peer_open(struct mcp_front *f,
			       const struct mcp_peer_spec *spec)
{
	struct mcp_peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->front = f;
	p->spec = *spec;
	p->conn = mcp_conn_new(f->server, &(struct mcp_conn_spec){
						  .send = peer_send,
						  .arg = p,
					  });
	if (p->conn == NULL) {
		free(p);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&f->peers, p, link);
	want(f);
	return p;
}

int mcp_peer_feed(struct mcp_peer *p, char *data, size_t n)
{
	return mcp_conn_feed(p->conn, data, n);
}

size_t mcp_peer_held(const struct mcp_peer *p)
{
	return mcp_conn_held(p->conn);
}

void mcp_peer_finish(struct mcp_peer *p)
{
	p->finishing = true;
	if (p->n_open == 0 && p->front->known)
		p->spec.idle(p->spec.arg);
}

void mcp_peer_close(struct mcp_peer *p)
{
	TAILQ_REMOVE(&p->front->peers, p, link);
	mcp_subs_end(p);
	mcp_conn_close(p->conn);
	free(p);
}

/*
 * Fronts.
 */

static struct mcp_front *front_new(struct mcp_gateway *g, struct upstream *u)
{
	struct mcp_front *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->gateway = g;
	f->upstream = u;
	TAILQ_INIT(&f->peers);
	TAILQ_INIT(&f->gathers);
	f->server = mcp_server_new(g->spec.loop, &server_ops, f);
	if (f->server == NULL) {
		free(f);
		return NULL;
	}
	return f;
}

static void front_free(struct mcp_front *f)
{
	struct mcp_peer *p;

	while ((p = TAILQ_FIRST(&f->peers)) != NULL) {
		const struct mcp_peer_spec spec = p->spec;

		mcp_peer_close(p);
		spec.ended(spec.arg);
	}
	if (f->upstream != NULL)
		upstream_listen(f->upstream, NULL, NULL);
	else
		mcp_all_done(f);
	mcp_server_free(f->server);
	free(f);
}

int mcp_gateway_add(struct mcp_gateway *g, struct upstream *u)
{
	struct mcp_front *f = front_new(g, u);

	if (f == NULL)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&g->fronts, f, link);
	upstream_listen(u, &upstream_events, f);
	if (u->tools != NULL)
		front_open(f);
	return 0;
}

int mcp_gateway_add_all(struct mcp_gateway *g)
{
	int r;

	g->all = front_new(g, NULL);
	if (g->all == NULL)
		return -ENOMEM;
	r = mcp_all_open(g->all);
	g->all->known = true;
	return r;
}

struct mcp_front *mcp_gateway_find(const struct mcp_gateway *g,
				   const char *name)
{
	struct mcp_front *f;

	TAILQ_FOREACH (f, &g->fronts, link)
		if (strcmp(f->upstream->spec->name, name) == 0)
			return f;
	return strcmp(name, MCP_AGGREGATE) == 0 ? g->all : NULL;
}

struct mcp_front *mcp_gateway_first(const struct mcp_gateway *g)
{
	return TAILQ_FIRST(&g->fronts);
}

struct mcp_front *mcp_gateway_next(struct mcp_front *f)
{
	return TAILQ_NEXT(f, link);
}

struct upstream *mcp_front_upstream(const struct mcp_front *f)
{
	return f->upstream;
}

struct mcp_gateway *mcp_gateway_new(const struct mcp_gateway_spec *spec)
{
	struct mcp_gateway *g = calloc(1, sizeof(*g));
	char *cwd = strdup(spec->cwd);

	if (g == NULL || cwd == NULL) {
		free(g);
		free(cwd);
		return NULL;
	}
	g->spec = *spec;
	g->spec.cwd = cwd;
	TAILQ_INIT(&g->fronts);
	TAILQ_INIT(&g->relays);
	TAILQ_INIT(&g->asked);
	TAILQ_INIT(&g->subs);
	return g;
}

void mcp_gateway_free(struct mcp_gateway *g)
{
	struct mcp_front *f;

	if (g == NULL)
		return;
	mcp_relays_drop(g);
	mcp_asks_drop(g);
	if (g->all != NULL)
		front_free(g->all);
	while ((f = TAILQ_FIRST(&g->fronts)) != NULL) {
		TAILQ_REMOVE(&g->fronts, f, link);
		front_free(f);
	}
	free((char *)(uintptr_t)g->spec.cwd);
	free(g);
}
