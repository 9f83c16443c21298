/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_remotes.h - Where a session's remote MCP server is, and what it is shown
 *
 * A guest names session and server; url and headers stay on the host.
 */
#ifndef HOST_DAEMON_MCP_REMOTES_H
#define HOST_DAEMON_MCP_REMOTES_H

#include "core/err.h"

struct reader;
struct vault;

struct mcp_header {
	char *name, *value;
};

struct mcp_remote {
	char *url;
	struct mcp_header *headers; /* Ended by one without a name. */
	bool sse; /* It was said to speak HTTP+SSE, the transport of 2024. */
};

/**
 * mcp_remote_find() - Take it out of the vault
 * @vm:      That asks; a session of another one is not there
 * @session: Hostile, as is @name
 * @out:     Ended with mcp_remote_done(), which wipes it
 *
 * Secrets that headers refer to are read anew each time.  Return: 0;
 * -FAULT_KEY_NOT_FOUND when this VM has no such session, or the session no remote
 * server of that name; -FAULT_AGENT_AUTH_REQUIRED when a secret is not there.
 */
int mcp_remote_find(struct vault *v, struct reader *r, const char *vm,
		    const char *session, const char *name,
		    struct mcp_remote *out, struct err *e);
void mcp_remote_done(struct mcp_remote *m);

#endif
