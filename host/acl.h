/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acl.h - Who a file's extended attributes name
 *
 * A POSIX ACL names users and groups by number, and a file capability the user
 * whose root it is for, so both change with the owners of a VM's files.
 */
#ifndef HOST_ACL_H
#define HOST_ACL_H

#include <stddef.h>
#include <stdint.h>

#define ACL_ACCESS     "system.posix_acl_access"
#define ACL_DEFAULT    "system.posix_acl_default" /* Of a folder. */
#define ACL_CAPABILITY "security.capability"

typedef uint32_t (*acl_map_cb)(uint32_t id, const void *arg);

/* Change the ids in a value of one of these names; of another name nothing is.
 * Return: 0; -EINVAL when the value makes no sense. */
int acl_map(const char *name, void *value, size_t len, acl_map_cb map,
	    const void *arg);

#endif
