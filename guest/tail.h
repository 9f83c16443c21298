/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail.h - The last bytes of what a program writes
 *
 * Of output that never stops the last @limit bytes are kept, in a buffer of at
 * most twice their number, so that each byte is moved once at most.
 */
#ifndef GUEST_TAIL_H
#define GUEST_TAIL_H

#include "core/base.h"

struct tail {
	size_t limit;	/* Set by the owner, before anything is kept. */
	bool truncated; /* Something before what is kept was dropped. */

	/* Private. */
	char *buf;
	size_t len, cap;
};

/* Without memory bytes are dropped, and the tail is truncated. */
void tail_add(struct tail *t, const char *data, size_t n);
/* What is kept; when something was dropped, from its first whole character
 * on.  Valid until more is added. */
const char *tail_get(const struct tail *t, size_t *len);
/* Was anything dropped? */
bool tail_is_cut(const struct tail *t);
void tail_done(struct tail *t);

#endif
