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
#include <sys/types.h>

#include "core/err.h"

struct snapshot_disk {
	const char *from, *to; /* Folders.  What is copied is not in @to yet. */
	/* The VM whose disk it was, and the one whose it becomes; NULL: the
	 * owners stay. */
	const char *from_vm, *to_vm;
	/* First process of the VM that has disk.img mounted, and stands still;
	 * 0: nobody has. */
	pid_t machine;
	const atomic_bool *stop;
	uint64_t bytes; /* Out. */
};

/* Blocks.  Logs stay behind, which the host has, and what is made anew without
 * loss.  Synced when it returns.  Return: 0 or an error of treecopy(). */
int snapshot_disk_copy(struct snapshot_disk *c, struct err *e);

/* hibd may have been killed in the midst of that: have the VM in the folder @dir,
 * with that first process, write to its disk.img again. */
void snapshot_disk_thaw(const char *dir, pid_t pid);

#endif
