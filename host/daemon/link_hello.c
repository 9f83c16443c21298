// SPDX-License-Identifier: Apache-2.0
/*
 * link_hello.c - From hello until the guest is started
 *
 * The chain of exchanges that link.c tells of, from its end to its beginning.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/time.h"
#include "core/wire.h"
#include "host/daemon/link_impl.h"

/* --- start -------------------------------------------------------------- */

static void link_on_turns_failed(const char *body, size_t len,
				 const struct err *e, void *arg)
{
	struct link *l = arg;

	(void)body;
	(void)len;
	if (e->code == -FAULT_GUEST_UNREACHABLE) {
		link_lost(l, e->msg);
		return;
	}
	l->full.code = 0;
	link_sync(l);
}

/* Before any event flows again: there is room for the end of what runs (the
 * ballast of store.h), not for more. */
static void link_fail_turns(struct link *l)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "code", fault_name(err_fault(l->full.code)));
	jw_kstr(&w, "message", l->full.msg);
	jw_obj_end(&w);
	if (w.failed || exchange_post(l->h2, "/call/fail_turns", w.buf, w.len,
				      link_on_turns_failed, l) < 0)
		link_lost(l, "out of memory");
}

/* The words of a guest: only those that we know. */
static void link_read_mode(struct link *l, const char *body, size_t len)
{
	static const char *const modes[] = {"plain", "overlay"};
	autojson struct json j = {0};
	struct jv mode;

	if (json_parse(&j, body, len, NULL) < 0)
		return;
	mode = jv_path(json_root(&j), "workspace.mode");
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (jv_eq(mode, modes[i]))
			snprintf(l->mode, sizeof(l->mode), "%s", modes[i]);
	}
}

static void link_on_started(const char *body, size_t len, const struct err *e,
			    void *arg)
{
	struct link *l = arg;

	if (e->code == 0)
		link_read_mode(l, body, len);
	if (e->code == 0 && l->full.code < 0)
		link_fail_turns(l);
	else if (e->code == 0)
		link_sync(l);
	else if (e->code == -FAULT_GUEST_UNREACHABLE ||
		 (e->code == -FAULT_DRAINING && !l->frozen))
		link_lost(l, e->msg); /* It is about to be paused, or not. */
	else
		link_fail(l, e);
}

static void link_start(struct link *l)
{
	autojw struct jw w = {0};

	l->state = LINK_START;
	jw_obj(&w);
	jw_kint(&w, "generation", l->spec.generation);
	jw_kint(&w, "now", now_ms());
	jw_kint(&w, "max_sessions", l->spec.max_sessions);
	jw_kraw(&w, "workspace", l->workspace);
	jw_obj_end(&w);
	if (w.failed || exchange_post(l->h2, "/start", w.buf, w.len,
				      link_on_started, l) < 0)
		link_lost(l, "out of memory");
}

/* --- feed --------------------------------------------------------------- */

struct feeding {
	struct link *l;
	const struct jv *sessions; /* Of the guest's hello. */
	bool started;
	struct feeder *lacks;
	struct err err;
};

static struct jv hello_session(struct jv sessions, const char *id)
{
	for (struct jv s = jv_first(sessions); jv_has(s);
	     s = jv_next(sessions, s)) {
		if (jv_eq(jv_get(s, "id"), id))
			return s;
	}
	return (struct jv){.i = -1};
}

/* It goes on behind the end of ours. */
static void put_ahead(struct jw *w, const struct session_brief *b)
{
	jw_key(w, b->id);
	jw_obj(w);
	jw_kint(w, "next_seq", b->last_seq + 1);
	jw_kint(w, "chain", b->chain);
	jw_kint(w, "epoch", b->epoch + 1);
	jw_obj_end(w);
}

/* Compare one session of ours with what the guest says it has of it. */
static int feed_session(const struct session_brief *b, void *arg)
{
	struct feeding *f = arg;
	struct link *l = f->l;
	struct jv s = hello_session(*f->sessions, b->id);
	int64_t theirs = jv_int(jv_get(s, "last_seq"), 0);
	int64_t common = theirs < b->last_seq ? theirs : b->last_seq;

	jw_kint(&l->have, b->id, b->last_seq);
	if (theirs < 0)
		return err_set(&f->err, -FAULT_BAD_FRAME, "%s: last_seq %lld",
			       b->id, (long long)theirs);
	if (theirs == common && theirs > 0 &&
	    reader_chain(l->spec.reader, b->n, common) !=
		    jv_int(jv_get(s, "chain"), 0))
		return err_set(&f->err, -FAULT_CHAIN_DIVERGED,
			       "%s: event %lld differs between guest and host",
			       b->id, (long long)common);
	if (theirs > 0 && theirs < b->last_seq)
		put_ahead(&l->ahead, b);
	if (theirs >= b->last_seq || f->started)
		return 0;
	if (feeder_add(f->lacks, b->id, theirs) < 0)
		return err_set(&f->err, -ENOMEM, "%s: out of memory", b->id);
	return 0;
}

static void link_on_fed(const struct err *e, void *arg)
{
	struct link *l = arg;

	if (e->code == 0)
		link_start(l);
	else if (e->code == -FAULT_GUEST_UNREACHABLE)
		link_lost(l, e->msg);
	else
		link_fail(l, e);
}

/* Make the `have` line and the lists of what the guest lacks. */
static int link_compare(struct link *l, struct feeding *f)
{
	int r;

	jw_reset(&l->ahead);
	jw_obj(&l->ahead);
	jw_reset(&l->have);
	jw_obj(&l->have);
	jw_key(&l->have, "have");
	jw_obj(&l->have);
	r = reader_sessions(l->spec.reader, l->vm, feed_session, f, &f->err);
	jw_obj_end(&l->have);
	jw_obj_end(&l->have);
	jw_lit(&l->have, "\n", 1);
	jw_obj_end(&l->ahead);
	return r;
}

static void link_feed_lacks(struct link *l, struct feeder *lacks)
{
	if (feeder_is_empty(lacks)) {
		feeder_free(lacks);
		link_start(l);
	} else if (feeder_send(lacks, l->h2, link_on_fed, l) < 0) {
		feeder_free(lacks);
		link_lost(l, "out of memory");
	}
}

/* Give the guest what it lacks; go on to start. */
static void link_feed(struct link *l, struct jv hello)
{
	struct jv sessions = jv_get(hello, "sessions");
	struct feeding f = {
		.l = l,
		.sessions = &sessions,
		.started = jv_bool(jv_get(hello, "started"), false),
		.lacks = feeder_new(l->spec.reader),
	};

	l->state = LINK_FEED;
	if (f.lacks == NULL) {
		link_lost(l, "out of memory");
	} else if (link_compare(l, &f) < 0) {
		feeder_free(f.lacks);
		link_fail(l, &f.err);
	} else {
		if (!f.started)
			jw_reset(&l->ahead); /* It is fed, not set back. */
		link_feed_lacks(l, f.lacks);
	}
}

void link_feed_session(struct link *l, const char *session, link_fed_cb cb,
		       void *arg)
{
	struct err e = {0};

	if (!link_is_up(l))
		err_set(&e, -FAULT_GUEST_UNREACHABLE,
			"the channel to the guest is down");
	else if (latefeed_join(&l->late, l->spec.reader, l->h2, session, cb,
			       arg) < 0)
		err_set(&e, -ENOMEM, "%s: out of memory", session);
	if (e.code < 0)
		cb(&e, arg);
}

/* --- thaw --------------------------------------------------------------- */

/* What was said before the thaw no longer holds; a link that was up stays up. */
static void link_thawed(struct link *l)
{
	l->paused = l->thawing = false;
	jw_reset(&l->ahead);
	if (l->state == LINK_THAW) {
		l->thawed = true;
		link_hello(l);
	} else {
		link_watch(l);
		l->ev->up(l, l->arg);
	}
}

static void link_on_thawed(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	struct link *l = arg;
	autojson struct json j = {0};
	struct err bad = *e;

	if (bad.code == -FAULT_GUEST_UNREACHABLE) {
		link_lost(l, bad.msg);
		return;
	}
	if (bad.code == 0 && json_parse(&j, body, len, &bad) < 0)
		bad.code = -FAULT_BAD_FRAME;
	if (bad.code < 0) {
		err_wrap(&bad, "%s: thaw", l->vm);
		link_fail(l, &bad);
		return;
	}
	if (l->ev->thawed != NULL)
		l->ev->thawed(l, jv_get(json_root(&j), "last_seq"), l->arg);
	link_thawed(l);
}

/* Return: false when the guest is to stay paused. */
static bool link_try_thaw(struct link *l)
{
	autojw struct jw w = {0};

	if (l->ev->thaw == NULL || !l->ev->thaw(l, &w, l->arg))
		return false;
	if (w.failed || exchange_post(l->h2, "/call/thaw", w.buf, w.len,
				      link_on_thawed, l) < 0) {
		link_lost(l, "out of memory");
	} else {
		l->thawing = true;
		link_watch(l);
	}
	return true;
}

void link_thaw(struct link *l)
{
	/* Any other link asks when it gets that far. */
	if (link_is_paused(l))
		(void)link_try_thaw(l);
}

void link_pause(struct link *l)
{
	assert(l->state == LINK_UP);
	l->paused = true;
}

bool link_write_ahead(const struct link *l, struct jw *params)
{
	if (l->ahead.failed || l->ahead.len <= strlen("{}"))
		return false;
	jw_key(params, "sessions");
	jw_raw(params, l->ahead.buf, l->ahead.len);
	return true;
}

/* Are its logs ours, as far as they go?  If not the link has failed. */
static bool link_knows_logs(struct link *l, struct jv hello)
{
	struct jv sessions = jv_get(hello, "sessions");
	struct feeding f = {.l = l, .sessions = &sessions, .started = true};
	int r = link_compare(l, &f);

	if (r < 0)
		link_fail(l, &f.err);
	return r >= 0;
}

/* Its events, and nothing else. */
static void link_follow_paused(struct link *l, struct jv hello)
{
	if (!link_knows_logs(l, hello))
		return;
	l->state = LINK_FEED;
	link_sync(l);
}

/* --- hello -------------------------------------------------------------- */

/* A guest that is paused, or not started, may not know yet whose it is. */
static bool is_unnamed(const struct link *l, struct jv hello)
{
	bool may = jv_bool(jv_get(hello, "paused"), false) ||
		   !jv_bool(jv_get(hello, "started"), true);

	return may && l->clone_of[0] != '\0' &&
	       jv_eq(jv_get(hello, "vm"), l->clone_of);
}

static bool is_its_hello(const struct link *l, struct jv hello)
{
	return jv_eq(jv_get(hello, "vm"), l->vm) || is_unnamed(l, hello);
}

static void link_go_on(struct link *l, struct jv hello)
{
	struct err e = {0};

	l->paused = jv_bool(jv_get(hello, "paused"), false);
	l->frozen = jv_bool(jv_get(hello, "frozen"), false);
	if (!l->paused && !is_unnamed(l, hello)) {
		link_feed(l, hello);
		return;
	}
	if (l->thawed) {
		err_set(&e, -FAULT_BAD_FRAME,
			"%s: the guest has thawed, and is as before", l->vm);
		link_fail(l, &e);
		return;
	}
	l->state = LINK_THAW;
	if (!is_unnamed(l, hello) && !link_knows_logs(l, hello))
		return;
	if (link_try_thaw(l))
		return;
	if (l->paused) {
		link_follow_paused(l, hello);
		return;
	}
	err_set(&e, -FAULT_SESSION_CONFLICT, "%s: it has the disk of %s", l->vm,
		l->clone_of);
	link_fail(l, &e);
}

static void link_on_hello(const char *body, size_t len, const struct err *e,
			  void *arg)
{
	struct link *l = arg;
	autojson struct json j = {0};
	struct err bad = {0};
	struct jv hello;

	if (e->code == -FAULT_GUEST_UNREACHABLE) {
		link_lost(l, e->msg);
		return;
	}
	if (e->code < 0) {
		link_fail(l, e);
		return;
	}
	if (json_parse(&j, body, len, &bad) < 0) {
		bad.code = -FAULT_BAD_FRAME;
		err_wrap(&bad, "%s: hello", l->vm);
		link_fail(l, &bad);
		return;
	}
	hello = json_root(&j);
	if (!is_its_hello(l, hello)) {
		err_set(&bad, -FAULT_BAD_FRAME, "%s: not the guest's hello",
			l->vm);
		link_fail(l, &bad);
		return;
	}
	if (wire_agree(&wire_versions, hello, "hibd", "the guest", &bad) < 0) {
		link_fail(l, &bad);
		return;
	}
	if (jv_strcpy(jv_get(hello, "boot_id"), l->boot_id,
		      sizeof(l->boot_id)) < 0)
		l->boot_id[0] = '\0';
	if (jv_strcpy(jv_get(hello, "build"), l->build, sizeof(l->build)) < 0)
		l->build[0] = '\0';
	l->cannot_pause = !jv_has(jv_get(hello, "paused"));
	l->upgrades = jv_int(jv_get(hello, "upgrades"), 0);
	if (!l->greeted)
		link_expect(l, LINK_START_MS);
	l->greeted = true;
	link_go_on(l, hello);
}

void link_hello(struct link *l)
{
	autojw struct jw w = {0};

	l->state = LINK_HELLO;
	jw_obj(&w);
	wire_write(&w);
	jw_kstr(&w, "vm", l->vm);
	if (l->clone_of[0] != '\0')
		jw_kstr(&w, "clone_of", l->clone_of);
	jw_kint(&w, "generation", l->spec.generation);
	jw_kint(&w, "now", now_ms());
	jw_obj_end(&w);
	if (w.failed ||
	    exchange_post(l->h2, "/hello", w.buf, w.len, link_on_hello, l) < 0)
		link_lost(l, "out of memory");
}
