/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_index.h - The tools of several MCP servers, as if they were of one
 *
 * A tool is shown as <server>__<tool>, always, so that no name changes when a
 * server joins.  Models take names of up to MCP_SHOWN_MAX characters out of
 * [A-Za-z0-9_-]: a name that is longer or has others gets an end made of its
 * hash, the same each time.  Names that are ambiguous all the same are left out.
 * The order is that of the names.  Prompts go the same way.
 */
#ifndef GUEST_MCP_INDEX_H
#define GUEST_MCP_INDEX_H

#include "core/json.h"

#define MCP_SHOWN_MAX 64

struct mcp_index_entry {
	char shown[MCP_SHOWN_MAX + 1];
	char *name;  /* As its server calls it. */
	void *owner; /* As given when it was added. */
	char *json;  /* The object of the list, shown under its new name. */
	size_t len;
};

struct mcp_index {
	struct mcp_index_entry *entries; /* Sorted, once complete. */
	size_t n;
	/* Private. */
	size_t cap;
	bool failed;
};

/* Under which name a tool is shown. */
void mcp_shown_name(const char *server, const char *name,
		    char out[MCP_SHOWN_MAX + 1]);

/* Add an object of a list of @server; one without a name is left out. */
void mcp_index_add(struct mcp_index *ix, const char *server, struct jv object,
		   void *owner);
/* All are added: sort.  Return: 0; -ENOMEM, and it is empty. */
int mcp_index_complete(struct mcp_index *ix);
void mcp_index_done(struct mcp_index *ix); /* Leaves zeroes. */

/* NULL: nothing is shown under that name. */
const struct mcp_index_entry *mcp_index_find(const struct mcp_index *ix,
					     const char *shown);
/* Write all objects as an array. */
void mcp_index_write(const struct mcp_index *ix, struct jw *w);

#endif
