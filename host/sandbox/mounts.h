/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.h - Folders of the host that a VM was made with
 *
 * The launcher puts them aside, locked, at MOUNTS_AT/<number>, in the order of
 * the list; the guest shows each where it belongs once /workspace is there.  What
 * the guest makes of a locked mount is locked as well: nothing inside the VM
 * makes a read-only one writable.
 *
 *	[{"at":"/data","source":"/srv/data","ro":true},...]
 */
#ifndef HOST_SANDBOX_MOUNTS_H
#define HOST_SANDBOX_MOUNTS_H

#include "host/sandbox/box.h"

#define MOUNTS_AT  "/hib/mounts"
#define MOUNTS_MAX 32

/* Take them.  A source is walked without following a symbolic link; one that
 * does not begin with a slash is below the folder of the VM. */
int mounts_take(struct box *b, struct err *e);

/* In the new root, before anything of the host is placed there: make what they
 * are mounted on where the guest could not. */
int mounts_make_points(const struct box *b, struct err *e);

#endif
