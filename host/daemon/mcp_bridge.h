/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_bridge.h - A guest's way to remote MCP servers
 *
 * POST /mcp/<session>/<name> on the host stream is a conversation with that
 * server: both bodies are MCP messages, one a line, for as long as the stream is
 * open.  URL and headers are the host's (mcp_remotes.h); the guest sees neither.
 * When the guest ends its body, or the server forgets the session, it is over.
 *
 * What bridges of one VM hold is bounded together: a guest that sends and never
 * reads, or the other way round, keeps only itself waiting.
 */
#ifndef HOST_DAEMON_MCP_BRIDGE_H
#define HOST_DAEMON_MCP_BRIDGE_H

#include "core/h2.h"

struct reader;
struct vault;

#define MCP_BRIDGES_MAX 128 /* Of one VM, open at a time. */
#define MCP_BRIDGES_QUEUE \
	(24u << 20)		     /* Bytes not yet with a server; then the
					  guest is not listened to. */
#define MCP_BRIDGES_HELD (64u << 20) /* Bytes of unfinished answers. */
#define MCP_BRIDGE_OUT_MAX \
	(4u << 20) /* Bytes that the guest has not taken;
					  then the server is not read. */

struct mcp_bridges; /* Of one VM; opaque. */

struct mcp_bridges_spec {
	uv_loop_t *loop;
	struct vault *vault;
	struct reader *reader;
	const char *vm; /* Must outlive them. */
};

/* NULL when memory is out. */
struct mcp_bridges *mcp_bridges_new(const struct mcp_bridges_spec *spec);
/* Once all their streams have ended.  NULL is allowed. */
void mcp_bridges_free(struct mcp_bridges *all);

/**
 * mcp_bridge_begin() - Serve a request of the guest
 * @path: What follows "/mcp/": hostile
 *
 * Return: 0, and the stream is the bridge's; else the caller refuses it:
 * -FAULT_INVALID_ARGUMENT; -FAULT_KEY_NOT_FOUND when this VM has no such server;
 * -FAULT_OVERLOADED; -ENOMEM.
 */
int mcp_bridge_begin(struct mcp_bridges *all, struct h2_stream *s,
		     const char *path, struct err *e);

#endif
