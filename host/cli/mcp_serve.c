// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_serve.c - hib mcp serve: Hibernacle as an MCP server on stdio
 *
 * After the end of the input what is open comes to its end, and then nothing
 * keeps the loop.
 * SIGTERM, SIGINT and an output that is gone interrupt it: programs that run in
 * VMs for a call end then, turns of sessions go on.
 */
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "host/cli/commands.h"
#include "host/cli/mcp_serve.h"
#include "mcp/server.h"
#include "mcp/stream.h"

struct serve {
	uv_loop_t loop;
	struct mcp_server *server;
	struct mcp_stream *stream;
	struct mcp_conn *conn;
	struct serve_jobs *jobs;
	uv_signal_t term, interrupt;
};

/* --- requests ------------------------------------------------------------ */

static void reply_tools(struct mcp_request *q)
{
	autojw struct jw w = {0};

	serve_write_tools(&w);
	if (w.failed)
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
	else
		mcp_reply_raw(q, w.buf, w.len);
}

static void serve_on_request(struct mcp_request *q, void *arg)
{
	struct serve *s = arg;

	if (strcmp(q->method, "tools/list") == 0)
		reply_tools(q);
	else if (strcmp(q->method, "tools/call") == 0)
		serve_jobs_call(s->jobs, q);
	else
		mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "method not found",
				NULL);
}

static void serve_on_cancelled(struct mcp_request *q, void *arg)
{
	(void)arg;
	serve_jobs_cancel(q);
}

static const struct mcp_server_ops server_ops = {
	.request = serve_on_request,
	.cancelled = serve_on_cancelled,
};

static const struct mcp_info server_info = {
	.name = "hibernacle",
	.title = "Hibernacle",
	.version = HIB_VERSION,
	.instructions =
		"Coding agents in sandboxes that sleep and wake. vm_create "
		"makes a VM, exec runs programs in it, session_create starts "
		"an agent in it, session_prompt asks the agent. Files of a VM "
		"are in /workspace; every turn leaves a commit of them.",
	.capabilities = "{\"tools\":{}}",
	.ttl_ms = 3600000,
	.cache_public = true,
};

/* --- stdio --------------------------------------------------------------- */

static void serve_on_send(const char *msg, size_t len,
			  const struct mcp_request *related, void *arg)
{
	struct serve *s = arg;

	(void)related;
	mcp_stream_send(s->stream, msg, len);
}

static void serve_on_data(char *data, size_t n, void *arg)
{
	struct serve *s = arg;

	if (mcp_conn_feed(s->conn, data, n) < 0)
		uv_stop(&s->loop);
}

static void serve_on_ended(int status, void *arg)
{
	struct serve *s = arg;

	if (status < 0)
		uv_stop(&s->loop);
}

static void serve_on_signal(uv_signal_t *h, int number)
{
	(void)number;
	uv_stop(h->loop);
}

static void watch_signal(struct serve *s, uv_signal_t *h, int number)
{
	uv_signal_init(&s->loop, h);
	uv_signal_start(h, serve_on_signal, number);
	uv_unref((uv_handle_t *)h);
}

/* --- life ---------------------------------------------------------------- */

static int open_all(struct serve *s, const struct cli *c)
{
	static const struct mcp_stream_ops stream_ops = {serve_on_data,
							 serve_on_ended};
	const struct mcp_conn_spec conn = {.send = serve_on_send, .arg = s};

	s->jobs = serve_jobs_new(&(struct serve_jobs_spec){
		.loop = &s->loop,
		.home = c->home.root,
		.token = getenv("HIB_TOKEN"),
	});
	s->server = mcp_server_new(&s->loop, &server_ops, s);
	if (s->jobs == NULL || s->server == NULL ||
	    mcp_server_open(s->server, &server_info) < 0)
		return -ENOMEM;
	s->conn = mcp_conn_new(s->server, &conn);
	if (s->conn == NULL)
		return -ENOMEM;
	return mcp_stream_open(&s->loop, STDIN_FILENO, STDOUT_FILENO,
			       &stream_ops, s, &s->stream);
}

/* What runs is answered before the connection goes. */
static void close_all(struct serve *s)
{
	serve_jobs_free(s->jobs);
	mcp_conn_close(s->conn);
	mcp_server_free(s->server);
	mcp_stream_close(s->stream);
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->interrupt, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_loop_close(&s->loop);
}

int mcp_serve_command(struct cli *c, int argc, char **argv)
{
	struct serve s = {0};
	struct err e = {0};
	int r = cli_options(c, argc, argv, NULL, NULL, 0, 0);

	if (r >= 0)
		return r;
	uv_loop_init(&s.loop);
	watch_signal(&s, &s.term, SIGTERM);
	watch_signal(&s, &s.interrupt, SIGINT);
	r = open_all(&s, c);
	if (r == 0)
		uv_run(&s.loop, UV_RUN_DEFAULT);
	else
		err_set(&e, r, "standard input and output: %s", uv_strerror(r));
	close_all(&s);
	return r < 0 ? cli_fail(&e) : 0;
}
