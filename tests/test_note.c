// SPDX-License-Identifier: Apache-2.0
/*
 * test_note.c - What may be noted, and what is read of it
 */
#include "core/note.h"

#include "tests/store_kit.h"

/* A store, and a reader of it. */
struct notes {
	struct kit k;
	struct reader *r;
};

static void notes_open(struct notes *t)
{
	struct err e = {0};

	kit_open(&t->k, STORE_GUEST);
	if (reader_open(t->k.db, &t->r, &e) < 0)
		FAIL("reader_open: %s", e.msg);
}

static void notes_close(struct notes *t)
{
	reader_close(t->r);
	kit_close(&t->k);
}

static int read_note(enum note_kind kind, const char *params, struct note *n)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, params, strlen(params), NULL), 0);
	return note_read(kind, json_root(&j), n, NULL);
}

/* Read, check, write.  Return: 0 or the refusal. */
static int take(struct notes *t, struct log *l, enum note_kind kind,
		const char *params)
{
	autonote struct note n = {0};
	autojw struct jw w = {0};
	int r = read_note(kind, params, &n);

	if (r == 0)
		r = note_check(t->r, l->session, &n, NULL);
	if (r < 0)
		return r;
	note_write(&n, &w);
	log_write(&t->k, l, note_type(&n), NULL, w.buf);
	return 0;
}

/* The value of a key, or NULL. */
static char *value_of(struct notes *t, const struct log *l, const char *key,
		      bool memory)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	int r = memory ? note_get_memory(t->r, l->session, NOTE_ANY, key, &w,
					 NULL)
		       : note_get_kv(t->r, l->session, key, &w, NULL);

	if (r == -FAULT_KEY_NOT_FOUND)
		return NULL;
	EQ(r, 0);
	EQ(json_parse(&j, w.buf, w.len, NULL), 0);
	return jv_strdup(jv_get(json_root(&j), "value"), NULL);
}

static void has(struct notes *t, const struct log *l, const char *key,
		const char *want)
{
	autofree char *value = value_of(t, l, key, false);

	STR_EQ(value ? value : "(none)", want);
}

TEST(only_keys_and_texts_are_taken)
{
	static const char *const refused[] = {
		"{\"value\":\"x\"}",
		"{\"key\":\"\",\"value\":\"x\"}",
		"{\"key\":1,\"value\":\"x\"}",
		"{\"key\":\"a\\u0000b\",\"value\":\"x\"}",
		"{\"key\":\"a\"}",
		"{\"key\":\"a\",\"value\":null}",
		"{\"key\":\"a\",\"value\":\"\\u0000\"}",
		"{\"key\":\"a\",\"value\":\"x\",\"etag\":1}",
		"[]",
	};
	struct note n;
	char text[NOTE_KEY_MAX + 64];

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		EQ(read_note(NOTE_KV_SET, refused[i], &n),
		   -FAULT_INVALID_ARGUMENT);
		note_done(&n);
	}
	snprintf(text, sizeof(text), "{\"key\":\"%0255d\"}", 0);
	EQ(read_note(NOTE_KV_DELETE, text, &n), 0);
	EQ(strlen(n.key), NOTE_KEY_MAX);
	note_done(&n);
	snprintf(text, sizeof(text), "{\"key\":\"%0256d\"}", 0);
	EQ(read_note(NOTE_KV_DELETE, text, &n), -FAULT_INVALID_ARGUMENT);
	note_done(&n);
	EQ(read_note(NOTE_MEMORY_SET,
		     "{\"key\":\"a\",\"value\":\"x\",\"scope\":\"all\"}", &n),
	   -FAULT_INVALID_ARGUMENT);
	note_done(&n);
	EQ(read_note(NOTE_MEMORY_SET,
		     "{\"key\":\"a\",\"value\":\"x\",\"meta\":[]}", &n),
	   -FAULT_INVALID_ARGUMENT);
	note_done(&n);
}

TEST(conditions_hold)
{
	struct notes t;
	struct log l = log_new();

	notes_open(&t);
	log_create(&t.k, &l);
	EQ(take(&t, &l, NOTE_KV_DELETE, "{\"key\":\"a\"}"),
	   -FAULT_KEY_NOT_FOUND);
	EQ(take(&t, &l, NOTE_KV_SET,
		"{\"key\":\"a\",\"value\":\"1\",\"etag\":\"*\"}"),
	   -FAULT_CAS_MISMATCH);
	EQ(take(&t, &l, NOTE_KV_SET,
		"{\"key\":\"a\",\"value\":\"1\",\"must_not_exist\":true}"),
	   0);
	EQ(take(&t, &l, NOTE_KV_SET,
		"{\"key\":\"a\",\"value\":\"2\",\"must_not_exist\":true}"),
	   -FAULT_ALREADY_EXISTS);
	EQ(take(&t, &l, NOTE_KV_SET,
		"{\"key\":\"a\",\"value\":\"2\",\"etag\":\"else\"}"),
	   -FAULT_CAS_MISMATCH);
	has(&t, &l, "a", "1");
	/* The first half of SHA-256 of "1". */
	EQ(take(&t, &l, NOTE_KV_SET,
		"{\"key\":\"a\",\"value\":\"2\","
		"\"etag\":\"6b86b273ff34fce19d6b804eff5a3f57\"}"),
	   0);
	has(&t, &l, "a", "2");
	EQ(take(&t, &l, NOTE_KV_DELETE, "{\"key\":\"a\",\"etag\":\"*\"}"), 0);
	has(&t, &l, "a", "(none)");
	notes_close(&t);
}

/* As a fork into the store: rows alone. */
static void fill(struct notes *t, const struct log *l)
{
	char sql[512];
	struct err e = {0};
	sqlite3 *db = plain_connection(t->k.db);

	snprintf(sql, sizeof(sql),
		 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n"
		 " WHERE i<%d) INSERT INTO kv SELECT '%s', 'k'||i, '', 0, 0"
		 " FROM n",
		 NOTE_KEYS_MAX, l->session);
	if (db_exec(db, sql, &e) < 0)
		FAIL("%s", e.msg);
	EQ(sqlite3_close(db), SQLITE_OK);
}

TEST(a_session_has_room_for_so_many_keys)
{
	struct notes t;
	struct log l = log_new();

	notes_open(&t);
	log_create(&t.k, &l);
	fill(&t, &l);
	EQ(take(&t, &l, NOTE_KV_SET, "{\"key\":\"more\",\"value\":\"1\"}"),
	   -FAULT_QUOTA_EXCEEDED);
	EQ(take(&t, &l, NOTE_KV_SET, "{\"key\":\"k7\",\"value\":\"1\"}"), 0);
	EQ(take(&t, &l, NOTE_KV_DELETE, "{\"key\":\"k8\"}"), 0);
	EQ(take(&t, &l, NOTE_KV_SET, "{\"key\":\"more\",\"value\":\"1\"}"), 0);
	notes_close(&t);
}

#define SHARED(key, value) \
	"{\"key\":\"" key "\",\"value\":\"" value "\",\"scope\":\"vm\"}"

static void remembers(struct notes *t, const struct log *l, const char *key,
		      const char *want)
{
	autofree char *value = value_of(t, l, key, true);

	STR_EQ(value ? value : "(none)", want);
}

TEST(the_last_one_to_share_is_read)
{
	struct notes t;
	struct log a = log_new(), b = log_new();

	notes_open(&t);
	log_create(&t.k, &a);
	log_create(&t.k, &b);
	EQ(take(&t, &a, NOTE_MEMORY_SET, SHARED("k", "of a")), 0);
	remembers(&t, &b, "k", "of a");
	EQ(take(&t, &b, NOTE_MEMORY_SET, SHARED("k", "of b")), 0);
	remembers(&t, &a, "k", "of b");
	EQ(take(&t, &a, NOTE_MEMORY_SET, "{\"key\":\"k\",\"value\":\"own\"}"),
	   0);
	remembers(&t, &a, "k", "own");
	remembers(&t, &b, "k", "of b");
	EQ(take(&t, &a, NOTE_MEMORY_DELETE, "{\"key\":\"k\",\"scope\":\"vm\"}"),
	   0);
	remembers(&t, &b, "k", "(none)");
	EQ(take(&t, &b, NOTE_MEMORY_DELETE, "{\"key\":\"k\",\"scope\":\"vm\"}"),
	   -FAULT_KEY_NOT_FOUND);
	EQ(take(&t, &b, NOTE_MEMORY_SET, SHARED("k", "anew")), 0);
	EQ(take(&t, &a, NOTE_MEMORY_DELETE, "{\"key\":\"k\"}"), 0);
	remembers(&t, &a, "k", "anew");
	notes_close(&t);
}

TEST(lists_are_cut_where_asked)
{
	struct notes t;
	struct log l = log_new();
	autojw struct jw w = {0};
	struct note_query q = {
		.prefix = "b", .after = "b1", .limit = 2, .preview = 3};

	notes_open(&t);
	log_create(&t.k, &l);
	EQ(take(&t, &l, NOTE_KV_SET, "{\"key\":\"a\",\"value\":\"1\"}"), 0);
	for (int i = 1; i < 6; i++) {
		char params[64];

		snprintf(params, sizeof(params),
			 "{\"key\":\"b%d\",\"value\":\"12345\"}", i);
		EQ(take(&t, &l, NOTE_KV_SET, params), 0);
	}
	jw_arr(&w);
	EQ(note_list_kv(t.r, l.session, &q, &w, NULL), 2);
	jw_arr_end(&w);
	OK(strstr(w.buf, "{\"key\":\"b2\",\"bytes\":5,") != NULL);
	OK(strstr(w.buf, "\"preview\":\"123\"}]") != NULL);
	OK(strstr(w.buf, "\"b3\"") != NULL && strstr(w.buf, "\"b4\"") == NULL);
	notes_close(&t);
}

TEST(a_summary_follows_the_one_before)
{
	struct notes t;
	struct log l = log_new();

	notes_open(&t);
	log_create(&t.k, &l);
	EQ(take(&t, &l, NOTE_SUMMARY, "{\"text\":\"one\"}"), 0);
	EQ(take(&t, &l, NOTE_SUMMARY, "{\"text\":\"two\"}"), 0);
	STR_EQ(kit_ask(&t.k,
		       "SELECT group_concat(from_seq||'-'||to_seq||text)"
		       " FROM (SELECT * FROM summary ORDER BY to_seq)",
		       NULL),
	       "1-1one,2-2two");
	EQ(take(&t, &l, NOTE_SUMMARY, "{\"text\":\"x\",\"to_seq\":99}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(take(&t, &l, NOTE_SUMMARY,
		"{\"text\":\"x\",\"from_seq\":3,\"to_seq\":2}"),
	   -FAULT_INVALID_ARGUMENT);
	notes_close(&t);
}

TESTS(CASE(only_keys_and_texts_are_taken), CASE(conditions_hold),
      CASE(a_session_has_room_for_so_many_keys),
      CASE(the_last_one_to_share_is_read), CASE(lists_are_cut_where_asked),
      CASE(a_summary_follows_the_one_before))
