/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_impl.h - Private to the host stream
 *
 *	objects.c     the connection, what is asked, reading
 */
#ifndef HOST_DAEMON_OBJECTS_IMPL_H
#define HOST_DAEMON_OBJECTS_IMPL_H

#include "core/h2.h"
#include "core/id.h"
#include "host/daemon/objects.h"

struct fetch;

struct objects {
	struct objects_spec spec;
	char vm[ID_MAX];
	const struct objects_events *ev;
	void *arg;
	struct dialer *dialer;
	struct h2 *h2;
	uint64_t connected_at; /* uv_now(). */
	bool closed;
	TAILQ_HEAD(fetch_list, fetch) waiting;
	struct fetch *running;
	size_t queued; /* Bytes answered and not yet taken. */
};

/* Answer with an error, as on the api stream. */
void objects_refuse(struct h2_stream *s, const struct err *e);

#endif
