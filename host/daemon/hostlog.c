// SPDX-License-Identifier: Apache-2.0
/*
 * hostlog.c - The host as the writer of a log, while its VM is off
 */
#include "host/daemon/hostlog.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/catalog.h"

#define LOG_COMPONENT "hostlog"

struct writing {
	struct store_batch b;
	struct store *store;
	hostlog_done_cb cb;
	void *arg;
};

bool hostlog_tail_complete(struct hibd *d, const struct session_brief *b)
{
	const char *args[] = {b->id, NULL};
	autofree char *text = NULL;

	return reader_value(d->reader,
			    "SELECT tail_complete FROM mirror WHERE session_n="
			    "(SELECT n FROM session WHERE id=?1)",
			    args, &text, NULL) == 1 &&
	       strcmp(text, "1") == 0;
}

static void writing_end(struct writing *w, const struct err *e)
{
	w->cb(e, w->arg);
	event_list_free(&w->b.events);
	free(w);
}

static void writing_on_stored(struct store_batch *b, int64_t acked,
			      const struct err *e)
{
	(void)acked;
	writing_end(container_of(b, struct writing, b), e);
}

static void writing_on_claimed(int64_t epoch, const struct err *e, void *arg)
{
	struct writing *w = arg;

	(void)epoch;
	if (e->code < 0)
		writing_end(w, e);
	else
		store_append(w->store, &w->b);
}

static int writing_fill(struct writing *w, const struct session_brief *b,
			const struct hostlog_entry *entries, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct event *ev = event_new(&(struct event_spec){
			.session = b->id,
			.type = entries[i].type,
			.turn = entries[i].turn,
			.seq = b->last_seq + 1 + i,
			.epoch = b->epoch + 1,
			.ts_ms = now_ms(),
			.data = entries[i].data,
			.data_len = strlen(entries[i].data),
		});

		if (ev == NULL)
			return -ENOMEM;
		TAILQ_INSERT_TAIL(&w->b.events, ev, link);
	}
	return 0;
}

void hostlog_append(struct hibd *d, const struct session_brief *b,
		    const struct hostlog_entry *entries, unsigned n,
		    hostlog_done_cb cb, void *arg)
{
	struct writing *w = calloc(1, sizeof(*w));
	struct err e = {0};

	if (w == NULL) {
		err_set(&e, -ENOMEM, "%s: out of memory", b->id);
		cb(&e, arg);
		return;
	}
	w->store = d->store;
	w->cb = cb;
	w->arg = arg;
	w->b.done = writing_on_stored;
	w->b.fresh_only = true;
	TAILQ_INIT(&w->b.events);
	memcpy(w->b.session, b->id, ID_MAX);
	if (writing_fill(w, b, entries, n) < 0) {
		err_set(&e, -ENOMEM, "%s: out of memory", b->id);
		writing_end(w, &e);
		return;
	}
	if (store_claim(d->store, b->id, b->epoch + 1, writing_on_claimed, w) <
	    0) {
		err_set(&e, -ENOMEM, "%s: out of memory", b->id);
		writing_end(w, &e);
	}
}

unsigned hostlog_closing(const struct session_brief *b, const char *reason,
			 char *buf, size_t cap, struct hostlog_entry out[2])
{
	int n;

	if (strcmp(b->state, "closed") == 0 || strcmp(b->state, "expired") == 0)
		return 0;
	n = snprintf(buf, cap,
		     "{\"from\":\"%s\",\"to\":\"closed\",\"reason\":\"%s\"}",
		     b->state, reason);
	snprintf(buf + n + 1, cap - (size_t)n - 1, "{\"reason\":\"%s\"}",
		 reason);
	out[0] = (struct hostlog_entry){"session.state", buf, NULL};
	out[1] = (struct hostlog_entry){"session.closed", buf + n + 1, NULL};
	return 2;
}

/* --- all of a VM -------------------------------------------------------- */

struct closing {
	struct hibd *d;
	char vm[ID_MAX];
	const char *reason; /* Static text. */
	unsigned open;
	struct err err;
	hostlog_done_cb cb;
	void *arg;
};

static void closing_on_one(const struct err *e, void *arg)
{
	struct closing *c = arg;

	if (e->code < 0)
		c->err = *e;
	if (--c->open > 0)
		return;
	c->cb(&c->err, c->arg);
	free(c);
}

static int closing_each(const struct session_brief *b, void *arg)
{
	struct closing *c = arg;
	struct hostlog_entry entries[2];
	char buf[256];
	unsigned n = hostlog_closing(b, c->reason, buf, sizeof(buf), entries);

	if (n == 0)
		return 0;
	c->open++;
	hostlog_append(c->d, b, entries, n, closing_on_one, c);
	return 0;
}

/* Events of the guest that came before its end are stored by now. */
static void closing_on_quiet(const struct err *e, void *arg)
{
	struct closing *c = arg;

	if (e->code == 0)
		(void)reader_sessions(c->d->reader, c->vm, closing_each, c,
				      &c->err);
	closing_on_one(e, c);
}

void hostlog_close_all(struct hibd *d, const char *vm, const char *reason,
		       hostlog_done_cb cb, void *arg)
{
	struct closing *c = calloc(1, sizeof(*c));
	struct err e = {0};

	if (c == NULL) {
		err_set(&e, -ENOMEM, "%s: out of memory", vm);
		cb(&e, arg);
		return;
	}
	*c = (struct closing){
		.d = d, .reason = reason, .open = 1, .cb = cb, .arg = arg};
	snprintf(c->vm, sizeof(c->vm), "%s", vm);
	change_submit(d->store, change_new(), closing_on_quiet, c);
}
