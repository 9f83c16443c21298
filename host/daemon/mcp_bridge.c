// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_bridge.c - A guest's way to remote MCP servers
 *
 *	guest's lines -> wire -> transport -> server
 *	      ^ not consumed while the VM's queue is long
 *	server -> transport -> stream of the guest
 *	      ^ paused while the guest takes nothing
 *
 * A line of the guest that is no message is passed over: the guest's gateway has
 * answered for it before.
 */
#include "host/daemon/mcp_bridge.h"

#include <string.h>
#include <sys/queue.h>

#include "core/id.h"
#include "core/log.h"
#include "host/daemon/mcp_remotes.h"
#include "mcp/http_client.h"
#include "mcp/wire.h"

#define LOG_COMPONENT "mcp"

#define NAME_MAX_LEN 64 /* Bytes of a server's name. */

struct bridge {
	struct mcp_bridges *all;
	struct h2_stream *stream;
	struct mcp_http *http; /* NULL once the server is gone. */
	struct mcp_wire wire;
	size_t unconsumed; /* Of the guest's bytes. */
	char session[ID_MAX];
	char name[NAME_MAX_LEN + 1];
	TAILQ_ENTRY(bridge) link;
};

struct mcp_bridges {
	struct mcp_bridges_spec spec;
	struct mcp_http_budget budget;
	TAILQ_HEAD(bridge_list, bridge) list;
	unsigned n;
};

/* --- from the server ------------------------------------------------------ */

static void write_line(struct bridge *b, const char *text, size_t len)
{
	if (h2_write(b->stream, text, len) < 0 ||
	    h2_write(b->stream, "\n", 1) < 0)
		h2_reset(b->stream);
	else if (h2_queued(b->stream) > MCP_BRIDGE_OUT_MAX && b->http != NULL)
		mcp_http_pause(b->http, true);
}

static void http_on_message(struct mcp_http *h, const struct rpc_msg *m,
			    const char *text, size_t len, void *arg)
{
	(void)h, (void)m;
	write_line(arg, text, len);
}

static void http_on_lost(struct mcp_http *h, const struct err *e, void *arg)
{
	struct bridge *b = arg;

	log_info("%s: mcp server '%s': %s", b->session, b->name, e->msg);
	b->http = NULL;
	mcp_http_close(h, NULL, NULL);
	h2_fin(b->stream);
}

/* Listen to guests that were kept waiting. */
static void http_on_drained(struct mcp_http *h, void *arg)
{
	struct mcp_bridges *all = ((struct bridge *)arg)->all;
	struct bridge *b;

	(void)h;
	if (all->budget.queued > MCP_BRIDGES_QUEUE)
		return;
	TAILQ_FOREACH (b, &all->list, link) {
		if (b->unconsumed > 0)
			h2_consume(b->stream, b->unconsumed);
		b->unconsumed = 0;
	}
}

/* --- from the guest ------------------------------------------------------- */

static void answer_error(struct bridge *b, const struct rpc_msg *m, int code,
			 const char *message)
{
	autojw struct jw w = {0};

	if (m->kind != RPC_REQUEST)
		return;
	jw_obj(&w);
	jw_kstr(&w, "jsonrpc", "2.0");
	jw_kvalue(&w, "id", m->id);
	jw_key(&w, "error");
	rpc_write_error(&w, code, message, NULL);
	jw_obj_end(&w);
	if (!w.failed)
		write_line(b, w.buf, w.len);
}

static void wire_on_message(const struct rpc_msg *m, void *arg)
{
	struct bridge *b = arg;
	int r;

	if (b->http == NULL)
		return;
	r = mcp_http_message(b->http, m);
	if (r == -EAGAIN)
		answer_error(b, m, RPC_INTERNAL, "too many requests are open");
	else if (r == -ENOMEM)
		answer_error(b, m, RPC_INTERNAL, "out of memory");
}

static void on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct bridge *b = arg;

	if (mcp_wire_feed(&b->wire, data, n) < 0) {
		h2_reset(s);
		return;
	}
	if (b->all->budget.queued > MCP_BRIDGES_QUEUE)
		b->unconsumed += n;
	else
		h2_consume(s, n);
}

static void on_fin(struct h2_stream *s, void *arg)
{
	struct bridge *b = arg;

	mcp_http_close(take_ptr(b->http), NULL, NULL);
	h2_fin(s);
}

static void on_drained(struct h2_stream *s, void *arg)
{
	struct bridge *b = arg;

	(void)s;
	if (b->http != NULL)
		mcp_http_pause(b->http, false);
}

static void bridge_free(struct bridge *b)
{
	mcp_wire_done(&b->wire);
	free(b);
}

static void on_end(struct h2_stream *s, int r, void *arg)
{
	struct bridge *b = arg;

	(void)s, (void)r;
	TAILQ_REMOVE(&b->all->list, b, link);
	b->all->n--;
	mcp_http_close(b->http, NULL, NULL);
	bridge_free(b);
}

/* --- begin ---------------------------------------------------------------- */

static bool is_name(const char *s)
{
	return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789_-") == strlen(s);
}

/* "<session>/<name>" */
static int read_path(struct bridge *b, const char *path, struct err *e)
{
	size_t n = strcspn(path, "/");
	const char *name = path + n + (path[n] == '/');

	if (n == 0 || n >= sizeof(b->session) || *name == '\0' ||
	    strlen(name) > NAME_MAX_LEN || !is_name(name))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "no MCP server is named '%.80s'", path);
	memcpy(b->session, path, n);
	b->session[n] = '\0';
	memcpy(b->name, name, strlen(name) + 1);
	return 0;
}

static void free_lines(char **lines)
{
	for (char **l = lines; l != NULL && *l != NULL; l++) {
		explicit_bzero(*l, strlen(*l));
		free(*l);
	}
	free(lines);
}

/* "Name: value", ended by NULL; the caller's.  NULL when memory is out. */
static char **header_lines(const struct mcp_remote *m)
{
	char **lines;
	size_t n = 0;

	while (m->headers != NULL && m->headers[n].name != NULL)
		n++;
	lines = calloc(n + 1, sizeof(*lines));
	for (size_t i = 0; lines != NULL && i < n; i++)
		if (asprintf(&lines[i], "%s: %s", m->headers[i].name,
			     m->headers[i].value) < 0) {
			lines[i] = NULL;
			free_lines(lines);
			return NULL;
		}
	return lines;
}

static int open_http(struct bridge *b, const struct mcp_remote *m,
		     struct err *e)
{
	static const struct mcp_http_events events = {
		.message = http_on_message,
		.lost = http_on_lost,
		.drained = http_on_drained,
	};
	char **lines = header_lines(m);
	const struct mcp_http_opts opts = {
		.url = m->url,
		.headers = (const char *const *)lines,
		.sse = m->sse,
		.budget = &b->all->budget,
	};
	int r;

	if (lines == NULL)
		return err_set(e, -ENOMEM, "mcp: out of memory");
	r = mcp_http_open(b->all->spec.loop, &opts, &events, b, &b->http, e);
	free_lines(lines);
	/* The guest is not to blame, and not told what is wrong with a URL. */
	return r == -EINVAL ? err_set(e, -FAULT_INVALID_ARGUMENT,
				      "%s: MCP server '%s' cannot be spoken "
				      "with: see the session's mcpServers",
				      b->session, b->name)
			    : r;
}

static int open_remote(struct bridge *b, struct err *e)
{
	const struct mcp_bridges_spec *spec = &b->all->spec;
	struct mcp_remote m;
	int r = mcp_remote_find(spec->vault, spec->reader, spec->vm, b->session,
				b->name, &m, e);

	if (r < 0)
		return r;
	r = open_http(b, &m, e);
	mcp_remote_done(&m);
	return r;
}

int mcp_bridge_begin(struct mcp_bridges *all, struct h2_stream *s,
		     const char *path, struct err *e)
{
	static const struct mcp_wire_ops wire_ops = {.message =
							     wire_on_message};
	static const struct h2_stream_events events = {.data = on_data,
						       .fin = on_fin,
						       .drained = on_drained,
						       .end = on_end};
	struct bridge *b;
	int r;

	if (all->n >= MCP_BRIDGES_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "%u MCP servers are spoken with already",
			       all->n);
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return err_set(e, -ENOMEM, "mcp: out of memory");
	b->all = all;
	b->stream = s;
	mcp_wire_init(&b->wire, &wire_ops, b);
	r = read_path(b, path, e);
	if (r == 0)
		r = open_remote(b, e);
	if (r < 0) {
		bridge_free(b);
		return r;
	}
	TAILQ_INSERT_TAIL(&all->list, b, link);
	all->n++;
	h2_stream_set(s, &events, b);
	h2_respond(s, 200);
	return 0;
}

struct mcp_bridges *mcp_bridges_new(const struct mcp_bridges_spec *spec)
{
	struct mcp_bridges *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->spec = *spec;
	all->budget.held_max = MCP_BRIDGES_HELD;
	TAILQ_INIT(&all->list);
	return all;
}

void mcp_bridges_free(struct mcp_bridges *all)
{
	free(all);
}
