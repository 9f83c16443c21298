/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_impl.h - Private to the host stream
 *
 *	objects.c     the connection, what is asked, reading
 *	checkpoint.c  a checkpoint on its way into the repository
 *	objects_ask.c other questions
 *	mcp_bridge.c  talk with a remote MCP server
 */
#ifndef HOST_DAEMON_OBJECTS_IMPL_H
#define HOST_DAEMON_OBJECTS_IMPL_H

#include "core/h2.h"
#include "core/id.h"
#include "host/daemon/mcp_bridge.h"
#include "host/daemon/objects.h"

#define CHECKPOINTS_MAX	     4		   /* Of one guest, open at a time. */
#define CHECKPOINT_HEAD_MAX  4096	   /* Its first line. */
#define CHECKPOINT_PIECE     (256u << 10)  /* Bytes for one job. */
#define CHECKPOINT_PIECE_MS  30000	   /* For the guest to send them. */
#define CHECKPOINT_BYTES_MAX (16ull << 30) /* All of it. */

struct batch;
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
	struct batch *running;
	size_t queued;	      /* Bytes answered and not yet taken. */
	unsigned checkpoints; /* Open ones. */
	TAILQ_HEAD(ask_list, objects_ask) asks;
	unsigned n_asks;
	struct mcp_bridges *bridges;
};

/* Answer with an error, as on the api stream. */
void objects_refuse(struct h2_stream *s, const struct err *e);

/* A request POST /checkpoint: from here on the stream is its. */
void checkpoint_begin(struct objects *o, struct h2_stream *s);

/* POST /@name.  Return: false when there are too many, or memory is out; the
 * stream is refused then. */
bool objects_ask_begin(struct objects *o, struct h2_stream *s,
		       const char *name);
/* All streams have ended, and the owner goes. */
void objects_asks_forget(struct objects *o);

#endif
