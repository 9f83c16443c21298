/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostline.h - A conversation with the host, for the main loop
 *
 * The connection to the host belongs to the loop of the workspace.  A hostline is
 * one request on it with both bodies open: what is written here goes there, and
 * what comes there is told here, in order, each in a turn of its own loop.
 *
 * All calls are of the home loop, and so are the callbacks, never from a call.
 */
#ifndef GUEST_HOSTLINE_H
#define GUEST_HOSTLINE_H

#include <uv.h>

#include "core/err.h"

#define HOSTLINE_MAX (64u << 20) /* Bytes that wait, either way. */

struct hostline; /* Opaque. */
struct workspace;

struct hostline_events {
	/* Bytes of the answer; scratch space of the call. */
	void (*data)(char *data, size_t n, void *arg);
	/* It is over, once, and the line gone when this returns.  @e as in
	 * uplink_events.done. */
	void (*ended)(const struct err *e, void *arg);
};

struct hostline_spec {
	struct workspace *ws; /* Whose uplink it is. */
	uv_loop_t *home;
	const char *path; /* Copied. */
	const struct hostline_events *ev;
	void *arg;
};

/* Begin POST @path.  NULL when memory is out. */
struct hostline *hostline_open(const struct hostline_spec *spec);
/* Bytes are copied.  Return: 0; -ENOBUFS with HOSTLINE_MAX waiting; -ENOMEM. */
int hostline_write(struct hostline *l, const char *data, size_t n);
/* Nothing more is written. */
void hostline_fin(struct hostline *l);
/* Break it off: no callback comes, @l is gone for the caller. */
void hostline_drop(struct hostline *l);

#endif
