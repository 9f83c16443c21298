// SPDX-License-Identifier: Apache-2.0
/*
 * http_conn.c - One connection of an HTTP server
 *
 * Theory of operation
 *
 *	HEAD ---> BODY ---> BUSY ---> FLUSH ---> HEAD (kept alive)
 *	             \________________^  \-----> LINGER ---> CLOSED
 *
 *	HEAD	waits for a request, or for the rest of its head
 *	BODY	the head was accepted; the body is collected or handed on
 *	BUSY	the whole request is there; its handler owes (the rest of) an
 *		answer
 *	FLUSH	the answer is complete; the kernel has not taken all of it
 *	LINGER	the last answer is out but the request was not read to its end:
 *		to close now would make the kernel reset the connection, and the
 *		client lose the answer.  What it still sends is thrown away.
 *
 * llhttp is paused at the end of each request, so there is never more than one,
 * and answers come in order.  Bytes behind it wait in `early`, and when that is
 * full in the kernel; its hang-up is then seen by sock_watch().  When the
 * answer has been written the request ends, and `early` is parsed.
 *
 * The handler is called with the request whole, outside of the parser, but for
 * http_handler.head and the pieces of a streamed body.  Any of these calls may
 * close the server: what follows looks at the state first.
 *
 * A client that vanishes, or finishes sending before the answer is complete,
 * ends its request at once.  A malformed request is answered (400, 413, 431,
 * 403) when nobody else has begun to, and the connection closed.
 *
 * Not supported, and refused: the CONNECT method, targets in absolute form, and
 * upgrades (ignored, as RFC 9110 section 7.8 allows).
 */
#include "core/http_conn.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define EARLY_MAX  SOCK_READ_MAX /* Bytes kept of requests to come. */
#define LINGER_MAX (64u << 20)	 /* Bytes thrown away before closing. */
#define BODY_FIRST 4096

/* Read, watch and keep time as the state demands. */
void http_conn_update(struct http_conn *c)
{
	const struct http_req *r = c->req;
	bool timed = false, read = true;
	size_t room = SOCK_READ_MAX;

	switch (c->state) {
	case CONN_HEAD:
	case CONN_LINGER:
		timed = true;
		break;
	case CONN_BODY:
		read = !r->paused;
		timed = !r->paused && r->answer == ANSWER_NONE;
		break;
	case CONN_BUSY:
	case CONN_FLUSH:
		room = EARLY_MAX - c->early_len;
		read = room > 0 && !(c->state == CONN_FLUSH && c->cut);
		break;
	case CONN_CLOSED:
		return;
	}
	c->sock.read_max = room;
	sock_read(&c->sock, read);
	sock_watch(&c->sock, c->state == CONN_BUSY || c->state == CONN_BODY);
	if (timed != c->in_waiting)
		http_server_wait(c, timed);
}

static void conn_move(struct http_conn *c, enum conn_state next)
{
	static const unsigned moves[] = {
		[CONN_HEAD] =
			BIT(CONN_BODY) | BIT(CONN_FLUSH) | BIT(CONN_CLOSED),
		[CONN_BODY] =
			BIT(CONN_BUSY) | BIT(CONN_FLUSH) | BIT(CONN_CLOSED),
		[CONN_BUSY] = BIT(CONN_FLUSH) | BIT(CONN_CLOSED),
		[CONN_FLUSH] =
			BIT(CONN_HEAD) | BIT(CONN_LINGER) | BIT(CONN_CLOSED),
		[CONN_LINGER] = BIT(CONN_CLOSED),
		[CONN_CLOSED] = 0,
	};

	assert(moves[c->state] & BIT(next));
	c->state = next;
}

static struct http_req *req_new(struct http_conn *c)
{
	struct http_req *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->conn = c;
	r->method = "";
	c->req = r;
	c->keep = c->cut = false;
	c->refusal = 0;
	return r;
}

static void req_end(struct http_conn *c)
{
	struct http_req *r = take_ptr(c->req);

	if (r == NULL)
		return;
	if (r->on_end != NULL)
		r->on_end(r, r->on_end_arg);
	http_url_done(&r->url);
	http_head_done(&r->head);
	free(r->fields);
	free(r->body);
	free(r);
}

/* --- what an answer does to the connection -------------------------------- */

void http_conn_cut(struct http_conn *c)
{
	if (c->state != CONN_BODY || !c->req->has_body)
		return;
	c->keep = false;
	c->cut = true;
}

void http_conn_answered(struct http_conn *c)
{
	c->req->answer = ANSWER_DONE;
	if (c->state != CONN_BODY || c->cut)
		conn_move(c, CONN_FLUSH);
	sock_kick(&c->sock);
	http_conn_update(c);
}

/* --- refusing ------------------------------------------------------------- */

/* Answer what cannot be understood or will not be served. */
static void refuse(struct http_req *r, int why)
{
	struct err e = {0};
	int status = 400;

	switch (why) {
	case -E2BIG:
		status = 431;
		err_set(&e, -FAULT_MESSAGE_TOO_LARGE,
			"request head over %u bytes or %u fields",
			HTTP_HEAD_MAX, (unsigned)HTTP_HEADERS_MAX);
		break;
	case -EMSGSIZE:
		status = 413;
		err_set(&e, -FAULT_MESSAGE_TOO_LARGE,
			"request body over %u bytes", HTTP_BODY_MAX);
		break;
	case -EACCES:
		status = 403;
		err_set(&e, -FAULT_FORBIDDEN,
			"request for or from a host that is not this one");
		break;
	default:
		err_set(&e, -FAULT_INVALID_ARGUMENT, "malformed request");
	}
	r->conn->keep = false;
	r->conn->cut = true;
	http_reply_status(r, status, &e);
}

/* The parser stopped in the middle. */
static void on_refused(struct http_conn *c)
{
	struct http_req *r = c->req;

	if (c->state != CONN_HEAD && c->state != CONN_BODY)
		return; /* Closed, or answered by the handler. */
	if (r == NULL)
		r = req_new(c);
	if (r == NULL || c->refusal == -ENOMEM || r->stream_body ||
	    r->answer != ANSWER_NONE)
		http_conn_close(c);
	else
		refuse(r, c->refusal);
}

/* --- parsing -------------------------------------------------------------- */

static struct http_conn *of_parser(llhttp_t *p)
{
	return container_of(p, struct http_conn, parser);
}

static int stop(struct http_conn *c, int why)
{
	c->refusal = why;
	return HPE_USER;
}

static int on_message_begin(llhttp_t *p)
{
	struct http_conn *c = of_parser(p);

	assert(c->req == NULL);
	if (req_new(c) == NULL)
		return stop(c, -ENOMEM);
	http_server_wait(c, true);
	return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = of_parser(p);
	int r = http_head_target(&c->req->head, at, n);

	return r < 0 ? stop(c, r) : 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = of_parser(p);
	int r = http_head_name(&c->req->head, at, n);

	return r < 0 ? stop(c, r) : 0;
}

static int on_header_field_complete(llhttp_t *p)
{
	struct http_conn *c = of_parser(p);
	int r = http_head_name_end(&c->req->head);

	return r < 0 ? stop(c, r) : 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = of_parser(p);
	int r = http_head_value(&c->req->head, at, n);

	return r < 0 ? stop(c, r) : 0;
}

static int take_head(struct http_req *r, llhttp_t *p)
{
	int e = http_head_seal(&r->head);

	if (e < 0)
		return e;
	r->method = llhttp_method_name(p->method);
	r->no_content = p->method == HTTP_HEAD;
	r->has_body = (p->flags & F_CHUNKED) != 0 || p->content_length > 0;
	r->http10 = p->http_major == 1 && p->http_minor == 0;
	r->conn->keep = !r->http10 && llhttp_should_keep_alive(p);
	if (p->http_major != 1)
		return -EINVAL;
	e = http_url_parse(&r->url, r->head.buf);
	if (e < 0)
		return e;
	return r->conn->tcp && http_is_foreign(&r->head) ? -EACCES : 0;
}

/* Nobody is to wait for a body that will not be sent without a word. */
static void send_continue(struct http_req *r)
{
	const char *expect = http_head_get(&r->head, "expect");

	if (!r->has_body || r->http10 || r->answer != ANSWER_NONE ||
	    expect == NULL || strcasecmp(expect, "100-continue") != 0)
		return;
	sock_write(&r->conn->sock, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

static int on_headers_complete(llhttp_t *p)
{
	struct http_conn *c = of_parser(p);
	const struct http_handler *h = c->server->handler;
	struct http_req *r = c->req;
	int e = take_head(r, p);

	if (e < 0)
		return stop(c, e);
	p->upgrade = 0;
	conn_move(c, CONN_BODY);
	if (h->head != NULL) {
		bool streams = h->head(r, c->server->arg);

		if (c->state != CONN_BODY)
			return stop(c, 0);
		r->stream_body = streams;
		assert(!streams || r->on_body != NULL ||
		       r->answer == ANSWER_DONE);
	}
	if (!r->stream_body && (p->flags & F_CHUNKED) == 0 &&
	    p->content_length > HTTP_BODY_MAX)
		return stop(c, -EMSGSIZE);
	send_continue(r);
	return 0;
}

static int collect(struct http_req *r, const char *data, size_t n)
{
	size_t cap = r->body_cap ? r->body_cap : BODY_FIRST;
	char *body;

	if (n > HTTP_BODY_MAX - r->body_len)
		return -EMSGSIZE;
	while (cap < r->body_len + n + 1)
		cap *= 2;
	if (cap != r->body_cap) {
		body = realloc(r->body, cap);
		if (body == NULL)
			return -ENOMEM;
		r->body = body;
		r->body_cap = cap;
	}
	memcpy(r->body + r->body_len, data, n);
	r->body_len += n;
	r->body[r->body_len] = '\0';
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = of_parser(p);
	struct http_req *r = c->req;
	int e;

	if (!r->stream_body) {
		e = collect(r, at, n);
		return e < 0 ? stop(c, e) : 0;
	}
	e = r->on_body(r, at, n, r->on_body_arg);
	if (c->state != CONN_BODY)
		return stop(c, 0);
	assert(e == 0); /* It refused, and did not answer. */
	return 0;
}

static int on_message_complete(llhttp_t *p)
{
	(void)p;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

static int keep_early(struct http_conn *c, const char *data, size_t n)
{
	char *early;

	assert(n <= EARLY_MAX - c->early_len);
	if (n == 0)
		return 0;
	early = realloc(c->early, c->early_len + n);
	if (early == NULL)
		return -ENOMEM;
	memcpy(early + c->early_len, data, n);
	c->early = early;
	c->early_len += n;
	return 0;
}

/* The whole request is there, and maybe the next one's beginning. */
static void on_request(struct http_conn *c, const char *rest, size_t n)
{
	struct http_req *r = c->req;

	if (keep_early(c, rest, n) < 0) {
		http_conn_close(c);
		return;
	}
	if (r->answer == ANSWER_DONE) {
		conn_move(c, CONN_FLUSH);
		return;
	}
	conn_move(c, CONN_BUSY);
	http_conn_update(c);
	c->server->handler->request(r, c->server->arg);
}

static void conn_feed(struct http_conn *c, const char *data, size_t n)
{
	enum llhttp_errno e = llhttp_execute(&c->parser, data, n);
	const char *pos;

	if (e == HPE_OK) {
		if (c->state == CONN_BODY && c->in_waiting)
			http_server_wait(c, true);
		return;
	}
	if (e != HPE_PAUSED) {
		on_refused(c);
		return;
	}
	pos = llhttp_get_error_pos(&c->parser);
	on_request(c, pos, (size_t)(data + n - pos));
}

/* Parse what came while the last request was being answered. */
static void feed_early(struct http_conn *c)
{
	autofree char *early = take_ptr(c->early);
	size_t n = c->early_len;

	c->early_len = 0;
	if (n > 0)
		conn_feed(c, early, n);
}

/* --- what the socket says ------------------------------------------------- */

static struct http_conn *of_sock(struct sock *s)
{
	return container_of(s, struct http_conn, sock);
}

static void on_eof(struct http_conn *c)
{
	if (c->state == CONN_FLUSH) {
		c->keep = false; /* It has what it asked for, then we close. */
		c->cut = true;
		http_conn_update(c);
		return;
	}
	http_conn_close(c);
}

static void on_data(struct sock *s, char *data, size_t n)
{
	struct http_conn *c = of_sock(s);

	if (n == 0) {
		on_eof(c);
		return;
	}
	switch (c->state) {
	case CONN_HEAD:
	case CONN_BODY:
		conn_feed(c, data, n);
		break;
	case CONN_BUSY:
	case CONN_FLUSH:
		if (keep_early(c, data, n) < 0)
			http_conn_close(c);
		break;
	case CONN_LINGER:
		c->lingered += n;
		if (c->lingered > LINGER_MAX)
			http_conn_close(c);
		break;
	case CONN_CLOSED:
		break;
	}
	http_conn_update(c);
}

/* The answer has left: next request, please, or good bye. */
static void on_answered(struct http_conn *c)
{
	req_end(c);
	if (c->state != CONN_FLUSH)
		return; /* The end's callback closed the server. */
	if (c->keep) {
		conn_move(c, CONN_HEAD);
		llhttp_resume(&c->parser);
		feed_early(c);
		http_conn_update(c);
	} else if (c->cut) {
		conn_move(c, CONN_LINGER);
		sock_shutdown(&c->sock);
		http_conn_update(c);
	} else {
		http_conn_close(c);
	}
}

static void on_drained(struct sock *s)
{
	struct http_conn *c = of_sock(s);
	struct http_req *r = c->req;

	if (c->state == CONN_FLUSH)
		on_answered(c);
	else if (r != NULL && r->answer == ANSWER_STREAM && r->drained != NULL)
		r->drained(r, r->drained_arg);
}

static void on_broken(struct sock *s, int r)
{
	(void)r;
	http_conn_close(of_sock(s));
}

static void on_closed(struct sock *s)
{
	struct http_conn *c = of_sock(s);

	http_server_remove(c);
	free(c->early);
	free(c);
}

static const struct sock_ops sock_ops = {
	.data = on_data,
	.drained = on_drained,
	.broken = on_broken,
	.closed = on_closed,
};

int http_conn_open(struct http_server *s, int fd, bool tcp)
{
	autofree struct http_conn *c = calloc(1, sizeof(*c));
	autoclose int owned = fd;
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->server = s;
	c->tcp = tcp;
	r = sock_open(&c->sock, s->loop, fd, &sock_ops);
	if (r < 0)
		return r;
	(void)take_fd(&owned);
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
	http_server_add(c);
	http_conn_update(c);
	(void)take_ptr(c);
	return 0;
}

void http_conn_close(struct http_conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	conn_move(c, CONN_CLOSED);
	http_server_wait(c, false);
	sock_close(&c->sock);
	req_end(c);
}
