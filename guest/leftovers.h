/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leftovers.h - End what a cancelled turn has left running
 *
 * Agents start commands in process sessions of their own (setsid), and some
 * leave them running when they are told to stop.  What was started during the
 * turn, is below the session's init, and belongs to another process session than
 * the agent is ended, with all that it starts meanwhile: by SIGTERM, and by
 * SIGKILL LEFTOVER_KILL_MS later at most.  The agent's own helpers share its process
 * session and stay, as does what an earlier turn has left.
 *
 * Programs that have joined the session (proc.h) are left alone: who started
 * them ends them.
 */
#ifndef GUEST_LEFTOVERS_H
#define GUEST_LEFTOVERS_H

#include <sys/queue.h>
#include <uv.h>

#include "guest/proctab.h"

struct leftover;

/* Embedded by the session; private but for its existence. */
struct leftovers {
	uv_timer_t timer;
	const char *session; /* Id, for the log; borrowed. */
	uint64_t since;	     /* Ticks: when the turn began. */
	uint64_t turn_ended; /* Ticks: the last one of all. */
	bool next_began;     /* The turn after it runs. */
	pid_t agent;
	unsigned rounds;
	TAILQ_HEAD(leftover_list, leftover) list;
};

void leftovers_init(struct leftovers *l, uv_loop_t *loop, const char *session);
/* A turn begins; the agent has not been told yet. */
void leftovers_turn_begins(struct leftovers *l);
void leftovers_turn_ends(struct leftovers *l);
/* The turn was cancelled and is over: end what it left.  @agent: pid. */
void leftovers_end(struct leftovers *l, pid_t agent);
/* Stop caring.  Its timer is the caller's to close. */
void leftovers_forget(struct leftovers *l);

#endif
