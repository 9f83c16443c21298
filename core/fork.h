/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.h - Copy the beginning of a log into a log of its own
 *
 * The part of store_fork() that runs on the writer thread.
 */
#ifndef CORE_FORK_H
#define CORE_FORK_H

#include "core/append.h"

/* In the open transaction: the first @to events of @source under @session, which
 * is new.  Memory is bounded by a page of events.  Return: 0 or an error of
 * store_fork(). */
int fork_copy(struct append *a, const char *source, int64_t to,
	      const char *session, struct err *e);

/* The same with the events of @source before the first of @tail, then @tail.
 * Return: 0 with @tail's acked set, or an error of store_fork(). */
int fork_log(struct append *a, const char *source, struct store_batch *tail,
	     struct err *e);

#endif
