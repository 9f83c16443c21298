/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - The guest's end of the channel: HTTP/2 on a unix socket
 *
 * One connection counts; a new one replaces it.  Nothing depends on it.
 */
#ifndef GUEST_SERVER_H
#define GUEST_SERVER_H

#include "guest/guest.h"

struct server; /* Opaque. */

/* Listen on @path, mode 0600. */
int server_open(struct guest *g, const char *path, struct server **out,
		struct err *e);
/* End the connection and all its calls; stop listening.  The memory goes when
 * the loop has closed the handles.  NULL is allowed. */
void server_close(struct server *s);
/* Is it by this handle that the host is heard? */
bool server_owns(const struct server *s, const uv_handle_t *h);

#endif
