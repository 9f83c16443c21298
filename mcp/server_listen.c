// SPDX-License-Identifier: Apache-2.0
/*
 * server_listen.c - Subscriptions of modern clients, news for legacy ones
 *
 * A subscriptions/listen request stays open.  It is acknowledged at once with
 * what of its wishes the server can fulfil by its capabilities; whatever is sent
 * for it names its id.  A client that cancels it gets its result.
 */
#include <stdio.h>
#include <string.h>

#include "mcp/server.h"
#include "mcp/server_impl.h"

/* What has a list, its wish and its notification. */
static const struct kind {
	const char *name, *wish, *method;
} kinds[] = {
	{"tools", "toolsListChanged", "notifications/tools/list_changed"},
	{"prompts", "promptsListChanged", "notifications/prompts/list_changed"},
	{"resources", "resourcesListChanged",
	 "notifications/resources/list_changed"},
};

/* The values live in the request's document. */
struct mcp_listen {
	unsigned kinds; /* Bits: the index in `kinds`. */
	struct jv uris; /* Array, or absent. */
};

void mcp_listen_free(struct mcp_listen *l)
{
	free(l);
}

static bool capability(const struct mcp_server *s, const char *name,
		       const char *flag)
{
	struct jv cap = jv_get(json_root(&s->caps), name);

	return jv_bool(jv_get(cap, flag), false);
}

static void put_subscription(struct jw *w, const struct mcp_request *q)
{
	jw_key(w, "_meta");
	jw_obj(w);
	jw_kvalue(w, MCP_META_SUBSCRIPTION, q->id);
	jw_obj_end(w);
}

static void acknowledge(struct mcp_request *q)
{
	const struct mcp_listen *l = q->listen;
	struct jw *w = mcp_send_begin(q->conn);

	jw_kstr(w, "method", "notifications/subscriptions/acknowledged");
	jw_key(w, "params");
	jw_obj(w);
	put_subscription(w, q);
	jw_key(w, "notifications");
	jw_obj(w);
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (l->kinds & BIT(i))
			jw_kbool(w, kinds[i].wish, true);
	if (jv_has(l->uris))
		jw_kvalue(w, "resourceSubscriptions", l->uris);
	jw_obj_end(w);
	jw_obj_end(w);
	(void)mcp_send(q->conn, q);
}

/* Return: NULL, or what is wrong with the wishes. */
static const char *read_wishes(const struct mcp_server *s, struct jv wants,
			       struct mcp_listen *l)
{
	struct jv uris = jv_get(wants, "resourceSubscriptions");

	*l = (struct mcp_listen){.uris = {.i = -1}};
	if (!jv_is(wants, JV_OBJECT))
		return "params.notifications is no object";
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (jv_bool(jv_get(wants, kinds[i].wish), false) &&
		    capability(s, kinds[i].name, "listChanged"))
			l->kinds |= BIT(i);
	if (!jv_has(uris))
		return NULL;
	if (!jv_is(uris, JV_ARRAY) || jv_count(uris) > MCP_LISTEN_URIS_MAX)
		return "params.notifications.resourceSubscriptions is no list "
		       "of at most 256";
	if (capability(s, "resources", "subscribe"))
		l->uris = uris;
	return NULL;
}

void mcp_listen_begin(struct mcp_request *q)
{
	const struct mcp_server *s = q->conn->server;
	struct jv wants = jv_get(q->params, "notifications");
	struct mcp_listen l;
	const char *wrong = read_wishes(s, wants, &l);

	if (wrong != NULL) {
		mcp_reply_error(q, RPC_INVALID_PARAMS, wrong, NULL);
		return;
	}
	q->listen = malloc(sizeof(l));
	if (q->listen == NULL) {
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
		return;
	}
	*q->listen = l;
	acknowledge(q);
	if (s->ops->listen != NULL)
		s->ops->listen(q->conn, wants, s->arg);
}

void mcp_listen_end(struct mcp_request *q)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	put_subscription(&w, q);
	jw_obj_end(&w);
	mcp_reply_raw(q, w.failed ? "{}" : w.buf, w.failed ? 2 : w.len);
}

/* A notification of @method to the subscription @q, about @uri or nothing. */
static void tell(struct mcp_request *q, const char *method, const char *uri)
{
	struct jw *w = mcp_send_begin(q->conn);

	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_obj(w);
	put_subscription(w, q);
	if (uri != NULL)
		jw_kstr(w, "uri", uri);
	jw_obj_end(w);
	(void)mcp_send(q->conn, q);
}

void mcp_conn_list_changed(struct mcp_conn *c, const char *kind)
{
	struct mcp_request *q;
	unsigned i = 0;

	while (i < ARRAY_LEN(kinds) && strcmp(kinds[i].name, kind) != 0)
		i++;
	if (i == ARRAY_LEN(kinds))
		return;
	if (c->era == MCP_ERA_LEGACY && c->initialized &&
	    capability(c->server, kind, "listChanged"))
		(void)mcp_conn_notify(c, NULL, kinds[i].method, NULL);
	TAILQ_FOREACH (q, &c->requests, link)
		if (q->listen != NULL && q->listen->kinds & BIT(i))
			tell(q, kinds[i].method, NULL);
}

static bool listens_to(const struct mcp_listen *l, const char *uri)
{
	for (struct jv it = jv_first(l->uris); jv_has(it);
	     it = jv_next(l->uris, it))
		if (jv_eq(it, uri))
			return true;
	return false;
}

void mcp_conn_resource_updated(struct mcp_conn *c, const char *uri)
{
	static const char method[] = "notifications/resources/updated";
	autojw struct jw params = {0};
	struct mcp_request *q;

	if (c->era == MCP_ERA_LEGACY) {
		jw_obj(&params);
		jw_kstr(&params, "uri", uri);
		jw_obj_end(&params);
		if (!params.failed)
			(void)mcp_conn_notify(c, NULL, method, params.buf);
	}
	TAILQ_FOREACH (q, &c->requests, link)
		if (q->listen != NULL && listens_to(q->listen, uri))
			tell(q, method, uri);
}
