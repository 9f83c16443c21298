/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - What a sandbox shows of the host, and what of it is the VM's own
 */
#ifndef HOST_SANDBOX_IMAGE_H
#define HOST_SANDBOX_IMAGE_H

#include "host/sandbox/box.h"

/* Take what is the VM's own: its folders, and the host's /proc (see root.c). */
int image_take_vm(struct box *b, struct err *e);

/* Take the rest: the image, our programs, the agents, the device nodes. */
int image_take(struct box *b, struct err *e);

#endif
