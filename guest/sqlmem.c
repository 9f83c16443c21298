// SPDX-License-Identifier: Apache-2.0
/*
 * sqlmem.c - How much memory SQLite may take on one thread
 *
 * SQLite's own allocator, counted.  What was taken before the bound and is given
 * back within it would count twice: the count stops at nothing.
 */
#include "guest/sqlmem.h"

#include <sqlite3.h>
#include <stdbool.h>

#include "core/base.h"

static sqlite3_mem_methods real;

static _Thread_local struct {
	bool on;
	size_t used, max;
} mine;

static bool has_room(size_t n)
{
	return !mine.on || (mine.used <= mine.max && n <= mine.max - mine.used);
}

static void count(size_t before, size_t after)
{
	if (!mine.on)
		return;
	mine.used = mine.used > before ? mine.used - before : 0;
	mine.used += after;
}

static size_t size_of(void *p)
{
	return p != NULL ? (size_t)real.xSize(p) : 0;
}

static void *mem_malloc(int n)
{
	void *p = has_room((size_t)n) ? real.xMalloc(n) : NULL;

	count(0, size_of(p));
	return p;
}

static void mem_free(void *p)
{
	count(size_of(p), 0);
	real.xFree(p);
}

static void *mem_realloc(void *p, int n)
{
	size_t before = size_of(p);
	void *q = NULL;

	if ((size_t)n <= before || has_room((size_t)n - before))
		q = real.xRealloc(p, n);
	if (q != NULL)
		count(before, size_of(q));
	return q;
}

int sqlmem_init(void)
{
	sqlite3_mem_methods counted;

	if (real.xMalloc != NULL)
		return 0;
	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &counted) != SQLITE_OK)
		return -EBUSY;
	real = counted;
	counted.xMalloc = mem_malloc;
	counted.xFree = mem_free;
	counted.xRealloc = mem_realloc;
	return sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) == SQLITE_OK
		       ? 0
		       : -EBUSY;
}

void sqlmem_begin(size_t max)
{
	mine.on = true;
	mine.used = 0;
	mine.max = max;
}

void sqlmem_end(void)
{
	mine.on = false;
}
