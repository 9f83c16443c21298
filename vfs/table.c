// SPDX-License-Identifier: Apache-2.0
/*
 * table.c - A hash table whose links are embedded in its elements
 */
#include "vfs/table.h"

#include <assert.h>

#define FIRST_CAP 64

void table_init(struct table *t)
{
	*t = (struct table){0};
}

void table_done(struct table *t)
{
	free(t->buckets);
	table_init(t);
}

static struct table_link **bucket(const struct table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->cap - 1)];
}

struct table_link *table_find(const struct table *t, uint64_t hash,
			      table_match match, const void *key)
{
	if (t->cap == 0)
		return NULL;
	for (struct table_link *l = *bucket(t, hash); l != NULL; l = l->next)
		if (l->hash == hash && match(l, key))
			return l;
	return NULL;
}

static void insert(struct table *t, struct table_link *link)
{
	struct table_link **head = bucket(t, link->hash);

	link->next = *head;
	*head = link;
}

static int grow(struct table *t)
{
	struct table bigger = {.cap = t->cap > 0 ? 2 * t->cap : FIRST_CAP};
	struct table_walk walk = {0};
	struct table_link *l;

	bigger.buckets = calloc(bigger.cap, sizeof(struct table_link *));
	if (bigger.buckets == NULL)
		return -ENOMEM;
	while ((l = table_next(t, &walk)) != NULL)
		insert(&bigger, l);
	bigger.n = t->n;
	free(t->buckets);
	*t = bigger;
	return 0;
}

int table_add(struct table *t, struct table_link *link, uint64_t hash)
{
	int r = t->n == t->cap ? grow(t) : 0;

	if (r < 0)
		return r;
	link->hash = hash;
	insert(t, link);
	t->n++;
	return 0;
}

void table_remove(struct table *t, struct table_link *link)
{
	struct table_link **at = bucket(t, link->hash);

	while (*at != link) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = link->next;
	t->n--;
}

struct table_link *table_next(const struct table *t, struct table_walk *w)
{
	struct table_link *l = w->next;

	while (l == NULL && w->bucket < t->cap)
		l = t->buckets[w->bucket++];
	w->next = l != NULL ? l->next : NULL;
	return l;
}
