// SPDX-License-Identifier: Apache-2.0
/*
 * blobs.c - File contents by object id: from memory, the cache or the source
 *
 * A blob is in the table while somebody waits for it, while it is on its way to
 * the cache, and for a while after; what is idle longest goes first.  A small one
 * whose end has been read goes at once, since the kernel has it all by then.
 *
 * What the readers wait for is read from and written to the local disk by the
 * loop itself, mostly its page cache.  The thread pool would do that without
 * holding up other readers, but its few threads may all be waiting for a file
 * below the mount that is served here.  Only what nobody waits for goes there: to
 * add a small object to the cache, to verify a large one.
 *
 * A chunk of a large blob is MISSING, COMING or HERE, in the file that becomes
 * the cached object.  Where there is no such file, for want of space, the chunk
 * that came last is kept instead.
 */
#include "vfs/blobs.h"

#include <assert.h>
#include <string.h>

#include "core/log.h"

#define LOG_COMPONENT "vfs"
#define NO_CHUNK      UINT32_MAX
/* A file's first bytes are read by many who want no more of it. */
#define PEEK_BYTES (128u << 10)

enum chunk { CHUNK_MISSING, CHUNK_COMING, CHUNK_HERE };

struct blob {
	struct table_link link;
	struct blobs *owner;
	struct blob_key key;
	TAILQ_HEAD(blob_waits, blob_wait) waits;
	TAILQ_ENTRY(blob) idle;
	bool is_idle;
	unsigned n_asks; /* Of the source. */
	bool in_work;	 /* With the thread pool. */
	bool drained;	 /* Small, and read to its end: of no more use. */
	uv_work_t work;
	int work_result;

	/* Small. */
	char *data;
	bool ready;
	struct ask *ahead; /* For nobody yet; else NULL. */

	/* Large. */
	int fd; /* Of the cached object or the part; -1: neither. */
	bool is_part;
	struct objcache_part part;
	uint32_t n_chunks, n_here;
	uint8_t *chunks; /* enum chunk */
	char *last;	 /* Chunk last_at, when there is no file. */
	uint32_t last_at;
};

/* One chunk asked for. */
struct chunk_ask {
	struct blob *blob;
	uint32_t at;
};

static bool is_small(const struct blob *blob)
{
	return blob->key.size <= OBJCACHE_SMALL_MAX;
}

static uint64_t hash_oid(const struct vfs_oid *oid)
{
	uint64_t h;

	memcpy(&h, oid->b, sizeof(h));
	return h;
}

/* Two sizes of one object are a lie of the source; each gets what it says. */
static bool match(struct table_link *link, const void *key)
{
	const struct blob_key *is = &container_of(link, struct blob, link)->key;
	const struct blob_key *want = key;

	return vfs_oid_eq(&is->oid, &want->oid) && is->size == want->size;
}

/* --- what stays --- */

static void release(struct blob *blob)
{
	struct blobs *b = blob->owner;

	assert(TAILQ_EMPTY(&blob->waits) && blob->n_asks == 0 &&
	       !blob->in_work);
	if (blob->is_idle)
		TAILQ_REMOVE(&b->idle, blob, idle);
	if (is_small(blob))
		b->hot_bytes -= blob->key.size;
	else
		b->n_open--;
	table_remove(&b->table, &blob->link);
	if (blob->is_part)
		objcache_part_end(b->cache, &blob->part);
	else if (blob->fd >= 0)
		close(blob->fd);
	free(blob->data);
	free(blob->chunks);
	free(blob->last);
	free(blob);
}

static void make_room(struct blobs *b)
{
	struct blob *blob;

	while ((blob = TAILQ_FIRST(&b->idle)) != NULL &&
	       (blob->drained || b->hot_bytes > LOWER_HOT_BYTES ||
		b->n_open > LOWER_OPEN_MAX))
		release(blob);
}

/* Something about @blob has changed: it may have to stay, or to go.  The one in
 * use right now goes with the next call at the earliest. */
static void settle(struct blob *blob)
{
	struct blobs *b = blob->owner;
	bool busy =
		!TAILQ_EMPTY(&blob->waits) || blob->n_asks > 0 || blob->in_work;

	if (blob->is_idle)
		TAILQ_REMOVE(&b->idle, blob, idle);
	blob->is_idle = !busy;
	if (busy)
		return;
	if (blob->drained)
		TAILQ_INSERT_HEAD(&b->idle, blob, idle);
	else
		TAILQ_INSERT_TAIL(&b->idle, blob, idle);
}

static void settle_or_release(struct blob *blob, bool useless)
{
	settle(blob);
	if (useless && blob->is_idle)
		release(blob);
}

/* --- the way to the cache --- */

/* Give up what is in the file: the disk is full or broken, or it was not what it
 * should be.  The file itself has to stay while it is being verified. */
static void lose_file(struct blob *blob)
{
	if (!blob->in_work && blob->fd >= 0) {
		if (blob->is_part)
			objcache_part_end(blob->owner->cache, &blob->part);
		else
			close(blob->fd);
		blob->fd = -1;
		blob->is_part = false;
	}
	blob->n_here = 0;
	for (uint32_t i = 0; i < blob->n_chunks; i++)
		if (blob->chunks[i] == CHUNK_HERE)
			blob->chunks[i] = CHUNK_MISSING;
}

static void all_closed(struct blobs *b)
{
	table_done(&b->table);
	b->closed(b->arg);
}

static void store_work(uv_work_t *work)
{
	struct blob *blob = container_of(work, struct blob, work);
	struct objcache *cache = blob->owner->cache;

	blob->work_result = is_small(blob)
				    ? objcache_put(cache, &blob->key.oid,
						   blob->data, blob->key.size)
				    : objcache_part_keep(cache, &blob->part);
}

/* A large one that is not what it should be has been read already, as the source
 * told it; it is fetched again for the next reader. */
static void on_stored(uv_work_t *work, int status)
{
	struct blob *blob = container_of(work, struct blob, work);
	struct blobs *b = blob->owner;
	char hex[VFS_OID_HEX];

	blob->in_work = false;
	b->n_works--;
	b->store_bytes -= is_small(blob) ? blob->key.size : 0;
	if (status == 0 && blob->work_result < 0)
		log_debug("blob %s: not cached: %s",
			  vfs_oid_format(&blob->key.oid, hex),
			  strerror(-blob->work_result));
	if (blob->work_result == -EBADMSG)
		lose_file(blob);
	settle_or_release(blob, b->closed != NULL || blob->drained);
	if (b->closed != NULL && b->n_works == 0)
		all_closed(b);
}

static bool too_many_stores(const struct blobs *b)
{
	return b->n_works >= LOWER_STORES_MAX ||
	       b->store_bytes >= LOWER_STORES_BYTES;
}

static void store(struct blob *blob)
{
	struct blobs *b = blob->owner;

	if (b->cache == NULL || b->closed != NULL || blob->in_work ||
	    (is_small(blob) && too_many_stores(b)))
		return;
	if (uv_queue_work(b->loop, &blob->work, store_work, on_stored) < 0)
		return;
	blob->in_work = true;
	b->n_works++;
	b->store_bytes += is_small(blob) ? blob->key.size : 0;
}

/* --- waits --- */

static void end_wait(struct blob_wait *w, int status, const char *data)
{
	char *buf = w->buf;

	TAILQ_REMOVE(&w->blob->waits, w, link);
	w->buf = NULL;
	w->done(w, status, data, status < 0 ? 0 : w->len);
	free(buf);
}

static void begin_wait(struct blob *blob, uint64_t off, size_t len,
		       struct blob_wait *w)
{
	w->blob = blob;
	w->off = off;
	w->len = len;
	w->missing = 0;
	w->buf = NULL;
	TAILQ_INSERT_TAIL(&blob->waits, w, link);
}

void blobs_cancel(struct blob_wait *w)
{
	struct blob *blob = w->blob;

	TAILQ_REMOVE(&blob->waits, w, link);
	free(w->buf);
	settle(blob);
}

/* --- small ones --- */

static void note_end(struct blob *blob, uint64_t off, size_t len)
{
	if (off + len == blob->key.size)
		blob->drained = true;
}

static int check_small(struct blob *blob, int status, const char *data,
		       size_t n)
{
	char hex[VFS_OID_HEX];

	if (status < 0)
		return -EIO;
	if (n != blob->key.size || !objcache_is_blob(&blob->key.oid, data, n)) {
		log_warn("blob %s: the host sent something else",
			 vfs_oid_format(&blob->key.oid, hex));
		return -EIO;
	}
	return 0;
}

static void on_small(int status, const char *data, size_t n, void *arg)
{
	struct blob *blob = arg;
	int r = check_small(blob, status, data, n);
	struct blob_wait *w;

	blob->n_asks--;
	blob->owner->n_coming--;
	blob->ahead = NULL;
	if (r == 0) {
		memcpy(blob->data, data, n);
		blob->ready = true;
		store(blob);
	}
	while ((w = TAILQ_FIRST(&blob->waits)) != NULL) {
		note_end(blob, w->off, w->len);
		end_wait(w, r, blob->data + w->off);
	}
	settle_or_release(blob, r < 0 || blob->drained);
}

static int load_small(struct blobs *b, struct blob *blob)
{
	if (b->cache != NULL && objcache_get(b->cache, &blob->key.oid,
					     blob->data, blob->key.size) == 0) {
		blob->ready = true;
		b->hits++;
		return 0;
	}
	if (fetch_blob(b->fetch, &blob->key.oid, 0, blob->key.size, on_small,
		       blob) < 0)
		return -ENOMEM;
	blob->n_asks++;
	b->n_coming++;
	return 0;
}

static int read_small(struct blob *blob, uint64_t off, size_t len,
		      struct blob_wait *w, const char **data)
{
	if (!blob->ready) {
		if (blob->ahead != NULL)
			fetch_want(take_ptr(blob->ahead));
		begin_wait(blob, off, len, w);
		settle(blob);
		return 0;
	}
	*data = blob->data + off;
	note_end(blob, off, len);
	settle(blob);
	return 1;
}

/* --- large ones --- */

static uint64_t chunk_off(uint32_t at)
{
	return (uint64_t)at * LOWER_CHUNK;
}

static size_t chunk_len(const struct blob *blob, uint32_t at)
{
	uint64_t rest = blob->key.size - chunk_off(at);

	return rest < LOWER_CHUNK ? (size_t)rest : LOWER_CHUNK;
}

/* Copy what chunk @at at @data has of the range of @w. */
static void copy_overlap(struct blob_wait *w, uint32_t at, const char *data,
			 size_t n)
{
	uint64_t from = chunk_off(at), to = from + n;

	if (from < w->off)
		from = w->off;
	if (to > w->off + w->len)
		to = w->off + w->len;
	if (from < to)
		memcpy(w->buf + (from - w->off), data + (from - chunk_off(at)),
		       (size_t)(to - from));
}

/* The bit of w->missing that stands for chunk @at: a range of LOWER_CHUNK bytes
 * touches two.  0 when it does not touch this one. */
static unsigned chunk_bit(const struct blob_wait *w, uint32_t at)
{
	uint32_t first = (uint32_t)(w->off / LOWER_CHUNK);

	return at == first || at == first + 1 ? BIT(at - first) : 0;
}

static bool write_chunk(const struct blob *blob, uint32_t at, const char *data,
			size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = pwrite(blob->fd, data + done, n - done,
				     (off_t)(chunk_off(at) + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		done += (size_t)put;
	}
	return true;
}

static void keep_last(struct blob *blob, uint32_t at, const char *data,
		      size_t n)
{
	blob->last_at = NO_CHUNK;
	if (blob->last == NULL)
		blob->last = malloc(LOWER_CHUNK);
	if (blob->last == NULL)
		return;
	memcpy(blob->last, data, n);
	blob->last_at = at;
}

static void keep_chunk(struct blob *blob, uint32_t at, const char *data,
		       size_t n)
{
	blob->chunks[at] = CHUNK_MISSING;
	if (blob->fd >= 0 && !write_chunk(blob, at, data, n))
		lose_file(blob);
	if (blob->fd < 0) {
		keep_last(blob, at, data, n);
		return;
	}
	blob->chunks[at] = CHUNK_HERE;
	if (++blob->n_here == blob->n_chunks)
		store(blob);
}

/* TAILQ_FOREACH_SAFE is not in glibc. */
static void serve_waits(struct blob *blob, uint32_t at, int status,
			const char *data, size_t n)
{
	struct blob_wait *next, *w = TAILQ_FIRST(&blob->waits);

	for (; w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (!(w->missing & chunk_bit(w, at)))
			continue;
		w->missing &= ~chunk_bit(w, at);
		if (status == 0)
			copy_overlap(w, at, data, n);
		if (status < 0 || w->missing == 0)
			end_wait(w, status, w->buf);
	}
}

static void on_chunk(int status, const char *data, size_t n, void *arg)
{
	struct chunk_ask *ask = arg;
	struct blob *blob = ask->blob;
	uint32_t at = ask->at;

	free(ask);
	blob->n_asks--;
	if (status < 0 || n != chunk_len(blob, at)) {
		blob->chunks[at] = CHUNK_MISSING;
		serve_waits(blob, at, -EIO, NULL, 0);
	} else {
		keep_chunk(blob, at, data, n);
		serve_waits(blob, at, 0, data, n);
	}
	settle(blob);
}

static int ask_chunk(struct blob *blob, uint32_t at)
{
	struct chunk_ask *ask = malloc(sizeof(*ask));

	if (ask == NULL)
		return -ENOMEM;
	*ask = (struct chunk_ask){.blob = blob, .at = at};
	if (fetch_blob(blob->owner->fetch, &blob->key.oid, chunk_off(at),
		       chunk_len(blob, at), on_chunk, ask) < 0) {
		free(ask);
		return -ENOMEM;
	}
	blob->chunks[at] = CHUNK_COMING;
	blob->n_asks++;
	return 0;
}

static bool read_file(const struct blob *blob, char *buf, uint64_t off,
		      size_t len)
{
	while (len > 0) {
		ssize_t n = pread(blob->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* Copy what is there of chunk @at into @w. */
static bool take_chunk(struct blob *blob, uint32_t at, struct blob_wait *w)
{
	uint64_t from = chunk_off(at), to = from + chunk_len(blob, at);

	if (blob->last_at == at) {
		copy_overlap(w, at, blob->last, chunk_len(blob, at));
		return true;
	}
	if (blob->chunks[at] != CHUNK_HERE)
		return false;
	if (from < w->off)
		from = w->off;
	if (to > w->off + w->len)
		to = w->off + w->len;
	if (read_file(blob, w->buf + (from - w->off), from,
		      (size_t)(to - from)))
		return true;
	lose_file(blob);
	return false;
}

static void read_ahead(struct blob *blob, uint64_t off, uint32_t last)
{
	uint32_t first = (uint32_t)(off / LOWER_CHUNK);
	bool in_sequence = first > 0 ? blob->chunks[first - 1] != CHUNK_MISSING
				     : off >= PEEK_BYTES;

	if (!in_sequence || blob->fd < 0)
		return;
	for (uint32_t at = last + 1;
	     at <= last + LOWER_AHEAD && at < blob->n_chunks; at++)
		if (blob->chunks[at] == CHUNK_MISSING &&
		    ask_chunk(blob, at) < 0)
			return;
}

/* Chunks that are on their way already are only waited for. */
static int gather(struct blob *blob, uint32_t last, struct blob_wait *w)
{
	for (uint32_t at = (uint32_t)(w->off / LOWER_CHUNK); at <= last; at++) {
		if (take_chunk(blob, at, w))
			continue;
		if (blob->chunks[at] == CHUNK_MISSING &&
		    ask_chunk(blob, at) < 0)
			return -ENOMEM;
		w->missing |= chunk_bit(w, at);
	}
	return 0;
}

static int begin_gather(struct blob *blob, uint32_t last, struct blob_wait *w)
{
	w->buf = malloc(w->len);
	return w->buf == NULL ? -ENOMEM : gather(blob, last, w);
}

static bool is_here(const struct blob *blob, uint64_t off, uint32_t last)
{
	for (uint32_t at = (uint32_t)(off / LOWER_CHUNK); at <= last; at++)
		if (blob->chunks[at] != CHUNK_HERE)
			return false;
	return true;
}

/* All of the range is in the file: nobody waits. */
static bool read_here(struct blob *blob, uint64_t off, size_t len,
		      const char **data)
{
	struct blobs *b = blob->owner;

	if (b->scratch == NULL)
		b->scratch = malloc(LOWER_CHUNK);
	if (b->scratch == NULL)
		return false;
	if (!read_file(blob, b->scratch, off, len)) {
		lose_file(blob);
		return false;
	}
	*data = b->scratch;
	return true;
}

static int read_large(struct blob *blob, uint64_t off, size_t len,
		      struct blob_wait *w, const char **data)
{
	uint32_t last = (uint32_t)((off + len - 1) / LOWER_CHUNK);
	int r;

	if (is_here(blob, off, last) && read_here(blob, off, len, data)) {
		read_ahead(blob, off, last);
		settle(blob);
		return 1;
	}
	begin_wait(blob, off, len, w);
	r = begin_gather(blob, last, w);
	if (r < 0) {
		blobs_cancel(w);
		return r;
	}
	read_ahead(blob, off, last);
	if (w->missing != 0) {
		settle(blob);
		return 0;
	}
	free(blob->owner->scratch);
	blob->owner->scratch = take_ptr(w->buf);
	*data = blob->owner->scratch;
	blobs_cancel(w);
	return 1;
}

static int load_large(struct blobs *b, struct blob *blob)
{
	uint64_t n = (blob->key.size + LOWER_CHUNK - 1) / LOWER_CHUNK;

	blob->n_chunks = (uint32_t)n;
	blob->chunks = calloc(n, sizeof(*blob->chunks));
	if (blob->chunks == NULL)
		return -ENOMEM;
	if (b->cache == NULL)
		return 0;
	blob->fd = objcache_read(b->cache, &blob->key.oid, blob->key.size);
	if (blob->fd >= 0) {
		memset(blob->chunks, CHUNK_HERE, n);
		b->hits++;
	} else if (objcache_part_begin(b->cache, &blob->key.oid, blob->key.size,
				       &blob->part) == 0) {
		blob->is_part = true;
		blob->fd = blob->part.fd;
	}
	return 0;
}

/* --- all --- */

/* One that nothing is known of but its key. */
static struct blob *add_blob(struct blobs *b, const struct blob_key *key)
{
	struct blob *blob = calloc(1, sizeof(*blob));

	if (blob == NULL)
		return NULL;
	if (key->size <= OBJCACHE_SMALL_MAX)
		blob->data = malloc(key->size);
	blob->owner = b;
	blob->key = *key;
	blob->fd = -1;
	blob->last_at = NO_CHUNK;
	TAILQ_INIT(&blob->waits);
	if ((is_small(blob) && blob->data == NULL) ||
	    table_add(&b->table, &blob->link, hash_oid(&key->oid)) < 0) {
		free(blob->data);
		free(blob);
		return NULL;
	}
	if (is_small(blob))
		b->hot_bytes += key->size;
	else
		b->n_open++;
	return blob;
}

static struct blob *new_blob(struct blobs *b, const struct blob_key *key)
{
	struct blob *blob = add_blob(b, key);
	int r;

	if (blob == NULL)
		return NULL;
	r = is_small(blob) ? load_small(b, blob) : load_large(b, blob);
	if (r < 0) {
		release(blob);
		return NULL;
	}
	return blob;
}

static struct blob *find(const struct blobs *b, const struct blob_key *key)
{
	struct table_link *l =
		table_find(&b->table, hash_oid(&key->oid), match, key);

	return l != NULL ? container_of(l, struct blob, link) : NULL;
}

bool blobs_ahead(struct blobs *b, const struct blob_key *key)
{
	struct blob *blob;

	assert(key->size > 0 && key->size <= OBJCACHE_SMALL_MAX);
	if (find(b, key) != NULL ||
	    (b->cache != NULL && objcache_has(b->cache, &key->oid)))
		return true;
	/* What comes should find a way into the cache. */
	if (b->n_works + b->n_coming >= LOWER_STORES_MAX / 4)
		return false;
	make_room(b);
	blob = add_blob(b, key);
	if (blob == NULL)
		return false;
	blob->ahead = fetch_blob_ahead(b->fetch, &key->oid, key->size, on_small,
				       blob);
	if (blob->ahead == NULL) {
		release(blob);
		return false;
	}
	blob->n_asks++;
	b->n_coming++;
	return true;
}

int blobs_read(struct blobs *b, const struct blob_key *key, uint64_t off,
	       size_t len, struct blob_wait *w, const char **data)
{
	struct blob *blob = find(b, key);

	assert(len > 0 && len <= LOWER_CHUNK && off + len <= key->size);
	if (blob == NULL) {
		make_room(b);
		blob = new_blob(b, key);
	}
	if (blob == NULL)
		return -ENOMEM;
	return is_small(blob) ? read_small(blob, off, len, w, data)
			      : read_large(blob, off, len, w, data);
}

void blobs_init(struct blobs *b, uv_loop_t *loop, struct fetch *f,
		struct objcache *cache)
{
	*b = (struct blobs){.loop = loop, .fetch = f, .cache = cache};
	TAILQ_INIT(&b->idle);
}

void blobs_close(struct blobs *b, void (*closed)(void *arg), void *arg)
{
	struct blob *blob;

	b->closed = closed;
	b->arg = arg;
	while ((blob = TAILQ_FIRST(&b->idle)) != NULL)
		release(blob);
	free(b->scratch);
	b->scratch = NULL;
	if (b->n_works == 0)
		all_closed(b);
}
