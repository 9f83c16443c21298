/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha1.h - SHA-1 of bytes that come piece by piece (RFC 3174)
 *
 * For ids of git objects, which name contents and prove nothing.
 */
#ifndef VFS_SHA1_H
#define VFS_SHA1_H

#include "vfs/oid.h"

#define SHA1_BLOCK 64

struct sha1 {
	uint32_t state[5];
	uint64_t n; /* Bytes so far. */
	unsigned char block[SHA1_BLOCK];
};

void sha1_init(struct sha1 *s);
void sha1_add(struct sha1 *s, const void *data, size_t n);
struct vfs_oid sha1_end(struct sha1 *s);

/* Begin the id of a git object: @type is "blob", "tree" or "commit". */
void sha1_init_object(struct sha1 *s, const char *type, uint64_t size);

#endif
