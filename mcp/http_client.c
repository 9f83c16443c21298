// SPDX-License-Identifier: Apache-2.0
/*
 * http_client.c - Streamable HTTP, the client's side: the transport
 *
 * Each message is an exchange of its own (http_exchange.c), and they run side by
 * side; but what comes after `initialize` waits for its answer, and what comes
 * after `notifications/initialized` until the server has taken that.  Responses
 * and notifications never wait behind requests, which may be waiting for them.
 *
 * An exchange that is over is put aside and freed when no callback is at work,
 * so that each of them may close the transport.
 */
#include "mcp/http_client.h"

#include <string.h>

#include "mcp/http_impl.h"
#include "mcp/http_url.h"

/* --- exchanges ------------------------------------------------------------ */

struct exchange *exchange_new(struct mcp_http *h, enum exchange_kind kind)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->h = h;
	x->kind = kind;
	x->retry_ms = -1;
	x->again = NEVER;
	TAILQ_INSERT_TAIL(&h->open, x, link);
	return x;
}

void exchange_forget_body(struct exchange *x)
{
	x->h->less = x->h->less || x->len > 0;
	x->h->budget->queued -= x->len;
	x->len = 0;
	free(x->body);
	x->body = NULL;
}

void exchange_remove(struct exchange *x)
{
	struct mcp_http *h = x->h;

	if (x->state == EXCHANGE_GONE)
		return;
	TAILQ_REMOVE(&h->open, x, link);
	TAILQ_INSERT_TAIL(&h->gone, x, link);
	x->state = EXCHANGE_GONE;
	x->again = NEVER;
	x->unanswered = false;
	if (x->t != NULL)
		transfer_cancel(x->t);
	x->t = NULL;
}

static void exchange_free(struct exchange *x)
{
	exchange_forget_body(x);
	x->h->budget->held -= x->held;
	if (x->is_sse)
		sse_reader_done(&x->reader);
	jw_done(&x->text);
	free(x->id);
	free(x->method);
	free(x->name);
	free(x->version);
	free(x->last_id);
	free(x->url);
	free(x);
}

static void bury(struct mcp_http *h)
{
	struct exchange *x;

	while ((x = TAILQ_FIRST(&h->gone)) != NULL) {
		TAILQ_REMOVE(&h->gone, x, link);
		exchange_free(x);
	}
}

void http_enter(struct mcp_http *h)
{
	h->depth++;
}

static void finish_close(struct mcp_http *h);

void http_leave(struct mcp_http *h)
{
	if (--h->depth > 0)
		return;
	bury(h);
	if (h->closing) {
		if (TAILQ_EMPTY(&h->open))
			finish_close(h);
		return;
	}
	if (!h->less || h->events->drained == NULL)
		return;
	h->less = false;
	h->events->drained(h, h->arg);
}

static void remove_all(struct mcp_http *h)
{
	struct exchange *x;

	while ((x = TAILQ_FIRST(&h->open)) != NULL)
		exchange_remove(x);
}

void http_lose(struct mcp_http *h, const char *why)
{
	struct err e;

	if (h->lost || h->closing)
		return;
	remove_all(h);
	h->lost = true;
	err_set(&e, -EPIPE, "%s", why);
	if (h->events->lost != NULL)
		h->events->lost(h, &e, h->arg);
}

/* --- whose turn it is ----------------------------------------------------- */

static bool is_method(const struct exchange *x, const char *method)
{
	return x->method != NULL && strcmp(x->method, method) == 0;
}

/* Do requests behind it have to wait? */
static bool is_barrier(const struct exchange *x)
{
	if (x->kind != EXCHANGE_POST)
		return false;
	return (is_method(x, "initialize") && x->unanswered) ||
	       is_method(x, "notifications/initialized");
}

void http_pump(struct mcp_http *h)
{
	struct exchange *x, *next;
	bool barrier = false;
	unsigned running = 0;

	if (h->mode != HTTP_STREAMABLE && h->endpoint == NULL)
		return;
	TAILQ_FOREACH (x, &h->open, link)
		running += x->unanswered && x->state != EXCHANGE_WAITING;
	for (x = TAILQ_FIRST(&h->open); x != NULL; x = next) {
		next = TAILQ_NEXT(x, link);
		if (x->state == EXCHANGE_WAITING &&
		    (x->id == NULL ||
		     (!barrier && running < MCP_HTTP_OPEN_MAX))) {
			running += x->id != NULL;
			exchange_start(x);
		}
		barrier = barrier || is_barrier(x);
	}
}

static void timer_on_fire(uv_timer_t *timer)
{
	struct mcp_http *h = container_of(timer, struct mcp_http, timer);
	uint64_t now = uv_now(timer->loop);
	struct exchange *x, *next;

	http_enter(h);
	for (x = TAILQ_FIRST(&h->open); x != NULL; x = next) {
		next = TAILQ_NEXT(x, link);
		if (x->again > now)
			continue;
		if (x->state == EXCHANGE_RUNNING)
			exchange_remove(x);
		else
			exchange_start(x);
	}
	http_arm_timer(h);
	http_leave(h);
}

void http_arm_timer(struct mcp_http *h)
{
	uint64_t now = uv_now(h->timer.loop), first = NEVER;
	const struct exchange *x;

	TAILQ_FOREACH (x, &h->open, link)
		if (x->again < first)
			first = x->again;
	if (first == NEVER || h->closing)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, timer_on_fire,
			       first > now ? first - now : 0, 0);
}

int http_listen(struct mcp_http *h)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &h->open, link)
		if (x->kind == EXCHANGE_LISTEN)
			return 0;
	x = exchange_new(h, EXCHANGE_LISTEN);
	if (x == NULL)
		return -ENOMEM;
	exchange_start(x);
	return 0;
}

/* --- sending -------------------------------------------------------------- */

static char *copy_raw(struct jv v)
{
	size_t len;
	const char *text = jv_raw(v, &len);

	return strndup(text, len);
}

/* What goes into Mcp-Name. */
static struct jv name_of(const struct rpc_msg *m)
{
	if (jv_eq(m->method, "tools/call") || jv_eq(m->method, "prompts/get"))
		return jv_get(m->params, "name");
	if (jv_eq(m->method, "resources/read"))
		return jv_get(m->params, "uri");
	return (struct jv){.i = -1};
}

/* Copy what is there.  Return: whether memory sufficed. */
static bool copy_string(struct jv v, char **out)
{
	*out = jv_strdup(v, NULL);
	return *out != NULL || !jv_is(v, JV_STRING);
}

/* A legacy conversation begins anew. */
static void forget_session(struct mcp_http *h)
{
	free(h->session);
	h->session = NULL;
	h->version = NULL;
}

static int fill(struct exchange *x, const struct rpc_msg *m)
{
	struct jv meta = jv_get(m->params, "_meta");
	size_t len;

	x->body = copy_raw(m->root);
	if (x->body == NULL)
		return -ENOMEM;
	jv_raw(m->root, &len);
	x->len = len;
	x->h->budget->queued += len;
	if (m->kind == RPC_REQUEST && (x->id = copy_raw(m->id)) == NULL)
		return -ENOMEM;
	x->unanswered = x->id != NULL;
	return copy_string(m->method, &x->method) &&
			       copy_string(name_of(m), &x->name) &&
			       copy_string(jv_get(meta, MCP_META_VERSION),
					   &x->version)
		       ? 0
		       : -ENOMEM;
}

static unsigned count_waiting(const struct mcp_http *h)
{
	const struct exchange *x;
	unsigned n = 0;

	TAILQ_FOREACH (x, &h->open, link)
		n += x->state == EXCHANGE_WAITING;
	return n;
}

/* A request that nobody waits for any more.  Return: whether the server has to
 * be told, as a break of the connection does not tell it. */
static bool cancel(struct mcp_http *h, struct jv id)
{
	struct exchange *x;
	bool tell;
	size_t len;
	const char *raw = jv_raw(id, &len);

	TAILQ_FOREACH (x, &h->open, link)
		if (x->id != NULL && raw != NULL && strlen(x->id) == len &&
		    memcmp(x->id, raw, len) == 0)
			break;
	if (x == NULL)
		return true;
	tell = x->version == NULL && x->state != EXCHANGE_WAITING;
	exchange_remove(x);
	return tell;
}

static int post(struct mcp_http *h, const struct rpc_msg *m)
{
	struct exchange *x;
	int r;

	if (count_waiting(h) >= MCP_HTTP_WAITING_MAX)
		return -EAGAIN;
	x = exchange_new(h, EXCHANGE_POST);
	if (x == NULL)
		return -ENOMEM;
	if (jv_eq(m->method, "initialize"))
		forget_session(h);
	r = fill(x, m);
	if (r < 0)
		exchange_remove(x);
	else
		http_pump(h);
	return r;
}

int mcp_http_message(struct mcp_http *h, const struct rpc_msg *m)
{
	int r = 0;

	if (h->lost || h->closing)
		return -EPIPE;
	http_enter(h);
	if (m->kind != RPC_NOTIFICATION ||
	    !jv_eq(m->method, "notifications/cancelled") ||
	    cancel(h, jv_get(m->params, "requestId")))
		r = post(h, m);
	/* The owner may be in the middle of something: no event from here. */
	if (--h->depth == 0)
		bury(h);
	return r;
}

int mcp_http_send(struct mcp_http *h, const char *msg, size_t len)
{
	autojson struct json j = {0};
	struct rpc_msg m;
	int r = rpc_decode(&j, msg, len, &m, NULL);

	return r < 0 ? r : mcp_http_message(h, &m);
}

void mcp_http_pause(struct mcp_http *h, bool pause)
{
	transfers_pause(h->pool, pause);
}

/* --- life ----------------------------------------------------------------- */

/* Header fields that the transport sets itself. */
static bool is_ours(const char *line, size_t name_len)
{
	static const char *const ours[] = {
		"Accept",
		"Connection",
		"Content-Length",
		"Content-Type",
		"Expect",
		"Host",
		"Last-Event-ID",
		"Mcp-Method",
		"MCP-Protocol-Version",
		"Mcp-Name",
		"Mcp-Session-Id",
		"TE",
		"Trailer",
		"Transfer-Encoding",
		"Upgrade",
	};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strlen(ours[i]) == name_len &&
		    strncasecmp(ours[i], line, name_len) == 0)
			return true;
	return name_len >= 10 && strncasecmp(line, "Mcp-Param-", 10) == 0;
}

static bool is_header(const char *line)
{
	const char *colon = strchr(line, ':');

	if (colon == NULL || strpbrk(line, "\r\n") != NULL)
		return false;
	return param_header_is_name(line, (size_t)(colon - line)) &&
	       !is_ours(line, (size_t)(colon - line));
}

/* "Name:" with nothing behind it would tell libcurl to send no such header. */
static char *copy_header(const char *line)
{
	const char *colon = strchr(line, ':');
	char *copy = strdup(line);

	if (copy != NULL && colon[1 + strspn(colon + 1, " \t")] == '\0') {
		copy[colon - line] = ';';
		copy[colon - line + 1] = '\0';
	}
	return copy;
}

static int copy_headers(struct mcp_http *h, const char *const *headers,
			struct err *e)
{
	size_t n = 0;

	while (headers != NULL && headers[n] != NULL)
		n++;
	h->headers = calloc(n + 1, sizeof(*h->headers));
	if (h->headers == NULL)
		return err_set(e, -ENOMEM, "mcp: out of memory");
	for (size_t i = 0; i < n; i++) {
		if (!is_header(headers[i]))
			return err_set(e, -EINVAL, "header %zu cannot be sent",
				       i + 1);
		h->headers[i] = copy_header(headers[i]);
		if (h->headers[i] == NULL)
			return err_set(e, -ENOMEM, "mcp: out of memory");
	}
	return 0;
}

static void release(struct mcp_http *h)
{
	for (char **l = h->headers; l != NULL && *l != NULL; l++) {
		explicit_bzero(*l, strlen(*l));
		free(*l);
	}
	free(h->headers);
	param_headers_free(h->params);
	free(h->url);
	free(h->endpoint);
	free(h->session);
	free(h);
}

int mcp_http_open(uv_loop_t *loop, const struct mcp_http_opts *opts,
		  const struct mcp_http_events *events, void *arg,
		  struct mcp_http **out, struct err *e)
{
	struct mcp_http *h;
	int r;

	if (!http_url_is_good(opts->url))
		return err_set(e, -EINVAL, "the URL is not one of http(s)");
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return err_set(e, -ENOMEM, "mcp: out of memory");
	TAILQ_INIT(&h->open);
	TAILQ_INIT(&h->gone);
	h->events = events;
	h->arg = arg;
	h->own.held_max = MCP_HTTP_HELD_MAX;
	h->budget = opts->budget ? opts->budget : &h->own;
	h->mode = opts->sse ? HTTP_SSE : HTTP_STREAMABLE;
	h->url = strdup(opts->url);
	h->params = param_headers_new();
	r = copy_headers(h, opts->headers, e);
	if (r == 0 && (h->url == NULL || h->params == NULL ||
		       (h->pool = transfers_new(loop, opts->ca_file)) == NULL))
		r = err_set(e, -ENOMEM, "mcp: out of memory");
	if (r < 0) {
		release(h);
		return r;
	}
	uv_timer_init(loop, &h->timer); /* Cannot fail. */
	if (h->mode == HTTP_SSE && http_listen(h) < 0) {
		mcp_http_close(h, NULL, NULL);
		return err_set(e, -ENOMEM, "mcp: out of memory");
	}
	*out = h;
	return 0;
}

static void handle_gone(struct mcp_http *h)
{
	void (*closed)(void *arg) = h->closed;
	void *arg = h->closed_arg;

	if (--h->handles > 0)
		return;
	release(h);
	if (closed != NULL)
		closed(arg);
}

static void timer_on_close(uv_handle_t *handle)
{
	handle_gone(container_of((uv_timer_t *)handle, struct mcp_http, timer));
}

static void pool_on_closed(void *arg)
{
	handle_gone(arg);
}

static void finish_close(struct mcp_http *h)
{
	if (h->handles > 0)
		return; /* It is on its way. */
	h->handles = 2;
	uv_close((uv_handle_t *)&h->timer, timer_on_close);
	transfers_close(h->pool, pool_on_closed, h);
}

/* What is not freed yet counts no more: @h->budget may soon be gone. */
static void leave_budget(struct mcp_http *h)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &h->gone, link) {
		h->budget->queued -= x->len;
		h->budget->held -= x->held;
		h->own.queued += x->len;
		h->own.held += x->held;
	}
	h->budget = &h->own;
}

void mcp_http_close(struct mcp_http *h, void (*cb)(void *arg), void *arg)
{
	struct exchange *x = NULL;

	if (h == NULL || h->closing)
		return;
	http_enter(h);
	remove_all(h);
	leave_budget(h);
	h->closing = true;
	h->closed = cb;
	h->closed_arg = arg;
	uv_timer_stop(&h->timer);
	if (h->session != NULL && !h->lost && h->mode == HTTP_STREAMABLE)
		x = exchange_new(h, EXCHANGE_DELETE);
	if (x != NULL)
		exchange_start(x);
	transfers_pause(h->pool, false);
	http_leave(h);
}
