/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.h - Every event of every guest into the host's store
 *
 * Lines come in from links, are checked as hostile input, stored in order, and
 * only then acknowledged to the guest and shown to subscribers.  What is on its
 * way to the store is bounded by the flow control of the link: bytes are
 * consumed when they are stored.
 */
#ifndef HOST_DAEMON_MIRROR_H
#define HOST_DAEMON_MIRROR_H

#include "core/reader.h"
#include "core/store.h"

#define MIRROR_BATCH_EVENTS 512

struct link;
struct mirror; /* Opaque. */

struct mirror *mirror_new(struct store *s, struct reader *r);
void mirror_free(struct mirror *m);

/* One guest's stream into the mirror; opaque. */
struct mirror_feed;

struct mirror_feed *mirror_feed_new(struct mirror *m, struct link *l,
				    const char *vm);
/* The link goes away; batches on their way are stored all the same. */
void mirror_feed_close(struct mirror_feed *f);
/* Take bytes of the stream.  Return: 0, or why the guest must be dropped. */
int mirror_feed_data(struct mirror_feed *f, char *data, size_t n,
		     struct err *e);

#endif
