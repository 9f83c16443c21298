// SPDX-License-Identifier: Apache-2.0
/*
 * test_fork.c - A log's beginning as a log of its own
 */
#include "core/fork.h"

#include <signal.h>
#include <string.h>

#include "tests/store_kit.h"

#define LONG_LOG 3000 /* Events; several pages of a copy. */

static const char chunk[] =
	"{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":\"session/update\"}}";

/* A session with two turns of @n updates each. */
static struct log two_turns(struct kit *k, enum store_role role, int n)
{
	struct log l = log_new();

	kit_open(k, role);
	log_create(k, &l);
	for (int turn = 1; turn <= 2; turn++) {
		log_prompt(k, &l, turn);
		for (int i = 0; i < n; i++)
			log_write(k, &l, "acp.update", "{\"late\":1}", chunk);
		log_write(k, &l, "turn.completed", NULL,
			  "{\"stop_reason\":\"end_turn\","
			  "\"usage\":{\"tokens\":5}}");
		l.turn[0] = '\0';
		log_write(k, &l, "session.state", NULL,
			  "{\"from\":\"running\",\"to\":\"idle\"}");
	}
	return l;
}

static int64_t end_of_turn(const struct kit *k, const struct log *l, int n)
{
	char sql[80];

	snprintf(sql, sizeof(sql),
		 "SELECT last_seq FROM turn WHERE session_id=?1 AND n=%d", n);
	return atoll(kit_ask(k, sql, l->session));
}

struct forked {
	struct store_fork f;
	struct appended a;
};

/* Fork @source after event @at as @to; what done() was told. */
static int64_t
fork_at(struct kit *k, const char *source, int64_t at, struct log *to,
	int (*also)(struct sqlite3 *, struct store_fork *, struct err *))
{
	struct forked f = {.f = {.also = also}};
	struct event *ev;
	char data[160];

	snprintf(data, sizeof(data),
		 "{\"from\":\"%s\",\"at\":%lld,\"title\":\"copy\"}", source,
		 (long long)at);
	to->epoch = 2;
	to->seq = at + 1;
	TAILQ_INIT(&f.f.tail.events);
	ev = log_event(to, to->seq, "session.forked", NULL, data);
	TAILQ_INSERT_TAIL(&f.f.tail.events, ev, link);
	strcpy(f.f.tail.session, to->session);
	strcpy(f.f.source, source);
	f.f.tail.done = kit_on_appended;
	f.f.tail.arg = &f.a;
	store_fork(k->store, &f.f);
	while (!f.a.done)
		uv_run(&k->loop, UV_RUN_ONCE);
	event_list_free(&f.f.tail.events);
	return f.a.acked;
}

/* All of a log's events up to @to, but for whose they are. */
static void digest(const struct kit *k, const char *session, int64_t to,
		   char *out, size_t cap)
{
	static const char sql[] =
		"SELECT group_concat(seq||'|'||epoch||'|'||ts_ms||'|'||type||"
		"'|'||coalesce(turn_id,'')||'|'||coalesce(ctx,'')||'|'||data||"
		"'|'||chain, x'0a') FROM (SELECT * FROM event WHERE session_n="
		"(SELECT n FROM session WHERE id=?1) AND seq<=?2 ORDER BY seq)";
	autoreader struct reader *r = NULL;
	char number[24];
	const char *args[] = {session, number, NULL};
	autofree char *text = NULL;
	struct err e = {0};

	snprintf(number, sizeof(number), "%lld", (long long)to);
	if (reader_open(k->db, &r, &e) < 0 ||
	    reader_value(r, sql, args, &text, &e) < 0)
		FAIL("%s", e.msg);
	snprintf(out, cap, "%s", text ? text : "");
}

static void session_is(const struct kit *k, const struct log *l,
		       const char *column, const char *want)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT coalesce(%s, 'NULL') FROM session WHERE id=?1",
		 column);
	STR_EQ(kit_ask(k, sql, l->session), want);
}

TEST(F065_a_fork_has_the_events_of_its_source)
{
	static char a[64 << 10], b[64 << 10];
	struct kit k;
	struct log l = two_turns(&k, STORE_HOST, 5), fork = log_new();
	int64_t at = end_of_turn(&k, &l, 1);

	EQ(fork_at(&k, l.session, at, &fork, NULL), at + 1);
	digest(&k, l.session, at, a, sizeof(a));
	digest(&k, fork.session, at, b, sizeof(b));
	OK(strlen(a) > 500);
	STR_EQ(a, b);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

TEST(F067_its_rows_follow_and_its_account_is_empty)
{
	struct kit k;
	struct log l = two_turns(&k, STORE_HOST, 1), fork = log_new();
	int64_t at = end_of_turn(&k, &l, 2);

	OK(fork_at(&k, l.session, at, &fork, NULL) > 0);
	session_is(&k, &fork, "state", "suspended");
	session_is(&k, &fork, "suspended_from", "idle");
	session_is(&k, &fork, "epoch", "2");
	session_is(&k, &fork, "turn_count", "2");
	session_is(&k, &fork, "usage", "{}");
	session_is(&k, &fork, "title", "copy");
	session_is(&k, &fork, "forked_from", l.session);
	STR_EQ(kit_ask(&k,
		       "SELECT count(*) FROM turn WHERE session_id=?1"
		       " AND usage IS NULL AND state='completed'",
		       fork.session),
	       "2");
	STR_EQ(kit_ask(&k,
		       "SELECT count(*) FROM mirror WHERE session_n="
		       "(SELECT n FROM session WHERE id=?1)",
		       fork.session),
	       "1");
	kit_close(&k);
}

TEST(F065_both_go_on_without_each_other)
{
	static char a[64 << 10], b[64 << 10];
	struct kit k;
	struct log l = two_turns(&k, STORE_GUEST, 1), fork = log_new();
	int64_t at = end_of_turn(&k, &l, 2);

	digest(&k, l.session, l.seq, a, sizeof(a));
	OK(fork_at(&k, l.session, at, &fork, NULL) > 0);
	log_write(&k, &fork, "acp.update", NULL, chunk);
	digest(&k, l.session, INT64_MAX, b, sizeof(b));
	STR_EQ(a, b);
	session_is(&k, &l, "state", "idle");
	session_is(&k, &l, "forked_from", "NULL");
	log_write(&k, &l, "acp.update", NULL, chunk);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

static int refuse(struct sqlite3 *db, struct store_fork *f, struct err *e)
{
	(void)db;
	(void)f;
	return err_set(e, -EINVAL, "no");
}

TEST(what_is_refused_leaves_nothing)
{
	struct kit k;
	struct log l = two_turns(&k, STORE_HOST, 1), fork = log_new();
	struct log nobody = log_new();

	EQ(fork_at(&k, nobody.session, 3, &fork, NULL),
	   -FAULT_SESSION_NOT_FOUND);
	EQ(fork_at(&k, l.session, l.seq + 1, &fork, NULL), -FAULT_CURSOR_GONE);
	EQ(fork_at(&k, l.session, 3, &fork, refuse), -EINVAL);
	STR_EQ(kit_ask(&k, "SELECT count(*) FROM session WHERE id=?1",
		       fork.session),
	       "0");
	STR_EQ(kit_ask(&k, "SELECT count(DISTINCT session_n) FROM event", NULL),
	       "1");
	EQ(fork_at(&k, l.session, 3, &l, NULL), -EEXIST);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

/* One long log in one append. */
static struct log long_log(struct kit *k)
{
	struct event_list all = TAILQ_HEAD_INITIALIZER(all);
	struct log l = log_new();

	kit_open(k, STORE_HOST);
	log_create(k, &l);
	for (int64_t seq = 2; seq <= LONG_LOG; seq++) {
		struct event *ev =
			log_event(&l, seq, "acp.update", NULL, chunk);

		TAILQ_INSERT_TAIL(&all, ev, link);
	}
	EQ(kit_append_list(k, l.session, &all, NULL), LONG_LOG);
	return l;
}

TEST(a_long_log_is_copied_page_by_page)
{
	struct kit k;
	struct log l = long_log(&k), fork = log_new();

	EQ(fork_at(&k, l.session, LONG_LOG, &fork, NULL), LONG_LOG + 1);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

/* Killed at any moment, the fork is there whole or not at all. */
TEST(a_fork_killed_in_the_middle_is_whole_or_absent)
{
	struct kit k;
	struct log l = long_log(&k);
	unsigned whole = 0;
	int status;

	kit_stop(&k);
	for (useconds_t us = 500; whole < 3 && us < 5000000; us += us / 4) {
		struct log fork_log = log_new();
		const char *n;
		pid_t pid = fork();

		if (pid == 0) {
			kit_start(&k);
			fork_at(&k, l.session, LONG_LOG, &fork_log, NULL);
			pause();
		}
		usleep(us);
		EQ(kill(pid, SIGKILL), 0);
		EQ(waitpid(pid, &status, 0), pid);
		n = kit_ask(&k,
			    "SELECT coalesce(max(last_seq), 0) FROM session"
			    " WHERE id=?1",
			    fork_log.session);
		whole += atoll(n) == LONG_LOG + 1;
		OK(atoll(n) == LONG_LOG + 1 || atoll(n) == 0);
		EQ(kit_check(&k), 0);
	}
	EQ(whole, 3); /* Late enough for some. */
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

TESTS(CASE(F065_a_fork_has_the_events_of_its_source),
      CASE(F067_its_rows_follow_and_its_account_is_empty),
      CASE(F065_both_go_on_without_each_other),
      CASE(what_is_refused_leaves_nothing),
      CASE(a_long_log_is_copied_page_by_page),
      CASE(a_fork_killed_in_the_middle_is_whole_or_absent))
