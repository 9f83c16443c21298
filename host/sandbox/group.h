/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.h - A control group for the VM, where the host lets us have one
 */
#ifndef HOST_SANDBOX_GROUP_H
#define HOST_SANDBOX_GROUP_H

#include "host/sandbox/box.h"

#define GROUP_AT "/sys/fs/cgroup" /* In the VM. */

/* Move into a group that belongs to the guest, and tell so by b->has_group; a
 * cgroup namespace that is made now has it as its root.  Best effort: without
 * controllers of version 2 that we may pass on, nothing changes.  Before the
 * host's root is left. */
void group_enter(struct box *b);

/* In the guest's first process: mount it. */
int group_mount(const struct box *b, struct err *e);

#endif
