// SPDX-License-Identifier: Apache-2.0
/*
 * test_form.c - Forms, and answers to them
 */
#include "guest/form.h"

#include <string.h>

#include "guest/limits.h"
#include "tests/tap.h"

static struct jv parse(struct json *j, const char *text)
{
	EQ(json_parse(j, text, strlen(text), NULL), 0);
	return json_root(j);
}

static int check_schema(const char *text)
{
	autojson struct json j = {0};
	struct err e = {0};

	return form_check_schema(parse(&j, text), &e);
}

/* Hold @content against a form with one field f of this schema. */
static int check(const char *field, const char *content, struct err *e)
{
	autojson struct json form = {0}, answer = {0};
	autofree char *text = NULL;

	OK(asprintf(&text, "{\"properties\":{\"f\":%s}}", field) > 0);
	EQ(form_check_schema(parse(&form, text), e), 0);
	return form_check(json_root(&form), parse(&answer, content), e);
}

static void fits(const char *field, const char *value)
{
	autofree char *content = NULL;
	struct err e = {0};
	int r;

	OK(asprintf(&content, "{\"f\":%s}", value) > 0);
	r = check(field, content, &e);
	if (r < 0)
		fprintf(stderr, "%s %s: %s\n", field, value, e.msg);
	EQ(r, 0);
}

static void fails(const char *field, const char *value, const char *why)
{
	autofree char *content = NULL;
	struct err e = {0};

	OK(asprintf(&content, "{\"f\":%s}", value) > 0);
	EQ(check(field, content, &e), -FAULT_INVALID_ARGUMENT);
	if (strstr(e.msg, "'f'") == NULL || strstr(e.msg, why) == NULL)
		fprintf(stderr, "%s %s: %s\n", field, value, e.msg);
	OK(strstr(e.msg, "'f'") != NULL && strstr(e.msg, why) != NULL);
}

TEST(a_form_is_an_object_of_fields_with_known_types)
{
	EQ(check_schema("{}"), 0);
	EQ(check_schema("{\"properties\":{}}"), 0);
	EQ(check_schema("{\"properties\":{\"a\":{\"type\":\"boolean\"}},"
			"\"required\":7}"),
	   0);
	EQ(check_schema("[]"), -EINVAL);
	EQ(check_schema("{\"properties\":[]}"), -EINVAL);
	EQ(check_schema("{\"properties\":{\"a\":{}}}"), -EINVAL);
	EQ(check_schema("{\"properties\":{\"a\":{\"type\":\"object\"}}}"),
	   -EINVAL);
}

TEST(fields_and_choices_are_bounded)
{
	autojw struct jw many = {0}, wide = {0};
	autofree char *schema = NULL;

	jw_obj(&many);
	jw_key(&many, "properties");
	jw_obj(&many);
	for (int i = 0; i <= FORM_FIELDS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		jw_kraw(&many, name, "{\"type\":\"string\"}");
	}
	jw_obj_end(&many);
	jw_obj_end(&many);
	EQ(check_schema(many.buf), -EINVAL);

	jw_arr(&wide);
	for (int i = 0; i <= FORM_CHOICES_MAX; i++)
		jw_str(&wide, "x");
	jw_arr_end(&wide);
	OK(asprintf(
		   &schema,
		   "{\"properties\":{\"f\":{\"type\":\"string\",\"enum\":%s}}}",
		   wide.buf) > 0);
	EQ(check_schema(schema), -EINVAL);
}

TEST(a_string_has_a_length_in_characters)
{
	const char *s = "{\"type\":\"string\",\"minLength\":2,\"maxLength\":4}";

	fits(s, "\"ab\"");
	fits(s, "\"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\"");
	fails(s, "\"a\"", "too short");
	fails(s, "\"abcde\"", "too long");
	fails(s, "7", "no string");
	fails(s, "null", "no string");
	fits("{\"type\":\"string\",\"minLength\":\"x\"}", "\"\"");
}

TEST(a_string_may_be_one_of_several)
{
	const char *plain = "{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}";
	const char *titled = "{\"type\":\"string\",\"oneOf\":[{\"const\":\"a\","
			     "\"title\":\"A\"}]}";

	fits(plain, "\"b\"");
	fails(plain, "\"c\"", "choices");
	fits(titled, "\"a\"");
	fails(titled, "\"A\"", "choices");
	fails(plain, "\"a\\u0000\"", "choices");
}

TEST(formats_are_known_by_their_look)
{
	const char *email = "{\"type\":\"string\",\"format\":\"email\"}";
	const char *uri = "{\"type\":\"string\",\"format\":\"uri\"}";
	const char *date = "{\"type\":\"string\",\"format\":\"date\"}";
	const char *time = "{\"type\":\"string\",\"format\":\"date-time\"}";

	fits(email, "\"a@b\"");
	fails(email, "\"@b\"", "format");
	fails(email, "\"a b@c\"", "format");
	fits(uri, "\"https://example.org/x?y\"");
	fails(uri, "\"example.org\"", "format");
	fits(date, "\"2026-11-21\"");
	fails(date, "\"21.11.2026\"", "format");
	fails(date, "\"2026-11-21T10:00\"", "format");
	fits(time, "\"2026-11-21T10:00:00.5Z\"");
	fits(time, "\"2026-11-21T10:00:00+01:00\"");
	fails(time, "\"2026-11-21\"", "format");
	fails(time, "\"2026-11-21T10:00 noon\"", "format");
	fits("{\"type\":\"string\",\"format\":\"of-tomorrow\"}", "\"x\"");
}

TEST(numbers_have_bounds)
{
	const char *n = "{\"type\":\"number\",\"minimum\":0.5,\"maximum\":2e1}";
	const char *i = "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}";

	fits(n, "0.5");
	fits(n, "20");
	fails(n, "0.4", "minimum");
	fails(n, "20.01", "maximum");
	fails(n, "\"1\"", "no number");
	fails(n, "1e999", "too large");
	fits(i, "9");
	fits(i, "2.0");
	fails(i, "2.5", "no integer");
	fails(i, "10", "maximum");
	fits("{\"type\":\"integer\"}", "9007199254740993");
	fits("{\"type\":\"integer\"}", "-1e300");
}

TEST(a_list_is_of_chosen_strings)
{
	const char *l = "{\"type\":\"array\",\"items\":{\"type\":\"string\","
			"\"enum\":[\"a\",\"b\"]},\"minItems\":1,"
			"\"maxItems\":2}";
	const char *titled = "{\"type\":\"array\",\"items\":{\"anyOf\":"
			     "[{\"const\":\"a\",\"title\":\"A\"}]}}";

	fits(l, "[\"a\",\"b\"]");
	fails(l, "[]", "too few");
	fails(l, "[\"a\",\"b\",\"a\"]", "too many");
	fails(l, "[\"c\"]", "no choice");
	fails(l, "[1]", "no string");
	fails(l, "\"a\"", "no list");
	fits(titled, "[\"a\"]");
	fails(titled, "[\"A\"]", "no choice");
}

TEST(required_fields_are_there_and_no_others)
{
	autojson struct json form = {0}, answer = {0};
	struct err e = {0};
	const char *schema = "{\"properties\":{\"a\":{\"type\":\"boolean\"},"
			     "\"b\":{\"type\":\"boolean\"}},"
			     "\"required\":[\"a\",7]}";

	OK(jv_has(parse(&form, schema)));
	EQ(form_check(json_root(&form), parse(&answer, "{\"a\":true}"), &e), 0);
	EQ(form_check(json_root(&form), parse(&answer, "{\"b\":true}"), &e),
	   -FAULT_INVALID_ARGUMENT);
	OK(strstr(e.msg, "'a' is required") != NULL);
	EQ(form_check(json_root(&form), parse(&answer, "{\"a\":true,\"c\":1}"),
		      &e),
	   -FAULT_INVALID_ARGUMENT);
	OK(strstr(e.msg, "'c' is not in the form") != NULL);
	EQ(form_check(json_root(&form), parse(&answer, "[]"), &e),
	   -FAULT_INVALID_ARGUMENT);
	EQ(form_check(json_root(&form), (struct jv){.i = -1}, &e),
	   -FAULT_INVALID_ARGUMENT);
}

TESTS(CASE(a_form_is_an_object_of_fields_with_known_types),
      CASE(fields_and_choices_are_bounded),
      CASE(a_string_has_a_length_in_characters),
      CASE(a_string_may_be_one_of_several),
      CASE(formats_are_known_by_their_look), CASE(numbers_have_bounds),
      CASE(a_list_is_of_chosen_strings),
      CASE(required_fields_are_there_and_no_others))
