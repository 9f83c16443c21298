// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_client.c - An MCP client for tests: mcp/client.h over HTTP or a program
 *
 *	mcp_client [--era legacy|modern] [--no-discover] [--header LINE] [--sse]
 *		   [--do ACTION]... URL
 *	mcp_client [--era ...] [--do ACTION]... -- COMMAND [ARG...]
 *
 * Actions run one after the other, and each prints a line:
 *
 *	list KIND	       names of tools, prompts, resources
 *	request METHOD PARAMS  a result or an error
 *	call TOOL ARGUMENTS    the same, of tools/call
 *	all		       every tool, each with {}
 *
 * Questions of the server are answered: an elicitation is accepted with the
 * defaults of its schema.  In the official conformance suite (environment
 * MCP_CONFORMANCE_SCENARIO) the actions are those that the scenario wants.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "mcp/client.h"
#include "mcp/http_client.h"
#include "mcp/stream.h"
#include "mcp/wire.h"

#define ACTIONS_MAX 64
#define HEADERS_MAX 16

struct driver {
	uv_loop_t loop;
	struct mcp_client *client;
	struct mcp_http *http;	   /* One of these two. */
	struct mcp_stream *stream; /* NULL once it has ended. */
	struct mcp_wire wire;
	uv_process_t child;
	enum mcp_era era;
	bool no_discover, sse;
	const char *actions[ACTIONS_MAX];
	int n_actions;
	const char *headers[HEADERS_MAX + 1];
	int n_headers;
	bool ready, failed, lost, done;
	int n_errors;
	struct jw names; /* Of the last list, one a line, */
	struct jw items; /* and all of it. */
};

/* --- questions ------------------------------------------------------------ */

static void put_defaults(struct jw *w, struct jv schema)
{
	struct jv all = jv_get(schema, "properties");

	jw_obj(w);
	for (struct jv k = jv_first(all); jv_has(k); k = jv_next(all, k)) {
		struct jv value = jv_get(jv_value(k), "default");

		if (!jv_has(value))
			continue;
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, value);
	}
	jw_obj_end(w);
}

static void on_question(struct mcp_client *c, const struct mcp_question *q,
			void *arg)
{
	autojw struct jw w = {0};

	(void)arg;
	jw_obj(&w);
	if (jv_eq(q->method, "elicitation/create")) {
		jw_kstr(&w, "action", "accept");
		jw_key(&w, "content");
		put_defaults(&w, jv_get(q->params, "requestedSchema"));
	} else if (jv_eq(q->method, "sampling/createMessage")) {
		jw_kstr(&w, "role", "assistant");
		jw_kstr(&w, "model", "fake");
		jw_kraw(&w, "content", "{\"type\":\"text\",\"text\":\"ok\"}");
	} else {
		jw_kraw(&w, "roots", "[]");
	}
	jw_obj_end(&w);
	(void)mcp_client_reply(c, q->id, w.buf);
}

/* --- transports ----------------------------------------------------------- */

static void on_send(const char *msg, size_t len, void *arg)
{
	struct driver *d = arg;

	if (d->http != NULL)
		(void)mcp_http_send(d->http, msg, len);
	else if (d->stream != NULL)
		mcp_stream_send(d->stream, msg, len);
}

static void http_on_message(struct mcp_http *h, const struct rpc_msg *m,
			    const char *text, size_t len, void *arg)
{
	struct driver *d = arg;

	(void)h, (void)text, (void)len;
	mcp_client_message(d->client, m);
}

static void http_on_lost(struct mcp_http *h, const struct err *e, void *arg)
{
	struct driver *d = arg;

	(void)h;
	d->lost = true;
	printf("lost: %s\n", e->msg);
	mcp_client_lost(d->client);
}

static void wire_on_message(const struct rpc_msg *m, void *arg)
{
	struct driver *d = arg;

	mcp_client_message(d->client, m);
}

static void stream_on_data(char *data, size_t n, void *arg)
{
	struct driver *d = arg;

	(void)mcp_wire_feed(&d->wire, data, n);
}

static void stream_on_ended(int status, void *arg)
{
	struct driver *d = arg;

	(void)status;
	d->lost = true;
	mcp_stream_close(take_ptr(d->stream));
	mcp_client_lost(d->client);
}

static int open_http(struct driver *d, const char *url)
{
	static const struct mcp_http_events events = {
		.message = http_on_message, .lost = http_on_lost};
	const struct mcp_http_opts opts = {
		.url = url,
		.headers = d->headers,
		.sse = d->sse,
		.ca_file = getenv("MCP_CLIENT_CA"),
	};
	struct err e = {0};
	int r = mcp_http_open(&d->loop, &opts, &events, d, &d->http, &e);

	if (r < 0)
		fprintf(stderr, "mcp_client: %s\n", e.msg);
	return r;
}

static int open_program(struct driver *d, char **argv)
{
	static const struct mcp_stream_ops ops = {stream_on_data,
						  stream_on_ended};
	static const struct mcp_wire_ops wire_ops = {.message =
							     wire_on_message};
	int to[2], from[2], r;
	uv_stdio_container_t stdio[3];
	uv_process_options_t opts = {.file = argv[0],
				     .args = argv,
				     .stdio = stdio,
				     .stdio_count = 3};

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		stdio[i].flags = UV_INHERIT_FD;
	stdio[0].data.fd = to[0];
	stdio[1].data.fd = from[1];
	stdio[2].data.fd = 2;
	r = uv_spawn(&d->loop, &d->child, &opts);
	close(to[0]);
	close(from[1]);
	mcp_wire_init(&d->wire, &wire_ops, d);
	if (r == 0)
		r = mcp_stream_open(&d->loop, from[0], to[1], &ops, d,
				    &d->stream);
	if (r < 0)
		fprintf(stderr, "mcp_client: %s: %s\n", argv[0],
			uv_strerror(r));
	return r;
}

/* --- actions -------------------------------------------------------------- */

static void wait_for(struct driver *d, const bool *flag)
{
	while (!*flag && !d->failed)
		if (uv_run(&d->loop, UV_RUN_ONCE) == 0 && !*flag)
			break;
	fflush(stdout);
}

static void print_value(const char *what, struct jv v)
{
	size_t len;
	const char *text = jv_raw(v, &len);

	printf("%s: %.*s\n", what, (int)len, text ? text : "");
}

static void on_done(const struct mcp_answer *a, void *arg)
{
	struct driver *d = arg;

	d->done = true;
	d->n_errors += a->status != 0;
	if (a->status == 0)
		print_value("result", a->result);
	else if (a->status == -EREMOTEIO)
		print_value("error", a->error);
	else
		printf("failed: %s\n", uv_strerror(a->status));
}

static void on_progress(struct jv params, void *arg)
{
	(void)arg;
	print_value("progress", jv_get(params, "progress"));
}

static void request(struct driver *d, const char *method, const char *params)
{
	const struct mcp_request_spec spec = {
		.method = method,
		.params = params,
		.timeout_ms = 10000,
		.max_ms = 20000,
		.progress = on_progress,
		.done = on_done,
		.arg = d,
	};
	int64_t r;

	d->done = false;
	r = mcp_client_request(d->client, &spec);
	if (r < 0) {
		printf("failed: %s\n", uv_strerror((int)r));
		d->n_errors++;
		return;
	}
	wait_for(d, &d->done);
}

static void call(struct driver *d, const char *tool, const char *arguments)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "name", tool);
	jw_kraw(&w, "arguments", arguments);
	jw_obj_end(&w);
	request(d, "tools/call", w.buf);
}

static void on_list(const struct mcp_list *l, void *arg)
{
	struct driver *d = arg;
	autojson struct json j = {0};
	struct jv all;

	d->done = true;
	jw_reset(&d->names);
	if (l->status != 0) {
		d->n_errors++;
		printf("list failed: %s\n", uv_strerror(l->status));
		return;
	}
	if (json_parse(&j, l->items, l->len, NULL) < 0)
		return;
	jw_reset(&d->items);
	jw_lit(&d->items, l->items, l->len);
	all = json_root(&j);
	printf("list:");
	for (struct jv it = jv_first(all); jv_has(it); it = jv_next(all, it)) {
		struct jv uri = jv_get(it, "uri");
		autofree char *name =
			jv_strdup(jv_has(uri) ? uri : jv_get(it, "name"), NULL);

		printf(" %s", name ? name : "?");
		if (name != NULL)
			jw_lit(&d->names, name, strlen(name));
		jw_lit(&d->names, "\n", 1);
	}
	putchar('\n');
}

static void list(struct driver *d, const char *kind)
{
	d->done = false;
	if (mcp_client_list(d->client, kind, 10000, on_list, d) < 0)
		d->n_errors++;
	else
		wait_for(d, &d->done);
}

/* The first of the last list; the caller frees it. */
static char *first_name(const struct driver *d)
{
	return d->names.buf ? strndup(d->names.buf, strcspn(d->names.buf, "\n"))
			    : NULL;
}

static void call_all(struct driver *d)
{
	autofree char *names = NULL;
	char *rest;

	list(d, "tools");
	names = strdup(d->names.buf ? d->names.buf : "");
	rest = names;
	for (char *name; (name = strsep(&rest, "\n")) != NULL;)
		if (*name != '\0')
			call(d, name, "{}");
}

static void act(struct driver *d, const char *action)
{
	autofree char *copy = strdup(action);
	char *rest = copy;
	const char *verb = strsep(&rest, " ");
	const char *object = rest ? strsep(&rest, " ") : "";

	if (strcmp(verb, "list") == 0)
		list(d, object);
	else if (strcmp(verb, "request") == 0)
		request(d, object, rest ? rest : "{}");
	else if (strcmp(verb, "call") == 0)
		call(d, object, rest ? rest : "{}");
	else if (strcmp(verb, "all") == 0)
		call_all(d);
}

/* --- the conformance suite ------------------------------------------------ */

/* The calls that the scenario has chosen; all tools when it has not. */
static void call_as_told(struct driver *d)
{
	const char *context = getenv("MCP_CONFORMANCE_CONTEXT");
	autojson struct json j = {0};
	struct jv calls;

	if (context == NULL ||
	    json_parse(&j, context, strlen(context), NULL) < 0)
		context = "";
	calls = jv_get(json_root(&j), "toolCalls");
	if (!jv_is(calls, JV_ARRAY)) {
		call_all(d);
		return;
	}
	list(d, "tools");
	for (struct jv c = jv_first(calls); jv_has(c); c = jv_next(calls, c)) {
		autojw struct jw args = {0};
		autofree char *name = jv_strdup(jv_get(c, "name"), NULL);

		jw_value(&args, jv_get(c, "arguments"));
		call(d, name, args.buf);
	}
}

static void use_first(struct driver *d, const char *kind, const char *method,
		      const char *member)
{
	autofree char *name = NULL;
	autojw struct jw w = {0};

	list(d, kind);
	name = first_name(d);
	jw_obj(&w);
	jw_kstr(&w, member, name);
	jw_obj_end(&w);
	request(d, method, w.buf);
}

/* Show the server the schema of its tool as it came here. */
static void echo_schema(struct driver *d)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct jv all;

	list(d, "tools");
	if (d->items.buf == NULL ||
	    json_parse(&j, d->items.buf, d->items.len, NULL) < 0)
		return;
	all = json_root(&j);
	for (struct jv t = jv_first(all); jv_has(t); t = jv_next(all, t)) {
		if (!jv_eq(jv_get(t, "name"), "json_schema_2020_12_tool"))
			continue;
		jw_obj(&w);
		jw_kvalue(&w, "schema", jv_get(t, "inputSchema"));
		jw_obj_end(&w);
		call(d, "json_schema_echo", w.buf);
		return;
	}
}

static void play(struct driver *d, const char *scenario)
{
	if (strcmp(scenario, "initialize") == 0 ||
	    strcmp(scenario, "json-schema-ref-no-deref") == 0) {
		list(d, "tools");
	} else if (strcmp(scenario, "tools_call") == 0) {
		list(d, "tools");
		call(d, "add_numbers", "{\"a\":5,\"b\":3}");
	} else if (strcmp(scenario, "json-schema-2020-12-preservation") == 0) {
		echo_schema(d);
	} else if (strcmp(scenario, "http-standard-headers") == 0) {
		use_first(d, "tools", "tools/call", "name");
		use_first(d, "resources", "resources/read", "uri");
		use_first(d, "prompts", "prompts/get", "name");
	} else {
		call_as_told(d);
	}
}

/* --- the whole ------------------------------------------------------------ */

static void on_ready(struct mcp_client *c, void *arg)
{
	const struct mcp_server_facts *f = mcp_client_facts(c);
	struct driver *d = arg;

	d->ready = true;
	printf("ready: %s %s %s\n",
	       f->era == MCP_ERA_MODERN ? "modern" : "legacy", f->version,
	       f->info);
}

static void on_failed(struct mcp_client *c, const struct err *e, void *arg)
{
	struct driver *d = arg;

	(void)c;
	d->failed = true;
	printf("failed: %s\n", e->msg);
}

static void on_changed(struct mcp_client *c, const char *kind, void *arg)
{
	(void)c, (void)arg;
	printf("changed: %s\n", kind);
}

static int open_client(struct driver *d)
{
	static const struct mcp_client_events events = {
		.send = on_send,
		.ready = on_ready,
		.failed = on_failed,
		.request = on_question,
		.list_changed = on_changed,
	};
	const struct mcp_client_opts opts = {
		.era = d->era,
		.no_discover = d->no_discover,
		.capabilities = "{\"sampling\":{},\"elicitation\":{\"form\":"
				"{\"applyDefaults\":true}},"
				"\"roots\":{\"listChanged\":true}}",
		.info = "{\"name\":\"mcp_client\",\"version\":\"1\"}",
		.listen = true,
	};

	return mcp_client_new(&d->loop, &opts, &events, d, &d->client);
}

static void close_all(struct driver *d)
{
	mcp_client_free(d->client);
	mcp_http_close(d->http, NULL, NULL);
	mcp_stream_close(d->stream);
	/* A program that does not end with its input is the test's to find. */
	uv_run(&d->loop, UV_RUN_DEFAULT);
	if (d->wire.ops != NULL)
		mcp_wire_done(&d->wire);
	jw_done(&d->names);
	jw_done(&d->items);
	(void)uv_loop_close(&d->loop);
}

static bool conformance_era(struct driver *d)
{
	const char *version = getenv("MCP_CONFORMANCE_PROTOCOL_VERSION");

	/* The suite's modern servers do not all answer server/discover. */
	d->no_discover = version && strcmp(version, MCP_2026_07_28) == 0;
	if (d->no_discover)
		d->era = MCP_ERA_MODERN;
	return d->no_discover;
}

static int run(struct driver *d, char **target, bool program)
{
	const char *scenario = getenv("MCP_CONFORMANCE_SCENARIO");
	int r;

	if (scenario != NULL)
		conformance_era(d);
	if (open_client(d) < 0)
		return 1;
	r = program ? open_program(d, target) : open_http(d, target[0]);
	if (r == 0)
		r = mcp_client_start(d->client);
	if (r == 0)
		wait_for(d, &d->ready);
	if (d->ready && scenario != NULL)
		play(d, scenario);
	for (int i = 0; d->ready && i < d->n_actions; i++)
		act(d, d->actions[i]);
	close_all(d);
	return d->ready && d->n_errors == 0 ? 0 : 1;
}

static int read_options(struct driver *d, int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--no-discover") == 0)
			d->no_discover = true;
		else if (strcmp(argv[i], "--sse") == 0)
			d->sse = true;
		else if (i + 1 == argc)
			return argc;
		else if (strcmp(argv[i], "--era") == 0)
			d->era = strcmp(argv[++i], "modern") == 0
					 ? MCP_ERA_MODERN
					 : MCP_ERA_LEGACY;
		else if (strcmp(argv[i], "--header") == 0 &&
			 d->n_headers < HEADERS_MAX)
			d->headers[d->n_headers++] = argv[++i];
		else if (strcmp(argv[i], "--do") == 0 &&
			 d->n_actions < ACTIONS_MAX)
			d->actions[d->n_actions++] = argv[++i];
	return i;
}

int main(int argc, char **argv)
{
	struct driver d = {0};
	int i = read_options(&d, argc, argv);
	bool program = i < argc && strcmp(argv[i], "--") == 0;

	if (i + program >= argc) {
		fprintf(stderr, "usage: mcp_client [OPTION...] URL\n"
				"       mcp_client [OPTION...] -- COMMAND\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	setlinebuf(stdout);
	if (uv_loop_init(&d.loop) < 0)
		return 1;
	return run(&d, argv + i + program, program);
}
