// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_web.c - A remote MCP server that wants to be shown something
 *
 *	mcp_web HEADER FILE	serve http://127.0.0.1:PORT/mcp, say PORT on stdout
 *
 * A request whose HEADER is not the content of FILE is answered 401; its value
 * is in no command line, so that a search of all memory finds where it went.
 * Tools: `echo`, which answers its "text", and `shown`, which answers how many
 * bytes the header has.
 */
#include <stdio.h>
#include <string.h>

#include "mcp/front.h"
#include "mcp/server.h"

#define WANTED_MAX 1024

static struct {
	const char *header;
	char wanted[WANTED_MAX];
	struct mcp_front *front;
} web;

/* --- MCP ---------------------------------------------------------------- */

static const char tools[] =
	"{\"tools\":[{\"name\":\"echo\",\"description\":\"Say it again\","
	"\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":"
	"{\"type\":\"string\"}},\"required\":[\"text\"]}},"
	"{\"name\":\"shown\",\"description\":\"Bytes of the header\","
	"\"inputSchema\":{\"type\":\"object\"}}]}";

static void answer(struct mcp_request *q, const char *text)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "content");
	jw_arr(&w);
	jw_obj(&w);
	jw_kstr(&w, "type", "text");
	jw_kstr(&w, "text", text);
	jw_obj_end(&w);
	jw_arr_end(&w);
	jw_obj_end(&w);
	mcp_reply_raw(q, w.buf, w.len);
}

static void on_call(struct mcp_request *q)
{
	struct jv name = jv_get(q->params, "name");
	autofree char *text =
		jv_strdup(jv_path(q->params, "arguments.text"), NULL);
	char count[24];

	snprintf(count, sizeof(count), "%zu", strlen(web.wanted));
	if (jv_eq(name, "echo") && text != NULL)
		answer(q, text);
	else if (jv_eq(name, "shown"))
		answer(q, count);
	else
		mcp_reply_error(q, RPC_INVALID_PARAMS, "no such tool", NULL);
}

static void on_request(struct mcp_request *q, void *arg)
{
	(void)arg;
	if (strcmp(q->method, "tools/list") == 0)
		mcp_reply_raw(q, tools, strlen(tools));
	else if (strcmp(q->method, "tools/call") == 0)
		on_call(q);
	else
		mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "no such method",
				NULL);
}

/* --- HTTP --------------------------------------------------------------- */

static void on_http(struct http_req *r, void *arg)
{
	const char *shown = http_header(r, web.header);

	(void)arg;
	if (strcmp(http_path(r), "/mcp") != 0)
		http_reply(r, 404, "text/plain", "not here\n", 9);
	else if (shown == NULL || strcmp(shown, web.wanted) != 0)
		http_reply(r, 401, "text/plain", "who are you?\n", 13);
	else
		mcp_front_request(web.front, r, "web");
}

static int read_wanted(const char *path)
{
	FILE *f = fopen(path, "re");
	bool ok = f != NULL && fgets(web.wanted, sizeof(web.wanted), f) != NULL;

	if (f != NULL)
		fclose(f);
	web.wanted[strcspn(web.wanted, "\n")] = '\0';
	return ok ? 0 : -1;
}

int main(int argc, char **argv)
{
	static const struct mcp_server_ops ops = {.request = on_request};
	static const struct http_handler handler = {.request = on_http};
	static const struct mcp_info info = {
		.name = "web",
		.version = "1",
		.capabilities = "{\"tools\":{}}",
	};
	uv_loop_t *loop = uv_default_loop();
	struct mcp_server *server = mcp_server_new(loop, &ops, NULL);
	struct http_server *http = http_server_new(loop, &handler, NULL);
	struct err e = {0};
	int port;

	if (argc != 3 || read_wanted(argv[2]) < 0 || server == NULL ||
	    http == NULL || mcp_server_open(server, &info) < 0)
		return 1;
	web.header = argv[1];
	web.front = mcp_front_serve(loop, server);
	port = http_server_listen_tcp(http, "127.0.0.1", 0, &e);
	if (web.front == NULL || port < 0)
		return 1;
	printf("%d\n", port);
	fflush(stdout);
	return uv_run(loop, UV_RUN_DEFAULT);
}
