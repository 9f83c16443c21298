// SPDX-License-Identifier: Apache-2.0
/*
 * ballast.c - A file that only holds disk space, to be given up when there is
 * none left
 *
 * It is taken again only when the disk has several times its size, so that a
 * disk at its limit does not see it come and go with each commit.  Where it
 * cannot be made at all (a quota, a strange file system) it is not tried again.
 */
#include "core/ballast.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define ROOM_FACTOR 4 /* Free space, in ballasts, that allows taking one. */

int ballast_init(struct ballast *b, const char *db_path, size_t size)
{
	*b = (struct ballast){.size = size, .db_path = strdup(db_path)};
	if (asprintf(&b->path, "%s.ballast", db_path) < 0)
		b->path = NULL;
	if (b->db_path != NULL && b->path != NULL)
		return 0;
	ballast_done(b);
	return -ENOMEM;
}

void ballast_done(struct ballast *b)
{
	free(b->db_path);
	free(b->path);
	*b = (struct ballast){0};
}

static bool is_there(const struct ballast *b)
{
	struct stat st;

	return stat(b->path, &st) == 0 && (size_t)st.st_size == b->size &&
	       (size_t)st.st_blocks * 512 >= b->size;
}

static bool disk_has_room(const struct ballast *b)
{
	struct statvfs v;

	return statvfs(b->db_path, &v) == 0 &&
	       (uint64_t)v.f_bavail * v.f_frsize >
		       ROOM_FACTOR * (uint64_t)b->size;
}

static int make(const struct ballast *b)
{
	autoclose int fd = open(b->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)b->size);
	if (r < 0)
		(void)unlink(b->path);
	return r;
}

void ballast_hold(struct ballast *b)
{
	if (b->state != BALLAST_AWAY)
		return;
	if (is_there(b))
		b->state = BALLAST_HELD;
	else if (disk_has_room(b))
		b->state = make(b) == 0 ? BALLAST_HELD : BALLAST_NEVER;
}

bool ballast_is_held(const struct ballast *b)
{
	return b->state == BALLAST_HELD;
}

void ballast_drop(struct ballast *b)
{
	if (b->state == BALLAST_HELD)
		b->state = BALLAST_AWAY;
	(void)unlink(b->path);
}
