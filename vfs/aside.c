// SPDX-License-Identifier: Apache-2.0
/*
 * aside.c - A file that is written aside, and put into its place when it is whole
 *
 * A file without a name can be linked to one that is free; there is no link(2)
 * that replaces.
 */
#include "vfs/aside.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int vfs_aside_open(struct vfs_aside *a, int dir, const char *name, mode_t mode)
{
	*a = (struct vfs_aside){.dir = dir, .name = name};
	a->fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (a->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return a->fd < 0 ? -1 : 0;
	a->fd = openat(dir, name,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       mode);
	a->named = a->fd >= 0;
	return a->fd < 0 ? -1 : 0;
}

static int link_to(const struct vfs_aside *a, const char *name)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", a->fd);
	return linkat(AT_FDCWD, self, a->dir, name, AT_SYMLINK_FOLLOW);
}

int vfs_aside_put(struct vfs_aside *a, const char *place, bool over)
{
	int r = a->named ? renameat2(a->dir, a->name, a->dir, place,
				     over ? 0 : RENAME_NOREPLACE)
			 : link_to(a, place);

	if (r < 0 && !a->named && over && errno == EEXIST) {
		a->named = link_to(a, a->name) == 0;
		r = a->named ? renameat(a->dir, a->name, a->dir, place) : -1;
	}
	if (r == 0)
		a->named = false;
	return r;
}

void vfs_aside_close(struct vfs_aside *a)
{
	int error = errno;

	if (a->named)
		(void)unlinkat(a->dir, a->name, 0);
	a->named = false;
	close_fd(&a->fd);
	errno = error;
}
