// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_servers.c - What a client says of MCP servers is taken exactly or not
 */
#include "host/daemon/mcp_servers.h"

#include <stdio.h>
#include <string.h>

#include "host/daemon/secrets.h"
#include "tests/tap.h"

/* What comes of it; NULL when it is refused, and @e says why. */
static char *read_text(const char *text, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};

	*e = (struct err){0};
	EQ(json_parse(&j, text, strlen(text), e), 0);
	if (mcp_servers_read(json_root(&j), &w, e) < 0)
		return NULL;
	return jw_take(&w, NULL);
}

static void becomes(const char *text, const char *want)
{
	struct err e;
	autofree char *got = read_text(text, &e);

	STR_EQ(got ? got : e.msg, want);
}

static void is_refused(const char *text, const char *words)
{
	struct err e;
	autofree char *got = read_text(text, &e);

	OK(got == NULL);
	EQ(e.code, -FAULT_INVALID_ARGUMENT);
	STR_EQ(e.msg, words);
}

/* --- cases -------------------------------------------------------------- */

TEST(nothing_is_an_empty_list)
{
	autojw struct jw w = {0};
	const struct jv absent = {.i = -1};

	becomes("{}", "[]");
	becomes("[]", "[]");
	becomes("null", "[]");
	EQ(mcp_servers_read(absent, &w, NULL), 0);
	STR_EQ(w.buf, "[]");
}

TEST(a_local_server_is_written_in_one_order)
{
	becomes("{\"fs\":{\"env\":{\"A\":\"b\"},\"args\":[\"-x\",\"\"],"
		"\"command\":\"npx\",\"cwd\":null,\"idleMs\":5,"
		"\"required\":true}}",
		"[{\"name\":\"fs\",\"type\":\"local\",\"command\":\"npx\","
		"\"args\":[\"-x\",\"\"],\"env\":{\"A\":\"b\"},"
		"\"required\":true,\"idle_ms\":5}]");
}

TEST(all_options_have_the_guests_names)
{
	becomes("{\"a\":{\"type\":\"stdio\",\"command\":\"x\","
		"\"cwd\":\"/workspace\",\"shared\":true,\"start\":\"lazy\","
		"\"startupTimeoutMs\":1,\"callTimeoutMs\":2,\"maxCallMs\":3,"
		"\"tools\":{\"deny\":[\"rm*\"],\"allow\":[\"*\"]}}}",
		"[{\"name\":\"a\",\"type\":\"local\",\"command\":\"x\","
		"\"cwd\":\"/workspace\",\"shared\":true,\"start\":\"lazy\","
		"\"startup_timeout_ms\":1,\"call_timeout_ms\":2,"
		"\"max_call_ms\":3,\"tools\":{\"allow\":[\"*\"],"
		"\"deny\":[\"rm*\"]}}]");
}

TEST(the_list_of_acp_says_the_same)
{
	becomes("[{\"name\":\"fs\",\"command\":\"npx\",\"args\":[],"
		"\"env\":[{\"name\":\"A\",\"value\":\"b\"}]},"
		"{\"type\":\"http\",\"name\":\"web\",\"url\":\"https://h/mcp\","
		"\"headers\":[{\"name\":\"X-A\",\"value\":\"b\"}]},"
		"{\"type\":\"sse\",\"name\":\"old\",\"url\":\"http://h/sse\","
		"\"headers\":[]}]",
		"[{\"name\":\"fs\",\"type\":\"local\",\"command\":\"npx\","
		"\"args\":[],\"env\":{\"A\":\"b\"}},"
		"{\"name\":\"web\",\"type\":\"remote\","
		"\"url\":\"https://h/mcp\",\"headers\":{\"X-A\":\"b\"}},"
		"{\"name\":\"old\",\"type\":\"remote\",\"sse\":true,"
		"\"url\":\"http://h/sse\",\"headers\":{}}]");
}

TEST(a_builtin_is_named_by_itself)
{
	becomes("{\"kv\":{\"type\":\"builtin\"},"
		"\"store\":{\"type\":\"builtin\",\"builtin\":\"sql\"}}",
		"[{\"name\":\"kv\",\"type\":\"builtin\",\"builtin\":\"kv\"},"
		"{\"name\":\"store\",\"type\":\"builtin\","
		"\"builtin\":\"sql\"}]");
	becomes("[{\"type\":\"builtin\",\"builtin\":\"history\"}]",
		"[{\"name\":\"history\",\"type\":\"builtin\","
		"\"builtin\":\"history\"}]");
	is_refused("{\"files\":{\"type\":\"builtin\"}}",
		   "mcpServers.files.builtin: workspace, kv, sql, history, "
		   "memory or host");
}

TEST(a_value_may_be_a_secret)
{
	becomes("{\"a\":{\"url\":\"http://h\",\"headers\":"
		"{\"Authorization\":{\"secret\":\"git.hub-1\"}}}}",
		"[{\"name\":\"a\",\"type\":\"remote\",\"url\":\"http://h\","
		"\"headers\":{\"Authorization\":{\"secret\":\"git.hub-1\"}}}]");
	is_refused("{\"a\":{\"command\":\"x\",\"env\":{\"K\":"
		   "{\"secret\":\"a b\"}}}}",
		   "mcpServers.a.env.K: a string of at most 65536 bytes, or "
		   "{\"secret\":NAME}");
	is_refused("{\"a\":{\"command\":\"x\",\"env\":{\"K\":"
		   "{\"secret\":\"a\",\"b\":1}}}}",
		   "mcpServers.a.env.K: a string of at most 65536 bytes, or "
		   "{\"secret\":NAME}");
}

TEST(names_are_short_and_plain)
{
	static const char words[] =
		"mcpServers: a name is 1 to 64 letters, digits, _ and -";

	is_refused("{\"\":{\"command\":\"x\"}}", words);
	is_refused("{\"a b\":{\"command\":\"x\"}}", words);
	is_refused("{\"a.b\":{\"command\":\"x\"}}", words);
	is_refused("[{\"command\":\"x\"}]", words);
	is_refused("[{\"name\":7,\"command\":\"x\"}]", words);
	is_refused("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		   "aaaaaaaaaaaaaaaaa\":{}}",
		   words);
}

TEST(what_is_wrong_is_named)
{
	is_refused("7", "mcpServers: an object of servers, or a list");
	is_refused("{\"a\":7}", "mcpServers.a: an object");
	is_refused("{\"a\":{}}",
		   "mcpServers.a.type: neither it nor command nor url");
	is_refused("{\"a\":{\"type\":\"docker\"}}",
		   "mcpServers.a.type: local, stdio, remote, http, sse or "
		   "builtin");
	is_refused("{\"a\":{\"type\":\"local\"}}",
		   "mcpServers.a.command: is missing");
	is_refused("{\"a\":{\"command\":\"\"}}",
		   "mcpServers.a.command: a string of 1 to 4096 bytes");
	is_refused("{\"a\":{\"command\":\"a\\u0000b\"}}",
		   "mcpServers.a.command: a string of 1 to 4096 bytes");
	is_refused("{\"a\":{\"command\":\"x\",\"args\":\"y\"}}",
		   "mcpServers.a.args: a list of at most 256 strings");
	is_refused("{\"a\":{\"command\":\"x\",\"args\":[1]}}",
		   "mcpServers.a.args: strings of at most 32768 bytes");
	is_refused("{\"a\":{\"command\":\"x\",\"cwd\":\"y\"}}",
		   "mcpServers.a.cwd: an absolute path");
	is_refused("{\"a\":{\"command\":\"x\",\"env\":{\"A=B\":\"\"}}}",
		   "mcpServers.a.env.A=B: no name of a variable");
	is_refused("{\"a\":{\"command\":\"x\",\"idleMs\":-1}}",
		   "mcpServers.a.idleMs: a number from 0 to 86400000");
	is_refused("{\"a\":{\"command\":\"x\",\"callTimeoutMs\":0}}",
		   "mcpServers.a.callTimeoutMs: a number from 1 to 86400000");
	is_refused("{\"a\":{\"command\":\"x\",\"required\":true,"
		   "\"start\":\"lazy\"}}",
		   "mcpServers.a.start: a required server is not lazy");
	is_refused("{\"a\":{\"command\":\"x\",\"tools\":{\"allow\":[\"\"]}}}",
		   "mcpServers.a.tools.allow: patterns of 1 to 128 bytes");
	is_refused("{\"a\":{\"command\":\"x\",\"tools\":{\"alow\":[]}}}",
		   "mcpServers.a.tools: an object of allow and deny");
}

TEST(members_of_another_kind_are_refused)
{
	is_refused("{\"a\":{\"command\":\"x\",\"requird\":true}}",
		   "mcpServers.a.requird: there is no such member of a local "
		   "server");
	is_refused("{\"a\":{\"command\":\"x\",\"url\":\"http://h\"}}",
		   "mcpServers.a.url: there is no such member of a local "
		   "server");
	is_refused("{\"a\":{\"url\":\"http://h\",\"shared\":true}}",
		   "mcpServers.a.shared: there is no such member of a remote "
		   "server");
}

TEST(what_stands_twice_is_refused)
{
	is_refused("{\"a\":{\"command\":\"x\",\"command\":\"y\"}}",
		   "mcpServers.a.command: stands twice");
	is_refused("{\"a\":{\"command\":\"x\"},\"a\":{\"command\":\"y\"}}",
		   "mcpServers: 'a' stands twice");
	is_refused("{\"a\":{\"command\":\"x\",\"env\":[{\"name\":\"A\","
		   "\"value\":\"\"},{\"name\":\"A\",\"value\":\"\"}]}}",
		   "mcpServers.a.env: 'A' stands twice");
	is_refused("{\"a\":{\"url\":\"http://h\",\"headers\":"
		   "{\"X-a\":\"\",\"x-A\":\"\"}}}",
		   "mcpServers.a.headers: 'x-A' stands twice");
}

TEST(urls_and_headers_fit_into_a_request)
{
	static const char *const urls[] = {
		"ftp://h", "http://", "http:///x",   "http://h/a b",
		"h",	   "",	      "http://h/\\n"};
	static const char *const names[] = {
		"",    "Host", "content-length", "Mcp-Session-Id",
		"a:b", "a b",  "\\u00e9"};
	char text[256], words[128];
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		snprintf(text, sizeof(text),
			 "{\"a\":{\"type\":\"http\","
			 "\"url\":\"%s\"}}",
			 urls[i]);
		is_refused(text, "mcpServers.a.url: http:// or https://, at "
				 "most 4096 bytes");
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(text, sizeof(text),
			 "{\"a\":{\"url\":\"http://h\","
			 "\"headers\":{\"%s\":\"\"}}}",
			 names[i]);
		OK(read_text(text, &e) == NULL);
		EQ(e.code, -FAULT_INVALID_ARGUMENT);
	}
	snprintf(words, sizeof(words),
		 "mcpServers.a.headers.X: a string of at "
		 "most 8192 bytes, or {\"secret\":NAME}");
	is_refused("{\"a\":{\"url\":\"http://h\",\"headers\":"
		   "{\"X\":\"a\\r\\nY: b\"}}}",
		   words);
}

/* @n servers, as a text to be freed. */
static char *many(unsigned n)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		jw_kraw(&w, name, "{\"command\":\"x\"}");
	}
	jw_obj_end(&w);
	return jw_take(&w, NULL);
}

TEST(thirty_two_servers_are_the_most)
{
	autofree char *most = many(MCP_SERVERS_MAX);
	autofree char *more = many(MCP_SERVERS_MAX + 1);
	struct err e;
	autofree char *got = read_text(most, &e);

	OK(got != NULL);
	is_refused(more, "mcpServers: 33; at most 32");
}

TEST(all_together_have_a_size)
{
	static const char head[] = "{\"a\":{\"command\":\"x\",\"env\":{";
	autojw struct jw w = {0};
	autofree char *big = malloc(MCP_PAIR_VALUE_MAX + 1);
	struct err e;

	memset(big, 'x', MCP_PAIR_VALUE_MAX);
	big[MCP_PAIR_VALUE_MAX] = '\0';
	jw_lit(&w, head, strlen(head));
	jw_kstr(&w, "A", big);
	jw_kstr(&w, "B", big);
	jw_lit(&w, "}}}", 3);
	OK(read_text(w.buf, &e) == NULL);
	EQ(e.code, -FAULT_MESSAGE_TOO_LARGE);
}

/* --- for the guest ------------------------------------------------------ */

static int put(struct jv value, struct jw *w, void *arg, struct err *e)
{
	int *left = arg;

	if (!secret_is_reference(value)) {
		jw_value(w, value);
		return 0;
	}
	if ((*left)-- == 0)
		return err_set(e, -FAULT_AGENT_AUTH_REQUIRED, "gone");
	jw_str(w, "value");
	return 0;
}

TEST(the_guest_gets_values_and_no_url)
{
	static const char text[] =
		"[{\"name\":\"a\",\"type\":\"local\",\"command\":\"x\","
		"\"env\":{\"A\":{\"secret\":\"s\"},\"B\":\"c\"}},"
		"{\"name\":\"b\",\"type\":\"remote\",\"sse\":true,"
		"\"url\":\"http://h\",\"headers\":{\"X\":{\"secret\":\"t\"}},"
		"\"start\":\"lazy\"}]";
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int left = 1;

	EQ(json_parse(&j, text, strlen(text), &e), 0);
	EQ(mcp_servers_write(json_root(&j), put, &left, &w, &e), 0);
	STR_EQ(w.buf,
	       "[{\"name\":\"a\",\"type\":\"local\",\"command\":\"x\","
	       "\"env\":{\"A\":\"value\",\"B\":\"c\"}},"
	       "{\"name\":\"b\",\"type\":\"remote\",\"start\":\"lazy\"}]");
	EQ(mcp_servers_write(json_root(&j), put, &left, &w, &e),
	   -FAULT_AGENT_AUTH_REQUIRED);
}

TEST(a_server_is_found_by_name)
{
	static const char text[] = "[{\"name\":\"a\"},{\"name\":\"b\"}]";
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	OK(jv_eq(jv_get(mcp_servers_find(json_root(&j), "b"), "name"), "b"));
	OK(!jv_has(mcp_servers_find(json_root(&j), "c")));
}

TESTS(CASE(nothing_is_an_empty_list),
      CASE(a_local_server_is_written_in_one_order),
      CASE(all_options_have_the_guests_names),
      CASE(the_list_of_acp_says_the_same), CASE(a_builtin_is_named_by_itself),
      CASE(a_value_may_be_a_secret), CASE(names_are_short_and_plain),
      CASE(what_is_wrong_is_named), CASE(members_of_another_kind_are_refused),
      CASE(what_stands_twice_is_refused),
      CASE(urls_and_headers_fit_into_a_request),
      CASE(thirty_two_servers_are_the_most), CASE(all_together_have_a_size),
      CASE(the_guest_gets_values_and_no_url), CASE(a_server_is_found_by_name))
