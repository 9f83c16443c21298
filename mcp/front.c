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
 *
 * A message of the far end goes to the stream of the request that it answers or
 * belongs to.  Where the far end does not tell, the message does: progress by
 * its token, news of lists and resources to the GET stream; what remains goes to
 * the newest open request, as servers speak while they serve.
 */
#include "mcp/front.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>

#include "core/hex.h"
#include "mcp/front_impl.h"

static const struct jv absent = {.i = -1};

/* --- links ---------------------------------------------------------------- */

static void link_free(struct mcp_link *l)
{
	struct mcp_front *f = l->front;
	struct mcp_answer_stream *s;

	while ((s = TAILQ_FIRST(&l->streams)) != NULL)
		mcp_stream_free(s);
	TAILQ_REMOVE(&f->links, l, next);
	if (l->session[0] != '\0')
		f->n_sessions--;
	if (TAILQ_EMPTY(&f->links))
		(void)uv_timer_stop(&f->tick);
	free(l->target);
	free(l);
}

void mcp_link_end(struct mcp_link *l)
{
	if (l->far_open) {
		l->far_open = false;
		l->front->ops->close(l, l->front->arg);
	}
	link_free(l);
}

static bool is_connected(const struct mcp_link *l)
{
	const struct mcp_answer_stream *s;

	TAILQ_FOREACH (s, &l->streams, next)
		if (s->req != NULL)
			return true;
	return false;
}

/* Make room for one more session: the one unused for longest goes, and one that
 * has a client connected only when all have. */
static void evict_idlest(struct mcp_front *f)
{
	struct mcp_link *l, *idlest = NULL, *busiest = NULL;

	TAILQ_FOREACH (l, &f->links, next) {
		struct mcp_link **worst = is_connected(l) ? &busiest : &idlest;

		if (l->session[0] != '\0' &&
		    (*worst == NULL || l->used_ms < (*worst)->used_ms))
			*worst = l;
	}
	if (idlest == NULL)
		idlest = busiest;
	if (idlest != NULL)
		mcp_link_end(idlest);
}

static void on_tick(uv_timer_t *t)
{
	struct mcp_front *f = t->data;
	uint64_t now = uv_now(f->loop);
	struct mcp_answer_stream *s;
	struct mcp_link *l, *next;

	for (l = TAILQ_FIRST(&f->links); l != NULL; l = next) {
		next = TAILQ_NEXT(l, next);
		TAILQ_FOREACH (s, &l->streams, next)
			mcp_stream_tick(s);
		if (!is_connected(l) && now - l->used_ms > MCP_SESSION_IDLE_MS)
			mcp_link_end(l);
	}
}

static int name_session(struct mcp_link *l)
{
	uint8_t raw[SESSION_ID_LEN / 2];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return -EIO;
	hex_encode(raw, sizeof(raw), l->session);
	return 0;
}

static struct mcp_link *link_new(struct mcp_front *f, const char *target,
				 bool session, struct err *e)
{
	struct mcp_link *l;
	int r = 0;

	if (session && f->n_sessions >= MCP_SESSIONS_MAX)
		evict_idlest(f);
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	l->front = f;
	l->used_ms = uv_now(f->loop);
	TAILQ_INIT(&l->streams);
	TAILQ_INSERT_TAIL(&f->links, l, next);
	l->target = strdup(target);
	if (session)
		r = name_session(l);
	f->n_sessions += l->session[0] != '\0';
	if (r < 0 || l->target == NULL)
		err_set(e, -ENOMEM, "no session could be made");
	else
		r = f->ops->open(l, f->arg, e);
	if (r < 0 || l->target == NULL) {
		link_free(l);
		return NULL;
	}
	l->far_open = true;
	if (!uv_is_active((uv_handle_t *)&f->tick))
		(void)uv_timer_start(&f->tick, on_tick, MCP_TICK_MS,
				     MCP_TICK_MS);
	return l;
}

static struct mcp_link *find_session(struct mcp_front *f, const char *session,
				     const char *target)
{
	struct mcp_link *l;

	TAILQ_FOREACH (l, &f->links, next)
		if (session[0] != '\0' && strcmp(l->session, session) == 0 &&
		    strcmp(l->target, target) == 0)
			return l;
	return NULL;
}

const char *mcp_link_target(const struct mcp_link *l)
{
	return l->target;
}

bool mcp_link_is_stateless(const struct mcp_link *l)
{
	return l->session[0] == '\0';
}

void mcp_link_set_data(struct mcp_link *l, void *data)
{
	l->data = data;
}

void *mcp_link_data(const struct mcp_link *l)
{
	return l->data;
}

/* --- from the far end ----------------------------------------------------- */

static struct mcp_answer_stream *get_stream(struct mcp_link *l)
{
	struct mcp_answer_stream *s;

	TAILQ_FOREACH (s, &l->streams, next)
		if (s->id == NULL)
			return s;
	return mcp_stream_new(l, NULL, NULL);
}

static struct mcp_answer_stream *newest_request(struct mcp_link *l)
{
	struct mcp_answer_stream *s;

	s = TAILQ_LAST(&l->streams, mcp_streams);
	while (s != NULL && (s->id == NULL || s->done))
		s = TAILQ_PREV(s, mcp_streams, next);
	return s;
}

static struct mcp_answer_stream *stream_of_token(struct mcp_link *l,
						 struct jv token)
{
	struct mcp_answer_stream *s;
	size_t len;
	const char *raw = jv_raw(token, &len);

	TAILQ_FOREACH (s, &l->streams, next)
		if (raw != NULL && s->token != NULL && !s->done &&
		    strlen(s->token) == len && memcmp(s->token, raw, len) == 0)
			return s;
	return NULL;
}

/* Is it news that belongs to no request? */
static bool is_news(struct jv method)
{
	static const char *const news[] = {
		"notifications/tools/list_changed",
		"notifications/prompts/list_changed",
		"notifications/resources/list_changed",
		"notifications/resources/updated",
	};

	for (size_t i = 0; i < ARRAY_LEN(news); i++)
		if (jv_eq(method, news[i]))
			return true;
	return false;
}

/* Where a message goes whose request nobody named. */
static struct mcp_answer_stream *guess(struct mcp_link *l,
				       const struct rpc_msg *m)
{
	struct mcp_answer_stream *s = NULL;
	const char *id;
	size_t len;

	if (m->kind == RPC_RESPONSE) {
		id = jv_raw(m->id, &len);
		return id ? mcp_stream_find(l, id, len) : NULL;
	}
	if (l->session[0] == '\0')
		return newest_request(l);
	if (jv_eq(m->method, "notifications/progress"))
		s = stream_of_token(l, jv_get(m->params, "progressToken"));
	else if (!is_news(m->method))
		s = newest_request(l);
	return s ? s : get_stream(l);
}

void mcp_link_send(struct mcp_link *l, const char *msg, size_t len,
		   const char *id, size_t id_len)
{
	struct mcp_answer_stream *s = NULL;
	autojson struct json j = {0};
	struct rpc_msg m;

	if (rpc_decode(&j, msg, len, &m, NULL) < 0)
		return;
	if (id != NULL)
		s = mcp_stream_find(l, id, id_len);
	if (s == NULL)
		s = guess(l, &m);
	if (s != NULL)
		mcp_stream_put(s, msg, len, m.kind == RPC_RESPONSE,
			       (int)jv_int(jv_get(m.error, "code"), 0));
}

/* Answer what is open, as the far end will not. */
static void answer_lost(struct mcp_answer_stream *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "jsonrpc", "2.0");
	jw_key(&w, "id");
	jw_raw(&w, s->id, s->id_len);
	jw_kraw(&w, "error",
		"{\"code\":-32603,\"message\":\"the server is gone\"}");
	jw_obj_end(&w);
	if (w.failed)
		mcp_stream_free(s);
	else
		mcp_stream_put(s, w.buf, w.len, true, RPC_INTERNAL);
}

void mcp_link_lost(struct mcp_link *l)
{
	struct mcp_answer_stream *s;

	l->far_open = false;
	while ((s = newest_request(l)) != NULL)
		answer_lost(s);
	link_free(l);
}

void mcp_link_retry(struct mcp_link *l, const char *id, size_t id_len,
		    int retry_ms)
{
	struct mcp_answer_stream *s = mcp_stream_find(l, id, id_len);

	if (s != NULL)
		mcp_stream_retry(s, retry_ms);
}

/* --- from the client ------------------------------------------------------ */

/* Hand the body on, on one line: a line end in JSON is white space. */
static void pass_on(struct mcp_link *l, struct http_req *r)
{
	size_t len;
	const char *body = http_body(r, &len);
	char *line = malloc(len + 1);

	if (line == NULL)
		return;
	for (size_t i = 0; i < len; i++)
		line[i] = body[i] == '\n' || body[i] == '\r' ? ' ' : body[i];
	line[len] = '\0';
	l->front->ops->message(l, line, len, l->front->arg);
	free(line);
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

static void pass_request(struct mcp_link *l, struct http_req *r,
			 const struct mcp_post *p)
{
	struct mcp_answer_stream *s = NULL;
	size_t len;
	const char *id = jv_raw(p->msg.id, &len);

	if (mcp_stream_find(l, id, len) != NULL) {
		mcp_refuse(r, 400, p->msg.id, RPC_INVALID_REQUEST,
			   "a request of that id is open", NULL);
		return;
	}
	s = mcp_stream_new(l, r, &p->msg);
	if (s == NULL || s->id == NULL) {
		if (s != NULL) {
			http_on_end(r, NULL, NULL);
			s->req = NULL;
			mcp_stream_free(s);
		}
		mcp_refuse(r, 503, p->msg.id, RPC_INTERNAL,
			   "too many requests are open", NULL);
		return;
	}
	pass_on(l, r);
}

static void on_modern(struct mcp_front *f, struct http_req *r,
		      const char *target, const struct mcp_post *p)
{
	const char *message = NULL;
	autojw struct jw data = {0};
	struct err e = {0};
	struct mcp_link *l;
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
	l = link_new(f, target, false, &e);
	if (l == NULL)
		mcp_refuse(r, 503, p->msg.id, RPC_INTERNAL, e.msg, NULL);
	else
		pass_request(l, r, p);
}

static void on_initialize(struct mcp_front *f, struct http_req *r,
			  const char *target, const struct mcp_post *p)
{
	struct err e = {0};
	struct mcp_link *l = link_new(f, target, true, &e);

	if (l == NULL) {
		mcp_refuse(r, 503, p->msg.id, RPC_INTERNAL, e.msg, NULL);
		return;
	}
	http_answer_header(r, "Mcp-Session-Id", l->session);
	pass_request(l, r, p);
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
	l = find_session(f, session, target);
	if (l == NULL) {
		mcp_refuse(r, 404, id, RPC_INVALID_REQUEST, "no such session",
			   NULL);
		return NULL;
	}
	l->used_ms = uv_now(f->loop);
	return l;
}

/* The client says that it does not wait for an answer any more. */
static void on_client_cancelled(struct mcp_link *l, const struct rpc_msg *m)
{
	struct mcp_answer_stream *s;
	size_t len;
	const char *id;

	if (!jv_eq(m->method, "notifications/cancelled"))
		return;
	id = jv_raw(jv_get(m->params, "requestId"), &len);
	s = id ? mcp_stream_find(l, id, len) : NULL;
	if (s != NULL)
		mcp_stream_free(s);
}

static void on_legacy(struct mcp_front *f, struct http_req *r,
		      const char *target, const struct mcp_post *p)
{
	struct mcp_link *l;

	if (p->msg.kind == RPC_REQUEST && jv_eq(p->msg.method, "initialize")) {
		on_initialize(f, r, target, p);
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
		pass_request(l, r, p);
		return;
	}
	reply_status(r, 202);
	if (p->msg.kind == RPC_NOTIFICATION)
		on_client_cancelled(l, &p->msg);
	pass_on(l, r);
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
	struct mcp_answer_stream *s;
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
	s = event ? mcp_stream_of_event(l, event, &after) : get_stream(l);
	if (s == NULL)
		mcp_refuse(r, 400, absent, RPC_INVALID_REQUEST,
			   "nothing is kept for this Last-Event-ID", NULL);
	else if (event == NULL && s->req != NULL)
		mcp_refuse(r, 409, absent, RPC_INVALID_REQUEST,
			   "the session has a stream open", NULL);
	else
		mcp_stream_attach(s, r, event ? after : s->last_written);
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
