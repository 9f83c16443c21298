/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.h - Taking the tail of logs that only the host has
 *
 * Written by the host while the VM was off, or lost with its disk.  The lines
 * are events as event_parse() takes them; those that the guest has already are
 * compared and dropped by the store.
 *
 * Once the guest is started it writes its logs itself.  A late feed then brings
 * one session that it does not know at all (a fork that the host made), from
 * its first event to its last.  Until all of it is there, nobody finds it; when
 * the feed breaks off, what was stored of it is purged again.
 */
#ifndef GUEST_FEED_H
#define GUEST_FEED_H

#include "core/h2.h"
#include "core/reader.h"
#include "core/store.h"

struct feed; /* Opaque. */
struct guest;
TAILQ_HEAD(feed_list, feed);

/* Serve a /feed request: its answer has the last seq of every session. */
void feed_serve(struct guest *g, struct h2_stream *s);
/* Is a late feed bringing that session? */
bool feed_brings(const struct guest *g, const char *session);

/* Write {"ses_..":last_seq,..} of all sessions. */
int feed_write_tails(struct reader *reader, struct jw *w, struct err *e);

#endif
