// SPDX-License-Identifier: Apache-2.0
/*
 * session_mcp.c - Sessions: the MCP servers that their agents use
 *
 * They begin when the agent runs, whose namespaces the local ones join, and end
 * with it.  The session is not ready before its required ones are.  What is asked
 * to end is asked together with the agent; what still runs when that is gone has
 * been killed by the end of its namespace.
 *
 * The agent gets none of them, but a command for each, or one for all, which
 * connects it to the gateway; for that the entrance is open before it is started.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "guest/mcp_cache.h"
#include "guest/mcp_inner.h"
#include "guest/mcp_remote.h"
#include "guest/mcp_shim.h"
#include "guest/session_impl.h"

/* Of what servers may ask us; roots are the session's folder. */
#define CAPABILITIES "{\"elicitation\":{\"form\":{},\"url\":{}},\"roots\":{}}"

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

static bool has_servers(const struct session *s)
{
	return s->launch->mcp != NULL && s->launch->mcp->n > 0;
}

/*
 * The gateway.
 */

static int gateway_ask(const struct mcp_user_question *q, void **out, void *arg,
		       struct err *e)
{
	return session_ask_user(arg, q, out, e);
}

static void gateway_forget(void *asked, void *arg)
{
	session_forget_ask(arg, asked);
}

int session_mcp_open(struct session *s, struct err *e)
{
	const struct guest_options *opt = s->guest->opt;
	const struct mcp_gateway_spec spec = {
		.loop = s->guest->loop,
		.journal = &s->journal,
		.cwd = s->cwd,
		.ask = gateway_ask,
		.forget = gateway_forget,
		.arg = s,
	};
	char folder[PATH_MAX] = MCP_SHIM_DIR;

	session_mcp_end(s); /* What a start that failed has left. */
	if (!has_servers(s))
		return 0;
	if (!opt->isolate)
		snprintf(folder, sizeof(folder), "%s/mcp", opt->run);
	s->gateway = mcp_gateway_new(&spec);
	if (s->gateway == NULL)
		return err_set(e, -ENOMEM, "mcp: out of memory");
	return mcp_entrance_open(s->guest->loop, folder, s->door, s->gateway,
				 &s->entrance, e);
}

const char *session_mcp_folder(const struct session *s)
{
	return s->entrance == NULL ? NULL : mcp_entrance_folder(s->entrance);
}

static struct upstream *new_remote(const struct session *s,
				   const struct mcp_spec *spec)
{
	const struct mcp_remote_place place = {
		.loop = s->guest->loop,
		.ws = s->guest->workspace,
		.session = s->id,
		.capabilities = CAPABILITIES,
	};

	return mcp_remote_new(&place, spec);
}

/* The servers that are no processes. */
static int add_others(struct session *s)
{
	const struct mcp_config *c = s->launch->mcp;

	for (size_t i = 0; i < c->n; i++) {
		const struct mcp_spec *spec = &c->specs[i];
		struct upstream *u;

		if (spec->type == MCP_LOCAL)
			continue;
		u = spec->type == MCP_REMOTE
			    ? new_remote(s, spec)
			    : mcp_inner_new(s->guest->loop, spec, s);
		if (u == NULL)
			return -ENOMEM;
		mcp_set_add(s->mcp, u);
	}
	return 0;
}

static int add_fronts(struct session *s)
{
	struct upstream *u;
	int r = 0;

	for (u = mcp_set_first(s->mcp); r == 0 && u != NULL;
	     u = mcp_set_next(u)) {
		mcp_cache_load(s->guest->reader, s->id, u);
		r = mcp_gateway_add(s->gateway, u);
	}
	if (r == 0 && s->launch->mcp->aggregate)
		r = mcp_gateway_add_all(s->gateway);
	return r;
}

struct mcp_gateway *session_gateway(const struct session *s)
{
	return s->mcp == NULL ? NULL : s->gateway;
}

void session_mcp_changed(struct session *s, const char *builtin)
{
	struct upstream *u;

	if (s->mcp == NULL)
		return;
	for (u = mcp_set_first(s->mcp); u != NULL; u = mcp_set_next(u))
		if (u->spec->type == MCP_BUILTIN &&
		    u->state == UPSTREAM_READY &&
		    strcmp(u->spec->builtin, builtin) == 0)
			upstream_list_changed(u, "tools");
}

/*
 * What the agent is told.
 */

static void write_entry(const struct session *s, const char *program,
			const char *name, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "name", name);
	jw_kstr(w, "command", program);
	jw_key(w, "args");
	jw_arr(w);
	jw_str(w, MCP_SHIM_ARG);
	if (!s->guest->opt->isolate) {
		jw_str(w, "--socket");
		jw_str(w, mcp_entrance_socket(s->entrance));
	}
	jw_str(w, s->door);
	jw_str(w, name);
	jw_arr_end(w);
	jw_kraw(w, "env", "[]");
	jw_obj_end(w);
}

void session_mcp_write(const struct session *s, struct jw *w)
{
	const struct mcp_config *c = s->launch->mcp;
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	jw_arr(w);
	if (s->entrance != NULL && n > 0) {
		program[n] = '\0';
		if (c->aggregate)
			write_entry(s, program, MCP_AGGREGATE, w);
		for (size_t i = 0; !c->aggregate && i < c->n; i++)
			write_entry(s, program, c->specs[i].name, w);
	}
	jw_arr_end(w);
}

/*
 * Begin and end.
 */

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

	if (!has_servers(s))
		return;
	s->mcp = mcp_set_new(&setup);
	if (s->mcp == NULL || add_others(s) < 0 || add_fronts(s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else
		mcp_set_begin(s->mcp);
}

void session_mcp_end(struct session *s)
{
	mcp_entrance_close(take_ptr(s->entrance));
	mcp_gateway_free(take_ptr(s->gateway));
	mcp_set_free(take_ptr(s->mcp));
}

bool session_mcp_is_due(struct session *s)
{
	s->ready_due = !mcp_set_is_settled(s->mcp);
	return s->ready_due;
}
