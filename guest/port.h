/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port.h - A virtio port to the host, one connection at a time
 *
 * A port says nothing of who is at its other end (core/greet.h), so it is opened
 * anew for each connection, which also drops what the kernel still has.
 * Waiting costs nothing: the kernel wakes us when the host opens its end.
 */
#ifndef GUEST_PORT_H
#define GUEST_PORT_H

#include <uv.h>

#include "core/err.h"

struct port; /* Opaque. */

/* The host has come: @io is connected, owned by the callee, to be freed with
 * free() once closed. */
typedef void (*port_cb)(uv_stream_t *io, void *arg);

/* Wait for the host at the device @path.  Return: 0 or a negative errno. */
int port_open(uv_loop_t *loop, const char *path, port_cb cb, void *arg,
	      struct port **out, struct err *e);
/* The connection is over, or will be soon: wait for the next one. */
void port_again(struct port *p);
/* Is it one of ours?  The stream is not. */
bool port_owns(const struct port *p, const uv_handle_t *h);
/* NULL is allowed.  Its memory goes with the loop's next turn. */
void port_close(struct port *p);

#endif
