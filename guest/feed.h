/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.h - Taking the tail of logs that only the host has
 *
 * Written by the host while the VM was off, or lost with its disk.  The lines
 * are events as event_parse() takes them; those that the guest has already are
 * compared and dropped by the store.
 */
#ifndef GUEST_FEED_H
#define GUEST_FEED_H

#include "core/h2.h"
#include "core/reader.h"
#include "core/store.h"

/* Serve a /feed request: its answer has the last seq of every session. */
void feed_serve(struct h2_stream *s, struct store *store,
		struct reader *reader);

/* Write {"ses_..":last_seq,..} of all sessions. */
int feed_write_tails(struct reader *reader, struct jw *w, struct err *e);

#endif
