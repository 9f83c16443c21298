// SPDX-License-Identifier: Apache-2.0
/*
 * test_host_tools.c - Tools of the host, read and refused
 */
#include "guest/host_tools.h"

#include "guest/limits.h"
#include "tests/tap.h"

static int check(const char *text, struct err *e)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	return host_tools_check(json_root(&j), e);
}

static struct host_tools take(const char *text)
{
	autojson struct json j = {0};
	struct host_tools t = {0};

	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	EQ(host_tools_check(json_root(&j), NULL), 0);
	EQ(host_tools_set(&t, json_root(&j)), 0);
	return t;
}

TEST(what_is_no_tool_is_refused)
{
	static const char *const bad[] = {
		"{}",
		"[1]",
		"[{\"name\":\"a\"}]",
		"[{\"name\":\"\",\"description\":\"\"}]",
		"[{\"name\":\"a b\",\"description\":\"\"}]",
		"[{\"name\":\"a\\u0000\",\"description\":\"\"}]",
		"[{\"name\":\"a\",\"description\":1}]",
		"[{\"name\":\"a\",\"description\":\"\",\"inputSchema\":[]}]",
		"[{\"name\":\"a\",\"description\":\"\",\"inputSchema\":"
		"{\"type\":\"string\"}}]",
		"[{\"name\":\"a\",\"description\":\"\",\"timeoutMs\":0}]",
		"[{\"name\":\"a\",\"description\":\"\",\"timeoutMs\":\"1\"}]",
		"[{\"name\":\"a\",\"description\":\"\",\"annotations\":1}]",
		"[{\"name\":\"a\",\"description\":\"\",\"title\":1}]",
		"[{\"name\":\"a\",\"description\":\"\"},"
		"{\"name\":\"a\",\"description\":\"\"}]",
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (check(bad[i], &e) != -FAULT_INVALID_ARGUMENT)
			FAIL("taken: %s", bad[i]);
}

TEST(their_number_and_size_are_bounded)
{
	autojw struct jw w = {0}, big = {0};
	char name[16];

	jw_arr(&w);
	for (int i = 0; i <= HOST_TOOLS_MAX; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		jw_obj(&w);
		jw_kstr(&w, "name", name);
		jw_kstr(&w, "description", "");
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	EQ(check(w.buf, NULL), -FAULT_INVALID_ARGUMENT);

	jw_lit(&big, "[\"", 2);
	for (unsigned i = 0; i < HOST_TOOLS_BYTES; i++)
		jw_lit(&big, "x", 1);
	jw_lit(&big, "\"]", 2);
	EQ(check(big.buf, NULL), -FAULT_MESSAGE_TOO_LARGE);
}

TEST(none_were_told_is_not_an_empty_list)
{
	struct host_tools none = {0}, empty = take("[]");

	OK(none.text == NULL);
	EQ(host_tools_count(&none), 0);
	OK(empty.text != NULL);
	EQ(host_tools_count(&empty), 0);
	OK(!jv_has(host_tools_find(&empty, "a")));
	host_tools_done(&none);
	host_tools_done(&empty);
}

TEST(they_are_listed_as_mcp_has_them)
{
	struct host_tools t =
		take("[{\"name\":\"a\",\"description\":\"A\",\"x\":1,"
		     "\"timeoutMs\":5},{\"name\":\"b\",\"description\":\"\","
		     "\"title\":\"B\",\"inputSchema\":{\"type\":\"object\", "
		     "\"n\":1.50},\"annotations\":{\"readOnlyHint\":true}}]");
	autofree char *schema = host_tool_schema(host_tools_find(&t, "a"));
	autojw struct jw w = {0};

	jw_arr(&w);
	host_tools_write(&t, &w);
	jw_arr_end(&w);
	STR_EQ(w.buf,
	       "[{\"name\":\"a\",\"description\":\"A\",\"inputSchema\":"
	       "{\"type\":\"object\"}},{\"name\":\"b\",\"title\":\"B\","
	       "\"description\":\"\",\"inputSchema\":{\"type\":\"object\", "
	       "\"n\":1.50},\"annotations\":{\"readOnlyHint\":true}}]");
	STR_EQ(schema, "{\"type\":\"object\"}");
	EQ(host_tool_timeout(host_tools_find(&t, "a")), 5);
	EQ(host_tool_timeout(host_tools_find(&t, "b")), HOST_TOOL_MS);
	host_tools_done(&t);
}

TEST(setting_them_replaces_them)
{
	struct host_tools t = take("[{\"name\":\"a\",\"description\":\"\"}]");
	autojson struct json j = {0};
	static const char next[] = "[{\"name\":\"b\",\"description\":\"\"}]";

	EQ(json_parse(&j, next, sizeof(next) - 1, NULL), 0);
	EQ(host_tools_set(&t, json_root(&j)), 0);
	OK(!jv_has(host_tools_find(&t, "a")));
	OK(jv_has(host_tools_find(&t, "b")));
	host_tools_done(&t);
}

TESTS(CASE(what_is_no_tool_is_refused), CASE(their_number_and_size_are_bounded),
      CASE(none_were_told_is_not_an_empty_list),
      CASE(they_are_listed_as_mcp_has_them), CASE(setting_them_replaces_them))
