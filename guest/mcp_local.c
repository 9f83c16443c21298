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
#include "guest/errtail.h"
#include "guest/launch.h"
#include "mcp/client.h"
#include "mcp/wire.h"

#define LOG_COMPONENT "mcp"
#define LINE_KEEP     (64u << 10) /* Bytes of the buffer for a message. */

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
	struct upstream up;
	struct mcp_place place;
	enum local_phase phase;
	struct proc *proc;	   /* NULL: none. */
	struct mcp_client *client; /* The same. */
	struct mcp_wire wire;
	struct jw line;	  /* A message on its way out. */
	enum mcp_era era; /* That it is known to speak. */
	bool was_ready;
	bool has_tools;			/* It says so. */
	bool listing, list_again;	/* Its tools. */
	bool mute;			/* Its stdout is at its end. */
	bool freed;			/* Only handles are left. */
	struct err why;			/* What is wrong with it; or nothing. */
	struct errtail said;		/* On stderr. */
	uint64_t started_ms, used_ms;	/* By the loop's clock. */
	uint64_t ends_ms[MCP_ENDS_MAX]; /* Its last ends by itself. */
	unsigned n_ends;		/* In all. */
	uv_timer_t timer, idle;
	unsigned open; /* Handles. */
};

static struct mcp_local *local_of(struct upstream *u)
{
	return container_of(u, struct mcp_local, up);
}

static uint64_t now_of(const struct mcp_local *l)
{
	return uv_now(l->place.loop);
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
	if (u->state == UPSTREAM_READY)
		upstream_stopping(u);
	proc_close_stdin(l->proc);
	step(l, LOCAL_EOF, MCP_END_STEP_MS);
}

/* Not used for as long as it may be. */
static void local_on_idle(uv_timer_t *t)
{
	struct mcp_local *l = container_of(t, struct mcp_local, idle);
	uint64_t max = (uint64_t)l->up.spec->idle_ms;
	uint64_t idle = l->up.n_calls > 0 ? 0 : now_of(l) - l->used_ms;

	if (idle >= max)
		local_stop(&l->up);
	else
		uv_timer_start(t, local_on_idle, max - idle, 0);
}

/*
 * Requests.
 */

static const char *describe(const struct mcp_local *l, int status)
{
	switch (status) {
	case -ETIMEDOUT:
		return "it did not answer in time";
	case -EPROTO:
		return "its answer makes no sense";
	case -ELOOP:
		return "it asked back too often";
	case -E2BIG:
		return "its list is too long";
	default:
		return l->why.code != 0 ? l->why.msg : "it has ended";
	}
}

static void end_call(struct upstream_call *c, struct upstream_answer *a)
{
	struct mcp_local *l = local_of(c->upstream);

	l->used_ms = now_of(l);
	if (a->status != 0 && a->status != -EREMOTEIO)
		a->why = describe(l, a->status);
	upstream_end_call(c, a);
}

static void local_on_answer(const struct mcp_answer *m, void *arg)
{
	struct upstream_answer a = {m->status, m->result, m->error, NULL};

	end_call(arg, &a);
}

static void local_on_list(const struct mcp_list *m, void *arg)
{
	struct upstream_answer a = {m->status, {.i = -1}, m->error, NULL};
	autojson struct json j = {0};
	struct err e = {0};

	if (m->status == 0) {
		a.status = json_parse(&j, m->items, m->len, &e);
		a.result = json_root(&j);
	}
	end_call(arg, &a);
}

static void local_on_progress(struct jv params, void *arg)
{
	struct upstream_call *c = arg;

	if (!c->forgotten)
		c->q.progress(params, c->q.arg);
}

static int64_t request(struct mcp_local *l, struct upstream_call *c)
{
	const struct upstream_request *q = &c->q;

	if (q->list != NULL)
		return mcp_client_list(l->client, q->list,
				       (uint64_t)q->timeout_ms, local_on_list,
				       c);
	return mcp_client_request(
		l->client,
		&(struct mcp_request_spec){
			.method = q->method,
			.params = q->params,
			.timeout_ms = (uint64_t)q->timeout_ms,
			.max_ms = (uint64_t)q->max_ms,
			.pass_input_required = q->pass_input_required,
			.progress =
				q->progress != NULL ? local_on_progress : NULL,
			.done = local_on_answer,
			.arg = c,
		});
}

static int local_send(struct upstream *u, struct upstream_call *c,
		      struct err *e)
{
	struct mcp_local *l = local_of(u);
	int64_t r = request(l, c);

	if (r < 0)
		return err_set(e, (int)r, "mcp server %s: %s", u->spec->name,
			       r == -EINVAL ? "the params are no object"
					    : strerror((int)-r));
	c->id = r;
	return 0;
}

/* A list has no handle; nobody hears of its end. */
static void local_cancel(struct upstream *u, struct upstream_call *c,
			 const char *reason)
{
	if (c->id > 0)
		mcp_client_cancel(local_of(u)->client, c->id, reason);
}

static void local_notify(struct upstream *u, const char *method,
			 const char *params)
{
	(void)mcp_client_notify(local_of(u)->client, method, params);
}

static void local_reply(struct upstream *u, int64_t id, const char *result,
			int code, const char *message, const char *data)
{
	struct mcp_client *c = local_of(u)->client;

	if (result != NULL)
		(void)mcp_client_reply(c, id, result);
	else
		(void)mcp_client_reply_error(c, id, code, message, data);
}

/*
 * Tools.
 */

static void list_tools(struct mcp_local *l);

/* Here they are; the first time that makes it ready. */
static void take_tools(struct mcp_local *l, const char *json, size_t len)
{
	if (l->up.state == UPSTREAM_STARTING) {
		uv_timer_stop(&l->timer);
		l->was_ready = true;
		l->used_ms = now_of(l);
		l->up.ready_ms = l->used_ms - l->started_ms;
		if (l->up.spec->idle_ms > 0)
			uv_timer_start(&l->idle, local_on_idle,
				       (uint64_t)l->up.spec->idle_ms, 0);
	}
	upstream_tools(&l->up, json, len);
}

static void local_on_tools(const struct mcp_list *m, void *arg)
{
	struct mcp_local *l = arg;
	bool starting = l->up.state == UPSTREAM_STARTING;

	l->listing = false;
	if (l->freed || l->phase != LOCAL_RUNNING)
		return;
	if (m->truncated)
		log_warn("%s: has more pages of tools than are read",
			 l->up.spec->name);
	if (m->status == 0)
		take_tools(l, m->items, m->len);
	else if (m->status == -EREMOTEIO && starting)
		take_tools(l, NULL, 0);
	else if (starting)
		give_up(l, "its tools cannot be listed");
	if (l->list_again && l->phase == LOCAL_RUNNING)
		list_tools(l);
}

static void list_tools(struct mcp_local *l)
{
	l->list_again = l->listing;
	if (l->listing)
		return;
	l->listing = mcp_client_list(l->client, "tools",
				     (uint64_t)l->up.spec->startup_ms,
				     local_on_tools, l) >= 0;
	if (!l->listing && l->up.state == UPSTREAM_STARTING)
		give_up(l, "its tools cannot be listed");
}

static void local_list_tools(struct upstream *u)
{
	struct mcp_local *l = local_of(u);

	if (l->has_tools)
		list_tools(l);
	else
		take_tools(l, NULL, 0);
}

/*
 * What it says.
 */

static void local_on_send(const char *msg, size_t len, void *arg)
{
	struct mcp_local *l = arg;

	if (l->phase != LOCAL_RUNNING)
		return;
	jw_reset(&l->line);
	jw_lit(&l->line, msg, len);
	jw_lit(&l->line, "\n", 1);
	if (l->line.failed || proc_write(l->proc, l->line.buf, l->line.len) < 0)
		give_up(l, "it does not read its stdin");
	if (l->line.cap > LINE_KEEP)
		jw_done(&l->line);
}

static bool says_tools(const char *capabilities)
{
	autojson struct json j = {0};

	return json_parse(&j, capabilities, strlen(capabilities), NULL) == 0 &&
	       jv_is(jv_get(json_root(&j), "tools"), JV_OBJECT);
}

static char *copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static void local_on_ready(struct mcp_client *c, void *arg)
{
	const struct mcp_server_facts *f = mcp_client_facts(c);
	struct mcp_local *l = arg;
	struct upstream_info info = {
		.modern = f->era == MCP_ERA_MODERN,
		.server = copy(f->info),
		.capabilities = copy(f->capabilities),
		.instructions = copy(f->instructions),
	};

	if (l->phase != LOCAL_RUNNING)
		goto unused;
	if (info.server == NULL || info.capabilities == NULL) {
		give_up(l, "there is no memory for it");
		goto unused;
	}
	snprintf(info.version, sizeof(info.version), "%s", f->version);
	l->era = f->certain ? f->era : MCP_ERA_UNKNOWN;
	l->has_tools = says_tools(f->capabilities);
	upstream_shook_hands(&l->up, &info);
	return;
unused:
	upstream_info_done(&info);
}

static void local_on_failed(struct mcp_client *c, const struct err *e,
			    void *arg)
{
	struct mcp_local *l = arg;

	(void)c;
	l->era = MCP_ERA_UNKNOWN;
	give_up(l, e->msg);
}

static struct upstream_call *call_of(struct mcp_local *l, int64_t handle)
{
	struct upstream_call *c;

	TAILQ_FOREACH (c, &l->up.calls, link)
		if (c->sent && c->id == handle && handle > 0)
			break;
	return c;
}

static void local_on_question(struct mcp_client *c,
			      const struct mcp_question *m, void *arg)
{
	struct mcp_local *l = arg;
	const struct upstream_question q = {
		.id = m->id,
		.call = call_of(l, m->handle),
		.method = m->method,
		.params = m->params,
	};

	(void)c;
	upstream_question(&l->up, &q);
}

static void local_on_question_gone(struct mcp_client *c, int64_t id, void *arg)
{
	struct mcp_local *l = arg;

	(void)c;
	upstream_question_gone(&l->up, id);
}

static void local_on_list_changed(struct mcp_client *c, const char *kind,
				  void *arg)
{
	struct mcp_local *l = arg;

	(void)c;
	upstream_list_changed(&l->up, kind);
}

static void local_on_notify(struct mcp_client *c, const struct rpc_msg *m,
			    void *arg)
{
	struct mcp_local *l = arg;

	(void)c;
	upstream_tell(&l->up, m);
}

static const struct mcp_client_events client_events = {
	.send = local_on_send,
	.ready = local_on_ready,
	.failed = local_on_failed,
	.request = local_on_question,
	.request_gone = local_on_question_gone,
	.list_changed = local_on_list_changed,
	.notify = local_on_notify,
};

static void local_on_message(const struct rpc_msg *m, void *arg)
{
	struct mcp_local *l = arg;

	if (l->client != NULL)
		mcp_client_message(l->client, m);
}

/* A banner, or the reason why it does not run: kept with its last words. */
static void local_on_dropped(enum mcp_drop why, const char *line, size_t len,
			     void *arg)
{
	struct mcp_local *l = arg;

	log_debug("%s: %zu bytes on stdout are no message", l->up.spec->name,
		  len);
	if (why == MCP_DROP_JUNK)
		errtail_keep(&l->said, line, len);
}

static const struct mcp_wire_ops wire_ops = {
	.message = local_on_message,
	.dropped = local_on_dropped,
};

/*
 * The process.
 */

static int start_client(struct mcp_local *l, struct err *e)
{
	const struct mcp_client_opts opts = {
		.era = l->era,
		.capabilities = l->place.capabilities,
		.start_timeout_ms = (uint64_t)l->up.spec->startup_ms,
		.listen = true,
	};
	int r = mcp_client_new(l->place.loop, &opts, &client_events, l,
			       &l->client);

	if (r == 0)
		r = mcp_client_start(l->client);
	return r < 0 ? err_set(e, r, "client: %s", strerror(-r)) : 0;
}

/* Only now, so that its pid is known when it is ready, and the era is not asked
 * for before it can answer. */
static void local_on_started(struct proc *p, void *arg)
{
	struct mcp_local *l = arg;
	struct err e = {0};

	l->up.pid = proc_pid(p);
	if (l->phase == LOCAL_RUNNING && start_client(l, &e) < 0)
		give_up(l, e.msg);
}

static void local_on_bytes(struct proc *p, char *data, size_t n, void *arg)
{
	struct mcp_local *l = arg;

	(void)p;
	if (mcp_wire_feed(&l->wire, data, n) == -ENOMEM)
		give_up(l, "there is no memory for what it says");
}

static void local_on_err_line(struct proc *p, char *line, size_t len, void *arg)
{
	struct mcp_local *l = arg;

	(void)p;
	errtail_keep(&l->said, line, len);
	if (errtail_passes(&l->said, now_of(l)))
		upstream_said(&l->up, line,
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
	struct mcp_client *c = take_ptr(l->client);

	l->proc = NULL;
	l->phase = LOCAL_NONE;
	l->listing = l->list_again = false;
	uv_timer_stop(&l->timer);
	uv_timer_stop(&l->idle);
	if (l->said.n_dropped > 0)
		upstream_said(&l->up, "", 0, errtail_dropped(&l->said));
	if (c != NULL)
		mcp_client_lost(c);
	mcp_client_free(c);
	mcp_wire_done(&l->wire);
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
	if (l->up.state == UPSTREAM_READY && end->expected)
		upstream_stopping(&l->up);
	if (l->up.state == UPSTREAM_STARTING)
		upstream_failed(&l->up, end, next);
	else
		upstream_exited(&l->up, end, next);
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
	const struct mcp_spec *s = l->up.spec;
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
	mcp_wire_init(&l->wire, &wire_ops, l);
	step(l, LOCAL_RUNNING, (uint64_t)l->up.spec->startup_ms);
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
		upstream_starting(&l->up);
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
	mcp_wire_done(&l->wire);
	jw_done(&l->line);
	free(l);
}

static void local_free(struct upstream *u)
{
	struct mcp_local *l = local_of(u);
	struct upstream_call *c;

	l->freed = true;
	l->phase = LOCAL_NONE;
	TAILQ_FOREACH (c, &u->calls, link)
		c->forgotten = true;
	if (l->proc != NULL) {
		mcp_wire_stop(&l->wire);
		proc_abandon(take_ptr(l->proc));
	}
	mcp_client_free(take_ptr(l->client));
	upstream_done(u);
	uv_close((uv_handle_t *)&l->timer, local_on_closed);
	uv_close((uv_handle_t *)&l->idle, local_on_closed);
}

static const struct upstream_ops local_ops = {
	.start = local_start,
	.stop = local_stop,
	.send = local_send,
	.cancel = local_cancel,
	.notify = local_notify,
	.reply = local_reply,
	.list_tools = local_list_tools,
	.free = local_free,
};

struct upstream *mcp_local_new(const struct mcp_place *place,
			       const struct mcp_spec *spec)
{
	struct mcp_local *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	upstream_init(&l->up, spec, &local_ops);
	l->place = *place;
	l->said.burst = MCP_STDERR_BURST;
	l->said.window_ms = MCP_STDERR_MS;
	uv_timer_init(place->loop, &l->timer);
	uv_timer_init(place->loop, &l->idle);
	l->timer.data = l->idle.data = l;
	l->open = 2;
	return &l->up;
}
