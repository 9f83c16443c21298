/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_door.h - The MCP servers of sessions, for clients outside
 *
 * Streamable HTTP at the front (mcp/front.h), lines of a stream to the guest
 * behind it: what an outside client asks goes through the same gateway as what
 * the agent asks.
 */
#ifndef HOST_DAEMON_MCP_DOOR_H
#define HOST_DAEMON_MCP_DOOR_H

struct hibd;
struct http_req;
struct mcp_front;

/* For all sessions of @d.  NULL: out of memory.  Ends with mcp_front_close(). */
struct mcp_front *mcp_door_new(struct hibd *d);

/* Answer a request to a server of a session, which may make it. */
void mcp_door_request(struct mcp_front *f, struct http_req *r,
		      const char *session, const char *server);

#endif
