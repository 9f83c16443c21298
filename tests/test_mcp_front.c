// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_front.c - A front for streams: sockets of clients good and bad
 */
#include "mcp/front.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "core/json.h"
#include "mcp/front_impl.h"
#include "tests/tap.h"

#define CLIENTS_MAX 8
#define ANSWER_MAX  (64u << 10)
#define TURNS	    200 /* Of the loop, until nothing more comes. */

#define LEGACY_HEAD "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: %s\r\n"
#define MODERN_HEAD                                                        \
	"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: %s\r\nMcp-Name: " \
	"%s\r\n"
#define META                                                                  \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28" \
	"\",\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define INIT                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\"," \
	"\"params\":{}}"
#define CALL(id)                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"method\":\"tools/call\","  \
	"\"params\":{\"name\":\"x\",\"_meta\":{\"progressToken\":\"t" #id \
	"\"}}}"

/* A front, its far ends and some clients on sockets. */
static struct world {
	uv_loop_t loop;
	struct http_server *http;
	struct mcp_front *front;
	struct mcp_link *link; /* The last one opened. */
	int opened, closed;
	bool refuse;	       /* To open a link. */
	char said[ANSWER_MAX]; /* The last message to a far end. */
	int client[CLIENTS_MAX];
	char answer[ANSWER_MAX]; /* The last that a client got. */
	char session[64];
} w;

/* --- the far end ---------------------------------------------------------- */

static int on_open(struct mcp_link *l, void *arg, struct err *e)
{
	(void)arg;
	if (w.refuse)
		return err_set(e, -ECONNREFUSED, "nobody there");
	w.link = l;
	w.opened++;
	return 0;
}

static void on_message(struct mcp_link *l, const char *msg, size_t len,
		       void *arg)
{
	(void)l;
	(void)arg;
	OK(len < sizeof(w.said) && memchr(msg, '\n', len) == NULL);
	memcpy(w.said, msg, len);
	w.said[len] = '\0';
}

static void on_close(struct mcp_link *l, void *arg)
{
	(void)arg;
	w.closed++;
	if (l == w.link)
		w.link = NULL;
}

static void far_end_says(const char *msg)
{
	mcp_link_send(w.link, msg, strlen(msg), NULL, 0);
}

/* --- clients -------------------------------------------------------------- */

static void on_request(struct http_req *r, void *arg)
{
	mcp_front_request(arg, r, http_path(r));
}

static void begin(void)
{
	static const struct mcp_front_ops ops = {on_open, on_message, on_close};
	static const struct http_handler handler = {.request = on_request};

	uv_loop_init(&w.loop);
	w.front = mcp_front_new(&w.loop, &ops, NULL);
	w.http = http_server_new(&w.loop, &handler, w.front);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		int fd[2];

		EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		EQ(http_server_adopt(w.http, fd[0], NULL), 0);
		w.client[i] = fd[1];
	}
}

static void finish(void)
{
	mcp_front_close(w.front);
	http_server_close(w.http, NULL, NULL);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	EQ(w.opened, w.closed);
	EQ(uv_loop_close(&w.loop), 0);
}

/* Let happen what can; what client @i got meanwhile is in w.answer. */
static void settle(int i)
{
	size_t len = 0;

	for (int n = 0; n < TURNS; n++) {
		ssize_t got;

		uv_run(&w.loop, UV_RUN_NOWAIT);
		got = read(w.client[i], w.answer + len, ANSWER_MAX - len - 1);
		if (got > 0)
			len += (size_t)got;
	}
	w.answer[len] = '\0';
}

/* One HTTP request of client @i. */
static void ask(int i, const char *method, const char *path, const char *head,
		const char *body)
{
	char text[ANSWER_MAX];
	int n = snprintf(text, sizeof(text),
			 "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
			 "application/json\r\nAccept: application/json, "
			 "text/event-stream\r\nContent-Length: %zu\r\n%s\r\n%s",
			 method, path, strlen(body), head, body);

	EQ(write(w.client[i], text, (size_t)n), n);
	settle(i);
}

#define HAS(part)                                                         \
	do {                                                              \
		if (strstr(w.answer, part) == NULL)                       \
			FAIL("\"%s\" is not in: %.999s", part, w.answer); \
	} while (0)
#define HAS_NOT(part) OK(strstr(w.answer, part) == NULL)

/* The head of a request in the session. */
static const char *in_session(void)
{
	static char head[256];

	snprintf(head, sizeof(head), LEGACY_HEAD, w.session);
	return head;
}

static void post(int i, const char *body)
{
	ask(i, "POST", "/a", in_session(), body);
}

static void open_session(void)
{
	const char *p;

	ask(0, "POST", "/a", "", INIT);
	STR_EQ(w.said, INIT);
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
	settle(0);
	HAS("HTTP/1.1 200");
	HAS("application/json");
	p = strstr(w.answer, "Mcp-Session-Id: ");
	OK(p != NULL);
	EQ(sscanf(p, "Mcp-Session-Id: %63s", w.session), 1);
	EQ(strlen(w.session), 32);
}

static void modern(int i, const char *method, const char *name,
		   const char *body)
{
	char head[256];

	snprintf(head, sizeof(head), MODERN_HEAD, method, name);
	ask(i, "POST", "/a", head, body);
}

/* --- cases ---------------------------------------------------------------- */

static void a_session_has_a_name(void)
{
	begin();
	open_session();
	post(0, CALL(1));
	STR_EQ(w.said, CALL(1));
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}");
	settle(0);
	HAS("\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}");
	EQ(w.opened, 1);
	finish();
}

static void other_sessions_are_unknown(void)
{
	begin();
	open_session();
	ask(0, "POST", "/a", "", CALL(1));
	HAS("HTTP/1.1 400");
	ask(0, "POST", "/b", in_session(), CALL(1));
	HAS("HTTP/1.1 404"); /* It is another target's. */
	w.session[0] ^= 1;
	post(0, CALL(1));
	HAS("HTTP/1.1 404");
	EQ(w.opened, 1);
	finish();
}

static void notifications_and_answers_are_accepted(void)
{
	begin();
	open_session();
	post(0, "{\"jsonrpc\":\"2.0\",\n\"method\":\"x\"\r\n}");
	HAS("HTTP/1.1 202");
	STR_EQ(w.said, "{\"jsonrpc\":\"2.0\", \"method\":\"x\"  }");
	post(0, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}");
	HAS("HTTP/1.1 202");
	finish();
}

static void a_deleted_session_is_gone(void)
{
	begin();
	open_session();
	post(1, CALL(1));
	ask(0, "DELETE", "/a", in_session(), "");
	HAS("HTTP/1.1 204");
	EQ(w.closed, 1);
	settle(1);
	post(0, CALL(2));
	HAS("HTTP/1.1 404");
	finish();
}

static void nonsense_is_refused(void)
{
	begin();
	open_session();
	post(0, "[" CALL(1) "]");
	HAS("HTTP/1.1 400");
	HAS("-32600");
	post(0, "{");
	HAS("-32700");
	ask(0, "PUT", "/a", in_session(), "");
	HAS("HTTP/1.1 405");
	HAS("Allow: GET, POST, DELETE");
	ask(0, "GET", "/a", "", "");
	HAS("HTTP/1.1 405");
	ask(0, "POST", "/a", "MCP-Protocol-Version: 1999-01-01\r\n", INIT);
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
	settle(0);
	HAS("HTTP/1.1 200"); /* The version is agreed on in the message. */
	finish();
}

static void progress_goes_by_its_token(void)
{
	begin();
	open_session();
	post(0, CALL(1));
	post(1, CALL(2));
	far_end_says("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
		     "progress\",\"params\":{\"progressToken\":\"t1\"}}");
	settle(1);
	STR_EQ(w.answer, "");
	settle(0);
	HAS("progressToken");
	finish();
}

static void a_slow_answer_becomes_a_stream(void)
{
	begin();
	open_session();
	post(0, CALL(1));
	for (int i = 0; i < 2; i++) {
		mcp_outlet_tick(mcp_outlet_find(w.link, "1", 1));
		settle(0);
		if (i == 0)
			STR_EQ(w.answer, "");
	}
	HAS("text/event-stream");
	HAS("\n: \n\n"); /* A sign of life. */
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	settle(0);
	HAS("data: {\"jsonrpc\"");
	finish();
}

static void a_stream_begins_with_an_id(void)
{
	begin();
	open_session();
	post(0, CALL(1));
	far_end_says("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
		     "progress\",\"params\":{\"progressToken\":\"t1\"}}");
	settle(0);
	HAS("text/event-stream");
	HAS("id: 8589934592\ndata: \n\n"); /* Stream 2, before event 1. */
	HAS("id: 8589934593\nevent: message\ndata: {\"jsonrpc\"");
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	settle(0);
	HAS("id: 8589934594\nevent: message\n");
	HAS("\r\n0\r\n\r\n"); /* The end. */
	finish();
}

static void old_clients_get_no_event_without_data(void)
{
	char head[128];

	begin();
	open_session();
	snprintf(head, sizeof(head), "Mcp-Session-Id: %s\r\n", w.session);
	ask(0, "POST", "/a", head, CALL(1));
	far_end_says("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
		     "message\",\"params\":{}}");
	settle(0);
	HAS("event: message");
	HAS_NOT("data: \n");
	finish();
}

static void who_comes_back_gets_what_he_missed(void)
{
	char head[512];

	begin();
	open_session();
	post(1, CALL(1));
	far_end_says("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
		     "message\",\"params\":{\"n\":1}}");
	settle(1);
	HAS("\"n\":1");
	close(w.client[1]);
	settle(0);
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":2}}");
	snprintf(head, sizeof(head), "%sLast-Event-ID: 8589934593\r\n",
		 in_session());
	ask(0, "GET", "/a", head, "");
	HAS("id: 8589934594\nevent: message\n");
	HAS("\"n\":2");
	HAS_NOT("\"n\":1");
	HAS("\r\n0\r\n\r\n");
	snprintf(head, sizeof(head), "%sLast-Event-ID: 42949672960\r\n",
		 in_session());
	ask(0, "GET", "/a", head, "");
	HAS("HTTP/1.1 400");
	finish();
}

static void a_client_is_let_go_and_comes_back(void)
{
	char head[512];

	begin();
	open_session();
	post(1, CALL(1));
	mcp_link_retry(w.link, "1", 1, 250);
	settle(1);
	HAS("retry: 250\n");
	HAS("\r\n0\r\n\r\n");
	snprintf(head, sizeof(head), "%sLast-Event-ID: 8589934592\r\n",
		 in_session());
	ask(1, "GET", "/a", head, "");
	HAS("text/event-stream");
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":2}}");
	settle(1);
	HAS("\"n\":2");
	HAS("\r\n0\r\n\r\n");
	finish();
}

static void news_go_to_the_stream_of_get(void)
{
	static const char news[] = "{\"jsonrpc\":\"2.0\",\"method\":"
				   "\"notifications/tools/list_changed\"}";

	begin();
	open_session();
	post(1, CALL(1));
	far_end_says(news); /* Before there is one. */
	settle(1);
	STR_EQ(w.answer, "");
	ask(0, "GET", "/a", in_session(), "");
	HAS("list_changed");
	far_end_says(news);
	settle(0);
	HAS("list_changed");
	ask(2, "GET", "/a", in_session(), "");
	HAS("HTTP/1.1 409");
	finish();
}

static void questions_go_to_the_newest_request(void)
{
	begin();
	open_session();
	ask(2, "GET", "/a", in_session(), "");
	post(0, CALL(1));
	post(1, CALL(2));
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":"
		     "\"elicitation/create\"}");
	settle(1);
	HAS("elicitation/create");
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":"
		     "\"roots/list\"}");
	settle(2);
	HAS("roots/list");
	finish();
}

static void a_cancelled_request_gets_an_end(void)
{
	begin();
	open_session();
	post(1, CALL(1));
	post(0, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
		"\"params\":{\"requestId\":1}}");
	HAS("HTTP/1.1 202");
	OK(strstr(w.said, "cancelled") != NULL);
	settle(1);
	post(1, CALL(2)); /* Its connection is free again. */
	OK(strstr(w.said, "\"id\":2") != NULL);
	finish();
}

static void a_lost_far_end_answers_all(void)
{
	begin();
	open_session();
	post(0, CALL(1));
	mcp_link_lost(w.link);
	w.closed++; /* It was not told. */
	settle(0);
	HAS("\"id\":1,\"error\":{\"code\":-32603");
	post(0, CALL(2));
	HAS("HTTP/1.1 404");
	finish();
}

static void a_far_end_may_be_out_of_reach(void)
{
	begin();
	w.refuse = true;
	ask(0, "POST", "/a", "", INIT);
	HAS("HTTP/1.1 503");
	HAS("nobody there");
	finish();
}

static void modern_requests_stand_alone(void)
{
	static const char body[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		"\"tools/call\",\"params\":{\"name\":\"x\"," META "}}";

	begin();
	modern(0, "tools/call", "=?base64?eA==?=", body);
	EQ(w.opened, 1);
	OK(mcp_link_is_stateless(w.link));
	STR_EQ(mcp_link_target(w.link), "/a");
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	settle(0);
	HAS("HTTP/1.1 200");
	HAS_NOT("Mcp-Session-Id");
	EQ(w.closed, 1);
	modern(0, "tools/call", "x", body);
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,"
		     "\"message\":\"m\"}}");
	settle(0);
	HAS("HTTP/1.1 404");
	modern(0, "tools/call", "x", body);
	far_end_says("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,"
		     "\"message\":\"m\"}}");
	settle(0);
	HAS("HTTP/1.1 200");
	finish();
}

static void modern_headers_must_match(void)
{
	static const char body[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		"\"tools/call\",\"params\":{\"name\":\"x\"," META "}}";

	begin();
	modern(0, "tools/call", "y", body);
	HAS("HTTP/1.1 400");
	HAS("\"id\":1,\"error\":{\"code\":-32020");
	modern(0, "tools/list", "x", body);
	HAS("-32020");
	modern(0, "tools/call", "=?base64?*?=", body);
	HAS("-32020");
	ask(0, "POST", "/a", "", body);
	HAS("-32020");
	modern(0, "tools/call", "x", CALL(1));
	HAS("HTTP/1.1 400");
	HAS("-32602");
	ask(0, "GET", "/a", "MCP-Protocol-Version: 2026-07-28\r\n", "");
	HAS("HTTP/1.1 405");
	ask(0, "DELETE", "/a", "MCP-Protocol-Version: 2026-07-28\r\n", "");
	HAS("HTTP/1.1 405");
	EQ(w.opened, 0);
	finish();
}

static void hanging_up_cancels_a_modern_request(void)
{
	begin();
	modern(0, "subscriptions/listen", "",
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/"
	       "listen\",\"params\":{" META "}}");
	far_end_says("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/"
		     "list_changed\"}");
	settle(0);
	HAS("text/event-stream");
	HAS("X-Accel-Buffering: no");
	HAS_NOT("id: ");
	EQ(w.closed, 0);
	close(w.client[0]);
	settle(1);
	EQ(w.closed, 1);
	finish();
}

static void sessions_are_bounded(void)
{
	char first[64];

	begin();
	open_session();
	memcpy(first, w.session, sizeof(first));
	for (int i = 0; i < MCP_SESSIONS_MAX; i++)
		open_session();
	EQ(w.closed, 1);
	memcpy(w.session, first, sizeof(first));
	post(0, CALL(1));
	HAS("HTTP/1.1 404");
	finish();
}

/* A notification of a megabyte, owned by the caller. */
static char *big_news(void)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"method\":"
				   "\"notifications/tools/list_changed\","
				   "\"params\":[\"";
	size_t n = sizeof(head) - 1, size = 1u << 20;
	char *big = malloc(n + size + 4);

	memcpy(big, head, n);
	memset(big + n, 'x', size);
	memcpy(big + n + size, "\"]}", 4);
	return big;
}

static void what_is_kept_is_bounded(void)
{
	char *big = big_news();

	begin();
	open_session();
	far_end_says("no message");
	for (int i = 0; i < 10; i++)
		far_end_says(big);
	ask(0, "GET", "/a", in_session(), "");
	HAS("id: 8\n"); /* Ten were sent, three fit. */
	HAS_NOT("id: 7\n");
	free(big);
	finish();
}

static void who_does_not_read_is_dropped(void)
{
	char *big = big_news();

	begin();
	open_session();
	ask(0, "GET", "/a", in_session(), "");
	for (unsigned n = 0; n < 2 * MCP_SLOW_MAX; n += 1u << 20)
		far_end_says(big);
	settle(1);
	ask(1, "GET", "/a", in_session(), "");
	HAS("HTTP/1.1 200"); /* The stream is free again. */
	free(big);
	finish();
}

TESTS(CASE(a_session_has_a_name), CASE(other_sessions_are_unknown),
      CASE(notifications_and_answers_are_accepted),
      CASE(a_deleted_session_is_gone), CASE(nonsense_is_refused),
      CASE(progress_goes_by_its_token), CASE(a_slow_answer_becomes_a_stream),
      CASE(a_stream_begins_with_an_id),
      CASE(old_clients_get_no_event_without_data),
      CASE(who_comes_back_gets_what_he_missed),
      CASE(a_client_is_let_go_and_comes_back),
      CASE(news_go_to_the_stream_of_get),
      CASE(questions_go_to_the_newest_request),
      CASE(a_cancelled_request_gets_an_end), CASE(a_lost_far_end_answers_all),
      CASE(a_far_end_may_be_out_of_reach), CASE(modern_requests_stand_alone),
      CASE(modern_headers_must_match),
      CASE(hanging_up_cancels_a_modern_request), CASE(sessions_are_bounded),
      CASE(what_is_kept_is_bounded), CASE(who_does_not_read_is_dropped))
