// SPDX-License-Identifier: Apache-2.0
/*
 * test_messages.c - The conversation as a fold of the log
 */
#include "core/messages_filter.h"

#include <string.h>

#include "core/utf8.h"
#include "tests/store_kit.h"

#define UPDATE(kind, rest)                                         \
	"{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":" \
	"\"session/update\",\"params\":{\"sessionId\":\"x\","      \
	"\"update\":{\"sessionUpdate\":\"" kind "\"" rest "}}}}"
#define TEXT(t)                       \
	UPDATE("agent_message_chunk", \
	       ",\"content\":{\"type\":\"text\",\"text\":\"" t "\"}")
#define THOUGHT(t)                    \
	UPDATE("agent_thought_chunk", \
	       ",\"content\":{\"type\":\"text\",\"text\":\"" t "\"}")
#define TOOL(kind, id, rest) UPDATE(kind, ",\"toolCallId\":\"" id "\"" rest)

static void update(struct kit *k, struct log *l, const char *data)
{
	log_write(k, l, "acp.update", NULL, data);
}

static void end_turn(struct kit *k, struct log *l)
{
	log_write(k, l, "turn.completed", NULL,
		  "{\"stop_reason\":\"end_turn\"}");
	l->turn[0] = '\0';
}

static struct reader *open_reader(const struct kit *k)
{
	struct reader *r = NULL;
	struct err e = {0};

	if (reader_open(k->db, &r, &e) < 0)
		FAIL("%s", e.msg);
	return r;
}

/* The messages as one JSON text. */
static char *messages(const struct kit *k, const struct messages_query *q,
		      int want)
{
	autoreader struct reader *r = open_reader(k);
	struct jw w = {0};
	struct err e = {0};
	int n;

	jw_arr(&w);
	n = messages_write(r, q, &w, &e);
	if (n < 0)
		FAIL("%s", e.msg);
	EQ(n, want);
	jw_arr_end(&w);
	return jw_take(&w, NULL);
}

/* Raw text of what a path of keys leads to, from message @i, part @part. */
static bool part_is(const char *text, int i, int part, const char *key,
		    const char *want)
{
	autojson struct json j = {0};
	struct jv v, list;
	const char *raw;
	size_t len;

	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	list = json_root(&j);
	v = jv_first(list);
	while (i-- > 0)
		v = jv_next(list, v);
	list = jv_get(v, "parts");
	v = jv_first(list);
	while (part-- > 0)
		v = jv_next(list, v);
	raw = jv_raw(jv_path(v, key), &len);
	if (raw != NULL && strlen(want) == len && memcmp(raw, want, len) == 0)
		return true;
	fprintf(stderr, "# %s is %.*s\n", key, (int)len, raw ? raw : "absent");
	return false;
}

TEST(F123_parts_stand_in_log_order)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	update(&k, &l, TEXT("one "));
	update(&k, &l, TEXT("two"));
	update(&k, &l,
	       TOOL("tool_call", "c1",
		    ",\"title\":\"Edit\",\"kind\":\"edit\""));
	update(&k, &l, TEXT("three"));
	update(&k, &l,
	       TOOL("tool_call_update", "c1",
		    ",\"status\":\"completed\",\"rawOutput\":{\"a\":1}"));
	end_turn(&k, &l);
	text = messages(&k, &q, 2);
	OK(part_is(text, 0, 0, "text", "\"hello\""));
	OK(part_is(text, 1, 0, "text", "\"one two\""));
	OK(part_is(text, 1, 1, "type", "\"tool_call\""));
	OK(part_is(text, 1, 1, "title", "\"Edit\""));
	OK(part_is(text, 1, 1, "status", "\"completed\""));
	OK(part_is(text, 1, 1, "output", "{\"a\":1}"));
	OK(part_is(text, 1, 2, "text", "\"three\""));
	kit_close(&k);
}

TEST(F111_thinking_is_no_text)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL, *reply = NULL;
	char turn[ID_MAX];

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	strcpy(turn, l.turn);
	update(&k, &l, THOUGHT("hm"));
	update(&k, &l, TEXT("yes"));
	update(&k, &l, THOUGHT("ok"));
	update(&k, &l, TEXT("!"));
	end_turn(&k, &l);
	text = messages(&k, &q, 2);
	OK(part_is(text, 1, 0, "type", "\"thinking\""));
	OK(part_is(text, 1, 1, "text", "\"yes\""));
	OK(part_is(text, 1, 2, "text", "\"ok\""));
	{
		autoreader struct reader *r = open_reader(&k);

		EQ(messages_reply(r, l.session, turn, &reply, NULL), 0);
	}
	STR_EQ(reply, "yes!");
	kit_close(&k);
}

TEST(F112_unknown_kinds_are_kept_and_housekeeping_is_not)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	update(&k, &l, UPDATE("usage_update", ",\"used\":1"));
	update(&k, &l, UPDATE("hologram", ",\"x\":1"));
	update(&k, &l, UPDATE("current_mode_update", ""));
	update(&k, &l, "{\"dir\":\"in\",\"msg\":7}");
	update(&k, &l, TEXT("end"));
	end_turn(&k, &l);
	text = messages(&k, &q, 2);
	OK(part_is(text, 1, 0, "type", "\"other\""));
	OK(part_is(text, 1, 0, "update.sessionUpdate", "\"hologram\""));
	OK(part_is(text, 1, 1, "text", "\"end\""));
	kit_close(&k);
}

TEST(the_last_plan_counts)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	update(&k, &l, UPDATE("plan", ",\"entries\":[1]"));
	update(&k, &l, TEXT("a"));
	update(&k, &l, UPDATE("plan", ",\"entries\":[1,2]"));
	end_turn(&k, &l);
	text = messages(&k, &q, 2);
	OK(part_is(text, 1, 0, "entries", "[1,2]"));
	OK(part_is(text, 1, 1, "text", "\"a\""));
	kit_close(&k);
}

TEST(what_is_said_between_turns_is_a_message_of_its_own)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	update(&k, &l, TEXT("banner"));
	log_prompt(&k, &l, 1);
	update(&k, &l, TEXT("reply"));
	end_turn(&k, &l);
	text = messages(&k, &q, 3);
	OK(strstr(text, "\"role\":\"agent\",\"turn\":null,\"seq\":2") != NULL);
	OK(part_is(text, 2, 0, "text", "\"reply\""));
	kit_close(&k);
}

TEST(abandoned_ranges_are_left_out)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL;
	char data[80];
	int64_t from;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	update(&k, &l, TEXT("kept"));
	end_turn(&k, &l);
	from = l.seq + 1;
	log_prompt(&k, &l, 2);
	update(&k, &l, TEXT("undone"));
	end_turn(&k, &l);
	snprintf(data, sizeof(data),
		 "{\"to_seq\":%lld,\"abandoned\":[%lld,%lld]}",
		 (long long)from - 1, (long long)from, (long long)l.seq);
	log_write(&k, &l, "session.rewound", NULL, data);
	text = messages(&k, &q, 2);
	OK(part_is(text, 1, 0, "text", "\"kept\""));
	kit_close(&k);
}

TEST(a_range_and_a_turn_can_be_asked_for)
{
	struct kit k;
	struct log l = log_new();
	struct messages_query q = {.session = l.session};
	autofree char *text = NULL, *second = NULL;
	char turn[ID_MAX];

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	update(&k, &l, TEXT("first"));
	end_turn(&k, &l);
	q.to_seq = l.seq;
	log_prompt(&k, &l, 2);
	strcpy(turn, l.turn);
	update(&k, &l, TEXT("second"));
	text = messages(&k, &q, 2);
	OK(part_is(text, 1, 0, "text", "\"first\""));
	q.to_seq = 0;
	q.turn = turn;
	second = messages(&k, &q, 2);
	OK(part_is(second, 1, 0, "text", "\"second\""));
	kit_close(&k);
}

/* --- filters ------------------------------------------------------------ */

static char *filtered(const struct kit *k, const struct log *l,
		      const struct messages_filter *f)
{
	autoreader struct reader *r = open_reader(k);
	const struct messages_query q = {.session = l->session};
	struct jw w = {0};
	struct err e = {0};

	jw_arr(&w);
	if (messages_write_filtered(r, &q, f, &w, &e) < 0)
		FAIL("%s", e.msg);
	jw_arr_end(&w);
	return jw_take(&w, NULL);
}

TEST(F115_parts_are_chosen_by_type_and_tool)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL, *tool = NULL, *kind = NULL, *none = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	update(&k, &l, THOUGHT("hm"));
	update(&k, &l,
	       TOOL("tool_call", "a", ",\"title\":\"Look\",\"kind\":\"read\""));
	update(&k, &l,
	       TOOL("tool_call", "b", ",\"title\":\"Edit\",\"kind\":\"edit\""));
	update(&k, &l, TEXT("done"));
	end_turn(&k, &l);
	text = filtered(&k, &l, &(struct messages_filter){.parts = "text"});
	OK(strstr(text, "hello") != NULL && strstr(text, "done") != NULL);
	OK(strstr(text, "hm") == NULL && strstr(text, "Look") == NULL);
	tool = filtered(&k, &l, &(struct messages_filter){.tool = "Look"});
	OK(strstr(tool, "Look") != NULL && strstr(tool, "Edit") == NULL);
	OK(strstr(tool, "hello") == NULL && strstr(tool, "done") == NULL);
	kind = filtered(&k, &l,
			&(struct messages_filter){.parts = "thinking,tool_call",
						  .tool = "edit"});
	OK(strstr(kind, "Edit") != NULL && strstr(kind, "hm") == NULL);
	none = filtered(&k, &l, &(struct messages_filter){.parts = "image"});
	OK(strcmp(none, "[]") == 0);
	kit_close(&k);
}

TEST(F115_messages_are_chosen_by_time_and_the_rest_is_counted)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL, *all = NULL;
	struct messages_filter f = {.notice = true};

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	for (int i = 1; i <= 2; i++) {
		f.from_ms = KIT_TIME + l.seq + 1;
		log_prompt(&k, &l, i);
		update(&k, &l, i == 1 ? TEXT("old") : TEXT("new"));
		end_turn(&k, &l);
	}
	text = filtered(&k, &l, &f);
	OK(strstr(text, "old") == NULL && strstr(text, "new") != NULL);
	OK(strstr(text, "{\"role\":\"notice\",\"left_out\":2,") != NULL);
	OK(strstr(text, "2 messages of this session are left out") != NULL);
	f = (struct messages_filter){.to_ms = f.from_ms - 1};
	all = filtered(&k, &l, &f);
	OK(strstr(all, "old") != NULL && strstr(all, "new") == NULL);
	OK(strstr(all, "notice") == NULL);
	kit_close(&k);
}

TEST(F115_an_unknown_type_of_part_is_refused)
{
	static const char *const wrong[] = {"",	     "texts",	   "text,",
					    ",text", "text,,plan", "tex"};
	struct kit k;
	struct log l = log_new();
	autoreader struct reader *r = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	r = open_reader(&k);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		const struct messages_query q = {.session = l.session};
		const struct messages_filter f = {.parts = wrong[i]};
		autojw struct jw w = {0};

		EQ(messages_write_filtered(r, &q, &f, &w, NULL),
		   -FAULT_INVALID_ARGUMENT);
	}
	kit_close(&k);
}

/* --- preamble ----------------------------------------------------------- */

static char *preamble(const struct kit *k, const struct log *l, size_t budget)
{
	autoreader struct reader *r = open_reader(k);
	struct err e = {0};
	char *text = NULL;

	if (messages_preamble(r, l->session, budget, &text, &e) < 0)
		FAIL("%s", e.msg);
	return text;
}

TEST(F057_the_preamble_has_both_sides)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	OK(preamble(&k, &l, 4096) == NULL);
	log_prompt(&k, &l, 1);
	update(&k, &l, THOUGHT("secret"));
	update(&k, &l,
	       TOOL("tool_call", "c",
		    ",\"title\":\"Look\",\"status\":\"completed\""));
	update(&k, &l, TEXT("world"));
	end_turn(&k, &l);
	text = preamble(&k, &l, 4096);
	OK(strstr(text, "User: hello\n") != NULL);
	OK(strstr(text, "[tool: Look (completed)]") != NULL);
	OK(strstr(text, "world") != NULL);
	OK(strstr(text, "secret") == NULL);
	OK(strstr(text, " 0 earlier turns") != NULL);
	kit_close(&k);
}

TEST(F116_the_preamble_fits_and_counts_what_it_left_out)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL;
	char chunk[400];

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	for (int n = 1; n <= 60; n++) {
		log_prompt(&k, &l, n);
		snprintf(chunk, sizeof(chunk), TEXT("reply %d."), n);
		update(&k, &l, chunk);
		end_turn(&k, &l);
	}
	text = preamble(&k, &l, 1024);
	OK(strlen(text) <= 1024);
	OK(strstr(text, "reply 60.") != NULL);
	OK(strstr(text, "reply 1.") == NULL);
	OK(strstr(text, "earlier turns were left out") != NULL);
	OK(strstr(text, "reply 59.") < strstr(text, "reply 60."));
	kit_close(&k);
}

/* A log of @n turns; the seqs of the first and last event of turn @of. */
static void log_turns(struct kit *k, struct log *l, int n, int of,
		      int64_t range[2])
{
	char chunk[400];

	log_create(k, l);
	for (int i = 1; i <= n; i++) {
		log_prompt(k, l, i);
		if (i == of)
			range[0] = l->seq;
		snprintf(chunk, sizeof(chunk), TEXT("reply %d."), i);
		update(k, l, chunk);
		end_turn(k, l);
		if (i == of)
			range[1] = l->seq;
	}
}

static void log_summary(struct kit *k, struct log *l, int64_t to,
			const char *text)
{
	autofree char *data = NULL;

	OK(asprintf(&data, "{\"from_seq\":1,\"to_seq\":%lld,\"text\":\"%s\"}",
		    (long long)to, text) > 0);
	log_write(k, l, "summary.created", NULL, data);
}

TEST(F116_a_summary_stands_for_the_turns_that_it_covers)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL;
	int64_t range[2];

	kit_open(&k, STORE_GUEST);
	log_turns(&k, &l, 9, 7, range);
	log_summary(&k, &l, 3, "an older one");
	log_summary(&k, &l, range[1], "they said seven things");
	text = preamble(&k, &l, 4096);
	OK(strstr(text, " 7 earlier turns were left out") != NULL);
	OK(strstr(text, "summary of the first 7:\nthey said seven things\n") !=
	   NULL);
	OK(strstr(text, "older") == NULL && strstr(text, "reply 7.") == NULL);
	OK(strstr(text, "they said") < strstr(text, "reply 8."));
	OK(strstr(text, "reply 8.") < strstr(text, "reply 9."));
	kit_close(&k);
}

TEST(F116_a_summary_is_no_more_than_half)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL, *words = malloc(5001);
	int64_t range[2];

	memset(words, 's', 5000);
	words[5000] = '\0';
	kit_open(&k, STORE_GUEST);
	log_turns(&k, &l, 3, 2, range);
	log_summary(&k, &l, range[1], words);
	text = preamble(&k, &l, 2048);
	OK(strlen(text) <= 2048);
	OK(strstr(text, "cut") != NULL && strstr(text, "reply 3.") != NULL);
	kit_close(&k);
}

TEST(F116_a_summary_of_what_was_undone_is_forgotten)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL;
	int64_t range[2];
	char data[96];

	kit_open(&k, STORE_GUEST);
	log_turns(&k, &l, 2, 2, range);
	log_summary(&k, &l, range[1], "two turns");
	snprintf(data, sizeof(data),
		 "{\"to_seq\":%lld,\"abandoned\":[%lld,%lld]}",
		 (long long)range[0] - 1, (long long)range[0],
		 (long long)l.seq);
	log_write(&k, &l, "session.rewound", NULL, data);
	text = preamble(&k, &l, 2048);
	OK(strstr(text, "two turns") == NULL);
	OK(strstr(text, "reply 1.") != NULL &&
	   strstr(text, "reply 2.") == NULL);
	OK(strstr(text, " 0 earlier turns") != NULL);
	kit_close(&k);
}

TEST(F116_a_thousand_turns_keep_to_the_budget)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL;
	int64_t range[2];

	kit_open(&k, STORE_GUEST);
	log_turns(&k, &l, 1000, 1, range);
	text = preamble(&k, &l, 8192);
	OK(strlen(text) <= 8192 && strlen(text) > 7000);
	OK(strstr(text, "reply 1000.") != NULL);
	kit_close(&k);
}

TEST(a_turn_that_is_too_long_is_cut_between_characters)
{
	struct kit k;
	struct log l = log_new();
	autofree char *text = NULL;
	char part[3000] = "";
	autofree char *data = malloc(4000);

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	for (int i = 0; i < 900; i++)
		strcat(part, "\xe2\x82\xac");
	snprintf(data, 4000, "%s%s\"}}}}}",
		 "{\"dir\":\"in\",\"msg\":{\"params\":{\"update\":{"
		 "\"sessionUpdate\":\"agent_message_chunk\",\"content\":"
		 "{\"type\":\"text\",\"text\":\"",
		 part);
	update(&k, &l, data);
	end_turn(&k, &l);
	text = preamble(&k, &l, 1);
	OK(strlen(text) <= MESSAGES_PREAMBLE_MIN);
	OK(strstr(text, "cut") != NULL);
	for (const unsigned char *p = (unsigned char *)text,
				 *end = p + strlen(text);
	     p < end; p += utf8_len(p, end))
		OK(utf8_len(p, end) > 0);
	kit_close(&k);
}

TESTS(CASE(F123_parts_stand_in_log_order), CASE(F111_thinking_is_no_text),
      CASE(F112_unknown_kinds_are_kept_and_housekeeping_is_not),
      CASE(the_last_plan_counts),
      CASE(what_is_said_between_turns_is_a_message_of_its_own),
      CASE(abandoned_ranges_are_left_out),
      CASE(a_range_and_a_turn_can_be_asked_for),
      CASE(F115_parts_are_chosen_by_type_and_tool),
      CASE(F115_messages_are_chosen_by_time_and_the_rest_is_counted),
      CASE(F115_an_unknown_type_of_part_is_refused),
      CASE(F057_the_preamble_has_both_sides),
      CASE(F116_the_preamble_fits_and_counts_what_it_left_out),
      CASE(F116_a_summary_stands_for_the_turns_that_it_covers),
      CASE(F116_a_summary_is_no_more_than_half),
      CASE(F116_a_summary_of_what_was_undone_is_forgotten),
      CASE(F116_a_thousand_turns_keep_to_the_budget),
      CASE(a_turn_that_is_too_long_is_cut_between_characters))
