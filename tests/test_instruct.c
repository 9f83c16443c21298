// SPDX-License-Identifier: Apache-2.0
/*
 * test_instruct.c - How an agent is told what its session wants of it
 */
#include "guest/launch.h"
#include "tests/tap.h"

#define TEXT "Say \"hi\"\n{json}"

static int read_text(const char *text, struct instruct *in, struct err *e)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), e), 0);
	return instruct_read(json_root(&j), in, e);
}

static bool fills(const char *template, const char *want)
{
	autofree char *got = instruct_fill(template, TEXT);

	return got != NULL && strcmp(got, want) == 0;
}

TEST(templates_are_filled_once)
{
	OK(fills("", ""));
	OK(fills("no more {here}", "no more {here}"));
	OK(fills("{text}", TEXT));
	OK(fills("a={json}{", "a=\"Say \\\"hi\\\"\\n{json}\"{"));
	OK(fills("{text}{text}", TEXT TEXT));
}

TEST(each_way_is_read)
{
	struct instruct in;
	struct err e = {0};

	EQ(read_text("null", &in, &e), 0);
	EQ(in.via, INSTRUCT_NONE);
	EQ(read_text("{\"via\":\"meta\",\"meta\":{\"a\":[\"{text}\"]}}", &in,
		     &e),
	   0);
	EQ(in.via, INSTRUCT_META);
	instruct_done(&in);
	EQ(read_text("{\"via\":\"args\",\"args\":[\"-c\",\"{json}\"]}", &in,
		     &e),
	   0);
	EQ(in.via, INSTRUCT_ARGS);
	OK(strcmp(in.args[1], "{json}") == 0 && in.args[2] == NULL);
	instruct_done(&in);
	EQ(read_text("{\"via\":\"env\",\"env\":\"X\"}", &in, &e), 0);
	EQ(in.via, INSTRUCT_ENV);
	OK(strcmp(in.env, "X") == 0);
	instruct_done(&in);
}

TEST(wrong_ones_are_refused)
{
	static const char *const wrong[] = {
		"[]",
		"{}",
		"{\"via\":\"smoke\"}",
		"{\"via\":\"meta\"}",
		"{\"via\":\"meta\",\"meta\":\"{text}\"}",
		"{\"via\":\"args\",\"args\":\"{text}\"}",
		"{\"via\":\"args\",\"args\":[\"a\",1]}",
		"{\"via\":\"args\",\"args\":[\"a\\u0000\"]}",
		"{\"via\":\"env\",\"env\":\"\"}",
		"{\"via\":\"env\",\"env\":\"A=B\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct instruct in = {.via = INSTRUCT_ENV};
		struct err e = {0};

		EQ(read_text(wrong[i], &in, &e), -FAULT_INVALID_ARGUMENT);
		EQ(in.via, INSTRUCT_ENV);
	}
}

TEST(meta_is_filled_in_its_strings)
{
	struct instruct in;
	struct err e = {0};
	autojw struct jw w = {0};

	EQ(read_text("{\"via\":\"meta\",\"meta\":{\"a\":[1,{\"b\":\"<{text}>\"}"
		     ",null],\"{text}\":true,\"c\":\"\"}}",
		     &in, &e),
	   0);
	instruct_write_meta(&in, "x\"y", &w);
	OK(!w.failed);
	OK(strcmp(w.buf, "{\"a\":[1,{\"b\":\"<x\\\"y>\"},null],"
			 "\"{text}\":true,\"c\":\"\"}") == 0);
	instruct_done(&in);
}

TEST(a_way_of_the_process_wins_over_the_system_prompt)
{
	const struct instruct none = {0}, meta = {.via = INSTRUCT_META},
			      args = {.via = INSTRUCT_ARGS};

	EQ(instruct_choose(&none, NULL, true), INSTRUCT_NONE);
	EQ(instruct_choose(&none, "x", false), INSTRUCT_PREAMBLE);
	EQ(instruct_choose(&none, "x", true), INSTRUCT_SYSTEM_PROMPT);
	EQ(instruct_choose(&meta, "x", true), INSTRUCT_SYSTEM_PROMPT);
	EQ(instruct_choose(&meta, "x", false), INSTRUCT_META);
	EQ(instruct_choose(&args, "x", true), INSTRUCT_ARGS);
}

static struct launch *launch_of(const char *agent)
{
	autojson struct json j = {0};
	struct launch *l = NULL;
	struct err e = {0};

	EQ(json_parse(&j, agent, strlen(agent), &e), 0);
	if (launch_new(json_root(&j), jv_get(json_root(&j), "none"), "/", &l,
		       &e) < 0)
		FAIL("%s", e.msg);
	return l;
}

TEST(arguments_are_told_once)
{
	struct launch *l = launch_of(
		"{\"command\":\"c\",\"args\":[\"a\"],\"instructions\":"
		"{\"via\":\"args\",\"args\":[\"-i\",\"{text}\"]}}");
	struct err e = {0};

	EQ(launch_tell(l, NULL, &e), 0);
	OK(strcmp(l->argv[1], "a") == 0 && l->argv[2] == NULL);
	EQ(launch_tell(l, "be good", &e), 0);
	EQ(launch_tell(l, "be good", &e), 0);
	OK(strcmp(l->argv[2], "-i") == 0 && strcmp(l->argv[3], "be good") == 0);
	OK(l->argv[4] == NULL);
	launch_free(l);
}

TEST(a_variable_is_told_in_its_place)
{
	struct launch *l = launch_of(
		"{\"command\":\"c\",\"env\":{\"A\":\"1\",\"I\":\"2\",\"B\":"
		"\"3\"},\"instructions\":{\"via\":\"env\",\"env\":\"I\"}}");
	size_t n = l->n_env;
	struct err e = {0};

	EQ(launch_tell(l, "be good", &e), 0);
	EQ(l->n_env, n);
	OK(strcmp(l->env[n - 2], "I=be good") == 0 && l->env[n] == NULL);
	launch_free(l);
	l = launch_of("{\"command\":\"c\",\"instructions\":"
		      "{\"via\":\"env\",\"env\":\"I\"}}");
	n = l->n_env;
	EQ(launch_tell(l, "be good", &e), 0);
	EQ(l->n_env, n + 1);
	OK(strcmp(l->env[n], "I=be good") == 0 && l->env[n + 1] == NULL);
	launch_free(l);
}

TESTS(CASE(templates_are_filled_once), CASE(each_way_is_read),
      CASE(wrong_ones_are_refused), CASE(meta_is_filled_in_its_strings),
      CASE(a_way_of_the_process_wins_over_the_system_prompt),
      CASE(arguments_are_told_once), CASE(a_variable_is_told_in_its_place))
