/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_options.h - Options of commands that give a session MCP servers
 *
 *	--mcp NAME=COMMAND		a program in the VM, cut into words
 *	--mcp-remote NAME=URL
 *	--mcp-header 'NAME:HEADER: VALUE', or 'NAME:HEADER@SECRET'
 *	--mcp-builtin NAME,..
 *	--mcp-config FILE		{"mcpServers":{..}}, as other clients have
 *	--mcp-aggregate			one server with the tools of all
 */
#ifndef HOST_CLI_MCP_OPTIONS_H
#define HOST_CLI_MCP_OPTIONS_H

#include "host/cli/cli.h"

struct mcp_options {
	struct opt_list commands, remotes, headers, builtins;
	const char *config;
	bool aggregate;
};

/* Entries of an option table, for the member @field of a command's options. */
#define MCP_OPTS(strct, field)                                       \
	OPT(OPT_LIST, strct, field.commands, "mcp"),                 \
		OPT(OPT_LIST, strct, field.remotes, "mcp-remote"),   \
		OPT(OPT_LIST, strct, field.headers, "mcp-header"),   \
		OPT(OPT_LIST, strct, field.builtins, "mcp-builtin"), \
		OPT(OPT_TEXT, strct, field.config, "mcp-config"),    \
		OPT(OPT_FLAG, strct, field.aggregate, "mcp-aggregate")
#define MCP_USAGE                                                      \
	"[--mcp NAME=COMMAND]... [--mcp-remote NAME=URL]... "          \
	"[--mcp-header NAME:HEADER:VALUE]... [--mcp-builtin NAME,..] " \
	"[--mcp-config FILE] [--mcp-aggregate] "

/* Write the servers as an object, or nothing when there are none.  Return: -1 to
 * go on, else the exit status. */
int mcp_options_write(struct cli *c, const struct mcp_options *o, struct jw *w);

#endif
