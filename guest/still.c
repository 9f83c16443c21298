// SPDX-License-Identifier: Apache-2.0
/*
 * still.c - Have a loop do nothing for a while, and then go on where it was
 *
 * The loop is asked for its handles (uv_walk()), so nobody has to tell us of the
 * handles that he makes.  libuv does not say what a handle at work was started
 * with, so that is read from fields which its public header has, and has had
 * since 1.0, as private: timer_cb, poll_cb, read_cb, alloc_cb, io_watcher.pevents.
 * tests/test_still.c would tell of a change.
 *
 * A handle may be closed, and its memory be another one's, before the end.  So
 * the loop is asked again then, and one goes on only if it is there, does
 * nothing, and still is what it was.
 */
#include "guest/still.h"

#include <poll.h>
#include <string.h>

#include "core/loop.h"

static bool is_stream(const uv_handle_t *h)
{
	return h->type == UV_NAMED_PIPE || h->type == UV_TCP ||
	       h->type == UV_TTY;
}

/* What uv_poll_start() was told. */
static int poll_events(const uv_poll_t *p)
{
	static const struct {
		unsigned bit;
		int event;
	} bits[] = {
		{POLLIN, UV_READABLE},
		{POLLOUT, UV_WRITABLE},
		{POLLPRI, UV_PRIORITIZED},
		{POLLRDHUP, UV_DISCONNECT},
	};
	int events = 0;

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (p->io_watcher.pevents & bits[i].bit)
			events |= bits[i].event;
	return events;
}

static struct still_handle *add(struct still *s, uv_handle_t *h)
{
	struct still_handle *grown;

	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 64 : 2 * s->cap;

		grown = realloc(s->list, cap * sizeof(*grown));
		if (grown == NULL) {
			s->error = -ENOMEM;
			return NULL;
		}
		s->list = grown;
		s->cap = cap;
	}
	s->list[s->n] = (struct still_handle){.handle = h};
	return &s->list[s->n++];
}

static bool is_at_work(const uv_handle_t *h)
{
	if (uv_is_closing(h))
		return false;
	if (is_stream(h))
		return ((const uv_stream_t *)h)->read_cb != NULL;
	return (h->type == UV_TIMER || h->type == UV_POLL) && uv_is_active(h);
}

static void note_timer(struct still_handle *k, const uv_timer_t *t)
{
	k->was.timer.cb = t->timer_cb;
	k->was.timer.left_ms = uv_timer_get_due_in(t);
	k->was.timer.repeat_ms = uv_timer_get_repeat(t);
}

static void note_poll(struct still_handle *k, const uv_poll_t *p)
{
	k->was.poll.cb = p->poll_cb;
	k->was.poll.events = poll_events(p);
}

static void note_read(struct still_handle *k, const uv_stream_t *stream)
{
	k->was.read.cb = stream->read_cb;
	k->was.read.alloc = stream->alloc_cb;
	k->was.read.data = stream->data;
}

static void still_on_note(uv_handle_t *h, void *arg)
{
	struct still *s = arg;
	struct still_handle *k;

	if (!is_at_work(h) || s->exempt(h, s->arg))
		return;
	k = add(s, h);
	if (k == NULL)
		return;
	if (h->type == UV_TIMER)
		note_timer(k, (uv_timer_t *)h);
	else if (h->type == UV_POLL)
		note_poll(k, (uv_poll_t *)h);
	else
		note_read(k, (uv_stream_t *)h);
}

static void stop(uv_handle_t *h)
{
	if (h->type == UV_TIMER)
		(void)uv_timer_stop((uv_timer_t *)h);
	else if (h->type == UV_POLL)
		(void)uv_poll_stop((uv_poll_t *)h);
	else
		(void)uv_read_stop((uv_stream_t *)h);
}

int still_begin(struct still *s, uv_loop_t *loop,
		bool (*exempt)(const uv_handle_t *h, void *arg), void *arg)
{
	*s = (struct still){.loop = loop, .exempt = exempt, .arg = arg};
	uv_walk(loop, still_on_note, s);
	if (s->error < 0) {
		int r = s->error;

		still_done(s);
		return r;
	}
	s->since_ms = uv_now(loop);
	for (size_t i = 0; i < s->n; i++)
		stop(s->list[i].handle);
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct still_handle *x = a, *y = b;

	return (x->handle > y->handle) - (x->handle < y->handle);
}

static void go_on(uv_handle_t *h, const struct still_handle *k)
{
	uv_timer_t *t = (uv_timer_t *)h;
	uv_poll_t *p = (uv_poll_t *)h;
	uv_stream_t *stream = (uv_stream_t *)h;

	if (h->type == UV_TIMER && t->timer_cb == k->was.timer.cb)
		(void)uv_timer_start(t, k->was.timer.cb, k->was.timer.left_ms,
				     k->was.timer.repeat_ms);
	else if (h->type == UV_POLL && p->poll_cb == k->was.poll.cb)
		(void)uv_poll_start(p, k->was.poll.events, k->was.poll.cb);
	else if (is_stream(h) && h->data == k->was.read.data)
		(void)uv_read_start(stream, k->was.read.alloc, k->was.read.cb);
}

static void still_on_go(uv_handle_t *h, void *arg)
{
	const struct still *s = arg;
	const struct still_handle key = {.handle = h};
	const struct still_handle *k;

	if (s->n == 0 || uv_is_closing(h) || is_at_work(h))
		return;
	k = bsearch(&key, s->list, s->n, sizeof(key), by_address);
	if (k != NULL)
		go_on(h, k);
}

void still_end(struct still *s)
{
	uv_update_time(s->loop);
	loop_slept(s->loop, uv_now(s->loop) - s->since_ms);
	if (s->n > 0)
		qsort(s->list, s->n, sizeof(*s->list), by_address);
	uv_walk(s->loop, still_on_go, s);
	still_done(s);
}

void still_done(struct still *s)
{
	free(s->list);
	*s = (struct still){0};
}
