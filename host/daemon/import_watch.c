// SPDX-License-Identifier: Apache-2.0
/*
 * import_watch.c - How far an import is, from its thread to the loop
 *
 * The thread leaves its numbers, each atomic by itself, and wakes the loop.
 */
#include "host/daemon/import_watch.h"

#include <stdatomic.h>
#include <stdlib.h>

struct import_watch {
	uv_async_t wake;
	import_progress_cb cb;
	void *arg;
	uint64_t next_ms;
	_Atomic(const char *) stage;
	atomic_uint_fast64_t n, total, bytes;
};

static void import_watch_on_wake(uv_async_t *h)
{
	struct import_watch *w = h->data;
	const struct vfs_import_progress p = {
		.stage = atomic_load(&w->stage),
		.n = atomic_load(&w->n),
		.total = atomic_load(&w->total),
		.bytes = atomic_load(&w->bytes),
	};
	uint64_t now = uv_now(h->loop);

	if (now < w->next_ms)
		return;
	w->next_ms = now + IMPORT_TELL_MS;
	w->cb(&p, w->arg);
}

struct import_watch *import_watch_new(uv_loop_t *loop, import_progress_cb cb,
				      void *arg)
{
	struct import_watch *w = calloc(1, sizeof(*w));

	if (w == NULL || uv_async_init(loop, &w->wake, import_watch_on_wake)) {
		free(w);
		return NULL;
	}
	w->wake.data = w;
	w->cb = cb;
	w->arg = arg;
	return w;
}

void import_watch_note(struct import_watch *w,
		       const struct vfs_import_progress *p)
{
	atomic_store(&w->stage, p->stage);
	atomic_store(&w->n, p->n);
	atomic_store(&w->total, p->total);
	atomic_store(&w->bytes, p->bytes);
	(void)uv_async_send(&w->wake);
}

static void import_watch_on_closed(uv_handle_t *h)
{
	free(h->data);
}

void import_watch_free(struct import_watch *w)
{
	if (w != NULL)
		uv_close((uv_handle_t *)&w->wake, import_watch_on_closed);
}
