/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_verbs.h - The MCP client of the echo agent
 *
 * It starts the servers of session/new as agents do, and talks to them as a
 * script says: `!mcp VERB ...`, see the table in mcp_verbs.c.  It never blocks:
 * its owner polls what mcp_poll() names and calls mcp_step().
 */
#ifndef TESTS_FAKE_MCP_VERBS_H
#define TESTS_FAKE_MCP_VERBS_H

#include <poll.h>

#include "core/json.h"

struct mcp_set; /* The servers of one session. */

typedef void (*mcp_say_cb)(const char *text, size_t n, void *arg);

/* Start the servers of an array as ACP has it.  @say gets what verbs have to
 * tell, in mcp_command() and mcp_step() only.  Never NULL. */
struct mcp_set *mcp_start(struct jv servers, mcp_say_cb say, void *arg);
/* Ends the servers as agents do: end of file, then SIGTERM, then SIGKILL.
 * NULL is allowed. */
void mcp_end(struct mcp_set *m);

/* Run one verb; @args is cut up.  It goes on while mcp_busy(). */
void mcp_command(struct mcp_set *m, char *args);
bool mcp_busy(const struct mcp_set *m);
/* Cancel all calls that are open, and whatever the last verb waits for. */
void mcp_cancel(struct mcp_set *m);

/* Fill in what to poll for.  Return: how many, at most @cap. */
nfds_t mcp_poll(const struct mcp_set *m, struct pollfd *pf, nfds_t cap);
/* Read, write and end what can be; never waits. */
void mcp_step(struct mcp_set *m);
/* When to call mcp_step() at the latest (CLOCK_MONOTONIC, ms), or INT64_MAX. */
int64_t mcp_due(const struct mcp_set *m);

#endif
