// SPDX-License-Identifier: Apache-2.0
/*
 * mcp.c - MCP servers of a session, and their tools
 */
#include <string.h>

#include "host/lib/lib.h"

int hib_mcp_list(struct hib *h, const char *session, char **json,
		 struct hib_error *e)
{
	return hib_get_view(h, session, "mcp", json, e);
}

/* ".../mcp/SERVER/WHAT" */
static struct jw path_server(const char *session, const char *server,
			     const char *what)
{
	struct jw path = path_session(session, "/mcp/");

	if (path.len > 0) {
		path_encoded(&path, server);
		jw_lit(&path, what, strlen(what));
	}
	return path;
}

int hib_mcp_tools(struct hib *h, const char *session, const char *server,
		  bool refresh, char **json, struct hib_error *e)
{
	struct jw path = path_server(session, server, "/tools");

	path_query(&path, "refresh", refresh ? "1" : NULL);
	return request_get(h, &path, json, e);
}

int hib_mcp_call(struct hib *h, const char *session,
		 const struct hib_mcp_call *call, char **json,
		 struct hib_error *e)
{
	struct hib_mcp_call c;
	struct jw path, body = {0};
	struct err err = {0};
	int r = lib_options(&c, sizeof(c), call, &err);

	if (r == 0 && (c.server == NULL || c.tool == NULL))
		r = err_set(&err, -FAULT_INVALID_ARGUMENT,
			    "a call names a server and a tool");
	jw_obj(&body);
	if (r == 0) {
		jw_kstr(&body, "tool", c.tool);
		if (c.timeout_ms > 0)
			jw_kint(&body, "timeoutMs", c.timeout_ms);
		r = lib_put_json(&body, "arguments", c.arguments, &err);
	}
	jw_obj_end(&body);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	path = path_server(session, c.server, "/call");
	return request_post(h, &path, &body, true, json, e);
}
