/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exchange.h - Ask a guest: one whole body, one whole answer
 */
#ifndef HOST_DAEMON_EXCHANGE_H
#define HOST_DAEMON_EXCHANGE_H

#include "core/err.h"
#include "core/h2.h"

#define EXCHANGE_REPLY_MAX (8u << 20) /* One answer of a guest. */

/* The end: @e->code is 0 and @body the result (NUL-terminated JSON text, valid
 * during the call), or the guest's or the channel's error. */
typedef void (*exchange_cb)(const char *body, size_t len, const struct err *e,
			    void *arg);
struct exchange_end {
	exchange_cb cb;
	void *arg;
};

/**
 * exchange_post() - POST @body to @path
 * @cb: Called once, never before this returned; with guest_unreachable when the
 *	connection ends first
 *
 * Return: 0 or -ENOMEM, and then @cb is not called.
 */
int exchange_post(struct h2 *c, const char *path, const char *body, size_t len,
		  exchange_cb cb, void *arg);

#endif
