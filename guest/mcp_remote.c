// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_remote.c - An MCP server somewhere else, reached by the host
 *
 *	NONE     no conversation
 *	UNBORN   none, as it could not be begun; the timer tells so
 *	TALKING  from its begin to its end by itself; the timer bounds its start
 *	BROKEN   it was broken off; the timer tells so
 *	ENDING   asked to end; the timer breaks it off
 */
#include "guest/mcp_remote.h"

#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/loop.h"
#include "guest/hostline.h"
#include "guest/limits.h"
#include "guest/mcp_talk.h"

enum remote_phase {
	REMOTE_NONE,
	REMOTE_UNBORN,
	REMOTE_TALKING,
	REMOTE_BROKEN,
	REMOTE_ENDING,
};

struct mcp_remote {
	struct mcp_talk talk;
	struct mcp_remote_place place;
	enum remote_phase phase;
	struct hostline *line; /* NULL: none. */
	struct err why;	       /* What is wrong with it; or nothing. */
	uint64_t started_ms;
	uv_timer_t timer;
};

static struct mcp_remote *remote_of(struct upstream *u)
{
	return container_of(u, struct mcp_remote, talk.up);
}

static struct mcp_remote *remote_of_talk(struct mcp_talk *t)
{
	return container_of(t, struct mcp_remote, talk);
}

static void remote_on_timer(uv_timer_t *t);

static void step(struct mcp_remote *r, enum remote_phase next, uint64_t ms)
{
	r->phase = next;
	uv_timer_start(&r->timer, remote_on_timer, ms, 0);
}

/*
 * The end.
 */

/* There is no conversation any more: tell what became of it. */
static void ended(struct mcp_remote *r)
{
	bool expected = r->phase == REMOTE_ENDING;
	enum upstream_state next = expected ? UPSTREAM_OFF : UPSTREAM_DOWN;
	const struct upstream_end end = {.why = r->why, .expected = expected};

	r->phase = REMOTE_NONE;
	uv_timer_stop(&r->timer);
	mcp_talk_lost(&r->talk, r->why.code != 0 ? r->why.msg : NULL);
	if (r->talk.up.state == UPSTREAM_STARTING)
		upstream_failed(&r->talk.up, &end, next);
	else
		upstream_exited(&r->talk.up, &end, next);
}

static void break_off(struct mcp_remote *r)
{
	if (r->line != NULL)
		hostline_drop(take_ptr(r->line));
}

/* It is of no use any more.  Told by the timer: this may be the call of somebody
 * who asks. */
static void give_up(struct mcp_remote *r, const char *why)
{
	if (r->phase != REMOTE_TALKING)
		return;
	err_set(&r->why, -EPIPE, "%s", why);
	mcp_talk_hush(&r->talk);
	break_off(r);
	step(r, REMOTE_BROKEN, 0);
}

static void remote_stop(struct upstream *u)
{
	struct mcp_remote *r = remote_of(u);

	if (r->phase != REMOTE_TALKING)
		return;
	mcp_talk_hush(&r->talk);
	if (u->state == UPSTREAM_READY)
		upstream_stopping(u);
	hostline_fin(r->line);
	step(r, REMOTE_ENDING, MCP_END_STEP_MS);
}

static void remote_on_timer(uv_timer_t *t)
{
	struct mcp_remote *r = container_of(t, struct mcp_remote, timer);

	if (r->phase == REMOTE_TALKING) {
		give_up(r, "it was not ready in time");
		return;
	}
	break_off(r);
	ended(r);
}

/*
 * What is said.
 */

static int remote_write(struct mcp_talk *t, const char *line, size_t len)
{
	return hostline_write(remote_of_talk(t)->line, line, len);
}

static void remote_broken(struct mcp_talk *t, const char *why)
{
	give_up(remote_of_talk(t), why);
}

static void remote_ready(struct mcp_talk *t)
{
	struct mcp_remote *r = remote_of_talk(t);

	uv_timer_stop(&r->timer);
	t->up.ready_ms = loop_now(r->place.loop) - r->started_ms;
}

static const struct mcp_talk_ops talk_ops = {
	.write = remote_write,
	.broken = remote_broken,
	.ready = remote_ready,
};

static void line_on_data(char *data, size_t n, void *arg)
{
	struct mcp_remote *r = arg;

	if (mcp_talk_feed(&r->talk, data, n) < 0)
		give_up(r, "there is no memory for what it says");
}

static void line_on_ended(const struct err *e, void *arg)
{
	struct mcp_remote *r = arg;

	r->line = NULL;
	if (r->phase == REMOTE_TALKING && e != NULL)
		r->why = *e;
	else if (r->phase == REMOTE_TALKING)
		err_set(&r->why, -EPIPE, "the host has ended the conversation");
	ended(r);
}

static const struct hostline_events line_events = {line_on_data, line_on_ended};

/*
 * The begin.
 */

static int begin(struct mcp_remote *r, struct err *e)
{
	char path[ID_MAX + MCP_NAME_MAX + sizeof("/mcp//")];

	if (r->place.ws == NULL)
		return err_set(e, -FAULT_GUEST_UNREACHABLE,
			       "there is no way to the host");
	snprintf(path, sizeof(path), "/mcp/%s/%s", r->place.session,
		 r->talk.up.spec->name);
	r->line = hostline_open(&(struct hostline_spec){
		.ws = r->place.ws,
		.home = r->place.loop,
		.path = path,
		.ev = &line_events,
		.arg = r,
	});
	if (r->line == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

static int remote_start(struct upstream *u, struct err *e)
{
	struct mcp_remote *r = remote_of(u);

	(void)e;
	r->why = (struct err){0};
	r->started_ms = loop_now(r->place.loop);
	upstream_starting(u);
	mcp_talk_open(&r->talk);
	if (begin(r, &r->why) < 0) {
		step(r, REMOTE_UNBORN, 0);
		return 0;
	}
	step(r, REMOTE_TALKING, (uint64_t)u->spec->startup_ms);
	if (mcp_talk_start(&r->talk, r->place.capabilities, &r->why) < 0)
		give_up(r, "there is no memory for it");
	return 0;
}

/*
 * The object.
 */

static void remote_on_closed(uv_handle_t *h)
{
	struct mcp_remote *r = container_of(h, struct mcp_remote, timer);

	mcp_talk_done(&r->talk);
	free(r);
}

static void remote_free(struct upstream *u)
{
	struct mcp_remote *r = remote_of(u);

	r->phase = REMOTE_NONE;
	break_off(r);
	mcp_talk_free(&r->talk);
	uv_close((uv_handle_t *)&r->timer, remote_on_closed);
}

static const struct upstream_ops ops = {
	.start = remote_start,
	.stop = remote_stop,
	.send = mcp_talk_send,
	.cancel = mcp_talk_cancel,
	.notify = mcp_talk_notify,
	.reply = mcp_talk_reply,
	.list_tools = mcp_talk_list_tools,
	.free = remote_free,
};

struct upstream *mcp_remote_new(const struct mcp_remote_place *place,
				const struct mcp_spec *spec)
{
	struct mcp_remote *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->place = *place;
	mcp_talk_init(&r->talk, place->loop, spec, &ops, &talk_ops);
	uv_timer_init(place->loop, &r->timer);
	return &r->talk.up;
}
