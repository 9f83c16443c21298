// SPDX-License-Identifier: Apache-2.0
/*
 * fuse.c - The guest's way to FUSE: a descriptor, not a device
 *
 * The path is looked up once, by the launcher: it moves the root of both
 * processes while the guest's first one runs, which therefore reopens what was
 * found by its number in the host's /proc.
 */
#include "host/sandbox/fuse.h"

#include <fcntl.h>

#define FD_PATH_MAX 32

void fuse_take(struct box *b)
{
	b->fuse = open("/dev/fuse", O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

void fuse_open(struct box *b)
{
	autoclose int device = take_fd(&b->fuse);
	char path[FD_PATH_MAX];

	if (device < 0)
		return;
	snprintf(path, sizeof(path), "self/fd/%d", device);
	b->fuse = openat(b->proc, path, O_RDWR | O_CLOEXEC);
}

int fuse_keep(const struct box *b, struct err *e)
{
	if (b->fuse >= 0 && fcntl(b->fuse, F_SETFD, 0) < 0)
		return fail(e, "keep", "/dev/fuse");
	return 0;
}
