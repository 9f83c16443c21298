/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlmem.h - How much memory SQLite may take on one thread
 *
 * A statement is expanded before it runs, and nothing interrupts that: a line of
 * SQL can ask for gigabytes.  Threads that run strangers' SQL are given a bound;
 * beyond it SQLite has no memory, there and nowhere else.
 */
#ifndef GUEST_SQLMEM_H
#define GUEST_SQLMEM_H

#include <stddef.h>

/* Before anything else uses SQLite.  Return: 0; -EBUSY: something does; no bound
 * has an effect then. */
int sqlmem_init(void);
/* Of this thread, until sqlmem_end(): what is taken is given back on it. */
void sqlmem_begin(size_t max);
void sqlmem_end(void);

#endif
