// SPDX-License-Identifier: Apache-2.0
/*
 * retake.c - Take files and folders from an older commit into a new one
 *
 * It is written as a guest's checkpoint is: a change set upon the head, which
 * removes each path and makes it anew.
 */
#include "host/daemon/retake.h"

#include <stdio.h>
#include <string.h>

#include "core/time.h"
#include "vfs/browse.h"
#include "vfs/changes_write.h"
#include "vfs/commit.h"

struct taking {
	struct vfs_repo *repo;
	struct vfs_commit *commit;
	char path[VFS_CHANGE_PATH_MAX + 1]; /* Of the entry at hand. */
	size_t len;
	struct err *e;
};

void retake_done(struct retake *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->paths[i]);
	free(t->paths);
	*t = (struct retake){0};
}

int retake_add(struct retake *t, struct jv path, struct err *e)
{
	size_t len = 0;
	autofree char *text = jv_strdup(path, &len);
	struct vfs_path p;
	char **more;
	int r;

	if (text == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "paths: a list of strings");
	r = vfs_path_read(&p, text, len, e);
	if (r < 0)
		return r;
	if (p.len == 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "paths: leave it out to restore everything");
	more = reallocarray(t->paths, t->n + 1, sizeof(*more));
	if (more == NULL)
		return err_set(e, -ENOMEM, "paths: out of memory");
	t->paths = more;
	more[t->n] = strdup(p.text);
	if (more[t->n] == NULL)
		return err_set(e, -ENOMEM, "paths: out of memory");
	t->n++;
	return 0;
}

int retake_check(const struct retake *t, struct vfs_repo *repo,
		 const struct vfs_oid *from, struct err *e)
{
	struct vfs_entry entry;
	struct vfs_oid head;
	int r = t->n > 0 ? vfs_repo_head(repo, &head, e) : 0;

	for (size_t i = 0; i < t->n && r == 0; i++) {
		r = vfs_browse_find(repo, from, t->paths[i], &entry, e);
		if (r == -FAULT_FILE_NOT_FOUND) {
			e->code = 0;
			r = vfs_browse_find(repo, &head, t->paths[i], &entry,
					    e);
		}
	}
	return r;
}

static int feed(struct taking *k, const char *text, size_t n)
{
	return vfs_commit_feed(k->commit, text, n, k->e);
}

static int take_bytes(const void *data, size_t n, void *arg)
{
	return feed(arg, data, n);
}

static int take_file(struct taking *k, const struct vfs_entry *entry)
{
	char line[VFS_CHANGE_MAX];
	size_t n =
		vfs_changes_write_file(line, k->path, entry->mode, entry->size);
	int r = feed(k, line, n);

	if (r == 0)
		r = vfs_browse_read(k->repo, &entry->oid, 0, entry->size,
				    take_bytes, k, k->e);
	return r == 0 ? feed(k, "\n", 1) : r;
}

static int take_child(const struct vfs_entry *entry, void *arg);

static int take_folder(struct taking *k, const struct vfs_entry *entry)
{
	char line[VFS_CHANGE_MAX];
	size_t n = vfs_changes_write_dir(line, k->path, entry->mode);
	int r = feed(k, line, n);

	if (r < 0)
		return r;
	return vfs_browse_tree(k->repo, &entry->oid, take_child, k, k->e);
}

/* The entry whose path is k->path. */
static int take(struct taking *k, const struct vfs_entry *entry)
{
	return S_ISDIR(entry->mode) ? take_folder(k, entry)
				    : take_file(k, entry);
}

static int take_child(const struct vfs_entry *entry, void *arg)
{
	struct taking *k = arg;
	size_t before = k->len, n = entry->name_len;
	int r;

	if (before + 1 + n > VFS_CHANGE_PATH_MAX)
		return err_set(k->e, -FAULT_STORE_CORRUPT,
			       "%.100s/%.100s is too long", k->path,
			       entry->name);
	k->path[before] = '/';
	memcpy(k->path + before + 1, entry->name, n);
	k->len = before + 1 + n;
	k->path[k->len] = '\0';
	r = take(k, entry);
	k->len = before;
	k->path[before] = '\0';
	return r;
}

static int take_path(struct taking *k, const struct vfs_oid *from,
		     const char *path)
{
	char line[VFS_CHANGE_MAX];
	struct vfs_entry entry;
	bool gone;
	int r = vfs_browse_find(k->repo, from, path, &entry, k->e);

	gone = r == -FAULT_FILE_NOT_FOUND;
	if (gone)
		k->e->code = 0;
	if (r == 0 || gone)
		r = feed(k, line, vfs_changes_write_remove(line, path));
	if (r < 0 || gone)
		return r;
	k->len = strlen(path);
	memcpy(k->path, path, k->len + 1);
	return take(k, &entry);
}

static int take_all(struct taking *k, const struct retake *t,
		    const struct vfs_oid *from,
		    struct vfs_commit_result *result)
{
	char line[VFS_CHANGE_MAX];
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++)
		r = take_path(k, from, t->paths[i]);
	if (r == 0)
		r = feed(k, line, vfs_changes_write_done(line));
	return r == 0 ? vfs_commit_end(k->commit, result, k->e) : r;
}

int retake_commit(const struct retake *t, struct vfs_repo *repo,
		  const struct vfs_oid *from, struct vfs_oid *out,
		  struct err *e)
{
	struct taking k = {.repo = repo, .e = e};
	struct vfs_commit_spec spec = {
		.reason = "restore",
		.time_ms = now_ms(),
	};
	struct vfs_commit_result result;
	struct vfs_oid head;
	int r = vfs_repo_head(repo, &head, e);

	if (r < 0)
		return r;
	spec.base = &head;
	r = vfs_commit_begin(repo, &spec, &k.commit, e);
	if (r == 0)
		r = take_all(&k, t, from, &result);
	vfs_commit_free(k.commit);
	if (r == 0)
		*out = result.commit;
	return r;
}
