// SPDX-License-Identifier: Apache-2.0
/*
 * http_client.c - HTTP/1.1 client over unix and TCP sockets
 *
 * Theory of operation
 *
 * A call takes an idle connection, or opens one, writes its request, and has
 * the connection for itself until the answer is complete.  A connection that is
 * in order then (kept alive by the server, request written to its end, not a
 * byte too many) becomes idle: it is still read, so that the server's closing
 * it is seen.  Calls with a streamed body open a connection of their own, as
 * they could not be repeated.
 *
 * A call ends in call_end() and nowhere else: at the end of the answer, when
 * its connection breaks, by its timer, or by the client's end.  What fails
 * before the loop had a chance to run, and a cancelled call, ends by the timer
 * as well, set to no time at all: callbacks come from the loop only.
 *
 * The call's memory goes with its timer's close callback, a connection's with
 * its socket's, so both are still there for the parser to look at after a
 * callback has cancelled the call or closed the client: conn->call is NULL
 * then.
 *
 * A server may close an idle connection while we are writing to it.  Such a
 * call is sent again, once, on a new connection.  A server may also answer and
 * close without reading the whole request (413): a failed write is no failure
 * yet, the answer is read.
 */
#include "core/http_client.h"

#include <assert.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "core/http_head.h"
#include "core/http_request.h"
#include "core/sock.h"
#include "core/unixsock.h"

#define HOST_HEADER_MAX 80

struct client_conn { /* A connection to the server. */
	struct http_client *client;
	struct http_call *call; /* NULL: idle, or closing. */
	struct sock sock;
	llhttp_t parser;
	char *feed;	      /* What is being parsed, .. */
	const char *feed_src; /* .. as the parser knows it. */
	bool reused, answered, unwritable, closing;
	TAILQ_ENTRY(client_conn) link;
};

struct http_client {
	uv_loop_t *loop;
	char *unix_path; /* Or NULL: the address. */
	struct sockaddr_storage addr;
	int addr_error;
	char host[HOST_HEADER_MAX];
	char *token;
	TAILQ_HEAD(idle_conns, client_conn) idle; /* The last used one first. */
	unsigned n_idle;
	TAILQ_HEAD(open_calls, http_call) calls;
	uv_idle_t life; /* Never started: its close ends the client. */
	unsigned open;	/* It, calls and connections, not yet closed. */
	bool closing;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

struct http_call {
	struct http_client *client;
	struct client_conn *conn;
	const struct http_call_ops *ops;
	void *arg;
	struct jw request; /* Its bytes, for a second attempt. */
	bool stream_body, no_content, sent, interim, ended;
	struct http_head head;
	int status;
	int error; /* What the timer ends the call with. */
	uv_timer_t timer;
	TAILQ_ENTRY(http_call) link;
};

/* --- ends ----------------------------------------------------------------- */

static void client_free(struct http_client *c)
{
	free(c->unix_path);
	if (c->token != NULL)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	free(c);
}

static void client_release(struct http_client *c)
{
	void (*cb)(void *arg) = c->on_closed;
	void *arg = c->on_closed_arg;

	assert(c->open > 0);
	if (--c->open > 0)
		return;
	client_free(c);
	if (cb != NULL)
		cb(arg);
}

static void on_life_closed(uv_handle_t *h)
{
	client_release(h->data);
}

static void conn_close(struct client_conn *o)
{
	if (o->closing)
		return;
	o->closing = true;
	o->call = NULL;
	sock_close(&o->sock);
}

static void conn_drop_idle(struct client_conn *o)
{
	TAILQ_REMOVE(&o->client->idle, o, link);
	o->client->n_idle--;
	conn_close(o);
}

/* The answer is complete: keep the connection if it can serve again. */
static void conn_done(struct client_conn *o, bool reusable)
{
	struct http_client *c = o->client;

	if (!reusable || c->closing || c->n_idle == HTTP_IDLE_MAX ||
	    sock_queued(&o->sock) > 0) {
		conn_close(o);
		return;
	}
	o->call = NULL;
	TAILQ_INSERT_HEAD(&c->idle, o, link);
	c->n_idle++;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct http_call *call = h->data;
	struct http_client *c = call->client;

	http_head_done(&call->head);
	free(call);
	client_release(c);
}

/* Wipe before freeing: the token stands in it. */
static void forget_request(struct http_call *call)
{
	if (call->request.buf != NULL)
		explicit_bzero(call->request.buf, call->request.len);
	jw_done(&call->request);
}

static void call_end(struct http_call *call, int r)
{
	assert(!call->ended);
	call->ended = true;
	if (call->conn != NULL)
		conn_close(call->conn);
	call->conn = NULL;
	TAILQ_REMOVE(&call->client->calls, call, link);
	forget_request(call);
	call->ops->end(call, r, call->arg);
	uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *t)
{
	struct http_call *call = t->data;

	call_end(call, call->error != 0 ? call->error : -ETIMEDOUT);
}

static void call_fail_later(struct http_call *call, int r)
{
	if (call->error != 0)
		return;
	call->error = r;
	(void)uv_timer_start(&call->timer, on_timer, 0, 0);
}

/* --- parsing the answer --------------------------------------------------- */

static struct client_conn *of_parser(llhttp_t *p)
{
	return container_of(p, struct client_conn, parser);
}

static int on_message_begin(llhttp_t *p)
{
	http_head_done(&of_parser(p)->call->head);
	return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
	int r = http_head_name(&of_parser(p)->call->head, at, n);

	return r < 0 ? HPE_USER : 0;
}

static int on_header_field_complete(llhttp_t *p)
{
	int r = http_head_name_end(&of_parser(p)->call->head);

	return r < 0 ? HPE_USER : 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
	int r = http_head_value(&of_parser(p)->call->head, at, n);

	return r < 0 ? HPE_USER : 0;
}

static int on_headers_complete(llhttp_t *p)
{
	struct client_conn *o = of_parser(p);
	struct http_call *call = o->call;

	/* We never ask for an upgrade. */
	if (p->status_code < 100 || p->status_code == 101 ||
	    http_head_seal(&call->head) < 0)
		return -1;
	p->upgrade = 0;
	call->interim = p->status_code < 200;
	if (call->interim)
		return 1; /* It has no content, whatever it says. */
	call->status = p->status_code;
	if (call->ops->head != NULL)
		call->ops->head(call, call->status, call->arg);
	if (o->call != call)
		return -1; /* Cancelled in there. */
	return call->no_content ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	struct client_conn *o = of_parser(p);
	struct http_call *call = o->call;

	/* The same bytes, where they may be written. */
	if (call->ops->body != NULL)
		call->ops->body(call, o->feed + (at - o->feed_src), n,
				call->arg);
	return o->call != call ? HPE_USER : 0;
}

static int on_message_complete(llhttp_t *p)
{
	return of_parser(p)->call->interim ? 0 : HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_message_begin,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* The whole answer is there. */
static void on_answer(struct client_conn *o, bool reusable)
{
	struct http_call *call = o->call;

	call->conn = NULL;
	conn_done(o, reusable && call->sent && !o->unwritable);
	call_end(call, 0);
}

static void conn_feed(struct client_conn *o, char *data, size_t n)
{
	enum llhttp_errno e;

	o->answered = true;
	o->feed = data;
	o->feed_src = data;
	e = llhttp_execute(&o->parser, data, n);
	if (o->call == NULL || e == HPE_OK)
		return;
	if (e == HPE_PAUSED)
		on_answer(o,
			  llhttp_should_keep_alive(&o->parser) &&
				  llhttp_get_error_pos(&o->parser) == data + n);
	else
		call_end(o->call, -EPROTO);
}

/* --- connections ---------------------------------------------------------- */

static void call_start(struct http_call *call, struct client_conn *o);
static int conn_new(struct http_client *c, struct client_conn **out);

static struct client_conn *of_sock(struct sock *s)
{
	return container_of(s, struct client_conn, sock);
}

/* The connection is over before the answer was. */
static void conn_lost(struct client_conn *o, int r)
{
	struct http_call *call = o->call;
	bool again = o->reused && !o->answered;
	struct client_conn *fresh;

	if (call == NULL) {
		conn_drop_idle(o);
		return;
	}
	if (!again || call->error != 0) {
		call_end(call, r == -EPIPE ? -ECONNRESET : r);
		return;
	}
	conn_close(o);
	call->conn = NULL;
	r = conn_new(call->client, &fresh);
	if (r < 0)
		call_end(call, r);
	else
		call_start(call, fresh);
}

static void on_eof(struct client_conn *o)
{
	/* An answer without a length ends here. */
	if (o->call != NULL && o->answered && !o->call->interim &&
	    o->call->status != 0 && llhttp_message_needs_eof(&o->parser))
		on_answer(o, false);
	else
		conn_lost(o, -ECONNRESET);
}

static void on_data(struct sock *s, char *data, size_t n)
{
	struct client_conn *o = of_sock(s);

	if (n == 0)
		on_eof(o);
	else if (o->call == NULL)
		conn_drop_idle(o); /* Nobody asked. */
	else
		conn_feed(o, data, n);
}

static void on_drained(struct sock *s)
{
	struct http_call *call = of_sock(s)->call;

	if (call != NULL && call->stream_body && !call->sent &&
	    call->ops->drained != NULL)
		call->ops->drained(call, call->arg);
}

static void on_broken(struct sock *s, int r)
{
	conn_lost(of_sock(s), r);
}

static void on_unwritable(struct sock *s, int r)
{
	/* The server may have answered before it closed. */
	(void)r;
	of_sock(s)->unwritable = true;
}

static void on_closed(struct sock *s)
{
	struct client_conn *o = of_sock(s);
	struct http_client *c = o->client;

	free(o);
	client_release(c);
}

static const struct sock_ops sock_ops = {
	.data = on_data,
	.drained = on_drained,
	.broken = on_broken,
	.unwritable = on_unwritable,
	.closed = on_closed,
};

/* Return: a descriptor, which may be connecting still. */
static int tcp_connect(const struct sockaddr_storage *ss, bool *out_pending)
{
	autoclose int fd = socket(
		ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)ss, sizeof(*ss)) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		*out_pending = true;
	}
	return take_fd(&fd);
}

static int dial(const struct http_client *c, bool *out_pending)
{
	*out_pending = false;
	if (c->unix_path != NULL)
		return unixsock_connect(c->unix_path);
	return c->addr_error != 0 ? c->addr_error
				  : tcp_connect(&c->addr, out_pending);
}

static int conn_new(struct http_client *c, struct client_conn **out)
{
	bool pending;
	autoclose int fd = dial(c, &pending);
	autofree struct client_conn *o = NULL;
	int r;

	if (fd < 0)
		return fd;
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return -ENOMEM;
	r = sock_open(&o->sock, c->loop, fd, &sock_ops);
	if (r < 0)
		return r;

	(void)take_fd(&fd);
	if (pending)
		sock_connecting(&o->sock);
	sock_read(&o->sock, true);
	o->client = c;
	c->open++;
	*out = take_ptr(o);
	return 0;
}

static struct client_conn *conn_reuse(struct http_client *c)
{
	struct client_conn *o = TAILQ_FIRST(&c->idle);

	if (o == NULL)
		return NULL;
	TAILQ_REMOVE(&c->idle, o, link);
	c->n_idle--;
	o->reused = true;
	o->answered = false;
	return o;
}

/* Send the request on this connection. */
static void call_start(struct http_call *call, struct client_conn *o)
{
	call->conn = o;
	o->call = call;
	llhttp_init(&o->parser, HTTP_RESPONSE, &settings);
	sock_write(&o->sock, call->request.buf, call->request.len);
	if (!o->reused)
		forget_request(call);
}

/* --- the client ----------------------------------------------------------- */

/* The address and what goes into Host. */
static void set_address(struct http_client *c, const struct http_target *t)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&c->addr;
	bool is_v6 = strchr(t->host, ':') != NULL;
	int n;

	c->addr_error = is_v6 ? uv_ip6_addr(t->host, t->port, v6)
			      : uv_ip4_addr(t->host, t->port,
					    (struct sockaddr_in *)&c->addr);
	n = snprintf(c->host, sizeof(c->host), is_v6 ? "[%s]:%d" : "%s:%d",
		     t->host, t->port);
	if (n < 0 || (size_t)n >= sizeof(c->host) ||
	    strpbrk(c->host, "\r\n") != NULL)
		c->addr_error = -EINVAL;
}

struct http_client *http_client_new(uv_loop_t *loop,
				    const struct http_target *t)
{
	struct http_client *c = calloc(1, sizeof(*c));

	assert((t->unix_path == NULL) != (t->host == NULL));
	assert(t->token == NULL || strpbrk(t->token, "\r\n") == NULL);
	if (c == NULL)
		return NULL;
	c->loop = loop;
	TAILQ_INIT(&c->idle);
	TAILQ_INIT(&c->calls);
	if (t->host != NULL)
		set_address(c, t);
	else
		snprintf(c->host, sizeof(c->host), "localhost");
	c->unix_path = t->unix_path ? strdup(t->unix_path) : NULL;
	c->token = t->token ? strdup(t->token) : NULL;
	if ((t->unix_path != NULL && c->unix_path == NULL) ||
	    (t->token != NULL && c->token == NULL)) {
		client_free(c);
		return NULL;
	}
	(void)uv_idle_init(loop, &c->life);
	c->life.data = c;
	c->open = 1;
	return c;
}

void http_client_close(struct http_client *c, void (*cb)(void *arg), void *arg)
{
	struct http_call *call;

	assert(!c->closing);
	c->closing = true;
	while ((call = TAILQ_FIRST(&c->calls)) != NULL)
		call_end(call, -ECANCELED);
	while (c->n_idle > 0)
		conn_drop_idle(TAILQ_FIRST(&c->idle));
	c->on_closed = cb;
	c->on_closed_arg = arg;
	uv_close((uv_handle_t *)&c->life, on_life_closed);
}

/* --- calls ---------------------------------------------------------------- */

static void call_connect(struct http_call *call)
{
	struct client_conn *o = NULL;
	int r = 0;

	if (!call->stream_body)
		o = conn_reuse(call->client);
	if (o == NULL)
		r = conn_new(call->client, &o);
	if (r < 0)
		call_fail_later(call, r);
	else
		call_start(call, o);
}

struct http_call *http_call(struct http_client *c,
			    const struct http_call_spec *spec,
			    const struct http_call_ops *ops, void *arg)
{
	struct http_call *call = calloc(1, sizeof(*call));
	int r;

	assert(!c->closing);
	if (call == NULL)
		return NULL;
	r = http_request_write(&call->request, spec, c->host, c->token);
	if (call->request.failed) {
		forget_request(call);
		free(call);
		return NULL;
	}
	call->client = c;
	call->ops = ops;
	call->arg = arg;
	call->stream_body = spec->stream_body;
	call->sent = !spec->stream_body;
	call->no_content = strcmp(spec->method, "HEAD") == 0;
	(void)uv_timer_init(c->loop, &call->timer);
	call->timer.data = call;
	if (spec->timeout_ms > 0)
		(void)uv_timer_start(&call->timer, on_timer, spec->timeout_ms,
				     0);
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->open++;
	if (r == 0)
		call_connect(call);
	else
		call_fail_later(call, r);
	return call;
}

void http_call_write(struct http_call *call, const char *data, size_t n)
{
	struct sock *s;
	char size[24];
	int len;

	assert(call->stream_body && !call->sent);
	if (call->conn == NULL || n == 0)
		return;
	s = &call->conn->sock;
	len = snprintf(size, sizeof(size), "%zx\r\n", n);
	sock_write(s, size, (size_t)len);
	sock_write(s, data, n);
	sock_write(s, "\r\n", 2);
}

size_t http_call_queued(const struct http_call *call)
{
	return call->conn ? sock_queued(&call->conn->sock) : 0;
}

void http_call_finish(struct http_call *call)
{
	assert(call->stream_body && !call->sent);
	call->sent = true;
	if (call->conn != NULL)
		sock_write(&call->conn->sock, "0\r\n\r\n", 5);
}

void http_call_cancel(struct http_call *call)
{
	if (call->ended)
		return;
	if (call->conn != NULL)
		conn_close(call->conn);
	call->conn = NULL;
	call_fail_later(call, -ECANCELED);
}

int http_call_status(const struct http_call *call)
{
	return call->status;
}

const char *http_call_header(const struct http_call *call, const char *name)
{
	return http_head_get(&call->head, name);
}
