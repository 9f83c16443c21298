/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_shared.h - One process for the identical servers of several sessions
 *
 * Sessions that want the very same command, arguments, environment and folder,
 * each with "shared": true, get one process.  It runs in namespaces of its own,
 * with the workspace in it and without the limits of a session, and ends in peace
 * when the last session is gone.  Nothing of one session reaches another by it:
 *
 *	answers, progress   to whose request they belong
 *	list_changed        to all
 *	resources/updated   to who has subscribed to that resource
 *	other notifications to nobody
 *	its own requests    are refused: whom it means is not known
 *	its stderr          to nobody, but what it says at its first start
 */
#ifndef GUEST_MCP_SHARED_H
#define GUEST_MCP_SHARED_H

#include "guest/mcp_local.h"

struct mcp_shared;
TAILQ_HEAD(mcp_shared_list, mcp_shared);

/* Those of a daemon. */
struct mcp_sharing {
	struct mcp_shared_list used, ending; /* Private. */
};

void mcp_sharing_init(struct mcp_sharing *all);
/* The daemon ends: kill what is ending; no session may be left. */
void mcp_sharing_done(struct mcp_sharing *all);

/* Join the server of @all that runs the same as @spec, or make it.  @place: of
 * the session.  NULL: out of memory. */
struct upstream *mcp_shared_new(struct mcp_sharing *all,
				const struct mcp_place *place,
				const struct mcp_spec *spec);

#endif
