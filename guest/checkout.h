/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkout.h - All files of a commit, put into upper/
 *
 * For a VM that cannot mount them instead.  What is in upper/ already stays as
 * it is, so a checkout that was killed is simply made again, and an upper/ that
 * was laid over the commit by overlay, with its whiteouts and opaque folders,
 * comes out with what was seen through it.
 */
#ifndef GUEST_CHECKOUT_H
#define GUEST_CHECKOUT_H

#include "guest/uplink.h"
#include "vfs/oid.h"

struct checkout_spec {
	struct uplink *uplink;
	int dir; /* Of upper/; work/ is used for files that are not whole. */
	struct vfs_oid commit;
	unsigned owner; /* Of all files, uid and gid. */
	/* The end, once, on the uplink's loop; all is durable when @e is NULL.
	 */
	void (*done)(const struct err *e, void *arg);
	void *arg;
};

/* Start; on the uplink's loop.  It ends with uplink_close() at the latest.
 * Return: 0, or a negative code and then done is not called. */
int checkout_start(const struct checkout_spec *spec, struct err *e);

/* Remove from upper/ what only overlay understands: whiteouts and attributes.
 * Blocks. */
int checkout_sweep(int dir, struct err *e);

#endif
