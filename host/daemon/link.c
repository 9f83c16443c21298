// SPDX-License-Identifier: Apache-2.0
/*
 * link.c - hibd's end of the guest channel of one machine: the connection
 *
 * The path from connect to UP is a chain of exchanges, each begun by the end of
 * the one before:
 *
 *	hello   what the guest has of each session
 *	feed    what it lacks: events that the host wrote while the VM was off,
 *		or that a lost disk took with it (skipped when nothing is
 *		missing or the guest was started already)
 *	start   the guest reconciles and begins to serve
 *	sync    events up, acknowledgements down, for ever
 *
 * A guest that is paused is thawed between two hellos; or not, then sync follows
 * the first one at once.
 *
 * The connection is made, and made again, by a dialer.
 *
 * A guest that hibd cannot follow is not helped by trying for ever: resyncs
 * without progress are counted, and past a bound the link fails.
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/link_impl.h"

#define LOG_COMPONENT	 "link"
#define RESYNCS_MAX	 5 /* In RESYNC_WINDOW_MS. */
#define RESYNC_WINDOW_MS 60000
#define STEADY_MS	 1000 /* Up for so long, it is worth a quick return. */

/* --- ends --------------------------------------------------------------- */

void link_fail(struct link *l, const struct err *e)
{
	if (!l->closed)
		l->ev->failed(l, e, l->arg);
}

/* Drop the connection, if any; calls on their way end. */
static void link_drop(struct link *l)
{
	struct h2 *h2 = take_ptr(l->h2);

	l->state = LINK_DOWN;
	l->thawing = false;
	l->n_acks = 0;
	l->sync = NULL;
	mirror_feed_close(take_ptr(l->feed));
	h2_close(h2);
}

/* A guest that takes a connection, and does not get up. */
static void link_on_deadline(uv_timer_t *t)
{
	struct link *l = t->data;
	struct err e = {0};

	if (l->greeted)
		err_set(&e, -FAULT_VM_UNAVAILABLE,
			"%s: the guest did not start within %d s", l->vm,
			LINK_START_MS / 1000);
	else
		err_set(&e, -FAULT_VM_UNAVAILABLE,
			"%s: the guest did not answer within %llu ms", l->vm,
			(unsigned long long)(l->was_up ? LINK_LOST_MS
						       : l->spec.ops->wake_ms));
	link_fail(l, &e);
}

void link_expect(struct link *l, uint64_t ms)
{
	uv_timer_start(&l->deadline, link_on_deadline, ms, 0);
}

/* One that is lost as soon as it is up is come back to later and later. */
static void link_was_up(struct link *l)
{
	l->greeted = false;
	link_expect(l, LINK_LOST_MS);
	if (uv_now(l->spec.loop) - l->up_at >= STEADY_MS)
		dialer_good(l->dialer);
}

void link_lost(struct link *l, const char *why)
{
	if (l->closed)
		return;
	log_debug("%s: channel lost: %s", l->vm, why);
	if (l->state == LINK_UP)
		link_was_up(l);
	link_drop(l);
	dialer_again(l->dialer);
}

void link_resync(struct link *l, const struct err *why)
{
	if (l->closed || l->state == LINK_DOWN)
		return;
	if (uv_now(l->spec.loop) - l->resynced_at > RESYNC_WINDOW_MS) {
		l->resynced_at = uv_now(l->spec.loop);
		l->resyncs = 0;
	}
	if (++l->resyncs > RESYNCS_MAX)
		link_fail(l, why);
	else
		link_lost(l, why->msg);
}

void link_redial(struct link *l, const char *why)
{
	if (!l->closed && l->state != LINK_DOWN)
		link_lost(l, why);
}

void link_later(struct link *l, const struct err *why)
{
	if (l->closed || l->state == LINK_DOWN)
		return;
	l->full = *why;
	dialer_slow(l->dialer);
	link_lost(l, why->msg);
}

/* --- calls --------------------------------------------------------------- */

/* May this call be made? */
static bool link_takes(const struct link *l, const char *name)
{
	return link_is_up(l) ||
	       (link_is_paused(l) &&
		(strcmp(name, "freeze") == 0 || strcmp(name, "poweroff") == 0));
}

static void post_call(struct link *l, const char *folder, const char *name,
		      const char *params, const struct exchange_end *end)
{
	char path[H2_PATH_MAX];
	struct err e = {0};

	if (!link_takes(l, name)) {
		err_set(&e, -FAULT_GUEST_UNREACHABLE, "%s",
			link_is_paused(l) ? "the guest is paused"
					  : "the channel to the guest is down");
		end->cb("", 0, &e, end->arg);
		return;
	}
	snprintf(path, sizeof(path), "/%s/%s", folder, name);
	link_watch(l);
	if (exchange_post(l->h2, path, params, strlen(params), end->cb,
			  end->arg) < 0) {
		err_set(&e, -ENOMEM, "%s: out of memory", name);
		end->cb("", 0, &e, end->arg);
	}
}

void link_call(struct link *l, const char *method, const char *params,
	       link_done_cb cb, void *arg)
{
	post_call(l, "call", method, params, &(struct exchange_end){cb, arg});
}

void link_files(struct link *l, const char *name, const char *params,
		link_done_cb cb, void *arg)
{
	post_call(l, "fs", name, params, &(struct exchange_end){cb, arg});
}

struct h2_stream *link_stream(struct link *l, const char *path,
			      const char *body, size_t len, bool more,
			      const struct h2_stream_events *ev, void *arg)
{
	if (!link_is_up(l))
		return NULL;
	link_watch(l);
	return h2_request(l->h2, "POST", path, body, len, more, ev, arg);
}

struct h2_stream *link_files_stream(struct link *l, const char *name,
				    const char *body, size_t len, bool more,
				    const struct h2_stream_events *ev,
				    void *arg)
{
	char path[H2_PATH_MAX];

	snprintf(path, sizeof(path), "/fs/%s", name);
	return link_stream(l, path, body, len, more, ev, arg);
}

/* --- connection --------------------------------------------------------- */

static void link_on_h2_request(struct h2_stream *s, const char *method,
			       const char *path, void *arg)
{
	(void)s, (void)method, (void)path, (void)arg;
}

static void link_on_h2_closed(struct h2 *c, int r, void *arg)
{
	struct link *l = arg;

	if (l->h2 == c)
		link_lost(l, r < 0 ? strerror(-r) : "closed by the guest");
	else
		h2_close(c);
}

static const struct h2_events link_h2_events = {
	.request = link_on_h2_request,
	.closed = link_on_h2_closed,
};

static void link_on_connected(uv_stream_t *io, void *arg)
{
	struct link *l = arg;

	l->thawed = false;
	if (h2_new(io, false, &link_h2_events, l, &l->h2) == 0)
		link_hello(l);
	else
		link_lost(l, "no connection");
}

static const struct dialer_events link_dialer_events = {
	.connected = link_on_connected,
};

static void link_on_handle_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	if (--l->handles > 0)
		return;
	jw_done(&l->have);
	jw_done(&l->ahead);
	free(l->acks);
	free(l->workspace);
	free(l);
}

struct link *link_open(const struct link_spec *spec,
		       const struct link_events *ev, void *arg)
{
	const struct dialer_spec dial = {
		.loop = spec->loop,
		.ops = spec->ops,
		.machine = spec->machine,
		.dir = spec->dir,
		.name = "api",
	};
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->spec = *spec;
	l->ev = ev;
	l->arg = arg;
	l->tick_ms = spec->tick_ms > 0 ? spec->tick_ms : LINK_TICK_MS;
	snprintf(l->vm, sizeof(l->vm), "%s", spec->vm);
	if (spec->clone_of != NULL)
		snprintf(l->clone_of, sizeof(l->clone_of), "%s",
			 spec->clone_of);
	if (spec->workspace != NULL)
		l->workspace = strdup(spec->workspace);
	if (l->workspace != NULL || spec->workspace == NULL)
		l->dialer = dialer_open(&dial, &link_dialer_events, l);
	if (l->dialer == NULL) {
		free(l->workspace);
		free(l);
		return NULL;
	}
	uv_idle_init(spec->loop, &l->ack_idle);
	uv_timer_init(spec->loop, &l->deadline);
	uv_timer_init(spec->loop, &l->watch);
	l->ack_idle.data = l->deadline.data = l->watch.data = l;
	l->handles = 3;
	link_expect(l, spec->ops->wake_ms);
	return l;
}

void link_close(struct link *l)
{
	if (l == NULL)
		return;
	l->closed = true;
	link_drop(l);
	dialer_close(l->dialer);
	uv_close((uv_handle_t *)&l->ack_idle, link_on_handle_closed);
	uv_close((uv_handle_t *)&l->deadline, link_on_handle_closed);
	uv_close((uv_handle_t *)&l->watch, link_on_handle_closed);
}

bool link_is_up(const struct link *l)
{
	return l != NULL && l->state == LINK_UP && !l->paused;
}

bool link_is_paused(const struct link *l)
{
	return l != NULL && l->state == LINK_UP && l->paused;
}

const char *link_mode(const struct link *l)
{
	return l->mode;
}

bool link_can_pause(const struct link *l)
{
	return l == NULL || !l->cannot_pause;
}

const char *link_build(const struct link *l)
{
	return l->build;
}

int64_t link_upgrades(const struct link *l)
{
	return l->upgrades;
}

const char *link_boot_id(const struct link *l)
{
	return l->boot_id;
}
