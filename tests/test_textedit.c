// SPDX-License-Identifier: Apache-2.0
/*
 * test_textedit.c - Passages that are replaced, and the diff that tells of it
 */
#include "guest/textedit.h"

#include "guest/linediff.h"
#include "tests/tap.h"

static struct text text_of(const char *s)
{
	return (struct text){strdup(s), strlen(s)};
}

static int edit(struct text *t, const char *old, const char *new)
{
	struct text a = text_of(old), b = text_of(new);
	int r = textedit_replace(t, &a, &b);

	free(a.s);
	free(b.s);
	return r;
}

static void becomes(const char *text, const char *old, const char *new,
		    const char *want)
{
	struct text t = text_of(text);

	EQ(edit(&t, old, new), 0);
	STR_EQ(t.s, want);
	EQ(t.len, strlen(want));
	free(t.s);
}

TEST(the_first_of_several_is_replaced)
{
	becomes("a b a b", "a", "x", "x b a b");
	becomes("one\ntwo\n", "one\ntwo", "1", "1\n");
	becomes("", "", "new", "new");
	becomes("abc", "b", "", "ac");
}

TEST(white_space_around_lines_does_not_matter)
{
	becomes("  if (x) {\n    foo();\n  }\n", "if (x) {\nfoo();",
		"if (y) {\nbar();", "  if (y) {\nbar();\n  }\n");
	becomes("\tfoo();  \n", "foo();", "bar();", "\tbar();  \n");
	becomes("a\n  b  \nc", " b\n c", " x\n y", "a\n  x\n  y");
	becomes("\xc2\xa0"
		"a\nb",
		"a \nb", "z\nb",
		"\xc2\xa0"
		"z\nb");
}

TEST(indentation_is_kept_in_relation)
{
	becomes("    a\n    b\n", "  a\n  b", "  a\n    b", "    a\n      b\n");
	becomes("    a\n    b\n", "  a \n    b", "  a\n  b", "    a\n    b\n");
}

TEST(what_is_not_there_changes_nothing)
{
	struct text t = text_of("a\nb\n");

	EQ(edit(&t, "c", "d"), -ENOENT);
	EQ(edit(&t, "a\nb\n\n\nc", "d"), -ENOENT);
	STR_EQ(t.s, "a\nb\n");
	free(t.s);
}

TEST(looking_for_it_has_an_end)
{
	size_t n = 20000;
	struct text t = {malloc(n + 1), n},
		    old = {malloc(n / 2 + 2), n / 2 + 1};
	struct text none = text_of("");

	memset(t.s, '\n', n + 1);
	memset(old.s, '\n', n / 2 + 1);
	old.s[n / 2] = 'x';
	EQ(textedit_replace(&t, &old, &none), -E2BIG);
	free(t.s);
	free(old.s);
	free(none.s);
}

TEST(line_ends_become_lf)
{
	struct text t = text_of("a\r\nb\rc\r\n\r");

	textedit_line_ends(&t);
	STR_EQ(t.s, "a\nb\rc\n\r");
	EQ(t.len, 7);
	free(t.s);
}

static void differs(const char *old, const char *new, const char *want)
{
	static const char head[] =
		"Index: f\n"
		"==========================================================="
		"========\n"
		"--- f\toriginal\n"
		"+++ f\tmodified\n";
	autojw struct jw w = {0};

	EQ(linediff_write("f", old, strlen(old), new, strlen(new), &w), 0);
	OK(strncmp(w.buf, head, strlen(head)) == 0);
	STR_EQ(w.buf + strlen(head), want);
}

TEST(a_diff_has_four_lines_around)
{
	differs("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\n5\nx\n",
		"@@ -2,5 +2,5 @@\n 2\n 3\n 4\n 5\n-6\n+x\n");
	differs("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
	differs("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
	differs("a", "b",
		"@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n"
		"+b\n\\ No newline at end of file\n");
	differs("a\nb\n", "a\nb\n", "");
}

TEST(changes_that_are_near_share_a_hunk)
{
	differs("a\n1\n2\n3\n4\n5\n6\n7\n8\nb\n",
		"A\n1\n2\n3\n4\n5\n6\n7\n8\nB\n",
		"@@ -1,10 +1,10 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n 7\n 8\n"
		"-b\n+B\n");
	differs("a\n1\n2\n3\n4\n5\n6\n7\n8\n9\nb\n",
		"A\n1\n2\n3\n4\n5\n6\n7\n8\n9\nB\n",
		"@@ -1,5 +1,5 @@\n-a\n+A\n 1\n 2\n 3\n 4\n"
		"@@ -7,5 +7,5 @@\n 6\n 7\n 8\n 9\n-b\n+B\n");
}

TEST(texts_that_have_nothing_in_common_are_one_change)
{
	autojw struct jw a = {0}, b = {0}, w = {0};
	char line[32];

	for (int i = 0; i < 3 * LINEDIFF_EDITS_MAX; i++) {
		snprintf(line, sizeof(line), "a%d\n", i);
		jw_lit(&a, line, strlen(line));
		snprintf(line, sizeof(line), "b%d\n", i);
		jw_lit(&b, line, strlen(line));
	}
	EQ(linediff_write("f", a.buf, a.len, b.buf, b.len, &w), 0);
	OK(strstr(w.buf, "@@ -1,3000 +1,3000 @@\n-a0\n-a1\n") != NULL);
}

TESTS(CASE(the_first_of_several_is_replaced),
      CASE(white_space_around_lines_does_not_matter),
      CASE(indentation_is_kept_in_relation),
      CASE(what_is_not_there_changes_nothing), CASE(looking_for_it_has_an_end),
      CASE(line_ends_become_lf), CASE(a_diff_has_four_lines_around),
      CASE(changes_that_are_near_share_a_hunk),
      CASE(texts_that_have_nothing_in_common_are_one_change))
