// SPDX-License-Identifier: Apache-2.0
/*
 * cachetag.c - Folders that say of themselves that all in them can be made again
 */
#include "vfs/cachetag.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TAG    "CACHEDIR.TAG"
#define TAG_IS "Signature: 8a477f597d28d172789f06886806bc55"

bool vfs_cachetag_is(int dir, const char *name)
{
	char head[sizeof(TAG_IS) - 1];
	autoclose int folder = openat(
		dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int fd = -1;
	struct stat st;

	if (folder >= 0)
		fd = openat(folder, TAG,
			    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       read(fd, head, sizeof(head)) == sizeof(head) &&
	       memcmp(head, TAG_IS, sizeof(head)) == 0;
}
