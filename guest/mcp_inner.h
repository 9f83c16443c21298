/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_inner.h - A server inside the daemon, as one of a session's MCP servers
 *
 * It is ready as soon as it is wanted, and never ends by itself.  How long a call
 * may take is for its tools to say.
 */
#ifndef GUEST_MCP_INNER_H
#define GUEST_MCP_INNER_H

#include "guest/mcp_upstream.h"

struct session;

/* @spec: of type MCP_BUILTIN; must outlive it.  @s: as in mcp_builtin.h.
 * NULL: out of memory.  It is OFF. */
struct upstream *mcp_inner_new(uv_loop_t *loop, const struct mcp_spec *spec,
			       struct session *s);

#endif
