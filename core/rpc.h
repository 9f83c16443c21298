/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc.h - A JSON-RPC 2.0 peer, without any input or output of its own
 *
 * The owner reads lines, decodes them with rpc_decode(), does what must be done
 * first (store the message) and then hands them to rpc_dispatch().  What the
 * peer wants to say goes out through rpc_ops.send.  Both directions may have
 * any number of requests open; each side has its own id space.  The ids of the
 * other side are kept as raw JSON tokens and echoed byte for byte.
 *
 * Every callback but ops.send may use the peer in any way, rpc_free() included.
 * ops.send runs inside the functions below and must call none of them: it puts
 * the bytes on their way and remembers a failure for later.
 */
#ifndef CORE_RPC_H
#define CORE_RPC_H

#include <uv.h>

#include "core/json.h"

#define RPC_PARSE_ERROR	     (-32700)
#define RPC_INVALID_REQUEST  (-32600)
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS   (-32602)
#define RPC_INTERNAL	     (-32603)

#define RPC_ID_MAX    256  /* Bytes of an id token that we accept. */
#define RPC_CALLS_MAX 1024 /* Calls of ours open at once. */

enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESPONSE };

/* A decoded message: slices of the line that it was decoded from. */
struct rpc_msg {
	enum rpc_kind kind;
	struct jv root;
	struct jv id;	  /* Request, response; raw token. */
	struct jv method; /* Request, notification. */
	struct jv params; /* May be absent. */
	struct jv result; /* Response; may be absent. */
	struct jv error;
};

/**
 * rpc_decode() - Tell what kind of message a line is
 * @j:    Document to parse into; the line must outlive it
 * @line: One message
 * @len:  Its bytes
 * @out:  Set on success
 * @e:    Set on failure
 *
 * A response with both result and error counts as an error, whatever type that
 * has, and one with neither as a result that is absent; a result of null is
 * present, params and error of null are absent.  "jsonrpc" must be "2.0", an id a
 * number, a string or null.
 *
 * Return: 0; as json_parse(); -EPROTO when it is JSON but no JSON-RPC message
 * (batches included, which no protocol of ours uses).
 */
int rpc_decode(struct json *j, const char *line, size_t len,
	       struct rpc_msg *out, struct err *e);

struct rpc; /* Opaque. */

/* How a call of ours ended: exactly once for each rpc_call() that succeeded. */
struct rpc_answer {
	int status; /* 0; -ETIMEDOUT; -ECANCELED on rpc_free(); -EREMOTEIO:
			   * the peer answered with an error. */
	struct jv result; /* When status is 0; absent when it had none. */
	struct jv error;  /* When status is -EREMOTEIO; of any type. */
};
typedef void (*rpc_done_cb)(const struct rpc_answer *a, void *arg);

struct rpc_ops {
	/* Bytes of one whole message, without newline; valid in the call. */
	void (*send)(const char *msg, size_t len, void *arg);
	/* A request of the other side; answer now or later by rpc_reply() with
	 * a copy of the id token.  NULL answers "method not found". */
	void (*request)(const struct rpc_msg *m, void *arg);
	void (*notify)(const struct rpc_msg *m, void *arg); /* Or NULL. */
	/* An answer to nothing that is open: wrong id, or after the deadline.
	 * May be NULL. */
	void (*stray)(const struct rpc_msg *m, void *arg);
};

/* @loop serves the deadlines; @ops is borrowed and must outlive the peer.
 * Return: NULL when memory is out. */
struct rpc *rpc_new(uv_loop_t *loop, const struct rpc_ops *ops, void *arg);
/* Ends all open calls with -ECANCELED, oldest first, during this call; their
 * callbacks find a peer that sends nothing more.  No callback runs after it.
 * The memory goes when @loop has closed the timer, so run the loop once more
 * before closing it.  NULL is allowed. */
void rpc_free(struct rpc *p);

/* Number the calls from @id on, before the first one: its owner has made those
 * before with the same peer. */
void rpc_continue(struct rpc *p, int64_t id);
/* The next number; @n_open (may be NULL): calls that are not answered. */
int64_t rpc_next_id(const struct rpc *p, unsigned *n_open);

/* Act on a message: runs one callback of the peer or of a call. */
void rpc_dispatch(struct rpc *p, const struct rpc_msg *m);

/**
 * rpc_call() - Send a request
 * @p:          Peer
 * @method:     Its name
 * @params:     JSON text of the params, or NULL for none
 * @timeout_ms: 0 for none
 * @cb:         Ends the call; never before rpc_call() returns
 * @arg:        Passed to @cb
 *
 * Return: the id given to the request, or -EAGAIN with RPC_CALLS_MAX open,
 * -ENOMEM, -ECANCELED during rpc_free(); on failure @cb will not run.
 */
int64_t rpc_call(struct rpc *p, const char *method, const char *params,
		 uint64_t timeout_ms, rpc_done_cb cb, void *arg);
/* The answer to rpc_call() @id, when it comes, goes to ops->stray; the callback
 * will not run. */
void rpc_forget(struct rpc *p, int64_t id);

/* An error object (JSON-RPC 2.0, 5.1).  @data: JSON text, or NULL for none. */
void rpc_write_error(struct jw *w, int code, const char *message,
		     const char *data);

/* Each sends one message.  @id: raw token of the request, @id_len bytes.
 * @params, @result, @data: JSON text; NULL leaves params and data away and makes
 * the result null.  Return: 0; -ENOMEM; -ECANCELED during rpc_free(). */
int rpc_notify(struct rpc *p, const char *method, const char *params);
int rpc_reply(struct rpc *p, const char *id, size_t id_len, const char *result);
int rpc_reply_error(struct rpc *p, const char *id, size_t id_len, int code,
		    const char *message, const char *data);

#endif
