// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http_client.c - Whatever a server answers, each call ends exactly once
 *
 * The first byte chooses the request and what its owner does in callbacks:
 * cancel, close the client, call again.  The rest is the answer, sent at once
 * to one client and byte by byte to another, then hung up.  Both must see the
 * same answer.
 */
#include "core/http_client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/unixsock.h"

#define INPUT_MAX   8192 /* Less than what a socket takes at once. */
#define CONNS_MAX   4	 /* Calls are two, and one may be sent twice. */
#define QUIET_TURNS 4	 /* Turns without news after which nothing is left. */

enum {
	HEAD = 1,
	STREAMED = 2,
	CANCEL_IN_HEAD = 4,
	CANCEL_IN_BODY = 8,
	CLOSE_IN_HEAD = 16,
	CLOSE_IN_END = 32,
	AGAIN = 64,
	HANG_UP_LATE = 128,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	uv_loop_t loop;
	struct http_client *client; /* NULL once closed. */
	const uint8_t *answer;
	size_t len, step;
	unsigned mode;
	int listener;
	int conn[CONNS_MAX];
	size_t sent[CONNS_MAX];
	unsigned n_conns, n_calls, n_ended, n_heads, n_news;
	uint64_t seen; /* Hash of the first answer. */
	int result;    /* Of the first call. */
};

static char dir[64], path[80];

/* --- the caller --------------------------------------------------------- */

static void call(struct run *u);

static void see(struct run *u, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		u->seen = (u->seen ^ p[i]) * 1099511628211u;
}

static void see_header(struct run *u, const struct http_call *c,
		       const char *name)
{
	const char *value = http_call_header(c, name);

	see(u, value ? value : "(none)", value ? strlen(value) + 1 : 6);
}

static void close_client(struct run *u)
{
	struct http_client *c = take_ptr(u->client);

	if (c != NULL)
		http_client_close(c, NULL, NULL);
}

static void on_head(struct http_call *c, int status, void *arg)
{
	struct run *u = arg;

	u->n_news++;
	u->n_heads++;
	assert(status >= 200 && status <= 999);
	assert(status == http_call_status(c));
	if (u->n_calls == 1) {
		assert(u->n_heads == 1);
		see(u, &status, sizeof(status));
		see_header(u, c, "x");
		see_header(u, c, "Content-Type");
	}
	if (u->mode & CANCEL_IN_HEAD)
		http_call_cancel(c);
	else if (u->mode & CLOSE_IN_HEAD)
		close_client(u);
}

static void on_body(struct http_call *c, char *data, size_t n, void *arg)
{
	struct run *u = arg;

	u->n_news++;
	assert(u->n_heads > 0 && n > 0);
	if (u->n_calls == 1 && !(u->mode & CANCEL_IN_BODY))
		see(u, data, n);
	memset(data, 'x', n); /* It is scratch space. */
	if (u->mode & CANCEL_IN_BODY)
		http_call_cancel(c);
}

static void on_end(struct http_call *c, int r, void *arg)
{
	struct run *u = arg;

	(void)c;
	u->n_news++;
	u->n_ended++;
	assert(u->n_ended <= u->n_calls && r <= 0);
	if (u->n_ended == 1)
		u->result = r;
	if (u->mode & CLOSE_IN_END)
		close_client(u);
	else if ((u->mode & AGAIN) && u->n_calls == 1 && u->client != NULL &&
		 r != -ECANCELED)
		call(u);
}

static void call(struct run *u)
{
	static const struct http_call_ops ops = {
		.head = on_head, .body = on_body, .end = on_end};
	struct http_call_spec spec = {
		.method = u->mode & HEAD ? "HEAD" : "POST",
		.path = "/",
		.body = "{}",
		.body_len = u->mode & (HEAD | STREAMED) ? 0 : 2,
		.stream_body = (u->mode & STREAMED) != 0,
	};
	struct http_call *c;

	if (spec.body_len == 0)
		spec.body = NULL;
	c = http_call(u->client, &spec, &ops, u);
	assert(c != NULL);
	u->n_calls++;
	if (spec.stream_body) {
		http_call_write(c, "{}", 2);
		http_call_finish(c);
	}
}

/* --- the server --------------------------------------------------------- */

static void server_accept(struct run *u)
{
	int fd = accept4(u->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	assert(u->n_conns < CONNS_MAX);
	u->conn[u->n_conns++] = fd;
	u->n_news++;
}

static void server_hang_up(struct run *u, unsigned i)
{
	close(u->conn[i]);
	u->conn[i] = -1;
	u->n_news++;
}

/* Read what is there: bytes left unread would turn the end into a reset.
 * Return: whether the client is there still. */
static bool server_read(struct run *u, int fd)
{
	char sink[1024];
	ssize_t n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);

	u->n_news += n > 0;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* One more piece of the answer on each connection that was asked. */
static void server_step(struct run *u)
{
	for (unsigned i = 0; i < u->n_conns; i++) {
		size_t left = u->len - u->sent[i];
		size_t n = left < u->step ? left : u->step;

		if (u->conn[i] < 0)
			continue;
		if (!server_read(u, u->conn[i])) {
			server_hang_up(u, i);
		} else if (n > 0) {
			/* It fails once the client has hung up. */
			(void)send(u->conn[i], u->answer + u->sent[i], n,
				   MSG_NOSIGNAL);
			u->sent[i] += n;
			u->n_news++;
		} else if (!(u->mode & HANG_UP_LATE)) {
			server_hang_up(u, i);
		}
	}
}

static void settle(struct run *u)
{
	for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
		unsigned before = u->n_news;

		server_accept(u);
		server_step(u);
		uv_run(&u->loop, UV_RUN_NOWAIT);
		if (u->n_news != before)
			quiet = -1;
	}
}

static void run(struct run *u)
{
	const struct http_target target = {.unix_path = path};

	assert(uv_loop_init(&u->loop) == 0);
	u->client = http_client_new(&u->loop, &target);
	assert(u->client != NULL);
	call(u);
	assert(u->n_ended == 0); /* Callbacks come from the loop only. */
	settle(u);
	u->mode &= ~(unsigned)HANG_UP_LATE;
	settle(u);
	assert(u->n_ended == u->n_calls);
	close_client(u);
	assert(uv_run(&u->loop, UV_RUN_DEFAULT) == 0);
	assert(uv_loop_close(&u->loop) == 0);
	assert(u->n_ended == u->n_calls);
}

/* --- */

static void remove_dir(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

static int listen_once(void)
{
	static int fd = -1;

	if (fd >= 0)
		return fd;
	snprintf(dir, sizeof(dir), "/tmp/fuzz_http_client.XXXXXX");
	assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	fd = unixsock_listen(path, NULL);
	assert(fd >= 0);
	atexit(remove_dir);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole = {0}, split;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	whole.listener = listen_once();
	whole.mode = data[0];
	whole.answer = data + 1;
	whole.len = size - 1;
	whole.step = INPUT_MAX;
	split = whole;
	split.step = 1;
	run(&whole);
	run(&split);
	assert(whole.result == split.result);
	assert(whole.seen == split.seen);
	return 0;
}
