// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_changes.c - Any split of a change set gives the same changes
 */
#include "vfs/changes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "vfs/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vfs_changes_limits limits = {
	.commands = 64,
	.file_bytes = 256,
	.bytes = 1024,
};

/* What was told, as one number, and what must hold of it. */
struct sum {
	uint32_t h;
	uint64_t left;
	bool in_file;
};

static void add(struct sum *s, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->h = s->h * 31 + ((const unsigned char *)data)[i] + 1;
}

static void add_path(struct sum *s, const char *kind, const char *path)
{
	size_t n = strlen(path);

	assert(!s->in_file && n <= 4095 && path[0] != '/');
	assert(strstr(path, "//") == NULL && strncmp(path, "../", 3) != 0);
	assert(strstr(path, "/../") == NULL && strcmp(path, "..") != 0);
	add(s, kind, 1);
	add(s, path, n + 1);
}

static int on_file(void *arg, const char *path, uint32_t mode, uint64_t size,
		   struct err *e)
{
	struct sum *s = arg;

	(void)e;
	assert(path[0] != '\0' && size <= limits.file_bytes);
	assert(S_ISREG(mode) || mode == S_IFLNK);
	add_path(s, "F", path);
	add(s, &mode, sizeof(mode));
	s->left = size;
	s->in_file = true;
	return 0;
}

static int on_data(void *arg, const char *data, size_t n, struct err *e)
{
	struct sum *s = arg;

	(void)e;
	assert(s->in_file && n > 0 && n <= s->left);
	s->left -= n;
	add(s, data, n);
	return 0;
}

static int on_file_end(void *arg, struct err *e)
{
	struct sum *s = arg;

	(void)e;
	assert(s->in_file && s->left == 0);
	s->in_file = false;
	return 0;
}

static int on_dir(void *arg, const char *path, uint32_t mode, struct err *e)
{
	struct sum *s = arg;

	(void)e;
	assert(mode <= 07777);
	add_path(s, "M", path);
	add(s, &mode, sizeof(mode));
	return 0;
}

static int on_remove(void *arg, const char *path, struct err *e)
{
	(void)e;
	assert(path[0] != '\0');
	add_path(arg, "D", path);
	return 0;
}

static int on_clear(void *arg, struct err *e)
{
	(void)e;
	add(arg, "C", 1);
	return 0;
}

static const struct vfs_changes_ops ops = {
	.file = on_file,
	.data = on_data,
	.file_end = on_file_end,
	.dir = on_dir,
	.remove = on_remove,
	.clear = on_clear,
};

static int feed(const uint8_t *data, size_t size, size_t step, struct sum *s)
{
	struct vfs_changes *c = vfs_changes_new(&ops, s, &limits);
	struct err e = {0};
	int r = 0;

	assert(c != NULL);
	for (size_t i = 0; i < size && r == 0; i += step)
		r = vfs_changes_feed(c, (const char *)data + i,
				     step < size - i ? step : size - i, &e);
	assert(r <= 0 && (r == 0 || e.code == r));
	if (r == 0)
		r = vfs_changes_end(c, NULL);
	else
		assert(vfs_changes_end(c, NULL) == r);
	vfs_changes_free(c);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum whole = {0}, split = {0};
	size_t step = size > 0 ? data[size - 1] % 16u + 1 : 1;
	int r = feed(data, size, size + 1, &whole);

	assert(feed(data, size, step, &split) == r);
	/* A file that ends badly may have been told of in part. */
	if (r == 0 || !whole.in_file)
		assert(whole.h == split.h);
	return 0;
}
