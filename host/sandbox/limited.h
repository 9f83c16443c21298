/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limited.h - A disk of a limited size for a VM
 *
 * /home and /hib/vfs, which hold all that agents can fill, are then folders of
 * an ext4 file system in a sparse file, VMDIR/disk.img, behind a loop device.
 * Only the host's root can do that.
 */
#ifndef HOST_SANDBOX_LIMITED_H
#define HOST_SANDBOX_LIMITED_H

#include "host/sandbox/box.h"

#define LIMITED_AT "disk/limited" /* Below VMDIR: its mount point. */

/* Mount it, for this process and the guest alone; make it if there is none.
 * Nothing happens when the VM has no limit. */
int limited_mount(const struct box *b, struct err *e);

/* Make the image of @size bytes in the VM's folder @dir, unless it is there: an
 * ext4 file system, which belongs to the guest. */
int limited_make(const struct box *b, int dir, uint64_t size, struct err *e);

#endif
