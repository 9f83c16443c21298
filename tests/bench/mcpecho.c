// SPDX-License-Identifier: Apache-2.0
/*
 * mcpecho.c - The least that a server on our core can be: one tool, an echo
 *
 * What is measured of it is the core: framing, JSON, eras, ids.
 */
#include <signal.h>
#include <string.h>

#include "mcp/server.h"
#include "mcp/stream.h"

static struct {
	struct mcp_server *server;
	struct mcp_conn *conn;
	struct mcp_stream *stream;
} echo;

static void echo_on_request(struct mcp_request *q, void *arg)
{
	static const char tools[] =
		"{\"tools\":[{\"name\":\"echo\",\"description\":\"Echo\","
		"\"inputSchema\":{\"type\":\"object\",\"properties\":"
		"{\"message\":{\"type\":\"string\"}}}}]}";
	static const char head[] = "{\"content\":[{\"type\":\"text\",\"text\":";
	struct jv message = jv_path(q->params, "arguments.message");
	autojw struct jw w = {0};

	(void)arg;
	if (strcmp(q->method, "tools/list") == 0) {
		mcp_reply(q, tools);
		return;
	}
	jw_lit(&w, head, sizeof(head) - 1);
	jw_value(&w, message);
	jw_lit(&w, "}]}", 3);
	mcp_reply_raw(q, w.buf, w.len);
}

static void echo_send(const char *msg, size_t len,
		      const struct mcp_request *related, void *arg)
{
	(void)related;
	(void)arg;
	mcp_stream_send(echo.stream, msg, len);
}

static void echo_on_data(char *data, size_t n, void *arg)
{
	(void)arg;
	(void)mcp_conn_feed(echo.conn, data, n);
}

static void echo_on_ended(int status, void *arg)
{
	(void)status;
	(void)arg;
	mcp_stream_close(echo.stream);
}

int main(void)
{
	static const struct mcp_server_ops ops = {.request = echo_on_request};
	static const struct mcp_stream_ops stream_ops = {
		.data = echo_on_data,
		.ended = echo_on_ended,
	};
	static const struct mcp_info info = {.name = "echo",
					     .version = "1",
					     .capabilities = "{\"tools\":{}}"};
	static const struct mcp_conn_spec spec = {.send = echo_send};
	uv_loop_t *loop = uv_default_loop();

	(void)signal(SIGPIPE, SIG_IGN);
	echo.server = mcp_server_new(loop, &ops, NULL);
	if (echo.server == NULL || mcp_server_open(echo.server, &info) < 0)
		return 1;
	echo.conn = mcp_conn_new(echo.server, &spec);
	if (echo.conn == NULL ||
	    mcp_stream_open(loop, STDIN_FILENO, STDOUT_FILENO, &stream_ops,
			    NULL, &echo.stream) < 0)
		return 1;
	(void)uv_run(loop, UV_RUN_DEFAULT);
	mcp_server_free(echo.server);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}
