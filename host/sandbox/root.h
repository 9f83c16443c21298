/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root.h - The root file system of a sandbox, from empty to closed
 *
 * In this order: root_enter() and root_fill() by the launcher, root_finish() by
 * the guest's first process in its own namespaces.
 */
#ifndef HOST_SANDBOX_ROOT_H
#define HOST_SANDBOX_ROOT_H

#include "host/sandbox/box.h"

/* Make an empty root and move into it.  From here on no path of the host can be
 * walked; what was opened or taken before stays. */
int root_enter(const struct box *b, struct err *e);

/* Fill it: folders, links, the image, generated files.  It is read-only then. */
int root_fill(struct box *b, struct err *e);

/* Mount what is the VM's own: its folders, scratch space, terminals, /proc. */
int root_finish(struct box *b, struct err *e);

#endif
