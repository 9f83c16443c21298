/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - What a guest asks of the history of its files
 *
 *	diff {"from","to"}	-> {"from","to","files","n_files","truncated"}
 *	restore {"to","paths"}	-> {"vm","n","head","from","was"}
 *
 * Revisions are turns of the VM, commits of it, or "HEAD" (also when "to" of a
 * diff is missing); files are as in vfs/diff.h.  A guest restores paths, never
 * everything.
 */
#ifndef HOST_DAEMON_HISTORY_H
#define HOST_DAEMON_HISTORY_H

#include "host/daemon/daemon.h"
#include "host/daemon/objects.h"

/* Answer a guest of @vm. */
void history_ask(struct vm *vm, struct hibd *d, struct objects_ask *q);

#endif
