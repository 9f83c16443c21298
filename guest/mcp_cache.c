// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_cache.c - What a session's MCP server was when it was ready last
 */
#include "guest/mcp_cache.h"

#include <string.h>

/* A column as text; NULL: it is not there. */
static char *column(struct reader *r, const char *sql, const char *session,
		    const char *name)
{
	const char *const args[] = {session, name, NULL};
	char *value = NULL;

	return reader_value(r, sql, args, &value, NULL) == 1 ? value : NULL;
}

#define get(what)                                                    \
	column(r,                                                    \
	       "SELECT " what " FROM mcp_server WHERE session_id=?1" \
	       " AND name=?2 AND " what " IS NOT NULL",              \
	       session, name)

void mcp_cache_load(struct reader *r, const char *session, struct upstream *u)
{
	const char *name = u->spec->name;
	autofree char *hash = get("hash"), *version = get("version");
	autofree char *era = get("era"), *tools = get("tools");
	struct upstream_info info = {
		.modern = era != NULL && strcmp(era, "modern") == 0,
		.server = get("server"),
		.capabilities = get("capabilities"),
		.instructions = get("instructions"),
	};

	if (u->tools != NULL || tools == NULL || version == NULL ||
	    hash == NULL || strlen(hash) >= sizeof(u->tools_hash) ||
	    strlen(version) >= sizeof(info.version) || info.server == NULL ||
	    info.capabilities == NULL) {
		upstream_info_done(&info);
		return;
	}
	strcpy(info.version, version);
	strcpy(u->tools_hash, hash);
	u->info = info;
	u->tools_len = strlen(tools);
	u->tools = take_ptr(tools);
}
