/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etc.h - The files of /etc that are made for each VM
 */
#ifndef HOST_SANDBOX_ETC_H
#define HOST_SANDBOX_ETC_H

#include "host/sandbox/box.h"

/* Read what the files need of the host, while it can be reached. */
int etc_take(struct box *b, struct err *e);

/* Write them: into /etc, or over the files that an image has there. */
int etc_write(const struct box *b, struct err *e);

#endif
