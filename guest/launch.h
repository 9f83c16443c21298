/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - What an agent is started with: command line, environment, folder
 *
 * The environment is exactly the base, then the agent's own variables in their
 * order, then the session's.  A variable that is given again keeps the place of
 * the first one of its name and has the last value.  Values live here and in
 * the agent, nowhere else.
 */
#ifndef GUEST_LAUNCH_H
#define GUEST_LAUNCH_H

#include "guest/instruct.h"
#include "guest/mcp_config.h"
#include "guest/place.h"
#include "guest/quirks.h"
#include "guest/redact.h"

struct launch {
	char **argv; /* NULL-terminated. */
	char **env;  /* NULL-terminated "NAME=value"s. */
	char *cwd;
	size_t n_base; /* The first so many variables are the base's. */
	size_t n_env;
	char *auth; /* Method to authenticate by, or NULL. */
	struct quirks quirks;
	struct place files;
	struct instruct instruct;
	struct mcp_config *mcp; /* Servers; NULL: not read, so none. */
	struct redact *secrets; /* Among the values; NULL: none. */
	char *source; /* As launch_read() has read it; NULL: it has not. */
	bool told;    /* The text is among the arguments or variables. */
};

/**
 * launch_new() - Check and take over what a call says
 * @agent: {command, args[], env {}, quirks {}, files[], instructions {},
 *         auth {method}}
 * @env:   {} of the session; may be absent
 * @cwd:   Absolute path of a folder that exists
 * @out:   Set on success, released by launch_free()
 * @e:     Set on failure
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_CWD_NOT_FOUND; -ENOMEM.
 */
int launch_new(struct jv agent, struct jv env, const char *cwd,
	       struct launch **out, struct err *e);
/* The same with all that a call says: servers ("mcp"..), "secrets".  It is kept as
 * launch->source, JSON, to be read again. */
int launch_read(struct jv params, const char *cwd, struct launch **out,
		struct err *e);
void launch_free(struct launch *l); /* NULL is allowed. */

static inline void launch_freep(struct launch **l)
{
	launch_free(*l);
}
#define autolaunch cleanup(launch_freep)

/* What nobody in a session sees into, for proc_spec.hide; NULL-terminated. */
extern const char *const launch_hide[];

/* Put the session's instructions where this agent takes them before it runs: its
 * arguments or a variable; once, and nothing for another agent.  @text: NULL for
 * none.  Return: 0; -ENOMEM. */
int launch_tell(struct launch *l, const char *text, struct err *e);

/* Would both start the very same process, in every way that it could notice? */
bool launch_starts_same(const struct launch *a, const struct launch *b);

/**
 * launch_read_env() - The base and some variables more, and nothing of an agent
 * @env: {} of them; may be absent
 * @out: Set on success, released by text_list_free()
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -ENOMEM.
 */
int launch_read_env(struct jv env, char ***out, struct err *e);

/**
 * launch_extend_env() - The environment and some variables more
 * @vars: ACP's list of {name, value}; absent: none
 * @out:  Set on success, released by text_list_free()
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -ENOMEM.
 */
int launch_extend_env(const struct launch *l, struct jv vars, char ***out,
		      struct err *e);

/* Write an array of the names that were given beyond the base. */
void launch_write_env_names(const struct launch *l, struct jw *w);
void launch_write_argv(const struct launch *l, struct jw *w);

#endif
