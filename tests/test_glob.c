// SPDX-License-Identifier: Apache-2.0
/*
 * test_glob.c - Which paths a pattern means
 *
 * The answers are those of minimatch 10.2 with its option `dot`.
 */
#include "guest/glob.h"

#include "tests/tap.h"

static bool matches(const char *pattern, const char *path)
{
	struct glob *g = NULL;
	struct err e = {0};
	bool found;

	if (glob_new(pattern, &g, &e) < 0)
		FAIL("%s: %s", pattern, e.msg);
	found = glob_match(g, path);
	glob_free(g);
	return found;
}

static void yes(const char *pattern, const char *path)
{
	if (!matches(pattern, path))
		FAIL("%s does not match %s", pattern, path);
}

static void no(const char *pattern, const char *path)
{
	if (matches(pattern, path))
		FAIL("%s matches %s", pattern, path);
}

TEST(a_star_stays_in_its_name)
{
	yes("*.txt", "a.txt");
	no("*.txt", "sub/a.txt");
	yes("*", ".dot");
	yes("a*c*e", "abcde");
	no("a*c*e", "abcdef");
	yes("sub/*/b.c", "sub/deep/b.c");
}

TEST(two_stars_are_any_folders)
{
	yes("**/*.c", "a.c");
	yes("**/*.c", "x/y/a.c");
	yes("a/**/b", "a/b");
	yes("a/**/b", "a/x/y/b");
	no("a/**", "a");
	yes("a/**", "a/b/c");
	yes("**/deep/**", "sub/deep/er");
	no("a**b", "a/b");
}

TEST(characters_and_classes)
{
	yes("?", "\xc3\xa9");
	no("?", "ab");
	yes("[a-c]x", "bx");
	yes("[!a]x", "bx");
	no("[^b]x", "bx");
	yes("[[:digit:]]", "7");
	yes("\\*", "*");
	no("\\*", "a");
	yes("[", "[");
}

TEST(braces_stand_for_several)
{
	yes("{a,b}.c", "b.c");
	yes("{a,b{1,2}}", "b2");
	yes("{a,x/y}/z", "x/y/z");
	yes("f{1..3}", "f3");
	no("f{1..3}", "f4");
	yes("{a}", "{a}");
	yes("{c..a}", "b");
}

TEST(a_mark_before_all_turns_it_round)
{
	yes("!*.txt", "a.c");
	no("!*.txt", "a.txt");
	no("#a", "#a");
	no("", "a");
}

TEST(what_costs_too_much_is_refused)
{
	char many[GLOB_PATTERN_MAX + 2];
	struct glob *g = NULL;
	struct err e = {0};

	memset(many, 'a', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	EQ(glob_new(many, &g, &e), -FAULT_INVALID_ARGUMENT);
	EQ(glob_new("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", &g, &e),
	   -FAULT_INVALID_ARGUMENT);
	EQ(glob_new("{1..99999999}", &g, &e), -FAULT_INVALID_ARGUMENT);
	EQ(glob_new("+(a|b)", &g, &e), -FAULT_INVALID_ARGUMENT);
}

TEST(no_pattern_takes_long)
{
	char path[4000];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	no("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path);
	for (size_t i = 1; i < sizeof(path) - 1; i += 2)
		path[i] = '/';
	no("**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b", path);
}

TESTS(CASE(a_star_stays_in_its_name), CASE(two_stars_are_any_folders),
      CASE(characters_and_classes), CASE(braces_stand_for_several),
      CASE(a_mark_before_all_turns_it_round),
      CASE(what_costs_too_much_is_refused), CASE(no_pattern_takes_long))
