/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - Put the many small packs of a repository together
 *
 * Each commit adds a pack of its own (vfs/batch.h), which is fast to write and
 * slow to search when there are many, and has no deltas.  This makes one of
 * them, with deltas, some time when nobody waits.
 *
 * Readers and commits may go on meanwhile, in this process and in others, and
 * it may be killed at any moment.  No object is ever dropped: forks may need
 * what nothing here names.  A reader that stays open for long keeps the space
 * of what was removed; it should open the repository again some day.
 */
#ifndef VFS_PACK_H
#define VFS_PACK_H

#include "vfs/repo.h"

#define VFS_PACKS_MAX  50	   /* More of them want packing. */
#define VFS_LOOSE_MAX  5000	   /* Loose objects, estimated, too. */
#define VFS_OBJECT_BIG (16u << 20) /* Bytes; not packed again. */

struct vfs_pack_stats {
	size_t packs_before, packs_after;
	size_t loose;	/* Loose objects that were packed. */
	size_t objects; /* In the new pack; 0: nothing was to be done. */
	uint64_t bytes_before, bytes_after; /* Of all packs. */
};

/* Does vfs_pack() have much to do?  Reads two folders. */
bool vfs_pack_wanted(struct vfs_repo *r);

/**
 * vfs_pack() - Put small packs and loose objects together
 *
 * Packs that are twice as large as all smaller ones together are left alone, so
 * that the work is in proportion to what is new.  So is a pack with an object
 * of more than VFS_OBJECT_BIG, which gets a `.keep` file.
 *
 * Return: 0; -FAULT_OVERLOADED while another packs; -FAULT_DISK_FULL,
 * -FAULT_STORE_ERROR, -FAULT_STORE_CORRUPT; then nothing has changed.
 */
int vfs_pack(struct vfs_repo *r, struct vfs_pack_stats *out, struct err *e);

#endif
