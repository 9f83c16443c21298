/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_config.h - The MCP servers that a session wants: read and checked
 *
 * The array "mcp" of session.create, session.resume and session.prompt:
 *
 *	{"name":N,"type":"local","command":C,"args":[..],"env":{..},"cwd":D}
 *	{"name":N,"type":"remote"}	url and headers stay on the host
 *	{"name":N,"type":"builtin","builtin":B}		N is B where it is absent
 *
 * and for each of them
 *
 *	"required":false	the session does not start without it
 *	"start":"eager|lazy"	with the agent, or at its first use
 *	"shared":false		local: one process for all sessions that want
 *				the very same
 *	"startup_timeout_ms", "call_timeout_ms", "max_call_ms"
 *	"idle_ms":0		stopped when not used so long; 0: never
 *	"tools":{"allow":[G],"deny":[G]}	globs; what is allowed and not
 *				denied is there
 *
 * A name is 1 to 64 of [A-Za-z0-9_-] and is there once.  Members that are not
 * known are ignored.  A local server gets the documented base of variables and
 * its own, and nothing of the agent's.  The values are secrets: they live here
 * and in the server.
 */
#ifndef GUEST_MCP_CONFIG_H
#define GUEST_MCP_CONFIG_H

#include "core/json.h"
#include "guest/limits.h"

enum mcp_type { MCP_LOCAL, MCP_REMOTE, MCP_BUILTIN };

struct mcp_spec {
	char name[MCP_NAME_MAX + 1];
	enum mcp_type type;
	bool required, lazy, shared;
	int64_t startup_ms;	  /* From the start to its first tools. */
	int64_t call_ms;	  /* Without a word of progress. */
	int64_t max_call_ms;	  /* With. */
	int64_t idle_ms;	  /* 0: it is not stopped. */
	char **allow, **deny;	  /* Globs, NULL-terminated; NULL: none. */
	char *builtin;		  /* MCP_BUILTIN; else NULL. */
	char **argv, **env, *cwd; /* MCP_LOCAL; else NULL. */
};

struct mcp_config {
	bool aggregate; /* The agent gets all of them as one server. */
	size_t n;
	struct mcp_spec specs[]; /* In the order given. */
};

/**
 * mcp_config_read() - Check and take over what a call says
 * @params: "mcp" and "mcp_aggregate" of it, both may be absent
 * @cwd:    Where a local server that names no folder runs
 * @out:    Set on success, never NULL, released by mcp_config_free()
 * @e:      Set on failure
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT, with the name of the server; -ENOMEM.
 */
int mcp_config_read(struct jv params, const char *cwd, struct mcp_config **out,
		    struct err *e);
void mcp_config_free(struct mcp_config *c); /* NULL is allowed. */

/* Add the builtin of that name behind the others, unless it is there or another
 * server has its name; specs may move.  Return: 0; -ENOMEM. */
int mcp_config_add_builtin(struct mcp_config **io, const char *name);

/* Is there a server of that name? */
const struct mcp_spec *mcp_config_find(const struct mcp_config *c,
				       const char *name);
/* Is it a server of that builtin, by whatever name? */
bool mcp_config_has_builtin(const struct mcp_config *c, const char *builtin);
/* Do both run the very same, in the same way?  Both are local. */
bool mcp_spec_runs_same(const struct mcp_spec *a, const struct mcp_spec *b);
/* What is run, apart from any config; released by mcp_spec_free().  NULL: out of
 * memory. */
struct mcp_spec *mcp_spec_copy(const struct mcp_spec *s);
void mcp_spec_free(struct mcp_spec *s); /* NULL is allowed. */
/* Do the globs let a tool of that name through? */
bool mcp_spec_allows(const struct mcp_spec *s, const char *tool);

/* "stdio", "http" or "builtin". */
const char *mcp_transport(const struct mcp_spec *s);
/* Write what may be known of it: no argument, no value of a variable. */
void mcp_spec_write(const struct mcp_spec *s, struct jw *w);

#endif
