/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmapped.h - A mount whose files belong to others than on their disk
 */
#ifndef HOST_SANDBOX_IDMAPPED_H
#define HOST_SANDBOX_IDMAPPED_H

#include "host/sandbox/box.h"

/* On the disk, in the mount, and how many; 0: none. */
struct idmapped_ids {
	uint32_t from, to, n;
};

/* Of a detached mount, the whole of it.  Who is not named is nobody there.
 * Return: 0, or -1 with errno: its file system may not know of that. */
int idmapped_set(const struct box *b, int tree,
		 const struct idmapped_ids uids[2],
		 const struct idmapped_ids gids[2]);

#endif
