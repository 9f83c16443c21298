/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_builtin.h - One session's view of a server inside the daemon
 *
 * Runs the tools of a builtin (builtin.h).  No call runs a callback before it
 * returns: answers are told from the loop, in the order in which they came.
 */
#ifndef GUEST_MCP_BUILTIN_H
#define GUEST_MCP_BUILTIN_H

#include <uv.h>

#include "guest/builtin.h"

struct mcp_builtin; /* Opaque. */

/* @s: whom it serves; not touched but by the tools.  NULL: no memory. */
struct mcp_builtin *mcp_builtin_new(uv_loop_t *loop, const struct builtin *b,
				    struct session *s);
/* Cancel what is open, and free; the memory goes when the loop has closed a
 * handle.  NULL is allowed. */
void mcp_builtin_free(struct mcp_builtin *m);

/* Write the array of its tools. */
void mcp_builtin_list(const struct mcp_builtin *m, struct jw *w);

struct mcp_builtin_caller {
	/* Once, with a CallToolResult; borrowed for the call. */
	void (*done)(const char *result, size_t len, void *arg);
	/* Members of notifications/progress but its token, as an object; may
	 * be NULL. */
	void (*progress)(const char *params, void *arg);
	void *arg;
};
/**
 * mcp_builtin_call() - Call a tool
 * @params: Of tools/call; copied
 * @out:    Set on success; valid until @done has returned
 *
 * Return: 0; -ENOENT when there is no such tool, -EINVAL when the params are
 * none of tools/call; -ENOMEM.
 */
int mcp_builtin_call(struct mcp_builtin *m, struct jv params,
		     const struct mcp_builtin_caller *by,
		     struct builtin_call **out, struct err *e);
/* Nobody wants the answer: @done will not be called, @q is gone. */
void mcp_builtin_cancel(struct builtin_call *q);

#endif
