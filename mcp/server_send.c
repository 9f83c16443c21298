// SPDX-License-Identifier: Apache-2.0
/*
 * server_send.c - What a server says, other than answers
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mcp/server.h"
#include "mcp/server_impl.h"

#define OUT_KEEP (64u << 10) /* A larger buffer is not kept for reuse. */

struct jw *mcp_send_begin(struct mcp_conn *c)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\"";

	jw_reset(&c->out);
	jw_lit(&c->out, head, sizeof(head) - 1);
	return &c->out;
}

int mcp_send(struct mcp_conn *c, const struct mcp_request *related)
{
	bool failed;

	jw_lit(&c->out, "}", 1);
	failed = c->out.failed;
	if (!failed && !c->closed)
		c->spec.send(c->out.buf, c->out.len, related, c->spec.arg);
	if (failed || c->out.cap > OUT_KEEP)
		jw_done(&c->out);
	return failed ? -ENOMEM : 0;
}

void mcp_send_error(struct mcp_conn *c, const char *id, size_t id_len, int code,
		    const char *message)
{
	struct jw *w = mcp_send_begin(c);

	if (id != NULL) {
		jw_key(w, "id");
		jw_raw(w, id, id_len);
	}
	jw_key(w, "error");
	rpc_write_error(w, code, message, NULL);
	(void)mcp_send(c, NULL);
}

int mcp_conn_notify(struct mcp_conn *c, const struct mcp_request *related,
		    const char *method, const char *params)
{
	struct jw *w;

	if (related != NULL && related->cancelled)
		return 0;
	w = mcp_send_begin(c);
	jw_kstr(w, "method", method);
	if (params != NULL)
		jw_kraw(w, "params", params);
	return mcp_send(c, related);
}

/* --- calls of the client -------------------------------------------------- */

static void on_call_send(const char *msg, size_t len, void *arg)
{
	struct mcp_conn *c = arg;

	if (!c->closed)
		c->spec.send(msg, len, c->calling, c->spec.arg);
}

int64_t mcp_conn_call(struct mcp_conn *c, const struct mcp_request *related,
		      const char *method, const char *params,
		      uint64_t timeout_ms, rpc_done_cb cb, void *arg)
{
	static const struct rpc_ops ops = {.send = on_call_send};
	int64_t id;

	if (c->closed)
		return -ECANCELED;
	if (c->era != MCP_ERA_LEGACY ||
	    (related != NULL && related->era != MCP_ERA_LEGACY))
		return -ENOTSUP;
	if (c->calls == NULL)
		c->calls = rpc_new(c->server->loop, &ops, c);
	if (c->calls == NULL)
		return -ENOMEM;
	c->calling = related;
	id = rpc_call(c->calls, method, params, timeout_ms, cb, arg);
	c->calling = NULL;
	return id;
}

void mcp_conn_forget(struct mcp_conn *c, int64_t id)
{
	if (c->calls != NULL)
		rpc_forget(c->calls, id);
}

/* --- progress and log ----------------------------------------------------- */

static void put_number(struct jw *w, const char *key, double number)
{
	char text[32];

	snprintf(text, sizeof(text), "%.15g", number);
	jw_kraw(w, key, text);
}

void mcp_progress(struct mcp_request *q, double progress, double total,
		  const char *message)
{
	struct jw *w;

	if (q->cancelled || !jv_has(q->progress_token) || !isfinite(progress))
		return;
	w = mcp_send_begin(q->conn);
	jw_kstr(w, "method", "notifications/progress");
	jw_key(w, "params");
	jw_obj(w);
	jw_kvalue(w, "progressToken", q->progress_token);
	put_number(w, "progress", progress);
	if (isfinite(total) && total >= 0)
		put_number(w, "total", total);
	if (message != NULL)
		jw_kstr(w, "message", message);
	jw_obj_end(w);
	(void)mcp_send(q->conn, q);
}

static const char *const levels[] = {
	"debug", "info",     "notice", "warning",
	"error", "critical", "alert",  "emergency",
};

int mcp_log_level(struct jv name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (jv_eq(name, levels[i]))
			return (int)i;
	return -1;
}

static int level_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(name, levels[i]) == 0)
			return (int)i;
	return (int)ARRAY_LEN(levels) - 1;
}

static void send_log(struct mcp_conn *c, const struct mcp_request *related,
		     const char *level, const char *logger, const char *data)
{
	struct jw *w = mcp_send_begin(c);

	jw_kstr(w, "method", "notifications/message");
	jw_key(w, "params");
	jw_obj(w);
	jw_kstr(w, "level", level);
	if (logger != NULL)
		jw_kstr(w, "logger", logger);
	jw_kraw(w, "data", data);
	jw_obj_end(w);
	(void)mcp_send(c, related);
}

void mcp_log(struct mcp_request *q, const char *level, const char *logger,
	     const char *data)
{
	int least;

	if (q->cancelled)
		return;
	least = q->era == MCP_ERA_MODERN ? mcp_log_level(q->log_level)
					 : q->conn->log_level;
	if (least >= 0 && level_of(level) >= least)
		send_log(q->conn, q, level, logger, data);
}

void mcp_conn_log(struct mcp_conn *c, const char *level, const char *logger,
		  const char *data)
{
	if (c->era == MCP_ERA_LEGACY && level_of(level) >= c->log_level)
		send_log(c, NULL, level, logger, data);
}
