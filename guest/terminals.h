/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminals.h - The terminals of one session: programs that its agent has run
 *
 * A terminal is a program whose last output is kept; no terminal in the sense of
 * tty(4).  Its stdin is empty, its stdout and stderr are one stream.  It runs in
 * the namespaces of the agent, as its user, and ends with it.
 *
 *	create --> running --exit--> ended --release--> gone
 *	              '----------- release ------------^
 *
 * A program that cannot be started makes a terminal all the same, which ends at
 * once as in a shell: exit code 127, or 126 when it must not be executed, and
 * the reason as its output.  Clients that run every command by a shell, as most
 * do, behave so, and it is what agents know how to show to their models.
 */
#ifndef GUEST_TERMINALS_H
#define GUEST_TERMINALS_H

#include <sys/queue.h>
#include <uv.h>

#include "core/json.h"
#include "guest/launch.h"
#include "guest/proc.h"
#include "guest/reply.h"

struct terminal; /* Opaque. */

/* Embedded by the session.  Private but for its existence. */
struct terminals {
	uv_loop_t *loop;
	const struct reply_to *to;
	TAILQ_HEAD(terminal_list, terminal) list;
	unsigned n;
	uint64_t last; /* Number in the newest id. */
};

/* @to: borrowed; answers of terminal_wait() go there. */
void terminals_init(struct terminals *ts, uv_loop_t *loop,
		    const struct reply_to *to);
/* Kill and free all; waits are not answered any more. */
void terminals_done(struct terminals *ts);

/* Where terminals run. */
struct terminal_place {
	const struct launch *launch; /* Environment and folder of the agent. */
	struct proc *join;	     /* The agent. */
	bool isolate;
	const struct quota *quota; /* Of the session. */
	int64_t turn; /* Number of the turn that runs, 0 between turns. */
};

/**
 * terminals_create() - Start a program
 * @params: Of terminal/create: command, args, env, cwd, outputByteLimit.
 *	    Without args, command is a line for the shell.
 * @out:    Set on success; the id is terminal_id()
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_OVERLOADED when TERMINALS_MAX are
 * open; another negative errno.
 */
int terminals_create(struct terminals *ts, const struct terminal_place *place,
		     struct jv params, struct terminal **out, struct err *e);
/* NULL when there is none of that id. */
struct terminal *terminals_find(const struct terminals *ts, struct jv id);
/* Kill those of a turn that run still; their ids stay valid.  Return: how many. */
unsigned terminals_kill_turn(struct terminals *ts, int64_t turn);

const char *terminal_id(const struct terminal *t);
/* The result of terminal/output. */
void terminal_write_output(const struct terminal *t, struct jw *w);
/* Answer request @id once the program has ended, at once if it has.
 * Return: 0; -FAULT_OVERLOADED; -ENOMEM. */
int terminal_wait(struct terminal *t, const char *id, struct err *e);
void terminal_kill(struct terminal *t);
/* Kill it, answer its waits and forget it. */
void terminal_release(struct terminal *t);

#endif
