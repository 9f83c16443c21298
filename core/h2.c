// SPDX-License-Identifier: Apache-2.0
/*
 * h2.c - HTTP/2 connections and streams: their lives, and the public calls
 *
 *	OPEN --end of file, goaway, error--> OVER --h2_close()--> CLOSED
 *	  \--------------------h2_close()-------------------------/
 *
 * A public call puts frames and bytes in queues and starts the `turn' handle,
 * an idle handle: libuv runs it before it next waits, also when it was started
 * by the last callback before that.  There all that has come together is sent,
 * and the handle stops; while nothing happens nothing runs.
 *
 * A stream is in c->streams while nghttp2 knows it.  When it ends, for whatever
 * reason, it moves to c->ended and nghttp2's pointer to it is cleared; its @end
 * is called outside of nghttp2, soon after.  An orderly end waits until the
 * batch with its last bytes is with the kernel, so that an owner who closes the
 * connection then loses nothing.
 *
 * The memory of a connection is freed in its last close callback, so code below
 * a call to the owner may always look at c->state.  A stream does not survive
 * that call if the connection was closed by it.
 */
#include "core/h2.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/h2_impl.h"

static const unsigned moves[] = {
	[H2_OPEN] = BIT(H2_OVER) | BIT(H2_CLOSED),
	[H2_OVER] = BIT(H2_CLOSED),
	[H2_CLOSED] = 0,
};

static void move(struct h2 *c, enum h2_state next)
{
	assert(moves[c->state] & BIT(next));
	c->state = next;
}

/* --- streams -------------------------------------------------------------- */

struct h2_stream *h2_stream_new(struct h2 *c)
{
	struct h2_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->c = c;
	TAILQ_INIT(&s->chunks);
	TAILQ_INSERT_TAIL(&c->streams, s, link);
	return s;
}

void h2_stream_free(struct h2_stream *s)
{
	h2_out_drop(s);
	TAILQ_REMOVE(s->ended ? &s->c->ended : &s->c->streams, s, link);
	free(s);
}

void h2_stream_end(struct h2_stream *s, int r)
{
	struct h2 *c = s->c;

	assert(!s->ended);
	/* Fails for a stream that nghttp2 has forgotten already. */
	(void)nghttp2_session_set_stream_user_data(c->ng, s->id, NULL);
	h2_out_drop(s);
	TAILQ_REMOVE(&c->streams, s, link);
	TAILQ_INSERT_TAIL(&c->ended, s, link);
	s->ended = true;
	s->r = r;
	h2_poke(c);
}

void h2_stream_reset(struct h2_stream *s, uint32_t code)
{
	if (nghttp2_submit_rst_stream(s->c->ng, NGHTTP2_FLAG_NONE, s->id,
				      code) < 0)
		h2_doom(s->c, -ENOMEM);
	h2_stream_end(s, -ECANCELED);
}

/* May the owner still send on this stream? */
static bool is_live(const struct h2_stream *s)
{
	return s->c->state == H2_OPEN && !s->ended;
}

/* --- telling the owner ---------------------------------------------------- */

static void tell_drained(struct h2 *c)
{
	struct h2_stream *s;

	while ((s = TAILQ_FIRST(&c->drained)) != NULL) {
		TAILQ_REMOVE(&c->drained, s, out_link);
		s->out_list = NULL;
		if (s->ev->drained != NULL)
			s->ev->drained(s, s->arg);
	}
}

static struct h2_stream *next_ended(struct h2 *c)
{
	struct h2_stream *s;

	TAILQ_FOREACH (s, &c->ended, link)
		if (s->r != 0 || c->out_len == 0)
			return s;
	return NULL;
}

/* The stream leaves its list first: @end may close the connection, which tells
 * all that are still in it. */
static void tell_ended(struct h2 *c)
{
	struct h2_stream *s;

	while ((s = next_ended(c)) != NULL) {
		const struct h2_stream_events *ev = s->ev;

		TAILQ_REMOVE(&c->ended, s, link);
		if (ev != NULL)
			ev->end(s, s->r, s->arg);
		free(s);
	}
}

static void tell_pings(struct h2 *c, int r)
{
	for (size_t i = 0; i < H2_PINGS_MAX; i++) {
		struct h2_ping p = c->pings[i];

		c->pings[i].cb = NULL;
		if (p.cb != NULL)
			p.cb(c, r, p.arg);
	}
}

/* End all that is open with r.  What is not sent now will never be. */
static void end_all(struct h2 *c, int r)
{
	struct h2_stream *s;

	while ((s = TAILQ_FIRST(&c->streams)) != NULL)
		h2_stream_end(s, r);
	TAILQ_FOREACH (s, &c->ended, link)
		if (s->r == 0 && c->out_len > 0)
			s->r = r;
	c->out_len = 0;
	tell_ended(c);
	tell_pings(c, r);
}

/* --- the connection ------------------------------------------------------- */

static void unref(struct h2 *c)
{
	if (--c->open > 0)
		return;
	nghttp2_session_del(c->ng);
	free(c);
}

static void on_io_closed(uv_handle_t *io)
{
	struct h2 *c = io->data;

	free(io);
	unref(c);
}

static void on_turn_closed(uv_handle_t *h)
{
	unref(container_of(h, struct h2, turn));
}

static void on_turn(uv_idle_t *h);

void h2_poke(struct h2 *c)
{
	if (c->state == H2_OPEN && !uv_is_active((uv_handle_t *)&c->turn))
		(void)uv_idle_start(&c->turn, on_turn);
}

void h2_doom(struct h2 *c, int r)
{
	if (c->doom == 0)
		c->doom = r;
	h2_poke(c);
}

void h2_fail(struct h2 *c, int r)
{
	/* Who has said goodbye may leave the socket as it likes. */
	if (c->leaving && TAILQ_EMPTY(&c->streams) && r != -EPROTO)
		r = 0;
	move(c, H2_OVER);
	(void)uv_idle_stop(&c->turn);
	uv_close((uv_handle_t *)c->io, on_io_closed);
	end_all(c, r < 0 ? r : -ECONNRESET);
	if (c->state == H2_OVER)
		c->ev->closed(c, r, c->arg);
}

/* After GOAWAY, or a broken protocol, nghttp2 has nothing more to do. */
static bool is_finished(struct h2 *c)
{
	return c->out_len == 0 && !nghttp2_session_want_read(c->ng) &&
	       !nghttp2_session_want_write(c->ng);
}

void h2_settle(struct h2 *c)
{
	tell_drained(c);
	tell_ended(c);
	if (c->state == H2_OPEN && is_finished(c))
		h2_fail(c, c->error);
}

static void on_turn(uv_idle_t *h)
{
	struct h2 *c = container_of(h, struct h2, turn);

	(void)uv_idle_stop(h);
	h2_in_go_on(c);
	h2_out_flush(c);
	if (c->doom < 0) {
		h2_fail(c, c->doom);
		return;
	}
	if (c->write_error < 0) {
		if (!c->heard) {
			h2_fail(c, c->write_error);
			return;
		}
		c->heard = false;
		h2_poke(c);
	}
	h2_settle(c);
}

/* --- the public calls ----------------------------------------------------- */

static void on_failed_closed(uv_handle_t *io)
{
	free(io);
}

int h2_new(uv_stream_t *io, bool server, const struct h2_events *ev, void *arg,
	   struct h2 **out)
{
	struct h2 *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (c != NULL) {
		io->data = c;
		c->io = io;
		c->server = server;
		c->ev = ev;
		c->arg = arg;
		TAILQ_INIT(&c->streams);
		TAILQ_INIT(&c->ended);
		TAILQ_INIT(&c->sending);
		TAILQ_INIT(&c->drained);
		r = h2_in_session(c);
	}
	if (r == 0)
		r = h2_in_start(c);
	if (r < 0) {
		uv_close((uv_handle_t *)io, on_failed_closed);
		if (c != NULL)
			nghttp2_session_del(c->ng);
		free(c);
		return r;
	}
	(void)uv_idle_init(io->loop, &c->turn);
	c->open = 2;
	h2_poke(c);
	*out = c;
	return 0;
}

bool h2_is_on(const struct h2 *c, const uv_handle_t *h)
{
	return (const uv_handle_t *)c->io == h;
}

void h2_close(struct h2 *c)
{
	enum h2_state was;

	if (c == NULL || c->state == H2_CLOSED)
		return;
	was = c->state;
	move(c, H2_CLOSED);
	if (was == H2_OPEN)
		uv_close((uv_handle_t *)c->io, on_io_closed);
	uv_close((uv_handle_t *)&c->turn, on_turn_closed);
	end_all(c, -ECANCELED);
}

void h2_goaway(struct h2 *c)
{
	int32_t last;

	if (c->state != H2_OPEN || c->leaving)
		return;
	c->leaving = true;
	last = nghttp2_session_get_last_proc_stream_id(c->ng);
	if (nghttp2_submit_goaway(c->ng, NGHTTP2_FLAG_NONE, last,
				  NGHTTP2_NO_ERROR, NULL, 0) < 0)
		h2_doom(c, -ENOMEM);
	h2_poke(c);
}

static struct h2_ping *free_ping(struct h2 *c)
{
	for (size_t i = 0; i < H2_PINGS_MAX; i++)
		if (c->pings[i].cb == NULL)
			return &c->pings[i];
	return NULL;
}

int h2_ping(struct h2 *c, void (*cb)(struct h2 *c, int64_t ns, void *arg),
	    void *arg)
{
	struct h2_ping *p = free_ping(c);
	uint64_t id = c->next_ping;
	uint8_t opaque[8];

	if (c->state != H2_OPEN)
		return -ENOTCONN;
	if (p == NULL)
		return -EAGAIN;
	memcpy(opaque, &id, sizeof(opaque));
	if (nghttp2_submit_ping(c->ng, NGHTTP2_FLAG_NONE, opaque) < 0)
		return -ENOMEM;
	c->next_ping++;
	*p = (struct h2_ping){
		.cb = cb, .arg = arg, .id = id, .sent_ns = uv_hrtime()};
	h2_poke(c);
	return 0;
}

unsigned h2_streams(const struct h2 *c)
{
	const struct h2_stream *s;
	unsigned n = 0;

	TAILQ_FOREACH (s, &c->streams, link)
		n++;
	return n;
}

uint64_t h2_received(const struct h2 *c)
{
	return c->received;
}

void h2_stream_set(struct h2_stream *s, const struct h2_stream_events *ev,
		   void *arg)
{
	s->ev = ev;
	s->arg = arg;
}

struct h2 *h2_of(const struct h2_stream *s)
{
	return s->c;
}

/* nghttp2 copies what it is given but does not say so with const. */
static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
	};
}

/* Return: the stream's id or nghttp2's error. */
static int32_t submit_request(struct h2_stream *s, const char *method,
			      const char *path)
{
	const nghttp2_data_provider body = {.read_callback = h2_out_source};
	bool empty = s->fin && s->queued == 0;
	nghttp2_nv nv[4];
	size_t n = 0;

	nv[n++] = field(":method", method);
	if (strcmp(method, "CONNECT") == 0) {
		nv[n++] = field(":authority", path);
	} else {
		nv[n++] = field(":scheme", "http");
		nv[n++] = field(":authority", "localhost");
		nv[n++] = field(":path", path);
	}
	s->body = empty ? H2_BODY_SENT : H2_BODY_READY;
	return nghttp2_submit_request(s->c->ng, NULL, nv, n,
				      empty ? NULL : &body, s);
}

static bool may_request(struct h2 *c)
{
	if (c->state != H2_OPEN || c->leaving || c->server)
		return false;
	if (nghttp2_session_check_request_allowed(c->ng))
		return true;
	h2_goaway(c); /* All stream ids are spent: make room for a successor. */
	return false;
}

struct h2_stream *h2_request(struct h2 *c, const char *method, const char *path,
			     const char *body, size_t len, bool more,
			     const struct h2_stream_events *ev, void *arg)
{
	struct h2_stream *s;

	if (strlen(method) > H2_METHOD_MAX || strlen(path) > H2_PATH_MAX)
		return NULL;
	if (!may_request(c))
		return NULL;
	s = h2_stream_new(c);
	if (s == NULL)
		return NULL;

	h2_stream_set(s, ev, arg);
	s->fin = !more;
	if (h2_out_append(s, body, len) == 0)
		s->id = submit_request(s, method, path);
	if (s->id <= 0) {
		h2_stream_free(s);
		return NULL;
	}
	h2_poke(c);
	return s;
}

static void respond(struct h2_stream *s, int status, bool with_body)
{
	const nghttp2_data_provider body = {.read_callback = h2_out_source};
	char text[16];
	nghttp2_nv nv;
	int r;

	assert(s->c->server && s->body == H2_BODY_NONE);
	(void)snprintf(text, sizeof(text), "%d", status);
	nv = field(":status", text);
	r = nghttp2_submit_response(s->c->ng, s->id, &nv, 1,
				    with_body ? &body : NULL);
	if (r < 0) {
		h2_doom(s->c, -ENOMEM);
		return;
	}
	s->body = with_body ? H2_BODY_READY : H2_BODY_SENT;
	h2_poke(s->c);
}

void h2_respond(struct h2_stream *s, int status)
{
	if (is_live(s))
		respond(s, status, true);
}

void h2_reply(struct h2_stream *s, int status, const char *body, size_t len)
{
	if (!is_live(s))
		return;
	if (h2_out_append(s, body, len) < 0) {
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	s->fin = true;
	respond(s, status, s->queued > 0);
}

int h2_write(struct h2_stream *s, const char *data, size_t n)
{
	int r;

	if (!is_live(s) || s->fin)
		return -EPIPE;
	r = h2_out_append(s, data, n);
	if (r < 0 || n == 0)
		return r;
	return h2_out_resume(s);
}

size_t h2_queued(const struct h2_stream *s)
{
	return s->queued + s->batched;
}

void h2_fin(struct h2_stream *s)
{
	if (!is_live(s) || s->fin)
		return;
	s->fin = true;
	(void)h2_out_resume(s);
}

void h2_consume(struct h2_stream *s, size_t n)
{
	if (!is_live(s))
		return;
	assert(n <= s->unconsumed);
	s->unconsumed -= n;
	if (nghttp2_session_consume_stream(s->c->ng, s->id, n) < 0)
		h2_doom(s->c, -ENOMEM);
	if (nghttp2_session_want_write(s->c->ng))
		h2_poke(s->c);
}

void h2_reset(struct h2_stream *s)
{
	if (is_live(s))
		h2_stream_reset(s, NGHTTP2_CANCEL);
}
