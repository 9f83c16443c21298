/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.h - Words that a stranger carries for us and cannot change
 *
 * A sealed text has a time after which it is worth nothing, and a context: it
 * opens only where the same context is given.  It is not hidden from its
 * carrier.
 */
#ifndef MCP_SEAL_H
#define MCP_SEAL_H

#include "core/json.h"

#define SEAL_KEY_LEN 32

struct mcp_seal {
	uint8_t key[SEAL_KEY_LEN];
};

/* With a key of its own, from the kernel. */
int mcp_seal_init(struct mcp_seal *s);

/* Append the sealed text as a JSON string.  @now_s: any clock that
 * mcp_seal_open() is given too. */
void mcp_seal_write(const struct mcp_seal *s, struct jw *w, const char *context,
		    const char *text, uint64_t now_s);

/**
 * mcp_seal_open() - Read a sealed text
 * @sealed: Decoded string
 * @out:    Set on success; of @cap bytes
 *
 * Return: 0; -EBADMSG when it is not ours, not for @context, or too old.
 */
int mcp_seal_open(const struct mcp_seal *s, const char *context, char *sealed,
		  uint64_t now_s, char *out, size_t cap);

#endif
