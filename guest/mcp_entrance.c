// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_entrance.c - The agent's way to the MCP servers of its session
 */
#include "guest/mcp_entrance.h"

#include <string.h>

#include "core/log.h"
#include "guest/limits.h"
#include "guest/mcp_door.h"
#include "mcp/stream.h"

#define LOG_COMPONENT "mcp"

/* One who has come in. */
struct caller {
	TAILQ_ENTRY(caller) link;
	struct mcp_entrance *entrance;
	struct mcp_stream *stream;
	struct mcp_peer *peer; /* NULL: the gateway has ended it. */
	uv_poll_t shim;
	int shim_fd; /* -1: there is none to watch. */
};

struct mcp_entrance {
	uv_loop_t *loop;
	struct mcp_gateway *gateway;
	struct mcp_door *door;
	TAILQ_HEAD(caller_list, caller) callers;
	unsigned n_callers;
	bool paused;
};

/*
 * The end of one.
 */

static void caller_on_closed(uv_handle_t *h)
{
	struct caller *c = container_of(h, struct caller, shim);

	close_fd(&c->shim_fd);
	free(c);
}

static void caller_end(struct caller *c)
{
	TAILQ_REMOVE(&c->entrance->callers, c, link);
	c->entrance->n_callers--;
	if (c->peer != NULL)
		mcp_peer_close(c->peer);
	mcp_stream_close(c->stream);
	if (c->shim_fd >= 0)
		uv_close((uv_handle_t *)&c->shim, caller_on_closed);
	else
		free(c);
}

/*
 * What passes.
 */

static size_t held(const struct caller *c)
{
	size_t n = mcp_stream_queued(c->stream);

	return c->peer != NULL ? n + mcp_peer_held(c->peer) : n;
}

/* Is it one of those who, all together, have too much of our memory? */
static bool holds_too_much(const struct caller *c)
{
	const struct caller *each;
	size_t all = 0;

	if (held(c) <= MCP_PEER_BYTES)
		return false;
	TAILQ_FOREACH (each, &c->entrance->callers, link)
		all += held(each);
	return all > MCP_PEERS_BYTES;
}

static void caller_on_data(char *data, size_t n, void *arg)
{
	struct caller *c = arg;

	if (holds_too_much(c) || mcp_peer_feed(c->peer, data, n) < 0)
		caller_end(c);
}

static void caller_on_input_end(int status, void *arg)
{
	struct caller *c = arg;

	if (status < 0)
		caller_end(c);
	else
		mcp_peer_finish(c->peer);
}

static const struct mcp_stream_ops stream_ops = {caller_on_data,
						 caller_on_input_end};

/* It says nothing any more, so whatever happens is its end. */
static void caller_on_shim(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	caller_end(container_of(p, struct caller, shim));
}

static void caller_on_send(const char *msg, size_t len, void *arg)
{
	const struct caller *c = arg;

	mcp_stream_send(c->stream, msg, len);
	if (holds_too_much(c))
		mcp_stream_break(c->stream);
}

static void caller_on_ended(void *arg)
{
	struct caller *c = arg;

	c->peer = NULL;
	caller_end(c);
}

static void caller_on_idle(void *arg)
{
	caller_end(arg);
}

/*
 * The beginning of one.
 */

static bool watch_shim(struct caller *c, int fd)
{
	c->shim_fd = -1;
	if (fd < 0)
		return true;
	if (uv_poll_init(c->entrance->loop, &c->shim, fd) < 0)
		return false;
	c->shim_fd = fd;
	(void)uv_poll_start(&c->shim, UV_READABLE | UV_DISCONNECT,
			    caller_on_shim);
	return true;
}

static bool caller_begin(struct caller *c, const struct mcp_visitor *v)
{
	struct mcp_front *f = mcp_gateway_find(c->entrance->gateway, v->server);
	const struct mcp_peer_spec spec = {
		.send = caller_on_send,
		.ended = caller_on_ended,
		.idle = caller_on_idle,
		.arg = c,
	};

	if (f == NULL || mcp_stream_open(c->entrance->loop, v->in, v->out,
					 &stream_ops, c, &c->stream) < 0) {
		(void)close(v->in);
		(void)close(v->out);
		return false;
	}
	c->peer = mcp_peer_open(f, &spec);
	if (c->peer != NULL && watch_shim(c, v->shim))
		return true;
	if (c->peer != NULL)
		mcp_peer_close(c->peer);
	mcp_stream_close(c->stream);
	return false;
}

static void door_on_enter(const struct mcp_visitor *v, void *arg)
{
	struct mcp_entrance *en = arg;
	struct caller *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->entrance = en;
	if (c == NULL || !caller_begin(c, v)) {
		log_warn("%s: a client could not be let in", v->server);
		if (v->shim >= 0)
			(void)close(v->shim);
		free(c);
		return;
	}
	if (en->paused)
		mcp_stream_pause(c->stream, true);
	TAILQ_INSERT_TAIL(&en->callers, c, link);
	en->n_callers++;
}

static int door_may(const char *server, void *arg, struct err *e)
{
	const struct mcp_entrance *en = arg;

	if (mcp_gateway_find(en->gateway, server) == NULL)
		return err_set(e, -ENOENT,
			       "the session has no MCP server of that name");
	if (en->n_callers == MCP_PEERS_MAX)
		return err_set(e, -EAGAIN,
			       "the session has %d MCP connections already",
			       MCP_PEERS_MAX);
	return 0;
}

static const struct mcp_door_events door_events = {door_may, door_on_enter};

/*
 * The entrance.
 */

int mcp_entrance_open(uv_loop_t *loop, const char *folder, const char *session,
		      struct mcp_gateway *g, struct mcp_entrance **out,
		      struct err *e)
{
	struct mcp_entrance *en = calloc(1, sizeof(*en));
	int r;

	if (en == NULL)
		return err_set(e, -ENOMEM, "mcp socket: out of memory");
	en->loop = loop;
	en->gateway = g;
	TAILQ_INIT(&en->callers);
	r = mcp_door_open(loop, folder, session, &door_events, en, &en->door,
			  e);
	if (r < 0)
		free(en);
	else
		*out = en;
	return r;
}

void mcp_entrance_close(struct mcp_entrance *en)
{
	if (en == NULL)
		return;
	mcp_door_close(en->door);
	while (!TAILQ_EMPTY(&en->callers))
		caller_end(TAILQ_FIRST(&en->callers));
	free(en);
}

void mcp_entrance_pause(struct mcp_entrance *en, bool pause)
{
	struct caller *c;

	if (en == NULL)
		return;
	en->paused = pause;
	TAILQ_FOREACH (c, &en->callers, link)
		mcp_stream_pause(c->stream, pause);
}

const char *mcp_entrance_folder(const struct mcp_entrance *en)
{
	return mcp_door_folder(en->door);
}

const char *mcp_entrance_socket(const struct mcp_entrance *en)
{
	return mcp_door_socket(en->door);
}
