/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialer.h - Connect to a stream of a machine, again each time it is lost
 *
 * The guest makes its sockets late in its boot.  A watch on the folder tells
 * when; a timer with growing pauses covers what a watch can miss, and what
 * comes after the first connection.
 */
#ifndef HOST_DAEMON_DIALER_H
#define HOST_DAEMON_DIALER_H

#include "host/backend.h"

#define DIALER_RETRY_MIN_MS 1
#define DIALER_RETRY_MAX_MS 1000

struct dialer; /* Opaque. */

struct dialer_spec {
	uv_loop_t *loop;
	const struct backend_ops *ops;
	struct machine *machine;
	const char *dir;  /* VM folder; its run/ is watched. */
	const char *name; /* Of the stream: static text. */
};

struct dialer_events {
	/* Connected.  @io is on the heap and the callee's, as h2_new() takes
	 * it.  No further try before dialer_again(). */
	void (*connected)(uv_stream_t *io, void *arg);
	/* A try has failed; the next one comes by itself, unless the dialer is
	 * closed here.  May be NULL. */
	void (*missed)(void *arg);
};

/* Start trying.  @ev must outlive it.  NULL: out of memory. */
struct dialer *dialer_open(const struct dialer_spec *spec,
			   const struct dialer_events *ev, void *arg);
void dialer_close(struct dialer *d); /* NULL is allowed. */

/* The connection was lost: try again after a pause, which grows until
 * dialer_good(). */
void dialer_again(struct dialer *d);
/* The connection serves its purpose. */
void dialer_good(struct dialer *d);
/* Let the next pause be the longest. */
void dialer_slow(struct dialer *d);

#endif
