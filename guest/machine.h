/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - hib-guest as the first program of a machine
 *
 * The launcher of a sandbox builds what the guest finds when it starts.  In a
 * machine nobody is there before us: the kernel runs us as /init out of the
 * initramfs, we load modules, mount the disks and build the same root, and
 * then run ourselves again as the daemon:
 *
 *	/init in the initramfs -> root of the VM -> hib-guest --machine
 */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include "core/base.h"

#define MACHINE_INIT "/init" /* argv[0] in the initramfs. */

/* Build the root and run the daemon.  Returns only by ending the machine. */
_Noreturn void machine_main(void);
/* The daemon has ended: so does the machine. */
_Noreturn void machine_end(void);

/* Folder of the devices of the streams to the host, "api" and "host". */
#define MACHINE_PORTS "/dev/hib"

#endif
