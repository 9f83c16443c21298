// SPDX-License-Identifier: Apache-2.0
/*
 * exec.c - Run a program for the host, and tell what it writes
 *
 *	request --spawn--> the program runs --its end--> last line
 *
 * An exec has up to three parts that end in any order: the program, the stream,
 * and the timer; with the last of them it is gone.  A stream that ends first
 * takes the program with it, but for one that ends while the VM is paused: then
 * the host may come with another stream after the thaw.  Until it does nothing is
 * read from the program, not even its end.
 *
 * What the program writes goes to the stream as it comes.  When the stream does
 * not take it, nothing is read from the program until it does; what is kept
 * meanwhile is bounded by EXEC_SEND_MAX and one read.  A character that is cut
 * in two by a read waits for its rest, so that text stays text.
 */
#include "guest/exec.h"

#include <string.h>

#include "core/base64.h"
#include "core/loop.h"
#include "core/utf8.h"
#include "guest/agent.h"
#include "guest/call.h"
#include "guest/checkpoint.h"
#include "guest/exec_spec.h"
#include "guest/guest.h"
#include "guest/launch.h"
#include "guest/limits.h"
#include "guest/pause.h"
#include "guest/session.h"
#include "guest/shell.h"
#include "guest/tail.h"

/* One of its outputs. */
struct output {
	const char *name;
	uint64_t n_bytes;	  /* That it has written. */
	struct tail tail;	  /* To be told at the end. */
	char part[UTF8_CHAR_MAX]; /* Of a character whose rest is missing. */
	size_t n_part;
};

struct exec {
	TAILQ_ENTRY(exec) link;
	struct guest *guest;
	char id[ID_MAX];	  /* "": the host does not come back to it. */
	struct h2_stream *stream; /* NULL: nobody waits for it. */
	struct proc *proc;	  /* NULL: it does not run. */
	uv_timer_t timer;
	uint64_t ends_ms, attach_ms; /* By loop_now(), or 0: it may run until,
				      * and be without a stream until. */
	uint64_t sent;		     /* Bytes written to streams. */
	unsigned open;		     /* Of the three. */
	bool begun;		     /* The answer's head is sent. */
	bool collect;
	bool timed_out;
	bool frozen; /* Ended for the VM's sake. */
	bool kept;   /* The host has said that it comes back. */
	uint64_t started_ms;
	struct output out, err;
};

/*
 * Life.
 */

static void exec_put(struct exec *x)
{
	if (--x->open > 0)
		return;
	TAILQ_REMOVE(&x->guest->execs, x, link);
	tail_done(&x->out.tail);
	tail_done(&x->err.tail);
	free(x);
}

static void exec_on_closed(uv_handle_t *h)
{
	exec_put(container_of(h, struct exec, timer));
}

/* The program runs no more, or never did. */
static void exec_over(struct exec *x)
{
	uv_close((uv_handle_t *)&x->timer, exec_on_closed);
	x->proc = NULL;
	exec_put(x);
}

static void exec_touch(struct exec *x)
{
	if (x->guest->checkpoints != NULL)
		checkpoints_touch(x->guest->checkpoints);
}

/* What it still writes is thrown away. */
static void exec_kill(struct exec *x)
{
	if (x->proc == NULL)
		return;
	proc_kill_all(x->proc);
	proc_resume(x->proc);
}

/*
 * Lines.
 */

static bool takes_output(const struct exec *x)
{
	return x->stream != NULL && !x->frozen;
}

static void send_head(struct exec *x)
{
	if (!x->begun)
		h2_respond(x->stream, 200);
	x->begun = true;
}

static void send_line(struct exec *x, struct jw *w)
{
	jw_lit(w, "\n", 1);
	send_head(x);
	if (w->failed || h2_write(x->stream, w->buf, w->len) < 0)
		h2_reset(x->stream);
	else
		x->sent += w->len;
}

static void send_bytes(struct exec *x, const struct output *o, const char *data,
		       size_t n)
{
	autojw struct jw w = {0};

	if (n == 0)
		return;
	jw_obj(&w);
	jw_kstr(&w, "type", o->name);
	base64_kbytes(&w, "data", "data_b64", data, n);
	jw_obj_end(&w);
	send_line(x, &w);
}

/* Of the bytes at the end those that may be the beginning of a character. */
static size_t begun_character(const char *data, size_t n)
{
	size_t span = utf8_span(data, n), left = n - span;
	unsigned char first = left > 0 ? (unsigned char)data[span] : 0;

	if (left >= UTF8_CHAR_MAX || first < 0xc2 || first > 0xf4)
		return 0;
	for (size_t i = span + 1; i < n; i++)
		if (!utf8_is_tail((unsigned char)data[i]))
			return 0;
	return left;
}

/* With what waits from before. */
static void send_joined(struct exec *x, struct output *o, const char *data,
			size_t n)
{
	autofree char *all = malloc(o->n_part + n);
	size_t len = o->n_part + n, rest;

	if (all == NULL) {
		h2_reset(x->stream);
		return;
	}
	memcpy(all, o->part, o->n_part);
	memcpy(all + o->n_part, data, n);
	rest = begun_character(all, len);
	memcpy(o->part, all + len - rest, rest);
	o->n_part = rest;
	send_bytes(x, o, all, len - rest);
}

static void exec_take(struct exec *x, struct output *o, const char *data,
		      size_t n)
{
	o->n_bytes += n;
	if (!takes_output(x))
		return;
	if (x->collect) {
		tail_add(&o->tail, data, n);
		return;
	}
	send_joined(x, o, data, n);
	if (x->stream != NULL && x->proc != NULL &&
	    h2_queued(x->stream) > EXEC_SEND_MAX)
		proc_pause(x->proc);
}

static void put_output(struct jw *w, const struct output *o)
{
	bool out = strcmp(o->name, "stdout") == 0;
	size_t len;
	const char *text = tail_get(&o->tail, &len);

	base64_kbytes(w, o->name, out ? "stdout_b64" : "stderr_b64", text, len);
	jw_kbool(w, out ? "stdout_truncated" : "stderr_truncated",
		 tail_is_cut(&o->tail));
}

static void write_result(const struct exec *x, const struct proc_end *end,
			 struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "type", "result");
	jw_key(w, "result");
	jw_obj(w);
	jw_key(w, "exit");
	if (end->signal != 0)
		jw_null(w);
	else
		jw_int(w, end->failed ? shell_no_start(end) : end->code);
	shell_put_signal(w, end->signal);
	jw_kbool(w, "timed_out", x->timed_out);
	jw_kint(w, "ms", (int64_t)(loop_now(x->guest->loop) - x->started_ms));
	jw_kint(w, "stdout_bytes", (int64_t)x->out.n_bytes);
	jw_kint(w, "stderr_bytes", (int64_t)x->err.n_bytes);
	if (x->collect) {
		put_output(w, &x->out);
		put_output(w, &x->err);
	}
	jw_obj_end(w);
	jw_obj_end(w);
}

static void send_result(struct exec *x, const struct proc_end *end)
{
	autojw struct jw w = {0};

	send_bytes(x, &x->out, x->out.part, x->out.n_part);
	send_bytes(x, &x->err, x->err.part, x->err.n_part);
	write_result(x, end, &w);
	send_line(x, &w);
	h2_fin(x->stream);
}

/* As an answer, or behind what was told already. */
static void send_error(struct exec *x, const struct err *e)
{
	autojw struct jw w = {0}, object = {0};

	if (!x->begun) {
		stream_fail(x->stream, e);
		return;
	}
	err_write(e, &object);
	jw_obj(&w);
	jw_kstr(&w, "type", "error");
	jw_kraw(&w, "error", object.failed ? "null" : object.buf);
	jw_obj_end(&w);
	send_line(x, &w);
	h2_fin(x->stream);
}

/*
 * The program.
 */

static void exec_on_started(struct proc *p, void *arg)
{
	struct exec *x = arg;

	(void)p;
	if (x->stream != NULL && !x->collect)
		send_head(x);
}

static void exec_on_out(struct proc *p, char *data, size_t n, void *arg)
{
	struct exec *x = arg;

	(void)p;
	exec_take(x, &x->out, data, n);
}

static void exec_on_err(struct proc *p, const char *data, size_t n, void *arg)
{
	struct exec *x = arg;

	(void)p;
	exec_take(x, &x->err, data, n);
}

/* Did it fail to start for a reason that is not its own? */
static bool is_our_failure(const struct proc_end *end)
{
	return end->failed != PROC_STEP_NONE && end->failed != PROC_STEP_EXEC;
}

static void explain_start(struct exec *x, const struct proc_end *end)
{
	exec_take(x, &x->err, end->err.msg, strlen(end->err.msg));
	exec_take(x, &x->err, "\n", 1);
}

static void tell_end(struct exec *x, const struct proc_end *end)
{
	struct err e = {0};

	if (x->frozen) {
		err_set(&e, -FAULT_DRAINING,
			"the VM goes to sleep, the program was ended");
	} else if (is_our_failure(end)) {
		e = end->err;
		e.code = end->failed == PROC_STEP_CWD ? -FAULT_CWD_NOT_FOUND
						      : -FAULT_INTERNAL;
	}
	if (e.code < 0) {
		send_error(x, &e);
		return;
	}
	if (end->failed != PROC_STEP_NONE)
		explain_start(x, end);
	send_result(x, end);
}

static void exec_on_exit(struct proc *p, const struct proc_end *end, void *arg)
{
	struct exec *x = arg;

	(void)p;
	x->proc = NULL;
	exec_touch(x);
	if (x->stream != NULL)
		tell_end(x, end);
	exec_over(x);
}

static const struct proc_events exec_events = {
	.started = exec_on_started,
	.bytes = exec_on_out,
	.err_bytes = exec_on_err,
	.exit = exec_on_exit,
};

static void exec_on_timeout(uv_timer_t *t);

/* Wait for what is due first. */
static void exec_await(struct exec *x)
{
	uint64_t now = loop_now(x->guest->loop), due = x->ends_ms;

	if (x->attach_ms > 0 && (due == 0 || x->attach_ms < due))
		due = x->attach_ms;
	if (due > 0)
		uv_timer_start(&x->timer, exec_on_timeout,
			       due > now ? due - now : 0, 0);
	else
		uv_timer_stop(&x->timer);
}

static void exec_on_timeout(uv_timer_t *t)
{
	struct exec *x = container_of(t, struct exec, timer);
	uint64_t now = loop_now(x->guest->loop);

	if (x->proc == NULL)
		return;
	x->timed_out |= x->ends_ms > 0 && now >= x->ends_ms;
	if (x->attach_ms > 0 && now >= x->attach_ms) {
		x->kept = false;
		exec_kill(x);
	} else {
		x->ends_ms = 0;
		proc_kill_all(x->proc);
		exec_await(x);
	}
}

/*
 * The stream.
 */

/* Unless nothing is read now: what came would go out behind what the host has
 * been told of.  Then it is for execs_go_on(). */
static void exec_read_on(struct exec *x)
{
	if (x->proc != NULL && !pause_is_still(x->guest))
		proc_resume(x->proc);
}

static void exec_on_drained(struct h2_stream *s, void *arg)
{
	(void)s;
	exec_read_on(arg);
}

static void exec_on_stream_end(struct h2_stream *s, int r, void *arg)
{
	struct exec *x = arg;

	(void)s;
	(void)r;
	x->stream = NULL;
	if (x->id[0] == '\0' || x->guest->state != GUEST_PAUSED)
		exec_kill(x);
	exec_put(x);
}

static const struct h2_stream_events stream_events = {
	.drained = exec_on_drained,
	.end = exec_on_stream_end,
};

static void nothing_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s;
	(void)r;
	(void)arg;
}

/* Of an answer that is no exec's. */
static const struct h2_stream_events no_stream_events = {.end = nothing_on_end};

/*
 * The beginning.
 */

static int spawn(struct exec *x, const struct exec_spec *s, struct err *e)
{
	struct guest *g = x->guest;
	bool isolate = g->opt->isolate;
	struct session_site site = {0};
	int r = 0;

	if (s->session[0] != '\0')
		r = session_site(g, s->session, &site, e);
	if (r < 0)
		return r;
	return proc_spawn(
		g->loop,
		&(struct proc_spec){
			.argv = (const char *const *)s->argv,
			.env = (const char *const *)s->env,
			.cwd = s->cwd,
			.isolate = isolate,
			.hide = isolate ? launch_hide : NULL,
			.user = isolate ? PROC_USER_AGENT : PROC_USER_SAME,
			.join = site.join,
			.quota = site.quota,
			.want_stdin = s->input != NULL,
			.out = PROC_STDOUT_BYTES,
		},
		&exec_events, x, &x->proc, e);
}

static int begin(struct exec *x, const struct exec_spec *s, struct err *e)
{
	int r = spawn(x, s, e);

	if (r < 0)
		return r;
	x->open++;
	x->collect = s->collect;
	x->out.tail.limit = x->err.tail.limit = s->max_output;
	exec_touch(x);
	memcpy(x->id, s->id, ID_MAX);
	if (s->timeout_ms > 0)
		x->ends_ms = x->started_ms + (uint64_t)s->timeout_ms;
	exec_await(x);
	if (s->input == NULL)
		return 0;
	(void)proc_write(x->proc, s->input, s->input_len);
	proc_close_stdin(x->proc);
	return 0;
}

static int start(struct exec *x, const char *body, size_t len, struct err *e)
{
	const struct guest_options *opt = x->guest->opt;
	autojson struct json j = {0};
	struct exec_spec s = {0};
	int r = json_parse(&j, body, len, e);

	if (r < 0)
		return e->code = -FAULT_INVALID_ARGUMENT;
	r = exec_spec_read(json_root(&j), opt->workspace, &s, e);
	if (r == 0)
		r = begin(x, &s, e);
	exec_spec_done(&s);
	return r;
}

static struct exec *exec_new(struct guest *g, struct h2_stream *s)
{
	struct exec *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->guest = g;
	x->stream = s;
	x->out.name = "stdout";
	x->err.name = "stderr";
	x->started_ms = loop_now(g->loop);
	uv_timer_init(g->loop, &x->timer);
	x->open = 2;
	TAILQ_INSERT_TAIL(&g->execs, x, link);
	h2_stream_set(s, &stream_events, x);
	return x;
}

static unsigned count(const struct guest *g)
{
	const struct exec *x;
	unsigned n = 0;

	TAILQ_FOREACH (x, &g->execs, link)
		n++;
	return n;
}

void exec_serve(struct guest *g, struct h2_stream *s, char *body, size_t len)
{
	bool full = count(g) >= EXECS_MAX;
	struct exec *x = exec_new(g, s);
	struct err e = {0};

	if (x == NULL) {
		h2_reset(s);
	} else if (full) {
		err_set(&e, -FAULT_OVERLOADED,
			"%d programs are being run already", EXECS_MAX);
	} else {
		(void)start(x, body, len, &e);
	}
	if (e.code < 0) {
		stream_fail(s, &e);
		uv_close((uv_handle_t *)&x->timer, exec_on_closed);
	}
	free(body);
}

/*
 * Over a sleep.
 */

/* One that waits for its stream. */
static struct exec *find_kept(struct guest *g, struct jv id)
{
	struct exec *x;

	TAILQ_FOREACH (x, &g->execs, link)
		if (x->stream == NULL && x->kept && x->proc != NULL &&
		    jv_eq(id, x->id))
			break;
	return x;
}

static void attach(struct exec *x, struct h2_stream *s)
{
	x->stream = s;
	x->open++;
	x->begun = x->kept = false;
	x->attach_ms = 0;
	exec_await(x);
	h2_stream_set(s, &stream_events, x);
	if (!x->collect)
		send_head(x);
	exec_read_on(x);
}

void exec_attach(struct guest *g, struct h2_stream *s, char *body, size_t len)
{
	autojson struct json j = {0};
	struct exec *x = NULL;
	struct err e = {0};

	if (json_parse(&j, body, len, NULL) == 0)
		x = find_kept(g, jv_get(json_root(&j), "exec"));
	free(body);
	if (x != NULL) {
		attach(x, s);
		return;
	}
	err_set(&e, -FAULT_VM_UNAVAILABLE, "the program has ended");
	h2_stream_set(s, &no_stream_events, NULL);
	stream_fail(s, &e);
}

void execs_write_sent(const struct guest *g, struct jw *w)
{
	const struct exec *x;

	jw_obj(w);
	TAILQ_FOREACH (x, &g->execs, link)
		if (x->id[0] != '\0' && x->stream != NULL)
			jw_kint(w, x->id, (int64_t)x->sent);
	jw_obj_end(w);
}

void execs_keep(struct guest *g, struct jv ids)
{
	struct exec *x;

	TAILQ_FOREACH (x, &g->execs, link)
		x->kept = false;
	for (struct jv id = jv_first(ids); jv_has(id); id = jv_next(ids, id))
		TAILQ_FOREACH (x, &g->execs, link)
			x->kept = x->kept || jv_eq(id, x->id);
}

void execs_go_on(struct guest *g)
{
	struct exec *x;

	TAILQ_FOREACH (x, &g->execs, link) {
		if (x->proc == NULL)
			continue;
		if (x->stream != NULL) {
			if (h2_queued(x->stream) == 0)
				proc_resume(x->proc);
			continue;
		}
		if (!x->kept) {
			exec_kill(x);
			continue;
		}
		proc_pause(x->proc);
		x->attach_ms = loop_now(g->loop) + EXEC_ATTACH_MS;
		exec_await(x);
	}
}

void execs_freeze(struct guest *g)
{
	struct exec *x;

	TAILQ_FOREACH (x, &g->execs, link) {
		x->frozen = true;
		exec_kill(x);
	}
}

unsigned execs_count(const struct guest *g)
{
	const struct exec *x;
	unsigned n = 0;

	TAILQ_FOREACH (x, &g->execs, link)
		n += x->proc != NULL;
	return n;
}

bool execs_have_ended(const struct guest *g)
{
	return execs_count(g) == 0;
}
