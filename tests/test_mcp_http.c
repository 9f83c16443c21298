// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_http.c - Messages to a remote server and back, whatever it does
 */
#include "mcp/http_client.h"

#include "mcp/client.h"
#include "tests/mcp_http_kit.h"

static struct {
	uv_loop_t loop;
	struct kit kit;
	struct mcp_http *http;
	char said[16][1024]; /* What came out. */
	int n_said, n_lost, n_drained;
	char why[256];
	int ticks;
	bool timed_out, closed, close_in_message;
} t;

static void on_closed(void *arg)
{
	(void)arg;
	t.closed = true;
}

static void on_message(struct mcp_http *h, const struct rpc_msg *m,
		       const char *text, size_t len, void *arg)
{
	(void)arg;
	OK(jv_has(m->root));
	OK(memchr(text, '\n', len) == NULL);
	OK(t.n_said < 16);
	snprintf(t.said[t.n_said++], sizeof(t.said[0]), "%.*s", (int)len, text);
	if (t.close_in_message) {
		t.http = NULL;
		mcp_http_close(h, on_closed, NULL);
	}
}

static void on_lost(struct mcp_http *h, const struct err *e, void *arg)
{
	(void)h, (void)arg;
	t.n_lost++;
	snprintf(t.why, sizeof(t.why), "%s", e->msg);
}

static void on_drained(struct mcp_http *h, void *arg)
{
	(void)h, (void)arg;
	t.n_drained++;
}

static const struct mcp_http_events events = {
	.message = on_message, .lost = on_lost, .drained = on_drained};

/* Ticks, because uv_run() may wait on after it has done what is waited for. */
static void on_tick(uv_timer_t *timer)
{
	(void)timer;
	t.timed_out = ++t.ticks > 1000;
}

#define RUN_UNTIL(condition)                                       \
	do {                                                       \
		uv_timer_t *tick_ = malloc(sizeof(*tick_));        \
		uv_timer_init(&t.loop, tick_);                     \
		t.ticks = 0;                                       \
		uv_timer_start(tick_, on_tick, 10, 10);            \
		while (!(condition) && !t.timed_out)               \
			uv_run(&t.loop, UV_RUN_ONCE);              \
		uv_close((uv_handle_t *)tick_, (uv_close_cb)free); \
		if (t.timed_out)                                   \
			FAIL("never: %s", #condition);             \
	} while (0)

static void begin_as(const char *path, bool sse)
{
	static const char *const headers[] = {"Authorization: " KIT_SECRET,
					      "X-Empty:", NULL};
	char url[128];
	const struct mcp_http_opts opts = {
		.url = url, .headers = headers, .sse = sse};

	memset(&t, 0, sizeof(t));
	EQ(uv_loop_init(&t.loop), 0);
	kit_open(&t.kit, &t.loop);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", t.kit.port, path);
	EQ(mcp_http_open(&t.loop, &opts, &events, NULL, &t.http, NULL), 0);
}

static void begin(const char *path)
{
	begin_as(path, false);
}

static void end(void)
{
	if (t.http != NULL)
		mcp_http_close(t.http, on_closed, NULL);
	t.http = NULL;
	RUN_UNTIL(t.closed);
	http_server_close(t.kit.server, NULL, NULL);
	EQ(uv_run(&t.loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&t.loop), 0);
}

static void say(const char *msg)
{
	EQ(mcp_http_send(t.http, msg, strlen(msg)), 0);
}

#define INIT \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{}}"
#define INITED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define CALL                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"," \
	"\"params\":{\"name\":\"x\"}}"
#define META                                                      \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":" \
	"\"2026-07-28\"}"

static void initialize(void)
{
	say(INIT);
	RUN_UNTIL(t.n_said == 1);
	say(INITED);
}

/* Send a call, and hear this answer. */
static void expect(const char *answer)
{
	int n = t.n_said;

	say(CALL);
	RUN_UNTIL(t.n_said > n);
	if (strstr(t.said[n], answer) == NULL)
		FAIL("%s: not in %s", answer, t.said[n]);
	OK(strstr(t.said[n], "tok-5ecre7") == NULL);
}

TEST(session_and_version_go_with_each_request)
{
	begin("/mcp");
	initialize();
	STR_EQ(t.kit.seen[0].session, "");
	STR_EQ(t.kit.seen[0].version, "");
	expect("{\"jsonrpc\":\"2.0\",\"id\":1,  \"result\": {\"pretty\"");
	for (int i = 0; i < t.kit.n_seen; i++)
		STR_EQ(t.kit.seen[i].auth, KIT_SECRET);
	STR_EQ(kit_last(&t.kit, "POST")->session, "ses-1");
	STR_EQ(kit_last(&t.kit, "POST")->version, "2025-06-18");
	STR_EQ(kit_last(&t.kit, "POST")->mcp_method, "");
	OK(t.n_drained > 0);
	end();
	STR_EQ(kit_last(&t.kit, "DELETE")->session, "ses-1");
}

TEST(requests_wait_for_initialize_and_initialized)
{
	begin("/mcp");
	say(INIT);
	say(INITED);
	say(CALL);
	RUN_UNTIL(t.n_said == 2);
	OK(strstr(t.kit.seen[0].body, "initialize\"") != NULL);
	/* The notification may overtake: nothing waits for it but requests. */
	OK(strstr(t.kit.seen[1].body, "initialized") != NULL);
	STR_EQ(kit_last(&t.kit, "POST")->body, CALL);
	STR_EQ(kit_last(&t.kit, "POST")->session, "ses-1");
	end();
}

TEST(answers_may_be_event_streams)
{
	begin("/sse");
	expect("notifications/progress");
	RUN_UNTIL(t.n_said == 2);
	STR_EQ(t.said[1],
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"sse\":true}}");
	end();
}

TEST(a_stream_that_has_answered_is_ended)
{
	begin("/linger");
	expect("\"sse\":true");
	EQ(t.kit.n_open, 1);
	RUN_UNTIL(t.kit.n_open == 0);
	EQ(t.kit.n_seen, 1);
	end();
}

TEST(a_broken_stream_is_taken_up_again)
{
	begin("/resume");
	initialize();
	expect("\"again\":true");
	STR_EQ(kit_last(&t.kit, "GET")->last_id, "a-1");
	STR_EQ(kit_last(&t.kit, "GET")->session, "ses-1");
	end();
}

TEST(the_servers_own_stream_is_heard_and_opened_again)
{
	begin("/listen");
	initialize();
	RUN_UNTIL(t.n_said == 2);
	OK(strstr(t.said[1], "notifications/message") != NULL);
	http_stream_end(t.kit.listener);
	RUN_UNTIL(t.n_said == 3);
	STR_EQ(kit_last(&t.kit, "GET")->last_id, "l-1");
	end();
}

TEST(a_forgotten_session_is_told)
{
	begin("/lost");
	initialize();
	expect("\"httpStatus\":404");
	EQ(t.n_lost, 1);
	EQ(mcp_http_send(t.http, CALL, strlen(CALL)), -EPIPE);
	end();
	STR_EQ(kit_last(&t.kit, "DELETE")->method, "");
}

TEST(a_redirect_is_followed_within_the_origin)
{
	begin("/moved");
	expect("\"pretty\":true");
	STR_EQ(kit_last(&t.kit, "POST")->path, "/mcp");
	STR_EQ(kit_last(&t.kit, "POST")->body, CALL);
	end();
}

TEST(no_redirect_takes_the_headers_elsewhere)
{
	begin("/evil");
	expect("the server redirects to another origin");
	EQ(t.kit.n_seen, 1);
	end();
}

TEST(a_refusal_is_answered_with_its_status)
{
	begin("/503");
	expect("\"data\":{\"httpStatus\":503}");
	end();
	begin("/secret");
	expect("\"data\":{\"httpStatus\":401}");
	end();
	begin("/hang-up");
	expect("\"data\":{\"httpStatus\":0}");
	end();
	begin("/error");
	expect("\"id\":1,\"error\":{\"code\":-32022,\"message\":\"v\"}");
	end();
}

TEST(nobody_there_is_an_answer_too)
{
	char url[64];
	const struct mcp_http_opts opts = {.url = url};

	begin("/mcp");
	snprintf(url, sizeof(url), "http://127.0.0.1:1/");
	mcp_http_close(t.http, NULL, NULL);
	EQ(mcp_http_open(&t.loop, &opts, &events, NULL, &t.http, NULL), 0);
	expect("the server cannot be reached");
	end();
}

TEST(an_endless_answer_is_cut)
{
	begin("/endless");
	expect("the server's answer is too large");
	end();
}

TEST(an_old_server_is_spoken_with_in_its_way)
{
	begin("/old");
	say(INIT);
	RUN_UNTIL(t.n_said == 1);
	OK(strstr(t.said[0], "2025-06-18") != NULL);
	say(INITED);
	expect("\"old\":true");
	STR_EQ(kit_last(&t.kit, "POST")->path, "/old-post");
	STR_EQ(kit_last(&t.kit, "POST")->auth, KIT_SECRET);
	http_stream_end(t.kit.old);
	RUN_UNTIL(t.n_lost == 1);
	end();
	begin_as("/old", true);
	expect("\"old\":true");
	end();
}

TEST(an_old_server_cannot_send_us_elsewhere)
{
	begin_as("/old-evil", true);
	say(CALL);
	RUN_UNTIL(t.n_lost == 1);
	STR_EQ(t.why, "its endpoint is at another origin");
	end();
}

TEST(neither_old_nor_new_fails_with_what_it_said)
{
	begin("/503");
	say(INIT);
	RUN_UNTIL(t.n_said == 1);
	OK(strstr(t.said[0], "503") != NULL);
	end();
	begin("/error"); /* 400, and 405 to GET. */
	say(INIT);
	RUN_UNTIL(t.n_said == 1);
	OK(strstr(t.said[0], "400") != NULL);
	end();
}

TEST(modern_requests_have_their_headers)
{
	begin("/mcp");
	say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
	    "\"params\":{" META "}}");
	RUN_UNTIL(t.n_said == 1);
	OK(strstr(t.said[0], "\"good\"") != NULL);
	OK(strstr(t.said[0], "\"bad\"") == NULL);
	OK(strstr(t.said[0], "\"plain\"") != NULL);
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\","
	    "\"params\":{\"name\":\"good\",\"arguments\":{\"where\":{"
	    "\"region\":\"\\u00e9\"}}," META "}}");
	RUN_UNTIL(t.n_said == 2);
	STR_EQ(kit_last(&t.kit, "POST")->version, "2026-07-28");
	STR_EQ(kit_last(&t.kit, "POST")->mcp_method, "tools/call");
	STR_EQ(kit_last(&t.kit, "POST")->mcp_name, "good");
	STR_EQ(kit_last(&t.kit, "POST")->region, "=?base64?w6k=?=");
	say("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"resources/read\","
	    "\"params\":{\"uri\":\"a b \"," META "}}");
	RUN_UNTIL(t.n_said == 3);
	STR_EQ(kit_last(&t.kit, "POST")->mcp_name, "=?base64?YSBiIA==?=");
	end();
}

TEST(cancel_breaks_off_or_tells)
{
	begin("/hold");
	say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
	    "\"params\":{" META "}}");
	RUN_UNTIL(t.kit.n_held == 1);
	say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
	    "\"params\":{\"requestId\":1}}");
	EQ(t.kit.n_seen, 1);
	say("{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"tools/call\"}");
	RUN_UNTIL(t.kit.n_held == 2);
	say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
	    "\"params\":{\"requestId\":\"b\"}}");
	RUN_UNTIL(t.kit.n_seen == 3);
	OK(strstr(t.kit.seen[2].body, "cancelled") != NULL);
	EQ(t.n_said, 0);
	end();
}

TEST(requests_beyond_a_limit_wait)
{
	char msg[128];

	begin("/hold");
	for (int i = 0; i < MCP_HTTP_OPEN_MAX + MCP_HTTP_WAITING_MAX; i++) {
		snprintf(msg, sizeof(msg),
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"m\"}", i);
		say(msg);
	}
	EQ(mcp_http_send(t.http, CALL, strlen(CALL)), -EAGAIN);
	end();
}

TEST(the_owner_may_close_in_a_message)
{
	static const char *const paths[] = {"/mcp", "/sse", "/old"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		begin(paths[i]);
		t.close_in_message = true;
		say(INIT);
		RUN_UNTIL(t.n_said == 1);
		end();
		EQ(t.n_said, 1);
	}
}

TEST(a_paused_transport_takes_nothing)
{
	begin("/mcp");
	mcp_http_pause(t.http, true);
	say(CALL);
	RUN_UNTIL(t.kit.n_seen == 1);
	for (int i = 0; i < 20; i++)
		uv_run(&t.loop, UV_RUN_NOWAIT);
	EQ(t.n_said, 0);
	mcp_http_pause(t.http, false);
	RUN_UNTIL(t.n_said == 1);
	end();
}

TEST(bad_options_are_refused)
{
	static const char *const bad_urls[] = {"", "x", "file:///etc/passwd",
					       "ftp://h/", "http://"};
	static const char *const bad_headers[] = {
		"A", ": b",	    "A b: c",	     "A: b\r\nC: d",
		"",  "Host: other", "mcp-method: x", "Content-Length: 3"};
	struct mcp_http *h;
	struct err e;

	begin("/mcp");
	for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++) {
		const struct mcp_http_opts opts = {.url = bad_urls[i]};

		EQ(mcp_http_open(&t.loop, &opts, &events, NULL, &h, &e),
		   -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_headers); i++) {
		const char *const headers[] = {"Good: tok-5ecre7",
					       bad_headers[i], NULL};
		const struct mcp_http_opts opts = {.url = "http://h/",
						   .headers = headers};

		EQ(mcp_http_open(&t.loop, &opts, &events, NULL, &h, &e),
		   -EINVAL);
		STR_EQ(e.msg, "header 2 cannot be sent");
	}
	OK(mcp_http_send(t.http, "junk", 4) < 0);
	end();
}

TESTS(CASE(session_and_version_go_with_each_request),
      CASE(requests_wait_for_initialize_and_initialized),
      CASE(answers_may_be_event_streams),
      CASE(a_stream_that_has_answered_is_ended),
      CASE(a_broken_stream_is_taken_up_again),
      CASE(the_servers_own_stream_is_heard_and_opened_again),
      CASE(a_forgotten_session_is_told),
      CASE(a_redirect_is_followed_within_the_origin),
      CASE(no_redirect_takes_the_headers_elsewhere),
      CASE(a_refusal_is_answered_with_its_status),
      CASE(nobody_there_is_an_answer_too), CASE(an_endless_answer_is_cut),
      CASE(an_old_server_is_spoken_with_in_its_way),
      CASE(an_old_server_cannot_send_us_elsewhere),
      CASE(neither_old_nor_new_fails_with_what_it_said),
      CASE(modern_requests_have_their_headers),
      CASE(cancel_breaks_off_or_tells), CASE(requests_beyond_a_limit_wait),
      CASE(the_owner_may_close_in_a_message),
      CASE(a_paused_transport_takes_nothing), CASE(bad_options_are_refused))
