// SPDX-License-Identifier: Apache-2.0
/*
 * request.c - One request to the daemon, over its lost connections
 *
 * An attempt ends with an answer, which is final, or with a broken connection.
 * Then, and when the daemon says that it is about to stop, the request is sent
 * again after a pause that grows, a bounded number of times.  What the daemon
 * must not see twice is only repeated when it cannot have arrived.  When nobody
 * serves the socket, the daemon is started first.
 *
 * Running out of attempts is an error and never a success: what was asked for
 * may have happened.
 */
#include <stdio.h>
#include <string.h>

#include "host/lib/lib.h"

#define UPLOAD_CHUNK (64u << 10)
#define UPLOAD_QUEUE (1u << 20) /* Bytes on their way; then we wait. */

/* --- one attempt -------------------------------------------------------- */

static void on_head(struct http_call *c, int status, void *arg)
{
	struct request *q = arg;

	(void)c;
	q->status = status;
	if (q->on_head != NULL && status < 400)
		q->on_head(q);
}

static void stop(struct request *q, int r)
{
	q->stopped = r;
	if (q->call != NULL)
		http_call_cancel(q->call);
}

static void on_body(struct http_call *c, char *data, size_t n, void *arg)
{
	struct request *q = arg;
	int r = 0;

	(void)c;
	if (q->stopped != 0)
		return;
	if (q->on_data != NULL && q->status < 400)
		r = q->on_data(q, data, n);
	else if (n > LIB_BODY_MAX - q->out.len)
		r = -EMSGSIZE;
	else
		jw_lit(&q->out, data, n);
	if (r != 0)
		stop(q, r);
}

/* Send what the caller's callback gives, while there is room for it. */
static void upload(struct request *q)
{
	autofree char *buf = malloc(UPLOAD_CHUNK);
	long n = buf ? 1 : -ENOMEM;

	while (n > 0 && http_call_queued(q->call) < UPLOAD_QUEUE) {
		n = q->read(buf, UPLOAD_CHUNK, q->arg);
		if (n > 0)
			http_call_write(q->call, buf, (size_t)n);
	}
	if (n == 0)
		http_call_finish(q->call);
	else if (n < 0)
		stop(q, -ECANCELED);
}

static void on_drained(struct http_call *c, void *arg)
{
	struct request *q = arg;

	(void)c;
	if (q->read != NULL && q->stopped == 0 && q->status == 0)
		upload(q);
}

static void on_end(struct http_call *c, int r, void *arg)
{
	struct request *q = arg;

	(void)c;
	q->call = NULL;
	q->r = r;
	q->done = true;
}

static const struct http_call_ops request_ops = {
	.head = on_head,
	.body = on_body,
	.drained = on_drained,
	.end = on_end,
};

/* Return: 0 when an answer came, whatever it says. */
static int attempt(struct hib *h, struct request *q)
{
	struct http_call_spec spec = {
		.method = q->method,
		.path = q->path,
		.headers = q->headers,
		.content_type = q->content_type,
		.body = q->body,
		.body_len = q->body_len,
		.stream_body = q->read != NULL,
	};

	jw_reset(&q->out);
	q->done = false;
	q->status = 0;
	q->stopped = 0;
	q->call = http_call(h->http, &spec, &request_ops, q);
	if (q->call == NULL)
		return -ENOMEM;
	if (q->read != NULL)
		upload(q);
	while (!q->done) {
		lib_run(h, UV_RUN_ONCE);
		if (!q->done && q->stopped == 0 && lib_interrupted(h))
			stop(q, -ECANCELED);
	}
	return q->stopped != 0 ? q->stopped : q->r;
}

/* --- what came of it ---------------------------------------------------- */

static int read_error(const struct request *q, struct err *e)
{
	autojson struct json j = {0};

	if (json_parse(&j, q->out.buf ? q->out.buf : "", q->out.len, NULL) ==
		    0 &&
	    jv_is(json_root(&j), JV_OBJECT))
		return err_read(e, json_root(&j));
	return err_set(e, -FAULT_INTERNAL, "%s %s: status %d", q->method,
		       q->path, q->status);
}

static bool nobody_serves(int r)
{
	return r == -ECONNREFUSED || r == -ENOENT;
}

static bool may_repeat(const struct request *q, int r)
{
	if (q->stopped != 0 || r == -ENOMEM)
		return false;
	if (nobody_serves(r) || r == -FAULT_DRAINING)
		return q->read == NULL;
	return r > -FAULT_INVALID_ARGUMENT && !q->once && q->read == NULL;
}

/* Before the next attempt. */
static int recover(struct hib *h, int why, unsigned failures, struct err *e)
{
	int r = 0;

	if (nobody_serves(why) && h->autostart) {
		r = start_daemon(h, e);
		if (r < 0)
			return r;
		r = start_wait(h);
	}
	if (r == 0 && (failures > 1 || !nobody_serves(why) || !h->autostart))
		r = lib_pause(h, lib_pause_ms(failures));
	return r < 0 ? err_set(e, -FAULT_CANCELLED, "interrupted") : 0;
}

static int give_up(const struct hib *h, int r, struct err *e)
{
	if (r == -ECANCELED)
		return err_set(e, -FAULT_CANCELLED, "interrupted");
	if (r <= -FAULT_INVALID_ARGUMENT)
		return r;
	if (r == -ENOMEM || r == -EMSGSIZE)
		return err_set(e, r, "the answer is too large");
	if (!nobody_serves(r))
		return err_set(e, -FAULT_GUEST_UNREACHABLE,
			       "the connection to hibd was lost (%s); what was "
			       "asked for may go on",
			       strerror(-r));
	if (h->home.root[0] == '\0')
		return err_set(e, -FAULT_VM_UNAVAILABLE,
			       "nobody serves this address");
	if (h->autostart)
		return err_set(e, -FAULT_VM_UNAVAILABLE,
			       "hibd does not start; see %.150s", h->home.log);
	return err_set(e, -FAULT_VM_UNAVAILABLE, "hibd is not running");
}

int request_run(struct hib *h, struct request *q, struct err *e)
{
	int r = lib_may_run(h, e);

	if (r < 0)
		return r;
	for (unsigned failures = 1;; failures++) {
		r = attempt(h, q);
		if (r == 0 && q->status >= 400)
			r = read_error(q, e);
		if (r == 0)
			return q->out.failed ? give_up(h, -ENOMEM, e) : 0;
		if (!may_repeat(q, r) || failures >= h->attempts)
			return give_up(h, r, e);
		r = recover(h, r, failures, e);
		if (r < 0)
			return r;
	}
}

/* --- short forms -------------------------------------------------------- */

int request_json(struct hib *h, struct request *q, char **json,
		 struct hib_error *e)
{
	struct err err = {0};
	int r = 0;

	if (q->path == NULL || q->path[0] == '\0')
		r = err_set(&err, -FAULT_INVALID_ID, "that is no id");
	else
		r = request_run(h, q, &err);
	if (r == 0 && json != NULL) {
		char *text = jw_take(&q->out, NULL);

		if (text == NULL)
			r = err_set(&err, -ENOMEM, "out of memory");
		else
			*json = text;
	}
	jw_done(&q->out);
	return lib_result(r, &err, e);
}

int request_get(struct hib *h, struct jw *path, char **json,
		struct hib_error *e)
{
	struct request q = {.method = "GET", .path = path->buf};
	int r;

	/* Pages are asked for as objects. */
	q.headers = "Accept: application/json\r\n";
	r = request_json(h, &q, json, e);
	jw_done(path);
	return r;
}

int request_post(struct hib *h, struct jw *path, struct jw *body, bool once,
		 char **json, struct hib_error *e)
{
	struct request q = {
		.method = "POST",
		.path = path->buf,
		.body = body ? body->buf : "{}",
		.body_len = body ? body->len : 2,
		.once = once,
	};
	int r = request_json(h, &q, json, e);

	jw_done(path);
	if (body != NULL)
		jw_done(body);
	return r;
}

int request_delete(struct hib *h, struct jw *path, struct hib_error *e)
{
	struct request q = {.method = "DELETE", .path = path->buf};
	int r = request_json(h, &q, NULL, e);

	jw_done(path);
	return r;
}

/* --- paths -------------------------------------------------------------- */

static void put(struct jw *w, const char *s)
{
	jw_lit(w, s, strlen(s));
}

/* RFC 3986, section 2.1: all but the unreserved characters. */
void path_encoded(struct jw *w, const char *s)
{
	char code[4];

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || strchr("-._~", c) != NULL) {
			jw_lit(w, s, 1);
			continue;
		}
		snprintf(code, sizeof(code), "%%%02X", c);
		put(w, code);
	}
}

struct jw path_session(const char *session, const char *rest)
{
	struct jw w = {0};

	if (session == NULL || !id_is(session, "ses"))
		return w;
	put(&w, "/v1/sessions/");
	put(&w, session);
	put(&w, rest);
	return w;
}

struct jw path_vm(const char *vm, const char *rest)
{
	struct jw w = {0};

	if (vm == NULL || vm[0] == '\0')
		return w;
	put(&w, "/v1/vms/");
	path_encoded(&w, vm);
	put(&w, rest);
	return w;
}

void path_query(struct jw *path, const char *name, const char *value)
{
	if (path->len == 0 || value == NULL)
		return;
	put(path, strchr(path->buf, '?') ? "&" : "?");
	put(path, name);
	put(path, "=");
	path_encoded(path, value);
}

void path_query_int(struct jw *path, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	path_query(path, name, text);
}
