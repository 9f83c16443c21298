// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mcp_front.c - Clients and far ends may say what they like, and go when
 * they like: every far end that was opened is closed, once
 *
 * Each line of the input is a step.  Its first byte says which, the second which
 * client, the rest is what is said.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/json.h"
#include "mcp/front.h"

#define CLIENTS	 3
#define LINKS	 64
#define STEP_MAX 4096
#define TURNS	 6 /* Of the loop after each step. */

#define META                                                                  \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28" \
	"\",\"io.modelcontextprotocol/clientCapabilities\":{}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	uv_loop_t loop;
	struct http_server *http;
	struct mcp_front *front;
	int client[CLIENTS];
	struct mcp_link *links[LINKS]; /* Open ones, the newest last. */
	unsigned n_links;
	char session[64]; /* Of the last answer that named one. */
};

/* --- far ends ------------------------------------------------------------- */

static int on_open(struct mcp_link *l, void *arg, struct err *e)
{
	struct run *u = arg;

	if (u->n_links == LINKS)
		return err_set(e, -EBUSY, "enough");
	u->links[u->n_links++] = l;
	return 0;
}

static void forget(struct run *u, const struct mcp_link *l)
{
	unsigned i = 0;

	while (i < u->n_links && u->links[i] != l)
		i++;
	assert(i < u->n_links); /* It is closed once. */
	u->n_links--;
	memmove(&u->links[i], &u->links[i + 1],
		(u->n_links - i) * sizeof(struct mcp_link *));
}

/* Some answer at once. */
static void on_message(struct mcp_link *l, const char *msg, size_t len,
		       void *arg)
{
	static const char progress[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}";
	autojson struct json j = {0};
	struct jv method;

	(void)arg;
	assert(memchr(msg, '\n', len) == NULL);
	assert(json_parse(&j, msg, len, NULL) == 0);
	method = jv_get(json_root(&j), "method");
	if (jv_eq(method, "progress"))
		mcp_link_send(l, progress, sizeof(progress) - 1, NULL, 0);
	if (jv_eq(method, "retry"))
		mcp_link_retry(l, "1", 1, 1);
	if (jv_eq(method, "initialize"))
		mcp_link_send(l, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
			      35, NULL, 0);
}

static void on_close(struct mcp_link *l, void *arg)
{
	forget(arg, l);
}

/* --- clients -------------------------------------------------------------- */

static void on_request(struct http_req *r, void *arg)
{
	mcp_front_request(((struct run *)arg)->front, r, http_path(r));
}

static void connect_client(struct run *u, unsigned i)
{
	int fd[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	assert(http_server_adopt(u->http, fd[0], NULL) == 0);
	u->client[i] = fd[1];
}

static void hear(struct run *u, int fd)
{
	char text[STEP_MAX + 1];
	ssize_t n = read(fd, text, STEP_MAX);
	const char *p;

	text[n > 0 ? n : 0] = '\0';
	p = strstr(text, "Mcp-Session-Id: ");
	if (p != NULL)
		(void)sscanf(p, "Mcp-Session-Id: %63[0-9a-f]", u->session);
}

static void settle(struct run *u)
{
	for (int n = 0; n < TURNS; n++) {
		uv_run(&u->loop, UV_RUN_NOWAIT);
		for (int i = 0; i < CLIENTS; i++)
			hear(u, u->client[i]);
	}
}

static void ask(int fd, const char *method, const char *head, const char *body,
		int len)
{
	char text[2 * STEP_MAX];
	int n = snprintf(text, sizeof(text),
			 "%s /a HTTP/1.1\r\nHost: localhost\r\n%s"
			 "Content-Type: application/json\r\n"
			 "Content-Length: %d\r\n\r\n%.*s",
			 method, head, len, len, body);

	(void)!write(fd, text, (size_t)n);
}

static void ask_legacy(struct run *u, int fd, const char *method,
		       const char *more, const char *body, int len)
{
	char head[256 + STEP_MAX];

	snprintf(head, sizeof(head),
		 "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: %s\r\n%s",
		 u->session, more);
	ask(fd, method, head, body, len);
}

static void ask_modern(int fd, const char *name)
{
	char body[2 * STEP_MAX];
	int n = snprintf(body, sizeof(body),
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\","
			 "\"params\":{" META "}}",
			 name);

	if (n < STEP_MAX)
		ask(fd, "POST",
		    "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: x\r\n",
		    body, n);
}

/* One line of the input, ended by NUL. */
static void step(struct run *u, char *line, size_t len)
{
	unsigned i = (unsigned char)line[1] % CLIENTS;
	int fd = u->client[i], n = (int)len - 2;
	const char *rest = line + 2;
	char event[64];
	struct mcp_link *l;

	switch (line[0]) {
	case 'p':
		ask_legacy(u, fd, "POST", "", rest, n);
		break;
	case 'm':
		ask_modern(fd, rest);
		break;
	case 'g':
		snprintf(event, sizeof(event), "Last-Event-ID: %.24s\r\n",
			 rest);
		ask_legacy(u, fd, "GET", n > 0 ? event : "", "", 0);
		break;
	case 'd':
		ask_legacy(u, fd, "DELETE", "", "", 0);
		break;
	case 'x':
		close(fd);
		connect_client(u, i);
		break;
	case 'f':
		if (u->n_links > 0)
			mcp_link_send(u->links[u->n_links - 1], rest, (size_t)n,
				      NULL, 0);
		break;
	case 'l':
		if (u->n_links == 0)
			break;
		l = u->links[u->n_links - 1];
		forget(u, l);
		mcp_link_lost(l);
		break;
	default:
		break;
	}
}

static void take_steps(struct run *u, const uint8_t *data, size_t size)
{
	char line[STEP_MAX];

	while (size > 0) {
		const uint8_t *nl = memchr(data, '\n', size);
		size_t len = nl ? (size_t)(nl - data) : size;

		if (len >= 2 && len < sizeof(line)) {
			memcpy(line, data, len);
			line[len] = '\0';
			step(u, line, len);
			settle(u);
		}
		len += nl != NULL;
		data += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mcp_front_ops ops = {on_open, on_message, on_close};
	static const struct http_handler handler = {.request = on_request};
	struct run u = {0};

	assert(uv_loop_init(&u.loop) == 0);
	u.front = mcp_front_new(&u.loop, &ops, &u);
	u.http = http_server_new(&u.loop, &handler, &u);
	assert(u.front != NULL && u.http != NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		connect_client(&u, i);

	take_steps(&u, data, size);
	mcp_front_close(u.front);
	assert(u.n_links == 0);
	http_server_close(u.http, NULL, NULL);
	for (int i = 0; i < CLIENTS; i++)
		close(u.client[i]);
	assert(uv_run(&u.loop, UV_RUN_DEFAULT) == 0);
	assert(uv_loop_close(&u.loop) == 0);
	return 0;
}
