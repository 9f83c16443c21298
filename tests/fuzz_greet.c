// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_greet.c - Whatever was on the line, a greeting behind it is understood
 */
#include "core/greet.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char nonce[] = "00112233445566778899aabbccddeeff";
	char line[GREET_LINE_MAX], got[GREET_NONCE_MAX];
	struct greet g = {0};
	size_t n = greet_answer(line, nonce, "89abcdef");

	for (size_t i = 0; i < size; i++)
		if (greet_byte(&g, (char)data[i])) {
			(void)greet_is_question(&g, got);
			(void)greet_is_begin(&g, nonce);
		}
	for (size_t i = 0; i < n; i++)
		assert(greet_byte(&g, line[i]) == (i == n - 1));
	assert(greet_is_answer(&g, "89abcdef", got));
	return 0;
}
