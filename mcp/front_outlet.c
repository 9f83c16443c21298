// SPDX-License-Identifier: Apache-2.0
/*
 * front_outlet.c - What one HTTP request gets to hear
 *
 * The answer to a POST stays undecided until something must be said: when that
 * is the answer itself it goes out as JSON, else as a stream of events.  One
 * that takes long becomes a stream at the second tick, for the sign of life.
 *
 * Events of a legacy session have ids and are kept, so that a client whose
 * connection broke, or was let go, gets what it missed by GET with
 * Last-Event-ID.  What is kept is bounded for the session: the oldest outlets
 * that are done go first, then the oldest events.  An id is the number of the
 * outlet times 2^32 and the number of the event in it.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/sse.h"
#include "mcp/front_impl.h"

static bool is_stateless(const struct mcp_outlet *s)
{
	return s->link->session[0] == '\0';
}

/* --- what is kept --------------------------------------------------------- */

static void drop_first_event(struct mcp_outlet *s)
{
	struct mcp_event *e = STAILQ_FIRST(&s->events);

	STAILQ_REMOVE_HEAD(&s->events, link);
	s->link->stored -= e->len;
	free(e);
}

/* Make what the session keeps smaller.  Return: whether there was something. */
static bool drop_oldest(struct mcp_link *l, const struct mcp_outlet * not )
{
	struct mcp_outlet *s;

	TAILQ_FOREACH (s, &l->outlets, next)
		if (s != not &&s->done && s->req == NULL) {
			mcp_outlet_free(s);
			return true;
		}
	TAILQ_FOREACH (s, &l->outlets, next)
		if (!STAILQ_EMPTY(&s->events)) {
			drop_first_event(s);
			return true;
		}
	return false;
}

static struct mcp_event *keep_event(struct mcp_outlet *s, const char *msg,
				    size_t len)
{
	struct mcp_link *l = s->link;
	struct mcp_event *e;

	while (l->stored + len > MCP_REPLAY_MAX && drop_oldest(l, s))
		;
	e = malloc(sizeof(*e) + len);
	if (e == NULL)
		return NULL;
	e->n = ++s->last_event;
	e->len = len;
	memcpy(e->data, msg, len);
	l->stored += len;
	STAILQ_INSERT_TAIL(&s->events, e, link);
	return e;
}

/* --- life ----------------------------------------------------------------- */

static void on_end(struct http_req *r, void *arg)
{
	struct mcp_outlet *s = arg;
	struct mcp_link *l = s->link;

	(void)r;
	s->req = NULL;
	l->used_ms = loop_now(l->front->loop);
	if (is_stateless(s))
		mcp_link_end(l);
	else if (s->id != NULL && !s->begun && s->done)
		mcp_outlet_free(s); /* It was JSON; nothing to come back for. */
}

static void connect_to(struct mcp_outlet *s, struct http_req *r)
{
	const char *version = http_header(r, "mcp-protocol-version");

	s->req = r;
	s->old = false;
	s->primes = version != NULL && strcmp(version, MCP_2025_11_25) == 0;
	http_on_end(r, on_end, s);
}

static char *copy_raw(struct jv v, size_t *len)
{
	const char *raw = jv_raw(v, len);

	return raw ? strndup(raw, *len) : NULL;
}

struct mcp_outlet *mcp_outlet_new(struct mcp_link *l, struct http_req *r,
				  const struct rpc_msg *request)
{
	struct mcp_outlet *s;
	size_t len;

	while (l->n_outlets >= MCP_OUTLETS_MAX) {
		s = TAILQ_FIRST(&l->outlets);
		while (s != NULL && (!s->done || s->req != NULL))
			s = TAILQ_NEXT(s, next);
		if (s == NULL)
			return NULL;
		mcp_outlet_free(s);
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->link = l;
	STAILQ_INIT(&s->events);
	if (request != NULL) {
		s->n = ++l->next_outlet;
		s->id = copy_raw(request->id, &s->id_len);
		s->token = copy_raw(
			jv_path(request->params, "_meta.progressToken"), &len);
	}
	if (request != NULL && s->id == NULL) {
		free(s->token);
		free(s);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&l->outlets, s, next);
	l->n_outlets++;
	if (r != NULL)
		connect_to(s, r);
	return s;
}

void mcp_outlet_free(struct mcp_outlet *s)
{
	mcp_outlet_release(s);
	TAILQ_REMOVE(&s->link->outlets, s, next);
	s->link->n_outlets--;
	while (!STAILQ_EMPTY(&s->events))
		drop_first_event(s);
	free(s->id);
	free(s->token);
	free(s);
}

void mcp_outlet_disown(struct mcp_outlet *s)
{
	http_on_end(s->req, NULL, NULL);
	s->req = NULL;
	mcp_outlet_free(s);
}

struct mcp_outlet *mcp_outlet_find(const struct mcp_link *l, const char *id,
				   size_t id_len)
{
	struct mcp_outlet *s;

	TAILQ_FOREACH (s, &l->outlets, next)
		if (s->id != NULL && !s->done && s->id_len == id_len &&
		    memcmp(s->id, id, id_len) == 0)
			return s;
	return NULL;
}

/* --- events --------------------------------------------------------------- */

/* A client that does not read is dropped; it may come back for the rest. */
static void write_text(struct mcp_outlet *s, const struct jw *w)
{
	if (w->failed || http_stream_queued(s->req) > MCP_SLOW_MAX)
		http_stream_abort(s->req);
	else
		http_stream_write(s->req, w->buf, w->len);
}

static void write_event(struct mcp_outlet *s, uint32_t n, const char *data,
			size_t len)
{
	int64_t id = (int64_t)s->n << 32 | n;
	autojw struct jw w = {0};

	sse_write(&w, is_stateless(s) ? -1 : id, "message", data, len);
	write_text(s, &w);
	s->last_written = n;
}

/* The answer is a stream of events from here on. */
static void begin_events(struct mcp_outlet *s, uint32_t after)
{
	autojw struct jw w = {0};

	http_answer_header(s->req, "X-Accel-Buffering", "no");
	http_stream_begin(s->req, 200, "text/event-stream", NULL, NULL);
	s->begun = true;
	if (!s->primes || is_stateless(s))
		return;
	sse_write_retry(&w, MCP_RETRY_MS);
	sse_write(&w, (int64_t)s->n << 32 | after, NULL, "", 0);
	write_text(s, &w);
}

/* HTTP says it too when a modern request is refused. */
static int status_of(const struct mcp_outlet *s, int error_code)
{
	if (!is_stateless(s))
		return 200;
	switch (error_code) {
	case RPC_METHOD_NOT_FOUND:
		return 404;
	case RPC_PARSE_ERROR:
	case RPC_INVALID_REQUEST:
	case MCP_HEADER_MISMATCH:
	case MCP_MISSING_CAPABILITY:
	case MCP_UNSUPPORTED_VERSION:
		return 400;
	default:
		return 200;
	}
}

static void put_event(struct mcp_outlet *s, const char *msg, size_t len)
{
	const struct mcp_event *e = NULL;

	if (s->req != NULL && !s->begun)
		begin_events(s, 0);
	if (!is_stateless(s))
		e = keep_event(s, msg, len);
	if (s->req != NULL)
		write_event(s, e ? e->n : s->last_event, msg, len);
}

void mcp_outlet_put(struct mcp_outlet *s, const char *msg, size_t len,
		    bool is_answer, int error_code)
{
	if (s->done)
		return;
	s->done = is_answer;
	if (is_answer && s->req != NULL && !s->begun) {
		http_reply(s->req, status_of(s, error_code), "application/json",
			   msg, len);
		return;
	}
	if (is_answer && s->req == NULL && !s->begun) {
		mcp_outlet_free(s); /* The client cannot know of it. */
		return;
	}
	put_event(s, msg, len);
	if (is_answer && s->req != NULL)
		http_stream_end(s->req);
}

/* There will be no answer: a stream of no events. */
static void reply_nothing(struct http_req *r)
{
	http_stream_begin(r, 200, "text/event-stream", NULL, NULL);
	http_stream_end(r);
}

void mcp_outlet_release(struct mcp_outlet *s)
{
	struct http_req *r = take_ptr(s->req);

	if (r == NULL)
		return;
	http_on_end(r, NULL, NULL);
	if (s->begun && !(s->done && s->id != NULL))
		http_stream_end(r);
	else if (!s->begun && !s->done)
		reply_nothing(r);
}

void mcp_outlet_retry(struct mcp_outlet *s, int retry_ms)
{
	autojw struct jw w = {0};

	if (s->req == NULL || s->done || !s->primes || is_stateless(s))
		return;
	if (!s->begun)
		begin_events(s, 0);
	sse_write_retry(&w, retry_ms);
	write_text(s, &w);
	mcp_outlet_release(s);
}

void mcp_outlet_attach(struct mcp_outlet *s, struct http_req *r, uint32_t after)
{
	const struct mcp_event *e;

	mcp_outlet_release(s);
	connect_to(s, r);
	begin_events(s, after);
	STAILQ_FOREACH (e, &s->events, link)
		if (e->n > after)
			write_event(s, e->n, e->data, e->len);
	if (s->done)
		http_stream_end(r);
}

void mcp_outlet_tick(struct mcp_outlet *s)
{
	autojw struct jw w = {0};

	if (s->req == NULL || s->done)
		return;
	if (!s->begun && s->old)
		begin_events(s, 0);
	if (s->begun) {
		sse_write_comment(&w, "");
		write_text(s, &w);
	}
	s->old = true;
}

struct mcp_outlet *mcp_outlet_of_event(const struct mcp_link *l,
				       const char *event_id, uint32_t *out_n)
{
	struct mcp_outlet *s;
	unsigned long long id;
	char *end;

	if (*event_id < '0' || *event_id > '9')
		return NULL;
	id = strtoull(event_id, &end, 10);
	if (*end != '\0')
		return NULL;
	*out_n = (uint32_t)id;
	TAILQ_FOREACH (s, &l->outlets, next)
		if (s->n == id >> 32)
			return s;
	return NULL;
}
