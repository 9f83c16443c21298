// SPDX-License-Identifier: Apache-2.0
/*
 * test_path.c - How people name files of a workspace
 */
#include "vfs/path.h"

#include "core/base64.h"
#include "tests/tap.h"

#define ESCAPE	(-FAULT_PATH_ESCAPE)
#define INVALID (-FAULT_INVALID_ARGUMENT)

/* --- the table, as in hib(1) -------------------------------------------- */

static const struct {
	const char *in, *want; /* want NULL: it is refused. */
	int code;	       /* Of the refusal. */
	bool folder;
} table[] = {
	/* The root. */
	{"/", "", 0, true},
	{".", "", 0, true},
	{"./", "", 0, true},
	{"//", "", 0, true},
	{"/.", "", 0, true},
	{"/workspace", "", 0, true},
	{"/workspace/", "", 0, true},
	{"//workspace//", "", 0, true},
	{"/./workspace/.", "", 0, true},
	/* With and without a slash, and with the prefix. */
	{"a", "a", 0, false},
	{"/a", "a", 0, false},
	{"./a", "a", 0, false},
	{"/workspace/a", "a", 0, false},
	{"a/b/c", "a/b/c", 0, false},
	{"/a/b/c", "a/b/c", 0, false},
	{"/workspace/a/b/c", "a/b/c", 0, false},
	/* The prefix is one only where an absolute path begins. */
	{"workspace", "workspace", 0, false},
	{"workspace/a", "workspace/a", 0, false},
	{"./workspace/a", "workspace/a", 0, false},
	{"/workspace/workspace", "workspace", 0, false},
	{"/workspace/workspace/a", "workspace/a", 0, false},
	{"/workspaces/a", "workspaces/a", 0, false},
	{"/a/workspace/b", "a/workspace/b", 0, false},
	{"/Workspace/a", "Workspace/a", 0, false},
	/* What means nothing. */
	{"a//b", "a/b", 0, false},
	{"a///b//c", "a/b/c", 0, false},
	{"a/./b", "a/b", 0, false},
	{"./././a", "a", 0, false},
	{"//a", "a", 0, false},
	/* Folders. */
	{"a/", "a", 0, true},
	{"a//", "a", 0, true},
	{"a/.", "a", 0, true},
	{"a/b/", "a/b", 0, true},
	{"/workspace/a/", "a", 0, true},
	/* Names of any kind. */
	{"...", "...", 0, false},
	{"..a", "..a", 0, false},
	{"a..", "a..", 0, false},
	{".a", ".a", 0, false},
	{".git/config", ".git/config", 0, false},
	{" a ", " a ", 0, false},
	{"a\nb", "a\nb", 0, false},
	{"a\\..\\b", "a\\..\\b", 0, false},
	{"~/a", "~/a", 0, false},
	{"%2e%2e/a", "%2e%2e/a", 0, false},
	{"C:/a", "C:/a", 0, false},
	{"\xff\xfe", "\xff\xfe", 0, false},
	{"\xc3\xa4/\xe2\x82\xac", "\xc3\xa4/\xe2\x82\xac", 0, false},
	/* No other name for a place is taken, though it were inside. */
	{"..", NULL, ESCAPE, false},
	{"../", NULL, ESCAPE, false},
	{"/..", NULL, ESCAPE, false},
	{"../etc/passwd", NULL, ESCAPE, false},
	{"/../etc/passwd", NULL, ESCAPE, false},
	{"/workspace/..", NULL, ESCAPE, false},
	{"/workspace/../etc", NULL, ESCAPE, false},
	{"a/../b", NULL, ESCAPE, false},
	{"a/..", NULL, ESCAPE, false},
	{"a/./../b", NULL, ESCAPE, false},
	{"", NULL, INVALID, false},
	/* Absolute means from the root of the workspace. */
	{"/etc/passwd", "etc/passwd", 0, false},
	{"/proc/self", "proc/self", 0, false},
};

TEST(every_path_of_the_table_has_its_result)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vfs_path p;
		struct err e = {0};
		int r = vfs_path_read(&p, table[i].in, strlen(table[i].in), &e);

		if (r != table[i].code)
			FAIL("'%s': %d, %s", table[i].in, r, e.msg);
		if (r < 0)
			continue;
		STR_EQ(p.text, table[i].want);
		EQ(p.len, strlen(table[i].want));
		if (p.folder != table[i].folder)
			FAIL("'%s': folder %d", table[i].in, p.folder);
	}
	OK(ARRAY_LEN(table) > 40);
}

/* --- limits ------------------------------------------------------------- */

static int read_repeated(const char *unit, size_t times, struct vfs_path *p)
{
	size_t n = strlen(unit);
	char *text = malloc(n * times + 1);
	int r;

	OK(text != NULL);
	for (size_t i = 0; i < times; i++)
		memcpy(text + i * n, unit, n);
	r = vfs_path_read(p, text, n * times, NULL);
	free(text);
	return r;
}

TEST(lengths_are_bounded)
{
	struct vfs_path p;

	EQ(read_repeated("a", 255, &p), 0);
	EQ(p.len, 255);
	EQ(read_repeated("a", 256, &p), INVALID);
	EQ(read_repeated("a/", 2048, &p), 0);
	EQ(p.len, VFS_PATH_MAX);
	EQ(read_repeated("a/", 2049, &p), INVALID);
	EQ(read_repeated("/", VFS_PATH_INPUT_MAX, &p), 0);
	EQ(read_repeated("/", VFS_PATH_INPUT_MAX + 1, &p), INVALID);
}

TEST(a_nul_is_refused_and_nothing_is_set)
{
	struct vfs_path p = {.len = 7};

	EQ(vfs_path_read(&p, "a\0b", 3, NULL), INVALID);
	EQ(vfs_path_read(&p, "../a", 4, NULL), ESCAPE);
	EQ(p.len, 7);
}

/* --- JSON --------------------------------------------------------------- */

static int get(const char *json, struct vfs_path *p)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, json, strlen(json), NULL), 0);
	return vfs_path_get(p, json_root(&j), "path", NULL);
}

TEST(a_path_comes_as_text_or_as_base64)
{
	struct vfs_path p;

	EQ(get("{\"path\":\"/workspace/a\"}", &p), 0);
	STR_EQ(p.text, "a");
	EQ(get("{\"path\":\"x\\ufffd\",\"path_b64\":\"eP8=\"}", &p), 0);
	STR_EQ(p.text, "x\xff");
	EQ(get("{\"path_b64\":\"Li4=\"}", &p), ESCAPE);
	EQ(get("{\"path_b64\":\"x\"}", &p), INVALID);
	EQ(get("{\"path\":7}", &p), INVALID);
	EQ(get("{\"path\":\"a\\u0000b\"}", &p), INVALID);
	EQ(get("{}", &p), INVALID);
}

static void put_is(const char *path, const char *want)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	vfs_path_put(&w, "path", path, strlen(path));
	jw_obj_end(&w);
	STR_EQ(w.buf, want);
}

TEST(what_is_no_utf8_is_told_twice)
{
	put_is("a/\xc3\xa4", "{\"path\":\"a/\xc3\xa4\"}");
	put_is("x\xff", "{\"path\":\"x\xef\xbf\xbd\",\"path_b64\":\"eP8=\"}");
}

TEST(base64_comes_back_whatever_the_length)
{
	char bytes[1000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t n = 0; n <= sizeof(bytes); n += n < 8 ? 1 : 31) {
		autojw struct jw w = {0};
		size_t len;

		base64_write(&w, bytes, n);
		OK(w.len == BASE64_LEN(n) + 2);
		len = w.len - 2;
		EQ(base64_read(w.buf + 1, &len), 0);
		EQ(len, n);
		OK(memcmp(w.buf + 1, bytes, n) == 0);
	}
}

TEST(what_is_no_base64_is_refused)
{
	static const char *const bad[] = {"a",	  "ab",	      "abc",  "ab==c",
					  "a===", "====",     "YQ=a", "YR==",
					  "YWJ=", "YWI=YWI=", "YW\nI"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char text[16];
		size_t n = strlen(bad[i]);

		memcpy(text, bad[i], n + 1);
		if (base64_read(text, &n) != -EINVAL)
			FAIL("'%s' is taken", bad[i]);
	}
}

/* --- order -------------------------------------------------------------- */

TEST(order_is_that_of_a_walk)
{
	static const char *const sorted[] = {"",    "a",   "a/b", "a/b/c",
					     "a/c", "a b", "a-b", "a.c",
					     "ab",  "b",   "\xff"};

	for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
		for (size_t k = 0; k < ARRAY_LEN(sorted); k++)
			EQ(vfs_path_cmp(sorted[i], sorted[k]),
			   i < k ? -1 : i > k);
}

TESTS(CASE(every_path_of_the_table_has_its_result), CASE(lengths_are_bounded),
      CASE(a_nul_is_refused_and_nothing_is_set),
      CASE(a_path_comes_as_text_or_as_base64),
      CASE(what_is_no_utf8_is_told_twice),
      CASE(base64_comes_back_whatever_the_length),
      CASE(what_is_no_base64_is_refused), CASE(order_is_that_of_a_walk))
