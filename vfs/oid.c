// SPDX-License-Identifier: Apache-2.0
/*
 * oid.c - The id of a git object: SHA-1 of its content
 */
#include "vfs/oid.h"

#include <string.h>

#include "core/hex.h"

int vfs_oid_parse(const char *hex, struct vfs_oid *out)
{
	struct vfs_oid oid = {0};

	if (hex == NULL || strlen(hex) != VFS_OID_HEX - 1 ||
	    hex_decode(hex, VFS_OID_BYTES, oid.b) < 0)
		return -EINVAL;
	*out = oid;
	return 0;
}

char *vfs_oid_format(const struct vfs_oid *oid, char out[VFS_OID_HEX])
{
	return hex_encode(oid->b, VFS_OID_BYTES, out);
}

bool vfs_oid_eq(const struct vfs_oid *a, const struct vfs_oid *b)
{
	return memcmp(a->b, b->b, VFS_OID_BYTES) == 0;
}
