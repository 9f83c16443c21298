// SPDX-License-Identifier: Apache-2.0
/*
 * proc_pipes.c - What a child process writes and reads
 *
 * stdout comes as lines or as bytes, stderr as lines, long ones in pieces.
 *
 * stdin: one write is in flight, what comes meanwhile is gathered and goes in
 * one write after it.
 */
#include <poll.h>
#include <string.h>

#include "guest/proc_impl.h"

#define LINGER_MS  20
#define STDIN_KEEP (64u << 10) /* Larger buffers are freed when idle. */

/* --- stdout and stderr --------------------------------------------------- */

static void proc_on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	struct proc *p = h->data;

	(void)hint;
	*buf = uv_buf_init(p->rbuf, sizeof(p->rbuf));
}

int proc_on_line(char *line, size_t len, void *arg)
{
	struct proc *p = arg;

	if (p->ev->line != NULL)
		p->ev->line(p, line, len, p->arg);
	return 0;
}

static void proc_out(struct proc *p, char *data, size_t n)
{
	if (p->bytes) {
		if (p->ev->bytes != NULL)
			p->ev->bytes(p, data, n, p->arg);
		return;
	}
	if (lines_feed(&p->lines, data, n, proc_on_line, p) == 0)
		return;
	proc_close_stream(&p->out, &p->out_open);
	if (p->ev->overlong != NULL)
		p->ev->overlong(p, p->arg);
}

static void err_emit(struct proc *p)
{
	size_t len = p->err_len;

	p->err_buf[len] = '\0';
	p->err_len = 0;
	if (p->ev->err_line != NULL)
		p->ev->err_line(p, p->err_buf, len, p->arg);
}

/* Add part of a line, no newline in it. */
static void err_add(struct proc *p, const char *data, size_t n)
{
	while (n > 0) {
		size_t part = PROC_ERR_LINE_MAX - p->err_len;

		if (part == 0) {
			err_emit(p);
			continue;
		}
		if (part > n)
			part = n;
		memcpy(p->err_buf + p->err_len, data, part);
		p->err_len += part;
		data += part;
		n -= part;
	}
}

static void proc_err(struct proc *p, const char *data, size_t n)
{
	const char *end = data + n;

	if (p->ev->err_bytes != NULL) {
		p->ev->err_bytes(p, data, n, p->arg);
		return;
	}
	while (data < end) {
		const char *nl = memchr(data, '\n', (size_t)(end - data));

		err_add(p, data, (size_t)((nl != NULL ? nl : end) - data));
		if (nl == NULL)
			return;
		err_emit(p);
		data = nl + 1;
	}
}

static void proc_out_ended(struct proc *p)
{
	proc_close_stream(&p->out, &p->out_open);
	if (p->ev->out_ended != NULL)
		p->ev->out_ended(p, p->arg);
	proc_close_if_done(p);
}

/* What stderr says last often has no newline. */
static void proc_err_ended(struct proc *p)
{
	if (p->err_open && p->err_len > 0)
		err_emit(p);
	proc_close_stream(&p->err, &p->err_open);
	proc_close_if_done(p);
}

static void proc_on_out(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct proc *p = s->data;

	if (n > 0)
		proc_out(p, buf->base, (size_t)n);
	else if (n < 0)
		proc_out_ended(p);
	proc_close_if_done(p);
}

static void proc_on_err(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct proc *p = s->data;

	if (n > 0)
		proc_err(p, buf->base, (size_t)n);
	else if (n < 0)
		proc_err_ended(p);
}

void proc_read_start(struct proc *p)
{
	if (p->out_open)
		uv_read_start((uv_stream_t *)&p->out, proc_on_alloc,
			      proc_on_out);
	if (p->err_open)
		uv_read_start((uv_stream_t *)&p->err, proc_on_alloc,
			      proc_on_err);
}

static bool is_quiet(const uv_pipe_t *pipe, bool is_open)
{
	struct pollfd pf = {.events = POLLIN};

	if (!is_open)
		return true;
	if (uv_fileno((const uv_handle_t *)pipe, &pf.fd) < 0)
		return true;
	return poll(&pf, 1, 0) == 0;
}

/* Reading goes on by itself while there is something to read.  A pipe that is
 * quiet though no one of ours can write to it is held open from elsewhere. */
static void proc_on_linger(uv_timer_t *t)
{
	struct proc *p = t->data;

	if (p->out_open && is_quiet(&p->out, true))
		proc_out_ended(p);
	if (p->state == PROC_DRAINING && is_quiet(&p->err, p->err_open))
		proc_err_ended(p);
	if (p->state == PROC_DRAINING && !p->paused)
		proc_linger(p);
}

void proc_linger(struct proc *p)
{
	uv_timer_start(&p->linger, proc_on_linger, LINGER_MS, 0);
}

/* --- stdin --------------------------------------------------------------- */

static void proc_on_write(uv_write_t *req, int status);

static void buffer_empty(struct buffer *b)
{
	b->len = 0;
	if (b->cap <= STDIN_KEEP)
		return;
	free(b->data);
	*b = (struct buffer){0};
}

static int buffer_add(struct buffer *b, const char *data, size_t n)
{
	size_t cap = b->cap > 0 ? b->cap : 512;
	char *grown;

	while (cap - b->len < n)
		cap *= 2;
	if (cap != b->cap) {
		grown = realloc(b->data, cap);
		if (grown == NULL)
			return -ENOMEM;
		b->data = grown;
		b->cap = cap;
	}
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

/* Nobody reads it any more. */
static void proc_stdin_broken(struct proc *p)
{
	proc_close_stream(&p->in, &p->in_open);
	buffer_empty(&p->next);
}

static void proc_flush(struct proc *p)
{
	struct buffer empty = p->flight;
	uv_buf_t buf;

	p->flight = p->next;
	p->next = empty;
	buf = uv_buf_init(p->flight.data, (unsigned)p->flight.len);
	if (uv_write(&p->write_req, (uv_stream_t *)&p->in, &buf, 1,
		     proc_on_write) == 0)
		return;
	buffer_empty(&p->flight);
	proc_stdin_broken(p);
}

static void proc_on_write(uv_write_t *req, int status)
{
	struct proc *p = req->data;

	buffer_empty(&p->flight);
	if (status < 0)
		proc_stdin_broken(p);
	if (p->state != PROC_RUNNING)
		return;
	if (p->next.len > 0) {
		proc_flush(p);
		return;
	}
	if (p->close_stdin)
		proc_close_stream(&p->in, &p->in_open);
	if (p->ev->drained != NULL)
		p->ev->drained(p, p->arg);
}

int proc_write(struct proc *p, const char *data, size_t n)
{
	int r;

	if (!p->in_open || p->close_stdin)
		return -EPIPE;
	if (n == 0)
		return 0;
	if (n > PROC_STDIN_MAX - proc_queued(p))
		return -ENOBUFS;
	r = buffer_add(&p->next, data, n);
	if (r == 0 && p->flight.len == 0)
		proc_flush(p);
	return r;
}

size_t proc_queued(const struct proc *p)
{
	return p->flight.len + p->next.len;
}

void proc_close_stdin(struct proc *p)
{
	p->close_stdin = true;
	if (p->flight.len == 0)
		proc_close_stream(&p->in, &p->in_open);
}

void proc_pause(struct proc *p)
{
	p->paused = true;
	if (p->out_open)
		uv_read_stop((uv_stream_t *)&p->out);
	if (p->err_open)
		uv_read_stop((uv_stream_t *)&p->err);
	if (p->state != PROC_CLOSING)
		uv_timer_stop(&p->linger);
}

void proc_resume(struct proc *p)
{
	if (!p->paused)
		return;
	p->paused = false;
	proc_read_start(p);
	if (p->state == PROC_DRAINING)
		proc_linger(p);
	proc_close_if_done(p);
}
