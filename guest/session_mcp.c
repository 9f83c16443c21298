// SPDX-License-Identifier: Apache-2.0
/*
 * session_mcp.c - Sessions: the MCP servers that their agents use
 *
 * They begin when the agent runs, whose namespaces the local ones join, and end
 * with it.  The session is not ready before its required ones are.  What is asked
 * to end is asked together with the agent; what still runs when that is gone has
 * been killed by the end of its namespace.
 */
#include "guest/session_impl.h"

/* Of what servers may ask us; roots are the session's folder. */
#define CAPABILITIES "{\"elicitation\":{},\"roots\":{}}"

static void session_on_servers(const struct err *why, void *arg)
{
	struct session *s = arg;

	if (s->state != SESSION_STARTING || s->spawn_due)
		return;
	if (why != NULL)
		session_start_failed(s, why);
	else if (s->ready_due)
		session_ready(s);
}

void session_mcp_begin(struct session *s)
{
	const struct mcp_set_setup setup = {
		.journal = &s->journal,
		.config = s->launch->mcp,
		.place = {.loop = s->guest->loop,
			  .isolate = s->guest->opt->isolate,
			  .join = agent_proc(s->agent),
			  .quota = confine_quota(s->confine),
			  .capabilities = CAPABILITIES},
		.sharing = &s->guest->sharing,
		.settled = session_on_servers,
		.arg = s,
	};

	if (setup.config == NULL || setup.config->n == 0)
		return;
	s->mcp = mcp_set_new(&setup);
	if (s->mcp != NULL)
		mcp_set_begin(s->mcp);
	else
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

void session_mcp_end(struct session *s)
{
	mcp_set_free(take_ptr(s->mcp));
}

bool session_mcp_is_due(struct session *s)
{
	s->ready_due = !mcp_set_is_settled(s->mcp);
	return s->ready_due;
}
