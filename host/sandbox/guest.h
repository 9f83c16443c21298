/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h - The guest's first process, from its making to its exec
 */
#ifndef HOST_SANDBOX_GUEST_H
#define HOST_SANDBOX_GUEST_H

#include <sys/types.h>

#include "host/sandbox/box.h"

struct guest {
	pid_t pid; /* A child of our parent; 0 before there is one. */
	int pidfd;
	int sock; /* To the guest, until it is exec'd. */
};

/**
 * guest_make() - Make the process, in all its namespaces but that of mounts
 * @b: Box whose vm_trees are taken already: the guest puts them in place
 *
 * It goes on by itself as far as it can while the launcher builds the root.
 */
int guest_make(struct box *b, struct guest *out, struct err *e);

/* The root is ready: let it enter and exec hib-guest.
 * Return: 0 once it has. */
int guest_go(const struct box *b, struct guest *g, struct err *e);

/* Kill it, if there is one, and see it dead.  Our parent has to reap it. */
void guest_end(struct guest *g);

#endif
