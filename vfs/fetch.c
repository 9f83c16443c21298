// SPDX-License-Identifier: Apache-2.0
/*
 * fetch.c - Ask a source, for a bounded time
 *
 * Both lists are ordered by deadline, so one timer, for the first of each, is
 * enough.  A request that has ended before its answer stays, without its fetch,
 * until the source has called back.
 *
 * The source has a patience of its own with a host that is away, and counts from
 * when it was asked.  So one that was made ahead, then wanted, and fails, is asked
 * once more in the time that is left.
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
	bool is_sent;
	bool ahead;	/* Nobody wants it yet. */
	bool may_retry; /* It was made ahead, and has not failed. */
	vfs_bytes_cb cb;
	void *arg;
};

static void on_answer(int status, const char *data, size_t n, void *arg);

static void set_timer(struct fetch *f);

/* Nearly all belong at the end. */
static void insert(struct ask_list *list, struct ask *a)
{
	struct ask *before = TAILQ_LAST(list, ask_list);

	while (before != NULL && before->deadline > a->deadline)
		before = TAILQ_PREV(before, ask_list, link);
	if (before == NULL)
		TAILQ_INSERT_HEAD(list, a, link);
	else
		TAILQ_INSERT_AFTER(list, before, a, link);
}

static void add_waiting(struct fetch *f, struct ask *a)
{
	a->is_sent = false;
	insert(&f->waiting, a);
}

static void remove_sent(struct fetch *f, struct ask *a)
{
	TAILQ_REMOVE(&f->sent, a, link);
	f->n_sent--;
}

static void end_ahead(struct fetch *f, struct ask *a)
{
	f->n_ahead -= a->ahead;
	a->ahead = false;
}

static void send_ask(struct fetch *f, struct ask *a)
{
	a->is_sent = true;
	insert(&f->sent, a);
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

static bool try_again(struct fetch *f, struct ask *a, int status)
{
	if (status >= 0 || status == -FAULT_FILE_NOT_FOUND || a->ahead ||
	    !a->may_retry)
		return false;
	a->may_retry = false;
	add_waiting(f, a);
	return true;
}

static void on_answer(int status, const char *data, size_t n, void *arg)
{
	struct ask *a = arg;
	struct fetch *f = a->f;

	if (f == NULL) {
		free(a);
		return;
	}
	remove_sent(f, a);
	if (!try_again(f, a, status)) {
		end_ahead(f, a);
		a->cb(status, data, n, a->arg);
		free(a);
	}
	send_next(f);
	set_timer(f);
}

static void give_up(struct fetch *f, struct ask *a, int status)
{
	remove_sent(f, a);
	end_ahead(f, a);
	a->f = NULL;
	a->cb(status, NULL, 0, a->arg);
}

static void give_up_waiting(struct fetch *f, struct ask *a, int status)
{
	TAILQ_REMOVE(&f->waiting, a, link);
	end_ahead(f, a);
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

/* The one that ends first. */
static const struct ask *first_ask(const struct fetch *f)
{
	const struct ask *sent = TAILQ_FIRST(&f->sent);
	const struct ask *waiting = TAILQ_FIRST(&f->waiting);

	if (sent == NULL || waiting == NULL)
		return sent != NULL ? sent : waiting;
	return sent->deadline <= waiting->deadline ? sent : waiting;
}

static void set_timer(struct fetch *f)
{
	const struct ask *a = first_ask(f);
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

static struct ask *ask(struct fetch *f, const struct ask *what)
{
	struct ask *a = malloc(sizeof(*a));

	if (a == NULL)
		return NULL;
	*a = *what;
	a->f = f;
	a->may_retry = a->ahead;
	a->deadline = uv_now(f->loop) + f->deadline_ms;
	f->n_ahead += a->ahead;
	add_waiting(f, a);
	send_next(f);
	set_timer(f);
	return a;
}

int fetch_tree(struct fetch *f, const struct vfs_oid *oid, vfs_bytes_cb cb,
	       void *arg)
{
	const struct ask a = {
		.oid = *oid, .is_tree = true, .cb = cb, .arg = arg};

	return ask(f, &a) != NULL ? 0 : -ENOMEM;
}

int fetch_blob(struct fetch *f, const struct vfs_oid *oid, uint64_t off,
	       size_t len, vfs_bytes_cb cb, void *arg)
{
	const struct ask a = {
		.oid = *oid, .off = off, .len = len, .cb = cb, .arg = arg};

	assert(len > 0 && len <= LOWER_CHUNK);
	return ask(f, &a) != NULL ? 0 : -ENOMEM;
}

struct ask *fetch_tree_ahead(struct fetch *f, const struct vfs_oid *oid,
			     vfs_bytes_cb cb, void *arg)
{
	const struct ask a = {.oid = *oid,
			      .is_tree = true,
			      .ahead = true,
			      .cb = cb,
			      .arg = arg};

	return ask(f, &a);
}

struct ask *fetch_blob_ahead(struct fetch *f, const struct vfs_oid *oid,
			     size_t size, vfs_bytes_cb cb, void *arg)
{
	const struct ask a = {
		.oid = *oid, .len = size, .ahead = true, .cb = cb, .arg = arg};

	assert(size > 0 && size <= LOWER_CHUNK);
	return ask(f, &a);
}

void fetch_want(struct ask *a)
{
	struct fetch *f = a->f;
	struct ask_list *list = a->is_sent ? &f->sent : &f->waiting;

	end_ahead(f, a);
	TAILQ_REMOVE(list, a, link);
	a->deadline = uv_now(f->loop) + f->deadline_ms;
	insert(list, a);
}
