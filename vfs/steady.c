// SPDX-License-Identifier: Apache-2.0
/*
 * steady.c - Read a file that somebody may be writing
 *
 * A file has not changed if its size and times have not.  Two things get in
 * the way of that:
 *
 * Times are those of the kernel's coarse clock.  A change within the same tick
 * as the one before leaves the same time, so before a file is read that has
 * just been written we wait for the clock to pass its time.  A file system may
 * be coarser still and keep whole seconds; such a file is called racy instead,
 * as long as its second lasts.
 *
 * A write through a shared mapping changes the times only when it faults, that
 * is with the first write to a page since the page was last written back.
 * sync_file_range() writes dirty pages back, after which the next write to any
 * of them faults and shows.  So: stat, sync, read, stat; and the times that are
 * remembered are those of before the sync.  (tmpfs has nothing to write back
 * and never shows such writes; a workspace should not be on one.)
 */
#include "vfs/steady.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000LL
#define TICK_NS	  1000000 /* One look at the clock per millisecond... */
#define TICKS_MAX 20	  /* ...so often; a tick is 10 ms at most. */

static int64_t to_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t coarse_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return to_ns(t);
}

static bool same_version(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	       to_ns(a->st_mtim) == to_ns(b->st_mtim) &&
	       to_ns(a->st_ctim) == to_ns(b->st_ctim);
}

/* Return: whether a change from now on has another time than the last. */
static bool wait_for_clock(const struct stat *st)
{
	static const struct timespec tick = {.tv_nsec = TICK_NS};
	int64_t last = to_ns(st->st_ctim);

	for (int i = 0; i < TICKS_MAX && coarse_now() <= last; i++)
		(void)nanosleep(&tick, NULL);
	if (last % NS_PER_S == 0)
		last += NS_PER_S;
	return coarse_now() > last;
}

/* At most @max bytes: short at the end of the file. */
static ssize_t read_full(int fd, char *to, size_t max)
{
	size_t len = 0;

	while (len < max) {
		ssize_t n = read(fd, to + len, max - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* The size that was announced, whatever the file has now. */
static int tell_large(int fd, const struct vfs_steady_sink *sink,
		      const struct stat *st)
{
	int64_t left = st->st_size;
	int r = sink->begin(st, sink->arg);

	while (r >= 0 && left > 0) {
		size_t want = left < VFS_STEADY_CHUNK ? (size_t)left
						      : VFS_STEADY_CHUNK;
		ssize_t n = read_full(fd, sink->buffer, want);

		if (n < 0)
			return (int)n;
		memset(sink->buffer + n, 0, want - (size_t)n);
		r = sink->data(sink->buffer, want, sink->arg);
		left -= (int64_t)want;
	}
	return r < 0 ? r : sink->end(sink->arg);
}

static int tell_small(const struct vfs_steady_sink *sink, const struct stat *st)
{
	int r = sink->begin(st, sink->arg);

	if (r >= 0 && st->st_size > 0)
		r = sink->data(sink->buffer, (size_t)st->st_size, sink->arg);
	return r < 0 ? r : sink->end(sink->arg);
}

/* As much of it as there is. */
static int read_small(int fd, const struct vfs_steady_sink *sink,
		      struct stat *st)
{
	ssize_t n = read_full(fd, sink->buffer, (size_t)st->st_size);

	if (n < 0)
		return (int)n;
	st->st_size = n;
	return 0;
}

/* One reading.  A small file is told only when it is known to be whole, or when
 * this is the last one. */
static int read_once(int fd, const struct vfs_steady_sink *sink,
		     const struct stat *st, bool last, bool *steady)
{
	bool small = st->st_size <= VFS_STEADY_CHUNK;
	struct stat got = *st, after;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = small ? read_small(fd, sink, &got) : tell_large(fd, sink, st);
	if (r < 0)
		return r;
	if (fstat(fd, &after) < 0)
		return -errno;
	*steady = same_version(st, &after) && got.st_size == st->st_size;
	return small && (*steady || last) ? tell_small(sink, &got) : 0;
}

int vfs_steady_read(int fd, const struct vfs_steady_sink *sink,
		    struct stat *out, bool *out_racy)
{
	bool steady = false, clear = false;
	struct stat st, before;

	for (int i = 1; !steady && i <= VFS_STEADY_TRIES; i++) {
		int r;

		if (fstat(fd, &before) < 0)
			return -errno;
		clear = wait_for_clock(&before);
		if (fstat(fd, &st) < 0)
			return -errno;
		clear = clear && same_version(&before, &st);
		(void)sync_file_range(fd, 0, 0,
				      SYNC_FILE_RANGE_WAIT_BEFORE |
					      SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER);
		r = read_once(fd, sink, &st, i == VFS_STEADY_TRIES, &steady);
		if (r < 0)
			return r;
	}
	*out = st;
	*out_racy = !steady || !clear;
	return 0;
}
