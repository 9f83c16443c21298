// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_server.c - Both eras of the server core, line by line
 */
#include "mcp/server.h"

#include <string.h>

#include "tests/tap.h"

#define META                                                                     \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
	"\"io.modelcontextprotocol/clientCapabilities\":%s}"
#define SENT_MAX 32

/* A server with one connection, and all that it said. */
struct world {
	uv_loop_t loop;
	struct mcp_server *server;
	struct mcp_conn *conn;
	char *sent[SENT_MAX];
	bool related[SENT_MAX];
	int n_sent;
	struct mcp_request *held[8]; /* Left open by "hold". */
	int n_held, cancelled, notified, served;
	char level[16];
};

static void on_send(const char *msg, size_t len,
		    const struct mcp_request *related, void *arg)
{
	struct world *w = arg;

	OK(w->n_sent < SENT_MAX);
	OK(memchr(msg, '\n', len) == NULL);
	w->related[w->n_sent] = related != NULL;
	w->sent[w->n_sent++] = strndup(msg, len);
}

static const struct mcp_question question = {
	.key = "name",
	.method = "elicitation/create",
	.params = "{\"message\":\"who?\"}",
};

/* Ask for a name twice, and tell both. */
static void ask_twice(struct mcp_request *q)
{
	char state[MCP_STATE_MAX + 1], name[32], text[64];
	int r = mcp_state(q, state);

	if (r < 0) {
		mcp_reply_error(q, RPC_INVALID_PARAMS, "bad state", NULL);
		return;
	}
	if (jv_strcpy(jv_path(mcp_answer(q, "name"), "content.name"), name,
		      sizeof(name)) < 0) {
		mcp_ask(q, &question, 1, r ? state : NULL);
		return;
	}
	if (r == 0) {
		mcp_ask(q, &question, 1, name);
		return;
	}
	snprintf(text, sizeof(text), "{\"names\":\"%.20s %.20s\"}", state,
		 name);
	mcp_reply(q, text);
}

static void on_request(struct mcp_request *q, void *arg)
{
	struct world *w = arg;
	struct jv name = jv_get(q->params, "name");

	w->served++;
	if (jv_eq(name, "hold"))
		w->held[w->n_held++] = q;
	else if (jv_eq(name, "close")) {
		mcp_conn_close(w->conn);
		mcp_reply(q, NULL);
	} else if (jv_eq(name, "ask"))
		ask_twice(q);
	else if (strcmp(q->method, "tools/call") == 0)
		mcp_reply(q, "{\"content\":[]}");
	else if (strcmp(q->method, "tools/list") == 0)
		mcp_reply(q, "{\"tools\":[],\"_meta\":{\"x\":1}}");
	else
		mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "no", NULL);
}

static void on_cancelled(struct mcp_request *q, void *arg)
{
	struct world *w = arg;

	OK(q->cancelled);
	w->cancelled++;
}

static void on_notify(struct mcp_conn *c, const struct rpc_msg *m, void *arg)
{
	struct world *w = arg;

	(void)c;
	(void)m;
	w->notified++;
}

static void on_level(struct mcp_conn *c, const char *level, void *arg)
{
	struct world *w = arg;

	(void)c;
	snprintf(w->level, sizeof(w->level), "%s", level);
}

static const struct mcp_server_ops ops = {
	.request = on_request,
	.cancelled = on_cancelled,
	.notify = on_notify,
	.log_level = on_level,
};

static const struct mcp_info info = {
	.name = "n",
	.version = "1",
	.capabilities = "{\"tools\":{\"listChanged\":true},\"logging\":{}}",
};

static void begin(struct world *w, bool stateless)
{
	struct mcp_conn_spec spec = {
		.send = on_send, .arg = w, .stateless = stateless};

	*w = (struct world){0};
	uv_loop_init(&w->loop);
	w->server = mcp_server_new(&w->loop, &ops, w);
	w->conn = mcp_conn_new(w->server, &spec);
}

static void open_world(struct world *w, bool stateless)
{
	begin(w, stateless);
	EQ(mcp_server_open(w->server, &info), 0);
}

static void finish(struct world *w)
{
	mcp_server_free(w->server);
	for (int i = 0; i < w->n_held; i++)
		mcp_reply(w->held[i], NULL);
	for (int i = 0; i < w->n_sent; i++)
		free(w->sent[i]);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&w->loop), 0);
}

static void say(struct world *w, const char *text)
{
	EQ(mcp_conn_message(w->conn, text, strlen(text)), 0);
}

/* Forget what was sent so far. */
static void clear(struct world *w)
{
	while (w->n_sent > 0)
		free(w->sent[--w->n_sent]);
}

static const char *last(const struct world *w)
{
	return w->n_sent > 0 ? w->sent[w->n_sent - 1] : "nothing";
}

/* Does the last message have this in it? */
#define HAS(w, text)                                                \
	do {                                                        \
		if (strstr(last(w), text) == NULL)                  \
			FAIL("\"%s\" is not in %s", text, last(w)); \
	} while (0)

#define HAS_NOT(w, text) OK(strstr(last(w), text) == NULL)

static void initialize(struct world *w, const char *caps)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","
		 "\"params\":{\"protocolVersion\":\"2025-06-18\","
		 "\"capabilities\":%s,\"clientInfo\":{\"name\":\"c\"}}}",
		 caps);
	say(w, text);
	say(w,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

/* A modern request with parameters, each followed by a comma. */
static void say_modern(struct world *w, const char *id, const char *method,
		       const char *params, const char *caps)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"%s\","
		 "\"params\":{%s" META "}}",
		 id, method, params, caps);
	say(w, text);
}

static void a_legacy_client_initializes(void)
{
	struct world w;

	open_world(&w, false);
	initialize(&w, "{\"roots\":{}}");
	STR_EQ(last(&w),
	       "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":"
	       "\"2025-06-18\",\"capabilities\":{\"tools\":{\"listChanged\":"
	       "true},\"logging\":{}},\"serverInfo\":{\"name\":\"n\","
	       "\"version\":\"1\"}}}");
	EQ(mcp_conn_era(w.conn), MCP_ERA_LEGACY);
	STR_EQ(mcp_conn_version(w.conn), "2025-06-18");
	OK(jv_has(jv_get(mcp_conn_client_caps(w.conn), "roots")));
	EQ(w.notified, 1);
	finish(&w);
}

static void an_unknown_version_gets_the_latest_legacy_one(void)
{
	struct world w;

	open_world(&w, false);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\","
		"\"params\":{\"protocolVersion\":\"2026-07-28\"}}");
	HAS(&w, "\"protocolVersion\":\"2025-11-25\"");
	finish(&w);
}

static void ids_come_back_byte_for_byte(void)
{
	static const char *const ids[] = {"0",
					  "-1",
					  "9007199254740991",
					  "\"\\u4e16 q\\\"\"",
					  "1.50",
					  "123456789012345678901234567890"};
	struct world w;
	char text[256];

	open_world(&w, false);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		snprintf(text, sizeof(text),
			 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}",
			 ids[i]);
		say(&w, text);
		snprintf(text, sizeof(text),
			 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}",
			 ids[i]);
		STR_EQ(last(&w), text);
	}
	finish(&w);
}

static void junk_is_answered_and_survived(void)
{
	struct world w;
	char text[] = "hello\n[]\n{\"jsonrpc\":\"2.0\",\"id\":null,"
		      "\"method\":\"ping\"}\n";

	open_world(&w, false);
	EQ(mcp_conn_feed(w.conn, text, strlen(text)), 0);
	EQ(w.n_sent, 3);
	OK(strstr(w.sent[0], "-32700") != NULL);
	OK(strstr(w.sent[1], "-32600") != NULL);
	OK(strstr(w.sent[2], "-32600") != NULL);
	EQ(mcp_conn_dropped(w.conn), 2);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	HAS(&w, "\"result\":{}");
	finish(&w);
}

static void methods_without_capability_do_not_exist(void)
{
	struct world w;

	open_world(&w, false);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/list\"}");
	HAS(&w, "-32601");
	EQ(w.served, 0);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	HAS(&w, "{\"tools\":[],\"_meta\":{\"x\":1}}}");
	finish(&w);
}

static void modern_requests_are_checked(void)
{
	struct world w;

	open_world(&w, false);
	say(&w,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\"}");
	HAS(&w, "-32602");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		"\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
		"protocolVersion\":\"2026-07-28\"}}}");
	HAS(&w, "-32602");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		"\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
		"protocolVersion\":\"v9\"}}}");
	HAS(&w, "-32022");
	HAS(&w, "{\"supported\":[\"2026-07-28\"],\"requested\":\"v9\"}");
	say_modern(&w, "1", "initialize", "", "{}");
	HAS(&w, "-32601");
	say_modern(&w, "1", "ping", "", "{}");
	HAS(&w, "-32601");
	EQ(w.served, 0);
	finish(&w);
}

static void a_stateless_connection_wants_meta(void)
{
	struct world w;

	open_world(&w, true);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	HAS(&w, "-32602");
	finish(&w);
}

static void modern_results_say_what_they_are(void)
{
	struct world w;

	open_world(&w, false);
	say_modern(&w, "1", "server/discover", "", "{}");
	HAS(&w, "\"resultType\":\"complete\"");
	HAS(&w, "\"supportedVersions\":[\"2026-07-28\"]");
	HAS(&w, "\"ttlMs\":0,\"cacheScope\":\"private\"");
	HAS(&w, "{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"n\"");
	say_modern(&w, "1", "tools/list", "", "{}");
	STR_EQ(last(&w),
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":"
	       "\"complete\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":"
	       "{\"name\":\"n\",\"version\":\"1\"},\"x\":1},\"ttlMs\":0,"
	       "\"cacheScope\":\"private\",\"tools\":[]}}");
	say_modern(&w, "1", "tools/call", "\"name\":\"x\",", "{}");
	HAS_NOT(&w, "ttlMs");
	finish(&w);
}

static void an_open_request_keeps_its_values(void)
{
	struct world w;
	char text[] = "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":"
		      "\"tools/call\",\"params\":{\"name\":\"hold\",\"_meta\":"
		      "{\"progressToken\":0}}}\n{\"jsonrpc\":\"2.0\",\"id\":2,"
		      "\"method\":\"ping\"}\n";

	open_world(&w, false);
	EQ(mcp_conn_feed(w.conn, text, strlen(text)), 0);
	memset(text, 'x', sizeof(text));
	EQ(w.n_held, 1);
	OK(jv_eq(jv_get(w.held[0]->params, "name"), "hold"));
	mcp_progress(w.held[0], 0.5, 2, "half");
	HAS(&w, "{\"progressToken\":0,\"progress\":0.5,\"total\":2,\"message\":"
		"\"half\"}");
	OK(w.related[w.n_sent - 1]);
	mcp_reply(w.held[0], "{\"content\":[]}");
	HAS(&w, "\"id\":\"a\",\"result\":{\"content\":[]}");
	w.n_held = 0;
	finish(&w);
}

static void a_cancelled_request_is_silent(void)
{
	struct world w;

	open_world(&w, false);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"tools/call\","
		"\"params\":{\"name\":\"hold\"}}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
		"\"params\":{\"requestId\":1}}");
	EQ(w.cancelled, 0); /* A number is no string. */
	say(&w, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
		"\"params\":{\"requestId\":\"1\"}}");
	EQ(w.cancelled, 1);
	mcp_progress(w.held[0], 1, 1, NULL);
	mcp_log(w.held[0], "error", NULL, "1");
	mcp_reply(w.held[0], NULL);
	EQ(w.n_sent, 0);
	w.n_held = 0;
	finish(&w);
}

static void the_end_of_a_connection_cancels(void)
{
	struct world w;

	open_world(&w, false);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
		"\"params\":{\"name\":\"hold\"}}");
	mcp_conn_close(w.conn);
	EQ(w.cancelled, 1);
	OK(w.held[0]->conn == NULL);
	finish(&w); /* Answers it. */
}

static void a_handler_may_close_its_connection(void)
{
	struct world w;
	char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
		      "\"params\":{\"name\":\"close\"}}\n"
		      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n";

	open_world(&w, false);
	EQ(mcp_conn_feed(w.conn, text, strlen(text)), 0);
	EQ(w.n_sent, 0);
	finish(&w);
}

static void what_comes_before_the_opening_waits(void)
{
	struct world w;

	begin(&w, false);
	initialize(&w, "{}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	EQ(w.n_sent, 0);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
	EQ(w.n_sent, 1);
	EQ(mcp_server_open(w.server, &(struct mcp_info){.capabilities = "["}),
	   -EINVAL);
	EQ(mcp_server_open(w.server, &info), 0);
	EQ(w.n_sent, 3);
	HAS(&w, "\"tools\":[]");
	finish(&w);
}

static void what_waits_is_bounded(void)
{
	struct world w;

	begin(&w, false);
	for (int i = 0; i < MCP_PARKED_MAX; i++)
		say(&w, "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/list\"}");
	HAS(&w, "\"id\":9,\"error\":{\"code\":-32603");
	mcp_server_fail(w.server, "it did not start");
	EQ(w.notified, MCP_PARKED_MAX);
	initialize(&w, "{}");
	HAS(&w, "it did not start");
	finish(&w);
}

static void the_log_has_a_level(void)
{
	struct world w;

	open_world(&w, false);
	initialize(&w, "{}");
	clear(&w);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\","
		"\"params\":{\"level\":\"loud\"}}");
	HAS(&w, "-32602");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\","
		"\"params\":{\"level\":\"warning\"}}");
	STR_EQ(w.level, "warning");
	clear(&w);
	mcp_conn_log(w.conn, "info", "l", "\"a\"");
	EQ(w.n_sent, 0);
	mcp_conn_log(w.conn, "error", "l", "\"a\"");
	HAS(&w, "{\"level\":\"error\",\"logger\":\"l\",\"data\":\"a\"}");
	finish(&w);
}

static void modern_clients_ask_for_the_log(void)
{
	struct world w;

	open_world(&w, false);
	say_modern(&w, "1", "tools/call", "\"name\":\"hold\",", "{}");
	mcp_log(w.held[0], "emergency", NULL, "1");
	EQ(w.n_sent, 0);
	finish(&w);
}

static void subscribers_hear_what_they_listen_to(void)
{
	struct world w;

	open_world(&w, false);
	say_modern(&w, "\"s\"", "subscriptions/listen",
		   "\"notifications\":{\"toolsListChanged\":true,"
		   "\"promptsListChanged\":true},",
		   "{}");
	STR_EQ(last(&w),
	       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/"
	       "acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
	       "subscriptionId\":\"s\"},\"notifications\":{\"toolsListChanged\":"
	       "true}}}");
	mcp_server_list_changed(w.server, "prompts");
	EQ(w.n_sent, 1);
	mcp_server_list_changed(w.server, "tools");
	EQ(w.n_sent, 2);
	HAS(&w, "notifications/tools/list_changed");
	HAS(&w, "subscriptionId\":\"s\"");
	say(&w, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
		"\"params\":{\"requestId\":\"s\"}}");
	HAS(&w, "\"id\":\"s\",\"result\":{\"resultType\":\"complete\"");
	mcp_server_list_changed(w.server, "tools");
	EQ(w.n_sent, 3);
	finish(&w);
}

static void legacy_clients_hear_after_initialized(void)
{
	struct world w;

	open_world(&w, false);
	mcp_server_list_changed(w.server, "tools");
	EQ(w.n_sent, 0);
	initialize(&w, "{}");
	mcp_server_list_changed(w.server, "tools");
	STR_EQ(last(&w), "{\"jsonrpc\":\"2.0\",\"method\":"
			 "\"notifications/tools/list_changed\"}");
	OK(!w.related[w.n_sent - 1]);
	finish(&w);
}

static void a_legacy_client_is_asked_by_requests(void)
{
	struct world w;

	open_world(&w, false);
	initialize(&w, "{\"elicitation\":{}}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\","
		"\"params\":{\"name\":\"ask\"}}");
	STR_EQ(last(&w), "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":"
			 "\"elicitation/create\",\"params\":{\"message\":"
			 "\"who?\"}}");
	OK(w.related[w.n_sent - 1]);
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"action\":"
		"\"accept\",\"content\":{\"name\":\"Ada\"}}}");
	HAS(&w, "\"id\":1,\"method\":\"elicitation/create\"");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":"
		"\"accept\",\"content\":{\"name\":\"Eva\"}}}");
	HAS(&w, "\"id\":7,\"result\":{\"names\":\"Ada Eva\"}");
	finish(&w);
}

static void a_refusal_to_answer_ends_the_request(void)
{
	struct world w;

	open_world(&w, false);
	initialize(&w, "{\"elicitation\":{}}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\","
		"\"params\":{\"name\":\"ask\"}}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":0,\"error\":{\"code\":1,"
		"\"message\":\"no\"}}");
	HAS(&w, "\"id\":7,\"error\"");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\","
		"\"params\":{\"name\":\"ask\"}}");
	finish(&w); /* With the question open. */
}

static void nobody_is_asked_for_what_he_lacks(void)
{
	struct world w;

	open_world(&w, false);
	initialize(&w, "{}");
	say(&w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\","
		"\"params\":{\"name\":\"ask\"}}");
	HAS(&w, "\"id\":7,\"error\"");
	say_modern(&w, "8", "tools/call", "\"name\":\"ask\",", "{}");
	HAS(&w, "-32021");
	HAS(&w, "{\"requiredCapabilities\":{\"elicitation\":{}}}");
	finish(&w);
}

/* The requestState of the last message, with quotes; owned by the caller. */
static char *sent_state(const struct world *w)
{
	autojson struct json j = {0};
	struct jv state;
	size_t len;
	const char *raw;

	EQ(json_parse(&j, last(w), strlen(last(w)), NULL), 0);
	state = jv_path(json_root(&j), "result.requestState");
	OK(jv_is(state, JV_STRING));
	raw = jv_raw(state, &len);
	return strndup(raw, len);
}

static void a_modern_client_is_asked_by_results(void)
{
	static const char answer[] = "\"inputResponses\":{\"name\":{\"action\":"
				     "\"accept\",\"content\":{\"name\":\"%s\"}}"
				     "},\"name\":\"ask\",";
	char params[1024], *state;
	struct world w;

	open_world(&w, false);
	say_modern(&w, "1", "tools/call", "\"name\":\"ask\",",
		   "{\"elicitation\":{}}");
	HAS(&w, "\"resultType\":\"input_required\"");
	HAS(&w,
	    "\"inputRequests\":{\"name\":{\"method\":\"elicitation/create\","
	    "\"params\":{\"message\":\"who?\"}}}");
	HAS_NOT(&w, "requestState");
	snprintf(params, sizeof(params), answer, "Ada");
	say_modern(&w, "2", "tools/call", params, "{\"elicitation\":{}}");
	state = sent_state(&w);
	snprintf(params, sizeof(params), "\"requestState\":%s,", state);
	snprintf(params + strlen(params), sizeof(params) - strlen(params),
		 answer, "Eva");
	say_modern(&w, "3", "tools/call", params, "{\"elicitation\":{}}");
	HAS(&w, "\"names\":\"Ada Eva\"");

	state[20] = state[20] == 'A' ? 'B' : 'A';
	snprintf(params, sizeof(params), "\"requestState\":%s,", state);
	snprintf(params + strlen(params), sizeof(params) - strlen(params),
		 answer, "Eva");
	say_modern(&w, "4", "tools/call", params, "{\"elicitation\":{}}");
	HAS(&w, "-32602");
	free(state);
	finish(&w);
}

static void a_state_is_good_for_its_request_only(void)
{
	char params[1024], *state;
	struct world w;

	open_world(&w, false);
	say_modern(&w, "1", "tools/call",
		   "\"name\":\"ask\",\"inputResponses\":{\"name\":{\"content\":"
		   "{\"name\":\"Ada\"}}},",
		   "{\"elicitation\":{}}");
	state = sent_state(&w);
	snprintf(
		params, sizeof(params),
		"\"name\":\"ask\",\"arguments\":{\"x\":1},\"requestState\":%s,",
		state);
	say_modern(&w, "2", "tools/call", params, "{\"elicitation\":{}}");
	HAS(&w, "-32602");
	free(state);
	finish(&w);
}

static void open_requests_are_bounded(void)
{
	struct world w;
	char text[128];

	open_world(&w, false);
	for (int i = 0; i <= MCP_REQUESTS_MAX; i++) {
		snprintf(text, sizeof(text),
			 "\"notifications\":{\"toolsListChanged\":true},");
		say_modern(&w, "1", "subscriptions/listen", text, "{}");
		if (i < MCP_REQUESTS_MAX)
			clear(&w);
	}
	HAS(&w, "too many requests");
	finish(&w);
}

static void what_open_requests_hold_is_bounded(void)
{
	size_t n = MCP_LINE_MAX - 256;
	char *text = malloc(n + 256);
	struct world w;
	int at;

	open_world(&w, false);
	at = sprintf(text, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":"
			   "\"tools/call\",\"params\":{\"name\":\"hold\","
			   "\"x\":\"");
	memset(text + at, 'x', n);
	memcpy(text + at + n, "\"}}", 4);
	for (int i = 0; i < 4; i++)
		EQ(mcp_conn_message(w.conn, text, (size_t)at + n + 3), 0);
	EQ(w.n_held, 3);
	HAS(&w, "too many requests");
	mcp_reply(w.held[--w.n_held], NULL);
	EQ(mcp_conn_message(w.conn, text, (size_t)at + n + 3), 0);
	EQ(w.n_held, 3);
	free(text);
	finish(&w);
}

TESTS(CASE(a_legacy_client_initializes),
      CASE(an_unknown_version_gets_the_latest_legacy_one),
      CASE(ids_come_back_byte_for_byte), CASE(junk_is_answered_and_survived),
      CASE(methods_without_capability_do_not_exist),
      CASE(modern_requests_are_checked),
      CASE(a_stateless_connection_wants_meta),
      CASE(modern_results_say_what_they_are),
      CASE(an_open_request_keeps_its_values),
      CASE(a_cancelled_request_is_silent),
      CASE(the_end_of_a_connection_cancels),
      CASE(a_handler_may_close_its_connection),
      CASE(what_comes_before_the_opening_waits), CASE(what_waits_is_bounded),
      CASE(the_log_has_a_level), CASE(modern_clients_ask_for_the_log),
      CASE(subscribers_hear_what_they_listen_to),
      CASE(legacy_clients_hear_after_initialized),
      CASE(a_legacy_client_is_asked_by_requests),
      CASE(a_refusal_to_answer_ends_the_request),
      CASE(nobody_is_asked_for_what_he_lacks),
      CASE(a_modern_client_is_asked_by_results),
      CASE(a_state_is_good_for_its_request_only),
      CASE(open_requests_are_bounded), CASE(what_open_requests_hold_is_bounded))
