// SPDX-License-Identifier: Apache-2.0
/*
 * test_json.c - The grammar to the letter, the limits, and what readers get
 *
 * The documents are of the kinds that the JSONTestSuite of Nicolas Seriot
 * collects; its undefined ones are decided by core/json.h.
 */
#include "core/json.h"

#include <time.h>

#include "tests/tap.h"

struct doc {
	const char *text;
	size_t len;
};

#define DOC(s)                   \
	{                        \
		s, sizeof(s) - 1 \
	}

static const struct doc valid[] = {
	DOC("[]"),
	DOC("{}"),
	DOC("[ ]"),
	DOC(" {\t}\r\n"),
	DOC("null"),
	DOC("true"),
	DOC("false"),
	DOC("42"),
	DOC("-0.1"),
	DOC(" 7 "),
	DOC("\"\""),
	DOC("\"a\""),
	DOC(" \"a\" "),
	DOC("[[]   ]"),
	DOC("[null, 1, \"1\", {}]"),
	DOC("[123e65]"),
	DOC("[0e+1]"),
	DOC("[0e1]"),
	DOC("[-0]"),
	DOC("[1E22]"),
	DOC("[1E-2]"),
	DOC("[123.456e78]"),
	DOC("[1.5]"),
	DOC("[-1]"),
	DOC("[99999999999999999999999999]"),
	DOC("[1e9999]"),
	DOC("{\"a\":1,\"a\":2}"),
	DOC("{\"\":0}"),
	DOC("{\"a\":[]}"),
	DOC("{\"a\\u0000b\":0}"),
	DOC("[\"\\u0060\\u012a\\u12AB\"]"),
	DOC("[\"\\uD801\\udc37\"]"),
	DOC("[\"\\ud83d\\ude39\\ud83d\"]"),
	DOC("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
	DOC("[\"\\\\u0000\"]"),
	DOC("[\"\\uDC00\"]"),
	DOC("[\"a/*b*/c\"]"),
	DOC("[\"\x7f\"]"),
	DOC("[\"\xc3\xa9\"]"),
	DOC("[\"\xe2\x82\xac\"]"),
	DOC("[\"\xed\x9f\xbf\"]"),
	DOC("[\"\xf0\x9f\x98\xb9\"]"),
	DOC("[\"\xf4\x8f\xbf\xbf\"]"),
	DOC("[\"\xef\xbf\xbf\"]"),
	DOC("[\"\xe2\x80\xa8\"]"),
};

static const struct doc invalid[] = {
	DOC(""),
	DOC(" "),
	DOC("[1 true]"),
	DOC("[\"\": 1]"),
	DOC("[\"\"],"),
	DOC("[,1]"),
	DOC("[1,,2]"),
	DOC("[1,]"),
	DOC("[\"x\"]]"),
	DOC("[\"\",]"),
	DOC("[\"x\""),
	DOC("[x"),
	DOC("[3[4]]"),
	DOC("[,]"),
	DOC("[-]"),
	DOC("[nul]"),
	DOC("[True]"),
	DOC("nulll"),
	DOC("[tru"),
	DOC("[++1]"),
	DOC("[+1]"),
	DOC("[-01]"),
	DOC("[-1.0.]"),
	DOC("[-2.]"),
	DOC("[.1]"),
	DOC("[-.1]"),
	DOC("[0.1.2]"),
	DOC("[0.3e+]"),
	DOC("[0.3e]"),
	DOC("[0.e1]"),
	DOC("[0E+]"),
	DOC("[1eE2]"),
	DOC("[1 000.0]"),
	DOC("[012]"),
	DOC("[0x1]"),
	DOC("[Infinity]"),
	DOC("[NaN]"),
	DOC("[1+2]"),
	DOC("[1a]"),
	DOC("[\xef\xbc\x91]"),
	DOC("{\"x\"::\"b\"}"),
	DOC("{\"x\", null}"),
	DOC("{\"a\" b}"),
	DOC("{:\"b\"}"),
	DOC("{\"a\"}"),
	DOC("{\"a\":"),
	DOC("{1:1}"),
	DOC("{a:1}"),
	DOC("{'a':0}"),
	DOC("{\"a\":0,}"),
	DOC("{\"a\":0,,\"b\":1}"),
	DOC("{,\"a\":0}"),
	DOC("{[1]:2}"),
	DOC("{\"a\":1}x"),
	DOC("{} {}"),
	DOC("[][]"),
	DOC("[1}"),
	DOC("{\"a\":1]"),
	DOC("]"),
	DOC("}"),
	DOC("[\"\\x00\"]"),
	DOC("[\"\\u\"]"),
	DOC("[\"\\u00A\"]"),
	DOC("[\"\\u00g0\"]"),
	DOC("[\"\\uD800\\u\"]"),
	DOC("[\"\\a\"]"),
	DOC("[\"\\\"]"),
	DOC("[\"\\"),
	DOC("\""),
	DOC("['a']"),
	DOC("[\"a\nb\"]"),
	DOC("[\"\t\"]"),
	DOC("[\"a\0b\"]"),
	DOC("[1]\0"),
	DOC("[\0]"),
	DOC("\0"),
	DOC("[\"\xff\"]"),
	DOC("[\"\x80\"]"),
	DOC("[\"\xc0\xaf\"]"),
	DOC("[\"\xe0\x80\xaf\"]"),
	DOC("[\"\xed\xa0\x80\"]"),
	DOC("[\"\xf4\x90\x80\x80\"]"),
	DOC("[\"\xf8\x88\x80\x80\x80\"]"),
	DOC("[\"\xc3\"]"),
	DOC("[\"\xe2\x82\"]"),
	DOC("[\"\xf0\x80\x80\xaf\"]"),
	DOC("\xc3"),
	DOC("\xef\xbb\xbf{}"),
	DOC("[\f]"),
	DOC("[\xc2\xa0]"),
	DOC("[1]//c"),
	DOC("[/**/1]"),
	DOC("abc"),
	DOC("<null>"),
	DOC("\xe2\x81\xa0[]"),
	DOC("- 1"),
	DOC("1 2"),
	DOC("--1"),
};

/* Parse a copy that ends where the text ends, so that a read too far is seen
 * by the sanitizer. */
static int parse_copy(const struct doc *d)
{
	autojson struct json j = {0};
	autofree char *copy = malloc(d->len ? d->len : 1);

	OK(copy != NULL);
	memcpy(copy, d->text, d->len);
	return json_parse(&j, copy, d->len, NULL);
}

TEST(valid_documents_are_taken)
{
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		if (parse_copy(&valid[i]) != 0)
			FAIL("refused: %s", valid[i].text);
}

TEST(invalid_documents_are_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		if (parse_copy(&invalid[i]) != -EINVAL)
			FAIL("taken: %zu: %s", i, invalid[i].text);
}

TEST(no_prefix_of_an_object_is_one)
{
	static const char text[] = "{\"a\\u00e9\":[1,true,null,{\"b\":-1.5e3}],"
				   "\"\xf0\x9f\x98\xb9\":\"x\\n\"}";

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		EQ(parse_copy(&(struct doc){text, n}), -EINVAL);
	EQ(parse_copy(&(struct doc){text, sizeof(text) - 1}), 0);
}

/* The parsed document of a test; it stays until the process ends its case. */
static struct jv parse(struct json *j, const char *text)
{
	struct err e;

	if (json_parse(j, text, strlen(text), &e) < 0)
		FAIL("%s", e.msg);
	return json_root(j);
}

TEST(a_failure_says_where)
{
	struct json j = {0};
	struct err e;

	EQ(json_parse(&j, "[1,]", 4, &e), -EINVAL);
	STR_EQ(e.msg, "json: a value was expected at byte 3");
	OK(!jv_has(json_root(&j)));
	EQ(json_parse(&j, NULL, 0, &e), -EINVAL);
	json_done(&j);
}

static int parse_nested(size_t depth)
{
	autojson struct json j = {0};
	autofree char *text = malloc(2 * depth);

	OK(text != NULL);
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return json_parse(&j, text, 2 * depth, NULL);
}

TEST(depth_is_bounded)
{
	EQ(parse_nested(JSON_DEPTH_MAX), 0);
	EQ(parse_nested(JSON_DEPTH_MAX + 1), -E2BIG);
	EQ(parse_nested(1000000), -E2BIG);
}

/* "[1,1,...]" of @n elements. */
static char *ones(size_t n, size_t *len)
{
	char *text = malloc(2 * n + 1);

	OK(text != NULL);
	for (size_t i = 0; i < n; i++)
		memcpy(text + 2 * i, ",1", 2);
	text[0] = '[';
	text[2 * n] = ']';
	*len = 2 * n + 1;
	return text;
}

TEST(tokens_and_bytes_are_bounded)
{
	autojson struct json j = {0};
	size_t len;
	autofree char *text = ones(JSON_TOKENS_MAX, &len);
	autofree char *fits = ones(JSON_TOKENS_MAX - 1, &len);

	EQ(json_parse(&j, text, len + 2, NULL), -E2BIG);
	EQ(json_parse(&j, fits, len, NULL), 0);
	EQ(jv_count(json_root(&j)), JSON_TOKENS_MAX - 1);
	EQ(json_parse(&j, "", JSON_BYTES_MAX + 1, NULL), -E2BIG);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* With jsmn's parent links off this took 30 s, so the bound is generous. */
TEST(a_large_array_is_parsed_in_no_time)
{
	autojson struct json j = {0};
	size_t len, n = 0;
	autofree char *text = ones(800000, &len);
	double start = now_s();
	struct jv root;

	EQ(json_parse(&j, text, len, NULL), 0);
	root = json_root(&j);
	for (struct jv it = jv_first(root); jv_has(it); it = jv_next(root, it))
		n++;
	EQ(n, 800000);
	OK(now_s() - start < 2);
}

TEST(a_document_is_reusable)
{
	struct json j = {0};
	size_t len;
	autofree char *text = ones(1000, &len);

	EQ(json_parse(&j, text, len, NULL), 0);
	EQ(jv_count(parse(&j, "[1]")), 1);
	EQ(jv_type(parse(&j, " true ")), JV_BOOL);
	json_done(&j);
	OK(!jv_has(json_root(&j)));
}

TEST(types_are_told)
{
	struct json j = {0};
	struct jv v = parse(&j, "[null,true,-1,\"s\",[],{}]");
	struct jv it = jv_first(v);

	EQ(jv_type(v), JV_ARRAY);
	for (int t = JV_NULL; t <= JV_OBJECT; t++, it = jv_next(v, it))
		EQ(jv_type(it), t);
	OK(!jv_has(it));
	json_done(&j);
}

TEST(members_are_found)
{
	struct json j = {0};
	struct jv v = parse(&j, "{\"a\":{\"b\":[1,{\"a\":9}],\"c\":\"d\"},"
				"\"e\":1,\"e\":2,\"\\u0066\":3,\"g\\n\":4,"
				"\"x.y\":5}");

	EQ(jv_count(v), 6);
	EQ(jv_int(jv_get(v, "e"), 0), 2);
	EQ(jv_int(jv_get(v, "f"), 0), 3);
	EQ(jv_int(jv_get(v, "g\n"), 0), 4);
	EQ(jv_int(jv_get(v, "x.y"), 0), 5);
	OK(!jv_has(jv_get(v, "g\\n")));
	OK(!jv_has(jv_get(v, "b")));
	OK(jv_eq(jv_path(v, "a.c"), "d"));
	EQ(jv_count(jv_path(v, "a.b")), 2);
	OK(!jv_has(jv_path(v, "a.b.c")));
	OK(!jv_has(jv_path(v, "x.y")));
	EQ(jv_int(jv_path(v, "e"), 0), 2);
	json_done(&j);
}

TEST(walks_skip_what_is_inside)
{
	struct json j = {0};
	struct jv v = parse(&j, "{\"a\":[[1,[2]],{\"x\":{}}],\"b\":{},"
				"\"c\":\"\",\"d\":[]}");
	char keys[8] = "";

	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k)) {
		char c[4];

		EQ(jv_strcpy(k, c, sizeof(c)), 1);
		strcat(keys, c);
	}
	STR_EQ(keys, "abcd");
	EQ(jv_type(jv_value(jv_first(v))), JV_ARRAY);
	OK(!jv_has(jv_first(jv_get(v, "b"))));
	OK(!jv_has(jv_first(jv_get(v, "c"))));
	OK(!jv_has(jv_first(jv_get(v, "d"))));
	json_done(&j);
}

TEST(absent_reads_as_nothing)
{
	struct json j = {0};
	struct jv no = jv_get(parse(&j, "[]"), "x");
	char out[4] = "abc";
	size_t len = 7;

	EQ(jv_type(no), JV_ABSENT);
	OK(!jv_has(jv_get(no, "x")) && !jv_has(jv_path(no, "x.y")));
	OK(!jv_has(jv_first(no)) && !jv_has(jv_value(no)));
	EQ(jv_count(no), 0);
	OK(jv_raw(no, &len) == NULL && len == 0);
	OK(!jv_eq(no, ""));
	OK(jv_bool(no, true));
	EQ(jv_int(no, -3), -3);
	OK(jv_strdup(no, NULL) == NULL);
	EQ(jv_strcpy(no, out, sizeof(out)), -EINVAL);
	STR_EQ(out, "");
	json_done(&j);
}

TEST(integers_must_be_integers_that_fit)
{
	static const struct {
		const char *text;
		int64_t want;
	} cases[] = {
		{"0", 0},
		{"-0", 0},
		{"-17", -17},
		{"9223372036854775807", INT64_MAX},
		{"-9223372036854775808", INT64_MIN},
		{"9223372036854775808", -1},
		{"-9223372036854775809", -1},
		{"99999999999999999999999", -1},
		{"1.0", -1},
		{"1e3", -1},
		{"\"1\"", -1},
		{"true", -1},
	};
	struct json j = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		EQ(jv_int(parse(&j, cases[i].text), -1), cases[i].want);
	json_done(&j);
}

TEST(strings_are_decoded)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"\"\"", ""},
		{"\"plain text of some length\"", "plain text of some length"},
		{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
		{"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
		{"\"\\ud83d\\ude39\"", "\xf0\x9f\x98\xb9"},
		{"\"\\ud83d\"", "\xef\xbf\xbd"},
		{"\"\\ude39x\"", "\xef\xbf\xbdx"},
		{"\"\\ud83d\\ud83d\\ude39\"", "\xef\xbf\xbd\xf0\x9f\x98\xb9"},
		{"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
				       "A"},
		{"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
		{"\"\xc3\xa9\\/\"", "\xc3\xa9/"},
	};
	struct json j = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jv v = parse(&j, cases[i].text);
		size_t len;
		autofree char *s = jv_strdup(v, &len);
		char out[64];

		STR_EQ(s, cases[i].want);
		EQ(len, strlen(s));
		EQ(jv_strcpy(v, out, sizeof(out)), len);
		STR_EQ(out, s);
		OK(jv_eq(v, s));
		EQ(jv_strcpy(v, out, len + 1), len);
		EQ(jv_strcpy(v, out, len), -ENOSPC);
	}
	json_done(&j);
}

TEST(a_nul_is_no_end)
{
	struct json j = {0};
	struct jv v = parse(&j, "\"a\\u0000b\"");
	size_t len;
	autofree char *s = jv_strdup(v, &len);
	char out[8];

	EQ(len, 3);
	OK(s != NULL && memcmp(s, "a\0b", 4) == 0);
	EQ(jv_strcpy(v, out, sizeof(out)), -EILSEQ);
	STR_EQ(out, "");
	OK(!jv_eq(v, "a"));
	json_done(&j);
}

TEST(slices_are_byte_equal)
{
	static const char text[] =
		" {\"a\" : [ 1 , 2.50 ] , \"b\":\"x\\u0041\", \"c\": null } ";
	struct json j = {0};
	struct jv v = parse(&j, text);
	autojw struct jw w = {0};
	size_t len;

	jv_raw(v, &len);
	EQ(len, sizeof(text) - 3);
	jw_value(&w, jv_get(v, "a"));
	jw_lit(&w, "\n", 1);
	jw_value(&w, jv_get(v, "b"));
	jw_value(&w, jv_get(v, "c"));
	jw_value(&w, jv_get(v, "d"));
	STR_EQ(w.buf, "[ 1 , 2.50 ]\n\"x\\u0041\",null,null");
	json_done(&j);
}

TEST(the_writer_places_commas)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "s", "a\"\\\n\x01\x7f");
	jw_kstr(&w, "n", NULL);
	jw_kint(&w, "min", INT64_MIN);
	jw_kbool(&w, "t", true);
	jw_kraw(&w, "r", "[1]");
	jw_kraw(&w, "z", NULL);
	jw_lit(&w, ",\"lit\":0", 8);
	jw_key(&w, "a");
	jw_arr(&w);
	jw_int(&w, 0);
	jw_obj(&w);
	jw_obj_end(&w);
	jw_arr(&w);
	jw_arr_end(&w);
	jw_strn(&w, NULL, 0);
	jw_strn(&w, "\xff\xc3\xa9\xe2\x82", 5);
	jw_arr_end(&w);
	jw_obj_end(&w);
	STR_EQ(w.buf,
	       "{\"s\":\"a\\\"\\\\\\n\\u0001\x7f\",\"n\":null,"
	       "\"min\":-9223372036854775808,\"t\":true,\"r\":[1],\"z\":null,"
	       "\"lit\":0,\"a\":[0,{},[],\"\",\"\xef\xbf\xbd\xc3\xa9"
	       "\xef\xbf\xbd\xef\xbf\xbd\"]}");
	EQ(parse_copy(&(struct doc){w.buf, w.len}), 0);
}

TEST(all_bytes_come_back)
{
	struct json j = {0};
	autojw struct jw w = {0};
	char all[127];
	size_t len;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i + 1);
	jw_strn(&w, "\0", 1);
	jw_reset(&w);
	for (int i = 0; i < 100; i++)
		jw_strn(&w, all, sizeof(all));
	jw_lit(&w, "]", 1);
	jw_reset(&w);
	jw_strn(&w, all, sizeof(all));
	{
		autofree char *s = jv_strdup(parse(&j, w.buf), &len);

		EQ(len, sizeof(all));
		OK(s != NULL && memcmp(s, all, len) == 0);
	}
	json_done(&j);
}

TEST(the_text_can_be_taken)
{
	struct jw w;
	size_t len;

	jw_init(&w);
	{
		autofree char *nothing = jw_take(&w, &len);

		STR_EQ(nothing, "");
		EQ(len, 0);
	}
	jw_int(&w, 7);
	{
		autofree char *text = jw_take(&w, &len);

		STR_EQ(text, "7");
		EQ(len, 1);
	}
	w.failed = true;
	jw_int(&w, 7);
	OK(jw_take(&w, NULL) == NULL);
	OK(w.buf == NULL && !w.failed);
}

TESTS(CASE(valid_documents_are_taken), CASE(invalid_documents_are_refused),
      CASE(no_prefix_of_an_object_is_one), CASE(a_failure_says_where),
      CASE(depth_is_bounded), CASE(tokens_and_bytes_are_bounded),
      CASE(a_large_array_is_parsed_in_no_time), CASE(a_document_is_reusable),
      CASE(types_are_told), CASE(members_are_found),
      CASE(walks_skip_what_is_inside), CASE(absent_reads_as_nothing),
      CASE(integers_must_be_integers_that_fit), CASE(strings_are_decoded),
      CASE(a_nul_is_no_end), CASE(slices_are_byte_equal),
      CASE(the_writer_places_commas), CASE(all_bytes_come_back),
      CASE(the_text_can_be_taken))
