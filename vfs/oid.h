/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oid.h - The id of a git object: SHA-1 of its content
 *
 * Guest and host name directories and file contents by it; the guest needs no
 * git for that.
 */
#ifndef VFS_OID_H
#define VFS_OID_H

#include "core/base.h"

#define VFS_OID_BYTES 20
#define VFS_OID_HEX   (2 * VFS_OID_BYTES + 1) /* With its NUL. */

struct vfs_oid {
	uint8_t b[VFS_OID_BYTES];
};

/* Exactly 40 lowercase hex digits and a NUL.  Return: 0 or -EINVAL. */
int vfs_oid_parse(const char *hex, struct vfs_oid *out);
/* Return: @out. */
char *vfs_oid_format(const struct vfs_oid *oid, char out[VFS_OID_HEX]);
bool vfs_oid_eq(const struct vfs_oid *a, const struct vfs_oid *b);

#endif
