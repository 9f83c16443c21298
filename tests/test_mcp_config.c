// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_config.c - The MCP servers that a session wants: read and checked
 */
#include "guest/mcp_config.h"
#include "tests/tap.h"

static int read_text(const char *text, struct mcp_config **out, struct err *e)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), e), 0);
	return mcp_config_read(json_root(&j), "/work", out, e);
}

static struct mcp_config *must_read(const char *text)
{
	struct mcp_config *c = NULL;
	struct err e = {0};

	if (read_text(text, &c, &e) < 0)
		FAIL("%s: %s", text, e.msg);
	return c;
}

static void is_refused(const char *text, const char *word)
{
	struct mcp_config *c = NULL;
	struct err e = {0};

	EQ(read_text(text, &c, &e), -FAULT_INVALID_ARGUMENT);
	if (strstr(e.msg, word) == NULL)
		FAIL("%s: '%s' does not say '%s'", text, e.msg, word);
	OK(c == NULL);
}

static bool has_var(char **env, const char *var)
{
	for (; *env != NULL; env++)
		if (strcmp(*env, var) == 0)
			return true;
	return false;
}

TEST(nothing_is_no_server)
{
	static const char *const texts[] = {"{}", "{\"mcp\":null}",
					    "{\"mcp\":[]}"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct mcp_config *c = must_read(texts[i]);

		EQ(c->n, 0);
		OK(!c->aggregate);
		mcp_config_free(c);
	}
}

TEST(a_local_server_has_the_documented_defaults)
{
	struct mcp_config *c =
		must_read("{\"mcp\":[{\"name\":\"a\",\"command\":\"srv\"}]}");
	const struct mcp_spec *s = &c->specs[0];

	EQ(s->type, MCP_LOCAL);
	OK(!s->required && !s->lazy && !s->shared);
	EQ(s->startup_ms, 60000);
	EQ(s->call_ms, 60000);
	EQ(s->max_call_ms, 600000);
	EQ(s->idle_ms, 0);
	STR_EQ(s->argv[0], "srv");
	OK(s->argv[1] == NULL);
	STR_EQ(s->cwd, "/work");
	STR_EQ(mcp_transport(s), "stdio");
	mcp_config_free(c);
}

TEST(its_variables_are_the_base_and_its_own)
{
	struct mcp_config *c = must_read(
		"{\"mcp\":[{\"name\":\"a\",\"command\":\"srv\",\"args\":[\"x\","
		"\"\"],\"cwd\":\"/d\",\"env\":{\"K\":\"v=1\",\"TERM\":\"t\"}}]}");
	const struct mcp_spec *s = &c->specs[0];

	STR_EQ(s->argv[1], "x");
	STR_EQ(s->argv[2], "");
	STR_EQ(s->cwd, "/d");
	OK(has_var(s->env, "HOME=/home/user"));
	OK(has_var(s->env, "K=v=1"));
	OK(has_var(s->env, "TERM=t"));
	OK(!has_var(s->env, "TERM=dumb"));
	mcp_config_free(c);
}

TEST(every_option_is_read)
{
	struct mcp_config *c = must_read(
		"{\"mcp_aggregate\":true,\"mcp\":["
		"{\"name\":\"r\",\"type\":\"remote\",\"required\":true,"
		"\"startup_timeout_ms\":5,\"call_timeout_ms\":6,"
		"\"max_call_ms\":7,\"idle_ms\":8},"
		"{\"type\":\"builtin\",\"builtin\":\"kv\",\"start\":\"lazy\"},"
		"{\"name\":\"l\",\"command\":\"c\",\"shared\":true,\"x\":1}]}");
	const struct mcp_spec *r = mcp_config_find(c, "r");

	OK(c->aggregate);
	EQ(c->n, 3);
	OK(r->required && r->type == MCP_REMOTE && r->argv == NULL);
	EQ(r->startup_ms, 5);
	EQ(r->call_ms, 6);
	EQ(r->max_call_ms, 7);
	EQ(r->idle_ms, 8);
	STR_EQ(mcp_config_find(c, "kv")->builtin, "kv");
	OK(mcp_config_find(c, "kv")->lazy);
	OK(mcp_config_find(c, "l")->shared);
	OK(mcp_config_find(c, "none") == NULL);
	mcp_config_free(c);
}

TEST(globs_let_tools_through)
{
	struct mcp_config *c = must_read(
		"{\"mcp\":[{\"name\":\"a\",\"command\":\"c\",\"tools\":"
		"{\"allow\":[\"read_*\",\"list\"],\"deny\":[\"*_secret\"]}},"
		"{\"name\":\"b\",\"command\":\"c\"},"
		"{\"name\":\"c\",\"command\":\"c\",\"tools\":{\"allow\":[]}}]}");

	OK(mcp_spec_allows(&c->specs[0], "read_file"));
	OK(mcp_spec_allows(&c->specs[0], "list"));
	OK(!mcp_spec_allows(&c->specs[0], "lists"));
	OK(!mcp_spec_allows(&c->specs[0], "read_secret"));
	OK(!mcp_spec_allows(&c->specs[0], "write_file"));
	OK(mcp_spec_allows(&c->specs[1], "anything"));
	OK(!mcp_spec_allows(&c->specs[2], "anything"));
	mcp_config_free(c);
}

TEST(what_is_wrong_is_refused_by_name)
{
	is_refused("{\"mcp\":{}}", "no array");
	is_refused("{\"mcp\":[1]}", "no object");
	is_refused("{\"mcp\":[{\"command\":\"c\"}]}", "a name is");
	is_refused("{\"mcp\":[{\"name\":\"a b\",\"command\":\"c\"}]}",
		   "a name is");
	is_refused("{\"mcp\":[{\"name\":\"a\\u0000\",\"command\":\"c\"}]}",
		   "a name is");
	is_refused("{\"mcp\":[{\"name\":\"a\"}]}", "'a': command");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"\"}]}", "empty");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\"},"
		   "{\"name\":\"a\",\"command\":\"c\"}]}",
		   "two servers");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"type\":\"http\"}]}", "type");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"cwd\":\"d\"}]}",
		   "absolute");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"args\":[1]}]}",
		   "argument");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"env\":{\"A=\":\"x\"}}]}",
		   "variable");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"call_timeout_ms\":0}]}",
		   "call_timeout_ms");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"idle_ms\":-1}]}",
		   "idle_ms");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"start\":\"soon\"}]}",
		   "start");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"start\":\"lazy\",\"required\":true}]}",
		   "lazy");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"type\":\"remote\","
		   "\"shared\":true}]}",
		   "shared");
	is_refused("{\"mcp\":[{\"name\":\"a\",\"command\":\"c\","
		   "\"tools\":{\"deny\":\"*\"}}]}",
		   "tools.deny");
	is_refused("{\"mcp_aggregate\":1}", "mcp_aggregate");
}

TEST(the_number_of_servers_is_bounded)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "mcp");
	jw_arr(&w);
	for (int i = 0; i <= MCP_SERVERS_MAX; i++)
		jw_raw(&w, "{\"type\":\"remote\",\"name\":\"a\"}", 28);
	jw_arr_end(&w);
	jw_obj_end(&w);
	is_refused(w.buf, "at most 32");
}

TEST(no_value_is_written)
{
	struct mcp_config *c = must_read(
		"{\"mcp\":[{\"name\":\"a\",\"command\":\"c\",\"args\":[\"S1\"],"
		"\"env\":{\"S2\":\"S3\"},\"shared\":true}]}");
	autojw struct jw w = {0};

	mcp_spec_write(&c->specs[0], &w);
	STR_EQ(w.buf, "{\"name\":\"a\",\"transport\":\"stdio\","
		      "\"required\":false,\"start\":\"eager\","
		      "\"shared\":true}");
	mcp_config_free(c);
}

TEST(the_same_is_the_very_same)
{
	struct mcp_config *c = must_read(
		"{\"mcp\":[{\"name\":\"a\",\"command\":\"c\",\"args\":[\"x\"]},"
		"{\"name\":\"b\",\"command\":\"c\",\"args\":[\"x\"]},"
		"{\"name\":\"c\",\"command\":\"c\",\"args\":[\"x\",\"y\"]},"
		"{\"name\":\"d\",\"command\":\"c\",\"args\":[\"x\"],"
		"\"env\":{\"K\":\"1\"}}]}");

	OK(mcp_spec_runs_same(&c->specs[0], &c->specs[1]));
	OK(!mcp_spec_runs_same(&c->specs[0], &c->specs[2]));
	OK(!mcp_spec_runs_same(&c->specs[0], &c->specs[3]));
	mcp_config_free(c);
}

TESTS(CASE(nothing_is_no_server),
      CASE(a_local_server_has_the_documented_defaults),
      CASE(its_variables_are_the_base_and_its_own), CASE(every_option_is_read),
      CASE(globs_let_tools_through), CASE(what_is_wrong_is_refused_by_name),
      CASE(the_number_of_servers_is_bounded), CASE(no_value_is_written),
      CASE(the_same_is_the_very_same))
