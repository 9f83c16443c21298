// SPDX-License-Identifier: Apache-2.0
/*
 * seal.c - Words that a stranger carries for us and cannot change
 *
 * base64 of: HMAC-SHA256 (32 bytes), time of end (8), text.  The code covers
 * the time, the text and the context, each behind its length.
 */
#include "mcp/seal.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/random.h>

#include "core/base64.h"
#include "mcp/proto.h"

#define MAC_LEN	 SHA256_DIGEST_SIZE
#define TIME_LEN sizeof(uint64_t)
#define HEAD_LEN (MAC_LEN + TIME_LEN)

int mcp_seal_init(struct mcp_seal *s)
{
	ssize_t n = getrandom(s->key, sizeof(s->key), 0);

	return n == (ssize_t)sizeof(s->key) ? 0 : -EIO;
}

static void add(struct hmac_sha256_ctx *h, const void *data, uint64_t n)
{
	hmac_sha256_update(h, sizeof(n), (const uint8_t *)&n);
	hmac_sha256_update(h, n, data);
}

static void compute(const struct mcp_seal *s, const char *context,
		    const char *body, size_t len, uint8_t out[MAC_LEN])
{
	struct hmac_sha256_ctx h;

	hmac_sha256_set_key(&h, sizeof(s->key), s->key);
	add(&h, context, strlen(context));
	add(&h, body, len);
	hmac_sha256_digest(&h, MAC_LEN, out);
}

void mcp_seal_write(const struct mcp_seal *s, struct jw *w, const char *context,
		    const char *text, uint64_t now_s)
{
	uint64_t end_s = now_s + MCP_STATE_TTL_S;
	char raw[HEAD_LEN + MCP_STATE_MAX];
	size_t len = strnlen(text, MCP_STATE_MAX);

	memcpy(raw + MAC_LEN, &end_s, TIME_LEN);
	memcpy(raw + HEAD_LEN, text, len);
	compute(s, context, raw + MAC_LEN, TIME_LEN + len, (uint8_t *)raw);
	base64_write(w, raw, HEAD_LEN + len);
}

int mcp_seal_open(const struct mcp_seal *s, const char *context, char *sealed,
		  uint64_t now_s, char *out, size_t cap)
{
	size_t len = strlen(sealed);
	uint8_t mac[MAC_LEN];
	uint64_t end_s;

	if (base64_read(sealed, &len) < 0 || len < HEAD_LEN ||
	    len - HEAD_LEN >= cap)
		return -EBADMSG;
	compute(s, context, sealed + MAC_LEN, len - MAC_LEN, mac);
	if (!memeql_sec(mac, sealed, MAC_LEN))
		return -EBADMSG;
	memcpy(&end_s, sealed + MAC_LEN, TIME_LEN);
	if (now_s > end_s)
		return -EBADMSG;
	len -= HEAD_LEN;
	memcpy(out, sealed + HEAD_LEN, len);
	out[len] = '\0';
	return 0;
}
