/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uplink.h - Requests of the guest to its host: what /workspace is made of
 *
 * The guest listens on a socket of its own, the host connects, and from there on
 * the guest is the client of HTTP/2.  The host may come and go: a request that is
 * made while it is away waits for it, and one without a body
 * that is cut off is made again.  Whatever cannot be done for want of a host
 * fails with -FAULT_GUEST_UNREACHABLE, which may be tried again.
 *
 * A request may also be a conversation: a streamed body, and an answer that comes
 * in pieces at the same time.
 *
 * All calls and callbacks are of one loop; no call runs a callback but
 * uplink_close().
 */
#ifndef GUEST_UPLINK_H
#define GUEST_UPLINK_H

#include <uv.h>

#include "core/err.h"

struct uplink;	       /* Opaque. */
struct uplink_request; /* One request; opaque. */

struct uplink_events {
	/* Streamed requests: write now, first when the host is there, then
	 * whenever all that was written has gone. */
	void (*writable)(struct uplink_request *q, void *arg);
	/* Bytes of an answer 2xx as they come, scratch space of the call, instead
	 * of all of it at the end; then the answer may begin before our body
	 * ends, and go on as long as it likes.  May be NULL. */
	void (*data)(struct uplink_request *q, char *data, size_t n, void *arg);
	/* The end, once; the request is gone when this returns.  @e is NULL
	 * when the host answered 2xx, and @body the answer, scratch space of the
	 * call, NUL-terminated.  Else @e says why not: the host's own error, or
	 *   -FAULT_GUEST_UNREACHABLE  no host, or it left in the middle
	 *   -FAULT_MESSAGE_TOO_LARGE  more than answer_max
	 *   -ECANCELED		       uplink_close() */
	void (*done)(const struct err *e, char *body, size_t n, void *arg);
};

struct uplink_spec {
	const char *method, *path; /* Copied. */
	size_t answer_max;	   /* Bytes of the answer, at most; */
	size_t answer_len;	   /* it has as many, or 0: who knows. */
	uint64_t wait_ms;	   /* For the host; 0: UPLINK_WAIT_MS. */
	bool streamed;		   /* A body follows. */
	const struct uplink_events *ev;
	void *arg;
};

/* Listen at @path.  Return: 0 or a negative errno. */
int uplink_open(uv_loop_t *loop, const char *path, struct uplink **out,
		struct err *e);
/* End all requests, close, free.  NULL is allowed. */
void uplink_close(struct uplink *u);
bool uplink_is_up(const struct uplink *u);

/* Return: NULL when memory is out or the path too long; then @done does not
 * come. */
struct uplink_request *uplink_request(struct uplink *u,
				      const struct uplink_spec *spec);

/*
 * The body of a streamed request, once it was writable.
 */

/* Bytes are copied.  Return: 0; -ENOMEM; -EPIPE when the host takes no more,
 * and then @done is on its way. */
int uplink_write(struct uplink_request *q, const char *data, size_t n);
/* Bytes that have not gone: who has written enough waits for @writable. */
size_t uplink_queued(const struct uplink_request *q);
void uplink_fin(struct uplink_request *q);

/* Forget a request: no callback comes, @q is gone. */
void uplink_drop(struct uplink_request *q);

#endif
