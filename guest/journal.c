// SPDX-License-Identifier: Apache-2.0
/*
 * journal.c - The writing end of one session's log
 *
 * Events of one loop turn share a batch; a batch that has grown to its bound
 * goes at once.  Batches of a session are committed in the order submitted, and
 * a lost batch leaves a gap that makes the store refuse all behind it, so after
 * the first failure it is enough to wait until the others have come back.
 *
 * Effects stand in one queue, each with the seq that it waits for.  They run
 * when a batch was stored, or from the next flush when they wait for nothing.
 */
#include "guest/journal.h"

#include <assert.h>
#include <string.h>

#include "core/time.h"
#include "guest/limits.h"

#define SCRATCH_KEEP (256u << 10) /* Bytes of the shared buffer. */

struct journal_batch {
	struct store_batch store;
	struct journal *journal;
	size_t bytes;
	unsigned n;
};

void journal_hub_init(struct journal_hub *hub, struct store *store)
{
	*hub = (struct journal_hub){.store = store};
	TAILQ_INIT(&hub->dirty);
}

void journal_hub_done(struct journal_hub *hub)
{
	jw_done(&hub->data);
}

static void touch(struct journal *j)
{
	if (j->dirty)
		return;
	j->dirty = true;
	TAILQ_INSERT_TAIL(&j->hub->dirty, j, link);
}

static void untouch(struct journal *j)
{
	if (!j->dirty)
		return;
	j->dirty = false;
	TAILQ_REMOVE(&j->hub->dirty, j, link);
}

static void set_broken(struct journal *j, const struct err *e)
{
	if (j->broken)
		return;
	j->broken = true;
	j->err = *e;
	touch(j);
}

void journal_break(struct journal *j, int code, const char *why)
{
	struct err e = {0};

	err_set(&e, code, "session %s: %s", j->session, why);
	set_broken(j, &e);
}

static void batch_free(struct journal_batch *b)
{
	if (b == NULL)
		return;
	event_list_free(&b->store.events);
	free(b);
}

/* Run what waits for no more than is stored, or everything with an error. */
static void run_effects(struct journal *j, const struct err *e)
{
	struct journal_effect *ef;

	while ((ef = TAILQ_FIRST(&j->effects)) != NULL &&
	       (e != NULL || ef->after <= j->stored_seq)) {
		TAILQ_REMOVE(&j->effects, ef, link);
		ef->run(ef, e);
	}
}

static void batch_on_done(struct store_batch *store, int64_t acked,
			  const struct err *e)
{
	struct journal_batch *b =
		container_of(store, struct journal_batch, store);
	struct journal *j = b->journal;

	j->in_flight--;
	if (acked < 0) {
		set_broken(j, e);
		touch(j);
		batch_free(b);
		return;
	}
	j->stored_seq = acked;
	batch_free(b);
	run_effects(j, NULL);
	if (j->hub->stored != NULL)
		j->hub->stored(j->hub);
}

static void submit(struct journal *j)
{
	struct journal_batch *b = take_ptr(j->open);

	j->in_flight++;
	store_append(j->hub->store, &b->store);
}

static struct journal_batch *open_batch(struct journal *j)
{
	struct journal_batch *b = j->open;

	if (b != NULL)
		return b;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->journal = j;
	b->store.done = batch_on_done;
	b->store.fresh_only = true;
	memcpy(b->store.session, j->session, ID_MAX);
	TAILQ_INIT(&b->store.events);
	j->open = b;
	return b;
}

static int64_t add(struct journal *j, const struct event_spec *spec)
{
	struct journal_batch *b = open_batch(j);
	struct event *ev = b == NULL ? NULL : event_new(spec);

	if (ev == NULL) {
		journal_break(j, -ENOMEM, "out of memory for an event");
		return 0;
	}
	TAILQ_INSERT_TAIL(&b->store.events, ev, link);
	j->last_seq = spec->seq;
	b->bytes += ev->len;
	journal_linger(j, false);
	if (++b->n >= BATCH_EVENTS_MAX || b->bytes >= BATCH_BYTES_MAX)
		submit(j);
	return spec->seq;
}

static int64_t add_text(struct journal *j, const char *type, const char *ctx,
			const char *data, size_t len)
{
	return add(j, &(struct event_spec){
			      .session = j->session,
			      .turn = j->turn,
			      .type = type,
			      .seq = j->last_seq + 1,
			      .epoch = j->epoch,
			      .ts_ms = now_ms(),
			      .ctx = ctx,
			      .ctx_len = ctx == NULL ? 0 : strlen(ctx),
			      .data = data,
			      .data_len = len,
		      });
}

static int64_t add_cleaned(struct journal *j, const char *type, const char *ctx,
			   const char *data, size_t len)
{
	autojson struct json doc = {0};
	autojw struct jw w = {0};

	if (json_parse(&doc, data, len, NULL) == 0)
		redact_write(j->secrets, json_root(&doc), &w);
	if (w.len > 0 && !w.failed)
		return add_text(j, type, ctx, w.buf, w.len);
	journal_break(j, -ENOMEM, "out of memory for an event");
	return 0;
}

/* {"secret":true} and what else there is. */
static int64_t add_marked(struct journal *j, const char *type, const char *ctx,
			  const char *data, size_t len)
{
	static const char mark[] = "{\"secret\":true";
	autojw struct jw w = {0};

	jw_lit(&w, mark, sizeof(mark) - 1);
	if (ctx != NULL && strcmp(ctx, "{}") != 0) {
		jw_lit(&w, ",", 1);
		jw_lit(&w, ctx + 1, strlen(ctx) - 1);
	} else {
		jw_lit(&w, "}", 1);
	}
	if (!w.failed)
		return add_text(j, type, w.buf, data, len);
	journal_break(j, -ENOMEM, "out of memory for an event");
	return 0;
}

int64_t journal_add(struct journal *j, const char *type, const char *ctx,
		    const char *data, size_t len)
{
	if (j->broken)
		return 0;
	switch (redact_event(j->secrets, type, data, len)) {
	case REDACT_CLEAN:
		return add_cleaned(j, type, ctx, data, len);
	case REDACT_MARK:
		return add_marked(j, type, ctx, data, len);
	default:
		return add_text(j, type, ctx, data, len);
	}
}

int64_t journal_add_jw(struct journal *j, const char *type, const char *ctx,
		       struct jw *data)
{
	int64_t seq = 0;

	if (data->failed)
		journal_break(j, -ENOMEM, "out of memory for an event");
	else
		seq = journal_add(j, type, ctx, data->buf, data->len);
	jw_reset(data);
	return seq;
}

/* A buffer that one huge message has grown is not kept. */
static void trim_scratch(struct jw *w)
{
	if (w->cap > SCRATCH_KEEP)
		jw_done(w);
}

/* {"late":..,"foreign":true}, either, or nothing. */
static void write_acp_ctx(const struct journal *j, bool foreign, struct jw *w)
{
	bool late = j->turn[0] == '\0' && j->late[0] != '\0';

	if (!late && !foreign)
		return;
	jw_obj(w);
	if (late)
		jw_kstr(w, "late", j->late);
	if (foreign)
		jw_kbool(w, "foreign", true);
	jw_obj_end(w);
}

int64_t journal_add_acp(struct journal *j, const struct journal_acp *m)
{
	static const char in[] = "{\"dir\":\"in\",\"msg\":";
	static const char out[] = "{\"dir\":\"out\",\"msg\":";
	struct jw *w = &j->hub->data;
	autojw struct jw ctx = {0};
	int64_t seq;

	jw_lit(w, m->inward ? in : out,
	       m->inward ? sizeof(in) - 1 : sizeof(out) - 1);
	jw_lit(w, m->msg, m->len);
	jw_lit(w, "}", 1);
	write_acp_ctx(j, m->foreign, &ctx);
	w->failed |= ctx.failed;
	seq = journal_add_jw(j, m->type, ctx.len > 0 ? ctx.buf : NULL, w);
	trim_scratch(w);
	return seq;
}

void journal_then(struct journal *j, struct journal_effect *ef)
{
	ef->after = j->last_seq;
	TAILQ_INSERT_TAIL(&j->effects, ef, link);
	journal_linger(j, false);
}

void journal_linger(struct journal *j, bool on)
{
	j->lingers = on;
	touch(j);
}

/* All that was in flight has come back and something of it is lost. */
static void fail(struct journal *j)
{
	struct err e = j->err;

	batch_free(take_ptr(j->open));
	run_effects(j, &e);
	if (j->failed != NULL)
		j->failed(j, &e);
}

static void flush(struct journal *j)
{
	if (j->broken) {
		if (j->in_flight == 0)
			fail(j);
		return;
	}
	if (j->open != NULL && !j->lingers)
		submit(j);
	run_effects(j, NULL);
}

void journal_hub_flush(struct journal_hub *hub)
{
	struct journal *j;

	while ((j = TAILQ_FIRST(&hub->dirty)) != NULL) {
		untouch(j);
		flush(j);
	}
}

void journal_init(struct journal *j, struct journal_hub *hub,
		  const char *session, int64_t last_seq, int64_t epoch)
{
	*j = (struct journal){
		.hub = hub,
		.last_seq = last_seq,
		.stored_seq = last_seq,
		.epoch = epoch,
	};
	memcpy(j->session, session, ID_MAX);
	TAILQ_INIT(&j->effects);
}

void journal_done(struct journal *j)
{
	struct err e = {0};

	assert(j->in_flight == 0);
	err_set(&e, -ECANCELED, "session %s: the daemon is ending", j->session);
	batch_free(take_ptr(j->open));
	run_effects(j, &e);
	untouch(j);
}

void journal_reset(struct journal *j, int64_t last_seq, int64_t epoch)
{
	assert(j->in_flight == 0);
	batch_free(take_ptr(j->open));
	j->broken = j->lingers = false;
	j->last_seq = last_seq;
	j->stored_seq = last_seq;
	j->epoch = epoch;
	j->turn[0] = '\0';
	j->late[0] = '\0';
}

void journal_rekey(struct journal *j, const char *session, int64_t last_seq,
		   int64_t epoch)
{
	assert(j->in_flight == 0 && j->open == NULL);
	memcpy(j->session, session, ID_MAX);
	j->last_seq = last_seq;
	j->stored_seq = last_seq;
	j->epoch = epoch;
}

bool journal_is_landed(const struct journal *j)
{
	return j->in_flight == 0;
}

bool journal_is_quiet(const struct journal *j)
{
	return j->open == NULL && j->in_flight == 0 && !j->dirty &&
	       TAILQ_EMPTY(&j->effects);
}
