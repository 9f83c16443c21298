/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_kit.h - Write change sets and commit them, for tests
 */
#ifndef TESTS_CHANGES_KIT_H
#define TESTS_CHANGES_KIT_H

#include <sys/stat.h>

#include "tests/git_kit.h"
#include "vfs/changes_write.h"
#include "vfs/commit.h"

#define TEXT_MAX (64u << 20)

/* A change set that is being written. */
static char text[TEXT_MAX];
static size_t len;

static inline void begin(void)
{
	len = 0;
}

static inline void file(const char *path, uint32_t mode, const char *content)
{
	size_t n = strlen(content);

	OK(len + n + VFS_CHANGE_MAX < TEXT_MAX);
	len += vfs_changes_write_file(text + len, path, mode, n);
	memcpy(text + len, content, n);
	len += n;
	text[len++] = '\n';
}

static inline void put(const char *path, const char *content)
{
	file(path, S_IFREG | 0644, content);
}

static inline void folder(const char *path, uint32_t mode)
{
	len += vfs_changes_write_dir(text + len, path, mode);
}

static inline void drop(const char *path)
{
	len += vfs_changes_write_remove(text + len, path);
}

static inline void drop_all(void)
{
	len += vfs_changes_write_clear(text + len);
}

static inline int try_commit(struct vfs_repo *r,
			     const struct vfs_commit_spec *spec,
			     struct vfs_commit_result *out, struct err *e)
{
	struct vfs_commit *c;
	int code = vfs_commit_begin(r, spec, &c, e);

	if (code < 0)
		return code;
	for (size_t i = 0; code == 0 && i < len; i += 1000)
		code = vfs_commit_feed(c, text + i,
				       len - i < 1000 ? len - i : 1000, e);
	if (code == 0)
		code = vfs_commit_end(c, out, e);
	vfs_commit_free(c);
	return code;
}

/* Commit the change set on @base (NULL: nothing). */
static inline struct vfs_commit_result commit_on(struct vfs_repo *r,
						 const struct vfs_oid *base)
{
	const struct vfs_commit_spec spec = {.base = base, .time_ms = 1000};
	struct vfs_commit_result res = {0};
	struct err e = {0};

	len += vfs_changes_write_done(text + len);
	if (try_commit(r, &spec, &res, &e) < 0)
		FAIL("commit: %s", e.msg);
	return res;
}

/* The same on the head. */
static inline struct vfs_commit_result commit(struct vfs_repo *r)
{
	struct vfs_oid head;
	struct err e = {0};

	return commit_on(r, vfs_repo_head(r, &head, &e) == 0 ? &head : NULL);
}

#endif
