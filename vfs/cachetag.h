/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cachetag.h - Folders that say of themselves that all in them can be made again
 *
 * A regular file CACHEDIR.TAG in it begins with a certain line: see
 * bford.info/cachedir.
 */
#ifndef VFS_CACHETAG_H
#define VFS_CACHETAG_H

#include "core/base.h"

/* Is @name in the folder @dir such a folder?  No link is followed. */
bool vfs_cachetag_is(int dir, const char *name);

#endif
