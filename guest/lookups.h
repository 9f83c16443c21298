/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookups.h - What agents look up in their logs, off the loop
 */
#ifndef GUEST_LOOKUPS_H
#define GUEST_LOOKUPS_H

#include <uv.h>

#include "guest/history.h"

struct lookups; /* Opaque. */

/* @json: the answer, an object, while @e is NULL. */
typedef void (*lookup_cb)(const char *json, const struct err *e, void *arg);

/* @state: folder of guest.db; borrowed. */
int lookups_open(uv_loop_t *loop, const char *state, struct lookups **out);
/* What waits ends with an error, during this call.  NULL is allowed. */
void lookups_close(struct lookups *l);

/* Answer @q, which is copied; @cb once, never during this call.
 * Return: 0; -FAULT_OVERLOADED; -ENOMEM. */
int lookups_ask(struct lookups *l, const struct history_query *q, lookup_cb cb,
		void *arg, struct err *e);
/* Has all been answered? */
bool lookups_are_idle(const struct lookups *l);

#endif
