/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_shim.h - What an agent starts as an MCP server: a way to the daemon
 *
 *	hib-guest mcp-connect [--socket PATH] SESSION SERVER
 *
 * The shim connects to the session's socket and says whom it wants, one line of
 * JSON: {"session":S,"server":N}.  The answer is a line, too: empty, or why not.
 *
 * Where its stdin and stdout are unnamed pipes or Unix sockets, both come with its
 * line, as SCM_RIGHTS, and from then on the daemon reads and writes them itself;
 * the shim only waits, and its end ends the connection, as the daemon's end of the
 * connection ends the shim.  Else it carries the bytes.
 */
#ifndef GUEST_MCP_SHIM_H
#define GUEST_MCP_SHIM_H

#include <stdbool.h>

#define MCP_SHIM_ARG	"mcp-connect"  /* argv[1] */
#define MCP_SHIM_DIR	"/run/hib-mcp" /* A folder for each session... */
#define MCP_SHIM_SELF	"self"	       /* ...seen by it as this one, alone. */
#define MCP_SHIM_SOCKET "mcp.sock"
#define MCP_KNOCK_MAX	512 /* Bytes of either line. */

/* Exit codes. */
#define MCP_SHIM_REFUSED     1 /* There is no such server. */
#define MCP_SHIM_USAGE	     2
#define MCP_SHIM_UNREACHABLE 69 /* No daemon, or it has ended the talk. */

/* Is it one that the daemon takes?  Nothing that can hold it up: named pipes are
 * on file systems, and other sockets than Unix ones may linger when closed. */
bool mcp_shim_passes(int fd);
/* @argv: from MCP_SHIM_ARG on.  Return: the exit code for main(). */
int mcp_shim_main(int argc, char **argv);

#endif
