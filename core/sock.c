// SPDX-License-Identifier: Apache-2.0
/*
 * sock.c - A connected stream socket on the loop
 *
 * Theory of operation
 *
 * The socket is polled, not wrapped in a libuv stream, for three reasons: a
 * hang-up is seen while reading is off (EPOLLRDHUP), a write to a closed peer
 * fails instead of raising SIGPIPE in a program that may not be ours, and one
 * buffer with an offset is the whole write queue.
 *
 * A write appends to the queue and starts an idle handle, which runs once
 * before the loop next blocks, sends everything and stops itself.  So all
 * writes of a turn leave in one system call, wherever in the turn they were
 * made, and a loop with nothing to write never wakes.  What the kernel does not
 * take waits for EPOLLOUT.
 *
 * An error is told once, by ops->broken.  After sock_close() nothing but
 * ops->closed is called; the descriptor is closed at once.
 */
#include "core/sock.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#define OUT_FIRST 1024
#define OUT_KEEP  (16u << 10) /* An empty queue larger than this is freed. */

static void on_poll(uv_poll_t *h, int status, int events);

/* Have the loop watch what the flags say. */
static void update(struct sock *s)
{
	int want = 0, r;

	if (s->closing || s->error != 0)
		return;
	if (s->connecting || s->blocked)
		want |= UV_WRITABLE;
	if (!s->connecting && s->reading && s->read_max > 0)
		want |= UV_READABLE;
	else if (!s->connecting && s->watching)
		want |= UV_DISCONNECT;
	if (want == s->events)
		return;

	s->events = want;
	r = want == 0 ? uv_poll_stop(&s->poll)
		      : uv_poll_start(&s->poll, want, on_poll);
	assert(r == 0);
}

static void drop_queue(struct sock *s)
{
	free(s->out);
	s->out = NULL;
	s->out_off = s->out_len = s->out_cap = 0;
	s->blocked = false;
}

/* Tell the owner that it is over. */
static void fail(struct sock *s, int r)
{
	assert(r < 0);
	if (s->events != 0)
		(void)uv_poll_stop(&s->poll);
	(void)uv_idle_stop(&s->flush);
	s->events = 0;
	s->error = r;
	drop_queue(s);
	s->ops->broken(s, r);
}

static void fail_write(struct sock *s, int r)
{
	if (s->ops->unwritable == NULL) {
		fail(s, r);
		return;
	}
	drop_queue(s);
	s->deaf = true;
	update(s);
	s->ops->unwritable(s, r);
}

static void flush(struct sock *s)
{
	while (s->out_off < s->out_len) {
		ssize_t n = send(s->fd, s->out + s->out_off,
				 s->out_len - s->out_off,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			s->blocked = true;
			update(s);
			return;
		}
		if (n < 0) {
			fail_write(s, -errno);
			return;
		}
		s->out_off += (size_t)n;
	}

	s->out_off = s->out_len = 0;
	s->blocked = false;
	if (s->out_cap > OUT_KEEP)
		drop_queue(s);
	update(s);
	s->ops->drained(s);
}

static void on_flush(uv_idle_t *h)
{
	struct sock *s = container_of(h, struct sock, flush);

	(void)uv_idle_stop(h);
	if (s->error != 0)
		fail(s, s->error);
	else if (!s->connecting && !s->blocked)
		flush(s);
}

static void read_some(struct sock *s)
{
	char buf[SOCK_READ_MAX];
	size_t max = s->read_max < sizeof(buf) ? s->read_max : sizeof(buf);
	ssize_t n = recv(s->fd, buf, max, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail(s, -errno);
		return;
	}
	if (n == 0) {
		s->reading = false;
		update(s);
	}
	s->ops->data(s, buf, (size_t)n);
}

/* The error that made poll() return, or what the caller supposes. */
static int socket_error(const struct sock *s, int otherwise)
{
	socklen_t len = sizeof(int);
	int r = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &r, &len) < 0)
		return -errno;
	return r != 0 ? -r : otherwise;
}

static void on_connected(struct sock *s)
{
	int r = socket_error(s, 0);

	if (r < 0) {
		fail(s, r);
		return;
	}
	s->connecting = false;
	update(s);
	flush(s);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct sock *s = container_of(h, struct sock, poll);

	/* libuv has stopped the handle at EPOLLERR; what can be read still
	 * (an answer before a reset) is worth reading first. */
	if (status < 0)
		s->events = 0;
	if (s->connecting) {
		on_connected(s);
		return;
	}
	if (status < 0 && !s->reading) {
		fail(s, socket_error(s, -ECONNRESET));
		return;
	}
	if (s->blocked && (status < 0 || (events & UV_WRITABLE) != 0))
		flush(s);
	if (s->closing || s->error != 0)
		return;
	if (s->reading && s->read_max > 0 &&
	    (status < 0 || (events & UV_READABLE) != 0))
		read_some(s);
	else if (s->watching && (events & UV_DISCONNECT) != 0)
		fail(s, -ECONNRESET);
	update(s);
}

static void on_close(uv_handle_t *h)
{
	struct sock *s = h->data;

	if (--s->open > 0)
		return;
	s->ops->closed(s);
}

int sock_open(struct sock *s, uv_loop_t *loop, int fd,
	      const struct sock_ops *ops)
{
	int r;

	*s = (struct sock){.ops = ops, .fd = fd, .read_max = SOCK_READ_MAX};
	r = uv_poll_init(loop, &s->poll, fd);
	if (r < 0)
		return r;
	r = uv_idle_init(loop, &s->flush);
	assert(r == 0);
	s->poll.data = s->flush.data = s;
	s->open = 2;
	return 0;
}

void sock_connecting(struct sock *s)
{
	s->connecting = true;
	update(s);
}

void sock_close(struct sock *s)
{
	if (s->closing)
		return;
	s->closing = true;
	drop_queue(s);
	uv_close((uv_handle_t *)&s->flush, on_close);
	uv_close((uv_handle_t *)&s->poll, on_close);
	close(s->fd);
	s->fd = -1;
}

void sock_read(struct sock *s, bool on)
{
	s->reading = on;
	update(s);
}

void sock_watch(struct sock *s, bool on)
{
	s->watching = on;
	update(s);
}

static int make_room(struct sock *s, size_t n)
{
	size_t cap = s->out_cap ? s->out_cap : OUT_FIRST;
	char *out;

	if (n > SOCK_QUEUE_MAX - sock_queued(s))
		return -ENOBUFS;
	if (s->out_off > 0 && s->out_len + n > s->out_cap) {
		memmove(s->out, s->out + s->out_off, s->out_len - s->out_off);
		s->out_len -= s->out_off;
		s->out_off = 0;
	}
	while (cap < s->out_len + n)
		cap *= 2;
	if (cap == s->out_cap)
		return 0;

	out = realloc(s->out, cap);
	if (out == NULL)
		return -ENOMEM;
	s->out = out;
	s->out_cap = cap;
	return 0;
}

void sock_write(struct sock *s, const void *data, size_t n)
{
	int r;

	if (n == 0 || s->closing || s->error != 0 || s->deaf)
		return;
	r = make_room(s, n);
	if (r < 0) {
		sock_break(s, r);
		return;
	}
	memcpy(s->out + s->out_len, data, n);
	s->out_len += n;
	sock_kick(s);
}

size_t sock_queued(const struct sock *s)
{
	return s->out_len - s->out_off;
}

void sock_kick(struct sock *s)
{
	if (!s->closing)
		(void)uv_idle_start(&s->flush, on_flush);
}

void sock_break(struct sock *s, int r)
{
	assert(r < 0);
	if (s->closing || s->error != 0)
		return;
	if (s->events != 0)
		(void)uv_poll_stop(&s->poll);
	s->events = 0;
	s->error = r;
	drop_queue(s);
	sock_kick(s);
}

void sock_shutdown(struct sock *s)
{
	assert(sock_queued(s) == 0);
	(void)shutdown(s->fd, SHUT_WR);
}
