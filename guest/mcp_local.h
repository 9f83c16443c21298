/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_local.h - An MCP server that is a process of ours
 *
 * It runs in the namespaces of the session's agent and below its session init,
 * so it ends with the agent at the latest; in a PID namespace of its own, so that
 * whatever it has started ends with it.  It has pipes for stdio, and the
 * environment of its spec.
 *
 *	start -> handshake, tools (startup_ms) -> ready
 *	ends by itself: again after 250 ms, doubled each time; after 5 ends
 *		in 60 s it is down.  One that was never ready, or cannot be
 *		executed, is down at once.  What is down is tried again when
 *		somebody wants it, unless it has ended 5 times in 60 s
 *	end in peace: end of its stdin, SIGTERM to its process group 2 s later,
 *		SIGKILL to all it ever started 2 s after that
 *
 * What it writes to stdout and is no message is skipped; stderr is read always,
 * and told at a bounded rate.
 */
#ifndef GUEST_MCP_LOCAL_H
#define GUEST_MCP_LOCAL_H

#include "core/quota.h"
#include "guest/mcp_upstream.h"
#include "guest/proc.h"

/* Where local servers run; what it points at must outlive them. */
struct mcp_place {
	uv_loop_t *loop;
	bool isolate;
	struct proc *join;	   /* The agent; NULL: namespaces of its own. */
	const struct quota *quota; /* Of the session, or NULL. */
	const char *capabilities;  /* Of their client, a JSON object. */
};

/* @spec must outlive it.  NULL: out of memory.  It is OFF. */
struct upstream *mcp_local_new(const struct mcp_place *place,
			       const struct mcp_spec *spec);

#endif
