/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latefeed.h - Give a guest that serves already a session that it does not know
 *
 * A session that the host forked reaches a running guest with the first call
 * that is about it.
 */
#ifndef HOST_DAEMON_LATEFEED_H
#define HOST_DAEMON_LATEFEED_H

#include <sys/queue.h>

#include "host/daemon/feeder.h"

/* Those on their way; each leaves it by itself, with its connection at the
 * latest. */
LIST_HEAD(latefeed_list, latefeed);

/**
 * latefeed_join() - Have @session, whole, given to the guest of @h2
 * @cb: Once, later; who asks while that is under way is told with the others
 *
 * Return: 0; -ENOMEM, and then @cb does not come.
 */
int latefeed_join(struct latefeed_list *all, struct reader *r, struct h2 *h2,
		  const char *session, feeder_done_cb cb, void *arg);

#endif
