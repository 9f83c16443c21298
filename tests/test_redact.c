// SPDX-License-Identifier: Apache-2.0
/*
 * test_redact.c - No secret of a session is written down where people look
 */
#include "guest/redact.h"

#include <string.h>

#include "tests/tap.h"

static struct redact *secrets(const char *params)
{
	autojson struct json j = {0};
	struct redact *r = NULL;
	struct err e = {0};

	EQ(json_parse(&j, params, strlen(params), &e), 0);
	EQ(redact_read(json_root(&j), &r, &e), 0);
	return r;
}

static void becomes(const struct redact *r, const char *json, const char *want)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};

	EQ(json_parse(&j, json, strlen(json), NULL), 0);
	redact_write(r, json_root(&j), &w);
	OK(!w.failed);
	STR_EQ(w.buf, want);
}

TEST(without_secrets_nothing_is_done)
{
	OK(secrets("{}") == NULL);
	OK(secrets("{\"secrets\":[]}") == NULL);
	OK(secrets("{\"secrets\":[\"\",\"short\"]}") == NULL);
	EQ(redact_event(NULL, "agent.stderr", "{}", 2), REDACT_PASS);
}

TEST(what_is_no_list_of_strings_is_refused)
{
	static const char *const bad[] = {"{\"secrets\":7}",
					  "{\"secrets\":[\"abcdef\",7]}"};
	struct redact *r = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		autojson struct json j = {0};

		EQ(json_parse(&j, bad[i], strlen(bad[i]), NULL), 0);
		EQ(redact_read(json_root(&j), &r, NULL),
		   -FAULT_INVALID_ARGUMENT);
		OK(r == NULL);
	}
}

TEST(values_are_cleaned_and_names_stay)
{
	struct redact *r = secrets("{\"secrets\":[\"hunter22\"]}");

	becomes(r, "{\"text\":\"a hunter22 b hunter22\",\"n\":[1,true,null]}",
		"{\"text\":\"a [redacted] b [redacted]\",\"n\":[1,true,null]}");
	becomes(r, "{\"hunter22\":\"hunter2\"}", "{\"hunter22\":\"hunter2\"}");
	becomes(r, "\"h\\u0075nter22\"", "\"[redacted]\"");
	redact_free(r);
}

TEST(a_text_that_holds_another_goes_as_a_whole)
{
	struct redact *r = secrets("{\"secrets\":[\"abcdef\",\"abcdefgh\"]}");

	becomes(r, "\"abcdefgh abcdef\"", "\"[redacted] [redacted]\"");
	redact_free(r);
}

TEST(each_line_counts)
{
	struct redact *r = secrets(
		"{\"secrets\":[\"-----BEGIN\\r\\nMIIEv\\nQIBADANBg\"]}");

	becomes(r, "\"x QIBADANBg MIIEv\"", "\"x [redacted] MIIEv\"");
	becomes(r, "\"-----BEGIN\"", "\"[redacted]\"");
	redact_free(r);
}

static enum redact_what event(const struct redact *r, const char *type,
			      const char *data)
{
	return redact_event(r, type, data, strlen(data));
}

TEST(empty_lines_are_no_secrets)
{
	struct redact *r = secrets("{\"secrets\":[\"\",\"\\nabcdef\\n\\n"
				   "ghijkl\\n\",\"\\n\"]}");

	becomes(r, "\"abcdef ghijkl \\n\"", "\"[redacted] [redacted] \\n\"");
	redact_free(r);
}

TEST(events_are_cleaned_marked_or_let_pass)
{
	struct redact *r = secrets("{\"secrets\":[\"a\\\"bcdef\"]}");
	static const char with[] = "{\"t\":\"xa\\\"bcdef\"}";

	EQ(event(r, "agent.stderr", with), REDACT_CLEAN);
	EQ(event(r, "mcp.stderr", "{}"), REDACT_CLEAN);
	EQ(event(r, "mcp.ready", with), REDACT_CLEAN);
	EQ(event(r, "mcp.changed", with), REDACT_CLEAN);
	EQ(event(r, "acp.update", with), REDACT_MARK);
	EQ(event(r, "input.message", with), REDACT_MARK);
	EQ(event(r, "acp.update", "{}"), REDACT_PASS);
	redact_free(r);
}

TEST(a_strict_session_cleans_what_is_said)
{
	struct redact *r =
		secrets("{\"secrets\":[\"abcdef\"],\"redact\":\"strict\"}");

	EQ(event(r, "acp.update", "{}"), REDACT_CLEAN);
	EQ(event(r, "input.message", "{}"), REDACT_CLEAN);
	EQ(event(r, "kv.set", "{\"v\":\"abcdef\"}"), REDACT_MARK);
	redact_free(r);
}

TEST(errors_are_cleaned)
{
	struct redact *r = secrets("{\"secrets\":[\"abcdef\"]}");
	struct err e = {0};

	err_set(&e, -EIO, "no abcdef here");
	err_data(&e, "\"stderr_tail\":\"key abcdef\\n\",\"exit\":1");
	redact_err(r, &e);
	STR_EQ(e.msg, "no [redacted] here");
	STR_EQ(e.data, "\"stderr_tail\":\"key [redacted]\\n\",\"exit\":1");
	err_set(&e, -EIO, "as it was");
	redact_err(r, &e);
	STR_EQ(e.msg, "as it was");
	STR_EQ(e.data, "");
	redact_err(NULL, &e);
	redact_free(r);
}

TESTS(CASE(without_secrets_nothing_is_done),
      CASE(what_is_no_list_of_strings_is_refused),
      CASE(values_are_cleaned_and_names_stay),
      CASE(a_text_that_holds_another_goes_as_a_whole), CASE(each_line_counts),
      CASE(empty_lines_are_no_secrets),
      CASE(events_are_cleaned_marked_or_let_pass),
      CASE(a_strict_session_cleans_what_is_said), CASE(errors_are_cleaned))
