/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blobs.h - File contents by object id: from memory, the cache or the source
 *
 * A small one is read or fetched whole and verified before anybody sees it; a
 * large one comes in chunks, a few ahead of a sequential reader, and is verified
 * when the last has come.  Whoever wants the same meanwhile waits for the same
 * answer.
 */
#ifndef VFS_BLOBS_H
#define VFS_BLOBS_H

#include "vfs/fetch.h"
#include "vfs/objcache.h"
#include "vfs/table.h"

struct blob;
TAILQ_HEAD(blob_list, blob);

struct blob_key {
	struct vfs_oid oid;
	uint64_t size; /* As the directory says. */
};

/* Somebody who waits for @len bytes from @off on; embedded, in place until
 * @done, which has them in @data during the call.  The wait is over. */
struct blob_wait {
	void (*done)(struct blob_wait *w, int status, const char *data,
		     size_t n);

	/* Private. */
	TAILQ_ENTRY(blob_wait) link;
	struct blob *blob;
	uint64_t off;
	size_t len;
	unsigned missing; /* Chunks that have not come: bits. */
	char *buf;	  /* Where they are put together; of a large one. */
};

struct blobs {
	uint64_t hits; /* Found in the cache. */

	/* Private. */
	uv_loop_t *loop;
	struct fetch *fetch;
	struct objcache *cache; /* NULL: none. */
	struct table table;
	struct blob_list idle; /* Longest unused first. */
	size_t hot_bytes;      /* Of small ones, */
	unsigned n_open;       /* and the number of large ones, in memory. */
	char *scratch;	       /* For what is read of a large one. */
	unsigned n_coming;     /* Small ones asked of the source. */
	unsigned n_works;      /* With the thread pool; of which small ones */
	size_t store_bytes;    /* have so many bytes. */
	void (*closed)(void *arg);
	void *arg;
};

/* @cache may be NULL and is not owned. */
void blobs_init(struct blobs *b, uv_loop_t *loop, struct fetch *f,
		struct objcache *cache);
/* After fetch_close(), which ends all waits.  @closed is called, now or later,
 * when the last object on its way to the cache has arrived there. */
void blobs_close(struct blobs *b, void (*closed)(void *arg), void *arg);

/**
 * blobs_read() - Read a range of a blob
 * @len:  At most LOWER_CHUNK; the range ends within the blob
 * @w:    Its done is set
 * @data: The range, when it is there at once; valid until the next call
 *
 * Return: 1 with @data; 0 when @w->done is called later; -EIO, -ENOMEM.
 */
int blobs_read(struct blobs *b, const struct blob_key *key, uint64_t off,
	       size_t len, struct blob_wait *w, const char **data);
/* Ask for a small blob that somebody may want, unless it is here.
 * Return: whether it is here or on its way; else enough is on its way. */
bool blobs_ahead(struct blobs *b, const struct blob_key *key);
/* Wait no longer; @done is not called. */
void blobs_cancel(struct blob_wait *w);

#endif
