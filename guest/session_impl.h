/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_impl.h - Private to session*.c: the session object and its moves
 *
 *	session.c        the object, its states, small operations
 *	session_recover.c what a lost boot or a failed commit left open
 *	session_create.c create, resume
 *	session_start.c  the handshake with an agent
 *	session_ladder.c how the agent gets its context back
 *	session_auth.c   one that wants to be logged in to
 *	session_config.c what the agent is set to
 *	session_turn.c   prompts, updates, the end of a turn
 *	session_files.c  what a turn does to the workspace
 *	session_notes.c  keys, memories and summaries
 *	session_ask.c    what the agent asks, and who answers
 *	session_tools.c  functions of the user's program
 *	session_policy.c  questions that need nobody
 *	session_serve.c  other requests of the agent
 *	session_mcp.c    the MCP servers that it uses
 *	session_end.c    suspend, close, expiry, and agents that end by themselves
 *	session_pause.c  a sleep of the VM that keeps its memory
 *	session_handover.c  a new program for the daemon
 */
#ifndef GUEST_SESSION_IMPL_H
#define GUEST_SESSION_IMPL_H

#include "guest/acp.h"
#include "guest/agent.h"
#include "guest/ask.h"
#include "guest/builtin.h"
#include "guest/checkpoint.h"
#include "guest/files.h"
#include "guest/guest.h"
#include "guest/host_tools.h"
#include "guest/leftovers.h"
#include "guest/mcp_entrance.h"
#include "guest/mcp_gateway.h"
#include "guest/mcp_set.h"
#include "guest/replay.h"
#include "guest/restore.h"
#include "guest/session.h"
#include "guest/terminals.h"
#include "guest/turn.h"

enum session_state {
	SESSION_STARTING,
	SESSION_IDLE,
	SESSION_RUNNING,
	SESSION_WAITING,
	SESSION_SUSPENDED,
	SESSION_CLOSING,
	SESSION_CLOSED,
	SESSION_FAILED,
	SESSION_EXPIRED,
	SESSION_STATES, /* Their number. */
};

enum session_op {
	OP_PROMPT,
	OP_CANCEL,
	OP_ANSWER,
	OP_SUSPEND,
	OP_RESUME,
	OP_UPDATE,
	OP_SET,
	SESSION_OPS,
};

/* What an agent may be telling again. */
enum replaying {
	REPLAYING_NOTHING,
	REPLAYING_LOAD, /* session/load is not answered. */
	REPLAYING_FORK, /* Nor is session/fork: its id is not known. */
	REPLAYING_LATE, /* It is, and what comes now still is history. */
};

/* A prompt that waits: for the agent to wake or stop, or in the queue. */
struct prompt {
	TAILQ_ENTRY(prompt) link;
	struct call *call; /* To be answered when its turn starts, or NULL. */
	char *content;	   /* Array of blocks, JSON text. */
	struct acp_content needs;
	int64_t seq; /* Of input.message; 0 before. */
	char input[ID_MAX];
	char actor[ACTOR_MAX + 1];
	char idem_key[IDEM_KEY_MAX + 1];
	char idem_hash[IDEM_HASH_MAX + 1];
};
TAILQ_HEAD(prompt_list, prompt);

TAILQ_HEAD(config_job_list, config_job);
TAILQ_HEAD(noting_list, noting);
TAILQ_HEAD(tool_call_list, tool_call);

struct session {
	TAILQ_ENTRY(session) link; /* In guest.sessions. */
	struct guest *guest;
	char id[ID_MAX];
	enum session_state state;
	enum session_state paused_from; /* SESSION_STARTING: is not paused. */
	int64_t paused_ms;		/* Unix time, since when. */
	struct journal journal;
	char create_hash[IDEM_HASH_MAX + 1];
	char *agent_name, *cwd;
	char *instructions;   /* NULL: none. */
	bool os_instructions; /* The runtime's own words are in it. */
	int64_t expires_ms;   /* 0: never. */
	int64_t permission_timeout_ms;
	char *policy;		     /* JSON text; NULL: none. */
	struct always_memory always; /* Answers, in its place. */

	/* The agent, and what it said of itself (JSON texts, may be NULL). */
	struct launch *launch; /* NULL: none in this boot yet. */
	struct agent *agent;   /* NULL: none; it may be ending. */
	bool agent_dead;       /* It has ended: nothing is said to it. */
	char *acp_id;
	struct acp_caps caps;
	char *capabilities, *agent_info;
	struct settings settings;
	char *config_refused; /* Settings of the log; of this start. */

	/* What it is served. */
	struct reply_to reply_to;
	struct terminals terminals;
	struct files files;
	struct leftovers leftovers; /* Of cancelled turns. */
	struct quota quota;
	struct confine *confine;     /* Of the agent; NULL with it. */
	struct mcp_set *mcp;	     /* Its servers; NULL: none. */
	struct mcp_gateway *gateway; /* To them; NULL: the same. */
	struct mcp_entrance *entrance;
	char door[ID_MAX]; /* Its name, which shims are told; and that of the
			    * control group. */

	/* A start, while SESSION_STARTING. */
	struct restore_facts facts;
	enum restore rung;
	int64_t start_timeout_ms;
	uint64_t start_deadline;   /* By the loop's clock. */
	unsigned n_starts;	   /* Processes begun for it. */
	const char *native_method; /* That has not been answered, or NULL. */
	enum instruct_via via;	   /* By which the agent is instructed. */
	struct jw refused; /* Steps of the ladder, as elements of an array. */
	enum replaying replaying; /* Up to the first prompt. */
	struct replay replay;
	unsigned n_replayed; /* Of it, told in session.resumed. */
	bool auth_due;	     /* It can be authenticated, and was not. */
	char *auth_methods;  /* That it offers, as JSON, or NULL. */
	bool ready_due;	     /* As soon as its required servers are. */
	bool spawn_due;	     /* As soon as the ending agent is gone. */
	bool instructions_due, preamble_due; /* Before the next prompt. */

	/* Turns. */
	struct turn turn;
	int64_t n_turns;
	/* How the agent has answered its prompt, while the files that the turn
	 * leaves are on their way: an event without its end. */
	struct {
		const char *type; /* NULL: it has not. */
		struct jw data;
	} answered;
	bool knows_from;
	struct checkpoint_commit files_from; /* As the turn found them. */
	struct turn_files *files_due; /* Once the agent is gone; or NULL. */
	char *held_prompt; /* Params, until others' files are told; or NULL. */
	struct ask_list asks; /* What waits for an answer. */
	unsigned n_asks;
	struct host_tools tools;
	struct tool_call_list tool_calls; /* Open, oldest first. */
	unsigned n_tool_calls;
	struct prompt *next;	    /* Begins at the next idle. */
	struct prompt_list queue;   /* Behind it. */
	struct prompt_list steered; /* Given to the turn that runs. */
	enum {
		STEERING_UNKNOWN,
		STEERING_NEVER,
		STEERING_ONCE,
	} steering; /* Has any prompt of the log done that? */
	unsigned n_queued;

	/* Calls to be answered when the session has started; when its agent
	 * is gone; when the turn has ended; when it is purged. */
	struct call_list starters, enders, cancellers;
	struct config_job_list config_jobs; /* The first one runs. */
	unsigned n_config_jobs;
	struct noting_list notes; /* The first one is on its way. */
	unsigned n_notes;
	struct call *purge;
	char close_reason[REASON_MAX + 1];

	struct journal_effect recovered;
	struct journal_effect *settled; /* Runs after a reconcile; or NULL. */
	bool stuck;	  /* Recovery could not be stored either. */
	bool lost;	  /* The store does not know it (any more). */
	bool purging;	  /* With the store. */
	bool retire;	  /* May leave the memory once settled. */
	uv_timer_t timer; /* Of the start, or of a cancel's grace. */
	uv_timer_t ttl;
	unsigned open; /* Handles. */
};

/* session.c */
extern const char *const session_state_names[SESSION_STATES];
enum session_state session_state_from_name(const char *name);
/* Make the object; it is in guest.sessions.  NULL: out of memory. */
struct session *session_new(struct guest *g, const char *id);
/* Move, and record it.  @reason: a word for the log. */
void session_move(struct session *s, enum session_state to, const char *reason);
/* Does the table of the model allow @op now?  Return: 0 or the refusal. */
int session_allows(const struct session *s, enum session_op op, struct err *e);
void session_arm_ttl(struct session *s);
/* It expires so long from now; 0: never. */
void session_set_ttl(struct session *s, int64_t ttl_ms);
/* Record session.error of @e, with err->data's members. */
void session_record_error(struct session *s, const struct err *e);
/* Write an error as {"code":name,"message":..,...}. */
void session_write_error(const struct err *e, struct jw *w);
/* Fail the calls and prompts that wait for anything: now, or after the events
 * that say why. */
void session_fail_waiting(struct session *s, const struct err *e, bool now);
/* Write {"state":..} and answer after what was added. */
void session_reply_state(struct session *s, struct call *c);
/* Copy into a fixed buffer, cut. */
void session_copy(char *out, size_t cap, const char *text);

/* session_recover.c */
/* A commit has failed, and nothing is in flight any more. */
void session_on_lost(struct journal *j, const struct err *e);

/* session_start.c */
/* Start an agent: SESSION_STARTING, or the move to it.  @launch as in
 * session_wake. */
void session_begin_start(struct session *s, bool first, bool want_none,
			 int64_t timeout_ms);
/* Its agent is running already, as @from says. */
int session_adopt_agent(struct session *s, struct jv from, struct err *e);
/* Have the start fail at its deadline. */
void session_arm_start(struct session *s);
/* Start the process, if the last one is gone. */
void session_spawn(struct session *s);
/* The start has failed: failed, and the agent ends. */
void session_start_failed(struct session *s, const struct err *e);
/* It was refused by the agent, or not answered; or the agent did wrong (@why goes
 * behind "agent"). */
void session_start_refused(struct session *s, const char *method,
			   const struct rpc_answer *a);
void session_start_broken(struct session *s, const char *why);
/* The agent has ended before it was ready, or must be: start it again, or fail
 * when that makes no sense. */
void session_start_lost(struct session *s, const struct err *why);
/* Keep what the agent says of its session: modes, options. */
void session_take_state(struct session *s, struct jv result);
/* The agent has its context, and is set as the log says: idle. */
void session_ready(struct session *s);
void session_write_live(struct session *s, struct jw *w);
/* Free what the last agent said of itself. */
void session_forget_agent(struct session *s);

/* session_ladder.c */
/* The agent is initialized: take the highest step that is left. */
void session_climb(struct session *s);
/* The open native step is refused: record it.  @code: the agent's, or a fault's
 * number. */
void session_refuse_native(struct session *s, int64_t code, const char *why);
void session_record_resumed(struct session *s);
/* A prompt begins: what comes from now on is news. */
void session_end_replay(struct session *s);
enum agent_news session_sort_update(const struct rpc_msg *m, void *arg);

/* session_auth.c */
/* @result: of initialize. */
void session_note_auth(struct session *s, struct jv result);
/* Opening a session was refused: authenticate, and climb again, if that is what
 * it wants and can be done.  Return: whether it is being done. */
bool session_authenticate(struct session *s, const struct rpc_answer *a);
/* Put the methods that it offers in front of what err->data says. */
void session_explain_auth(const struct session *s, struct err *e);

/* session_config.c */
/* Set what the log says, one by one, then session_ready(). */
void session_restore_config(struct session *s);
/* Take note of a session/update. */
void session_note_config(struct session *s, struct jv params);
/* Fail the calls that change settings: now, or after the events that say
 * why. */
void session_fail_config(struct session *s, const struct err *e, bool now);

/* session_turn.c */
/* Idle: begin the prompt that waits, if any. */
void session_settle(struct session *s);
void session_on_update(const struct rpc_msg *m, void *arg);
/* End the open turn by an event of @type; @data has its members in an open
 * object.  The state is the caller's to move. */
void session_end_turn(struct session *s, const char *type, struct jw *data);
/* The same for events whose only member is a reason. */
void session_interrupt_turn(struct session *s, const char *reason);
/* End it as the agent has answered. */
void session_end_answered(struct session *s);
/* Give the agent its prompt. */
void session_send_prompt(struct session *s, const char *params);
/* Tell the agent to stop, and resolve what it asked. */
void session_send_cancel(struct session *s);
void prompt_free(struct prompt *p);
void prompts_free(struct prompt_list *l);

/* session_files.c */
/* The agent has answered: session_end_answered() follows once the files are
 * kept.  @data is taken over. */
void session_answered(struct session *s, const char *type, struct jw *data);
/* Is a turn open whose prompt the agent has not answered?  What it says after
 * its answer is late. */
bool session_is_prompted(const struct session *s);
/* The events that follow are of the answered turn. */
void session_stamp_answered(struct session *s);
/* Let it follow in the next turn of the loop. */
void session_hurry_answered(struct session *s);
/* The open turn ends without an answer. */
void session_turn_cut(struct session *s);
/* Its agent is gone. */
void session_late_files(struct session *s);
/* The turn begins.  Return: whether session_send_held() will send its prompt,
 * because there is something to be kept before. */
bool session_hold_prompt(struct session *s, const char *params);
/* Send it now, if it is held. */
void session_send_held(struct session *s);
/* session_retry_files(), by the timer. */
void guest_on_late_files(uv_timer_t *t);
/* Free what waits for files. */
void session_forget_files(struct session *s);

/* session_ask.c */
void session_ask_permission(struct session *s, const struct rpc_msg *m);
void session_ask_elicitation(struct session *s, const struct rpc_msg *m);
/* An MCP server asks.  *out is set before q->done() runs, which may be in this
 * call.  Return: 0; -EINVAL: it asks nothing that can be answered; -ENOMEM. */
int session_ask_user(struct session *s, const struct mcp_user_question *q,
		     void **out, struct err *e);
/* It does not want that answer any more. */
void session_forget_ask(struct session *s, void *asked);
/* $/cancel_request: the agent takes a question back. */
void session_withdraw(struct session *s, const struct rpc_msg *m);
/* elicitation/complete: what a URL was for is done. */
void session_complete_url(struct session *s, const struct rpc_msg *m);
/* Resolve what is open: its turn is cancelled or over. */
void session_cancel_asks(struct session *s);
/* Forget it, without a word. */
void session_drop_asks(struct session *s);
/* The last request may be resolved: go on. */
void session_stop_waiting(struct session *s);
/* What a session in SESSION_WAITING waits for, by name. */
const char *session_wait_kind(const struct session *s);

/* session_tools.c */
/* Take over tools that were checked, by an event.  Return: 0; -ENOMEM. */
int session_take_tools(struct session *s, struct jv list);
/* Read them from the store. */
int session_load_tools(struct session *s, struct err *e);
/* An agent is about to start: have a server for them. */
int session_serve_tools(struct session *s);
/* Resolve what is open: its turn is cancelled or over. */
void session_cancel_tool_calls(struct session *s);
/* Forget it, without a word. */
void session_drop_tool_calls(struct session *s);
/* The request that was asked first of those that are open; or NULL. */
const char *session_oldest_tool_call(const struct session *s);
bool session_has_tool_call(const struct session *s, const char *id);

/* session_policy.c */
/* What stands in the place of somebody's answer. */
struct decision {
	struct answer answer; /* Borrows what follows. */
	char *option;	      /* To be freed; NULL: none. */
	char rule[POLICY_NAME_MAX + 1];
};
/* Does nobody have to be asked for this permission?  @tool: its toolCall. */
bool session_decide(struct session *s, struct ask *a, struct jv tool,
		    struct decision *d);
/* Keep an answer that is for always, and have its event say so. */
void session_remember(struct session *s, struct ask *a, struct answer *an);
/* Read what was kept from the store. */
int session_load_always(struct session *s, struct err *e);

/* session_serve.c */
void session_on_notify(const struct rpc_msg *m, void *arg);
void session_serve_init(struct session *s);
/* The agent is gone: end what it was served. */
void session_serve_end(struct session *s);
void session_on_request(const struct rpc_msg *m, void *arg);
/* Answer a request of the agent. */
void session_reply(struct session *s, const struct rpc_msg *m,
		   const char *result);
void session_refuse(struct session *s, const struct rpc_msg *m, int code,
		    const char *why);

/* session_mcp.c */
/* The agent is about to be started: open its way to the servers. */
int session_mcp_open(struct session *s, struct err *e);
/* For agent_setup.mcp. */
const char *session_mcp_folder(const struct session *s);
/* Write the list of servers that the agent is told. */
void session_mcp_write(const struct session *s, struct jw *w);
/* The agent runs: begin its servers. */
void session_mcp_begin(struct session *s);
/* It is gone, and so are they. */
void session_mcp_end(struct session *s);
/* The tools of one of its builtins are others now. */
void session_mcp_changed(struct session *s, const char *builtin);
/* Does session_ready() have to wait for them?  It is called again then. */
bool session_mcp_is_due(struct session *s);

/* session_end.c */
void session_on_broken(const struct err *e, void *arg);
void session_on_gone(const struct proc_end *end, void *arg);
/* End the agent, if there is one. */
void session_end_agent(struct session *s, enum agent_end how);

#endif
