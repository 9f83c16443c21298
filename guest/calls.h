/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.h - The methods that the host may call
 *
 * Decoding of params and the table of names; acting is session.h's.
 */
#ifndef GUEST_CALLS_H
#define GUEST_CALLS_H

#include "guest/guest.h"

/* Carry out method @name, "session.prompt"; the call is answered in time. */
void calls_dispatch(struct guest *g, const char *name, struct call *c);

#endif
