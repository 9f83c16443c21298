// SPDX-License-Identifier: Apache-2.0
/*
 * h2_out.c - HTTP/2: what goes to the peer
 *
 * h2_write() copies into the stream's chunks and wakes the connection, which at
 * the end of the loop turn pulls frames out of nghttp2 into one batch and hands
 * it to the kernel.  DATA payload goes from the chunks to the batch directly
 * (NGHTTP2_DATA_FLAG_NO_COPY).  When the kernel does not take all of a batch,
 * libuv waits for it, and nothing more is pulled until it is gone: so at most
 * one batch is held beyond what h2_queued() counts, and a stream's bytes are
 * counted until the kernel has them.
 *
 * When writing fails the peer is gone, but its last words may still be unread:
 * reading goes on until it finds the end, or until a turn brings nothing.
 */
#include "core/h2_impl.h"

#include <assert.h>
#include <string.h>

#define CHUNK_MIN 4096u
#define TURN_MAX  8 /* Batches in one turn, for the sake of other handles. */

struct h2_chunk {
	TAILQ_ENTRY(h2_chunk) link;
	size_t off, len, cap; /* Bytes off..len of data are queued. */
	char data[];
};

/* --- a stream's queue ---------------------------------------------------- */

static struct h2_chunk *chunk_new(size_t need)
{
	size_t cap = need > CHUNK_MIN ? need : CHUNK_MIN;
	struct h2_chunk *k = malloc(sizeof(*k) + cap);

	if (k != NULL) {
		k->off = k->len = 0;
		k->cap = cap;
	}
	return k;
}

static void chunk_put(struct h2_chunk *k, const char *data, size_t n)
{
	memcpy(k->data + k->len, data, n);
	k->len += n;
}

int h2_out_append(struct h2_stream *s, const char *data, size_t n)
{
	struct h2_chunk *last = TAILQ_LAST(&s->chunks, h2_chunks);
	size_t room = last ? last->cap - last->len : 0;
	size_t head = n < room ? n : room;
	struct h2_chunk *more = NULL;

	if (n == 0)
		return 0;
	if (n > head) {
		more = chunk_new(n - head);
		if (more == NULL)
			return -ENOMEM;
		chunk_put(more, data + head, n - head);
		TAILQ_INSERT_TAIL(&s->chunks, more, link);
	}
	if (head > 0)
		chunk_put(last, data, head);
	s->queued += n;
	return 0;
}

/* Move the first n queued bytes to the batch. */
static void take(struct h2_stream *s, size_t n)
{
	struct h2 *c = s->c;

	assert(n <= s->queued);
	s->queued -= n;
	s->batched += n;
	while (n > 0) {
		struct h2_chunk *k = TAILQ_FIRST(&s->chunks);
		size_t m = k->len - k->off < n ? k->len - k->off : n;

		memcpy(c->out + c->out_len, k->data + k->off, m);
		c->out_len += m;
		k->off += m;
		n -= m;
		if (k->off == k->len) {
			TAILQ_REMOVE(&s->chunks, k, link);
			free(k);
		}
	}
}

static void list_move(struct h2_stream *s, struct h2_streams *to)
{
	if (s->out_list == to)
		return;
	if (s->out_list != NULL)
		TAILQ_REMOVE(s->out_list, s, out_link);
	if (to != NULL)
		TAILQ_INSERT_TAIL(to, s, out_link);
	s->out_list = to;
}

void h2_out_drop(struct h2_stream *s)
{
	struct h2_chunk *k;

	while ((k = TAILQ_FIRST(&s->chunks)) != NULL) {
		TAILQ_REMOVE(&s->chunks, k, link);
		free(k);
	}
	s->queued = s->batched = 0;
	list_move(s, NULL);
}

int h2_out_resume(struct h2_stream *s)
{
	int r;

	h2_poke(s->c);
	if (s->body != H2_BODY_WAITING)
		return 0;
	r = nghttp2_session_resume_data(s->c->ng, s->id);
	if (r == NGHTTP2_ERR_NOMEM) {
		h2_doom(s->c, -ENOMEM);
		return -ENOMEM;
	}
	s->body = H2_BODY_READY;
	return 0;
}

/* --- what nghttp2 asks for while frames are pulled ------------------------ */

/* How much of the body comes next?  The stream is looked up by its id, because
 * one that was reset is gone while nghttp2 still holds its data source. */
ssize_t h2_out_source(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max,
		      uint32_t *flags, nghttp2_data_source *src, void *arg)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(ng, id);
	size_t n;

	(void)buf, (void)src, (void)arg;
	if (s == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (s->queued == 0 && !s->fin) {
		s->body = H2_BODY_WAITING;
		return NGHTTP2_ERR_DEFERRED;
	}
	n = s->queued < max ? s->queued : max;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n == s->queued && s->fin) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		s->body = H2_BODY_SENT;
	}
	return (ssize_t)n;
}

/* Put a DATA frame in the batch.  What does not fit is asked again. */
int h2_out_data(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head,
		size_t n, nghttp2_data_source *src, void *arg)
{
	struct h2_stream *s =
		nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	struct h2 *c = arg;

	(void)src;
	if (s == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (c->out_len + H2_FRAME_HEAD + n > H2_OUT_BATCH)
		return NGHTTP2_ERR_WOULDBLOCK;
	memcpy(c->out + c->out_len, head, H2_FRAME_HEAD);
	c->out_len += H2_FRAME_HEAD;
	take(s, n);
	list_move(s, &c->sending);
	return 0;
}

/* --- the socket ----------------------------------------------------------- */

/* Pull frames until nghttp2 has none or the batch is full. */
static int fill(struct h2 *c)
{
	while (c->out_len < H2_OUT_BATCH) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(c->ng, &p);

		if (n < 0)
			return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
		if (n == 0)
			break;
		if ((size_t)n > sizeof(c->out) - c->out_len)
			return -ENOBUFS;
		memcpy(c->out + c->out_len, p, (size_t)n);
		c->out_len += (size_t)n;
	}
	return 0;
}

/* The kernel has the batch. */
static void written(struct h2 *c)
{
	struct h2_stream *s;

	c->out_len = 0;
	while ((s = TAILQ_FIRST(&c->sending)) != NULL) {
		s->batched = 0;
		list_move(s, s->queued == 0 ? &c->drained : NULL);
	}
}

static void write_failed(struct h2 *c, int r)
{
	written(c);
	c->write_error = r;
	c->heard = true; /* Grants one more turn of reading. */
	h2_poke(c);
}

static void on_write(uv_write_t *req, int status)
{
	struct h2 *c = container_of(req, struct h2, write);

	if (c->state != H2_OPEN)
		return;
	if (status < 0)
		write_failed(c, status);
	else
		written(c);
	h2_poke(c);
	h2_settle(c);
}

/* Hand the batch to the kernel, or to libuv what the kernel does not take. */
static void push(struct h2 *c)
{
	uv_buf_t buf = uv_buf_init(c->out, (unsigned)c->out_len);
	int r = uv_try_write(c->io, &buf, 1);

	if (r == (int)c->out_len) {
		written(c);
		return;
	}
	if (r > 0) {
		buf.base += r;
		buf.len -= (size_t)r;
	}
	if (r >= 0 || r == UV_EAGAIN)
		r = uv_write(&c->write, c->io, &buf, 1, on_write);
	if (r < 0)
		write_failed(c, r);
}

void h2_out_flush(struct h2 *c)
{
	for (int i = 0; i < TURN_MAX; i++) {
		int r;

		if (c->out_len > 0 || c->write_error < 0)
			return;
		r = fill(c);
		if (r < 0) {
			h2_doom(c, r);
			return;
		}
		if (c->out_len == 0)
			return;
		push(c);
	}
	h2_poke(c);
}
