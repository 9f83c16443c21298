/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held.h - What is said to and by an agent before there is a log for it
 *
 * Kept in order and up to a limit, and written into the log once there is one.
 */
#ifndef GUEST_HELD_H
#define GUEST_HELD_H

#include <sys/queue.h>

#include "guest/journal.h"

struct held {
	STAILQ_HEAD(held_lines, held_line) lines;
	size_t bytes;
};

void held_init(struct held *h);
void held_done(struct held *h);

/* Keep a message as journal_add_acp() would write it, or an event with @data; both
 * are copied, but for the type.  Return: 0; -ENOBUFS beyond HELD_BYTES_MAX;
 * -ENOMEM. */
int held_acp(struct held *h, const struct journal_acp *m);
int held_event(struct held *h, const char *type, const char *data, size_t len);

/* Write all of it, and keep nothing. */
void held_write(struct held *h, struct journal *j);

#endif
