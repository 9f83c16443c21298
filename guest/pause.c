// SPDX-License-Identifier: Apache-2.0
/*
 * pause.c - Sleep with memory: the guest stands still, and goes on later
 *
 *	PAUSE_WAIT    until no session starts, closes, or ends a turn
 *	PAUSE_STOP    processes are told to stop, our loop keeps still; what other
 *	              threads still do for sessions comes to its end
 *	PAUSE_STORE   sessions are suspended, the files of the workspace are
 *	              committed, and the processes have stopped
 *	PAUSE_DONE
 *
 * Up to PAUSE_DONE there is a deadline, at which all goes on as if nothing had
 * been asked.  What a process has written before it was stopped stays in its
 * pipe.  One that waits in a system call, for a file of the host say, is given
 * PAUSE_WAITING_MS to end it; it executes nothing of its own after that.
 *
 * A thaw renews the machine, then the sessions, then continues the processes;
 * what those say from there on follows session.resumed in the log.
 */
#include "guest/pause.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "guest/checkpoint_calls.h"
#include "guest/exec.h"
#include "guest/feed.h"
#include "guest/guest.h"
#include "guest/halt.h"
#include "guest/limits.h"
#include "guest/named.h"
#include "guest/prewarm.h"
#include "guest/rekey.h"
#include "guest/renew.h"
#include "guest/server.h"
#include "guest/session.h"
#include "guest/still.h"
#include "guest/thaw.h"

#define LOG_COMPONENT "pause"
#define TICK_MS	      1

enum pause_stage { PAUSE_WAIT, PAUSE_STOP, PAUSE_STORE, PAUSE_DONE };

struct pause {
	struct guest *guest;
	enum pause_stage stage;
	char reason[REASON_MAX + 1];
	struct call_list freezers, thawers;
	struct still still;
	struct halt halt;
	uv_timer_t tick, deadline;
	unsigned open;	     /* Handles. */
	bool ticked;	     /* Since the last step, or since the stop. */
	uint64_t stopped_ms; /* By uv_now(). */
	struct thaw thaw;    /* Of the first of thawers. */
	bool thaw_due;	     /* It begins when the store is at rest. */
};

/*
 * The answers.
 */

static int write_tails(struct guest *g, struct call *c, struct err *e)
{
	jw_obj(&c->result);
	jw_key(&c->result, "last_seq");
	return feed_write_tails(g->reader, &c->result, e);
}

static void answer_freezers(struct pause *p)
{
	struct guest *g = p->guest;
	struct err e = {0};
	struct call *c;

	while ((c = TAILQ_FIRST(&p->freezers)) != NULL) {
		TAILQ_REMOVE(&p->freezers, c, link);
		if (write_tails(g, c, &e) < 0) {
			call_fail(c, &e);
			continue;
		}
		guest_write_last(g, &c->result);
		jw_kbool(&c->result, "warm", true);
		jw_kint(&c->result, "execs", execs_count(g));
		jw_key(&c->result, "exec_sent");
		execs_write_sent(g, &c->result);
		jw_obj_end(&c->result);
		call_reply(c);
	}
}

static void answer_thawed(struct guest *g, struct call *c)
{
	struct err e = {0};

	if (write_tails(g, c, &e) < 0) {
		call_fail(c, &e);
		return;
	}
	jw_obj_end(&c->result);
	call_reply(c);
}

/* Calls that are answered when the sessions are stored as going on. */
struct thaw_wait {
	struct guest *guest;
	struct call_list calls;
	unsigned n; /* Sessions to be stored, and one. */
};

/* One session of them. */
struct thaw_stored {
	struct journal_effect stored;
	struct thaw_wait *wait;
};

static void thaw_wait_down(struct thaw_wait *w)
{
	struct call *c;

	if (--w->n > 0)
		return;
	while ((c = TAILQ_FIRST(&w->calls)) != NULL) {
		TAILQ_REMOVE(&w->calls, c, link);
		answer_thawed(w->guest, c);
	}
	free(w);
}

/* A failure is the session's, which recovers from it. */
static void thaw_on_stored(struct journal_effect *ef, const struct err *e)
{
	struct thaw_stored *t = container_of(ef, struct thaw_stored, stored);

	(void)e;
	thaw_wait_down(t->wait);
	free(t);
}

static void wait_for(struct thaw_wait *w, struct session *s)
{
	struct thaw_stored *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return;
	t->stored.run = thaw_on_stored;
	t->wait = w;
	w->n++;
	journal_then(session_journal(s), &t->stored);
}

static void answer_thawers(struct pause *p)
{
	struct thaw_wait *w;
	struct err e = {0};
	struct session *s;

	if (TAILQ_EMPTY(&p->thawers))
		return;
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		err_set(&e, -ENOMEM, "thaw: out of memory");
		call_list_fail(&p->thawers, &e);
		return;
	}
	w->guest = p->guest;
	w->n = 1;
	TAILQ_INIT(&w->calls);
	TAILQ_CONCAT(&w->calls, &p->thawers, link);
	for (s = session_first(p->guest); s != NULL; s = session_next(s))
		wait_for(w, s);
	thaw_wait_down(w);
}

/*
 * Going on.
 */

static void pause_on_closed(uv_handle_t *h)
{
	struct pause *p = h->data;

	if (--p->open == 0)
		free(p);
}

/* It is over: nobody knows of it but its handles. */
static void release(struct pause *p)
{
	struct err e = {0};

	err_set(&e, -FAULT_NOT_READY, "the VM goes on");
	call_list_fail(&p->freezers, &e);
	call_list_fail(&p->thawers, &e);
	still_done(&p->still);
	p->guest->pause = NULL;
	uv_close((uv_handle_t *)&p->tick, pause_on_closed);
	uv_close((uv_handle_t *)&p->deadline, pause_on_closed);
}

static void go_on(struct pause *p, const char *reason)
{
	struct guest *g = p->guest;
	struct session *s;

	log_info("going on: %s", reason);
	g->state = GUEST_SERVING;
	guest_forget_last(g);
	if (p->still.loop != NULL)
		still_end(&p->still);
	execs_go_on(g);
	session_late_again(g);
	halt_end(&p->halt);
	for (s = session_first(g); s != NULL; s = session_next(s))
		session_unpause(s, reason);
	answer_thawers(p);
	release(p);
}

static void undo(struct pause *p, const char *why)
{
	struct err e = {0};

	log_warn("not paused: %s", why);
	err_set(&e, -FAULT_NOT_READY, "the VM cannot be paused: %s", why);
	call_list_fail(&p->freezers, &e);
	go_on(p, "not_ready");
}

void pause_end(struct guest *g, const char *reason)
{
	struct err e = {0};

	if (g->pause == NULL)
		return;
	err_set(&e, -FAULT_DRAINING, "the VM goes to sleep");
	call_list_fail(&g->pause->freezers, &e);
	call_list_fail(&g->pause->thawers, &e);
	go_on(g->pause, reason);
}

void pause_abandon(struct guest *g)
{
	if (g->pause == NULL)
		return;
	halt_end(&g->pause->halt);
	release(g->pause);
}

bool pause_is_still(const struct guest *g)
{
	return g->pause != NULL && g->pause->still.loop != NULL;
}

/*
 * Stopping.
 */

/* Why the pause has to wait, or NULL. */
static const char *busy_session(const struct guest *g)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (!session_may_pause(s))
			return "a session is starting, or ending something";
	if (prewarm_is_busy(g))
		return "an agent is being prewarmed";
	return TAILQ_EMPTY(&g->feeds) ? NULL : "a session is on its way";
}

/* The same of what is under way, which could still add to a log. */
static const char *busy_work(const struct guest *g)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (!session_is_quiet(s))
			return "the log takes too long to be stored";
	return guest_busy_work(g);
}

/* Have the processes stopped? */
static const char *busy_process(struct pause *p)
{
	uint64_t waited = uv_now(p->guest->loop) - p->stopped_ms;
	struct halt_count n;

	if (!p->halt.on)
		return NULL;
	if (halt_count(&n) < 0 || n.running > 0)
		return "a process does not stop";
	return n.waiting > 0 && waited < PAUSE_WAITING_MS
		       ? "a process is in a system call"
		       : NULL;
}

static bool is_exempt(const uv_handle_t *h, void *arg)
{
	const struct pause *p = arg;

	return h == (const uv_handle_t *)&p->tick ||
	       h == (const uv_handle_t *)&p->deadline ||
	       server_owns(p->guest->server, h);
}

static void pause_on_tick(uv_timer_t *t)
{
	struct pause *p = t->data;

	p->ticked = true; /* The step is taken before the loop waits again. */
}

static int stop_all(struct pause *p)
{
	struct guest *g = p->guest;
	int r = still_begin(&p->still, g->loop, is_exempt, p);

	if (r == 0)
		r = halt_begin(&p->halt);
	if (r == -EPERM)
		r = 0; /* Not in a VM: they are not read, that is all. */
	if (r < 0)
		return r;
	p->stage = PAUSE_STOP;
	p->stopped_ms = uv_now(g->loop);
	p->ticked = false;
	uv_timer_start(&p->tick, pause_on_tick, 0, TICK_MS);
	return 0;
}

static void suspend_sessions(struct pause *p)
{
	struct session *s;

	for (s = session_first(p->guest); s != NULL; s = session_next(s))
		session_pause(s, p->reason);
	p->stage = PAUSE_STORE;
}

/* A commit that fails takes its session out of the pause. */
static bool lost_one(const struct guest *g)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (!session_is_paused(s) && !session_is_settled(s))
			return true;
	return false;
}

static void finish(struct pause *p)
{
	struct guest *g = p->guest;

	if (lost_one(g)) {
		undo(p, "a session cannot be stored as suspended");
		return;
	}
	uv_timer_stop(&p->tick);
	uv_timer_stop(&p->deadline);
	if (g->opt->machine)
		renew_shrink();
	p->stage = PAUSE_DONE;
	g->state = GUEST_PAUSED;
	log_info("paused: %s", p->reason);
	answer_freezers(p);
}

static void step(struct pause *p)
{
	struct guest *g = p->guest;

	if (p->stage == PAUSE_WAIT && busy_session(g) == NULL &&
	    stop_all(p) < 0) {
		undo(p, "its processes cannot be stopped");
		return;
	}
	if (p->stage == PAUSE_STOP && p->ticked && busy_work(g) == NULL)
		suspend_sessions(p);
	if (p->stage != PAUSE_STORE || busy_work(g) != NULL ||
	    !guest_keep_last(g))
		return;
	if (p->ticked && busy_process(p) == NULL)
		finish(p);
	p->ticked = false;
}

static void pause_on_deadline(uv_timer_t *t)
{
	struct pause *p = t->data;
	const char *why = busy_session(p->guest);

	if (p->stage != PAUSE_WAIT)
		why = busy_work(p->guest);
	if (p->stage == PAUSE_STORE && why == NULL)
		why = busy_process(p);
	undo(p, why != NULL ? why : "it takes too long");
}

static int begin(struct guest *g, const char *reason, uint64_t deadline_ms,
		 struct err *e)
{
	struct pause *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return err_set(e, -ENOMEM, "pause: out of memory");
	p->guest = g;
	snprintf(p->reason, sizeof(p->reason), "%s", reason);
	TAILQ_INIT(&p->freezers);
	TAILQ_INIT(&p->thawers);
	uv_timer_init(g->loop, &p->tick);
	uv_timer_init(g->loop, &p->deadline);
	p->tick.data = p->deadline.data = p;
	p->open = 2;
	uv_timer_start(&p->deadline, pause_on_deadline, deadline_ms, 0);
	g->pause = p;
	g->state = GUEST_PAUSING;
	return 0;
}

int guest_pause(struct guest *g, struct call *c, struct err *e)
{
	int64_t ms = jv_int(jv_get(c->params, "deadline_ms"), PAUSE_MS);
	char reason[REASON_MAX + 1] = "suspend";

	if (ms <= 0 || ms > PAUSE_MAX_MS)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "deadline_ms is none of 1 to %d", PAUSE_MAX_MS);
	if (jv_has(jv_get(c->params, "reason")) &&
	    jv_strcpy(jv_get(c->params, "reason"), reason, sizeof(reason)) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "reason is no text of up to %d bytes",
			       REASON_MAX);
	if (g->state == GUEST_THAWING)
		return err_set(e, -FAULT_NOT_READY, "the VM is being resumed");
	if (g->state == GUEST_SERVING && begin(g, reason, (uint64_t)ms, e) < 0)
		return e->code;
	TAILQ_INSERT_TAIL(&g->pause->freezers, c, link);
	if (g->state == GUEST_PAUSED)
		answer_freezers(g->pause);
	return 0;
}

/*
 * Thawing.
 */

/* Before there is anything new: an id, or a time. */
static void renew_machine(const struct guest *g, const struct thaw *t)
{
	if (!g->opt->machine)
		return;
	if (t->now_ms > 0)
		renew_clock(t->now_ms);
	if (t->has_entropy)
		renew_entropy(t->entropy);
	if (t->vm[0] != '\0')
		renew_names(t->vm, t->hostname[0] ? t->hostname : NULL);
}

static void take_generation(struct guest *g, const struct thaw *t)
{
	char text[32];

	if (t->generation == 0)
		return;
	g->generation = t->generation;
	snprintf(text, sizeof(text), "%lld", (long long)g->generation);
	guest_put_meta(g, "generation", text);
}

/* The sessions are those that the host has said.  @e: why not; then the guest
 * stays paused. */
static void pause_on_rekeyed(const struct err *e, void *arg)
{
	struct guest *g = arg;
	struct pause *p = g->pause;

	if (e != NULL) {
		log_error("not thawed: %s", e->msg);
		g->state = GUEST_PAUSED;
		call_list_fail(&p->thawers, e);
		return;
	}
	take_generation(g, &p->thaw);
	execs_keep(g, p->thaw.execs);
	go_on(p, p->thaw.reason);
}

static bool has_other_sessions(const struct thaw *t)
{
	return t->vm[0] != '\0' || jv_has(t->sessions);
}

/* Once the store is at rest: what ended meanwhile, a talk with a remote server
 * say, may be on its way to it. */
static void try_thaw(struct guest *g)
{
	struct pause *p = g->pause;
	const struct rekey_spec spec = {
		.vm = p->thaw.vm[0] != '\0' ? p->thaw.vm : NULL,
		.sessions = p->thaw.sessions,
		.warm = true,
	};
	struct err e = {0};

	if (has_other_sessions(&p->thaw) && busy_work(g) != NULL)
		return;
	p->thaw_due = false;
	renew_machine(g, &p->thaw);
	g->state = GUEST_THAWING;
	if (!has_other_sessions(&p->thaw))
		pause_on_rekeyed(NULL, g);
	else if (rekey_begin(g, &spec, pause_on_rekeyed, g, &e) < 0)
		pause_on_rekeyed(&e, g);
}

static int begin_thaw(struct guest *g, struct call *c, struct err *e)
{
	struct pause *p = g->pause;

	if (!p->thaw_due && thaw_read(c->params, &p->thaw, e) < 0)
		return e->code;
	TAILQ_INSERT_TAIL(&p->thawers, c, link);
	p->thaw_due = true;
	try_thaw(g);
	return 0;
}

void pause_step(struct guest *g)
{
	if (g->state == GUEST_PAUSING)
		step(g->pause);
	else if (g->state == GUEST_PAUSED && g->pause->thaw_due)
		try_thaw(g);
}

int guest_thaw(struct guest *g, struct call *c, struct err *e)
{
	if (g->state == GUEST_NEW)
		return named_thaw(g, c, e);
	if (g->state == GUEST_PAUSED)
		return begin_thaw(g, c, e);
	if (g->state == GUEST_SERVING) {
		answer_thawed(g, c);
		return 0;
	}
	TAILQ_INSERT_TAIL(&g->pause->thawers, c, link);
	if (g->state == GUEST_PAUSING)
		undo(g->pause, "it was called off");
	return 0;
}
