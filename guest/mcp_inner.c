// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_inner.c - A server inside the daemon, as one of a session's MCP servers
 */
#include "guest/mcp_inner.h"

#include <stdio.h>
#include <string.h>

#include "guest/builtins.h"
#include "guest/mcp_builtin.h"
#include "mcp/proto.h"

struct mcp_inner {
	struct upstream up;
	const struct builtin *builtin; /* NULL: there is no such. */
	struct mcp_builtin *tools;     /* The same. */
	uv_idle_t idle; /* Runs while it is starting, or asked for its list. */
};

static struct mcp_inner *inner_of(struct upstream *u)
{
	return container_of(u, struct mcp_inner, up);
}

/*
 * Starting.
 */

static int write_server(const struct builtin *b, struct upstream_info *out)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "name", b->name);
	if (b->title != NULL)
		jw_kstr(&w, "title", b->title);
	jw_kstr(&w, "version", HIB_VERSION);
	jw_obj_end(&w);
	out->server = jw_take(&w, NULL);
	out->capabilities = strdup("{\"tools\":{\"listChanged\":true}}");
	if (b->instructions != NULL)
		out->instructions = strdup(b->instructions);
	return out->server == NULL || out->capabilities == NULL ? -ENOMEM : 0;
}

static struct upstream_call *first_list(const struct upstream *u)
{
	struct upstream_call *c;

	TAILQ_FOREACH (c, &u->calls, link)
		if (c->sent && c->q.list != NULL)
			break;
	return c;
}

/* Those who have asked for the tools, not waiting for news of them. */
static void answer_lists(struct mcp_inner *m)
{
	struct upstream_answer a = {.error = {.i = -1}};
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct upstream_call *c;

	mcp_builtin_list(m->tools, &w);
	a.status = w.failed ? -ENOMEM : json_parse(&j, w.buf, w.len, NULL);
	a.result = json_root(&j);
	while ((c = first_list(&m->up)) != NULL)
		upstream_end_call(c, &a);
}

static void become_ready(struct mcp_inner *m)
{
	struct upstream_info info = {.modern = true,
				     .version = MCP_MODERN_LATEST};
	struct upstream_end end = {0};

	if (m->builtin == NULL)
		err_set(&end.why, -ENOENT, "there is no builtin '%s'",
			m->up.spec->builtin);
	else if (write_server(m->builtin, &info) < 0)
		err_set(&end.why, -ENOMEM, "out of memory");
	if (end.why.code == 0) {
		upstream_shook_hands(&m->up, &info);
		return;
	}
	upstream_info_done(&info);
	upstream_failed(&m->up, &end, UPSTREAM_DOWN);
}

static void inner_on_idle(uv_idle_t *h)
{
	struct mcp_inner *m = container_of(h, struct mcp_inner, idle);

	(void)uv_idle_stop(h);
	if (m->up.state == UPSTREAM_STARTING)
		become_ready(m);
	if (m->up.state == UPSTREAM_READY)
		answer_lists(m);
}

static int inner_start(struct upstream *u, struct err *e)
{
	(void)e;
	upstream_starting(u);
	(void)uv_idle_start(&inner_of(u)->idle, inner_on_idle);
	return 0;
}

/* It has nothing to put away. */
static void inner_stop(struct upstream *u)
{
	(void)u;
}

static void inner_list_tools(struct upstream *u)
{
	autojw struct jw w = {0};

	mcp_builtin_list(inner_of(u)->tools, &w);
	if (!w.failed)
		upstream_tools(u, w.buf, w.len);
	else
		upstream_tools(u, NULL, 0);
}

/*
 * Calls.
 */

static void call_on_done(const char *result, size_t len, void *arg)
{
	struct upstream_answer a = {.error = {.i = -1}};
	autojson struct json j = {0};

	a.status = json_parse(&j, result, len, NULL);
	a.result = json_root(&j);
	if (a.status < 0)
		a.why = "its answer is too large";
	upstream_end_call(arg, &a);
}

static void call_on_progress(const char *params, void *arg)
{
	struct upstream_call *c = arg;
	autojson struct json j = {0};

	if (!c->forgotten && c->q.progress != NULL &&
	    json_parse(&j, params, strlen(params), NULL) == 0)
		c->q.progress(json_root(&j), c->q.arg);
}

static int inner_send(struct upstream *u, struct upstream_call *c,
		      struct err *e)
{
	const struct mcp_builtin_caller by = {call_on_done, call_on_progress,
					      c};
	autojson struct json j = {0};
	struct builtin_call *call;
	int r;

	if (c->q.list != NULL && strcmp(c->q.list, "tools") == 0) {
		(void)uv_idle_start(&inner_of(u)->idle, inner_on_idle);
		return 0;
	}
	if (c->q.list != NULL || strcmp(c->q.method, "tools/call") != 0)
		return err_set(e, -ENOTSUP, "%s has tools and nothing else",
			       u->spec->name);
	if (c->q.params == NULL ||
	    json_parse(&j, c->q.params, strlen(c->q.params), NULL) < 0)
		return err_set(e, -EINVAL, "params: no JSON, or no memory");
	r = mcp_builtin_call(inner_of(u)->tools, json_root(&j), &by, &call, e);
	if (r == 0)
		c->data = call;
	return r;
}

static void inner_cancel(struct upstream *u, struct upstream_call *c,
			 const char *reason)
{
	const struct upstream_answer a = {
		.status = -ECANCELED, .result = {.i = -1}, .error = {.i = -1}};

	(void)u;
	(void)reason;
	if (c->data != NULL)
		mcp_builtin_cancel(c->data);
	upstream_end_call(c, &a);
}

/*
 * Life.
 */

static void inner_on_closed(uv_handle_t *h)
{
	free(container_of(h, struct mcp_inner, idle));
}

static void inner_free(struct upstream *u)
{
	struct mcp_inner *m = inner_of(u);

	mcp_builtin_free(m->tools);
	upstream_done(u);
	uv_close((uv_handle_t *)&m->idle, inner_on_closed);
}

static const struct upstream_ops ops = {
	.start = inner_start,
	.stop = inner_stop,
	.send = inner_send,
	.cancel = inner_cancel,
	.list_tools = inner_list_tools,
	.free = inner_free,
};

struct upstream *mcp_inner_new(uv_loop_t *loop, const struct mcp_spec *spec,
			       struct session *s)
{
	struct mcp_inner *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->builtin = builtin_find(spec->builtin);
	if (m->builtin != NULL) {
		m->tools = mcp_builtin_new(loop, m->builtin, s);
		if (m->tools == NULL) {
			free(m);
			return NULL;
		}
	}
	upstream_init(&m->up, spec, &ops);
	(void)uv_idle_init(loop, &m->idle);
	return &m->up;
}
