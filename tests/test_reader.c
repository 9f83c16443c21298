// SPDX-License-Identifier: Apache-2.0
/*
 * test_reader.c - Reading a store
 */
#include "core/reader.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "core/reader_impl.h"
#include "tests/store_kit.h"

#define N_CHUNKS 500 /* In each of the two turns of the log below. */
#define NOBODY	 65534

static const char chunk[] = "{\"dir\":\"in\",\"msg\":{\"x\":1}}";

struct fixture {
	struct kit kit;
	struct log log;
	struct reader *r;
	char turn1[ID_MAX];
};

/* Append @n updates in one batch. */
static void write_chunks(struct kit *k, struct log *l, int n)
{
	struct event_list list = TAILQ_HEAD_INITIALIZER(list);

	for (int i = 0; i < n; i++) {
		struct event *ev =
			log_event(l, ++l->seq, "acp.update", NULL, chunk);

		TAILQ_INSERT_TAIL(&list, ev, link);
	}
	EQ(kit_append_list(k, l->session, &list, NULL), l->seq);
}

/* created; two turns of input, started, chunks, completed; a last event. */
static void fixture_open(struct fixture *f, enum store_role role)
{
	struct err e = {0};

	kit_open(&f->kit, role);
	f->log = log_new();
	log_create(&f->kit, &f->log);
	for (int n = 1; n <= 2; n++) {
		log_prompt(&f->kit, &f->log, n);
		if (n == 1)
			strcpy(f->turn1, f->log.turn);
		write_chunks(&f->kit, &f->log, N_CHUNKS);
		log_write(&f->kit, &f->log, "turn.completed", NULL, "{}");
	}
	f->log.turn[0] = '\0';
	log_write(&f->kit, &f->log, "future.thing", "{\"a\":1}", "{}");
	if (reader_open(f->kit.db, &f->r, &e) < 0)
		FAIL("%s", e.msg);
}

static void fixture_close(struct fixture *f)
{
	reader_close(f->r);
	kit_close(&f->kit);
}

/* Read one page.  Return: the code. */
static int page(struct fixture *f, struct event_query q, struct event_page *p,
		struct err *e)
{
	q.session = q.session ? q.session : f->log.session;
	jw_reset(p->out);
	return reader_events(f->r, &q, p, e);
}

/* The seqs of a page, as "1,2,3". */
static const char *seqs(const struct jw *out)
{
	static char list[8192];
	const char *s = out->buf;
	char *p = list;

	*p = '\0';
	while (s != NULL && (s = strstr(s, "\"seq\":")) != NULL) {
		s += strlen("\"seq\":");
		p += sprintf(p, "%s%lld", p == list ? "" : ",", atoll(s));
		OK(p < list + sizeof(list) - 32);
	}
	return list;
}

/* Read all pages of a query.  Return: number of events. */
static unsigned read_all(struct fixture *f, struct event_query q,
			 struct jw *out, unsigned *n_pages)
{
	autojw struct jw one = {0};
	struct event_page p = {.out = &one};
	unsigned n = 0;

	jw_reset(out);
	*n_pages = 0;
	do {
		EQ(page(f, q, &p, NULL), 0);
		jw_lit(out, one.buf ? one.buf : "", one.len);
		n += p.count;
		q.since = p.next_since;
		++*n_pages;
		OK(*n_pages < 10000);
	} while (p.has_more);
	return n;
}

/*
 * Pages.
 */

TEST(a_page_has_the_bytes_that_were_appended)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;
	struct event *ev;

	fixture_open(&f, STORE_HOST);
	EQ(page(&f, (struct event_query){.since = f.log.seq - 1}, &p, NULL), 0);
	ev = log_event(&f.log, f.log.seq, "future.thing", "{\"a\":1}", "{}");
	STR_EQ(out.buf, ev->line);
	free(ev);
	EQ(p.count, 1);
	EQ(p.next_since, f.log.seq);
	OK(!p.has_more);
	fixture_close(&f);
}

TEST(pages_follow_each_other_without_gap_or_repeat)
{
	autojw struct jw out = {0};
	struct fixture f;
	unsigned n_pages;
	const char *s;

	fixture_open(&f, STORE_HOST);
	EQ(read_all(&f, (struct event_query){.limit = 7}, &out, &n_pages),
	   f.log.seq);
	EQ(n_pages, (f.log.seq + 6) / 7);
	s = out.buf;
	for (int64_t seq = 1; seq <= f.log.seq; seq++) {
		s = strstr(s, "\"seq\":");
		OK(s != NULL);
		EQ(atoll(s + 6), seq);
		s++;
	}
	fixture_close(&f);
}

TEST(limit_and_bytes_bound_a_page_and_one_event_always_fits)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	EQ(page(&f, (struct event_query){0}, &p, NULL), 0);
	EQ(p.count, READER_PAGE_EVENTS);
	OK(p.has_more);

	EQ(page(&f, (struct event_query){.max_bytes = 2000}, &p, NULL), 0);
	OK(p.count > 1 && out.len <= 2000 && p.has_more);
	EQ(p.next_since, p.count);
	EQ(out.buf[out.len - 1], '\n');

	EQ(page(&f, (struct event_query){.since = 3, .max_bytes = 1}, &p, NULL),
	   0);
	EQ(p.count, 1);
	STR_EQ(seqs(&out), "4");

	EQ(page(&f, (struct event_query){.since = f.log.seq - 2, .limit = 2},
		&p, NULL),
	   0);
	EQ(p.count, 2);
	OK(!p.has_more); /* Exactly full is not more. */
	fixture_close(&f);
}

TEST(descending_pages_go_back_from_the_end)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct event_query q = {.limit = 3, .descending = true};
	struct fixture f;
	char want[64];
	long long n;

	fixture_open(&f, STORE_HOST);
	n = f.log.seq;
	EQ(page(&f, q, &p, NULL), 0);
	snprintf(want, sizeof(want), "%lld,%lld,%lld", n, n - 1, n - 2);
	STR_EQ(seqs(&out), want);
	OK(p.has_more);
	q.since = p.next_since;
	EQ(page(&f, q, &p, NULL), 0);
	snprintf(want, sizeof(want), "%lld,%lld,%lld", n - 3, n - 4, n - 5);
	STR_EQ(seqs(&out), want);
	q.since = 3;
	EQ(page(&f, q, &p, NULL), 0);
	STR_EQ(seqs(&out), "2,1");
	OK(!p.has_more);
	fixture_close(&f);
}

TEST(since_is_checked)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;
	struct err e;
	char want[64];

	fixture_open(&f, STORE_HOST);
	EQ(page(&f, (struct event_query){.since = f.log.seq}, &p, &e), 0);
	EQ(p.count, 0);
	EQ(p.next_since, f.log.seq);
	EQ(page(&f, (struct event_query){.since = f.log.seq + 1}, &p, &e),
	   -FAULT_CURSOR_AHEAD);
	snprintf(want, sizeof(want), "\"last_seq\":%lld,\"epoch\":1",
		 (long long)f.log.seq);
	STR_EQ(e.data, want);
	EQ(page(&f,
		(struct event_query){
			.session = "ses_0123456789abcdef0123456789abcdef"},
		&p, &e),
	   -FAULT_SESSION_NOT_FOUND);
	fixture_close(&f);
}

TEST(a_removed_prefix_is_told)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;
	struct err e;
	sqlite3 *db;

	fixture_open(&f, STORE_HOST);
	log_write(&f.kit, &f.log, "session.archived", NULL, "{}");
	db = plain_connection(f.kit.db);
	EQ(db_exec(db,
		   "INSERT INTO purge SELECT id FROM session;"
		   "DELETE FROM event WHERE seq<100; DELETE FROM purge",
		   &e),
	   0);
	EQ(sqlite3_close(db), SQLITE_OK);

	EQ(page(&f, (struct event_query){.since = 0}, &p, &e),
	   -FAULT_CURSOR_GONE);
	STR_EQ(e.data, "\"first_seq\":100");
	EQ(page(&f, (struct event_query){.since = 98}, &p, &e),
	   -FAULT_CURSOR_GONE);
	EQ(page(&f, (struct event_query){.since = 99, .limit = 2}, &p, &e), 0);
	STR_EQ(seqs(&out), "100,101");
	EQ(page(&f, (struct event_query){.since = 102, .descending = true}, &p,
		&e),
	   0);
	STR_EQ(seqs(&out), "101,100");
	EQ(kit_check(&f.kit), 0);
	fixture_close(&f);
}

/*
 * Filters.
 */

static void filtered(struct fixture *f, struct event_query q, const char *want)
{
	autojw struct jw out = {0};
	unsigned n_pages;

	read_all(f, q, &out, &n_pages);
	STR_EQ(seqs(&out), want);
	q.limit = 1;
	read_all(f, q, &out, &n_pages);
	STR_EQ(seqs(&out), want);
}

TEST(types_and_patterns_select)
{
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	filtered(&f, (struct event_query){.types = "turn.*"}, "3,504,506,1007");
	filtered(&f, (struct event_query){.types = "turn.started"}, "3,506");
	filtered(&f,
		 (struct event_query){.types = "input.message,turn.completed"},
		 "2,504,505,1007");
	filtered(&f,
		 (struct event_query){.types = "turn.*",
				      .exclude = "turn.started"},
		 "504,1007");
	filtered(&f, (struct event_query){.exclude = "acp.*"},
		 "1,2,3,504,505,506,1007,1008");
	filtered(&f,
		 (struct event_query){.types = "*", .exclude = "acp.update"},
		 "1,2,3,504,505,506,1007,1008");
	filtered(&f, (struct event_query){.types = "turn.*", .since = 3},
		 "504,506,1007");
	filtered(&f,
		 (struct event_query){.types = "turn.*", .descending = true},
		 "1007,506,504,3");
	filtered(&f,
		 (struct event_query){.types = "acp.update,session.*",
				      .from_ms = KIT_TIME,
				      .to_ms = KIT_TIME + 6},
		 "1,4,5,6");
	filtered(&f, (struct event_query){.types = "mcp.*"}, "");
	fixture_close(&f);
}

TEST(types_that_overlap_give_an_event_once)
{
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	filtered(&f, (struct event_query){.types = "turn.*,turn.started"},
		 "3,504,506,1007");
	fixture_close(&f);
}

TEST(a_turn_selects_its_events)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;
	unsigned n_pages;
	struct err e;

	fixture_open(&f, STORE_HOST);
	EQ(read_all(&f, (struct event_query){.turn = f.turn1}, &out, &n_pages),
	   N_CHUNKS + 3);
	filtered(&f, (struct event_query){.turn = f.turn1, .types = "turn.*"},
		 "3,504");
	EQ(page(&f,
		(struct event_query){
			.turn = "trn_0123456789abcdef0123456789abcdef"},
		&p, &e),
	   -FAULT_TURN_NOT_FOUND);
	fixture_close(&f);
}

TEST(unknown_types_are_refused)
{
	static const char *const bad[] = {"",
					  "turn",
					  "turn.begun",
					  "x*",
					  "turn.*,",
					  ",",
					  "turn.*,no.such",
					  "acp.update.acp.update.acp.update"};
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;
	struct err e;

	fixture_open(&f, STORE_HOST);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (page(&f, (struct event_query){.types = bad[i]}, &p, &e) !=
		    -FAULT_INVALID_ARGUMENT)
			FAIL("taken: '%s'", bad[i]);
		EQ(page(&f, (struct event_query){.exclude = bad[i]}, &p, &e),
		   -FAULT_INVALID_ARGUMENT);
	}
	fixture_close(&f);
}

TEST(a_search_without_matches_is_cut_and_goes_on)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	for (int i = 0; i < 60; i++)
		write_chunks(&f.kit, &f.log, 1000);
	EQ(page(&f,
		(struct event_query){.types = "acp.update",
				     .from_ms = KIT_TIME * 2},
		&p, NULL),
	   0);
	EQ(p.count, 0);
	OK(p.has_more);
	EQ(p.next_since, READER_SCAN_MAX);
	EQ(page(&f,
		(struct event_query){.types = "acp.update",
				     .from_ms = KIT_TIME * 2,
				     .since = p.next_since},
		&p, NULL),
	   0);
	EQ(p.next_since, f.log.seq);
	OK(!p.has_more);
	fixture_close(&f);
}

/* Every statement that was prepared while queries ran. */
static int check_plan(struct fixture *f, const char *sql)
{
	sqlite3_stmt *q;
	char explain[8192];
	int n = 0;

	snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", sql);
	EQ(sqlite3_prepare_v2(f->r->db, explain, -1, &q, NULL), SQLITE_OK);
	while (sqlite3_step(q) == SQLITE_ROW) {
		const char *step = (const char *)sqlite3_column_text(q, 3);

		if (strstr(step, "SCAN") != NULL)
			FAIL("%s\n#   in %s", step, sql);
		n += strstr(step, "SEARCH") != NULL;
	}
	sqlite3_finalize(q);
	return n;
}

static int on_statement(unsigned type, void *ctx, void *stmt, void *text)
{
	struct jw *seen = ctx;
	const char *sql = sqlite3_sql(stmt);

	(void)type;
	(void)text;
	jw_lit(seen, sql, strlen(sql) + 1);
	return 0;
}

TEST(queries_search_and_never_scan)
{
	static const struct event_query queries[] = {
		{.limit = 10},
		{.limit = 10, .descending = true},
		{.limit = 10, .types = "turn.*,input.message"},
		{.limit = 10, .types = "turn.started", .descending = true},
		{.limit = 10, .exclude = "acp.update"},
		{.limit = 10, .types = "acp.update"},
	};
	autojw struct jw out = {0}, seen = {0};
	struct event_page p = {.out = &out};
	struct session_brief brief;
	struct fixture f;
	int n = 0;

	fixture_open(&f, STORE_HOST);
	EQ(sqlite3_trace_v2(f.r->db, SQLITE_TRACE_STMT, on_statement, &seen),
	   SQLITE_OK);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++)
		EQ(page(&f, queries[i], &p, NULL), 0);
	EQ(page(&f, (struct event_query){.turn = f.turn1}, &p, NULL), 0);
	EQ(reader_session(f.r, f.log.session, &brief, NULL), 0);
	OK(reader_chain(f.r, brief.n, 5) != 0);
	EQ(sqlite3_trace_v2(f.r->db, 0, NULL, NULL), SQLITE_OK);

	for (size_t at = 0; at < seen.len; at += strlen(seen.buf + at) + 1)
		n += check_plan(&f, seen.buf + at);
	OK(n >= 16);
	fixture_close(&f);
}

/*
 * Folds, sessions, rows.
 */

struct fold {
	int64_t last;
	int n, stop_at;
};

static int fold_one(const struct event *ev, void *arg)
{
	struct fold *f = arg;

	OK(ev->seq > f->last);
	EQ(ev->line[ev->len - 1], '\n');
	f->last = ev->seq;
	return ++f->n == f->stop_at ? 77 : 0;
}

TEST(a_fold_sees_all_and_stops_when_told)
{
	struct fold all = {0}, some = {.stop_at = 300}, few = {0};
	struct event_query q = {0};
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	q.session = f.log.session;
	EQ(reader_each_event(f.r, &q, fold_one, &all, NULL), 0);
	EQ(all.n, f.log.seq);
	EQ(reader_each_event(f.r, &q, fold_one, &some, NULL), 77);
	EQ(some.n, 300);
	q.types = "turn.*";
	EQ(reader_each_event(f.r, &q, fold_one, &few, NULL), 0);
	EQ(few.n, 4);
	q.since = f.log.seq + 1;
	EQ(reader_each_event(f.r, &q, fold_one, &few, NULL),
	   -FAULT_CURSOR_AHEAD);
	fixture_close(&f);
}

static int count_brief(const struct session_brief *b, void *arg)
{
	OK(id_is(b->id, "ses"));
	return ++*(int *)arg == 3 ? 5 : 0;
}

TEST(briefs_tell_what_routing_needs)
{
	struct session_brief b;
	struct fixture f;
	struct log l = log_new();
	int n = 0;

	fixture_open(&f, STORE_HOST);
	log_create(&f.kit, &l);
	log_prompt(&f.kit, &l, 1);
	log_write(&f.kit, &l, "session.state", NULL,
		  "{\"from\":\"idle\",\"to\":\"running\"}");
	log_write(&f.kit, &l, "permission.requested",
		  "{\"req\":\"req_0123456789abcdef0123456789abcdef\"}", "{}");
	EQ(reader_session(f.r, l.session, &b, NULL), 0);
	STR_EQ(b.id, l.session);
	STR_EQ(b.vm_id, "vm_0123456789abcdef0123456789abcdef");
	STR_EQ(b.agent, "echo");
	STR_EQ(b.state, "running");
	STR_EQ(b.suspended_from, "");
	STR_EQ(b.open_turn, l.turn);
	STR_EQ(b.open_turn_input, "msg_0123456789abcdef0123456789abcdef");
	EQ(b.last_seq, l.seq);
	EQ(b.epoch, 1);
	EQ(b.turn_count, 1);
	EQ(b.pending, 1);
	EQ(b.archived_ms, 0);
	OK(b.chain != 0);
	EQ(b.chain, reader_chain(f.r, b.n, b.last_seq));
	EQ(reader_chain(f.r, b.n, 0), 0);
	EQ(reader_chain(f.r, b.n, 999999), 0);

	EQ(reader_session(f.r, f.log.session, &b, NULL), 0);
	STR_EQ(b.open_turn, "");
	EQ(b.pending, 0);

	EQ(reader_sessions(f.r, NULL, count_brief, &n, NULL), 0);
	EQ(n, 2);
	EQ(reader_sessions(f.r, "vm_0123456789abcdef0123456789abcdef",
			   count_brief, &n, NULL),
	   5);
	EQ(reader_sessions(f.r, "vm_1", count_brief, &n, NULL), 0);
	EQ(n, 3);
	EQ(reader_session(f.r, "ses_1", &b, NULL), -FAULT_SESSION_NOT_FOUND);
	fixture_close(&f);
}

TEST(rows_are_objects_with_json_inside)
{
	autojw struct jw out = {0};
	struct fixture f;
	const char *args[] = {"x", "7", NULL};

	fixture_open(&f, STORE_HOST);
	jw_arr(&out);
	EQ(reader_rows(f.r,
		       "SELECT 1 AS n, ?1 AS s, x'00ff' AS b, NULL AS z,"
		       " 0.5 AS r, '{\"a\": [1]}' AS config, '{' AS data,"
		       " '{}' AS title, 9e999 AS inf, ?2+1 AS m"
		       " UNION ALL SELECT 2, char(9), x'', '', 1e300,"
		       " 'null', '[]', 3, 4, 5",
		       args, &out, NULL),
	   2);
	jw_arr_end(&out);
	STR_EQ(out.buf,
	       "[{\"n\":1,\"s\":\"x\",\"b\":\"00ff\",\"z\":null,\"r\":0.5,"
	       "\"config\":{\"a\": [1]},\"data\":\"{\",\"title\":\"{}\","
	       "\"inf\":null,\"m\":8},"
	       "{\"n\":2,\"s\":\"\\t\",\"b\":\"\",\"z\":\"\","
	       "\"r\":1.0000000000000001e+300,\"config\":null,\"data\":[],"
	       "\"title\":3,\"inf\":4,\"m\":5}]");
	EQ(reader_rows(f.r, "SELECT 1 WHERE 0", NULL, &out, NULL), 0);
	EQ(reader_rows(f.r, "SELEKT", NULL, &out, NULL), -FAULT_STORE_ERROR);
	OK(reader_rows(f.r, "DELETE FROM turn", NULL, &out, NULL) < 0);
	fixture_close(&f);
}

TEST(a_value_is_the_first_column_or_nothing)
{
	struct fixture f;
	char *s = NULL;

	fixture_open(&f, STORE_HOST);
	EQ(reader_value(f.r, "SELECT 7, 8", NULL, &s, NULL), 1);
	STR_EQ(s, "7");
	free(s);
	EQ(reader_value(f.r, "SELECT 7 WHERE 0", NULL, &s, NULL), 0);
	fixture_close(&f);
}

TEST(an_open_reader_sees_new_commits)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct fixture f;

	fixture_open(&f, STORE_GUEST);
	for (int i = 0; i < 5; i++) {
		log_write(&f.kit, &f.log, "acp.update", NULL, chunk);
		EQ(page(&f, (struct event_query){.since = f.log.seq - 1}, &p,
			NULL),
		   0);
		EQ(p.count, 1);
	}
	fixture_close(&f);
}

/*
 * Offline.
 */

static uint64_t file_sum(const struct kit *k, const char *suffix)
{
	char path[128];
	uint64_t h = 5381;
	FILE *file;
	int c;

	snprintf(path, sizeof(path), "%s%s", k->db, suffix);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while ((c = fgetc(file)) != EOF)
		h = h * 33 + (unsigned)c;
	fclose(file);
	return h;
}

static void must_read(const struct kit *k, const struct log *l)
{
	autoreader struct reader *r = NULL;
	struct session_brief b;
	struct err e = {0};

	if (reader_open(k->db, &r, &e) < 0 ||
	    reader_session(r, l->session, &b, &e) < 0)
		FAIL("%s", e.msg);
	EQ(b.last_seq, l->seq);
}

/* Write @l in a child that is killed with its log not copied back. */
static void write_and_die(struct kit *k, struct log *l)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		kit_start(k);
		log_create(k, l);
		log_write(k, l, "acp.update", NULL, chunk);
		kill(getpid(), SIGKILL);
	}
	OK(pid > 0 && waitpid(pid, &status, 0) == pid);
	OK(WIFSIGNALED(status));
	l->seq = 2;
}

TEST(reading_leaves_the_file_and_its_log_byte_equal)
{
	struct log l = log_new();
	uint64_t db, wal;
	struct kit k;

	kit_open(&k, STORE_HOST);
	kit_stop(&k);
	write_and_die(&k, &l);
	db = file_sum(&k, "");
	wal = file_sum(&k, "-wal");
	OK(wal != 0);
	must_read(&k, &l);
	EQ(kit_check(&k), 0);
	OK(file_sum(&k, "") == db && file_sum(&k, "-wal") == wal);
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

/* In a child that owns nothing, and with a folder that nobody may write. */
static void read_as_nobody(const struct kit *k, const struct log *l)
{
	char cmd[256];
	int status;
	pid_t pid;

	snprintf(cmd, sizeof(cmd), "chmod a+rx,a-w %s && chmod a+r,a-w %s/*",
		 k->dir, k->dir);
	EQ(system(cmd), 0);
	pid = fork();
	if (pid == 0) {
		if (getuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
			_exit(2);
		must_read(k, l);
		_exit(0);
	}
	OK(pid > 0 && waitpid(pid, &status, 0) == pid);
	EQ(status, 0);
	snprintf(cmd, sizeof(cmd), "chmod u+w %s %s/*", k->dir, k->dir);
	EQ(system(cmd), 0);
}

static void remove_file(const struct kit *k, const char *suffix)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", k->db, suffix);
	EQ(unlink(path), 0);
}

TEST(a_read_only_folder_can_be_read_in_every_condition)
{
	struct log l = log_new();
	uint64_t db;
	struct kit k;

	kit_open(&k, STORE_HOST);
	kit_stop(&k);
	write_and_die(&k, &l);
	read_as_nobody(&k, &l); /* With -wal and -shm. */
	remove_file(&k, "-shm");
	db = file_sum(&k, "");
	read_as_nobody(&k, &l); /* With -wal alone. */
	OK(file_sum(&k, "") == db);

	kit_start(&k);
	kit_stop(&k);
	read_as_nobody(&k, &l); /* Closed in order: the file alone. */
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

TEST(what_is_no_store_is_refused)
{
	struct reader *r = NULL;
	struct kit k;
	struct err e;
	FILE *file;

	kit_open(&k, STORE_HOST);
	kit_stop(&k);
	EQ(reader_open("/tmp/hib-no-such-file.db", &r, &e), -ENOENT);
	EQ(reader_open(k.dir, &r, &e), -EUCLEAN);
	file = fopen(k.db, "w");
	OK(file != NULL);
	for (int i = 0; i < 2000; i++)
		fputs("no database ", file);
	fclose(file);
	EQ(reader_open(k.db, &r, &e), -EUCLEAN);
	OK(strstr(e.msg, k.db) != NULL);
	file = fopen(k.db, "w");
	OK(file != NULL);
	fclose(file);
	EQ(reader_open(k.db, &r, &e), -EUCLEAN);
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

/*
 * Damage.
 */

struct finding {
	char session[ID_MAX], what[200];
	int64_t seq;
	int n;
};

static void note_finding(const char *session, int64_t seq, const char *what,
			 void *arg)
{
	struct finding *f = arg;

	snprintf(f->session, sizeof(f->session), "%s", session ? session : "");
	snprintf(f->what, sizeof(f->what), "%s", what);
	f->seq = seq;
	f->n++;
}

/* Do harm that the triggers would not allow, and look for it. */
static struct finding harm(struct fixture *f, const char *sql)
{
	struct finding found = {0};
	struct err e = {0};
	sqlite3 *db = plain_connection(f->kit.db);

	EQ(db_exec(db,
		   "DROP TRIGGER event_frozen; DROP TRIGGER event_kept;"
		   "DROP TRIGGER event_seq",
		   NULL),
	   0);
	if (db_exec(db, sql, &e) < 0)
		FAIL("%s", e.msg);
	EQ(sqlite3_close(db), SQLITE_OK);
	EQ(reader_check(f->r, note_finding, &found, &e), found.n);
	return found;
}

TEST(a_sound_store_has_no_findings)
{
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	EQ(kit_check(&f.kit), 0);
	fixture_close(&f);
}

TEST(changed_content_is_found)
{
	struct finding found;
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	found = harm(&f, "UPDATE event SET data='{\"x\":2}' WHERE seq=77");
	EQ(found.n, 1);
	EQ(found.seq, 77);
	STR_EQ(found.session, f.log.session);
	OK(strstr(found.what, "chain") != NULL);
	fixture_close(&f);
}

TEST(missing_events_are_found)
{
	struct finding found;
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	found = harm(&f, "DELETE FROM event WHERE seq BETWEEN 10 AND 12");
	EQ(found.n, 1);
	STR_EQ(found.what, "events 10 to 12 are missing");
	fixture_close(&f);
}

TEST(a_cut_tail_and_a_cut_beginning_are_found)
{
	struct finding found;
	struct fixture f;

	fixture_open(&f, STORE_HOST);
	found = harm(&f, "DELETE FROM event WHERE seq>1000");
	EQ(found.n, 1);
	STR_EQ(found.what, "the log ends at event 1000, the session at 1008");
	fixture_close(&f);

	fixture_open(&f, STORE_HOST);
	found = harm(&f, "DELETE FROM event WHERE seq<9");
	EQ(found.n, 1);
	STR_EQ(found.what, "events 1 to 8 are missing");
	fixture_close(&f);

	fixture_open(&f, STORE_GUEST); /* Which may lack what was acked. */
	found = harm(&f, "DELETE FROM event WHERE seq<9");
	EQ(found.n, 0);
	fixture_close(&f);
}

TEST(a_malformed_event_is_found_and_not_given_out)
{
	autojw struct jw out = {0};
	struct event_page p = {.out = &out};
	struct finding found;
	struct fixture f;
	struct err e;

	fixture_open(&f, STORE_HOST);
	found = harm(&f, "UPDATE event SET type='a.b\",\"x\":\"' WHERE seq=5");
	EQ(found.n, 1);
	EQ(found.seq, 5);
	EQ(page(&f, (struct event_query){0}, &p, &e), -EUCLEAN);
	EQ(p.next_since, 4);
	EQ(page(&f, (struct event_query){.since = 5}, &p, &e), 0);
	fixture_close(&f);
}

TEST(a_dangling_row_and_a_broken_page_are_found)
{
	struct finding found;
	struct fixture f;
	struct err e;
	int fd, n;

	fixture_open(&f, STORE_HOST);
	found = harm(&f, "PRAGMA foreign_keys=OFF;"
			 "UPDATE mirror SET session_n=99");
	EQ(found.n, 1);
	STR_EQ(found.what, "a row of mirror refers to a row of session that is "
			   "missing");
	reader_close(f.r);
	f.r = NULL;
	kit_stop(&f.kit);

	fd = open(f.kit.db, O_WRONLY | O_CLOEXEC);
	OK(fd >= 0);
	for (off_t at = 200000; at < 208192; at += 8)
		EQ(pwrite(fd, "\xff\0\xff\0\xff\0\xff\0", 8, at), 8);
	close(fd);
	n = reader_open(f.kit.db, &f.r, &e);
	if (n == 0)
		n = reader_check(f.r, note_finding, &found, &e);
	OK(n == -EUCLEAN || n > 0);
	reader_close(f.r);
	EQ(uv_loop_close(&f.kit.loop), 0);
	kit_remove(&f.kit);
}

TESTS(CASE(a_page_has_the_bytes_that_were_appended),
      CASE(pages_follow_each_other_without_gap_or_repeat),
      CASE(limit_and_bytes_bound_a_page_and_one_event_always_fits),
      CASE(descending_pages_go_back_from_the_end), CASE(since_is_checked),
      CASE(a_removed_prefix_is_told), CASE(types_and_patterns_select),
      CASE(types_that_overlap_give_an_event_once),
      CASE(a_turn_selects_its_events), CASE(unknown_types_are_refused),
      CASE(a_search_without_matches_is_cut_and_goes_on),
      CASE(queries_search_and_never_scan),
      CASE(a_fold_sees_all_and_stops_when_told),
      CASE(briefs_tell_what_routing_needs),
      CASE(rows_are_objects_with_json_inside),
      CASE(a_value_is_the_first_column_or_nothing),
      CASE(an_open_reader_sees_new_commits),
      CASE(reading_leaves_the_file_and_its_log_byte_equal),
      CASE(a_read_only_folder_can_be_read_in_every_condition),
      CASE(what_is_no_store_is_refused), CASE(a_sound_store_has_no_findings),
      CASE(changed_content_is_found), CASE(missing_events_are_found),
      CASE(a_cut_tail_and_a_cut_beginning_are_found),
      CASE(a_malformed_event_is_found_and_not_given_out),
      CASE(a_dangling_row_and_a_broken_page_are_found))
