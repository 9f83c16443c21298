/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reaper.h - Process 1 of the VM buries the orphans it is given
 *
 * A proc learns how its program ended from its session init, over a socket, and
 * never needs waitpid().  So the reaper may wait for any child.  A program that
 * has a reaper must not use uv_spawn(), whose children would lose their status.
 */
#ifndef GUEST_REAPER_H
#define GUEST_REAPER_H

#include <uv.h>

#include "core/err.h"

struct reaper {
	uv_signal_t signal; /* Private. */
};

/**
 * reaper_start() - Wait for every child that ends from now on
 * @r:    Embedded by the caller; must live until the loop has closed it
 * @loop: Its loop; an idle reaper does not keep it running
 * @e:    Set on failure
 *
 * Return: 0 or a negative errno.
 */
int reaper_start(struct reaper *r, uv_loop_t *loop, struct err *e);

/* Stop.  @r may go once the loop has run again. */
void reaper_stop(struct reaper *r);

#endif
