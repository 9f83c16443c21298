// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_gateway.c - Clients and servers through the gateway
 *
 * Tests of the gateway (guest/mcp_gateway.h) between clients and servers that the
 * tests play: what a client says goes in as lines, what a server is asked is kept
 * until the test answers it.
 */
#include "core/store.h"
#include "guest/mcp_gateway.h"
#include "tests/tap.h"

#define SES	  "ses_00000000000000000000000000000001"
#define SAID_MAX  4096
#define ASKED_MAX 64
#define INIT                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","    \
	"\"params\":{\"protocolVersion\":\"2025-11-25\",\"clientInfo" \
	"\":{\"name\":\"t\",\"version\":\"1\"},\"capabilities\":%s}}"

static uv_loop_t loop;
static struct mcp_gateway *gateway;
static struct journal_hub hub;
static struct journal journal;

/*
 * A server.
 */

struct fake {
	struct upstream up;
	struct mcp_config *config;
	struct upstream_call *asked[ASKED_MAX];
	unsigned n_asked, n_cancelled, n_started;
	char said[SAID_MAX]; /* The last of it: notify, reply. */
};

static struct fake *fake_of(struct upstream *u)
{
	return container_of(u, struct fake, up);
}

static int fake_start(struct upstream *u, struct err *e)
{
	(void)e;
	fake_of(u)->n_started++;
	upstream_starting(u);
	return 0;
}

static void fake_stop(struct upstream *u)
{
	(void)u;
}

static int fake_send(struct upstream *u, struct upstream_call *c, struct err *e)
{
	struct fake *f = fake_of(u);

	(void)e;
	OK(f->n_asked < ASKED_MAX);
	f->asked[f->n_asked++] = c;
	return 0;
}

static void fake_cancel(struct upstream *u, struct upstream_call *c,
			const char *reason)
{
	const struct upstream_answer a = {
		.status = -ECANCELED, .result = {.i = -1}, .error = {.i = -1}};

	OK(reason != NULL);
	fake_of(u)->n_cancelled++;
	upstream_end_call(c, &a);
}

static void fake_notify(struct upstream *u, const char *method,
			const char *params)
{
	snprintf(fake_of(u)->said, SAID_MAX, "%s %s", method, params);
}

static void fake_reply(struct upstream *u, int64_t id, const char *result,
		       int code, const char *message, const char *data)
{
	(void)data;
	if (result != NULL)
		snprintf(fake_of(u)->said, SAID_MAX, "%d %s", (int)id, result);
	else
		snprintf(fake_of(u)->said, SAID_MAX, "%d error %d %s", (int)id,
			 code, message);
}

static void fake_list_tools(struct upstream *u)
{
	(void)u;
}

static void fake_free(struct upstream *u)
{
	struct fake *f = fake_of(u);

	upstream_done(u);
	mcp_config_free(f->config);
	free(f);
}

static const struct upstream_ops fake_ops = {
	.start = fake_start,
	.stop = fake_stop,
	.send = fake_send,
	.cancel = fake_cancel,
	.notify = fake_notify,
	.reply = fake_reply,
	.list_tools = fake_list_tools,
	.free = fake_free,
};

static struct fake *add(const char *name, const char *more)
{
	struct fake *f = calloc(1, sizeof(*f));
	autojson struct json j = {0};
	struct err e = {0};
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"mcp\":[{\"name\":\"%s\",\"type\":\"remote\"%s}]}", name,
		 more);
	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	if (mcp_config_read(json_root(&j), "/", &f->config, &e) < 0)
		FAIL("%s", e.msg);
	upstream_init(&f->up, &f->config->specs[0], &fake_ops);
	EQ(mcp_gateway_add(gateway, &f->up), 0);
	return f;
}

static void be_ready(struct fake *f, const char *capabilities,
		     const char *tools)
{
	struct upstream_info info = {
		.version = "2025-11-25",
		.server = strdup("{\"name\":\"fake\",\"version\":\"7\"}"),
		.capabilities = strdup(capabilities),
		.instructions = strdup("do \"this\""),
	};

	if (f->up.state != UPSTREAM_STARTING)
		upstream_starting(&f->up);
	upstream_shook_hands(&f->up, &info);
	upstream_tools(&f->up, tools, strlen(tools));
}

#define TWO_TOOLS                                                    \
	"[{\"name\":\"get\",\"inputSchema\":{\"type\":\"object\"}}," \
	"{\"name\":\"put\",\"inputSchema\":{ \"type\":\"object\"},"  \
	"\"outputSchema\":{\"type\":\"array\"}}]"

/* The answer to a request of ours. */
static void answer(struct fake *f, unsigned i, const char *result)
{
	autojson struct json j = {0};
	struct upstream_answer a = {.error = {.i = -1}};

	EQ(json_parse(&j, result, strlen(result), NULL), 0);
	a.result = json_root(&j);
	upstream_end_call(f->asked[i], &a);
}

static void answer_error(struct fake *f, unsigned i, const char *error)
{
	autojson struct json j = {0};
	struct upstream_answer a = {.status = -EREMOTEIO, .result = {.i = -1}};

	EQ(json_parse(&j, error, strlen(error), NULL), 0);
	a.error = json_root(&j);
	upstream_end_call(f->asked[i], &a);
}

static void ask_back(struct fake *f, struct upstream_call *about,
		     const char *method, const char *params)
{
	autojson struct json m = {0}, p = {0};
	struct upstream_question q = {.id = 5, .call = about};

	EQ(json_parse(&m, method, strlen(method), NULL), 0);
	EQ(json_parse(&p, params, strlen(params), NULL), 0);
	q.method = json_root(&m);
	q.params = json_root(&p);
	upstream_question(&f->up, &q);
}

/*
 * A client.
 */

struct client {
	struct mcp_peer *peer;
	unsigned n_said;
	char said[8][SAID_MAX];
	bool ended, idle, leaves; /* Closes when it is idle. */
};

static void client_on_send(const char *msg, size_t len, void *arg)
{
	struct client *c = arg;

	snprintf(c->said[c->n_said++ % ARRAY_LEN(c->said)], SAID_MAX, "%.*s",
		 (int)len, msg);
}

static void client_on_ended(void *arg)
{
	struct client *c = arg;

	c->ended = true;
}

static void client_on_idle(void *arg)
{
	struct client *c = arg;

	c->idle = true;
	if (c->leaves)
		mcp_peer_close(take_ptr(c->peer));
}

static const char *last(const struct client *c)
{
	return c->n_said == 0 ? ""
			      : c->said[(c->n_said - 1) % ARRAY_LEN(c->said)];
}

static void say(struct client *c, const char *line)
{
	char *text = NULL;
	int n = asprintf(&text, "%s\n", line);

	EQ(mcp_peer_feed(c->peer, text, (size_t)n), 0);
	free(text);
}

static struct client *attach(const char *server)
{
	struct client *c = calloc(1, sizeof(*c));
	struct mcp_front *f = mcp_gateway_find(gateway, server);

	OK(f != NULL);
	c->peer = mcp_peer_open(f, &(struct mcp_peer_spec){
					   .send = client_on_send,
					   .ended = client_on_ended,
					   .idle = client_on_idle,
					   .arg = c,
				   });
	OK(c->peer != NULL);
	return c;
}

static void greet(struct client *c, const char *capabilities)
{
	char text[1024];

	snprintf(text, sizeof(text), INIT, capabilities);
	say(c, text);
	say(c,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

#define LIST(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/list\"}"
#define CALL(id, more)                                                  \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\"," \
	"\"params\":{\"name\":\"get\"" more "}}"
#define MODERN(caps)                                                           \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28"  \
	"\",\"io.modelcontextprotocol/clientCapabilities\":" caps              \
	",\"io.modelcontextprotocol/clientInfo\":{\"name\":\"t\",\"version\":" \
	"\"1\"},\"progressToken\":\"t\",\"mine\":1}"

/*
 * The session.
 */

static char user_asked[SAID_MAX];
static struct mcp_user_question user_question;
static unsigned n_forgotten;

static int session_ask(const struct mcp_user_question *q, void **out, void *arg,
		       struct err *e)
{
	size_t len;
	const char *raw = jv_raw(q->params, &len);

	(void)arg;
	(void)e;
	snprintf(user_asked, sizeof(user_asked), "%.*s", (int)len, raw);
	user_question = *q;
	*out = &user_question;
	return 0;
}

static void session_forget(void *asked, void *arg)
{
	(void)arg;
	OK(asked == &user_question);
	n_forgotten++;
}

static void open_gateway(void)
{
	uv_loop_init(&loop);
	journal_hub_init(&hub, NULL);
	journal_init(&journal, &hub, SES, 0, 1);
	gateway = mcp_gateway_new(&(struct mcp_gateway_spec){
		.loop = &loop,
		.journal = &journal,
		.cwd = "/work space/x",
		.ask = session_ask,
		.forget = session_forget,
	});
	OK(gateway != NULL);
}

static void close_gateway(void)
{
	mcp_gateway_free(gateway);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&loop), 0);
}

/*
 * Cases.
 */

TEST(a_client_sees_what_the_server_is)
{
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	c = attach("one");
	EQ(f->n_started, 1);
	greet(c, "{}");
	EQ(c->n_said, 0); /* It is not known yet. */
	be_ready(f, "{\"tools\":{},\"prompts\":{},\"tasks\":{}}", TWO_TOOLS);
	EQ(c->n_said, 1);
	STR_EQ(last(c),
	       "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":"
	       "\"2025-11-25\",\"capabilities\":{\"tools\":{\"listChanged\":"
	       "true},\"prompts\":{}},\"serverInfo\":{\"name\":\"fake\","
	       "\"version\":\"7\"},\"instructions\":\"do \\\"this\\\"\"}}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	STR_EQ(last(c),
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":"
	       "\"get\",\"inputSchema\":{\"type\":\"object\"}},{\"name\":"
	       "\"put\",\"inputSchema\":{ \"type\":\"object\"}}]}}");
	EQ(f->n_asked, 0);
	close_gateway();
	OK(c->ended);
	fake_free(&f->up);
	free(c);
}

TEST(a_call_is_passed_on_and_its_answer_comes_back_as_it_is)
{
	static const char result[] =
		"{\"content\":[{ \"type\":\"text\",\"text\":\"\\u00e9\"}],"
		"\"structuredContent\":{\"x\" : 1.50},\"_meta\":{\"k\":0}}";
	char want[SAID_MAX];
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	c = attach("one");
	greet(c, "{}");
	say(c, CALL("\"a\"", ",\"arguments\":{\"k\": [1]},\"_meta\":{"
			     "\"progressToken\":9,\"mine\":\"x\"}"));
	EQ(f->n_asked, 1);
	STR_EQ(f->asked[0]->q.method, "tools/call");
	STR_EQ(f->asked[0]->q.params,
	       "{\"name\":\"get\",\"arguments\":{\"k\": [1]},\"_meta\":{"
	       "\"mine\":\"x\"}}");
	answer(f, 0, result);
	snprintf(want, sizeof(want),
		 "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":%s}", result);
	STR_EQ(last(c), want);
	EQ(journal.last_seq, 1);
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(equal_ids_and_tokens_of_two_clients_do_not_meet)
{
	autojson struct json j = {0};
	struct client *a, *b;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	a = attach("one");
	b = attach("one");
	greet(a, "{}");
	greet(b, "{}");
	say(a, CALL("1", ",\"_meta\":{\"progressToken\":\"t\"}"));
	say(b, CALL("1", ",\"_meta\":{\"progressToken\":\"t\"}"));
	a->n_said = b->n_said = 0;
	EQ(json_parse(&j, "{\"progress\":1,\"message\":\"b\"}", 28, NULL), 0);
	f->asked[1]->q.progress(json_root(&j), f->asked[1]->q.arg);
	EQ(a->n_said, 0);
	STR_EQ(last(b),
	       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
	       "\"params\":{\"progressToken\":\"t\",\"progress\":1,"
	       "\"message\":\"b\"}}");
	answer(f, 1, "{\"b\":1}");
	EQ(a->n_said, 0);
	STR_EQ(last(b), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"b\":1}}");
	answer(f, 0, "{\"a\":1}");
	STR_EQ(last(a), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}");
	EQ(b->n_said, 2);
	close_gateway();
	fake_free(&f->up);
	free(a);
	free(b);
}

TEST(globs_hide_tools_and_refuse_calls)
{
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", ",\"tools\":{\"allow\":[\"*\"],\"deny\":[\"g?t\"]}");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	c = attach("one");
	greet(c, "{}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	OK(strstr(last(c), "\"put\"") != NULL);
	OK(strstr(last(c), "\"get\"") == NULL);
	say(c, CALL("2", ""));
	OK(strstr(last(c), "\"code\":-32602") != NULL);
	EQ(f->n_asked, 0);
	EQ(journal.last_seq, 0);
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(a_cancelled_call_is_cancelled_there)
{
	struct client *c;
	struct fake *f;
	unsigned before;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	c = attach("one");
	greet(c, "{}");
	say(c, CALL("1", ""));
	before = c->n_said;
	say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
	       "\"params\":{\"requestId\":1}}");
	EQ(f->n_cancelled, 1);
	EQ(c->n_said, before);
	say(c, CALL("2", ""));
	mcp_peer_close(c->peer);
	EQ(f->n_cancelled, 2);
	EQ(journal.last_seq, 2);
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(a_dead_server_is_told_in_words)
{
	struct upstream_end end = {.has_process = true, .code = 3};
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	c = attach("one");
	greet(c, "{}");
	err_set(&end.why, -EPIPE, "it exited with code 3");
	upstream_exited(&f->up, &end, UPSTREAM_STARTING);
	say(c, CALL("1", "")); /* Waits for the next one. */
	upstream_failed(&f->up, &end, UPSTREAM_DOWN);
	STR_EQ(last(c),
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{"
	       "\"type\":\"text\",\"text\":\"it exited with code 3\"}],"
	       "\"isError\":true}}");
	EQ(f->n_asked, 0);
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}");
	OK(strstr(last(c), "\"get\"") != NULL);
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(changed_lists_are_told)
{
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{},\"prompts\":{\"listChanged\":true}}",
		 TWO_TOOLS);
	c = attach("one");
	greet(c, "{}");
	upstream_tools(&f->up, "[]", 2);
	STR_EQ(last(c), "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/"
			"list_changed\"}");
	upstream_list_changed(&f->up, "prompts");
	STR_EQ(last(c), "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
			"prompts/list_changed\"}");
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(eras_are_bridged)
{
	struct client *old, *new;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{},\"resources\":{}}", TWO_TOOLS);
	old = attach("one");
	new = attach("one");
	greet(old, "{}");
	say(old, CALL("1", ""));
	answer(f, 0, "{\"content\":[],\"structuredContent\":[1]}");
	STR_EQ(last(old),
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}");
	say(new, CALL("1", "," MODERN("{}")));
	STR_EQ(f->asked[1]->q.params,
	       "{\"name\":\"get\",\"_meta\":{\"mine\":1}}");
	OK(!f->asked[1]->q.pass_input_required);
	answer(f, 1, "{\"content\":[],\"structuredContent\":[1]}");
	OK(strstr(last(new), "\"resultType\":\"complete\"") != NULL);
	OK(strstr(last(new), "\"structuredContent\":[1]") != NULL);
	say(new,
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"resources/read\","
	    "\"params\":{\"uri\":\"x:y\"," MODERN("{\"elicitation\":{}}") "}}");
	OK(f->asked[2]->q.pass_input_required);
	answer_error(f, 2,
		     "{\"code\":-32002,\"message\":\"no\",\"data\":{\"uri\":"
		     "\"x:y\"}}");
	STR_EQ(last(new),
	       "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32602,"
	       "\"message\":\"no\",\"data\":{\"uri\":\"x:y\"}}}");
	close_gateway();
	fake_free(&f->up);
	free(old);
	free(new);
}

#define FORM "{\"message\":\"who?\",\"requestedSchema\":{}}"

TEST(elicitations_go_to_the_client_that_offers_it)
{
	struct client *a, *b;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	a = attach("one");
	b = attach("one");
	greet(a, "{\"elicitation\":{}}");
	greet(b, "{}");
	say(a, CALL("1", ""));
	say(b, CALL("1", ""));
	ask_back(f, f->asked[0], "\"elicitation/create\"", FORM);
	STR_EQ(user_asked, "");
	STR_EQ(last(a), "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":"
			"\"elicitation/create\",\"params\":" FORM "}");
	say(a, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"action\":"
	       "\"accept\",\"content\":{ \"a\":\"\\u0041\"}}}");
	STR_EQ(f->said, "5 {\"action\":\"accept\",\"content\":{ \"a\":"
			"\"\\u0041\"}}");

	/* The other one's is asked of the user, and so is a URL. */
	ask_back(f, f->asked[1], "\"elicitation/create\"", FORM);
	STR_EQ(user_asked, FORM);
	user_question.done("{\"action\":\"decline\"}", user_question.arg);
	STR_EQ(f->said, "5 {\"action\":\"decline\"}");
	ask_back(f, f->asked[0], "\"elicitation/create\"",
		 "{\"mode\":\"url\"}");
	STR_EQ(user_asked, "{\"mode\":\"url\"}");
	upstream_question_gone(&f->up, 5);
	EQ(n_forgotten, 1);
	close_gateway();
	fake_free(&f->up);
	free(a);
	free(b);
}

TEST(a_client_that_goes_has_cancelled_its_questions)
{
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	c = attach("one");
	greet(c, "{\"elicitation\":{},\"sampling\":{}}");
	say(c, CALL("1", ""));
	ask_back(f, NULL, "\"elicitation/create\"", FORM);
	mcp_peer_close(c->peer);
	STR_EQ(f->said, "5 {\"action\":\"cancel\"}");
	ask_back(f, NULL, "\"sampling/createMessage\"", "{}");
	STR_EQ(f->said, "5 error -32601 nobody can answer that");
	ask_back(f, NULL, "\"roots/list\"", "{}");
	STR_EQ(f->said, "5 {\"roots\":[{\"uri\":\"file:///work%20space/x\","
			"\"name\":\"x\"}]}");
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(who_says_no_more_hears_the_rest)
{
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	c = attach("one");
	greet(c, "{}");
	say(c, CALL("1", ""));
	mcp_peer_finish(c->peer);
	OK(!c->idle);
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	OK(!c->idle);
	answer(f, 0, "{}");
	OK(c->idle);
	mcp_peer_close(c->peer);
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(what_waited_for_the_server_is_answered_before_the_end)
{
	struct client *c;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	c = attach("one");
	c->leaves = true;
	greet(c, "{}");
	say(c, LIST("1"));
	say(c, LIST("2"));
	mcp_peer_finish(c->peer);
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	OK(c->idle);
	EQ(c->n_said, 3);
	OK(strstr(last(c), "\"id\":2,\"result\"") != NULL);
	close_gateway();
	fake_free(&f->up);
	free(c);
}

TEST(subscriptions_are_counted)
{
	autojson struct json j = {0};
	struct rpc_msg m;
	static const char updated[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/"
		"updated\",\"params\":{\"uri\":\"a:b\"}}";
	struct client *a, *b;
	struct fake *f;

	open_gateway();
	f = add("one", "");
	be_ready(f, "{\"resources\":{\"subscribe\":true}}", "[]");
	a = attach("one");
	b = attach("one");
	greet(a, "{}");
	greet(b, "{}");
	say(a, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/subscribe"
	       "\",\"params\":{\"uri\":\"a:b\"}}");
	STR_EQ(f->asked[0]->q.method, "resources/subscribe");
	answer(f, 0, "{}");
	a->n_said = b->n_said = 0;
	EQ(rpc_decode(&j, updated, strlen(updated), &m, NULL), 0);
	upstream_tell(&f->up, &m);
	STR_EQ(last(a), updated);
	EQ(b->n_said, 0);
	mcp_peer_close(a->peer);
	STR_EQ(f->asked[1]->q.method, "resources/unsubscribe");
	STR_EQ(f->asked[1]->q.params, "{\"uri\":\"a:b\"}");
	answer(f, 1, "{}");
	close_gateway();
	fake_free(&f->up);
	free(a);
	free(b);
}

TEST(all_servers_are_one)
{
	struct upstream_end end = {0};
	struct client *c;
	struct fake *f, *g, *dead;

	open_gateway();
	f = add("b", ",\"tools\":{\"deny\":[\"put\"]}");
	g = add("a", "");
	dead = add("dead", "");
	EQ(mcp_gateway_add_all(gateway), 0);
	c = attach(MCP_AGGREGATE);
	greet(c, "{}");
	OK(strstr(last(c), "\"name\":\"hib\"") != NULL);
	c->n_said = 0;
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	EQ(f->n_started + g->n_started + dead->n_started, 3);
	be_ready(f, "{\"tools\":{},\"prompts\":{}}", TWO_TOOLS);
	be_ready(g, "{\"tools\":{},\"prompts\":{},\"resources\":{}}",
		 "[{\"name\":\"x\"}]");
	upstream_failed(&dead->up, &end, UPSTREAM_DOWN);
	STR_EQ(last(c),
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":"
	       "\"a__x\"},{\"name\":\"b__get\",\"inputSchema\":{\"type\":"
	       "\"object\"}}]}}");

	say(c, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\","
	       "\"params\":{\"name\":\"a__x\",\"arguments\":{}}}");
	STR_EQ(g->asked[0]->q.params, "{\"name\":\"x\",\"arguments\":{}}");
	answer(g, 0, "{\"content\":[]}");
	STR_EQ(last(c),
	       "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[]}}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\","
	       "\"params\":{\"name\":\"b__put\"}}");
	OK(strstr(last(c), "-32602") != NULL);

	say(c, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"prompts/list\"}");
	STR_EQ(f->asked[0]->q.list, "prompts");
	answer(f, 0, "[{\"name\":\"p\"}]");
	answer(g, 1, "[{\"name\":\"q\"}]");
	EQ(dead->n_started, 2); /* Tried again, and asked. */
	upstream_failed(&dead->up, &end, UPSTREAM_DOWN);
	STR_EQ(last(c), "{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"prompts\":"
			"[{\"name\":\"a__q\"},{\"name\":\"b__p\"}]}}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"prompts/get\","
	       "\"params\":{\"name\":\"b__p\"}}");
	STR_EQ(f->asked[1]->q.params, "{\"name\":\"p\"}");
	answer(f, 1, "{\"messages\":[]}");
	close_gateway();
	fake_free(&f->up);
	fake_free(&g->up);
	fake_free(&dead->up);
	free(c);
}

TEST(resources_of_all_servers_keep_their_uris)
{
	struct client *c;
	struct fake *f, *g;

	open_gateway();
	f = add("b", "");
	g = add("a", "");
	EQ(mcp_gateway_add_all(gateway), 0);
	be_ready(f, "{\"resources\":{}}", "[]");
	be_ready(g, "{\"resources\":{}}", "[]");
	c = attach(MCP_AGGREGATE);
	greet(c, "{}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\"}");
	answer(g, 0, "[{\"uri\":\"x:1\",\"name\":\"g\"}]");
	answer(f, 0, "[{\"uri\":\"x:1\",\"name\":\"f\"},{\"uri\":\"x:2\"}]");
	STR_EQ(last(c), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{"
			"\"resources\":[{\"uri\":\"x:1\",\"name\":\"f\"},"
			"{\"uri\":\"x:2\"}]}}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"resources/templates/"
	       "list\"}");
	answer(g, 1, "[{\"uriTemplate\":\"t:{x}\"}]");
	answer(f, 1, "[]");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"resources/read\","
	       "\"params\":{\"uri\":\"t:7\"}}");
	STR_EQ(g->asked[2]->q.params, "{\"uri\":\"t:7\"}");
	answer(g, 2, "{\"contents\":[]}");
	say(c, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"resources/read\","
	       "\"params\":{\"uri\":\"z:7\"}}");
	OK(strstr(last(c), "-32002") != NULL);
	close_gateway();
	fake_free(&f->up);
	fake_free(&g->up);
	free(c);
}

static struct upstream_answer got;
static unsigned n_got;

static void call_on_done(const struct upstream_answer *a, void *arg)
{
	(void)arg;
	got = *a;
	n_got++;
}

TEST(calls_need_no_client)
{
	struct mcp_gateway_call *q;
	struct err e = {0};
	struct fake *f;
	struct mcp_gateway_call_spec spec = {
		.tool = "get", .args = {.i = -1}, .done = call_on_done};

	open_gateway();
	f = add("one", ",\"tools\":{\"deny\":[\"put\"]}");
	be_ready(f, "{\"tools\":{}}", TWO_TOOLS);
	EQ(mcp_front_call(mcp_gateway_find(gateway, "one"), &spec, &q, &e), 0);
	STR_EQ(f->asked[0]->q.params, "{\"name\":\"get\"}");
	answer(f, 0, "{\"content\":[]}");
	EQ(n_got, 1);
	EQ(got.status, 0);
	EQ(mcp_front_call(mcp_gateway_find(gateway, "one"), &spec, &q, &e), 0);
	mcp_gateway_cancel(q);
	EQ(f->n_cancelled, 1);
	EQ(mcp_front_call(mcp_gateway_find(gateway, "one"), &spec, &q, &e), 0);
	spec.tool = "put";
	EQ(mcp_front_call(mcp_gateway_find(gateway, "one"), &spec, &q, &e),
	   -FAULT_INVALID_ARGUMENT);
	close_gateway();
	EQ(n_got, 2); /* The third one ended with the gateway. */
	EQ(got.status, -EPIPE);
	fake_free(&f->up);
}

TESTS(CASE(a_client_sees_what_the_server_is),
      CASE(a_call_is_passed_on_and_its_answer_comes_back_as_it_is),
      CASE(equal_ids_and_tokens_of_two_clients_do_not_meet),
      CASE(globs_hide_tools_and_refuse_calls),
      CASE(a_cancelled_call_is_cancelled_there),
      CASE(a_dead_server_is_told_in_words), CASE(changed_lists_are_told),
      CASE(eras_are_bridged),
      CASE(elicitations_go_to_the_client_that_offers_it),
      CASE(a_client_that_goes_has_cancelled_its_questions),
      CASE(who_says_no_more_hears_the_rest),
      CASE(what_waited_for_the_server_is_answered_before_the_end),
      CASE(subscriptions_are_counted), CASE(all_servers_are_one),
      CASE(resources_of_all_servers_keep_their_uris),
      CASE(calls_need_no_client))
