/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_remote.h - An MCP server somewhere else, reached by the host
 *
 * POST /mcp/<session>/<server> on the host stream is a conversation with it, in
 * lines.  Its URL and headers are the host's; here it is only named.
 *
 * A conversation that ends by itself (the host has gone, the server has forgotten
 * the session) leaves the server down; it begins again with the next request.
 */
#ifndef GUEST_MCP_REMOTE_H
#define GUEST_MCP_REMOTE_H

#include "guest/mcp_upstream.h"

struct workspace;

struct mcp_remote_place {
	uv_loop_t *loop;
	struct workspace
		*ws; /* With the way to the host; NULL: there is none. */
	const char *session;	  /* Its id. */
	const char *capabilities; /* Of the client, a JSON object. */
};

/* @spec and what @place points at must outlive it.  NULL: out of memory.  It is
 * OFF. */
struct upstream *mcp_remote_new(const struct mcp_remote_place *place,
				const struct mcp_spec *spec);

#endif
