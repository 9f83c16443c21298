// SPDX-License-Identifier: Apache-2.0
/*
 * test_lookup.c - What an agent may look up in the log of its session
 */
#include <stdio.h>
#include <string.h>

#include "guest/history.h"
#include "guest/limits.h"
#include "tests/store_kit.h"

#define SAID                                                       \
	"{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":" \
	"\"session/update\",\"params\":{\"sessionId\":\"x\","      \
	"\"update\":{\"sessionUpdate\":\"agent_message_chunk\","   \
	"\"content\":{\"type\":\"text\",\"text\":\"%s\"}}}}}"

struct talk {
	struct kit k;
	struct log l;
	struct reader *r;
	struct json j; /* The last answer... */
	struct jw text;
	struct jv root;
	struct err why; /* ...or its failure. */
};

/* A turn in which the agent says a word. */
static void turn(struct talk *t, int n, const char *word)
{
	autofree char *data = NULL;

	log_prompt(&t->k, &t->l, n);
	OK(asprintf(&data, SAID, word) > 0);
	log_write(&t->k, &t->l, "acp.update", NULL, data);
	log_write(&t->k, &t->l, "turn.completed", NULL,
		  "{\"stop_reason\":\"end_turn\"}");
	t->l.turn[0] = '\0';
}

static void begin(struct talk *t)
{
	static const char *const words[] = {"plum", "pear", "fig", "kiwi",
					    "lime"};
	struct err e = {0};

	*t = (struct talk){.l = log_new()};
	kit_open(&t->k, STORE_GUEST);
	log_create(&t->k, &t->l);
	for (int i = 0; i < (int)ARRAY_LEN(words); i++)
		turn(t, i + 1, words[i]);
	if (reader_open(t->k.db, &t->r, &e) < 0)
		FAIL("%s", e.msg);
}

static void end(struct talk *t)
{
	json_done(&t->j);
	jw_done(&t->text);
	reader_close(t->r);
	kit_close(&t->k);
}

static int ask(struct talk *t, struct history_query q)
{
	int r;

	q.session = t->l.session;
	t->why = (struct err){0};
	jw_reset(&t->text);
	r = history_write(t->r, &q, &t->text, &t->why);
	if (r == 0) {
		EQ(json_parse(&t->j, t->text.buf, t->text.len, NULL), 0);
		t->root = json_root(&t->j);
	}
	return r;
}

/* The numbers of the turns in the answer, as text. */
static const char *turns(const struct talk *t)
{
	static char list[256];
	struct jv all = jv_get(t->root, "turns");

	list[0] = '\0';
	for (struct jv v = jv_first(all); jv_has(v); v = jv_next(all, v))
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
			 "%lld ", (long long)jv_int(jv_get(v, "n"), 0));
	return list;
}

static int64_t next(const struct talk *t, const char *key)
{
	return jv_int(jv_get(jv_get(t->root, "next"), key), 0);
}

TEST(turns_come_in_pages_both_ways)
{
	struct talk t;

	begin(&t);
	EQ(ask(&t, (struct history_query){.limit = 2}), 0);
	STR_EQ(turns(&t), "5 4 ");
	EQ(jv_int(jv_get(t.root, "total_turns"), 0), 5);
	EQ(ask(&t,
	       (struct history_query){.limit = 2, .until = next(&t, "until")}),
	   0);
	STR_EQ(turns(&t), "3 2 ");
	EQ(ask(&t, (struct history_query){.until = next(&t, "until")}), 0);
	STR_EQ(turns(&t), "1 ");
	OK(!jv_has(jv_get(t.root, "next")));
	EQ(ask(&t, (struct history_query){.limit = 3, .oldest = true}), 0);
	STR_EQ(turns(&t), "1 2 3 ");
	EQ(ask(&t, (struct history_query){.oldest = true,
					  .since = next(&t, "since")}),
	   0);
	STR_EQ(turns(&t), "4 5 ");
	end(&t);
}

TEST(a_turn_is_named_by_number_or_id)
{
	struct talk t;
	char id[ID_MAX];
	struct jv one, said;

	begin(&t);
	EQ(ask(&t, (struct history_query){.turn = "3"}), 0);
	STR_EQ(turns(&t), "3 ");
	one = jv_first(jv_get(t.root, "turns"));
	said = jv_get(one, "messages");
	EQ(jv_count(said), 2);
	said = jv_next(said, jv_first(said));
	OK(jv_eq(jv_get(said, "role"), "agent"));
	OK(jv_eq(jv_get(said, "text"), "fig"));
	EQ(jv_int(jv_get(said, "seq"), 0), 12);
	OK(jv_strcpy(jv_get(one, "turn"), id, sizeof(id)) > 0);
	EQ(ask(&t, (struct history_query){.turn = id}), 0);
	STR_EQ(turns(&t), "3 ");
	EQ(ask(&t, (struct history_query){.turn = "9"}), -FAULT_TURN_NOT_FOUND);
	end(&t);
}

TEST(words_are_found)
{
	struct talk t;
	struct jv hits;

	begin(&t);
	EQ(ask(&t, (struct history_query){.text = "kiwi"}), 0);
	hits = jv_get(t.root, "hits");
	EQ(jv_count(hits), 1);
	EQ(jv_int(jv_get(jv_first(hits), "seq"), 0), 16);
	OK(jv_eq(jv_get(jv_first(hits), "role"), "agent"));
	EQ(ask(&t, (struct history_query){.text = "kiwi", .until = 16}), 0);
	EQ(jv_count(jv_get(t.root, "hits")), 0);
	EQ(ask(&t, (struct history_query){.text = "mango"}), 0);
	EQ(jv_count(jv_get(t.root, "hits")), 0);
	EQ(ask(&t, (struct history_query){.text = "hello", .limit = 3}), 0);
	EQ(jv_count(jv_get(t.root, "hits")), 3);
	end(&t);
}

TEST(events_are_read_by_type)
{
	struct talk t;

	begin(&t);
	EQ(ask(&t, (struct history_query){.types = "turn.started",
					  .oldest = true,
					  .limit = 2}),
	   0);
	EQ(jv_count(jv_get(t.root, "events")), 2);
	EQ(next(&t, "since"), 7);
	EQ(ask(&t, (struct history_query){.types = "turn.*",
					  .since = 18,
					  .until = 21}),
	   0);
	EQ(jv_count(jv_get(t.root, "events")), 1);
	OK(!jv_has(jv_get(t.root, "next")));
	EQ(ask(&t, (struct history_query){.types = "acp.update", .turn = "2"}),
	   0);
	EQ(jv_count(jv_get(t.root, "events")), 1);
	EQ(ask(&t, (struct history_query){.types = "no.such"}),
	   -FAULT_INVALID_ARGUMENT);
	end(&t);
}

TEST(an_answer_is_bounded)
{
	autofree char *huge = malloc(300001);
	struct talk t;
	struct jv said;

	OK(huge != NULL);
	memset(huge, 'x', 300000);
	huge[300000] = '\0';
	begin(&t);
	for (int i = 0; i < 20; i++)
		turn(&t, 6 + i, huge);
	EQ(ask(&t, (struct history_query){.limit = 100}), 0);
	OK(t.text.len < HISTORY_BYTES + HISTORY_TEXT_MAX);
	OK(next(&t, "until") > 0);
	said = jv_get(jv_first(jv_get(t.root, "turns")), "messages");
	said = jv_next(said, jv_first(said));
	OK(jv_bool(jv_get(said, "cut"), false));
	EQ(ask(&t, (struct history_query){.types = "acp.update"}), 0);
	OK(t.text.len < HISTORY_BYTES);
	OK(jv_int(jv_get(jv_first(jv_get(t.root, "events")), "bytes"), 0) >
	   300000);
	end(&t);
}

TEST(an_open_turn_and_an_abandoned_one)
{
	struct talk t;
	char data[64];

	begin(&t);
	snprintf(data, sizeof(data), "{\"abandoned\":[14,%lld]}",
		 (long long)t.l.seq);
	log_write(&t.k, &t.l, "session.rewound", NULL, data);
	EQ(ask(&t, (struct history_query){0}), 0);
	STR_EQ(turns(&t), "3 2 1 ");
	log_prompt(&t.k, &t.l, 6);
	EQ(ask(&t, (struct history_query){.limit = 1}), 0);
	STR_EQ(turns(&t), "6 ");
	end(&t);
}

TESTS(CASE(turns_come_in_pages_both_ways),
      CASE(a_turn_is_named_by_number_or_id), CASE(words_are_found),
      CASE(events_are_read_by_type), CASE(an_answer_is_bounded),
      CASE(an_open_turn_and_an_abandoned_one))
