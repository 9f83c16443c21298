/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_channel.h - The host's way to the MCP servers of the sessions
 *
 *	POST /mcp/<session>/<server>	lines of MCP both ways, as from a shim
 *	POST /call/mcp.list		{session} -> {servers:[{name,...}]}
 *	POST /call/mcp.tools		{session,name,refresh?} -> {tools:[..]}
 *	POST /call/mcp.call		{session,name,tool,arguments?,timeout_ms?}
 *					-> CallToolResult
 *
 * @name may be MCP_AGGREGATE where the session has a front of all.  A session
 * without an agent has no servers: session_not_live.
 */
#ifndef GUEST_MCP_CHANNEL_H
#define GUEST_MCP_CHANNEL_H

#include "guest/guest.h"
#include "guest/session.h"

/* @what: the path behind /mcp/. */
void mcp_channel_serve(struct guest *g, struct h2_stream *s, const char *what);

/* Return: 0, and the call is or will be answered; or a failure. */
int mcp_channel_list(struct session *s, struct call *c, struct err *e);
int mcp_channel_tools(struct session *s, const char *name, bool refresh,
		      struct call *c, struct err *e);
struct mcp_channel_call {
	const char *name, *tool;
	struct jv args; /* Valid as long as the call. */
	int64_t timeout_ms;
};
int mcp_channel_call(struct session *s, const struct mcp_channel_call *spec,
		     struct call *c, struct err *e);

#endif
