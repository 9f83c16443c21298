// SPDX-License-Identifier: Apache-2.0
/*
 * dirs.c - Directories by object id: from memory, the cache or the source
 *
 * One is in the table from the first who asks for it; until it is loaded, nobody
 * but its waits knows of it.  An answer that is no directory fails all of them;
 * nothing of it is kept.  The cache is on the local disk, and read and written at
 * once (see blobs.c for why not by the thread pool).
 */
#include "vfs/dirs.h"

#include <assert.h>
#include <string.h>

#include "core/log.h"
#include "vfs/listing.h"

#define LOG_COMPONENT "vfs"

struct item {
	uint64_t size;
	uint32_t name; /* Where in names it begins. */
	uint32_t mode;
	struct vfs_oid oid;
};

struct dir {
	struct table_link link;
	struct vfs_oid oid;
	struct dirs *owner;
	TAILQ_HEAD(dir_waits, dir_wait) waits;
	struct ask *ahead; /* For nobody yet; else NULL. */

	/* Once loaded. */
	TAILQ_ENTRY(dir) used;
	bool loaded;
	struct item *items;
	char *names; /* Each with a NUL, in one piece. */
	size_t n, names_len;
};

static uint64_t hash_oid(const struct vfs_oid *oid)
{
	uint64_t h;

	memcpy(&h, oid->b, sizeof(h));
	return h;
}

static bool match(struct table_link *link, const void *oid)
{
	return vfs_oid_eq(&container_of(link, struct dir, link)->oid, oid);
}

static struct dir *find(const struct dirs *d, const struct vfs_oid *oid)
{
	struct table_link *l = table_find(&d->table, hash_oid(oid), match, oid);

	return l != NULL ? container_of(l, struct dir, link) : NULL;
}

static size_t bytes_of(const struct dir *dir)
{
	return sizeof(*dir) + dir->n * sizeof(*dir->items) + dir->names_len;
}

static void forget(struct dirs *d, struct dir *dir)
{
	assert(TAILQ_EMPTY(&dir->waits));
	if (dir->loaded) {
		TAILQ_REMOVE(&d->used, dir, used);
		d->bytes -= bytes_of(dir);
		d->n--;
	}
	table_remove(&d->table, &dir->link);
	free(dir->items);
	free(dir->names);
	free(dir);
}

void dirs_init(struct dirs *d, struct fetch *f, struct objcache *cache)
{
	*d = (struct dirs){.fetch = f, .cache = cache};
	TAILQ_INIT(&d->used);
}

void dirs_done(struct dirs *d)
{
	struct dir *dir;

	while ((dir = TAILQ_FIRST(&d->used)) != NULL)
		forget(d, dir);
	table_done(&d->table);
}

/* --- reading --- */

static int count(const char *data, size_t n, struct dir *dir, struct err *e)
{
	struct listing_reader r;
	struct vfs_entry entry;
	int got = listing_read(&r, data, n, e);

	if (got < 0)
		return got;
	while ((got = listing_next(&r, &entry, e)) > 0) {
		dir->n++;
		dir->names_len += entry.name_len + 1;
	}
	return got;
}

static void fill(const char *data, size_t n, struct dir *dir)
{
	struct listing_reader r;
	struct vfs_entry entry;
	size_t at = 0;

	(void)listing_read(&r, data, n, NULL);
	for (size_t i = 0; i < dir->n; i++) {
		(void)listing_next(&r, &entry, NULL);
		dir->items[i] = (struct item){
			.size = entry.size,
			.name = (uint32_t)at,
			.mode = entry.mode,
			.oid = entry.oid,
		};
		memcpy(dir->names + at, entry.name, entry.name_len + 1);
		at += entry.name_len + 1;
	}
}

static int load(const char *data, size_t n, struct dir *dir, struct err *e)
{
	int r = count(data, n, dir, e);

	if (r < 0)
		return r;
	dir->items = malloc(dir->n * sizeof(*dir->items) + 1);
	dir->names = malloc(dir->names_len + 1);
	if (dir->items == NULL || dir->names == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	fill(data, n, dir);
	return 0;
}

static int load_answer(struct dir *dir, int status, const char *data, size_t n)
{
	char hex[VFS_OID_HEX];
	struct err e = {0};

	if (status == -FAULT_FILE_NOT_FOUND)
		return -ENOENT;
	if (status < 0)
		return -EIO;
	if (load(data, n, dir, &e) < 0) {
		log_warn("directory %s: %s", vfs_oid_format(&dir->oid, hex),
			 e.msg);
		return -EIO;
	}
	return 0;
}

/* The longest unused go, but never @kept. */
static void make_room(struct dirs *d, const struct dir *kept)
{
	struct dir *dir;

	while (d->bytes > LOWER_DIRS_BYTES &&
	       (dir = TAILQ_FIRST(&d->used)) != kept)
		forget(d, dir);
}

static void add_loaded(struct dirs *d, struct dir *dir)
{
	dir->loaded = true;
	TAILQ_INSERT_TAIL(&d->used, dir, used);
	d->bytes += bytes_of(dir);
	d->n++;
	make_room(d, dir);
}

static void on_answer(int status, const char *data, size_t n, void *arg)
{
	struct dir *dir = arg;
	struct dirs *d = dir->owner;
	struct dir_wait *w;
	int r = load_answer(dir, status, data, n);

	dir->ahead = NULL;
	if (r == 0) {
		add_loaded(d, dir);
		if (d->cache != NULL)
			(void)objcache_put_dir(d->cache, &dir->oid, data, n);
	}
	while ((w = TAILQ_FIRST(&dir->waits)) != NULL) {
		TAILQ_REMOVE(&dir->waits, w, link);
		w->done(w, r, r == 0 ? dir : NULL);
	}
	if (r < 0)
		forget(d, dir);
}

static struct dir *add(struct dirs *d, const struct vfs_oid *oid)
{
	struct dir *dir = calloc(1, sizeof(*dir));

	if (dir == NULL)
		return NULL;
	dir->oid = *oid;
	dir->owner = d;
	TAILQ_INIT(&dir->waits);
	if (table_add(&d->table, &dir->link, hash_oid(oid)) < 0) {
		free(dir);
		return NULL;
	}
	return dir;
}

static const struct dir *find_cached(struct dirs *d, const struct vfs_oid *oid)
{
	autofree char *data = NULL;
	struct dir *dir;
	size_t n;

	if (d->cache == NULL || objcache_get_dir(d->cache, oid, &data, &n) < 0)
		return NULL;
	dir = add(d, oid);
	if (dir == NULL)
		return NULL;
	if (load(data, n, dir, NULL) < 0) {
		forget(d, dir);
		return NULL;
	}
	d->hits++;
	add_loaded(d, dir);
	return dir;
}

const struct dir *dirs_find(struct dirs *d, const struct vfs_oid *oid)
{
	struct dir *dir = find(d, oid);

	if (dir == NULL)
		return find_cached(d, oid);
	if (!dir->loaded)
		return NULL;
	TAILQ_REMOVE(&d->used, dir, used);
	TAILQ_INSERT_TAIL(&d->used, dir, used);
	return dir;
}

int dirs_load(struct dirs *d, const struct vfs_oid *oid, struct dir_wait *w)
{
	struct dir *dir = find(d, oid);

	if (dir == NULL) {
		dir = add(d, oid);
		if (dir == NULL)
			return -ENOMEM;
		if (fetch_tree(d->fetch, oid, on_answer, dir) < 0) {
			forget(d, dir);
			return -ENOMEM;
		}
	}
	assert(!dir->loaded);
	if (dir->ahead != NULL)
		fetch_want(take_ptr(dir->ahead));
	w->dir = dir;
	TAILQ_INSERT_TAIL(&dir->waits, w, link);
	return 0;
}

void dirs_cancel(struct dir_wait *w)
{
	TAILQ_REMOVE(&w->dir->waits, w, link);
}

const struct dir *dirs_peek(const struct dirs *d, const struct vfs_oid *oid)
{
	const struct dir *dir = find(d, oid);

	return dir != NULL && dir->loaded ? dir : NULL;
}

bool dirs_ahead(struct dirs *d, const struct vfs_oid *oid)
{
	struct dir *dir;

	if (find(d, oid) != NULL ||
	    (d->cache != NULL && objcache_has_dir(d->cache, oid)))
		return true;
	dir = add(d, oid);
	if (dir == NULL)
		return false;
	dir->ahead = fetch_tree_ahead(d->fetch, oid, on_answer, dir);
	if (dir->ahead == NULL) {
		forget(d, dir);
		return false;
	}
	return true;
}

/* --- what is in one --- */

size_t dir_count(const struct dir *d)
{
	return d->n;
}

/* A name ends where the next begins. */
static size_t name_len(const struct dir *d, size_t i)
{
	size_t end = i + 1 < d->n ? d->items[i + 1].name : d->names_len;

	return end - d->items[i].name - 1;
}

void dir_entry(const struct dir *d, size_t i, struct vfs_entry *out)
{
	const struct item *item = &d->items[i];

	*out = (struct vfs_entry){
		.mode = item->mode,
		.oid = item->oid,
		.size = item->size,
		.name = d->names + item->name,
		.name_len = name_len(d, i),
	};
}

bool dir_lookup(const struct dir *d, const char *name, size_t *out)
{
	const struct vfs_entry key = {.name = name, .name_len = strlen(name)};
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct vfs_entry entry;
		int order;

		dir_entry(d, middle, &entry);
		order = vfs_entry_order(&key, &entry);
		if (order == 0) {
			*out = middle;
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
