// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_upstream.c - One MCP server of one session, wherever it runs
 *
 * What all kinds of servers have in common: the state, the requests that wait or
 * are on their way, and the list of tools, which is read after each handshake and
 * again whenever the server says that it has changed.
 *
 * A request lives in u->calls from upstream_ask() to its end, which is told from
 * upstream_end_call() and nowhere else.
 */
#include "guest/mcp_upstream.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <string.h>

#include "core/hex.h"

#define tell(u, event, ...)                                                    \
	do {                                                                   \
		if ((u)->owner != NULL && (u)->owner->event != NULL)           \
			(u)->owner->event((u), ##__VA_ARGS__, (u)->owner_arg); \
		if ((u)->user != NULL && (u)->user->event != NULL)             \
			(u)->user->event((u), ##__VA_ARGS__, (u)->user_arg);   \
	} while (0)

static const char *const state_names[] = {
	[UPSTREAM_OFF] = "off",	    [UPSTREAM_STARTING] = "starting",
	[UPSTREAM_READY] = "ready", [UPSTREAM_STOPPING] = "stopping",
	[UPSTREAM_DOWN] = "down",
};

static const unsigned moves[] = {
	[UPSTREAM_OFF] = BIT(UPSTREAM_STARTING),
	[UPSTREAM_STARTING] = BIT(UPSTREAM_STARTING) | BIT(UPSTREAM_READY) |
			      BIT(UPSTREAM_DOWN) | BIT(UPSTREAM_OFF),
	[UPSTREAM_READY] = BIT(UPSTREAM_STARTING) | BIT(UPSTREAM_STOPPING) |
			   BIT(UPSTREAM_DOWN),
	[UPSTREAM_STOPPING] = BIT(UPSTREAM_OFF),
	[UPSTREAM_DOWN] = BIT(UPSTREAM_STARTING),
};

static void move(struct upstream *u, enum upstream_state next)
{
	assert(moves[u->state] & BIT(next));
	u->state = next;
}

const char *upstream_state_name(enum upstream_state state)
{
	return state_names[state];
}

void upstream_init(struct upstream *u, const struct mcp_spec *spec,
		   const struct upstream_ops *ops)
{
	*u = (struct upstream){.ops = ops, .spec = spec};
	TAILQ_INIT(&u->calls);
}

/*
 * Requests.
 */

static void call_free(struct upstream_call *c)
{
	TAILQ_REMOVE(&c->upstream->calls, c, link);
	c->upstream->n_calls--;
	free(c->method);
	free(c->params);
	free(c->list);
	free(c);
}

void upstream_end_call(struct upstream_call *c, const struct upstream_answer *a)
{
	const struct upstream_request q = c->q;
	bool forgotten = c->forgotten;

	call_free(c);
	if (!forgotten)
		q.done(a, q.arg);
}

static void fail_call(struct upstream_call *c, const char *why)
{
	upstream_end_call(c, &(const struct upstream_answer){
				     .status = -EPIPE,
				     .result = {.i = -1},
				     .error = {.i = -1},
				     .why = why,
			     });
}

static struct upstream_call *first_waiting(const struct upstream *u)
{
	struct upstream_call *c;

	TAILQ_FOREACH (c, &u->calls, link)
		if (!c->sent)
			break;
	return c;
}

/* Those that wait now: the end of one may begin another. */
static void fail_waiting(struct upstream *u, const char *why)
{
	uint64_t last = u->last_call;
	struct upstream_call *c;

	while ((c = first_waiting(u)) != NULL && c->n <= last)
		fail_call(c, why);
}

static int send_call(struct upstream_call *c, struct err *e)
{
	c->sent = true;
	return c->upstream->ops->send(c->upstream, c, e);
}

static void send_waiting(struct upstream *u)
{
	struct upstream_call *c;
	struct err e = {0};

	while (u->state == UPSTREAM_READY && (c = first_waiting(u)) != NULL)
		if (send_call(c, &e) < 0)
			fail_call(c, e.msg);
}

/* Own what *io points at, if anything, by *out.  Return: false: no memory. */
static bool copy(const char **io, char **out)
{
	if (*io == NULL)
		return true;
	*io = *out = strdup(*io);
	return *out != NULL;
}

static struct upstream_call *call_new(struct upstream *u,
				      const struct upstream_request *q)
{
	struct upstream_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->upstream = u;
	c->n = ++u->last_call;
	c->q = *q;
	if (c->q.timeout_ms == 0)
		c->q.timeout_ms = u->spec->call_ms;
	if (c->q.max_ms == 0)
		c->q.max_ms = u->spec->max_call_ms;
	TAILQ_INSERT_TAIL(&u->calls, c, link);
	u->n_calls++;
	if (copy(&c->q.method, &c->method) && copy(&c->q.params, &c->params) &&
	    copy(&c->q.list, &c->list))
		return c;
	call_free(c);
	return NULL;
}

int upstream_start(struct upstream *u, struct err *e)
{
	if (u->state != UPSTREAM_OFF && u->state != UPSTREAM_DOWN)
		return 0;
	if (u->over)
		return err_set(e, -EPIPE, "its session is ending");
	return u->ops->start(u, e);
}

void upstream_want(struct upstream *u)
{
	struct err e = {0};

	(void)upstream_start(u, &e);
}

int upstream_ask(struct upstream *u, const struct upstream_request *q,
		 struct upstream_call **out, struct err *e)
{
	struct upstream_call *c;
	struct err why = {0};

	if (u->n_calls >= UPSTREAM_CALLS_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "mcp server %s: %d requests are open",
			       u->spec->name, UPSTREAM_CALLS_MAX);
	if (upstream_start(u, &why) < 0)
		return err_set(e, -EPIPE, "mcp server %s: %s", u->spec->name,
			       why.msg);
	c = call_new(u, q);
	if (c == NULL)
		return err_set(e, -ENOMEM, "mcp server %s: out of memory",
			       u->spec->name);
	if (u->state == UPSTREAM_READY && send_call(c, e) < 0) {
		call_free(c);
		return e != NULL ? e->code : -EPIPE;
	}
	*out = c;
	return 0;
}

void upstream_forget(struct upstream_call *c, const char *reason)
{
	struct upstream *u = c->upstream;

	c->forgotten = true;
	if (c->sent)
		u->ops->cancel(u, c, reason);
	else
		call_free(c);
}

/*
 * The other things that are said.
 */

void upstream_listen(struct upstream *u, const struct upstream_events *ev,
		     void *arg)
{
	u->user = ev;
	u->user_arg = arg;
}

void upstream_notify(struct upstream *u, const char *method, const char *params)
{
	if (u->state == UPSTREAM_READY && u->ops->notify != NULL)
		u->ops->notify(u, method, params);
}

void upstream_reply(struct upstream *u, int64_t id, const char *result)
{
	if (u->state == UPSTREAM_READY && u->ops->reply != NULL)
		u->ops->reply(u, id, result, 0, NULL, NULL);
}

void upstream_reply_error(struct upstream *u, int64_t id, int code,
			  const char *message, const char *data)
{
	if (u->state == UPSTREAM_READY && u->ops->reply != NULL)
		u->ops->reply(u, id, NULL, code, message, data);
}

void upstream_tell(struct upstream *u, const struct rpc_msg *m)
{
	tell(u, notify, m);
}

void upstream_question(struct upstream *u, const struct upstream_question *q)
{
	if (u->user != NULL && u->user->request != NULL)
		u->user->request(u, q, u->user_arg);
	else
		upstream_reply_error(u, q->id, RPC_METHOD_NOT_FOUND,
				     "method not found", NULL);
}

void upstream_question_gone(struct upstream *u, int64_t id)
{
	if (u->user != NULL && u->user->request_gone != NULL)
		u->user->request_gone(u, id, u->user_arg);
}

void upstream_said(struct upstream *u, const char *line, size_t len,
		   unsigned dropped)
{
	tell(u, said, line, len, dropped);
}

/*
 * Tools.
 */

static void hash(const char *data, size_t n, char out[UPSTREAM_HASH_MAX])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, n, (const uint8_t *)data);
	sha256_digest(&ctx, sizeof(digest), digest);
	hex_encode(digest, sizeof(digest), out);
}

/* Return: whether they are others than before. */
static bool keep_tools(struct upstream *u, const char *json, size_t len)
{
	char sum[UPSTREAM_HASH_MAX];
	char *copy;

	hash(json, len, sum);
	if (strcmp(sum, u->tools_hash) == 0)
		return false;
	copy = strndup(json, len);
	if (copy == NULL)
		return false;
	free(u->tools);
	u->tools = copy;
	u->tools_len = len;
	strcpy(u->tools_hash, sum);
	return true;
}

/* Ready is told before anything that waits is sent: who uses it may say
 * something first. */
void upstream_tools(struct upstream *u, const char *json, size_t len)
{
	static const char none[] = "[]";
	bool any = json != NULL && len <= UPSTREAM_TOOLS_MAX;
	bool fresh = any ? keep_tools(u, json, len)
			 : keep_tools(u, none, sizeof(none) - 1);

	if (u->state == UPSTREAM_STARTING) {
		move(u, UPSTREAM_READY);
		u->n_ready++;
		tell(u, ready, fresh);
		send_waiting(u);
	} else if (u->state == UPSTREAM_READY && fresh) {
		tell(u, changed, "tools");
	}
}

void upstream_info_done(struct upstream_info *info)
{
	free(info->server);
	free(info->capabilities);
	free(info->instructions);
	*info = (struct upstream_info){0};
}

void upstream_shook_hands(struct upstream *u, struct upstream_info *info)
{
	upstream_info_done(&u->info);
	u->info = *info;
	*info = (struct upstream_info){0};
	u->ops->list_tools(u);
}

void upstream_list_changed(struct upstream *u, const char *kind)
{
	if (u->state != UPSTREAM_READY)
		return;
	if (strcmp(kind, "tools") == 0)
		u->ops->list_tools(u);
	else
		tell(u, changed, kind);
}

/*
 * Beginning and end.
 */

void upstream_starting(struct upstream *u)
{
	move(u, UPSTREAM_STARTING);
	tell(u, starting);
}

void upstream_stopping(struct upstream *u)
{
	move(u, UPSTREAM_STOPPING);
}

/* The state is told first: a request that is made again by who hears of its end
 * finds it. */
void upstream_exited(struct upstream *u, const struct upstream_end *end,
		     enum upstream_state next)
{
	struct err e = {0};

	assert(u->state == UPSTREAM_READY || u->state == UPSTREAM_STOPPING);
	move(u, next);
	u->pid = 0;
	tell(u, exited, end);
	if (next == UPSTREAM_DOWN)
		fail_waiting(u, end->why.msg);
	else if (u->state == UPSTREAM_OFF && !TAILQ_EMPTY(&u->calls) &&
		 upstream_start(u, &e) < 0)
		fail_waiting(u, e.msg);
}

void upstream_failed(struct upstream *u, const struct upstream_end *end,
		     enum upstream_state next)
{
	assert(u->state == UPSTREAM_STARTING);
	move(u, next);
	u->pid = 0;
	tell(u, failed, end);
	if (next != UPSTREAM_STARTING)
		fail_waiting(u, end->why.msg);
}

void upstream_done(struct upstream *u)
{
	while (!TAILQ_EMPTY(&u->calls))
		call_free(TAILQ_FIRST(&u->calls));
	free(u->tools);
	u->tools = NULL;
	u->owner = u->user = NULL;
	upstream_info_done(&u->info);
}
