// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_h2.c - Whatever a peer sends, every end is told exactly once
 *
 * The first byte chooses the side, the way the rest is sent, and seeds what the
 * owner does in its callbacks: answer, write, consume, reset, close.  The rest
 * is sent as it is, or cut into records of which each becomes a frame with a
 * right length or a valid head, so that the fuzzer gets past nghttp2's checks.
 */
#include "core/h2.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define STREAMS_MAX 4096 /* More than an input has frames. */
#define PREFACE	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS    "\0\0\0\4\0\0\0\0\0"

enum { CLIENT = 1, FRAMES = 2, PIECES = 4, BOLD = 8 };

static struct h2 *conn;
static unsigned begun, ended, n_conn_closed;
static uint32_t dice;
static unsigned ends[STREAMS_MAX];
static int peer;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 16) % sides;
}

static void let_go(void)
{
	struct h2 *c = conn;

	conn = NULL;
	h2_close(c);
}

static void on_pong(struct h2 *c, int64_t ns, void *arg)
{
	(void)c, (void)ns, (void)arg;
}

/* What an owner may do in any callback. */
static void act(struct h2_stream *s)
{
	switch (roll(16)) {
	case 0:
		h2_reset(s);
		break;
	case 1:
	case 2:
		(void)h2_write(s, "some more bytes", 15);
		break;
	case 3:
		h2_fin(s);
		break;
	case 4:
		(void)h2_ping(h2_of(s), on_pong, NULL);
		break;
	case 5:
		if (roll(8) == 0)
			h2_goaway(h2_of(s));
		break;
	case 6:
		if (roll(8) == 0)
			let_go();
		break;
	default:
		break;
	}
}

static void on_head(struct h2_stream *s, int status, void *arg)
{
	(void)arg;
	assert(status >= 200);
	act(s);
}

static void on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)arg;
	memset(data, 0, n);
	if (roll(4) != 0)
		h2_consume(s, n);
	act(s);
}

static void on_plain(struct h2_stream *s, void *arg)
{
	(void)arg;
	act(s);
}

static void on_end(struct h2_stream *s, int r, void *arg)
{
	unsigned *n = arg;

	assert(r <= 0 && *n == 0);
	(*n)++;
	ended++;
	act(s);
}

static const struct h2_stream_events stream_ev = {
	.head = on_head,
	.data = on_data,
	.fin = on_plain,
	.drained = on_plain,
	.end = on_end,
};

static void on_request(struct h2_stream *s, const char *method,
		       const char *path, void *arg)
{
	(void)arg;
	assert(strlen(method) > 0 && strlen(path) <= H2_PATH_MAX);
	if (begun == STREAMS_MAX || roll(8) == 0)
		return;
	h2_stream_set(s, &stream_ev, &ends[begun++]);
	if (roll(2) == 0)
		h2_reply(s, 200, path, strlen(path));
	else
		h2_respond(s, 200);
	act(s);
}

static void on_closed(struct h2 *c, int r, void *arg)
{
	(void)arg;
	assert(c == conn && r <= 0);
	assert(begun == ended);
	n_conn_closed++;
}

static const struct h2_events conn_ev = {on_request, on_closed};

static void listen_away(void)
{
	char sink[4096];

	while (recv(peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static void say(uv_loop_t *loop, const void *data, size_t n)
{
	(void)send(peer, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	uv_run(loop, UV_RUN_NOWAIT);
	listen_away();
}

static void say_pieces(uv_loop_t *loop, const uint8_t *data, size_t n)
{
	while (n > 0) {
		size_t m = 1 + roll(40);

		m = m < n ? m : n;
		say(loop, data, m);
		data += m;
		n -= m;
	}
}

/* Heads that nghttp2 accepts: few inputs would find them by chance. */
static const char request_head[] = "\x83\x86\x84\x41\1x";
static const char answer_head[] = "\x88";

static size_t put_head(uint8_t *f, const char *head, size_t n, uint8_t flags)
{
	memcpy(f + 9, head, n);
	f[3] = 1;		/* HEADERS */
	f[4] = 4 | (flags & 1); /* END_HEADERS, perhaps END_STREAM */
	return n;
}

/* A record is kind, flags, stream, length, payload. */
static size_t make_frame(uint8_t *f, const uint8_t *rec, size_t len)
{
	uint8_t kind = rec[0] % 16;

	f[4] = rec[1];
	f[8] = rec[2] % 16;
	if (kind == 11)
		len = put_head(f, request_head, sizeof(request_head) - 1,
			       rec[1]);
	else if (kind == 12)
		len = put_head(f, answer_head, sizeof(answer_head) - 1, rec[1]);
	else {
		f[3] = kind > 12 ? 0 : kind; /* Much DATA. */
		f[4] &= kind > 12 ? 1 : 0xff;
		memcpy(f + 9, rec + 4, len);
	}
	f[2] = (uint8_t)len;
	return 9 + len;
}

static void say_frames(uv_loop_t *loop, const uint8_t *data, size_t n)
{
	while (n >= 4) {
		size_t len = data[3] < n - 4 ? data[3] : n - 4;
		uint8_t f[9 + 255] = {0};

		say(loop, f, make_frame(f, data, len));
		data += 4 + len;
		n -= 4 + len;
	}
}

static void start(uv_loop_t *loop, int fd, unsigned how)
{
	uv_pipe_t *io = calloc(1, sizeof(*io));
	int r;

	assert(io != NULL);
	r = uv_pipe_init(loop, io, 0);
	assert(r == 0);
	r = uv_pipe_open(io, fd);
	assert(r == 0);
	r = h2_new((uv_stream_t *)io, !(how & CLIENT), &conn_ev, NULL, &conn);
	assert(r == 0);
	for (int i = 0; (how & CLIENT) && i < 3; i++)
		if (h2_request(conn, "POST", "/p", "body", 4, i > 0, &stream_ev,
			       &ends[begun]) != NULL)
			begun++;
}

static void talk(uv_loop_t *loop, const uint8_t *data, size_t n, unsigned how)
{
	if (!(how & BOLD)) {
		if (!(how & CLIENT))
			say(loop, PREFACE, sizeof(PREFACE) - 1);
		say(loop, SETTINGS, sizeof(SETTINGS) - 1);
	}
	if (how & FRAMES)
		say_frames(loop, data, n);
	else if (how & PIECES)
		say_pieces(loop, data, n);
	else
		say(loop, data, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uv_loop_t loop;
	int fds[2], r;

	if (size < 2)
		return -1;
	(void)signal(SIGPIPE, SIG_IGN);
	memset(ends, 0, sizeof(ends));
	begun = ended = n_conn_closed = 0;
	dice = data[1];
	r = uv_loop_init(&loop);
	assert(r == 0);
	r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	assert(r == 0);
	peer = fds[1];

	start(&loop, fds[0], data[0]);
	talk(&loop, data + 2, size - 2, data[0]);
	close(peer);
	while (conn != NULL && n_conn_closed == 0)
		uv_run(&loop, UV_RUN_ONCE);
	let_go();
	uv_run(&loop, UV_RUN_DEFAULT);

	assert(begun == ended && n_conn_closed <= 1);
	r = uv_loop_close(&loop);
	assert(r == 0);
	return 0;
}
