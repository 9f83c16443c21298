// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_host.c - The server "host": functions of the user's program
 *
 * Each session has its own tools, those that its user has told (host_tools.h).
 * A call is a request that waits for the user's program; the session has it
 * (session_tools.c).
 */
#include "guest/builtins.h"

#include "guest/session.h"

static void host_list(struct session *s, struct jw *w)
{
	session_write_tools(s, w);
}

static bool host_call(struct builtin_call *q)
{
	return session_call_tool(q->session, q);
}

const struct builtin builtin_host = {
	.name = "host",
	.title = "Host functions",
	.instructions = "Functions of the program that runs this session. They "
			"run outside the sandbox.",
	.list = host_list,
	.call = host_call,
};
