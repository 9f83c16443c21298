// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_client.c - Every request ends once, in both eras
 *
 * The test is the server: it reads what the client sends and says what comes
 * back.
 */
#include "mcp/client.h"

#include <time.h>

#include "tests/tap.h"

#define SENT_MAX 128

#define MODERN_DISCOVER                                                 \
	"{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":"     \
	"{\"tools\":{\"listChanged\":true}},\"instructions\":\"be \\n " \
	"kind\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{"    \
	"\"name\":\"m\",\"version\":\"1\"}}}"
#define LEGACY_INIT                                             \
	"{\"protocolVersion\":\"2025-06-18\",\"capabilities\":" \
	"{\"tools\":{}},\"serverInfo\":{\"name\":\"l\",\"version\":\"2\"}}"

struct side {
	uv_loop_t loop;
	struct mcp_client *c;
	char *sent[SENT_MAX];
	int n_sent, n_seen; /* The test has looked at the first n_seen. */
	int n_ready, n_failed, n_asked, n_gone, n_notes, n_changed;
	struct err err;
	int64_t asked[8];
	char question[128]; /* The last one. */
	bool answer_at_once;
	int n_done, status;
	char result[512]; /* Of the last call, or its error. */
	int n_progress;
};

static void on_send(const char *msg, size_t len, void *arg)
{
	struct side *s = arg;

	OK(s->n_sent < SENT_MAX);
	s->sent[s->n_sent++] = strndup(msg, len);
}

static void on_ready(struct mcp_client *c, void *arg)
{
	(void)c;
	((struct side *)arg)->n_ready++;
}

static void on_failed(struct mcp_client *c, const struct err *e, void *arg)
{
	struct side *s = arg;

	(void)c;
	s->n_failed++;
	s->err = *e;
}

static void keep(char *out, size_t cap, struct jv v)
{
	size_t len;
	const char *text = jv_raw(v, &len);

	snprintf(out, cap, "%.*s", (int)len, text ? text : "");
}

static void on_question(struct mcp_client *c, const struct mcp_question *q,
			void *arg)
{
	struct side *s = arg;

	OK(s->n_asked < 8);
	s->asked[s->n_asked++] = q->id;
	keep(s->question, sizeof(s->question), q->method);
	if (s->answer_at_once)
		EQ(mcp_client_reply(c, q->id, "{\"action\":\"accept\"}"), 0);
}

static void on_gone(struct mcp_client *c, int64_t id, void *arg)
{
	struct side *s = arg;

	(void)c;
	(void)id;
	s->n_gone++;
}

static void on_changed(struct mcp_client *c, const char *kind, void *arg)
{
	(void)c;
	STR_EQ(kind, "tools");
	((struct side *)arg)->n_changed++;
}

static void on_note(struct mcp_client *c, const struct rpc_msg *m, void *arg)
{
	(void)c;
	EQ(m->kind, RPC_NOTIFICATION);
	((struct side *)arg)->n_notes++;
}

static const struct mcp_client_events events = {
	.send = on_send,
	.ready = on_ready,
	.failed = on_failed,
	.request = on_question,
	.request_gone = on_gone,
	.list_changed = on_changed,
	.notify = on_note,
};

static void side_open(struct side *s, const struct mcp_client_opts *opts)
{
	*s = (struct side){0};
	EQ(uv_loop_init(&s->loop), 0);
	EQ(mcp_client_new(&s->loop, opts, &events, s, &s->c), 0);
	EQ(mcp_client_start(s->c), 0);
	EQ(s->n_ready + s->n_failed, 0);
}

static void side_close(struct side *s)
{
	mcp_client_free(s->c);
	EQ(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&s->loop), 0);
	for (int i = 0; i < s->n_sent; i++)
		free(s->sent[i]);
}

static void turn(struct side *s)
{
	uv_run(&s->loop, UV_RUN_NOWAIT);
}

/* The next message that the client has sent. */
static const char *next(struct side *s)
{
	if (s->n_seen == s->n_sent)
		FAIL("the client has sent nothing more");
	return s->sent[s->n_seen++];
}

static void expect(struct side *s, const char *part)
{
	const char *msg = next(s);

	if (strstr(msg, part) == NULL)
		FAIL("%s: not in %s", part, msg);
}

static void expect_silence(const struct side *s)
{
	if (s->n_seen < s->n_sent)
		FAIL("the client has sent %s", s->sent[s->n_seen]);
}

static void hear(struct side *s, const char *msg)
{
	EQ(mcp_client_feed(s->c, msg, strlen(msg)), 0);
}

/* Answer the last message that the test has looked at. */
static void answer_as(struct side *s, const char *member, const char *value)
{
	autojson struct json j = {0};
	const char *last = s->sent[s->n_seen - 1];
	char msg[2048];

	EQ(json_parse(&j, last, strlen(last), NULL), 0);
	snprintf(msg, sizeof(msg),
		 "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"%s\":%s}",
		 (long long)jv_int(jv_get(json_root(&j), "id"), -1), member,
		 value);
	hear(s, msg);
}

static void answer(struct side *s, const char *result)
{
	answer_as(s, "result", result);
}

static void refuse(struct side *s, const char *error)
{
	answer_as(s, "error", error);
}

static void on_done(const struct mcp_answer *a, void *arg)
{
	struct side *s = arg;

	s->n_done++;
	s->status = a->status;
	EQ(jv_has(a->result), a->status == 0);
	EQ(jv_has(a->error), a->status == -EREMOTEIO);
	keep(s->result, sizeof(s->result),
	     a->status == 0 ? a->result : a->error);
}

static void on_progress(struct jv params, void *arg)
{
	OK(jv_is(params, JV_OBJECT));
	((struct side *)arg)->n_progress++;
}

static int64_t call(struct side *s, const char *params, uint64_t timeout_ms,
		    uint64_t max_ms)
{
	struct mcp_request_spec spec = {
		.method = "tools/call",
		.params = params,
		.timeout_ms = timeout_ms,
		.max_ms = max_ms,
		.done = on_done,
		.arg = s,
	};

	return mcp_client_request(s->c, &spec);
}

static void open_legacy(struct side *s)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_LEGACY};

	side_open(s, &opts);
	expect(s, "\"method\":\"initialize\"");
	answer(s, LEGACY_INIT);
	expect(s, "notifications/initialized");
	EQ(s->n_ready, 1);
}

static void open_modern(struct side *s)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_MODERN};

	side_open(s, &opts);
	expect(s, "\"method\":\"server/discover\"");
	answer(s, MODERN_DISCOVER);
	EQ(s->n_ready, 1);
}

/* --- start --------------------------------------------------------------- */

TEST(probe_finds_a_modern_server)
{
	const struct mcp_client_opts opts = {
		.capabilities = "{\"elicitation\":{}}",
		.info = "{\"name\":\"me\",\"version\":\"3\"}"};
	const struct mcp_server_facts *f;
	struct side s;

	side_open(&s, &opts);
	expect(&s, "\"method\":\"server/discover\",\"params\":{\"_meta\":{"
		   "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		   "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"me\","
		   "\"version\":\"3\"},"
		   "\"io.modelcontextprotocol/clientCapabilities\":"
		   "{\"elicitation\":{}}}}");
	answer(&s, MODERN_DISCOVER);
	expect_silence(&s);
	EQ(s.n_ready, 1);
	f = mcp_client_facts(s.c);
	EQ(f->era, MCP_ERA_MODERN);
	OK(f->certain);
	STR_EQ(f->version, "2026-07-28");
	STR_EQ(f->info, "{\"name\":\"m\",\"version\":\"1\"}");
	STR_EQ(f->capabilities, "{\"tools\":{\"listChanged\":true}}");
	STR_EQ(f->instructions, "be \n kind");
	side_close(&s);
}

TEST(probe_finds_a_legacy_server)
{
	const struct mcp_client_opts opts = {0};
	const struct mcp_server_facts *f;
	struct side s;

	side_open(&s, &opts);
	next(&s);
	refuse(&s, "{\"code\":-32601,\"message\":\"no\"}");
	expect(&s, "\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
		   "\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{");
	/* Notifications may come before the answer. */
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":"
		 "\"notifications/tools/list_changed\"}");
	answer(&s, LEGACY_INIT);
	expect(&s, "notifications/initialized");
	EQ(s.n_ready, 1);
	EQ(s.n_changed, 0);
	f = mcp_client_facts(s.c);
	EQ(f->era, MCP_ERA_LEGACY);
	OK(f->certain);
	STR_EQ(f->version, "2025-06-18");
	STR_EQ(f->info, "{\"name\":\"l\",\"version\":\"2\"}");
	OK(f->instructions == NULL);
	side_close(&s);
}

TEST(silence_is_not_remembered_as_legacy)
{
	const struct mcp_client_opts opts = {0};
	struct side s;

	side_open(&s, &opts);
	next(&s);
	while (s.n_sent == 1)
		uv_run(&s.loop, UV_RUN_ONCE);
	expect(&s, "\"method\":\"initialize\"");
	answer(&s, LEGACY_INIT);
	EQ(s.n_ready, 1);
	OK(!mcp_client_facts(s.c)->certain);
	side_close(&s);
}

TEST(slow_modern_server_answers_the_probe_late)
{
	const struct mcp_client_opts opts = {0};
	struct side s;
	char *probe;

	side_open(&s, &opts);
	probe = s.sent[0];
	while (s.n_sent == 1)
		uv_run(&s.loop, UV_RUN_ONCE);
	s.n_seen = 2;
	/* It refuses initialize, but has answered discover before. */
	refuse(&s, "{\"code\":-32601,\"message\":\"what\"}");
	EQ(s.n_ready + s.n_failed, 0);
	OK(strstr(probe, "\"id\":0") != NULL);
	hear(&s,
	     "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":" MODERN_DISCOVER "}");
	EQ(s.n_ready, 1);
	EQ(mcp_client_facts(s.c)->era, MCP_ERA_MODERN);
	side_close(&s);
}

TEST(trouble_on_the_way_is_not_remembered)
{
	const struct mcp_client_opts opts = {0};
	struct side s;

	for (int i = 0; i < 2; i++) {
		side_open(&s, &opts);
		next(&s);
		refuse(&s, i ? "{\"code\":-32603,\"message\":\"m\",\"data\":"
			       "{\"httpStatus\":405}}"
			     : "{\"code\":-32603,\"message\":\"m\",\"data\":"
			       "{\"httpStatus\":503}}");
		next(&s);
		answer(&s, LEGACY_INIT);
		EQ(mcp_client_facts(s.c)->certain, i);
		side_close(&s);
	}
}

TEST(another_version_is_tried)
{
	const struct mcp_client_opts opts = {0};
	struct side s;

	side_open(&s, &opts);
	next(&s);
	refuse(&s, "{\"code\":-32022,\"message\":\"v\",\"data\":{\"supported\":"
		   "[\"2099-01-01\",\"2026-07-28\"]}}");
	expect(&s, "server/discover"); /* Once more, and not for ever. */
	refuse(&s, "{\"code\":-32022,\"message\":\"v\",\"data\":{\"supported\":"
		   "[\"2024-11-05\",\"2026-07-28\",\"2025-03-26\"]}}");
	expect(&s, "\"protocolVersion\":\"2025-03-26\"");
	refuse(&s, "{\"code\":-32602,\"message\":\"v\",\"data\":{\"supported\":"
		   "[\"2024-11-05\",\"2025-03-26\"]}}");
	expect(&s, "\"protocolVersion\":\"2024-11-05\"");
	refuse(&s, "{\"code\":-32602,\"message\":\"v\",\"data\":{\"supported\":"
		   "[\"2025-03-26\"]}}");
	EQ(s.n_failed, 1);
	STR_EQ(s.err.msg, "initialize: v (-32602)");
	EQ(s.err.code, -FAULT_MCP_START_FAILED);
	side_close(&s);
}

TEST(unknown_version_fails)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_LEGACY};
	struct side s;

	side_open(&s, &opts);
	next(&s);
	answer(&s, "{\"protocolVersion\":\"2026-07-28\"}");
	EQ(s.n_failed, 1);
	EQ(call(&s, NULL, 0, 0), -EPIPE);
	expect_silence(&s);
	side_close(&s);
}

TEST(silent_server_fails_in_time)
{
	const struct mcp_client_opts opts = {.start_timeout_ms = 30};
	struct side s;

	side_open(&s, &opts);
	EQ(call(&s, NULL, 0, 0), -ENOTCONN);
	while (s.n_failed == 0)
		uv_run(&s.loop, UV_RUN_ONCE);
	EQ(s.err.code, -ETIMEDOUT);
	side_close(&s);
}

TEST(wrong_verdict_fails)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_MODERN};
	struct side s;

	side_open(&s, &opts);
	next(&s);
	refuse(&s, "{\"code\":-32601,\"message\":\"no\"}");
	EQ(s.n_failed, 1);
	expect_silence(&s);
	side_close(&s);
}

TEST(start_ends_with_the_transport)
{
	const struct mcp_client_opts opts = {0};
	struct side s;

	side_open(&s, &opts);
	mcp_client_lost(s.c);
	EQ(s.n_failed, 1);
	EQ(s.err.code, -EPIPE);
	side_close(&s);
}

TEST(needs_no_discover_when_told)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_MODERN,
					     .no_discover = true};
	struct side s;

	side_open(&s, &opts);
	while (s.n_ready == 0)
		uv_run(&s.loop, UV_RUN_ONCE);
	expect_silence(&s);
	STR_EQ(mcp_client_facts(s.c)->capabilities, "{}");
	side_close(&s);
}

/* --- requests ------------------------------------------------------------ */

TEST(passes_params_and_result)
{
	struct side s;
	int64_t h;

	open_legacy(&s);
	h = call(&s,
		 "{\"name\":\"a\\n\",\"_meta\":{\"x/y\":1,"
		 "\"progressToken\":7,\"io.modelcontextprotocol/"
		 "clientCapabilities\":{}}}",
		 0, 0);
	OK(h > 0);
	expect(&s, "\"params\":{\"name\":\"a\\n\",\"_meta\":{\"x/y\":1}}}");
	answer(&s, "{\"content\":[]}");
	EQ(s.n_done, 1);
	EQ(s.status, 0);
	STR_EQ(s.result, "{\"content\":[]}");
	call(&s, NULL, 0, 0);
	expect(&s, "\"params\":{}}");
	refuse(&s, "{\"code\":1,\"message\":\"m\"}");
	EQ(s.status, -EREMOTEIO);
	STR_EQ(s.result, "{\"code\":1,\"message\":\"m\"}");
	call(&s, NULL, 0, 0);
	next(&s);
	answer(&s, "[]");
	EQ(s.status, -EPROTO);
	EQ(call(&s, "[]", 0, 0), -EINVAL);
	EQ(call(&s, "{", 0, 0), -EINVAL);
	expect_silence(&s);
	side_close(&s);
	EQ(s.n_done, 3);
}

TEST(deadline_tells_the_server)
{
	struct side s;

	open_legacy(&s);
	call(&s, NULL, 20, 0);
	next(&s);
	while (s.n_done == 0)
		uv_run(&s.loop, UV_RUN_ONCE);
	EQ(s.status, -ETIMEDOUT);
	expect(&s, "\"method\":\"notifications/cancelled\",\"params\":"
		   "{\"requestId\":1,\"reason\":\"timeout\"}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	EQ(s.n_done, 1);
	side_close(&s);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(progress_extends_up_to_the_hard_end)
{
	struct mcp_request_spec spec = {
		.method = "tools/call",
		.timeout_ms = 40,
		.max_ms = 200,
		.progress = on_progress,
		.done = on_done,
	};
	uint64_t began;
	char note[256];
	struct side s;
	int64_t h;

	open_legacy(&s);
	spec.arg = &s;
	began = now_ms();
	uv_update_time(&s.loop);
	h = mcp_client_request(s.c, &spec);
	snprintf(note, sizeof(note),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
		 "\"params\":{\"progressToken\":%lld,\"progress\":1}}",
		 (long long)h);
	snprintf(s.result, sizeof(s.result), "\"progressToken\":%lld",
		 (long long)h);
	expect(&s, s.result);
	while (s.n_done == 0) {
		hear(&s, note);
		uv_run(&s.loop, UV_RUN_NOWAIT);
	}
	EQ(s.status, -ETIMEDOUT);
	OK(now_ms() - began >= 195);
	OK(s.n_progress > 0);
	/* Nobody is there any more. */
	s.n_progress = 0;
	hear(&s, note);
	EQ(s.n_progress, 0);
	side_close(&s);
}

TEST(cancel_ends_it_once)
{
	struct side s;
	int64_t h;

	open_legacy(&s);
	h = call(&s, NULL, 0, 0);
	next(&s);
	mcp_client_cancel(s.c, h, "nobody cares");
	EQ(s.n_done, 1);
	EQ(s.status, -ECANCELED);
	expect(&s, "\"reason\":\"nobody cares\"");
	mcp_client_cancel(s.c, h, NULL);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	expect_silence(&s);
	EQ(s.n_done, 1);
	side_close(&s);
}

TEST(lost_transport_ends_all)
{
	struct side s;

	open_legacy(&s);
	for (int i = 0; i < 10; i++)
		call(&s, NULL, 0, 0);
	hear(&s,
	     "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}");
	EQ(s.n_asked, 1);
	mcp_client_lost(s.c);
	EQ(s.n_done, 10);
	EQ(s.status, -EPIPE);
	EQ(s.n_gone, 1);
	EQ(call(&s, NULL, 0, 0), -EPIPE);
	EQ(mcp_client_reply(s.c, s.asked[0], "{}"), -ENOENT);
	side_close(&s);
	EQ(s.n_done, 10);
}

TEST(open_requests_are_bounded)
{
	struct side *s = malloc(sizeof(*s));
	int n = 0;

	OK(s != NULL);
	open_legacy(s);
	while (call(s, NULL, 0, 0) > 0) {
		n++;
		free(s->sent[--s->n_sent]);
	}
	EQ(n, MCP_REQUESTS_MAX);
	EQ(call(s, NULL, 0, 0), -EAGAIN);
	side_close(s);
	EQ(s->n_done, n);
	EQ(s->status, -ECANCELED);
	free(s);
}

TEST(junk_changes_nothing)
{
	struct side s;

	open_legacy(&s);
	call(&s, NULL, 0, 0);
	next(&s);
	OK(mcp_client_feed(s.c, "npm warn", 8) < 0);
	OK(mcp_client_feed(s.c, "[]", 2) < 0);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{}}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}");
	hear(&s,
	     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}");
	EQ(s.n_notes, 1);
	EQ(s.n_done, 0);
	answer(&s, "{}");
	EQ(s.n_done, 1);
	side_close(&s);
}

/* --- questions ----------------------------------------------------------- */

TEST(legacy_question_is_answered_with_its_id)
{
	struct side s;

	open_legacy(&s);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}");
	expect(&s, "\"id\":\"p\",\"result\":{}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0041\",\"method\":"
		 "\"elicitation/create\",\"params\":{}}");
	STR_EQ(s.question, "\"elicitation/create\"");
	EQ(mcp_client_reply(s.c, s.asked[0], "{\"action\":\"decline\"}"), 0);
	expect(&s, "\"id\":\"\\u0041\",\"result\":{\"action\":\"decline\"}");
	EQ(mcp_client_reply(s.c, s.asked[0], "{}"), -ENOENT);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"roots/list\"}");
	EQ(mcp_client_reply_error(s.c, s.asked[1], -1, "no", "[1]"), 0);
	expect(&s, "\"id\":8,\"error\":{\"code\":-1,\"message\":\"no\","
		   "\"data\":[1]}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"roots/list\"}");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
		 "\"params\":{\"requestId\":9}}");
	EQ(s.n_gone, 1);
	EQ(mcp_client_reply(s.c, s.asked[2], "{}"), -ENOENT);
	side_close(&s);
}

TEST(question_stops_the_clock)
{
	struct side s;
	uint64_t until;

	open_legacy(&s);
	call(&s, NULL, 20, 60000);
	next(&s);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}");
	for (until = now_ms() + 60; now_ms() < until;)
		turn(&s);
	EQ(s.n_done, 0);
	EQ(mcp_client_reply(s.c, s.asked[0], "{\"roots\":[]}"), 0);
	while (s.n_done == 0)
		uv_run(&s.loop, UV_RUN_ONCE);
	EQ(s.status, -ETIMEDOUT);
	side_close(&s);
}

TEST(questions_are_bounded)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_LEGACY};
	struct side s;
	char msg[128];

	side_open(&s, &opts);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}");
	EQ(s.n_asked, 0); /* Too early. */
	next(&s);
	expect(&s, "-32601");
	s.n_seen--;
	hear(&s, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":" LEGACY_INIT "}");
	s.n_seen = s.n_sent;
	for (int i = 0; i <= MCP_QUESTIONS_MAX; i++) {
		s.n_asked = 0;
		snprintf(msg, sizeof(msg),
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":"
			 "\"roots/list\"}",
			 i);
		hear(&s, msg);
		EQ(s.n_asked, i < MCP_QUESTIONS_MAX);
	}
	expect(&s, "-32603");
	side_close(&s);
}

/* --- the modern era ------------------------------------------------------ */

#define TWO_QUESTIONS                                                       \
	"{\"resultType\":\"input_required\",\"requestState\":\"s\\u0031\"," \
	"\"inputRequests\":{\"a\":{\"method\":\"elicitation/create\","      \
	"\"params\":{}},\"b\":{\"method\":\"roots/list\"}}}"

TEST(round_sends_answers_and_state)
{
	struct side s;

	open_modern(&s);
	call(&s, "{\"name\":\"t\",\"arguments\":{\"x\":1.50}}", 0, 0);
	expect(&s, "\"params\":{\"name\":\"t\",\"arguments\":{\"x\":1.50},"
		   "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":");
	answer(&s, TWO_QUESTIONS);
	EQ(s.n_asked, 2);
	EQ(mcp_client_reply(s.c, s.asked[1], "{\"roots\":[]}"), 0);
	expect_silence(&s);
	EQ(mcp_client_reply(s.c, s.asked[0], "{\"action\":\"cancel\"}"), 0);
	expect(&s, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\","
		   "\"params\":{\"name\":\"t\",\"arguments\":{\"x\":1.50},"
		   "\"inputResponses\":{\"b\":{\"roots\":[]},\"a\":{\"action\":"
		   "\"cancel\"}},\"requestState\":\"s\\u0031\",\"_meta\":{");
	answer(&s,
	       "{\"resultType\":\"input_required\",\"requestState\":\"2\"}");
	expect(&s, "\"x\":1.50},\"requestState\":\"2\",\"_meta\"");
	answer(&s, "{\"resultType\":\"input_required\",\"inputRequests\":"
		   "{\"c\":{\"method\":\"roots/list\"}}}");
	EQ(mcp_client_reply(s.c, s.asked[2], "{}"), 0);
	expect(&s, "\"x\":1.50},\"inputResponses\":{\"c\":{}},\"_meta\"");
	answer(&s, "{\"resultType\":\"complete\",\"content\":[]}");
	EQ(s.n_done, 1);
	EQ(s.status, 0);
	side_close(&s);
}

TEST(rounds_are_bounded)
{
	struct side s;

	open_modern(&s);
	s.answer_at_once = true;
	call(&s, NULL, 0, 0);
	next(&s);
	for (int i = 0; i < MCP_ROUNDS_MAX; i++) {
		s.n_asked = 0;
		answer(&s, TWO_QUESTIONS);
		EQ(s.n_asked, 2);
		expect(&s, "inputResponses");
	}
	answer(&s, TWO_QUESTIONS);
	EQ(s.status, -ELOOP);
	expect_silence(&s);
	side_close(&s);
}

TEST(bad_rounds_fail)
{
	static const char *const bad[] = {
		"{\"resultType\":\"input_required\"}",
		"{\"resultType\":\"input_required\",\"inputRequests\":[]}",
		"{\"resultType\":\"input_required\",\"inputRequests\":{\"a\":"
		"{\"method\":\"roots/list\"},\"b\":1}}",
		"{\"resultType\":\"input_required\",\"requestState\":1}",
		"{\"resultType\":\"input_required\",\"inputRequests\":"
		"{\"a\\u0000\":{\"method\":\"roots/list\"}}}",
		"{\"resultType\":\"task\"}",
		"{\"resultType\":7}",
		"null",
	};
	struct side s;

	open_modern(&s);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		call(&s, NULL, 0, 0);
		next(&s);
		answer(&s, bad[i]);
		EQ(s.n_done, i + 1);
		EQ(s.status, -EPROTO);
		EQ(s.n_asked, 0);
	}
	side_close(&s);
}

TEST(refused_question_ends_the_request)
{
	struct side s;

	open_modern(&s);
	call(&s, NULL, 0, 0);
	next(&s);
	answer(&s, TWO_QUESTIONS);
	EQ(mcp_client_reply_error(s.c, s.asked[0], -32601, "no", NULL), 0);
	EQ(s.status, -EREMOTEIO);
	STR_EQ(s.result, "{\"code\":-32601,\"message\":\"no\"}");
	EQ(s.n_gone, 1);
	EQ(mcp_client_reply(s.c, s.asked[1], "{}"), -ENOENT);
	side_close(&s);
	EQ(s.n_done, 1);
}

TEST(cancel_in_a_round_drops_its_questions)
{
	struct side s;
	int64_t h;

	open_modern(&s);
	h = call(&s, NULL, 0, 0);
	next(&s);
	answer(&s, TWO_QUESTIONS);
	mcp_client_cancel(s.c, h, NULL);
	EQ(s.n_gone, 2);
	EQ(s.n_done, 1);
	expect_silence(&s); /* The server has no request of ours. */
	side_close(&s);
}

TEST(rounds_can_be_the_owners)
{
	struct mcp_request_spec spec = {
		.method = "tools/call",
		.params = "{\"inputResponses\":{},\"requestState\":\"x\"}",
		.pass_input_required = true,
		.done = on_done,
	};
	struct side s;

	open_modern(&s);
	spec.arg = &s;
	OK(mcp_client_request(s.c, &spec) > 0);
	expect(&s, "\"params\":{\"inputResponses\":{},\"requestState\":\"x\",");
	answer(&s, TWO_QUESTIONS);
	EQ(s.status, 0);
	EQ(s.n_asked, 0);
	STR_EQ(s.result, TWO_QUESTIONS);
	side_close(&s);
}

TEST(refused_version_is_tried_once_more)
{
	const char *refusal = "{\"code\":-32022,\"message\":\"v\",\"data\":"
			      "{\"supported\":[\"2026-07-28\"]}}";
	struct side s;

	open_modern(&s);
	call(&s, "{\"name\":\"t\"}", 0, 0);
	next(&s);
	refuse(&s, refusal);
	expect(&s, "\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\"");
	refuse(&s, refusal);
	EQ(s.status, -EREMOTEIO);
	expect_silence(&s);
	side_close(&s);
}

TEST(listens_for_changed_lists)
{
	const struct mcp_client_opts opts = {.era = MCP_ERA_MODERN,
					     .listen = true};
	struct side s;

	side_open(&s, &opts);
	next(&s);
	answer(&s, MODERN_DISCOVER);
	expect(&s, "\"method\":\"subscriptions/listen\",\"params\":"
		   "{\"notifications\":{\"toolsListChanged\":true},");
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":"
		 "\"notifications/subscriptions/acknowledged\"}");
	EQ(s.n_changed, 0);
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":"
		 "\"notifications/tools/list_changed\"}");
	EQ(s.n_changed, 1);
	answer(&s, "{\"resultType\":\"complete\"}");
	while (s.n_seen == s.n_sent)
		uv_run(&s.loop, UV_RUN_ONCE);
	expect(&s, "subscriptions/listen");
	/* It may have missed some. */
	hear(&s, "{\"jsonrpc\":\"2.0\",\"method\":"
		 "\"notifications/subscriptions/acknowledged\"}");
	EQ(s.n_changed, 2);
	refuse(&s, "{\"code\":-32601,\"message\":\"m\"}");
	mcp_client_free(take_ptr(s.c));
	side_close(&s);
}

/* --- lists --------------------------------------------------------------- */

struct listed {
	int n, status;
	char items[256];
	unsigned pages;
	bool truncated;
	int64_t ttl_ms;
};

static void on_list(const struct mcp_list *l, void *arg)
{
	struct listed *got = arg;

	got->n++;
	got->status = l->status;
	got->pages = l->pages;
	got->truncated = l->truncated;
	got->ttl_ms = l->ttl_ms;
	snprintf(got->items, sizeof(got->items), "%.*s", (int)l->len,
		 l->items ? l->items : "");
}

TEST(list_collects_its_pages)
{
	struct listed got = {0};
	struct side s;

	open_modern(&s);
	EQ(mcp_client_list(s.c, "resourceTemplates", 0, on_list, &got), 0);
	expect(&s, "resources/templates/list");
	answer(&s, "{\"resourceTemplates\":[{\"a\":1},2],\"nextCursor\":\"\","
		   "\"ttlMs\":5}");
	expect(&s, "\"params\":{\"cursor\":\"\",\"_meta\"");
	answer(&s, "{\"resourceTemplates\":[],\"nextCursor\":\"\\u0041\","
		   "\"ttlMs\":9}");
	expect(&s, "\"cursor\":\"\\u0041\"");
	answer(&s, "{\"resourceTemplates\":[3]}");
	EQ(got.n, 1);
	EQ(got.status, 0);
	EQ(got.pages, 3);
	EQ(got.ttl_ms, 5);
	OK(!got.truncated);
	STR_EQ(got.items, "[{\"a\":1},2,3]");
	EQ(mcp_client_list(s.c, "nonsense", 0, on_list, &got), -EINVAL);
	side_close(&s);
}

TEST(endless_list_ends)
{
	struct listed got = {0};
	struct side s;

	open_modern(&s);
	EQ(mcp_client_list(s.c, "tools", 0, on_list, &got), 0);
	for (int i = 0; i < MCP_PAGES_MAX; i++) {
		expect(&s, "tools/list");
		answer(&s, "{\"tools\":[1],\"nextCursor\":\"x\"}");
	}
	EQ(got.n, 1);
	EQ(got.status, 0);
	OK(got.truncated);
	expect_silence(&s);
	side_close(&s);
}

TEST(list_fails_whole)
{
	struct listed got = {0};
	struct side s;

	open_modern(&s);
	EQ(mcp_client_list(s.c, "tools", 0, on_list, &got), 0);
	next(&s);
	answer(&s, "{\"tools\":[1],\"nextCursor\":\"x\"}");
	next(&s);
	answer(&s, "{\"tools\":{}}");
	EQ(got.n, 1);
	EQ(got.status, -EPROTO);
	STR_EQ(got.items, "");
	EQ(mcp_client_list(s.c, "tools", 0, on_list, &got), 0);
	side_close(&s);
	EQ(got.n, 2);
	EQ(got.status, -ECANCELED);
}

/* --- life ---------------------------------------------------------------- */

static void free_me(const struct mcp_answer *a, void *arg)
{
	struct side *s = arg;

	(void)a;
	s->n_done++;
	mcp_client_free(s->c);
}

TEST(client_may_be_freed_in_callbacks)
{
	struct mcp_request_spec spec = {.method = "m", .done = free_me};
	struct side s;

	open_modern(&s);
	spec.arg = &s;
	OK(mcp_client_request(s.c, &spec) > 0);
	OK(mcp_client_request(s.c, &spec) > 0);
	next(&s);
	answer(&s, "{}");
	EQ(s.n_done, 2);
	s.c = NULL;
	side_close(&s);
}

TEST(refuses_bad_options)
{
	static const struct mcp_client_opts bad[] = {
		{.capabilities = "[]"}, {.capabilities = "{"}, {.info = "1"}};
	struct mcp_client *c;
	uv_loop_t loop;

	EQ(uv_loop_init(&loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EQ(mcp_client_new(&loop, &bad[i], &events, NULL, &c), -EINVAL);
	EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&loop), 0);
}

TESTS(CASE(probe_finds_a_modern_server), CASE(probe_finds_a_legacy_server),
      CASE(silence_is_not_remembered_as_legacy),
      CASE(slow_modern_server_answers_the_probe_late),
      CASE(trouble_on_the_way_is_not_remembered),
      CASE(another_version_is_tried), CASE(unknown_version_fails),
      CASE(silent_server_fails_in_time), CASE(wrong_verdict_fails),
      CASE(start_ends_with_the_transport), CASE(needs_no_discover_when_told),
      CASE(passes_params_and_result), CASE(deadline_tells_the_server),
      CASE(progress_extends_up_to_the_hard_end), CASE(cancel_ends_it_once),
      CASE(lost_transport_ends_all), CASE(open_requests_are_bounded),
      CASE(junk_changes_nothing), CASE(legacy_question_is_answered_with_its_id),
      CASE(question_stops_the_clock), CASE(questions_are_bounded),
      CASE(round_sends_answers_and_state), CASE(rounds_are_bounded),
      CASE(bad_rounds_fail), CASE(refused_question_ends_the_request),
      CASE(cancel_in_a_round_drops_its_questions),
      CASE(rounds_can_be_the_owners), CASE(refused_version_is_tried_once_more),
      CASE(listens_for_changed_lists), CASE(list_collects_its_pages),
      CASE(endless_list_ends), CASE(list_fails_whole),
      CASE(client_may_be_freed_in_callbacks), CASE(refuses_bad_options))
