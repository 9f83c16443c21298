/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fingerprint.h - What a machine that waits in memory was made of
 *
 * Its image, the installed agents, our programs in it, and QEMU.  While they are
 * the same, another machine may go on from that memory.
 */
#ifndef HOST_FINGERPRINT_H
#define HOST_FINGERPRINT_H

#include "core/err.h"
#include "host/home.h"

#define FINGERPRINT_MAX	 33 /* Bytes, with its NUL. */
#define FINGERPRINT_QEMU "/usr/bin/qemu-system-x86_64"

/* Of the image @image, as all is now.  Return: 0; as image_dir(); -ENOMEM. */
int fingerprint_take(const struct home *h, const char *image,
		     char out[FINGERPRINT_MAX], struct err *e);

#endif
