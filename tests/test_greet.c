// SPDX-License-Identifier: Apache-2.0
/*
 * test_greet.c - Two sides meet on a line with rubbish on it
 */
#include "core/greet.h"

#include <string.h>

#include "tests/tap.h"

static const char nonce[] = "00112233445566778899aabbccddeeff";
static const char token[] = "89abcdef";

/* Return: how many lines ended; @g is as after the last one. */
static int feed(struct greet *g, const char *text, size_t n)
{
	int lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += greet_byte(g, text[i]);
	return lines;
}

TEST(each_line_is_what_it_is)
{
	char line[GREET_LINE_MAX], got[GREET_NONCE_MAX];
	struct greet g = {0};

	EQ(feed(&g, line, greet_question(line, token)), 1);
	OK(greet_is_question(&g, got) && strcmp(got, token) == 0);
	OK(!greet_is_answer(&g, token, got) && !greet_is_begin(&g, nonce));
	EQ(feed(&g, line, greet_answer(line, nonce, token)), 1);
	OK(greet_is_answer(&g, token, got) && strcmp(got, nonce) == 0);
	OK(!greet_is_answer(&g, "00000000", got));
	OK(!greet_is_question(&g, got) && !greet_is_begin(&g, nonce));
	EQ(feed(&g, line, greet_begin(line, nonce)), 1);
	OK(greet_is_begin(&g, nonce));
	OK(!greet_is_begin(&g, "ffffffffffffffffffffffffffffffff"));
}

TEST(rubbish_in_front_does_not_matter)
{
	static const char rubbish[] =
		"HIB? HIB1 \0\xff PRI * HTTP/2.0\r\n\r\n"
		"0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789";
	char line[GREET_LINE_MAX], got[GREET_NONCE_MAX];
	struct greet g = {0};

	for (size_t n = 0; n <= sizeof(rubbish); n++) {
		(void)feed(&g, rubbish, n);
		EQ(feed(&g, line, greet_answer(line, nonce, token)), 1);
		OK(greet_is_answer(&g, token, got));
		EQ(strcmp(got, nonce), 0);
	}
}

TEST(a_line_that_is_none_is_none)
{
	static const char *const bad[] = {
		"\n",
		"HIB?\n",
		"HIB? \n",
		"HIB? 89abcde\n",
		"HIB? 89ABCDEF\n",
		"HIB? 89abcdef \n",
		"HIB1 89abcdef\n",
		"HIB1 00112233445566778899aabbccddeeff89abcdef\n",
		"HIB1 0011223344556677zz99aabbccddeeff 89abcdef\n",
	};
	char got[GREET_NONCE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct greet g = {0};

		EQ(feed(&g, bad[i], strlen(bad[i])), 1);
		if (greet_is_question(&g, got) ||
		    greet_is_answer(&g, token, got) ||
		    greet_is_begin(&g, nonce))
			FAIL("'%s' is taken for something", bad[i]);
	}
}

TESTS(CASE(each_line_is_what_it_is), CASE(rubbish_in_front_does_not_matter),
      CASE(a_line_that_is_none_is_none))
