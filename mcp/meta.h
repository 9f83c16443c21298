/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.h - What params._meta says about a request, and whether that will do
 */
#ifndef MCP_META_H
#define MCP_META_H

#include "core/json.h"
#include "mcp/proto.h"

/* Values of the request's document; absent when not given. */
struct mcp_meta {
	struct jv version;
	struct jv client_caps;
	struct jv client_info;
	struct jv log_level;
	struct jv progress_token;
};

void mcp_meta_read(struct mcp_meta *out, struct jv params);
/* Does it claim to be of the modern era? */
bool mcp_meta_is_modern(const struct mcp_meta *m);

/**
 * mcp_meta_check() - May a modern request with this _meta be served?
 * @message: Set on failure, for the error's message
 * @data:    Written on failure, for the error's data; stays empty when it has
 *           none
 *
 * Return: 0, or the code of the error to answer with.
 */
int mcp_meta_check(const struct mcp_meta *m, const char **message,
		   struct jw *data);

#endif
