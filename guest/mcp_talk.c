// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_talk.c - What an upstream has to say, by the client of mcp/
 *
 * When a conversation is lost its client goes first, and then its requests end,
 * one by one, while the upstream still counts as ready.  What their owners do at
 * that finds no client: new requests are refused, the rest is not said.
 */
#include "guest/mcp_talk.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"

#define LOG_COMPONENT "mcp"
#define LINE_KEEP     (64u << 10) /* Bytes of the buffer for a message. */

static struct mcp_talk *talk_of(struct upstream *u)
{
	return container_of(u, struct mcp_talk, up);
}

static void broken(struct mcp_talk *t, const char *why)
{
	if (!t->hushed)
		t->ops->broken(t, why);
}

/*
 * Requests.
 */

static const char *describe(const struct mcp_talk *t, int status)
{
	switch (status) {
	case -ETIMEDOUT:
		return "it did not answer in time";
	case -EPROTO:
		return "its answer makes no sense";
	case -ELOOP:
		return "it asked back too often";
	case -E2BIG:
		return "its list is too long";
	default:
		return t->why != NULL ? t->why : "it has ended";
	}
}

static void end_call(struct upstream_call *c, struct upstream_answer *a)
{
	struct mcp_talk *t = talk_of(c->upstream);

	t->used_ms = loop_now(t->loop);
	if (a->status != 0 && a->status != -EREMOTEIO)
		a->why = describe(t, a->status);
	upstream_end_call(c, a);
}

static void talk_on_answer(const struct mcp_answer *m, void *arg)
{
	struct upstream_answer a = {m->status, m->result, m->error, NULL};

	end_call(arg, &a);
}

static void talk_on_list(const struct mcp_list *m, void *arg)
{
	struct upstream_answer a = {m->status, {.i = -1}, m->error, NULL};
	autojson struct json j = {0};
	struct err e = {0};

	if (m->status == 0) {
		a.status = json_parse(&j, m->items, m->len, &e);
		a.result = json_root(&j);
	}
	end_call(arg, &a);
}

static void talk_on_progress(struct jv params, void *arg)
{
	struct upstream_call *c = arg;

	if (!c->forgotten)
		c->q.progress(params, c->q.arg);
}

static int64_t request(struct mcp_talk *t, struct upstream_call *c)
{
	const struct upstream_request *q = &c->q;

	if (q->list != NULL)
		return mcp_client_list(t->client, q->list,
				       (uint64_t)q->timeout_ms, talk_on_list,
				       c);
	return mcp_client_request(
		t->client,
		&(struct mcp_request_spec){
			.method = q->method,
			.params = q->params,
			.timeout_ms = (uint64_t)q->timeout_ms,
			.max_ms = (uint64_t)q->max_ms,
			.pass_input_required = q->pass_input_required,
			.progress =
				q->progress != NULL ? talk_on_progress : NULL,
			.done = talk_on_answer,
			.arg = c,
		});
}

int mcp_talk_send(struct upstream *u, struct upstream_call *c, struct err *e)
{
	struct mcp_talk *t = talk_of(u);
	int64_t r;

	if (t->client == NULL)
		return err_set(e, -EPIPE, "mcp server %s: %s", u->spec->name,
			       describe(t, -EPIPE));
	r = request(t, c);
	if (r < 0)
		return err_set(e, (int)r, "mcp server %s: %s", u->spec->name,
			       r == -EINVAL ? "the params are no object"
					    : strerror((int)-r));
	c->id = r;
	return 0;
}

/* A list has no handle; nobody hears of its end.  Without a client the request is
 * being ended already. */
void mcp_talk_cancel(struct upstream *u, struct upstream_call *c,
		     const char *reason)
{
	struct mcp_client *client = talk_of(u)->client;

	if (c->id > 0 && client != NULL)
		mcp_client_cancel(client, c->id, reason);
}

void mcp_talk_notify(struct upstream *u, const char *method, const char *params)
{
	struct mcp_client *c = talk_of(u)->client;

	if (c != NULL)
		(void)mcp_client_notify(c, method, params);
}

void mcp_talk_reply(struct upstream *u, int64_t id, const char *result,
		    int code, const char *message, const char *data)
{
	struct mcp_client *c = talk_of(u)->client;

	if (c == NULL)
		return;
	if (result != NULL)
		(void)mcp_client_reply(c, id, result);
	else
		(void)mcp_client_reply_error(c, id, code, message, data);
}

/*
 * Tools.
 */

static void list_tools(struct mcp_talk *t);

/* Here they are; the first time that makes it ready. */
static void take_tools(struct mcp_talk *t, const char *json, size_t len)
{
	if (t->up.state == UPSTREAM_STARTING) {
		t->used_ms = loop_now(t->loop);
		t->ops->ready(t);
	}
	upstream_tools(&t->up, json, len);
}

static void talk_on_tools(const struct mcp_list *m, void *arg)
{
	struct mcp_talk *t = arg;
	bool starting = t->up.state == UPSTREAM_STARTING;

	t->listing = false;
	if (t->freed || t->hushed)
		return;
	if (m->truncated)
		log_warn("%s: has more pages of tools than are read",
			 t->up.spec->name);
	if (m->status == 0)
		take_tools(t, m->items, m->len);
	else if (m->status == -EREMOTEIO && starting)
		take_tools(t, NULL, 0);
	else if (starting)
		broken(t, "its tools cannot be listed");
	if (t->list_again && !t->hushed)
		list_tools(t);
}

static void list_tools(struct mcp_talk *t)
{
	t->list_again = t->listing;
	if (t->listing)
		return;
	t->listing = mcp_client_list(t->client, "tools",
				     (uint64_t)t->up.spec->startup_ms,
				     talk_on_tools, t) >= 0;
	if (!t->listing && t->up.state == UPSTREAM_STARTING)
		broken(t, "its tools cannot be listed");
}

void mcp_talk_list_tools(struct upstream *u)
{
	struct mcp_talk *t = talk_of(u);

	if (t->has_tools)
		list_tools(t);
	else
		take_tools(t, NULL, 0);
}

/*
 * What it says.
 */

static void talk_on_send(const char *msg, size_t len, void *arg)
{
	struct mcp_talk *t = arg;

	if (t->hushed)
		return;
	jw_reset(&t->line);
	jw_lit(&t->line, msg, len);
	jw_lit(&t->line, "\n", 1);
	if (t->line.failed || t->ops->write(t, t->line.buf, t->line.len) < 0)
		broken(t, "it does not take what it is told");
	if (t->line.cap > LINE_KEEP)
		jw_done(&t->line);
}

static bool says_tools(const char *capabilities)
{
	autojson struct json j = {0};

	return json_parse(&j, capabilities, strlen(capabilities), NULL) == 0 &&
	       jv_is(jv_get(json_root(&j), "tools"), JV_OBJECT);
}

static char *copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static void talk_on_ready(struct mcp_client *c, void *arg)
{
	const struct mcp_server_facts *f = mcp_client_facts(c);
	struct mcp_talk *t = arg;
	struct upstream_info info = {
		.modern = f->era == MCP_ERA_MODERN,
		.server = copy(f->info),
		.capabilities = copy(f->capabilities),
		.instructions = copy(f->instructions),
	};

	if (t->hushed)
		goto unused;
	if (info.server == NULL || info.capabilities == NULL) {
		broken(t, "there is no memory for it");
		goto unused;
	}
	snprintf(info.version, sizeof(info.version), "%s", f->version);
	t->era = f->certain ? f->era : MCP_ERA_UNKNOWN;
	t->has_tools = says_tools(f->capabilities);
	upstream_shook_hands(&t->up, &info);
	return;
unused:
	upstream_info_done(&info);
}

static void talk_on_failed(struct mcp_client *c, const struct err *e, void *arg)
{
	struct mcp_talk *t = arg;

	(void)c;
	t->era = MCP_ERA_UNKNOWN;
	broken(t, e->msg);
}

static struct upstream_call *call_of(struct mcp_talk *t, int64_t handle)
{
	struct upstream_call *c;

	TAILQ_FOREACH (c, &t->up.calls, link)
		if (c->sent && c->id == handle && handle > 0)
			break;
	return c;
}

static void talk_on_question(struct mcp_client *c, const struct mcp_question *m,
			     void *arg)
{
	struct mcp_talk *t = arg;
	const struct upstream_question q = {
		.id = m->id,
		.call = call_of(t, m->handle),
		.method = m->method,
		.params = m->params,
	};

	(void)c;
	upstream_question(&t->up, &q);
}

static void talk_on_question_gone(struct mcp_client *c, int64_t id, void *arg)
{
	struct mcp_talk *t = arg;

	(void)c;
	upstream_question_gone(&t->up, id);
}

static void talk_on_list_changed(struct mcp_client *c, const char *kind,
				 void *arg)
{
	struct mcp_talk *t = arg;

	(void)c;
	upstream_list_changed(&t->up, kind);
}

static void talk_on_notify(struct mcp_client *c, const struct rpc_msg *m,
			   void *arg)
{
	struct mcp_talk *t = arg;

	(void)c;
	upstream_tell(&t->up, m);
}

static const struct mcp_client_events client_events = {
	.send = talk_on_send,
	.ready = talk_on_ready,
	.failed = talk_on_failed,
	.request = talk_on_question,
	.request_gone = talk_on_question_gone,
	.list_changed = talk_on_list_changed,
	.notify = talk_on_notify,
};

static void talk_on_message(const struct rpc_msg *m, void *arg)
{
	const struct mcp_talk *t = arg;

	if (t->client != NULL)
		mcp_client_message(t->client, m);
}

static void talk_on_dropped(enum mcp_drop why, const char *line, size_t len,
			    void *arg)
{
	struct mcp_talk *t = arg;

	log_debug("%s: %zu bytes are no message", t->up.spec->name, len);
	if (why == MCP_DROP_JUNK && t->ops->junk != NULL)
		t->ops->junk(t, line, len);
}

static const struct mcp_wire_ops wire_ops = {
	.message = talk_on_message,
	.dropped = talk_on_dropped,
};

int mcp_talk_feed(struct mcp_talk *t, char *data, size_t n)
{
	return mcp_wire_feed(&t->wire, data, n) == -ENOMEM ? -ENOMEM : 0;
}

/*
 * Life.
 */

void mcp_talk_init(struct mcp_talk *t, uv_loop_t *loop,
		   const struct mcp_spec *spec, const struct upstream_ops *ops,
		   const struct mcp_talk_ops *talk_ops)
{
	*t = (struct mcp_talk){.loop = loop, .ops = talk_ops};
	upstream_init(&t->up, spec, ops);
}

void mcp_talk_open(struct mcp_talk *t)
{
	t->hushed = false;
	t->why = NULL;
	mcp_wire_init(&t->wire, &wire_ops, t);
}

int mcp_talk_start(struct mcp_talk *t, const char *capabilities, struct err *e)
{
	const struct mcp_client_opts opts = {
		.era = t->era,
		.capabilities = capabilities,
		.start_timeout_ms = (uint64_t)t->up.spec->startup_ms,
		.listen = true,
	};
	int r = mcp_client_new(t->loop, &opts, &client_events, t, &t->client);

	if (r == 0)
		r = mcp_client_start(t->client);
	return r < 0 ? err_set(e, r, "client: %s", strerror(-r)) : 0;
}

void mcp_talk_hush(struct mcp_talk *t)
{
	t->hushed = true;
}

void mcp_talk_lost(struct mcp_talk *t, const char *why)
{
	struct mcp_client *c = take_ptr(t->client);

	t->hushed = true;
	t->listing = t->list_again = false;
	t->why = why;
	if (c != NULL)
		mcp_client_lost(c);
	mcp_client_free(c);
	mcp_wire_done(&t->wire);
	t->why = NULL;
}

void mcp_talk_free(struct mcp_talk *t)
{
	struct upstream_call *c;

	t->freed = t->hushed = true;
	TAILQ_FOREACH (c, &t->up.calls, link)
		c->forgotten = true;
	mcp_wire_stop(&t->wire);
	mcp_client_free(take_ptr(t->client));
	upstream_done(&t->up);
}

void mcp_talk_done(struct mcp_talk *t)
{
	mcp_wire_done(&t->wire);
	jw_done(&t->line);
}
