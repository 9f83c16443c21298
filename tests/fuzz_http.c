// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http.c - Any bytes, in one piece or one by one, make the same requests
 * and get the same answers
 *
 * The whole connection is under test: bytes go in at one end of a socketpair
 * that a server has adopted at the other.
 */
#include "core/http.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#define INPUT_MAX   8192 /* Less than what a socket takes at once. */
#define OUTPUT_MAX  (1u << 20)
#define QUIET_TURNS 4 /* Turns without news after which nothing is left. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct http_server *server;
	uint64_t seen; /* Hash of the requests. */
	unsigned n_calls;
	char *out;
	size_t out_len;
};

static void see(struct run *u, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		u->seen = (u->seen ^ (unsigned char)s[i]) * 1099511628211u;
}

static void see_string(struct run *u, const char *s)
{
	see(u, s ? s : "(none)", s ? strlen(s) + 1 : 6);
}

static int on_piece(struct http_req *r, const char *data, size_t n, void *arg)
{
	(void)r;
	see(arg, data, n);
	return 0;
}

static bool on_head(struct http_req *r, void *arg)
{
	struct run *u = arg;

	u->n_calls++;
	see_string(u, http_method(r));
	see_string(u, http_path(r));
	see_string(u, http_query(r, "q"));
	see_string(u, http_header(r, "x"));
	if (strcmp(http_path(r), "/early") == 0)
		http_reply(r, 200, NULL, "early", 5);
	if (strcmp(http_path(r), "/up") != 0)
		return false;
	http_req_on_body(r, on_piece, u);
	return true;
}

static void on_request(struct http_req *r, void *arg)
{
	struct run *u = arg;
	size_t len;
	const char *body = http_body(r, &len);

	u->n_calls++;
	see(u, body, len);
	if (strcmp(http_path(r), "/stream") == 0) {
		http_stream_begin(r, 200, "text/plain", NULL, NULL);
		http_stream_write(r, body, len);
		http_stream_end(r);
	} else {
		http_reply(r, 200, "text/plain", body, len);
	}
}

static const struct http_handler handler = {on_head, on_request};

/* Let the server work until there is nothing more to do. */
static void settle(struct run *u, uv_loop_t *loop, int fd)
{
	for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
		unsigned before = u->n_calls;
		ssize_t n;

		uv_run(loop, UV_RUN_NOWAIT);
		n = recv(fd, u->out + u->out_len, OUTPUT_MAX - u->out_len,
			 MSG_DONTWAIT);
		if (n > 0)
			u->out_len += (size_t)n;
		if (n > 0 || u->n_calls != before)
			quiet = -1;
	}
}

static void send_all(struct run *u, const uint8_t *data, size_t size,
		     size_t step)
{
	uv_loop_t loop;
	int fd[2], r;

	r = uv_loop_init(&loop);
	assert(r == 0);
	u->server = http_server_new(&loop, &handler, u);
	u->out = malloc(OUTPUT_MAX);
	assert(u->server != NULL && u->out != NULL);
	r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       fd);
	assert(r == 0);
	r = http_server_adopt(u->server, fd[1], NULL);
	assert(r == 0);

	for (size_t i = 0; i < size; i += step) {
		size_t n = size - i < step ? size - i : step;

		/* It fails once the server has hung up. */
		(void)send(fd[0], data + i, n, MSG_NOSIGNAL);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	settle(u, &loop, fd[0]);
	close(fd[0]);
	uv_run(&loop, UV_RUN_NOWAIT);
	http_server_close(u->server, NULL, NULL);
	r = uv_run(&loop, UV_RUN_DEFAULT);
	assert(r == 0);
	r = uv_loop_close(&loop);
	assert(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole = {0}, split = {0};

	if (size > INPUT_MAX)
		return 0;
	send_all(&whole, data, size, INPUT_MAX);
	send_all(&split, data, size, 1);
	assert(whole.seen == split.seen && whole.n_calls == split.n_calls);
	assert(whole.out_len == split.out_len &&
	       memcmp(whole.out, split.out, whole.out_len) == 0);
	free(whole.out);
	free(split.out);
	return 0;
}
