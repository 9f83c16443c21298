/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostsock.h - A socket that the host connects to, one connection at a time
 *
 * The guest listens; a new connection replaces the one before, since the host
 * would not make it if it still had that.  Both sides speak HTTP/2 on it.
 */
#ifndef GUEST_HOSTSOCK_H
#define GUEST_HOSTSOCK_H

#include "core/h2.h"

struct hostsock_events {
	/* As h2_events.request; NULL: the host is the server. */
	void (*request)(struct h2_stream *s, const char *method,
			const char *path, void *arg);
	/* The host has come, sock->conn is new; may be NULL. */
	void (*connected)(void *arg);
};

/* Embedded; all but @conn is private. */
struct hostsock {
	struct h2 *conn;   /* NULL: no host. */
	uv_pipe_t pipe;	   /* That listens; idle with a port. */
	struct port *port; /* In a machine; else NULL. */
	struct h2_events h2;
	const struct hostsock_events *ev;
	void *arg;
};

/* Listen at @path, or wait at it when it is a port (guest/port.h).  @ev must outlive @s.  Return: 0; a negative errno, and then too it has to be
 * closed. */
int hostsock_open(struct hostsock *s, uv_loop_t *loop, const char *path,
		  const struct hostsock_events *ev, void *arg, struct err *e);
/* End the connection, with all its streams, during this call.  @cb: when the
 * memory of @s may go; it gets the handle s->pipe. */
void hostsock_close(struct hostsock *s, uv_close_cb cb);
/* Is it one of ours, or of the connection? */
bool hostsock_owns(const struct hostsock *s, const uv_handle_t *h);

#endif
