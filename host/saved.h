/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saved.h - The memory of a machine that is not running
 *
 * A folder, VMDIR/memory or that of a snapshot:
 *
 *	ram		what the machine's memory held, sparse; missing when
 *			it is in `state`
 *	state		what else QEMU knew of it
 *	memory.json	what it fits: struct saved
 *	agents.erofs	the agents' disk that it had, by a hard link
 *	synced		a second link to `state`: all of it is on the disk
 *
 * `state` appears last, and is taken away before the machine goes on: a memory
 * is there once, or not at all.  One that was not synced does not outlive the
 * boot of the host that it was written in.
 */
#ifndef HOST_SAVED_H
#define HOST_SAVED_H

#include <limits.h>

#include "core/err.h"

#define SAVED_AT      "memory" /* Below VMDIR. */
#define SAVED_RAM     "ram"
#define SAVED_STATE   "state"
#define SAVED_ABOUT   "memory.json"
#define SAVED_AGENTS  "agents.erofs"
#define SAVED_SYNCED  "synced"
#define SAVED_LOADING "loading" /* A machine is being made of a snapshot. */
#define SAVED_TEXT    80

struct saved {
	char qemu[SAVED_TEXT];	 /* Version. */
	char accel[SAVED_TEXT];	 /* tcg, kvm */
	char kernel[SAVED_TEXT]; /* sha256 */
	char rootfs[SAVED_TEXT]; /* sha256 */
	char boot[SAVED_TEXT];	 /* Of the host; "" in a snapshot. */
	int64_t layout;		 /* MACHINE_LAYOUT */
	int64_t memory, cpus;
	bool ram_in_state;
};

/* Write, or read, memory.json of the folder @dir. */
int saved_write(int dir, const struct saved *s, struct err *e);
int saved_read(int dir, struct saved *out, struct err *e);

/* Can a machine that is as @now go on from it?
 * Return: 0 or -FAULT_CAPABILITY_UNSUPPORTED. */
int saved_fits(const struct saved *s, const struct saved *now, struct err *e);

/* Is VMDIR/memory that of a machine that can be resumed?  Return: 0; -ENOENT:
 * there is none; -ESTALE: it was not on the disk when the host went down. */
int saved_is_good(const char *vm_dir, struct err *e);

/* Was a machine being made of a snapshot when hibd died? */
bool saved_is_loading(const char *vm_dir);

/* The host's boot. */
void saved_boot(char out[SAVED_TEXT]);

/* May take seconds, off the loop: bring all of VMDIR/memory, and the disk of
 * the VM, to the host's disk, and say so there. */
int saved_sync(const char *vm_dir);

/* Forget the memory in VMDIR/memory; the agents' disk stays. */
void saved_forget(const char *vm_dir);

#endif
