// SPDX-License-Identifier: Apache-2.0
/*
 * test_manifest.c - Which agents there are, and what is said of wrong files
 */
#include "host/manifest.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "host/install.h"
#include "tests/tap.h"

#define ECHO "{\"name\":\"echo\",\"command\":\"/bin/echo\"}"
#define ECHO_LISTED \
	"{\"name\":\"echo\",\"command\":\"/bin/echo\",\"installed\":true}"

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

/* What the agent misses in @env, for programs and for people; "": nothing. */
static void misses(const char *env, const char *want, const char *words)
{
	autojson struct json j = {0};
	struct manifest_missing missing;

	EQ(json_parse(&j, env, strlen(env), &err), 0);
	EQ(manifest_missing_env(&home, "echo", json_root(&j), &missing, &err),
	   0);
	STR_EQ(missing.names ? missing.names : "", want);
	STR_EQ(missing.words ? missing.words : "", words);
	manifest_missing_done(&missing);
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
	lists("[" ECHO_LISTED "]");
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
	lists("[{\"name\":\"echo\",\"command\":\"x\",\"disabled\":true,"
	      "\"installed\":true}]");
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

TEST(a_policy_is_one)
{
	setup();
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"x\",\"policy\":\"deny\"}");
	loads("echo",
	      "{\"name\":\"echo\",\"command\":\"x\",\"policy\":\"deny\"}");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"policy\":\"no\"}",
	      "policy");
	wrong("{\"name\":\"echo\",\"command\":\"x\",\"policy\":{\"rules\":"
	      "[{\"name\":\"r\"}]}}",
	      "rule 'r'");
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
	misses("{}", "[\"C\",\"D\"]", "C, D");
	misses("null", "[\"C\",\"D\"]", "C, D");
	misses("{\"C\":\"\",\"D\":1}", "[\"D\"]", "D");
	misses("{\"C\":\"c\",\"D\":\"d\"}", "", "");
	teardown();
}

TEST(one_of_several_is_enough)
{
	setup();
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"x\",\"env\":["
	    "{\"name\":\"A\",\"required\":true},"
	    "{\"any\":[\"B\",\"C\"],\"required\":true},"
	    "{\"any\":[\"D\"]}]}");
	misses("{}", "[\"A\",[\"B\",\"C\"]]", "A, B or C");
	misses("{\"A\":\"\",\"D\":\"\"}", "[[\"B\",\"C\"]]", "B or C");
	misses("{\"A\":\"\",\"C\":\"\"}", "", "");
	teardown();
}

/* A manifest of echo with one more member. */
static void wrong_member(const char *member, const char *why)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"name\":\"echo\",\"command\":\"x\",%s}",
		 member);
	wrong(text, why);
}

TEST(packages_are_pinned)
{
	static const char *const pins[] = {
		"\"a\"",	  "\"a@\"",	  "\"a@latest\"",
		"\"a@^1.0.0\"",	  "\"-g\"",	  "\"--prefix@1\"",
		"\"../a@1\"",	  "\"/tmp/a@1\"", "\"@s@1\"",
		"\"@s/@1\"",	  "\"@-s/a@1\"",  "\"a@1 b\"",
		"\"a@1:b@2\"",	  "\"\"",	  "7",
		"\"http://a@1\"",
	};
	char member[128];

	setup();
	for (size_t i = 0; i < ARRAY_LEN(pins); i++) {
		snprintf(member, sizeof(member),
			 "\"version\":\"1\",\"npm\":[%s]", pins[i]);
		wrong_member(member, "npm");
	}
	wrong_member("\"version\":\"1\",\"npm\":[]", "npm");
	wrong_member("\"npm\":[\"a@1\"]", "version");
	wrong_member("\"npm\":[\"a@1\"],\"version\":\"..\"", "version");
	wrong_member("\"npm\":[\"a@1\"],\"version\":\"a/b\"", "version");
	teardown();
}

TEST(files_stay_below_the_home)
{
	static const char *const paths[] = {
		"/etc/passwd",	   "x",
		"/home/user",	   "/home/user/",
		"/home/user/../x", "/home/user/a/../x",
		"/home/user/./x",  "/home/user//x",
		"/home/user/x/",   "/home/user/a/..",
		"/home/user2/x",   "",
	};
	char member[256];

	setup();
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		snprintf(member, sizeof(member),
			 "\"files\":[{\"path\":\"%s\",\"content\":\"\"}]",
			 paths[i]);
		wrong_member(member, "files");
	}
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"command\":\"x\",\"files\":["
	    "{\"path\":\"/home/user/.a/..b/...\",\"content\":\"\\u0000\","
	    "\"mode\":\"0600\",\"replace\":true}]}");
	misses("{}", "", "");
	teardown();
}

TEST(a_file_has_contents_and_a_mode)
{
#define FILE_WITH(more) "\"files\":[{\"path\":\"/home/user/x\"" more "}]"
	static const char *const files[] = {
		FILE_WITH(""),
		FILE_WITH(",\"content\":7"),
		FILE_WITH(",\"content\":\"\",\"mode\":420"),
		FILE_WITH(",\"content\":\"\",\"mode\":\"4755\""),
		FILE_WITH(",\"content\":\"\",\"mode\":\"08\""),
		FILE_WITH(",\"content\":\"\",\"mode\":\"rw\""),
		FILE_WITH(",\"content\":\"\",\"replace\":1"),
		"\"files\":{}",
	};

	setup();
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		wrong_member(files[i], "files");
	teardown();
}

TEST(what_the_guest_is_told_has_its_type)
{
	setup();
	wrong_member("\"quirks\":[]", "quirks");
	wrong_member("\"quirks\":{\"no_fs\":1}", "quirks.no_fs");
	wrong_member("\"quirks\":{\"exit_ms\":-1}", "quirks.exit_ms");
	wrong_member("\"quirks\":{\"late_replay_ms\":\"1\"}",
		     "quirks.late_replay_ms");
	wrong_member("\"instructions\":{\"via\":\"post\"}", "instructions");
	wrong_member("\"instructions\":{\"via\":\"meta\"}", "instructions");
	wrong_member("\"instructions\":{\"via\":\"args\",\"args\":[1]}",
		     "instructions");
	wrong_member("\"instructions\":{\"via\":\"env\",\"env\":\"A=\"}",
		     "instructions");
	wrong_member("\"auth\":{\"method\":1}", "auth.method");
	wrong_member("\"disabled\":\"yes\"", "disabled");
	teardown();
}

/* --- packages ----------------------------------------------------------- */

#define PACKED                                                      \
	"{\"name\":\"echo\",\"version\":\"1.0\",\"command\":\"x\"," \
	"\"npm\":[\"a@1\",\"@b/c@2.0.0-rc1\"]}"

/* What `hib agent add` does, without npm. */
static void install(const char *manifest)
{
	char text[256], dir[INSTALL_PATH_MAX], command[INSTALL_PATH_MAX + 16];
	autojson struct json j = {0};

	snprintf(text, sizeof(text), "%s", manifest);
	EQ(manifest_check("echo", text, strlen(text), &j, &err), 0);
	EQ(install_dir(&home, json_root(&j), dir, &err), 0);
	snprintf(command, sizeof(command), "mkdir -p '%s'", dir);
	EQ(system(command), 0);
	EQ(install_stamp(dir, json_root(&j), &err), 0);
}

TEST(what_is_not_installed_cannot_be_started)
{
	setup();
	put(home.manifests, "echo.json", PACKED);
	refuses("echo", -FAULT_AGENT_UNKNOWN, "run: hib agent add echo");
	install(PACKED);
	loads("echo", PACKED);
	teardown();
}

TEST(other_packages_are_another_installation)
{
	setup();
	install(PACKED);
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"version\":\"1.0\",\"command\":\"x\","
	    "\"npm\":[\"a@2\"]}");
	refuses("echo", -FAULT_AGENT_UNKNOWN, "hib agent add");
	put(home.agents, "echo.json",
	    "{\"name\":\"echo\",\"version\":\"1.1\",\"command\":\"x\","
	    "\"npm\":[\"a@1\"]}");
	refuses("echo", -FAULT_AGENT_UNKNOWN, "hib agent add");
	teardown();
}

/* The manifests in our tree are right, and lie where they say. */
TEST(what_we_ship_is_right)
{
	autojson struct json j = {0};
	autofree char *all = NULL;
	unsigned n = 0;

	setup();
	snprintf(home.manifests, sizeof(home.manifests), "images/agents");
	all = list();
	EQ(json_parse(&j, all, strlen(all), &err), 0);
	for (struct jv m = jv_first(json_root(&j)); jv_has(m);
	     m = jv_next(json_root(&j), m)) {
		char dir[INSTALL_PATH_MAX], want[INSTALL_PATH_MAX + 16];
		autofree char *command = jv_strdup(jv_get(m, "command"), NULL);

		OK(!jv_has(jv_get(m, "error")));
		OK(command != NULL);
		n++;
		if (install_dir(&home, m, dir, &err) < 0)
			continue;
		snprintf(want, sizeof(want), "/opt/agents%s/",
			 dir + strlen(home.agents));
		OK(strncmp(command, want, strlen(want)) == 0);
	}
	EQ(n, 9);
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
	STR_EQ(strrchr(all, '{'), ECHO_LISTED "]");
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
      CASE(a_wrong_file_is_refused_with_the_reason), CASE(a_policy_is_one),
      CASE(arguments_are_strings), CASE(variables_are_named),
      CASE(only_what_is_required_can_be_missing),
      CASE(one_of_several_is_enough), CASE(packages_are_pinned),
      CASE(files_stay_below_the_home), CASE(a_file_has_contents_and_a_mode),
      CASE(what_the_guest_is_told_has_its_type),
      CASE(what_is_not_installed_cannot_be_started),
      CASE(other_packages_are_another_installation),
      CASE(what_we_ship_is_right),
      CASE(the_list_is_sorted_and_names_what_is_wrong),
      CASE(nothing_installed_is_an_empty_list), CASE(a_file_may_not_be_endless),
      CASE(a_fifo_holds_nobody_up))
