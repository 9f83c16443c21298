/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_cache.h - What a session's MCP server was when it was ready last
 *
 * Kept in the row of the server, which follows from the log.  With it a front can
 * say what the server is, and list its tools, before the server runs again.
 */
#ifndef GUEST_MCP_CACHE_H
#define GUEST_MCP_CACHE_H

#include "core/reader.h"
#include "guest/mcp_upstream.h"

/* Fill in info, tools and their hash, if they are known. */
void mcp_cache_load(struct reader *r, const char *session, struct upstream *u);

#endif
