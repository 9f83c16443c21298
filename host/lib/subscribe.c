// SPDX-License-Identifier: Apache-2.0
/*
 * subscribe.c - Every event of a session, in order, each once, for ever
 *
 *	      +--- call ended, gap, restart of the daemon ---+
 *	      v                                              |
 *	CONNECTING --- stream.open ---> STREAMING -----------+--> WAITING
 *	      ^                                                     |
 *	      +-------------------- timer --------------------------+
 *
 * The stream gives what is stored after `since` and then what is new, so after
 * any trouble we ask again with the last seq that was handed on.  A number that
 * is not the next one, and stream.gap (the daemon dropped events that we were
 * too slow for), are such trouble.  Only when the same gap comes again was the
 * log's beginning removed, and we go on behind it.
 *
 * It ends when the session is destroyed, when the daemon refuses, or when it
 * stays away for all the attempts of the handle; attempts count from the last
 * stream.open.
 */
#include <string.h>

#include "core/sse.h"
#include "host/lib/lib.h"

struct hib_subscription {
	struct hib *h;
	TAILQ_ENTRY(hib_subscription) link;
	char session[HIB_ID_MAX];
	struct hib_subscribe s;
	int64_t since;
	struct http_call *call; /* NULL between attempts. */
	struct sse_reader sse;
	struct jw refusal; /* Body of an answer that is no stream. */
	int status;
	uv_timer_t timer;
	unsigned failures;
	int64_t gap_since; /* Where the last gap began; -1: none. */
	bool again;	   /* Break off and ask again. */
	bool over;	   /* Destroyed: the end is for good. */
	bool closing;	   /* No more callbacks. */
};

static void sub_connect(struct hib_subscription *b);

/* --- end ---------------------------------------------------------------- */

static void sub_on_timer_closed(uv_handle_t *t)
{
	struct hib_subscription *b = t->data;

	sse_reader_done(&b->sse);
	jw_done(&b->refusal);
	free(b);
}

/* The last of call and timer to go frees the object. */
static void sub_free_later(struct hib_subscription *b)
{
	if (b->call == NULL)
		uv_close((uv_handle_t *)&b->timer, sub_on_timer_closed);
}

static void sub_close(struct hib_subscription *b)
{
	b->closing = true;
	uv_timer_stop(&b->timer);
	TAILQ_REMOVE(&b->h->subs, b, link);
	if (b->call != NULL)
		http_call_cancel(b->call); /* Frees it in sub_on_end(). */
	else
		sub_free_later(b);
}

static void sub_end(struct hib_subscription *b, const struct err *e)
{
	struct hib_error out;

	b->closing = true;
	TAILQ_REMOVE(&b->h->subs, b, link);
	(void)lib_result(e->code, e, &out);
	if (b->s.on_end != NULL)
		b->s.on_end(&out, b->s.arg);
	sub_free_later(b);
}

/* --- again -------------------------------------------------------------- */

static void sub_on_timer(uv_timer_t *t)
{
	sub_connect(t->data);
}

static void sub_retry(struct hib_subscription *b, int why)
{
	struct hib *h = b->h;
	struct err e = {0};
	bool absent = why == -ECONNREFUSED || why == -ENOENT;

	if (++b->failures > h->attempts) {
		err_set(&e,
			absent ? -FAULT_VM_UNAVAILABLE
			       : -FAULT_GUEST_UNREACHABLE,
			"events of %s: hibd stays away (%s)", b->session,
			strerror(-why));
		sub_end(b, &e);
		return;
	}
	if (absent && h->autostart && start_daemon(h, &e) < 0) {
		sub_end(b, &e);
		return;
	}
	uv_timer_start(&b->timer, sub_on_timer, lib_pause_ms(b->failures), 0);
}

/* --- the stream --------------------------------------------------------- */

static void sub_break_off(struct hib_subscription *b)
{
	b->again = true;
	http_call_cancel(b->call);
}

static void sub_on_gap(struct hib_subscription *b, const struct sse_event *ev)
{
	autojson struct json j = {0};

	if (b->gap_since == b->since &&
	    json_parse(&j, ev->data, ev->len, NULL) == 0) {
		int64_t to = jv_int(jv_get(json_root(&j), "to"), 0);

		if (to > b->since)
			b->since = to;
		return;
	}
	b->gap_since = b->since;
	sub_break_off(b);
}

static void sub_on_stream_end(struct hib_subscription *b,
			      const struct sse_event *ev)
{
	autojson struct json j = {0};

	if (json_parse(&j, ev->data, ev->len, NULL) == 0)
		b->over = jv_eq(jv_get(json_root(&j), "reason"), "destroyed");
	sub_break_off(b);
}

static void sub_on_event(struct hib_subscription *b,
			 const struct sse_event *sse)
{
	struct event_line text;
	struct hib_event ev;

	if (!event_decode(&ev, &text, sse->data, sse->len) ||
	    ev.seq <= b->since)
		return;
	if (ev.seq != b->since + 1) {
		sub_break_off(b);
		return;
	}
	b->since = ev.seq;
	b->gap_since = -1;
	b->s.on_event(&ev, b->s.arg);
}

static void sub_on_sse(const struct sse_event *ev, void *arg)
{
	struct hib_subscription *b = arg;

	if (b->closing || b->again)
		return;
	if (strcmp(ev->event, "stream.open") == 0)
		b->failures = 0;
	else if (strcmp(ev->event, "stream.gap") == 0)
		sub_on_gap(b, ev);
	else if (strcmp(ev->event, "stream.end") == 0)
		sub_on_stream_end(b, ev);
	else if (strncmp(ev->event, "stream.", 7) != 0)
		sub_on_event(b, ev);
}

/* --- the call ----------------------------------------------------------- */

static void sub_on_head(struct http_call *c, int status, void *arg)
{
	struct hib_subscription *b = arg;

	(void)c;
	b->status = status;
}

static void sub_on_body(struct http_call *c, char *data, size_t n, void *arg)
{
	struct hib_subscription *b = arg;

	(void)c;
	if (b->closing || b->again)
		return;
	if (b->status == 200) {
		if (sse_reader_feed(&b->sse, data, n) < 0)
			sub_break_off(b);
	} else if (n <= LIB_BODY_MAX - b->refusal.len) {
		jw_lit(&b->refusal, data, n);
	}
}

static void sub_refused(struct hib_subscription *b)
{
	autojson struct json j = {0};
	struct err e = {0};

	if (b->refusal.len == 0 ||
	    json_parse(&j, b->refusal.buf, b->refusal.len, NULL) < 0)
		err_set(&e, -FAULT_INTERNAL, "events of %s: status %d",
			b->session, b->status);
	else
		(void)err_read(&e, json_root(&j));
	if (e.code == -FAULT_DRAINING)
		sub_retry(b, -ECONNRESET);
	else
		sub_end(b, &e);
}

static void sub_on_end(struct http_call *c, int r, void *arg)
{
	struct hib_subscription *b = arg;
	struct err e = {0};

	(void)c;
	b->call = NULL;
	if (b->closing) {
		sub_free_later(b);
	} else if (b->over) {
		err_set(&e, -FAULT_SESSION_NOT_FOUND, "session %s is destroyed",
			b->session);
		sub_end(b, &e);
	} else if (b->again && b->failures == 0) {
		b->failures = 1;
		uv_timer_start(&b->timer, sub_on_timer, 0, 0);
	} else if (r == 0 && b->status != 200) {
		sub_refused(b);
	} else {
		sub_retry(b, r < 0 ? r : -ECONNRESET);
	}
}

static void sub_connect(struct hib_subscription *b)
{
	static const struct http_call_ops ops = {
		.head = sub_on_head,
		.body = sub_on_body,
		.end = sub_on_end,
	};
	struct jw path = path_session(b->session, "/stream");
	struct http_call_spec spec = {
		.method = "GET",
		.headers = "Accept: text/event-stream\r\n",
	};
	struct err e = {0};

	path_query_int(&path, "since", b->since);
	spec.path = path.buf;
	sse_reader_done(&b->sse);
	sse_reader_init(&b->sse, sub_on_sse, b);
	jw_reset(&b->refusal);
	b->again = false;
	b->status = 0;
	if (!path.failed)
		b->call = http_call(b->h->http, &spec, &ops, b);
	jw_done(&path);
	if (b->call == NULL) {
		err_set(&e, -ENOMEM, "events of %s: out of memory", b->session);
		sub_end(b, &e);
	}
}

/* --- outside ------------------------------------------------------------ */

/* Where the log ends now. */
static int find_end(struct hib *h, const char *session, int64_t *seq,
		    struct err *e)
{
	struct jw path = path_session(session, "");
	struct request q = {.method = "GET", .path = path.buf};
	autojson struct json j = {0};
	int r = request_run(h, &q, e);

	if (r == 0)
		r = json_parse(&j, q.out.buf ? q.out.buf : "", q.out.len, e);
	if (r == 0)
		*seq = jv_int(jv_get(json_root(&j), "last_seq"), 0);
	jw_done(&q.out);
	jw_done(&path);
	return r;
}

static int subscribe(struct hib *h, const char *session,
		     struct hib_subscribe *s, struct hib_subscription **out,
		     struct err *e)
{
	struct hib_subscription *b;
	int r = lib_may_run(h, e);

	if (r < 0)
		return r;
	if (session == NULL || !id_is(session, "ses"))
		return err_set(e, -FAULT_INVALID_ID, "that is no session id");
	if (s->on_event == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "no callback given");
	if (s->since < 0)
		r = find_end(h, session, &s->since, e);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	b->h = h;
	b->s = *s;
	b->since = s->since;
	b->gap_since = -1;
	memcpy(b->session, session, sizeof(b->session));
	uv_timer_init(&h->loop, &b->timer);
	b->timer.data = b;
	TAILQ_INSERT_TAIL(&h->subs, b, link);
	/* From the loop, so that a failure has a caller to tell. */
	uv_timer_start(&b->timer, sub_on_timer, 0, 0);
	*out = b;
	return 0;
}

int hib_on_event(struct hib *h, const char *session,
		 const struct hib_subscribe *options,
		 struct hib_subscription **out, struct hib_error *e)
{
	struct hib_subscribe s;
	struct err err = {0};
	int r = lib_options(&s, sizeof(s), options, &err);

	if (r == 0)
		r = subscribe(h, session, &s, out, &err);
	return lib_result(r, &err, e);
}

void hib_unsubscribe(struct hib_subscription *b)
{
	if (b != NULL && !b->closing)
		sub_close(b);
}

void subs_close(struct hib *h)
{
	while (!TAILQ_EMPTY(&h->subs))
		sub_close(TAILQ_FIRST(&h->subs));
}
