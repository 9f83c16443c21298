/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - hibd's end of the "host" stream: files out of a VM's repository,
 * checkpoints into it, and remote MCP servers (mcp_bridge.h)
 *
 * The guest listens on run/host.sock, hibd connects and is the HTTP/2 server
 * (ARCHITECTURE.md, "The host stream").  What the guest asks is checked as
 * hostile input, and all git work runs in the lanes of the VM's depot: a guest
 * can keep only its own repository busy, and only as long as it keeps sending.
 */
#ifndef HOST_DAEMON_OBJECTS_H
#define HOST_DAEMON_OBJECTS_H

#include "core/h2.h"
#include "core/json.h"
#include "core/reader.h"
#include "host/backend.h"
#include "host/daemon/depot.h"

#define OBJECTS_RANGE_MAX   (8u << 20)	 /* Bytes of a file in one answer. */
#define OBJECTS_BATCH_MAX   32		 /* Done together, as long as their.. */
#define OBJECTS_BATCH_BYTES (256u << 10) /* ..answers have no more bytes. */
#define OBJECTS_QUEUE_MAX   (16u << 20)	 /* Answered and not yet taken. */
#define OBJECTS_ASKS_MAX    16		 /* Of a guest, at a time... */
#define OBJECTS_ASK_BYTES   (256u << 10) /* ...with so much to say. */

struct objects; /* Opaque. */
struct vault;

struct objects_spec {
	uv_loop_t *loop;
	const struct backend_ops *ops;
	struct machine *machine;
	struct reader *reader; /* Says whose a session is. */
	struct vault *vault;   /* What is shown to remote MCP servers. */
	struct depot *depot;   /* Must outlive it. */
	const char *vm;	       /* Copied. */
	const char *dir;       /* VM folder; copied. */
};

/* POST /NAME of a guest, with a JSON value, until it is answered. */
struct objects_ask {
	char name[16];
	struct jv in; /* Valid until answered. */

	/* Private. */
	TAILQ_ENTRY(objects_ask) link;
	struct objects *owner;	  /* NULL once it is closed. */
	struct h2_stream *stream; /* NULL once it has ended. */
	struct jw body;
	struct json json;
	bool asked, answered;
};

struct objects_events {
	/* To be answered, now or later, once. */
	void (*asked)(struct objects_ask *q, void *arg);
	/* A checkpoint is stored, and @head is the VM's newest commit. */
	void (*committed)(const struct vfs_oid *head, void *arg);
};

/* Start connecting.  @ev must outlive it.  NULL: out of memory. */
struct objects *objects_open(const struct objects_spec *spec,
			     const struct objects_events *ev, void *arg);
/* What was asked is not answered any more; a checkpoint whose last byte was not
 * there is given up.  NULL is allowed. */
void objects_close(struct objects *o);

/* With @e, or when its code is 0 with @out. */
void objects_answer(struct objects_ask *q, const struct err *e,
		    const struct jw *out);

#endif
