/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodes.h - The files that the kernel knows, by inode number
 *
 * A number follows from where the file stands, from its commit down, so it is
 * the same at every mount.  A node lives from the first time it is told to the
 * kernel until the kernel has forgotten it as often.
 */
#ifndef VFS_NODES_H
#define VFS_NODES_H

#include "vfs/entry.h"
#include "vfs/table.h"

#define NODES_ROOT 1 /* The folder of commits. */

/* Numbers leave these high bits free, in which an overlay tells the file systems
 * below it apart (Documentation/filesystems/overlayfs.rst, xino). */
#define NODES_INO_BITS 56

struct node {
	uint64_t ino, parent;
	uint64_t size;
	uint64_t n_lookups; /* That the kernel will forget. */
	struct vfs_oid oid; /* Of the tree or blob; of the commit at its top. */
	uint32_t mode;
	uint32_t at; /* In the listing of its folder. */

	/* Private. */
	struct table_link link;
	uint64_t check; /* More bits of the hash that ino is of. */
};

struct nodes {
	struct table table;
	size_t n_commits; /* Children of the root. */
	uint64_t changes; /* Counts what the root's listing went through. */
};

void nodes_init(struct nodes *n);
void nodes_done(struct nodes *n);

/* Return: the node, or NULL. */
struct node *nodes_find(const struct nodes *n, uint64_t ino);

/* The number that the entry @name of folder @parent has, if no other file that
 * the kernel knows has it by chance. */
uint64_t nodes_number(uint64_t parent, const char *name, size_t len);

/* The node of entry @at of folder @parent, which the kernel is about to be told:
 * one lookup more.  Return: NULL when memory is out. */
struct node *nodes_get(struct nodes *n, uint64_t parent, size_t at,
		       const struct vfs_entry *entry);
void nodes_forget(struct nodes *n, uint64_t ino, uint64_t n_lookups);

/* Children of the root; @out has room for n_commits.  Return: how many. */
size_t nodes_commits(const struct nodes *n, const struct node **out);

#endif
