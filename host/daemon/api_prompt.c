// SPDX-License-Identifier: Apache-2.0
/*
 * api_prompt.c - Prompts, and what else makes an agent work
 *
 * A prompt to a sleeping session wakes its VM and starts its agent first; both
 * are shared with whoever else waits for them.  The guest decides whether the
 * session takes the prompt; hibd answers from its own copy only what cannot
 * change while the VM is off.
 */
#include <string.h>

#include "core/messages.h"
#include "host/daemon/routes.h"
#include "host/manifest.h"
#include "host/views.h"

#define KEY_MAX	  255
#define ACTOR_MAX 128

/* --- the agent's needs -------------------------------------------------- */

/* Variables that the manifest itself gives a value. */
static void put_agent_env(struct jw *w, struct jv list)
{
	jw_key(w, "env");
	jw_obj(w);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		autofree char *name = jv_strdup(jv_get(v, "name"), NULL);

		if (name != NULL && jv_is(jv_get(v, "value"), JV_STRING))
			jw_kvalue(w, name, jv_get(v, "value"));
	}
	jw_obj_end(w);
}

static int take_policy(struct op *op, struct jv policy)
{
	size_t len;
	const char *raw = jv_raw(policy, &len);

	free(op->policy);
	op->policy = raw ? strndup(raw, len) : NULL;
	return raw != NULL && op->policy == NULL ? -ENOMEM : 0;
}

/* Fill op->agent and op->policy from the manifest. */
static bool agent_from_manifest(struct op *op, const char *name)
{
	static const char *const members[] = {
		"name",	 "title",  "version",	   "command", "args",
		"files", "quirks", "instructions", "auth"};
	autofree char *text = NULL;
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	struct jv m;

	if (manifest_load(&op->d->home, name, &text, &e) < 0 ||
	    json_parse(&j, text, strlen(text), &e) < 0) {
		op_fail(op, &e);
		return false;
	}
	m = json_root(&j);
	op->wants_os_instructions = jv_bool(jv_get(m, "os_instructions"), true);
	jw_obj(&w);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (jv_has(jv_get(m, members[i])))
			jw_kvalue(&w, members[i], jv_get(m, members[i]));
	}
	put_agent_env(&w, jv_get(m, "env"));
	jw_obj_end(&w);
	op->agent = jw_take(&w, NULL);
	if (op->agent != NULL && take_policy(op, jv_get(m, "policy")) == 0)
		return true;
	op_refuse(op, -ENOMEM, "agent: out of memory");
	return false;
}

bool op_put_new_agent(struct op *op, const char *name)
{
	if (!agent_from_manifest(op, name))
		return false;
	jw_kraw(&op->params, "agent", op->agent);
	return true;
}

bool op_find_agent(struct op *op)
{
	struct err e = {0};
	int r;

	r = vault_get(op->d->vault, op->d->reader, op->session, "agent",
		      &op->agent, &e);
	if (r < 0) {
		op_fail(op, &e);
		return false;
	}
	return r > 0 || agent_from_manifest(op, op->brief.agent);
}

bool op_put_agent(struct op *op)
{
	if (!op_find_agent(op))
		return false;
	jw_kraw(&op->params, "agent", op->agent);
	vault_wipe(take_ptr(op->agent)); /* Resuming may come again. */
	return true;
}

/* --- resume ------------------------------------------------------------- */

static void resume_on_answer(const char *body, size_t len, const struct err *e,
			     void *arg)
{
	struct op *op = arg;

	op->resumed = true;
	jw_reset(&op->out);
	if (e->code == 0)
		jw_lit(&op->out, body, len);
	op_stored(op, body, len, e, op->next);
}

static void resume_awake(struct op *op);

static void resume_call(struct op *op, void (*next)(struct op *op))
{
	autofree char *restore = NULL;
	int64_t start_ms = 0;

	if (!op_string(op, "restore", 16, &restore) ||
	    !op_integer(op, "startTimeoutMs", 1, TIMEOUT_MAX_MS, &start_ms))
		return;
	jw_reset(&op->params);
	jw_obj(&op->params);
	jw_kstr(&op->params, "session", op->session);
	if (restore != NULL)
		jw_kstr(&op->params, "restore", restore);
	if (start_ms > 0)
		jw_kint(&op->params, "start_timeout_ms", start_ms);
	if (!op_put_agent(op) || !op_put_start(op))
		return;
	jw_obj_end(&op->params);
	op->next = next;
	op_call_again(op, "session.resume", resume_on_answer, resume_awake);
}

/* Prompt and answer come here with the step that follows in op->after. */
static void resume_awake(struct op *op)
{
	resume_call(op, op->after);
}

void op_resume(struct op *op, void (*next)(struct op *op))
{
	op->after = next;
	op_wake(op, resume_awake);
}

static void resume_reply(struct op *op)
{
	autojson struct json j = {0};
	autojw struct jw row = {0};
	autofree char *restore = NULL;
	struct err e = {0};

	if (op->out.buf != NULL &&
	    json_parse(&j, op->out.buf, op->out.len, NULL) == 0)
		restore = jv_strdup(jv_get(json_root(&j), "restore"), NULL);
	if (views_session(op->d->reader, op->session, &row, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_reset(&op->out);
	jw_obj(&op->out);
	jw_kstr(&op->out, "restore", restore);
	jw_key(&op->out, "session");
	jw_raw(&op->out, row.buf, row.len);
	jw_obj_end(&op->out);
	op_reply_out(op);
}

/* What no waking can change. */
bool op_check_writable(struct op *op)
{
	if (op->brief.archived_ms > 0)
		op_refuse(op, -FAULT_SESSION_ARCHIVED,
			  "%s is archived; unarchive it first", op->session);
	else if (op_is_expired(op))
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
	else
		return true;
	return false;
}

void session_resume_route(struct op *op)
{
	if (op_load_session(op) && op_check_writable(op))
		op_resume(op, resume_reply);
}

/* --- prompt ------------------------------------------------------------- */

static void prompt_call(struct op *op);
static void prompt_again(struct op *op);

/* Turn ended: the answer of a prompt that waits. */
static void prompt_write_end(struct op *op, const struct event *ev)
{
	autojson struct json j = {0};
	autofree char *text = NULL;
	struct jw *w = &op->out;
	struct jv data;

	(void)json_parse(&j, ev->data, ev->data_len, NULL);
	data = json_root(&j);
	(void)messages_reply(op->d->reader, op->session, op->turn, &text, NULL);
	jw_reset(w);
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kstr(w, "turn", op->turn);
	jw_kstr(w, "state", ev->type + strlen("turn."));
	jw_kvalue(w, "stopReason", jv_get(data, "stop_reason"));
	jw_kstr(w, "text", text ? text : "");
	jw_kvalue(w, "usage", jv_get(data, "usage"));
	jw_kvalue(w, "error", jv_get(data, "error"));
	jw_kvalue(w, "reason", jv_get(data, "reason"));
	jw_kint(w, "last_seq", ev->seq);
	jw_obj_end(w);
}

static void prompt_on_turn(const struct event *ev, const struct err *e,
			   void *arg)
{
	struct op *op = arg;

	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	prompt_write_end(op, ev);
	op_reply_out(op);
}

static void prompt_stored(struct op *op)
{
	if (op->turn[0] == '\0' || !jv_bool(jv_get(op->in, "wait"), false))
		op_reply_out(op);
	else
		hub_await_turn(op->d->hub, op->session, op->turn,
			       prompt_on_turn, op);
}

static void prompt_on_seq_stored(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		prompt_stored(op);
}

static void prompt_on_answer(const char *body, size_t len, const struct err *e,
			     void *arg)
{
	struct op *op = arg;
	autojson struct json j = {0};
	struct jv result;

	/* Our copy was behind: the session sleeps. */
	if (e->code == -FAULT_SESSION_NOT_LIVE && !op->resumed &&
	    !jv_bool(jv_get(op->in, "noWake"), false)) {
		op_resume(op, prompt_call);
		return;
	}
	if (e->code < 0 || json_parse(&j, body, len, &op->err) < 0) {
		op_fail(op, e->code < 0 ? e : &op->err);
		return;
	}
	result = json_root(&j);
	if (jv_strcpy(jv_get(result, "turn"), op->turn, ID_MAX) < 0)
		op->turn[0] = '\0';
	jw_reset(&op->out);
	jw_obj(&op->out);
	jw_kstr(&op->out, "session", op->session);
	for (struct jv k = jv_first(result); jv_has(k);
	     k = jv_next(result, k)) {
		char key[32];

		if (jv_strcpy(k, key, sizeof(key)) > 0 &&
		    strcmp(key, "session") != 0)
			jw_kvalue(&op->out, key, jv_value(k));
	}
	jw_obj_end(&op->out);
	hub_await_seq(op->d->hub, op->session, jv_int(jv_get(result, "seq"), 0),
		      OP_STORED_MS, prompt_on_seq_stored, op);
}

/* Idempotency: what must be equal when a key comes again. */
static void prompt_put_key(struct op *op, const char *key)
{
	char hash[SHA256_HEX_MAX];
	size_t len;
	const char *raw = jv_raw(jv_get(op->in, "content"), &len);

	if (raw == NULL)
		raw = jv_raw(jv_get(op->in, "text"), &len);
	sha256_hex(hash, raw, len);
	jw_kstr(&op->params, "idem_key", key);
	jw_kstr(&op->params, "idem_hash", hash);
}

static bool prompt_put_content(struct op *op)
{
	struct jv text = jv_get(op->in, "text");
	struct jv content = jv_get(op->in, "content");
	struct jw *w = &op->params;

	if (jv_is(content, JV_ARRAY) && jv_count(content) > 0) {
		jw_kvalue(w, "content", content);
		return true;
	}
	if (!jv_is(text, JV_STRING)) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "a prompt needs 'text' or 'content', a list of ACP "
			  "content blocks");
		return false;
	}
	jw_key(w, "content");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "type", "text");
	jw_kvalue(w, "text", text);
	jw_obj_end(w);
	jw_arr_end(w);
	return true;
}

static void prompt_call(struct op *op)
{
	autofree char *key = NULL, *actor = NULL, *busy = NULL;
	bool may_wake = !jv_bool(jv_get(op->in, "noWake"), false);
	struct jw *w = &op->params;

	if (!op_string(op, "idempotencyKey", KEY_MAX, &key) ||
	    !op_string(op, "actor", ACTOR_MAX, &actor) ||
	    !op_string(op, "onBusy", 16, &busy))
		return;
	jw_reset(w);
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kstr(w, "input", op->input);
	jw_kbool(w, "again", op->n_again > 0);
	if (!prompt_put_content(op))
		return;
	if (busy != NULL)
		jw_kstr(w, "on_busy", busy);
	if (actor != NULL)
		jw_kstr(w, "actor", actor);
	if (key != NULL)
		prompt_put_key(op, key);
	jw_obj_end(w);
	op_call_again(op, "session.prompt", prompt_on_answer,
		      may_wake ? prompt_again : NULL);
}

static void prompt_awake(struct op *op)
{
	if (!op_load_session(op))
		return;
	if (strcmp(op->brief.state, "suspended") == 0)
		op_resume(op, prompt_call);
	else
		prompt_call(op);
}

/* Its answer was lost.  The guest knows by op->input whether it took it; a new
 * one does not know how to start the agent. */
static void prompt_again(struct op *op)
{
	op->resumed = false;
	prompt_awake(op);
}

void session_prompt_route(struct op *op)
{
	struct vm *vm;
	bool asleep;

	id_new(op->input, "msg");
	if (!op_load_session(op) || !op_check_writable(op))
		return;
	vm = vm_find(op->d, op->vm);
	asleep = vm == NULL || vm_is_asleep(vm) ||
		 strcmp(op->brief.state, "suspended") == 0;
	if (asleep && jv_bool(jv_get(op->in, "noWake"), false))
		op_refuse(op, -FAULT_SESSION_NOT_LIVE, "%s sleeps",
			  op->session);
	else if (asleep && strcmp(op->brief.state, "closed") == 0)
		op_refuse(op, -FAULT_SESSION_CLOSED,
			  "%s is closed; resume it first", op->session);
	else if (asleep && strcmp(op->brief.state, "failed") == 0)
		op_refuse(op, -FAULT_SESSION_FAILED,
			  "%s has failed; resume it first", op->session);
	else
		op_wake(op, prompt_awake);
}

/* --- cancel, answer ----------------------------------------------------- */

static void turn_reply(struct op *op)
{
	op_reply_out(op);
}

static void turn_on_answer(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	struct op *op = arg;

	jw_reset(&op->out);
	if (e->code == 0)
		jw_lit(&op->out, body, len);
	op_stored(op, body, len, e, turn_reply);
}

/* Can something be open in the session, as the log says or not?  What a warm
 * sleep has left open still is; nothing is woken where there is nothing. */
static bool may_be_open(const struct op *op, bool has)
{
	const struct vm *vm = vm_find(op->d, op->vm);

	return vm != NULL && !vm_is_off(vm) && (has || !vm_is_warm(vm));
}

static void cancel_call(struct op *op)
{
	op_call(op, "session.cancel", turn_on_answer);
}

void session_cancel_route(struct op *op)
{
	if (!op_load_session(op))
		return;
	if (!may_be_open(op, op->brief.open_turn[0] != '\0')) {
		op_refuse(op, -FAULT_NO_TURN, "%s has no turn", op->session);
		return;
	}
	jw_obj(&op->params);
	jw_kstr(&op->params, "session", op->session);
	if (jv_is(jv_get(op->in, "turn"), JV_STRING))
		jw_kvalue(&op->params, "turn", jv_get(op->in, "turn"));
	jw_kstr(&op->params, "by", "client");
	jw_obj_end(&op->params);
	op_wake(op, cancel_call);
}

static void answer_call(struct op *op)
{
	op_call(op, "session.answer", turn_on_answer);
}

/* What the client says, as it stands; the guest knows what was asked. */
static bool answer_write(struct op *op)
{
	static const char *const forms[] = {"option", "action", "outcome"};
	autofree char *actor = NULL;
	struct jw *w = &op->params;
	unsigned n = 0;

	if (!op_string(op, "actor", ACTOR_MAX, &actor))
		return false;
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kstr(w, "request", op->request);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct jv v = jv_get(op->in, forms[i]);

		if (!jv_has(v) || jv_is(v, JV_NULL))
			continue;
		jw_kvalue(w, forms[i], v);
		n++;
	}
	if (jv_has(jv_get(op->in, "content")))
		jw_kvalue(w, "content", jv_get(op->in, "content"));
	if (actor != NULL)
		jw_kstr(w, "by", actor);
	jw_obj_end(w);
	if (n == 1)
		return true;
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "an answer has one of 'option', 'action' and 'outcome'");
	return false;
}

void session_answer_route(struct op *op)
{
	if (!op_load_session(op) || !answer_write(op))
		return;
	if (op_is_expired(op))
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
	else if (!may_be_open(op, op->brief.pending > 0))
		op_refuse(op, -FAULT_NOT_WAITING, "%s waits for nothing",
			  op->session);
	else
		op_wake(op, answer_call);
}
