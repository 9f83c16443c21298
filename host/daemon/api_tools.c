// SPDX-License-Identifier: Apache-2.0
/*
 * api_tools.c - Functions of the user's program that an agent may call
 *
 * Which there are, and what came of a call.  The guest checks both: it knows what
 * is open.
 */
#include "host/daemon/routes.h"

#define ACTOR_MAX 128

static void tools_reply(struct op *op)
{
	op_reply_out(op);
}

static void tools_on_answer(const char *body, size_t len, const struct err *e,
			    void *arg)
{
	struct op *op = arg;

	jw_reset(&op->out);
	if (e->code == 0)
		jw_lit(&op->out, body, len);
	op_stored(op, body, len, e, tools_reply);
}

static void progress_on_answer(const char *body, size_t len,
			       const struct err *e, void *arg)
{
	(void)body;
	(void)len;
	if (e->code < 0)
		op_fail(arg, e);
	else
		op_reply_empty(arg);
}

/* Members of the body as they stand, and the session. */
static void put_members(struct op *op, const char *const *keys)
{
	struct jw *w = &op->params;

	jw_obj(w);
	jw_kstr(w, "session", op->session);
	for (; *keys != NULL; keys++)
		if (jv_has(jv_get(op->in, *keys)))
			jw_kvalue(w, *keys, jv_get(op->in, *keys));
}

/* --- which there are ---------------------------------------------------- */

static void tools_call(struct op *op)
{
	op_call_again(op, "session.tools", tools_on_answer, tools_call);
}

void session_tools_route(struct op *op)
{
	static const char *const keys[] = {"tools", NULL};

	if (!op_load_session(op) || !op_check_writable(op))
		return;
	put_members(op, keys);
	jw_obj_end(&op->params);
	op_wake(op, tools_call);
}

/* --- what came of calls ------------------------------------------------- */

/* Nothing waits where no agent runs; nothing is woken to find that out. */
static bool is_asleep(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (vm != NULL && !vm_is_off(vm) &&
	    (op->brief.pending > 0 || !vm_is_warm(vm)))
		return false;
	op_refuse(op, -FAULT_NOT_WAITING, "%s waits for no tool", op->session);
	return true;
}

static void results_call(struct op *op)
{
	op_call(op, "tool.results", tools_on_answer);
}

void tool_results_route(struct op *op)
{
	static const char *const keys[] = {"results", "partial", NULL};
	autofree char *actor = NULL;

	if (!op_load_session(op) ||
	    !op_string(op, "actor", ACTOR_MAX, &actor) || is_asleep(op))
		return;
	put_members(op, keys);
	if (actor != NULL)
		jw_kstr(&op->params, "by", actor);
	jw_obj_end(&op->params);
	op_wake(op, results_call);
}

static void progress_call(struct op *op)
{
	op_call(op, "tool.progress", progress_on_answer);
}

void tool_progress_route(struct op *op)
{
	static const char *const keys[] = {"id", "progress", "total", "message",
					   NULL};

	if (!op_load_session(op) || is_asleep(op))
		return;
	put_members(op, keys);
	jw_obj_end(&op->params);
	op_wake(op, progress_call);
}
