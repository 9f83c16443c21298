// SPDX-License-Identifier: Apache-2.0
/*
 * test_rpc.c - Calls end once, whatever the other side does
 */
#include "core/rpc.h"

#include "tests/tap.h"

/* A peer whose words are remembered. */
struct side {
	uv_loop_t loop;
	struct rpc *rpc;
	int n_sent, n_requests, n_notes, n_stray;
	char sent[512]; /* The last message. */
};

static void on_send(const char *msg, size_t len, void *arg)
{
	struct side *s = arg;

	s->n_sent++;
	snprintf(s->sent, sizeof(s->sent), "%.*s", (int)len, msg);
}

static void on_request(const struct rpc_msg *m, void *arg)
{
	struct side *s = arg;
	size_t len;
	const char *id = jv_raw(m->id, &len);

	s->n_requests++;
	if (jv_eq(m->method, "fail"))
		EQ(rpc_reply_error(s->rpc, id, len, -32000, "no\n",
				   "{\"a\":1}"),
		   0);
	else
		EQ(rpc_reply(s->rpc, id, len, "{\"ok\":true}"), 0);
}

static void on_note(const struct rpc_msg *m, void *arg)
{
	struct side *s = arg;

	EQ(m->kind, RPC_NOTIFICATION);
	s->n_notes++;
}

static void on_stray(const struct rpc_msg *m, void *arg)
{
	struct side *s = arg;

	EQ(m->kind, RPC_RESPONSE);
	s->n_stray++;
}

static const struct rpc_ops ops = {
	.send = on_send,
	.request = on_request,
	.notify = on_note,
	.stray = on_stray,
};
static const struct rpc_ops bare_ops = {.send = on_send};

static void side_open(struct side *s, const struct rpc_ops *with)
{
	*s = (struct side){0};
	EQ(uv_loop_init(&s->loop), 0);
	s->rpc = rpc_new(&s->loop, with, s);
	OK(s->rpc != NULL);
}

static void side_close(struct side *s)
{
	rpc_free(s->rpc);
	EQ(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&s->loop), 0);
}

static void hear(struct side *s, const char *line)
{
	autojson struct json j = {0};
	struct rpc_msg m;
	struct err e;

	if (rpc_decode(&j, line, strlen(line), &m, &e) < 0)
		FAIL("%s: %s", line, e.msg);
	rpc_dispatch(s->rpc, &m);
}

/* How a call ended. */
struct end {
	int n, status;
	unsigned order; /* Among all ends. */
	char text[64];	/* Raw result or error. */
	struct side *free_in_callback;
	struct side *call_in_callback;
};

static void on_done(const struct rpc_answer *a, void *arg)
{
	struct end *end = arg;
	struct jv v = a->status == 0 ? a->result : a->error;
	size_t len;
	const char *raw = jv_raw(v, &len);
	static unsigned order;

	end->n++;
	end->order = ++order;
	end->status = a->status;
	snprintf(end->text, sizeof(end->text), "%.*s", (int)len,
		 raw ? raw : "");
	if (end->free_in_callback != NULL)
		rpc_free(end->free_in_callback->rpc);
	if (end->call_in_callback != NULL) {
		struct rpc *p = end->call_in_callback->rpc;
		int64_t id = rpc_call(p, "again", NULL, 0, on_done, end);

		end->call_in_callback = NULL;
		OK(id > 0 || id == -ECANCELED);
	}
}

TEST(messages_are_told_apart)
{
	static const struct {
		const char *line;
		int want; /* Kind, or an error. */
	} cases[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}",
		 RPC_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\","
		 "\"params\":null}",
		 RPC_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":[]}",
		 RPC_NOTIFICATION},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":null}",
		 RPC_RESPONSE},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":null}",
		 RPC_RESPONSE},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{}}",
		 RPC_RESPONSE},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":7}", RPC_RESPONSE},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":null}", RPC_RESPONSE},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_RESPONSE},
		{"{\"jsonrpc\":\"2.0\",\"result\":1}", -EPROTO},
		{"{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"m\"}", -EPROTO},
		{"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", -EPROTO},
		{"{\"jsonrpc\":\"2.0\",\"method\":1}", -EPROTO},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":1}",
		 -EPROTO},
		{"{\"jsonrpc\":2.0,\"method\":\"m\"}", -EPROTO},
		{"{\"method\":\"m\"}", -EPROTO},
		{"[]", -EPROTO},
		{"[{\"jsonrpc\":\"2.0\",\"method\":\"m\"}]", -EPROTO},
		{"7", -EPROTO},
		{"{", -EINVAL},
	};
	autojson struct json j = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *line = cases[i].line;
		struct rpc_msg m = {0};
		int r = rpc_decode(&j, line, strlen(line), &m, NULL);

		if ((r < 0 ? r : (int)m.kind) != cases[i].want)
			FAIL("%s: %d", line, r);
	}
}

TEST(a_long_id_is_refused)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	char id[RPC_ID_MAX];
	struct rpc_msg m;

	memset(id, '7', sizeof(id));
	for (size_t n = RPC_ID_MAX - 2; n < RPC_ID_MAX; n++) {
		jw_reset(&w);
		jw_obj(&w);
		jw_kstr(&w, "jsonrpc", "2.0");
		jw_kstr(&w, "method", "m");
		jw_key(&w, "id");
		jw_strn(&w, id, n);
		jw_obj_end(&w);
		EQ(rpc_decode(&j, w.buf, w.len, &m, NULL),
		   n + 2 > RPC_ID_MAX ? -EPROTO : 0);
	}
}

TEST(error_wins_over_result)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,"
				   "\"result\":1,\"error\":{\"code\":2}}";
	autojson struct json j = {0};
	struct rpc_msg m;

	EQ(rpc_decode(&j, line, sizeof(line) - 1, &m, NULL), 0);
	OK(!jv_has(m.result) && jv_has(m.error) && !jv_has(m.params));
}

TEST(calls_are_answered_in_any_order)
{
	struct end a = {0}, b = {0};
	struct side s;

	side_open(&s, &ops);
	EQ(rpc_call(s.rpc, "m", "{\"x\":1}", 0, on_done, &a), 0);
	STR_EQ(s.sent, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"m\","
		       "\"params\":{\"x\":1}}");
	EQ(rpc_call(s.rpc, "n", NULL, 60000, on_done, &b), 1);
	STR_EQ(s.sent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"n\"}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":3}}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":null}");
	EQ(a.n + b.n, 2);
	EQ(a.status, 0);
	STR_EQ(a.text, "null");
	EQ(b.status, -EREMOTEIO);
	STR_EQ(b.text, "{\"code\":3}");
	EQ(s.n_stray, 0);
	side_close(&s);
}

TEST(answers_to_nothing_are_stray)
{
	static const char *const ids[] = {
		"1",	  "-1",	    "0.0",  "0e0",
		"\"-0\"", "\"0x\"", "null", "18446744073709551616"};
	struct end a = {0};
	struct side s;
	char line[128];

	side_open(&s, &ops);
	EQ(rpc_call(s.rpc, "m", NULL, 0, on_done, &a), 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		snprintf(line, sizeof(line),
			 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":1}",
			 ids[i]);
		hear(&s, line);
		EQ(s.n_stray, (int)i + 1);
	}
	EQ(a.n, 0);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}");
	EQ(a.n, 1);
	EQ(s.n_stray, (int)ARRAY_LEN(ids) + 1);
	side_close(&s);
}

TEST(an_answer_may_have_the_id_as_a_string)
{
	struct end a = {0};
	struct side s;

	side_open(&s, &ops);
	EQ(rpc_call(s.rpc, "m", NULL, 0, on_done, &a), 0);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":\"0\",\"result\":1}");
	EQ(a.n, 1);
	EQ(a.status, 0);
	side_close(&s);
}

TEST(an_answer_without_result_or_error_is_a_good_one)
{
	struct end a = {0};
	struct side s;

	side_open(&s, &ops);
	EQ(rpc_call(s.rpc, "m", NULL, 0, on_done, &a), 0);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0}");
	EQ(a.n, 1);
	EQ(a.status, 0);
	side_close(&s);
}

TEST(requests_are_answered_with_their_id)
{
	struct side s;

	side_open(&s, &ops);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0062\",\"method\":\"m\"}");
	STR_EQ(s.sent, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0062\","
		       "\"result\":{\"ok\":true}}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1.50,\"method\":\"fail\"}");
	STR_EQ(s.sent, "{\"jsonrpc\":\"2.0\",\"id\":1.50,\"error\":"
		       "{\"code\":-32000,\"message\":\"no\\n\","
		       "\"data\":{\"a\":1}}}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}");
	EQ(s.n_requests, 2);
	EQ(s.n_notes, 1);
	EQ(rpc_notify(s.rpc, "n", "[]"), 0);
	STR_EQ(s.sent, "{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":[]}");
	side_close(&s);
}

TEST(without_handlers_nothing_is_left_unanswered)
{
	struct side s;

	side_open(&s, &bare_ops);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1}");
	EQ(s.n_sent, 0);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"m\"}");
	STR_EQ(s.sent, "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":"
		       "-32601,\"message\":\"method not found\"}}");
	side_close(&s);
}

TEST(deadlines_pass_in_their_order)
{
	struct end late = {0}, soon = {0}, never = {0};
	struct side s;

	side_open(&s, &ops);
	rpc_call(s.rpc, "a", NULL, 0, on_done, &never);
	rpc_call(s.rpc, "b", NULL, 30, on_done, &late);
	rpc_call(s.rpc, "c", NULL, 1, on_done, &soon);
	EQ(uv_run(&s.loop, UV_RUN_DEFAULT), 0);
	EQ(soon.n, 1);
	EQ(soon.status, -ETIMEDOUT);
	EQ(late.n, 1);
	OK(soon.order < late.order);
	EQ(late.status, -ETIMEDOUT);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	EQ(s.n_stray, 1);
	EQ(late.n, 1);
	EQ(never.n, 0);
	side_close(&s);
	EQ(never.n, 1);
	EQ(never.status, -ECANCELED);
}

TEST(an_endless_timeout_is_endless)
{
	struct end a = {0};
	struct side s;

	side_open(&s, &ops);
	rpc_call(s.rpc, "a", NULL, UINT64_MAX, on_done, &a);
	uv_run(&s.loop, UV_RUN_NOWAIT);
	EQ(a.n, 0);
	OK(uv_loop_alive(&s.loop));
	side_close(&s);
}

/* A loop with no open call that has a deadline ends by itself. */
TEST(the_timer_runs_only_when_needed)
{
	struct end a = {0};
	struct side s;
	int64_t id;

	side_open(&s, &ops);
	rpc_call(s.rpc, "a", NULL, 60000, on_done, &a);
	id = rpc_call(s.rpc, "b", NULL, 50000, on_done, &a);
	OK(uv_loop_alive(&s.loop));
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}");
	OK(uv_loop_alive(&s.loop));
	rpc_forget(s.rpc, id);
	rpc_forget(s.rpc, id);
	OK(!uv_loop_alive(&s.loop));
	EQ(a.n, 1);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	EQ(s.n_stray, 1);
	side_close(&s);
}

TEST(open_calls_are_bounded)
{
	struct end a = {0};
	struct side s;

	side_open(&s, &ops);
	for (int i = 0; i < RPC_CALLS_MAX; i++)
		EQ(rpc_call(s.rpc, "m", NULL, 60000, on_done, &a), i);
	EQ(rpc_call(s.rpc, "m", NULL, 0, on_done, &a), -EAGAIN);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":500,\"result\":1}");
	EQ(rpc_call(s.rpc, "m", NULL, 0, on_done, &a), RPC_CALLS_MAX);
	side_close(&s);
	EQ(a.n, RPC_CALLS_MAX + 1);
}

TEST(a_callback_may_call)
{
	struct end a = {0};
	struct side s;

	side_open(&s, &ops);
	a.call_in_callback = &s;
	rpc_call(s.rpc, "m", NULL, 1, on_done, &a);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	EQ(a.n, 1);
	EQ(s.n_sent, 2);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	EQ(a.n, 2);

	a.call_in_callback = &s;
	rpc_call(s.rpc, "m", NULL, 0, on_done, &a);
	side_close(&s); /* The call in this callback is refused. */
	EQ(a.n, 3);
}

TEST(a_callback_may_free)
{
	struct end a = {0}, b = {0};
	struct side s;

	side_open(&s, &ops);
	a.free_in_callback = &s;
	rpc_call(s.rpc, "m", NULL, 0, on_done, &a);
	rpc_call(s.rpc, "n", NULL, 9, on_done, &b);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}");
	EQ(a.n, 1);
	EQ(b.n, 1);
	EQ(b.status, -ECANCELED);
	side_close(&s);
}

TEST(a_deadline_may_free)
{
	struct end a = {0}, b = {0};
	struct side s;

	side_open(&s, &ops);
	a.free_in_callback = b.free_in_callback = &s;
	rpc_call(s.rpc, "m", NULL, 1, on_done, &a);
	rpc_call(s.rpc, "n", NULL, 1, on_done, &b);
	EQ(uv_run(&s.loop, UV_RUN_DEFAULT), 0);
	EQ(a.status, -ETIMEDOUT);
	EQ(b.status, -ECANCELED);
	EQ(a.n + b.n, 2);
	EQ(uv_loop_close(&s.loop), 0);
	rpc_free(NULL);
}

TESTS(CASE(messages_are_told_apart), CASE(a_long_id_is_refused),
      CASE(error_wins_over_result), CASE(calls_are_answered_in_any_order),
      CASE(answers_to_nothing_are_stray),
      CASE(an_answer_may_have_the_id_as_a_string),
      CASE(an_answer_without_result_or_error_is_a_good_one),
      CASE(requests_are_answered_with_their_id),
      CASE(without_handlers_nothing_is_left_unanswered),
      CASE(deadlines_pass_in_their_order), CASE(an_endless_timeout_is_endless),
      CASE(the_timer_runs_only_when_needed), CASE(open_calls_are_bounded),
      CASE(a_callback_may_call), CASE(a_callback_may_free),
      CASE(a_deadline_may_free))
