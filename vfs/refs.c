// SPDX-License-Identifier: Apache-2.0
/*
 * refs.c - Move a reference of a repository, durably
 *
 * The new value of main is written to `hib-ref` in the repository and synced.  A
 * second link to that file becomes `<ref>.lock`, which makes git commands wait or
 * refuse, and is then renamed over the reference, as git does it.
 *
 * Whoever is killed in between leaves the lock.  The next writer finds that it
 * is the same file as `hib-ref`: a lock of our own past, which it removes.
 * Only the reference that git commands move too is locked so; those of turns are
 * ours: their value is written to `hib-turn`, so that `hib-ref` remains as the
 * proof, and renamed over them at once.
 */
#include "vfs/refs.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vfs/durable.h"
#include "vfs/repo.h"

#define DIR_TRIES 5 /* git pack-refs removes folders that are empty. */

struct move {
	char tmp[PATH_MAX], ref[PATH_MAX], lock[PATH_MAX];
};

static int paths(struct move *m, const char *gitdir, const char *ref,
		 bool locked)
{
	int n = snprintf(m->lock, sizeof(m->lock), "%s/%s.lock", gitdir, ref);

	if (n >= (int)sizeof(m->lock))
		return -ENAMETOOLONG;
	snprintf(m->ref, sizeof(m->ref), "%s/%s", gitdir, ref);
	n = snprintf(m->tmp, sizeof(m->tmp), "%s/%s", gitdir,
		     locked ? "hib-ref" : "hib-turn");
	return n >= (int)sizeof(m->tmp) ? -ENAMETOOLONG : 0;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return lstat(a, &sa) == 0 && lstat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* What a killed predecessor left. */
static int clear(const struct move *m)
{
	if (is_same_file(m->tmp, m->lock) && unlink(m->lock) < 0)
		return -errno;
	return unlink(m->tmp) < 0 && errno != ENOENT ? -errno : 0;
}

/* Make the folders of @ref below the repository's. */
static int make_parents(struct move *m, size_t start)
{
	for (char *p = m->ref + start; (p = strchr(p, '/')) != NULL; p++) {
		int r;

		*p = '\0';
		r = vfs_durable_mkdir(m->ref);
		*p = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

static int place(const struct move *m, bool locked)
{
	if (!locked)
		return rename(m->tmp, m->ref) < 0 ? -errno : 0;
	if (link(m->tmp, m->lock) < 0)
		return -errno;
	if (rename(m->lock, m->ref) < 0) {
		int r = -errno;

		(void)unlink(m->lock);
		return r;
	}
	return 0;
}

static int move(struct move *m, size_t start, const char *value, bool locked)
{
	int r = clear(m);

	if (r == 0)
		r = vfs_durable_create(m->tmp, value, strlen(value));
	if (r < 0)
		return r;
	for (int i = 0; i < DIR_TRIES; i++) {
		r = make_parents(m, start);
		if (r == 0)
			r = place(m, locked);
		if (r != -ENOENT)
			break;
	}
	(void)unlink(m->tmp);
	return r < 0 ? r : vfs_durable_sync_parent(m->ref);
}

int vfs_refs_set(const char *gitdir, const char *ref, const struct vfs_oid *oid,
		 struct err *e)
{
	char value[VFS_OID_HEX + 1];
	bool locked = strncmp(ref, VFS_REF_TURNS, strlen(VFS_REF_TURNS)) != 0;
	struct move m = {.tmp = ""};
	int r = paths(&m, gitdir, ref, locked);

	vfs_oid_format(oid, value);
	strcat(value, "\n");
	if (r == 0)
		r = move(&m, strlen(gitdir) + 1, value, locked);
	if (r == 0)
		return 0;
	if (r == -EEXIST)
		return err_set(e, -FAULT_OVERLOADED,
			       "%s: a git command is changing it", ref);
	return vfs_repo_errno(e, r, "%s", ref);
}
