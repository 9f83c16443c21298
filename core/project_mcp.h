/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_mcp.h - The rows of mcp_server
 *
 * Private to project.c.  Each follows one event; results are as those of
 * project_event().
 */
#ifndef CORE_PROJECT_MCP_H
#define CORE_PROJECT_MCP_H

#include "core/member.h"

/* session.created, session.resuming: the servers that there are from now on. */
int project_mcp_servers(struct projection *p);
/* The session has no agent any more, so no server runs. */
int project_mcp_ended(struct projection *p);

/* session.resumed: those that have been paused with it. */
int project_mcp_resumed(struct projection *p);

int project_mcp_starting(struct projection *p);
int project_mcp_ready(struct projection *p);
int project_mcp_failed(struct projection *p);
int project_mcp_exited(struct projection *p);
int project_mcp_changed(struct projection *p);

#endif
