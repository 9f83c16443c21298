/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - A virtual machine in the sandbox, in the place of the guest
 *
 * QEMU runs as what any guest is to this host: under ids of its own, without a
 * network, behind the fence, in a root that has the machine's files and QEMU's
 * libraries.  Who breaks out of QEMU is in a sandbox.
 *
 *	/hib/boot/kernel  initrd  rootfs.erofs  agents.erofs	read-only
 *	/hib/state/disk.img	what the VM keeps, an ext4 file system
 *	/hib/memory	what its memory is: VMDIR/memory/ram
 *	/hib/run	sockets: api, host, QEMU's own (qmp)
 */
#ifndef HOST_SANDBOX_MACHINE_H
#define HOST_SANDBOX_MACHINE_H

#include "host/sandbox/box.h"

#define MACHINE_QEMU   "/usr/bin/qemu-system-x86_64"
#define MACHINE_RUN    "/hib/run"
#define MACHINE_BOOT   "/hib/boot"
#define MACHINE_DISK   "/hib/state/disk.img"
#define MACHINE_INITRD "initrd"
#define MACHINE_MEMORY "/hib/memory"

/* How the machine is put together: what the memory of one fits.  To be raised
 * with each change of its devices or their order. */
#define MACHINE_LAYOUT 3

/* In the root that is being filled: the points that it will be mounted on. */
int machine_make_points(const struct box *b, struct err *e);
/* Make what is missing of the machine's files, and take all of them. */
int machine_take(struct box *b, struct err *e);
/* In the guest's process, in place of hib-guest.  Returns only on failure. */
void machine_run(const struct box *b, struct err *e);

#endif
