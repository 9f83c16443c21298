// SPDX-License-Identifier: Apache-2.0
/*
 * http_req.c - One request of an HTTP server, as its handler sees it
 *
 * What was asked, read from the request's head and body, and the answer, put
 * into the connection's write queue.  Nothing here calls back: the connection
 * (http_conn.c) learns that an answer is complete, and goes on from the loop.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/http_conn.h"
#include "core/json.h"

#define HEAD_TEXT 256 /* An answer's first line. */

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{410, "Gone"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return ""; /* The phrase is optional. */
}

static void write_head(struct http_req *r, int status, const char *type,
		       const char *more)
{
	struct sock *s = &r->conn->sock;
	char text[HEAD_TEXT];
	int n;

	assert(status >= 200 && status <= 599);
	assert(type == NULL || strpbrk(type, "\r\n") == NULL);
	n = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\n", status,
		     reason(status));
	sock_write(s, text, (size_t)n);
	if (type != NULL) {
		sock_write(s, "Content-Type: ", 14);
		sock_write(s, type, strlen(type));
		sock_write(s, "\r\n", 2);
	}
	if (r->fields != NULL)
		sock_write(s, r->fields, strlen(r->fields));
	sock_write(s, more, strlen(more));
	if (!r->conn->keep)
		sock_write(s, "Connection: close\r\n", 19);
	sock_write(s, "\r\n", 2);
}

void http_answer_header(struct http_req *r, const char *name, const char *value)
{
	char *before = r->fields, *after = NULL;

	assert(r->answer == ANSWER_NONE);
	assert(strpbrk(name, "\r\n:") == NULL &&
	       strpbrk(value, "\r\n") == NULL);
	if ((before != NULL ? strlen(before) : 0) + strlen(name) +
		    strlen(value) >
	    HTTP_HEAD_MAX)
		return;
	if (asprintf(&after, "%s%s: %s\r\n", before ? before : "", name,
		     value) < 0)
		return;
	r->fields = after;
	free(before);
}

void http_reply(struct http_req *r, int status, const char *content_type,
		const char *body, size_t len)
{
	bool bare = status == 204 || status == 304;
	char length[48];

	assert(r->answer == ANSWER_NONE);
	http_conn_cut(r->conn);
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
	write_head(r, status, content_type, bare ? "" : length);
	if (!bare && !r->no_content)
		sock_write(&r->conn->sock, body, len);
	http_conn_answered(r->conn);
}

void http_reply_status(struct http_req *r, int status, const struct err *e)
{
	autojw struct jw w = {0};

	err_write(e, &w);
	if (w.failed)
		sock_break(&r->conn->sock, -ENOMEM);
	else
		http_reply(r, status, "application/json", w.buf, w.len);
}

const char *http_method(const struct http_req *r)
{
	return r->method;
}

const char *http_path(const struct http_req *r)
{
	return r->url.path;
}

const char *http_query(struct http_req *r, const char *name)
{
	return http_url_query(&r->url, name);
}

const char *http_header(const struct http_req *r, const char *name)
{
	return http_head_get(&r->head, name);
}

const char *http_body(const struct http_req *r, size_t *len)
{
	if (len != NULL)
		*len = r->body_len;
	return r->body ? r->body : "";
}

bool http_is_tcp(const struct http_req *r)
{
	return r->conn->tcp;
}

void http_set_data(struct http_req *r, void *data)
{
	r->data = data;
}

void *http_data(const struct http_req *r)
{
	return r->data;
}

void http_on_end(struct http_req *r, void (*cb)(struct http_req *r, void *arg),
		 void *arg)
{
	r->on_end = cb;
	r->on_end_arg = arg;
}

void http_req_on_body(struct http_req *r,
		      int (*cb)(struct http_req *r, const char *data, size_t n,
				void *arg),
		      void *arg)
{
	r->on_body = cb;
	r->on_body_arg = arg;
}

void http_body_pause(struct http_req *r)
{
	r->paused = true;
	http_conn_update(r->conn);
}

void http_body_resume(struct http_req *r)
{
	r->paused = false;
	http_conn_update(r->conn);
}

void http_reply_err(struct http_req *r, const struct err *e)
{
	http_reply_status(r, fault_http_status(err_fault(e->code)), e);
}

void http_stream_begin(struct http_req *r, int status, const char *content_type,
		       void (*drained)(struct http_req *r, void *arg),
		       void *arg)
{
	assert(r->answer == ANSWER_NONE);
	r->answer = ANSWER_STREAM;
	r->drained = drained;
	r->drained_arg = arg;
	r->chunked = !r->http10;
	write_head(r, status, content_type,
		   r->chunked ? "Cache-Control: no-store\r\n"
				"Transfer-Encoding: chunked\r\n"
			      : "Cache-Control: no-store\r\n");
	http_conn_update(r->conn);
}

void http_stream_write(struct http_req *r, const char *data, size_t n)
{
	struct sock *s = &r->conn->sock;
	char size[24];
	int len;

	assert(r->answer == ANSWER_STREAM);
	if (n == 0)
		return;
	if (r->no_content) {
		sock_kick(s); /* So that a writer that waits goes on. */
		return;
	}
	if (!r->chunked) {
		sock_write(s, data, n);
		return;
	}
	len = snprintf(size, sizeof(size), "%zx\r\n", n);
	sock_write(s, size, (size_t)len);
	sock_write(s, data, n);
	sock_write(s, "\r\n", 2);
}

size_t http_stream_queued(const struct http_req *r)
{
	return sock_queued(&r->conn->sock);
}

void http_stream_end(struct http_req *r)
{
	assert(r->answer == ANSWER_STREAM);
	if (r->chunked && !r->no_content)
		sock_write(&r->conn->sock, "0\r\n\r\n", 5);
	http_conn_cut(r->conn);
	http_conn_answered(r->conn);
}

void http_stream_abort(struct http_req *r)
{
	sock_break(&r->conn->sock, -ECANCELED);
}
