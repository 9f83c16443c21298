// SPDX-License-Identifier: Apache-2.0
/*
 * rpc.c - A JSON-RPC 2.0 peer, without any input or output of its own
 *
 * Calls of ours stand in two lists: all of them in order of their ids, which
 * only grow, and those with a deadline in order of it.  The one timer runs to
 * the first deadline while that second list has any.  Whatever ends a call (its
 * answer, its deadline, rpc_free()) takes it out of both lists before its
 * callback runs, so it ends once; what comes for it later is a stray answer.
 *
 *	rpc_call -> open --- answer -----> 0 or -EREMOTEIO
 *	              |  |-- deadline ---> -ETIMEDOUT
 *	              |  '-- rpc_free ---> -ECANCELED
 *	              '----- rpc_forget -> (no callback)
 *
 * A callback may free the peer.  Its memory lives until the loop has closed the
 * timer, so code that runs callbacks looks at p->closing after each of them and
 * touches nothing else.
 */
#include "core/rpc.h"

#include <assert.h>
#include <string.h>
#include <sys/queue.h>

#include "core/loop.h"

#define OUT_KEEP 65536 /* A larger output buffer is not kept for reuse. */

struct call {
	int64_t id;
	uint64_t deadline; /* In loop_now() time; 0: none. */
	rpc_done_cb cb;
	void *arg;
	TAILQ_ENTRY(call) by_id;
	TAILQ_ENTRY(call) by_deadline; /* In the list if there is one. */
};

TAILQ_HEAD(calls, call);

struct rpc {
	const struct rpc_ops *ops;
	void *arg;
	uv_timer_t timer;
	struct calls calls;
	struct calls timed;
	unsigned n_calls;
	int64_t next_id;
	struct jw out; /* The message being built. */
	bool closing;
};

/*
 * Decoding.
 */

/* What the members of a message are, before they are held against rules. */
struct members {
	struct jv jsonrpc, id, method, params, result, error;
};

static const struct jv absent = {.i = -1};

/* One walk for all names: of members named twice the last one counts. */
static struct members find_members(struct jv root)
{
	struct members m = {absent, absent, absent, absent, absent, absent};
	const struct {
		const char *name;
		struct jv *value;
	} table[] = {
		{"jsonrpc", &m.jsonrpc}, {"id", &m.id},
		{"method", &m.method},	 {"params", &m.params},
		{"result", &m.result},	 {"error", &m.error},
	};

	for (struct jv k = jv_first(root); jv_has(k); k = jv_next(root, k))
		for (size_t i = 0; i < ARRAY_LEN(table); i++)
			if (jv_eq(k, table[i].name))
				*table[i].value = jv_value(k);
	return m;
}

static struct jv null_is_absent(struct jv v)
{
	return jv_is(v, JV_NULL) ? absent : v;
}

static int check_id(struct jv id, struct err *e)
{
	enum jv_type t = jv_type(id);
	size_t len;

	if (t != JV_ABSENT && t != JV_NULL && t != JV_NUMBER && t != JV_STRING)
		return err_set(e, -EPROTO,
			       "json-rpc: id is no number, string or null");
	jv_raw(id, &len);
	if (len > RPC_ID_MAX)
		return err_set(e, -EPROTO, "json-rpc: id has %zu bytes", len);
	return 0;
}

static int check_call(const struct members *m, struct err *e)
{
	enum jv_type params = jv_type(m->params);

	if (!jv_is(m->method, JV_STRING))
		return err_set(e, -EPROTO, "json-rpc: method is no string");
	if (params != JV_ABSENT && params != JV_OBJECT && params != JV_ARRAY)
		return err_set(e, -EPROTO,
			       "json-rpc: params are no object or array");
	return 0;
}

static int check_response(const struct members *m, struct err *e)
{
	if (!jv_has(m->id))
		return err_set(e, -EPROTO, "json-rpc: neither method nor id");
	return 0;
}

int rpc_decode(struct json *j, const char *line, size_t len,
	       struct rpc_msg *out, struct err *e)
{
	int r = json_parse(j, line, len, e);
	enum rpc_kind kind;
	struct members m;

	if (r < 0)
		return r;
	if (!jv_is(json_root(j), JV_OBJECT))
		return err_set(e, -EPROTO, "json-rpc: message is no object");

	m = find_members(json_root(j));
	m.params = null_is_absent(m.params);
	m.error = null_is_absent(m.error);
	if (!jv_eq(m.jsonrpc, "2.0"))
		return err_set(e, -EPROTO, "json-rpc: version is not 2.0");
	if (check_id(m.id, e) < 0)
		return -EPROTO;

	if (jv_has(m.method)) {
		kind = jv_has(m.id) ? RPC_REQUEST : RPC_NOTIFICATION;
		r = check_call(&m, e);
		m.result = m.error = absent;
	} else {
		kind = RPC_RESPONSE;
		r = check_response(&m, e);
		m.params = absent;
		if (jv_has(m.error))
			m.result = absent;
	}
	if (r < 0)
		return r;

	*out = (struct rpc_msg){
		.kind = kind,
		.root = json_root(j),
		.id = m.id,
		.method = m.method,
		.params = m.params,
		.result = m.result,
		.error = m.error,
	};
	return 0;
}

/*
 * Sending.
 */

static struct jw *begin_message(struct rpc *p)
{
	jw_reset(&p->out);
	jw_obj(&p->out);
	jw_kstr(&p->out, "jsonrpc", "2.0");
	return &p->out;
}

/* Finish the message begun and check that memory sufficed. */
static int end_message(struct rpc *p)
{
	jw_obj_end(&p->out);
	return p->out.failed ? -ENOMEM : 0;
}

static void send_message(struct rpc *p)
{
	p->ops->send(p->out.buf, p->out.len, p->arg);
	if (p->out.cap > OUT_KEEP)
		jw_done(&p->out);
}

static int finish_and_send(struct rpc *p)
{
	int r = end_message(p);

	if (r == 0)
		send_message(p);
	return r;
}

static void put_call(struct jw *w, const char *method, const char *params)
{
	jw_kstr(w, "method", method);
	if (params != NULL)
		jw_kraw(w, "params", params);
}

int rpc_notify(struct rpc *p, const char *method, const char *params)
{
	if (p->closing)
		return -ECANCELED;
	put_call(begin_message(p), method, params);
	return finish_and_send(p);
}

static struct jw *begin_reply(struct rpc *p, const char *id, size_t id_len)
{
	struct jw *w = begin_message(p);

	jw_key(w, "id");
	jw_raw(w, id, id_len);
	return w;
}

void rpc_write_error(struct jw *w, int code, const char *message,
		     const char *data)
{
	jw_obj(w);
	jw_kint(w, "code", code);
	jw_kstr(w, "message", message);
	if (data != NULL)
		jw_kraw(w, "data", data);
	jw_obj_end(w);
}

int rpc_reply(struct rpc *p, const char *id, size_t id_len, const char *result)
{
	if (p->closing)
		return -ECANCELED;
	jw_kraw(begin_reply(p, id, id_len), "result", result);
	return finish_and_send(p);
}

int rpc_reply_error(struct rpc *p, const char *id, size_t id_len, int code,
		    const char *message, const char *data)
{
	struct jw *w;

	if (p->closing)
		return -ECANCELED;
	w = begin_reply(p, id, id_len);
	jw_key(w, "error");
	rpc_write_error(w, code, message, data);
	return finish_and_send(p);
}

/*
 * Open calls.
 */

static void timer_on_fire(uv_timer_t *timer);

/* Run the timer to the first deadline, or not at all. */
static void arm_timer(struct rpc *p)
{
	const struct call *first = TAILQ_FIRST(&p->timed);
	uint64_t now = loop_now(p->timer.loop);

	if (first == NULL) {
		uv_timer_stop(&p->timer);
		return;
	}
	uv_timer_start(&p->timer, timer_on_fire,
		       first->deadline > now ? first->deadline - now : 0, 0);
}

/* Take a call out of the lists; the caller frees it. */
static void take_out(struct rpc *p, struct call *c)
{
	bool was_first = c == TAILQ_FIRST(&p->timed);

	TAILQ_REMOVE(&p->calls, c, by_id);
	p->n_calls--;
	if (c->deadline == 0)
		return;
	TAILQ_REMOVE(&p->timed, c, by_deadline);
	if (was_first && !p->closing)
		arm_timer(p);
}

/* Take a call out and tell its owner, who may free the peer. */
static void end_call(struct rpc *p, struct call *c, const struct rpc_answer *a)
{
	rpc_done_cb cb = c->cb;
	void *arg = c->arg;

	take_out(p, c);
	free(c);
	cb(a, arg);
}

static void timer_on_fire(uv_timer_t *timer)
{
	static const struct rpc_answer late = {
		.status = -ETIMEDOUT, .result = {.i = -1}, .error = {.i = -1}};
	struct rpc *p = container_of(timer, struct rpc, timer);
	struct call *c;

	while (!p->closing && (c = TAILQ_FIRST(&p->timed)) != NULL &&
	       c->deadline <= loop_now(timer->loop))
		end_call(p, c, &late);
	if (!p->closing)
		arm_timer(p);
}

/* Most deadlines are later than those before: look from the end. */
static void insert_timed(struct rpc *p, struct call *c)
{
	struct call *before = TAILQ_LAST(&p->timed, calls);

	while (before != NULL && before->deadline > c->deadline)
		before = TAILQ_PREV(before, calls, by_deadline);
	if (before != NULL) {
		TAILQ_INSERT_AFTER(&p->timed, before, c, by_deadline);
		return;
	}
	TAILQ_INSERT_HEAD(&p->timed, c, by_deadline);
	arm_timer(p);
}

static struct call *find_call(const struct rpc *p, int64_t id)
{
	struct call *c;

	TAILQ_FOREACH (c, &p->calls, by_id)
		if (c->id == id)
			return c;
	return NULL;
}

static uint64_t deadline_after(const struct rpc *p, uint64_t timeout_ms)
{
	uint64_t now = loop_now(p->timer.loop);

	if (timeout_ms == 0)
		return 0;
	return timeout_ms < UINT64_MAX - now ? now + timeout_ms : UINT64_MAX;
}

void rpc_continue(struct rpc *p, int64_t id)
{
	p->next_id = id;
}

int64_t rpc_next_id(const struct rpc *p, unsigned *n_open)
{
	if (n_open != NULL)
		*n_open = p->n_calls;
	return p->next_id;
}

int64_t rpc_call(struct rpc *p, const char *method, const char *params,
		 uint64_t timeout_ms, rpc_done_cb cb, void *arg)
{
	int64_t id = p->next_id;
	struct call *c;
	struct jw *w;

	if (p->closing)
		return -ECANCELED;
	if (p->n_calls == RPC_CALLS_MAX)
		return -EAGAIN;
	w = begin_message(p);
	jw_kint(w, "id", id);
	put_call(w, method, params);
	if (end_message(p) < 0)
		return -ENOMEM;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;

	c->id = id;
	c->deadline = deadline_after(p, timeout_ms);
	c->cb = cb;
	c->arg = arg;
	p->next_id++;
	p->n_calls++;
	TAILQ_INSERT_TAIL(&p->calls, c, by_id);
	if (c->deadline != 0)
		insert_timed(p, c);
	send_message(p);
	return id;
}

void rpc_forget(struct rpc *p, int64_t id)
{
	struct call *c = find_call(p, id);

	if (c == NULL)
		return;
	take_out(p, c);
	free(c);
}

/*
 * Receiving.
 */

/* The id of a call of ours; -1 for any other.  There are peers that answer with
 * the number as a string. */
static int64_t call_id(struct jv id)
{
	char text[24], *end;
	int64_t n;

	if (!jv_is(id, JV_STRING))
		return jv_int(id, -1);
	if (jv_strcpy(id, text, sizeof(text)) <= 0 || text[0] < '0' ||
	    text[0] > '9')
		return -1;
	n = strtoll(text, &end, 10);
	return *end == '\0' ? n : -1;
}

static void dispatch_response(struct rpc *p, const struct rpc_msg *m)
{
	struct rpc_answer a = {.result = m->result, .error = m->error};
	struct call *c = find_call(p, call_id(m->id));

	if (c == NULL) {
		if (p->ops->stray != NULL)
			p->ops->stray(m, p->arg);
		return;
	}
	a.status = jv_has(m->error) ? -EREMOTEIO : 0;
	end_call(p, c, &a);
}

static void dispatch_request(struct rpc *p, const struct rpc_msg *m)
{
	const char *id;
	size_t len;

	if (p->ops->request != NULL) {
		p->ops->request(m, p->arg);
		return;
	}
	id = jv_raw(m->id, &len);
	(void)rpc_reply_error(p, id, len, RPC_METHOD_NOT_FOUND,
			      "method not found", NULL);
}

void rpc_dispatch(struct rpc *p, const struct rpc_msg *m)
{
	if (p->closing)
		return;

	switch (m->kind) {
	case RPC_REQUEST:
		dispatch_request(p, m);
		break;
	case RPC_NOTIFICATION:
		if (p->ops->notify != NULL)
			p->ops->notify(m, p->arg);
		break;
	case RPC_RESPONSE:
		dispatch_response(p, m);
		break;
	}
}

/*
 * Life.
 */

struct rpc *rpc_new(uv_loop_t *loop, const struct rpc_ops *ops, void *arg)
{
	struct rpc *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->ops = ops;
	p->arg = arg;
	TAILQ_INIT(&p->calls);
	TAILQ_INIT(&p->timed);
	uv_timer_init(loop, &p->timer); /* Cannot fail. */
	return p;
}

static void timer_on_close(uv_handle_t *handle)
{
	struct rpc *p = container_of((uv_timer_t *)handle, struct rpc, timer);

	assert(p->n_calls == 0);
	jw_done(&p->out);
	free(p);
}

void rpc_free(struct rpc *p)
{
	static const struct rpc_answer cancelled = {
		.status = -ECANCELED, .result = {.i = -1}, .error = {.i = -1}};
	struct call *c;

	if (p == NULL || p->closing)
		return;
	p->closing = true;
	uv_close((uv_handle_t *)&p->timer, timer_on_close);
	while ((c = TAILQ_FIRST(&p->calls)) != NULL)
		end_call(p, c, &cancelled);
}
