/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse.h - Large files that are mostly holes
 *
 * Disks and memories of machines.  All of this blocks: it is for the thread pool,
 * and for programs without a loop.
 */
#ifndef HOST_SPARSE_H
#define HOST_SPARSE_H

#include <sys/types.h>

#include "core/err.h"

#define SPARSE_PAGE 4096 /* What is zero is looked at in such pieces. */

/* Make @to, an empty file, what @from is: by sharing its blocks where the file
 * system can, else by copying what is neither a hole nor zero.
 * Return: 0 or a negative errno. */
int sparse_copy(int from, int to);

/* The same by names below directories; @to_name must not be there, and is not
 * there after a failure.  Its mode is 0600 and its owner the caller. */
int sparse_copy_file(int from_dir, const char *from_name, int to_dir,
		     const char *to_name, struct err *e);

/* Another name for a file that nobody writes, or where it is on another file
 * system a copy that the same users may read. */
int sparse_link_file(int from_dir, const char *from_name, int to_dir,
		     const char *to_name, struct err *e);

#endif
