// SPDX-License-Identifier: Apache-2.0
/*
 * fetch.c - Ask a source, for a bounded time
 *
 * All requests have the same time from their making, so both lists are ordered
 * by deadline and one timer, for the first of each, is enough.  A request that
 * has ended before its answer stays, without its fetch, until the source has
 * called back.
 */
#include "vfs/fetch.h"

#include <assert.h>

struct ask {
	TAILQ_ENTRY(ask) link;
	struct fetch *f; /* NULL: nobody waits for the answer any more. */
	struct vfs_oid oid;
	bool is_tree;
	uint64_t off;
	size_t len;
	uint64_t deadline; /* uv_now() */
	vfs_bytes_cb cb;
	void *arg;
};

static void on_answer(int status, const char *data, size_t n, void *arg);

static void set_timer(struct fetch *f);

static void send_ask(struct fetch *f, struct ask *a)
{
	TAILQ_INSERT_TAIL(&f->sent, a, link);
	f->n_sent++;
	if (a->is_tree) {
		f->trees++;
		f->ops->tree(f->source, &a->oid, on_answer, a);
	} else {
		f->blobs++;
		f->ops->blob(f->source, &a->oid, a->off, a->len, on_answer, a);
	}
}

static void send_next(struct fetch *f)
{
	struct ask *a;

	while (f->n_sent < LOWER_ASKS_MAX &&
	       (a = TAILQ_FIRST(&f->waiting)) != NULL) {
		TAILQ_REMOVE(&f->waiting, a, link);
		send_ask(f, a);
	}
}

static void on_answer(int status, const char *data, size_t n, void *arg)
{
	struct ask *a = arg;
	struct fetch *f = a->f;

	if (f != NULL) {
		TAILQ_REMOVE(&f->sent, a, link);
		f->n_sent--;
		a->cb(status, data, n, a->arg);
		send_next(f);
		set_timer(f);
	}
	free(a);
}

static void give_up(struct fetch *f, struct ask *a, int status)
{
	TAILQ_REMOVE(&f->sent, a, link);
	f->n_sent--;
	a->f = NULL;
	a->cb(status, NULL, 0, a->arg);
}

static void give_up_waiting(struct fetch *f, struct ask *a, int status)
{
	TAILQ_REMOVE(&f->waiting, a, link);
	a->cb(status, NULL, 0, a->arg);
	free(a);
}

static void on_timer(uv_timer_t *timer)
{
	struct fetch *f = container_of(timer, struct fetch, timer);
	uint64_t now = uv_now(f->loop);
	struct ask *a;

	while ((a = TAILQ_FIRST(&f->sent)) != NULL && a->deadline <= now)
		give_up(f, a, -ETIMEDOUT);
	while ((a = TAILQ_FIRST(&f->waiting)) != NULL && a->deadline <= now)
		give_up_waiting(f, a, -ETIMEDOUT);
	send_next(f);
	set_timer(f);
}

/* What was sent is older than what waits. */
static void set_timer(struct fetch *f)
{
	const struct ask *a = TAILQ_FIRST(&f->sent);
	uint64_t now = uv_now(f->loop);

	if (a == NULL)
		(void)uv_timer_stop(&f->timer);
	else if (!uv_is_active((const uv_handle_t *)&f->timer))
		(void)uv_timer_start(&f->timer, on_timer,
				     a->deadline > now ? a->deadline - now : 0,
				     0);
}

int fetch_init(struct fetch *f, uv_loop_t *loop,
	       const struct vfs_lower_spec *spec)
{
	*f = (struct fetch){
		.loop = loop,
		.ops = spec->ops,
		.source = spec->source,
		.deadline_ms = spec->deadline_ms > 0 ? spec->deadline_ms
						     : LOWER_DEADLINE_MS,
	};
	TAILQ_INIT(&f->sent);
	TAILQ_INIT(&f->waiting);
	return uv_timer_init(loop, &f->timer);
}

static void on_closed(uv_handle_t *timer)
{
	struct fetch *f =
		container_of((uv_timer_t *)timer, struct fetch, timer);

	f->closed(f->arg);
}

void fetch_close(struct fetch *f, void (*closed)(void *arg), void *arg)
{
	struct ask *a;

	while ((a = TAILQ_FIRST(&f->waiting)) != NULL)
		give_up_waiting(f, a, -ECANCELED);
	while ((a = TAILQ_FIRST(&f->sent)) != NULL)
		give_up(f, a, -ECANCELED);
	f->closed = closed;
	f->arg = arg;
	uv_close((uv_handle_t *)&f->timer, on_closed);
}

static int ask(struct fetch *f, const struct ask *what)
{
	struct ask *a = malloc(sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	*a = *what;
	a->f = f;
	a->deadline = uv_now(f->loop) + f->deadline_ms;
	TAILQ_INSERT_TAIL(&f->waiting, a, link);
	send_next(f);
	set_timer(f);
	return 0;
}

int fetch_tree(struct fetch *f, const struct vfs_oid *oid, vfs_bytes_cb cb,
	       void *arg)
{
	const struct ask a = {
		.oid = *oid, .is_tree = true, .cb = cb, .arg = arg};

	return ask(f, &a);
}

int fetch_blob(struct fetch *f, const struct vfs_oid *oid, uint64_t off,
	       size_t len, vfs_bytes_cb cb, void *arg)
{
	const struct ask a = {
		.oid = *oid, .off = off, .len = len, .cb = cb, .arg = arg};

	assert(len > 0 && len <= LOWER_CHUNK);
	return ask(f, &a);
}
