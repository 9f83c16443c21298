// SPDX-License-Identifier: Apache-2.0
/*
 * sha1.c - SHA-1 of bytes that come piece by piece (RFC 3174)
 */
#include "vfs/sha1.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static inline uint32_t load(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

#define ROUND(f, k)                                                \
	do {                                                       \
		uint32_t t_ = rotate(a, 5) + (f) + e + (k) + w[i]; \
		e = d, d = c, c = rotate(b, 30), b = a, a = t_;    \
	} while (0)

static void add_block(uint32_t state[5], const unsigned char *p)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], w[80];
	size_t i;

	for (i = 0; i < 16; i++)
		w[i] = load(p + 4 * i);
	for (; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (i = 0; i < 20; i++)
		ROUND(d ^ (b & (c ^ d)), 0x5a827999u);
	for (; i < 40; i++)
		ROUND(b ^ c ^ d, 0x6ed9eba1u);
	for (; i < 60; i++)
		ROUND((b & c) | (d & (b | c)), 0x8f1bbcdcu);
	for (; i < 80; i++)
		ROUND(b ^ c ^ d, 0xca62c1d6u);
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

void sha1_init(struct sha1 *s)
{
	static const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe,
					  0x10325476, 0xc3d2e1f0};

	memcpy(s->state, start, sizeof(start));
	s->n = 0;
}

void sha1_add(struct sha1 *s, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t held = (size_t)(s->n % SHA1_BLOCK);

	s->n += n;
	if (held > 0) {
		size_t take = SHA1_BLOCK - held < n ? SHA1_BLOCK - held : n;

		memcpy(s->block + held, p, take);
		p += take;
		n -= take;
		if (held + take < SHA1_BLOCK)
			return;
		add_block(s->state, s->block);
	}
	for (; n >= SHA1_BLOCK; n -= SHA1_BLOCK, p += SHA1_BLOCK)
		add_block(s->state, p);
	if (n > 0)
		memcpy(s->block, p, n);
}

struct vfs_oid sha1_end(struct sha1 *s)
{
	static const unsigned char pad[SHA1_BLOCK] = {0x80};
	uint64_t bits = s->n * 8;
	unsigned char len[8];
	struct vfs_oid out;

	for (int i = 0; i < 8; i++)
		len[i] = (unsigned char)(bits >> (56 - 8 * i));
	sha1_add(s, pad, 1 + (119 - (size_t)(s->n % SHA1_BLOCK)) % SHA1_BLOCK);
	sha1_add(s, len, sizeof(len));
	for (size_t i = 0; i < VFS_OID_BYTES; i++)
		out.b[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
	return out;
}

void sha1_init_object(struct sha1 *s, const char *type, uint64_t size)
{
	char head[48];
	int n = snprintf(head, sizeof(head), "%s %" PRIu64, type, size);

	sha1_init(s);
	sha1_add(s, head, (size_t)n + 1);
}
