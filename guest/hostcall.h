/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostcall.h - Ask the host for something, from the main loop
 *
 * One JSON object there and one back, over the host stream.
 */
#ifndef GUEST_HOSTCALL_H
#define GUEST_HOSTCALL_H

#include "core/json.h"

struct guest;

/* The end, on the main loop: @e->code is 0 and @answer the host's, NUL-terminated
 * and valid during the call; or why there is none. */
typedef void (*hostcall_cb)(const struct err *e, const char *answer, size_t len,
			    void *arg);

/**
 * hostcall_post() - Make a POST
 * @path: "/diff"
 * @body: JSON; copied
 *
 * Return: 0, and @cb comes once, at the latest when the guest ends; -ENOMEM.
 */
int hostcall_post(struct guest *g, const char *path, const struct jw *body,
		  hostcall_cb cb, void *arg);

#endif
