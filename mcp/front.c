// SPDX-License-Identifier: Apache-2.0
/*
 * front.c - Streamable HTTP in front of anything that speaks lines of MCP
 *
 *	POST	a message; a request is answered in the same exchange
 *	GET	legacy: what belongs to no request, or what was missed
 *	DELETE	legacy: the end of the session
 *
 * A request that names the modern version, or whose _meta does, is modern: it
 * gets a link of its own that ends with it, by its answer or by the client
 * hanging up, which cancels it.  All else belongs to a session: `initialize`
 * makes one, the others name it.
 */
#include "mcp/front.h"

#include <string.h>

#include "core/loop.h"
#include "mcp/front_impl.h"

static const struct jv absent = {.i = -1};

/* --- from the client ------------------------------------------------------ */

/* Hand the body on, on one line: a line end in JSON is white space.  Return: 0;
 * -ENOMEM. */
static int pass_on(struct mcp_link *l, struct http_req *r)
{
	size_t len;
	const char *body = http_body(r, &len);
	char *line = malloc(len + 1);

	if (line == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++)
		line[i] = body[i] == '\n' || body[i] == '\r' ? ' ' : body[i];
	line[len] = '\0';
	l->front->ops->message(l, line, len, l->front->arg);
	free(line);
	return 0;
}

static void reply_status(struct http_req *r, int status)
{
	http_reply(r, status, NULL, "", 0);
}

static void refuse_method(struct http_req *r, const char *allow)
{
	http_answer_header(r, "Allow", allow);
	reply_status(r, 405);
}

/* Return: 0, or -EBUSY: it is refused. */
static int pass_request(struct mcp_link *l, struct http_req *r,
			const struct mcp_post *p)
{
	struct mcp_outlet *s;
	size_t len;
	const char *id = jv_raw(p->msg.id, &len);

	if (mcp_outlet_find(l, id, len) != NULL) {
		mcp_refuse(r, 400, p->msg.id, RPC_INVALID_REQUEST,
			   "a request of that id is open", NULL);
		return -EBUSY;
	}
	s = mcp_outlet_new(l, r, &p->msg);
	if (s != NULL && pass_on(l, r) == 0)
		return 0;
	if (s != NULL)
		mcp_outlet_disown(s);
	mcp_refuse(r, 503, p->msg.id, RPC_INTERNAL,
		   "too many requests are open", NULL);
	return -EBUSY;
}

/* Open a far end for a request and hand it that. */
static void pass_first(struct mcp_front *f, struct http_req *r,
		       const char *target, const struct mcp_post *p)
{
	struct err e = {0};
	struct mcp_link *l = mcp_link_new(f, target, !p->modern, &e);

	if (l == NULL) {
		mcp_refuse(r, 503, p->msg.id, RPC_INTERNAL, e.msg, NULL);
		return;
	}
	if (!p->modern)
		http_answer_header(r, "Mcp-Session-Id", l->session);
	if (pass_request(l, r, p) < 0)
		mcp_link_end(l);
}

static void on_modern(struct mcp_front *f, struct http_req *r,
		      const char *target, const struct mcp_post *p)
{
	const char *message = NULL;
	autojw struct jw data = {0};
	int code;

	if (p->msg.kind != RPC_REQUEST) {
		reply_status(r, 202); /* Nothing that anyone could act on. */
		return;
	}
	code = mcp_check_modern(r, p, &message, &data);
	if (code != 0) {
		mcp_refuse(r, 400, p->msg.id, code, message,
			   data.len > 0 && !data.failed ? data.buf : NULL);
		return;
	}
	pass_first(f, r, target, p);
}

/* The session that a request names, or NULL: it is answered. */
static struct mcp_link *session_of(struct mcp_front *f, struct http_req *r,
				   const char *target, struct jv id)
{
	const char *session = http_header(r, "mcp-session-id");
	struct mcp_link *l;

	if (session == NULL) {
		mcp_refuse(r, 400, id, RPC_INVALID_REQUEST,
			   "header Mcp-Session-Id is missing", NULL);
		return NULL;
	}
	l = mcp_link_find(f, session, target);
	if (l == NULL) {
		mcp_refuse(r, 404, id, RPC_INVALID_REQUEST, "no such session",
			   NULL);
		return NULL;
	}
	l->used_ms = loop_now(f->loop);
	return l;
}

/* The client says that it does not wait for an answer any more. */
static void on_client_cancelled(struct mcp_link *l, const struct rpc_msg *m)
{
	struct mcp_outlet *s;
	size_t len;
	const char *id;

	if (!jv_eq(m->method, "notifications/cancelled"))
		return;
	id = jv_raw(jv_get(m->params, "requestId"), &len);
	s = id ? mcp_outlet_find(l, id, len) : NULL;
	if (s != NULL)
		mcp_outlet_free(s);
}

static void on_legacy(struct mcp_front *f, struct http_req *r,
		      const char *target, const struct mcp_post *p)
{
	struct mcp_link *l;

	if (p->msg.kind == RPC_REQUEST && jv_eq(p->msg.method, "initialize")) {
		pass_first(f, r, target, p);
		return;
	}
	l = session_of(f, r, target, p->msg.id);
	if (l == NULL)
		return;
	if (p->version != NULL && mcp_legacy_version(p->version) == NULL) {
		mcp_refuse(r, 400, p->msg.id, RPC_INVALID_REQUEST,
			   "unsupported MCP-Protocol-Version", NULL);
		return;
	}
	if (p->msg.kind == RPC_REQUEST) {
		(void)pass_request(l, r, p);
		return;
	}
	if (p->msg.kind == RPC_NOTIFICATION)
		on_client_cancelled(l, &p->msg);
	reply_status(r, pass_on(l, r) < 0 ? 503 : 202);
}

static void on_post(struct mcp_front *f, struct http_req *r, const char *target)
{
	autojson struct json j = {0};
	struct mcp_post p = {.version = http_header(r, "mcp-protocol-version")};
	size_t len;
	const char *body = http_body(r, &len);
	int e;

	if (!mcp_header_lists(r, "content-type", "application/json")) {
		mcp_refuse(r, 415, absent, RPC_INVALID_REQUEST,
			   "Content-Type is not application/json", NULL);
		return;
	}
	if (!mcp_header_lists(r, "accept", "application/json") ||
	    !mcp_header_lists(r, "accept", "text/event-stream")) {
		mcp_refuse(r, 406, absent, RPC_INVALID_REQUEST,
			   "Accept lacks application/json or text/event-stream",
			   NULL);
		return;
	}
	e = len > MCP_LINE_MAX ? -EMSGSIZE
			       : rpc_decode(&j, body, len, &p.msg, NULL);
	if (e < 0) {
		mcp_refuse(r, e == -EMSGSIZE ? 413 : 400, absent,
			   e == -EINVAL ? RPC_PARSE_ERROR : RPC_INVALID_REQUEST,
			   "the body is no message that is taken here", NULL);
		return;
	}
	mcp_meta_read(&p.meta, p.msg.params);
	p.modern = mcp_meta_is_modern(&p.meta) ||
		   (p.version != NULL &&
		    strcmp(p.version, MCP_MODERN_LATEST) == 0);
	if (p.modern)
		on_modern(f, r, target, &p);
	else
		on_legacy(f, r, target, &p);
}

/* Is it a method that modern clients do not have? */
static bool refuse_modern(struct http_req *r)
{
	const char *version = http_header(r, "mcp-protocol-version");

	if (version == NULL || strcmp(version, MCP_MODERN_LATEST) != 0)
		return false;
	refuse_method(r, "POST");
	return true;
}

static void on_get(struct mcp_front *f, struct http_req *r, const char *target)
{
	const char *event = http_header(r, "last-event-id");
	struct mcp_outlet *s;
	struct mcp_link *l;
	uint32_t after = 0;

	if (refuse_modern(r))
		return;
	if (http_header(r, "mcp-session-id") == NULL) {
		/* A client of the older transport tries whether we are one. */
		refuse_method(r, "POST");
		return;
	}
	l = session_of(f, r, target, absent);
	if (l == NULL)
		return;
	s = event ? mcp_outlet_of_event(l, event, &after) : mcp_link_outlet(l);
	if (s == NULL)
		mcp_refuse(r, 400, absent, RPC_INVALID_REQUEST,
			   "nothing is kept for this Last-Event-ID", NULL);
	else if (event == NULL && s->req != NULL)
		mcp_refuse(r, 409, absent, RPC_INVALID_REQUEST,
			   "the session has a stream open", NULL);
	else
		mcp_outlet_attach(s, r, event ? after : s->last_written);
}

static void on_delete(struct mcp_front *f, struct http_req *r,
		      const char *target)
{
	struct mcp_link *l;

	if (refuse_modern(r))
		return;
	l = session_of(f, r, target, absent);
	if (l == NULL)
		return;
	reply_status(r, 204);
	mcp_link_end(l);
}

void mcp_front_request(struct mcp_front *f, struct http_req *r,
		       const char *target)
{
	const char *method = http_method(r);

	if (strcmp(method, "POST") == 0)
		on_post(f, r, target);
	else if (strcmp(method, "GET") == 0)
		on_get(f, r, target);
	else if (strcmp(method, "DELETE") == 0)
		on_delete(f, r, target);
	else
		refuse_method(r, "GET, POST, DELETE");
}

/* --- life ----------------------------------------------------------------- */

struct mcp_front *mcp_front_new(uv_loop_t *loop,
				const struct mcp_front_ops *ops, void *arg)
{
	struct mcp_front *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->loop = loop;
	f->ops = ops;
	f->arg = arg;
	TAILQ_INIT(&f->links);
	(void)uv_timer_init(loop, &f->tick);
	f->tick.data = f;
	return f;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void mcp_front_close(struct mcp_front *f)
{
	struct mcp_link *l;

	if (f == NULL)
		return;
	while ((l = TAILQ_FIRST(&f->links)) != NULL)
		mcp_link_end(l);
	uv_close((uv_handle_t *)&f->tick, on_closed);
}
