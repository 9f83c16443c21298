/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.h - A question of the agent, or of an MCP server, that somebody must answer
 *
 * Two kinds.  session/request_permission offers options, of which one is
 * selected.  elicitation/create asks for a form to be filled in, or for a URL to
 * be visited, and is accepted or declined.  Either may also be cancelled.  The
 * second one is the same in both protocols.
 *
 * A question is kept from its request until it is resolved: by an answer, by a
 * policy, by its deadline, by the agent, or because its turn is cancelled or
 * over.
 */
#ifndef GUEST_ASK_H
#define GUEST_ASK_H

#include <sys/queue.h>
#include <uv.h>

#include "core/id.h"
#include "core/rpc.h"
#include "guest/always.h"

enum ask_kind { ASK_PERMISSION, ASK_ELICITATION };

struct ask {
	TAILQ_ENTRY(ask) link; /* For its owner. */
	enum ask_kind kind;
	char id[ID_MAX]; /* req_... */
	char *rpc_id;	 /* Raw token to answer the agent with, or NULL. */
	/* NULL: the agent gets the answer.  Else who does, once: the result as
	 * JSON. */
	void (*told)(const char *result, void *arg);
	void *told_arg;
	char *tool;	     /* toolCallId as JSON text, or NULL. */
	char *form;	     /* Options or schema as JSON text; NULL: a URL. */
	char *elicitation;   /* elicitationId of a URL, or NULL. */
	struct always about; /* A permission's subject; not whether allowed. */
	int64_t deadline_ms; /* Unix time; 0: none. */
	void (*expired)(struct ask *a, void *arg);
	void *arg;
	uv_timer_t timer; /* Private. */
};
TAILQ_HEAD(ask_list, ask);

/* How a question is resolved: all NULL and absent is the outcome cancelled. */
struct answer {
	const char *option; /* Of a permission: its optionId. */
	const char *action; /* Of an elicitation: accept, decline, cancel. */
	struct jv content;  /* Of accept, a filled form; absent for a URL. */
	/* A client's name, policy, timeout, cancel, agent, server. */
	const char *by;
	const char *actor;	       /* The client's name again, or NULL. */
	const char *rule;	       /* Of a policy, by its name; or NULL. */
	const char *reason;	       /* Why nobody was asked, or NULL. */
	const struct always *remember; /* What is for always; or NULL. */
};
/* The answer of nobody. */
struct answer answer_cancelled(const char *by);
/* Is it a name of ours, which no client may have? */
bool answer_is_reserved(const char *by);

/**
 * ask_new() - Take over a request
 * @m: Its message, without an id if no agent is to be answered; what is kept of
 *     it is copied
 *
 * Return: 0; -EINVAL when it asks nothing that can be answered; -ENOMEM.
 */
int ask_new(uv_loop_t *loop, enum ask_kind kind, const struct rpc_msg *m,
	    struct ask **out, struct err *e);
/* Call a->expired after that time; 0: never. */
void ask_set_timeout(struct ask *a, int64_t timeout_ms);
/* Its memory goes when the loop has closed its timer. */
void ask_free(struct ask *a);

/* "permission" or "elicitation", as in the types of events. */
const char *ask_kind_name(enum ask_kind kind);
/* Types of the events that ask and that resolve a question of that kind. */
const char *ask_requested_type(enum ask_kind kind);
const char *ask_resolved_type(enum ask_kind kind);

/* The kind of an option of a permission.  Return: false when it has none. */
bool ask_option_kind(const struct ask *a, const char *option, char *out,
		     size_t cap);
/* The optionId of a permission's first option of the first of these kinds, to be
 * freed; NULL when none is offered. */
char *ask_pick(const struct ask *a, const char *const kinds_wanted[2]);

/* Does the answer fit the question?  Return: 0; -FAULT_INVALID_ARGUMENT. */
int ask_check(const struct ask *a, const struct answer *an, struct err *e);

/* {"input":..,"req":..,"tool":..,"actor":..}; "" and NULL are left out. */
void ask_write_ctx(const struct ask *a, const char *input, const char *actor,
		   struct jw *w);
/* Members of *.requested into an open object. */
void ask_write_request(const struct ask *a, const struct rpc_msg *m,
		       struct jw *w);
/* Members of *.resolved into an open object.  @an was checked. */
void ask_write_answer(const struct ask *a, const struct answer *an,
		      struct jw *w);
/* The result that the agent gets. */
void ask_write_reply(const struct ask *a, const struct answer *an,
		     struct jw *w);

#endif
