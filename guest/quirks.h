/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quirks.h - How an agent differs from what the protocol says
 *
 * An agent's manifest names the quirks of that agent, and the host passes them
 * on in the `quirks` object of the agent that it starts.  All zeroes is an agent
 * that has none.  A member that we do not know is ignored.
 */
#ifndef GUEST_QUIRKS_H
#define GUEST_QUIRKS_H

#include "core/json.h"

#define QUIRK_MS_MAX 60000 /* Longest time that a quirk may ask for. */

struct quirks {
	bool no_fs;		/* It must not be offered fs/... */
	bool no_terminal;	/* Nor terminal/... */
	bool missing_empty;	/* A missing file reads as an empty one. */
	bool no_load;		/* Its session/load does not restore. */
	bool steer;		/* A prompt during a turn steers it. */
	int64_t late_replay_ms; /* It repeats history so long after load. */
	bool has_exit_ms;	/* If not, the time is that of all agents. */
	int64_t exit_ms;	/* From its stdin's end to SIGTERM. */
};

/**
 * quirks_read() - Check and take over what is said of an agent
 * @v:   The object; absent or null: no quirks
 * @out: Set on success
 * @e:   Set on failure
 *
 * Return: 0 or -FAULT_INVALID_ARGUMENT.
 */
int quirks_read(struct jv v, struct quirks *out, struct err *e);

#endif
