// SPDX-License-Identifier: Apache-2.0
/*
 * acl.c - Who a file's extended attributes name
 *
 * As in linux/posix_acl_xattr.h and linux/capability.h, all little endian:
 *
 *	ACL		version 2; then for each entry tag, permissions (2 bytes
 *			each) and id
 *	capability	revision and flags, 4 sets; of revision 3 the root's id
 */
#include "host/acl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>

#include "core/base.h"

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(n >> (8 * i));
}

static int map_acl(uint8_t *p, size_t len, acl_map_cb map, const void *arg)
{
	const size_t head = sizeof(struct posix_acl_xattr_header);
	const size_t entry = sizeof(struct posix_acl_xattr_entry);

	if (len < head || (len - head) % entry != 0 ||
	    get32(p) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	for (uint8_t *q = p + head; q < p + len; q += entry) {
		unsigned tag = q[0] | (unsigned)q[1] << 8;

		if (tag == ACL_USER || tag == ACL_GROUP)
			put32(q + 4, map(get32(q + 4), arg));
	}
	return 0;
}

static int map_capability(uint8_t *p, size_t len, acl_map_cb map,
			  const void *arg)
{
	if (len < 4)
		return -EINVAL;
	if ((get32(p) & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3)
		return 0;
	if (len != XATTR_CAPS_SZ_3)
		return -EINVAL;
	put32(p + len - 4, map(get32(p + len - 4), arg));
	return 0;
}

int acl_map(const char *name, void *value, size_t len, acl_map_cb map,
	    const void *arg)
{
	if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0)
		return map_acl(value, len, map, arg);
	if (strcmp(name, ACL_CAPABILITY) == 0)
		return map_capability(value, len, map, arg);
	return 0;
}
