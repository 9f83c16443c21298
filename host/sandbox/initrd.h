/* SPDX-License-Identifier: Apache-2.0 */
/*
 * initrd.h - The initramfs of a machine: an image's modules, and our programs
 */
#ifndef HOST_SANDBOX_INITRD_H
#define HOST_SANDBOX_INITRD_H

#include "core/err.h"

/* Write @modules, an archive, and behind it one with /init and /opt/hib, which
 * has the programs of the folder @libexec, to @fd. */
int initrd_write(int fd, const char *modules, const char *libexec,
		 struct err *e);

#endif
