// SPDX-License-Identifier: Apache-2.0
/*
 * feed.c - Taking the tail of logs that only the host has
 *
 * Events of one session in a row make a batch.  While more than STORE_QUEUE_MAX
 * waits for the store the stream's window is not opened.  The answer comes when
 * the body has ended and all batches have come back; after a failure, which it
 * tells, the rest of the body is read and dropped.  A stream that breaks off
 * before loses nothing that was stored, but for a late feed, whose session is
 * purged: the guest may not come to write a log that goes on elsewhere.  Should
 * the VM end in between, the feed before the next start brings the rest.
 */
#include "guest/feed.h"

#include <string.h>

#include "core/lines.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "guest/session.h"

struct feed {
	TAILQ_ENTRY(feed) link; /* In guest.feeds if is_late. */
	struct guest *guest;
	struct h2_stream *stream; /* NULL once it has ended. */
	bool is_late;
	char session[ID_MAX]; /* The one of a late feed; "": none yet. */
	bool purged;
	struct lines lines;
	struct feed_batch *open;
	unsigned in_flight;
	size_t held; /* Bytes whose window is still closed. */
	bool complete, answered;
	struct err err;
};

struct feed_batch {
	struct store_batch store;
	struct feed *feed;
	unsigned n;
	size_t bytes;
};

static int add_tail(const struct session_brief *b, void *arg)
{
	jw_kint(arg, b->id, b->last_seq);
	return 0;
}

int feed_write_tails(struct reader *reader, struct jw *w, struct err *e)
{
	int r;

	jw_obj(w);
	r = reader_sessions(reader, NULL, add_tail, w, e);
	jw_obj_end(w);
	return r;
}

static void answer(struct feed *f)
{
	autojw struct jw w = {0};

	f->answered = true;
	if (f->stream == NULL)
		return;
	if (f->err.code == 0) {
		jw_obj(&w);
		jw_key(&w, "last_seq");
		(void)feed_write_tails(f->guest->reader, &w, &f->err);
		jw_obj_end(&w);
	}
	if (f->err.code == 0 && w.failed)
		err_set(&f->err, -ENOMEM, "feed: out of memory");
	if (f->err.code < 0)
		stream_fail(f->stream, &f->err);
	else
		h2_reply(f->stream, 200, w.buf, w.len);
}

static void feed_free(struct feed *f)
{
	if (f->open != NULL)
		event_list_free(&f->open->store.events);
	free(f->open);
	lines_done(&f->lines);
	free(f);
}

static void settle(struct feed *f);

static void feed_on_purged(const struct err *e, void *arg)
{
	struct feed *f = arg;

	(void)e; /* Not found: nothing of it had been stored. */
	outbox_forget(f->guest->outbox, f->session);
	f->in_flight--;
	settle(f);
}

/* Part of a session is no session.  Return: whether that takes time. */
static bool take_back(struct feed *f)
{
	bool whole = f->complete && f->err.code == 0;

	if (whole || f->purged || f->session[0] == '\0')
		return false;
	f->purged = true;
	if (f->guest->store == NULL) /* It is closing. */
		return false;
	if (store_purge(f->guest->store, f->session, feed_on_purged, f) < 0)
		return false;
	f->in_flight++;
	return true;
}

/* It is all there, or nothing of it. */
static void end_late(struct feed *f)
{
	if (!f->is_late)
		return;
	f->is_late = false;
	TAILQ_REMOVE(&f->guest->feeds, f, link);
	if (f->session[0] != '\0' && !f->purged)
		outbox_feed(f->guest->outbox, f->session, false);
}

/* Answer, let go, or wait. */
static void settle(struct feed *f)
{
	bool over = f->complete || f->stream == NULL;

	if (f->in_flight > 0 || !over || (f->is_late && take_back(f)))
		return;
	end_late(f);
	if (!f->answered)
		answer(f);
	if (f->stream == NULL)
		feed_free(f);
}

static void open_window(struct feed *f)
{
	if (f->stream == NULL || f->held == 0 ||
	    store_queued(f->guest->store) > STORE_QUEUE_MAX)
		return;
	h2_consume(f->stream, f->held);
	f->held = 0;
}

static void feed_on_stored(struct store_batch *store, int64_t acked,
			   const struct err *e)
{
	struct feed_batch *b = container_of(store, struct feed_batch, store);
	struct feed *f = b->feed;

	f->in_flight--;
	if (acked < 0 && f->err.code == 0)
		f->err = *e;
	event_list_free(&b->store.events);
	free(b);
	open_window(f);
	settle(f);
}

static void submit(struct feed *f)
{
	struct feed_batch *b = take_ptr(f->open);

	if (b == NULL)
		return;
	f->in_flight++;
	store_append(f->guest->store, &b->store);
}

/* The batch for events of that session. */
static struct feed_batch *batch_for(struct feed *f, const char *session)
{
	struct feed_batch *b = f->open;

	if (b != NULL &&
	    (strcmp(b->store.session, session) != 0 ||
	     b->n >= BATCH_EVENTS_MAX || b->bytes >= BATCH_BYTES_MAX))
		submit(f);
	if (f->open != NULL)
		return f->open;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->feed = f;
	b->store.fresh_only = f->is_late;
	b->store.done = feed_on_stored;
	memcpy(b->store.session, session, ID_MAX);
	TAILQ_INIT(&b->store.events);
	f->open = b;
	return b;
}

/* A late feed brings one session, and none that we have. */
static int admit(struct feed *f, const char *session)
{
	struct session_brief b;

	if (!f->is_late || strcmp(f->session, session) == 0)
		return 0;
	if (f->session[0] != '\0')
		return err_set(&f->err, -FAULT_BAD_FRAME,
			       "feed: more than one session");
	if (session_id_is_live(f->guest, session) ||
	    feed_brings(f->guest, session) ||
	    reader_session(f->guest->reader, session, &b, NULL) == 0)
		return err_set(&f->err, -FAULT_SESSION_CONFLICT,
			       "the guest writes the log of %s itself since "
			       "it was started",
			       session);
	memcpy(f->session, session, ID_MAX);
	outbox_feed(f->guest->outbox, session, true);
	return 0;
}

static int feed_on_line(char *line, size_t len, void *arg)
{
	struct feed *f = arg;
	struct feed_batch *b;
	struct event *ev;
	int r = event_parse(line, len, &ev, &f->err);

	if (r < 0)
		return r;
	r = admit(f, ev->session);
	if (r < 0) {
		free(ev);
		return r;
	}
	b = batch_for(f, ev->session);
	if (b == NULL) {
		free(ev);
		return err_set(&f->err, -ENOMEM, "feed: out of memory");
	}
	TAILQ_INSERT_TAIL(&b->store.events, ev, link);
	b->n++;
	b->bytes += ev->len;
	return 0;
}

static void feed_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct feed *f = arg;

	(void)s;
	f->held += n;
	if (f->err.code == 0 &&
	    lines_feed(&f->lines, data, n, feed_on_line, f) < 0 &&
	    f->err.code == 0)
		err_set(&f->err, -FAULT_BAD_FRAME,
			"feed: a line has more than %u bytes", EVENT_LINE_MAX);
	open_window(f);
}

static void feed_on_fin(struct h2_stream *s, void *arg)
{
	struct feed *f = arg;

	(void)s;
	f->complete = true;
	submit(f);
	settle(f);
}

static void feed_on_end(struct h2_stream *s, int r, void *arg)
{
	struct feed *f = arg;

	(void)s;
	(void)r;
	f->stream = NULL;
	settle(f);
}

static const struct h2_stream_events stream_events = {
	.data = feed_on_data,
	.fin = feed_on_fin,
	.end = feed_on_end,
};

bool feed_brings(const struct guest *g, const char *session)
{
	const struct feed *f;

	TAILQ_FOREACH (f, &g->feeds, link)
		if (strcmp(f->session, session) == 0)
			return true;
	return false;
}

void feed_serve(struct guest *g, struct h2_stream *s)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return; /* Refused, as no events are set. */
	f->guest = g;
	f->stream = s;
	f->is_late = g->state != GUEST_NEW;
	if (f->is_late)
		TAILQ_INSERT_TAIL(&g->feeds, f, link);
	lines_init(&f->lines, EVENT_LINE_MAX);
	h2_stream_set(s, &stream_events, f);
}
