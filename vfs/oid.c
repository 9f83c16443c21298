// SPDX-License-Identifier: Apache-2.0
/*
 * oid.c - The id of a git object: SHA-1 of its content
 */
#include "vfs/oid.h"

#include <string.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int vfs_oid_parse(const char *hex, struct vfs_oid *out)
{
	struct vfs_oid oid;

	if (hex == NULL || strlen(hex) != VFS_OID_HEX - 1)
		return -EINVAL;
	for (size_t i = 0; i < VFS_OID_BYTES; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		oid.b[i] = (uint8_t)(high << 4 | low);
	}
	*out = oid;
	return 0;
}

char *vfs_oid_format(const struct vfs_oid *oid, char out[VFS_OID_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < VFS_OID_BYTES; i++) {
		out[2 * i] = digits[oid->b[i] >> 4];
		out[2 * i + 1] = digits[oid->b[i] & 15];
	}
	out[VFS_OID_HEX - 1] = '\0';
	return out;
}

bool vfs_oid_eq(const struct vfs_oid *a, const struct vfs_oid *b)
{
	return memcmp(a->b, b->b, VFS_OID_BYTES) == 0;
}
