// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_stream.c - Lines over a pair of descriptors
 */
#include "mcp/stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/tap.h"

#define TURNS 50

/* A stream and the other ends of its descriptors. */
static struct world {
	uv_loop_t loop;
	struct mcp_stream *stream;
	int to, from; /* Write what it reads, read what it writes. */
	char heard[256];
	size_t n_heard;
	int n_ended, status;
	bool close_on_data;
} w;

static void on_data(char *data, size_t n, void *arg)
{
	(void)arg;
	if (w.n_heard + n < sizeof(w.heard))
		memcpy(w.heard + w.n_heard, data, n);
	w.n_heard += n;
	if (w.close_on_data)
		mcp_stream_close(w.stream);
}

static void on_ended(int status, void *arg)
{
	(void)arg;
	w.n_ended++;
	w.status = status;
}

static const struct mcp_stream_ops ops = {on_data, on_ended};

static void begin_on(int in, int out)
{
	(void)signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&w.loop);
	EQ(mcp_stream_open(&w.loop, in, out, &ops, NULL, &w.stream), 0);
}

static void begin(void)
{
	int in[2], out[2];

	EQ(pipe2(in, O_CLOEXEC), 0);
	EQ(pipe2(out, O_CLOEXEC), 0);
	w.to = in[1];
	w.from = out[0];
	begin_on(in[0], out[1]);
}

static void settle(void)
{
	for (int i = 0; i < TURNS; i++)
		uv_run(&w.loop, UV_RUN_NOWAIT);
}

static void finish(void)
{
	mcp_stream_close(w.stream);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&w.loop), 0);
}

static void hears_and_says(void)
{
	char text[64];

	begin();
	EQ(write(w.to, "ab\n", 3), 3);
	settle();
	STR_EQ(w.heard, "ab\n");
	mcp_stream_send(w.stream, "one", 3);
	mcp_stream_send(w.stream, "two", 3);
	EQ(mcp_stream_queued(w.stream), 8); /* Nothing leaves in the call. */
	settle();
	EQ(read(w.from, text, sizeof(text)), 8); /* In one piece. */
	EQ(memcmp(text, "one\ntwo\n", 8), 0);
	finish();
}

static void works_on_one_socket(void)
{
	int fd[2];
	char text[8];

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	begin_on(fd[0], fd[0]);
	EQ(write(fd[1], "x", 1), 1);
	mcp_stream_send(w.stream, "y", 1);
	settle();
	STR_EQ(w.heard, "x");
	EQ(read(fd[1], text, sizeof(text)), 2);
	close(fd[1]);
	settle();
	EQ(w.n_ended, 1);
	EQ(w.status, 0);
	finish();
}

static void the_end_is_told_once(void)
{
	begin();
	EQ(write(w.to, "last", 4), 4);
	close(w.to);
	settle();
	STR_EQ(w.heard, "last");
	EQ(w.n_ended, 1);
	EQ(w.status, 0);
	finish();
}

static void what_waits_leaves_at_the_end(void)
{
	char text[8];

	begin();
	mcp_stream_send(w.stream, "bye", 3);
	finish();
	EQ(read(w.from, text, sizeof(text)), 4);
	EQ(read(w.from, text, sizeof(text)), 0);
}

static void a_peer_that_is_gone_breaks_it(void)
{
	begin();
	close(w.from);
	mcp_stream_send(w.stream, "x", 1);
	settle();
	EQ(w.n_ended, 1);
	EQ(w.status, -EPIPE);
	mcp_stream_send(w.stream, "x", 1);
	EQ(mcp_stream_queued(w.stream), 0);
	finish();
}

static void a_peer_that_does_not_read_is_not_heard(void)
{
	size_t n = 1u << 20, left;
	char *big = calloc(1, n);

	begin();
	for (size_t sent = 0; sent <= MCP_QUEUE_MAX + n; sent += n)
		mcp_stream_send(w.stream, big, n);
	settle();
	left = mcp_stream_queued(w.stream);
	OK(left > MCP_QUEUE_MAX);
	EQ(write(w.to, "x", 1), 1);
	settle();
	EQ(w.n_heard, 0);
	while (w.n_heard == 0) { /* Now it reads. */
		OK(read(w.from, big, n) > 0);
		uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	OK(mcp_stream_queued(w.stream) <= MCP_QUEUE_MAX);
	free(big);
	finish();
}

static void what_waits_is_bounded(void)
{
	size_t n = 1u << 20;
	char *big = calloc(1, n);

	begin();
	for (size_t sent = 0; sent <= MCP_QUEUE_END; sent += n)
		mcp_stream_send(w.stream, big, n);
	settle();
	EQ(w.n_ended, 1);
	EQ(w.status, -ENOBUFS);
	free(big);
	finish();
}

static void a_paused_stream_reads_nothing(void)
{
	begin();
	mcp_stream_pause(w.stream, true);
	EQ(write(w.to, "x", 1), 1);
	settle();
	EQ(w.n_heard, 0);
	mcp_stream_pause(w.stream, false);
	settle();
	EQ(w.n_heard, 1);
	finish();
}

static void a_callback_may_close_it(void)
{
	begin();
	w.close_on_data = true;
	EQ(write(w.to, "x", 1), 1);
	settle();
	EQ(w.n_heard, 1);
	EQ(uv_loop_close(&w.loop), 0);
}

/* Whoever else has the socket may set its flags. */
static void a_socket_never_blocks_it(void)
{
	static char big[MCP_QUEUE_MAX / 4];
	int in[2], out[2];

	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
	begin_on(in[0], out[0]);
	settle();
	EQ(fcntl(in[0], F_SETFL, 0), 0);
	EQ(fcntl(out[0], F_SETFL, 0), 0);
	mcp_stream_send(w.stream, big, sizeof(big));
	settle();
	OK(mcp_stream_queued(w.stream) > 0);
	finish();
}

static void files_are_read_to_their_end(void)
{
	FILE *f = tmpfile();
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	fputs("from a file\n", f);
	rewind(f);
	begin_on(dup(fileno(f)), null);
	mcp_stream_send(w.stream, "x", 1);
	settle();
	STR_EQ(w.heard, "from a file\n");
	EQ(w.n_ended, 1);
	fclose(f);
	finish();
}

static void what_is_no_descriptor_is_refused(void)
{
	uv_loop_init(&w.loop);
	EQ(mcp_stream_open(&w.loop, 998, 999, &ops, NULL, &w.stream), -EBADF);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&w.loop), 0);
}

TESTS(CASE(hears_and_says), CASE(works_on_one_socket),
      CASE(the_end_is_told_once), CASE(what_waits_leaves_at_the_end),
      CASE(a_peer_that_is_gone_breaks_it),
      CASE(a_peer_that_does_not_read_is_not_heard), CASE(what_waits_is_bounded),
      CASE(a_paused_stream_reads_nothing), CASE(a_callback_may_close_it),
      CASE(a_socket_never_blocks_it), CASE(files_are_read_to_their_end),
      CASE(what_is_no_descriptor_is_refused))
