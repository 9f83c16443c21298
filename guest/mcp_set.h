/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_set.h - The MCP servers of one session, as long as its agent runs
 *
 * A set makes an upstream of each local server in a config, takes those of the
 * others, starts the eager ones, and records what becomes of all: mcp.starting, .ready, .failed, .exited, .stderr
 * and .changed.  What a server does never fails a session, but for a required one
 * that does not become ready in the first place.
 */
#ifndef GUEST_MCP_SET_H
#define GUEST_MCP_SET_H

#include "guest/journal.h"
#include "guest/mcp_local.h"
#include "guest/mcp_shared.h"

struct mcp_set; /* Opaque. */

struct mcp_set_setup {
	struct journal *journal; /* Must outlive the set, as all here. */
	const struct mcp_config *config;
	struct mcp_place place;
	struct mcp_sharing *sharing;
	/* Once, from the loop: all required servers are ready, or @why not.
	 * Not when there are none. */
	void (*settled)(const struct err *why, void *arg);
	void *arg;
};

/* With the local servers in it.  Return: NULL when memory is out. */
struct mcp_set *mcp_set_new(const struct mcp_set_setup *setup);
/* Add another kind of server; it is the set's from now on. */
void mcp_set_add(struct mcp_set *s, struct upstream *u);
/* Start those that are eager. */
void mcp_set_begin(struct mcp_set *s);
/* The agent is gone: what still runs ends at once, and is recorded.  NULL is
 * allowed. */
void mcp_set_free(struct mcp_set *s);

/* The agent is being ended: end all in peace, and begin none any more.  NULL is
 * allowed. */
void mcp_set_stop(struct mcp_set *s);

/* Have all required servers been ready?  A set of NULL has. */
bool mcp_set_is_settled(const struct mcp_set *s);
/* Is any server ready? */
bool mcp_set_any_ready(const struct mcp_set *s);

/* NULL: there is none of that name; owned by the set. */
struct upstream *mcp_set_find(const struct mcp_set *s, const char *name);
/* Each of them; NULL at the end. */
struct upstream *mcp_set_first(const struct mcp_set *s);
struct upstream *mcp_set_next(struct upstream *u);

#endif
