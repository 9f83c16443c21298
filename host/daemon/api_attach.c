// SPDX-License-Identifier: Apache-2.0
/*
 * api_attach.c - Joining a session that lives
 *
 * Whoever attaches gets a token for just this session, with the right to prompt
 * and to answer, or only to read, and what is needed to follow the log without a
 * gap.  Attaching starts nothing: where no agent lives it is refused.
 *
 * A token never gives more than that of who asks for it, nor for longer.
 */
#include <string.h>

#include "core/time.h"
#include "host/daemon/routes.h"

#define ATTACH_TOKEN_MS	 (24LL * 3600 * 1000)
#define ATTACH_ACTOR_MAX 255

static void refuse_dead(struct op *op, const char *state)
{
	struct err e = {0};

	err_set(&e, -FAULT_SESSION_NOT_LIVE, "%s is %s, its agent does not run",
		op->session, state);
	err_data(&e, "\"state\":\"%s\"", state);
	op_fail(op, &e);
}

/* Without a guest that could tell. */
static const char *dead_state(const struct op *op)
{
	const char *s = op->brief.state;

	return strcmp(s, "closed") == 0 || strcmp(s, "failed") == 0
		       ? s
		       : "suspended";
}

/* What waits for an answer. */
static int put_pending(struct op *op, struct jw *w, struct err *e)
{
	const char *args[] = {op->session, NULL};
	int n;

	jw_key(w, "pending");
	jw_arr(w);
	n = reader_rows(op->d->reader,
			"SELECT id, turn_id, kind, tool_call_id, body FROM"
			" request WHERE session_id=?1 AND state='pending'"
			" ORDER BY asked_seq",
			args, w, e);
	jw_arr_end(w);
	return n;
}

static void attach_on_token(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_out(op);
}

static int64_t token_ms(const struct op *op)
{
	int64_t left = op->token_expires_ms - now_ms();

	return op->token_expires_ms > 0 && left < ATTACH_TOKEN_MS
		       ? left
		       : ATTACH_TOKEN_MS;
}

static void attach(struct op *op, const char *state, const char *turn)
{
	bool read_only = jv_bool(jv_get(op->in, "readOnly"), false);
	enum scope scope = read_only ? SCOPE_READ : SCOPE_ANSWER;
	struct change *c = change_new();
	struct jw *w = &op->out;
	struct err e = {0};

	if (scope > op->scope)
		scope = op->scope;
	jw_reset(w);
	jw_obj(w);
	op_issue_token(c, op->session, scope, token_ms(op), w);
	jw_kstr(w, "state", state);
	jw_kstr(w, "turn", turn);
	jw_kint(w, "last_seq", op->brief.last_seq);
	if (put_pending(op, w, &e) < 0) {
		change_free(c);
		op_fail(op, &e);
		return;
	}
	jw_obj_end(w);
	change_submit(op->d->store, c, attach_on_token, op);
}

/* What the guest says of it: @body is {"state","pid","turn",..}. */
static void attach_on_live(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	static const char *const live[] = {"starting", "idle", "running",
					   "waiting"};
	struct op *op = arg;
	autojson struct json j = {0};
	char state[16] = "", turn[ID_MAX] = "";

	if (e->code == 0 && json_parse(&j, body, len, NULL) == 0) {
		(void)jv_strcpy(jv_get(json_root(&j), "state"), state,
				sizeof(state));
		(void)jv_strcpy(jv_get(json_root(&j), "turn"), turn,
				sizeof(turn));
	}
	if (!op_load_session(op))
		return;
	for (size_t i = 0; i < ARRAY_LEN(live); i++) {
		if (strcmp(state, live[i]) == 0) {
			attach(op, state, turn[0] ? turn : NULL);
			return;
		}
	}
	refuse_dead(op, state[0] ? state : "suspended");
}

void session_attach_route(struct op *op)
{
	autofree char *actor = NULL;
	struct vm *vm;

	if (!op_string(op, "actor", ATTACH_ACTOR_MAX, &actor) ||
	    !op_load_session(op))
		return;
	vm = vm_find(op->d, op->vm);
	if (op_is_expired(op)) {
		refuse_dead(op, "expired");
		return;
	}
	if (vm == NULL || !link_is_up(vm_link(vm))) {
		refuse_dead(op, dead_state(op));
		return;
	}
	op_look(op, attach_on_live);
}
