// SPDX-License-Identifier: Apache-2.0
/*
 * uplink.c - Requests of the guest to its host: what /workspace is made of
 *
 *	WAITING --connected, or at once--> OPEN --end of the stream--> done
 *	   |  ^                             |
 *	   |  '-----cut off, no body--------'
 *	   '--nobody came in time--> done
 *
 * Every request begins as WAITING, even with a host there: the turn of the loop
 * after that starts it, so that no callback comes from the call that made it.
 * Requests wait in the order of their deadlines, and one timer serves them all.
 */
#include "guest/uplink.h"

#include <assert.h>
#include <string.h>
#include <sys/queue.h>

#include "core/json.h"
#include "core/log.h"
#include "guest/hostsock.h"
#include "guest/limits.h"

#define LOG_COMPONENT "uplink"
#define STATUS_OK     200
#define STATUS_OTHER  300 /* The first that is none of success. */
#define GROW_MIN      1024

enum request_state { REQUEST_WAITING, REQUEST_OPEN };

struct uplink_request {
	enum request_state state;
	struct uplink *uplink;
	TAILQ_ENTRY(uplink_request) link;
	const struct uplink_events *ev;
	void *arg;
	uint64_t wait_ms;  /* For a host. */
	uint64_t deadline; /* While it waits; by uv_now(). */
	unsigned tries;	   /* Times that it was open. */
	struct h2_stream *stream;
	bool streamed;
	bool sent;     /* Our body is complete. */
	bool answered; /* So is the host's. */
	int status;
	char *body;
	size_t len, cap, max;
	size_t expected; /* Room to make at first. */
	struct err err;	 /* Why it was reset by us. */
	char method[16];
	char path[];
};
TAILQ_HEAD(request_list, uplink_request);

struct uplink {
	struct hostsock sock;
	struct request_list waiting, open;
	uv_timer_t timer; /* For the first of those that wait. */
	uv_idle_t kick;	  /* Start those that wait. */
	unsigned handles; /* Not yet closed. */
};

/* --- the end of a request --- */

static void request_free(struct uplink_request *q)
{
	free(q->body);
	free(q);
}

static struct request_list *list_of(struct uplink_request *q)
{
	return q->state == REQUEST_WAITING ? &q->uplink->waiting
					   : &q->uplink->open;
}

/* @e is NULL for a success. */
static void request_end(struct uplink_request *q, const struct err *e)
{
	char none[1] = "";

	TAILQ_REMOVE(list_of(q), q, link);
	q->ev->done(e, q->body == NULL ? none : q->body, q->len, q->arg);
	request_free(q);
}

static bool is_success(int status)
{
	return status >= STATUS_OK && status < STATUS_OTHER;
}

static void read_error(const struct uplink_request *q, struct err *e)
{
	autojson struct json j = {0};

	if (q->body == NULL || json_parse(&j, q->body, q->len, NULL) < 0)
		err_set(e, -EPROTO, "the host answered %d", q->status);
	else
		(void)err_read(e, json_root(&j));
}

static void request_answer(struct uplink_request *q)
{
	struct err e = {0};

	if (is_success(q->status)) {
		request_end(q, NULL);
		return;
	}
	read_error(q, &e);
	request_end(q, &e);
}

/* --- those that wait --- */

static void uplink_on_timer(uv_timer_t *t);

static void arm_timer(struct uplink *u)
{
	const struct uplink_request *q = TAILQ_FIRST(&u->waiting);
	uint64_t now = uv_now(u->timer.loop);

	if (q == NULL)
		(void)uv_timer_stop(&u->timer);
	else
		(void)uv_timer_start(&u->timer, uplink_on_timer,
				     q->deadline > now ? q->deadline - now : 0,
				     0);
}

/* Most have the same patience, and belong at the end. */
static void insert_waiting(struct uplink *u, struct uplink_request *q)
{
	struct uplink_request *before = TAILQ_LAST(&u->waiting, request_list);

	while (before != NULL && before->deadline > q->deadline)
		before = TAILQ_PREV(before, request_list, link);
	if (before == NULL)
		TAILQ_INSERT_HEAD(&u->waiting, q, link);
	else
		TAILQ_INSERT_AFTER(&u->waiting, before, q, link);
}

static void uplink_on_kick(uv_idle_t *h);

static void request_wait(struct uplink_request *q)
{
	struct uplink *u = q->uplink;

	uv_update_time(u->timer.loop);
	q->state = REQUEST_WAITING;
	q->deadline = uv_now(u->timer.loop) + q->wait_ms;
	insert_waiting(u, q);
	if (q == TAILQ_FIRST(&u->waiting))
		arm_timer(u);
	if (u->sock.conn != NULL)
		(void)uv_idle_start(&u->kick, uplink_on_kick);
}

static void uplink_on_timer(uv_timer_t *t)
{
	struct uplink *u = container_of(t, struct uplink, timer);
	struct uplink_request *q = TAILQ_FIRST(&u->waiting);
	struct err e = {0};

	if (q != NULL && q->deadline <= uv_now(t->loop)) {
		err_set(&e, -FAULT_GUEST_UNREACHABLE,
			"%s %.64s: no host for %d ms", q->method, q->path,
			(int)q->wait_ms);
		request_end(q, &e);
	}
	arm_timer(u);
}

/* --- those that are open --- */

static void request_on_head(struct h2_stream *s, int status, void *arg)
{
	struct uplink_request *q = arg;

	(void)s;
	q->status = status;
}

/* A byte stays free for the NUL. */
static int make_room(struct uplink_request *q, size_t n)
{
	size_t cap = q->cap > 0 ? q->cap : q->expected + 1;
	char *grown;

	if (n > q->max - q->len)
		return err_set(&q->err, -FAULT_MESSAGE_TOO_LARGE,
			       "%s %.64s: the answer has more than %zu bytes",
			       q->method, q->path, q->max);
	if (cap < GROW_MIN)
		cap = GROW_MIN;
	while (cap <= q->len + n)
		cap *= 2;
	if (cap == q->cap)
		return 0;
	grown = realloc(q->body, cap);
	if (grown == NULL)
		return err_set(&q->err, -ENOMEM, "%s %.64s: out of memory",
			       q->method, q->path);
	q->body = grown;
	q->cap = cap;
	return 0;
}

static void request_on_data(struct h2_stream *s, char *data, size_t n,
			    void *arg)
{
	struct uplink_request *q = arg;

	h2_consume(s, n);
	if (q->err.code < 0)
		return;
	if (q->ev->data != NULL && is_success(q->status)) {
		q->ev->data(q, data, n, q->arg);
		return;
	}
	if (make_room(q, n) < 0) {
		h2_reset(s);
		return;
	}
	memcpy(q->body + q->len, data, n);
	q->len += n;
	q->body[q->len] = '\0';
}

/* A host that has answered wants no more of the body. */
static void request_on_fin(struct h2_stream *s, void *arg)
{
	struct uplink_request *q = arg;

	q->answered = true;
	if (!q->sent)
		h2_reset(s);
}

static void request_on_drained(struct h2_stream *s, void *arg)
{
	struct uplink_request *q = arg;

	(void)s;
	if (!q->sent && !q->answered)
		q->ev->writable(q, q->arg);
}

static void request_again(struct uplink_request *q)
{
	TAILQ_REMOVE(&q->uplink->open, q, link);
	q->len = 0;
	q->status = 0;
	request_wait(q);
}

static void request_on_end(struct h2_stream *s, int r, void *arg)
{
	struct uplink_request *q = arg;
	struct err e = {0};

	(void)s;
	q->stream = NULL;
	if (q->err.code < 0) {
		e = q->err;
		request_end(q, &e);
	} else if (q->answered) {
		request_answer(q);
	} else if (!q->streamed && q->tries < UPLINK_TRIES) {
		request_again(q);
	} else {
		err_set(&e, -FAULT_GUEST_UNREACHABLE,
			"%s %.64s: the host has gone: %s", q->method, q->path,
			strerror(-r));
		request_end(q, &e);
	}
}

static const struct h2_stream_events request_events = {
	.head = request_on_head,
	.data = request_on_data,
	.fin = request_on_fin,
	.drained = request_on_drained,
	.end = request_on_end,
};

/* Return: whether it is open now. */
static bool request_start(struct uplink_request *q)
{
	struct uplink *u = q->uplink;
	struct h2_stream *s = h2_request(u->sock.conn, q->method, q->path, NULL,
					 0, q->streamed, &request_events, q);

	if (s == NULL)
		return false;
	TAILQ_REMOVE(&u->waiting, q, link);
	TAILQ_INSERT_TAIL(&u->open, q, link);
	q->state = REQUEST_OPEN;
	q->stream = s;
	q->sent = !q->streamed;
	q->tries++;
	return true;
}

/* A callback may do anything with the list, so each time it is the first. */
static void uplink_on_kick(uv_idle_t *h)
{
	struct uplink *u = container_of(h, struct uplink, kick);
	struct uplink_request *q;

	(void)uv_idle_stop(h);
	while (u->sock.conn != NULL && (q = TAILQ_FIRST(&u->waiting)) != NULL) {
		if (!request_start(q))
			break;
		if (q->streamed)
			q->ev->writable(q, q->arg);
	}
	if (!uv_is_closing((uv_handle_t *)&u->timer))
		arm_timer(u);
}

/* --- requests, as others see them --- */

struct uplink_request *uplink_request(struct uplink *u,
				      const struct uplink_spec *spec)
{
	size_t n = strlen(spec->path) + 1;
	struct uplink_request *q;

	if (n > H2_PATH_MAX + 1 || strlen(spec->method) >= sizeof(q->method))
		return NULL;
	q = calloc(1, sizeof(*q) + n);
	if (q == NULL)
		return NULL;
	q->uplink = u;
	q->ev = spec->ev;
	q->arg = spec->arg;
	q->streamed = spec->streamed;
	q->max = spec->answer_max;
	q->expected = spec->answer_len;
	q->wait_ms = spec->wait_ms > 0 ? spec->wait_ms : UPLINK_WAIT_MS;
	strcpy(q->method, spec->method);
	memcpy(q->path, spec->path, n);
	request_wait(q);
	return q;
}

int uplink_write(struct uplink_request *q, const char *data, size_t n)
{
	if (q->stream == NULL || q->answered)
		return -EPIPE;
	return h2_write(q->stream, data, n);
}

size_t uplink_queued(const struct uplink_request *q)
{
	return q->stream == NULL ? 0 : h2_queued(q->stream);
}

void uplink_fin(struct uplink_request *q)
{
	q->sent = true;
	if (q->stream != NULL)
		h2_fin(q->stream);
}

static void nothing_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s;
	(void)r;
	(void)arg;
}

void uplink_drop(struct uplink_request *q)
{
	static const struct h2_stream_events nothing = {.end = nothing_on_end};

	if (q->stream != NULL) {
		h2_stream_set(q->stream, &nothing, NULL);
		h2_reset(q->stream);
	}
	TAILQ_REMOVE(list_of(q), q, link);
	request_free(q);
}

bool uplink_is_up(const struct uplink *u)
{
	return u->sock.conn != NULL;
}

/* --- the connection --- */

static void uplink_on_connected(void *arg)
{
	struct uplink *u = arg;

	(void)uv_idle_start(&u->kick, uplink_on_kick);
}

static const struct hostsock_events sock_events = {
	.connected = uplink_on_connected,
};

static void uplink_on_handle_closed(uv_handle_t *h)
{
	struct uplink *u = h->data;

	if (--u->handles == 0)
		free(u);
}

static void own(struct uplink *u, void *handle)
{
	((uv_handle_t *)handle)->data = u;
	u->handles++;
}

static void cancel_all(struct request_list *l)
{
	struct uplink_request *q;
	struct err e = {0};

	err_set(&e, -ECANCELED, "the guest is ending");
	while ((q = TAILQ_FIRST(l)) != NULL)
		request_end(q, &e);
}

void uplink_close(struct uplink *u)
{
	struct uplink_request *q;

	if (u == NULL)
		return;
	TAILQ_FOREACH (q, &u->open, link)
		if (q->err.code == 0 && !q->answered)
			err_set(&q->err, -ECANCELED, "the guest is ending");
	hostsock_close(&u->sock, uplink_on_handle_closed);
	assert(TAILQ_EMPTY(&u->open));
	cancel_all(&u->waiting);
	uv_close((uv_handle_t *)&u->timer, uplink_on_handle_closed);
	uv_close((uv_handle_t *)&u->kick, uplink_on_handle_closed);
}

int uplink_open(uv_loop_t *loop, const char *path, struct uplink **out,
		struct err *e)
{
	struct uplink *u = calloc(1, sizeof(*u));
	int r;

	if (u == NULL)
		return err_set(e, -ENOMEM, "uplink: out of memory");
	TAILQ_INIT(&u->waiting);
	TAILQ_INIT(&u->open);
	(void)uv_timer_init(loop, &u->timer);
	own(u, &u->timer);
	(void)uv_idle_init(loop, &u->kick);
	own(u, &u->kick);
	r = hostsock_open(&u->sock, loop, path, &sock_events, u, e);
	own(u, &u->sock.pipe);
	if (r < 0) {
		uplink_close(u);
		return r;
	}
	*out = u;
	return 0;
}
