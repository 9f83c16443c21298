// SPDX-License-Identifier: Apache-2.0
/*
 * indexer.c - Fill the search index behind the writing of the log
 *
 *	event -> touched -> timer -> read (pool) -> write (store's thread) -.
 *	                      ^                                             |
 *	                      '------------- more to do --------------------'
 *
 * One slice is on its way at a time: some sessions, each from where its index
 * ends, up to a bound of text.  At a start, and when more sessions were touched
 * than are noted, all sessions are walked whose log goes on behind their index.
 *
 * A session in the middle of a turn is left alone: the end of the turn touches
 * it again.  So is one whose log ends in a text that may go on; a search reads
 * that from the log.
 */
#include "host/daemon/indexer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/search.h"
#include "host/daemon/hub.h"

#define LOG_COMPONENT  "index"
#define SLICE_SESSIONS 64

/* One session of a slice. */
struct piece {
	char session[ID_MAX];
	int64_t since, through;
	bool more; /* There is more to be read of it. */
	struct search_text_list texts;
};

struct slice {
	struct piece pieces[SLICE_SESSIONS];
	unsigned n;
	bool walks;	 /* It is taken from the walk over all sessions... */
	int64_t walk_at; /* ...behind this local key, then up to it. */
	bool walked;	 /* The walk has come to its end. */
	struct err err;
};

struct indexer {
	uv_loop_t *loop;
	struct store *store;
	char db[PATH_MAX];
	uv_timer_t timer;
	bool busy, closing, timer_closed;

	char touched[INDEXER_TOUCHED_MAX][ID_MAX];
	unsigned n_touched;
	bool all;	 /* Walk over all sessions... */
	bool again;	 /* ...once more from the first. */
	int64_t walk_at; /* Local key of the last one walked over. */

	/* Of the slice under way; the pool's, then the writer's. */
	uv_work_t work;
	struct store_job job;
	struct reader *reader; /* The pool's. */
	struct slice slice;
};

static void next_slice(struct indexer *x);

/* --- reading, on a thread of the pool ----------------------------------- */

/* The next sessions whose log goes on behind their index. */
static int add_walked(struct indexer *x)
{
	static const char sql[] =
		"SELECT s.id, s.n FROM session s LEFT JOIN search_state x"
		" ON x.session_n=s.n WHERE s.n>CAST(?1 AS INTEGER)"
		" AND s.last_seq>coalesce(x.seq, 0) ORDER BY s.n LIMIT 16";
	struct slice *l = &x->slice;
	autojw struct jw w = {0};
	autojson struct json j = {0};
	char after[24];
	const char *args[] = {after, NULL};
	int n;

	snprintf(after, sizeof(after), "%lld", (long long)l->walk_at);
	jw_arr(&w);
	n = reader_rows(x->reader, sql, args, &w, &l->err);
	jw_arr_end(&w);
	if (n < 0 || json_parse(&j, w.buf, w.len, &l->err) < 0)
		return l->err.code;
	l->walked = n == 0;
	for (struct jv v = jv_first(json_root(&j));
	     jv_has(v) && l->n < SLICE_SESSIONS;
	     v = jv_next(json_root(&j), v)) {
		(void)jv_strcpy(jv_get(v, "id"), l->pieces[l->n++].session,
				ID_MAX);
		l->walk_at = jv_int(jv_get(v, "n"), l->walk_at);
	}
	return 0;
}

/* Return: bytes of text. */
static size_t read_piece(struct indexer *x, struct piece *p, size_t budget)
{
	const struct search_text *t;
	struct session_brief b;
	size_t bytes = 0;
	int r;

	p->since = p->through = search_indexed(x->reader, p->session);
	if (reader_session(x->reader, p->session, &b, NULL) < 0 ||
	    b.open_turn[0] != '\0')
		return 0;
	r = search_text_read(x->reader, p->session, p->since, budget, false,
			     &p->texts, &p->through, &x->slice.err);
	p->more = r == 1;
	TAILQ_FOREACH (t, &p->texts, link)
		bytes += t->text.len;
	return bytes;
}

static void indexer_work(uv_work_t *w)
{
	struct indexer *x = container_of(w, struct indexer, work);
	struct slice *l = &x->slice;
	size_t bytes = 0;

	if (x->reader == NULL && reader_open(x->db, &x->reader, &l->err) < 0)
		return;
	if (l->walks && add_walked(x) < 0)
		return;
	for (unsigned i = 0; i < l->n && l->err.code == 0; i++) {
		TAILQ_INIT(&l->pieces[i].texts);
		if (bytes < INDEXER_SLICE_BYTES)
			bytes += read_piece(x, &l->pieces[i],
					    INDEXER_SLICE_BYTES - bytes);
		else
			l->pieces[i].more = true; /* Not looked at. */
	}
}

/* --- writing, on the store's thread ------------------------------------- */

static int indexer_run(struct sqlite3 *db, struct store_job *j, struct err *e)
{
	struct indexer *x = container_of(j, struct indexer, job);
	int r = 0;

	for (unsigned i = 0; i < x->slice.n && r >= 0; i++) {
		struct piece *p = &x->slice.pieces[i];

		if (p->through > p->since)
			r = search_add(db, p->session, p->since, p->through,
				       &p->texts, e);
	}
	return r;
}

/* --- the loop ----------------------------------------------------------- */

static void touch(struct indexer *x, const char *session)
{
	for (unsigned i = 0; i < x->n_touched; i++)
		if (strcmp(x->touched[i], session) == 0)
			return;
	if (x->n_touched < INDEXER_TOUCHED_MAX) {
		memcpy(x->touched[x->n_touched++], session, ID_MAX);
		return;
	}
	x->all = x->again = true;
}

/* What was not finished comes again. */
static void end_slice(struct indexer *x)
{
	struct slice *l = &x->slice;

	for (unsigned i = 0; i < l->n; i++) {
		search_text_free(&l->pieces[i].texts);
		if (l->pieces[i].more)
			touch(x, l->pieces[i].session);
	}
	if (l->walks)
		x->walk_at = x->again ? 0 : l->walk_at;
	if (l->walks && !x->again)
		x->all = !l->walked;
	x->again = x->again && !l->walks;
	*l = (struct slice){0};
}

static void indexer_free(struct indexer *x)
{
	if (x->busy || !x->timer_closed)
		return;
	reader_close(x->reader);
	free(x);
}

static void indexer_on_timer(uv_timer_t *t)
{
	next_slice(t->data);
}

static void indexer_done(struct indexer *x)
{
	x->busy = false;
	end_slice(x);
	if (x->closing)
		indexer_free(x);
	else if (x->all || x->n_touched > 0)
		next_slice(x);
}

/* The texts can be found without an index; the next event tries again. */
static void indexer_failed(struct indexer *x, const struct err *e)
{
	log_warn("%s, searching without it", e->msg);
	for (unsigned i = 0; i < x->slice.n; i++)
		x->slice.pieces[i].more = false;
	x->slice.walked |= x->slice.n == 0;
	indexer_done(x);
}

static void indexer_on_written(struct store_job *j, const struct err *e)
{
	struct indexer *x = container_of(j, struct indexer, job);

	if (e->code < 0)
		indexer_failed(x, e);
	else
		indexer_done(x);
}

static bool has_news(const struct slice *l)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->pieces[i].through > l->pieces[i].since)
			return true;
	return false;
}

static void indexer_on_read(uv_work_t *w, int status)
{
	struct indexer *x = container_of(w, struct indexer, work);

	(void)status;
	if (x->closing || (x->slice.err.code == 0 && !has_news(&x->slice))) {
		indexer_done(x);
	} else if (x->slice.err.code < 0) {
		struct err e = x->slice.err;

		indexer_failed(x, &e);
	} else {
		x->job = (struct store_job){.run = indexer_run,
					    .done = indexer_on_written};
		store_submit(x->store, &x->job);
	}
}

static void next_slice(struct indexer *x)
{
	struct slice *l = &x->slice;

	if (x->busy || x->closing)
		return;
	for (; x->n_touched > 0 && l->n < SLICE_SESSIONS; l->n++)
		memcpy(l->pieces[l->n].session, x->touched[--x->n_touched],
		       ID_MAX);
	l->walks = l->n == 0 && x->all;
	l->walk_at = x->walk_at;
	x->busy = true;
	if (uv_queue_work(x->loop, &x->work, indexer_work, indexer_on_read) < 0)
		x->busy = false;
}

void indexer_on_event(struct indexer *x, const struct event *ev)
{
	if (x->closing ||
	    (strncmp(ev->type, "session.", 8) != 0 && !event_ends_turn(ev)))
		return;
	touch(x, ev->session);
	if (!x->busy && !uv_is_active((uv_handle_t *)&x->timer))
		uv_timer_start(&x->timer, indexer_on_timer, INDEXER_DELAY_MS,
			       0);
}

struct indexer *indexer_new(uv_loop_t *loop, struct store *s, const char *db)
{
	struct indexer *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->loop = loop;
	x->store = s;
	x->all = true;
	snprintf(x->db, sizeof(x->db), "%s", db);
	uv_timer_init(loop, &x->timer);
	x->timer.data = x;
	uv_timer_start(&x->timer, indexer_on_timer, INDEXER_DELAY_MS, 0);
	uv_unref((uv_handle_t *)&x->timer);
	return x;
}

static void indexer_on_timer_closed(uv_handle_t *h)
{
	struct indexer *x = h->data;

	x->timer_closed = true;
	indexer_free(x);
}

void indexer_close(struct indexer *x)
{
	if (x == NULL || x->closing)
		return;
	x->closing = true;
	uv_close((uv_handle_t *)&x->timer, indexer_on_timer_closed);
}
