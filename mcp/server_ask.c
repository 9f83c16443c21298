// SPDX-License-Identifier: Apache-2.0
/*
 * server_ask.c - Asking the client back in the course of a request
 *
 * A modern client gets the questions as the result of its request, and sends
 * that again with the answers: nothing of it is kept here, the handler's state
 * goes out sealed and comes back with them.  A legacy client gets requests; when
 * the last is answered the handler is called again, from the loop or from the
 * reading of that answer.  An error in place of an answer ends the request.
 */
#include <assert.h>
#include <string.h>

#include "core/time.h"
#include "mcp/server.h"
#include "mcp/server_impl.h"

/* One question to a legacy client. */
struct ask {
	struct mcp_request *request;
	char *key;
	int64_t id; /* Of the call; -1: not open. */
	char *answer;
};

/* A round of them. */
struct mcp_asks {
	struct mcp_conn *conn; /* NULL when that has ended. */
	unsigned n, open;
	struct ask ask[MCP_ASKS_MAX];
	char *state;
	size_t bytes; /* Of the answers. */
	char *text;   /* Of all of them, when they are there. */
	struct json answers;
};

/* Nothing more is wanted of the client. */
static void leave_conn(struct mcp_asks *a)
{
	if (a->conn == NULL)
		return;
	for (unsigned i = 0; i < a->n; i++)
		if (a->ask[i].id >= 0)
			mcp_conn_forget(a->conn, a->ask[i].id);
	a->conn->open_bytes -= a->bytes;
	a->conn = NULL;
}

static void asks_free(struct mcp_asks *a)
{
	if (a == NULL)
		return;
	leave_conn(a);
	for (unsigned i = 0; i < a->n; i++) {
		free(a->ask[i].key);
		free(a->ask[i].answer);
	}
	json_done(&a->answers);
	free(a->text);
	free(a->state);
	free(a);
}

void mcp_asks_leave(struct mcp_request *q)
{
	if (q->asks != NULL)
		leave_conn(q->asks);
}

void mcp_asks_free(struct mcp_request *q)
{
	asks_free(take_ptr(q->asks));
}

bool mcp_asks_wait(const struct mcp_request *q)
{
	return q->asks != NULL && q->asks->open > 0;
}

/* --- what is asked -------------------------------------------------------- */

static const char *capability_of(const char *method)
{
	static const struct {
		const char *method, *capability;
	} table[] = {
		{"elicitation/create", "elicitation"},
		{"sampling/createMessage", "sampling"},
		{"roots/list", "roots"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(method, table[i].method) == 0)
			return table[i].capability;
	return NULL;
}

/* What a sealed state is bound to: the request, but for what changes when it is
 * sent again.  Return: text owned by the caller, or NULL. */
static char *context_of(const struct mcp_request *q)
{
	static const char *const members[] = {"name", "uri", "arguments"};
	autojw struct jw w = {0};

	jw_str(&w, q->method);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		jw_value(&w, jv_get(q->params, members[i]));
	return jw_take(&w, NULL);
}

static void put_questions(struct jw *w, const struct mcp_question *questions,
			  size_t n)
{
	jw_key(w, "inputRequests");
	jw_obj(w);
	for (size_t i = 0; i < n; i++) {
		jw_key(w, questions[i].key);
		jw_obj(w);
		jw_kstr(w, "method", questions[i].method);
		if (questions[i].params != NULL)
			jw_kraw(w, "params", questions[i].params);
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

static void ask_modern(struct mcp_request *q,
		       const struct mcp_question *questions, size_t n,
		       const char *state)
{
	const struct mcp_seal *seal = &q->conn->server->seal;
	autofree char *context = context_of(q);
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "resultType", "input_required");
	put_questions(&w, questions, n);
	if (state != NULL && context != NULL) {
		jw_key(&w, "requestState");
		mcp_seal_write(seal, &w, context, state,
			       (uint64_t)now_ms() / 1000);
	}
	jw_obj_end(&w);
	if (w.failed || context == NULL)
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
	else
		mcp_reply_raw(q, w.buf, w.len);
}

/* --- legacy --------------------------------------------------------------- */

/* All answers are there: put them together and go on. */
static void round_done(struct mcp_request *q)
{
	struct mcp_asks *a = q->asks;
	autojw struct jw w = {0};

	jw_obj(&w);
	for (unsigned i = 0; i < a->n; i++)
		jw_kraw(&w, a->ask[i].key, a->ask[i].answer);
	jw_obj_end(&w);
	a->text = jw_take(&w, NULL);
	if (a->text == NULL ||
	    json_parse(&a->answers, a->text, strlen(a->text), NULL) < 0)
		mcp_reply_error(q, RPC_INTERNAL,
				"the client's answers are too large", NULL);
	else
		mcp_request_serve(q);
}

static void on_answer(const struct rpc_answer *r, void *arg)
{
	struct ask *ask = arg;
	struct mcp_request *q = ask->request;
	struct mcp_conn *c = q->conn;
	size_t len;
	const char *raw;

	ask->id = -1;
	raw = jv_raw(r->result, &len);
	if (r->status < 0 || !jv_is(r->result, JV_OBJECT)) {
		mcp_reply_error(q, RPC_INTERNAL,
				"the client did not answer a question", NULL);
		return;
	}
	if (len <= MCP_OPEN_BYTES - c->open_bytes)
		ask->answer = strndup(raw, len);
	if (ask->answer == NULL) {
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
		return;
	}
	q->asks->bytes += len;
	c->open_bytes += len;
	if (--q->asks->open > 0)
		return;
	mcp_conn_enter(c);
	round_done(q);
	mcp_conn_leave(c);
}

static struct mcp_asks *asks_new(struct mcp_request *q,
				 const struct mcp_question *questions, size_t n,
				 const char *state)
{
	struct mcp_asks *a = calloc(1, sizeof(*a));
	bool ok;

	if (a == NULL)
		return NULL;
	a->conn = q->conn;
	a->n = (unsigned)n;
	a->state = state ? strdup(state) : NULL;
	ok = state == NULL || a->state != NULL;
	for (size_t i = 0; i < n; i++) {
		a->ask[i].request = q;
		a->ask[i].id = -1;
		a->ask[i].key = strdup(questions[i].key);
		ok = ok && a->ask[i].key != NULL;
	}
	if (!ok) {
		asks_free(a);
		return NULL;
	}
	return a;
}

static void ask_legacy(struct mcp_request *q,
		       const struct mcp_question *questions, size_t n,
		       const char *state)
{
	struct mcp_asks *a = asks_new(q, questions, n, state);
	int64_t id = -ENOMEM;

	for (size_t i = 0; a != NULL && i < n; i++) {
		id = mcp_conn_call(q->conn, q, questions[i].method,
				   questions[i].params, 0, on_answer,
				   &a->ask[i]);
		if (id < 0)
			break;
		a->ask[i].id = id;
		a->open++;
	}
	if (id < 0) {
		asks_free(a);
		mcp_reply_error(q, RPC_INTERNAL, "the client cannot be asked",
				NULL);
		return;
	}
	mcp_asks_free(q);
	q->asks = a;
}

/* --- for handlers --------------------------------------------------------- */

void mcp_ask(struct mcp_request *q, const struct mcp_question *questions,
	     size_t n, const char *state)
{
	assert(n > 0 && n <= MCP_ASKS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *needs = capability_of(questions[i].method);

		assert(needs != NULL);
		if (!q->cancelled && !mcp_client_has(q, needs)) {
			mcp_reply_missing(q, needs);
			return;
		}
	}
	if (q->cancelled)
		mcp_reply(q, NULL); /* Nobody hears it. */
	else if (q->rounds++ == MCP_ROUNDS_MAX)
		mcp_reply_error(q, RPC_INTERNAL, "asked too often", NULL);
	else if (q->era == MCP_ERA_MODERN)
		ask_modern(q, questions, n, state);
	else
		ask_legacy(q, questions, n, state);
}

struct jv mcp_answer(const struct mcp_request *q, const char *key)
{
	if (q->era == MCP_ERA_MODERN)
		return jv_get(jv_get(q->params, "inputResponses"), key);
	if (q->asks == NULL)
		return (struct jv){.i = -1};
	return jv_get(json_root(&q->asks->answers), key);
}

static int open_state(const struct mcp_request *q, char *sealed, char *out)
{
	autofree char *context = context_of(q);

	if (context == NULL || q->conn == NULL)
		return -EBADMSG;
	return mcp_seal_open(&q->conn->server->seal, context, sealed,
			     (uint64_t)now_ms() / 1000, out, MCP_STATE_MAX + 1);
}

int mcp_state(const struct mcp_request *q, char out[MCP_STATE_MAX + 1])
{
	struct jv state = jv_get(q->params, "requestState");
	autofree char *sealed = NULL;

	out[0] = '\0';
	if (q->era == MCP_ERA_LEGACY) {
		if (q->asks == NULL || q->asks->state == NULL)
			return 0;
		strncat(out, q->asks->state, MCP_STATE_MAX);
		return 1;
	}
	if (!jv_has(state))
		return 0;
	sealed = jv_strdup(state, NULL);
	if (sealed == NULL || open_state(q, sealed, out) < 0)
		return -EBADMSG;
	return 1;
}
