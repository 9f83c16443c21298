// SPDX-License-Identifier: Apache-2.0
/*
 * mirror.c - Every event of every guest into the host's store
 *
 * A piece of the stream becomes events, runs of one session become batches, and
 * each batch goes to the store.  The last batch of a piece carries the piece's
 * bytes: when it is stored they are given back to the link's window.  So what
 * is parsed and not yet stored never exceeds one window of the link.
 *
 * A guest may write only the logs of its own VM: the first event of a session
 * names the VM, and the catalog says to whom an older session belongs.  Events
 * of a session that was destroyed are dropped.
 *
 * What can go wrong with a batch, and what follows:
 *   - a gap, an old epoch: the stream is begun anew from what we have;
 *   - a session that is set back twice: the link's end;
 *   - other content than what is stored: the same, and soon the link's end;
 *   - no room on our disk: the link comes again later, the guest holds back
 *     what it has not sent; then it is told to end its turns as failed, and the
 *     store's ballast makes room for what it held back and for that.
 */
#include "host/daemon/mirror.h"

#include <stdio.h>
#include <string.h>

#include "core/lines.h"
#include "core/log.h"
#include "host/daemon/link.h"

#define LOG_COMPONENT "mirror"
#define SESSIONS_MAX  100000 /* Of one VM. */

struct mirror {
	struct store *store;
	struct reader *reader;
};

/* A session that this feed has seen. */
struct owned {
	char id[ID_MAX];
	bool destroyed;
	bool rewound; /* Said so once. */
};

struct mirror_feed {
	struct mirror *mirror;
	struct link *link; /* NULL once closed. */
	char vm[ID_MAX];
	struct lines lines;
	struct batch *batch; /* Being filled; NULL between runs. */
	struct batch *last;  /* Newest of the present piece. */
	struct owned *owned; /* Sorted by id. */
	size_t n_owned, cap_owned, recent;
	unsigned inflight;
	bool refused; /* A batch failed; what follows is not worth a try. */
	struct err err;
};

struct batch {
	struct store_batch b;
	struct mirror_feed *feed;
	unsigned n;
	size_t bytes; /* Of the stream, given back when stored. */
};

struct mirror *mirror_new(struct store *s, struct reader *r)
{
	struct mirror *m = calloc(1, sizeof(*m));

	if (m != NULL)
		*m = (struct mirror){.store = s, .reader = r};
	return m;
}

void mirror_free(struct mirror *m)
{
	free(m);
}

static void feed_free(struct mirror_feed *f)
{
	lines_done(&f->lines);
	free(f->owned);
	free(f);
}

/* --- batches ------------------------------------------------------------ */

static void feed_on_refused(struct mirror_feed *f, const struct err *e)
{
	if (f->refused || f->link == NULL)
		return;
	f->refused = true;
	log_warn("%s: events refused: %s", f->vm, e->msg);
	if (err_fault(e->code) == FAULT_DISK_FULL ||
	    err_fault(e->code) == FAULT_STORE_ERROR)
		link_later(f->link, e);
	else
		link_resync(f->link, e);
}

static void batch_on_done(struct store_batch *sb, int64_t acked,
			  const struct err *e)
{
	struct batch *b = container_of(sb, struct batch, b);
	struct mirror_feed *f = b->feed;

	if (f->link != NULL && acked >= 0)
		link_ack(f->link, sb->session, acked);
	if (f->link != NULL && acked >= 0) /* The ack may have ended it. */
		link_consume(f->link, b->bytes);
	if (acked < 0)
		feed_on_refused(f, e);
	event_list_free(&sb->events);
	free(b);
	if (--f->inflight == 0 && f->link == NULL)
		feed_free(f);
}

static void feed_flush(struct mirror_feed *f)
{
	struct batch *b = take_ptr(f->batch);

	if (b == NULL)
		return;
	f->last = b;
	f->inflight++;
	store_append(f->mirror->store, &b->b);
}

static int feed_add(struct mirror_feed *f, struct event *ev)
{
	if (f->batch != NULL && (f->batch->n == MIRROR_BATCH_EVENTS ||
				 strcmp(f->batch->b.session, ev->session) != 0))
		feed_flush(f);
	if (f->batch == NULL) {
		f->batch = calloc(1, sizeof(*f->batch));
		if (f->batch == NULL)
			return -ENOMEM;
		f->batch->feed = f;
		f->batch->b.done = batch_on_done;
		TAILQ_INIT(&f->batch->b.events);
		memcpy(f->batch->b.session, ev->session, ID_MAX);
	}
	TAILQ_INSERT_TAIL(&f->batch->b.events, ev, link);
	f->batch->n++;
	return 0;
}

/* --- whose session ------------------------------------------------------ */

/* Where @id is or would be. */
static size_t owned_index(const struct mirror_feed *f, const char *id)
{
	size_t lo = 0, hi = f->n_owned;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(f->owned[mid].id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int owned_insert(struct mirror_feed *f, size_t at, const char *id,
			bool destroyed)
{
	if (f->n_owned == SESSIONS_MAX)
		return err_set(&f->err, -FAULT_LIMIT_SESSIONS,
			       "%s: too many sessions in one VM", f->vm);
	if (f->n_owned == f->cap_owned) {
		size_t cap = f->cap_owned ? f->cap_owned * 2 : 8;
		struct owned *o = reallocarray(f->owned, cap, sizeof(*o));

		if (o == NULL)
			return err_set(&f->err, -ENOMEM, "out of memory");
		f->owned = o;
		f->cap_owned = cap;
	}
	memmove(&f->owned[at + 1], &f->owned[at],
		(f->n_owned - at) * sizeof(*f->owned));
	f->owned[at] = (struct owned){.destroyed = destroyed};
	snprintf(f->owned[at].id, ID_MAX, "%s", id);
	f->n_owned++;
	return 0;
}

static bool is_destroyed(struct mirror_feed *f, const char *id)
{
	const char *args[] = {id, NULL};
	autofree char *found = NULL;

	return reader_value(f->mirror->reader,
			    "SELECT id FROM tombstone WHERE id=?1", args,
			    &found, NULL) == 1;
}

/* An event of a session that this feed has not seen: may this VM write it? */
static int feed_claim(struct mirror_feed *f, size_t at, const struct event *ev)
{
	autojson struct json j = {0};
	struct session_brief b;

	if (reader_session(f->mirror->reader, ev->session, &b, NULL) == 0) {
		if (strcmp(b.vm_id, f->vm) != 0)
			return err_set(&f->err, -FAULT_BAD_FRAME,
				       "%s: %s belongs to another VM", f->vm,
				       ev->session);
		return owned_insert(f, at, ev->session, false);
	}
	if (is_destroyed(f, ev->session))
		return owned_insert(f, at, ev->session, true);
	if (ev->seq != 1 || strcmp(ev->type, "session.created") != 0 ||
	    json_parse(&j, ev->data, ev->data_len, NULL) < 0 ||
	    !jv_eq(jv_get(json_root(&j), "vm"), f->vm))
		return err_set(&f->err, -FAULT_BAD_FRAME,
			       "%s: %s does not begin with its creation here",
			       f->vm, ev->session);
	return owned_insert(f, at, ev->session, false);
}

/* A VM is set back by its host, to which it has a new link then.  Following that
 * takes as long as the log. */
static bool is_rewound_again(struct owned *o, const struct event *ev)
{
	bool again;

	if (strcmp(ev->type, "session.rewound") != 0)
		return false;
	again = o->rewound;
	o->rewound = true;
	return again;
}

/* Return: 1 to keep the event, 0 to drop it, or an error. */
static int feed_admit(struct mirror_feed *f, const struct event *ev)
{
	size_t at = f->recent;

	if (at >= f->n_owned || strcmp(f->owned[at].id, ev->session) != 0)
		at = owned_index(f, ev->session);
	if (at >= f->n_owned || strcmp(f->owned[at].id, ev->session) != 0) {
		int r = feed_claim(f, at, ev);

		if (r < 0)
			return r;
	}
	f->recent = at;
	if (f->owned[at].destroyed)
		return 0;
	return is_rewound_again(&f->owned[at], ev)
		       ? err_set(&f->err, -FAULT_BAD_FRAME,
				 "%s: %s is set back twice", f->vm, ev->session)
		       : 1;
}

/* --- the stream --------------------------------------------------------- */

static int feed_on_line(char *line, size_t len, void *arg)
{
	struct mirror_feed *f = arg;
	struct event *ev;
	int r;

	r = event_parse(line, len, &ev, &f->err);
	if (r < 0)
		return r;
	r = feed_admit(f, ev);
	if (r == 1)
		r = feed_add(f, ev);
	else
		free(ev);
	if (r == -ENOMEM)
		return err_set(&f->err, -ENOMEM, "out of memory");
	return r;
}

int mirror_feed_data(struct mirror_feed *f, char *data, size_t n, struct err *e)
{
	int r;

	f->last = NULL;
	r = lines_feed(&f->lines, data, n, feed_on_line, f);
	feed_flush(f);
	if (r == -EMSGSIZE)
		return err_set(e, -FAULT_BAD_FRAME, "%s: event line too long",
			       f->vm);
	if (r < 0) {
		*e = f->err;
		return r;
	}
	if (f->last != NULL)
		f->last->bytes = n;
	else
		link_consume(f->link, n);
	return 0;
}

struct mirror_feed *mirror_feed_new(struct mirror *m, struct link *l,
				    const char *vm)
{
	struct mirror_feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->mirror = m;
	f->link = l;
	snprintf(f->vm, sizeof(f->vm), "%s", vm);
	lines_init(&f->lines, EVENT_LINE_MAX);
	return f;
}

void mirror_feed_close(struct mirror_feed *f)
{
	if (f == NULL)
		return;
	f->link = NULL;
	if (f->inflight == 0)
		feed_free(f);
}
