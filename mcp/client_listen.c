// SPDX-License-Identifier: Apache-2.0
/*
 * client_listen.c - What the server tells unasked
 *
 * Legacy servers send notifications as they like.  A modern one is asked for
 * those of changed lists by subscriptions/listen, a request that stays open.
 * When it ends it is made again after a pause, and what may have been missed
 * meanwhile is told as changed.
 */
#include <string.h>

#include "mcp/client_impl.h"

#define LISTEN_PAUSE_MS	    1000
#define LISTEN_PAUSE_MAX_MS 60000

static void tell_changed(struct mcp_client *c, const char *kind)
{
	if (!c->closing && c->events->list_changed != NULL)
		c->events->list_changed(c, kind, c->arg);
}

/*
 * subscriptions/listen.
 */

static void put_listen(const struct client_listen *l, struct jw *w)
{
	jw_obj(w);
	jw_key(w, "notifications");
	jw_obj(w);
	if (l->tools)
		jw_kbool(w, "toolsListChanged", true);
	if (l->prompts)
		jw_kbool(w, "promptsListChanged", true);
	if (l->resources)
		jw_kbool(w, "resourcesListChanged", true);
	jw_obj_end(w);
	jw_obj_end(w);
}

static void listen_later(struct mcp_client *c)
{
	struct client_listen *l = &c->listen;

	l->handle = 0;
	l->again = client_after(c, l->pause_ms);
	l->pause_ms *= 2;
	if (l->pause_ms > LISTEN_PAUSE_MAX_MS)
		l->pause_ms = LISTEN_PAUSE_MAX_MS;
	client_wake_at(c, l->again);
}

static void listen_on_end(const struct mcp_answer *a, void *arg)
{
	struct mcp_client *c = arg;
	struct jv code = jv_get(a->error, "code");

	c->listen.handle = 0;
	if (c->closing || c->state != CLIENT_READY)
		return;
	if (a->status == -EREMOTEIO && jv_int(code, 0) == RPC_METHOD_NOT_FOUND)
		return; /* It never will. */
	listen_later(c);
}

static void listen_open(struct mcp_client *c)
{
	autojw struct jw w = {0};
	int64_t r = -ENOMEM;

	c->listen.again = NEVER;
	put_listen(&c->listen, &w);
	if (!w.failed)
		r = client_open_request(c, "subscriptions/listen", w.buf,
					listen_on_end);
	if (r < 0)
		listen_later(c);
	else
		c->listen.handle = r;
}

static bool announces(struct jv capabilities, const char *kind)
{
	return jv_bool(jv_get(jv_get(capabilities, kind), "listChanged"),
		       false);
}

void client_listen_begin(struct mcp_client *c)
{
	autojson struct json j = {0};
	struct client_listen *l = &c->listen;
	struct jv caps;

	if (c->facts.era != MCP_ERA_MODERN || !c->opts.listen)
		return;
	if (json_parse(&j, c->facts.capabilities, strlen(c->facts.capabilities),
		       NULL) < 0)
		return; /* Out of memory: the owner sees no changes. */
	caps = json_root(&j);
	l->tools = announces(caps, "tools");
	l->prompts = announces(caps, "prompts");
	l->resources = announces(caps, "resources");
	l->pause_ms = LISTEN_PAUSE_MS;
	if (l->tools || l->prompts || l->resources)
		listen_open(c);
}

void client_listen_on_timer(struct mcp_client *c)
{
	if (c->state == CLIENT_READY && c->listen.again <= client_now(c))
		listen_open(c);
}

static void on_acknowledged(struct mcp_client *c)
{
	struct client_listen *l = &c->listen;
	bool missed = l->was_open;

	if (l->handle == 0)
		return;
	l->pause_ms = LISTEN_PAUSE_MS;
	l->was_open = true;
	if (missed && l->tools)
		tell_changed(c, "tools");
	if (missed && l->prompts)
		tell_changed(c, "prompts");
	if (missed && l->resources)
		tell_changed(c, "resources");
}

/*
 * Notifications.
 */

static void on_progress(struct mcp_client *c, struct jv params)
{
	struct jv token = jv_get(params, "progressToken");
	struct client_call *call = client_find_call(c, jv_int(token, 0));

	if (call == NULL)
		return;
	/* Not while it waits for an answer of ours: then it has all the time
	 * that there is. */
	if (c->n_server_requests == 0 && call->n_questions == 0)
		client_resume(call);
	if (call->progress != NULL)
		call->progress(params, call->arg);
}

void client_on_notify(struct mcp_client *c, const struct rpc_msg *m)
{
	static const struct {
		const char *method, *kind;
	} changes[] = {
		{"notifications/tools/list_changed", "tools"},
		{"notifications/prompts/list_changed", "prompts"},
		{"notifications/resources/list_changed", "resources"},
	};

	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (jv_eq(m->method, changes[i].method)) {
			/* Before, nobody has seen a list. */
			if (c->state == CLIENT_READY)
				tell_changed(c, changes[i].kind);
			return;
		}
	if (jv_eq(m->method, "notifications/progress"))
		on_progress(c, m->params);
	else if (jv_eq(m->method, "notifications/cancelled"))
		client_on_cancelled(c, m);
	else if (jv_eq(m->method, "notifications/subscriptions/acknowledged"))
		on_acknowledged(c);
	else if (c->events->notify != NULL)
		c->events->notify(c, m, c->arg);
}
