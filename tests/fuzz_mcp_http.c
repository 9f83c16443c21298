// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mcp_http.c - Whatever an HTTP server answers, a request is answered once
 *
 * mcp/transfers.h is played here: no network.  The first byte chooses the
 * transport and what the owner does when it hears something; each line of the
 * rest is an act, of the owner or of the server:
 *
 *	S<m>	      send message number m        T	   the timer's turn
 *	C	      cancel the last request	   Q	   close
 *	H<k><s><head> status and head of the answer to transfer k
 *	B<k><text>    bytes of its body; "\n" is a line's end, "$ID" the id of
 *		      the last request
 *	E<k>, X<k>    its end, in order or not
 *
 * A transfer of which nothing is there is passed over.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "mcp/http_client.h"
#include "mcp/transfers.h"

#define CALLS	  64
#define REQUESTS  4 /* Of the messages that are sent; the first ones. */
#define TRANSFERS 128
#define TEXT_MAX_ 4096
#define MODERN	  "{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}"
#define SECRET	  "Authorization: Bearer secret"

enum { SSE = 1, CLOSE_IN_MESSAGE = 2, SEND_IN_MESSAGE = 4, SMALL_BUDGET = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct transfer {
	const struct transfer_ops *ops;
	void *arg;
	char *body;
	char *head; /* "Name: value" of the answer. */
	bool told;  /* Its head was. */
};

struct transfers {
	struct transfer *open[TRANSFERS];
	uv_idle_t handle;
	void (*closed)(void *arg);
	void *arg;
};

struct owner {
	struct mcp_http *h;
	struct transfers *pool;
	unsigned mode;
	bool closed, gone, lost;
	int n_sent, n_answered[CALLS];
};

static struct owner o;

/* --- transfers.h ---------------------------------------------------------- */

struct transfers *transfers_new(uv_loop_t *loop, const char *ca_file)
{
	(void)ca_file;
	o.pool = calloc(1, sizeof(*o.pool));
	uv_idle_init(loop, &o.pool->handle);
	return o.pool;
}

static void detach(const struct transfer *t)
{
	for (size_t i = 0; i < TRANSFERS; i++)
		if (o.pool->open[i] == t)
			o.pool->open[i] = NULL;
}

static void destroy(struct transfer *t)
{
	free(t->body);
	free(t->head);
	free(t);
}

static void pool_on_close(uv_handle_t *h)
{
	struct transfers *p =
		container_of((uv_idle_t *)h, struct transfers, handle);

	if (p->closed != NULL)
		p->closed(p->arg);
	free(p);
}

void transfers_close(struct transfers *p, void (*cb)(void *arg), void *arg)
{
	for (size_t i = 0; i < TRANSFERS; i++)
		if (p->open[i] != NULL)
			destroy(take_ptr(p->open[i]));
	p->closed = cb;
	p->arg = arg;
	o.pool = NULL;
	uv_close((uv_handle_t *)&p->handle, pool_on_close);
}

void transfers_pause(struct transfers *p, bool pause)
{
	assert(p == o.pool);
	(void)pause;
}

static void check_spec(const struct transfer_spec *spec)
{
	bool secret = false;

	assert(strncmp(spec->url, "http://h/", 9) == 0);
	assert((strcmp(spec->method, "POST") == 0) == (spec->body != NULL));
	for (size_t i = 0; spec->headers[i] != NULL; i++) {
		assert(strpbrk(spec->headers[i], "\r\n") == NULL);
		secret = secret || strcmp(spec->headers[i], SECRET) == 0;
	}
	assert(secret);
}

struct transfer *transfer_start(struct transfers *p,
				const struct transfer_spec *spec,
				const struct transfer_ops *ops, void *arg)
{
	struct transfer *t;

	check_spec(spec);
	for (size_t i = 0; i < TRANSFERS; i++) {
		if (p->open[i] != NULL)
			continue;
		t = calloc(1, sizeof(*t));
		t->ops = ops;
		t->arg = arg;
		t->body = spec->body;
		p->open[i] = t;
		return t;
	}
	return NULL;
}

void transfer_cancel(struct transfer *t)
{
	detach(t);
	destroy(t);
}

char *transfer_take_body(struct transfer *t)
{
	return take_ptr(t->body);
}

bool transfer_drop_body(struct transfer *t)
{
	free(t->body);
	t->body = NULL;
	return true;
}

const char *transfer_header(struct transfer *t, const char *name)
{
	size_t n = strlen(name);

	if (t->head == NULL || strncasecmp(t->head, name, n) != 0 ||
	    t->head[n] != ':')
		return NULL;
	return t->head + n + 1 + strspn(t->head + n + 1, " ");
}

/* --- the owner ------------------------------------------------------------ */

static void close_it(void);

static void send_message(unsigned which)
{
	static const char *const messages[] = {
		"\"method\":\"initialize\"",
		"\"method\":\"tools/list\"",
		"\"method\":\"tools/list\",\"params\":{\"_meta\":" MODERN "}",
		"\"method\":\"tools/call\",\"params\":{\"name\":\"t\","
		"\"arguments\":{\"a\":\"b\"},\"_meta\":" MODERN "}",
		"\"method\":\"notifications/initialized\"",
		"\"id\":1,\"result\":{}",
	};
	size_t i = which % ARRAY_LEN(messages);
	char id[24] = "", text[512];
	int n, r;

	if (o.closed || o.n_sent == CALLS)
		return;
	if (i < REQUESTS)
		snprintf(id, sizeof(id), "\"id\":%d,", o.n_sent++);
	n = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",%s%s}", id,
		     messages[i]);
	r = mcp_http_send(o.h, text, (size_t)n);
	assert(o.lost ? r == -EPIPE : r == 0);
}

static void cancel_last(void)
{
	char text[128];
	int n = snprintf(text, sizeof(text),
			 "{\"jsonrpc\":\"2.0\",\"method\":"
			 "\"notifications/cancelled\",\"params\":"
			 "{\"requestId\":%d}}",
			 o.n_sent - 1);

	if (!o.closed && o.n_sent > 0)
		(void)mcp_http_send(o.h, text, (size_t)n);
}

static void on_message(struct mcp_http *h, const struct rpc_msg *m,
		       const char *text, size_t len, void *arg)
{
	int64_t id = jv_int(m->id, -1);

	(void)h;
	(void)arg;
	assert(!o.closed && !o.lost);
	assert(memchr(text, '\n', len) == NULL &&
	       memchr(text, '\r', len) == NULL);
	if (m->kind == RPC_RESPONSE) {
		assert(id >= 0 && id < o.n_sent);
		assert(++o.n_answered[id] == 1);
	}
	if (o.mode & SEND_IN_MESSAGE)
		send_message((unsigned)len);
	if (o.mode & CLOSE_IN_MESSAGE)
		close_it();
}

static void on_lost(struct mcp_http *h, const struct err *e, void *arg)
{
	(void)h;
	(void)arg;
	assert(!o.closed && !o.lost);
	assert(e->code < 0 && e->msg[0] != '\0');
	o.lost = true;
}

static void on_closed(void *arg)
{
	(void)arg;
	o.gone = true;
}

static void close_it(void)
{
	if (o.closed)
		return;
	o.closed = true;
	mcp_http_close(o.h, on_closed, NULL);
}

/* --- the server ----------------------------------------------------------- */

static struct transfer *pick(char which)
{
	size_t skip = (unsigned char)which % 8;

	for (size_t i = 0; o.pool != NULL && i < TRANSFERS; i++)
		if (o.pool->open[i] != NULL && skip-- == 0)
			return o.pool->open[i];
	return NULL;
}

static void say_head(struct transfer *t, const char *line, size_t len)
{
	static const int statuses[] = {200, 202, 404, 405, 400,
				       307, 401, 500, 429, 204};

	size_t i = len > 0 ? (unsigned char)(*line - '0') : 0;

	if (t->told || len == 0)
		return;
	t->told = true;
	t->head = strndup(line + 1, len - 1);
	t->ops->head(t, statuses[i % ARRAY_LEN(statuses)], t->arg);
}

static void say_body(struct transfer *t, const char *line, size_t len)
{
	char text[TEXT_MAX_];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 24 < sizeof(text);) {
		if (len - i >= 3 && memcmp(line + i, "$ID", 3) == 0) {
			n += (size_t)snprintf(text + n, 24, "%d", o.n_sent - 1);
			i += 3;
		} else if (len - i >= 2 && memcmp(line + i, "\\n", 2) == 0) {
			text[n++] = '\n';
			i += 2;
		} else {
			text[n++] = line[i++];
		}
	}
	if (t->told && n > 0)
		t->ops->body(t, text, n, t->arg);
}

/* As libcurl has it: an answer that is in order has a head. */
static void end(struct transfer *t, int r)
{
	if (r == 0 && !t->told)
		say_head(t, "0", 1);
	detach(t);
	t->ops->end(t, r, t->arg);
	destroy(t);
}

static void answer(const char *line, size_t len)
{
	struct transfer *t = len < 2 ? NULL : pick(line[1]);

	if (t == NULL)
		return;
	if (line[0] == 'H')
		say_head(t, line + 2, len - 2);
	else if (line[0] == 'B')
		say_body(t, line + 2, len - 2);
	else if (line[0] == 'E')
		end(t, 0);
	else if (line[0] == 'X')
		end(t, -ECONNRESET);
}

static void act(uv_loop_t *loop, const char *line, size_t len)
{
	if (len == 0)
		return;
	if (line[0] == 'S')
		send_message(len > 1 ? (unsigned char)line[1] : 0);
	else if (line[0] == 'C')
		cancel_last();
	else if (line[0] == 'T')
		uv_run(loop, UV_RUN_NOWAIT);
	else if (line[0] == 'Q')
		close_it();
	else
		answer(line, len);
}

/* --- the whole ------------------------------------------------------------ */

static void run(uv_loop_t *loop, const char *data, size_t size)
{
	while (size > 0) {
		const char *nl = memchr(data, '\n', size);
		size_t len = nl ? (size_t)(nl - data) : size;

		act(loop, data, len);
		len += nl != NULL;
		data += len;
		size -= len;
	}
	close_it();
	for (struct transfer *t; (t = pick(0)) != NULL;)
		end(t, -ECANCELED);
	while (uv_run(loop, UV_RUN_NOWAIT) != 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mcp_http_events events = {
		.message = on_message,
		.lost = on_lost,
	};
	static const char *const headers[] = {SECRET, NULL};
	struct mcp_http_budget budget = {.held_max = MCP_HTTP_HELD_MAX};
	struct mcp_http_opts opts = {
		.url = "http://h/mcp", .headers = headers, .budget = &budget};
	uv_loop_t loop;

	if (size < 1)
		return 0;
	o = (struct owner){.mode = data[0]};
	opts.sse = (o.mode & SSE) != 0;
	if (o.mode & SMALL_BUDGET)
		budget.held_max = 64;
	assert(uv_loop_init(&loop) == 0);
	assert(mcp_http_open(&loop, &opts, &events, NULL, &o.h, NULL) == 0);
	run(&loop, (const char *)data + 1, size - 1);
	assert(o.gone && budget.queued == 0 && budget.held == 0);
	assert(uv_loop_close(&loop) == 0);
	return 0;
}
