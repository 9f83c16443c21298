// SPDX-License-Identifier: Apache-2.0
/*
 * append.c - Putting batches of events into the open transaction
 *
 * For each event: is it the next one, of an epoch that may write?  Then the row
 * of event is inserted, whose trigger checks the number once more, and
 * project_event() does the rest.  An event that was stored before must have the
 * chain hash that is stored.  At the end of the batch its last number goes into
 * the session's row.
 *
 * The ends of logs are remembered in a direct-mapped table: two sessions that
 * fall on one place only cost each other a query.  What it holds is ahead of
 * the disk until the commit, hence append_forget().
 */
#include "core/append.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/project.h"

static const char select_end[] =
	"SELECT n, last_seq, epoch, coalesce((SELECT chain FROM event"
	"  WHERE session_n=s.n AND seq=s.last_seq), 0)"
	" FROM session s WHERE id=?1";
static const char select_chain[] =
	"SELECT chain FROM event WHERE session_n=?1 AND seq=?2";
static const char insert_event[] =
	"INSERT INTO event(session_n, seq, epoch, ts_ms, type, turn_id, ctx,"
	"  data, chain) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
static const char carry_end[] =
	"UPDATE session SET last_seq=?2, updated_ms=max(updated_ms, ?3)"
	" WHERE n=?1";
/* Which the trigger of event takes for the end of the log. */
static const char leap_end[] = "UPDATE session SET last_seq=?2 WHERE n=?1";
static const char raise_epoch[] =
	"UPDATE session SET epoch=?2 WHERE id=?1 AND epoch<?2";

void append_init(struct append *a, sqlite3 *db, bool host)
{
	*a = (struct append){.cache = {.db = db}, .host = host};
}

void append_done(struct append *a)
{
	db_cache_done(&a->cache);
}

void append_forget(struct append *a)
{
	memset(a->ends, 0, sizeof(a->ends));
}

/* Read where a log ends.  Return: 1; 0 when there is no such session. */
static int load_end(struct append *a, const char *session,
		    struct append_end *out, struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r = db_cache_prepare(&a->cache, &q, e, select_end, "s", session);

	out->session[0] = '\0';
	if (r == 0)
		r = db_step(q, e);
	if (r <= 0)
		return r;
	out->n = sqlite3_column_int64(q, 0);
	out->last_seq = sqlite3_column_int64(q, 1);
	out->epoch = sqlite3_column_int64(q, 2);
	out->chain = sqlite3_column_int64(q, 3);
	strcpy(out->session, session);
	return 1;
}

static int find_end(struct append *a, const char *session,
		    struct append_end **out, struct err *e)
{
	uint64_t h = XXH3_64bits(session, strlen(session));

	*out = &a->ends[h % APPEND_SESSIONS];
	if (strcmp((*out)->session, session) == 0)
		return 1;
	return load_end(a, session, *out, e);
}

/* The schema refused a value: the sender's fault, not the store's. */
static int refused(int r, const struct event *ev, struct err *e)
{
	char why[ERR_MSG_MAX] = "";

	if (r != -EINVAL && r != -EEXIST)
		return r;
	if (e != NULL)
		memcpy(why, e->msg, sizeof(why));
	return err_set(e, -FAULT_BAD_FRAME, "session %s: event %lld, %s: %s",
		       ev->session, (long long)ev->seq, ev->type, why);
}

/* The first event of a log makes the session's row. */
static int begin_session(struct append *a, const struct event *ev,
			 struct append_end *end, struct err *e)
{
	int r;

	if (ev == NULL || ev->seq != 1 ||
	    strcmp(ev->type, "session.created") != 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "there is no such session");
	r = project_event(&a->cache, ev, 0, a->host, e);
	if (r < 0)
		return refused(r, ev, e);
	r = load_end(a, ev->session, end, e);
	if (r == 0)
		return err_set(e, -FAULT_INTERNAL, "session %s: no row",
			       ev->session);
	return r < 0 ? r : 0;
}

/* Return: 1; 0 when that event is not there (any more). */
static int stored_chain(struct append *a, int64_t n, int64_t seq, int64_t *out,
			struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r;

	*out = 0;
	if (seq == 0)
		return 1;
	r = db_cache_prepare(&a->cache, &q, e, select_chain, "ii", n, seq);
	if (r == 0)
		r = db_step(q, e);
	if (r > 0)
		*out = sqlite3_column_int64(q, 0);
	return r;
}

/* What retention has removed can no longer be compared, and passes. */
static int compare_stored(struct append *a, const struct append_end *end,
			  const struct event *ev, struct err *e)
{
	int64_t before, stored;
	int r = stored_chain(a, end->n, ev->seq - 1, &before, e);

	if (r > 0)
		r = stored_chain(a, end->n, ev->seq, &stored, e);
	if (r <= 0)
		return r;
	if (stored ==
	    event_chain(before, ev->seq, ev->type, ev->data, ev->data_len))
		return 0;
	if (ev->seq == 1)
		return err_set(e, -FAULT_ALREADY_EXISTS,
			       "session %s exists with another beginning",
			       ev->session);
	return err_set(e, -FAULT_CHAIN_DIVERGED,
		       "session %s: event %lld differs from the one stored",
		       ev->session, (long long)ev->seq);
}

static int gap(const struct append_end *end, const struct event *ev,
	       struct err *e)
{
	err_set(e, -FAULT_BAD_FRAME,
		"session %s: event %lld cannot follow event %lld", ev->session,
		(long long)ev->seq, (long long)end->last_seq);
	err_data(e, "\"last_seq\":%lld", (long long)end->last_seq);
	return -FAULT_BAD_FRAME;
}

static int check_next(const struct append_end *end, const struct event *ev,
		      struct err *e)
{
	if (ev->epoch < end->epoch)
		return err_set(e, -FAULT_STALE_EPOCH,
			       "session %s is in epoch %lld, the event in %lld",
			       ev->session, (long long)end->epoch,
			       (long long)ev->epoch);
	return ev->seq == end->last_seq + 1 ? 0 : gap(end, ev, e);
}

static int insert(struct append *a, const struct append_end *end,
		  const struct event *ev, int64_t chain, struct err *e)
{
	const char *turn = ev->turn[0] != '\0' ? ev->turn : NULL;

	return db_cache_run(&a->cache, e, insert_event, "iiiissSSi", end->n,
			    ev->seq, ev->epoch, ev->ts_ms, ev->type, turn,
			    ev->ctx, ev->ctx_len, ev->data, ev->data_len,
			    chain);
}

static int store_event(struct append *a, struct append_end *end,
		       const struct event *ev, struct err *e)
{
	int64_t chain;
	int r = check_next(end, ev, e);

	if (r < 0)
		return r;
	if (ev->epoch > end->epoch) {
		r = append_claim(a, ev->session, ev->epoch, e);
		if (r < 0)
			return r;
	}
	chain = event_chain(end->chain, ev->seq, ev->type, ev->data,
			    ev->data_len);
	r = insert(a, end, ev, chain, e);
	if (r >= 0)
		r = project_event(&a->cache, ev, end->n, a->host, e);
	if (r < 0)
		return refused(r, ev, e);
	end->last_seq = ev->seq;
	end->chain = chain;
	return 0;
}

/* Is it how a guest says that its log was set back to where it ends? */
static bool names_gap(const struct append_end *end, const struct event *ev)
{
	autojson struct json doc = {0};
	struct jv range, first;

	if (strcmp(ev->type, "session.rewound") != 0 ||
	    ev->epoch <= end->epoch ||
	    json_parse(&doc, ev->data, ev->data_len, NULL) < 0)
		return false;
	range = jv_get(json_root(&doc), "abandoned");
	first = jv_first(range);
	return jv_int(jv_get(json_root(&doc), "to_seq"), 0) == end->last_seq &&
	       jv_count(range) == 2 && jv_int(first, 0) == end->last_seq + 1 &&
	       jv_int(jv_next(range, first), 0) == ev->seq - 1;
}

/* Go on behind events that this store never had. */
static int leap(struct append *a, struct append_end *end,
		const struct store_batch *b, const struct event *ev,
		struct err *e)
{
	int r;

	if (a->host || !names_gap(end, ev))
		return gap(end, ev, e);
	r = db_cache_run(&a->cache, e, leap_end, "ii", end->n, ev->seq - 1);
	if (r < 0)
		return r;
	end->last_seq = ev->seq - 1;
	end->chain = b->chain_before;
	return 0;
}

static int add_event(struct append *a, struct append_end *end,
		     const struct store_batch *b, const struct event *ev,
		     struct err *e)
{
	bool leaps = b->rewinds && ev == TAILQ_FIRST(&b->events) &&
		     ev->seq > end->last_seq + 1;
	int r = leaps ? leap(a, end, b, ev, e) : 0;

	return r < 0 ? r : store_event(a, end, ev, e);
}

static int take_event(struct append *a, struct append_end *end,
		      struct store_batch *b, const struct event *ev,
		      struct err *e)
{
	if (strcmp(ev->session, b->session) != 0)
		return err_set(e, -FAULT_BAD_FRAME,
			       "an event of %s in a batch of %s", ev->session,
			       b->session);
	if (ev->seq > end->last_seq)
		return add_event(a, end, b, ev, e);
	if (b->fresh_only)
		return err_set(e, -EEXIST, "session %s: event %lld is stored",
			       ev->session, (long long)ev->seq);
	b->n_stored_before++;
	return compare_stored(a, end, ev, e);
}

/* Carry the end of the log to the session's row. */
static int carry(struct append *a, const struct append_end *end,
		 int64_t newest_ms, struct err *e)
{
	int r = db_cache_run(&a->cache, e, carry_end, "iii", end->n,
			     end->last_seq, newest_ms);

	return r < 0 ? r : 0;
}

int append_batch(struct append *a, struct store_batch *b, struct err *e)
{
	const struct event *ev, *before = NULL;
	struct append_end *end;
	int64_t newest_ms = 0, last_seq;
	int r = find_end(a, b->session, &end, e);

	if (r == 0)
		r = begin_session(a, TAILQ_FIRST(&b->events), end, e);
	if (r < 0)
		return r;

	last_seq = end->last_seq;
	b->n_stored_before = 0;
	TAILQ_FOREACH (ev, &b->events, link) {
		if (before != NULL && ev->seq != before->seq + 1)
			return gap(end, ev, e);
		r = take_event(a, end, b, ev, e);
		if (r < 0)
			return r;
		before = ev;
		if (ev->ts_ms > newest_ms)
			newest_ms = ev->ts_ms;
	}
	b->acked = end->last_seq;
	return end->last_seq > last_seq ? carry(a, end, newest_ms, e) : 0;
}

int append_claim(struct append *a, const char *session, int64_t epoch,
		 struct err *e)
{
	struct append_end *end;
	int r = find_end(a, session, &end, e);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "there is no such session");
	if (epoch <= end->epoch)
		return err_set(e, -FAULT_STALE_EPOCH,
			       "session %s is in epoch %lld already", session,
			       (long long)end->epoch);
	r = db_cache_run(&a->cache, e, raise_epoch, "si", session, epoch);
	if (r < 0)
		return r;
	end->epoch = epoch;
	return 0;
}
