/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - The server side of MCP, both eras, without input or output
 *
 * A server is what its owner offers: its description and the functions that
 * serve requests.  It has any number of connections: a stdio stream, a session
 * of the HTTP front, one request of a stateless client.  Bytes come in by
 * mcp_conn_feed(); messages go out through the connection's `send`.
 *
 * The server answers by itself: initialize, ping, server/discover,
 * logging/setLevel, subscriptions/listen, what it does not know of, and what is
 * refused.  All else comes to the owner as a request, which is told the era but
 * rarely needs it: results get what the modern era wants to see in them.
 *
 *	mcp_server_new -> STARTING -- mcp_server_open --> OPEN
 *	                      \------ mcp_server_fail --> FAILED (open again later)
 *
 * While it is starting, what clients send waits (but for ping), so that an
 * owner may learn late what it is a server of.
 */
#ifndef MCP_SERVER_H
#define MCP_SERVER_H

#include <sys/queue.h>

#include "core/rpc.h"
#include "mcp/proto.h"

struct mcp_server;  /* Opaque. */
struct mcp_conn;    /* Opaque. */
struct mcp_request; /* Below. */

/* What a server is.  Strings are copied; NULL leaves a member out. */
struct mcp_info {
	const char *name, *title, *version;
	/* JSON of serverInfo as a whole, in place of the three above. */
	const char *server_info;
	const char *instructions;
	const char *capabilities; /* JSON of an object; NULL: {}. */
	/* Of lists and resources for modern clients, unless the result says. */
	int64_t ttl_ms;
	bool cache_public;
};

/* Any may be NULL, but `request`. */
struct mcp_server_ops {
	/* A request to serve.  It must be answered exactly once, now or later:
	 * mcp_reply*(), or mcp_ask(), after which it comes again. */
	void (*request)(struct mcp_request *q, void *arg);
	/* The client cancelled it, or its connection ended (then q->conn is
	 * NULL).  It must be answered all the same, in this call or later;
	 * nothing of it is sent. */
	void (*cancelled)(struct mcp_request *q, void *arg);
	/* Any notification but notifications/cancelled. */
	void (*notify)(struct mcp_conn *c, const struct rpc_msg *m, void *arg);
	/* A legacy client set the level of the log: `"info"`. */
	void (*log_level)(struct mcp_conn *c, const char *level, void *arg);
	/* A subscriptions/listen of a modern client was acknowledged.  @wants:
	 * the params.notifications of it. */
	void (*listen)(struct mcp_conn *c, struct jv wants, void *arg);
};

/*
 * Servers.
 */

/* @ops must outlive the server.  NULL when memory is out. */
struct mcp_server *mcp_server_new(uv_loop_t *loop,
				  const struct mcp_server_ops *ops, void *arg);
/* Close its connections and free it.  NULL is allowed.  Not from a callback
 * of a connection of it. */
void mcp_server_free(struct mcp_server *s);

/* Serve, as @info; what waited is served during this call.  When it is open
 * already: be this from now on.  Return: 0; -ENOMEM; -EINVAL when the JSON in
 * @info is none. */
int mcp_server_open(struct mcp_server *s, const struct mcp_info *info);
/* Answer what waits, and all that comes, with an error. */
void mcp_server_fail(struct mcp_server *s, const char *message);

/*
 * Connections.
 */

struct mcp_conn_spec {
	/**
	 * send() - Put one message on its way
	 * @msg:     Without newline; valid in the call
	 * @related: The request that it belongs to, as answer or on the way to
	 *           it; NULL when it belongs to none
	 *
	 * Must call nothing of the server.
	 */
	void (*send)(const char *msg, size_t len,
		     const struct mcp_request *related, void *arg);
	void *arg;
	bool stateless; /* Every request must be of the modern era. */
};

/* NULL when memory is out.  Ends with mcp_conn_close() or with the server. */
struct mcp_conn *mcp_conn_new(struct mcp_server *s,
			      const struct mcp_conn_spec *spec);
/* Its open requests are cancelled, calls to the client end with -ECANCELED; all
 * during this call.  NULL is allowed; any callback may do it. */
void mcp_conn_close(struct mcp_conn *c);

/* Bytes of a stream of lines; @data is scratch space.  Callbacks run during the
 * call.  Return: 0; -ENOMEM, and the connection is to be closed. */
int mcp_conn_feed(struct mcp_conn *c, char *data, size_t n);
/* One message that came with a framing of its own. */
int mcp_conn_message(struct mcp_conn *c, const char *text, size_t len);

struct mcp_server *mcp_conn_server(const struct mcp_conn *c);
void *mcp_conn_arg(const struct mcp_conn *c); /* Of its spec. */
/* MCP_ERA_UNKNOWN until its client has said something. */
enum mcp_era mcp_conn_era(const struct mcp_conn *c);
/* What a legacy client said in initialize; absent before. */
struct jv mcp_conn_client_caps(const struct mcp_conn *c);
struct jv mcp_conn_client_info(const struct mcp_conn *c);
/* Version agreed on in initialize; NULL before. */
const char *mcp_conn_version(const struct mcp_conn *c);
/* Lines that were no messages. */
uint64_t mcp_conn_dropped(const struct mcp_conn *c);
/* Bytes of memory that its client makes it have: requests that are open or not
 * complete, what it said of itself. */
size_t mcp_conn_held(const struct mcp_conn *c);

/* To legacy clients that have initialized, and modern ones that listen. @kind:
 * "tools", "prompts" or "resources". */
void mcp_conn_list_changed(struct mcp_conn *c, const char *kind);
void mcp_server_list_changed(struct mcp_server *s, const char *kind);
/* A resource has changed.  The owner knows what legacy clients subscribed to;
 * a modern one gets it when it listens to that URI. */
void mcp_conn_resource_updated(struct mcp_conn *c, const char *uri);

/* Any notification, @related to a request (may be NULL).  @params: JSON text or
 * NULL.  Return: 0; -ENOMEM. */
int mcp_conn_notify(struct mcp_conn *c, const struct mcp_request *related,
		    const char *method, const char *params);

/**
 * mcp_conn_call() - Send a request to a legacy client
 * @related: The request in whose course it is asked, or NULL
 * @cb:      As of rpc_call()
 *
 * Return: as rpc_call(); -ENOTSUP for a client that is not legacy.
 */
int64_t mcp_conn_call(struct mcp_conn *c, const struct mcp_request *related,
		      const char *method, const char *params,
		      uint64_t timeout_ms, rpc_done_cb cb, void *arg);
/* Its answer will go nowhere, @cb will not run. */
void mcp_conn_forget(struct mcp_conn *c, int64_t id);

/*
 * Requests.
 */

struct mcp_asks;

/* Valid until it is answered, the owner's pointer and the values too; what
 * jv_raw() gives only until the callback returns. */
struct mcp_request {
	struct mcp_conn *conn; /* NULL when the connection has ended. */
	enum mcp_era era;
	char method[MCP_METHOD_MAX]; /* "tools/call" */
	struct jv id;
	struct jv params;	  /* Absent when there are none. */
	struct jv client_caps;	  /* Object of capabilities, or absent. */
	struct jv progress_token; /* Absent: no progress is wanted. */
	bool cancelled;
	void *data; /* The owner's. */

	/* Private. */
	struct mcp_doc *doc; /* NULL while the values are the line's. */
	size_t doc_len;
	struct jv log_level;
	struct mcp_listen *listen;
	struct mcp_asks *asks;
	unsigned rounds;
	bool serving, answered;
	TAILQ_ENTRY(mcp_request) link;
};

/* Each ends the request, which is no more then (but see mcp_server_ops.request:
 * during that call it stays readable).  @result: JSON text of an object on one
 * line; NULL: {}.  @data: JSON text or NULL. */
void mcp_reply(struct mcp_request *q, const char *result);
void mcp_reply_raw(struct mcp_request *q, const char *result, size_t len);
void mcp_reply_error(struct mcp_request *q, int code, const char *message,
		     const char *data);
/* @error: JSON text of an error object. */
void mcp_reply_error_raw(struct mcp_request *q, const char *error, size_t len);

/* Does the client offer "sampling", "elicitation", "roots"? */
bool mcp_client_has(const struct mcp_request *q, const char *capability);
/* Answer with the error for a client that does not. */
void mcp_reply_missing(struct mcp_request *q, const char *capability);

/* Tell how far it is, if the client wants to know.  @total < 0: unknown.
 * @message may be NULL. */
void mcp_progress(struct mcp_request *q, double progress, double total,
		  const char *message);
/* Log in the course of a request, if the client wants that.  @level: "debug",
 * "info", "notice", "warning", "error", "critical", "alert", "emergency";
 * @logger may be NULL; @data: JSON text. */
void mcp_log(struct mcp_request *q, const char *level, const char *logger,
	     const char *data);
/* Log in the course of nothing, to legacy clients. */
void mcp_conn_log(struct mcp_conn *c, const char *level, const char *logger,
		  const char *data);

/*
 * Asking the client back.
 *
 * A handler that needs something of the user or the model asks for it and
 * returns.  When the answers are there the handler is called again with the
 * request, and finds them.  How they were got is not its business: a legacy
 * client is sent requests, a modern one gets `input_required` and sends the
 * request anew.  So a handler keeps what it knows in @state, not in memory: the
 * answers of one round are gone in the next.
 */

struct mcp_question {
	const char *key;    /* Names the answer. */
	const char *method; /* "elicitation/create" ... */
	const char *params; /* JSON text of an object, or NULL. */
};

/**
 * mcp_ask() - Ask the client back
 * @n:     1 to MCP_ASKS_MAX
 * @state: Of the handler, at most MCP_STATE_MAX bytes, for the next call; NULL
 *         for none.  The client may read but not change it.
 *
 * Ends the handler's work on @q as a reply does.  A client that does not offer
 * what is asked for gets an error instead.
 */
void mcp_ask(struct mcp_request *q, const struct mcp_question *questions,
	     size_t n, const char *state);
/* The answer to a question, the result as the client sent it: not checked.
 * Absent when there is none. */
struct jv mcp_answer(const struct mcp_request *q, const char *key);
/**
 * mcp_state() - The state given to mcp_ask()
 *
 * Return: 1; 0 when there is none, and *out is ""; -EBADMSG when the client made
 * it up, it is too old or of another request: answer with -32602.
 */
int mcp_state(const struct mcp_request *q, char out[MCP_STATE_MAX + 1]);

#endif
