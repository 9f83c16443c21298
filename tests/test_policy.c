// SPDX-License-Identifier: Apache-2.0
/*
 * test_policy.c - What policies are, and what they say
 */
#include "core/policy.h"

#include <string.h>

#include "tests/tap.h"

static struct jv parse(struct json *j, const char *text)
{
	EQ(json_parse(j, text, strlen(text), NULL), 0);
	return json_root(j);
}

static void good(const char *text)
{
	autojson struct json j = {0};
	struct err e = {0};

	EQ(policy_check(parse(&j, text), &e), 0);
}

static void bad(const char *text, const char *why)
{
	autojson struct json j = {0};
	struct err e = {0};

	EQ(policy_check(parse(&j, text), &e), -FAULT_INVALID_ARGUMENT);
	if (strstr(e.msg, why) == NULL)
		FAIL("%s: %s", text, e.msg);
}

/* What @policy says of a call: "action by rule". */
static const char *verdict(const char *policy, const struct policy_call *call)
{
	static const char *const names[] = {"ask", "allow", "deny"};
	static char text[POLICY_NAME_MAX + 16];
	autojson struct json j = {0};
	struct policy_verdict v;
	struct err e = {0};

	EQ(policy_check(parse(&j, policy), &e), 0);
	policy_decide(json_root(&j), call, &v);
	snprintf(text, sizeof(text), "%s by %s", names[v.action], v.rule);
	return text;
}

#define CALL(...) (&(struct policy_call){.cwd = "/workspace", __VA_ARGS__})
#define PATHS(...)                              \
	.paths = (const char *[]){__VA_ARGS__}, \
	.n_paths = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)

static const char no_etc[] =
	"{\"default\":\"allow\",\"rules\":[{\"name\":\"no-etc\","
	"\"path\":\"/etc\",\"action\":\"deny\"}]}";
static const char work_only[] = "{\"rules\":[{\"name\":\"work\",\"path\":\"*\","
				"\"action\":\"allow\"}]}";

TEST(a_word_or_rules_are_a_policy)
{
	good("\"ask\"");
	good("\"allow\"");
	good("\"deny\"");
	good("{}");
	good("{\"default\":\"deny\",\"rules\":[]}");
	good("{\"rules\":[{\"name\":\"a\",\"kind\":\"*\",\"title\":\"rm *\","
	     "\"path\":\"src/\",\"action\":\"ask\"},"
	     "{\"name\":\"b\",\"kind\":[\"read\",\"other\"],"
	     "\"action\":\"deny\"}]}");
}

TEST(what_is_wrong_is_named)
{
	bad("\"maybe\"", "neither");
	bad("null", "neither");
	bad("[]", "neither");
	bad("{\"default\":1}", "default is not");
	bad("{\"rule\":[]}", "no 'rule'");
	bad("{\"rules\":{}}", "rules is not");
	bad("{\"rules\":[7]}", "rule 1 is no object");
	bad("{\"rules\":[{\"action\":\"ask\"}]}", "rule 1: name is missing");
	bad("{\"rules\":[{\"name\":\"x\"}]}", "rule 'x': action is missing");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"ask\",\"tool\":1}]}",
	    "rule 'x': there is no 'tool'");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"no\"}]}",
	    "rule 'x': action is not");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"ask\","
	    "\"kind\":\"write\"}]}",
	    "rule 'x': kind is not");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"ask\",\"kind\":[]}]}",
	    "rule 'x': kind is not");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"ask\",\"path\":\"\"}]}",
	    "rule 'x': path is not");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"ask\","
	    "\"path\":\"/a/../b\"}]}",
	    "rule 'x': path is not");
	bad("{\"rules\":[{\"name\":\"x\",\"action\":\"ask\","
	    "\"title\":\"a\\u0000\"}]}",
	    "rule 'x': title is not");
}

TEST(the_number_of_rules_is_bounded)
{
	static const char rule[] = "{\"name\":\"x\",\"action\":\"ask\"}";
	autojw struct jw w = {0}, both = {0};
	autojson struct json j = {0};
	struct err e = {0};

	jw_obj(&w);
	jw_key(&w, "rules");
	jw_arr(&w);
	for (int i = 0; i < POLICY_RULES_MAX; i++)
		jw_raw(&w, rule, sizeof(rule) - 1);
	jw_arr_end(&w);
	jw_obj_end(&w);
	good(w.buf);
	parse(&j, w.buf);
	EQ(policy_join(json_root(&j), json_root(&j), &both, &e),
	   -FAULT_INVALID_ARGUMENT);
}

TEST(the_first_rule_that_holds_decides)
{
	const char *p =
		"{\"default\":\"deny\",\"rules\":["
		"{\"name\":\"a\",\"kind\":\"read\",\"action\":\"allow\"},"
		"{\"name\":\"b\",\"kind\":[\"edit\",\"read\"],"
		"\"action\":\"ask\"}]}";

	STR_EQ(verdict(p, CALL(.kind = "read")), "allow by a");
	STR_EQ(verdict(p, CALL(.kind = "edit")), "ask by b");
	STR_EQ(verdict(p, CALL(.kind = "fetch")), "deny by default");
	STR_EQ(verdict("{}", CALL(.kind = "read")), "ask by default");
	STR_EQ(verdict("\"allow\"", CALL(.kind = "read")), "allow by default");
	STR_EQ(verdict("{\"rules\":[{\"name\":\"all\",\"action\":\"deny\"}]}",
		       CALL(.kind = "read")),
	       "deny by all");
}

TEST(all_conditions_of_a_rule_have_to_hold)
{
	const char *p = "{\"rules\":[{\"name\":\"r\",\"kind\":\"execute\","
			"\"title\":\"make *\",\"path\":\"/workspace\","
			"\"action\":\"allow\"}]}";

	STR_EQ(verdict(p, CALL(.kind = "execute", .title = "make check",
			       PATHS("/workspace/a"))),
	       "allow by r");
	STR_EQ(verdict(p, CALL(.kind = "execute", .title = "rm",
			       PATHS("/workspace/a"))),
	       "ask by default");
	STR_EQ(verdict(p, CALL(.kind = "execute", .title = "make check")),
	       "ask by default");
	STR_EQ(verdict(p, CALL(.kind = "execute", PATHS("/workspace/a"))),
	       "ask by default");
}

TEST(a_folder_holds_for_all_in_it)
{
	const char *slash = "{\"rules\":[{\"name\":\"x\",\"path\":\"/etc/\","
			    "\"action\":\"deny\"}]}";
	const char *root = "{\"rules\":[{\"name\":\"x\",\"path\":\"/\","
			   "\"action\":\"deny\"}]}";

	STR_EQ(verdict(no_etc, CALL(.kind = "edit", PATHS("/etc"))),
	       "deny by no-etc");
	STR_EQ(verdict(no_etc, CALL(.kind = "edit", PATHS("/etc/a/b"))),
	       "deny by no-etc");
	STR_EQ(verdict(no_etc, CALL(.kind = "edit", PATHS("/etcetera"))),
	       "allow by default");
	STR_EQ(verdict(slash, CALL(.kind = "edit", PATHS("/etc/a"))),
	       "deny by x");
	STR_EQ(verdict(root, CALL(.kind = "edit", PATHS("/"))), "deny by x");
}

TEST(one_path_denies_and_all_of_them_allow)
{
	STR_EQ(verdict(no_etc,
		       CALL(.kind = "move", PATHS("/workspace/a", "/etc/b"))),
	       "deny by no-etc");
	STR_EQ(verdict(work_only,
		       CALL(.kind = "move", PATHS("/workspace/a", "/etc/b"))),
	       "ask by default");
	STR_EQ(verdict(work_only,
		       CALL(.kind = "move",
			    PATHS("/workspace/a", "/workspace/.b/c"))),
	       "allow by work");
}

TEST(a_relative_pattern_is_below_the_working_directory)
{
	const char *p = "{\"rules\":[{\"name\":\"c\",\"path\":\"src/*.c\","
			"\"action\":\"allow\"}]}";

	STR_EQ(verdict(p, CALL(.kind = "edit", PATHS("/workspace/src/a/b.c"))),
	       "allow by c");
	STR_EQ(verdict(p, CALL(.kind = "edit", PATHS("/src/b.c"))),
	       "ask by default");
	STR_EQ(verdict(work_only, CALL(.kind = "edit", PATHS("/workspace"))),
	       "allow by work");
	STR_EQ(verdict(work_only, CALL(.kind = "edit", PATHS("/workspaces"))),
	       "ask by default");
	STR_EQ(verdict(work_only, &(struct policy_call){.kind = "edit",
							.cwd = "/",
							PATHS("/etc")}),
	       "allow by work");
}

TEST(what_is_not_told_in_full_is_not_allowed)
{
	const char *titles =
		"{\"default\":\"allow\",\"rules\":[{\"name\":\"t\","
		"\"title\":\"rm *\",\"action\":\"deny\"}]}";

	STR_EQ(verdict(work_only, CALL(.kind = "edit", .paths_unclear = true,
				       PATHS("/workspace/a"))),
	       "ask by default");
	STR_EQ(verdict(no_etc, CALL(.kind = "edit", .paths_unclear = true)),
	       "deny by no-etc");
	STR_EQ(verdict(titles, CALL(.kind = "edit", .title_unclear = true)),
	       "deny by t");
	STR_EQ(verdict(no_etc, CALL(.kind = "edit", .title_unclear = true)),
	       "allow by default");
}

/* Join two policies and ask the result. */
static const char *joined(const char *first, const char *second,
			  const struct policy_call *call)
{
	autojson struct json a = {0}, b = {0};
	autojw struct jw w = {0};
	struct err e = {0};

	EQ(policy_join(first ? parse(&a, first) : (struct jv){.i = -1},
		       second ? parse(&b, second) : (struct jv){.i = -1}, &w,
		       &e),
	   0);
	return verdict(w.buf, call);
}

TEST(joined_the_first_rules_come_first)
{
	const char *a = "{\"rules\":[{\"name\":\"a\",\"kind\":\"edit\","
			"\"action\":\"allow\"}]}";
	const char *b = "{\"default\":\"deny\",\"rules\":[{\"name\":\"b\","
			"\"kind\":[\"edit\",\"read\"],\"action\":\"ask\"}]}";

	STR_EQ(joined(a, b, CALL(.kind = "edit")), "allow by a");
	STR_EQ(joined(a, b, CALL(.kind = "read")), "ask by b");
	STR_EQ(joined(a, b, CALL(.kind = "fetch")), "deny by default");
	STR_EQ(joined("\"allow\"", b, CALL(.kind = "read")), "ask by b");
	STR_EQ(joined("\"allow\"", b, CALL(.kind = "fetch")),
	       "allow by default");
	STR_EQ(joined(NULL, b, CALL(.kind = "fetch")), "deny by default");
	STR_EQ(joined(a, NULL, CALL(.kind = "fetch")), "ask by default");
	STR_EQ(joined(NULL, NULL, CALL(.kind = "edit")), "ask by default");
}

static void path_is(const char *cwd, const char *path, const char *want)
{
	autofree char *got = policy_path(cwd, path);

	STR_EQ(got, want);
}

TEST(paths_are_made_absolute)
{
	path_is("/workspace", "a", "/workspace/a");
	path_is("/workspace", "/etc/passwd", "/etc/passwd");
	path_is("/workspace", "../etc//passwd", "/etc/passwd");
	path_is("/workspace", "/workspace/../../etc/./x/", "/etc/x");
	path_is("/workspace/", ".", "/workspace");
	path_is("/", "..", "/");
	path_is("/", "...", "/...");
	path_is("/a/b", "../..", "/");
	path_is("/", "", "/");
}

TEST(a_kind_that_is_none_is_other)
{
	autojson struct json j = {0};

	STR_EQ(policy_kind(parse(&j, "\"switch_mode\"")), "switch_mode");
	STR_EQ(policy_kind(parse(&j, "\"write\"")), "other");
	STR_EQ(policy_kind(parse(&j, "7")), "other");
	STR_EQ(policy_kind((struct jv){.i = -1}), "other");
}

TESTS(CASE(a_word_or_rules_are_a_policy), CASE(what_is_wrong_is_named),
      CASE(the_number_of_rules_is_bounded),
      CASE(the_first_rule_that_holds_decides),
      CASE(all_conditions_of_a_rule_have_to_hold),
      CASE(a_folder_holds_for_all_in_it),
      CASE(one_path_denies_and_all_of_them_allow),
      CASE(a_relative_pattern_is_below_the_working_directory),
      CASE(what_is_not_told_in_full_is_not_allowed),
      CASE(joined_the_first_rules_come_first), CASE(paths_are_made_absolute),
      CASE(a_kind_that_is_none_is_other))
