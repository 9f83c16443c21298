// SPDX-License-Identifier: Apache-2.0
/*
 * sparse.c - Large files that are mostly holes
 *
 * Data is found by lseek(2), SEEK_DATA and SEEK_HOLE, and read in blocks.  In a
 * block, runs of pages that are all zero, or are not, are handed to a visitor.
 */
#include "host/sparse.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define BLOCK (1 << 20) /* Bytes read at once; a multiple of a page. */

/* A run of pages; @data: NULL when they are zero.  Non-zero ends the walk. */
typedef int (*run_fn)(off_t at, const char *data, size_t n, void *arg);

static bool is_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* The end of the run of pages that begins at @i: all zero, or none. */
static size_t run_end(const char *block, size_t n, size_t i, bool zero)
{
	while (i < n) {
		size_t page = n - i < SPARSE_PAGE ? n - i : SPARSE_PAGE;

		if (is_zero(block + i, page) != zero)
			break;
		i += page;
	}
	return i;
}

/* Hand over the runs of a block of @n bytes that stands at @at. */
static int walk_block(const char *block, size_t n, off_t at, run_fn fn,
		      void *arg)
{
	bool zero = false;
	size_t i = 0;
	int r = 0;

	while (i < n && r == 0) {
		size_t end = run_end(block, n, i, zero);

		if (end > i)
			r = fn(at + (off_t)i, zero ? NULL : block + i, end - i,
			       arg);
		zero = !zero;
		i = end;
	}
	return r;
}

static int walk_data(int fd, off_t at, off_t end, char *block, run_fn fn,
		     void *arg)
{
	int r = 0;

	while (at < end && r == 0) {
		size_t want = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
		ssize_t n = pread(fd, block, want, at);

		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		r = walk_block(block, (size_t)n, at, fn, arg);
		at += n;
	}
	return r;
}

static int walk(int fd, run_fn fn, void *arg)
{
	autofree char *block = malloc(BLOCK);
	off_t at = 0, end;
	int r = 0;

	if (block == NULL)
		return -ENOMEM;
	while (r == 0) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		r = walk_data(fd, at, end, block, fn, arg);
		at = end;
	}
	return r;
}

/* --- copies ----------------------------------------------------------------- */

static int write_run(off_t at, const char *data, size_t n, void *arg)
{
	const int *to = arg;

	while (data != NULL && n > 0) {
		ssize_t wrote = pwrite(*to, data, n, at);

		if (wrote < 0)
			return -errno;
		data += wrote;
		n -= (size_t)wrote;
		at += wrote;
	}
	return 0;
}

int sparse_copy(int from, int to)
{
	struct stat st;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
		return -errno;
	return walk(from, write_run, &to);
}

int sparse_copy_file(int from_dir, const char *from_name, int to_dir,
		     const char *to_name, struct err *e)
{
	autoclose int from =
		openat(from_dir, from_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int to = -1;
	int r;

	if (from < 0)
		return err_set(e, -errno, "open %s: %s", from_name,
			       strerror(errno));
	to = openat(to_dir, to_name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_set(e, -errno, "make %s: %s", to_name,
			       strerror(errno));
	r = sparse_copy(from, to);
	if (r == 0)
		return 0;
	(void)unlinkat(to_dir, to_name, 0);
	return err_set(e, r, "copy %s: %s", from_name, strerror(-r));
}

int sparse_link_file(int from_dir, const char *from_name, int to_dir,
		     const char *to_name, struct err *e)
{
	struct stat st;
	int r;

	if (linkat(from_dir, from_name, to_dir, to_name, 0) == 0)
		return 0;
	r = sparse_copy_file(from_dir, from_name, to_dir, to_name, e);
	if (r == 0 && (fstatat(from_dir, from_name, &st, 0) < 0 ||
		       fchmodat(to_dir, to_name, st.st_mode & 0777, 0) < 0))
		r = err_set(e, -errno, "change mode of %s: %s", to_name,
			    strerror(errno));
	return r;
}
