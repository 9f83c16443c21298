// SPDX-License-Identifier: Apache-2.0
/*
 * mounts.c - Folders of the host that a VM was made with
 *
 * Started by root, the VM has ids of its own, which own nothing on the host.  So
 * the mount is an idmapped one: whoever owns the folder on the host is, in the
 * mount, the agents' user, and what agents make there belongs to that owner
 * again.  Where the file system knows no such mounts, a folder to read is shown
 * as it is, and one to write is refused unless everybody may write there.
 */
#include "host/sandbox/mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/json.h"
#include "host/sandbox/idmapped.h"
#include "host/sandbox/range.h"

/* One of the list. */
struct wanted {
	char at[TREE_AT_MAX];
	char source[PATH_MAX];
	bool ro;
};

static int read_wanted(struct jv v, struct wanted *out, struct err *e)
{
	if (jv_strcpy(jv_get(v, "at"), out->at, sizeof(out->at)) < 2 ||
	    out->at[0] != '/' ||
	    jv_strcpy(jv_get(v, "source"), out->source, sizeof(out->source)) <
		    1)
		return err_set(e, -EINVAL, "--mounts: no list of mounts");
	out->ro = jv_bool(jv_get(v, "ro"), true);
	return 0;
}

/* Call @each for each mount of the list. */
static int for_each(const struct box *b, void *arg,
		    int (*each)(const struct wanted *w, unsigned i, void *arg,
				struct err *e),
		    struct err *e)
{
	autojson struct json j = {0};
	struct wanted w;
	unsigned i = 0;
	int r = 0;

	if (b->mounts == NULL)
		return 0;
	if (json_parse(&j, b->mounts, strlen(b->mounts), e) < 0)
		return err_wrap(e, "--mounts");
	if (jv_count(json_root(&j)) > MOUNTS_MAX)
		return err_set(e, -E2BIG, "more than %d mounts", MOUNTS_MAX);
	for (struct jv v = jv_first(json_root(&j)); jv_has(v) && r == 0;
	     v = jv_next(json_root(&j), v)) {
		r = read_wanted(v, &w, e);
		if (r == 0)
			r = each(&w, i++, arg, e);
	}
	return r;
}

/* --- taking --- */

static int open_source(const struct box *b, const char *source, struct err *e)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	autoclose int dir = open(b->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dir < 0)
		return fail(e, "open", b->dir);
	fd = (int)syscall(SYS_openat2, dir, source, &how, sizeof(how));
	return fd < 0 ? fail(e, "open the folder to mount,", source) : fd;
}

/* Its owner is the agents' user. */
static int map_tree(const struct box *b, int tree, const struct stat *st)
{
	struct idmapped_ids uids[] = {
		{st->st_uid, b->owner + RANGE_AGENT, 1},
		{b->owner, b->owner, st->st_uid != b->owner},
	};
	struct idmapped_ids gids[] = {
		{st->st_gid, b->owner + RANGE_AGENT, 1},
		{b->owner, b->owner, st->st_gid != b->owner},
	};

	return idmapped_set(b, tree, uids, gids);
}

/* May agents write there, with the ids as they are? */
static bool is_writable(const struct box *b, const struct stat *st)
{
	return (st->st_mode & S_IWOTH) != 0 ||
	       (st->st_uid == b->owner + RANGE_AGENT &&
		(st->st_mode & S_IWUSR) != 0);
}

static int give_to_agents(const struct box *b, const struct tree *tree,
			  const struct wanted *w, struct err *e)
{
	struct stat st;

	if (!b->as_root)
		return 0; /* Its owner is the VM's one user. */
	if (fstat(tree->fd, &st) < 0)
		return fail(e, "stat", w->source);
	if (map_tree(b, tree->fd, &st) == 0 || w->ro || is_writable(b, &st))
		return 0;
	return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
		       "mount %s: its file system has no idmapped mounts, and "
		       "agents may not write there without",
		       w->source);
}

static int take(const struct wanted *w, unsigned i, void *arg, struct err *e)
{
	struct box *b = arg;
	autoclose int dir = open_source(b, w->source, e);
	const struct tree_source from = {
		.dir = dir,
		.path = w->source,
		.flags = TREE_ALONE | TREE_SELF | (w->ro ? TREE_RDONLY : 0u),
	};
	char name[16];
	int r;

	if (dir < 0)
		return dir;
	snprintf(name, sizeof(name), "%u", i);
	r = trees_take(&b->mount_trees, &from, MOUNTS_AT, name, e);
	return r < 0 ? r : give_to_agents(b, &b->mount_trees.v[i], w, e);
}

int mounts_take(struct box *b, struct err *e)
{
	return for_each(b, b, take, e);
}

/* --- mount points --- */

/* The guest has these of its own, and makes its way there itself. */
static bool is_the_guests(const char *at)
{
	static const char *const own[] = {"/dev/shm/", "/home/", "/run/",
					  "/tmp/",     "/var/",	 "/workspace/"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strncmp(at, own[i], strlen(own[i])) == 0)
			return true;
	return false;
}

static int make_folders(const char *at, uint32_t owner, struct err *e)
{
	char path[TREE_AT_MAX];

	for (const char *end = at; *end != '\0';) {
		end = strchrnul(end + 1, '/');
		snprintf(path, sizeof(path), "%.*s", (int)(end - at), at);
		if (mkdir(path, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return fail(e, "make mount point", path);
		}
		if (owner != 0 && lchown(path, owner, owner) < 0)
			return fail(e, "change owner of", path);
	}
	return 0;
}

static int make_point(const struct wanted *w, unsigned i, void *arg,
		      struct err *e)
{
	const struct box *b = arg;
	char aside[TREE_AT_MAX];
	int r;

	snprintf(aside, sizeof(aside), MOUNTS_AT "/%u", i);
	r = make_folders(aside, b->owner, e);
	if (r < 0 || is_the_guests(w->at))
		return r;
	return make_folders(w->at, b->owner, e);
}

int mounts_make_points(const struct box *b, struct err *e)
{
	struct box *box = (struct box *)(uintptr_t)b; /* Not written to. */

	return for_each(b, box, make_point, e);
}
