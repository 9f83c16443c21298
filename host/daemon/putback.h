/* SPDX-License-Identifier: Apache-2.0 */
/*
 * putback.h - Bring back files of a VM while it runs
 *
 * Step by step, by the operations that serve the API of files, as the agents'
 * user.  Each file and link is the old one or the new one at any time.  When it
 * ends in the middle, for whatever reason, the steps before it are done, and it
 * may be begun again.
 */
#ifndef HOST_DAEMON_PUTBACK_H
#define HOST_DAEMON_PUTBACK_H

#include "host/daemon/daemon.h"
#include "host/daemon/steps.h"

typedef void (*putback_cb)(const struct err *e, void *arg);

/* @vm: id of one that runs.  @steps: of its repository; borrowed until @cb, which
 * is called once, and may be before this has returned. */
void putback_start(struct hibd *d, const char *vm, const struct steps *steps,
		   putback_cb cb, void *arg);

#endif
