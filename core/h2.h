/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2.h - HTTP/2 (RFC 9113) over any libuv stream: the guest channel
 *
 * Frames are nghttp2's.  One connection object serves either side; a client
 * opens streams by h2_request(), a server receives them by h2_events.request.
 * On a stream both bodies may flow at the same time and for as long as wanted.
 * The peer is untrusted: streams, headers and buffered bytes are bounded, and a
 * peer that breaks the protocol loses the connection, nothing else.
 *
 * Any call may be made inside any callback, h2_close() too.  No call runs a
 * callback before it returns, but h2_close().  A write to a peer that is gone
 * raises SIGPIPE, which the program must ignore.
 *
 * A CONNECT has its authority ("example.org:443") where others have the path.
 */
#ifndef CORE_H2_H
#define CORE_H2_H

#include <uv.h>

#include "core/err.h"

#define H2_STREAMS_MAX 256	   /* Open streams that a peer may have. */
#define H2_PATH_MAX    512	   /* Bytes of :path. */
#define H2_HEAD_MAX    (16u << 10) /* All header fields of one message. */
#define H2_WINDOW      (4u << 20)  /* Bytes in flight on one stream. */
#define H2_CONN_WINDOW (8u << 20)  /* Bytes in flight on the connection. */

struct h2;	  /* A connection; opaque. */
struct h2_stream; /* One exchange; opaque. */

struct h2_events {
	/* Server: a request's head.  Data follows by stream events set with
	 * h2_stream_set() in this call; without it the stream is refused. */
	void (*request)(struct h2_stream *s, const char *method,
			const char *path, void *arg);
	/* The connection is over: @r is 0 after goaway or end of file, -EPROTO
	 * when a side broke the protocol, else a negative errno.  All its streams have been ended before.  The owner
	 * calls h2_close(), here or later. */
	void (*closed)(struct h2 *c, int r, void *arg);
};

/* What happens on one stream.  Each but @end may be NULL. */
struct h2_stream_events {
	/* Client: the answer's head. */
	void (*head)(struct h2_stream *s, int status, void *arg);
	/* Body bytes, scratch space of the call.  They count against the
	 * window until h2_consume(): a receiver that is behind does not call it
	 * and so stops the sender. */
	void (*data)(struct h2_stream *s, char *data, size_t n, void *arg);
	/* The peer has finished its body. */
	void (*fin)(struct h2_stream *s, void *arg);
	/* What was written has been handed to the kernel: h2_queued() is 0.
	 * Not told of a stream that ends with its last bytes. */
	void (*drained)(struct h2_stream *s, void *arg);
	/* The stream is no more: @r is 0 when both bodies ended in order and
	 * ours is with the kernel, else -ECONNRESET (reset or refused by the
	 * peer, or the peer gone), -ECANCELED (by us), -EPROTO (the peer sent
	 * what it must not) or the connection's error.  Exactly once; @s is
	 * invalid afterwards. */
	void (*end)(struct h2_stream *s, int r, void *arg);
};

/**
 * h2_new() - Speak HTTP/2 on a connected stream
 * @io:     Connected, not reading; on the heap, owned and closed by the h2 from
 *          here on, freed with free() once closed (also when h2_new() fails)
 * @server: Which side we are
 * @ev:     Must outlive the connection
 *
 * Return: 0; -ENOMEM; what uv_read_start() says of an unfit stream.
 */
int h2_new(uv_stream_t *io, bool server, const struct h2_events *ev, void *arg,
	   struct h2 **out);
/* End all streams (their @end comes with -ECANCELED, during this call), close
 * the socket and free; h2_events.closed is not called.  The memory goes when
 * the loop has closed the handles.  NULL is allowed. */
void h2_close(struct h2 *c);
/* Is @h the stream that it speaks on? */
bool h2_is_on(const struct h2 *c, const uv_handle_t *h);
/* Finish politely: no new streams; closed when the open ones have ended. */
void h2_goaway(struct h2 *c);
/* Ask for a sign of life.  @cb gets the round trip in ns, or a negative errno,
 * exactly once.  Return: 0; -EAGAIN with too many unanswered; -ENOTCONN. */
int h2_ping(struct h2 *c, void (*cb)(struct h2 *c, int64_t ns, void *arg),
	    void *arg);

/* Exchanges that are open, of either side. */
unsigned h2_streams(const struct h2 *c);
/* Bytes that have come from the peer. */
uint64_t h2_received(const struct h2 *c);

void h2_stream_set(struct h2_stream *s, const struct h2_stream_events *ev,
		   void *arg);

/* Client: start an exchange.  @body may be NULL; @more says that the body is
 * not complete: h2_write() and h2_fin() follow.
 * Return: NULL when the connection is closing, memory is out or the path is
 * longer than H2_PATH_MAX.  What the peer's limit of streams does not allow yet
 * waits. */
struct h2_stream *h2_request(struct h2 *c, const char *method, const char *path,
			     const char *body, size_t len, bool more,
			     const struct h2_stream_events *ev, void *arg);
/* Server: send the answer's head; the body follows by h2_write(), h2_fin(). */
void h2_respond(struct h2_stream *s, int status);
/* Server: head, body and end at once. */
void h2_reply(struct h2_stream *s, int status, const char *body, size_t len);

/* Queue body bytes; copied, sent as the peer's windows allow, many writes in
 * one system call per loop turn.  A server may do so before h2_respond().
 * Return: 0; -ENOMEM; -EPIPE after h2_fin(), a reset or the end. */
int h2_write(struct h2_stream *s, const char *data, size_t n);
/* Bytes written that the kernel has not yet taken.  Nothing bounds them but the
 * writer, who looks here and waits for @drained. */
size_t h2_queued(const struct h2_stream *s);
void h2_fin(struct h2_stream *s);
/* Open the stream's window again for @n bytes of received data, of any earlier
 * call of @data.  (The connection's window never closes for long, so a stream
 * that is stalled does not stall the others.) */
void h2_consume(struct h2_stream *s, size_t n);
/* Break the stream off; nothing but @end comes any more. */
void h2_reset(struct h2_stream *s);
struct h2 *h2_of(const struct h2_stream *s);

#endif
