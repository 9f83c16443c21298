// SPDX-License-Identifier: Apache-2.0
/*
 * link_watch.c - Is a guest of which something is expected there at all?
 *
 * Something is: a call is on its way or a stream open, or the owner says so
 * (link_events.expects).  While that is so, a timer looks whether anything came
 * from the guest since it last did.  After QUIET_TICKS without it the guest is
 * sent a PING, which its HTTP/2 answers as long as its loop turns, whatever it
 * is busy with.  After DEAF_TICKS it is deaf: the owner is told, what was asked
 * ends with guest_unreachable, and the channel is made anew, for which a guest
 * has LINK_LOST_MS as ever.
 *
 * One of which nothing is expected costs nothing, and one that is paused owes
 * nothing but the answer to its thaw.  Where the owner knows why a guest is
 * silent, it is waited for.
 *
 * Ticks are counted, not time: to a hibd that was itself stopped for a while one
 * tick is due, and what has come meanwhile is read before the next.
 */
#include "core/log.h"
#include "host/daemon/link_impl.h"

#define LOG_COMPONENT "link"
#define QUIET_TICKS   3
#define DEAF_TICKS    9

static bool is_expecting(struct link *l)
{
	if (l->state != LINK_UP)
		return false;
	if (l->paused)
		return l->thawing;
	if (h2_streams(l->h2) > 1) /* Than the event stream. */
		return true;
	return l->ev->expects != NULL && l->ev->expects(l, l->arg);
}

static void link_deaf(struct link *l)
{
	uint64_t silent_ms = DEAF_TICKS * l->tick_ms;

	log_warn("%s: the guest has been silent for %llu ms", l->vm,
		 (unsigned long long)silent_ms);
	if (l->ev->deaf == NULL || l->ev->deaf(l, silent_ms, l->arg))
		link_lost(l, "the guest does not answer");
	else
		l->silent = 0;
}

/* What comes of the ping is that something comes. */
static void watch_on_pong(struct h2 *c, int64_t ns, void *arg)
{
	(void)c;
	(void)ns;
	(void)arg;
}

static void watch_on_tick(uv_timer_t *t)
{
	struct link *l = t->data;
	uint64_t heard;

	if (!is_expecting(l)) {
		uv_timer_stop(t);
		return;
	}
	heard = h2_received(l->h2);
	if (heard != l->heard) {
		l->heard = heard;
		l->silent = 0;
		return;
	}
	l->silent++;
	if (l->silent == QUIET_TICKS)
		(void)h2_ping(l->h2, watch_on_pong, NULL);
	if (l->silent == DEAF_TICKS)
		link_deaf(l);
}

void link_watch(struct link *l)
{
	if (l->state != LINK_UP || uv_is_active((uv_handle_t *)&l->watch))
		return;
	l->heard = h2_received(l->h2);
	l->silent = 0;
	uv_timer_start(&l->watch, watch_on_tick, l->tick_ms, l->tick_ms);
}
