// SPDX-License-Identifier: Apache-2.0
/*
 * id.c - Names of things: a prefix and 32 hex digits of a UUIDv7
 *
 * A UUIDv7 is 48 bits of Unix milliseconds, 4 bits of version, 12 bits that we
 * fill with the fraction of the millisecond (RFC 9562 section 6.2, method 3),
 * so that ids made in a row sort in that row, 2 bits of variant and 62 random
 * bits.
 */
#include "core/id.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/hex.h"

#define UUID_BYTES   16
#define NS_PER_MS    1000000
#define FRACTION     (1 << 12) /* Steps of a millisecond. */
#define VERSION_BITS 0x70
#define VARIANT_BITS 0x80
#define PREFIX_MAX   3
#define ID_DIGITS    (2 * UUID_BYTES)

static const char *const prefixes[] = {
	"vm",  "ses", "trn", "msg", "req", "exe",
	"art", "sch", "snp", "cmt", "pre",
};

/* Without random bits there are no ids, and nobody could go on without. */
static void fill_random(uint8_t *p, size_t n)
{
	ssize_t got;

	do
		got = getrandom(p, n, 0);
	while (got < 0 && errno == EINTR);
	assert(got ==
	       (ssize_t)n); /* getrandom(2): up to 256 bytes are whole. */
}

static void uuid7(uint8_t u[UUID_BYTES])
{
	struct timespec now;
	uint64_t ms;
	unsigned fraction;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)(now.tv_nsec / NS_PER_MS);
	fraction = (unsigned)(now.tv_nsec % NS_PER_MS * FRACTION / NS_PER_MS);

	fill_random(u, UUID_BYTES);
	for (int i = 0; i < 6; i++)
		u[i] = (uint8_t)(ms >> (40 - 8 * i));
	u[6] = (uint8_t)(VERSION_BITS | fraction >> 8);
	u[7] = (uint8_t)fraction;
	u[8] = (uint8_t)(VARIANT_BITS | (u[8] & 0x3f));
}

static bool prefix_is_known(const char *s, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strlen(prefixes[i]) == n && memcmp(prefixes[i], s, n) == 0)
			return true;
	return false;
}

void id_new(char out[ID_MAX], const char *prefix)
{
	uint8_t u[UUID_BYTES];
	size_t n = strlen(prefix);

	assert(prefix_is_known(prefix, n));
	uuid7(u);
	memcpy(out, prefix, n);
	out[n++] = '_';
	(void)hex_encode(u, UUID_BYTES, out + n);
}

static bool is_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Each event has two of them that are looked at. */
bool id_is(const char *s, const char *prefix)
{
	size_t n = 0;

	while (s != NULL && n <= PREFIX_MAX && s[n] != '\0' && s[n] != '_')
		n++;
	if (n == 0 || n > PREFIX_MAX || s[n] != '_')
		return false;
	if (prefix ? strlen(prefix) != n || memcmp(prefix, s, n) != 0
		   : !prefix_is_known(s, n))
		return false;
	s += n + 1;
	for (n = 0; n < ID_DIGITS && is_digit(s[n]);)
		n++;
	return n == ID_DIGITS && s[n] == '\0';
}
