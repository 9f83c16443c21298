// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_rpc.c - Calls end exactly once, whatever the other side says
 *
 * Each line of the input is a message to a peer that has calls open.  A line
 * that starts with '!' frees the peer at the next callback instead.  What the
 * peer sends must itself be a message.
 */
#include "core/rpc.h"

#include <assert.h>
#include <string.h>

#define CALLS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
	struct rpc *rpc;
	int ended[CALLS];
	bool free_next;
	bool freed;
};

struct call {
	struct side *side;
	int i;
};

static void maybe_free(struct side *s)
{
	if (!s->free_next || s->freed)
		return;
	s->freed = true;
	rpc_free(s->rpc);
}

static void on_send(const char *msg, size_t len, void *arg)
{
	const struct side *s = arg;
	autojson struct json j = {0};
	struct rpc_msg m;

	assert(!s->freed);
	assert(rpc_decode(&j, msg, len, &m, NULL) == 0);
	assert(memchr(msg, '\n', len) == NULL);
}

static void on_request(const struct rpc_msg *m, void *arg)
{
	struct side *s = arg;
	size_t len;
	const char *id = jv_raw(m->id, &len);

	assert(m->kind == RPC_REQUEST && jv_is(m->method, JV_STRING));
	assert(!s->freed && len <= RPC_ID_MAX);
	assert(rpc_reply(s->rpc, id, len, NULL) == 0);
	assert(rpc_reply_error(s->rpc, id, len, -1, "no", NULL) == 0);
	maybe_free(s);
}

static void on_notify(const struct rpc_msg *m, void *arg)
{
	assert(m->kind == RPC_NOTIFICATION && jv_is(m->method, JV_STRING));
	maybe_free(arg);
}

static void on_stray(const struct rpc_msg *m, void *arg)
{
	assert(m->kind == RPC_RESPONSE);
	maybe_free(arg);
}

static void on_done(const struct rpc_answer *a, void *arg)
{
	struct call *c = arg;

	assert(a->status == 0 || a->status == -EREMOTEIO ||
	       a->status == -ECANCELED);
	assert(!jv_has(a->result) || a->status == 0);
	assert(jv_has(a->error) == (a->status == -EREMOTEIO));
	c->side->ended[c->i]++;
	maybe_free(c->side);
}

static void hear(struct side *s, const char *line, size_t len)
{
	autojson struct json j = {0};
	struct rpc_msg m;

	if (len > 0 && line[0] == '!')
		s->free_next = true;
	else if (rpc_decode(&j, line, len, &m, NULL) == 0)
		rpc_dispatch(s->rpc, &m);
}

static void hear_all(struct side *s, const char *data, size_t size)
{
	while (size > 0 && !s->freed) {
		const char *nl = memchr(data, '\n', size);
		size_t len = nl ? (size_t)(nl - data) : size;

		hear(s, data, len);
		len += nl != NULL;
		data += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rpc_ops ops = {
		.send = on_send,
		.request = on_request,
		.notify = on_notify,
		.stray = on_stray,
	};
	struct side s = {0};
	struct call calls[CALLS];
	uv_loop_t loop;

	assert(uv_loop_init(&loop) == 0);
	s.rpc = rpc_new(&loop, &ops, &s);
	assert(s.rpc != NULL);
	for (int i = 0; i < CALLS; i++) {
		calls[i] = (struct call){&s, i};
		assert(rpc_call(s.rpc, "m", NULL, i % 2 ? 60000 : 0, on_done,
				&calls[i]) == i);
	}

	hear_all(&s, (const char *)data, size);
	s.free_next = true;
	maybe_free(&s);
	for (int i = 0; i < CALLS; i++)
		assert(s.ended[i] == 1);
	assert(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	assert(uv_loop_close(&loop) == 0);
	return 0;
}
