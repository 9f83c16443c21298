/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - A session: one conversation, one log, at most one agent
 *
 *	          create                     resume, prompt
 *	             |                    .-----------------.
 *	             v                    v                 |
 *	         starting -- ready --> idle <-> running   suspended
 *	             |                   \     ^   |  ^      ^
 *	             v                    \    |   v  |      | suspend, sleep,
 *	          failed <-- agent died -- \  waiting-'------' full disk
 *	             |                      v
 *	             '-- close --> closed <- closing         (any) -> expired
 *
 * Each function below that takes a call answers it, sooner or later.  A refused
 * operation writes nothing.  See journal.h for what is done when.
 */
#ifndef GUEST_SESSION_H
#define GUEST_SESSION_H

#include "core/note.h"
#include "core/quota.h"
#include "guest/ask.h"
#include "guest/call.h"
#include "guest/launch.h"

struct guest;
struct mcp_gateway;
struct vfs_oid;
struct session; /* Opaque. */

/* The session of that id, from memory or from the store.
 * Return: 0; -FAULT_INVALID_ID; -FAULT_SESSION_NOT_FOUND... */
int session_find(struct guest *g, const char *id, struct session **out,
		 struct err *e);

/* Walk those in memory; NULL at the end. */
struct session *session_first(const struct guest *g);
struct session *session_next(struct session *s);
/* Is it in memory, with an agent or getting one? */
bool session_id_is_live(const struct guest *g, const char *id);

/* What session.create says, checked; borrowed for the call. */
struct session_spec {
	char id[ID_MAX];
	struct jv agent, config, tags, tools;
	const char *agent_name, *cwd, *create_hash, *title;
	const char *instructions; /* NULL: none. */
	const char *policy;	  /* JSON text; NULL: none. */
	const char *parent, *root;
	int64_t expires_ms, start_timeout_ms, permission_timeout_ms;
	struct quota quota;    /* Of config. */
	struct launch *launch; /* Taken over on success, else left. */
};
/* Return: 0, and the call is answered later; or a failure, and it is not. */
int session_create(struct guest *g, struct session_spec *spec, struct call *c,
		   struct err *e);

/* @launch: taken over on success; NULL: as at the last start. */
struct session_wake {
	struct launch *launch;
	bool want_none;
	int64_t start_timeout_ms;
};
int session_resume(struct session *s, struct session_wake *w, struct call *c,
		   struct err *e);
/* Its log; as long as the session is in memory. */
struct journal *session_journal(struct session *s);
/* What its agent, and others, reach its MCP servers by; NULL: it has none, or no
 * agent. */
struct mcp_gateway *session_gateway(const struct session *s);
/* Folder of the session's agents. */
const char *session_cwd(const struct session *s);

enum on_busy { BUSY_REJECT, BUSY_QUEUE, BUSY_STEER, BUSY_INTERRUPT };
struct prompt_spec {
	struct jv content;
	enum on_busy on_busy;
	const char *idem_key, *idem_hash, *actor; /* NULL: none. */
	const char *input;			  /* Its id; NULL: a new one. */
	bool again; /* @input was sent before, its answer was lost. */
	struct launch *launch; /* As in session_wake: when it must wake. */
};
int session_prompt(struct session *s, struct prompt_spec *p, struct call *c,
		   struct err *e);

/* @turn: NULL for whichever runs. */
int session_cancel(struct session *s, const char *turn, const char *by,
		   const char *reason, struct call *c, struct err *e);
/* @an: option, action, content, and the client as actor, or NULL. */
int session_answer(struct session *s, const char *request, struct answer *an,
		   struct call *c, struct err *e);
/* Functions of the user's program, from now on. */
int session_set_tools(struct session *s, struct jv list, struct call *c,
		      struct err *e);
/* Results of calls of them, checked here. */
struct tool_results {
	struct jv list;	   /* [{id, content or error}] */
	bool partial;	   /* Else they are those of all open calls. */
	const char *actor; /* NULL: a client. */
};
int session_tool_results(struct session *s, const struct tool_results *r,
			 struct call *c, struct err *e);
/* @params: {id, progress, total, message} of an open one. */
int session_tool_progress(struct session *s, struct jv params, struct call *c,
			  struct err *e);
int session_suspend(struct session *s, bool force, const char *reason,
		    struct call *c, struct err *e);
enum close_how {
	CLOSE_ASK,    /* In peace, for a bounded time. */
	CLOSE_KILL,   /* At once. */
	CLOSE_FORGET, /* The same, but an agent that can deletes its session. */
};
int session_close(struct session *s, enum close_how how, const char *reason,
		  struct call *c, struct err *e);
/* Hide it and, if it lives, close it; or show it again. */
int session_archive(struct session *s, bool on, struct call *c, struct err *e);
int session_update(struct session *s, struct jv params, struct call *c,
		   struct err *e);
int session_purge(struct session *s, struct call *c, struct err *e);
int session_get(struct session *s, struct call *c, struct err *e);

/* It is stored (@e NULL), or why it is not. */
typedef void (*session_note_cb)(struct session *s, const struct note *n,
				const struct err *e, void *arg);
/* Write a key, a memory or a summary into the log.
 * Return: 0, @n is taken over, and @cb follows, never during this call; or a
 * failure as those of note_check(), and it does not. */
int session_note(struct session *s, struct note *n, session_note_cb cb,
		 void *arg, struct err *e);

/* The host cannot store more: end every open turn as failed, and its agent,
 * whose view is ahead of what can be stored. */
void sessions_fail_turns(struct guest *g, const struct err *e);
/* For the builtin "host": elements of tools/list. */
void session_write_tools(const struct session *s, struct jw *w);
/* Return: false when it has no such tool; else it is or will be answered. */
struct builtin_call;
bool session_call_tool(struct session *s, struct builtin_call *q);

/* The VM is going to sleep: end the turn and the agent. */
void session_freeze(struct session *s, const char *reason);
/* Take up what an earlier boot left; @ef runs once it is settled. */
int session_reconcile(struct session *s, struct journal_effect *ef,
		      struct err *e);
/* The store takes events again: make up for what could not be stored. */
void session_retry(struct session *s);

/* Try again to keep what a turn left while the host was away. */
void session_retry_files(struct guest *g);
/* Give that up. */
void session_drop_files(struct guest *g);
/* Commit what an earlier boot did not. */
void session_leftover_files(struct guest *g);

/* The store has continued its log up to @last_seq, in @epoch, and renamed it if
 * @id is another.  What runs goes on under that id. */
void session_rekey(struct session *s, const char *id, int64_t last_seq,
		   int64_t epoch);
/* The store has purged it: end its agent without a word, and forget it. */
void session_disown(struct session *s);
/* Files that wait to be told to the host are those of @to now. */
void session_rename_files(struct guest *g, const char *from, const char *to);

/*
 * A pause of the VM: all stands still, and goes on later.
 */

/* Is it in a state to go on from?  If not, it will be soon. */
bool session_may_pause(const struct session *s);
/* Nothing of it is on its way to the store. */
bool session_is_quiet(const struct session *s);
/* Be suspended, from what it is; nothing else changes. */
void session_pause(struct session *s, const char *reason);
bool session_is_paused(const struct session *s);
/* Be what it was.  Expiry counts from what the clock says now. */
void session_unpause(struct session *s, const char *reason);
/* Files of a turn that could not be kept meanwhile are tried again. */
void session_late_again(struct guest *g);

/*
 * The daemon becomes another program, which has its agents from then on.
 */

/* Would it be cut in what it does: a turn, a terminal? */
bool session_is_at_work(const struct session *s);
/* It cannot be handed over with its agent, which is ended in peace. */
void session_leave_behind(struct session *s, const char *reason);
/* Is it as session_hand_over() wants it?  If not, it will be soon. */
bool session_may_hand_over(const struct session *s);
/* Write one that has an agent, which is not its any more: one JSON object.
 * Return: 1; 0 when there is nothing to be written; a negative errno, and it
 * keeps its agent. */
int session_hand_over(struct session *s, struct jw *w, struct err *e);
/* Take up what is written there.  Return: 0; a negative errno, and the agent has
 * ended, if it is known by then. */
int session_take_over(struct guest *g, struct jv from, struct err *e);

/* Back-pressure: let the agent wait, or go on. */
void session_hold(struct session *s, bool on);
/* No agent, nothing on its way to the store. */
bool session_is_settled(const struct session *s);
bool session_is_live(const struct session *s); /* Has or gets an agent. */

/* For the servers inside the daemon. */
struct guest *session_guest(const struct session *s);
/* Does its agent work on a prompt? */
bool session_in_turn(const struct session *s);
/* The commit with the files as that turn has found them.  Return: whether it is
 * known. */
bool session_turn_from(const struct session *s, struct vfs_oid *out);

/* Where programs run that are to see what a session's agent sees. */
struct session_site {
	struct proc *join;	   /* The agent; until it ends. */
	const struct quota *quota; /* Of the session. */
};
/* Return: 0; -FAULT_SESSION_NOT_FOUND; -FAULT_SESSION_NOT_LIVE. */
int session_site(struct guest *g, const char *id, struct session_site *out,
		 struct err *e);
/* Do what had to wait until it is settled: purge, forget; it may be freed.
 * Return: whether it has to wait longer. */
bool session_sweep(struct session *s);
/* The daemon ends: kill the agent, free all. */
void session_abandon(struct session *s);

#endif
