// SPDX-License-Identifier: Apache-2.0
/*
 * test_manifest.c - Which agents there are, and what is said of wrong files
 */
#include "host/manifest.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/tap.h"

#define ECHO "{\"name\":\"echo\",\"command\":\"/bin/echo\"}"

static struct home home;
static struct err err;

/* HIB_HOME/agents and the folder of what is shipped, both empty. */
static void setup(void)
{
	char dir[64] = "/tmp/test_manifest.XXXXXX";

	OK(mkdtemp(dir) != NULL);
	snprintf(home.root, sizeof(home.root), "%s", dir);
	snprintf(home.agents, sizeof(home.agents), "%s/agents", dir);
	snprintf(home.manifests, sizeof(home.manifests), "%s/shipped", dir);
	EQ(mkdir(home.agents, 0700), 0);
	EQ(mkdir(home.manifests, 0700), 0);
}

static void teardown(void)
{
	char command[HOME_PATH_MAX + 16];

	snprintf(command, sizeof(command), "rm -rf '%s'", home.root);
	EQ(system(command), 0);
}

static void put(const char *dir, const char *file, const char *text)
{
	char path[HOME_PATH_MAX + 128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "we");
	OK(f != NULL);
	OK(fputs(text, f) >= 0);
	EQ(fclose(f), 0);
}

static void loads(const char *name, const char *want)
{
	autofree char *json = NULL;

	EQ(manifest_load(&home, name, &json, &err), 0);
	STR_EQ(json, want);
}

static void refuses(const char *name, int code, const char *why)
{
	char *json = NULL;

	EQ(manifest_load(&home, name, &json, &err), code);
	OK(json == NULL);
	if (strstr(err.msg, why) == NULL)
		FAIL("\"%s\" does not say \"%s\"", err.msg, why);
}

/* A wrong text, as a file of the name echo. */
static void wrong(const char *text, const char *why)
{
	put(home.agents, "echo.json", text);
	refuses("echo", -FAULT_INVALID_ARGUMENT, why);
}

static char *list(void)
{
	struct jw w = {0};

	jw_arr(&w);
	EQ(manifest_list(&home, &w, &err), 0);
	jw_arr_end(&w);
	return jw_take(&w, NULL);
}

static void lists(const char *want)
{
	autofree char *all = list();

	STR_EQ(all, want);
}

/* What the agent misses in @env, "" for nothing. */
static void misses(const char *env, const char *want)
{
	autojson struct json j = {0};
	autofree char *missing = NULL;

	EQ(json_parse(&j, env, strlen(env), &err), 0);
	EQ(manifest_missing_env(&home, "echo", json_root(&j), &missing, &err),
	   0);
	STR_EQ(missing ? missing : "", want);
}

/* --- cases -------------------------------------------------------------- */

TEST(a_manifest_is_given_on_one_line)
{
	setup();
	put(home.manifests, "echo.json",
	    "{\r\n\t\"name\": \"echo\",\n\t\"command\": \"a\\nb\"\n}\n");
	loads("echo", "{   \"name\": \"echo\",  \"command\": \"a\\nb\" } ");
	teardown();
}

TEST(the_users_own_come_before_those_shipped)
{
	setup();
	put(home.manifests, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"s\"}");
	put(home.agents, "echo.json", ECHO);
	loads("echo", ECHO);
	lists("[" ECHO "]");
	teardown();
}

TEST(an_unknown_agent_is_told_with_those_that_there_are)
{
	setup();
	put(home.manifests, "echo.json", ECHO);
	put(home.agents, "b.json", "{\"name\":\"b\",\"command\":\"b\"}");
	refuses("c", -FAULT_AGENT_UNKNOWN, "there are: b, echo");
	STR_EQ(err.data, "\"agents\":[\"b\",\"echo\"]");
	teardown();
}

TEST(a_disabled_agent_cannot_be_started)
{
	setup();
	put(home.manifests, "echo.json", ECHO);
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"x\",\"disabled\":true}");
	refuses("echo", -FAULT_AGENT_UNKNOWN, "not installed");
	STR_EQ(err.data, "\"agents\":[]");
	lists("[{\"name\":\"echo\",\"command\":\"x\",\"disabled\":true}]");
	teardown();
}

TEST(a_name_is_no_path)
{
	static const char *const names[] = {"../echo", "",	".",
					    "a/b",     ".echo", "a b"};

	setup();
	put(home.root, "echo.json", ECHO);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		refuses(names[i], -FAULT_AGENT_UNKNOWN, "not installed");
	teardown();
}

TEST(a_long_name_is_unknown)
{
	char name[MANIFEST_NAME_MAX + 2];

	setup();
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	refuses(name, -FAULT_AGENT_UNKNOWN, "not installed");
	teardown();
}

TEST(a_wrong_file_is_refused_with_the_reason)
{
	setup();
	wrong("", "byte 0");
	wrong("{\"name\":\"echo\"", "byte 14");
	wrong("[]", "its name is another");
	wrong("{\"name\":\"other\",\"command\":\"x\"}", "its name is another");
	wrong("{\"name\":\"echo\"}", "no command");
	wrong("{\"name\":\"echo\",\"command\":\"\"}", "no command");
	wrong("{\"name\":\"echo\",\"command\":[\"x\"]}", "no command");
	wrong("{\"name\":\"echo\",\"command\":\"a\\u0000b\"}", "no command");
	teardown();
}

TEST(arguments_are_strings)
{
	setup();
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"x\",\"args\":[\"\",\"a b\"]}");
	loads("echo",
	      "{\"name\":\"echo\",\"command\":\"x\",\"args\":[\"\",\"a b\"]}");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"args\":\"y\"}", "args");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"args\":[1]}", "args");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"args\":[{\"name\":\"y\"}]}",
	      "args");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"args\":[\"\\u0000\"]}",
	      "args");
	teardown();
}

TEST(variables_are_named)
{
	setup();
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"env\":{\"A\":\"b\"}}",
	      "env");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"env\":[\"\"]}", "env");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"env\":[\"A=b\"]}", "env");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"env\":[{}]}", "env");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"env\":[{\"name\":1}]}",
	      "env");
	teardown();
}

TEST(only_what_is_required_can_be_missing)
{
	setup();
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"x\",\"env\":[\"A\","
	    "{\"name\":\"B\"},{\"name\":\"C\",\"required\":true},"
	    "{\"name\":\"D\",\"required\":true}]}");
	misses("{}", "[\"C\",\"D\"]");
	misses("null", "[\"C\",\"D\"]");
	misses("{\"C\":\"\",\"D\":1}", "[\"D\"]");
	misses("{\"C\":\"c\",\"D\":\"d\"}", "");
	teardown();
}

TEST(the_list_is_sorted_and_names_what_is_wrong)
{
	autofree char *all = NULL;

	setup();
	put(home.manifests, "echo.json", ECHO);
	put(home.agents, "bad.json", "{");
	put(home.agents, "no manifest.json", ECHO);
	put(home.agents, "README", "");
	put(home.agents, ".json", ECHO);
	all = list();
	OK(strncmp(all, "[{\"name\":\"bad\",\"error\":\"manifest of bad: ",
		   39) == 0);
	STR_EQ(strrchr(all, '{'), ECHO "]");
	teardown();
}

TEST(nothing_installed_is_an_empty_list)
{
	setup();
	lists("[]");
	EQ(rmdir(home.agents), 0);
	lists("[]");
	teardown();
}

TEST(a_file_may_not_be_endless)
{
	char path[HOME_PATH_MAX + 32];

	setup();
	snprintf(path, sizeof(path), "%s/echo.json", home.agents);
	EQ(symlink("/dev/zero", path), 0);
	refuses("echo", -E2BIG, "larger than");
	teardown();
}

TEST(a_fifo_holds_nobody_up)
{
	char path[HOME_PATH_MAX + 32];

	setup();
	snprintf(path, sizeof(path), "%s/echo.json", home.agents);
	EQ(mkfifo(path, 0600), 0);
	refuses("echo", -FAULT_INVALID_ARGUMENT, "manifest of echo");
	teardown();
}

TESTS(CASE(a_manifest_is_given_on_one_line),
      CASE(the_users_own_come_before_those_shipped),
      CASE(an_unknown_agent_is_told_with_those_that_there_are),
      CASE(a_disabled_agent_cannot_be_started), CASE(a_name_is_no_path),
      CASE(a_long_name_is_unknown),
      CASE(a_wrong_file_is_refused_with_the_reason),
      CASE(arguments_are_strings), CASE(variables_are_named),
      CASE(only_what_is_required_can_be_missing),
      CASE(the_list_is_sorted_and_names_what_is_wrong),
      CASE(nothing_installed_is_an_empty_list), CASE(a_file_may_not_be_endless),
      CASE(a_fifo_holds_nobody_up))
