/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots_impl.h - Private to the snapshot files: what hibd has in memory
 */
#ifndef HOST_DAEMON_SNAPSHOTS_IMPL_H
#define HOST_DAEMON_SNAPSHOTS_IMPL_H

#include "host/daemon/snapshots.h"

struct snapshots {
	struct hibd *d;
	LIST_HEAD(holding_list, holding) held;
	LIST_HEAD(setback_list, setback) setbacks; /* VMs that are set back. */
	STAILQ_HEAD(check_list, check) checks;	   /* One at a time. */
	bool checking;
};

/* Go on with restores that were begun, and clear up after the others. */
void snapshot_restores_load(struct hibd *d);
/* hibd stops: those that wait are told. */
void snapshot_checks_end(struct snapshots *s);

#endif
