/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlcopy.h - The databases of a session, for its fork
 *
 * They are files in the disk of a VM (guest/sqldb.h).  Of a VM that runs the
 * guest makes the copies, since it may be writing; one that is off is kept from
 * booting meanwhile.  What is in a VM's disk is the guest's: nothing but files of
 * the right names and sizes are taken, and no link is followed.
 */
#ifndef HOST_DAEMON_SQLCOPY_H
#define HOST_DAEMON_SQLCOPY_H

#include "host/daemon/daemon.h"

/* One copy.  Owned by the caller, in place until done. */
struct sqlcopy {
	/* In. */
	struct hibd *d;
	char session[ID_MAX],
		to[ID_MAX]; /* Its fork, which is not there yet. */
	char vm[ID_MAX], to_vm[ID_MAX];
	/* @e->code is negative after a failure.  What was copied for a fork
	 * that comes to nothing is removed by its VM. */
	void (*done)(struct sqlcopy *c, const struct err *e);

	/* Private. */
	uv_work_t work;
	bool locked, made; /* By the guest, in the disk of vm. */
	struct err err;
};

/* Return: whether there is something to be copied, and done() follows, or was
 * called. */
bool sqlcopy_begin(struct sqlcopy *c);

#endif
