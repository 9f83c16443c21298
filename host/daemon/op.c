// SPDX-License-Identifier: Apache-2.0
/*
 * op.c - One API request on its way through hibd
 */
#include "host/daemon/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/sse.h"
#include "core/time.h"
#include "host/views.h"

#define TAGS_MAX 32
#define TAG_MAX	 64

static void op_on_gone(struct http_req *r, void *arg)
{
	struct op *op = arg;

	(void)r;
	op->r = NULL;
}

struct op *op_new(struct hibd *d, struct http_req *r)
{
	struct op *op = calloc(1, sizeof(*op));
	const char *body;
	size_t len;

	if (op == NULL)
		return NULL;
	op->d = d;
	op->r = r;
	op->scope = SCOPE_ADMIN;
	body = http_body(r, &len);
	if (len == 0) {
		body = "{}";
		len = 2;
	}
	op->body = malloc(len + 1);
	if (op->body == NULL) {
		free(op);
		return NULL;
	}
	memcpy(op->body, body, len);
	op->body[len] = '\0';
	http_on_end(r, op_on_gone, op);
	if (json_parse(&op->json, op->body, len, &op->err) == 0)
		op->in = json_root(&op->json);
	else
		op->in.i = -1;
	return op;
}

/* The request is answered or its client gone; either way it is not ours now. */
static struct http_req *op_end(struct op *op)
{
	struct http_req *r = op->r;

	if (r != NULL)
		http_on_end(r, NULL, NULL);
	return r;
}

static void op_free(struct op *op)
{
	json_done(&op->json);
	/* It may have held values of an environment, as may the body. */
	if (op->params.buf != NULL)
		explicit_bzero(op->params.buf, op->params.len);
	jw_done(&op->params);
	jw_done(&op->out);
	if (op->body != NULL)
		explicit_bzero(op->body, strlen(op->body));
	free(op->body);
	vault_wipe(op->agent);
	vault_wipe(op->env);
	vault_wipe(op->mcp);
	free(op->policy);
	free(op);
}

static void send_event(struct http_req *r, const char *event, const char *json,
		       size_t len)
{
	autojw struct jw w = {0};

	sse_write(&w, -1, event, json, len);
	if (w.failed)
		http_stream_abort(r);
	else
		http_stream_write(r, w.buf, w.len);
}

void op_stream_if_wanted(struct op *op)
{
	const char *accept =
		op->r != NULL ? http_header(op->r, "Accept") : NULL;

	op->streams =
		accept != NULL && strstr(accept, "text/event-stream") != NULL;
	if (op->streams)
		http_stream_begin(op->r, 200, "text/event-stream", NULL, NULL);
}

void op_event(struct op *op, const char *event, const struct jw *data)
{
	if (op->streams && op->r != NULL && !data->failed &&
	    http_stream_queued(op->r) == 0)
		send_event(op->r, event, data->buf, data->len);
}

void op_reply(struct op *op, const char *json, size_t len)
{
	struct http_req *r = op_end(op);

	if (r != NULL && op->streams) {
		send_event(r, "result", json, len);
		http_stream_end(r);
	} else if (r != NULL) {
		http_reply(r, 200, "application/json", json, len);
	}
	op_free(op);
}

void op_reply_as(struct op *op, const char *type)
{
	struct http_req *r;

	if (op->out.failed) {
		op_refuse(op, -ENOMEM, "answer: out of memory");
		return;
	}
	r = op_end(op);
	if (r != NULL)
		http_reply(r, 200, type, op->out.buf, op->out.len);
	op_free(op);
}

void op_reply_out(struct op *op)
{
	if (op->out.failed)
		op_refuse(op, -ENOMEM, "answer: out of memory");
	else
		op_reply(op, op->out.buf, op->out.len);
}

void op_reply_empty(struct op *op)
{
	op_reply(op, "{}", 2);
}

static void send_error(struct http_req *r, const struct err *e)
{
	autojw struct jw w = {0};

	err_write(e, &w);
	send_event(r, "error", w.buf, w.len);
	http_stream_end(r);
}

void op_fail(struct op *op, const struct err *e)
{
	struct http_req *r = op_end(op);

	if (r != NULL && op->streams)
		send_error(r, e);
	else if (r != NULL)
		http_reply_err(r, e);
	op_free(op);
}

void op_refuse(struct op *op, int code, const char *fmt, ...)
{
	struct err e = {0};
	char msg[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_set(&e, code, "%s", msg);
	op_fail(op, &e);
}

void op_extend(struct jw *w)
{
	if (w->len > 0 && w->buf[w->len - 1] == '}') {
		w->buf[--w->len] = '\0';
		w->comma = true;
	}
}

void op_put_warnings(struct op *op, struct jw *w)
{
	if (op->warning == NULL)
		return;
	jw_key(w, "warnings");
	jw_arr(w);
	jw_str(w, op->warning);
	jw_arr_end(w);
}

bool op_is_expired(const struct op *op)
{
	const struct session_brief *b = &op->brief;

	if (strcmp(b->state, "closed") == 0)
		return false;
	return strcmp(b->state, "expired") == 0 ||
	       (b->expires_ms > 0 && b->expires_ms <= now_ms());
}

void op_reply_session(struct op *op)
{
	struct err e = {0};

	jw_reset(&op->out);
	if (views_session(op->d->reader, op->session, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	op_extend(&op->out);
	op_put_warnings(op, &op->out);
	jw_obj_end(&op->out);
	op_reply_out(op);
}

bool op_load_session(struct op *op)
{
	struct err e = {0};

	if (reader_session(op->d->reader, op->session, &op->brief, &e) < 0) {
		op_fail(op, &e);
		return false;
	}
	memcpy(op->vm, op->brief.vm_id, ID_MAX);
	return true;
}

static void op_on_awake(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	if (e->code < 0)
		op_fail(op, e);
	else
		op->next(op);
}

void op_wake(struct op *op, void (*next)(struct op *op))
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (vm == NULL) {
		op_refuse(op, -FAULT_VM_NOT_FOUND, "%s is not here", op->vm);
		return;
	}
	op->next = next;
	vm_need(vm, op_on_awake, op);
}

static void op_on_called(const char *body, size_t len, const struct err *e,
			 void *arg);

static void op_send(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	link_call(vm ? vm_link(vm) : NULL, op->method, op->params.buf,
		  op_on_called, op);
}

/* The call has ended. */
static void op_called(const char *body, size_t len, const struct err *e,
		      struct op *op)
{
	if (e->code != -FAULT_GUEST_UNREACHABLE || op->again == NULL ||
	    op->n_again == OP_AGAIN_MAX) {
		op->called(body, len, e, op);
		return;
	}
	op->n_again++;
	op_wake(op, op->again);
}

static void op_on_fed(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_called("", 0, e, op);
	else
		op_send(op);
}

/* Is it one of ours, which the guest has not been told of? */
static bool op_may_feed(const struct op *op)
{
	struct session_brief b;

	return !op->fed && op->session[0] != '\0' &&
	       reader_session(op->d->reader, op->session, &b, NULL) == 0 &&
	       strcmp(b.vm_id, op->vm) == 0;
}

static void op_on_called(const char *body, size_t len, const struct err *e,
			 void *arg)
{
	struct op *op = arg;
	struct vm *vm = vm_find(op->d, op->vm);

	if (e->code != -FAULT_SESSION_NOT_FOUND || vm == NULL ||
	    !op_may_feed(op)) {
		op_called(body, len, e, op);
		return;
	}
	op->fed = true;
	link_feed_session(vm_link(vm), op->session, op_on_fed, op);
}

void op_look(struct op *op, link_done_cb done)
{
	struct vm *vm = vm_find(op->d, op->vm);

	jw_obj(&op->params);
	jw_kstr(&op->params, "session", op->session);
	jw_obj_end(&op->params);
	if (op->params.failed)
		op_refuse(op, -ENOMEM, "session.get: out of memory");
	else
		link_call(vm ? vm_link(vm) : NULL, "session.get",
			  op->params.buf, done, op);
}

void op_call(struct op *op, const char *method, link_done_cb done)
{
	op_call_again(op, method, done, NULL);
}

void op_call_again(struct op *op, const char *method, link_done_cb done,
		   void (*again)(struct op *op))
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (op->params.failed) {
		op_refuse(op, -ENOMEM, "%s: out of memory", method);
		return;
	}
	if (vm != NULL)
		vm_touch(vm);
	op->method = method;
	op->called = done;
	op->again = again;
	op_send(op);
}

static void op_on_stored(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op->next(op);
}

int64_t op_failed_seq(const struct err *e)
{
	char text[ERR_DATA_MAX + 2];
	autojson struct json j = {0};
	int n = snprintf(text, sizeof(text), "{%s}", e->data);

	if (json_parse(&j, text, (size_t)n, NULL) < 0)
		return 0;
	return jv_int(jv_get(json_root(&j), "last_seq"), 0);
}

static void op_on_failure_stored(const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)e;
	op_fail(op, &op->err);
}

void op_fail_stored(struct op *op, const struct err *e)
{
	op->err = *e;
	hub_await_seq(op->d->hub, op->session, op_failed_seq(e), OP_STORED_MS,
		      op_on_failure_stored, op);
}

void op_stored(struct op *op, const char *body, size_t len, const struct err *e,
	       void (*next)(struct op *op))
{
	autojson struct json j = {0};
	struct err bad = {0};
	int64_t seq;

	if (e->code < 0) {
		op_fail_stored(op, e);
		return;
	}
	if (json_parse(&j, body, len, &bad) < 0) {
		bad.code = -FAULT_BAD_FRAME;
		op_fail(op, &bad);
		return;
	}
	seq = jv_int(jv_get(json_root(&j), "last_seq"), 0);
	op->next = next;
	hub_await_seq(op->d->hub, op->session, seq, OP_STORED_MS, op_on_stored,
		      op);
}

bool op_query_flag(struct op *op, const char *name, bool *out)
{
	const char *text = op->r != NULL ? http_query(op->r, name) : NULL;
	bool yes, no;

	if (text == NULL)
		return true;
	yes = text[0] == '\0' || strcmp(text, "1") == 0 ||
	      strcmp(text, "true") == 0;
	no = strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
	if (yes || no) {
		*out = yes;
		return true;
	}
	op_refuse(op, -FAULT_INVALID_ARGUMENT, "%s '%.40s': true or false",
		  name, text);
	return false;
}

bool op_string(struct op *op, const char *key, size_t max, char **out)
{
	struct jv v = jv_get(op->in, key);
	size_t len;

	*out = NULL;
	if (!jv_has(v) || jv_is(v, JV_NULL))
		return true;
	*out = jv_strdup(v, &len);
	if (*out != NULL && strlen(*out) == len && len <= max)
		return true;
	op_refuse(op,
		  *out != NULL && len > max ? -FAULT_MESSAGE_TOO_LARGE
					    : -FAULT_INVALID_ARGUMENT,
		  "%s: a string of at most %zu bytes", key, max);
	free(take_ptr(*out));
	return false;
}

bool op_integer(struct op *op, const char *key, int64_t min, int64_t max,
		int64_t *out)
{
	struct jv v = jv_get(op->in, key);
	int64_t n;

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return true;
	n = jv_int(v, INT64_MIN);
	if (n != INT64_MIN && n >= min && n <= max) {
		*out = n;
		return true;
	}
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "%s: an integer from %lld to %lld", key, (long long)min,
		  (long long)max);
	return false;
}

bool op_ttl(struct op *op, int64_t min, int64_t *out)
{
	if (!op_integer(op, "ttlMs", min, INT64_MAX, out))
		return false;
	if (*out > SESSION_TTL_MAX_MS) {
		*out = SESSION_TTL_MAX_MS;
		op->warning = "ttlMs was cut to its maximum, 30 days";
	}
	return true;
}

bool op_tags(struct op *op)
{
	struct jv tags = jv_get(op->in, "tags");
	char tag[TAG_MAX + 1];

	if (!jv_has(tags) || jv_is(tags, JV_NULL))
		return true;
	if (!jv_is(tags, JV_ARRAY) || jv_count(tags) > TAGS_MAX) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "tags: a list of at most %d strings", TAGS_MAX);
		return false;
	}
	for (struct jv t = jv_first(tags); jv_has(t); t = jv_next(tags, t)) {
		if (jv_strcpy(t, tag, sizeof(tag)) > 0)
			continue;
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "tags: strings of 1 to %d bytes", TAG_MAX);
		return false;
	}
	return true;
}
