/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.h - A connected stream socket on the loop
 *
 * What the HTTP server and client share: reading with a limit, a write queue
 * that leaves in one system call per loop turn, and news of the peer's
 * disappearance even while nothing is read.  Writing to a closed peer raises no
 * signal.
 */
#ifndef CORE_SOCK_H
#define CORE_SOCK_H

#include <uv.h>

#include "core/base.h"

#define SOCK_READ_MAX  (64u << 10)  /* Bytes taken by one read. */
#define SOCK_QUEUE_MAX (256u << 20) /* Bytes waiting for a slow peer. */

struct sock;

/* All come from the loop, never from a call into the socket. */
struct sock_ops {
	/* Bytes came, scratch space of the call; n == 0: the peer has finished
	 * sending, and reading is off from now on. */
	void (*data)(struct sock *s, char *data, size_t n);
	/* The queue has become empty, or sock_kick() was called with it empty.
	 */
	void (*drained)(struct sock *s);
	/* The socket is of no more use: @r is a negative errno.  Once; the
	 * owner calls sock_close(), in this call or later. */
	void (*broken)(struct sock *s, int r);
	/* May be NULL: then a failed write breaks the socket.  Else: the peer
	 * takes no more, the queue was dropped and later writes are; reading
	 * goes on, as it may have said why. */
	void (*unwritable)(struct sock *s, int r);
	/* After sock_close(): the handles are gone, free the owner. */
	void (*closed)(struct sock *s);
};

struct sock {
	const struct sock_ops *ops;
	size_t read_max; /* Bytes to read at once, at most SOCK_READ_MAX. */

	/* Private. */
	uv_poll_t poll;
	uv_idle_t flush;
	int fd, error;
	unsigned open; /* Handles not yet closed. */
	int events;    /* What poll watches. */
	bool reading, watching, connecting, blocked, deaf, closing;
	char *out;
	size_t out_off, out_len, out_cap; /* Bytes off..len wait. */
};

/**
 * sock_open() - Take a socket to the loop; nothing is read yet
 * @fd:  Non-blocking and connected, or connecting; owned by @s from here on,
 *       unless this fails
 * @ops: Must outlive @s
 *
 * Return: 0, or a negative errno.
 */
int sock_open(struct sock *s, uv_loop_t *loop, int fd,
	      const struct sock_ops *ops);
/* It is connecting still: hold back reading and writing until it has. */
void sock_connecting(struct sock *s);
/* Queued bytes are dropped.  @ops->closed follows; nothing else does. */
void sock_close(struct sock *s);

void sock_read(struct sock *s, bool on);
/* Break when the peer hangs up, though reading is off. */
void sock_watch(struct sock *s, bool on);

/* Queue a copy.  Without memory, or past SOCK_QUEUE_MAX, the socket breaks. */
void sock_write(struct sock *s, const void *data, size_t n);
/* Bytes not yet taken by the kernel. */
size_t sock_queued(const struct sock *s);
/* Have @ops->drained called in this turn of the loop, when nothing waits. */
void sock_kick(struct sock *s);
/* Break the socket from this turn of the loop. */
void sock_break(struct sock *s, int r);
/* Say that no more is written; nothing may be queued. */
void sock_shutdown(struct sock *s);

#endif
