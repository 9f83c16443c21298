/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_disk.h - The disk of a VM, from one folder to another
 *
 * What a VM keeps is disk/ and, in a sandbox with a quota, disk.img beside it.
 * In a VM's folder and in that of a snapshot they have the same names.
 */
#ifndef HOST_DAEMON_SNAPSHOT_DISK_H
#define HOST_DAEMON_SNAPSHOT_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

struct snapshot_disk {
	const char *from, *to; /* Folders.  What is copied is not in @to yet. */
	/* The VM whose disk it was, and the one whose it becomes; NULL: the
	 * owners stay. */
	const char *from_vm, *to_vm;
	bool mounted; /* disk.img, by a VM, which stands still. */
	const atomic_bool *stop;
	uint64_t bytes; /* Out. */
};

/* Blocks.  Logs stay behind, which the host has, and what is made anew without
 * loss.  Synced when it returns.  Return: 0 or an error of treecopy(). */
int snapshot_disk_copy(struct snapshot_disk *c, struct err *e);

/* hibd may have been killed in the midst of that, and the VM in the folder @dir too:
 * its disk.img can be written to, or else unmounted, again. */
void snapshot_disk_thaw(const char *dir);

#endif
