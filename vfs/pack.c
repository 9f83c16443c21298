// SPDX-License-Identifier: Apache-2.0
/*
 * pack.c - Put the many small packs of a repository together
 *
 * libgit2 writes the new pack into a folder of its own, `objects/hib-pack`,
 * where no reader looks.  It is synced, and moved to its place, the index last;
 * only then the packs and loose objects that are in it go.  A reader that had
 * found an object in one of them looks again when it is gone, as git does.
 *
 * A kill leaves the folder, which the next run empties; or old packs beside the
 * new one, which only take space until they are packed again; or a pack whose
 * index is gone already, which the next run removes.
 */
#include "vfs/pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "vfs/durable.h"

#define LOCK	 "hib-pack.lock"
#define FACTOR	 2	 /* Of sizes that are left alone. */
#define ORPHAN_S 600	 /* Age of a pack that has lost its index. */
#define STEM	 "pack-" /* and 40 hex digits */
#define STEM_LEN (5 + 40)
#define SUB_MAX	 80

struct stored {
	char stem[STEM_LEN + 1];
	uint64_t bytes;
	bool chosen;
};

struct packing {
	struct vfs_repo *repo;
	char objects[PATH_MAX - 2 * SUB_MAX];
	struct stored *packs; /* Those without .keep, smallest first. */
	size_t n, cap;
	size_t n_kept;
	uint64_t kept_bytes;
	git_packbuilder *builder;
	git_oid *loose;
	size_t n_loose, loose_cap;
};

/*
 * Folders.
 */

static int sub(const struct packing *p, char out[PATH_MAX], const char *fmt,
	       ...) printf_like(3, 4);

/* A path below objects/. */
static int sub(const struct packing *p, char out[PATH_MAX], const char *fmt,
	       ...)
{
	char tail[SUB_MAX + 64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(tail, sizeof(tail), fmt, args);
	va_end(args);
	return snprintf(out, PATH_MAX, "%s/%s", p->objects, tail);
}

/* Call @each for all names of a folder below objects/ that begin with @prefix.
 * Return: 0, -errno, or what @each returned. */
static int each_name(struct packing *p, const char *folder, const char *prefix,
		     int (*each)(struct packing *p, const char *folder,
				 const char *name))
{
	char path[PATH_MAX];
	struct dirent *d;
	DIR *dir;
	int r = 0;

	sub(p, path, "%s", folder);
	dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' &&
		    strncmp(d->d_name, prefix, strlen(prefix)) == 0)
			r = each(p, folder, d->d_name);
	closedir(dir);
	return r;
}

static bool is_hex(const char *s, size_t n)
{
	return strspn(s, "0123456789abcdef") == n;
}

static bool has(const struct packing *p, const char *stem, const char *suffix)
{
	char path[PATH_MAX];

	sub(p, path, "pack/%s.%s", stem, suffix);
	return access(path, F_OK) == 0;
}

static int note_pack(struct packing *p, const char *folder, const char *name)
{
	struct stored s = {.chosen = false};
	char path[PATH_MAX];
	struct stat st;

	(void)folder;
	if (strlen(name) != STEM_LEN + 4 || !is_hex(name + 5, 40) ||
	    strcmp(name + STEM_LEN, ".idx") != 0)
		return 0;
	memcpy(s.stem, name, STEM_LEN);
	sub(p, path, "pack/%s.pack", s.stem);
	if (stat(path, &st) < 0)
		return 0;
	s.bytes = (uint64_t)st.st_size;
	if (has(p, s.stem, "keep")) {
		p->n_kept++;
		p->kept_bytes += s.bytes;
		return 0;
	}
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		struct stored *more = realloc(p->packs, cap * sizeof(s));

		if (more == NULL)
			return -ENOMEM;
		p->packs = more;
		p->cap = cap;
	}
	p->packs[p->n++] = s;
	return 0;
}

static int note_loose(struct packing *p, const char *folder, const char *name)
{
	char hex[VFS_OID_HEX];

	if (!is_hex(name, 38) || strlen(name) != 38)
		return 0;
	if (p->n_loose == p->loose_cap) {
		size_t cap = p->loose_cap ? 2 * p->loose_cap : 256;
		git_oid *more = realloc(p->loose, cap * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		p->loose = more;
		p->loose_cap = cap;
	}
	snprintf(hex, sizeof(hex), "%s%s", folder, name);
	(void)git_oid_fromstr(&p->loose[p->n_loose++], hex);
	return 0;
}

static int note_all(struct packing *p)
{
	int r = each_name(p, "pack", STEM, note_pack);

	for (unsigned i = 0; r == 0 && i < 256; i++) {
		char folder[3];

		snprintf(folder, sizeof(folder), "%02x", i);
		r = each_name(p, folder, "", note_loose);
	}
	return r;
}

/*
 * What to pack.
 */

static int by_size(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Choose all packs up to the last that is not much larger than those before. */
static void choose(struct packing *p)
{
	uint64_t sum = 0;
	size_t n = 0;

	if (p->n > 0)
		qsort(p->packs, p->n, sizeof(*p->packs), by_size);
	for (size_t i = 0; i < p->n; i++) {
		if (i > 0 && p->packs[i].bytes < FACTOR * sum)
			n = i + 1;
		sum += p->packs[i].bytes;
	}
	/* Loose objects need a pack anyway; let the smallest join them. */
	if (n == 0 && p->n_loose > 0 && p->n > 0)
		n = 1;
	for (size_t i = 0; i < n; i++)
		p->packs[i].chosen = true;
}

static size_t count_chosen(const struct packing *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->packs[i].chosen;
	return n;
}

/* The objects of one pack. */
struct contents {
	git_odb *odb;
	git_packbuilder *builder;
};

static int find_big(const git_oid *id, void *arg)
{
	const struct contents *c = arg;
	git_object_t type;
	size_t size;
	int r = git_odb_read_header(&size, &type, c->odb, id);

	return r < 0 ? r : size > VFS_OBJECT_BIG;
}

static int insert(const git_oid *id, void *arg)
{
	const struct contents *c = arg;

	return git_packbuilder_insert(c->builder, id, NULL);
}

/* Call @cb for each object of a pack.  Return: 0 or what it returned. */
static int each_object(struct packing *p, const struct stored *s,
		       git_odb_foreach_cb cb)
{
	struct contents c = {.builder = p->builder};
	git_odb_backend *backend;
	char path[PATH_MAX];
	int r;

	sub(p, path, "pack/%s.idx", s->stem);
	r = git_odb_new(&c.odb);
	if (r < 0)
		return r;
	r = git_odb_backend_one_pack(&backend, path);
	if (r == 0)
		r = git_odb_add_backend(c.odb, backend, 1);
	if (r == 0)
		r = git_odb_foreach(c.odb, cb, &c);
	git_odb_free(c.odb);
	return r;
}

/* Leave a pack alone for ever. */
static int keep_pack(struct packing *p, struct stored *s)
{
	char path[PATH_MAX];
	int r;

	sub(p, path, "pack/%s.keep", s->stem);
	r = vfs_durable_create(path, "", 0);
	s->chosen = false;
	return r == -EEXIST ? 0 : r;
}

/* Return: 0; a code of libgit2; positive: an errno. */
static int leave_big(struct packing *p)
{
	for (size_t i = 0; i < p->n; i++) {
		int r = p->packs[i].chosen
				? each_object(p, &p->packs[i], find_big)
				: 0;

		if (r < 0)
			return r;
		if (r > 0)
			r = keep_pack(p, &p->packs[i]);
		if (r < 0)
			return -r;
	}
	return 0;
}

static int leave_big_loose(struct packing *p)
{
	struct contents c = {.odb = vfs_repo_odb(p->repo)};
	size_t n = 0;

	for (size_t i = 0; i < p->n_loose; i++) {
		int r = find_big(&p->loose[i], &c);

		if (r < 0)
			return r;
		if (r == 0)
			p->loose[n++] = p->loose[i];
	}
	p->n_loose = n;
	return 0;
}

static int insert_all(struct packing *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n; i++)
		if (p->packs[i].chosen)
			r = each_object(p, &p->packs[i], insert);
	for (size_t i = 0; r == 0 && i < p->n_loose; i++)
		r = git_packbuilder_insert(p->builder, &p->loose[i], NULL);
	return r;
}

/*
 * The new pack.
 */

static int remove_file(struct packing *p, const char *folder, const char *name)
{
	char path[PATH_MAX];

	sub(p, path, "%s/%s", folder, name);
	return unlink(path) < 0 ? -errno : 0;
}

/* An empty folder for libgit2. */
static int prepare(struct packing *p, char dir[PATH_MAX])
{
	sub(p, dir, "hib-pack");
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return -errno;
	return each_name(p, "hib-pack", "", remove_file);
}

static int sync_file(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int install(struct packing *p, const char *stem, const char *suffix)
{
	char from[PATH_MAX], to[PATH_MAX];
	int r;

	sub(p, from, "hib-pack/%s.%s", stem, suffix);
	sub(p, to, "pack/%s.%s", stem, suffix);
	r = sync_file(from);
	if (r == 0 && rename(from, to) < 0)
		r = -errno;
	return r;
}

static int install_both(struct packing *p, const char *stem)
{
	char path[PATH_MAX];
	int r = install(p, stem, "pack");

	if (r == 0)
		r = install(p, stem, "idx");
	sub(p, path, "pack");
	return r < 0 ? r : vfs_durable_sync_dir(path);
}

/* Packs go index first: without it nobody looks for them.  What git-gc(1) may
 * have put beside them goes with them. */
static void remove_pack(struct packing *p, const char *stem)
{
	static const char *const suffixes[] = {"idx", "pack", "rev", "bitmap"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		sub(p, path, "pack/%s.%s", stem, suffixes[i]);
		(void)unlink(path);
	}
}

static void remove_loose(struct packing *p, const git_oid *id)
{
	char hex[VFS_OID_HEX], path[PATH_MAX];

	git_oid_tostr(hex, sizeof(hex), id);
	sub(p, path, "%.2s/%s", hex, hex + 2);
	(void)unlink(path);
}

static void remove_old(struct packing *p, const char *stem)
{
	char path[PATH_MAX];

	/* It names packs that are about to go. */
	sub(p, path, "pack/multi-pack-index");
	(void)unlink(path);
	for (size_t i = 0; i < p->n; i++)
		if (p->packs[i].chosen && strcmp(p->packs[i].stem, stem) != 0)
			remove_pack(p, p->packs[i].stem);
	for (size_t i = 0; i < p->n_loose; i++)
		remove_loose(p, &p->loose[i]);
}

/* Remove a pack that lost its index long ago: no one is about to give it one. */
static int remove_orphan(struct packing *p, const char *folder,
			 const char *name)
{
	char stem[STEM_LEN + 1], path[PATH_MAX];
	struct stat st;

	(void)folder;
	if (strlen(name) != STEM_LEN + 5 || !is_hex(name + 5, 40) ||
	    strcmp(name + STEM_LEN, ".pack") != 0)
		return 0;
	snprintf(stem, sizeof(stem), "%s", name);
	sub(p, path, "pack/%s", name);
	if (!has(p, stem, "idx") && stat(path, &st) == 0 &&
	    st.st_ctime + ORPHAN_S < time(NULL))
		(void)unlink(path);
	return 0;
}

/*
 * All of it.
 */

static void packing_done(struct packing *p)
{
	git_packbuilder_free(p->builder);
	free(p->packs);
	free(p->loose);
}

static int packing_init(struct packing *p, struct vfs_repo *r)
{
	*p = (struct packing){.repo = r};
	return snprintf(p->objects, sizeof(p->objects), "%s/objects",
			vfs_repo_dir(r)) >= (int)sizeof(p->objects)
		       ? -ENAMETOOLONG
		       : 0;
}

static int fail(struct err *e, int code)
{
	return vfs_repo_errno(e, code, "packing a workspace");
}

static int git_fail(struct err *e, int code)
{
	if (code > 0)
		return fail(e, -code);
	return vfs_repo_giterr(e, code, "packing a workspace");
}

static int write_pack(struct packing *p, char stem[STEM_LEN + 1], struct err *e)
{
	char dir[PATH_MAX];
	int r = prepare(p, dir);

	if (r < 0)
		return fail(e, r);
	r = git_packbuilder_new(&p->builder, vfs_repo_git(p->repo));
	if (r == 0)
		r = insert_all(p);
	if (r == 0)
		r = git_packbuilder_write(p->builder, dir, 0444, NULL, NULL);
	if (r < 0) {
		r = git_fail(e, r);
		(void)each_name(p, "hib-pack", "", remove_file);
		return r;
	}
	snprintf(stem, STEM_LEN + 1, STEM "%s",
		 git_packbuilder_name(p->builder));
	r = install_both(p, stem);
	return r < 0 ? fail(e, r) : 0;
}

static void sum_up(const struct packing *before, struct vfs_pack_stats *out)
{
	struct packing after;

	out->packs_before = before->n + before->n_kept;
	out->bytes_before = before->kept_bytes;
	for (size_t i = 0; i < before->n; i++)
		out->bytes_before += before->packs[i].bytes;
	if (packing_init(&after, before->repo) == 0)
		(void)each_name(&after, "pack", STEM, note_pack);
	out->packs_after = after.n + after.n_kept;
	out->bytes_after = after.kept_bytes;
	for (size_t i = 0; i < after.n; i++)
		out->bytes_after += after.packs[i].bytes;
	packing_done(&after);
}

static int pack(struct packing *p, struct vfs_pack_stats *out, struct err *e)
{
	char stem[STEM_LEN + 1];
	int r = leave_big(p);

	if (r == 0)
		r = leave_big_loose(p);
	if (r != 0)
		return git_fail(e, r);
	if (count_chosen(p) < 2 && p->n_loose == 0)
		return 0;
	r = write_pack(p, stem, e);
	if (r < 0)
		return r;
	remove_old(p, stem);
	out->objects = git_packbuilder_object_count(p->builder);
	out->loose = p->n_loose;
	r = git_odb_refresh(vfs_repo_odb(p->repo));
	return r < 0 ? git_fail(e, r) : 0;
}

int vfs_pack(struct vfs_repo *repo, struct vfs_pack_stats *out, struct err *e)
{
	cleanup(packing_done) struct packing p;
	struct vfs_pack_stats stats = {0};
	autoclose int lock = -1;
	int r = packing_init(&p, repo);

	if (r < 0)
		return fail(e, r);
	if (vfs_repo_readonly(repo))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the repository was opened to be read");
	r = vfs_repo_lock(repo, LOCK, &lock, e);
	if (r < 0)
		return r;
	r = each_name(&p, "pack", STEM, remove_orphan);
	if (r == 0)
		r = note_all(&p);
	if (r < 0)
		return fail(e, r);
	choose(&p);
	r = pack(&p, &stats, e);
	if (r < 0)
		return r;
	sum_up(&p, &stats);
	*out = stats;
	return 0;
}

bool vfs_pack_wanted(struct vfs_repo *repo)
{
	cleanup(packing_done) struct packing p;

	if (packing_init(&p, repo) < 0 ||
	    each_name(&p, "pack", STEM, note_pack) < 0)
		return false;
	/* Names are spread evenly: one folder of 256 tells enough. */
	return each_name(&p, "17", "", note_loose) == 0 &&
	       (p.n > VFS_PACKS_MAX || 256 * p.n_loose > VFS_LOOSE_MAX);
}
