// SPDX-License-Identifier: Apache-2.0
/*
 * agent.c - One agent process, spoken to in ACP (JSON-RPC lines on its stdio)
 *
 * A line in: parsed once, recorded, dispatched.  An answer ends a call of ours,
 * a request or an update goes to the owner.  A line out: built by the peer,
 * recorded, and queued as an effect of the journal which holds the bytes; an
 * effect whose agent has gone in the meantime finds no agent and does nothing.
 *
 * stderr is recorded up to a rate; what is beyond is counted, and the count
 * stands in the next event that is recorded, or in one of its own at the end.
 */
#include "guest/agent.h"

#include <assert.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/utf8.h"
#include "guest/acp.h"
#include "guest/errtail.h"
#include "guest/held.h"

#define LOG_COMPONENT "agent"

/* A line on its way to the agent. */
struct outgoing {
	struct journal_effect stored;
	struct agent *agent; /* NULL once it has gone. */
	LIST_ENTRY(outgoing) link;
	size_t len;
	char line[];
};

struct agent {
	const struct agent_events *ev;
	void *arg;
	struct journal *journal; /* NULL: none yet. */
	struct held held;	 /* Up to then. */
	struct proc *proc;
	struct rpc *rpc;
	struct json json;
	uv_timer_t
		timer; /* To the next step of its end, or from its stdout's. */
	enum agent_end ending;
	uint64_t exit_ms; /* From its stdin's end to SIGTERM. */
	bool broken;
	unsigned n_junk;
	const char *out_type; /* Of the message that rpc is about to send. */
	LIST_HEAD(outgoing_list, outgoing) outgoing;

	struct errtail said; /* On stderr. */
};

static bool is_deaf(const struct agent *a)
{
	return a->broken || a->ending >= AGENT_END_SAVE;
}

static void set_broken(struct agent *a, const struct err *e)
{
	if (is_deaf(a))
		return;
	a->broken = true;
	a->ev->broken(e, a->arg);
}

/*
 * The record.
 */

static void check_held(struct agent *a, int r)
{
	struct err e = {0};

	if (r == 0)
		return;
	err_set(&e, r == -ENOBUFS ? -FAULT_AGENT_PROTOCOL_ERROR : r,
		"agent says too much before it has a session");
	set_broken(a, &e);
}

static void record_acp(struct agent *a, const struct journal_acp *m)
{
	if (a->journal == NULL)
		check_held(a, held_acp(&a->held, m));
	else
		journal_add_acp(a->journal, m);
}

static void record(struct agent *a, const char *type, struct jw *data)
{
	if (a->journal != NULL)
		journal_add_jw(a->journal, type, NULL, data);
	else
		check_held(a, data->failed ? -ENOMEM
					   : held_event(&a->held, type,
							data->buf, data->len));
}

/* There is no memory to go on. */
static void give_up(struct agent *a, int code, const char *why)
{
	struct err e = {0};

	if (a->journal != NULL) {
		journal_break(a->journal, code, why);
		return;
	}
	err_set(&e, code, "agent: %s", why);
	set_broken(a, &e);
}

void agent_adopt(struct agent *a, struct journal *j,
		 const struct agent_events *events, void *arg)
{
	assert(a->journal == NULL);
	a->journal = j;
	a->ev = events;
	a->arg = arg;
	held_write(&a->held, j);
}

/*
 * Out.
 */

/* A line that nothing has to be stored before. */
static void send_now(struct agent *a, const char *line, size_t len)
{
	/* A full or closed pipe: the agent's end tells the rest. */
	if (proc_write(a->proc, line, len) < 0)
		log_debug("agent takes no line");
}

static void outgoing_on_stored(struct journal_effect *ef, const struct err *e)
{
	struct outgoing *o = container_of(ef, struct outgoing, stored);
	struct agent *a = o->agent;

	if (a != NULL) {
		LIST_REMOVE(o, link);
		if (e == NULL)
			send_now(a, o->line, o->len);
	}
	free(o);
}

static void agent_on_send(const char *msg, size_t len, void *arg)
{
	struct agent *a = arg;
	struct outgoing *o = malloc(sizeof(*o) + len + 1);

	if (o == NULL) {
		give_up(a, -ENOMEM, "out of memory for a line");
		return;
	}
	*o = (struct outgoing){
		.stored.run = outgoing_on_stored, .agent = a, .len = len + 1};
	memcpy(o->line, msg, len);
	o->line[len] = '\n';
	record_acp(a, &(struct journal_acp){
			      .type = a->out_type, .msg = msg, .len = len});
	if (a->journal == NULL) {
		send_now(a, o->line, o->len);
		free(o);
		return;
	}
	LIST_INSERT_HEAD(&a->outgoing, o, link);
	journal_then(a->journal, &o->stored);
}

/* A message that could not even be built is as bad as a lost event. */
static void check_sent(struct agent *a, int64_t r)
{
	if (r < 0)
		give_up(a, (int)r, "a message was not sent");
}

int64_t agent_call(struct agent *a, const char *method, const char *params,
		   uint64_t timeout_ms, rpc_done_cb cb, void *arg)
{
	a->out_type = "acp.request";
	return rpc_call(a->rpc, method, params, timeout_ms, cb, arg);
}

int64_t agent_initialize(struct agent *a, const struct launch *l,
			 rpc_done_cb cb, void *arg)
{
	const struct acp_offer offer = {!l->quirks.no_fs,
					!l->quirks.no_terminal};
	autojw struct jw w = {0};

	acp_write_initialize(&w, &offer);
	return w.failed ? -ENOMEM
			: agent_call(a, "initialize", w.buf, 0, cb, arg);
}

void agent_notify(struct agent *a, const char *method, const char *params)
{
	a->out_type = "acp.notify";
	check_sent(a, rpc_notify(a->rpc, method, params));
}

void agent_reply(struct agent *a, const char *id, size_t id_len,
		 const char *result)
{
	a->out_type = "acp.response";
	check_sent(a, rpc_reply(a->rpc, id, id_len, result));
}

void agent_reply_error(struct agent *a, const char *id, size_t id_len, int code,
		       const char *message)
{
	a->out_type = "acp.response";
	check_sent(a, rpc_reply_error(a->rpc, id, id_len, code, message, NULL));
}

/*
 * In.
 */

static void agent_on_request(const struct rpc_msg *m, void *arg)
{
	struct agent *a = arg;

	a->ev->request(m, a->arg);
}

static void agent_on_notify(const struct rpc_msg *m, void *arg)
{
	struct agent *a = arg;

	if (jv_eq(m->method, "session/update"))
		a->ev->update(m, a->arg);
	else
		a->ev->notify(m, a->arg);
}

static const struct rpc_ops rpc_ops = {
	.send = agent_on_send,
	.request = agent_on_request,
	.notify = agent_on_notify,
};

static const char *type_of(const struct rpc_msg *m)
{
	if (m->kind == RPC_REQUEST)
		return "acp.request";
	if (m->kind == RPC_RESPONSE)
		return "acp.response";
	return jv_eq(m->method, "session/update") ? "acp.update" : "acp.notify";
}

/* Keep a line that is no message. */
static void take_junk(struct agent *a, const char *line, size_t len,
		      const struct err *why)
{
	autojw struct jw w = {0};
	struct err e = {0};

	jw_obj(&w);
	jw_key(&w, "text");
	jw_strn(&w, line, len < AGENT_JUNK_BYTES ? len : AGENT_JUNK_BYTES);
	jw_kstr(&w, "stream", "stdout");
	jw_obj_end(&w);
	record(a, "agent.stderr", &w);
	if (++a->n_junk < AGENT_JUNK_MAX)
		return;
	err_set(&e, -FAULT_AGENT_PROTOCOL_ERROR,
		"agent wrote %u lines in a row that are no JSON-RPC: %s",
		a->n_junk, why->msg);
	set_broken(a, &e);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(char **line, size_t *len)
{
	while (*len > 0 && is_space((*line)[*len - 1]))
		--*len;
	while (*len > 0 && is_space(**line)) {
		++*line;
		--*len;
	}
}

/* A copy with U+FFFD for each byte that is no UTF-8: agents that forward output
 * of programs cut characters.  NULL when there is none, or no room. */
static char *mend_utf8(const char *line, size_t *len)
{
	const unsigned char *p = (const unsigned char *)line, *end = p + *len;
	autojw struct jw w = {0};
	size_t n_bad = 0;

	while (p < end && w.len <= PROC_LINE_MAX && !w.failed) {
		size_t n = utf8_len(p, end);

		if (n == 0)
			jw_lit(&w, UTF8_REPLACEMENT, 3);
		else
			jw_lit(&w, (const char *)p, n);
		n_bad += n == 0;
		p += n == 0 ? 1 : n;
	}
	if (n_bad == 0 || w.len > PROC_LINE_MAX)
		return NULL;
	return jw_take(&w, len);
}

/* Would its sender wait for an answer that never comes? */
static bool is_bad_request(struct jv root)
{
	return jv_is(root, JV_ARRAY) ||
	       (jv_eq(jv_get(root, "jsonrpc"), "2.0") &&
		jv_has(jv_get(root, "method")) && jv_has(jv_get(root, "id")));
}

/* As rpc_decode(), of what can be an event and travel. */
static int decode(struct agent *a, const char *line, size_t len,
		  struct rpc_msg *m, struct err *e)
{
	int r = rpc_decode(&a->json, line, len, m, e);

	if (r == 0 && a->json.depth > AGENT_DEPTH_MAX)
		return err_set(e, -E2BIG, "a message is nested %u deep",
			       a->json.depth);
	return r;
}

/* Record a message, then act on it. */
static void take_message(struct agent *a, const char *line, size_t len,
			 const struct rpc_msg *m)
{
	struct journal_acp acp = {
		.type = type_of(m), .inward = true, .msg = line, .len = len};
	enum agent_news news = AGENT_NEWS;

	if (strcmp(acp.type, "acp.update") == 0)
		news = a->ev->sort(m, a->arg);
	if (news == AGENT_HISTORY)
		return;
	acp.foreign = news == AGENT_FOREIGN;
	record_acp(a, &acp);
	if (news == AGENT_NEWS && !is_deaf(a))
		rpc_dispatch(a->rpc, m);
}

static void agent_on_line(struct proc *p, char *line, size_t len, void *arg)
{
	struct agent *a = arg;
	autofree char *mended = NULL;
	struct rpc_msg m;
	struct err e = {0};
	int r;

	(void)p;
	trim(&line, &len);
	if (len == 0 || is_deaf(a))
		return;
	r = decode(a, line, len, &m, &e);
	if (r == -EINVAL && (mended = mend_utf8(line, &len)) != NULL) {
		line = mended;
		r = decode(a, line, len, &m, &e);
	}
	if (r < 0) {
		take_junk(a, line, len, &e);
		if (r == -EPROTO && is_bad_request(json_root(&a->json)))
			agent_reply_error(a, "null", 4, RPC_INVALID_REQUEST,
					  "invalid request");
		return;
	}
	a->n_junk = 0;
	take_message(a, line, len, &m);
}

static void agent_on_overlong(struct proc *p, void *arg)
{
	struct agent *a = arg;
	struct err e = {0};

	(void)p;
	err_set(&e, -FAULT_AGENT_PROTOCOL_ERROR,
		"agent wrote a line of more than %u bytes", PROC_LINE_MAX);
	set_broken(a, &e);
}

/*
 * stderr.
 */

static void record_stderr(struct agent *a, const char *line, size_t len)
{
	unsigned dropped = errtail_dropped(&a->said);
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "text");
	jw_strn(&w, line, len);
	if (dropped > 0)
		jw_kint(&w, "dropped", dropped);
	jw_obj_end(&w);
	record(a, "agent.stderr", &w);
}

static void agent_on_err_line(struct proc *p, char *line, size_t len, void *arg)
{
	struct agent *a = arg;

	(void)p;
	errtail_keep(&a->said, line, len);
	if (a->ending < AGENT_END_SAVE &&
	    errtail_passes(&a->said, loop_now(a->timer.loop)))
		record_stderr(a, line, len);
}

void agent_explain(const struct agent *a, const struct proc_end *end,
		   struct err *e)
{
	autojw struct jw tail = {0};
	char how[64] = "";

	errtail_write(&a->said, &tail);
	if (tail.failed)
		return;
	if (end != NULL && end->failed == PROC_STEP_NONE)
		snprintf(how, sizeof(how),
			 end->signal ? ",\"signal\":%d" : ",\"exit\":%d",
			 end->signal ? end->signal : end->code);
	err_data(e, "\"stderr_tail\":%s%s", tail.buf, how);
}

void agent_describe_end(const struct agent *a, const struct proc_end *end,
			struct err *e)
{
	if (end->failed != PROC_STEP_NONE)
		err_set(e, -FAULT_AGENT_SPAWN_FAILED, "%s", end->err.msg);
	else if (end->signal != 0)
		err_set(e, -FAULT_AGENT_EXITED, "agent was killed by signal %d",
			end->signal);
	else
		err_set(e, -FAULT_AGENT_EXITED, "agent exited with code %d",
			end->code);
	agent_explain(a, end, e);
}

/*
 * Life and end.
 */

static void agent_on_started(struct proc *p, void *arg)
{
	struct agent *a = arg;

	(void)p;
	if (!is_deaf(a))
		a->ev->started(a->arg);
}

static void agent_on_closed(uv_handle_t *h)
{
	free(container_of(h, struct agent, timer));
}

/* Let go of everything; the memory follows when the timer is closed. */
static void release(struct agent *a)
{
	struct outgoing *o;

	a->ending = AGENT_END_KILL;
	rpc_free(take_ptr(a->rpc));
	LIST_FOREACH(o, &a->outgoing, link)
	o->agent = NULL;
	held_done(&a->held);
	json_done(&a->json);
	uv_close((uv_handle_t *)&a->timer, agent_on_closed);
}

static void agent_on_exit(struct proc *p, const struct proc_end *end, void *arg)
{
	struct agent *a = arg;

	(void)p;
	if (a->said.n_dropped > 0)
		record_stderr(a, "", 0);
	a->ev->gone(end, a->arg);
	release(a);
}

/* Mute, and still there: it will never answer. */
static void on_mute(struct agent *a)
{
	struct err e = {0};

	err_set(&e, -FAULT_AGENT_PROTOCOL_ERROR, "agent closed its stdout");
	set_broken(a, &e);
}

static void agent_on_timer(uv_timer_t *t)
{
	struct agent *a = container_of(t, struct agent, timer);

	if (a->ending == AGENT_RUNNING)
		on_mute(a);
	else
		agent_end(a, a->ending < AGENT_END_TERM ? AGENT_END_TERM
							: AGENT_END_KILL);
}

/* Most often its end follows at once, and says more. */
static void agent_on_out_ended(struct proc *p, void *arg)
{
	struct agent *a = arg;

	(void)p;
	if (a->ending == AGENT_RUNNING)
		uv_timer_start(&a->timer, agent_on_timer, AGENT_MUTE_MS, 0);
}

static const struct proc_events proc_events = {
	.started = agent_on_started,
	.line = agent_on_line,
	.err_line = agent_on_err_line,
	.overlong = agent_on_overlong,
	.out_ended = agent_on_out_ended,
	.exit = agent_on_exit,
};

/* Until the next step of its end. */
static uint64_t end_step_ms(const struct agent *a)
{
	switch (a->ending) {
	case AGENT_END_ASK:
		return a->exit_ms;
	case AGENT_END_SAVE:
		return AGENT_END_SAVE_MS;
	default:
		return AGENT_END_KILL_MS;
	}
}

void agent_end(struct agent *a, enum agent_end how)
{
	if (how <= a->ending)
		return;
	a->ending = how;
	uv_timer_stop(&a->timer);
	proc_close_stdin(a->proc);
	/* Held back by back-pressure it would never see its pipes' end. */
	proc_resume(a->proc);
	if (how == AGENT_END_KILL) {
		proc_kill_all(a->proc);
		return;
	}
	if (how == AGENT_END_TERM)
		proc_kill(a->proc, SIGTERM);
	uv_timer_start(&a->timer, agent_on_timer, end_step_ms(a), 0);
}

bool agent_is_ending(const struct agent *a)
{
	return a->ending != AGENT_RUNNING;
}

void agent_abandon(struct agent *a)
{
	if (a == NULL)
		return;
	proc_abandon(a->proc);
	release(a);
}

static int spawn(struct agent *a, const struct agent_setup *s, struct err *e)
{
	const struct proc_spec spec = {
		.argv = (const char *const *)s->launch->argv,
		.env = (const char *const *)s->launch->env,
		.cwd = s->launch->cwd,
		.isolate = s->isolate,
		.hide = s->isolate ? launch_hide : NULL,
		.user = s->isolate ? PROC_USER_AGENT : PROC_USER_SAME,
		.files = &s->launch->files,
		.quota = confine_quota(s->confine),
		.group = confine_group(s->confine),
		.mcp = s->mcp,
		.want_stdin = true,
		.out = PROC_STDOUT_LINES,
	};

	return proc_spawn(s->loop, &spec, &proc_events, a, &a->proc, e);
}

/* One without a process. */
static struct agent *agent_new(const struct agent_setup *s)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->ev = s->events;
	a->arg = s->arg;
	a->exit_ms = s->launch->quirks.has_exit_ms
			     ? (uint64_t)s->launch->quirks.exit_ms
			     : AGENT_END_TERM_MS;
	a->journal = s->journal;
	a->said.burst = AGENT_STDERR_BURST;
	a->said.window_ms = AGENT_STDERR_MS;
	LIST_INIT(&a->outgoing);
	held_init(&a->held);
	a->rpc = rpc_new(s->loop, &rpc_ops, a);
	if (a->rpc == NULL) {
		free(a);
		return NULL;
	}
	uv_timer_init(s->loop, &a->timer);
	return a;
}

int agent_start(const struct agent_setup *s, struct agent **out, struct err *e)
{
	struct agent *a = agent_new(s);
	struct err why = {0};

	if (a == NULL)
		return err_set(e, -FAULT_AGENT_SPAWN_FAILED,
			       "agent: out of memory");
	if (spawn(a, s, &why) < 0) {
		release(a);
		return err_set(e, -FAULT_AGENT_SPAWN_FAILED, "%s", why.msg);
	}
	*out = a;
	return 0;
}

bool agent_may_hand_over(const struct agent *a)
{
	unsigned n_open;

	(void)rpc_next_id(a->rpc, &n_open);
	return n_open == 0 && a->journal != NULL && !is_deaf(a) &&
	       a->ending == AGENT_RUNNING && LIST_EMPTY(&a->outgoing) &&
	       proc_may_hand_over(a->proc);
}

int agent_hand_over(struct agent *a, struct jw *w, struct err *e)
{
	int r;

	jw_obj(w);
	jw_kint(w, "next_id", rpc_next_id(a->rpc, NULL));
	jw_key(w, "proc");
	r = proc_hand_over(a->proc, w, e);
	jw_obj_end(w);
	if (r == 0)
		release(a);
	return r;
}

int agent_take_over(const struct agent_setup *s, struct jv from,
		    struct agent **out, struct err *e)
{
	struct agent *a = agent_new(s);
	int r;

	if (a == NULL)
		return err_set(e, -ENOMEM, "agent: out of memory");
	rpc_continue(a->rpc, jv_int(jv_get(from, "next_id"), 0));
	r = proc_take_over(s->loop, jv_get(from, "proc"), &proc_events, a,
			   &a->proc, e);
	if (r < 0)
		release(a);
	else
		*out = a;
	return r;
}

void agent_pause(struct agent *a, bool on)
{
	if (on && !agent_is_ending(a))
		proc_pause(a->proc);
	else
		proc_resume(a->proc);
}

pid_t agent_pid(const struct agent *a)
{
	return proc_pid(a->proc);
}

struct proc *agent_proc(const struct agent *a)
{
	return a->proc;
}

void agent_record_exit(struct agent *a, const struct proc_end *end)
{
	autojw struct jw w = {0};

	if (end->failed != PROC_STEP_NONE)
		return;
	jw_obj(&w);
	if (end->signal != 0)
		jw_kint(&w, "signal", end->signal);
	else
		jw_kint(&w, "code", end->code);
	jw_obj_end(&w);
	record(a, "agent.exited", &w);
}
