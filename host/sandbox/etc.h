/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etc.h - The files of /etc that are made for each VM
 */
#ifndef HOST_SANDBOX_ETC_H
#define HOST_SANDBOX_ETC_H

#include "host/sandbox/box.h"

#define HOSTNAME_MAX 16 /* Bytes, with the NUL. */

/* A name to read in a prompt, from the random end of the VM's id. */
void etc_hostname(const struct box *b, char out[HOSTNAME_MAX]);

/* Read what the files need of the host, while it can be reached. */
int etc_take(struct box *b, struct err *e);

/* Write them: into /etc, or over the files that an image has there. */
int etc_write(const struct box *b, struct err *e);

#endif
