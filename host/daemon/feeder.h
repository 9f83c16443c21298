/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feeder.h - Give a guest the events that it lacks
 *
 * Page by page, as the channel takes them: memory is bounded whatever the
 * length of the logs.
 */
#ifndef HOST_DAEMON_FEEDER_H
#define HOST_DAEMON_FEEDER_H

#include "core/h2.h"
#include "core/reader.h"

#define FEEDER_QUEUE_MAX  (1u << 20) /* Written to the channel, not gone. */
#define FEEDER_PAGE_BYTES (256u << 10)

struct feeder; /* Opaque. */

typedef void (*feeder_done_cb)(const struct err *e, void *arg);

struct feeder *feeder_new(struct reader *r); /* NULL: out of memory. */
void feeder_free(struct feeder *f);	     /* One that was not sent. */

/* Events of @session after @since.  Return: 0 or -ENOMEM. */
int feeder_add(struct feeder *f, const char *session, int64_t since);
bool feeder_is_empty(const struct feeder *f);

/* Send all.  The feeder frees itself once @cb was called with the guest's
 * answer, or with -FAULT_GUEST_UNREACHABLE when the channel broke.
 * Return: 0; -ENOMEM, and nothing else happens. */
int feeder_send(struct feeder *f, struct h2 *h2, feeder_done_cb cb, void *arg);

#endif
