// SPDX-License-Identifier: Apache-2.0
/*
 * feeder.c - Give a guest the events that it lacks
 *
 * One POST /feed whose body is written while the channel has less than
 * FEEDER_QUEUE_MAX of it to send; the channel calls again when it is empty.  A
 * guest that has answered before the end wants no more.
 */
#include "host/daemon/feeder.h"

#include <string.h>

#define ANSWER_MAX (1u << 20) /* Only an error is read. */

struct lack {
	char session[ID_MAX];
	int64_t since;
};

struct feeder {
	struct reader *reader;
	struct lack *list;
	size_t n, cap, at;
	struct h2_stream *stream;
	int status;
	struct jw page, answer;
	struct err err; /* Why we broke it off. */
	feeder_done_cb cb;
	void *arg;
};

struct feeder *feeder_new(struct reader *r)
{
	struct feeder *f = calloc(1, sizeof(*f));

	if (f != NULL)
		f->reader = r;
	return f;
}

void feeder_free(struct feeder *f)
{
	if (f == NULL)
		return;
	jw_done(&f->page);
	jw_done(&f->answer);
	free(f->list);
	free(f);
}

int feeder_add(struct feeder *f, const char *session, int64_t since)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 4;
		struct lack *l = reallocarray(f->list, cap, sizeof(*l));

		if (l == NULL)
			return -ENOMEM;
		f->list = l;
		f->cap = cap;
	}
	memcpy(f->list[f->n].session, session, ID_MAX);
	f->list[f->n++].since = since;
	return 0;
}

bool feeder_is_empty(const struct feeder *f)
{
	return f->n == 0;
}

/* Write one page of the session whose turn it is. */
static int send_page(struct feeder *f)
{
	struct lack *l = &f->list[f->at];
	const struct event_query q = {.session = l->session,
				      .since = l->since,
				      .max_bytes = FEEDER_PAGE_BYTES};
	struct event_page page = {.out = &f->page};
	int r;

	jw_reset(&f->page);
	r = reader_events(f->reader, &q, &page, &f->err);
	if (r < 0)
		return r;
	if (f->page.failed || h2_write(f->stream, f->page.buf, f->page.len) < 0)
		return err_set(&f->err, -ENOMEM, "feed: out of memory");
	l->since = page.next_since;
	if (!page.has_more)
		f->at++;
	return 0;
}

static void pump(struct feeder *f)
{
	while (f->at < f->n && h2_queued(f->stream) < FEEDER_QUEUE_MAX) {
		if (send_page(f) < 0) {
			h2_reset(f->stream);
			return;
		}
	}
	if (f->at == f->n)
		h2_fin(f->stream);
}

static void feeder_on_head(struct h2_stream *s, int status, void *arg)
{
	struct feeder *f = arg;

	f->status = status;
	if (f->at == f->n)
		return;
	f->at = f->n;
	h2_fin(s);
}

static void feeder_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct feeder *f = arg;

	h2_consume(s, n);
	if (f->answer.len + n <= ANSWER_MAX)
		jw_lit(&f->answer, data, n);
}

static void feeder_on_drained(struct h2_stream *s, void *arg)
{
	struct feeder *f = arg;

	(void)s;
	if (f->at < f->n)
		pump(f);
}

static void read_answer(struct feeder *f, int r)
{
	autojson struct json j = {0};

	if (f->err.code < 0)
		return;
	if (f->status == 0 || (r < 0 && f->status == 200))
		err_set(&f->err, -FAULT_GUEST_UNREACHABLE,
			"the channel to the guest broke: %s",
			strerror(r < 0 ? -r : EPROTO));
	else if (f->status == 200)
		return;
	else if (f->answer.buf != NULL &&
		 json_parse(&j, f->answer.buf, f->answer.len, NULL) == 0)
		err_read(&f->err, json_root(&j));
	else
		err_set(&f->err, -FAULT_BAD_FRAME, "the guest answered %d",
			f->status);
}

static void feeder_on_end(struct h2_stream *s, int r, void *arg)
{
	struct feeder *f = arg;

	(void)s;
	read_answer(f, r);
	f->cb(&f->err, f->arg);
	feeder_free(f);
}

int feeder_send(struct feeder *f, struct h2 *h2, feeder_done_cb cb, void *arg)
{
	static const struct h2_stream_events events = {
		.head = feeder_on_head,
		.data = feeder_on_data,
		.drained = feeder_on_drained,
		.end = feeder_on_end,
	};

	f->cb = cb;
	f->arg = arg;
	f->stream = h2_request(h2, "POST", "/feed", NULL, 0, true, &events, f);
	if (f->stream == NULL)
		return -ENOMEM;
	pump(f);
	return 0;
}
