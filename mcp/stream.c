// SPDX-License-Identifier: Apache-2.0
/*
 * stream.c - Messages of lines on a pair of descriptors
 *
 * Each descriptor has a poll handle of its own, the output's only while the
 * kernel does not take what is queued.  A prepare handle runs before the loop
 * next blocks and sends all that was queued in this turn; it is active only
 * then.  The loop cannot poll plain files: those are never busy, so an idle
 * handle reads them and writing needs no waiting.
 *
 * One descriptor for both directions is duplicated, as the loop wants one handle
 * for each.
 */
#include "mcp/stream.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define READ_MAX  (64u << 10)
#define OUT_FIRST (16u << 10)
#define OUT_KEEP  (1u << 20) /* An empty queue larger than this is freed. */

struct mcp_stream {
	const struct mcp_stream_ops *ops;
	void *arg;
	uv_poll_t in_poll, out_poll;
	uv_idle_t in_file;
	uv_prepare_t flush;
	int in, out;
	bool has_in_poll, has_out_poll; /* Else it is a file. */
	bool in_is_socket, out_is_socket;
	bool paused, ended, broken, blocked, closing;
	bool reading; /* What the handles are set to. */
	unsigned open;
	char *buf;
	size_t off, len, cap; /* Bytes off..len wait. */
};

static void on_readable(uv_poll_t *h, int status, int events);
static void on_file(uv_idle_t *h);

size_t mcp_stream_queued(const struct mcp_stream *s)
{
	return s->len - s->off;
}

/* --- input ---------------------------------------------------------------- */

/* Read or not, as the flags say. */
static void update_reading(struct mcp_stream *s)
{
	bool want = !s->ended && !s->paused &&
		    mcp_stream_queued(s) <= MCP_QUEUE_MAX;

	if (s->closing || want == s->reading)
		return;
	s->reading = want;
	if (!s->has_in_poll && want)
		(void)uv_idle_start(&s->in_file, on_file);
	else if (!s->has_in_poll)
		(void)uv_idle_stop(&s->in_file);
	else if (want)
		(void)uv_poll_start(&s->in_poll, UV_READABLE, on_readable);
	else
		(void)uv_poll_stop(&s->in_poll);
}

static void end(struct mcp_stream *s, int status)
{
	if (s->ended)
		return;
	s->ended = true;
	update_reading(s);
	s->ops->ended(status, s->arg);
}

/* Others may have the same open socket and its flags. */
static ssize_t take_bytes(const struct mcp_stream *s, char *data, size_t n)
{
	return s->in_is_socket ? recv(s->in, data, n, MSG_DONTWAIT)
			       : read(s->in, data, n);
}

static void read_some(struct mcp_stream *s)
{
	char data[READ_MAX];
	ssize_t n = take_bytes(s, data, sizeof(data));

	if (n > 0)
		s->ops->data(data, (size_t)n, s->arg);
	else if (n == 0)
		end(s, 0);
	else if (errno != EAGAIN && errno != EINTR)
		end(s, -errno);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct mcp_stream *s = h->data;

	(void)events;
	if (status < 0) /* The handle has stopped; read() says why. */
		s->reading = false;
	read_some(s);
	update_reading(s);
}

static void on_file(uv_idle_t *h)
{
	read_some(h->data);
}

void mcp_stream_pause(struct mcp_stream *s, bool pause)
{
	s->paused = pause;
	update_reading(s);
}

/* --- output --------------------------------------------------------------- */

static void on_writable(uv_poll_t *h, int status, int events);

static void drop_queue(struct mcp_stream *s)
{
	free(s->buf);
	s->buf = NULL;
	s->off = s->len = s->cap = 0;
}

static void wait_writable(struct mcp_stream *s, bool on)
{
	if (s->blocked == on || !s->has_out_poll)
		return;
	s->blocked = on;
	if (on)
		(void)uv_poll_start(&s->out_poll, UV_WRITABLE, on_writable);
	else
		(void)uv_poll_stop(&s->out_poll);
}

static ssize_t give_bytes(const struct mcp_stream *s, const char *data,
			  size_t n)
{
	return s->out_is_socket
		       ? send(s->out, data, n, MSG_DONTWAIT | MSG_NOSIGNAL)
		       : write(s->out, data, n);
}

/* Write until the kernel takes no more.  Return: 0 or a negative errno. */
static int write_queue(struct mcp_stream *s)
{
	while (s->off < s->len) {
		ssize_t n = give_bytes(s, s->buf + s->off, s->len - s->off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return -errno;
		s->off += (size_t)n;
	}
	s->off = s->len = 0;
	if (s->cap > OUT_KEEP)
		drop_queue(s);
	return 0;
}

static void break_off(struct mcp_stream *s, int r)
{
	s->broken = true;
	drop_queue(s);
	wait_writable(s, false);
	end(s, r);
}

static void flush(struct mcp_stream *s)
{
	int r = write_queue(s);

	if (r < 0) {
		break_off(s, r);
		return;
	}
	wait_writable(s, s->len > 0);
	update_reading(s);
}

static void on_writable(uv_poll_t *h, int status, int events)
{
	struct mcp_stream *s = h->data;

	(void)events;
	if (status < 0)
		s->blocked = false;
	flush(s);
}

static void on_flush(uv_prepare_t *h)
{
	struct mcp_stream *s = h->data;

	(void)uv_prepare_stop(h);
	if (s->broken)
		end(s, -ENOBUFS);
	else if (!s->blocked)
		flush(s);
}

static bool make_room(struct mcp_stream *s, size_t n)
{
	size_t cap = s->cap ? s->cap : OUT_FIRST;
	char *buf;

	if (n > MCP_QUEUE_END - mcp_stream_queued(s))
		return false;
	if (s->off > 0 && s->len + n > s->cap) {
		memmove(s->buf, s->buf + s->off, s->len - s->off);
		s->len -= s->off;
		s->off = 0;
	}
	while (cap < s->len + n)
		cap *= 2;
	if (cap == s->cap)
		return true;
	buf = realloc(s->buf, cap);
	if (buf == NULL)
		return false;
	s->buf = buf;
	s->cap = cap;
	return true;
}

void mcp_stream_break(struct mcp_stream *s)
{
	if (s->closing || s->broken)
		return;
	s->broken = true;
	drop_queue(s);
	(void)uv_prepare_start(&s->flush, on_flush);
}

void mcp_stream_send(struct mcp_stream *s, const char *msg, size_t len)
{
	if (s->closing || s->broken)
		return;
	if (!make_room(s, len + 1)) {
		mcp_stream_break(s);
		return;
	}
	(void)uv_prepare_start(&s->flush, on_flush);
	memcpy(s->buf + s->len, msg, len);
	s->buf[s->len + len] = '\n';
	s->len += len + 1;
}

/* --- life ----------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *h)
{
	struct mcp_stream *s = h->data;

	if (--s->open > 0)
		return;
	if (s->in >= 0) {
		close(s->in);
		close(s->out);
	}
	free(s);
}

static void close_handles(struct mcp_stream *s)
{
	uv_handle_t *handles[] = {
		(uv_handle_t *)&s->flush,
		(uv_handle_t *)&s->in_file,
		s->has_in_poll ? (uv_handle_t *)&s->in_poll : NULL,
		s->has_out_poll ? (uv_handle_t *)&s->out_poll : NULL,
	};

	s->closing = true;
	for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
		if (handles[i] == NULL)
			continue;
		s->open++;
		uv_close(handles[i], on_handle_closed);
	}
}

void mcp_stream_close(struct mcp_stream *s)
{
	if (s == NULL || s->closing)
		return;
	if (!s->broken)
		(void)write_queue(s);
	drop_queue(s);
	close_handles(s);
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Is it a file, which the loop cannot wait for?  Return: 1, 0, or a negative
 * errno. */
static int is_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* Devices other than terminals cannot be polled either. */
	return S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd));
}

static int set_up(struct mcp_stream *s, uv_loop_t *loop)
{
	int in_file = is_file(s->in), out_file = is_file(s->out), r = 0;

	(void)uv_idle_init(loop, &s->in_file);
	(void)uv_prepare_init(loop, &s->flush);
	s->in_poll.data = s->out_poll.data = s;
	s->in_file.data = s->flush.data = s;
	if (in_file < 0 || out_file < 0)
		return in_file < 0 ? in_file : out_file;
	s->in_is_socket = is_socket(s->in);
	s->out_is_socket = is_socket(s->out);
	if (!in_file)
		r = uv_poll_init(loop, &s->in_poll, s->in);
	s->has_in_poll = !in_file && r == 0;
	if (r == 0 && !out_file)
		r = uv_poll_init(loop, &s->out_poll, s->out);
	s->has_out_poll = !out_file && r == 0;
	return r;
}

int mcp_stream_open(uv_loop_t *loop, int in, int out,
		    const struct mcp_stream_ops *ops, void *arg,
		    struct mcp_stream **out_stream)
{
	autoclose int twin = -1;
	struct mcp_stream *s;
	int r;

	if (in == out) {
		twin = fcntl(out, F_DUPFD_CLOEXEC, 0);
		if (twin < 0)
			return -errno;
		out = twin;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	*s = (struct mcp_stream){.ops = ops, .arg = arg, .in = in, .out = out};
	r = set_up(s, loop);
	if (r < 0) {
		s->in = s->out = -1; /* Not ours. */
		close_handles(s);
		return r;
	}
	(void)take_fd(&twin);
	update_reading(s);
	*out_stream = s;
	return 0;
}
