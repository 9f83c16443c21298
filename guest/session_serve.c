// SPDX-License-Identifier: Apache-2.0
/*
 * session_serve.c - Sessions: what the agent says, and what serves it
 *
 * An agent is served as long as it runs, in a turn and between turns, while the
 * turn is cancelled and while it is ending; but only for the one session that it
 * has from us, and only what it was offered.  Its questions see to that themselves.
 */
#include <string.h>

#include "guest/session_impl.h"
#include "guest/workspace.h"

#define TERMINAL_ID_KEY "terminalId"

void session_reply(struct session *s, const struct rpc_msg *m,
		   const char *result)
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	agent_reply(s->agent, id, len, result);
}

void session_refuse(struct session *s, const struct rpc_msg *m, int code,
		    const char *why)
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	agent_reply_error(s->agent, id, len, code, why);
}

/*
 * Answers that come later.
 */

static void session_on_result(const char *id, const char *result, void *arg)
{
	struct session *s = arg;

	if (s->agent != NULL && !s->agent_dead)
		agent_reply(s->agent, id, strlen(id), result);
}

static void session_on_refusal(const char *id, int code, const char *why,
			       void *arg)
{
	struct session *s = arg;

	if (s->agent != NULL && !s->agent_dead)
		agent_reply_error(s->agent, id, strlen(id), code, why);
}

void session_serve_init(struct session *s)
{
	s->reply_to = (struct reply_to){
		.result = session_on_result,
		.refuse = session_on_refusal,
		.arg = s,
	};
	terminals_init(&s->terminals, s->guest->loop, &s->reply_to);
	files_init(&s->files, s->guest->loop, &s->reply_to,
		   workspace_passing(s->guest->workspace));
}

void session_serve_end(struct session *s)
{
	terminals_done(&s->terminals);
	files_done(&s->files);
	leftovers_forget(&s->leftovers);
	confine_free(take_ptr(s->confine));
}

static void refuse_err(struct session *s, const struct rpc_msg *m,
		       const struct err *e)
{
	bool bad = e->code == -FAULT_INVALID_ARGUMENT ||
		   e->code == -FAULT_MESSAGE_TOO_LARGE;

	session_refuse(s, m, bad ? RPC_INVALID_PARAMS : RPC_INTERNAL, e->msg);
}

/* Their ids are short: the peer has checked (RPC_ID_MAX). */
static void copy_id(const struct rpc_msg *m, char out[RPC_ID_MAX + 1])
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	memcpy(out, id, len);
	out[len] = '\0';
}

/*
 * Files.
 */

static struct file_place file_place(const struct session *s)
{
	return (struct file_place){
		.join = agent_proc(s->agent),
		.isolate = s->guest->opt->isolate,
		.missing_empty = s->launch->quirks.missing_empty,
	};
}

static void serve_read(struct session *s, const struct rpc_msg *m)
{
	const struct file_place place = file_place(s);
	char id[RPC_ID_MAX + 1];
	struct err e = {0};

	copy_id(m, id);
	if (files_read_text(&s->files, &place, id, m->params, &e) < 0)
		refuse_err(s, m, &e);
}

static void serve_write(struct session *s, const struct rpc_msg *m)
{
	const struct file_place place = file_place(s);
	char id[RPC_ID_MAX + 1];
	struct err e = {0};

	copy_id(m, id);
	if (files_write_text(&s->files, &place, id, m->params, &e) < 0)
		refuse_err(s, m, &e);
}

/*
 * Terminals.
 */

/* Answer with what was written, or that it could not be. */
static void reply_jw(struct session *s, const struct rpc_msg *m,
		     const struct jw *w)
{
	if (w->failed)
		session_refuse(s, m, RPC_INTERNAL, "out of memory");
	else
		session_reply(s, m, w->buf);
}

static void serve_create(struct session *s, const struct rpc_msg *m)
{
	const struct terminal_place place = {
		.launch = s->launch,
		.join = agent_proc(s->agent),
		.isolate = s->guest->opt->isolate,
		.quota = confine_quota(s->confine),
		.turn = session_is_prompted(s) ? s->turn.n : 0,
	};
	struct terminal *t;
	autojw struct jw w = {0};
	struct err e = {0};

	if (terminals_create(&s->terminals, &place, m->params, &t, &e) < 0) {
		refuse_err(s, m, &e);
		return;
	}
	jw_obj(&w);
	jw_kstr(&w, TERMINAL_ID_KEY, terminal_id(t));
	jw_obj_end(&w);
	reply_jw(s, m, &w);
}

static struct terminal *find_terminal(struct session *s,
				      const struct rpc_msg *m)
{
	struct terminal *t = terminals_find(&s->terminals,
					    jv_get(m->params, TERMINAL_ID_KEY));

	if (t == NULL)
		session_refuse(s, m, RPC_INVALID_PARAMS,
			       "there is no terminal of this id");
	return t;
}

static void serve_output(struct session *s, const struct rpc_msg *m)
{
	const struct terminal *t = find_terminal(s, m);
	autojw struct jw w = {0};

	if (t == NULL)
		return;
	terminal_write_output(t, &w);
	reply_jw(s, m, &w);
}

static void serve_wait(struct session *s, const struct rpc_msg *m)
{
	struct terminal *t = find_terminal(s, m);
	char id[RPC_ID_MAX + 1];
	struct err e = {0};

	copy_id(m, id);
	if (t != NULL && terminal_wait(t, id, &e) < 0)
		refuse_err(s, m, &e);
}

static void serve_kill(struct session *s, const struct rpc_msg *m)
{
	struct terminal *t = find_terminal(s, m);

	if (t == NULL)
		return;
	terminal_kill(t);
	session_reply(s, m, "{}");
}

static void serve_release(struct session *s, const struct rpc_msg *m)
{
	struct terminal *t = find_terminal(s, m);

	if (t == NULL)
		return;
	terminal_release(t);
	session_reply(s, m, "{}");
}

/*
 * All of them.
 */

enum offer { OFFER_ALWAYS, OFFER_FS, OFFER_TERMINAL };

static const struct service {
	const char *method;
	void (*serve)(struct session *s, const struct rpc_msg *m);
	enum offer offer;
} services[] = {
	{"elicitation/create", session_ask_elicitation, OFFER_ALWAYS},
	{"session/request_permission", session_ask_permission, OFFER_ALWAYS},
	{"fs/read_text_file", serve_read, OFFER_FS},
	{"fs/write_text_file", serve_write, OFFER_FS},
	{"terminal/create", serve_create, OFFER_TERMINAL},
	{"terminal/output", serve_output, OFFER_TERMINAL},
	{"terminal/wait_for_exit", serve_wait, OFFER_TERMINAL},
	{"terminal/kill", serve_kill, OFFER_TERMINAL},
	{"terminal/release", serve_release, OFFER_TERMINAL},
};

static const struct service listeners[] = {
	{"$/cancel_request", session_withdraw, OFFER_ALWAYS},
	{"elicitation/complete", session_complete_url, OFFER_ALWAYS},
};

static bool is_offered(const struct session *s, enum offer offer)
{
	const struct quirks *q = &s->launch->quirks;

	return offer == OFFER_ALWAYS || (offer == OFFER_FS && !q->no_fs) ||
	       (offer == OFFER_TERMINAL && !q->no_terminal);
}

static const struct service *find_service(const struct service *list, size_t n,
					  struct jv method)
{
	for (size_t i = 0; i < n; i++)
		if (jv_eq(method, list[i].method))
			return &list[i];
	return NULL;
}

static bool is_ours(const struct session *s, const struct rpc_msg *m)
{
	return s->acp_id != NULL &&
	       jv_eq(jv_get(m->params, "sessionId"), s->acp_id);
}

void session_on_request(const struct rpc_msg *m, void *arg)
{
	struct session *s = arg;
	const struct service *service =
		find_service(services, ARRAY_LEN(services), m->method);

	if (service == NULL || !is_offered(s, service->offer))
		session_refuse(s, m, RPC_METHOD_NOT_FOUND, "method not found");
	else if (service->offer != OFFER_ALWAYS && !is_ours(s, m))
		session_refuse(s, m, RPC_INVALID_PARAMS,
			       "this is no session of the agent");
	else
		service->serve(s, m);
}

void session_on_notify(const struct rpc_msg *m, void *arg)
{
	const struct service *service =
		find_service(listeners, ARRAY_LEN(listeners), m->method);

	if (service != NULL)
		service->serve(arg, m);
}
