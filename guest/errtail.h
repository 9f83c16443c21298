/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errtail.h - What a program says on stderr: its last words, and how much of the
 *	       rest is recorded
 *
 * So many lines of each window of time pass; what is beyond is counted.
 */
#ifndef GUEST_ERRTAIL_H
#define GUEST_ERRTAIL_H

#include "core/json.h"
#include "guest/limits.h"

struct errtail {
	unsigned burst;	    /* Lines of one window. */
	uint64_t window_ms; /* How long it is. */
	unsigned n_dropped; /* Since errtail_dropped() was asked. */
	/* Private. */
	uint64_t since_ms;
	unsigned n_window;
	size_t len;
	char tail[ERRTAIL_MAX];
};

/* Keep a line as the last one. */
void errtail_keep(struct errtail *t, const char *line, size_t len);
/* Does it pass, at that time?  Else it is counted. */
bool errtail_passes(struct errtail *t, uint64_t now_ms);
/* How many did not pass since the last time that this was asked. */
unsigned errtail_dropped(struct errtail *t);
/* Write the last words as a JSON string, as much as has room in an error. */
void errtail_write(const struct errtail *t, struct jw *w);
/* Forget everything but the rate. */
void errtail_reset(struct errtail *t);

#endif
