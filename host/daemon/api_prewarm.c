// SPDX-License-Identifier: Apache-2.0
/*
 * api_prewarm.c - Agents that run before there is a session for them
 *
 * The body is that of a createSession that may come; a session that would start
 * the very same process takes the one that waits (guest/prewarm.h).  A VM that
 * sleeps is woken for it, and one that sleeps cold has none any more.
 */
#include "host/daemon/routes.h"

static void prewarm_on_answer(const char *body, size_t len, const struct err *e,
			      void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply(op, body, len);
}

static void prewarm_call(struct op *op)
{
	op_call(op, "prewarm", prewarm_on_answer);
}

void vm_prewarm_route(struct op *op)
{
	op->fed = true; /* It is about no session. */
	if (op_vm(op) != NULL && op_put_creation(op))
		op_wake(op, prewarm_call);
}
