// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_subs.c - Subscriptions to resources
 *
 * A server is told of the first subscription to a resource and of the end of the
 * last one; a server that was started again, of all there are.  Updates go to
 * those clients that subscribed, whichever era they speak.
 */
#include <string.h>

#include "guest/limits.h"
#include "guest/mcp_gateway_impl.h"

struct mcp_sub {
	TAILQ_ENTRY(mcp_sub) link;
	struct mcp_peer *peer;
	struct upstream *upstream;
	char uri[];
};

static struct mcp_sub *find(const struct mcp_gateway *g,
			    const struct mcp_peer *p, const char *uri)
{
	struct mcp_sub *s;

	TAILQ_FOREACH (s, &g->subs, link)
		if ((p == NULL || s->peer == p) && strcmp(s->uri, uri) == 0)
			return s;
	return NULL;
}

static void tell_server(struct upstream *u, const char *method, const char *uri)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "uri", uri);
	jw_obj_end(&w);
	if (!w.failed)
		mcp_relay_unheard(u, method, w.buf);
}

static unsigned count(const struct mcp_peer *p)
{
	struct mcp_sub *s;
	unsigned n = 0;

	TAILQ_FOREACH (s, &p->front->gateway->subs, link)
		n += s->peer == p;
	return n;
}

/* Return: whether it is there now. */
static bool add(struct mcp_peer *p, struct upstream *u, const char *uri)
{
	struct mcp_gateway *g = p->front->gateway;
	size_t n = strlen(uri) + 1;
	struct mcp_sub *s;

	if (find(g, p, uri) != NULL)
		return true;
	s = count(p) < MCP_SUBS_MAX ? malloc(sizeof(*s) + n) : NULL;
	if (s == NULL)
		return false;
	s->peer = p;
	s->upstream = u;
	memcpy(s->uri, uri, n);
	TAILQ_INSERT_TAIL(&g->subs, s, link);
	return true;
}

static void drop(struct mcp_gateway *g, struct mcp_sub *s)
{
	TAILQ_REMOVE(&g->subs, s, link);
	if (find(g, NULL, s->uri) == NULL)
		tell_server(s->upstream, "resources/unsubscribe", s->uri);
	free(s);
}

/* The answer is the server's. */
void mcp_subscribe(struct mcp_front *f, struct mcp_request *q,
		   struct upstream *u)
{
	autofree char *uri = jv_strdup(jv_get(q->params, "uri"), NULL);

	if (uri != NULL && add(mcp_peer_of(q), u, uri)) {
		mcp_relay(f, q, u, NULL);
		return;
	}
	mcp_reply_error(q, RPC_INVALID_PARAMS,
			"no uri, or too many subscriptions", NULL);
	mcp_peer_answered(mcp_peer_of(q));
}

void mcp_unsubscribe(struct mcp_front *f, struct mcp_request *q)
{
	autofree char *uri = jv_strdup(jv_get(q->params, "uri"), NULL);
	struct mcp_peer *p = mcp_peer_of(q);
	struct mcp_sub *s = uri == NULL ? NULL : find(f->gateway, p, uri);

	if (s != NULL)
		drop(f->gateway, s);
	mcp_reply(q, NULL);
	mcp_peer_answered(p);
}

void mcp_subs_listen(struct mcp_peer *p, struct jv wants)
{
	struct jv uris = jv_get(wants, "resourceSubscriptions");

	for (struct jv it = jv_first(uris); jv_has(it);
	     it = jv_next(uris, it)) {
		autofree char *uri = jv_strdup(it, NULL);
		struct upstream *u = p->front->upstream;

		if (u == NULL)
			u = mcp_all_place(p->front, it);
		if (uri != NULL && u != NULL && add(p, u, uri))
			tell_server(u, "resources/subscribe", uri);
	}
}

void mcp_subs_end(struct mcp_peer *p)
{
	struct mcp_gateway *g = p->front->gateway;
	struct mcp_sub *s, *next;

	for (s = TAILQ_FIRST(&g->subs); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->peer == p)
			drop(g, s);
	}
}

void mcp_subs_renew(struct mcp_gateway *g, struct upstream *u)
{
	struct mcp_sub *s;

	TAILQ_FOREACH (s, &g->subs, link)
		if (s->upstream == u)
			tell_server(u, "resources/subscribe", s->uri);
}

void mcp_subs_updated(struct mcp_gateway *g, struct upstream *u,
		      struct jv params)
{
	autofree char *uri = jv_strdup(jv_get(params, "uri"), NULL);
	struct mcp_sub *s;

	if (uri == NULL)
		return;
	TAILQ_FOREACH (s, &g->subs, link)
		if (s->upstream == u && strcmp(s->uri, uri) == 0)
			mcp_conn_resource_updated(s->peer->conn, uri);
}
