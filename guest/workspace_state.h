/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace_state.h - What the guest knows of /workspace between two boots
 *
 * A small file beside the files themselves, replaced whole:
 *
 *	{"n":1,"mode":"overlay","lower":"<40 hex>",
 *	 "since":1795274498,"carry":false}
 */
#ifndef GUEST_WORKSPACE_STATE_H
#define GUEST_WORKSPACE_STATE_H

#include "core/err.h"
#include "vfs/oid.h"

/* How /workspace is made of upper/, the folder of what was written. */
enum workspace_mode {
	WORKSPACE_PLAIN,    /* It is upper/. */
	WORKSPACE_OVERLAY,  /* Upper/ over the tree of a commit. */
	WORKSPACE_CHECKOUT, /* As CHECKOUT, on the way to PLAIN: the commit's
			     * files are being put into upper/, */
	WORKSPACE_SWEEP,    /* and then what an overlay left there goes. */
	WORKSPACE_MODES,    /* Their number. */
};

struct workspace_state {
	int64_t n; /* Generation; 0: there was no workspace yet. */
	enum workspace_mode mode;
	bool has_lower;
	struct vfs_oid lower; /* The commit that it began as. */
	int64_t since;	      /* Unix seconds when that was. */
	bool carry;	      /* Trees of old/ are still to be taken over. */
};

extern const char *const workspace_mode_names[WORKSPACE_MODES];

/* @dir: the folder of the file.  A missing file is a state of n 0.
 * Return: 0; -EBADMSG when it is damaged. */
int workspace_state_load(int dir, struct workspace_state *out, struct err *e);
/* Durable when it returns 0; else the old one stays. */
int workspace_state_save(int dir, const struct workspace_state *s,
			 struct err *e);

#endif
