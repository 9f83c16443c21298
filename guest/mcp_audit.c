// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_audit.c - The record of each call of a tool
 *
 * What is too large for an event, or nested too deep to be part of one, is told
 * by its size and SHA-256.
 */
#include "guest/mcp_audit.h"

#include <nettle/sha2.h>
#include <stdio.h>

#include "core/hex.h"
#include "guest/limits.h"

static void write_sum(struct jw *w, const char *key, const char *raw,
		      size_t len)
{
	struct sha256_ctx ctx;
	uint8_t sum[SHA256_DIGEST_SIZE];
	char hex[2 * SHA256_DIGEST_SIZE + 1], name[64];

	sha256_init(&ctx);
	sha256_update(&ctx, len, (const uint8_t *)raw);
	sha256_digest(&ctx, sizeof(sum), sum);
	(void)hex_encode(sum, sizeof(sum), hex);
	snprintf(name, sizeof(name), "%s_sha256", key);
	jw_kstr(w, name, hex);
	snprintf(name, sizeof(name), "%s_bytes", key);
	jw_kint(w, name, (int64_t)len);
}

static void write_value(struct jw *w, const char *key, struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	if (raw == NULL)
		return;
	if (len > MCP_AUDIT_BYTES || v.j->depth > MCP_AUDIT_DEPTH)
		write_sum(w, key, raw, len);
	else
		jw_kvalue(w, key, v);
}

void mcp_audit_call(struct journal *j, const struct mcp_audit *a)
{
	bool ok = jv_has(a->result) &&
		  !jv_bool(jv_get(a->result, "isError"), false);
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "name", a->server);
	jw_kstr(&w, "tool", a->tool);
	write_value(&w, "arguments", a->arguments);
	jw_kbool(&w, "ok", ok);
	write_value(&w, "result", a->result);
	write_value(&w, "error", a->error);
	if (!jv_has(a->result) && !jv_has(a->error))
		jw_kstr(&w, "error", a->why);
	jw_kint(&w, "ms", a->ms);
	jw_obj_end(&w);
	journal_add_jw(j, "mcp.call", NULL, &w);
}
