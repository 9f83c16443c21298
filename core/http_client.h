/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client.h - HTTP/1.1 client over unix and TCP sockets
 *
 * Requests run side by side, each on a connection of its own; idle connections
 * are kept and used again.  A body may be sent and received as a stream.  All
 * calls belong to the loop's thread; callbacks come from the loop only.
 */
#ifndef CORE_HTTP_CLIENT_H
#define CORE_HTTP_CLIENT_H

#include <uv.h>

#include "core/err.h"

#define HTTP_IDLE_MAX 8 /* Idle connections that a client keeps. */

struct http_client; /* Opaque. */
struct http_call;   /* One request on its way; opaque. */

/* Where to: exactly one of @unix_path (of any length) and @host is set.
 * @token: bearer token or NULL; never logged. */
struct http_target {
	const char *unix_path;
	const char *host; /* Numeric address. */
	int port;
	const char *token;
};

/* @t is copied.  Return: NULL when memory is out. */
struct http_client *http_client_new(uv_loop_t *loop,
				    const struct http_target *t);
/* Ends open calls with -ECANCELED during this call; handles close on the loop,
 * @cb (may be NULL) tells when all have. */
void http_client_close(struct http_client *c, void (*cb)(void *arg), void *arg);

/* Each may be NULL but @end.  Exactly one @end per call that was started. */
struct http_call_ops {
	void (*head)(struct http_call *c, int status, void *arg);
	/* Body bytes, scratch space of the call. */
	void (*body)(struct http_call *c, char *data, size_t n, void *arg);
	/* The request's queue is empty: more may be written (streamed body). */
	void (*drained)(struct http_call *c, void *arg);
	/* @r: 0 the answer is complete, whatever its status; else a negative
	 * errno: -ECONNREFUSED, -ENOENT, -ECONNRESET, -EPROTO, -ETIMEDOUT,
	 * -ECANCELED.  @c is no more after this. */
	void (*end)(struct http_call *c, int r, void *arg);
};

struct http_call_spec {
	const char *method, *path; /* Path with query, already encoded. */
	const char *content_type;  /* NULL: application/json with a body. */
	const char *headers;	   /* More "Name: value\r\n" lines, or NULL. */
	const char *body;	   /* Copied; NULL for none. */
	size_t body_len;
	bool stream_body;    /* The body follows by http_call_write(). */
	uint64_t timeout_ms; /* Until the answer is complete; 0 for none. */
};

/* Start a request.  A reused connection that turns out dead before any byte of
 * the answer came is replaced once, silently, unless the body was streamed.
 * Return: NULL when memory is out; every other failure comes by @end. */
struct http_call *http_call(struct http_client *c,
			    const struct http_call_spec *spec,
			    const struct http_call_ops *ops, void *arg);
void http_call_write(struct http_call *c, const char *data, size_t n);
size_t http_call_queued(const struct http_call *c);
void http_call_finish(struct http_call *c); /* End of the streamed body. */
/* Forget it: its connection is closed and @end comes with -ECANCELED. */
void http_call_cancel(struct http_call *c);
int http_call_status(const struct http_call *c);
/* A header of the answer, once @head came; NULL when absent. */
const char *http_call_header(const struct http_call *c, const char *name);

#endif
