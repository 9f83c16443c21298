/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - HTTP/1.1 server (RFC 9112) with Server-Sent Events
 *
 * Parsing is llhttp's.  The server keeps connections alive, bounds what it
 * holds of each, and never blocks: a handler answers at once or later, whole
 * or as a stream.  All calls belong to the loop's thread.
 */
#ifndef CORE_HTTP_H
#define CORE_HTTP_H

#include <uv.h>

#include "core/err.h"

#define HTTP_HEAD_MAX	 (32u << 10) /* Request line and headers. */
#define HTTP_HEADERS_MAX 64	     /* Header fields in one message. */
#define HTTP_BODY_MAX	 (24u << 20) /* Body of a request kept whole. */
#define HTTP_CONNS_MAX	 1024	     /* Of one server. */
#define HTTP_IDLE_MS	 60000	     /* Of a connection we wait for. */

struct http_server; /* Opaque. */
struct http_req;    /* One request and its answer; opaque. */

struct http_handler {
	/* The head is there.  Return true to receive the body piece by piece
	 * through http_req_on_body(), set during this call; false (or a NULL
	 * function) to have it collected. */
	bool (*head)(struct http_req *r, void *arg);
	/* The whole request is there (with a streamed body: when it began the
	 * streaming was accepted, this is called at its end).  Answer with
	 * http_reply() or http_stream_begin(), now or later, exactly once. */
	void (*request)(struct http_req *r, void *arg);
};

/**
 * http_server_new() - Make a server; it listens nowhere yet
 * @h: Must outlive the server; @arg is passed on
 */
struct http_server *http_server_new(uv_loop_t *loop,
				    const struct http_handler *h, void *arg);
/* Listen on a unix socket, mode 0600, replacing a dead socket file.  Paths
 * longer than sun_path are served through /proc/self/fd. */
int http_server_listen_unix(struct http_server *s, const char *path,
			    struct err *e);
/* Listen on a TCP address, as "127.0.0.1", port 0 for any.
 * Return: the port. */
int http_server_listen_tcp(struct http_server *s, const char *host, int port,
			   struct err *e);
/* Serve a connected stream socket, as one end of a socketpair.  @fd is owned by
 * the server from here on, also when this fails. */
int http_server_adopt(struct http_server *s, int fd, struct err *e);
/* How long a connection may take to send a request's head, the next piece of
 * its body, or nothing at all; HTTP_IDLE_MS unless told. */
void http_server_set_idle(struct http_server *s, uint64_t idle_ms);
/* Stop listening, close every connection (open requests end during this call),
 * free.  Handles close on the loop, which must run on until they have; @cb (may
 * be NULL) tells.  Socket files stay. */
void http_server_close(struct http_server *s, void (*cb)(void *arg), void *arg);

/* What was asked.  Strings live until the request ends. */
const char *http_method(const struct http_req *r); /* "GET" */
const char *http_path(const struct http_req *r);   /* Decoded, no query. */
/* Decoded value of a query parameter; NULL when absent. */
const char *http_query(struct http_req *r, const char *name);
const char *http_header(const struct http_req *r, const char *name);
const char *http_body(const struct http_req *r, size_t *len);
bool http_is_tcp(const struct http_req *r); /* Else it came by unix socket. */

/* The owner's pointer for this request. */
void http_set_data(struct http_req *r, void *data);
void *http_data(const struct http_req *r);
/* Run @cb when the request ends, whichever way: answered and written, or the
 * client gone.  After it @r is no more.  One per request; needed by whoever
 * answers later than in the handler's call. */
void http_on_end(struct http_req *r, void (*cb)(struct http_req *r, void *arg),
		 void *arg);

/* Pieces of a streamed body, in order; http_handler.request ends them.  Return
 * non-zero to refuse the rest (having answered).  http_body_pause() stops
 * reading the connection until http_body_resume(); what was read already (some
 * pieces, 64 KiB together, and the end) may still come.  An answer completed
 * before the body is refuses the rest of it, and the connection closes. */
void http_req_on_body(struct http_req *r,
		      int (*cb)(struct http_req *r, const char *data, size_t n,
				void *arg),
		      void *arg);
void http_body_pause(struct http_req *r);
void http_body_resume(struct http_req *r);

/* A header field for the answer to come, with a value of one line.  What does
 * not fit within HTTP_HEAD_MAX is left out. */
void http_answer_header(struct http_req *r, const char *name,
			const char *value);
/* Answer whole.  @body is copied.  @content_type may be NULL. */
void http_reply(struct http_req *r, int status, const char *content_type,
		const char *body, size_t len);
/* Answer with the error object of err.h and its status. */
void http_reply_err(struct http_req *r, const struct err *e);

/*
 * Answer as a stream (chunked).  Writes are copied into the connection's queue
 * and leave in one system call per loop turn.  A writer that cares for slow
 * clients looks at http_stream_queued() and waits for @drained, called when
 * the queue has become empty.
 */
void http_stream_begin(struct http_req *r, int status, const char *content_type,
		       void (*drained)(struct http_req *r, void *arg),
		       void *arg);
void http_stream_write(struct http_req *r, const char *data, size_t n);
size_t http_stream_queued(const struct http_req *r);
void http_stream_end(struct http_req *r);
/* Drop the connection in the middle: the client sees a broken stream. */
void http_stream_abort(struct http_req *r);

#endif
