// SPDX-License-Identifier: Apache-2.0
/*
 * objects_ask.c - What a guest asks that is neither an object nor a checkpoint
 *
 *	body --> ASKED --answer--> ANSWERED --stream's end--> gone
 *	            '--stream's end, then answer--> gone
 *
 * An ask counts until it is gone, so a guest that breaks off what it has asked
 * gets no more done at a time than one that waits.
 */
#include <string.h>

#include "host/daemon/objects_impl.h"

static void ask_put(struct objects_ask *q)
{
	if (q->stream != NULL || !q->answered)
		return;
	if (q->owner != NULL) {
		TAILQ_REMOVE(&q->owner->asks, q, link);
		q->owner->n_asks--;
	}
	json_done(&q->json);
	jw_done(&q->body);
	free(q);
}

static void ask_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct objects_ask *q = arg;

	h2_consume(s, n);
	if (q->body.len + n > OBJECTS_ASK_BYTES)
		h2_reset(s);
	else
		jw_lit(&q->body, data, n);
}

static void ask_on_fin(struct h2_stream *s, void *arg)
{
	struct objects_ask *q = arg;
	struct err e = {0};

	(void)s;
	if (q->body.failed)
		err_set(&e, -ENOMEM, "%s: out of memory", q->name);
	else if (json_parse(&q->json, q->body.buf ? q->body.buf : "",
			    q->body.len, &e) < 0)
		e.code = -FAULT_INVALID_ARGUMENT;
	q->asked = e.code == 0;
	q->in = json_root(&q->json);
	if (e.code < 0)
		objects_answer(q, &e, NULL);
	else
		q->owner->ev->asked(q, q->owner->arg);
}

static void ask_on_end(struct h2_stream *s, int r, void *arg)
{
	struct objects_ask *q = arg;

	(void)s;
	(void)r;
	q->stream = NULL;
	q->answered |= !q->asked;
	ask_put(q);
}

static const struct h2_stream_events ask_events = {
	.data = ask_on_data,
	.fin = ask_on_fin,
	.end = ask_on_end,
};

void objects_answer(struct objects_ask *q, const struct err *e,
		    const struct jw *out)
{
	struct err why = *e;

	q->answered = true;
	if (why.code == 0 && (out == NULL || out->failed))
		err_set(&why, -ENOMEM, "%s: out of memory", q->name);
	if (q->stream == NULL)
		ask_put(q);
	else if (why.code < 0)
		objects_refuse(q->stream, &why);
	else
		h2_reply(q->stream, 200, out->buf, out->len);
}

bool objects_ask_begin(struct objects *o, struct h2_stream *s, const char *name)
{
	struct objects_ask *q;

	if (o->ev->asked == NULL || strlen(name) >= sizeof(q->name) ||
	    o->n_asks >= OBJECTS_ASKS_MAX)
		return false;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return false;
	(void)stpcpy(q->name, name);
	q->owner = o;
	q->stream = s;
	o->n_asks++;
	TAILQ_INSERT_TAIL(&o->asks, q, link);
	h2_stream_set(s, &ask_events, q);
	return true;
}

/* The streams have ended: what is left is at work, and is answered to nobody. */
void objects_asks_forget(struct objects *o)
{
	struct objects_ask *q;

	while ((q = TAILQ_FIRST(&o->asks)) != NULL) {
		TAILQ_REMOVE(&o->asks, q, link);
		q->owner = NULL;
	}
}
