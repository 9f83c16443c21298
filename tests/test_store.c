// SPDX-License-Identifier: Apache-2.0
/*
 * test_store.c - The log and its writer
 */
#include "core/store.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/store_kit.h"

static const char chunk[] =
	"{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":\"session/update\"}}";

static struct event *update(const struct log *l, int64_t seq)
{
	return log_event(l, seq, "acp.update", NULL, chunk);
}

static struct event *created(const struct log *l)
{
	return log_event(l, 1, "session.created", NULL,
			 "{\"agent\":\"echo\",\"cwd\":\"/\"}");
}

static int64_t last_seq(const struct kit *k, const struct log *l)
{
	return atoll(kit_ask(k, "SELECT last_seq FROM session WHERE id=?1",
			     l->session));
}

static int64_t count(const struct kit *k, const struct log *l)
{
	return atoll(kit_ask(k,
			     "SELECT count(*) FROM event WHERE session_n="
			     "(SELECT n FROM session WHERE id=?1)",
			     l->session));
}

/*
 * Appending.
 */

TEST(what_is_acked_is_there_after_reopening)
{
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	for (int i = 0; i < 5; i++)
		log_write(&k, &l, "acp.update", NULL, chunk);
	kit_stop(&k);
	kit_start(&k);
	EQ(last_seq(&k, &l), 6);
	EQ(count(&k, &l), 6);
	log_write(&k, &l, "acp.update", NULL, chunk);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

/* Of one that was killed while it made a store. */
TEST(half_a_store_is_used_up_by_the_next)
{
	char cmd[192];
	struct kit k;

	kit_open(&k, STORE_GUEST);
	kit_stop(&k);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && rm s.db* && for end in '' -wal -journal; do "
		 "cp /bin/sh s.db.new$end; done",
		 k.dir);
	EQ(system(cmd), 0);
	kit_start(&k);
	snprintf(cmd, sizeof(cmd), "! ls %s | grep new", k.dir);
	EQ(system(cmd), 0);
	kit_close(&k);
}

TEST(a_batch_is_stored_as_a_whole_or_not_at_all)
{
	struct event_list list = TAILQ_HEAD_INITIALIZER(list);
	struct log l = log_new();
	struct event *ev;
	struct kit k;
	struct err e;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	for (int64_t seq = 2; seq < 6; seq++) {
		ev = update(&l, seq == 5 ? 9 : seq);
		TAILQ_INSERT_TAIL(&list, ev, link);
	}
	EQ(kit_append_list(&k, l.session, &list, &e), -FAULT_BAD_FRAME);
	EQ(last_seq(&k, &l), 1);
	EQ(kit_append(&k, update(&l, 2), NULL), 2);
	kit_close(&k);
}

TEST(a_gap_is_refused_and_told_where_the_log_ends)
{
	struct log l = log_new();
	struct kit k;
	struct err e;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	EQ(kit_append(&k, update(&l, 3), &e), -FAULT_BAD_FRAME);
	STR_EQ(e.data, "\"last_seq\":1");
	EQ(last_seq(&k, &l), 1);
	kit_close(&k);
}

TEST(events_stored_before_are_compared_and_dropped)
{
	struct event_list list = TAILQ_HEAD_INITIALIZER(list);
	struct log l = log_new();
	struct event *ev;
	struct kit k;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	for (int64_t seq = 2; seq < 5; seq++)
		EQ(kit_append(&k, update(&l, seq), NULL), seq);
	for (int64_t seq = 2; seq < 8; seq++) {
		ev = update(&l, seq);
		TAILQ_INSERT_TAIL(&list, ev, link);
	}
	EQ(kit_append_list(&k, l.session, &list, NULL), 7);
	EQ(kit_append(&k, update(&l, 4), NULL), 7);
	EQ(count(&k, &l), 7);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

TEST(an_event_that_differs_from_the_stored_one_diverges)
{
	struct log l = log_new();
	struct kit k;
	struct err e;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	log_write(&k, &l, "acp.update", NULL, chunk);
	EQ(kit_append(&k, log_event(&l, 2, "acp.update", NULL, "{}"), &e),
	   -FAULT_CHAIN_DIVERGED);
	EQ(kit_append(&k, log_event(&l, 1, "session.created", NULL, "{}"), &e),
	   -FAULT_ALREADY_EXISTS);
	EQ(count(&k, &l), 2);
	kit_close(&k);
}

struct fresh {
	struct store_batch b;
	int64_t acked;
};

static void on_fresh(struct store_batch *b, int64_t acked, const struct err *e)
{
	(void)e;
	container_of(b, struct fresh, b)->acked = acked;
}

TEST(fresh_only_refuses_what_is_stored)
{
	struct fresh f = {.b = {.done = on_fresh, .fresh_only = true}};
	struct log l = log_new();
	struct event *ev = created(&l);
	struct kit k;

	kit_open(&k, STORE_GUEST);
	EQ(kit_append(&k, created(&l), NULL), 1);
	TAILQ_INIT(&f.b.events);
	TAILQ_INSERT_TAIL(&f.b.events, ev, link);
	strcpy(f.b.session, l.session);
	store_append(k.store, &f.b);
	uv_run(&k.loop, UV_RUN_DEFAULT);
	EQ(f.acked, -EEXIST);
	event_list_free(&f.b.events);
	kit_close(&k);
}

TEST(an_unknown_session_begins_with_created)
{
	struct log l = log_new();
	struct kit k;
	struct err e;

	kit_open(&k, STORE_GUEST);
	EQ(kit_append(&k, update(&l, 1), &e), -FAULT_SESSION_NOT_FOUND);
	EQ(kit_append(&k, update(&l, 7), &e), -FAULT_SESSION_NOT_FOUND);
	EQ(kit_append(&k, log_event(&l, 2, "session.created", NULL, "{}"), &e),
	   -FAULT_SESSION_NOT_FOUND);
	EQ(kit_append(&k, created(&l), &e), 1);
	kit_close(&k);
}

TEST(an_event_of_another_session_in_a_batch_is_refused)
{
	struct event_list list = TAILQ_HEAD_INITIALIZER(list);
	struct log a = log_new(), b = log_new();
	struct event *ev;
	struct kit k;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &a);
	log_create(&k, &b);
	ev = update(&b, 2);
	TAILQ_INSERT_TAIL(&list, ev, link);
	EQ(kit_append_list(&k, a.session, &list, NULL), -FAULT_BAD_FRAME);
	EQ(last_seq(&k, &a), 1);
	EQ(last_seq(&k, &b), 1);
	kit_close(&k);
}

TEST(what_the_schema_refuses_is_a_bad_frame)
{
	struct log l = log_new();
	struct kit k;
	struct err e;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	id_new(l.turn, "trn");
	EQ(kit_append(
		   &k,
		   log_event(&l, l.seq + 1, "turn.started", NULL, "{\"n\":2}"),
		   &e),
	   -FAULT_BAD_FRAME);
	OK(strstr(e.msg, "turn.started") != NULL);
	EQ(last_seq(&k, &l), 3);
	log_write(&k, &l, "acp.update", NULL, chunk);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

/*
 * Epochs.
 */

struct claimed {
	bool done;
	int64_t epoch;
};

static void on_claimed(int64_t epoch, const struct err *e, void *arg)
{
	struct claimed *c = arg;

	(void)e;
	c->done = true;
	c->epoch = epoch;
}

static int64_t claim(struct kit *k, const struct log *l, int64_t epoch)
{
	struct claimed c = {0};

	EQ(store_claim(k->store, l->session, epoch, on_claimed, &c), 0);
	OK(!c.done);
	while (!c.done)
		uv_run(&k->loop, UV_RUN_ONCE);
	return c.epoch;
}

TEST(an_older_epoch_may_not_write)
{
	struct log l = log_new();
	struct kit k;
	struct err e;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	EQ(claim(&k, &l, 3), 3);
	EQ(kit_append(&k, update(&l, 2), &e), -FAULT_STALE_EPOCH);
	EQ(claim(&k, &l, 3), -FAULT_STALE_EPOCH);
	EQ(claim(&k, &l, 2), -FAULT_STALE_EPOCH);
	l.epoch = 3;
	EQ(kit_append(&k, update(&l, 2), &e), 2);
	kit_close(&k);
}

TEST(an_event_of_a_newer_epoch_raises_it)
{
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	l.epoch = 5;
	EQ(kit_append(&k, update(&l, 2), NULL), 2);
	STR_EQ(kit_ask(&k, "SELECT epoch FROM session WHERE id=?1", l.session),
	       "5");
	l.epoch = 4;
	EQ(kit_append(&k, update(&l, 3), NULL), -FAULT_STALE_EPOCH);
	kit_close(&k);
}

TEST(claiming_an_unknown_session_says_so)
{
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_HOST);
	EQ(claim(&k, &l, 3), -FAULT_SESSION_NOT_FOUND);
	EQ(store_claim(k.store, "ses_1", 2, on_claimed, NULL),
	   -FAULT_INVALID_ID);
	kit_close(&k);
}

/*
 * The writer.
 */

struct traced {
	struct store_batch b;
	struct trace *trace;
};

struct trace {
	int n_done, n_told;
	int64_t last_acked, last_told;
	int64_t failed;
};

static void on_told(const struct store_batch *b, void *arg)
{
	struct trace *t = arg;
	const struct event *ev;

	TAILQ_FOREACH (ev, &b->events, link) {
		EQ(ev->seq, t->last_told + 1);
		t->last_told = ev->seq;
		t->n_told++;
	}
}

static void on_traced(struct store_batch *b, int64_t acked, const struct err *e)
{
	struct traced *s = container_of(b, struct traced, b);
	struct trace *t = s->trace;

	(void)e;
	t->n_done++;
	if (acked < 0) {
		t->failed = acked;
	} else {
		EQ(acked, t->last_told);
		OK(acked > t->last_acked);
		t->last_acked = acked;
	}
	event_list_free(&b->events);
	free(s);
}

static void queue(struct kit *k, struct trace *t, struct event *ev)
{
	struct traced *s = calloc(1, sizeof(*s));

	OK(s != NULL);
	s->trace = t;
	s->b.done = on_traced;
	TAILQ_INIT(&s->b.events);
	TAILQ_INSERT_TAIL(&s->b.events, ev, link);
	strcpy(s->b.session, ev->session);
	store_append(k->store, &s->b);
}

TEST(subscriber_hears_in_order_and_before_done)
{
	struct trace t = {0};
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_GUEST);
	store_subscribe(k.store, on_told, &t);
	queue(&k, &t, created(&l));
	for (int64_t seq = 2; seq <= 1000; seq++)
		queue(&k, &t, update(&l, seq));
	EQ(t.n_done, 0); /* Nothing is called back before the loop runs. */
	uv_run(&k.loop, UV_RUN_DEFAULT);
	EQ(t.n_done, 1000);
	EQ(t.n_told, 1000);
	EQ(t.last_acked, 1000);
	EQ(store_queued(k.store), 0);
	kit_close(&k);
}

TEST(a_job_that_fails_undoes_itself_alone)
{
	struct trace good = {0}, bad = {0};
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_GUEST);
	for (int64_t seq = 1; seq <= 200; seq++) {
		struct log other = log_new();

		queue(&k, &good, seq == 1 ? created(&l) : update(&l, seq));
		queue(&k, &bad, update(&other, 1));
	}
	store_subscribe(k.store, on_told, &good);
	uv_run(&k.loop, UV_RUN_DEFAULT);
	EQ(good.n_done, 200);
	EQ(good.last_acked, 200);
	EQ(good.failed, 0);
	EQ(bad.n_done, 200);
	EQ(bad.failed, -FAULT_SESSION_NOT_FOUND);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

TEST(queued_bytes_are_those_not_yet_committed)
{
	struct trace t = {0};
	struct log l = log_new();
	struct event *ev = created(&l);
	size_t len = ev->len;
	struct kit k;

	kit_open(&k, STORE_GUEST);
	EQ(store_queued(k.store), 0);
	store_subscribe(k.store, on_told, &t);
	queue(&k, &t, ev);
	OK(store_queued(k.store) == len || store_queued(k.store) == 0);
	uv_run(&k.loop, UV_RUN_DEFAULT);
	EQ(store_queued(k.store), 0);
	kit_close(&k);
}

TEST(closing_writes_and_tells_what_is_queued)
{
	struct trace t = {0};
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_GUEST);
	store_subscribe(k.store, on_told, &t);
	queue(&k, &t, created(&l));
	for (int64_t seq = 2; seq <= 300; seq++)
		queue(&k, &t, update(&l, seq));
	kit_stop(&k);
	EQ(t.n_done, 300);
	kit_start(&k);
	EQ(last_seq(&k, &l), 300);
	kit_close(&k);
}

struct closer {
	struct store_job job;
	struct kit *kit;
};

static int run_nothing(sqlite3 *db, struct store_job *j, struct err *e)
{
	(void)db;
	(void)j;
	(void)e;
	return 0;
}

static void close_in_done(struct store_job *j, const struct err *e)
{
	struct closer *c = container_of(j, struct closer, job);

	EQ(e->code, 0);
	store_close(c->kit->store);
	c->kit->store = NULL;
}

TEST(a_callback_may_close_the_store)
{
	struct trace t = {0};
	struct log l = log_new();
	struct kit k;
	struct closer c = {.job = {.run = run_nothing, .done = close_in_done},
			   .kit = &k};

	kit_open(&k, STORE_GUEST);
	store_subscribe(k.store, on_told, &t);
	queue(&k, &t, created(&l));
	store_submit(k.store, &c.job);
	for (int64_t seq = 2; seq <= 50; seq++)
		queue(&k, &t, update(&l, seq));
	uv_run(&k.loop, UV_RUN_DEFAULT);
	EQ(t.n_done, 50);
	OK(k.store == NULL);
	kit_close(&k);
}

TEST(an_idle_store_does_not_keep_the_loop_alive)
{
	struct kit k;

	kit_open(&k, STORE_GUEST);
	EQ(uv_run(&k.loop, UV_RUN_DEFAULT), 0);
	kit_close(&k);
}

/* What a job can do to the rows of others, it can only do by SQL. */
static int run_bad_sql(sqlite3 *db, struct store_job *j, struct err *e)
{
	(void)j;
	return db_exec(db, "INSERT INTO meta VALUES('k','v'); SELEKT", e);
}

static void see_failure(struct store_job *j, const struct err *e)
{
	(void)j;
	EQ(e->code, -FAULT_STORE_ERROR);
	OK(strstr(e->msg, "SELEKT") != NULL);
}

TEST(a_lone_job_that_fails_leaves_nothing)
{
	struct store_job j = {.run = run_bad_sql, .done = see_failure};
	struct kit k;

	kit_open(&k, STORE_GUEST);
	store_submit(k.store, &j);
	uv_run(&k.loop, UV_RUN_DEFAULT);
	STR_EQ(kit_ask(&k, "SELECT count(*) FROM meta", NULL), "0");
	kit_close(&k);
}

/*
 * Opening.
 */

static void opens_with(const char *path, enum store_role role, int want)
{
	struct store *s = NULL;
	struct err e = {0};
	uv_loop_t loop;

	EQ(uv_loop_init(&loop), 0);
	if (store_open(&loop, path, role, &s, &e) != want)
		FAIL("%s: got %d (%s), want %d", path, e.code, e.msg, want);
	OK(want == 0 || strstr(e.msg, path) != NULL);
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&loop), 0);
}

TEST(foreign_and_newer_files_are_refused)
{
	struct kit k;
	sqlite3 *db;
	FILE *f;

	kit_open(&k, STORE_GUEST);
	kit_stop(&k);
	opens_with(k.db, STORE_HOST, -EUCLEAN);
	opens_with(k.db, STORE_GUEST, 0);

	EQ(sqlite3_open(k.db, &db), SQLITE_OK);
	EQ(db_exec(db, "PRAGMA user_version=99", NULL), 0);
	EQ(sqlite3_close(db), SQLITE_OK);
	opens_with(k.db, STORE_GUEST, -EUCLEAN);

	EQ(unlink(k.db), 0);
	EQ(sqlite3_open(k.db, &db), SQLITE_OK);
	EQ(db_exec(db, "CREATE TABLE t(a)", NULL), 0);
	EQ(sqlite3_close(db), SQLITE_OK);
	opens_with(k.db, STORE_GUEST, -EUCLEAN);

	f = fopen(k.db, "w");
	OK(f != NULL);
	for (int i = 0; i < 1000; i++)
		fputs("no database ", f);
	fclose(f);
	opens_with(k.db, STORE_GUEST, -EUCLEAN);
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

TEST(a_missing_folder_is_not_made)
{
	opens_with("/tmp/hib-no-such-folder/s.db", STORE_GUEST, -ENOENT);
}

TEST(an_empty_file_becomes_a_store)
{
	struct kit k;
	int fd;

	kit_open(&k, STORE_HOST);
	kit_stop(&k);
	EQ(unlink(k.db), 0);
	fd = open(k.db, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	OK(fd >= 0);
	close(fd);
	opens_with(k.db, STORE_HOST, 0);
	EQ(kit_check(&k), 0);
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

TEST(a_new_store_is_private_and_complete)
{
	struct stat st;
	struct kit k;
	char cmd[128];

	kit_open(&k, STORE_HOST);
	EQ(stat(k.db, &st), 0);
	EQ(st.st_mode & 0777, 0600);
	EQ(kit_check(&k), 0);
	STR_EQ(kit_ask(&k, "PRAGMA page_size", NULL), "8192");
	kit_stop(&k);
	snprintf(cmd, sizeof(cmd), "test \"$(ls %s | grep -v ballast)\" = s.db",
		 k.dir);
	EQ(system(cmd), 0); /* No temporary file is left. */
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

/*
 * What triggers keep, whoever writes.
 */

static void shell_fails(const struct kit *k, const char *sql, const char *why)
{
	sqlite3 *db = plain_connection(k->db);
	char *msg = NULL;

	EQ(sqlite3_exec(db, "PRAGMA recursive_triggers=ON", NULL, NULL, NULL),
	   SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &msg) == SQLITE_OK)
		FAIL("done: %s", sql);
	STR_EQ(msg, why);
	sqlite3_free(msg);
	EQ(sqlite3_close(db), SQLITE_OK);
}

TEST(a_plain_connection_cannot_change_events)
{
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_HOST);
	log_create(&k, &l);
	log_write(&k, &l, "acp.update", NULL, chunk);
	shell_fails(&k, "UPDATE event SET data='{}'", "event: immutable");
	shell_fails(&k, "UPDATE event SET seq=7 WHERE seq=2",
		    "event: immutable");
	shell_fails(&k, "DELETE FROM event", "event: append-only");
	shell_fails(&k, "DELETE FROM event WHERE seq=2", "event: append-only");
	shell_fails(
		&k,
		"INSERT INTO event(session_n,seq,epoch,ts_ms,type,data,chain)"
		" VALUES(1,4,1,0,'a.b','{}',0)",
		"event: sequence gap");
	shell_fails(
		&k,
		"INSERT INTO event(session_n,seq,epoch,ts_ms,type,data,chain)"
		" VALUES(1,2,1,0,'a.b','{}',0)",
		"event: sequence gap");
	shell_fails(
		&k,
		"INSERT INTO event(session_n,seq,epoch,ts_ms,type,data,chain)"
		" VALUES(9,1,1,0,'a.b','{}',0)",
		"event: sequence gap");
	shell_fails(&k,
		    "INSERT OR REPLACE INTO event(id,session_n,seq,epoch,ts_ms,"
		    "type,data,chain) VALUES(2,1,3,1,0,'a.b','{}',0)",
		    "event: append-only");
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

/*
 * Purging.
 */

#define MARKER "Xyzzymarkerplugh"

struct purged {
	bool done;
	int code;
};

static void on_purged(const struct err *e, void *arg)
{
	struct purged *p = arg;

	p->done = true;
	p->code = e->code;
}

static int purge(struct kit *k, const struct log *l)
{
	struct purged p = {0};

	EQ(store_purge(k->store, l->session, on_purged, &p), 0);
	while (!p.done)
		uv_run(&k->loop, UV_RUN_ONCE);
	return p.code;
}

/* Is the marker in any file of the folder? */
static bool is_marked(const struct kit *k)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "grep -rqai %s %s", MARKER, k->dir);
	return system(cmd) == 0;
}

struct sql_job {
	struct store_job job;
	const char *sql, *session;
	bool done;
};

static int run_sql(sqlite3 *db, struct store_job *j, struct err *e)
{
	struct sql_job *s = container_of(j, struct sql_job, job);

	return db_run(db, e, s->sql, "s", s->session);
}

static void on_sql(struct store_job *j, const struct err *e)
{
	if (e->code < 0)
		FAIL("%s", e->msg);
	container_of(j, struct sql_job, job)->done = true;
}

static void run_as_job(struct kit *k, const char *sql, const char *session)
{
	struct sql_job s = {.job = {.run = run_sql, .done = on_sql},
			    .sql = sql,
			    .session = session};

	store_submit(k->store, &s.job);
	while (!s.done)
		uv_run(&k->loop, UV_RUN_ONCE);
}

/* A session with a row, holding the marker, in all tables. */
static struct log fill_session(struct kit *k)
{
	struct log l = log_new();

	log_write(k, &l, "session.created", NULL,
		  "{\"agent\":\"" MARKER "\",\"config\":{\"a\":\"" MARKER
		  "\"}}");
	log_prompt(k, &l, 1);
	log_write(k, &l, "input.message", NULL,
		  "{\"content\":[{\"type\":\"text\",\"text\":\"" MARKER
		  "\"}]}");
	log_write(k, &l, "permission.requested",
		  "{\"req\":\"req_0123456789abcdef0123456789abcdef\"}",
		  "{\"x\":\"" MARKER "\"}");
	log_write(k, &l, "turn.diff", NULL,
		  "{\"files\":[{\"path\":\"" MARKER "\",\"kind\":\"add\"}]}");
	log_write(k, &l, "memory.set", NULL,
		  "{\"key\":\"k\",\"value\":\"" MARKER "\"}");
	log_write(k, &l, "summary.created", NULL,
		  "{\"from_seq\":1,\"to_seq\":2,\"text\":\"" MARKER "\"}");
	for (int i = 0; i < 300; i++)
		log_write(k, &l, "acp.update", NULL,
			  "{\"msg\":\"" MARKER " and more of it\"}");
	run_as_job(k, "INSERT INTO kv VALUES(?1, 'k', '" MARKER "', 0, 0)",
		   l.session);
	return l;
}

TEST(a_purged_host_session_leaves_no_byte)
{
	struct log kept = log_new(), l;
	struct kit k;

	kit_open(&k, STORE_HOST);
	log_create(&k, &kept);
	l = fill_session(&k);
	run_as_job(&k,
		   "INSERT INTO search_doc(session_n, first_seq, last_seq,"
		   " ts_ms, role, text) SELECT n, 1, 1, 0, 'user',"
		   " 'words " MARKER " words' FROM session WHERE id=?1",
		   l.session);
	run_as_job(&k,
		   "INSERT INTO search(rowid, text) SELECT d.id, d.text"
		   " FROM search_doc d JOIN session s ON s.n=d.session_n"
		   " WHERE s.id=?1",
		   l.session);
	run_as_job(&k, "INSERT INTO cursor VALUES(?1, '" MARKER "', 1, 0)",
		   l.session);
	run_as_job(&k,
		   "INSERT INTO secret VALUES(?1, 'n', x'00',"
		   " CAST('" MARKER "' AS BLOB), 0, 0)",
		   l.session);
	run_as_job(&k,
		   "INSERT INTO token VALUES(CAST('" MARKER "' AS BLOB), ?1,"
		   " 'read', 0, 0)",
		   l.session);
	OK(is_marked(&k));
	EQ(purge(&k, &l), 0);
	OK(!is_marked(&k));
	EQ(purge(&k, &l), -FAULT_SESSION_NOT_FOUND);
	STR_EQ(kit_ask(&k, "SELECT count(*) FROM session", NULL), "1");
	log_write(&k, &kept, "acp.update", NULL, chunk);
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

TEST(a_purged_guest_session_leaves_no_byte)
{
	struct log l;
	struct kit k;

	kit_open(&k, STORE_GUEST);
	l = fill_session(&k);
	run_as_job(&k,
		   "INSERT INTO memory_shared VALUES(?1, 'a', '" MARKER
		   "', '{}', 1, 0, 0)",
		   l.session);
	run_as_job(&k, "INSERT INTO sync VALUES(?1, 1, 0)", l.session);
	OK(is_marked(&k));
	EQ(purge(&k, &l), 0);
	OK(!is_marked(&k));
	EQ(kit_check(&k), 0);

	/* The same id may begin anew. */
	l.seq = 0;
	l.turn[0] = '\0';
	log_create(&k, &l);
	kit_close(&k);
}

TEST(a_reader_in_the_way_only_delays_the_truncation)
{
	sqlite3_stmt *q = NULL;
	sqlite3 *other;
	struct log l;
	struct kit k;

	kit_open(&k, STORE_GUEST);
	l = fill_session(&k);
	EQ(sqlite3_open(k.db, &other), SQLITE_OK);
	EQ(db_prepare(other, &q, NULL, "SELECT data FROM event", ""), 0);
	EQ(db_step(q, NULL), 1);
	EQ(purge(&k, &l), 0);
	OK(is_marked(&k));
	sqlite3_finalize(q);
	EQ(sqlite3_close(other), SQLITE_OK);
	for (int i = 0; i < 100 && is_marked(&k); i++)
		usleep(50000);
	OK(!is_marked(&k));
	kit_close(&k);
}

/*
 * A full disk: a small tmpfs in a mount namespace of our own.
 */

static bool mount_small(const char *dir)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", dir, "tmpfs", 0, "size=12m") < 0) {
		fprintf(stderr, "# SKIP cannot mount a tmpfs: %s\n",
			strerror(errno));
		return false;
	}
	return true;
}

static bool has_ballast(const struct kit *k)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.ballast", k->db);
	return access(path, F_OK) == 0;
}

static void fill_disk(const struct kit *k, const char *name)
{
	static char block[65536];
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	OK(fd >= 0);
	for (size_t n = sizeof(block); n > 0;)
		if (write(fd, block, n) < (ssize_t)n)
			n /= 2;
	close(fd);
}

static struct event *big(const struct log *l, int64_t seq)
{
	size_t n = 1800000; /* More than HEADROOM_BYTES and a half. */
	char *data = malloc(n + 16), *p = data;
	struct event *ev;

	OK(data != NULL);
	p = stpcpy(p, "{\"s\":\"");
	memset(p, 'x', n);
	strcpy(p + n, "\"}");
	ev = log_event(l, seq, "acp.update", NULL, data);
	free(data);
	return ev;
}

TEST(F119_a_full_disk_is_told_and_leaves_room_to_say_so)
{
	struct log l = log_new();
	char cmd[128];
	struct kit k;
	struct err e;

	kit_open(&k, STORE_GUEST);
	kit_stop(&k);
	if (!mount_small(k.dir)) {
		EQ(uv_loop_close(&k.loop), 0);
		kit_remove(&k);
		return;
	}
	kit_start(&k);
	log_create(&k, &l);
	OK(has_ballast(&k));
	fill_disk(&k, "filler");

	/* Too much for what the log has left, then for the ballast. */
	EQ(kit_append(&k, big(&l, 2), &e), -ENOSPC);
	OK(!has_ballast(&k));
	EQ(err_fault(e.code), FAULT_DISK_FULL);
	EQ(last_seq(&k, &l), 1);

	log_write(&k, &l, "session.error", NULL, "{\"code\":\"disk_full\"}");
	log_write(&k, &l, "session.state", NULL,
		  "{\"from\":\"starting\",\"to\":\"suspended\"}");
	OK(!has_ballast(&k));
	EQ(kit_check(&k), 0);

	/* With room again, the ballast comes back. */
	snprintf(cmd, sizeof(cmd), "rm %s/filler", k.dir);
	EQ(system(cmd), 0);
	EQ(kit_append(&k, big(&l, l.seq + 1), &e), l.seq + 1);
	for (int i = 0; i < 100 && !has_ballast(&k); i++)
		usleep(20000);
	OK(has_ballast(&k));
	kit_stop(&k);
	kit_start(&k);
	EQ(count(&k, &l), 4);
	EQ(kit_check(&k), 0);
	kit_stop(&k);
	EQ(umount2(k.dir, MNT_DETACH), 0);
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

TESTS(CASE(what_is_acked_is_there_after_reopening),
      CASE(half_a_store_is_used_up_by_the_next),
      CASE(a_batch_is_stored_as_a_whole_or_not_at_all),
      CASE(a_gap_is_refused_and_told_where_the_log_ends),
      CASE(events_stored_before_are_compared_and_dropped),
      CASE(an_event_that_differs_from_the_stored_one_diverges),
      CASE(fresh_only_refuses_what_is_stored),
      CASE(an_unknown_session_begins_with_created),
      CASE(an_event_of_another_session_in_a_batch_is_refused),
      CASE(what_the_schema_refuses_is_a_bad_frame),
      CASE(an_older_epoch_may_not_write),
      CASE(an_event_of_a_newer_epoch_raises_it),
      CASE(claiming_an_unknown_session_says_so),
      CASE(subscriber_hears_in_order_and_before_done),
      CASE(a_job_that_fails_undoes_itself_alone),
      CASE(queued_bytes_are_those_not_yet_committed),
      CASE(closing_writes_and_tells_what_is_queued),
      CASE(a_callback_may_close_the_store),
      CASE(an_idle_store_does_not_keep_the_loop_alive),
      CASE(a_lone_job_that_fails_leaves_nothing),
      CASE(foreign_and_newer_files_are_refused),
      CASE(a_missing_folder_is_not_made), CASE(an_empty_file_becomes_a_store),
      CASE(a_new_store_is_private_and_complete),
      CASE(a_plain_connection_cannot_change_events),
      CASE(a_purged_host_session_leaves_no_byte),
      CASE(a_purged_guest_session_leaves_no_byte),
      CASE(a_reader_in_the_way_only_delays_the_truncation),
      CASE(F119_a_full_disk_is_told_and_leaves_room_to_say_so))
