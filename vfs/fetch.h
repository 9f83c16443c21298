/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h - Ask a source, for a bounded time
 *
 * At most LOWER_ASKS_MAX requests are with the source at a time; the others wait
 * their turn.  One that is not answered in time ends without its source; an
 * answer that comes after all is thrown away.
 *
 * A request may be made ahead, for nobody yet.  From the moment that somebody
 * wants it, it has all the time that a new one would have.
 */
#ifndef VFS_FETCH_H
#define VFS_FETCH_H

#include <sys/queue.h>

#include "vfs/lower.h"

struct ask; /* Opaque. */
TAILQ_HEAD(ask_list, ask);

struct fetch {
	uint64_t trees, blobs; /* Asked so far. */
	unsigned n_ahead;      /* Under way, for nobody yet. */

	/* Private. */
	uv_loop_t *loop;
	uv_timer_t timer;
	const struct vfs_source_ops *ops;
	void *source;
	unsigned deadline_ms;
	struct ask_list sent, waiting; /* Each in the order of deadlines. */
	unsigned n_sent;
	void (*closed)(void *arg);
	void *arg;
};

int fetch_init(struct fetch *f, uv_loop_t *loop,
	       const struct vfs_lower_spec *spec);
/* End all requests with -ECANCELED, close the timer; @closed follows later. */
void fetch_close(struct fetch *f, void (*closed)(void *arg), void *arg);

/* Ask for a directory, or for part of a blob.  @cb is called once, later; with
 * -ETIMEDOUT at the deadline.  Return: 0 or -ENOMEM. */
int fetch_tree(struct fetch *f, const struct vfs_oid *oid, vfs_bytes_cb cb,
	       void *arg);
int fetch_blob(struct fetch *f, const struct vfs_oid *oid, uint64_t off,
	       size_t len, vfs_bytes_cb cb, void *arg);

/* The same, of a whole object, for nobody yet.
 * Return: the request, valid until @cb; NULL when memory is out. */
struct ask *fetch_tree_ahead(struct fetch *f, const struct vfs_oid *oid,
			     vfs_bytes_cb cb, void *arg);
struct ask *fetch_blob_ahead(struct fetch *f, const struct vfs_oid *oid,
			     size_t size, vfs_bytes_cb cb, void *arg);
/* Somebody wants a request that was made ahead. */
void fetch_want(struct ask *a);

#endif
