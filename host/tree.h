/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - Folders with all that is in them
 *
 * Symbolic links are never followed.
 */
#ifndef HOST_TREE_H
#define HOST_TREE_H

#include "core/err.h"

/* Remove it; that it is not there is no failure.  Return: 0 or -errno. */
int tree_remove(const char *path);
/* Let everybody read it, and execute what its owner can.  Return: 0 or
 * -errno. */
int tree_publish(const char *path);

#endif
