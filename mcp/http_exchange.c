// SPDX-License-Identifier: Apache-2.0
/*
 * http_exchange.c - One exchange with a server over HTTP
 *
 *	WAITING -> RUNNING --- answered, or refused -------------> removed
 *	              |  ^---- redirected within the origin -.
 *	              |  '-----------------------------------'
 *	              |------- its stream broke ----> RESUMING (GET) -> RUNNING
 *	              '------- HTTP+SSE: taken -----> AWAITING -------> removed
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "mcp/http_impl.h"
#include "mcp/http_url.h"

#define OWN_HEADERS_MAX 12 /* That the transport adds. */

/* --- the request ---------------------------------------------------------- */

struct head {
	char **lines; /* Ended by NULL. */
	size_t n, cap;
	bool failed;
};

static void head_done(struct head *head)
{
	for (size_t i = 0; i < head->n; i++) {
		explicit_bzero(head->lines[i], strlen(head->lines[i]));
		free(head->lines[i]);
	}
	free(head->lines);
}

static void add_line(struct head *head, char *line)
{
	if (line == NULL || head->n + 1 >= head->cap) {
		free(line);
		head->failed = true;
		return;
	}
	head->lines[head->n++] = line;
}

static void add(struct head *head, const char *name, const char *value)
{
	char *line;

	/* libcurl's way to say that the value is empty. */
	if (*value == '\0' ? asprintf(&line, "%s;", name) < 0
			   : asprintf(&line, "%s: %s", name, value) < 0)
		line = NULL;
	add_line(head, line);
}

static void add_encoded(struct head *head, const char *name, const char *value)
{
	autojw struct jw w = {0};

	param_header_value(&w, value, strlen(value));
	if (w.failed)
		head->failed = true;
	else
		add(head, name, w.buf ? w.buf : "");
}

static int add_param(const char *name, const char *value, void *arg)
{
	autofree char *full = NULL;

	if (asprintf(&full, "Mcp-Param-%s", name) < 0) {
		full = NULL;
		return -ENOMEM;
	}
	add(arg, full, value);
	return 0;
}

/* The arguments that the tool's schema wants in headers. */
static void add_params(struct head *head, const struct exchange *x)
{
	autojson struct json j = {0};

	if (strcmp(x->method, "tools/call") != 0 || x->body == NULL)
		return;
	if (json_parse(&j, x->body, x->len, NULL) < 0 ||
	    param_headers_put(x->h->params, jv_get(json_root(&j), "params"),
			      add_param, head) < 0)
		head->failed = true;
}

static void add_modern(struct head *head, const struct exchange *x)
{
	add_encoded(head, "MCP-Protocol-Version", x->version);
	add_encoded(head, "Mcp-Method", x->method);
	if (x->name != NULL)
		add_encoded(head, "Mcp-Name", x->name);
	add_params(head, x);
}

static void add_legacy(struct head *head, const struct exchange *x)
{
	const struct mcp_http *h = x->h;

	if (h->version != NULL)
		add_encoded(head, "MCP-Protocol-Version", h->version);
	if (h->session != NULL)
		add(head, "Mcp-Session-Id", h->session);
	if (x->last_id != NULL)
		add(head, "Last-Event-ID", x->last_id);
}

/* Else it is a GET, or a DELETE. */
static bool is_post(const struct exchange *x)
{
	return x->kind == EXCHANGE_POST && !x->taken;
}

static void put_head(struct head *head, const struct exchange *x)
{
	size_t n = 0;

	while (x->h->headers[n] != NULL)
		n++;
	head->cap = n + OWN_HEADERS_MAX + PARAM_HEADERS_MAX + 1;
	head->lines = calloc(head->cap, sizeof(*head->lines));
	if (head->lines == NULL) {
		head->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		add_line(head, strdup(x->h->headers[i]));
	if (is_post(x)) {
		add(head, "Content-Type", "application/json");
		add(head, "Accept", "application/json, text/event-stream");
	} else {
		add(head, "Accept", "text/event-stream");
	}
	if (x->version != NULL)
		add_modern(head, x);
	else
		add_legacy(head, x);
}

static const char *url_of(const struct exchange *x)
{
	if (x->url != NULL)
		return x->url;
	if (x->kind == EXCHANGE_POST && x->h->endpoint != NULL)
		return x->h->endpoint;
	return x->h->url;
}

/* --- the answer ----------------------------------------------------------- */

static bool is_2xx(const struct exchange *x)
{
	return x->status >= 200 && x->status < 300;
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 307 || status == 308;
}

static void stop_reading(struct exchange *x)
{
	if (x->is_sse)
		sse_reader_done(&x->reader);
	x->is_sse = false;
	jw_done(&x->text);
	x->h->budget->held -= x->held;
	x->held = 0;
}

static void count_held(struct exchange *x)
{
	size_t now = x->text.len;

	if (x->is_sse)
		now += x->reader.lines.len + x->reader.data.len;
	x->h->budget->held += now - x->held;
	x->held = now;
}

static void note_last_id(struct exchange *x, const char *id)
{
	char *copy;

	if (id == NULL || strpbrk(id, "\r\n") != NULL ||
	    (x->last_id != NULL && strcmp(id, x->last_id) == 0))
		return;
	copy = *id ? strdup(id) : NULL;
	free(x->last_id);
	x->last_id = copy;
}

static void take_endpoint(struct exchange *x, const char *ref)
{
	struct mcp_http *h = x->h;
	char *url;

	if (x->kind != EXCHANGE_LISTEN || h->mode == HTTP_STREAMABLE ||
	    h->endpoint != NULL)
		return;
	if (http_url_resolve(h->url, ref, &url) < 0) {
		http_lose(h, "its endpoint is at another origin");
		return;
	}
	h->endpoint = url;
	h->mode = HTTP_SSE;
	http_pump(h);
}

static void on_event(const struct sse_event *ev, void *arg)
{
	struct exchange *x = arg;

	if (x->h->closing || x->h->lost)
		return;
	x->tries = 0;
	note_last_id(x, ev->id);
	if (ev->len == 0)
		return;
	if (strcmp(ev->event, "endpoint") == 0)
		take_endpoint(x, ev->data);
	else if (strcmp(ev->event, "message") == 0 && ev->len <= MCP_LINE_MAX)
		http_deliver(x, ev->data, ev->len);
}

static bool is_event_stream(const char *type)
{
	return type != NULL && strncasecmp(type, "text/event-stream", 17) == 0;
}

/* initialize was answered: the session is what its head says. */
static void take_session(struct exchange *x, struct transfer *t)
{
	const char *id = transfer_header(t, "Mcp-Session-Id");
	struct mcp_http *h = x->h;

	if (x->version != NULL || x->method == NULL ||
	    strcmp(x->method, "initialize") != 0)
		return;
	free(h->session);
	h->session = NULL;
	if (id == NULL || *id == '\0' || strlen(id) > MCP_HTTP_SESSION_MAX)
		return;
	for (const char *c = id; *c != '\0'; c++)
		if (*c < 0x21 || *c > 0x7e)
			return;
	h->session = strdup(id);
}

static void on_head(struct transfer *t, int status, void *arg)
{
	struct exchange *x = arg;

	x->status = status;
	if (!is_2xx(x))
		return;
	take_session(x, t);
	x->taken = true;
	if (transfer_drop_body(t))
		exchange_forget_body(x);
	if (is_event_stream(transfer_header(t, "Content-Type"))) {
		x->is_sse = true;
		sse_reader_init(&x->reader, on_event, x);
	}
}

static void give_up(struct exchange *x, const char *why)
{
	exchange_fail(x, 0, why);
	if (x->kind == EXCHANGE_LISTEN && x->h->mode != HTTP_STREAMABLE)
		http_lose(x->h, why);
	else
		exchange_remove(x);
}

static void on_body(struct transfer *t, char *data, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct mcp_http *h = x->h;
	int r = 0;

	(void)t;
	http_enter(h);
	if (x->is_sse)
		r = sse_reader_feed(&x->reader, data, n);
	else if (x->text.len + n > MCP_LINE_MAX)
		r = -EMSGSIZE;
	else
		jw_lit(&x->text, data, n);
	if (x->is_sse && x->reader.retry_ms >= 0)
		x->retry_ms = x->reader.retry_ms;
	count_held(x);
	if (r < 0 || h->budget->held > h->budget->held_max)
		give_up(x, "the server's answer is too large");
	http_leave(h);
}

/* --- the end -------------------------------------------------------------- */

static const char *transport_error(int r)
{
	switch (r) {
	case -ECONNREFUSED:
		return "the server cannot be reached";
	case -EHOSTUNREACH:
		return "the server's address is not known";
	case -ETIMEDOUT:
		return "the server took too long";
	case -EACCES:
		return "the server's certificate cannot be verified";
	case -ENOMEM:
		return "out of memory";
	default:
		return "the connection to the server broke";
	}
}

static void fail_status(struct exchange *x)
{
	char why[64];

	snprintf(why, sizeof(why), "the server answered with HTTP status %d",
		 x->status);
	exchange_fail(x, x->status, why);
}

/* Again after a pause, by GET. */
static void resume_later(struct exchange *x)
{
	int64_t ms = x->retry_ms >= 0 ? x->retry_ms : MCP_HTTP_RETRY_MS;

	if (x->tries > 1)
		ms = ms < MCP_HTTP_RETRY_MS ? MCP_HTTP_RETRY_MS << x->tries
					    : ms << x->tries;
	if (ms > MCP_HTTP_RETRY_MAX_MS)
		ms = MCP_HTTP_RETRY_MAX_MS;
	if (x->tries < 16)
		x->tries++;
	x->state = EXCHANGE_RESUMING;
	x->again = uv_now(x->h->timer.loop) + (uint64_t)ms;
	http_arm_timer(x->h);
}

static bool can_resume(const struct exchange *x)
{
	return x->version == NULL && x->last_id != NULL &&
	       x->tries < MCP_HTTP_TRIES_MAX;
}

/* Return: whether it goes on elsewhere. */
static bool redirected(struct exchange *x, const char *location)
{
	char *url;
	int r;

	if (location == NULL || x->redirects >= MCP_HTTP_REDIRECTS_MAX)
		return false;
	r = http_url_resolve(url_of(x), location, &url);
	if (r == -EXDEV)
		exchange_fail(x, x->status,
			      "the server redirects to another origin");
	if (r < 0)
		return false;
	free(x->url);
	x->url = url;
	x->redirects++;
	exchange_start(x);
	return true;
}

/* A server that knows initialize by GET alone speaks the transport of 2024. */
static bool try_sse(struct exchange *x)
{
	struct mcp_http *h = x->h;

	if (h->mode != HTTP_STREAMABLE || x->version != NULL ||
	    !x->unanswered || strcmp(x->method, "initialize") != 0 ||
	    (x->status != 400 && x->status != 404 && x->status != 405))
		return false;
	h->mode = HTTP_TRYING_SSE;
	if (http_listen(h) < 0) {
		h->mode = HTTP_STREAMABLE;
		return false;
	}
	x->state = EXCHANGE_WAITING;
	return true;
}

/* It is not that either: the waiting initialize fails with what it was told. */
static void sse_missed(struct mcp_http *h)
{
	struct exchange *x;

	h->mode = HTTP_STREAMABLE;
	TAILQ_FOREACH (x, &h->open, link)
		if (x->kind == EXCHANGE_POST && x->status != 0)
			break;
	if (x == NULL)
		return;
	fail_status(x);
	exchange_remove(x);
}

static bool is_method(const struct exchange *x, const char *method)
{
	return x->method != NULL && strcmp(x->method, method) == 0;
}

static void post_refused(struct exchange *x, const char *text, size_t len)
{
	struct mcp_http *h = x->h;
	bool forgotten = x->status == 404 && h->session != NULL &&
			 x->version == NULL && !is_method(x, "initialize");

	if (try_sse(x))
		return;
	if (forgotten || !exchange_refuse(x, text, len))
		fail_status(x);
	if (forgotten && !h->closing)
		http_lose(h, "the server has forgotten the session");
	else
		exchange_remove(x);
}

static void post_accepted(struct exchange *x, int r, bool was_sse)
{
	struct mcp_http *h = x->h;

	if (!x->unanswered) {
		bool opened = is_method(x, "notifications/initialized");

		exchange_remove(x);
		/* Without memory nothing is told unasked. */
		if (opened && h->mode == HTTP_STREAMABLE)
			(void)http_listen(h);
	} else if (h->mode == HTTP_SSE) {
		x->state = EXCHANGE_AWAITING;
	} else if (was_sse && can_resume(x)) {
		resume_later(x);
	} else {
		exchange_fail(x, r < 0 ? 0 : x->status,
			      "the server did not answer");
		exchange_remove(x);
	}
}

static void post_ended(struct exchange *x, int r, bool was_sse)
{
	struct jw text = x->text;

	x->text = (struct jw){0};
	if (!was_sse && is_2xx(x) && r == 0 && text.len > 0)
		http_deliver(x, text.buf, text.len);
	if (x->h->closing || x->h->lost) {
		/* It has been removed. */
	} else if (is_2xx(x)) {
		post_accepted(x, r, was_sse);
	} else if (r < 0 && x->taken && can_resume(x)) {
		resume_later(x); /* The GET did not get through. */
	} else if (r < 0) {
		exchange_fail(x, 0, transport_error(r));
		exchange_remove(x);
	} else {
		post_refused(x, text.buf ? text.buf : "", text.len);
	}
	jw_done(&text);
}

/* Of the server's, and for now. */
static bool is_trouble(const struct exchange *x)
{
	return (x->status >= 500 || x->status == 429) &&
	       x->tries < MCP_HTTP_TRIES_MAX;
}

static void listen_ended(struct exchange *x, int r, bool was_sse)
{
	struct mcp_http *h = x->h;

	if (h->mode == HTTP_SSE) {
		http_lose(h, h->endpoint ? "the server has ended its stream"
					 : "it does not offer HTTP+SSE");
	} else if (h->mode == HTTP_TRYING_SSE) {
		exchange_remove(x);
		sse_missed(h);
	} else if (r == 0 && x->status == 404 && h->session != NULL &&
		   x->tries > 0) {
		http_lose(h, "the server has forgotten the session");
	} else if (r < 0 || was_sse || is_trouble(x)) {
		resume_later(x);
	} else {
		exchange_remove(x); /* There is none. */
	}
}

static void on_end(struct transfer *t, int r, void *arg)
{
	struct exchange *x = arg;
	struct mcp_http *h = x->h;
	bool was_sse = x->is_sse;
	autofree char *location = NULL;

	if (r == 0 && is_redirect(x->status) &&
	    transfer_header(t, "Location") != NULL)
		location = strdup(transfer_header(t, "Location"));
	http_enter(h);
	x->t = NULL;
	x->body = transfer_take_body(t);
	if (x->taken)
		exchange_forget_body(x);
	if (was_sse)
		sse_reader_done(&x->reader);
	x->is_sse = false;
	if (!redirected(x, location)) {
		if (x->kind == EXCHANGE_POST)
			post_ended(x, r, was_sse);
		else if (x->kind == EXCHANGE_LISTEN)
			listen_ended(x, r, was_sse);
		else
			exchange_remove(x);
	}
	if (x->t == NULL)
		stop_reading(x);
	if (!h->closing && !h->lost)
		http_pump(h);
	http_leave(h);
}

static const char *method_of(const struct exchange *x)
{
	if (x->kind == EXCHANGE_DELETE)
		return "DELETE";
	return is_post(x) ? "POST" : "GET";
}

void exchange_start(struct exchange *x)
{
	static const struct transfer_ops ops = {
		.head = on_head, .body = on_body, .end = on_end};
	struct transfer_spec spec = {
		.method = method_of(x),
		.url = url_of(x),
		.body = x->body,
		.body_len = x->len,
		.timeout_ms =
			x->kind == EXCHANGE_DELETE ? MCP_HTTP_DELETE_MS : 0,
	};
	struct head head = {0};

	stop_reading(x);
	x->status = 0;
	x->again = NEVER;
	x->state = EXCHANGE_RUNNING;
	put_head(&head, x);
	spec.headers = head.lines;
	if (!head.failed)
		x->t = transfer_start(x->h->pool, &spec, &ops, x);
	head_done(&head);
	if (x->t != NULL)
		x->body = NULL; /* The transfer has it. */
	else
		resume_later(x); /* When there is memory again. */
}
