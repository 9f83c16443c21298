/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unixsock.h - Unix stream sockets by path, of any length
 */
#ifndef CORE_UNIXSOCK_H
#define CORE_UNIXSOCK_H

#include "core/err.h"

/**
 * unixsock_listen() - Listen on a socket file that only its owner may open
 * @path: A dead socket in its place is removed; anything else is left alone.
 *        Two servers that start at the same moment on the same path must be
 *        kept apart by a lock of their own.
 *
 * Return: a non-blocking descriptor; -EADDRINUSE when somebody listens there,
 * or the file is no socket; or another negative errno.
 */
int unixsock_listen(const char *path, struct err *e);

/* Connect, without waiting.  Return: a non-blocking descriptor, or a negative
 * errno: -ENOENT, -ECONNREFUSED, -EAGAIN when the server's backlog is full. */
int unixsock_connect(const char *path);

#endif
