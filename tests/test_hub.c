// SPDX-License-Identifier: Apache-2.0
/*
 * test_hub.c - Stored events out to whoever listens
 *
 * The client is the other end of a socketpair, read by hand: so a case decides
 * when it reads.
 */
#include "host/daemon/hub.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "core/sse.h"
#include "tests/tap.h"

#define SES "ses_0123456789abcdef0123456789abcdef"
#define TRN "trn_0123456789abcdef0123456789abcdef"

static struct {
	uv_loop_t loop;
	char dir[64], path[96];
	struct store *store;
	struct reader *reader;
	struct hub *hub;
	struct http_server *server;
	int64_t appended, stored;
	int64_t since;

	/* The client. */
	int fd;
	struct sse_reader sse;
	bool headers_done;
	struct jw raw;
	int64_t next, gap_from, gap_to;
	unsigned events, gaps, opens, ends;
	bool broken; /* A seq came twice or one is missing. */
	int status;
} t;

/* --- the host ----------------------------------------------------------- */

static void on_request(struct http_req *r, void *arg)
{
	(void)arg;
	hub_subscribe(t.hub, r, SES, t.since);
}

static const struct http_handler handler = {.request = on_request};

static void on_stored(struct store_batch *b, int64_t acked, const struct err *e)
{
	if (acked < 0)
		FAIL("append: %s", e->msg);
	t.stored = acked;
	event_list_free(&b->events);
	free(b);
}

static void append(const char *type, const char *turn, const char *data)
{
	struct store_batch *b = calloc(1, sizeof(*b));
	struct event *ev = event_new(&(struct event_spec){
		.session = SES,
		.turn = turn,
		.type = type,
		.seq = ++t.appended,
		.epoch = 1,
		.ts_ms = 1,
		.data = data,
		.data_len = strlen(data),
	});

	OK(b != NULL && ev != NULL);
	TAILQ_INIT(&b->events);
	memcpy(b->session, SES, sizeof(SES));
	b->done = on_stored;
	TAILQ_INSERT_TAIL(&b->events, ev, link);
	store_append(t.store, b);
}

static void append_text(size_t bytes)
{
	autojw struct jw w = {0};
	autofree char *text = malloc(bytes + 1);

	memset(text, 'x', bytes);
	text[bytes] = '\0';
	jw_obj(&w);
	jw_kstr(&w, "text", text);
	jw_obj_end(&w);
	append("agent.stderr", NULL, w.buf);
}

static void setup(void)
{
	struct err e = {0};

	snprintf(t.dir, sizeof(t.dir), "/tmp/test_hub.XXXXXX");
	OK(mkdtemp(t.dir) != NULL);
	snprintf(t.path, sizeof(t.path), "%s/hib.db", t.dir);
	EQ(uv_loop_init(&t.loop), 0);
	EQ(store_open(&t.loop, t.path, STORE_HOST, &t.store, &e), 0);
	EQ(reader_open(t.path, &t.reader, &e), 0);
	t.hub = hub_new(&t.loop, t.store, t.reader);
	t.server = http_server_new(&t.loop, &handler, NULL);
	t.fd = -1;
	t.next = 1;
	append("session.created", NULL,
	       "{\"vm\":\"vm_0123456789abcdef0123456789abcdef\",\"agent\":"
	       "\"echo\",\"cwd\":\"/\",\"create_hash\":\"00\",\"root\":"
	       "\"" SES "\"}");
}

/* Run the loop until what was appended is stored. */
static void settle(void)
{
	while (t.stored < t.appended)
		uv_run(&t.loop, UV_RUN_ONCE);
}

static void teardown(void)
{
	char command[128];

	hub_close(t.hub, "test ends");
	http_server_close(t.server, NULL, NULL);
	store_close(t.store);
	if (t.fd >= 0)
		close(t.fd);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	reader_close(t.reader);
	sse_reader_done(&t.sse);
	jw_done(&t.raw);
	EQ(uv_loop_close(&t.loop), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	EQ(system(command), 0);
}

/* --- the client --------------------------------------------------------- */

static void on_event(const struct sse_event *ev, void *arg)
{
	autojson struct json j = {0};
	struct jv v;

	(void)arg;
	EQ(json_parse(&j, ev->data, ev->len, NULL), 0);
	v = json_root(&j);
	if (strcmp(ev->event, "stream.open") == 0) {
		t.opens++;
	} else if (strcmp(ev->event, "stream.end") == 0) {
		t.ends++;
	} else if (strcmp(ev->event, "stream.gap") == 0) {
		t.gaps++;
		t.gap_from = jv_int(jv_get(v, "from"), -1);
		t.gap_to = jv_int(jv_get(v, "to"), -1);
		t.broken |= t.gap_from != t.next;
		t.next = t.gap_to + 1;
	} else {
		t.broken |= jv_int(jv_get(v, "seq"), -1) != t.next;
		t.next++;
		t.events++;
	}
}

static void subscribe(int64_t since)
{
	static const char request[] = "GET /e HTTP/1.1\r\nHost: localhost\r\n"
				      "\r\n";
	struct err e = {0};
	int fd[2];

	t.since = since;
	t.next = since + 1;
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		      fd),
	   0);
	t.fd = fd[1];
	sse_reader_init(&t.sse, on_event, NULL);
	EQ(http_server_adopt(t.server, fd[0], &e), 0);
	EQ(write(t.fd, request, strlen(request)), strlen(request));
}

/* Chunked bytes to event stream: sizes are hex lines between the chunks. */
static void feed_chunks(void)
{
	char *p = t.raw.buf, *end = t.raw.buf + t.raw.len;

	while (p < end) {
		char *line_end, *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n;

		if (nl == NULL)
			break;
		n = strtoul(p, &line_end, 16);
		if ((size_t)(end - nl - 1) < n + 2)
			break;
		EQ(sse_reader_feed(&t.sse, nl + 1, n), 0);
		p = nl + 1 + n + 2;
	}
	memmove(t.raw.buf, p, (size_t)(end - p));
	t.raw.len = (size_t)(end - p);
}

static void read_some(void)
{
	char buf[65536];
	ssize_t n = read(t.fd, buf, sizeof(buf));

	if (n <= 0)
		return;
	jw_lit(&t.raw, buf, (size_t)n);
	if (!t.headers_done) {
		char *end = strstr(t.raw.buf, "\r\n\r\n");

		if (end == NULL)
			return;
		t.headers_done = true;
		t.status = atoi(t.raw.buf + strlen("HTTP/1.1 "));
		end += 4;
		t.raw.len -= (size_t)(end - t.raw.buf);
		memmove(t.raw.buf, end, t.raw.len);
	}
	if (t.status == 200)
		feed_chunks();
}

static void read_until(int64_t seq)
{
	while (t.next <= seq) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
		read_some();
	}
}

/* --- cases -------------------------------------------------------------- */

TEST(F133_history_and_live_meet_without_gap_or_repeat)
{
	setup();
	for (int i = 0; i < 3000; i++)
		append_text(100);
	settle();
	subscribe(0);
	for (int i = 0; i < 2000; i++) {
		append_text(100);
		if (i % 7 == 0) {
			uv_run(&t.loop, UV_RUN_NOWAIT);
			read_some();
		}
	}
	read_until(5001);
	EQ(t.broken, false);
	EQ(t.gaps, 0);
	EQ(t.opens, 1);
	EQ(t.events, 5001);
	teardown();
}

TEST(F130_since_is_exclusive)
{
	setup();
	for (int i = 0; i < 9; i++)
		append_text(1);
	settle();
	subscribe(7);
	read_until(10);
	EQ(t.events, 3);
	EQ(t.broken, false);
	teardown();
}

TEST(R6_a_cursor_ahead_is_refused)
{
	setup();
	settle();
	subscribe(2);
	while (t.status == 0) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
		read_some();
	}
	EQ(t.status, 409);
	OK(strstr(t.raw.buf, "\"cursor_ahead\"") != NULL);
	OK(strstr(t.raw.buf, "\"last_seq\":1") != NULL);
	teardown();
}

TEST(F136_a_client_that_does_not_read_gets_one_gap)
{
	setup();
	settle();
	subscribe(0);
	read_until(1);
	for (int i = 0; i < 200; i++) {
		append_text(50000);
		settle();
	}
	read_until(201);
	EQ(t.broken, false);
	EQ(t.gaps, 1);
	OK(t.gap_to > t.gap_from);
	append_text(1);
	read_until(202);
	EQ(t.gaps, 1);
	EQ(t.broken, false);
	teardown();
}

static int64_t told;

static void on_seq(const struct err *e, void *arg)
{
	EQ(e->code, 0);
	told = (int64_t)(intptr_t)arg;
}

TEST(a_wait_ends_when_the_event_is_stored)
{
	setup();
	settle();
	hub_await_seq(t.hub, SES, 1, 0, on_seq, (void *)1);
	EQ(told, 1);
	hub_await_seq(t.hub, SES, 3, 0, on_seq, (void *)3);
	append_text(1);
	settle();
	EQ(told, 1);
	append_text(1);
	settle();
	EQ(told, 3);
	teardown();
}

static char ended[64];

static void on_turn(const struct event *ev, const struct err *e, void *arg)
{
	(void)arg;
	snprintf(ended, sizeof(ended), "%s",
		 e->code < 0 ? fault_name(err_fault(e->code)) : ev->type);
}

TEST(a_turns_end_is_told_once_now_or_later)
{
	setup();
	settle();
	hub_await_turn(t.hub, SES, TRN, on_turn, NULL);
	append("input.message", TRN, "{\"content\":[]}");
	append("turn.started", TRN, "{\"n\":1}");
	settle();
	STR_EQ(ended, "");
	append("turn.completed", TRN, "{\"stop_reason\":\"end_turn\"}");
	settle();
	STR_EQ(ended, "turn.completed");
	ended[0] = '\0';
	hub_await_turn(t.hub, SES, TRN, on_turn, NULL);
	STR_EQ(ended, "turn.completed");
	teardown();
}

TEST(a_turn_that_a_rewind_has_undone_is_waited_for_no_longer)
{
	setup();
	append("input.message", TRN, "{\"content\":[]}");
	append("turn.started", TRN, "{\"n\":1,\"first_seq\":2}");
	append("turn.completed", TRN, "{\"stop_reason\":\"end_turn\"}");
	append("session.rewound", NULL, "{\"to_seq\":3,\"abandoned\":[4,4]}");
	settle();
	ended[0] = '\0';
	hub_await_turn(t.hub, SES, TRN, on_turn, NULL);
	STR_EQ(ended, ""); /* It is open again. */
	append("session.rewound", NULL, "{\"to_seq\":1,\"abandoned\":[2,5]}");
	settle();
	STR_EQ(ended, "turn_not_found");
	teardown();
}

TEST(a_session_that_is_gone_ends_its_streams)
{
	setup();
	settle();
	subscribe(0);
	read_until(1);
	hub_end_session(t.hub, SES, "destroyed");
	while (t.ends == 0) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
		read_some();
	}
	teardown();
}

TESTS(CASE(F133_history_and_live_meet_without_gap_or_repeat),
      CASE(F130_since_is_exclusive), CASE(R6_a_cursor_ahead_is_refused),
      CASE(F136_a_client_that_does_not_read_gets_one_gap),
      CASE(a_wait_ends_when_the_event_is_stored),
      CASE(a_turns_end_is_told_once_now_or_later),
      CASE(a_turn_that_a_rewind_has_undone_is_waited_for_no_longer),
      CASE(a_session_that_is_gone_ends_its_streams))
