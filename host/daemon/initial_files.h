/* SPDX-License-Identifier: Apache-2.0 */
/*
 * initial_files.h - Files that are in /workspace before the first turn
 *
 *	[{"path","content" or "content_b64","mode"?}]
 *
 * A path is as everywhere in the API of files (vfs/path.h); folders on the way
 * are made, a file that is there is replaced, all belongs to the agents' user.
 */
#ifndef HOST_DAEMON_INITIAL_FILES_H
#define HOST_DAEMON_INITIAL_FILES_H

#include "core/json.h"
#include "host/daemon/vm.h"

#define INITIAL_FILES_MAX 1000

/* Whether they can be such a list, before anything is made.  Absent or null: no
 * files.  Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_PATH_ESCAPE. */
int initial_files_check(struct jv files, struct err *e);

/**
 * initial_files_put() - Write them, in a VM that runs
 * @files: Checked before
 * @cb:	   Once, maybe before this returns: what the first one that could not be
 *	   written failed with.  Others may have been written then
 */
void initial_files_put(struct vm *vm, struct jv files,
		       void (*cb)(const struct err *e, void *arg), void *arg);

#endif
