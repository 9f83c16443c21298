// SPDX-License-Identifier: Apache-2.0
/*
 * http.c - HTTP/1.1 server: listening, time, and who may ask
 *
 * A server owns its listeners and connections; what happens on a connection is
 * in http_conn.c.  At HTTP_CONNS_MAX, or out of descriptors, it stops accepting
 * and clients wait in the backlog: until a connection closes, or ACCEPT_RETRY_MS
 * later when the descriptors are gone.
 *
 * Connections that owe us bytes have a deadline.  All deadlines are equally far
 * away, so their list is in order by itself, and one timer set to the first of
 * them is enough.  It runs only while the list has members: a server without
 * connections never wakes.
 *
 * On TCP a web page open in a browser on this machine could talk to us as well.
 * A request is therefore served only if its Host, and its Origin if it has one,
 * names the loopback interface.  (A page that had its name rebound to 127.0.0.1
 * still sends that name as Host.)  Unix sockets have their file mode.
 */
#include "core/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/http_conn.h"
#include "core/unixsock.h"

#define ACCEPT_RETRY_MS 500
#define ACCEPT_BATCH	64 /* Connections accepted in one turn. */
#define TCP_BACKLOG	1024
#define HOST_MAX	64 /* Longest host that can be a loopback name. */

struct http_listener {
	struct http_server *server;
	uv_poll_t poll;
	int fd;
	bool tcp;
	TAILQ_ENTRY(http_listener) link;
};

static void on_acceptable(uv_poll_t *h, int status, int events);

/* --- life ----------------------------------------------------------------- */

/* One of the things that the server waits for at its end has gone. */
static void server_release(struct http_server *s)
{
	void (*cb)(void *arg) = s->on_closed;
	void *arg = s->on_closed_arg;

	assert(s->open > 0);
	if (--s->open > 0)
		return;
	free(s);
	if (cb != NULL)
		cb(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
	server_release(h->data);
}

static void on_listener_closed(uv_handle_t *h)
{
	struct http_listener *l = h->data;

	server_release(l->server);
	free(l);
}

static void server_listen(struct http_server *s, bool on)
{
	struct http_listener *l;
	int r;

	TAILQ_FOREACH (l, &s->listeners, link) {
		r = on ? uv_poll_start(&l->poll, UV_READABLE, on_acceptable)
		       : uv_poll_stop(&l->poll);
		assert(r == 0);
	}
	s->full = !on;
}

void http_server_add(struct http_conn *c)
{
	struct http_server *s = c->server;

	TAILQ_INSERT_TAIL(&s->conns, c, all);
	s->open++;
	if (++s->n_conns == HTTP_CONNS_MAX)
		server_listen(s, false);
}

void http_server_remove(struct http_conn *c)
{
	struct http_server *s = c->server;

	TAILQ_REMOVE(&s->conns, c, all);
	s->n_conns--;
	if (s->full && !s->closing && s->n_conns < HTTP_CONNS_MAX)
		server_listen(s, true);
	server_release(s);
}

/* --- deadlines ------------------------------------------------------------ */

static void on_deadline(uv_timer_t *t);

static void set_timer(struct http_server *s)
{
	const struct http_conn *first = TAILQ_FIRST(&s->waiting);
	uint64_t now = uv_now(s->loop);

	if (first == NULL)
		(void)uv_timer_stop(&s->deadline);
	else if (!uv_is_active((uv_handle_t *)&s->deadline))
		(void)uv_timer_start(
			&s->deadline, on_deadline,
			first->deadline_ms > now ? first->deadline_ms - now : 0,
			0);
}

static void on_deadline(uv_timer_t *t)
{
	struct http_server *s = t->data;
	struct http_conn *c;

	while ((c = TAILQ_FIRST(&s->waiting)) != NULL &&
	       c->deadline_ms <= uv_now(s->loop))
		http_conn_close(c);
	if (!s->closing)
		set_timer(s);
}

void http_server_wait(struct http_conn *c, bool on)
{
	struct http_server *s = c->server;

	if (c->in_waiting)
		TAILQ_REMOVE(&s->waiting, c, wait);
	c->in_waiting = on;
	if (on) {
		c->deadline_ms = uv_now(s->loop) + s->idle_ms;
		TAILQ_INSERT_TAIL(&s->waiting, c, wait);
	}
	if (!s->closing)
		set_timer(s);
}

/* --- accepting ------------------------------------------------------------ */

static void on_retry(uv_timer_t *t)
{
	struct http_server *s = t->data;

	if (s->full && s->n_conns < HTTP_CONNS_MAX)
		server_listen(s, true);
}

/* Return: whether another may be there. */
static bool accept_one(struct http_listener *l)
{
	struct http_server *s = l->server;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		if (l->tcp)
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY,
					 &(int){1}, sizeof(int));
		(void)http_conn_open(s, fd, l->tcp);
		return !s->full;
	}
	if (errno == EAGAIN)
		return false;
	if (errno == EINTR || errno == ECONNABORTED)
		return true;
	/* EMFILE, ENFILE, ENOBUFS: the connection stays pending. */
	server_listen(s, false);
	(void)uv_timer_start(&s->retry, on_retry, ACCEPT_RETRY_MS, 0);
	return false;
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
	struct http_listener *l = h->data;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && accept_one(l); i++)
		;
}

/* Accept from @fd, which is listening; owned from here on. */
static int add_listener(struct http_server *s, int fd, bool tcp, struct err *e)
{
	autofree struct http_listener *l = calloc(1, sizeof(*l));
	autoclose int owned = fd;
	int r;

	if (l == NULL)
		return err_set(e, -ENOMEM, "listen: out of memory");
	*l = (struct http_listener){.server = s, .fd = fd, .tcp = tcp};
	r = uv_poll_init(s->loop, &l->poll, fd);
	if (r < 0)
		return err_set(e, r, "listen: %s", uv_strerror(r));

	(void)take_fd(&owned);
	l->poll.data = l;
	s->open++;
	if (!s->full) {
		r = uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
		assert(r == 0);
	}
	TAILQ_INSERT_TAIL(&s->listeners, l, link);
	(void)take_ptr(l);
	return 0;
}

/* --- who may ask ---------------------------------------------------------- */

static bool all_digits(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

/* Is this "host" or "host:port" of the loopback interface? */
static bool is_loopback(const char *authority)
{
	char host[HOST_MAX], *port;
	struct in6_addr v6;
	struct in_addr v4;
	bool bracket = authority[0] == '[';
	size_t len = strlen(authority);

	if (len >= sizeof(host))
		return false;
	memcpy(host, authority, len + 1);
	port = strchr(host, bracket ? ']' : ':');
	if (port != NULL) {
		*port++ = '\0';
		if (bracket && *port == ':')
			port++;
		else if (bracket && *port != '\0')
			return false;
		if (!all_digits(port))
			return false;
	}
	if (bracket)
		return port != NULL &&
		       inet_pton(AF_INET6, host + 1, &v6) == 1 &&
		       IN6_IS_ADDR_LOOPBACK(&v6);
	if (strcasecmp(host, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 &&
	       ntohl(v4.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

static bool is_loopback_origin(const char *origin)
{
	if (strncasecmp(origin, "http://", 7) == 0)
		return is_loopback(origin + 7);
	if (strncasecmp(origin, "https://", 8) == 0)
		return is_loopback(origin + 8);
	return false;
}

bool http_is_foreign(const struct http_head *h)
{
	const char *host = http_head_get(h, "host");
	const char *origin = http_head_get(h, "origin");

	if (http_head_count(h, "host") != 1 || !is_loopback(host))
		return true;
	return origin != NULL && (http_head_count(h, "origin") != 1 ||
				  !is_loopback_origin(origin));
}

/* --- the server ----------------------------------------------------------- */

struct http_server *http_server_new(uv_loop_t *loop,
				    const struct http_handler *h, void *arg)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->handler = h;
	s->arg = arg;
	s->idle_ms = HTTP_IDLE_MS;
	TAILQ_INIT(&s->listeners);
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->waiting);
	(void)uv_timer_init(loop, &s->deadline);
	(void)uv_timer_init(loop, &s->retry);
	s->deadline.data = s->retry.data = s;
	s->open = 2;
	return s;
}

int http_server_listen_unix(struct http_server *s, const char *path,
			    struct err *e)
{
	int fd = unixsock_listen(path, e);

	return fd < 0 ? fd : add_listener(s, fd, false, e);
}

/* Return: a listening descriptor. */
static int tcp_listen(const struct sockaddr_storage *ss)
{
	autoclose int fd = socket(
		ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)ss, sizeof(*ss)) < 0)
		return -errno;
	if (listen(fd, TCP_BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

static int local_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	/* The port stands at the same place in both families. */
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

int http_server_listen_tcp(struct http_server *s, const char *host, int port,
			   struct err *e)
{
	struct sockaddr_storage ss = {0};
	int fd, r;

	if (uv_ip4_addr(host, port, (struct sockaddr_in *)&ss) != 0 &&
	    uv_ip6_addr(host, port, (struct sockaddr_in6 *)&ss) != 0)
		return err_set(e, -EINVAL, "listen on %s: not an address",
			       host);
	fd = tcp_listen(&ss);
	if (fd < 0)
		return err_set(e, fd, "listen on %s port %d: %s", host, port,
			       strerror(-fd));
	port = local_port(fd);
	r = add_listener(s, fd, true, e);
	return r < 0 ? r : port;
}

int http_server_adopt(struct http_server *s, int fd, struct err *e)
{
	int r = http_conn_open(s, fd, false);

	return r < 0 ? err_set(e, r, "serve a connection: %s", strerror(-r))
		     : 0;
}

void http_server_set_idle(struct http_server *s, uint64_t idle_ms)
{
	s->idle_ms = idle_ms;
}

void http_server_close(struct http_server *s, void (*cb)(void *arg), void *arg)
{
	struct http_listener *l;
	struct http_conn *c;

	assert(!s->closing);
	s->closing = true;
	s->on_closed = cb;
	s->on_closed_arg = arg;
	while ((l = TAILQ_FIRST(&s->listeners)) != NULL) {
		TAILQ_REMOVE(&s->listeners, l, link);
		uv_close((uv_handle_t *)&l->poll, on_listener_closed);
		close(l->fd);
	}
	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = TAILQ_NEXT(c, all))
		http_conn_close(c);
	uv_close((uv_handle_t *)&s->deadline, on_handle_closed);
	uv_close((uv_handle_t *)&s->retry, on_handle_closed);
}
