/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_http_kit.h - A remote MCP server to test against, good and bad
 *
 * What it does depends on the path; see kit_request().  It runs in the loop of the
 * test, on 127.0.0.1, and remembers what it was asked.
 */
#ifndef TESTS_MCP_HTTP_KIT_H
#define TESTS_MCP_HTTP_KIT_H

#include "core/http.h"
#include "core/json.h"
#include "core/sse.h"
#include "mcp/proto.h"
#include "tests/tap.h"

#define KIT_SECRET "Bearer tok-5ecre7"

/* A request as it came. */
struct kit_seen {
	char method[16], path[64], body[2048];
	char auth[64], session[64], version[32], mcp_method[64], mcp_name[128];
	char region[64], last_id[32];
};

struct kit {
	uv_loop_t *loop;
	struct http_server *server;
	int port;
	struct kit_seen seen[64];
	int n_seen;
	int n_open;	      /* Streams of GET. */
	struct http_req *old; /* The stream of HTTP+SSE. */
	struct http_req *listener;
	char pending[32]; /* Id of a request whose answer comes by GET. */
	int n_held;	  /* Requests that are not answered. */
};

static inline void kit_copy(char *out, size_t cap, const char *text)
{
	snprintf(out, cap, "%s", text ? text : "");
}

static inline struct kit_seen *kit_note(struct kit *k, struct http_req *r)
{
	struct kit_seen *s;
	const char *body;
	size_t len;

	OK(k->n_seen < 64);
	s = &k->seen[k->n_seen++];
	body = http_body(r, &len);
	kit_copy(s->method, sizeof(s->method), http_method(r));
	kit_copy(s->path, sizeof(s->path), http_path(r));
	snprintf(s->body, sizeof(s->body), "%.*s", (int)len, body ? body : "");
	kit_copy(s->auth, sizeof(s->auth), http_header(r, "Authorization"));
	kit_copy(s->session, sizeof(s->session),
		 http_header(r, "Mcp-Session-Id"));
	kit_copy(s->version, sizeof(s->version),
		 http_header(r, "MCP-Protocol-Version"));
	kit_copy(s->mcp_method, sizeof(s->mcp_method),
		 http_header(r, "Mcp-Method"));
	kit_copy(s->mcp_name, sizeof(s->mcp_name), http_header(r, "Mcp-Name"));
	kit_copy(s->region, sizeof(s->region),
		 http_header(r, "Mcp-Param-Region"));
	kit_copy(s->last_id, sizeof(s->last_id),
		 http_header(r, "Last-Event-ID"));
	return s;
}

/* The raw id of the message; "" when it has none. */
static inline void kit_id(struct http_req *r, char *out, size_t cap)
{
	autojson struct json j = {0};
	const char *body, *raw;
	size_t len;

	out[0] = '\0';
	body = http_body(r, &len);
	if (json_parse(&j, body, len, NULL) < 0)
		return;
	raw = jv_raw(jv_get(json_root(&j), "id"), &len);
	if (raw != NULL)
		snprintf(out, cap, "%.*s", (int)len, raw);
}

static inline void kit_json(struct http_req *r, int status, const char *id,
			    const char *rest)
{
	char text[4096];

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%s,%s}", id,
		 rest);
	http_reply(r, status, "application/json", text, strlen(text));
}

static inline void kit_event(struct http_req *r, const char *text)
{
	http_stream_write(r, text, strlen(text));
}

static inline void kit_message(struct http_req *r, const char *id,
			       const char *rest)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,%s}\n\n",
		 id, rest);
	kit_event(r, text);
}

static inline void kit_old_ended(struct http_req *r, void *arg)
{
	struct kit *k = arg;

	if (k->old == r)
		k->old = NULL;
	if (k->listener == r)
		k->listener = NULL;
	k->n_open--;
}

static inline void kit_open_stream(struct kit *k, struct http_req *r)
{
	k->n_open++;
	http_on_end(r, kit_old_ended, k);
	http_stream_begin(r, 200, "text/event-stream", NULL, NULL);
}

#define KIT_INIT                                                              \
	"\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}," \
	"\"serverInfo\":{\"name\":\"k\",\"version\":\"1\"}}"
#define KIT_TOOLS                                                              \
	"\"result\":{\"tools\":[{\"name\":\"good\",\"inputSchema\":{\"type\":" \
	"\"object\",\"properties\":{\"where\":{\"type\":\"object\","           \
	"\"properties\":{\"region\":{\"type\":\"string\",\"x-mcp-header\":"    \
	"\"Region\"}}}}}},{\"name\":\"bad\",\"inputSchema\":{\"type\":"        \
	"\"object\",\"properties\":{\"a\":{\"type\":\"number\","               \
	"\"x-mcp-header\":\"A\"}}}},{\"name\":\"plain\"}]}"

static inline void kit_get(struct kit *k, struct http_req *r,
			   const struct kit_seen *s)
{
	if (strcmp(s->path, "/old") == 0) {
		kit_open_stream(k, r);
		k->old = r;
		kit_event(r, "event: endpoint\ndata: old-post\n\n");
	} else if (strcmp(s->path, "/old-evil") == 0) {
		kit_open_stream(k, r);
		kit_event(r, "event: endpoint\ndata: http://127.0.0.2/x\n\n");
	} else if (strcmp(s->path, "/listen") == 0) {
		kit_open_stream(k, r);
		k->listener = r;
		kit_event(r, "id: l-1\nretry: 10\ndata: {\"jsonrpc\":\"2.0\","
			     "\"method\":\"notifications/message\"}\n\n");
	} else if (strcmp(s->path, "/resume") == 0 &&
		   strcmp(s->last_id, "a-1") == 0) {
		kit_open_stream(k, r);
		kit_message(r, k->pending, "\"result\":{\"again\":true}");
		http_stream_end(r);
	} else {
		http_reply(r, 405, NULL, NULL, 0);
	}
}

static inline void kit_break(struct kit *k, struct http_req *r, const char *id)
{
	kit_copy(k->pending, sizeof(k->pending), id);
	http_stream_begin(r, 200, "text/event-stream", NULL, NULL);
	kit_event(r, "id: a-1\nretry: 20\ndata: \n\n");
	http_stream_end(r);
}

static inline void kit_stream(struct http_req *r, const char *id)
{
	http_stream_begin(r, 200, "text/event-stream", NULL, NULL);
	kit_event(r, ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\n"
		     "data: \"method\":\"notifications/progress\"}\n\n");
	kit_message(r, id, "\"result\":{\"sse\":true}");
	http_stream_end(r);
}

/* It answers, and does not end the stream. */
static inline void kit_linger(struct kit *k, struct http_req *r, const char *id)
{
	kit_open_stream(k, r);
	kit_message(r, id, "\"result\":{\"sse\":true}");
}

/* A redirect; @other: to another origin. */
static inline void kit_move(struct kit *k, struct http_req *r, bool other)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.%d:%d/mcp", other ? 2 : 1,
		 k->port);
	http_answer_header(r, "Location", url);
	http_reply(r, 307, NULL, NULL, 0);
}

static inline void kit_endless(struct http_req *r)
{
	static char junk[1 << 20];

	memset(junk, ' ', sizeof(junk));
	http_stream_begin(r, 200, "application/json", NULL, NULL);
	for (size_t n = 0; n <= MCP_LINE_MAX; n += sizeof(junk))
		http_stream_write(r, junk, sizeof(junk));
}

/* Answers that depend on the path alone.  Return: whether it was one. */
static inline bool kit_special(struct kit *k, struct http_req *r,
			       const struct kit_seen *s, const char *id)
{
	const char *path = s->path;

	if (strcmp(path, "/moved") == 0)
		kit_move(k, r, false);
	else if (strcmp(path, "/evil") == 0)
		kit_move(k, r, true);
	else if (strcmp(path, "/old") == 0 || strcmp(path, "/old-evil") == 0)
		http_reply(r, 405, NULL, NULL, 0);
	else if (strcmp(path, "/secret") == 0)
		http_reply(r, 401, "text/plain", s->auth, strlen(s->auth));
	else if (strcmp(path, "/error") == 0)
		kit_json(r, 400, "null",
			 "\"error\":{\"code\":-32022,\"message\":\"v\"}");
	else if (strcmp(path, "/503") == 0)
		http_reply(r, 503, "text/html", "<p>", 3);
	else if (strcmp(path, "/hang-up") == 0) {
		http_stream_begin(r, 200, "application/json", NULL, NULL);
		http_stream_abort(r);
	} else if (strcmp(path, "/endless") == 0)
		kit_endless(r);
	else if (strcmp(path, "/lost") == 0 &&
		 strstr(s->body, "initialize") == NULL)
		http_reply(r, 404, NULL, NULL, 0);
	else if (strcmp(path, "/hold") == 0 && *id != '\0')
		k->n_held++;
	else
		return false;
	return true;
}

static inline void kit_post(struct kit *k, struct http_req *r,
			    const struct kit_seen *s)
{
	char id[32];

	kit_id(r, id, sizeof(id));
	if (strcmp(s->path, "/old-post") == 0) {
		http_reply(r, 202, NULL, NULL, 0);
		if (*id != '\0')
			kit_message(k->old, id,
				    strstr(s->body, "initialize")
					    ? KIT_INIT
					    : "\"result\":{\"old\":true}");
	} else if (kit_special(k, r, s, id)) {
		return;
	} else if (*id == '\0') {
		http_reply(r, 202, NULL, NULL, 0);
	} else if (strstr(s->body, "\"initialize\"") != NULL) {
		http_answer_header(r, "Mcp-Session-Id", "ses-1");
		kit_json(r, 200, id, KIT_INIT);
	} else if (strcmp(s->path, "/resume") == 0) {
		kit_break(k, r, id);
	} else if (strcmp(s->path, "/linger") == 0) {
		kit_linger(k, r, id);
	} else if (strcmp(s->path, "/sse") == 0) {
		kit_stream(r, id);
	} else if (strstr(s->body, "tools/list") != NULL) {
		kit_json(r, 200, id, KIT_TOOLS);
	} else {
		kit_json(r, 200, id, "\r\n\"result\":\n{\"pretty\":true}");
	}
}

static inline void kit_request(struct http_req *r, void *arg)
{
	struct kit *k = arg;
	const struct kit_seen *s = kit_note(k, r);

	if (strcmp(s->method, "POST") == 0)
		kit_post(k, r, s);
	else if (strcmp(s->method, "GET") == 0)
		kit_get(k, r, s);
	else
		http_reply(r, 200, NULL, NULL, 0);
}

static inline void kit_open(struct kit *k, uv_loop_t *loop)
{
	static const struct http_handler handler = {.request = kit_request};

	*k = (struct kit){.loop = loop};
	k->server = http_server_new(loop, &handler, k);
	k->port = http_server_listen_tcp(k->server, "127.0.0.1", 0, NULL);
	OK(k->port > 0);
}

/* The last request of that method; an empty one when there was none. */
static inline const struct kit_seen *kit_last(const struct kit *k,
					      const char *method)
{
	static const struct kit_seen none;

	for (int i = k->n_seen - 1; i >= 0; i--)
		if (strcmp(k->seen[i].method, method) == 0)
			return &k->seen[i];
	return &none;
}

#endif
