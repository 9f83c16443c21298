// SPDX-License-Identifier: Apache-2.0
/*
 * test_words.c - A command line is cut as sh(1) does
 */
#include "host/cli/words.h"

#include "tests/tap.h"

static void cuts(const char *line, const char *want, int n)
{
	autojw struct jw w = {0};

	EQ(words_write(line, &w), n);
	STR_EQ(w.buf, want);
}

static void does_not_end(const char *line)
{
	autojw struct jw w = {0};

	EQ(words_write(line, &w), -EINVAL);
}

TEST(blanks_part_words)
{
	cuts("", "[]", 0);
	cuts("  \t", "[]", 0);
	cuts("npx -y  server\t/x ", "[\"npx\",\"-y\",\"server\",\"/x\"]", 4);
}

TEST(quotes_hold_words_together)
{
	cuts("a 'b c'd \"e 'f'\"", "[\"a\",\"b cd\",\"e 'f'\"]", 3);
	cuts("'' \"\"", "[\"\",\"\"]", 2);
	cuts("'a\\b' \"a\\b\\\"\"", "[\"a\\\\b\",\"a\\\\b\\\"\"]", 2);
}

TEST(a_backslash_takes_the_next_byte)
{
	cuts("a\\ b \\'c", "[\"a b\",\"'c\"]", 2);
}

TEST(nothing_else_is_special)
{
	cuts("echo $HOME *.c `x` a;b",
	     "[\"echo\",\"$HOME\",\"*.c\",\"`x`\",\"a;b\"]", 5);
}

TEST(what_does_not_end_is_refused)
{
	does_not_end("a 'b");
	does_not_end("\"b\\\"");
	does_not_end("a \\");
}

TESTS(CASE(blanks_part_words), CASE(quotes_hold_words_together),
      CASE(a_backslash_takes_the_next_byte), CASE(nothing_else_is_special),
      CASE(what_does_not_end_is_refused))
