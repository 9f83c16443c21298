// SPDX-License-Identifier: Apache-2.0
/*
 * test_event.c - The envelope
 */
#include "core/event.h"

#include <string.h>

#include "tests/tap.h"

#define SES "ses_0123456789abcdef0123456789abcdef"
#define TRN "trn_0123456789abcdef0123456789abcdef"
#define FULL                                                              \
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":17,\"epoch\":2,\"ts\":" \
	"1763683200123,\"type\":\"acp.update\",\"turn\":\"" TRN           \
	"\",\"ctx\":{\"tool\":\"call_7\"},\"data\":{\"dir\":\"in\"}}"
#define BARE                                                      \
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":1,\"epoch\":1," \
	"\"ts\":0,\"type\":\"session.created\",\"data\":{}}"

static struct event *parse(const char *line)
{
	struct event *ev = NULL;
	struct err e = {0};

	if (event_parse(line, strlen(line), &ev, &e) < 0)
		FAIL("%s: %s", line, e.msg);
	return ev;
}

static void refused(const char *line)
{
	struct event *ev = NULL;
	struct err e = {0};

	if (event_parse(line, strlen(line), &ev, &e) != -FAULT_BAD_FRAME)
		FAIL("taken: %s", line);
	OK(e.msg[0] != '\0');
	OK(ev == NULL);
}

static struct event_spec full_spec(void)
{
	return (struct event_spec){.session = SES,
				   .turn = TRN,
				   .type = "acp.update",
				   .seq = 17,
				   .epoch = 2,
				   .ts_ms = 1763683200123,
				   .ctx = "{\"tool\":\"call_7\"}",
				   .ctx_len = 17,
				   .data = "{\"dir\":\"in\"}",
				   .data_len = 12};
}

TEST(a_new_event_has_the_documented_bytes)
{
	struct event_spec s = full_spec();
	struct event *ev = event_new(&s);

	OK(ev != NULL);
	STR_EQ(ev->line, FULL "\n");
	EQ(ev->len, strlen(ev->line));
	STR_EQ(ev->session, SES);
	STR_EQ(ev->turn, TRN);
	STR_EQ(ev->type, "acp.update");
	EQ(ev->ctx_len, 17);
	EQ(memcmp(ev->ctx, "{\"tool\":\"call_7\"}", 17), 0);
	EQ(memcmp(ev->data, "{\"dir\":\"in\"}", 12), 0);
	free(ev);
}

TEST(turn_and_ctx_are_left_out_when_there_are_none)
{
	struct event *ev =
		event_new(&(struct event_spec){.session = SES,
					       .turn = "",
					       .type = "session.created",
					       .seq = 1,
					       .epoch = 1,
					       .data = "{}",
					       .data_len = 2});

	STR_EQ(ev->line, BARE "\n");
	OK(ev->ctx == NULL);
	STR_EQ(ev->turn, "");
	free(ev);
}

TEST(writer_and_new_event_give_the_same_bytes)
{
	autojw struct jw w = {0};
	struct event_spec s = full_spec();
	struct event *ev = event_new(&s);

	event_write(&w, &s);
	event_write(&w, &s);
	EQ(w.len, 2 * ev->len);
	EQ(memcmp(w.buf, ev->line, ev->len), 0);
	EQ(memcmp(w.buf + ev->len, ev->line, ev->len), 0);
	free(ev);
}

TEST(parsing_gives_the_same_line_back)
{
	struct event *full = parse(FULL), *bare = parse(BARE);

	STR_EQ(full->line, FULL "\n");
	STR_EQ(bare->line, BARE "\n");
	EQ(full->seq, 17);
	EQ(full->epoch, 2);
	EQ(full->ts_ms, 1763683200123);
	free(full);
	free(bare);
}

TEST(unknown_members_are_dropped_and_order_is_restored)
{
	struct event *ev = parse(
		" {\"data\":{ \"b\":1, \"a\":2 },\"x\":[1,2],\"type\":\"new.kind2\","
		"\"ts\":5,\"epoch\":1,\"seq\":9,\"session\":\"" SES
		"\",\"v\":1} ");

	STR_EQ(ev->line,
	       "{\"v\":1,\"session\":\"" SES
	       "\",\"seq\":9,\"epoch\":1,\"ts\":5,"
	       "\"type\":\"new.kind2\",\"data\":{ \"b\":1, \"a\":2 }}\n");
	free(ev);
}

TEST(line_ends_between_tokens_become_spaces)
{
	struct event *ev = parse(
		"{\"v\":1,\"session\":\"" SES
		"\",\"seq\":9,\"epoch\":1,\"ts\":5,\"type\":\"a.b\","
		"\"ctx\":{\r\n},\"data\":{\"s\":\"\\n\\r\",\r\n\"b\":1\n}}");

	STR_EQ(ev->line, "{\"v\":1,\"session\":\"" SES
			 "\",\"seq\":9,\"epoch\":1,\"ts\":5,"
			 "\"type\":\"a.b\",\"ctx\":{  },"
			 "\"data\":{\"s\":\"\\n\\r\",  \"b\":1 }}\n");
	free(ev);
}

#define WITH(members) "{\"v\":1," members "}"
#define S	      "\"session\":\"" SES "\","
#define N	      "\"seq\":1,\"epoch\":1,\"ts\":1,"
#define T	      "\"type\":\"a.b\","
#define D	      "\"data\":{}"

TEST(whatever_lacks_a_member_or_has_a_wrong_one_is_refused)
{
	static const char *const bad[] = {
		"",
		"[]",
		"null",
		"{",
		"{" S N T D "}",
		"{\"v\":2," S N T D "}",
		"{\"v\":\"1\"," S N T D "}",
		WITH(N T D),
		WITH("\"session\":\"ses_1\"," N T D),
		WITH("\"session\":\"" TRN "\"," N T D),
		WITH(S "\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":0,\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":-1,\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":1.5,\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":1e3,\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":9223372036854775807,\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":9223372036854775808,\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":\"1\",\"epoch\":1,\"ts\":1," T D),
		WITH(S "\"seq\":1,\"epoch\":0,\"ts\":1," T D),
		WITH(S "\"seq\":1,\"epoch\":1,\"ts\":-1," T D),
		WITH(S N D),
		WITH(S N "\"type\":\"ab\"," D),
		WITH(S N "\"type\":\"a.b.c\"," D),
		WITH(S N "\"type\":\"A.b\"," D),
		WITH(S N "\"type\":\"a.\"," D),
		WITH(S N "\"type\":\"a.b\\u0000\"," D),
		WITH(S N "\"type\":\"aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbb\"," D),
		WITH(S N T "\"turn\":\"\"," D),
		WITH(S N T "\"turn\":null," D),
		WITH(S N T "\"turn\":\"" SES "\"," D),
		WITH(S N T "\"ctx\":[]," D),
		WITH(S N T "\"ctx\":null," D),
		WITH(S N T "\"data\":[]"),
		WITH(S N T "\"data\":\"{}\""),
		WITH(S N "\"type\":\"a.b\""),
		WITH(S N T D) "x",
	};

	free(parse(WITH(S N T D)));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(bad[i]);
}

/* {"a":{"a":...}}, @depth objects in all. */
static char *nested(int depth)
{
	char *s = calloc(1, (size_t)depth * 6 + 8), *p = s;

	for (int i = 1; i < depth; i++)
		p = stpcpy(p, "{\"a\":");
	p = stpcpy(p, "{}");
	for (int i = 1; i < depth; i++)
		*p++ = '}';
	return s;
}

TEST(depth_of_data_is_bounded_as_documented)
{
	char *deepest = nested(EVENT_DEPTH_MAX);
	char *deeper = nested(EVENT_DEPTH_MAX + 1);
	char line[4096];

	snprintf(line, sizeof(line), "{\"v\":1," S N T "\"data\":%s}", deepest);
	free(parse(line));
	snprintf(line, sizeof(line), "{\"v\":1," S N T "\"data\":%s}", deeper);
	refused(line);
	free(deepest);
	free(deeper);
}

TEST(an_event_of_16_MiB_passes_and_a_longer_line_does_not)
{
	static const char head[] = "{\"v\":1," S N T "\"data\":{\"s\":\"";
	size_t body = 16u << 20, n;
	char *line = malloc(EVENT_LINE_MAX + 64);
	struct event *ev = NULL;
	struct err e;

	n = (size_t)sprintf(line, "%s", head);
	memset(line + n, 'x', body);
	strcpy(line + n + body, "\"}}");
	EQ(event_parse(line, strlen(line), &ev, &e), 0);
	EQ(ev->len, strlen(line) + 1);
	free(ev);

	memset(line + n, 'x', EVENT_LINE_MAX - n);
	EQ(event_parse(line, EVENT_LINE_MAX, &ev, &e), -FAULT_BAD_FRAME);
	free(line);
}

/* By the same line with white space in front, which is read as JSON. */
static void same_as_json(const char *line)
{
	char spaced[1024];
	struct event *ev = NULL, *other = NULL;
	int r = event_parse(line, strlen(line), &ev, NULL);

	snprintf(spaced, sizeof(spaced), " %s", line);
	EQ(event_parse(spaced, strlen(spaced), &other, NULL), r);
	if (r == 0) {
		STR_EQ(ev->line, other->line);
		EQ(ev->len, other->len);
		STR_EQ(ev->turn, other->turn);
		STR_EQ(ev->type, other->type);
		EQ(ev->seq, other->seq);
		EQ(ev->epoch, other->epoch);
		EQ(ev->ts_ms, other->ts_ms);
		EQ(ev->ctx_len, other->ctx_len);
		EQ(ev->data_len, other->data_len);
		EQ(ev->data - ev->line, other->data - other->line);
	}
	free(ev);
	free(other);
}

TEST(our_own_form_and_any_other_give_the_same_event)
{
	static const char *const lines[] = {
		FULL,
		BARE,
		FULL "x",
		FULL " ",
		"{\"v\":1," S N T "\"data\":{\"s\":\"\\u000a\",\r\"t\":1}}",
		"{\"v\":1," S N T "\"data\":{},\"more\":1}",
		"{\"v\":1," S N T "\"data\":[]}",
		"{\"v\":1," S N T "\"data\":{]}",
		"{\"v\":1," S N T "\"data\":{}",
		"{\"v\":1," S N T "\"ctx\":null,\"data\":{}}",
		"{\"v\":1," S N T "\"ctx\":{},\"data\":{}}",
		"{\"v\":1," S "\"seq\":01,\"epoch\":1,\"ts\":0," T
		"\"data\":{}}",
		"{\"v\":1," S "\"seq\":0,\"epoch\":1,\"ts\":0," T
		"\"data\":{}}",
		"{\"v\":1," S "\"seq\":9223372036854775807,\"epoch\":1,"
		"\"ts\":0," T "\"data\":{}}",
		"{\"v\":1," S "\"seq\":1000000000000000000,\"epoch\":1,"
		"\"ts\":0," T "\"data\":{}}",
		"{\"v\":1," S N "\"type\":\"Acp.update\",\"data\":{}}",
		"{\"v\":1," S N "\"type\":\"a.b\",\"turn\":\"trn_1\","
		"\"data\":{}}",
		"{\"v\":1,\"session\":\"ses_1\"," N T "\"data\":{}}",
		"{\"v\":1,\"session\":\"",
		"",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		same_as_json(lines[i]);
}

TEST(types_are_told_apart)
{
	OK(event_type_known("acp.update"));
	OK(event_type_known("session.superseded"));
	OK(!event_type_known("acp.updates"));
	OK(!event_type_known("acp"));
	for (const char *const *t = event_types; *t != NULL; t++)
		OK(event_type_ok(*t));
	OK(event_type_ok("new.kind_2"));
	OK(!event_type_ok(""));
	OK(!event_type_ok("."));
	OK(!event_type_ok("a.b "));
	OK(!event_type_ok("2a.b"));
}

TEST(chain_depends_on_everything_it_names)
{
	int64_t c = event_chain(0, 1, "a.b", "{}", 2);

	OK(c != event_chain(1, 1, "a.b", "{}", 2));
	OK(c != event_chain(0, 2, "a.b", "{}", 2));
	OK(c != event_chain(0, 1, "a.c", "{}", 2));
	OK(c != event_chain(0, 1, "a.b", "[]", 2));
	OK(event_chain(0, 1, "a.b", "x{}", 3) !=
	   event_chain(0, 1, "a.bx", "{}", 2));
	EQ(c, event_chain(0, 1, "a.b", "{}", 2));
}

/* Stored hashes must not change with a library or a compiler. */
TEST(chain_is_the_one_that_older_stores_hold)
{
	EQ(event_chain(0, 1, "session.created", "{\"a\":1}", 7),
	   8605207200595166789);
	EQ(event_chain(-2, 258, "acp.update", "{}", 2), -312748455301099900);
}

TEST(freeing_a_list_empties_it)
{
	struct event_list l = TAILQ_HEAD_INITIALIZER(l);

	for (int i = 0; i < 3; i++) {
		struct event *ev = parse(BARE);

		TAILQ_INSERT_TAIL(&l, ev, link);
	}
	event_list_free(&l);
	OK(TAILQ_EMPTY(&l));
	event_list_free(&l);
}

TESTS(CASE(a_new_event_has_the_documented_bytes),
      CASE(turn_and_ctx_are_left_out_when_there_are_none),
      CASE(writer_and_new_event_give_the_same_bytes),
      CASE(parsing_gives_the_same_line_back),
      CASE(unknown_members_are_dropped_and_order_is_restored),
      CASE(line_ends_between_tokens_become_spaces),
      CASE(whatever_lacks_a_member_or_has_a_wrong_one_is_refused),
      CASE(depth_of_data_is_bounded_as_documented),
      CASE(an_event_of_16_MiB_passes_and_a_longer_line_does_not),
      CASE(our_own_form_and_any_other_give_the_same_event),
      CASE(types_are_told_apart), CASE(chain_depends_on_everything_it_names),
      CASE(chain_is_the_one_that_older_stores_hold),
      CASE(freeing_a_list_empties_it))
