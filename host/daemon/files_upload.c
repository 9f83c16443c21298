// SPDX-License-Identifier: Apache-2.0
/*
 * files_upload.c - Contents, from the client to the guest
 *
 *	WAKING --the VM is up--> PASSING --guest's answer--> answered
 *
 * The body is read as fast as the guest takes it.  A guest that refuses says so
 * in the middle of it: the client gets the answer, and the rest is not read.  A
 * client who leaves before the end takes the guest's stream with him, and the
 * file stays as it was.
 */
#include <string.h>

#include "host/daemon/files.h"

struct upload {
	struct http_req *r;	  /* NULL: the client is gone, or answered. */
	struct h2_stream *stream; /* NULL: not yet, or not any more. */
	bool waking;
	bool complete; /* The whole body came. */
	int status;
	struct jw first;  /* Params, and what came before the VM was up. */
	struct jw answer; /* Of the guest. */
};

static void upload_free(struct upload *u)
{
	if (u->waking || u->r != NULL || u->stream != NULL)
		return;
	jw_done(&u->first);
	jw_done(&u->answer);
	free(u);
}

static struct http_req *take_request(struct upload *u)
{
	struct http_req *r = take_ptr(u->r);

	if (r != NULL)
		http_on_end(r, NULL, NULL);
	return r;
}

static void upload_fail(struct upload *u, const struct err *e)
{
	struct http_req *r = take_request(u);

	if (r != NULL)
		http_reply_err(r, e);
}

/* --- the client --------------------------------------------------------- */

static void upload_on_gone(struct http_req *r, void *arg)
{
	struct upload *u = arg;

	(void)r;
	u->r = NULL;
	if (u->stream != NULL && !u->complete)
		h2_reset(u->stream);
	upload_free(u);
}

static int upload_on_body(struct http_req *r, const char *data, size_t n,
			  void *arg)
{
	struct upload *u = arg;

	if (u->stream == NULL) {
		jw_lit(&u->first, data, n);
		return 0;
	}
	if (h2_write(u->stream, data, n) < 0)
		h2_reset(u->stream);
	else if (h2_queued(u->stream) >= FILES_QUEUE_MAX)
		http_body_pause(r);
	return 0;
}

void files_upload_end(struct http_req *r)
{
	struct upload *u = http_data(r);

	u->complete = true;
	if (u->stream != NULL)
		h2_fin(u->stream);
}

/* --- the guest ---------------------------------------------------------- */

static void upload_on_head(struct h2_stream *s, int status, void *arg)
{
	struct upload *u = arg;

	(void)s;
	u->status = status;
}

static void upload_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct upload *u = arg;

	h2_consume(s, n);
	if (u->answer.len + n <= FILES_ERROR_MAX)
		jw_lit(&u->answer, data, n);
}

static void upload_on_drained(struct h2_stream *s, void *arg)
{
	struct upload *u = arg;

	(void)s;
	if (u->r != NULL && !u->complete)
		http_body_resume(u->r);
}

static void reply(struct upload *u)
{
	autojson struct json j = {0};
	struct http_req *r = u->r;
	struct err e = {0};
	char etag[128];

	if (r == NULL)
		return;
	if (u->answer.len == 0 ||
	    json_parse(&j, u->answer.buf, u->answer.len, NULL) < 0) {
		err_set(&e, -FAULT_BAD_FRAME, "the guest answered %d",
			u->status);
	} else if (u->status != 200) {
		(void)err_read(&e, json_root(&j));
	}
	if (e.code < 0) {
		upload_fail(u, &e);
		return;
	}
	etag[0] = '"';
	if (jv_strcpy(jv_get(json_root(&j), "etag"), etag + 1, 120) > 0 &&
	    strcspn(etag + 1, "\"\r\n") == strlen(etag + 1))
		http_answer_header(r, "ETag", strcat(etag, "\""));
	(void)take_request(u);
	http_reply(r, 200, "application/json", u->answer.buf, u->answer.len);
}

/* Its answer is there, maybe before the body's end. */
static void upload_on_fin(struct h2_stream *s, void *arg)
{
	struct upload *u = arg;

	reply(u);
	if (!u->complete)
		h2_reset(s);
}

static void upload_on_end(struct h2_stream *s, int r, void *arg)
{
	struct upload *u = arg;
	struct err e = {0};

	(void)s;
	u->stream = NULL;
	err_set(&e, -FAULT_GUEST_UNREACHABLE,
		"the channel to the guest broke: %s", strerror(-r));
	upload_fail(u, &e);
	upload_free(u);
}

static const struct h2_stream_events upload_events = {
	.head = upload_on_head,
	.data = upload_on_data,
	.fin = upload_on_fin,
	.drained = upload_on_drained,
	.end = upload_on_end,
};

static void pass_on(struct upload *u, struct vm *vm)
{
	struct err e = {0};

	u->stream =
		u->first.failed
			? NULL
			: link_files_stream(vm_link(vm), "write", u->first.buf,
					    u->first.len, !u->complete,
					    &upload_events, u);
	jw_done(&u->first);
	if (u->stream != NULL) {
		if (!u->complete)
			http_body_resume(u->r);
		return;
	}
	err_set(&e, -FAULT_GUEST_UNREACHABLE,
		"the channel to the guest is down");
	upload_fail(u, &e);
}

static void upload_on_awake(struct vm *vm, const struct err *e, void *arg)
{
	struct upload *u = arg;

	u->waking = false;
	if (u->r != NULL && e->code < 0)
		upload_fail(u, e);
	else if (u->r != NULL)
		pass_on(u, vm);
	upload_free(u);
}

bool files_upload_begin(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);
	struct upload *u = calloc(1, sizeof(*u));
	struct http_req *r = op->r;

	if (u == NULL || op->params.failed) {
		free(u);
		op_refuse(op, -ENOMEM, "files: out of memory");
		return false;
	}
	u->r = r;
	u->first = op->params;
	op->params = (struct jw){0};
	jw_lit(&u->first, "\n", 1);
	op->r = NULL;
	op_reply_empty(op);
	http_set_data(r, u);
	http_on_end(r, upload_on_gone, u);
	http_req_on_body(r, upload_on_body, u);
	http_body_pause(r);
	u->waking = true;
	vm_need(vm, upload_on_awake, u);
	return true;
}
