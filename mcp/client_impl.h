/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_impl.h - What the files of the MCP client share
 *
 * client.c has requests and life, client_start.c the way to the first of them,
 * client_ask.c the questions of the server, client_listen.c notifications,
 * client_list.c lists.
 */
#ifndef MCP_CLIENT_IMPL_H
#define MCP_CLIENT_IMPL_H

#include <sys/queue.h>

#include "mcp/client.h"

#define NEVER UINT64_MAX /* No deadline. */

enum client_state {
	CLIENT_NEW,
	CLIENT_PROBING,	     /* server/discover is on its way. */
	CLIENT_INITIALIZING, /* So is initialize; a late discover may win. */
	CLIENT_READY,
	CLIENT_DOWN,
};

/* A request of the owner, and of our own listening. */
struct client_call {
	struct mcp_client *client;
	int64_t handle;
	int64_t rpc_id; /* -1 while it is not with the server. */
	uint64_t timeout_ms;
	uint64_t due, ends; /* In loop_now() time; @due is never the later. */
	char *method;
	char *params; /* To send it again: modern era only.  May be NULL. */
	bool pass_input_required;
	bool wants_progress;
	bool retried; /* With another version of the protocol. */
	unsigned rounds;
	unsigned n_questions; /* Of this round, not yet answered. */
	struct jw responses;  /* Of this round: inputResponses. */
	char *state;	      /* requestState as a raw token, or NULL. */
	void (*progress)(struct jv params, void *arg);
	mcp_done_cb done;
	void *arg;
	TAILQ_ENTRY(client_call) link;
};
TAILQ_HEAD(client_calls, client_call);

struct client_question {
	int64_t id;
	struct client_call *call; /* Modern era; NULL: a request of its own. */
	char *token; /* Raw id of the request, or key in inputRequests. */
	TAILQ_ENTRY(client_question) link;
};
TAILQ_HEAD(client_questions, client_question);

/* What was found out of the server while starting. */
struct client_start {
	int64_t probe_id, init_id; /* Of what is on its way, or -1. */
	uint64_t probe_due, due;
	const char *version; /* That initialize asks for. */
	bool probe_retried, init_retried;
	bool certain;	/* That it is a legacy server. */
	struct err err; /* Of a failed initialize, while the probe is open. */
};

/* subscriptions/listen. */
struct client_listen {
	int64_t handle; /* 0: not open. */
	uint64_t again; /* When to open it. */
	uint64_t pause_ms;
	bool was_open; /* Changes may have been missed since. */
	bool tools, prompts, resources;
};

struct mcp_client {
	const struct mcp_client_events *events;
	void *arg;
	struct mcp_client_opts opts; /* Texts are ours. */
	char *capabilities, *info;
	bool tasks; /* We have declared the tasks extension. */
	struct rpc *rpc;
	uv_timer_t timer;
	uint64_t timer_due;
	enum client_state state;
	struct client_start start;
	struct client_listen listen;
	struct mcp_server_facts facts; /* Texts are ours. */
	struct client_calls calls;
	unsigned n_calls;
	struct client_questions questions;
	unsigned n_questions;	    /* All of them, */
	unsigned n_server_requests; /* and those without a call. */
	int64_t next_id;	    /* Of handles and questions. */
	struct json doc;	    /* Params being rewritten. */
	struct jw out;
	bool closing; /* No callback may run any more. */
};

/* client.c */
uint64_t client_now(const struct mcp_client *c);
uint64_t client_after(const struct mcp_client *c, uint64_t ms);
/* Look at all deadlines again at @when at the latest. */
void client_wake_at(struct mcp_client *c, uint64_t when);
struct client_call *client_find_call(struct mcp_client *c, int64_t handle);
/* The members that the modern era wants in _meta. */
void client_put_modern_meta(const struct mcp_client *c, struct jw *w);
/* Send @call, for the first time or again.  Return: 0 or a negative errno. */
int client_send(struct client_call *call);
/* End it: the one place where @done runs.  The client may be closing after. */
void client_finish(struct client_call *call, int status, struct jv result,
		   struct jv error);
void client_fail(struct client_call *call, int status);
/* Let what waits for the server wait until its hard end; or count anew. */
void client_pause(struct client_call *call);
void client_resume(struct client_call *call);
/* A request that no deadline ends. */
int64_t client_open_request(struct mcp_client *c, const char *method,
			    const char *params, mcp_done_cb done);

/* client_start.c */
void client_start_on_timer(struct mcp_client *c);
void client_start_failed(struct mcp_client *c, const struct err *e);
/* Does @error refuse our version, and offer another one of the modern era? */
bool client_offers_modern(struct jv error);
/* Put what the server's error says into @e.  Return: the code. */
int client_remote_err(struct err *e, const char *what, struct jv error);

/* client_ask.c */
void client_on_request(struct mcp_client *c, const struct rpc_msg *m);
void client_on_cancelled(struct mcp_client *c, const struct rpc_msg *m);
/* A result of type input_required: ask the owner, then send @call again. */
void client_ask(struct client_call *call, struct jv result);
/* Nobody waits for the answers to the questions of @call any more; NULL: to those
 * that belong to none. */
void client_drop_questions(struct mcp_client *c,
			   const struct client_call *call);
void client_free_questions(struct mcp_client *c);

/* client_listen.c */
void client_listen_begin(struct mcp_client *c);
void client_listen_on_timer(struct mcp_client *c);
void client_on_notify(struct mcp_client *c, const struct rpc_msg *m);

#endif
