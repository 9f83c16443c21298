/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packer.h - Pack repositories when nobody waits for them
 *
 * One at a time, whatever many VMs want: it is the work that can wait.
 */
#ifndef HOST_DAEMON_PACKER_H
#define HOST_DAEMON_PACKER_H

struct hibd;
struct packer; /* Opaque. */

struct packer *packer_new(struct hibd *d);
/* Begin no other; one that runs is waited for by the loop.  NULL is allowed. */
void packer_close(struct packer *p);

/* The repository of that VM may have grown; asking often costs nothing. */
void packer_want(struct packer *p, const char *vm);

#endif
