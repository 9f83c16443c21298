// SPDX-License-Identifier: Apache-2.0
/*
 * link.c - hibd's end of the guest channel of one machine
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
#include "host/daemon/link.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "core/wire.h"
#include "host/daemon/dialer.h"
#include "host/daemon/exchange.h"
#include "host/daemon/latefeed.h"

#define LOG_COMPONENT	 "link"
#define RESYNCS_MAX	 5 /* In RESYNC_WINDOW_MS. */
#define RESYNC_WINDOW_MS 60000
#define STEADY_MS	 1000 /* Up for so long, it is worth a quick return. */
#define ACKS_MAX	 1024 /* Not yet sent. */
#define ACK_QUEUE_MAX	 (64u << 10) /* Bytes that the guest has not read. */

enum link_state {
	LINK_DOWN,
	LINK_HELLO,
	LINK_THAW,
	LINK_FEED,
	LINK_START,
	LINK_UP
};

/* An acknowledgement not yet sent. */
struct ack {
	char session[ID_MAX];
	int64_t seq;
};

struct link {
	struct link_spec spec;
	char vm[ID_MAX], clone_of[ID_MAX];
	char boot_id[64], build[64];
	int64_t upgrades;
	char *workspace;
	char mode[16];
	const struct link_events *ev;
	void *arg;

	enum link_state state;
	bool closed, was_up;
	bool paused;	   /* The guest is, as far as we know, */
	bool frozen;	   /* or was for good when it said hello. */
	bool thawed;	   /* Between two hellos of this connection. */
	bool cannot_pause; /* As its hello says, by not saying it. */
	struct h2 *h2;
	struct h2_stream *sync;
	struct mirror_feed *feed;
	struct latefeed_list late; /* Sessions fed since it is up. */
	struct jw have; /* {"ses_..":seq,..} as sent with the next sync. */

	struct ack *acks;
	size_t n_acks, cap_acks;
	uv_idle_t ack_idle;

	struct dialer *dialer;
	uv_timer_t deadline; /* While it is not up; see link_on_deadline(). */
	bool greeted;	     /* A hello was answered since it was up. */
	unsigned handles;    /* Not yet closed. */
	uint64_t up_at, resynced_at;
	unsigned resyncs; /* Since resynced_at. */
	struct err full;  /* Why the host could not store; code 0: it can. */
};

/* --- ends --------------------------------------------------------------- */

static void link_fail(struct link *l, const struct err *e)
{
	if (!l->closed)
		l->ev->failed(l, e, l->arg);
}

/* Drop the connection, if any; calls on their way end. */
static void link_drop(struct link *l)
{
	struct h2 *h2 = take_ptr(l->h2);

	l->state = LINK_DOWN;
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

static void link_expect(struct link *l, uint64_t ms)
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

static void link_lost(struct link *l, const char *why)
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

/* --- sync --------------------------------------------------------------- */

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

static void link_on_ack_idle(uv_idle_t *h);

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

static void link_sync(struct link *l)
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
static void link_on_ack_idle(uv_idle_t *h)
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

/* Make the `have` line and the list of what the guest lacks. */
static int link_compare(struct link *l, struct feeding *f)
{
	int r;

	jw_reset(&l->have);
	jw_obj(&l->have);
	jw_key(&l->have, "have");
	jw_obj(&l->have);
	r = reader_sessions(l->spec.reader, l->vm, feed_session, f, &f->err);
	jw_obj_end(&l->have);
	jw_obj_end(&l->have);
	jw_lit(&l->have, "\n", 1);
	return r;
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
	} else if (feeder_is_empty(f.lacks)) {
		feeder_free(f.lacks);
		link_start(l);
	} else if (feeder_send(f.lacks, l->h2, link_on_fed, l) < 0) {
		feeder_free(f.lacks);
		link_lost(l, "out of memory");
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

static void link_hello(struct link *l);

/* What was said before the thaw no longer holds; a link that was up stays up. */
static void link_thawed(struct link *l)
{
	l->paused = false;
	if (l->state == LINK_THAW) {
		l->thawed = true;
		link_hello(l);
	} else {
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
				      link_on_thawed, l) < 0)
		link_lost(l, "out of memory");
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

/* Its events, and nothing else. */
static void link_follow_paused(struct link *l, struct jv hello)
{
	struct jv sessions = jv_get(hello, "sessions");
	struct feeding f = {.l = l, .sessions = &sessions, .started = true};

	l->state = LINK_FEED;
	if (link_compare(l, &f) < 0)
		link_fail(l, &f.err);
	else
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

static void link_hello(struct link *l)
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
	l->ack_idle.data = l->deadline.data = l;
	l->handles = 2;
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
