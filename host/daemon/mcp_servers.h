/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_servers.h - The MCP servers that a session is to have, as a client says
 *
 * "mcpServers" is an object {NAME: SERVER} or, as ACP has it, a list of SERVER
 * with "name".  A server is one of
 *
 *	{"command","args":[],"env":{},"cwd","shared"}	  a program in the VM
 *	{"url","headers":{}}				  one at a URL, which
 *			only the host talks to
 *	{"type":"builtin","builtin"}			  one of the runtime's own
 *
 * where "type" says which (local, stdio; remote, http, sse; builtin) and may be
 * left out where a command or url does; "builtin" is NAME when it is left out.
 * env and headers may also be lists of {"name","value"}.  A value of them is a
 * string or {"secret":NAME} (secrets.h).  All take "required", "start" (eager,
 * lazy), "startupTimeoutMs", "callTimeoutMs", "maxCallMs", "idleMs" and "tools"
 * {"allow":[GLOB],"deny":[GLOB]}.
 *
 * What comes out is one form for all of them, which is sealed: a list of the
 * objects that the guest gets, but for url, headers, which stay on the host, and
 * the values of secrets, which are put in when it gets them.
 */
#ifndef HOST_DAEMON_MCP_SERVERS_H
#define HOST_DAEMON_MCP_SERVERS_H

#include "core/json.h"

#define MCP_SERVERS_MAX	   32	/* Of one session. */
#define MCP_NAME_MAX	   64	/* Bytes of a server's name. */
#define MCP_TEXT_MAX	   4096 /* Of a command, cwd or url. */
#define MCP_ARGS_MAX	   256
#define MCP_ARG_MAX	   (32u << 10) /* Bytes of one argument. */
#define MCP_PAIRS_MAX	   256	       /* Variables, or headers, of a server. */
#define MCP_PAIR_NAME_MAX  255
#define MCP_PAIR_VALUE_MAX (64u << 10)
#define MCP_HEADER_MAX	   (8u << 10) /* Bytes of a header's value. */
#define MCP_GLOBS_MAX	   256	      /* Of allow, or deny. */
#define MCP_GLOB_MAX	   128
#define MCP_SERVERS_BYTES  (128u << 10) /* All of them. */
#define MCP_TIME_MAX_MS	   (24 * 3600 * 1000)

/**
 * mcp_servers_read() - Check what a client says, and put it into our form
 * @servers: Hostile; absent or null: none
 * @w:       Gets the list as a value
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT, in words that name the member but no
 * value; -FAULT_MESSAGE_TOO_LARGE; then @w holds anything.
 */
int mcp_servers_read(struct jv servers, struct jw *w, struct err *e);

/* Writes a value of env, given as a string or {"secret":NAME}. */
typedef int (*mcp_value_cb)(struct jv value, struct jw *w, void *arg,
			    struct err *e);

/* The list as the guest gets it.  @list: ours.  Return: 0 or what @put said. */
int mcp_servers_write(struct jv list, mcp_value_cb put, void *arg, struct jw *w,
		      struct err *e);

/* Can a server be called that? */
bool mcp_name_is_good(const char *name);
/* The server of that name in a list of ours; absent when there is none. */
struct jv mcp_servers_find(struct jv list, const char *name);

#endif
