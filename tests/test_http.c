// SPDX-License-Identifier: Apache-2.0
/*
 * test_http.c - Requests, answers and what is no HTTP
 */
#include "core/http.h"
#include "core/http_client.h"
#include "core/json.h"
#include "core/unixsock.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define STREAM_BYTES (100u << 20)
#define STREAM_PIECE (64u << 10)
#define PATH_LEN     1024

static uv_loop_t loop;
static char dir[] = "/tmp/test_http.XXXXXX";
static char path[PATH_LEN];

/* --- the server under test ------------------------------------------------ */

struct app {
	struct http_server *server;
	unsigned n_requests, n_ends;
	bool closed;
	/* /stream */
	size_t left, queued_max;
	/* /upload */
	size_t uploaded;
	unsigned sum;
	unsigned n_pauses;
	uv_timer_t timer;
	struct http_req *held;
};

static struct app app;

static void on_end(struct http_req *r, void *arg)
{
	struct app *a = arg;

	if (a->held == r)
		a->held = NULL;
	a->n_ends++;
}

static void stream_more(struct http_req *r, void *arg)
{
	static const char piece[STREAM_PIECE];
	struct app *a = arg;
	size_t n = a->left < sizeof(piece) ? a->left : sizeof(piece);

	if (n == 0) {
		http_stream_end(r);
		return;
	}
	a->left -= n;
	http_stream_write(r, piece, n);
	if (http_stream_queued(r) > a->queued_max)
		a->queued_max = http_stream_queued(r);
}

static void on_resume(uv_timer_t *t)
{
	struct app *a = t->data;

	if (a->held != NULL)
		http_body_resume(a->held);
}

/* Every 16th piece is followed by a pause. */
static int on_upload(struct http_req *r, const char *data, size_t n, void *arg)
{
	struct app *a = arg;

	for (size_t i = 0; i < n; i++)
		a->sum = a->sum * 31 + (unsigned char)data[i];
	a->uploaded += n;
	if (strcmp(http_path(r), "/refused") == 0) {
		http_reply(r, 403, "text/plain", "no", 2);
		return 1;
	}
	if (++a->n_pauses % 16 == 0) {
		http_body_pause(r);
		uv_timer_start(&a->timer, on_resume, 0, 0);
	}
	return 0;
}

static bool on_head(struct http_req *r, void *arg)
{
	struct app *a = arg;

	http_on_end(r, on_end, a);
	if (strcmp(http_path(r), "/early") == 0) {
		http_reply(r, 401, "text/plain", "who?", 4);
		return false;
	}
	if (strcmp(http_path(r), "/upload") != 0 &&
	    strcmp(http_path(r), "/refused") != 0)
		return false;
	a->held = r;
	http_req_on_body(r, on_upload, a);
	return true;
}

static void reply_echo(struct http_req *r)
{
	struct jw w = {0};
	const char *q = http_query(r, "q"), *h = http_header(r, "X-TEST");
	size_t len;
	const char *body = http_body(r, &len);

	jw_lit(&w, http_method(r), strlen(http_method(r)));
	jw_lit(&w, " ", 1);
	jw_lit(&w, http_path(r), strlen(http_path(r)));
	jw_lit(&w, " ", 1);
	jw_lit(&w, q ? q : "-", q ? strlen(q) : 1);
	jw_lit(&w, " ", 1);
	jw_lit(&w, h ? h : "-", h ? strlen(h) : 1);
	jw_lit(&w, " ", 1);
	jw_lit(&w, body, len);
	http_reply(r, 200, "text/plain", w.buf, w.len);
	jw_done(&w);
}

static void on_request(struct http_req *r, void *arg)
{
	struct app *a = arg;
	const char *p = http_path(r);
	struct err e;

	a->n_requests++;
	if (strcmp(p, "/hold") == 0) {
		a->held = r;
	} else if (strcmp(p, "/stream") == 0) {
		http_stream_begin(r, 200, "text/plain", stream_more, a);
	} else if (strcmp(p, "/open") == 0) {
		a->held = r;
		http_stream_begin(r, 200, "text/event-stream", NULL, a);
		http_stream_write(r, "one", 3);
	} else if (strcmp(p, "/torn") == 0) {
		http_stream_begin(r, 200, "text/plain", NULL, a);
		http_stream_abort(r);
	} else if (strcmp(p, "/err") == 0) {
		err_set(&e, -FAULT_SESSION_NOT_FOUND, "no session x");
		http_reply_err(r, &e);
	} else if (strcmp(p, "/nothing") == 0) {
		http_reply(r, 204, NULL, NULL, 0);
	} else if (strcmp(p, "/close") == 0) {
		http_server_close(a->server, NULL, NULL);
		a->server = NULL;
	} else {
		reply_echo(r);
	}
}

static const struct http_handler handler = {on_head, on_request};

static void start(void)
{
	struct err e;

	signal(SIGPIPE, SIG_DFL);
	OK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/s", dir);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &app.timer);
	app.timer.data = &app;
	app.server = http_server_new(&loop, &handler, &app);
	OK(app.server != NULL);
	EQ(http_server_listen_unix(app.server, path, &e), 0);
}

/* Everything must be gone: requests ended, handles closed, memory freed. */
static void finish(void)
{
	if (app.server != NULL)
		http_server_close(app.server, NULL, NULL);
	uv_close((uv_handle_t *)&app.timer, NULL);
	EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&loop), 0);
	unlink(path);
	rmdir(dir);
}

/* --- calls through the client --------------------------------------------- */

struct answer {
	int status, r;
	bool done;
	char text[4096]; /* The beginning of the body. */
	size_t len;
	size_t to_send;
	unsigned sum;
};

static void on_answer_body(struct http_call *c, char *data, size_t n, void *arg)
{
	struct answer *a = arg;
	size_t room = sizeof(a->text) - 1;

	a->status = http_call_status(c);
	if (a->len < room)
		memcpy(a->text + a->len, data,
		       n < room - a->len ? n : room - a->len);
	memset(data, 0, n);
	a->len += n;
}

static void on_answer_head(struct http_call *c, int status, void *arg)
{
	struct answer *a = arg;

	(void)c;
	a->status = status;
}

static void on_answer_end(struct http_call *c, int r, void *arg)
{
	struct answer *a = arg;

	(void)c;
	OK(!a->done);
	a->done = true;
	a->r = r;
}

static void on_answer_drained(struct http_call *c, void *arg)
{
	struct answer *a = arg;
	char piece[10000];
	size_t n = a->to_send < sizeof(piece) ? a->to_send : sizeof(piece);

	if (n == 0) {
		http_call_finish(c);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		piece[i] = (char)(a->to_send - i);
		a->sum = a->sum * 31 + (unsigned char)piece[i];
	}
	a->to_send -= n;
	http_call_write(c, piece, n);
}

static const struct http_call_ops call_ops = {
	.head = on_answer_head,
	.body = on_answer_body,
	.drained = on_answer_drained,
	.end = on_answer_end,
};

static struct http_client *client_at(const char *unix_path)
{
	struct http_client *c = http_client_new(
		&loop, &(struct http_target){.unix_path = unix_path});

	OK(c != NULL);
	return c;
}

static void run_until(const bool *done)
{
	while (!*done)
		uv_run(&loop, UV_RUN_ONCE);
}

static struct answer do_call(struct http_client *c,
			     const struct http_call_spec *spec)
{
	struct answer a = {0};

	OK(http_call(c, spec, &call_ops, &a) != NULL);
	OK(!a.done);
	run_until(&a.done);
	return a;
}

static struct answer get(struct http_client *c, const char *target)
{
	return do_call(
		c, &(struct http_call_spec){.method = "GET", .path = target});
}

/* --- raw sockets ---------------------------------------------------------- */

static int raw_connect(void)
{
	int fd = unixsock_connect(path);

	OK(fd >= 0);
	return fd;
}

static void raw_send(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, data, n, MSG_NOSIGNAL);

		if (w > 0) {
			data += w;
			n -= (size_t)w;
		} else if (errno != EAGAIN) {
			return;
		}
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

/* Everything that comes until the server closes. */
static char *raw_recv(int fd)
{
	size_t len = 0, cap = 1u << 20;
	char *buf = malloc(cap);

	OK(buf != NULL);
	for (;;) {
		ssize_t n = recv(fd, buf + len, cap - 1 - len, 0);

		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			break;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	buf[len] = '\0';
	close(fd);
	return buf;
}

static char *raw(const char *request)
{
	int fd = raw_connect();

	raw_send(fd, request, strlen(request));
	return raw_recv(fd);
}

static void raw_status(const char *request, const char *status)
{
	char *got = raw(request);
	char want[32];

	snprintf(want, sizeof(want), "HTTP/1.1 %s ", status);
	if (strncmp(got, want, strlen(want)) != 0)
		FAIL("want %s, got \"%s\"", status, got);
	OK(strstr(got, "Connection: close\r\n") != NULL);
	free(got);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

/* --- cases ---------------------------------------------------------------- */

TEST(answers_whole)
{
	struct http_client *c;
	struct answer a;

	start();
	c = client_at(path);
	a = do_call(c,
		    &(struct http_call_spec){.method = "POST",
					     .path = "/a%20b/c?x=1&q=%41+%26&y",
					     .headers = "X-Test: v \r\n",
					     .body = "{}",
					     .body_len = 2});
	EQ(a.r, 0);
	EQ(a.status, 200);
	STR_EQ(a.text, "POST /a b/c A & v {}");
	a = get(c, "/nothing");
	EQ(a.status, 204);
	EQ(a.len, 0);
	a = get(c, "/x?q");
	STR_EQ(a.text, "GET /x  - ");
	http_client_close(c, NULL, NULL);
	finish();
	EQ(app.n_ends, 3);
}

TEST(answers_errors)
{
	struct http_client *c;
	struct answer a;

	start();
	c = client_at(path);
	a = get(c, "/err");
	EQ(a.status, 404);
	OK(strstr(a.text, "\"session_not_found\"") != NULL);
	OK(strstr(a.text, "no session x") != NULL);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(head_has_no_body)
{
	char *got;

	start();
	got = raw("HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n");
	STR_EQ(got, OK_HEAD "Content-Length: 12\r\n"
			    "Connection: close\r\n\r\n");
	free(got);
	app.left = 10;
	got = raw("HEAD /stream HTTP/1.1\r\nConnection: close\r\n\r\n");
	STR_EQ(strstr(got, "\r\n\r\n"), "\r\n\r\n");
	free(got);
	finish();
}

TEST(client_understands_the_answer_to_head)
{
	struct http_client *c;
	struct answer a;

	start();
	c = client_at(path);
	for (int i = 0; i < 2; i++) {
		a = do_call(c, &(struct http_call_spec){.method = "HEAD",
							.path = "/x"});
		EQ(a.r, 0);
		EQ(a.status, 200);
		EQ(a.len, 0);
	}
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(a_stream_of_100_mb_is_held_back_by_its_reader)
{
	struct http_client *c;
	struct answer a;

	start();
	app.left = STREAM_BYTES;
	c = client_at(path);
	a = get(c, "/stream");
	EQ(a.r, 0);
	EQ(a.len, STREAM_BYTES);
	OK(app.queued_max < 2 * STREAM_PIECE);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(a_torn_stream_is_an_error)
{
	struct http_client *c;
	struct answer a;

	start();
	c = client_at(path);
	a = get(c, "/torn");
	EQ(a.r, -ECONNRESET);
	http_client_close(c, NULL, NULL);
	finish();
	EQ(app.n_ends, 1);
}

TEST(a_client_gone_in_mid_stream_is_noticed)
{
	int fd;

	start();
	fd = raw_connect();
	raw_send(fd, "GET /open HTTP/1.1\r\n\r\n", 22);
	while (app.held == NULL)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_NOWAIT);
	close(fd);
	while (app.n_ends == 0)
		uv_run(&loop, UV_RUN_ONCE);
	finish();
}

TEST(a_client_gone_behind_a_full_buffer_is_noticed)
{
	char junk[64];
	int fd;

	start();
	memset(junk, 'G', sizeof(junk));
	fd = raw_connect();
	raw_send(fd, "GET /open HTTP/1.1\r\n\r\n", 22);
	while (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	EQ(errno, EAGAIN);
	EQ(app.n_ends, 0);
	close(fd);
	while (app.n_ends == 0)
		uv_run(&loop, UV_RUN_ONCE);
	finish();
}

TEST(a_cancelled_call_ends_the_request)
{
	struct http_client *c;
	struct http_call *call;
	struct answer a = {0};

	start();
	c = client_at(path);
	call = http_call(
		c, &(struct http_call_spec){.method = "GET", .path = "/open"},
		&call_ops, &a);
	while (a.len < 3)
		uv_run(&loop, UV_RUN_ONCE);
	http_call_cancel(call);
	OK(!a.done);
	run_until(&a.done);
	EQ(a.r, -ECANCELED);
	while (app.n_ends == 0)
		uv_run(&loop, UV_RUN_ONCE);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(a_body_is_sent_and_received_as_a_stream)
{
	struct answer a = {.to_send = 5000000};
	struct http_client *c;

	start();
	c = client_at(path);
	OK(http_call(c,
		     &(struct http_call_spec){.method = "PUT",
					      .path = "/upload",
					      .stream_body = true},
		     &call_ops, &a) != NULL);
	run_until(&a.done);
	EQ(a.r, 0);
	EQ(a.status, 200);
	EQ(app.uploaded, 5000000);
	EQ(app.sum, a.sum);
	OK(app.n_pauses > 16);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(an_upload_may_be_refused_in_the_middle)
{
	struct answer a = {.to_send = 50000000};
	struct http_client *c;

	start();
	c = client_at(path);
	OK(http_call(c,
		     &(struct http_call_spec){.method = "PUT",
					      .path = "/refused",
					      .stream_body = true},
		     &call_ops, &a) != NULL);
	run_until(&a.done);
	EQ(a.r, 0);
	EQ(a.status, 403);
	STR_EQ(a.text, "no");
	EQ(app.n_requests, 0);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(an_answer_to_the_head_keeps_the_connection_when_no_body_follows)
{
	char *got;

	start();
	got = raw("GET /early HTTP/1.1\r\n\r\n"
		  "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n");
	STR_EQ(got, "HTTP/1.1 401 Unauthorized\r\n"
		    "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\n"
		    "who?" OK_HEAD "Content-Length: 11\r\n"
		    "Connection: close\r\n\r\nGET /x - - ");
	free(got);
	raw_status("POST /early HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "401");
	finish();
}

TEST(pipelined_requests_are_answered_in_order)
{
	char *got;

	start();
	got = raw("GET /1 HTTP/1.1\r\n\r\n"
		  "POST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
		  "\r\nGET /3 HTTP/1.1\r\nConnection: close\r\n\r\n"
		  "GET /4 HTTP/1.1\r\n\r\n");
	STR_EQ(got, OK_HEAD "Content-Length: 11\r\n\r\nGET /1 - - " OK_HEAD
			    "Content-Length: 15\r\n\r\nPOST /2 - - abc" OK_HEAD
			    "Content-Length: 11\r\nConnection: close\r\n\r\n"
			    "GET /3 - - ");
	free(got);
	EQ(app.n_requests, 3);
	finish();
}

static const char split_request[] =
	"POST /a%2Fb?q=1 HTTP/1.1\r\nHost: x\r\nX-Test:\r\n"
	"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n"
	"Trailer: t\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n";

TEST(split_anywhere_a_request_gets_the_same_answer)
{
	char *whole;

	start();
	whole = raw(split_request);
	OK(strstr(whole, "POST /a/b 1  abcde") != NULL);
	for (size_t i = 1; i < sizeof(split_request) - 1; i++) {
		int fd = raw_connect();
		char *got;

		raw_send(fd, split_request, i);
		for (int k = 0; k < 3; k++)
			uv_run(&loop, UV_RUN_NOWAIT);
		raw_send(fd, split_request + i, sizeof(split_request) - 1 - i);
		got = raw_recv(fd);
		STR_EQ(got, whole);
		free(got);
	}
	free(whole);
	finish();
}

TEST(malformed_requests_are_refused)
{
	static const char *const bad[] = {
		"\x16\x03\x01\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET /%00 HTTP/1.1\r\n\r\n",
		"GET /%4 HTTP/1.1\r\n\r\n",
		"GET /%zz HTTP/1.1\r\n\r\n",
		"GET /?q=%0 HTTP/1.1\r\n\r\n",
		"GET /?%00=1 HTTP/1.1\r\n\r\n",
		"GET http://localhost/ HTTP/1.1\r\n\r\n",
		"CONNECT localhost:80 HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		raw_status(bad[i], "400");
	EQ(app.n_requests, 0);
	finish();
}

TEST(large_heads_are_refused)
{
	char *big = malloc(HTTP_HEAD_MAX + 100);
	int n = 0;

	start();
	n = sprintf(big, "GET /x HTTP/1.1\r\nX: ");
	memset(big + n, 'v', HTTP_HEAD_MAX);
	strcpy(big + n + HTTP_HEAD_MAX, "\r\n\r\n");
	raw_status(big, "431");

	n = sprintf(big, "GET /x HTTP/1.1\r\n");
	for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
		n += sprintf(big + n, "A: b\r\n");
	strcpy(big + n, "\r\n");
	raw_status(big, "431");
	free(big);
	finish();
}

TEST(large_bodies_are_refused)
{
	size_t len = HTTP_BODY_MAX + 1;
	struct http_client *c;
	struct answer a;
	char *body = calloc(1, len), head[128], *got;
	int fd;

	start();
	raw_status("POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
		   "413");
	c = client_at(path);
	a = do_call(c, &(struct http_call_spec){.method = "POST",
						.path = "/x",
						.body = body,
						.body_len = len});
	EQ(a.r, 0);
	EQ(a.status, 413);
	OK(strstr(a.text, "message_too_large") != NULL);

	fd = raw_connect();
	raw_send(fd, head,
		 (size_t)sprintf(head,
				 "POST / HTTP/1.1\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n%zx\r\n",
				 len));
	raw_send(fd, body, len);
	got = raw_recv(fd);
	OK(strncmp(got, "HTTP/1.1 413 ", 13) == 0);
	free(got);
	free(body);
	EQ(app.n_requests, 0);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(continue_is_said_before_the_body)
{
	static const char head[] = "POST /x HTTP/1.1\r\nConnection: close\r\n"
				   "Expect: 100-continue\r\n"
				   "Content-Length: 2\r\n\r\n";
	char buf[64] = "", *got;
	int fd;

	start();
	fd = raw_connect();
	raw_send(fd, head, strlen(head));
	while (recv(fd, buf, sizeof(buf) - 1, 0) < 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	STR_EQ(buf, "HTTP/1.1 100 Continue\r\n\r\n");
	raw_send(fd, "ok", 2);
	got = raw_recv(fd);
	OK(strstr(got, "POST /x - - ok") != NULL);
	free(got);
	finish();
}

TEST(an_old_client_gets_no_chunks)
{
	char *got;

	start();
	app.left = 5;
	got = raw("GET /stream HTTP/1.0\r\n\r\n");
	OK(strstr(got, "chunked") == NULL);
	EQ(memcmp(strstr(got, "\r\n\r\n"), "\r\n\r\n\0\0\0\0\0", 9), 0);
	free(got);
	finish();
}

TEST(connections_are_used_again)
{
	struct rlimit few = {16, 16};
	struct http_client *c;

	start();
	EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	c = client_at(path);
	for (int i = 0; i < 200; i++)
		EQ(get(c, "/x").status, 200);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(a_dead_idle_connection_is_replaced)
{
	struct http_client *c;
	struct answer a = {0};
	struct err e;

	start();
	c = client_at(path);
	EQ(get(c, "/x").status, 200);
	/* A new server, before the client's loop sees the end of the old. */
	http_server_close(app.server, NULL, NULL);
	app.server = http_server_new(&loop, &handler, &app);
	EQ(http_server_listen_unix(app.server, path, &e), 0);
	OK(http_call(c, &(struct http_call_spec){.method = "GET", .path = "/y"},
		     &call_ops, &a) != NULL);
	run_until(&a.done);
	EQ(a.r, 0);
	STR_EQ(a.text, "GET /y - - ");
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(a_server_closed_by_its_handler_ends_the_call)
{
	struct http_client *c;

	start();
	c = client_at(path);
	EQ(get(c, "/close").r, -ECONNRESET);
	EQ(get(c, "/x").r, -ECONNREFUSED);
	http_client_close(c, NULL, NULL);
	finish();
	EQ(app.n_ends, 1);
}

TEST(calls_time_out)
{
	struct http_client *c;
	struct answer a;

	start();
	c = client_at(path);
	a = do_call(c, &(struct http_call_spec){.method = "GET",
						.path = "/hold",
						.timeout_ms = 20});
	EQ(a.r, -ETIMEDOUT);
	while (app.n_ends == 0)
		uv_run(&loop, UV_RUN_ONCE);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(closing_the_client_cancels_its_calls)
{
	struct http_client *c;
	struct answer a = {0};
	bool closed = false;

	start();
	c = client_at(path);
	OK(http_call(c,
		     &(struct http_call_spec){.method = "GET", .path = "/hold"},
		     &call_ops, &a) != NULL);
	http_client_close(c, NULL, &closed);
	OK(a.done);
	EQ(a.r, -ECANCELED);
	finish();
}

TEST(idle_and_slow_connections_are_closed)
{
	struct http_client *c;
	char *got;
	int fd;

	start();
	http_server_set_idle(app.server, 30);
	got = raw("GET /x HTTP/1.1\r\n\r\n"); /* Closed though kept alive. */
	OK(strstr(got, "GET /x") != NULL);
	free(got);
	got = raw("GET /x HT");
	STR_EQ(got, "");
	free(got);
	got = raw("POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n1");
	STR_EQ(got, "");
	free(got);

	/* But not while we owe the answer. */
	c = client_at(path);
	fd = raw_connect();
	raw_send(fd, "GET /open HTTP/1.1\r\n\r\n", 22);
	EQ(do_call(c, &(struct http_call_spec){.method = "GET",
					       .path = "/hold",
					       .timeout_ms = 100})
		   .r,
	   -ETIMEDOUT);
	OK(recv(fd, (char[512]){0}, 512, 0) > 0);
	EQ(recv(fd, (char[1]){0}, 1, 0), -1);
	EQ(errno, EAGAIN);
	close(fd);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(an_idle_server_has_no_timer)
{
	int fd;

	start();
	uv_run(&loop, UV_RUN_NOWAIT);
	EQ(uv_backend_timeout(&loop), -1);
	fd = raw_connect();
	raw_send(fd, "GET /open HTTP/1.1\r\n\r\n", 22);
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	OK(app.held != NULL);
	EQ(uv_backend_timeout(&loop), -1);
	close(fd);
	while (app.n_ends == 0)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_NOWAIT);
	EQ(uv_backend_timeout(&loop), -1);
	finish();
}

TEST(socket_files_are_private_and_replaced_only_when_dead)
{
	struct http_server *second;
	struct stat st;
	struct err e;
	int fd;

	start();
	umask(0);
	second = http_server_new(&loop, &handler, &app);
	EQ(http_server_listen_unix(second, path, &e), -EADDRINUSE);
	http_server_close(app.server, NULL, NULL);
	EQ(http_server_listen_unix(second, path, &e), 0);
	EQ(lstat(path, &st), 0);
	EQ(st.st_mode & 0777, 0600);
	app.server = second;

	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	EQ(http_server_listen_unix(second, path, &e), -EADDRINUSE);
	EQ(access(path, F_OK), 0);
	finish();
}

TEST(paths_may_be_long)
{
	char deep[PATH_LEN], file[PATH_LEN];
	struct http_client *c;
	struct err e;

	start();
	snprintf(deep, sizeof(deep), "%s/%0120d", dir, 1);
	snprintf(file, sizeof(file), "%s/%0120d/sock", dir, 1);
	EQ(mkdir(deep, 0700), 0);
	EQ(http_server_listen_unix(app.server, file, &e), 0);
	c = client_at(file);
	EQ(get(c, "/x").status, 200);
	http_client_close(c, NULL, NULL);
	unlink(file);
	rmdir(deep);
	finish();
}

TEST(no_server_is_told_by_its_error)
{
	struct http_client *c;

	start();
	c = client_at("/nonexistent/sock");
	EQ(get(c, "/x").r, -ENOENT);
	http_client_close(c, NULL, NULL);
	finish();
}

TEST(nothing_is_injected_into_a_request)
{
	struct http_client *c;
	struct http_call_spec spec = {.method = "GET", .path = "/x"};

	start();
	c = client_at(path);
	EQ(get(c, "/x HTTP/1.1\r\nA: b").r, -EINVAL);
	EQ(get(c, "x").r, -EINVAL);
	spec.headers = "A: b\r\n\r\n";
	EQ(do_call(c, &spec).r, -EINVAL);
	spec.headers = "A: b";
	EQ(do_call(c, &spec).r, -EINVAL);
	spec.headers = NULL;
	spec.content_type = "a\r\nb: c";
	EQ(do_call(c, &spec).r, -EINVAL);
	http_client_close(c, NULL, NULL);
	finish();
	EQ(app.n_requests, 0);
}

static int tcp_status(struct http_client *c, const char *headers)
{
	return do_call(c, &(struct http_call_spec){.method = "GET",
						   .path = "/x",
						   .headers = headers})
		.status;
}

static void tcp_raw(int port, const char *host, const char *status)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char request[256], want[32], *got;

	EQ(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	OK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	snprintf(request, sizeof(request),
		 "GET /x HTTP/1.1\r\nConnection: close\r\n%s\r\n", host);
	raw_send(fd, request, strlen(request));
	got = raw_recv(fd);
	snprintf(want, sizeof(want), "HTTP/1.1 %s ", status);
	if (strncmp(got, want, strlen(want)) != 0)
		FAIL("%s: want %s, got \"%s\"", host, status, got);
	free(got);
}

TEST(tcp_serves_only_the_loopback_names)
{
	struct http_client *c;
	struct err e;
	int port;

	start();
	port = http_server_listen_tcp(app.server, "127.0.0.1", 0, &e);
	OK(port > 0);
	c = http_client_new(&loop, &(struct http_target){.host = "127.0.0.1",
							 .port = port,
							 .token = "t"});
	EQ(tcp_status(c, NULL), 200);
	EQ(tcp_status(c, "Origin: http://localhost:5173\r\n"), 200);
	EQ(tcp_status(c, "Origin: http://[::1]\r\n"), 200);
	EQ(tcp_status(c, "Origin: https://evil.example\r\n"), 403);
	EQ(tcp_status(c, "Origin: null\r\n"), 403);
	EQ(tcp_status(c, "Origin: http://127.0.0.1.evil.example\r\n"), 403);
	EQ(tcp_status(c, "Host: localhost\r\n"), 403);
	http_client_close(c, NULL, NULL);

	tcp_raw(port, "Host: localhost\r\n", "200");
	tcp_raw(port, "Host: [::1]:80\r\n", "200");
	tcp_raw(port, "Host: 127.9.9.9:1\r\n", "200");
	tcp_raw(port, "", "403");
	tcp_raw(port, "Host: evil.example\r\n", "403");
	tcp_raw(port, "Host: localhost:80@evil\r\n", "403");
	tcp_raw(port, "Host: [::1]evil\r\n", "403");
	tcp_raw(port, "Host: [::1\r\n", "403");
	tcp_raw(port, "Host: 10.0.0.1\r\n", "403");
	finish();
}

TEST(a_refused_tcp_connection_ends_the_call)
{
	struct http_server *other;
	struct http_client *c;
	struct err e;
	int port;

	start();
	other = http_server_new(&loop, &handler, &app);
	port = http_server_listen_tcp(other, "::1", 0, &e);
	OK(port > 0);
	http_server_close(other, NULL, NULL);
	c = http_client_new(&loop,
			    &(struct http_target){.host = "::1", .port = port});
	EQ(get(c, "/x").r, -ECONNREFUSED);
	http_client_close(c, NULL, NULL);
	finish();
}

/* --- the client and hostile servers --------------------------------------- */

/* Answer the first request on @path with exactly @text, then close. */
static struct answer answered_by(const char *text)
{
	struct answer a = {0};
	struct http_client *c;
	char buf[1024];
	struct err e;
	int l, fd;

	l = unixsock_listen(path, &e);
	OK(l >= 0);
	c = client_at(path);
	OK(http_call(c, &(struct http_call_spec){.method = "GET", .path = "/"},
		     &call_ops, &a) != NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	fd = accept(l, NULL, NULL);
	OK(fd >= 0);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) < 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	EQ(send(fd, text, strlen(text), 0), strlen(text));
	close(fd);
	run_until(&a.done);
	http_client_close(c, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	close(l);
	unlink(path);
	return a;
}

/* Leave the path to servers that the case plays itself. */
static void start_without_server(void)
{
	start();
	http_server_close(app.server, NULL, NULL);
	app.server = NULL;
	uv_run(&loop, UV_RUN_DEFAULT);
	unlink(path);
}

TEST(interim_answers_have_no_content)
{
	struct answer a;

	start_without_server();
	a = answered_by("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	EQ(a.r, 0);
	STR_EQ(a.text, "ok");
	a = answered_by("HTTP/1.1 100 Go\r\nTransfer-Encoding: chunked\r\n\r\n"
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	EQ(a.r, 0);
	STR_EQ(a.text, "ok");
	finish();
}

TEST(an_answer_has_a_status_from_100)
{
	struct answer a;

	start_without_server();
	a = answered_by("HTTP/1.1 0 02\r\nx: y\r\n\r\nhi");
	EQ(a.r, -EPROTO);
	STR_EQ(a.text, "");
	a = answered_by("HTTP/1.1 099 No\r\n\r\nhi");
	EQ(a.r, -EPROTO);
	finish();
}

TEST(answers_end_in_every_legal_way)
{
	struct answer a;

	start_without_server();
	a = answered_by("HTTP/1.1 200 OK\r\n\r\nuntil the end");
	EQ(a.r, 0);
	STR_EQ(a.text, "until the end");
	a = answered_by("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	EQ(a.r, 0);
	STR_EQ(a.text, "ok");
	a = answered_by("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok");
	EQ(a.r, -ECONNRESET);
	a = answered_by("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			"2\r\nok\r\n");
	EQ(a.r, -ECONNRESET);
	a = answered_by("HTTP/1.1 200 OK\r\nContent");
	EQ(a.r, -ECONNRESET);
	a = answered_by("");
	EQ(a.r, -ECONNRESET);
	a = answered_by("SSH-2.0-OpenSSH\r\n");
	EQ(a.r, -EPROTO);
	a = answered_by("HTTP/1.1 101 Switching Protocols\r\n"
			"Connection: upgrade\r\nUpgrade: x\r\n\r\n");
	EQ(a.r, -EPROTO);
	a = answered_by("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 x");
	EQ(a.r, 0);
	finish();
}

TESTS(CASE(answers_whole), CASE(answers_errors), CASE(head_has_no_body),
      CASE(client_understands_the_answer_to_head),
      CASE(a_stream_of_100_mb_is_held_back_by_its_reader),
      CASE(a_torn_stream_is_an_error),
      CASE(a_client_gone_in_mid_stream_is_noticed),
      CASE(a_client_gone_behind_a_full_buffer_is_noticed),
      CASE(a_cancelled_call_ends_the_request),
      CASE(a_body_is_sent_and_received_as_a_stream),
      CASE(an_upload_may_be_refused_in_the_middle),
      CASE(an_answer_to_the_head_keeps_the_connection_when_no_body_follows),
      CASE(pipelined_requests_are_answered_in_order),
      CASE(split_anywhere_a_request_gets_the_same_answer),
      CASE(malformed_requests_are_refused), CASE(large_heads_are_refused),
      CASE(large_bodies_are_refused), CASE(continue_is_said_before_the_body),
      CASE(an_old_client_gets_no_chunks), CASE(connections_are_used_again),
      CASE(a_dead_idle_connection_is_replaced),
      CASE(a_server_closed_by_its_handler_ends_the_call), CASE(calls_time_out),
      CASE(closing_the_client_cancels_its_calls),
      CASE(idle_and_slow_connections_are_closed),
      CASE(an_idle_server_has_no_timer),
      CASE(socket_files_are_private_and_replaced_only_when_dead),
      CASE(paths_may_be_long), CASE(no_server_is_told_by_its_error),
      CASE(nothing_is_injected_into_a_request),
      CASE(tcp_serves_only_the_loopback_names),
      CASE(a_refused_tcp_connection_ends_the_call),
      CASE(interim_answers_have_no_content),
      CASE(an_answer_has_a_status_from_100),
      CASE(answers_end_in_every_legal_way))
