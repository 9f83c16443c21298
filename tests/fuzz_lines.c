// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_lines.c - Any split of any bytes gives the same lines
 */
#include "core/lines.h"

#include <assert.h>
#include <string.h>

#define LIMIT 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sum(char *line, size_t len, void *arg)
{
	uint32_t *h = arg;

	assert(len <= LIMIT && line[len] == '\0');
	for (size_t i = 0; i <= len; i++)
		*h = *h * 31 + (unsigned char)line[i];
	return 0;
}

/* Feed a copy in pieces of @step bytes; the last result comes back. */
static int feed(const uint8_t *data, size_t size, size_t step, uint32_t *h)
{
	autofree char *copy = malloc(size + 1);
	struct lines l;
	int r = 0;

	assert(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	lines_init(&l, LIMIT);
	for (size_t i = 0; i < size && r == 0; i += step)
		r = lines_feed(&l, copy + i, step < size - i ? step : size - i,
			       sum, h);
	lines_done(&l);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t whole = 0, split = 0;
	size_t step = size > 0 ? data[0] % 16u + 1 : 1;
	int r = feed(data, size, size + 1, &whole);

	assert(feed(data, size, step, &split) == r);
	assert(whole == split);
	return 0;
}
