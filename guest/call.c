// SPDX-License-Identifier: Apache-2.0
/*
 * call.c - One request of the host, from its arrival to its answer
 *
 * The call and its stream end in either order.  An answered call is kept until
 * its stream has ended; a stream that ends first leaves the call without one.
 */
#include "guest/call.h"

#include <string.h>

#include "guest/limits.h"

static void call_free(struct call *c)
{
	if (c->told != NULL)
		c->told(c->told_arg);
	json_done(&c->json);
	jw_done(&c->result);
	free(c->body);
	free(c);
}

static void call_on_end(struct h2_stream *s, int r, void *arg)
{
	struct call *c = arg;

	(void)s;
	(void)r;
	c->stream = NULL;
	if (c->answered)
		call_free(c);
}

static const struct h2_stream_events stream_events = {.end = call_on_end};

/* What an error of the store, or of the kernel, is to the caller. */
static void make_public(struct err *e)
{
	if (e->code == -ENOSPC || e->code == -EDQUOT)
		e->code = -FAULT_DISK_FULL;
	else if (e->code == -EIO || e->code == -EROFS || e->code == -EFBIG)
		e->code = -FAULT_STORE_ERROR;
}

void stream_fail(struct h2_stream *s, const struct err *e)
{
	autojw struct jw w = {0};
	struct err public = *e;

	make_public(&public);
	err_write(&public, &w);
	h2_reply(s, fault_http_status(err_fault(public.code)),
		 w.failed ? "" : w.buf, w.failed ? 0 : w.len);
}

static void send_answer(struct call *c)
{
	if (c->err.code < 0) {
		stream_fail(c->stream, &c->err);
		return;
	}
	if (c->result.len == 0)
		jw_lit(&c->result, "{}", 2);
	if (c->result.failed) {
		err_set(&c->err, -ENOMEM, "call: out of memory");
		stream_fail(c->stream, &c->err);
		return;
	}
	h2_reply(c->stream, 200, c->result.buf, c->result.len);
}

void call_reply(struct call *c)
{
	c->answered = true;
	if (c->stream == NULL)
		call_free(c);
	else
		send_answer(c);
}

void call_fail(struct call *c, const struct err *e)
{
	c->err = *e;
	call_reply(c);
}

static void call_on_stored(struct journal_effect *ef, const struct err *e)
{
	struct call *c = container_of(ef, struct call, stored);

	if (e != NULL)
		c->err = *e;
	call_reply(c);
}

static void wait_stored(struct call *c, struct journal *j)
{
	c->stored.run = call_on_stored;
	journal_then(j, &c->stored);
}

void call_reply_after(struct call *c, struct journal *j)
{
	struct jw *w = &c->result;

	/* The object is open again, or begun. */
	if (w->len > 0 && !w->failed) {
		w->buf[--w->len] = '\0';
		w->comma = w->buf[w->len - 1] != '{';
	} else {
		jw_obj(w);
	}
	jw_kint(w, "last_seq", j->last_seq);
	jw_obj_end(w);
	wait_stored(c, j);
}

void call_fail_after(struct call *c, struct journal *j, const struct err *e)
{
	c->err = *e;
	err_data(&c->err, "%s%s\"last_seq\":%lld", e->data,
		 e->data[0] ? "," : "", (long long)j->last_seq);
	if (c->err.data[0] == '\0')
		memcpy(c->err.data, e->data, sizeof(e->data));
	wait_stored(c, j);
}

void call_list_fail(struct call_list *l, const struct err *e)
{
	struct call *c;

	while ((c = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, c, link);
		call_fail(c, e);
	}
}

int call_new(struct h2_stream *s, char *body, size_t len, struct call **out,
	     struct err *e)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		free(body);
		return err_set(e, -ENOMEM, "call: out of memory");
	}
	c->stream = s;
	c->body = body;
	c->params.i = -1;
	for (size_t i = 0; i < len; i++)
		if (body[i] == '\n' || body[i] == '\r')
			body[i] = ' ';
	if (len > 0 && json_parse(&c->json, body, len, e) < 0) {
		call_free(c);
		e->code = -FAULT_INVALID_ARGUMENT;
		return e->code;
	}
	c->params = json_root(&c->json);
	if (c->json.depth > CALL_DEPTH_MAX) {
		call_free(c);
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "call: params are nested more than %d deep",
			       CALL_DEPTH_MAX);
	}
	if (len > 0 && !jv_is(c->params, JV_OBJECT)) {
		call_free(c);
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "call: params are no object");
	}
	h2_stream_set(s, &stream_events, c);
	*out = c;
	return 0;
}
