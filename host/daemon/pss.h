/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pss.h - How much memory processes take, with all that they have started
 */
#ifndef HOST_DAEMON_PSS_H
#define HOST_DAEMON_PSS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes that @roots and their descendants take of the RAM, what they share with
 * others by its part; where that is not told, what they have there.  Reads all of
 * /proc: for a thread that may wait.  Return: the sum, or -ENOMEM. */
int64_t pss_of_trees(const pid_t *roots, size_t n);

#endif
