// SPDX-License-Identifier: Apache-2.0
/*
 * test_lines.c - Framing of untrusted streams
 */
#include "core/lines.h"

#include "tests/tap.h"

struct seen {
	int n;
	const char *where; /* Of the last line. */
	char last[64];
	int stop_at; /* 0: never. */
};

static int remember(char *line, size_t len, void *arg)
{
	struct seen *s = arg;

	EQ(strlen(line), len);
	snprintf(s->last, sizeof(s->last), "%s", line);
	s->where = line;
	s->n++;
	return s->n == s->stop_at ? -ECANCELED : 0;
}

TEST(whole_lines_are_not_copied)
{
	char in[] = "{}\n[1]\n";
	struct seen s = {0};
	struct lines l;

	lines_init(&l, 100);
	EQ(lines_feed(&l, in, 7, remember, &s), 0);
	EQ(s.n, 2);
	STR_EQ(s.last, "[1]");
	OK(s.where == in + 3);
	OK(l.buf == NULL);
	lines_done(&l);
}

TEST(a_byte_at_a_time)
{
	char in[] = "abc\n\ndef\n";
	struct seen s = {0};
	struct lines l;

	lines_init(&l, 3);
	for (size_t i = 0; i < sizeof(in) - 1; i++)
		EQ(lines_feed(&l, in + i, 1, remember, &s), 0);
	EQ(s.n, 3);
	STR_EQ(s.last, "def");
	lines_done(&l);
}

TEST(a_torn_line_is_joined)
{
	char first[] = "a\nbc", second[] = "d\ne\n";
	struct seen s = {0};
	struct lines l;

	lines_init(&l, 100);
	EQ(lines_feed(&l, first, 4, remember, &s), 0);
	EQ(s.n, 1);
	s.stop_at = 2;
	EQ(lines_feed(&l, second, 4, remember, &s), -ECANCELED);
	STR_EQ(s.last, "bcd");
	lines_done(&l);
}

TEST(too_long_is_refused)
{
	char abc[] = "abc", d[] = "d", whole[] = "abcd\n";
	struct seen s = {0};
	struct lines l;

	lines_init(&l, 3);
	EQ(lines_feed(&l, abc, 3, remember, &s), 0);
	EQ(lines_feed(&l, d, 1, remember, &s), -EMSGSIZE);
	lines_done(&l);

	lines_init(&l, 3);
	EQ(lines_feed(&l, whole, 5, remember, &s), -EMSGSIZE);
	EQ(s.n, 0);
	lines_done(&l);
}

static int measure(char *line, size_t len, void *arg)
{
	size_t *n = arg;

	(void)line;
	*n = len;
	return 0;
}

TEST(a_large_buffer_goes_with_its_line)
{
	static char big[1 << 20];
	struct lines l;
	size_t n = 0;

	memset(big, 'x', sizeof(big));
	lines_init(&l, 2 * sizeof(big));
	EQ(lines_feed(&l, big, sizeof(big), measure, &n), 0);
	OK(l.buf != NULL);
	big[0] = '\n';
	EQ(lines_feed(&l, big, 1, measure, &n), 0);
	EQ(n, sizeof(big));
	OK(l.buf == NULL);
	EQ(l.limit, 2 * sizeof(big));
	lines_done(&l);
}

TESTS(CASE(whole_lines_are_not_copied), CASE(a_byte_at_a_time),
      CASE(a_torn_line_is_joined), CASE(too_long_is_refused),
      CASE(a_large_buffer_goes_with_its_line))
