// SPDX-License-Identifier: Apache-2.0
/*
 * client.c - MCP client of both eras: requests and life
 *
 * core/rpc.h keeps the ids; a request of the owner is a struct client_call that
 * may be sent several times, each time with a new id: when the server refuses
 * our version of the protocol, and once for each round of input_required.
 *
 *	request -> sent --- result ---------------------> done
 *	            ^ |---- error ----------------------> done
 *	            | |---- input_required -> questions -.
 *	            | '---- version refused ------------ |
 *	            '------------------------------------'
 *
 * Deadlines are kept here, because progress and questions move them: one timer
 * fires at the earliest that was ever set, looks at all, and is set anew.  So
 * moving a deadline on costs nothing.
 *
 * What runs callbacks looks at c->closing after each of them and then touches
 * nothing else: the memory lives until the loop has closed the timer.
 */
#include <assert.h>
#include <string.h>

#include "core/loop.h"
#include "mcp/client_impl.h"

static const struct jv absent = {.i = -1};

uint64_t client_now(const struct mcp_client *c)
{
	return loop_now(c->timer.loop);
}

uint64_t client_after(const struct mcp_client *c, uint64_t ms)
{
	uint64_t now = client_now(c);

	return ms < NEVER - now ? now + ms : NEVER;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Ending a call.
 */

static void free_call(struct client_call *call)
{
	jw_done(&call->responses);
	free(call->state);
	free(call->method);
	free(call->params);
	free(call);
}

void client_finish(struct client_call *call, int status, struct jv result,
		   struct jv error)
{
	struct mcp_client *c = call->client;
	struct mcp_answer a = {status, result, error};

	TAILQ_REMOVE(&c->calls, call, link);
	c->n_calls--;
	if (call->rpc_id >= 0)
		rpc_forget(c->rpc, call->rpc_id);
	if (call->done != NULL)
		call->done(&a, call->arg);
	if (!c->closing)
		client_drop_questions(c, call);
	free_call(call);
}

void client_fail(struct client_call *call, int status)
{
	client_finish(call, status, absent, absent);
}

static void send_cancelled(struct client_call *call, const char *reason)
{
	autojw struct jw w = {0};

	if (call->rpc_id < 0)
		return;
	jw_obj(&w);
	jw_kint(&w, "requestId", call->rpc_id);
	if (reason != NULL)
		jw_kstr(&w, "reason", reason);
	jw_obj_end(&w);
	if (!w.failed)
		(void)rpc_notify(call->client->rpc, "notifications/cancelled",
				 w.buf);
}

/*
 * Deadlines.
 */

static void timer_on_fire(uv_timer_t *timer);

void client_wake_at(struct mcp_client *c, uint64_t when)
{
	uint64_t now = client_now(c);

	if (when >= c->timer_due)
		return;
	c->timer_due = when;
	uv_timer_start(&c->timer, timer_on_fire, when > now ? when - now : 0,
		       0);
}

/* Return: whether there was one.  The client may be closing after. */
static bool end_a_late_call(struct mcp_client *c)
{
	uint64_t now = client_now(c);
	struct client_call *call;

	TAILQ_FOREACH (call, &c->calls, link)
		if (call->due <= now)
			break;
	if (call == NULL)
		return false;
	send_cancelled(call, "timeout");
	client_fail(call, -ETIMEDOUT);
	return true;
}

static uint64_t earliest(const struct mcp_client *c)
{
	const struct client_call *call;
	uint64_t due = earlier(c->start.due, c->start.probe_due);

	due = earlier(due, c->listen.again);
	TAILQ_FOREACH (call, &c->calls, link)
		due = earlier(due, call->due);
	return due;
}

static void timer_on_fire(uv_timer_t *timer)
{
	struct mcp_client *c = container_of(timer, struct mcp_client, timer);

	c->timer_due = NEVER;
	client_start_on_timer(c);
	if (!c->closing)
		client_listen_on_timer(c);
	while (!c->closing && end_a_late_call(c))
		;
	if (!c->closing)
		client_wake_at(c, earliest(c));
}

void client_pause(struct client_call *call)
{
	call->due = call->ends;
}

void client_resume(struct client_call *call)
{
	if (call->timeout_ms == 0)
		return;
	call->due = earlier(client_after(call->client, call->timeout_ms),
			    call->ends);
	client_wake_at(call->client, call->due);
}

/*
 * Sending.
 */

void client_put_modern_meta(const struct mcp_client *c, struct jw *w)
{
	jw_kstr(w, MCP_META_VERSION, MCP_MODERN_LATEST);
	jw_kraw(w, MCP_META_CLIENT_INFO, c->info);
	jw_kraw(w, MCP_META_CLIENT_CAPS, c->capabilities);
}

/* Is it a key of _meta that only we set? */
static bool is_our_meta(const struct mcp_client *c, struct jv key)
{
	if (jv_eq(key, "progressToken") || jv_eq(key, MCP_META_VERSION) ||
	    jv_eq(key, MCP_META_CLIENT_INFO) ||
	    jv_eq(key, MCP_META_CLIENT_CAPS))
		return true;
	return c->facts.era == MCP_ERA_LEGACY && jv_eq(key, MCP_META_LOG_LEVEL);
}

static void put_member(struct jw *w, struct jv key)
{
	jw_value(w, key);
	jw_lit(w, ":", 1);
	jw_value(w, jv_value(key));
}

static bool has_meta(const struct client_call *call, struct jv given)
{
	const struct mcp_client *c = call->client;

	if (c->facts.era == MCP_ERA_MODERN || call->wants_progress)
		return true;
	for (struct jv k = jv_first(given); jv_has(k); k = jv_next(given, k))
		if (!is_our_meta(c, k))
			return true;
	return false;
}

static void put_meta(struct jw *w, const struct client_call *call,
		     struct jv given)
{
	const struct mcp_client *c = call->client;

	if (!has_meta(call, given))
		return;
	jw_key(w, "_meta");
	jw_obj(w);
	for (struct jv k = jv_first(given); jv_has(k); k = jv_next(given, k))
		if (!is_our_meta(c, k))
			put_member(w, k);
	if (c->facts.era == MCP_ERA_MODERN)
		client_put_modern_meta(c, w);
	if (call->wants_progress)
		jw_kint(w, "progressToken", call->handle);
	jw_obj_end(w);
}

/* The answers of the owner, and what the server wants to see again. */
static void put_round(struct jw *w, const struct client_call *call)
{
	if (call->responses.len > 0) {
		jw_key(w, "inputResponses");
		jw_raw(w, call->responses.buf, call->responses.len);
	}
	if (call->state != NULL)
		jw_kraw(w, "requestState", call->state);
}

static bool is_of_round(struct jv key)
{
	return jv_eq(key, "inputResponses") || jv_eq(key, "requestState");
}

static void put_params(struct jw *w, const struct client_call *call,
		       struct jv params)
{
	struct jv meta = jv_get(params, "_meta");

	jw_obj(w);
	for (struct jv k = jv_first(params); jv_has(k); k = jv_next(params, k))
		if (!jv_eq(k, "_meta") && !(call->rounds > 0 && is_of_round(k)))
			put_member(w, k);
	if (call->rounds > 0)
		put_round(w, call);
	put_meta(w, call, jv_is(meta, JV_OBJECT) ? meta : absent);
	jw_obj_end(w);
}

static void call_on_answer(const struct rpc_answer *a, void *arg);

/* Send @call with @params, which may be absent. */
static int send_with(struct client_call *call, struct jv params)
{
	struct mcp_client *c = call->client;
	int64_t id;

	jw_reset(&c->out);
	put_params(&c->out, call, params);
	if (c->out.failed)
		return -ENOMEM;
	id = rpc_call(c->rpc, call->method, c->out.buf, 0, call_on_answer,
		      call);
	if (id < 0)
		return (int)id;
	call->rpc_id = id;
	return 0;
}

static int read_params(struct mcp_client *c, const char *params, size_t len,
		       struct jv *out)
{
	int r;

	*out = absent;
	if (params == NULL)
		return 0;
	r = json_parse(&c->doc, params, len > 0 ? len : strlen(params), NULL);
	if (r == 0 && !jv_is(json_root(&c->doc), JV_OBJECT))
		r = -EINVAL;
	if (r == 0)
		*out = json_root(&c->doc);
	return r;
}

int client_send(struct client_call *call)
{
	struct jv params;
	int r = read_params(call->client, call->params, 0, &params);

	return r < 0 ? r : send_with(call, params);
}

/*
 * Answers.
 */

static bool is_known_type(const struct mcp_client *c, struct jv type)
{
	return !jv_has(type) || jv_eq(type, "complete") ||
	       (c->tasks && jv_eq(type, "task"));
}

static void take_result(struct client_call *call, struct jv result)
{
	struct mcp_client *c = call->client;
	struct jv type = jv_get(result, "resultType");

	if (!jv_is(result, JV_OBJECT))
		client_fail(call, -EPROTO);
	else if (c->facts.era != MCP_ERA_MODERN || is_known_type(c, type))
		client_finish(call, 0, result, absent);
	else if (!jv_eq(type, "input_required"))
		client_fail(call, -EPROTO);
	else if (call->pass_input_required)
		client_finish(call, 0, result, absent);
	else
		client_ask(call, result);
}

static void take_error(struct client_call *call, struct jv error)
{
	int r;

	if (call->client->facts.era != MCP_ERA_MODERN || call->retried ||
	    !client_offers_modern(error)) {
		client_finish(call, -EREMOTEIO, absent, error);
		return;
	}
	call->retried = true;
	r = client_send(call);
	if (r < 0)
		client_fail(call, r);
}

static void call_on_answer(const struct rpc_answer *a, void *arg)
{
	struct client_call *call = arg;

	call->rpc_id = -1;
	if (a->status == -EREMOTEIO)
		take_error(call, a->error);
	else
		take_result(call, a->result);
}

/*
 * Requests.
 */

struct client_call *client_find_call(struct mcp_client *c, int64_t handle)
{
	struct client_call *call;

	TAILQ_FOREACH (call, &c->calls, link)
		if (call->handle == handle)
			return call;
	return NULL;
}

static int check_open(const struct mcp_client *c)
{
	if (c->state == CLIENT_READY)
		return 0;
	return c->state == CLIENT_DOWN ? -EPIPE : -ENOTCONN;
}

static struct client_call *new_call(struct mcp_client *c,
				    const struct mcp_request_spec *spec)
{
	struct client_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->client = c;
	call->handle = c->next_id++;
	call->rpc_id = -1;
	call->method = strdup(spec->method);
	call->pass_input_required = spec->pass_input_required;
	call->progress = spec->progress;
	call->done = spec->done;
	call->arg = spec->arg;
	if (call->method == NULL) {
		free_call(call);
		return NULL;
	}
	return call;
}

/* What will be needed to send it again. */
static int keep_params(struct client_call *call, struct jv params)
{
	const char *text;
	size_t len;

	if (call->client->facts.era != MCP_ERA_MODERN || !jv_has(params))
		return 0;
	text = jv_raw(params, &len);
	call->params = strndup(text, len);
	return call->params == NULL ? -ENOMEM : 0;
}

static int64_t begin_call(struct client_call *call, struct jv params)
{
	struct mcp_client *c = call->client;
	int r = keep_params(call, params);

	if (r == 0)
		r = send_with(call, params);
	if (r < 0) {
		free_call(call);
		return r;
	}
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->n_calls++;
	client_wake_at(c, call->due);
	return call->handle;
}

int64_t mcp_client_request(struct mcp_client *c,
			   const struct mcp_request_spec *spec)
{
	struct client_call *call;
	struct jv params;
	int r = check_open(c);

	if (r == 0 && c->n_calls >= MCP_REQUESTS_MAX)
		r = -EAGAIN;
	if (r == 0)
		r = read_params(c, spec->params, spec->params_len, &params);
	if (r < 0)
		return r;
	call = new_call(c, spec);
	if (call == NULL)
		return -ENOMEM;
	call->timeout_ms = spec->timeout_ms ? spec->timeout_ms : MCP_CALL_MS;
	call->due = client_after(c, call->timeout_ms);
	call->ends = client_after(c, spec->max_ms);
	if (call->ends < call->due)
		call->ends = call->due;
	call->wants_progress = spec->progress || call->ends > call->due;
	return begin_call(call, params);
}

int64_t client_open_request(struct mcp_client *c, const char *method,
			    const char *params, mcp_done_cb done)
{
	struct mcp_request_spec spec = {
		.method = method, .done = done, .arg = c};
	struct client_call *call;
	struct jv given;
	int r = read_params(c, params, 0, &given);

	if (r < 0)
		return r;
	call = new_call(c, &spec);
	if (call == NULL)
		return -ENOMEM;
	call->due = call->ends = NEVER;
	return begin_call(call, given);
}

void mcp_client_cancel(struct mcp_client *c, int64_t handle, const char *reason)
{
	struct client_call *call = client_find_call(c, handle);

	if (call == NULL)
		return;
	send_cancelled(call, reason);
	client_fail(call, -ECANCELED);
}

int mcp_client_notify(struct mcp_client *c, const char *method,
		      const char *params)
{
	int r = check_open(c);

	return r < 0 ? r : rpc_notify(c->rpc, method, params);
}

/*
 * What comes in.
 */

static void on_send(const char *msg, size_t len, void *arg)
{
	struct mcp_client *c = arg;

	c->events->send(msg, len, c->arg);
}

static void on_request(const struct rpc_msg *m, void *arg)
{
	client_on_request(arg, m);
}

static void on_notify(const struct rpc_msg *m, void *arg)
{
	client_on_notify(arg, m);
}

void mcp_client_message(struct mcp_client *c, const struct rpc_msg *m)
{
	if (!c->closing && c->state != CLIENT_DOWN)
		rpc_dispatch(c->rpc, m);
}

int mcp_client_feed(struct mcp_client *c, const char *msg, size_t len)
{
	autojson struct json j = {0};
	struct rpc_msg m;
	int r = rpc_decode(&j, msg, len, &m, NULL);

	if (r == 0)
		mcp_client_message(c, &m);
	return r;
}

/*
 * Life.
 */

bool mcp_client_is_ready(const struct mcp_client *c)
{
	return c->state == CLIENT_READY;
}

const struct mcp_server_facts *mcp_client_facts(const struct mcp_client *c)
{
	return &c->facts;
}

static void default_info(struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "name", "hibernacle");
	jw_kstr(w, "title", "Hibernacle");
	jw_kstr(w, "version", HIB_VERSION);
	jw_obj_end(w);
}

static int copy_object(const char *text, char **out)
{
	autojson struct json j = {0};
	int r = json_parse(&j, text, strlen(text), NULL);

	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	if (!jv_is(json_root(&j), JV_OBJECT))
		return -EINVAL;
	*out = strdup(text);
	return *out == NULL ? -ENOMEM : 0;
}

static int copy_opts(struct mcp_client *c, const struct mcp_client_opts *opts)
{
	autojw struct jw info = {0};
	autojson struct json caps = {0};
	int r;

	default_info(&info);
	if (info.failed)
		return -ENOMEM;
	c->opts = *opts;
	r = copy_object(opts->capabilities ? opts->capabilities : "{}",
			&c->capabilities);
	if (r == 0)
		r = copy_object(opts->info ? opts->info : info.buf, &c->info);
	if (r == 0)
		r = json_parse(&caps, c->capabilities, strlen(c->capabilities),
			       NULL);
	if (r == 0)
		c->tasks = jv_has(jv_get(jv_get(json_root(&caps), "extensions"),
					 MCP_META_PREFIX "tasks"));
	c->opts.capabilities = c->capabilities;
	c->opts.info = c->info;
	c->opts.no_discover &= opts->era == MCP_ERA_MODERN;
	return r;
}

static void release(struct mcp_client *c)
{
	client_free_questions(c);
	json_done(&c->doc);
	jw_done(&c->out);
	free(c->capabilities);
	free(c->info);
	free(c->facts.version);
	free(c->facts.info);
	free(c->facts.capabilities);
	free(c->facts.instructions);
	free(c);
}

int mcp_client_new(uv_loop_t *loop, const struct mcp_client_opts *opts,
		   const struct mcp_client_events *events, void *arg,
		   struct mcp_client **out)
{
	static const struct rpc_ops ops = {
		.send = on_send, .request = on_request, .notify = on_notify};
	struct mcp_client *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	TAILQ_INIT(&c->calls);
	TAILQ_INIT(&c->questions);
	c->events = events;
	c->arg = arg;
	c->next_id = 1;
	c->timer_due = c->listen.again = NEVER;
	c->start = (struct client_start){.probe_id = -1,
					 .init_id = -1,
					 .probe_due = NEVER,
					 .due = NEVER};
	r = copy_opts(c, opts);
	if (r == 0 && (c->rpc = rpc_new(loop, &ops, c)) == NULL)
		r = -ENOMEM;
	if (r < 0) {
		release(c);
		return r;
	}
	uv_timer_init(loop, &c->timer); /* Cannot fail. */
	*out = c;
	return 0;
}

/* End every call.  The callbacks may make no new ones. */
static void end_calls(struct mcp_client *c, int status)
{
	struct client_call *call;

	while ((call = TAILQ_FIRST(&c->calls)) != NULL)
		client_fail(call, status);
}

void mcp_client_lost(struct mcp_client *c)
{
	enum client_state was = c->state;
	struct err e;

	if (c->closing || was == CLIENT_DOWN)
		return;
	if (was == CLIENT_PROBING || was == CLIENT_INITIALIZING) {
		err_set(&e, -EPIPE, "the server is gone");
		client_start_failed(c, &e);
		return;
	}
	c->state = CLIENT_DOWN;
	c->listen.again = NEVER;
	end_calls(c, -EPIPE);
	if (!c->closing)
		client_drop_questions(c, NULL);
}

static void timer_on_close(uv_handle_t *handle)
{
	release(container_of((uv_timer_t *)handle, struct mcp_client, timer));
}

void mcp_client_free(struct mcp_client *c)
{
	if (c == NULL || c->closing)
		return;
	c->closing = true;
	c->state = CLIENT_DOWN;
	end_calls(c, -ECANCELED);
	rpc_free(c->rpc);
	uv_close((uv_handle_t *)&c->timer, timer_on_close);
}
