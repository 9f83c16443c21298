/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - The members of a JSON object's text, without parsing what is in them
 *
 * For a look at the outside of a large value: one pass, no memory.  Text that
 * is no JSON ends the walk early and does no harm.
 */
#ifndef MCP_SCAN_H
#define MCP_SCAN_H

#include "core/base.h"

struct mcp_scan {
	const char *p, *end; /* Private. */
};

/* Slices of the text. */
struct mcp_member {
	const char *key; /* As it stands in the text, without quotes. */
	size_t key_len;
	const char *value;
	size_t value_len;
};

/* @text need not end in NUL. */
void mcp_scan_init(struct mcp_scan *s, const char *text, size_t len);
/* Return: whether there is another member. */
bool mcp_scan_next(struct mcp_scan *s, struct mcp_member *out);
bool mcp_member_is(const struct mcp_member *m, const char *key);

/* The first member of that name.  Return: whether there is one. */
bool mcp_scan_find(const char *text, size_t len, const char *key,
		   struct mcp_member *out);

/**
 * mcp_scan_id() - The id in a message that was refused unparsed, or the begin
 *                 of one
 *
 * Return: a token that is a string or a number, its bytes in *out_len; NULL
 * when there is none.
 */
const char *mcp_scan_id(const char *line, size_t len, size_t *out_len);

#endif
