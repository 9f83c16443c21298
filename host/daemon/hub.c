// SPDX-License-Identifier: Apache-2.0
/*
 * hub.c - Stored events out to whoever listens
 *
 * A subscription starts behind: it reads the log in pages, each when the one
 * before has left for the client.  When a page ends at the log's end it is
 * live: from then on it is fed from the store's publications, which come in
 * commit order.  A page may already hold what is published a moment later; the
 * cursor `sent` drops the double.
 *
 *	BEHIND --end of log--> LIVE
 *	   ^                    |
 *	   '---- queue full ----'
 *	BEHIND --took nothing while HUB_LAG_MAX came--> LOSING --drained--> LIVE
 *
 * LOSING counts the range that was dropped; it is announced as one stream.gap.
 */
#include "host/daemon/hub.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/sse.h"
#include "host/views.h"

#define LOG_COMPONENT "hub"
#define BUCKETS	      256

enum sub_state { SUB_BEHIND, SUB_LIVE, SUB_LOSING };

struct sub {
	LIST_ENTRY(sub) link;
	struct topic *topic;
	struct hub *hub;
	struct http_req *r;
	enum sub_state state;
	size_t lag;		  /* Bytes published since it last drained. */
	int64_t sent;		  /* Highest seq given or announced lost. */
	int64_t gap_from, gap_to; /* While LOSING. */
};

struct wait {
	LIST_ENTRY(wait) link;
	struct hub *hub;
	int64_t seq;	   /* Waiting for this event... */
	char turn[ID_MAX]; /* ...or for the end of this turn. */
	hub_done_cb done;
	hub_turn_cb turn_done;
	void *arg;
	uv_timer_t *timer; /* NULL without a deadline. */
};

/* A session that somebody listens to. */
struct topic {
	LIST_ENTRY(topic) link;
	char session[ID_MAX];
	LIST_HEAD(sub_list, sub) subs;
	LIST_HEAD(wait_list, wait) waits;
	unsigned n_subs;
};

struct hub {
	uv_loop_t *loop;
	struct store *store;
	struct reader *reader;
	LIST_HEAD(topic_list, topic) topics[BUCKETS];
	unsigned n_subs;
	uv_timer_t ping;
	struct jw out; /* Scratch: what one publication means for one sub. */
	void (*observe)(const struct event *ev, void *arg);
	void *observe_arg;
};

bool event_ends_turn(const struct event *ev)
{
	static const char *const ends[] = {"turn.completed", "turn.failed",
					   "turn.cancelled",
					   "turn.interrupted"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (strcmp(ev->type, ends[i]) == 0)
			return true;
	}
	return false;
}

/* --- topics ------------------------------------------------------------- */

static unsigned bucket_of(const char *session)
{
	unsigned h = 2166136261u;

	for (; *session != '\0'; session++)
		h = (h ^ (unsigned char)*session) * 16777619u;
	return h % BUCKETS;
}

static struct topic *topic_find(struct hub *h, const char *session)
{
	struct topic *t;

	LIST_FOREACH(t, &h->topics[bucket_of(session)], link)
	{
		if (strcmp(t->session, session) == 0)
			return t;
	}
	return NULL;
}

static struct topic *topic_get(struct hub *h, const char *session)
{
	struct topic *t = topic_find(h, session);

	if (t != NULL)
		return t;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	snprintf(t->session, sizeof(t->session), "%s", session);
	LIST_INSERT_HEAD(&h->topics[bucket_of(session)], t, link);
	return t;
}

static void topic_release(struct topic *t)
{
	if (!LIST_EMPTY(&t->subs) || !LIST_EMPTY(&t->waits))
		return;
	LIST_REMOVE(t, link);
	free(t);
}

/* --- waits -------------------------------------------------------------- */

static void timer_on_closed(uv_handle_t *t)
{
	free(t);
}

static void wait_unlink(struct wait *w)
{
	LIST_REMOVE(w, link);
	if (w->timer != NULL) {
		w->timer->data = NULL;
		uv_close((uv_handle_t *)w->timer, timer_on_closed);
	}
}

static void wait_end(struct wait *w, const struct event *ev,
		     const struct err *e)
{
	wait_unlink(w);
	if (w->turn_done != NULL)
		w->turn_done(ev, e, w->arg);
	else
		w->done(e, w->arg);
	free(w);
}

static void wait_on_timeout(uv_timer_t *t)
{
	struct wait *w = t->data;
	struct err e = {0};

	if (w == NULL)
		return;
	err_set(&e, -FAULT_REQUEST_TIMEOUT,
		"the host has not stored event %lld yet", (long long)w->seq);
	wait_end(w, NULL, &e);
}

/* Free of its list already: a wait that could not be made. */
static void wait_refuse(hub_done_cb done, hub_turn_cb turn_done, int code,
			void *arg)
{
	struct err e = {0};

	err_set(&e, code, "waiting for an event: out of memory");
	if (turn_done != NULL)
		turn_done(NULL, &e, arg);
	else
		done(&e, arg);
}

static struct wait *wait_add(struct hub *h, const char *session, void *arg)
{
	struct topic *t = topic_get(h, session);
	struct wait *w = t ? calloc(1, sizeof(*w)) : NULL;

	if (w == NULL) {
		if (t != NULL)
			topic_release(t);
		return NULL;
	}
	w->hub = h;
	w->arg = arg;
	LIST_INSERT_HEAD(&t->waits, w, link);
	return w;
}

void hub_await_seq(struct hub *h, const char *session, int64_t seq,
		   uint64_t timeout_ms, hub_done_cb cb, void *arg)
{
	static const struct err none;
	struct session_brief b;
	struct wait *w;

	if (reader_session(h->reader, session, &b, NULL) == 0 &&
	    b.last_seq >= seq) {
		cb(&none, arg);
		return;
	}
	w = wait_add(h, session, arg);
	if (w == NULL) {
		wait_refuse(cb, NULL, -ENOMEM, arg);
		return;
	}
	w->seq = seq;
	w->done = cb;
	w->timer = timeout_ms ? malloc(sizeof(*w->timer)) : NULL;
	if (w->timer == NULL)
		return;
	uv_timer_init(h->loop, w->timer);
	w->timer->data = w;
	uv_timer_start(w->timer, wait_on_timeout, timeout_ms, 0);
}

/* Has the session's VM been set back to before it? */
static bool is_abandoned(struct hub *h, const struct event *ev)
{
	char seq[24];
	const char *args[] = {ev->session, seq, NULL};
	autofree char *found = NULL;

	snprintf(seq, sizeof(seq), "%lld", (long long)ev->seq);
	return reader_value(h->reader,
			    "SELECT 1 FROM abandoned WHERE session_id=?1 AND"
			    " CAST(?2 AS INTEGER) BETWEEN from_seq AND to_seq",
			    args, &found, NULL) == 1;
}

/* The terminal event, when it is stored already. */
static int find_end(const struct event *ev, void *arg)
{
	struct wait *w = arg;
	static const struct err none;

	if (!event_ends_turn(ev) || is_abandoned(w->hub, ev))
		return 0;
	w->turn_done(ev, &none, w->arg);
	return 1;
}

void hub_await_turn(struct hub *h, const char *session, const char *turn,
		    hub_turn_cb cb, void *arg)
{
	struct wait now = {.hub = h, .turn_done = cb, .arg = arg};
	struct event_query q = {
		.session = session, .turn = turn, .types = "turn.*"};
	struct wait *w;

	if (reader_each_event(h->reader, &q, find_end, &now, NULL) == 1)
		return;
	w = wait_add(h, session, arg);
	if (w == NULL) {
		wait_refuse(NULL, cb, -ENOMEM, arg);
		return;
	}
	w->turn_done = cb;
	snprintf(w->turn, sizeof(w->turn), "%s", turn);
}

void hub_forget(struct hub *h, const void *arg)
{
	struct topic *t, *tn;
	struct wait *w, *wn;

	for (unsigned i = 0; i < BUCKETS; i++) {
		for (t = LIST_FIRST(&h->topics[i]); t != NULL; t = tn) {
			tn = LIST_NEXT(t, link);
			for (w = LIST_FIRST(&t->waits); w != NULL; w = wn) {
				wn = LIST_NEXT(w, link);
				if (w->arg != arg)
					continue;
				wait_unlink(w);
				free(w);
			}
			topic_release(t);
		}
	}
}

/* A wait that these events end, and by which of them. */
static struct wait *topic_due(struct topic *t, const struct store_batch *b,
			      const struct event **out)
{
	const struct event *last = TAILQ_LAST(&b->events, event_list);
	const struct event *ev;
	struct wait *w;

	LIST_FOREACH(w, &t->waits, link)
	{
		*out = last;
		if (w->done != NULL && last->seq >= w->seq)
			return w;
		if (w->done != NULL)
			continue;
		TAILQ_FOREACH (ev, &b->events, link) {
			*out = ev;
			if (event_ends_turn(ev) &&
			    strcmp(ev->turn, w->turn) == 0)
				return w;
		}
	}
	return NULL;
}

/* A turn that a rewind has undone will not end. */
static bool is_undone(struct hub *h, const char *session, const char *turn)
{
	const char *args[] = {session, turn, NULL};
	autofree char *found = NULL;

	return reader_value(h->reader,
			    "SELECT 1 FROM turn WHERE session_id=?1 AND id=?2",
			    args, &found, NULL) == 0;
}

static struct wait *topic_undone(struct hub *h, struct topic *t,
				 const struct store_batch *b)
{
	struct wait *w;

	LIST_FOREACH(w, &t->waits, link)
	{
		if (w->turn_done != NULL && is_undone(h, b->session, w->turn))
			return w;
	}
	return NULL;
}

static bool has_rewind(const struct store_batch *b)
{
	const struct event *ev;

	TAILQ_FOREACH (ev, &b->events, link)
		if (strcmp(ev->type, "session.rewound") == 0)
			return true;
	return false;
}

static void hub_fail_undone(struct hub *h, const struct store_batch *b)
{
	struct topic *t;
	struct wait *w;
	struct err e = {0};

	if (!has_rewind(b))
		return;
	err_set(&e, -FAULT_TURN_NOT_FOUND,
		"the VM was set back to before the turn");
	while ((t = topic_find(h, b->session)) != NULL &&
	       (w = topic_undone(h, t, b)) != NULL)
		wait_end(w, NULL, &e);
	if (t != NULL)
		topic_release(t);
}

/* A callback may do anything, also end the topic: look anew each time. */
static void hub_wake(struct hub *h, const struct store_batch *b)
{
	static const struct err none;
	const struct event *ev;
	struct topic *t;
	struct wait *w;

	hub_fail_undone(h, b);
	while ((t = topic_find(h, b->session)) != NULL &&
	       (w = topic_due(t, b, &ev)) != NULL)
		wait_end(w, ev, &none);
	if (t != NULL)
		topic_release(t);
}

/* --- subscribers -------------------------------------------------------- */

static void sub_put(struct sub *s, const struct event *ev)
{
	sse_write(&s->hub->out, ev->seq, ev->type, ev->line, ev->len - 1);
	s->sent = ev->seq;
}

static void sub_flush(struct sub *s)
{
	struct jw *out = &s->hub->out;

	if (out->failed)
		http_stream_abort(s->r);
	else if (out->len > 0)
		http_stream_write(s->r, out->buf, out->len);
	jw_reset(out);
}

static int page_put(const struct event *ev, void *arg)
{
	struct sub *s = arg;

	sub_put(s, ev);
	return s->hub->out.len >= HUB_PAGE_BYTES;
}

/* Give one page of history; live at its end. */
static void sub_page(struct sub *s)
{
	struct event_query q = {.session = s->topic->session, .since = s->sent};
	struct err e = {0};
	int r;

	r = reader_each_event(s->hub->reader, &q, page_put, s, &e);
	if (r < 0) {
		log_warn("%s: reading for a subscriber: %s", q.session, e.msg);
		jw_reset(&s->hub->out);
		http_stream_abort(s->r);
		return;
	}
	if (r == 0)
		s->state = SUB_LIVE;
	sub_flush(s);
}

static void sub_gap(struct sub *s)
{
	char data[80];
	int n = snprintf(data, sizeof(data), "{\"from\":%lld,\"to\":%lld}",
			 (long long)s->gap_from, (long long)s->gap_to);

	sse_write(&s->hub->out, -1, "stream.gap", data, (size_t)n);
	s->sent = s->gap_to;
	s->state = SUB_LIVE;
	sub_flush(s);
}

static void sub_on_drained(struct http_req *r, void *arg)
{
	struct sub *s = arg;

	(void)r;
	s->lag = 0;
	if (s->state == SUB_BEHIND)
		sub_page(s);
	else if (s->state == SUB_LOSING)
		sub_gap(s);
}

/* What is not sent now is in the log.  Only who takes nothing at all loses. */
static void sub_postpone(struct sub *s, const struct event *ev)
{
	s->lag += ev->len;
	if (s->state == SUB_BEHIND && s->lag > HUB_LAG_MAX) {
		s->state = SUB_LOSING;
		s->gap_from = s->sent + 1;
	}
	if (s->state == SUB_LOSING)
		s->gap_to = ev->seq;
}

static bool sub_is_full(const struct sub *s, const struct event *ev)
{
	size_t queued = http_stream_queued(s->r);

	return queued > 0 && queued + s->hub->out.len + ev->len > HUB_QUEUE_MAX;
}

static void sub_publish(struct sub *s, const struct store_batch *b)
{
	const struct event *ev;

	TAILQ_FOREACH (ev, &b->events, link) {
		if (ev->seq <= s->sent)
			continue;
		if (s->state == SUB_LIVE && sub_is_full(s, ev))
			s->state = SUB_BEHIND;
		if (s->state == SUB_LIVE)
			sub_put(s, ev);
		else
			sub_postpone(s, ev);
	}
	sub_flush(s);
}

static void sub_on_end(struct http_req *r, void *arg)
{
	struct sub *s = arg;
	struct hub *h = s->hub;

	(void)r;
	LIST_REMOVE(s, link);
	s->topic->n_subs--;
	topic_release(s->topic);
	free(s);
	if (--h->n_subs == 0)
		uv_timer_stop(&h->ping);
}

static void hub_on_ping(uv_timer_t *t)
{
	struct hub *h = t->data;
	struct topic *tp;
	struct sub *s;

	for (unsigned i = 0; i < BUCKETS; i++) {
		LIST_FOREACH(tp, &h->topics[i], link)
		{
			LIST_FOREACH(s, &tp->subs, link)
			{
				if (http_stream_queued(s->r) > 0)
					continue;
				sse_write_comment(&h->out, "ping");
				sub_flush(s);
			}
		}
	}
}

/* What a client must know before the first event. */
static void sub_open(struct sub *s, const struct session_brief *b)
{
	const char *args[] = {s->topic->session, NULL};
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "session", s->topic->session);
	jw_kstr(&w, "state", b->state);
	jw_kint(&w, "last_seq", b->last_seq);
	jw_kint(&w, "epoch", b->epoch);
	jw_key(&w, "pending");
	jw_arr(&w);
	(void)reader_rows(s->hub->reader,
			  "SELECT * FROM request WHERE session_id=?1 AND "
			  "state='pending' ORDER BY asked_seq",
			  args, &w, NULL);
	jw_arr_end(&w);
	jw_kbool(&w, "tail_complete",
		 views_tail_complete(s->hub->reader, s->topic->session));
	jw_obj_end(&w);
	sse_write_retry(&s->hub->out, 500);
	sse_write(&s->hub->out, -1, "stream.open", w.buf, w.len);
}

void hub_subscribe(struct hub *h, struct http_req *r, const char *session,
		   int64_t since)
{
	struct session_brief b;
	struct err e = {0};
	struct topic *t;
	struct sub *s;

	if (reader_session(h->reader, session, &b, &e) < 0) {
		http_reply_err(r, &e);
		return;
	}
	if (since < 0 || since > b.last_seq) {
		err_set(&e,
			since < 0 ? -FAULT_INVALID_ARGUMENT
				  : -FAULT_CURSOR_AHEAD,
			"since %lld: the log ends at %lld", (long long)since,
			(long long)b.last_seq);
		err_data(&e, "\"last_seq\":%lld,\"epoch\":%lld",
			 (long long)b.last_seq, (long long)b.epoch);
		http_reply_err(r, &e);
		return;
	}
	t = topic_get(h, session);
	s = t && t->n_subs < HUB_SUBSCRIBERS_MAX ? calloc(1, sizeof(*s)) : NULL;
	if (s == NULL) {
		err_set(&e, -FAULT_OVERLOADED, "too many subscribers of %s",
			session);
		err_data(&e, "\"retry_after_ms\":1000");
		http_reply_err(r, &e);
		if (t != NULL)
			topic_release(t);
		return;
	}
	*s = (struct sub){.hub = h, .topic = t, .r = r, .sent = since};
	LIST_INSERT_HEAD(&t->subs, s, link);
	t->n_subs++;
	if (h->n_subs++ == 0)
		uv_timer_start(&h->ping, hub_on_ping, HUB_PING_MS, HUB_PING_MS);
	http_on_end(r, sub_on_end, s);
	http_stream_begin(r, 200, "text/event-stream", sub_on_drained, s);
	sub_open(s, &b);
	sub_page(s);
}

/* --- the store ---------------------------------------------------------- */

static void hub_on_stored(const struct store_batch *b, void *arg)
{
	struct hub *h = arg;
	struct topic *t;
	const struct event *ev;
	struct sub *s, *next;

	if (TAILQ_EMPTY(&b->events))
		return;
	if (h->observe != NULL) {
		TAILQ_FOREACH (ev, &b->events, link) {
			if (strncmp(ev->type, "acp.", 4) != 0)
				h->observe(ev, h->observe_arg);
		}
	}
	t = topic_find(h, b->session);
	if (t == NULL)
		return;
	for (s = LIST_FIRST(&t->subs); s != NULL; s = next) {
		next = LIST_NEXT(s, link);
		sub_publish(s, b);
	}
	hub_wake(h, b);
}

void hub_observe(struct hub *h, void (*cb)(const struct event *ev, void *arg),
		 void *arg)
{
	h->observe = cb;
	h->observe_arg = arg;
}

static void topic_end(struct hub *h, struct topic *t, const struct err *e,
		      const char *reason)
{
	char session[ID_MAX];
	struct sub *s, *next;
	struct wait *w;
	autojw struct jw data = {0};

	memcpy(session, t->session, sizeof(session));
	jw_obj(&data);
	jw_kstr(&data, "reason", reason);
	jw_obj_end(&data);
	for (s = LIST_FIRST(&t->subs); s != NULL; s = next) {
		next = LIST_NEXT(s, link);
		sse_write(&h->out, -1, "stream.end", data.buf, data.len);
		sub_flush(s);
		http_stream_end(s->r);
	}
	while ((t = topic_find(h, session)) != NULL &&
	       (w = LIST_FIRST(&t->waits)) != NULL)
		wait_end(w, NULL, e);
	if (t != NULL)
		topic_release(t);
}

void hub_end_session(struct hub *h, const char *session, const char *reason)
{
	struct topic *t = topic_find(h, session);
	struct err e = {0};

	if (t == NULL)
		return;
	err_set(&e, -FAULT_SESSION_NOT_FOUND, "%s: %s", session, reason);
	topic_end(h, t, &e, reason);
}

struct hub *hub_new(uv_loop_t *loop, struct store *s, struct reader *r)
{
	struct hub *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->loop = loop;
	h->store = s;
	h->reader = r;
	uv_timer_init(loop, &h->ping);
	h->ping.data = h;
	store_subscribe(s, hub_on_stored, h);
	return h;
}

static void hub_on_closed(uv_handle_t *t)
{
	struct hub *h = t->data;

	jw_done(&h->out);
	free(h);
}

void hub_close(struct hub *h, const char *reason)
{
	struct err e = {0};
	struct topic *t, *next;

	err_set(&e, -FAULT_DRAINING, "hibd stops");
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (t = LIST_FIRST(&h->topics[i]); t != NULL; t = next) {
			next = LIST_NEXT(t, link);
			topic_end(h, t, &e, reason);
		}
	}
	uv_close((uv_handle_t *)&h->ping, hub_on_closed);
}
