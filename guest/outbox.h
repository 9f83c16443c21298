/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h - What the host has of each log, and sending it the rest
 *
 * Events are held by reference to the store alone.  While the host keeps up,
 * committed batches go straight from memory to the channel; a session that is
 * behind is read from the store page by page.  What the host has not confirmed
 * is counted, whether a host is connected or not, so that the agents can be
 * made to wait.
 */
#ifndef GUEST_OUTBOX_H
#define GUEST_OUTBOX_H

#include "core/h2.h"
#include "core/reader.h"
#include "core/store.h"

struct outbox; /* Opaque. */

/* Return: NULL when memory is out. */
struct outbox *outbox_new(struct reader *r);
void outbox_free(struct outbox *o); /* NULL is allowed. */

/* For store_subscribe(): @arg is the outbox. */
void outbox_on_stored(const struct store_batch *b, void *arg);

/* Serve a /sync request; the one before ends. */
void outbox_sync(struct outbox *o, struct h2_stream *s);

/* Bytes of events made since the boot that the host has not confirmed; exact
 * to a few of them. */
size_t outbox_unacked(const struct outbox *o);

/* What is stored of it from now on comes from the host, or no longer does. */
void outbox_feed(struct outbox *o, const char *session, bool on);

/* The session has been purged. */
void outbox_forget(struct outbox *o, const char *session);

#endif
