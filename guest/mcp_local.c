// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_local.c - An MCP server that is a process of ours
 *
 *	NONE     no process
 *	UNBORN   none, as it could not be started; the timer tells so
 *	PAUSE    none; the timer starts the next one
 *	RUNNING  from its start to its end by itself; the timer bounds its start
 *	EOF      asked to end: its stdin is closed
 *	TERM     and it was signalled
 *	KILL     its end is certain
 *
 * All that is told of an end is told when the process is gone, so that exit code
 * and last words are there: also of a start that has taken too long.  What is
 * wrong with a server that still runs is kept in `why` until then.
 */
#include "guest/mcp_local.h"

#include <signal.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "guest/errtail.h"
#include "guest/launch.h"
#include "guest/mcp_talk.h"

#define LOG_COMPONENT "mcp"

enum local_phase {
	LOCAL_NONE,
	LOCAL_UNBORN,
	LOCAL_PAUSE,
	LOCAL_RUNNING,
	LOCAL_EOF,
	LOCAL_TERM,
	LOCAL_KILL,
};

struct mcp_local {
	struct mcp_talk talk;
	struct mcp_place place;
	enum local_phase phase;
	struct proc *proc; /* NULL: none. */
	bool was_ready;
	bool mute;			/* Its stdout is at its end. */
	bool freed;			/* Only handles are left. */
	struct err why;			/* What is wrong with it; or nothing. */
	struct errtail said;		/* On stderr. */
	uint64_t started_ms;		/* By the loop's clock. */
	uint64_t ends_ms[MCP_ENDS_MAX]; /* Its last ends by itself. */
	unsigned n_ends;		/* In all. */
	uv_timer_t timer, idle;
	unsigned open; /* Handles. */
};

static struct mcp_local *local_of(struct upstream *u)
{
	return container_of(u, struct mcp_local, talk.up);
}

static struct mcp_local *local_of_talk(struct mcp_talk *t)
{
	return container_of(t, struct mcp_local, talk);
}

static uint64_t now_of(const struct mcp_local *l)
{
	return loop_now(l->place.loop);
}

/*
 * Ending it.
 */

static void local_on_timer(uv_timer_t *t);

static void step(struct mcp_local *l, enum local_phase next, uint64_t ms)
{
	l->phase = next;
	uv_timer_start(&l->timer, local_on_timer, ms, 0);
}

static void kill_it(struct mcp_local *l)
{
	uv_timer_stop(&l->timer);
	mcp_talk_hush(&l->talk);
	l->phase = LOCAL_KILL;
	proc_kill_all(l->proc);
}

/* It is of no use any more, though it runs. */
static void give_up(struct mcp_local *l, const char *why)
{
	if (l->phase != LOCAL_RUNNING)
		return;
	err_set(&l->why, -EPIPE, "%s", why);
	kill_it(l);
}

static void local_stop(struct upstream *u)
{
	struct mcp_local *l = local_of(u);

	if (l->phase == LOCAL_PAUSE || l->phase == LOCAL_UNBORN)
		uv_timer_stop(&l->timer);
	if (l->phase != LOCAL_RUNNING)
		return;
	uv_timer_stop(&l->idle);
	mcp_talk_hush(&l->talk);
	if (u->state == UPSTREAM_READY)
		upstream_stopping(u);
	proc_close_stdin(l->proc);
	step(l, LOCAL_EOF, MCP_END_STEP_MS);
}

/* Not used for as long as it may be. */
static void local_on_idle(uv_timer_t *t)
{
	struct mcp_local *l = container_of(t, struct mcp_local, idle);
	uint64_t max = (uint64_t)l->talk.up.spec->idle_ms;
	uint64_t idle =
		l->talk.up.n_calls > 0 ? 0 : now_of(l) - l->talk.used_ms;

	if (idle >= max)
		local_stop(&l->talk.up);
	else
		uv_timer_start(t, local_on_idle, max - idle, 0);
}

/*
 * What it is told, and says.
 */

static int local_write(struct mcp_talk *t, const char *line, size_t len)
{
	return proc_write(local_of_talk(t)->proc, line, len);
}

static void local_broken(struct mcp_talk *t, const char *why)
{
	give_up(local_of_talk(t), why);
}

static void local_ready(struct mcp_talk *t)
{
	struct mcp_local *l = local_of_talk(t);

	uv_timer_stop(&l->timer);
	l->was_ready = true;
	l->talk.up.ready_ms = now_of(l) - l->started_ms;
	if (l->talk.up.spec->idle_ms > 0)
		uv_timer_start(&l->idle, local_on_idle,
			       (uint64_t)l->talk.up.spec->idle_ms, 0);
}

/* A banner, or the reason why it does not run: kept with its last words. */
static void local_junk(struct mcp_talk *t, const char *line, size_t len)
{
	errtail_keep(&local_of_talk(t)->said, line, len);
}

static const struct mcp_talk_ops talk_ops = {
	.write = local_write,
	.broken = local_broken,
	.ready = local_ready,
	.junk = local_junk,
};

/*
 * The process.
 */

/* Only now, so that its pid is known when it is ready, and the era is not asked
 * for before it can answer. */
static void local_on_started(struct proc *p, void *arg)
{
	struct mcp_local *l = arg;
	struct err e = {0};

	l->talk.up.pid = proc_pid(p);
	if (l->phase == LOCAL_RUNNING &&
	    mcp_talk_start(&l->talk, l->place.capabilities, &e) < 0)
		give_up(l, e.msg);
}

static void local_on_bytes(struct proc *p, char *data, size_t n, void *arg)
{
	struct mcp_local *l = arg;

	(void)p;
	if (mcp_talk_feed(&l->talk, data, n) < 0)
		give_up(l, "there is no memory for what it says");
}

static void local_on_err_line(struct proc *p, char *line, size_t len, void *arg)
{
	struct mcp_local *l = arg;

	(void)p;
	errtail_keep(&l->said, line, len);
	if (errtail_passes(&l->said, now_of(l)))
		upstream_said(&l->talk.up, line,
			      len < MCP_STDERR_LINE ? len : MCP_STDERR_LINE,
			      errtail_dropped(&l->said));
}

/* Most often its end follows at once, and says more. */
static void local_on_out_ended(struct proc *p, void *arg)
{
	struct mcp_local *l = arg;

	(void)p;
	if (l->phase != LOCAL_RUNNING)
		return;
	l->mute = true;
	step(l, LOCAL_RUNNING, MCP_MUTE_MS);
}

/* Ends by itself in the last MCP_ENDS_MS. */
static unsigned recent_ends(const struct mcp_local *l)
{
	unsigned n = l->n_ends < MCP_ENDS_MAX ? l->n_ends : MCP_ENDS_MAX;
	unsigned recent = 0;

	for (unsigned i = 0; i < n; i++)
		recent += now_of(l) - l->ends_ms[i] < MCP_ENDS_MS;
	return recent;
}

static void describe_end(struct mcp_local *l, const struct proc_end *end,
			 struct upstream_end *out)
{
	out->has_process = end->failed == PROC_STEP_NONE;
	out->code = end->code;
	out->signal = end->signal;
	if (end->failed != PROC_STEP_NONE)
		out->why = end->err;
	else if (l->why.code != 0)
		out->why = l->why;
	else if (end->signal != 0)
		err_set(&out->why, -EPIPE, "it was killed by signal %d",
			end->signal);
	else
		err_set(&out->why, -EPIPE, "it exited with code %d", end->code);
	l->why = out->why;
}

/* Everything of this process goes; requests that were sent end. */
static void clear_process(struct mcp_local *l)
{
	l->proc = NULL;
	l->phase = LOCAL_NONE;
	uv_timer_stop(&l->timer);
	uv_timer_stop(&l->idle);
	if (l->said.n_dropped > 0)
		upstream_said(&l->talk.up, "", 0, errtail_dropped(&l->said));
	mcp_talk_lost(&l->talk, l->why.code != 0 ? l->why.msg : NULL);
}

/* Tell of an end, and see to what comes next. */
static void ended(struct mcp_local *l, struct upstream_end *end)
{
	enum upstream_state next = UPSTREAM_DOWN;
	autojw struct jw tail = {0};
	unsigned n;

	if (!end->expected)
		l->ends_ms[l->n_ends++ % MCP_ENDS_MAX] = now_of(l);
	n = recent_ends(l);
	errtail_write(&l->said, &tail);
	end->tail = tail.failed ? NULL : tail.buf;
	if (end->expected)
		next = UPSTREAM_OFF;
	else if (l->was_ready && end->has_process && n < MCP_ENDS_MAX)
		next = UPSTREAM_STARTING;
	if (next == UPSTREAM_STARTING)
		step(l, LOCAL_PAUSE, (uint64_t)MCP_AGAIN_MS << (n - 1));
	if (l->talk.up.state == UPSTREAM_READY && end->expected)
		upstream_stopping(&l->talk.up);
	if (l->talk.up.state == UPSTREAM_STARTING)
		upstream_failed(&l->talk.up, end, next);
	else
		upstream_exited(&l->talk.up, end, next);
}

/* We have ended it, or its session has. */
static bool is_expected(const struct mcp_local *l)
{
	if (l->phase == LOCAL_RUNNING)
		return l->place.isolate && l->place.join != NULL &&
		       proc_is_ending(l->place.join);
	return l->why.code == 0;
}

static void local_on_exit(struct proc *p, const struct proc_end *end, void *arg)
{
	struct mcp_local *l = arg;
	struct upstream_end e = {.expected = is_expected(l)};

	(void)p;
	describe_end(l, end, &e);
	clear_process(l);
	if (!l->freed)
		ended(l, &e);
}

static const struct proc_events proc_events = {
	.started = local_on_started,
	.bytes = local_on_bytes,
	.err_line = local_on_err_line,
	.out_ended = local_on_out_ended,
	.exit = local_on_exit,
};

/*
 * Starting it.
 */

static int start_process(struct mcp_local *l, struct err *e)
{
	const struct mcp_spec *s = l->talk.up.spec;
	const struct mcp_place *place = &l->place;
	const struct proc_spec spec = {
		.argv = (const char *const *)s->argv,
		.env = (const char *const *)s->env,
		.cwd = s->cwd,
		.isolate = place->isolate,
		.join = place->join,
		.hide = place->isolate && place->join == NULL ? launch_hide
							      : NULL,
		.user = place->isolate ? PROC_USER_AGENT : PROC_USER_SAME,
		.quota = place->quota,
		.want_stdin = true,
		.out = PROC_STDOUT_BYTES,
	};

	return proc_spawn(place->loop, &spec, &proc_events, l, &l->proc, e);
}

/* There is no process: told by the timer, as the end of one would be. */
static void not_started(struct mcp_local *l)
{
	struct upstream_end end = {.why = l->why};

	l->phase = LOCAL_NONE;
	ended(l, &end);
}

static void begin(struct mcp_local *l)
{
	l->why = (struct err){0};
	l->mute = false;
	errtail_reset(&l->said);
	l->started_ms = now_of(l);
	if (start_process(l, &l->why) < 0) {
		step(l, LOCAL_UNBORN, 0);
		return;
	}
	mcp_talk_open(&l->talk);
	step(l, LOCAL_RUNNING, (uint64_t)l->talk.up.spec->startup_ms);
}

static int local_start(struct upstream *u, struct err *e)
{
	struct mcp_local *l = local_of(u);

	if (recent_ends(l) == MCP_ENDS_MAX)
		return err_set(e, -EPIPE,
			       "it has ended %d times within %d s, the last "
			       "time because %s",
			       MCP_ENDS_MAX, MCP_ENDS_MS / 1000, l->why.msg);
	upstream_starting(u);
	begin(l);
	return 0;
}

static void local_on_timer(uv_timer_t *t)
{
	struct mcp_local *l = container_of(t, struct mcp_local, timer);

	switch (l->phase) {
	case LOCAL_UNBORN:
		not_started(l);
		break;
	case LOCAL_PAUSE:
		upstream_starting(&l->talk.up);
		begin(l);
		break;
	case LOCAL_RUNNING:
		give_up(l, l->mute ? "it closed its stdout"
				   : "it was not ready in time");
		break;
	case LOCAL_EOF:
		proc_kill(l->proc, -SIGTERM);
		step(l, LOCAL_TERM, MCP_END_STEP_MS);
		break;
	case LOCAL_TERM:
		kill_it(l);
		break;
	default:
		break;
	}
}

/*
 * The object.
 */

static void local_on_closed(uv_handle_t *h)
{
	struct mcp_local *l = h->data;

	if (--l->open > 0)
		return;
	mcp_talk_done(&l->talk);
	free(l);
}

static void local_free(struct upstream *u)
{
	struct mcp_local *l = local_of(u);

	l->freed = true;
	l->phase = LOCAL_NONE;
	if (l->proc != NULL)
		proc_abandon(take_ptr(l->proc));
	mcp_talk_free(&l->talk);
	uv_close((uv_handle_t *)&l->timer, local_on_closed);
	uv_close((uv_handle_t *)&l->idle, local_on_closed);
}

static const struct upstream_ops local_ops = {
	.start = local_start,
	.stop = local_stop,
	.send = mcp_talk_send,
	.cancel = mcp_talk_cancel,
	.notify = mcp_talk_notify,
	.reply = mcp_talk_reply,
	.list_tools = mcp_talk_list_tools,
	.free = local_free,
};

struct upstream *mcp_local_new(const struct mcp_place *place,
			       const struct mcp_spec *spec)
{
	struct mcp_local *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	mcp_talk_init(&l->talk, place->loop, spec, &local_ops, &talk_ops);
	l->place = *place;
	l->said.burst = MCP_STDERR_BURST;
	l->said.window_ms = MCP_STDERR_MS;
	uv_timer_init(place->loop, &l->timer);
	uv_timer_init(place->loop, &l->idle);
	l->timer.data = l->idle.data = l;
	l->open = 2;
	return &l->talk.up;
}
