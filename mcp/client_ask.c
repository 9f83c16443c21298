// SPDX-License-Identifier: Apache-2.0
/*
 * client_ask.c - Questions of the server to the one who uses it
 *
 * In the legacy era they are requests of the server; which of ours one belongs
 * to is not known, so all wait while one is open.  In the modern era they come
 * in a result of type input_required; when the owner has answered all of them
 * the request is sent again with the answers.
 */
#include <assert.h>
#include <string.h>

#include "mcp/client_impl.h"

static const struct jv absent = {.i = -1};

static void free_question(struct client_question *q)
{
	free(q->token);
	free(q);
}

static struct client_question *find_question(struct mcp_client *c, int64_t id)
{
	struct client_question *q;

	TAILQ_FOREACH (q, &c->questions, link)
		if (q->id == id)
			return q;
	return NULL;
}

/* @token is taken over on success. */
static struct client_question *
add_question(struct mcp_client *c, struct client_call *call, char *token)
{
	struct client_question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->id = c->next_id++;
	q->call = call;
	q->token = token;
	TAILQ_INSERT_TAIL(&c->questions, q, link);
	c->n_questions++;
	if (call == NULL)
		c->n_server_requests++;
	return q;
}

/* Take it out of the list; the caller frees it. */
static void take_out(struct mcp_client *c, struct client_question *q)
{
	struct client_call *call;

	TAILQ_REMOVE(&c->questions, q, link);
	c->n_questions--;
	if (q->call != NULL || --c->n_server_requests > 0)
		return;
	TAILQ_FOREACH (call, &c->calls, link)
		client_resume(call);
}

static void tell_gone(struct mcp_client *c, struct client_question *q)
{
	int64_t id = q->id;

	take_out(c, q);
	free_question(q);
	if (c->events->request_gone != NULL)
		c->events->request_gone(c, id, c->arg);
}

void client_drop_questions(struct mcp_client *c, const struct client_call *call)
{
	struct client_question *q;

	while (!c->closing) {
		TAILQ_FOREACH (q, &c->questions, link)
			if (q->call == call)
				break;
		if (q == NULL)
			return;
		tell_gone(c, q);
	}
}

void client_free_questions(struct mcp_client *c)
{
	struct client_question *q;

	while ((q = TAILQ_FIRST(&c->questions)) != NULL) {
		TAILQ_REMOVE(&c->questions, q, link);
		free_question(q);
	}
}

/*
 * The legacy era.
 */

static char *copy_raw(struct jv v)
{
	size_t len;
	const char *text = jv_raw(v, &len);

	return strndup(text, len);
}

static void refuse(struct mcp_client *c, const struct rpc_msg *m, int code,
		   const char *message)
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	(void)rpc_reply_error(c->rpc, id, len, code, message, NULL);
}

static void pass_on(struct mcp_client *c, const struct rpc_msg *m)
{
	struct mcp_question told = {.method = m->method, .params = m->params};
	char *id = copy_raw(m->id);
	const struct client_question *q;
	struct client_call *call;

	q = id ? add_question(c, NULL, id) : NULL;
	if (q == NULL) {
		free(id);
		refuse(c, m, RPC_INTERNAL, "out of memory");
		return;
	}
	TAILQ_FOREACH (call, &c->calls, link)
		client_pause(call);
	told.id = q->id;
	c->events->request(c, &told, c->arg);
}

void client_on_request(struct mcp_client *c, const struct rpc_msg *m)
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	if (jv_eq(m->method, "ping"))
		(void)rpc_reply(c->rpc, id, len, "{}");
	else if (c->facts.era != MCP_ERA_LEGACY || c->events->request == NULL)
		refuse(c, m, RPC_METHOD_NOT_FOUND, "method not found");
	else if (c->n_questions >= MCP_QUESTIONS_MAX)
		refuse(c, m, RPC_INTERNAL, "too many requests are open");
	else
		pass_on(c, m);
}

void client_on_cancelled(struct mcp_client *c, const struct rpc_msg *m)
{
	struct jv id = jv_get(m->params, "requestId");
	struct client_question *q;
	size_t len;
	const char *raw = jv_raw(id, &len);

	if (raw == NULL)
		return;
	TAILQ_FOREACH (q, &c->questions, link)
		if (q->call == NULL && strlen(q->token) == len &&
		    memcmp(q->token, raw, len) == 0)
			break;
	if (q != NULL)
		tell_gone(c, q);
}

/*
 * The modern era.
 */

static void send_again(struct client_call *call)
{
	int r;

	if (call->responses.len > 0)
		jw_obj_end(&call->responses);
	client_resume(call);
	r = call->responses.failed ? -ENOMEM : client_send(call);
	if (r < 0)
		client_fail(call, r);
}

/* Make the questions of @requests; nobody is told yet. */
static int add_round(struct client_call *call, struct jv requests)
{
	struct mcp_client *c = call->client;

	if (jv_count(requests) + c->n_questions > MCP_QUESTIONS_MAX)
		return -EPROTO;
	for (struct jv k = jv_first(requests); jv_has(k);
	     k = jv_next(requests, k)) {
		char *key;
		size_t len;

		if (!jv_is(jv_get(jv_value(k), "method"), JV_STRING))
			return -EPROTO;
		key = jv_strdup(k, &len);
		if (key == NULL || add_question(c, call, key) == NULL) {
			free(key);
			return -ENOMEM;
		}
		if (strlen(key) != len)
			return -EPROTO;
		call->n_questions++;
	}
	return 0;
}

/* Forget the questions of a round that nobody was told of. */
static void undo_round(struct mcp_client *c, const struct client_call *call)
{
	struct client_question *q, *next;

	for (q = TAILQ_FIRST(&c->questions); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->call != call)
			continue;
		take_out(c, q);
		free_question(q);
	}
}

static int begin_round(struct client_call *call, struct jv requests,
		       struct jv state)
{
	if (++call->rounds > MCP_ROUNDS_MAX)
		return -ELOOP;
	if ((jv_has(requests) && !jv_is(requests, JV_OBJECT)) ||
	    (jv_has(state) && !jv_is(state, JV_STRING)))
		return -EPROTO;
	if (!jv_has(requests) && !jv_has(state))
		return -EPROTO;
	if (jv_count(requests) > 0 && call->client->events->request == NULL)
		return -EPROTO; /* We have not said that we could answer. */
	jw_reset(&call->responses);
	free(call->state);
	call->state = NULL;
	call->n_questions = 0;
	if (jv_has(state) && (call->state = copy_raw(state)) == NULL)
		return -ENOMEM;
	return add_round(call, requests);
}

/* The oldest question of @call after @id; NULL when there is none. */
static struct client_question *
next_question(struct mcp_client *c, const struct client_call *call, int64_t id)
{
	struct client_question *q;

	TAILQ_FOREACH (q, &c->questions, link)
		if (q->call == call && q->id > id)
			return q;
	return NULL;
}

/* The callbacks may answer at once, cancel the request, free the client. */
static void tell_round(struct mcp_client *c, int64_t handle, struct jv requests)
{
	int64_t last = c->next_id - 1, seen = 0;

	while (!c->closing) {
		const struct client_call *call = client_find_call(c, handle);
		const struct client_question *q =
			call ? next_question(c, call, seen) : NULL;
		struct mcp_question told;
		struct jv asked;

		if (q == NULL || q->id > last)
			return;
		asked = jv_get(requests, q->token);
		seen = q->id;
		told = (struct mcp_question){
			.id = q->id,
			.handle = handle,
			.method = jv_get(asked, "method"),
			.params = jv_get(asked, "params"),
		};
		c->events->request(c, &told, c->arg);
	}
}

void client_ask(struct client_call *call, struct jv result)
{
	struct mcp_client *c = call->client;
	struct jv requests = jv_get(result, "inputRequests");
	int r = begin_round(call, requests, jv_get(result, "requestState"));

	if (r < 0) {
		undo_round(c, call);
		client_fail(call, r);
	} else if (call->n_questions == 0) {
		send_again(call);
	} else {
		client_pause(call);
		tell_round(c, call->handle, requests);
	}
}

/*
 * Answers of the owner.
 */

static void answer_round(struct client_call *call, const char *key,
			 const char *result)
{
	if (call->responses.len == 0)
		jw_obj(&call->responses);
	jw_kraw(&call->responses, key, result);
	if (--call->n_questions == 0)
		send_again(call);
}

int mcp_client_reply(struct mcp_client *c, int64_t id, const char *result)
{
	struct client_question *q = find_question(c, id);
	int r = 0;

	if (q == NULL || c->closing)
		return -ENOENT;
	take_out(c, q);
	if (q->call != NULL)
		answer_round(q->call, q->token, result);
	else
		r = rpc_reply(c->rpc, q->token, strlen(q->token), result);
	free_question(q);
	return r;
}

/* There is no way to tell the server: the request ends with this error. */
static int fail_round(struct client_call *call, int code, const char *message,
		      const char *data)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};

	rpc_write_error(&w, code, message, data);
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0) {
		client_fail(call, -ENOMEM);
		return -ENOMEM;
	}
	client_finish(call, -EREMOTEIO, absent, json_root(&j));
	return 0;
}

int mcp_client_reply_error(struct mcp_client *c, int64_t id, int code,
			   const char *message, const char *data)
{
	struct client_question *q = find_question(c, id);
	int r;

	if (q == NULL || c->closing)
		return -ENOENT;
	take_out(c, q);
	if (q->call != NULL)
		r = fail_round(q->call, code, message, data);
	else
		r = rpc_reply_error(c->rpc, q->token, strlen(q->token), code,
				    message, data);
	free_question(q);
	return r;
}
