// SPDX-License-Identifier: Apache-2.0
/*
 * port.c - A virtio port to the host, one connection at a time
 *
 *	WAITING --- "HIB1 <nonce>" ---> the stream is the owner's
 *	   ^                                     |
 *	   '------------ port_again() -----------'
 *
 * While no host is at the other end a port is always ready, and a read ends at
 * once.  So it is watched by an epoll of its own that tells changes only
 * (EPOLLET), and the loop watches that one.  Bytes are read one at a time, as those behind
 * the last line belong to the connection.
 */
#include "guest/port.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "core/greet.h"
#include "core/hex.h"
#include "core/log.h"

#define LOG_COMPONENT "channel"
#define PATH_ROOM     64
#define NONCE_BYTES   ((GREET_NONCE_MAX - 1) / 2)
#define AGAIN_MS      50 /* Until a port that is busy is tried again. */

struct port {
	char path[PATH_ROOM];
	port_cb cb;
	void *arg;
	int fd; /* -1: the stream's, or not open. */
	int edges;
	uv_poll_t poll; /* Of edges. */
	uv_timer_t again;
	struct greet greet;
	char nonce[GREET_NONCE_MAX];
	bool closed;
	unsigned handles;
};

static void port_on_edge(uv_poll_t *h, int status, int events);

static void make_nonce(char out[GREET_NONCE_MAX])
{
	unsigned char bytes[NONCE_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		memset(bytes, 0, sizeof(bytes));
	(void)hex_encode(bytes, sizeof(bytes), out);
}

/* A port has one opener at a time, and its last one may just be closing. */
static void port_on_again(uv_timer_t *t);

static void open_anew(struct port *p)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLHUP | EPOLLET};

	p->fd = open(p->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0 || epoll_ctl(p->edges, EPOLL_CTL_ADD, p->fd, &ev) < 0) {
		close_fd(&p->fd);
		uv_timer_start(&p->again, port_on_again, AGAIN_MS, 0);
		return;
	}
	p->greet = (struct greet){0};
	make_nonce(p->nonce);
	port_on_edge(&p->poll, 0, UV_READABLE);
}

static void port_on_again(uv_timer_t *t)
{
	open_anew(t->data);
}

static void hand_over(struct port *p)
{
	uv_pipe_t *io = malloc(sizeof(*io));

	(void)epoll_ctl(p->edges, EPOLL_CTL_DEL, p->fd, NULL);
	if (io == NULL) {
		close_fd(&p->fd);
		open_anew(p);
		return;
	}
	uv_pipe_init(p->poll.loop, io, 0);
	if (uv_pipe_open(io, p->fd) < 0) {
		close_fd(&p->fd);
		uv_close((uv_handle_t *)io, (uv_close_cb)free);
		open_anew(p);
		return;
	}
	p->fd = -1;
	p->cb((uv_stream_t *)io, p->arg);
}

static void answer(struct port *p, const char *token)
{
	char line[GREET_LINE_MAX];
	size_t n = greet_answer(line, p->nonce, token);

	/* When it does not fit the host asks again. */
	if (write(p->fd, line, n) < 0)
		log_debug("%s: %s", p->path, strerror(errno));
}

/* Read what there is of greetings. */
static void port_pump(struct port *p)
{
	char c, token[GREET_TOKEN_MAX];

	while (p->fd >= 0 && read(p->fd, &c, 1) == 1) {
		if (!greet_byte(&p->greet, c))
			continue;
		if (greet_is_begin(&p->greet, p->nonce))
			hand_over(p);
		else if (greet_is_question(&p->greet, token))
			answer(p, token);
	}
}

static void port_on_edge(uv_poll_t *h, int status, int events)
{
	struct port *p = h->data;
	struct epoll_event ev;

	(void)status, (void)events;
	while (epoll_wait(p->edges, &ev, 1, 0) > 0)
		continue;
	port_pump(p);
}

void port_again(struct port *p)
{
	if (!p->closed && p->fd < 0 && !uv_is_active((uv_handle_t *)&p->again))
		uv_timer_start(&p->again, port_on_again, 0, 0);
}

bool port_owns(const struct port *p, const uv_handle_t *h)
{
	return h == (const uv_handle_t *)&p->poll ||
	       h == (const uv_handle_t *)&p->again;
}

static void port_on_closed(uv_handle_t *h)
{
	struct port *p = h->data;

	if (--p->handles > 0)
		return;
	close_fd(&p->fd);
	close_fd(&p->edges);
	free(p);
}

void port_close(struct port *p)
{
	if (p == NULL)
		return;
	p->closed = true;
	uv_close((uv_handle_t *)&p->poll, port_on_closed);
	uv_close((uv_handle_t *)&p->again, port_on_closed);
}

int port_open(uv_loop_t *loop, const char *path, port_cb cb, void *arg,
	      struct port **out, struct err *e)
{
	struct port *p = calloc(1, sizeof(*p));
	int r = 0;

	if (p == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	snprintf(p->path, sizeof(p->path), "%s", path);
	p->cb = cb;
	p->arg = arg;
	p->fd = -1;
	p->edges = epoll_create1(EPOLL_CLOEXEC);
	r = p->edges < 0 ? -errno : uv_poll_init(loop, &p->poll, p->edges);
	if (r < 0) {
		close_fd(&p->edges);
		free(p);
		return err_set(e, r, "%s: %s", path, strerror(-r));
	}
	uv_timer_init(loop, &p->again);
	p->handles = 2;
	p->poll.data = p->again.data = p;
	uv_poll_start(&p->poll, UV_READABLE, port_on_edge);
	open_anew(p);
	*out = p;
	return 0;
}
