/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse.h - The guest's way to FUSE: a descriptor, not a device
 *
 * A FUSE file system can be mounted only from the user namespace in which its
 * /dev/fuse was opened, and on many machines only the host's root may open it.
 * So the guest's first process opens it while it is in its new user namespace
 * already and is still the host's root by its real id, and hands it to
 * hib-guest.  The device itself is not shown in the sandbox for that.
 */
#ifndef HOST_SANDBOX_FUSE_H
#define HOST_SANDBOX_FUSE_H

#include "host/sandbox/box.h"

/* By the launcher, while /dev can be walked: remember where the device is. */
void fuse_take(struct box *b);

/* By the guest's first process, before ids_become_root(): b->fuse is /dev/fuse
 * then, or -1 where it cannot be opened. */
void fuse_open(struct box *b);

/* Let the descriptor live through execve(2). */
int fuse_keep(const struct box *b, struct err *e);

#endif
