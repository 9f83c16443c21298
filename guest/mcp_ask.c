// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_ask.c - What servers ask back
 *
 * Who is asked: the client whose request the question is about; where the server
 * does not say which, the one with the newest request to it.  Only a client of the
 * legacy era can be asked in the middle of a request, and only for what it offers.
 * What remains of elicitations goes to the user.  A question that ends without an
 * answer is one that was cancelled.
 */
#include <stdio.h>
#include <string.h>

#include "guest/mcp_gateway_impl.h"

#define CANCELLED "{\"action\":\"cancel\"}"

struct mcp_asked {
	TAILQ_ENTRY(mcp_asked) link;
	struct mcp_gateway *gateway;
	struct upstream *upstream;
	int64_t id; /* Its question. */
	bool elicitation;
	struct mcp_conn *conn; /* Of the client, or NULL: the user. */
	int64_t call;
	void *user; /* NULL: the user has answered in the asking. */
};

static void asked_free(struct mcp_asked *a)
{
	TAILQ_REMOVE(&a->gateway->asked, a, link);
	free(a);
}

static char *copy_raw(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return raw == NULL ? NULL : strndup(raw, len);
}

/*
 * Roots.
 */

/* file:// and the path, with what is not plain in a URI as %XX.
 * Return: NULL when memory is out. */
static char *file_uri(const char *path)
{
	static const char plain[] = "/-._~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char *uri = malloc(sizeof("file://") + 3 * strlen(path));
	char *at = uri;

	if (uri == NULL)
		return NULL;
	at += sprintf(at, "file://");
	for (; *path != '\0'; path++)
		at += sprintf(at, strchr(plain, *path) ? "%c" : "%%%02X",
			      (unsigned char)*path);
	return uri;
}

static void answer_roots(const struct mcp_gateway *g, struct upstream *u,
			 int64_t id)
{
	const char *name = strrchr(g->spec.cwd, '/');
	autofree char *uri = file_uri(g->spec.cwd);
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "roots");
	jw_arr(&w);
	jw_obj(&w);
	jw_kstr(&w, "uri", uri);
	jw_kstr(&w, "name", name != NULL && name[1] ? name + 1 : g->spec.cwd);
	jw_obj_end(&w);
	jw_arr_end(&w);
	jw_obj_end(&w);
	if (uri == NULL || w.failed)
		upstream_reply_error(u, id, RPC_INTERNAL, "out of memory",
				     NULL);
	else
		upstream_reply(u, id, w.buf);
}

/*
 * Clients.
 */

static void asked_on_answer(const struct rpc_answer *an, void *arg)
{
	struct mcp_asked *a = arg;
	autofree char *text = NULL, *message = NULL;

	if (an->status == 0) {
		text = copy_raw(an->result);
		upstream_reply(a->upstream, a->id, text ? text : "{}");
	} else if (an->status == -EREMOTEIO) {
		message = jv_strdup(jv_get(an->error, "message"), NULL);
		text = copy_raw(jv_get(an->error, "data"));
		upstream_reply_error(
			a->upstream, a->id,
			(int)jv_int(jv_get(an->error, "code"), RPC_INTERNAL),
			message ? message : "the client refused", text);
	} else if (a->elicitation) {
		upstream_reply(a->upstream, a->id, CANCELLED);
	} else {
		upstream_reply_error(a->upstream, a->id, RPC_INTERNAL,
				     "the client has gone", NULL);
	}
	asked_free(a);
}

/* Does the client of that request take such a question? */
static bool offers(const struct mcp_request *q, bool elicitation,
		   struct jv params)
{
	struct jv caps;

	if (q == NULL || q->conn == NULL || q->era == MCP_ERA_MODERN)
		return false;
	caps = mcp_conn_client_caps(q->conn);
	if (!elicitation)
		return jv_is(jv_get(caps, "sampling"), JV_OBJECT);
	if (jv_eq(jv_get(params, "mode"), "url"))
		return jv_is(jv_path(caps, "elicitation.url"), JV_OBJECT);
	return jv_is(jv_get(caps, "elicitation"), JV_OBJECT);
}

static bool ask_client(struct mcp_asked *a, const struct mcp_request *q,
		       const struct upstream_question *uq)
{
	autofree char *method = jv_strdup(uq->method, NULL);
	autofree char *params = copy_raw(uq->params);

	if (method == NULL)
		return false;
	a->conn = q->conn;
	a->call = mcp_conn_call(q->conn, q, method, params, 0, asked_on_answer,
				a);
	return a->call >= 0;
}

/*
 * The user.
 */

static void asked_on_user(const char *result, void *arg)
{
	struct mcp_asked *a = arg;

	upstream_reply(a->upstream, a->id, result);
	asked_free(a);
}

static void ask_user(struct mcp_asked *a, const struct upstream_question *uq)
{
	struct mcp_gateway *g = a->gateway;
	struct upstream *u = a->upstream;
	int64_t id = a->id;
	const struct mcp_user_question q = {
		.params = uq->params, .done = asked_on_user, .arg = a};
	struct err e = {0};

	/* It may be answered, and @a gone, when this returns. */
	if (g->spec.ask(&q, &a->user, g->spec.arg, &e) == 0)
		return;
	asked_free(a);
	upstream_reply_error(u, id, RPC_INVALID_PARAMS, e.msg, NULL);
}

/*
 * Both.
 */

static struct mcp_asked *asked_new(struct mcp_gateway *g, struct upstream *u,
				   int64_t id)
{
	struct mcp_asked *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->gateway = g;
	a->upstream = u;
	a->id = id;
	TAILQ_INSERT_TAIL(&g->asked, a, link);
	return a;
}

static void ask_somebody(struct mcp_gateway *g, struct upstream *u,
			 const struct upstream_question *uq)
{
	const struct mcp_request *q = mcp_relay_about(g, u, uq->call);
	bool elicitation = jv_eq(uq->method, "elicitation/create");
	bool client = offers(q, elicitation, uq->params);
	struct mcp_asked *a =
		client || elicitation ? asked_new(g, u, uq->id) : NULL;

	if (a == NULL) {
		upstream_reply_error(u, uq->id, RPC_METHOD_NOT_FOUND,
				     "nobody can answer that", NULL);
		return;
	}
	a->elicitation = elicitation;
	if (client && ask_client(a, q, uq))
		return;
	a->conn = NULL;
	if (elicitation) {
		ask_user(a, uq);
		return;
	}
	asked_free(a);
	upstream_reply_error(u, uq->id, RPC_INTERNAL, "out of memory", NULL);
}

/* A shared server's questions are no session's, but for those that it says
 * belong to a request of it. */
void mcp_ask_back(struct mcp_gateway *g, struct upstream *u,
		  const struct upstream_question *q)
{
	bool about_us = !u->spec->shared || q->call != NULL;

	if (about_us && jv_eq(q->method, "roots/list"))
		answer_roots(g, u, q->id);
	else if (about_us && (jv_eq(q->method, "elicitation/create") ||
			      jv_eq(q->method, "sampling/createMessage")))
		ask_somebody(g, u, q);
	else
		upstream_reply_error(u, q->id, RPC_METHOD_NOT_FOUND,
				     "method not found", NULL);
}

/* Tell the client or the user that it is over, and forget it. */
static void withdraw(struct mcp_asked *a)
{
	autojw struct jw w = {0};

	if (a->conn == NULL) {
		a->gateway->spec.forget(a->user, a->gateway->spec.arg);
		asked_free(a);
		return;
	}
	mcp_conn_forget(a->conn, a->call);
	jw_obj(&w);
	jw_kint(&w, "requestId", a->call);
	jw_obj_end(&w);
	if (!w.failed)
		(void)mcp_conn_notify(a->conn, NULL, "notifications/cancelled",
				      w.buf);
	asked_free(a);
}

void mcp_ask_gone(struct mcp_gateway *g, struct upstream *u, int64_t id)
{
	struct mcp_asked *a;

	TAILQ_FOREACH (a, &g->asked, link)
		if (a->upstream == u && a->id == id) {
			withdraw(a);
			return;
		}
}

void mcp_asks_drop(struct mcp_gateway *g)
{
	struct mcp_asked *a;

	while ((a = TAILQ_FIRST(&g->asked)) != NULL)
		withdraw(a);
}
