/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - A hash table whose links are embedded in its elements
 *
 * It owns nothing but its array of buckets, which grows with the number of
 * elements.  The hash has to be good in its low bits.
 */
#ifndef VFS_TABLE_H
#define VFS_TABLE_H

#include "core/base.h"

struct table_link {
	struct table_link *next;
	uint64_t hash;
};

struct table {
	/* Private. */
	struct table_link **buckets;
	size_t n, cap; /* cap is a power of two, or 0. */
};

/* Whether @link is in the element that @key names; the hashes are equal. */
typedef bool (*table_match)(struct table_link *link, const void *key);

void table_init(struct table *t); /* Or = {0}. */
void table_done(struct table *t); /* The elements stay as they are. */

/* Return: the link, or NULL. */
struct table_link *table_find(const struct table *t, uint64_t hash,
			      table_match match, const void *key);
/* Return: 0 or -ENOMEM. */
int table_add(struct table *t, struct table_link *link, uint64_t hash);
void table_remove(struct table *t, struct table_link *link);

/* Walk all in no order: begin with a zeroed walk; NULL is the end.  The one just
 * returned may be removed, nothing else may change. */
struct table_walk {
	size_t bucket;
	struct table_link *next;
};
struct table_link *table_next(const struct table *t, struct table_walk *w);

#endif
