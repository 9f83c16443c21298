// SPDX-License-Identifier: Apache-2.0
/*
 * test_toolcalls.c - What is kept of tool calls, and of answers for always
 */
#include "guest/toolcalls.h"

#include <string.h>

#include "guest/always.h"
#include "guest/limits.h"
#include "tests/tap.h"

#define CWD "/workspace"

static const struct toolcall *note(struct toolcalls *t, const char *text)
{
	autojson struct json j = {0};
	const struct toolcall *c;

	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	c = toolcalls_note(t, json_root(&j), CWD);
	OK(c != NULL);
	return c;
}

static void has_paths(const struct toolcall *c, const char *want)
{
	char got[4096] = "";

	for (size_t i = 0; i < c->n_paths; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s",
			 i > 0 ? " " : "", c->paths[i]);
	STR_EQ(got, want);
}

TEST(what_is_said_later_replaces_or_adds)
{
	struct toolcalls t = {0};
	const struct toolcall *c;

	note(&t, "{\"toolCallId\":\"a\",\"title\":\"One\",\"kind\":\"edit\","
		 "\"locations\":[{\"path\":\"x\"},{\"path\":7},{}]}");
	note(&t, "{\"toolCallId\":\"b\",\"title\":\"Other\"}");
	c = note(&t, "{\"toolCallId\":\"a\",\"title\":\"Two\",\"locations\":"
		     "[{\"path\":\"/etc/../y\"},{\"path\":\"./x\"}]}");
	EQ(t.n, 2);
	STR_EQ(c->title, "Two");
	STR_EQ(c->kind, "edit");
	has_paths(c, "/workspace/x /y");
	c = note(&t, "{\"toolCallId\":\"b\",\"kind\":\"paint\"}");
	STR_EQ(c->kind, "other");
	STR_EQ(c->title, "Other");
	toolcalls_done(&t);
}

TEST(paths_are_where_agents_put_them)
{
	struct toolcalls t = {0};

	has_paths(note(&t, "{\"toolCallId\":\"a\",\"content\":[{\"type\":"
			   "\"diff\",\"path\":\"/d\"},{\"type\":\"content\"}],"
			   "\"rawInput\":{\"file_path\":\"/f\",\"paths\":"
			   "[\"/p\",\"/q\",1],\"text\":\"/no\"}}"),
		  "/d /f /p /q");
	has_paths(note(&t, "{\"toolCallId\":\"b\",\"rawInput\":\"/x\"}"), "");
	toolcalls_done(&t);
}

TEST(what_cannot_be_judged_is_marked)
{
	autojw struct jw many = {0}, title = {0};
	autofree char *name = NULL;
	struct toolcalls t = {0};
	const struct toolcall *c;

	OK(note(&t, "{\"locations\":[{\"path\":\"~/x\"}]}")->paths_unclear);
	OK(note(&t, "{\"locations\":[{\"path\":\"file:///x\"}]}")
		   ->paths_unclear);
	OK(note(&t, "{\"locations\":[{\"path\":\"a\\u0000b\"}]}")
		   ->paths_unclear);
	jw_obj(&many);
	jw_kstr(&many, "toolCallId", "m");
	jw_key(&many, "rawInput");
	jw_obj(&many);
	jw_key(&many, "paths");
	jw_arr(&many);
	for (int i = 0; i <= TOOL_PATHS_MAX; i++) {
		char path[16];

		snprintf(path, sizeof(path), "f%d", i);
		jw_str(&many, path);
	}
	jw_arr_end(&many);
	jw_obj_end(&many);
	jw_obj_end(&many);
	c = note(&t, many.buf);
	EQ(c->n_paths, TOOL_PATHS_MAX);
	OK(c->paths_unclear && !c->title_unclear);
	OK(asprintf(&name, "%0*d", TOOL_TITLE_MAX + 1, 7) > 0);
	jw_obj(&title);
	jw_kstr(&title, "toolCallId", "m");
	jw_kstr(&title, "title", name);
	jw_obj_end(&title);
	OK(note(&t, title.buf)->title_unclear);
	c = note(&t, "{\"toolCallId\":\"m\",\"title\":\"short\"}");
	OK(!c->title_unclear);
	toolcalls_done(&t);
}

TEST(a_call_without_an_id_begins_anew)
{
	struct toolcalls t = {0};

	note(&t, "{\"title\":\"One\",\"locations\":[{\"path\":\"/a\"}]}");
	has_paths(note(&t, "{\"locations\":[{\"path\":\"/b\"}]}"), "/b");
	EQ(t.n, 1);
	toolcalls_done(&t);
}

TEST(the_oldest_are_forgotten)
{
	struct toolcalls t = {0};
	const struct toolcall *c;

	for (int i = 0; i <= TOOL_CALLS_MAX; i++) {
		char text[96];

		snprintf(text, sizeof(text),
			 "{\"toolCallId\":\"c%d\",\"kind\":\"edit\"}", i);
		note(&t, text);
	}
	EQ(t.n, TOOL_CALLS_MAX);
	c = note(&t, "{\"toolCallId\":\"c1\"}");
	STR_EQ(c->kind, "edit");
	c = note(&t, "{\"toolCallId\":\"c0\"}");
	STR_EQ(c->kind, "other");
	toolcalls_done(&t);
	EQ(t.bytes, 0);
}

static struct always always(const char *kind, const char *rule, bool allow)
{
	struct always a = {.allow = allow};

	snprintf(a.kind, sizeof(a.kind), "%s", kind);
	snprintf(a.rule, sizeof(a.rule), "%s", rule);
	return a;
}

TEST(always_is_by_kind_and_rule)
{
	struct always a = always("edit", "default", true);
	struct always b = always("edit", "etc", false);
	struct always_memory m = {0};

	OK(always_find(&m, "edit", "default") == NULL);
	OK(always_add(&m, &a) && always_add(&m, &b));
	OK(always_find(&m, "edit", "default")->allow);
	OK(!always_find(&m, "edit", "etc")->allow);
	OK(always_find(&m, "read", "default") == NULL);
	a.allow = false;
	OK(always_add(&m, &a));
	EQ(m.n, 2);
	OK(!always_find(&m, "edit", "default")->allow);
	for (int i = 2; i < ALWAYS_MAX; i++) {
		snprintf(b.rule, sizeof(b.rule), "r%d", i);
		OK(always_add(&m, &b));
	}
	b = always("read", "default", true);
	OK(!always_add(&m, &b));
	OK(always_add(&m, &a));
	always_done(&m);
}

TEST(always_is_read_as_it_was_written)
{
	static const char *const rules[] = {"default", "no-etc"};
	static const char wrong[] = "{\"kind\":\"edit\",\"action\":\"ask\"}";
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct always a;

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const struct always b = always("move", rules[i], i == 0);

		jw_reset(&w);
		always_write(&b, &w);
		EQ(json_parse(&j, w.buf, w.len, NULL), 0);
		OK(always_read(json_root(&j), &a));
		STR_EQ(a.kind, b.kind);
		STR_EQ(a.rule, b.rule);
		EQ(a.allow, b.allow);
	}
	OK(!always_read((struct jv){.i = -1}, &a));
	EQ(json_parse(&j, wrong, strlen(wrong), NULL), 0);
	OK(!always_read(json_root(&j), &a));
}

TESTS(CASE(what_is_said_later_replaces_or_adds),
      CASE(paths_are_where_agents_put_them),
      CASE(what_cannot_be_judged_is_marked),
      CASE(a_call_without_an_id_begins_anew), CASE(the_oldest_are_forgotten),
      CASE(always_is_by_kind_and_rule), CASE(always_is_read_as_it_was_written))
