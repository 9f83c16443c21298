/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.h - Whose ids the sandbox runs with
 */
#ifndef HOST_SANDBOX_IDS_H
#define HOST_SANDBOX_IDS_H

#include "host/sandbox/box.h"

/* Open /proc and leave the host's mount namespace for one of our own, where no
 * mount is seen from outside.  An ordinary user becomes root of a user namespace
 * that holds nobody else.  Fills as_root, owner and proc of @b. */
int ids_leave_host(struct box *b, struct err *e);

/* Map the ids of the child @pid, made with CLONE_NEWUSER. */
int ids_map_child(const struct box *b, pid_t pid, struct err *e);

/* In the child, once its ids are mapped: be uid 0 of its namespace. */
int ids_become_root(const struct box *b, struct err *e);

#endif
