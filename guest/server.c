// SPDX-License-Identifier: Apache-2.0
/*
 * server.c - The guest's end of the channel: HTTP/2 on a unix socket
 *
 * /sync, /feed, /fs/ and /mcp/ are streams with modules of their own.  The body of
 * everything else is gathered, up to CALL_BODY_MAX, and becomes a call, or with
 * /exec a program.
 */
#include "guest/server.h"

#include <string.h>

#include "core/log.h"
#include "guest/calls.h"
#include "guest/checkpoint.h"
#include "guest/exec.h"
#include "guest/fsserve.h"
#include "guest/hostsock.h"
#include "guest/limits.h"
#include "guest/mcp_channel.h"

#define LOG_COMPONENT "channel"
#define CALL_PREFIX   "/call/"
#define FILES_PREFIX  "/fs/"
#define MCP_PREFIX    "/mcp/"
#define EXEC_PATH     "/exec"
#define ATTACH_PATH   "/exec/attach"

struct server {
	struct guest *guest;
	struct hostsock sock;
};

/* A request whose body is on its way. */
struct incoming {
	struct guest *guest;
	char path[H2_PATH_MAX + 1];
	char *body;
	size_t len, cap;
	bool too_large;
};

static void incoming_free(struct incoming *in)
{
	free(in->body);
	free(in);
}

static void incoming_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s;
	(void)r;
	incoming_free(arg);
}

static int make_room(struct incoming *in, size_t n)
{
	size_t cap = in->cap < 1024 ? 1024 : in->cap;
	char *grown;

	if (in->len + n > CALL_BODY_MAX)
		return -EMSGSIZE;
	while (cap < in->len + n)
		cap *= 2;
	if (cap == in->cap)
		return 0;
	grown = realloc(in->body, cap);
	if (grown == NULL)
		return -ENOMEM;
	in->body = grown;
	in->cap = cap;
	return 0;
}

static void incoming_on_data(struct h2_stream *s, char *data, size_t n,
			     void *arg)
{
	struct incoming *in = arg;

	h2_consume(s, n);
	if (in->too_large || make_room(in, n) < 0) {
		in->too_large = true;
		return;
	}
	memcpy(in->body + in->len, data, n);
	in->len += n;
}

static int dispatch(struct guest *g, const char *path, struct call *c,
		    struct err *e)
{
	size_t n = strlen(CALL_PREFIX);

	if (strcmp(path, "/hello") == 0)
		return guest_hello(g, c, e);
	if (strcmp(path, "/start") == 0)
		return guest_start(g, c, e);
	if (strncmp(path, CALL_PREFIX, n) != 0)
		return err_set(e, -FAULT_ROUTE_NOT_FOUND, "no route '%.64s'",
			       path);
	calls_dispatch(g, path + n, c);
	return 0;
}

static void nothing_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s;
	(void)r;
	(void)arg;
}

/* Answer a stream that has no owner. */
static void refuse(struct h2_stream *s, const struct err *e)
{
	static const struct h2_stream_events nothing = {.end = nothing_on_end};

	h2_stream_set(s, &nothing, NULL);
	stream_fail(s, e);
}

/* If not, the stream is answered. */
static bool may_serve(const struct guest *g, struct h2_stream *s)
{
	struct err e = {0};

	if (g->state == GUEST_SERVING)
		return true;
	err_set(&e, g->state == GUEST_NEW ? -FAULT_NOT_READY : -FAULT_DRAINING,
		g->state == GUEST_NEW ? "the VM is starting"
				      : "the VM goes to sleep");
	refuse(s, &e);
	return false;
}

static bool is_exec(const char *path)
{
	return strcmp(path, EXEC_PATH) == 0 || strcmp(path, ATTACH_PATH) == 0;
}

static void serve_exec(struct incoming *in, struct h2_stream *s)
{
	if (!may_serve(in->guest, s))
		return;
	if (strcmp(in->path, EXEC_PATH) == 0)
		exec_serve(in->guest, s, take_ptr(in->body), in->len);
	else
		exec_attach(in->guest, s, take_ptr(in->body), in->len);
}

static void incoming_on_fin(struct h2_stream *s, void *arg)
{
	struct incoming *in = arg;
	struct call *c = NULL;
	struct err e = {0};

	if (!in->too_large && is_exec(in->path)) {
		serve_exec(in, s);
	} else if (in->too_large) {
		err_set(&e, -FAULT_MESSAGE_TOO_LARGE,
			"the call has more than %u bytes", CALL_BODY_MAX);
		refuse(s, &e);
	} else if (call_new(s, take_ptr(in->body), in->len, &c, &e) < 0) {
		refuse(s, &e);
	} else if (dispatch(in->guest, in->path, c, &e) < 0) {
		call_fail(c, &e);
	}
	incoming_free(in);
}

static const struct h2_stream_events incoming_events = {
	.data = incoming_on_data,
	.fin = incoming_on_fin,
	.end = incoming_on_end,
};

static void serve_feed(struct guest *g, struct h2_stream *s)
{
	struct err e = {0};

	if (g->state <= GUEST_SERVING) {
		feed_serve(g, s);
		return;
	}
	err_set(&e, -FAULT_DRAINING, "the VM goes to sleep");
	refuse(s, &e);
}

static void serve_files(struct guest *g, struct h2_stream *s, const char *name)
{
	if (!may_serve(g, s))
		return;
	if (g->checkpoints != NULL && fsserve_writes(name))
		checkpoints_touch(g->checkpoints);
	fsserve_request(g->files, s, name);
}

static void serve_mcp(struct guest *g, struct h2_stream *s, const char *what)
{
	if (may_serve(g, s))
		mcp_channel_serve(g, s, what);
}

static void server_on_request(struct h2_stream *s, const char *method,
			      const char *path, void *arg)
{
	struct server *server = arg;
	struct incoming *in;
	struct err e = {0};

	if (strcmp(method, "POST") != 0) {
		err_set(&e, -FAULT_ROUTE_NOT_FOUND, "no route %.16s '%.64s'",
			method, path);
		refuse(s, &e);
		return;
	}
	if (strcmp(path, "/sync") == 0) {
		outbox_sync(server->guest->outbox, s);
		return;
	}
	if (strcmp(path, "/feed") == 0) {
		serve_feed(server->guest, s);
		return;
	}
	if (strncmp(path, FILES_PREFIX, strlen(FILES_PREFIX)) == 0) {
		serve_files(server->guest, s, path + strlen(FILES_PREFIX));
		return;
	}
	if (strncmp(path, MCP_PREFIX, strlen(MCP_PREFIX)) == 0) {
		serve_mcp(server->guest, s, path + strlen(MCP_PREFIX));
		return;
	}
	in = calloc(1, sizeof(*in));
	if (in == NULL)
		return; /* Refused, as no events are set. */
	in->guest = server->guest;
	strncpy(in->path, path, H2_PATH_MAX);
	h2_stream_set(s, &incoming_events, in);
}

bool server_owns(const struct server *s, const uv_handle_t *h)
{
	return hostsock_owns(&s->sock, h);
}

static const struct hostsock_events events = {.request = server_on_request};

static void server_on_closed(uv_handle_t *h)
{
	free(container_of(h, struct server, sock.pipe));
}

void server_close(struct server *s)
{
	if (s != NULL)
		hostsock_close(&s->sock, server_on_closed);
}

int server_open(struct guest *g, const char *path, struct server **out,
		struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(e, -ENOMEM, "channel: out of memory");
	s->guest = g;
	r = hostsock_open(&s->sock, g->loop, path, &events, s, e);
	if (r < 0) {
		server_close(s);
		return r;
	}
	*out = s;
	return 0;
}
