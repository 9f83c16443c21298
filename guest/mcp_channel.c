// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_channel.c - The host's way to the MCP servers of the sessions
 *
 * A host that does not read is not read: what it sent is given back to the
 * stream's window only while little waits to be sent.
 */
#include "guest/mcp_channel.h"

#include <string.h>

#include "guest/limits.h"
#include "guest/mcp_gateway.h"
#include "guest/pause.h"
#include "mcp/stream.h"

static int find_front(const struct session *s, const char *name,
		      struct mcp_front **out, struct err *e)
{
	const struct mcp_gateway *g = session_gateway(s);

	if (g == NULL)
		return err_set(e, -FAULT_SESSION_NOT_LIVE,
			       "the session has no agent that runs, or no MCP "
			       "servers");
	*out = mcp_gateway_find(g, name);
	if (*out == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the session has no MCP server '%.64s'", name);
	return 0;
}

/*
 * Conversations.
 */

struct talk {
	struct guest *guest;
	struct h2_stream *stream;
	struct mcp_peer *peer; /* NULL: the gateway has ended it. */
	size_t unread;	       /* Bytes that came, not given back. */
};

static void talk_on_send(const char *msg, size_t len, void *arg)
{
	const struct talk *t = arg;

	if (h2_write(t->stream, msg, len) < 0 ||
	    h2_write(t->stream, "\n", 1) < 0 ||
	    h2_queued(t->stream) > MCP_QUEUE_END)
		h2_reset(t->stream);
}

static void talk_on_over(void *arg)
{
	struct talk *t = arg;

	t->peer = NULL;
	h2_fin(t->stream);
}

static void talk_on_idle(void *arg)
{
	struct talk *t = arg;

	mcp_peer_close(take_ptr(t->peer));
	h2_fin(t->stream);
}

static void give_back(struct talk *t)
{
	if (h2_queued(t->stream) > SYNC_QUEUE_MAX)
		return;
	h2_consume(t->stream, t->unread);
	t->unread = 0;
}

static void talk_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct talk *t = arg;

	if (pause_is_still(t->guest)) {
		h2_reset(s); /* What it says would be lost, or done. */
		return;
	}
	t->unread += n;
	if (t->peer != NULL && mcp_peer_feed(t->peer, data, n) < 0)
		h2_reset(s);
	give_back(t);
}

static void talk_on_fin(struct h2_stream *s, void *arg)
{
	const struct talk *t = arg;

	(void)s;
	if (t->peer != NULL)
		mcp_peer_finish(t->peer);
}

static void talk_on_drained(struct h2_stream *s, void *arg)
{
	(void)s;
	give_back(arg);
}

static void talk_on_end(struct h2_stream *s, int r, void *arg)
{
	struct talk *t = arg;

	(void)s;
	(void)r;
	if (t->peer != NULL)
		mcp_peer_close(t->peer);
	free(t);
}

static const struct h2_stream_events talk_events = {
	.data = talk_on_data,
	.fin = talk_on_fin,
	.drained = talk_on_drained,
	.end = talk_on_end,
};

/* <session>/<server> */
static int find_by_path(struct guest *g, const char *what,
			struct mcp_front **out, struct err *e)
{
	const char *slash = strchr(what, '/');
	char id[ID_MAX] = "";
	struct session *s;

	if (slash == NULL || (size_t)(slash - what) >= sizeof(id))
		return err_set(e, -FAULT_INVALID_ID, "no session in '%.64s'",
			       what);
	memcpy(id, what, (size_t)(slash - what));
	if (session_find(g, id, &s, e) < 0)
		return e->code;
	return find_front(s, slash + 1, out, e);
}

static void talk_on_refused(struct h2_stream *s, int r, void *arg)
{
	(void)s;
	(void)r;
	(void)arg;
}

static int talk_begin(struct guest *g, struct h2_stream *s, const char *what,
		      struct err *e)
{
	struct mcp_front *f;
	struct talk *t;

	if (find_by_path(g, what, &f, e) < 0)
		return e->code;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return err_set(e, -ENOMEM, "mcp: out of memory");
	t->guest = g;
	t->stream = s;
	t->peer = mcp_peer_open(f, &(struct mcp_peer_spec){
					   .send = talk_on_send,
					   .ended = talk_on_over,
					   .idle = talk_on_idle,
					   .arg = t,
				   });
	if (t->peer == NULL) {
		free(t);
		return err_set(e, -ENOMEM, "mcp: out of memory");
	}
	h2_stream_set(s, &talk_events, t);
	h2_respond(s, 200);
	return 0;
}

void mcp_channel_serve(struct guest *g, struct h2_stream *s, const char *what)
{
	static const struct h2_stream_events nothing = {.end = talk_on_refused};
	struct err e = {0};

	if (talk_begin(g, s, what, &e) == 0)
		return;
	h2_stream_set(s, &nothing, NULL);
	stream_fail(s, &e);
}

/*
 * Calls.
 */

static void write_server(const struct upstream *u, struct jw *w)
{
	autojson struct json j = {0};

	jw_obj(w);
	jw_kstr(w, "name", u->spec->name);
	jw_kstr(w, "transport", mcp_transport(u->spec));
	jw_kstr(w, "state", upstream_state_name(u->state));
	jw_kbool(w, "required", u->spec->required);
	jw_kbool(w, "shared", u->spec->shared);
	jw_kstr(w, "start", u->spec->lazy ? "lazy" : "eager");
	if (u->pid > 0)
		jw_kint(w, "pid", u->pid);
	if (u->info.server != NULL) {
		jw_kstr(w, "era", u->info.modern ? "modern" : "legacy");
		jw_kstr(w, "version", u->info.version);
		jw_kraw(w, "server", u->info.server);
		jw_kint(w, "start_ms", (int64_t)u->ready_ms);
	}
	if (u->tools != NULL &&
	    json_parse(&j, u->tools, u->tools_len, NULL) == 0) {
		jw_kint(w, "tools", (int64_t)jv_count(json_root(&j)));
		jw_kstr(w, "hash", u->tools_hash);
	}
	jw_obj_end(w);
}

int mcp_channel_list(struct session *s, struct call *c, struct err *e)
{
	const struct mcp_gateway *g = session_gateway(s);
	struct mcp_front *f;

	(void)e;
	jw_obj(&c->result);
	jw_key(&c->result, "servers");
	jw_arr(&c->result);
	for (f = g == NULL ? NULL : mcp_gateway_first(g); f != NULL;
	     f = mcp_gateway_next(f))
		write_server(mcp_front_upstream(f), &c->result);
	jw_arr_end(&c->result);
	jw_obj_end(&c->result);
	call_reply(c);
	return 0;
}

/* A server that is asked again, or was never asked. */
struct listing {
	struct mcp_front *front;
	struct call *call;
};

/* Why there is no answer, for the caller. */
static void explain(const struct upstream_answer *a, struct err *e)
{
	char words[ERR_MSG_MAX] = "";

	switch (a->status) {
	case -EREMOTEIO:
		(void)jv_strcpy(jv_get(a->error, "message"), words,
				sizeof(words));
		err_set(e,
			jv_int(jv_get(a->error, "code"), 0) ==
					RPC_INVALID_PARAMS
				? -FAULT_INVALID_ARGUMENT
				: -FAULT_INTERNAL,
			"the server refused: %s", words);
		break;
	case -ETIMEDOUT:
		err_set(e, -FAULT_REQUEST_TIMEOUT, "%s",
			a->why != NULL ? a->why : "no answer in time");
		break;
	default:
		err_set(e, -FAULT_MCP_START_FAILED, "%s",
			a->why != NULL ? a->why : "the server has ended");
	}
}

/* Others than those that are known: clients will want to hear of that. */
static void note_tools(struct upstream *u, struct jv tools)
{
	size_t len;
	const char *raw = jv_raw(tools, &len);

	if (u->tools != NULL &&
	    (len != u->tools_len || memcmp(raw, u->tools, len) != 0))
		upstream_list_changed(u, "tools");
}

static void listing_on_done(const struct upstream_answer *a, void *arg)
{
	struct listing *l = arg;
	struct err e = {0};

	if (a->status < 0) {
		explain(a, &e);
		call_fail(l->call, &e);
	} else {
		note_tools(mcp_front_upstream(l->front), a->result);
		(void)mcp_front_write_list(l->front, a->result, true,
					   &l->call->result);
		call_reply(l->call);
	}
	free(l);
}

/* As others are told it. */
static int refuse(struct err *e)
{
	if (e->code == -EPIPE)
		e->code = -FAULT_MCP_START_FAILED;
	else if (e->code == -ENOENT) /* A builtin has no such tool. */
		e->code = -FAULT_INVALID_ARGUMENT;
	return e->code;
}

static int ask_for_tools(struct mcp_front *f, struct call *c, struct err *e)
{
	struct listing *l = malloc(sizeof(*l));
	const struct mcp_gateway_call_spec spec = {.done = listing_on_done,
						   .arg = l};
	struct mcp_gateway_call *q;

	if (l == NULL)
		return err_set(e, -ENOMEM, "mcp.tools: out of memory");
	*l = (struct listing){f, c};
	if (mcp_front_ask_tools(f, &spec, &q, e) == 0)
		return 0;
	free(l);
	return refuse(e);
}

int mcp_channel_tools(struct session *s, const char *name, bool refresh,
		      struct call *c, struct err *e)
{
	struct mcp_front *f;
	const struct upstream *u;

	if (find_front(s, name, &f, e) < 0)
		return e->code;
	u = mcp_front_upstream(f);
	if (u != NULL && (refresh || u->tools == NULL))
		return ask_for_tools(f, c, e);
	if (mcp_front_write_tools(f, true, &c->result) < 0)
		return err_set(e, -ENOMEM, "mcp.tools: out of memory");
	call_reply(c);
	return 0;
}

/* A call of a tool, whose answer shows what it has written into the log. */
struct calling {
	struct call *call;
	struct journal *journal;
};

static void call_on_done(const struct upstream_answer *a, void *arg)
{
	struct calling *k = arg;
	struct call *c = k->call;
	struct err e = {0};

	if (a->status == 0) {
		jw_obj(&c->result);
		jw_kvalue(&c->result, "result", a->result);
		jw_obj_end(&c->result);
		call_reply_after(c, k->journal);
	} else {
		explain(a, &e);
		call_fail_after(c, k->journal, &e);
	}
	free(k);
}

int mcp_channel_call(struct session *s, const struct mcp_channel_call *spec,
		     struct call *c, struct err *e)
{
	struct calling *k;
	struct mcp_gateway_call_spec call = {
		.tool = spec->tool,
		.args = spec->args,
		.timeout_ms = spec->timeout_ms,
		.done = call_on_done,
	};
	struct mcp_gateway_call *q;
	struct mcp_front *f;

	if (find_front(s, spec->name, &f, e) < 0)
		return e->code;
	k = malloc(sizeof(*k));
	if (k == NULL)
		return err_set(e, -ENOMEM, "mcp.call: out of memory");
	*k = (struct calling){c, session_journal(s)};
	call.arg = k;
	if (mcp_front_call(f, &call, &q, e) == 0)
		return 0;
	free(k);
	return refuse(e);
}
