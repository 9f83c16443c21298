/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweeper.h - Sessions whose time is over while their VM is off
 *
 * While its VM runs the guest ends a session in time.  Here is who does it for
 * sessions of VMs that are off, without waking them: as soon as the host holds
 * the whole log, and so is its writer.
 */
#ifndef HOST_DAEMON_SWEEPER_H
#define HOST_DAEMON_SWEEPER_H

#include "core/event.h"

#define SWEEPER_PAUSE_MS 1000 /* Between two looks that changed nothing. */

struct hibd;
struct sweeper; /* Opaque. */

struct sweeper *sweeper_new(struct hibd *d); /* NULL: out of memory. */
/* Its memory goes when its handle has closed.  NULL is allowed. */
void sweeper_close(struct sweeper *s);
/* Something has changed: when is the next one due? */
void sweeper_look(struct sweeper *s);

#endif
