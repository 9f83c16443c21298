// SPDX-License-Identifier: Apache-2.0
/*
 * meta.c - What params._meta says about a request
 */
#include "mcp/meta.h"

#include "core/rpc.h"

void mcp_meta_read(struct mcp_meta *out, struct jv params)
{
	static const struct jv absent = {.i = -1};
	struct jv meta = jv_get(params, "_meta");
	const struct {
		const char *key;
		struct jv *value;
	} table[] = {
		{MCP_META_VERSION, &out->version},
		{MCP_META_CLIENT_CAPS, &out->client_caps},
		{MCP_META_CLIENT_INFO, &out->client_info},
		{MCP_META_LOG_LEVEL, &out->log_level},
		{"progressToken", &out->progress_token},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		*table[i].value = absent;
	if (!jv_is(meta, JV_OBJECT))
		return;
	for (struct jv k = jv_first(meta); jv_has(k); k = jv_next(meta, k))
		for (size_t i = 0; i < ARRAY_LEN(table); i++)
			if (jv_eq(k, table[i].key))
				*table[i].value = jv_value(k);
}

bool mcp_meta_is_modern(const struct mcp_meta *m)
{
	return jv_has(m->version) || jv_has(m->client_caps);
}

static int unsupported(const struct mcp_meta *m, const char **message,
		       struct jw *data)
{
	jw_obj(data);
	jw_key(data, "supported");
	jw_arr(data);
	jw_str(data, MCP_MODERN_LATEST);
	jw_arr_end(data);
	jw_kvalue(data, "requested", m->version);
	jw_obj_end(data);
	*message = "unsupported protocol version";
	return MCP_UNSUPPORTED_VERSION;
}

int mcp_meta_check(const struct mcp_meta *m, const char **message,
		   struct jw *data)
{
	if (!jv_is(m->version, JV_STRING)) {
		*message = "params._meta lacks " MCP_META_VERSION;
		return RPC_INVALID_PARAMS;
	}
	if (!jv_eq(m->version, MCP_MODERN_LATEST))
		return unsupported(m, message, data);
	if (!jv_is(m->client_caps, JV_OBJECT)) {
		*message = "params._meta lacks " MCP_META_CLIENT_CAPS;
		return RPC_INVALID_PARAMS;
	}
	return 0;
}
