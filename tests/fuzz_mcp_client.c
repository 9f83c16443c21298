// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mcp_client.c - Requests end exactly once, whatever a server says
 *
 * The first byte chooses the era and what the owner does.  Each line of the rest
 * is what the server says, at most once each: a line "!<n>" is an act of the owner
 * in its place (cancel, lose the transport, free, wait).  In the lines of the
 * server, "$ID" stands for the id of the client's last request, so that answers
 * fit.  What the client sends must be messages.
 */
#include "mcp/client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/base.h"

#define CALLS	  4
#define LINE_MAX_ 4096

enum {
	ERA_LEGACY = 1,
	ERA_MODERN = 2,
	ANSWER_AT_ONCE = 4,
	REFUSE = 8,
	FREE_IN_DONE = 16,
	LISTEN = 32,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
	struct mcp_client *c;
	unsigned mode;
	int64_t last_id; /* Of a request of the client. */
	int64_t handle[CALLS];
	int started[CALLS], ended[CALLS];
	int n_ready, n_failed, lists, lists_ended;
	bool freed;
	int64_t question;
};

struct call {
	struct side *side;
	int i;
};

static struct call calls[CALLS];

static void on_send(const char *msg, size_t len, void *arg)
{
	struct side *s = arg;
	autojson struct json j = {0};
	struct rpc_msg m;

	assert(!s->freed);
	assert(memchr(msg, '\n', len) == NULL);
	assert(rpc_decode(&j, msg, len, &m, NULL) == 0);
	if (m.kind == RPC_REQUEST)
		s->last_id = jv_int(m.id, -1);
}

static void free_client(struct side *s)
{
	mcp_client_free(s->c);
	s->freed = true;
}

static void on_done(const struct mcp_answer *a, void *arg)
{
	struct call *call = arg;

	call->side->ended[call->i]++;
	assert(call->side->ended[call->i] <= call->side->started[call->i]);
	assert(jv_is(a->result, JV_OBJECT) == (a->status == 0));
	assert(jv_has(a->error) == (a->status == -EREMOTEIO));
	if ((call->side->mode & FREE_IN_DONE) && !call->side->freed)
		free_client(call->side);
}

static void on_list(const struct mcp_list *l, void *arg)
{
	struct side *s = arg;
	autojson struct json j = {0};

	s->lists_ended++;
	assert(s->lists_ended <= s->lists);
	assert((l->items != NULL) == (l->status == 0));
	if (l->items != NULL)
		assert(json_parse(&j, l->items, l->len, NULL) == 0);
}

static void on_progress(struct jv params, void *arg)
{
	struct call *call = arg;

	(void)params;
	assert(call->side->ended[call->i] < call->side->started[call->i]);
}

static void ask(struct side *s)
{
	static const char *const methods[] = {"tools/call", "resources/read",
					      "prompts/get", "x"};

	for (int i = 0; i < CALLS && !s->freed; i++) {
		const struct mcp_request_spec spec = {
			.method = methods[i],
			.params = i % 2 ? "{\"name\":\"n\",\"_meta\":{\"a\":1}}"
					: NULL,
			.max_ms = i % 2 ? 600000 : 0,
			.pass_input_required = i == 3,
			.progress = i % 2 ? on_progress : NULL,
			.done = on_done,
			.arg = &calls[i],
		};

		s->handle[i] = mcp_client_request(s->c, &spec);
		s->started[i] += s->handle[i] > 0;
	}
	if (!s->freed && mcp_client_list(s->c, "tools", 0, on_list, s) == 0)
		s->lists++;
}

static void on_ready(struct mcp_client *c, void *arg)
{
	struct side *s = arg;
	const struct mcp_server_facts *f = mcp_client_facts(c);

	assert(++s->n_ready + s->n_failed == 1);
	assert(f->era != MCP_ERA_UNKNOWN && f->version != NULL);
	assert(f->info[0] == '{' && f->capabilities[0] == '{');
	ask(s);
}

static void on_failed(struct mcp_client *c, const struct err *e, void *arg)
{
	struct side *s = arg;

	(void)c;
	assert(s->n_ready + ++s->n_failed == 1);
	assert(e->code < 0 && e->msg[0] != '\0');
}

static void answer(struct side *s, int64_t id)
{
	if (s->mode & REFUSE)
		(void)mcp_client_reply_error(s->c, id, -1, "no", "[1]");
	else
		(void)mcp_client_reply(s->c, id, "{\"ok\":true}");
}

static void on_question(struct mcp_client *c, const struct mcp_question *q,
			void *arg)
{
	struct side *s = arg;

	(void)c;
	assert(!s->freed && jv_is(q->method, JV_STRING));
	s->question = q->id;
	if (s->mode & ANSWER_AT_ONCE)
		answer(s, q->id);
}

static void on_gone(struct mcp_client *c, int64_t id, void *arg)
{
	(void)c, (void)id;
	assert(!((struct side *)arg)->freed);
}

static void on_changed(struct mcp_client *c, const char *kind, void *arg)
{
	(void)c, (void)kind;
	assert(!((struct side *)arg)->freed);
}

static void act(struct side *s, char what)
{
	switch (what) {
	case 'c':
		mcp_client_cancel(s->c, s->handle[1], "r\n");
		break;
	case 'a':
		answer(s, s->question);
		break;
	case 'l':
		mcp_client_lost(s->c);
		break;
	case 'f':
		free_client(s);
		break;
	default:
		(void)mcp_client_notify(s->c, "n", NULL);
	}
}

/* @line with each "$ID" replaced. */
static size_t put_id(const struct side *s, const char *line, size_t len,
		     char out[LINE_MAX_])
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 24 < LINE_MAX_;) {
		if (len - i >= 3 && memcmp(line + i, "$ID", 3) == 0) {
			n += (size_t)snprintf(out + n, 24, "%lld",
					      (long long)s->last_id);
			i += 3;
		} else {
			out[n++] = line[i++];
		}
	}
	return n;
}

static void hear_all(struct side *s, const char *data, size_t size)
{
	while (size > 0 && !s->freed) {
		const char *nl = memchr(data, '\n', size);
		size_t len = nl ? (size_t)(nl - data) : size;
		char line[LINE_MAX_];

		if (len > 1 && data[0] == '!')
			act(s, data[1]);
		else
			(void)mcp_client_feed(s->c, line,
					      put_id(s, data, len, line));
		len += nl != NULL;
		data += len;
		size -= len;
	}
}

static struct mcp_client_opts opts_of(unsigned mode)
{
	return (struct mcp_client_opts){
		.era = mode & ERA_LEGACY   ? MCP_ERA_LEGACY
		       : mode & ERA_MODERN ? MCP_ERA_MODERN
					   : MCP_ERA_UNKNOWN,
		.capabilities = "{\"extensions\":{}}",
		.listen = (mode & LISTEN) != 0,
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mcp_client_events events = {
		.send = on_send,
		.ready = on_ready,
		.failed = on_failed,
		.request = on_question,
		.request_gone = on_gone,
		.list_changed = on_changed,
	};
	struct side s = {.last_id = -1};
	struct mcp_client_opts opts;
	uv_loop_t loop;

	if (size < 1)
		return 0;
	s.mode = data[0];
	opts = opts_of(s.mode);
	for (int i = 0; i < CALLS; i++)
		calls[i] = (struct call){&s, i};
	assert(uv_loop_init(&loop) == 0);
	assert(mcp_client_new(&loop, &opts, &events, &s, &s.c) == 0);
	assert(mcp_client_start(s.c) == 0);
	hear_all(&s, (const char *)data + 1, size - 1);
	if (!s.freed)
		free_client(&s);
	for (int i = 0; i < CALLS; i++)
		assert(s.ended[i] == s.started[i]);
	assert(s.lists == s.lists_ended);
	assert(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	assert(uv_loop_close(&loop) == 0);
	return 0;
}
