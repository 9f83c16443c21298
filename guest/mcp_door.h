/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_door.h - Where the shims of one session knock
 *
 * A socket in a folder of the session's own.  The session init shows a session
 * its own folder alone (proc_spec.mcp), so who can knock is of the session; what
 * he says all the same is hostile: the line is bounded in size and time, and of
 * descriptors only two pipes or stream sockets are taken.  See mcp_shim.h for
 * what is said.
 */
#ifndef GUEST_MCP_DOOR_H
#define GUEST_MCP_DOOR_H

#include <uv.h>

#include "core/err.h"

struct mcp_door; /* Opaque. */

/* Who has come in.  The descriptors are non-blocking, and the callee's. */
struct mcp_visitor {
	const char *server;
	int in, out; /* His messages to us, and ours to him. */
	int shim;    /* Its end is his end; -1: @in and @out are the shim. */
};

struct mcp_door_events {
	/* May he come in to @server?  Else the words in @e are told to him. */
	int (*may)(const char *server, void *arg, struct err *e);
	/* He has been told that he may. */
	void (*enter)(const struct mcp_visitor *v, void *arg);
};

/**
 * mcp_door_open() - Listen
 * @folder:  Of all sessions; made where it is missing
 * @session: Its id
 * @ev:      Must outlive the door
 * @out:     Set on success
 * @e:       Set on failure
 *
 * Return: 0 or a negative errno.
 */
int mcp_door_open(uv_loop_t *loop, const char *folder, const char *session,
		  const struct mcp_door_events *ev, void *arg,
		  struct mcp_door **out, struct err *e);
/* Send away who still waits, remove socket and folder; the memory goes when the
 * loop has closed the handles.  NULL is allowed. */
void mcp_door_close(struct mcp_door *d);

/* What the session is shown: its own folder. */
const char *mcp_door_folder(const struct mcp_door *d);
const char *mcp_door_socket(const struct mcp_door *d);

#endif
