/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_mounts.h - Folders of the host that a VM is made with
 */
#ifndef HOST_DAEMON_VM_MOUNTS_H
#define HOST_DAEMON_VM_MOUNTS_H

#include "core/json.h"
#include "host/home.h"

#define VM_MOUNTS_MAX	  32
#define VM_MOUNT_PATH_MAX 127 /* Bytes of a path in the VM. */

/**
 * vm_mounts_read() - Check what a client asks for
 * @h:	    What is never mounted: the folder of our own state
 * @mounts: [{"target", "source","readOnly"  or  "files"}]; absent or null: none.
 *	    Files (mount_files.h) are always read-only
 * @out:    The same as it is kept and as vm_spec.mounts has it:
 *	    [{"at","source","ro"}], with symbolic links of the source resolved;
 *	    the source of files is relative, in the folder of the VM
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_PATH_ESCAPE for a target that is
 * the VM's own; -FAULT_FORBIDDEN for a source that we may not use.
 */
int vm_mounts_read(const struct home *h, struct jv mounts, struct jw *out,
		   struct err *e);

#endif
