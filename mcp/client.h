/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - MCP client of both eras, without any input or output of its own
 *
 * One object is one conversation with one server.  The owner carries messages:
 * those of the server go in by mcp_client_feed(), ours come out by events.send.
 * The client finds the era out, opens the conversation, sends requests with
 * deadlines, and ends each of them exactly once.  What the era demands is its
 * business: _meta of requests, result types, rounds of input_required, another
 * version when the server refuses ours.
 *
 *	mcp_client_new -> mcp_client_start -> ready  -> mcp_client_request ...
 *	                                   '> failed
 *	mcp_client_lost: the transport is gone; then only mcp_client_free is left.
 *
 * Every callback but events.send may use the client in any way, mcp_client_free()
 * included.  events.send runs inside the functions below and must call none of
 * them.  Everything that the server says is hostile and bounded by proto.h.
 */
#ifndef MCP_CLIENT_H
#define MCP_CLIENT_H

#include <uv.h>

#include "core/rpc.h"
#include "mcp/proto.h"

#define MCP_START_MS	   60000 /* To open a conversation, unless told. */
#define MCP_CALL_MS	   60000 /* For the answer to a request, unless told. */
#define MCP_QUESTIONS_MAX  64	 /* Of the server, open at once. */
#define MCP_LIST_BYTES_MAX (32u << 20) /* All pages of one list. */

/* A transport that could not carry a request answers it with an error whose data
 * has this member: the status of the HTTP answer, 0 when there was none. */
#define MCP_HTTP_STATUS "httpStatus"

struct mcp_client; /* Opaque. */

struct mcp_client_opts {
	/* MCP_ERA_UNKNOWN asks by server/discover, and takes a server that
	 * refuses it or is silent for MCP_PROBE_MS for a legacy one.  Another
	 * era is what was found out before: a start that finds it wrong fails. */
	enum mcp_era era;
	const char *capabilities; /* Of ours, JSON object; NULL: {}. */
	const char *info; /* clientInfo, JSON object; NULL: Hibernacle's. */
	uint64_t start_timeout_ms; /* 0: MCP_START_MS. */
	/* Modern era: be told of changed lists, by subscriptions/listen. */
	bool listen;
	/* With MCP_ERA_MODERN: ready without asking who is there. */
	bool no_discover;
};

/* What the server has said of itself; borrowed from the client. */
struct mcp_server_facts {
	enum mcp_era era;
	/* The era may be remembered.  Not when the server was only silent, or
	 * the transport had a trouble that says nothing about eras. */
	bool certain;
	char *version;	    /* Of the protocol. */
	char *info;	    /* serverInfo, JSON object; "{}" if none. */
	char *capabilities; /* JSON object. */
	char *instructions; /* Or NULL. */
};

/* A request of the server to us: sampling/createMessage, elicitation/create or
 * roots/list.  (ping is answered by the client itself.) */
struct mcp_question {
	int64_t id;	/* For mcp_client_reply(). */
	int64_t handle; /* Our request that it belongs to; 0: not known. */
	struct jv method, params; /* Valid in the call; params may be absent. */
};

/* Each may be NULL but send. */
struct mcp_client_events {
	/* One message, without newline; valid in the call. */
	void (*send)(const char *msg, size_t len, void *arg);
	/* Exactly one of these two after each start; never within it. */
	void (*ready)(struct mcp_client *c, void *arg);
	void (*failed)(struct mcp_client *c, const struct err *e, void *arg);
	/* Answer now or later.  NULL: "method not found". */
	void (*request)(struct mcp_client *c, const struct mcp_question *q,
			void *arg);
	/* Nobody waits for the answer any more; the id is no more. */
	void (*request_gone)(struct mcp_client *c, int64_t id, void *arg);
	/* @kind: "tools", "prompts" or "resources". */
	void (*list_changed)(struct mcp_client *c, const char *kind, void *arg);
	/* Every other notification but progress of our requests. */
	void (*notify)(struct mcp_client *c, const struct rpc_msg *m,
		       void *arg);
};

/* @events is borrowed and must outlive the client; @opts is copied.
 * Return: 0; -EINVAL when a text in @opts is no JSON object; -ENOMEM. */
int mcp_client_new(uv_loop_t *loop, const struct mcp_client_opts *opts,
		   const struct mcp_client_events *events, void *arg,
		   struct mcp_client **out);
/* End what is open with -ECANCELED, during this call; then no callback runs any
 * more.  The memory goes when the loop has closed the handles.  NULL is
 * allowed. */
void mcp_client_free(struct mcp_client *c);

/* Open the conversation, once.  Return: 0; -EALREADY; -ENOMEM. */
int mcp_client_start(struct mcp_client *c);
/* The transport is gone: every open request ends with -EPIPE, a start fails,
 * during this call. */
void mcp_client_lost(struct mcp_client *c);
bool mcp_client_is_ready(const struct mcp_client *c);
/* Once ready; valid until mcp_client_free(). */
const struct mcp_server_facts *mcp_client_facts(const struct mcp_client *c);

/* What the server has sent: the bytes of one message, or one that is decoded.
 * Return: 0; as rpc_decode() for what is no message, which changes nothing. */
int mcp_client_feed(struct mcp_client *c, const char *msg, size_t len);
void mcp_client_message(struct mcp_client *c, const struct rpc_msg *m);

/*
 * Requests.
 */

/* How it ended.  result and error are valid in the call. */
struct mcp_answer {
	/* 0; -EREMOTEIO: the server answered with an error; -ETIMEDOUT;
	 * -ECANCELED: by us; -EPIPE: the transport is gone; -EPROTO: what came
	 * is no answer to it; -ELOOP: asked back more than MCP_ROUNDS_MAX
	 * times. */
	int status;
	struct jv result; /* An object when status is 0, else absent. */
	struct jv error;  /* When status is -EREMOTEIO; of any type. */
};
typedef void (*mcp_done_cb)(const struct mcp_answer *a, void *arg);

struct mcp_request_spec {
	const char *method;
	const char *params;  /* JSON object, or NULL. */
	size_t params_len;   /* 0: up to its NUL. */
	uint64_t timeout_ms; /* 0: MCP_CALL_MS. */
	/* What progress, and questions of the server, may extend the deadline
	 * to in all; 0: they do not. */
	uint64_t max_ms;
	/* Hand a result of type input_required out as it is; the owner sends
	 * the next round. */
	bool pass_input_required;
	/* Params of notifications/progress; a progressToken of @params is
	 * replaced by one of ours either way.  May be NULL. */
	void (*progress)(struct jv params, void *arg);
	mcp_done_cb done; /* Exactly once if the request was taken. */
	void *arg;
};

/**
 * mcp_client_request() - Send a request
 *
 * Of params._meta the client sets what the protocol wants, and passes the rest.
 *
 * Return: a handle > 0; -ENOTCONN before it is ready; -EPIPE after its end;
 * -EAGAIN with MCP_REQUESTS_MAX open; -EINVAL when @params is no JSON object;
 * -ENOMEM.  On failure @done will not run, and it never does in this call.
 */
int64_t mcp_client_request(struct mcp_client *c,
			   const struct mcp_request_spec *spec);
/* Nobody wants the answer: the server is told, @done comes with -ECANCELED
 * during this call.  @reason may be NULL.  A handle that has ended is ignored. */
void mcp_client_cancel(struct mcp_client *c, int64_t handle,
		       const char *reason);
/* @params: JSON object or NULL.  Return: 0; -ENOTCONN; -EPIPE; -ENOMEM. */
int mcp_client_notify(struct mcp_client *c, const char *method,
		      const char *params);

/* Answer a question; @result and @data are JSON text, @data may be NULL.
 * Return: 0; -ENOENT when nobody waits for it; -ENOMEM. */
int mcp_client_reply(struct mcp_client *c, int64_t id, const char *result);
int mcp_client_reply_error(struct mcp_client *c, int64_t id, int code,
			   const char *message, const char *data);

/*
 * Lists.
 */

struct mcp_list {
	int status;	   /* As of struct mcp_answer; -E2BIG. */
	struct jv error;   /* When status is -EREMOTEIO. */
	const char *items; /* JSON array of all pages; NULL on failure. */
	size_t len;
	unsigned pages;
	bool truncated; /* There were more than MCP_PAGES_MAX pages. */
	int64_t ttl_ms; /* The least that a page gave; -1: none did. */
};

/* Ask for all pages of "tools", "prompts", "resources" or "resourceTemplates".
 * @timeout_ms is for each page; @done comes once, its texts are valid in it.
 * Return: 0; as mcp_client_request(). */
int mcp_client_list(struct mcp_client *c, const char *kind, uint64_t timeout_ms,
		    void (*done)(const struct mcp_list *l, void *arg),
		    void *arg);

#endif
