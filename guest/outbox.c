// SPDX-License-Identifier: Apache-2.0
/*
 * outbox.c - What the host has of each log, and sending it the rest
 *
 * For each session there is a peer: `sent', the last seq given to the channel,
 * and `last', the last one stored.  sent < last makes it behind, which puts it
 * in a queue; the pump takes a page of the first one, gives it to the channel
 * and puts it at the end, as long as the channel has less than SYNC_QUEUE_MAX
 * to send.  The channel calls again when it is empty.
 *
 * Unconfirmed bytes stand in marks, one for at least MARK_BYTES of a session:
 * a mark is taken off when the host has confirmed its last event.
 */
#include "guest/outbox.h"

#include <string.h>

#include "core/lines.h"
#include "core/log.h"
#include "guest/limits.h"

#define LOG_COMPONENT "sync"
#define BUCKETS	      256
#define MARK_BYTES    (64u << 10)
#define PAGE_EVENTS   BATCH_EVENTS_MAX
#define PAGE_BYTES    (256u << 10)

/* Bytes up to and with event @seq that are not confirmed. */
struct mark {
	TAILQ_ENTRY(mark) link;
	int64_t seq;
	size_t bytes;
};

struct peer {
	LIST_ENTRY(peer) link;	  /* In its bucket. */
	TAILQ_ENTRY(peer) behind; /* In outbox.behind if is_behind. */
	char session[ID_MAX];
	int64_t sent, last;
	bool is_behind;
	bool fed; /* The host has what comes: it sent it. */
	TAILQ_HEAD(mark_list, mark) marks;
};

struct outbox {
	struct reader *reader;
	struct h2_stream *stream; /* NULL: no host listens. */
	bool have;		  /* It has said what it has. */
	struct lines lines;
	struct json json;
	struct jw page;
	size_t unacked;
	TAILQ_HEAD(peer_list, peer) behind;
	LIST_HEAD(peer_bucket, peer) buckets[BUCKETS];
};

/* The end of an id is random. */
static unsigned bucket_of(const char *session)
{
	unsigned h = 0;

	for (const char *p = session; *p != '\0'; p++)
		h = h * 31 + (unsigned char)*p;
	return h % BUCKETS;
}

static struct peer *find_peer(struct outbox *o, const char *session)
{
	struct peer *p;

	LIST_FOREACH(p, &o->buckets[bucket_of(session)], link)
	if (strcmp(p->session, session) == 0)
		break;
	return p;
}

/* Find or make; NULL when memory is out. */
static struct peer *get_peer(struct outbox *o, const char *session)
{
	struct peer *p = find_peer(o, session);

	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	memcpy(p->session, session, ID_MAX);
	TAILQ_INIT(&p->marks);
	LIST_INSERT_HEAD(&o->buckets[bucket_of(session)], p, link);
	return p;
}

static void set_behind(struct outbox *o, struct peer *p, bool behind)
{
	if (p->is_behind == behind)
		return;
	p->is_behind = behind;
	if (behind)
		TAILQ_INSERT_TAIL(&o->behind, p, behind);
	else
		TAILQ_REMOVE(&o->behind, p, behind);
}

static void take_mark(struct outbox *o, struct peer *p)
{
	struct mark *m = TAILQ_FIRST(&p->marks);

	TAILQ_REMOVE(&p->marks, m, link);
	o->unacked -= m->bytes;
	free(m);
}

static void peer_free(struct outbox *o, struct peer *p)
{
	while (!TAILQ_EMPTY(&p->marks))
		take_mark(o, p);
	set_behind(o, p, false);
	LIST_REMOVE(p, link);
	free(p);
}

static void add_mark(struct outbox *o, struct peer *p, int64_t seq,
		     size_t bytes)
{
	struct mark *m = TAILQ_LAST(&p->marks, mark_list);

	if (m == NULL || m->bytes >= MARK_BYTES) {
		m = calloc(1, sizeof(*m));
		if (m == NULL)
			return; /* Not counted, so not held back. */
		TAILQ_INSERT_TAIL(&p->marks, m, link);
	}
	m->seq = seq;
	m->bytes += bytes;
	o->unacked += bytes;
}

static void confirm(struct outbox *o, struct peer *p, int64_t seq)
{
	struct mark *m;

	while ((m = TAILQ_FIRST(&p->marks)) != NULL && m->seq <= seq)
		take_mark(o, p);
}

size_t outbox_unacked(const struct outbox *o)
{
	return o->unacked;
}

/*
 * Sending.
 */

static void hang_up(struct outbox *o)
{
	struct h2_stream *s = take_ptr(o->stream);

	o->have = false;
	if (s != NULL)
		h2_reset(s);
}

/* Give one page of a session to the channel.  Return: 0, or it is no use. */
static int send_page(struct outbox *o, struct peer *p, struct err *e)
{
	const struct event_query q = {.session = p->session,
				      .since = p->sent,
				      .limit = PAGE_EVENTS,
				      .max_bytes = PAGE_BYTES};
	struct event_page page = {.out = &o->page};
	int r;

	jw_reset(&o->page);
	r = reader_events(o->reader, &q, &page, e);
	if (r < 0)
		return r;
	if (o->page.failed || h2_write(o->stream, o->page.buf, o->page.len) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (page.count == 0)
		return err_set(e, -EIO, "no event after %lld",
			       (long long)p->sent);
	p->sent = page.next_since;
	return 0;
}

static void pump(struct outbox *o)
{
	struct peer *p;
	struct err e = {0};

	while (o->stream != NULL && o->have &&
	       h2_queued(o->stream) < SYNC_QUEUE_MAX &&
	       (p = TAILQ_FIRST(&o->behind)) != NULL) {
		set_behind(o, p, false);
		if (send_page(o, p, &e) < 0) {
			log_error("%s: %s, not sent to the host", p->session,
				  e.msg);
			continue;
		}
		set_behind(o, p, p->sent < p->last);
	}
	if (TAILQ_EMPTY(&o->behind))
		jw_done(&o->page);
}

/* Pass a batch on as it is.  Events that the pump has sent are left out. */
static void send_batch(struct outbox *o, struct peer *p,
		       const struct store_batch *b)
{
	const struct event *ev;

	TAILQ_FOREACH (ev, &b->events, link) {
		if (ev->seq <= p->sent)
			continue;
		if (h2_write(o->stream, ev->line, ev->len) < 0)
			break;
		p->sent = ev->seq;
	}
	set_behind(o, p, p->sent < p->last);
}

void outbox_on_stored(const struct store_batch *b, void *arg)
{
	struct outbox *o = arg;
	const struct event *first = TAILQ_FIRST(&b->events), *ev;
	struct peer *p = get_peer(o, b->session);
	size_t bytes = 0;

	if (p == NULL || first == NULL)
		return;
	TAILQ_FOREACH (ev, &b->events, link)
		bytes += ev->len;
	p->last = TAILQ_LAST(&b->events, event_list)->seq;
	if (p->fed) {
		p->sent = p->last;
		return;
	}
	add_mark(o, p, p->last, bytes);
	if (o->stream == NULL || !o->have)
		return;
	if (!p->is_behind && first->seq <= p->sent + 1 &&
	    h2_queued(o->stream) < SYNC_QUEUE_MAX) {
		send_batch(o, p, b);
		return;
	}
	set_behind(o, p, p->sent < p->last);
	pump(o);
}

/*
 * What the host says.
 */

struct have {
	struct outbox *outbox;
	struct jv map;
};

static int outbox_on_session(const struct session_brief *b, void *arg)
{
	struct have *h = arg;
	struct peer *p = get_peer(h->outbox, b->id);

	if (p == NULL)
		return -ENOMEM;
	p->last = b->last_seq;
	p->sent = jv_int(jv_get(h->map, b->id), 0);
	if (p->sent < 0)
		p->sent = 0;
	confirm(h->outbox, p, p->sent);
	set_behind(h->outbox, p, p->sent < p->last);
	return 0;
}

static int take_have(struct outbox *o, struct jv map)
{
	struct have h = {.outbox = o, .map = map};
	struct err e = {0};

	o->have = true;
	if (reader_sessions(o->reader, NULL, outbox_on_session, &h, &e) < 0) {
		log_error("sessions: %s", e.msg);
		return -EIO;
	}
	pump(o);
	return 0;
}

static void take_ack(struct outbox *o, struct jv map)
{
	char id[ID_MAX];

	for (struct jv k = jv_first(map); jv_has(k); k = jv_next(map, k)) {
		struct peer *p = jv_strcpy(k, id, sizeof(id)) < 0
					 ? NULL
					 : find_peer(o, id);

		if (p != NULL)
			confirm(o, p, jv_int(jv_value(k), 0));
	}
}

static int outbox_on_line(char *line, size_t len, void *arg)
{
	struct outbox *o = arg;
	struct jv root, have;

	if (json_parse(&o->json, line, len, NULL) < 0)
		return -EPROTO;
	root = json_root(&o->json);
	have = jv_get(root, "have");
	take_ack(o, jv_get(root, "ack"));
	if (o->have || !jv_is(have, JV_OBJECT))
		return o->have ? 0 : -EPROTO;
	return take_have(o, have);
}

static void outbox_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct outbox *o = arg;

	if (s != o->stream)
		return;
	h2_consume(s, n);
	if (lines_feed(&o->lines, data, n, outbox_on_line, o) < 0) {
		log_warn("the host's sync stream is malformed, ending it");
		hang_up(o);
	}
}

static void outbox_on_drained(struct h2_stream *s, void *arg)
{
	struct outbox *o = arg;

	if (s == o->stream)
		pump(o);
}

static void outbox_on_end(struct h2_stream *s, int r, void *arg)
{
	struct outbox *o = arg;

	(void)r;
	if (s != o->stream)
		return;
	o->stream = NULL;
	o->have = false;
}

static const struct h2_stream_events stream_events = {
	.data = outbox_on_data,
	.drained = outbox_on_drained,
	.end = outbox_on_end,
};

void outbox_sync(struct outbox *o, struct h2_stream *s)
{
	hang_up(o);
	lines_done(&o->lines);
	lines_init(&o->lines, SYNC_LINE_MAX);
	o->stream = s;
	h2_stream_set(s, &stream_events, o);
	h2_respond(s, 200);
}

void outbox_feed(struct outbox *o, const char *session, bool on)
{
	struct peer *p = get_peer(o, session);

	/* Without memory the host gets its events back, which it drops. */
	if (p != NULL)
		p->fed = on;
}

void outbox_forget(struct outbox *o, const char *session)
{
	struct peer *p = find_peer(o, session);

	if (p != NULL)
		peer_free(o, p);
}

struct outbox *outbox_new(struct reader *r)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->reader = r;
	lines_init(&o->lines, SYNC_LINE_MAX);
	TAILQ_INIT(&o->behind);
	return o;
}

void outbox_free(struct outbox *o)
{
	if (o == NULL)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		while (!LIST_EMPTY(&o->buckets[i]))
			peer_free(o, LIST_FIRST(&o->buckets[i]));
	lines_done(&o->lines);
	json_done(&o->json);
	jw_done(&o->page);
	free(o);
}
