// SPDX-License-Identifier: Apache-2.0
/*
 * api_sql.c - Databases of a session
 *
 * They are files of the VM, so whoever asks for them wakes it.
 */
#include "host/daemon/routes.h"

static void on_answer(const char *body, size_t len, const struct err *e,
		      void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply(op, body, len);
}

static void call_guest(struct op *op)
{
	op_call(op, "sql", on_answer);
}

/* @verb: NULL for what the body says. */
static void ask(struct op *op, const char *verb)
{
	struct jw *w = &op->params;
	int64_t timeout = 0;

	if (!op_load_session(op) ||
	    !op_integer(op, "timeoutMs", 1, INT32_MAX, &timeout))
		return;
	if (op_is_expired(op)) {
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
		return;
	}
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kstr(w, "db", op->what);
	if (timeout > 0)
		jw_kint(w, "timeout_ms", timeout);
	if (verb != NULL) {
		jw_kstr(w, "op", verb);
	} else {
		jw_kvalue(w, "op", jv_get(op->in, "op"));
		jw_kvalue(w, "sql", jv_get(op->in, "sql"));
		jw_kvalue(w, "params", jv_get(op->in, "params"));
	}
	jw_obj_end(w);
	op_wake(op, call_guest);
}

void sql_run_route(struct op *op)
{
	ask(op, NULL);
}

void sql_list_route(struct op *op)
{
	ask(op, "list");
}

void sql_schema_route(struct op *op)
{
	ask(op, "schema");
}

void sql_drop_route(struct op *op)
{
	ask(op, "drop");
}
