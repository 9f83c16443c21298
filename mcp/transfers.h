/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfers.h - HTTP exchanges of libcurl in the loop of libuv
 *
 * A pool has its own connections, DNS answers and TLS sessions; its transfers run
 * side by side.  Certificates are verified, redirects are not followed, and
 * nothing but http and https is spoken.
 *
 * Callbacks come from the loop only, and may use the pool in any way.  Programs of
 * the host alone link this.
 */
#ifndef MCP_TRANSFERS_H
#define MCP_TRANSFERS_H

#include <uv.h>

#include "core/err.h"

#define TRANSFER_CONNECT_MS 10000 /* To connect, TLS included. */

struct transfers; /* A pool; opaque. */
struct transfer;  /* One request and its answer; opaque. */

/* @ca_file: certificates to trust in place of the system's, or NULL; copied.
 * Return: NULL when memory is out. */
struct transfers *transfers_new(uv_loop_t *loop, const char *ca_file);
/* Break off what runs, without a callback.  Handles close on the loop; @cb (may
 * be NULL) tells when all have.  NULL is allowed, and then @cb does not run. */
void transfers_close(struct transfers *p, void (*cb)(void *arg), void *arg);
/* Take no more of any answer, so that the servers stop sending; or go on. */
void transfers_pause(struct transfers *p, bool pause);

struct transfer_ops {
	/* The answer's head is there; comes with its first byte, or at its end.
	 * May be NULL. */
	void (*head)(struct transfer *t, int status, void *arg);
	/* Bytes of its body, scratch space of the call. */
	void (*body)(struct transfer *t, char *data, size_t n, void *arg);
	/* Exactly once, unless it was cancelled: @r is 0 when the answer is
	 * complete, whatever its status, else a negative errno.  @t is no more
	 * after it. */
	void (*end)(struct transfer *t, int r, void *arg);
};

struct transfer_spec {
	const char *method, *url;
	/* "Name: value" or "Name;" for an empty one; copied, wiped at the end.
	 * Ended by NULL. */
	char *const *headers;
	char *body; /* Of a POST, on the heap; taken on success.  Or NULL. */
	size_t body_len;
	uint64_t timeout_ms; /* For all of it; 0: none. */
};

/* Return: NULL when memory is out or the URL is none; else @ops->end comes. */
struct transfer *transfer_start(struct transfers *p,
				const struct transfer_spec *spec,
				const struct transfer_ops *ops, void *arg);
/* Break it off; no callback of it runs any more.  Not from its @end. */
void transfer_cancel(struct transfer *t);
/* The body, back to the caller: in its @end only.  NULL when it was dropped. */
char *transfer_take_body(struct transfer *t);
/* Free the body if the server has all of it.  Return: whether it is freed. */
bool transfer_drop_body(struct transfer *t);
/* Of the answer, from @head on; valid in the callback.  NULL when absent. */
const char *transfer_header(struct transfer *t, const char *name);

#endif
