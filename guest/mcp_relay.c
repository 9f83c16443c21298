// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_relay.c - Requests on their way to a server, and their answers
 *
 * Passed on are the params without what is between a client and us: its progress
 * token and what _meta says of the client and its protocol.  A server of the
 * modern era that asks back answers with input_required; that goes as it is to a
 * client of that era which can be asked, and comes back with its next request.
 * For any other client the answers are got by mcp_ask.c on the way.
 */
#include <string.h>

#include "core/content.h"
#include "guest/mcp_audit.h"
#include "guest/mcp_gateway_impl.h"

#define TOOLS_CALL "tools/call"

struct mcp_gateway_call {
	TAILQ_ENTRY(mcp_gateway_call) link; /* In the gateway. */
	struct mcp_gateway *gateway;
	struct upstream *upstream;
	struct upstream_call *call;
	struct mcp_request *q;		   /* NULL: not of a client. */
	struct mcp_gateway_call_spec spec; /* Then. */
	char *tool; /* Its server's name for it; NULL: no call of a tool. */
	uint64_t begun_ns;
};

/*
 * Params.
 */

static void write_member(struct jw *w, struct jv key)
{
	size_t len;
	const char *raw = jv_raw(key, &len);

	jw_raw(w, raw, len);
	jw_lit(w, ":", 1);
	jw_value(w, jv_value(key));
}

/* Is this key of _meta between the client and us? */
static bool is_ours(struct jv key)
{
	static const char prefix[] = "\"" MCP_META_PREFIX;
	size_t len;
	const char *raw = jv_raw(key, &len);

	return jv_eq(key, "progressToken") ||
	       (len >= sizeof(prefix) &&
		memcmp(raw, prefix, sizeof(prefix) - 1) == 0);
}

static void write_meta(struct jw *w, struct jv meta)
{
	autojw struct jw rest = {0};

	for (struct jv it = jv_first(meta); jv_has(it); it = jv_next(meta, it))
		if (!is_ours(it))
			write_member(&rest, it);
	w->failed |= rest.failed;
	if (rest.len == 0)
		return;
	jw_key(w, "_meta");
	jw_obj(w);
	jw_raw(w, rest.buf, rest.len);
	jw_obj_end(w);
}

static void write_params(struct jw *w, struct jv params, const char *name)
{
	jw_obj(w);
	for (struct jv it = jv_first(params); jv_has(it);
	     it = jv_next(params, it)) {
		if (jv_eq(it, "_meta"))
			write_meta(w, jv_value(it));
		else if (name != NULL && jv_eq(it, "name"))
			jw_kstr(w, "name", name);
		else
			write_member(w, it);
	}
	jw_obj_end(w);
}

/*
 * Answers.
 */

static void relay_free(struct mcp_gateway_call *c)
{
	TAILQ_REMOVE(&c->gateway->relays, c, link);
	free(c->tool);
	free(c);
}

static void audit(const struct mcp_gateway_call *c,
		  const struct upstream_answer *a)
{
	struct jv args =
		c->q == NULL ? c->spec.args : jv_get(c->q->params, "arguments");

	if (c->tool == NULL)
		return;
	mcp_audit_call(
		c->gateway->spec.journal,
		&(struct mcp_audit){
			.server = c->upstream->spec->name,
			.tool = c->tool,
			.arguments = args,
			.result = a->result,
			.error = a->error,
			.why = a->why,
			.ms = (int64_t)(uv_hrtime() - c->begun_ns) / 1000000,
		});
}

/* The server is not there, or did not answer. */
static void reply_failure(struct mcp_gateway_call *c, const char *why)
{
	autojw struct jw w = {0};

	if (c->tool == NULL) {
		mcp_reply_error(c->q, RPC_INTERNAL, why, NULL);
		return;
	}
	jw_obj(&w);
	jw_key(&w, "content");
	jw_arr(&w);
	content_text(&w, why, strlen(why));
	jw_arr_end(&w);
	jw_kbool(&w, "isError", true);
	jw_obj_end(&w);
	mcp_reply(c->q, w.buf);
}

/* Clients of the legacy era know no structured content but objects: they get it
 * as text alone. */
static bool is_too_modern(const struct mcp_gateway_call *c, struct jv result)
{
	struct jv content = jv_get(result, "structuredContent");

	return c->q->era != MCP_ERA_MODERN && jv_has(content) &&
	       !jv_is(content, JV_OBJECT);
}

static void reply_result(struct mcp_gateway_call *c, struct jv result)
{
	autojw struct jw w = {0};
	size_t len;
	const char *raw = jv_raw(result, &len);

	if (!is_too_modern(c, result)) {
		mcp_reply_raw(c->q, raw, len);
		return;
	}
	jw_obj(&w);
	for (struct jv it = jv_first(result); jv_has(it);
	     it = jv_next(result, it))
		if (!jv_eq(it, "structuredContent"))
			write_member(&w, it);
	jw_obj_end(&w);
	mcp_reply(c->q, w.buf);
}

/* What is not found has another code in the modern era. */
static void reply_error(struct mcp_gateway_call *c, struct jv error)
{
	autofree char *message = NULL, *data = NULL;
	size_t len;
	const char *raw = jv_raw(error, &len);

	if (c->q->era != MCP_ERA_MODERN ||
	    jv_int(jv_get(error, "code"), 0) != MCP_RESOURCE_NOT_FOUND) {
		mcp_reply_error_raw(c->q, raw, len);
		return;
	}
	message = jv_strdup(jv_get(error, "message"), NULL);
	raw = jv_raw(jv_get(error, "data"), &len);
	data = raw == NULL ? NULL : strndup(raw, len);
	mcp_reply_error(c->q, RPC_INVALID_PARAMS,
			message != NULL ? message : "not found", data);
}

static void reply(struct mcp_gateway_call *c, const struct upstream_answer *a)
{
	struct mcp_peer *p = mcp_peer_of(c->q);

	c->q->data = NULL;
	if (a->status == 0)
		reply_result(c, a->result);
	else if (a->status == -EREMOTEIO && jv_is(a->error, JV_OBJECT))
		reply_error(c, a->error);
	else
		reply_failure(c,
			      a->why != NULL ? a->why : strerror(-a->status));
	mcp_peer_answered(p);
}

static void relay_on_done(const struct upstream_answer *a, void *arg)
{
	struct mcp_gateway_call *c = arg;
	const struct mcp_gateway_call_spec spec = c->spec;

	audit(c, a);
	if (c->q != NULL)
		reply(c, a);
	relay_free(c);
	if (spec.done != NULL)
		spec.done(a, spec.arg);
}

static void relay_on_progress(struct jv params, void *arg)
{
	const struct mcp_gateway_call *c = arg;
	autojw struct jw w = {0};

	if (c->q == NULL || !jv_has(c->q->progress_token))
		return;
	jw_obj(&w);
	jw_kvalue(&w, "progressToken", c->q->progress_token);
	for (struct jv it = jv_first(params); jv_has(it);
	     it = jv_next(params, it))
		if (!jv_eq(it, "progressToken") && !jv_eq(it, "_meta"))
			write_member(&w, it);
	jw_obj_end(&w);
	if (!w.failed)
		(void)mcp_conn_notify(c->q->conn, c->q,
				      "notifications/progress", w.buf);
}

/*
 * Passing on.
 */

/* Record and answer what could not be passed on. */
static void relay_fail(struct mcp_gateway_call *c, int r, const char *why)
{
	relay_on_done(&(struct upstream_answer){.status = r,
						.result = {.i = -1},
						.error = {.i = -1},
						.why = why},
		      c);
}

static struct mcp_gateway_call *relay_new(struct mcp_gateway *g,
					  struct upstream *u)
{
	struct mcp_gateway_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->gateway = g;
	c->upstream = u;
	c->spec.args.i = -1;
	c->begun_ns = uv_hrtime();
	TAILQ_INSERT_HEAD(&g->relays, c, link);
	return c;
}

static int relay_send(struct mcp_gateway_call *c, const char *method,
		      const char *params, struct err *e)
{
	const struct mcp_request *q = c->q;

	return upstream_ask(
		c->upstream,
		&(struct upstream_request){
			.method = method,
			.params = params,
			.timeout_ms = c->spec.timeout_ms,
			.pass_input_required = q != NULL &&
					       q->era == MCP_ERA_MODERN &&
					       mcp_client_has(q, "elicitation"),
			.progress = relay_on_progress,
			.done = relay_on_done,
			.arg = c,
		},
		&c->call, e);
}

static bool relay_take(struct mcp_gateway_call *c, struct mcp_request *q,
		       const char *name)
{
	c->q = q;
	q->data = c;
	if (strcmp(q->method, TOOLS_CALL) != 0)
		return true;
	c->tool = name != NULL ? strdup(name)
			       : jv_strdup(jv_get(q->params, "name"), NULL);
	return c->tool != NULL;
}

void mcp_relay(struct mcp_front *f, struct mcp_request *q, struct upstream *u,
	       const char *name)
{
	struct mcp_gateway_call *c = relay_new(f->gateway, u);
	autojw struct jw w = {0};
	struct err e = {0};

	if (c == NULL) {
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
		mcp_peer_answered(mcp_peer_of(q));
		return;
	}
	write_params(&w, q->params, name);
	if (!relay_take(c, q, name) || w.failed)
		relay_fail(c, -ENOMEM, "out of memory");
	else if (relay_send(c, q->method, w.buf, &e) < 0)
		relay_fail(c, e.code, e.msg);
}

static void unheard_on_done(const struct upstream_answer *a, void *arg)
{
	(void)a;
	(void)arg;
}

void mcp_relay_unheard(struct upstream *u, const char *method,
		       const char *params)
{
	const struct upstream_request q = {
		.method = method, .params = params, .done = unheard_on_done};
	struct upstream_call *c;

	if (u->state == UPSTREAM_READY)
		(void)upstream_ask(u, &q, &c, NULL);
}

static void relay_forget(struct mcp_gateway_call *c, const char *why)
{
	const struct upstream_answer none = {.status = -ECANCELED,
					     .result = {.i = -1},
					     .error = {.i = -1},
					     .why = why};

	upstream_forget(c->call, why);
	audit(c, &none);
	relay_free(c);
}

void mcp_relay_cancelled(struct mcp_request *q)
{
	struct mcp_gateway_call *c = q->data;

	if (c != NULL)
		relay_forget(c, "cancelled");
	mcp_reply_error(q, RPC_INTERNAL, "cancelled", NULL);
}

struct mcp_request *mcp_relay_about(struct mcp_gateway *g, struct upstream *u,
				    const struct upstream_call *call)
{
	struct mcp_gateway_call *c;

	TAILQ_FOREACH (c, &g->relays, link)
		if (c->upstream == u && c->q != NULL &&
		    (call == NULL || c->call == call))
			return c->q;
	return NULL;
}

/*
 * Calls without a client's connection.
 */

static int find_tool(struct mcp_front *f, const char *shown,
		     struct upstream **u, const char **name, struct err *e)
{
	const struct mcp_index_entry *en;

	*u = f->upstream;
	*name = shown;
	if (f->upstream != NULL && mcp_spec_allows(f->upstream->spec, shown))
		return 0;
	if (f->upstream == NULL && (en = mcp_all_find(f, shown)) != NULL) {
		*u = en->owner;
		*name = en->name;
		return 0;
	}
	return err_set(e, -FAULT_INVALID_ARGUMENT, "there is no tool '%.64s'",
		       shown);
}

int mcp_front_call(struct mcp_front *f,
		   const struct mcp_gateway_call_spec *spec,
		   struct mcp_gateway_call **out, struct err *e)
{
	autojw struct jw w = {0};
	struct mcp_gateway_call *c;
	struct upstream *u;
	const char *name;

	if (find_tool(f, spec->tool, &u, &name, e) < 0)
		return e->code;
	jw_obj(&w);
	jw_kstr(&w, "name", name);
	if (jv_has(spec->args))
		jw_kvalue(&w, "arguments", spec->args);
	jw_obj_end(&w);
	c = relay_new(f->gateway, u);
	if (c == NULL)
		return err_set(e, -ENOMEM, "call: out of memory");
	c->spec = *spec;
	c->tool = strdup(name);
	if (c->tool == NULL || w.failed)
		err_set(e, -ENOMEM, "call: out of memory");
	else if (relay_send(c, TOOLS_CALL, w.buf, e) == 0) {
		*out = c;
		return 0;
	}
	relay_free(c);
	return e->code;
}

int mcp_front_ask_tools(struct mcp_front *f,
			const struct mcp_gateway_call_spec *spec,
			struct mcp_gateway_call **out, struct err *e)
{
	struct mcp_gateway_call *c = relay_new(f->gateway, f->upstream);

	if (c == NULL)
		return err_set(e, -ENOMEM, "list: out of memory");
	c->spec.done = spec->done;
	c->spec.arg = spec->arg;
	if (upstream_ask(f->upstream,
			 &(struct upstream_request){
				 .list = "tools",
				 .done = relay_on_done,
				 .arg = c,
			 },
			 &c->call, e) < 0) {
		relay_free(c);
		return e->code;
	}
	*out = c;
	return 0;
}

void mcp_gateway_cancel(struct mcp_gateway_call *c)
{
	relay_forget(c, "cancelled");
}

void mcp_relays_drop(struct mcp_gateway *g)
{
	struct mcp_gateway_call *c, *next;

	for (c = TAILQ_FIRST(&g->relays); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->q != NULL)
			continue;
		upstream_forget(c->call, "ended");
		relay_fail(c, -EPIPE, "the session's agent has ended");
	}
}
