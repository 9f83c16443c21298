// SPDX-License-Identifier: Apache-2.0
/*
 * h2_in.c - HTTP/2: what the peer sends
 *
 * Bytes go from the socket to nghttp2, which checks them and reports heads,
 * data and ends; these are handed on at once, from inside nghttp2.  An owner
 * may close the connection there: then the callback returns an error, nghttp2
 * stops, and nothing of the connection but its state is looked at again.
 *
 * Reading pauses for one turn of the loop after H2_IN_TURN bytes, for the sake
 * of other handles, and never else.  What a peer can make us hold is bounded otherwise:
 * body bytes by the windows of its streams, streams by SETTINGS, heads by
 * H2_HEAD_MAX, frames we owe it while it does not read by DEBT_MAX (for pings
 * and settings nghttp2 has its own limit), and work without payload by a budget
 * of cheap frames that refills with time.  Who exceeds these loses the
 * connection.
 *
 * The connection's window is opened again on receipt, the stream's only by
 * h2_consume(): else a few streams whose owner is behind would stall all the
 * others.  The owners of all streams together may so hold up to
 * H2_STREAMS_MAX * H2_WINDOW bytes, and do if they keep what they do not
 * consume.
 */
#include "core/h2_impl.h"

#include <assert.h>
#include <string.h>

#define ACKS_MAX    1000  /* Acknowledgements waiting to be sent. */
#define DEBT_MAX    4096  /* Frames owed to a peer that does not read. */
#define CHEAP_BURST 10000 /* Cheap frames at once.. */
#define CHEAP_RATE  1000  /* ..and for each second. */
#define HEADER_COST 32	  /* RFC 9113, section 6.5.2. */

static struct h2_stream *stream_of(struct h2 *c, int32_t id)
{
	return nghttp2_session_get_stream_user_data(c->ng, id);
}

/* What a callback returns after the owner was called. */
static int go_on(const struct h2 *c)
{
	return c->state == H2_OPEN ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* --- heads ---------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f,
			    void *arg)
{
	struct h2 *c = arg;

	(void)ng, (void)f;
	c->head.method[0] = c->head.path[0] = '\0';
	c->head.status = 0;
	c->head.size = 0;
	return 0;
}

/* Refuse the message whose head is arriving. */
static int refuse_head(struct h2 *c, int32_t id)
{
	(void)nghttp2_submit_rst_stream(c->ng, NGHTTP2_FLAG_NONE, id,
					NGHTTP2_ENHANCE_YOUR_CALM);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static bool keep(char *to, size_t max, const uint8_t *value, size_t n)
{
	if (n > max)
		return false;
	memcpy(to, value, n);
	to[n] = '\0';
	return true;
}

static bool name_is(const uint8_t *name, size_t n, const char *want)
{
	return n == strlen(want) && memcmp(name, want, n) == 0;
}

/* The three digits that nghttp2 has checked. */
static int parse_status(const uint8_t *v, size_t n)
{
	int status = 0;

	for (size_t i = 0; i < n && i < 3; i++)
		status = status * 10 + (v[i] - '0');
	return status;
}

/* Keep the fields that matter, forget the others.  A CONNECT has :authority in
 * place of :path; with any other method :path, coming before or after, wins. */
static bool keep_field(struct h2_head *h, const uint8_t *name, size_t namelen,
		       const uint8_t *v, size_t n)
{
	if (name_is(name, namelen, ":method"))
		return keep(h->method, H2_METHOD_MAX, v, n);
	if (name_is(name, namelen, ":path"))
		return keep(h->path, H2_PATH_MAX, v, n);
	if (name_is(name, namelen, ":authority") && h->path[0] == '\0')
		return keep(h->path, H2_PATH_MAX, v, n);
	if (name_is(name, namelen, ":status"))
		h->status = parse_status(v, n);
	return true;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f,
		     const uint8_t *name, size_t namelen, const uint8_t *value,
		     size_t valuelen, uint8_t flags, void *arg)
{
	struct h2 *c = arg;

	(void)ng, (void)flags;
	c->head.size += namelen + valuelen + HEADER_COST;
	if (c->head.size > H2_HEAD_MAX)
		return refuse_head(c, f->hd.stream_id);
	if (!keep_field(&c->head, name, namelen, value, valuelen))
		return refuse_head(c, f->hd.stream_id);
	return 0;
}

/* Server: a request's head is complete. */
static void on_request(struct h2 *c, int32_t id)
{
	struct h2_stream *s = h2_stream_new(c);

	if (s == NULL) {
		h2_doom(c, -ENOMEM);
		return;
	}
	s->id = id;
	if (nghttp2_session_set_stream_user_data(c->ng, id, s) < 0) {
		h2_stream_free(s); /* Reset by us while its head arrived. */
		return;
	}
	c->ev->request(s, c->head.method, c->head.path, c->arg);
	if (c->state == H2_OPEN && s->ev == NULL && !s->ended)
		h2_stream_reset(s, NGHTTP2_REFUSED_STREAM);
}

/* Client: an answer's head is complete; neither a 1xx nor trailers. */
static void on_answer(struct h2 *c, struct h2_stream *s)
{
	if (s == NULL || s->got_head || c->head.status < 200)
		return;
	s->got_head = true;
	if (s->ev->head != NULL)
		s->ev->head(s, c->head.status, s->arg);
}

/* --- bodies --------------------------------------------------------------- */

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t n, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = stream_of(c, id);

	(void)flags;
	if (nghttp2_session_consume_connection(ng, n) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (s == NULL)
		return 0;
	s->unconsumed += n;
	if (s->ev->data == NULL)
		h2_consume(s, n);
	else /* nghttp2 hands on what lies in our buffer. */
		s->ev->data(s, c->in + ((const char *)data - c->in), n, s->arg);
	return go_on(c);
}

static void on_fin(struct h2_stream *s)
{
	if (s == NULL)
		return;
	s->got_fin = true;
	if (s->ev->fin != NULL)
		s->ev->fin(s, s->arg);
}

static int end_reason(const struct h2_stream *s, uint32_t code)
{
	if (code == NGHTTP2_NO_ERROR && s->got_fin && s->body == H2_BODY_SENT)
		return 0;
	if (s->got_reset || s->c->leaving || code == NGHTTP2_REFUSED_STREAM)
		return -ECONNRESET;
	return -EPROTO;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code,
			   void *arg)
{
	struct h2_stream *s = stream_of(arg, id);

	(void)ng;
	if (s != NULL)
		h2_stream_end(s, end_reason(s, code));
	return 0;
}

/* --- the connection's own frames ------------------------------------------ */

static void on_pong(struct h2 *c, const uint8_t *opaque)
{
	uint64_t id;

	memcpy(&id, opaque, sizeof(id));
	for (size_t i = 0; i < H2_PINGS_MAX; i++) {
		struct h2_ping p = c->pings[i];

		if (p.cb == NULL || p.id != id)
			continue;
		c->pings[i].cb = NULL;
		p.cb(c, (int64_t)(uv_hrtime() - p.sent_ns), p.arg);
		return;
	}
}

/* Frames that cost the peer nothing and carry nothing. */
static bool is_cheap(const nghttp2_frame *f)
{
	switch (f->hd.type) {
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
	case NGHTTP2_RST_STREAM:
		return true;
	case NGHTTP2_DATA:
		return f->hd.length == 0 &&
		       !(f->hd.flags & NGHTTP2_FLAG_END_STREAM);
	default:
		return false;
	}
}

static bool cheap_spend(struct h2 *c)
{
	uint64_t now = uv_now(c->io->loop);
	uint64_t more = (now - c->cheap_ms) * CHEAP_RATE / 1000;

	if (more > 0) {
		uint64_t sum = c->cheap + more;

		c->cheap = sum < CHEAP_BURST ? (unsigned)sum : CHEAP_BURST;
		c->cheap_ms = now;
	}
	if (c->cheap == 0)
		return false;
	c->cheap--;
	return true;
}

static void on_goaway(struct h2 *c, const nghttp2_goaway *g)
{
	c->leaving = true;
	if (g->error_code != NGHTTP2_NO_ERROR)
		c->error = -EPROTO;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	int32_t id = f->hd.stream_id;
	struct h2_stream *s;

	(void)ng;
	if (is_cheap(f) && !cheap_spend(c))
		return NGHTTP2_ERR_CALLBACK_FAILURE;

	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
		if (!c->server)
			on_answer(c, stream_of(c, id));
		else if (f->headers.cat == NGHTTP2_HCAT_REQUEST)
			on_request(c, id);
		break;
	case NGHTTP2_RST_STREAM:
		s = stream_of(c, id);
		if (s != NULL)
			s->got_reset = true;
		return 0;
	case NGHTTP2_PING:
		if (f->hd.flags & NGHTTP2_FLAG_ACK)
			on_pong(c, f->ping.opaque_data);
		return go_on(c);
	case NGHTTP2_GOAWAY:
		on_goaway(c, &f->goaway);
		return 0;
	case NGHTTP2_DATA:
		break;
	default:
		return 0;
	}
	if (c->state == H2_OPEN && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		on_fin(stream_of(c, id));
	return go_on(c);
}

/* nghttp2 queues all but DATA, and sends what is queued before any DATA. */
static void pay(struct h2 *c, const nghttp2_frame *f)
{
	if (f->hd.type != NGHTTP2_DATA && c->debt > 0)
		c->debt--;
}

/* A GOAWAY of ours that names an error is nghttp2's verdict on the peer. */
static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	(void)ng;
	pay(arg, f);
	if (f->hd.type == NGHTTP2_GOAWAY)
		on_goaway(arg, &f->goaway);
	return 0;
}

static int on_frame_not_sent(nghttp2_session *ng, const nghttp2_frame *f,
			     int why, void *arg)
{
	(void)ng, (void)why;
	pay(arg, f);
	return 0;
}

/* --- the session ---------------------------------------------------------- */

static void set_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(
		cb, on_frame_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
							       on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(cb, h2_out_data);
}

static void set_options(nghttp2_option *o)
{
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(o, CHEAP_BURST, CHEAP_RATE);
}

static int say_settings(struct h2 *c)
{
	const nghttp2_settings_entry set[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_MAX},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* A client's; last. */
	};
	size_t n = ARRAY_LEN(set) - (c->server ? 1 : 0);
	int r = nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, set, n);

	if (r < 0)
		return r;
	return nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE,
						     0, H2_CONN_WINDOW);
}

/* All failures here are want of memory. */
int h2_in_session(struct h2 *c)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *o = NULL;
	int r;

	r = nghttp2_session_callbacks_new(&cb);
	if (r == 0)
		r = nghttp2_option_new(&o);
	if (r == 0) {
		set_callbacks(cb);
		set_options(o);
		r = c->server ? nghttp2_session_server_new2(&c->ng, cb, c, o)
			      : nghttp2_session_client_new2(&c->ng, cb, c, o);
	}
	if (r == 0)
		r = say_settings(c);
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(cb);
	return r == 0 ? 0 : -ENOMEM;
}

/* --- the socket ----------------------------------------------------------- */

static void on_alloc(uv_handle_t *io, size_t hint, uv_buf_t *out)
{
	struct h2 *c = io->data;

	(void)hint;
	*out = uv_buf_init(c->in, sizeof(c->in));
}

/* Return: 0, or the errno that ends the connection. */
static int feed(struct h2 *c, size_t n)
{
	size_t before = nghttp2_session_get_outbound_queue_size(c->ng), after;
	ssize_t r;

	r = nghttp2_session_mem_recv(c->ng, (const uint8_t *)c->in, n);
	if (c->state != H2_OPEN)
		return 0;
	if (r < 0)
		return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
	after = nghttp2_session_get_outbound_queue_size(c->ng);
	if (after > before)
		c->debt += after - before;
	return c->debt > DEBT_MAX ? -EPROTO : 0;
}

/* End of file or an error.  nghttp2 may have a verdict that is not yet sent. */
static void on_read_end(struct h2 *c, int r)
{
	h2_out_flush(c);
	if (c->error < 0)
		r = c->error;
	h2_fail(c, r == UV_EOF ? 0 : r);
}

static void on_read(uv_stream_t *io, ssize_t n, const uv_buf_t *buf)
{
	struct h2 *c = io->data;
	int r;

	(void)buf;
	if (n == 0 || c->state != H2_OPEN)
		return;
	if (n < 0) {
		on_read_end(c, (int)n);
		return;
	}
	c->heard = true;
	c->in_turn += (size_t)n;
	c->received += (size_t)n;
	if (c->in_turn >= H2_IN_TURN) {
		(void)uv_read_stop(io);
		h2_poke(c);
	}
	r = feed(c, (size_t)n);
	if (c->state != H2_OPEN)
		return;
	if (r < 0) {
		h2_fail(c, r);
		return;
	}
	if (nghttp2_session_want_write(c->ng))
		h2_poke(c);
	h2_settle(c);
}

int h2_in_start(struct h2 *c)
{
	c->cheap = CHEAP_BURST;
	c->cheap_ms = uv_now(c->io->loop);
	return uv_read_start(c->io, on_alloc, on_read);
}

void h2_in_go_on(struct h2 *c)
{
	if (c->in_turn >= H2_IN_TURN)
		(void)uv_read_start(c->io, on_alloc, on_read);
	c->in_turn = 0;
}
