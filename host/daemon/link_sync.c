// SPDX-License-Identifier: Apache-2.0
/*
 * link_sync.c - The event stream of a guest, and what is stored of it
 *
 * Events come up, acknowledgements go down, until the connection is lost.  All
 * that are due in one turn of the loop go in one line, and wait while the guest
 * does not read.
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/link_impl.h"

#define ACKS_MAX      1024	  /* Not yet sent. */
#define ACK_QUEUE_MAX (64u << 10) /* Bytes that the guest has not read. */

static void sync_on_head(struct h2_stream *s, int status, void *arg)
{
	struct link *l = arg;

	if (status != 200) {
		l->sync = NULL;
		h2_reset(s);
		link_lost(l, "sync refused");
		return;
	}
	l->state = LINK_UP;
	l->was_up = true;
	l->up_at = uv_now(l->spec.loop);
	uv_timer_stop(&l->deadline);
	link_watch(l);
	l->ev->up(l, l->arg);
}

static void sync_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct link *l = arg;
	struct err e = {0};

	if (l->sync != s)
		return;
	if (mirror_feed_data(l->feed, data, n, &e) < 0)
		link_fail(l, &e);
}

static void sync_on_end(struct h2_stream *s, int r, void *arg)
{
	struct link *l = arg;

	if (l->sync != s)
		return;
	l->sync = NULL;
	link_lost(l, r < 0 ? strerror(-r) : "sync ended");
}

static void sync_on_drained(struct h2_stream *s, void *arg)
{
	struct link *l = arg;

	(void)s;
	uv_idle_start(&l->ack_idle, link_on_ack_idle);
}

static const struct h2_stream_events sync_events = {
	.head = sync_on_head,
	.data = sync_on_data,
	.drained = sync_on_drained,
	.end = sync_on_end,
};

void link_sync(struct link *l)
{
	l->feed = mirror_feed_new(l->spec.mirror, l, l->vm);
	if (l->feed == NULL) {
		link_lost(l, "out of memory");
		return;
	}
	l->sync = h2_request(l->h2, "POST", "/sync", l->have.buf, l->have.len,
			     true, &sync_events, l);
	if (l->sync == NULL)
		link_lost(l, "out of memory");
}

void link_consume(struct link *l, size_t n)
{
	if (l->sync != NULL)
		h2_consume(l->sync, n);
}

/* What a guest does not read waits here, not on its way. */
void link_on_ack_idle(uv_idle_t *h)
{
	struct link *l = h->data;
	autojw struct jw w = {0};

	uv_idle_stop(h);
	if (l->sync == NULL || l->n_acks == 0 ||
	    h2_queued(l->sync) > ACK_QUEUE_MAX)
		return;
	jw_obj(&w);
	jw_key(&w, "ack");
	jw_obj(&w);
	for (size_t i = 0; i < l->n_acks; i++)
		jw_kint(&w, l->acks[i].session, l->acks[i].seq);
	jw_obj_end(&w);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	l->n_acks = 0;
	if (!w.failed)
		h2_write(l->sync, w.buf, w.len);
}

void link_ack(struct link *l, const char *session, int64_t seq)
{
	if (l->sync == NULL)
		return;
	for (size_t i = l->n_acks; i-- > 0;) {
		if (strcmp(l->acks[i].session, session) == 0) {
			l->acks[i].seq = seq;
			return;
		}
	}
	if (l->n_acks == ACKS_MAX)
		link_on_ack_idle(&l->ack_idle);
	if (l->n_acks == ACKS_MAX) {
		link_lost(l, "the guest does not read");
		return;
	}
	if (l->n_acks == l->cap_acks) {
		size_t cap = l->cap_acks ? l->cap_acks * 2 : 8;
		struct ack *a = reallocarray(l->acks, cap, sizeof(*a));

		/* Not acknowledged is not lost: the next sync says it. */
		if (a == NULL)
			return;
		l->acks = a;
		l->cap_acks = cap;
	}
	snprintf(l->acks[l->n_acks].session, ID_MAX, "%s", session);
	l->acks[l->n_acks++].seq = seq;
	uv_idle_start(&l->ack_idle, link_on_ack_idle);
}
