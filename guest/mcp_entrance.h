/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_entrance.h - The agent's way to the MCP servers of its session
 *
 * A door (mcp_door.h), and behind it a peer of the gateway for everybody who came
 * in by a shim.  One whose input ends gets the answers that are due before his
 * connection ends; one whose shim ends is gone at once.
 */
#ifndef GUEST_MCP_ENTRANCE_H
#define GUEST_MCP_ENTRANCE_H

#include "guest/mcp_gateway.h"

struct mcp_entrance; /* Opaque. */

/**
 * mcp_entrance_open() - Open it
 * @folder:  Of all sessions' sockets
 * @session: Its name there; shims are told the same
 * @g:       Must outlive the entrance
 *
 * Return: 0 or a negative errno.
 */
int mcp_entrance_open(uv_loop_t *loop, const char *folder, const char *session,
		      struct mcp_gateway *g, struct mcp_entrance **out,
		      struct err *e);
/* End all connections; the memory goes when the loop has closed the handles.  NULL
 * is allowed. */
void mcp_entrance_close(struct mcp_entrance *en);

/* Back-pressure: stop listening to them, or go on. */
void mcp_entrance_pause(struct mcp_entrance *en, bool pause);

/* For proc_spec.mcp, and what a shim connects to where that does nothing. */
const char *mcp_entrance_folder(const struct mcp_entrance *en);
const char *mcp_entrance_socket(const struct mcp_entrance *en);

#endif
