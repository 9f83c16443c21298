// SPDX-License-Identifier: Apache-2.0
/*
 * test_search.c - Words in what was said are found, indexed or not
 */
#include "core/search.h"

#include <string.h>

#include "tests/store_kit.h"

/* --- a log with words ----------------------------------------------------- */

static void say(struct kit *k, struct log *l, const char *text)
{
	char data[512];

	snprintf(data, sizeof(data),
		 "{\"dir\":\"in\",\"msg\":{\"params\":{\"update\":"
		 "{\"sessionUpdate\":\"agent_message_chunk\","
		 "\"content\":{\"type\":\"text\",\"text\":\"%s\"}}}}}",
		 text);
	log_write(k, l, "acp.update", NULL, data);
}

static void tool(struct kit *k, struct log *l, const char *title)
{
	char data[512];

	snprintf(data, sizeof(data),
		 "{\"dir\":\"in\",\"msg\":{\"params\":{\"update\":"
		 "{\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"t\","
		 "\"title\":\"%s\"}}}}",
		 title);
	log_write(k, l, "acp.update", NULL, data);
}

static void end_turn(struct kit *k, struct log *l)
{
	log_write(k, l, "turn.completed", NULL,
		  "{\"stop_reason\":\"end_turn\"}");
	l->turn[0] = '\0';
}

/* created 1; turn: input 2 (hello), started 3, chunks 4 5 6, tool 7, end 8. */
static struct log conversation(struct kit *k)
{
	struct log l = log_new();

	log_create(k, &l);
	log_prompt(k, &l, 1);
	say(k, &l, "The quick bro");
	say(k, &l, "wn fox, ");
	say(k, &l, "and a caf\u00e9");
	tool(k, &l, "Reading gnomes.txt");
	end_turn(k, &l);
	return l;
}

/* --- asking --------------------------------------------------------------- */

static void look(const struct kit *k, const struct search_query *q,
		 struct jw *out)
{
	autoreader struct reader *r = NULL;
	struct err e = {0};

	if (reader_open(k->db, &r, &e) < 0)
		FAIL("%s", e.msg);
	jw_arr(out);
	if (search_find(r, q, out, &e) < 0)
		FAIL("%s: %s", q->text, e.msg);
	jw_arr_end(out);
}

/* "seq role" of each hit, with commas. */
static const char *hits(const struct kit *k, const char *text)
{
	static char answer[512];
	autojw struct jw out = {0};
	autojson struct json j = {0};
	size_t n = 0;

	look(k, &(struct search_query){.text = text}, &out);
	EQ(json_parse(&j, out.buf, out.len, NULL), 0);
	answer[0] = '\0';
	for (struct jv h = jv_first(json_root(&j)); jv_has(h);
	     h = jv_next(json_root(&j), h)) {
		char role[16];

		OK(jv_strcpy(jv_get(h, "role"), role, sizeof(role)) > 0);
		n += (size_t)snprintf(answer + n, sizeof(answer) - n,
				      "%s%lld %s", n > 0 ? "," : "",
				      (long long)jv_int(jv_get(h, "seq"), 0),
				      role);
	}
	return answer;
}

/* --- indexing ------------------------------------------------------------- */

struct indexing {
	struct store_job job;
	const char *session;
	int64_t since, through;
	struct search_text_list texts;
	bool done;
};

static int indexing_run(struct sqlite3 *db, struct store_job *j, struct err *e)
{
	struct indexing *x = container_of(j, struct indexing, job);

	return search_add(db, x->session, x->since, x->through, &x->texts, e);
}

static void indexing_done(struct store_job *j, const struct err *e)
{
	if (e->code < 0)
		FAIL("index: %s", e->msg);
	container_of(j, struct indexing, job)->done = true;
}

/* One slice.  Return: whether there is more. */
static int index_slice(struct kit *k, const struct log *l, size_t budget)
{
	autoreader struct reader *r = NULL;
	struct indexing x = {
		.job = {.run = indexing_run, .done = indexing_done},
		.session = l->session,
	};
	struct err e = {0};
	int more;

	TAILQ_INIT(&x.texts);
	if (reader_open(k->db, &r, &e) < 0)
		FAIL("%s", e.msg);
	x.since = search_indexed(r, l->session);
	more = search_text_read(r, l->session, x.since, budget, false, &x.texts,
				&x.through, &e);
	if (more < 0)
		FAIL("%s", e.msg);
	store_submit(k->store, &x.job);
	while (!x.done)
		uv_run(&k->loop, UV_RUN_ONCE);
	search_text_free(&x.texts);
	return more;
}

static int64_t indexed(const struct kit *k, const struct log *l)
{
	autoreader struct reader *r = NULL;

	EQ(reader_open(k->db, &r, NULL), 0);
	return search_indexed(r, l->session);
}

static void all_is_found(const struct kit *k)
{
	STR_EQ(hits(k, "hello"), "2 user");
	STR_EQ(hits(k, "quick"), "4 agent");
	STR_EQ(hits(k, "brown"), "4 agent"); /* Begins there. */
	STR_EQ(hits(k, "fox"), "5 agent");
	STR_EQ(hits(k, "CAFE"), "6 agent");
	STR_EQ(hits(k, "fox quick"), "4 agent");
	STR_EQ(hits(k, "\"quick brown\""), "4 agent");
	STR_EQ(hits(k, "\"brown quick\""), "");
	STR_EQ(hits(k, "gnomes"), "7 tool");
	STR_EQ(hits(k, "elephant"), "");
}

TEST(F241_words_are_found_before_and_after_they_are_indexed)
{
	struct kit k;
	struct log l;

	kit_open(&k, STORE_HOST);
	l = conversation(&k);
	EQ(indexed(&k, &l), 0);
	all_is_found(&k);
	EQ(index_slice(&k, &l, 1000), 0);
	EQ(indexed(&k, &l), l.seq);
	all_is_found(&k);
	EQ(index_slice(&k, &l, 1000), 0); /* Nothing twice. */
	all_is_found(&k);
	kit_close(&k);
}

TEST(an_open_text_is_indexed_when_it_is_over)
{
	struct kit k;
	struct log l = log_new();

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	say(&k, &l, "begin ele");
	EQ(index_slice(&k, &l, 1000), 0);
	EQ(indexed(&k, &l), l.seq - 1);
	STR_EQ(hits(&k, "begin"), "4 agent");
	say(&k, &l, "phant end");
	STR_EQ(hits(&k, "elephant"), "4 agent");
	STR_EQ(hits(&k, "end"), "5 agent");
	end_turn(&k, &l);
	EQ(index_slice(&k, &l, 1000), 0);
	EQ(indexed(&k, &l), l.seq);
	STR_EQ(hits(&k, "elephant"), "4 agent");
	STR_EQ(hits(&k, "ele"), "");
	kit_close(&k);
}

TEST(slices_miss_nothing_and_repeat_nothing)
{
	struct kit k;
	struct log l = log_new();
	char text[32], want[32];
	int slices = 1;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "word%d ", i);
		say(&k, &l, text);
	}
	end_turn(&k, &l);
	while (index_slice(&k, &l, 100) == 1)
		slices++;
	OK(slices > 5);
	for (int i = 0; i < 200; i += 13) {
		snprintf(text, sizeof(text), "word%d", i);
		snprintf(want, sizeof(want), "%d agent", i + 4);
		STR_EQ(hits(&k, text), want);
	}
	kit_close(&k);
}

static void rewind_to(struct kit *k, struct log *l, int64_t to)
{
	char data[80];

	snprintf(data, sizeof(data),
		 "{\"to_seq\":%lld,\"abandoned\":[%lld,%lld]}", (long long)to,
		 (long long)to + 1, (long long)l->seq);
	log_write(k, l, "session.rewound", NULL, data);
}

TEST(what_was_undone_is_found_no_more)
{
	struct kit k;
	struct log l;

	kit_open(&k, STORE_HOST);
	l = conversation(&k);
	while (index_slice(&k, &l, 1 << 20))
		;
	rewind_to(&k, &l, 5); /* In the middle of a text. */
	for (int i = 0; i < 2; i++) {
		STR_EQ(hits(&k, "fox"), "5 agent");
		STR_EQ(hits(&k, "cafe"), "");
		STR_EQ(hits(&k, "gnomes"), "");
		say(&k, &l, i == 0 ? " goes on" : " further");
		while (index_slice(&k, &l, 1 << 20))
			;
	}
	STR_EQ(hits(&k, "further"), "11 agent");
	rewind_to(&k, &l, 8); /* That was undone, too. */
	while (index_slice(&k, &l, 1 << 20))
		;
	STR_EQ(hits(&k, "cafe"), "6 agent");
	STR_EQ(hits(&k, "further"), "");
	kit_close(&k);
}

TEST(what_a_user_types_is_never_a_syntax_error)
{
	static const char *const texts[] = {
		"AND",	"a OR",	    "NEAR(",  "text:fox", "\"open",  "fox*",
		"^fox", "-- ' ;",   "{a b}",  "(((",	  "a + b",   "\"\" x",
		"NOT",	"\"a\"b\"", "col:\"", "\xff\xfe", "a\tb\nc",
	};
	autoreader struct reader *r = NULL;
	struct search_query q = {.text = "  \"\" "};
	autojw struct jw out = {0};
	struct err e = {0};
	struct kit k;

	kit_open(&k, STORE_HOST);
	conversation(&k);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		(void)hits(&k, texts[i]);
	STR_EQ(hits(&k, "fox XOR"), "");	 /* A word like any other. */
	STR_EQ(hits(&k, "(fox) --"), "5 agent"); /* No words in those. */
	EQ(reader_open(k.db, &r, NULL), 0);
	EQ(search_find(r, &q, &out, &e), -FAULT_INVALID_ARGUMENT);
	kit_close(&k);
}

TEST(hits_are_the_newest_and_marked)
{
	autojw struct jw out = {0};
	struct kit k;
	struct log l[3];

	kit_open(&k, STORE_HOST);
	for (int i = 0; i < 3; i++)
		l[i] = conversation(&k);
	log_prompt(&k, &l[1], 2);
	say(&k, &l[1], "a fox");
	index_slice(&k, &l[0], 1000);
	look(&k,
	     &(struct search_query){.text = "fox",
				    .limit = 1,
				    .mark_on = "<",
				    .mark_off = ">"},
	     &out);
	OK(strstr(out.buf, l[1].session) != NULL);
	OK(strstr(out.buf, "a <fox>") != NULL);
	jw_reset(&out);
	look(&k, &(struct search_query){.text = "fox", .session = l[2].session},
	     &out);
	OK(strstr(out.buf, l[2].session) != NULL);
	OK(strstr(out.buf, l[1].session) == NULL);
	kit_close(&k);
}

static void on_purged(const struct err *e, void *arg)
{
	OK(e->code == 0);
	*(bool *)arg = true;
}

TEST(a_purged_session_is_found_no_more)
{
	struct kit k;
	struct log l, other;
	bool done = false;

	kit_open(&k, STORE_HOST);
	l = conversation(&k);
	other = conversation(&k);
	index_slice(&k, &l, 1000);
	index_slice(&k, &other, 1000);
	EQ(store_purge(k.store, l.session, on_purged, &done), 0);
	while (!done)
		uv_run(&k.loop, UV_RUN_ONCE);
	STR_EQ(hits(&k, "gnomes"), "7 tool");
	STR_EQ(kit_ask(&k, "SELECT count(*) FROM search_doc", NULL), "3");
	/* The index agrees with its texts. */
	STR_EQ(kit_ask(&k,
		       "SELECT count(*) FROM search WHERE search MATCH 'fox'",
		       NULL),
	       "1");
	kit_close(&k);
}

/* --- a database of version 1 ---------------------------------------------- */

TEST(a_database_without_an_index_is_searched_and_upgraded)
{
	struct kit k;
	struct log l;
	sqlite3 *db;

	kit_open(&k, STORE_HOST);
	l = conversation(&k);
	kit_stop(&k);
	EQ(sqlite3_open(k.db, &db), SQLITE_OK);
	EQ(db_exec(db,
		   "DROP TABLE search; DROP TABLE search_doc;"
		   "DROP TABLE search_state; DROP TABLE cursor;"
		   "DROP TABLE memory_shared;"
		   "DROP INDEX session_expiry; DROP INDEX idem_expiry;"
		   "DROP VIEW v_update;"
		   "CREATE VIRTUAL TABLE search USING fts5(session_id UNINDEXED,"
		   " turn_id UNINDEXED, seq UNINDEXED, role UNINDEXED, text);"
		   "PRAGMA user_version=1",
		   NULL),
	   0);
	EQ(sqlite3_close(db), SQLITE_OK);
	all_is_found(&k);
	kit_start(&k);
	STR_EQ(kit_ask(&k, "SELECT count(*) FROM cursor", NULL), "0");
	STR_EQ(kit_ask(&k, "SELECT count(*)>0 FROM v_update", NULL), "1");
	all_is_found(&k);
	EQ(index_slice(&k, &l, 1000), 0);
	all_is_found(&k);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

TESTS(CASE(F241_words_are_found_before_and_after_they_are_indexed),
      CASE(an_open_text_is_indexed_when_it_is_over),
      CASE(slices_miss_nothing_and_repeat_nothing),
      CASE(what_was_undone_is_found_no_more),
      CASE(what_a_user_types_is_never_a_syntax_error),
      CASE(hits_are_the_newest_and_marked),
      CASE(a_purged_session_is_found_no_more),
      CASE(a_database_without_an_index_is_searched_and_upgraded))
