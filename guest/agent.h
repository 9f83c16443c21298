/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - One agent process, spoken to in ACP (JSON-RPC lines on its stdio)
 *
 * The agent records: each line in either direction is an event of the session's
 * journal before it has any effect.  What comes in is recorded and then told to
 * the owner, in the same turn of the loop; what goes out is written to the pipe
 * after its commit.  History that the agent repeats is the one exception.  Bytes
 * of a message that are no UTF-8 become U+FFFD.
 *
 * Lines that are no JSON-RPC, or nested too deep, are kept as agent.stderr, with
 * "stream":"stdout"; too many of them, or one too long, break the agent.  A batch
 * and a request that is none are answered with "invalid request".
 *
 *	RUNNING --agent_end(ASK)--> ASKED --5 s--> TERMINATED --2 s--> KILLED
 *	        --agent_end(SAVE)-> SAVING -1 s-->
 *
 * The 5 s are another time for an agent with the quirk exit_ms.
 * Once saving or terminated, by the owner's wish or by time, it is not listened
 * to.
 */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include "core/rpc.h"
#include "guest/confine.h"
#include "guest/journal.h"
#include "guest/launch.h"
#include "guest/proc.h"

struct agent; /* Opaque. */

/* What a session/update is. */
enum agent_news {
	AGENT_NEWS,    /* To be recorded and told. */
	AGENT_FOREIGN, /* Of another session: only to be recorded. */
	AGENT_HISTORY, /* Of what the log holds already: neither. */
};

/* Told by the loop or by a line of the agent, never from a call of ours. */
struct agent_events {
	/* The program runs. */
	void (*started)(void *arg);
	/* What is this session/update?  It is not yet recorded, and nothing may
	 * be added to the journal. */
	enum agent_news (*sort)(const struct rpc_msg *m, void *arg);
	/* A session/update with news, recorded. */
	void (*update)(const struct rpc_msg *m, void *arg);
	/* Any other notification, recorded. */
	void (*notify)(const struct rpc_msg *m, void *arg);
	/* A request of it, recorded; to be answered by agent_reply(). */
	void (*request)(const struct rpc_msg *m, void *arg);
	/* It breaks the protocol and should be ended. */
	void (*broken)(const struct err *e, void *arg);
	/* It is gone, and freed when this returns. */
	void (*gone)(const struct proc_end *end, void *arg);
};

struct agent_setup {
	uv_loop_t *loop;
	/* Must outlive the agent.  NULL: there is none yet; then lines are
	 * written at once, and what is said is held for agent_adopt(). */
	struct journal *journal;
	const struct launch *launch;
	bool isolate;
	struct confine *confine;
	const char *mcp; /* As in proc_spec. */
	const struct agent_events *events;
	void *arg;
};

/* Return: 0; -FAULT_AGENT_SPAWN_FAILED.  A program that is missing is told by
 * the gone event. */
int agent_start(const struct agent_setup *setup, struct agent **out,
		struct err *e);

/* Send a request.  @cb runs once, with the recorded answer, with -ECANCELED
 * when the agent has gone, or with -ETIMEDOUT; never when this fails.
 * Return: its id; a negative errno. */
int64_t agent_call(struct agent *a, const char *method, const char *params,
		   uint64_t timeout_ms, rpc_done_cb cb, void *arg);
/* The same of "initialize", without a deadline, as @l has it offered to the
 * agent. */
int64_t agent_initialize(struct agent *a, const struct launch *l,
			 rpc_done_cb cb, void *arg);
void agent_notify(struct agent *a, const char *method, const char *params);
void agent_reply(struct agent *a, const char *id, size_t id_len,
		 const char *result);
void agent_reply_error(struct agent *a, const char *id, size_t id_len, int code,
		       const char *message);

/* An agent that was started without a journal gets one, with all that was said up
 * to now, and another owner. */
void agent_adopt(struct agent *a, struct journal *j,
		 const struct agent_events *events, void *arg);

/* Stop and start reading it. */
void agent_pause(struct agent *a, bool on);

enum agent_end {
	AGENT_RUNNING,
	AGENT_END_ASK,	/* Close its stdin; then as below by time. */
	AGENT_END_SAVE, /* The same, sooner: it may put away what it has. */
	AGENT_END_TERM, /* SIGTERM; SIGKILL by time. */
	AGENT_END_KILL, /* SIGKILL, to all it ever started. */
};
/* End it, or hurry its end; the gone event follows. */
void agent_end(struct agent *a, enum agent_end how);
bool agent_is_ending(const struct agent *a);
/* Kill and free at once; no event follows.  NULL is allowed. */
void agent_abandon(struct agent *a);

/* As proc.h says of handing over: no call may be open, and nothing on its way. */
bool agent_may_hand_over(const struct agent *a);
int agent_hand_over(struct agent *a, struct jw *w, struct err *e);
/* @s: as it was started with, but for what only a start needs. */
int agent_take_over(const struct agent_setup *s, struct jv from,
		    struct agent **out, struct err *e);

pid_t agent_pid(const struct agent *a);
/* Its process, to be joined; borrowed. */
struct proc *agent_proc(const struct agent *a);
/* Record agent.exited; by the owner, in the gone event. */
void agent_record_exit(struct agent *a, const struct proc_end *end);
/* Set err->data to {stderr_tail, exit, signal} members; @end may be NULL. */
void agent_explain(const struct agent *a, const struct proc_end *end,
		   struct err *e);
/* Say in words how it has ended, and explain. */
void agent_describe_end(const struct agent *a, const struct proc_end *end,
			struct err *e);

#endif
