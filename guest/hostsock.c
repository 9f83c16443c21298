// SPDX-License-Identifier: Apache-2.0
/*
 * hostsock.c - A socket that the host connects to, one connection at a time
 */
#include "guest/hostsock.h"

#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/unixsock.h"
#include "guest/port.h"

#define LOG_COMPONENT "channel"
#define BACKLOG	      8

static void hostsock_on_closed(struct h2 *c, int r, void *arg)
{
	struct hostsock *s = arg;

	if (r < 0)
		log_info("the host has gone: %s", strerror(-r));
	if (s->conn == c)
		s->conn = NULL;
	h2_close(c);
	if (s->port != NULL)
		port_again(s->port);
}

static void hostsock_on_request(struct h2_stream *stream, const char *method,
				const char *path, void *arg)
{
	struct hostsock *s = arg;

	s->ev->request(stream, method, path, s->arg);
}

static void free_handle(uv_handle_t *h)
{
	free(h);
}

/* @io is the connection from here on. */
static void begin(struct hostsock *s, uv_stream_t *io)
{
	int r;

	h2_close(take_ptr(s->conn));
	r = h2_new(io, s->ev->request != NULL, &s->h2, s, &s->conn);
	if (r < 0)
		log_warn("connection: %s", strerror(-r));
	else if (s->ev->connected != NULL)
		s->ev->connected(s->arg);
	if (r < 0 && s->port != NULL)
		port_again(s->port);
}

static void hostsock_on_port(uv_stream_t *io, void *arg)
{
	begin(arg, io);
}

static void hostsock_on_connection(uv_stream_t *listener, int status)
{
	struct hostsock *s = container_of(listener, struct hostsock, pipe);
	uv_pipe_t *io;

	if (status < 0)
		return;
	io = malloc(sizeof(*io));
	if (io == NULL)
		return;
	uv_pipe_init(listener->loop, io, 0);
	if (uv_accept(listener, (uv_stream_t *)io) < 0) {
		uv_close((uv_handle_t *)io, free_handle);
		return;
	}
	begin(s, (uv_stream_t *)io);
}

static int listen_at(struct hostsock *s, const char *path, struct err *e)
{
	int fd = unixsock_listen(path, e), r;

	if (fd < 0)
		return fd;
	r = uv_pipe_open(&s->pipe, fd);
	if (r < 0)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&s->pipe, BACKLOG,
			      hostsock_on_connection);
	return r < 0 ? err_set(e, r, "%s: %s", path, uv_strerror(r)) : 0;
}

int hostsock_open(struct hostsock *s, uv_loop_t *loop, const char *path,
		  const struct hostsock_events *ev, void *arg, struct err *e)
{
	struct stat st;

	s->conn = NULL;
	s->port = NULL;
	s->ev = ev;
	s->arg = arg;
	s->h2 = (struct h2_events){.request = hostsock_on_request,
				   .closed = hostsock_on_closed};
	(void)uv_pipe_init(loop, &s->pipe, 0);
	if (stat(path, &st) == 0 && S_ISCHR(st.st_mode))
		return port_open(loop, path, hostsock_on_port, s, &s->port, e);
	return listen_at(s, path, e);
}

void hostsock_close(struct hostsock *s, uv_close_cb cb)
{
	h2_close(take_ptr(s->conn));
	port_close(take_ptr(s->port));
	uv_close((uv_handle_t *)&s->pipe, cb);
}

bool hostsock_owns(const struct hostsock *s, const uv_handle_t *h)
{
	return h == (const uv_handle_t *)&s->pipe ||
	       (s->conn != NULL && h2_is_on(s->conn, h)) ||
	       (s->port != NULL && port_owns(s->port, h));
}
