// SPDX-License-Identifier: Apache-2.0
/*
 * api_mcp.c - Look at the MCP servers of a session, and call their tools
 *
 * What there is, is read from the store and wakes nothing.  The tools of a
 * session whose agent lives are asked of its guest, which knows what the agent
 * may see; else they are those of the last time that the server was ready.  A
 * call needs the agent to live, because its servers live with it.
 */
#include <string.h>

#include "host/daemon/mcp_door.h"
#include "host/daemon/mcp_servers.h"
#include "host/daemon/routes.h"

#define TOOL_MAX 128
#define MCP_ALL	 "hib" /* The server that has the tools of all. */

/* All of a session as one server has no row of its own. */
static bool has_server(const struct op *op)
{
	const char *args[] = {op->session, op->server, NULL};
	autofree char *found = NULL;

	return strcmp(op->server, MCP_ALL) == 0 ||
	       reader_value(op->d->reader,
			    "SELECT name FROM mcp_server WHERE session_id=?1"
			    " AND name=?2",
			    args, &found, NULL) == 1;
}

bool op_load_mcp(struct op *op)
{
	if (!op_load_session(op))
		return false;
	if (mcp_name_is_good(op->server) && has_server(op))
		return true;
	op_refuse(op, -FAULT_KEY_NOT_FOUND, "%s has no MCP server '%s'",
		  op->session, op->server);
	return false;
}

bool op_check_live(struct op *op)
{
	static const char *const live[] = {"starting", "idle", "running",
					   "waiting"};
	struct vm *vm = vm_find(op->d, op->vm);

	for (size_t i = 0; i < ARRAY_LEN(live); i++)
		if (strcmp(op->brief.state, live[i]) == 0 && vm != NULL &&
		    !vm_is_off(vm))
			return true;
	return false;
}

/* --- tools -------------------------------------------------------------- */

/* As they were when the server was ready last. */
static void tools_from_store(struct op *op)
{
	const char *args[] = {op->session, op->server, NULL};
	autofree char *tools = NULL;
	struct err e = {0};
	int n = reader_value(op->d->reader,
			     "SELECT coalesce(tools, '[]') FROM mcp_server"
			     " WHERE session_id=?1 AND name=?2",
			     args, &tools, &e);

	if (n < 0) {
		op_fail(op, &e);
	} else if (n == 0) {
		op_refuse(op, -FAULT_KEY_NOT_FOUND, "%s has no MCP server '%s'",
			  op->session, op->server);
	} else {
		jw_reset(&op->out);
		jw_obj(&op->out);
		jw_kraw(&op->out, "tools", tools);
		jw_obj_end(&op->out);
		op_reply_out(op);
	}
}

static void tools_on_answer(const char *body, size_t len, const struct err *e,
			    void *arg)
{
	struct op *op = arg;

	if (e->code == -FAULT_SESSION_NOT_LIVE ||
	    e->code == -FAULT_SESSION_NOT_FOUND)
		tools_from_store(op);
	else if (e->code < 0)
		op_fail(op, e);
	else
		op_reply(op, body, len);
}

void mcp_tools_route(struct op *op)
{
	struct jw *w = &op->params;
	bool refresh = false;

	if (!op_query_flag(op, "refresh", &refresh) || !op_load_mcp(op))
		return;
	if (!op_check_live(op)) {
		tools_from_store(op);
		return;
	}
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kstr(w, "name", op->server);
	jw_kbool(w, "refresh", refresh);
	jw_obj_end(w);
	op->fed = true; /* A look changes nothing. */
	op_call(op, "mcp.tools", tools_on_answer);
}

/* --- a call ------------------------------------------------------------- */

/* What the tool has written into the log is here before its result is shown. */
static void call_on_answer(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	struct op *op = arg;
	autojson struct json j = {0};

	if (e->code >= 0 && json_parse(&j, body, len, NULL) == 0)
		jw_value(&op->out, jv_get(json_root(&j), "result"));
	op_stored(op, body, len, e, op_reply_out);
}

static bool put_call(struct op *op)
{
	struct jv arguments = jv_get(op->in, "arguments");
	autofree char *tool = NULL;
	struct jw *w = &op->params;
	int64_t timeout = 0;

	if (!op_string(op, "tool", TOOL_MAX, &tool) ||
	    !op_integer(op, "timeoutMs", 1, TIMEOUT_MAX_MS, &timeout))
		return false;
	if (tool == NULL || (jv_has(arguments) && !jv_is(arguments, JV_NULL) &&
			     !jv_is(arguments, JV_OBJECT))) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "a call has 'tool', and 'arguments' are an object");
		return false;
	}
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kstr(w, "name", op->server);
	jw_kstr(w, "tool", tool);
	if (jv_is(arguments, JV_OBJECT))
		jw_kvalue(w, "arguments", arguments);
	if (timeout > 0)
		jw_kint(w, "timeout_ms", timeout);
	jw_obj_end(w);
	return true;
}

static void refuse_asleep(struct op *op)
{
	op_refuse(op, -FAULT_SESSION_NOT_LIVE,
		  "%s sleeps, and its MCP servers with it", op->session);
}

void mcp_call_route(struct op *op)
{
	if (!op_load_mcp(op))
		return;
	if (!op_check_live(op))
		refuse_asleep(op);
	else if (put_call(op))
		op_call(op, "mcp.call", call_on_answer);
}

/* --- a client outside --------------------------------------------------- */

void mcp_door_route(struct op *op)
{
	struct http_req *r = op->r;

	if (!op_load_mcp(op))
		return;
	if (!op_check_live(op)) {
		refuse_asleep(op);
		return;
	}
	/* The request goes on without the op. */
	op->r = NULL;
	http_on_end(r, NULL, NULL);
	mcp_door_request(op->d->mcp_front, r, op->session, op->server);
	op_reply_empty(op);
}
