/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry.h - Ignored trees survive a reset of the workspace
 *
 * What no commit has because a rule ignores it (vfs/ignore.h), as node_modules, or
 * because it is a cache (vfs/cachetag.h), is moved from old/ to the new upper/: where the folder that it was in is
 * there in the new files, and nothing of its name.
 */
#ifndef GUEST_CARRY_H
#define GUEST_CARRY_H

#include "core/err.h"

/**
 * carry_over() - Move them
 * @dir:   The folder of old/ and upper/
 * @below: The new files: of the commit under the overlay, or upper/ itself
 *
 * Renames only.  What cannot be moved stays in old/.  It may be called again
 * after it was killed.  Return: how many were moved, or a negative code.
 */
int carry_over(int dir, int below, struct err *e);

#endif
