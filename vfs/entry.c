// SPDX-License-Identifier: Apache-2.0
/*
 * entry.c - One entry of a committed directory
 */
#include "vfs/entry.h"

#include <string.h>

bool vfs_entry_is_name(const char *name, size_t n)
{
	if (n == 0 || n > VFS_NAME_MAX)
		return false;
	if (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')))
		return false;
	return memchr(name, '/', n) == NULL && memchr(name, '\0', n) == NULL;
}

int vfs_entry_order(const struct vfs_entry *a, const struct vfs_entry *b)
{
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int r = memcmp(a->name, b->name, n);

	if (r != 0 || a->name_len == b->name_len)
		return r;
	return a->name_len < b->name_len ? -1 : 1;
}

static bool mode_and_size_agree(uint32_t mode, uint64_t size)
{
	const uint32_t permissions = 07777;

	switch (mode & ~permissions) {
	case S_IFREG:
		return size <= VFS_SIZE_MAX;
	case S_IFDIR:
		return size == 0;
	case S_IFLNK:
		return (mode & permissions) == 0 && size > 0 &&
		       size <= VFS_LINK_MAX;
	default:
		return false;
	}
}

int vfs_entry_check(const struct vfs_entry *entry, struct err *e)
{
	if (!vfs_entry_is_name(entry->name, entry->name_len))
		return err_set(e, -EINVAL, "a name of %zu bytes is not one",
			       entry->name_len);
	if (!mode_and_size_agree(entry->mode, entry->size))
		return err_set(e, -EINVAL, "mode %o of %llu bytes is no entry",
			       entry->mode, (unsigned long long)entry->size);
	return 0;
}
