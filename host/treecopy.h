/* SPDX-License-Identifier: Apache-2.0 */
/*
 * treecopy.h - Copy a folder with all that is in it, or take its hash
 *
 * Kept are names, types, contents with their holes, modes, times, owners, links
 * of both kinds, ACLs, and the extended attributes of users and of overlay file
 * systems; file capabilities if root copies.
 * Sockets and devices are left out, but for the devices 0:0 that an overlay
 * removes files with.  Where the file system can, contents are shared until one
 * side is written to.
 *
 * Both block, and may be called from any thread.
 */
#ifndef HOST_TREECOPY_H
#define HOST_TREECOPY_H

#include <stdatomic.h>

#include "core/err.h"

#define TREE_HASH_LEN 32 /* Bytes: a SHA-256. */

struct treecopy {
	int from_at, to_at;
	const char *from, *to; /* @to must not be there. */
	/* Is this path, below the top, wanted?  NULL: all are. */
	bool (*wants)(const char *path);
	/* Owners from @first on, @n of them, become those from @becomes on, in
	 * ACLs, too; 0: all stay.  Only for root. */
	uint32_t first, becomes, n;
	const atomic_bool *stop; /* Give up when it is set; or NULL. */

	uint64_t bytes; /* Out: of contents, without holes. */
};

/* Synced when it returns.  What was begun is left when it fails.
 * Return: 0; -ECANCELED; -FAULT_QUOTA_EXCEEDED when it is too deep; a negative
 * errno. */
int treecopy(struct treecopy *c, struct err *e);

/* A hash that two trees share when they differ in nothing that is kept, but for
 * times and owners.  @bytes: as above. */
int treecopy_hash(int at, const char *name, uint8_t hash[TREE_HASH_LEN],
		  uint64_t *bytes, struct err *e);
/* That of a file: of its size and all blocks that are not zero, with where they
 * stand, so a hole and zeros are the same. */
int treecopy_hash_file(int fd, uint8_t hash[TREE_HASH_LEN], uint64_t *bytes);
/* Bytes from one file to another that is empty, with its holes.  Return: 0 or
 * -errno. */
int treecopy_file(int from, int to, const atomic_bool *stop, uint64_t *bytes);

#endif
