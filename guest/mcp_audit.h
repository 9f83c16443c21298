/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_audit.h - The record of each call of a tool
 */
#ifndef GUEST_MCP_AUDIT_H
#define GUEST_MCP_AUDIT_H

#include "guest/journal.h"

struct mcp_audit {
	const char *server, *tool;
	struct jv arguments; /* May be absent. */
	struct jv result;    /* CallToolResult; absent: there is none. */
	struct jv error;     /* The server's JSON-RPC error, or absent. */
	const char *why;     /* Neither came: the reason in words. */
	int64_t ms;	     /* That it took. */
};

/* Add mcp.call; nobody waits for its commit. */
void mcp_audit_call(struct journal *j, const struct mcp_audit *a);

#endif
