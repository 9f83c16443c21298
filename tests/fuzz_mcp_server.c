// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mcp_server.c - Whatever a client sends, in one piece or byte by byte, the
 * server says the same, each of it a message, and answers nothing twice
 *
 * The first byte of the input says what kind of connection it is.
 */
#include "mcp/server.h"

#include <assert.h>
#include <string.h>

#define HELD_MAX 16

#define BIT_LATE      1 /* The server opens when all has been said. */
#define BIT_STATELESS 2
#define BIT_FAILS     4 /* It opens never. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct mcp_server *server;
	struct mcp_conn *conn;
	struct mcp_request *held[HELD_MAX];
	unsigned n_held;
	unsigned n_lines, n_answers;
	uint64_t said; /* Hash. */
};

static void on_send(const char *msg, size_t len,
		    const struct mcp_request *related, void *arg)
{
	struct run *u = arg;
	autojson struct json j = {0};
	struct rpc_msg m;

	(void)related;
	assert(memchr(msg, '\n', len) == NULL);
	assert(json_parse(&j, msg, len, NULL) == 0);
	if (rpc_decode(&j, msg, len, &m, NULL) == 0)
		u->n_answers += m.kind == RPC_RESPONSE;
	else /* An error about what had no id. */
		u->n_answers += jv_has(jv_get(json_root(&j), "error"));
	for (size_t i = 0; i < len; i++)
		u->said = (u->said ^ (unsigned char)msg[i]) * 1099511628211u;
}

static void ask(struct mcp_request *q)
{
	static const struct mcp_question questions[] = {
		{"a", "elicitation/create", "{\"message\":\"?\"}"},
		{"b", "roots/list", NULL},
	};
	char state[MCP_STATE_MAX + 1];

	if (mcp_state(q, state) < 0)
		mcp_reply_error(q, RPC_INVALID_PARAMS, "forged", NULL);
	else if (jv_has(mcp_answer(q, "a")))
		mcp_reply(q, "{\"_meta\":{\"x\":[1,\"}\"]},\"ok\":true}");
	else
		mcp_ask(q, questions, ARRAY_LEN(questions), NULL);
}

static void on_request(struct mcp_request *q, void *arg)
{
	struct run *u = arg;
	struct jv name = jv_get(q->params, "name");
	size_t len;
	const char *raw = jv_raw(q->params, &len);

	if (jv_eq(name, "hold") && u->n_held < HELD_MAX)
		u->held[u->n_held++] = q;
	else if (jv_eq(name, "ask"))
		ask(q);
	else if (jv_eq(name, "close")) {
		mcp_conn_close(u->conn);
		u->conn = NULL;
		mcp_reply(q, NULL);
	} else if (jv_is(q->params, JV_OBJECT)) {
		mcp_progress(q, 1, -1, "m");
		mcp_log(q, "error", NULL, "1");
		mcp_server_list_changed(u->server, "tools");
		mcp_reply_raw(q, raw, len); /* Everything that can be there. */
	} else
		mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "no", NULL);
}

static const struct mcp_server_ops ops = {.request = on_request};

static void open_server(struct run *u, unsigned bits)
{
	static const struct mcp_info info = {
		.name = "n",
		.capabilities = "{\"tools\":{\"listChanged\":true},\"prompts\":"
				"{},\"resources\":{\"subscribe\":true},"
				"\"logging\":{},\"completions\":{}}",
	};

	if (bits & BIT_FAILS)
		mcp_server_fail(u->server, "it \"failed\"");
	else
		assert(mcp_server_open(u->server, &info) == 0);
}

static void feed(struct run *u, const uint8_t *data, size_t size, size_t piece)
{
	char *copy = malloc(piece);

	assert(copy != NULL);
	for (size_t at = 0; at < size && u->conn != NULL; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		memcpy(copy, data + at, n);
		assert(mcp_conn_feed(u->conn, copy, n) == 0);
	}
	free(copy);
}

/* Return: the hash of all that was said. */
static uint64_t run(unsigned bits, const uint8_t *data, size_t size,
		    size_t piece)
{
	struct mcp_conn_spec spec = {.send = on_send,
				     .stateless = bits & BIT_STATELESS};
	struct run u = {0};
	uv_loop_t loop;

	assert(uv_loop_init(&loop) == 0);
	u.server = mcp_server_new(&loop, &ops, &u);
	assert(u.server != NULL);
	spec.arg = &u;
	u.conn = mcp_conn_new(u.server, &spec);
	assert(u.conn != NULL);
	for (size_t i = 0; i < size; i++)
		u.n_lines += data[i] == '\n';

	if (!(bits & BIT_LATE))
		open_server(&u, bits);
	feed(&u, data, size, piece);
	if (bits & BIT_LATE)
		open_server(&u, bits);
	mcp_server_free(u.server);
	for (unsigned i = 0; i < u.n_held; i++)
		mcp_reply(u.held[i], NULL);
	assert(u.n_answers <= u.n_lines);
	assert(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	assert(uv_loop_close(&loop) == 0);
	return u.said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole;

	if (size < 2)
		return 0;
	whole = run(data[0], data + 1, size - 1, size);
	assert(run(data[0], data + 1, size - 1, 1) == whole);
	return 0;
}
