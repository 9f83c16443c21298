// SPDX-License-Identifier: Apache-2.0
/*
 * test_h2.c - Two ends of a socketpair on one loop
 */
#include "core/h2.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/tap.h"

#define BULK	   (100u << 20) /* Bytes each way. */
#define BULK_CHUNK (64u << 10)
#define BULK_AHEAD (256u << 10)
#define ROUNDS	   5000

/* One side of the connection and all that it was told. */
struct side {
	struct h2 *c;
	int closed, closed_r;
	int requests;
	bool open; /* The test has not closed it. */
};

/* One side of a stream and all that it was told. */
struct half {
	struct h2_stream *s;
	int status, heads, fins, drains, ends, r;
	size_t got, unread;
	char first[64], path[H2_PATH_MAX + 1], method[16];
	size_t to_send; /* Bulk: bytes not yet written. */
	uint8_t in_sum, out_sum;
	bool lazy; /* Consumes later, by a timer. */
};

static uv_loop_t *loop;
static struct side cli, srv;
static struct half a, b; /* The client's half, the server's half. */
static int n_ended;
static int fds[2];

/* --- what the sides are told --------------------------------------------- */

static void on_head(struct h2_stream *s, int status, void *arg)
{
	struct half *h = arg;

	OK(s == h->s);
	h->status = status;
	h->heads++;
}

static void on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct half *h = arg;
	size_t room = sizeof(h->first) - 1;

	if (h->got < room)
		memcpy(h->first + h->got, data,
		       n < room - h->got ? n : room - h->got);
	h->got += n;
	data[0] = (char)(data[0] + 1); /* Scratch space it is. */
	if (h->lazy)
		h->unread += n;
	else
		h2_consume(s, n);
}

static void on_fin(struct h2_stream *s, void *arg)
{
	struct half *h = arg;

	(void)s;
	h->fins++;
}

static void on_drained(struct h2_stream *s, void *arg)
{
	struct half *h = arg;

	EQ(h2_queued(s), 0);
	h->drains++;
}

static void on_end(struct h2_stream *s, int r, void *arg)
{
	struct half *h = arg;

	OK(s == h->s || h->s == NULL);
	h->ends++;
	h->r = r;
	h->s = NULL;
	n_ended++;
}

static const struct h2_stream_events half_ev = {
	.head = on_head,
	.data = on_data,
	.fin = on_fin,
	.drained = on_drained,
	.end = on_end,
};

/* The server keeps the stream for the test. */
static void on_request(struct h2_stream *s, const char *method,
		       const char *path, void *arg)
{
	struct side *side = arg;

	OK(h2_of(s) == side->c);
	side->requests++;
	b.s = s;
	(void)snprintf(b.method, sizeof(b.method), "%s", method);
	(void)snprintf(b.path, sizeof(b.path), "%s", path);
	h2_stream_set(s, &half_ev, &b);
}

static void on_closed(struct h2 *c, int r, void *arg)
{
	struct side *side = arg;

	OK(c == side->c);
	side->closed++;
	side->closed_r = r;
}

static const struct h2_events keep_ev = {on_request, on_closed};

/* --- set up and tear down ------------------------------------------------- */

static uv_stream_t *pipe_of(int fd)
{
	uv_pipe_t *p = calloc(1, sizeof(*p));

	OK(p != NULL);
	EQ(uv_pipe_init(loop, p, 0), 0);
	EQ(uv_pipe_open(p, fd), 0);
	return (uv_stream_t *)p;
}

static void raw_setup(void)
{
	static uv_loop_t the_loop;

	(void)signal(SIGPIPE, SIG_IGN);
	loop = &the_loop;
	EQ(uv_loop_init(loop), 0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void start(struct side *side, int fd, bool server,
		  const struct h2_events *ev)
{
	EQ(h2_new(pipe_of(fd), server, ev, side, &side->c), 0);
	side->open = true;
}

static void setup_ev(const struct h2_events *ev)
{
	raw_setup();
	start(&cli, fds[0], false, &keep_ev);
	start(&srv, fds[1], true, ev);
}

static void setup(void)
{
	setup_ev(&keep_ev);
}

static void shut(struct side *side)
{
	if (side->open)
		h2_close(side->c);
	side->open = false;
}

static void teardown(void)
{
	shut(&cli);
	shut(&srv);
	uv_run(loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(loop), 0);
}

/* Run until x; the case's deadline ends what never comes. */
#define UNTIL(x)                                   \
	do {                                       \
		while (!(x))                       \
			uv_run(loop, UV_RUN_ONCE); \
	} while (0)

static struct h2_stream *ask(const char *method, const char *path,
			     const char *body, bool more)
{
	a.s = h2_request(cli.c, method, path, body, strlen(body), more,
			 &half_ev, &a);
	OK(a.s != NULL);
	return a.s;
}

/* Open one exchange, both bodies open. */
static void open_both(void)
{
	setup();
	ask("POST", "/x", "", true);
	UNTIL(b.s != NULL);
	h2_respond(b.s, 200);
	UNTIL(a.heads == 1);
}

/* --- exchanges ------------------------------------------------------------ */

TEST(request_and_reply)
{
	setup();
	ask("PUT", "/v1/files?path=%2Fa", "hello", false);
	UNTIL(b.fins == 1);
	STR_EQ(b.method, "PUT");
	STR_EQ(b.path, "/v1/files?path=%2Fa");
	STR_EQ(b.first, "hello");

	h2_reply(b.s, 201, "world!", 6);
	UNTIL(n_ended == 2);
	EQ(a.status, 201);
	EQ(a.heads, 1);
	EQ(a.fins, 1);
	STR_EQ(a.first, "world!");
	EQ(a.r, 0);
	EQ(b.r, 0);
	teardown();
	EQ(cli.closed + srv.closed, 0);
}

TEST(bodies_may_be_empty)
{
	setup();
	ask("GET", "/", "", false);
	UNTIL(b.fins == 1);
	h2_reply(b.s, 204, NULL, 0);
	UNTIL(n_ended == 2);
	EQ(a.status, 204);
	EQ(a.got + b.got, 0);
	EQ(a.r, 0);
	EQ(b.r, 0);

	ask("POST", "/", "", true);
	h2_fin(a.s);
	UNTIL(b.fins == 2);
	h2_respond(b.s, 200);
	h2_fin(b.s);
	UNTIL(n_ended == 4);
	EQ(a.status, 200);
	EQ(a.r, 0);
	teardown();
}

TEST(connect_carries_an_authority)
{
	setup();
	ask("CONNECT", "example.org:443", "", true);
	UNTIL(b.s != NULL);
	STR_EQ(b.method, "CONNECT");
	STR_EQ(b.path, "example.org:443");
	h2_respond(b.s, 200);
	EQ(h2_write(b.s, "hi", 2), 0);
	UNTIL(a.got == 2);
	EQ(h2_write(a.s, "ho!", 3), 0);
	UNTIL(b.got == 3);
	h2_fin(a.s);
	h2_fin(b.s);
	UNTIL(n_ended == 2);
	EQ(a.r, 0);
	EQ(b.r, 0);
	teardown();
}

TEST(writes_coalesce_and_drain)
{
	char line[100];

	open_both();
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 1000; i++)
		EQ(h2_write(a.s, line, sizeof(line)), 0);
	EQ(h2_queued(a.s), 100000);
	UNTIL(b.got == 100000);
	UNTIL(a.drains == 1);
	EQ(h2_queued(a.s), 0);
	EQ(h2_write(a.s, line, 0), 0);
	h2_fin(a.s);
	EQ(h2_write(a.s, line, 1), -EPIPE);
	UNTIL(b.fins == 1);
	teardown();
}

/* --- many ----------------------------------------------------------------- */

#define MANY 64

static struct half many[MANY];

static void echo_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_fin(s);
}

static void echo_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)arg;
	EQ(h2_write(s, data, n), 0);
	h2_consume(s, n);
}

static void echo_end(struct h2_stream *s, int r, void *arg)
{
	(void)s, (void)arg;
	EQ(r, 0);
	n_ended++;
}

static const struct h2_stream_events echo_stream_ev = {
	.data = echo_data,
	.fin = echo_fin,
	.end = echo_end,
};

static void echo_request(struct h2_stream *s, const char *method,
			 const char *path, void *arg)
{
	(void)method, (void)path, (void)arg;
	h2_stream_set(s, &echo_stream_ev, NULL);
	h2_respond(s, 200);
}

static const struct h2_events echo_ev = {echo_request, on_closed};

TEST(many_streams_at_once)
{
	char body[32], path[32];

	setup_ev(&echo_ev);
	for (int i = 0; i < MANY; i++) {
		int n = snprintf(body, sizeof(body), "body %d", i);

		(void)snprintf(path, sizeof(path), "/%d", i);
		many[i].s = h2_request(cli.c, "POST", path, body, (size_t)n,
				       false, &half_ev, &many[i]);
		OK(many[i].s != NULL);
	}
	UNTIL(n_ended == 2 * MANY);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(body, sizeof(body), "body %d", i);
		STR_EQ(many[i].first, body);
		EQ(many[i].r, 0);
	}
	teardown();
}

/* More than the peer allows at a time: the rest waits its turn. */
TEST(more_streams_than_allowed_wait)
{
	static struct half lots[3 * H2_STREAMS_MAX];

	setup_ev(&echo_ev);
	for (size_t i = 0; i < ARRAY_LEN(lots); i++) {
		lots[i].s = h2_request(cli.c, "POST", "/", "hey", 3, false,
				       &half_ev, &lots[i]);
		OK(lots[i].s != NULL);
	}
	/* One that never got its turn can be taken back. */
	h2_reset(lots[ARRAY_LEN(lots) - 1].s);
	UNTIL(n_ended == 2 * (int)ARRAY_LEN(lots) - 1);
	for (size_t i = 0; i < ARRAY_LEN(lots) - 1; i++) {
		EQ(lots[i].ends, 1);
		EQ(lots[i].r, 0);
		STR_EQ(lots[i].first, "hey");
	}
	EQ(lots[ARRAY_LEN(lots) - 1].r, -ECANCELED);
	teardown();
}

/* --- bulk ----------------------------------------------------------------- */

static void bulk_more(struct half *h)
{
	static char block[BULK_CHUNK];

	while (h->to_send > 0 && h2_queued(h->s) < BULK_AHEAD) {
		memset(block, (int)(h->to_send >> 16), sizeof(block));
		EQ(h2_write(h->s, block, sizeof(block)), 0);
		h->to_send -= sizeof(block);
		if (h->to_send == 0)
			h2_fin(h->s);
	}
}

static void bulk_drained(struct h2_stream *s, void *arg)
{
	struct half *h = arg;

	EQ(h2_queued(s), 0);
	h->drains++;
	bulk_more(h);
}

static void bulk_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct half *h = arg;

	(void)s;
	for (size_t i = 0; i < n; i += 1024) {
		size_t left = BULK - ((h->got + i) & ~(size_t)(BULK_CHUNK - 1));

		EQ((uint8_t)data[i], (uint8_t)(left >> 16));
	}
	h->got += n;
	h->unread += n;
	OK(h->unread <= H2_WINDOW);
}

static const struct h2_stream_events bulk_ev = {
	.head = on_head,
	.data = bulk_data,
	.fin = on_fin,
	.drained = bulk_drained,
	.end = on_end,
};

static void consume_all(struct half *h)
{
	if (h->s != NULL)
		h2_consume(h->s, h->unread);
	h->unread = 0;
}

/* The receiver is always behind. */
static void on_late(uv_timer_t *t)
{
	(void)t;
	consume_all(&a);
	consume_all(&b);
}

TEST(both_bodies_stream_with_late_receivers)
{
	uv_timer_t late;

	setup();
	a.s = h2_request(cli.c, "POST", "/", NULL, 0, true, &bulk_ev, &a);
	UNTIL(b.s != NULL);
	h2_stream_set(b.s, &bulk_ev, &b);
	h2_respond(b.s, 200);
	EQ(uv_timer_init(loop, &late), 0);
	EQ(uv_timer_start(&late, on_late, 1, 1), 0);
	a.to_send = b.to_send = BULK;
	bulk_more(&a);
	bulk_more(&b);
	UNTIL(n_ended == 2);
	EQ(a.got, BULK);
	EQ(b.got, BULK);
	EQ(a.r, 0);
	EQ(b.r, 0);
	OK(a.drains > 10);
	uv_close((uv_handle_t *)&late, NULL);
	teardown();
}

/* Who does not consume stops the sender after a window, and only this one. */
TEST(stalled_streams_do_not_stall_others)
{
	static struct half stalled[16];
	static char mib[H2_WINDOW];

	setup();
	for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
		ask("POST", "/", "", true);
		UNTIL(b.s != NULL);
		stalled[i].lazy = true;
		stalled[i].s = b.s;
		h2_stream_set(b.s, &half_ev, &stalled[i]);
		b.s = NULL;
		EQ(h2_write(a.s, mib, sizeof(mib)), 0);
		EQ(h2_write(a.s, mib, sizeof(mib)), 0);
		UNTIL(stalled[i].got == H2_WINDOW);
		EQ(h2_queued(a.s), H2_WINDOW);
		a.s = NULL;
	}
	ask("POST", "/", "free", false);
	UNTIL(b.fins == 1);
	STR_EQ(b.first, "free");
	h2_consume(stalled[0].s, H2_WINDOW);
	UNTIL(stalled[0].got == 2 * H2_WINDOW);
	a.s = NULL;
	teardown();
}

static int n_ping_pong;

static void pp_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)arg;
	h2_consume(s, n);
	if (++n_ping_pong < 2 * ROUNDS)
		EQ(h2_write(s, data, n), 0);
}

static const struct h2_stream_events pp_ev = {.data = pp_data, .end = on_end};

/* There and back takes two turns of the loop, whatever else there is to do. */
TEST(small_messages_do_not_wait)
{
	int n_turns = 0;

	open_both();
	h2_stream_set(a.s, &pp_ev, &a);
	h2_stream_set(b.s, &pp_ev, &b);
	EQ(h2_write(a.s, "ping", 4), 0);
	for (; n_ping_pong < 2 * ROUNDS; n_turns++)
		uv_run(loop, UV_RUN_ONCE);
	OK(n_turns <= 3 * ROUNDS);
	teardown();
}

/* --- ends ----------------------------------------------------------------- */

TEST(client_resets)
{
	open_both();
	EQ(h2_write(a.s, "lost", 4), 0);
	h2_reset(a.s);
	EQ(a.ends, 0); /* Never from within the call. */
	EQ(h2_write(a.s, "x", 1), -EPIPE);
	h2_reset(a.s);
	UNTIL(n_ended == 2);
	EQ(a.r, -ECANCELED);
	EQ(b.r, -ECONNRESET);
	EQ(a.ends, 1);
	EQ(b.ends, 1);
	teardown();
}

TEST(server_resets)
{
	open_both();
	h2_reset(b.s);
	UNTIL(n_ended == 2);
	EQ(a.r, -ECONNRESET);
	EQ(b.r, -ECANCELED);

	/* The connection serves on. */
	ask("GET", "/", "", false);
	UNTIL(b.fins == 1);
	h2_reply(b.s, 200, "ok", 2);
	UNTIL(n_ended == 4);
	EQ(a.r, 0);
	teardown();
}

TEST(an_early_answer_is_not_an_end)
{
	open_both();
	h2_fin(b.s);
	UNTIL(a.fins == 1);
	EQ(n_ended, 0);
	EQ(h2_write(a.s, "more", 4), 0);
	UNTIL(b.got == 4);
	h2_fin(a.s);
	UNTIL(n_ended == 2);
	EQ(a.r, 0);
	EQ(b.r, 0);
	teardown();
}

static void no_one_home(struct h2_stream *s, const char *method,
			const char *path, void *arg)
{
	(void)s, (void)method, (void)path, (void)arg;
}

TEST(unset_stream_is_refused)
{
	static const struct h2_events ev = {no_one_home, on_closed};

	setup_ev(&ev);
	ask("GET", "/", "", false);
	UNTIL(n_ended == 1);
	EQ(a.r, -ECONNRESET);
	teardown();
}

TEST(goaway_waits_for_open_streams)
{
	open_both();
	h2_goaway(cli.c);
	h2_goaway(cli.c);
	OK(h2_request(cli.c, "GET", "/", "", 0, false, &half_ev, &a) == NULL);
	EQ(h2_write(a.s, "late", 4), 0);
	UNTIL(b.got == 4);
	EQ(cli.closed + srv.closed, 0);
	h2_fin(a.s);
	h2_fin(b.s);
	UNTIL(cli.closed == 1 && srv.closed == 1);
	EQ(n_ended, 2);
	EQ(a.r, 0);
	EQ(b.r, 0);
	EQ(cli.closed_r, 0);
	EQ(srv.closed_r, 0);
	teardown();
}

TEST(goaway_of_the_server_with_nothing_open)
{
	setup();
	uv_run(loop, UV_RUN_NOWAIT);
	h2_goaway(srv.c);
	UNTIL(cli.closed == 1 && srv.closed == 1);
	EQ(cli.closed_r, 0);
	EQ(srv.closed_r, 0);
	teardown();
}

/* What was queued before the polite end arrives whole. */
TEST(goaway_loses_nothing)
{
	static char big[3u << 20];

	setup();
	ask("GET", "/", "", false);
	UNTIL(b.fins == 1);
	h2_reply(b.s, 200, big, sizeof(big));
	h2_goaway(srv.c);
	UNTIL(cli.closed == 1 && srv.closed == 1);
	EQ(a.got, sizeof(big));
	EQ(a.r, 0);
	EQ(b.r, 0);
	EQ(cli.closed_r, 0);
	teardown();
}

static void close_in_end(struct h2_stream *s, int r, void *arg)
{
	on_end(s, r, arg);
	shut(&srv);
}

/* A server that closes as soon as its answer has ended loses no byte of it. */
TEST(ended_means_with_the_kernel)
{
	static const struct h2_stream_events ev = {.end = close_in_end};
	static char big[3u << 20];

	setup();
	ask("GET", "/", "", false);
	UNTIL(b.fins == 1);
	h2_stream_set(b.s, &ev, &b);
	h2_reply(b.s, 200, big, sizeof(big));
	UNTIL(cli.closed == 1);
	EQ(a.got, sizeof(big));
	EQ(a.r, 0);
	EQ(b.r, 0);
	EQ(cli.closed_r, 0);
	teardown();
}

TEST(peer_vanishes)
{
	raw_setup();
	start(&cli, fds[0], false, &keep_ev);
	ask("POST", "/", "", true);
	UNTIL(h2_queued(a.s) == 0);
	close(fds[1]);
	EQ(h2_write(a.s, "anyone?", 7), 0);
	UNTIL(cli.closed == 1);
	EQ(n_ended, 1);
	EQ(a.r, -ECONNRESET);
	EQ(cli.closed_r, 0);
	EQ(h2_ping(cli.c, NULL, NULL), -ENOTCONN);
	OK(h2_request(cli.c, "GET", "/", "", 0, false, &half_ev, &a) == NULL);
	teardown();
}

TEST(close_ends_all_during_the_call)
{
	open_both();
	shut(&cli);
	EQ(a.ends, 1);
	EQ(a.r, -ECANCELED);
	UNTIL(srv.closed == 1);
	EQ(b.ends, 1);
	EQ(b.r, -ECONNRESET);
	EQ(cli.closed, 0);
	teardown();
}

/* A peer that never reads: memory and calls stay where they are. */
TEST(deaf_peer_holds_one_batch)
{
	static char mib[1u << 20];

	raw_setup();
	start(&cli, fds[0], false, &keep_ev);
	for (int i = 0; i < 100; i++) {
		struct h2_stream *s = h2_request(cli.c, "POST", "/", mib, 1000,
						 true, &half_ev, &many[0]);

		OK(s != NULL);
		many[0].s = NULL;
		EQ(h2_write(s, mib, sizeof(mib)), 0);
	}
	for (int i = 0; i < 10; i++)
		uv_run(loop, UV_RUN_NOWAIT);
	shut(&cli);
	EQ(many[0].ends, 100);
	EQ(many[0].r, -ECANCELED);
	close(fds[1]);
	teardown();
}

/* --- pings ---------------------------------------------------------------- */

static int n_pongs;
static int64_t pong;

static void on_pong(struct h2 *c, int64_t ns, void *arg)
{
	OK(c == cli.c);
	OK(arg == &pong);
	pong = ns;
	n_pongs++;
}

TEST(ping_is_answered)
{
	setup();
	EQ(h2_ping(cli.c, on_pong, &pong), 0);
	EQ(h2_ping(cli.c, on_pong, &pong), 0);
	EQ(n_pongs, 0);
	UNTIL(n_pongs == 2);
	OK(pong > 0);
	teardown();
}

TEST(ping_fails_with_the_connection)
{
	raw_setup();
	start(&cli, fds[0], false, &keep_ev);
	while (h2_ping(cli.c, on_pong, &pong) == 0)
		;
	EQ(h2_ping(cli.c, on_pong, &pong), -EAGAIN);
	shut(&cli);
	OK(n_pongs > 1);
	EQ(pong, -ECANCELED);
	close(fds[1]);
	teardown();
}

/* --- hostile peers -------------------------------------------------------- */

#define PREFACE	 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"

static void say(const char *data, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fds[1], data, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (w < 0 && errno == EPIPE)
			return;
		if (w > 0) {
			data += w;
			n -= (size_t)w;
		}
		uv_run(loop, UV_RUN_NOWAIT);
	}
}

#define SAY(s) say(s, sizeof(s) - 1)

/* Throw away what we were told, so that nobody waits for us to read. */
static void listen_away(void)
{
	char sink[4096];

	while (recv(fds[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static void hostile(bool server)
{
	raw_setup();
	start(server ? &srv : &cli, fds[0], server, &keep_ev);
}

TEST(garbage_to_a_server)
{
	hostile(true);
	SAY("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	UNTIL(srv.closed == 1);
	EQ(srv.closed_r, -EPROTO);
	close(fds[1]);
	teardown();
}

TEST(garbage_to_a_client)
{
	hostile(false);
	ask("GET", "/", "", false);
	SAY("HTTP/1.1 400 Bad Request\r\n\r\nwhat was that?");
	UNTIL(cli.closed == 1);
	EQ(cli.closed_r, -EPROTO);
	EQ(a.ends, 1);
	EQ(a.r, -EPROTO);
	close(fds[1]);
	teardown();
}

TEST(garbage_and_gone)
{
	hostile(false);
	SAY("\0\0\377\1\5\0\0\0\0");
	close(fds[1]);
	UNTIL(cli.closed == 1);
	EQ(cli.closed_r, -EPROTO);
	teardown();
}

/* A frame, byte by byte: HEADERS of "GET /sample/path". */
TEST(split_reads)
{
	static const char get[] =
		PREFACE SETTINGS "\0\0\x1b\1\5\0\0\0\1"
				 "\x82\x86\x04\x0c/sample/path"
				 "\x01\x09localhost";

	hostile(true);
	for (size_t i = 0; i < sizeof(get) - 1; i++) {
		say(get + i, 1);
		uv_run(loop, UV_RUN_NOWAIT);
	}
	UNTIL(b.fins == 1);
	STR_EQ(b.path, "/sample/path");
	STR_EQ(b.method, "GET");
	uv_run(loop, UV_RUN_NOWAIT);
	listen_away();
	close(fds[1]);
	UNTIL(srv.closed == 1);
	EQ(srv.closed_r, 0);
	EQ(b.r, -ECONNRESET);
	teardown();
}

TEST(long_path_is_refused)
{
	/* HEADERS, 9 + 513 bytes of payload, 513 of them the path; then the
	 * same with a short path. */
	static const char head[] = PREFACE SETTINGS "\0\2\x0a\1\5\0\0\0\1"
						    "\x82\x86\x41\1x"
						    "\x04\x7f\x82\x03";
	static const char next[] = "\0\0\6\1\5\0\0\0\3\x82\x86\x41\1x\x84";
	char path[H2_PATH_MAX + 2] = "/";

	memset(path + 1, 'a', H2_PATH_MAX);
	setup();
	OK(h2_request(cli.c, "GET", path, "", 0, false, &half_ev, &a) == NULL);
	teardown();

	hostile(true);
	say(head, sizeof(head) - 1);
	say(path, sizeof(path) - 1);
	say(next, sizeof(next) - 1);
	UNTIL(srv.requests == 1);
	STR_EQ(b.path, "/");
	EQ(srv.closed, 0);
	close(fds[1]);
	teardown();
}

static void flood(const char *frame, size_t n, int times)
{
	hostile(true);
	SAY(PREFACE SETTINGS);
	for (int i = 0; i < times && srv.closed == 0; i++) {
		say(frame, n);
		uv_run(loop, UV_RUN_NOWAIT);
		listen_away();
	}
	EQ(srv.closed, 1);
	EQ(srv.closed_r, -EPROTO);
	close(fds[1]);
	teardown();
}

#define A_PING "\0\0\x08\6\0\0\0\0\0........"
#define TEN(x) x x x x x x x x x x

TEST(ping_flood)
{
	static const char pings[] = TEN(TEN(A_PING));

	flood(pings, sizeof(pings) - 1, 500);
}

TEST(priority_flood)
{
	static const char p[] = TEN(TEN("\0\0\5\2\0\0\0\0\1\0\0\0\0\x10"));

	flood(p, sizeof(p) - 1, 500);
}

/* Requests that ask for a reset each, from a peer that never reads. */
TEST(debt_flood)
{
	char path[600], head[] = "\0\2\x0a\1\5\0\0\0\1\x82\x86\x41\1x"
				 "\x04\x7f\x82\x03";

	memset(path, 'a', sizeof(path));
	hostile(true);
	SAY(PREFACE SETTINGS);
	for (unsigned id = 1; srv.closed == 0; id += 2) {
		head[7] = (char)(id >> 8);
		head[8] = (char)id;
		head[6] = (char)(id >> 16);
		say(head, sizeof(head) - 1);
		say(path, 513);
		uv_run(loop, UV_RUN_NOWAIT);
	}
	EQ(srv.closed_r, -EPROTO);
	close(fds[1]);
	teardown();
}

/* --- closing inside of callbacks ------------------------------------------ */

enum place { HEAD, DATA, FIN, DRAINED, END, REQUEST, PONG, N_PLACES };

static enum place shut_at;
static bool shut_client;

static void maybe_shut(struct h2 *c, enum place at)
{
	struct side *side = c == cli.c ? &cli : &srv;

	if (at == shut_at && shut_client == (side == &cli))
		shut(side);
}

static void in_head(struct h2_stream *s, int status, void *arg)
{
	(void)status, (void)arg;
	maybe_shut(h2_of(s), HEAD);
}

static void in_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)data, (void)arg;
	h2_consume(s, n);
	maybe_shut(h2_of(s), DATA);
}

static void in_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	maybe_shut(h2_of(s), FIN);
}

static void in_drained(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_fin(s);
	maybe_shut(h2_of(s), DRAINED);
}

static void in_end(struct h2_stream *s, int r, void *arg)
{
	(void)r;
	++*(int *)arg;
	h2_reset(s); /* Too late, and harmless. */
	maybe_shut(h2_of(s), END);
}

static const struct h2_stream_events in_ev = {
	.head = in_head,
	.data = in_data,
	.fin = in_fin,
	.drained = in_drained,
	.end = in_end,
};

static int srv_begun, srv_ends;

static void in_request(struct h2_stream *s, const char *method,
		       const char *path, void *arg)
{
	(void)method, (void)path, (void)arg;
	srv_begun++;
	h2_stream_set(s, &in_ev, &srv_ends);
	h2_respond(s, 200);
	EQ(h2_write(s, "data", 4), 0);
	maybe_shut(h2_of(s), REQUEST);
}

static void in_pong(struct h2 *c, int64_t ns, void *arg)
{
	(void)ns, (void)arg;
	maybe_shut(c, PONG);
}

static void in_closed(struct h2 *c, int r, void *arg)
{
	on_closed(c, r, arg);
	shut(arg);
}

static void close_in(enum place at, bool client)
{
	static const struct h2_events ev = {in_request, in_closed};
	int ends[3] = {0};

	shut_at = at;
	shut_client = client;
	cli = srv = (struct side){0};
	srv_begun = srv_ends = 0;
	raw_setup();
	start(&cli, fds[0], false, &ev);
	start(&srv, fds[1], true, &ev);
	for (int i = 0; i < 3; i++)
		OK(h2_request(cli.c, "POST", "/", "body", 4, false, &in_ev,
			      &ends[i]) != NULL);
	EQ(h2_ping(client ? cli.c : srv.c, in_pong, NULL), 0);
	UNTIL(!(client ? cli.open : srv.open));
	EQ(client ? cli.closed : srv.closed, 0);
	teardown();
	for (int i = 0; i < 3; i++)
		EQ(ends[i], 1);
	EQ(srv_ends, srv_begun);
}

TEST(client_closes_in_any_callback)
{
	for (enum place at = HEAD; at < N_PLACES; at++)
		if (at != REQUEST)
			close_in(at, true);
}

TEST(server_closes_in_any_callback)
{
	for (enum place at = DATA; at < N_PLACES; at++)
		close_in(at, false);
}

static struct half *victim;

static void reset_other(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)data, (void)arg;
	h2_consume(s, n);
	h2_reset(s);
	if (victim->s != NULL)
		h2_reset(victim->s);
}

TEST(resets_inside_callbacks)
{
	static const struct h2_stream_events ev = {.data = reset_other,
						   .end = on_end};

	setup();
	victim = &many[0];
	ask("POST", "/", "", true);
	UNTIL(b.s != NULL);
	many[0].s = b.s;
	h2_stream_set(b.s, &half_ev, &many[0]);
	b.s = NULL;
	many[1].s =
		h2_request(cli.c, "POST", "/", "", 0, true, &half_ev, &many[1]);
	UNTIL(b.s != NULL);
	h2_stream_set(b.s, &ev, &b);
	EQ(h2_write(a.s, "for the victim", 14), 0);
	EQ(h2_write(many[1].s, "boo", 3), 0);
	UNTIL(n_ended == 4);
	EQ(b.r, -ECANCELED);
	EQ(many[0].r, -ECANCELED);
	EQ(a.r, -ECONNRESET);
	EQ(many[1].r, -ECONNRESET);
	EQ(cli.closed + srv.closed, 0);
	teardown();
}

TESTS(CASE(request_and_reply), CASE(bodies_may_be_empty),
      CASE(connect_carries_an_authority), CASE(writes_coalesce_and_drain),
      CASE(many_streams_at_once), CASE(more_streams_than_allowed_wait),
      CASE(both_bodies_stream_with_late_receivers),
      CASE(stalled_streams_do_not_stall_others),
      CASE(small_messages_do_not_wait), CASE(client_resets),
      CASE(server_resets), CASE(an_early_answer_is_not_an_end),
      CASE(unset_stream_is_refused), CASE(goaway_waits_for_open_streams),
      CASE(goaway_of_the_server_with_nothing_open), CASE(goaway_loses_nothing),
      CASE(ended_means_with_the_kernel), CASE(peer_vanishes),
      CASE(close_ends_all_during_the_call), CASE(deaf_peer_holds_one_batch),
      CASE(ping_is_answered), CASE(ping_fails_with_the_connection),
      CASE(garbage_to_a_server), CASE(garbage_to_a_client),
      CASE(garbage_and_gone), CASE(split_reads), CASE(long_path_is_refused),
      CASE(ping_flood), CASE(priority_flood), CASE(debt_flood),
      CASE(client_closes_in_any_callback), CASE(server_closes_in_any_callback),
      CASE(resets_inside_callbacks))
