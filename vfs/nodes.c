// SPDX-License-Identifier: Apache-2.0
/*
 * nodes.c - The files that the kernel knows, by inode number
 *
 * Number and check are parts of one hash of 128 bits of the parent's number and
 * the name: two files that have both in common are one, so no name is kept.
 * Files that have only the number in common get the next free ones.
 */
#include "vfs/nodes.h"

#include <assert.h>
#include <xxhash.h>

struct identity {
	uint64_t ino, check;
};

static struct identity identify(uint64_t parent, const char *name, size_t len)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(name, len, parent);
	struct identity id = {
		.ino = h.low64 & ((1ull << NODES_INO_BITS) - 1),
		.check = h.high64,
	};

	if (id.ino <= NODES_ROOT)
		id.ino += NODES_ROOT + 1;
	return id;
}

static struct node *of_link(struct table_link *link)
{
	return container_of(link, struct node, link);
}

static bool match(struct table_link *link, const void *ino)
{
	return of_link(link)->ino == *(const uint64_t *)ino;
}

void nodes_init(struct nodes *n)
{
	*n = (struct nodes){0};
}

void nodes_done(struct nodes *n)
{
	struct table_walk walk = {0};
	struct table_link *l;

	while ((l = table_next(&n->table, &walk)) != NULL)
		free(of_link(l));
	table_done(&n->table);
}

struct node *nodes_find(const struct nodes *n, uint64_t ino)
{
	struct table_link *l = table_find(&n->table, ino, match, &ino);

	return l != NULL ? of_link(l) : NULL;
}

uint64_t nodes_number(uint64_t parent, const char *name, size_t len)
{
	return identify(parent, name, len).ino;
}

static struct node *add(struct nodes *n, uint64_t parent,
			const struct vfs_entry *entry,
			const struct identity *id)
{
	struct node *node = malloc(sizeof(*node));

	if (node == NULL)
		return NULL;
	*node = (struct node){
		.ino = id->ino,
		.check = id->check,
		.parent = parent,
		.size = entry->size,
		.oid = entry->oid,
		.mode = entry->mode,
	};
	if (table_add(&n->table, &node->link, node->ino) < 0) {
		free(node);
		return NULL;
	}
	if (parent == NODES_ROOT) {
		n->n_commits++;
		n->changes++;
	}
	return node;
}

struct node *nodes_get(struct nodes *n, uint64_t parent, size_t at,
		       const struct vfs_entry *entry)
{
	struct identity id = identify(parent, entry->name, entry->name_len);
	struct node *node;

	while ((node = nodes_find(n, id.ino)) != NULL &&
	       (node->check != id.check || node->parent != parent))
		id.ino++;
	if (node == NULL)
		node = add(n, parent, entry, &id);
	if (node == NULL)
		return NULL;
	node->at = (uint32_t)at;
	node->n_lookups++;
	return node;
}

void nodes_forget(struct nodes *n, uint64_t ino, uint64_t n_lookups)
{
	struct node *node = nodes_find(n, ino);

	if (node == NULL)
		return;
	if (node->n_lookups > n_lookups) {
		node->n_lookups -= n_lookups;
		return;
	}
	if (node->parent == NODES_ROOT) {
		n->n_commits--;
		n->changes++;
	}
	table_remove(&n->table, &node->link);
	free(node);
}

size_t nodes_commits(const struct nodes *n, const struct node **out)
{
	struct table_walk walk = {0};
	struct table_link *l;
	size_t found = 0;

	while ((l = table_next(&n->table, &walk)) != NULL)
		if (of_link(l)->parent == NODES_ROOT)
			out[found++] = of_link(l);
	assert(found == n->n_commits);
	return found;
}
