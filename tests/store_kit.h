/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_kit.h - A store in a fresh folder, and appends that wait, for tests
 */
#ifndef TESTS_STORE_KIT_H
#define TESTS_STORE_KIT_H

#include <stdio.h>
#include <string.h>

#include "core/db.h"
#include "core/reader.h"
#include "core/store.h"
#include "tests/tap.h"

#define KIT_TIME 1763683200000 /* Time of event 0. */

struct kit {
	uv_loop_t loop;
	struct store *store;
	enum store_role role;
	char dir[64], db[96];
};

/* One log that a test writes. */
struct log {
	char session[ID_MAX], turn[ID_MAX];
	int64_t seq, epoch;
};

/* As other programs write to a store: one after the other with its writer. */
static inline sqlite3 *plain_connection(const char *path)
{
	sqlite3 *db;

	EQ(sqlite3_open(path, &db), SQLITE_OK);
	EQ(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
	return db;
}

static inline void kit_start(struct kit *k)
{
	struct err e = {0};

	if (store_open(&k->loop, k->db, k->role, &k->store, &e) < 0)
		FAIL("store_open: %s", e.msg);
}

static inline void kit_open(struct kit *k, enum store_role role)
{
	*k = (struct kit){.role = role, .dir = "/tmp/hib-store-XXXXXX"};
	OK(mkdtemp(k->dir) != NULL);
	snprintf(k->db, sizeof(k->db), "%s/s.db", k->dir);
	EQ(uv_loop_init(&k->loop), 0);
	kit_start(k);
}

static inline void kit_stop(struct kit *k)
{
	store_close(k->store);
	k->store = NULL;
	uv_run(&k->loop, UV_RUN_DEFAULT);
}

static inline void kit_remove(const struct kit *k)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", k->dir);
	EQ(system(cmd), 0);
}

static inline void kit_close(struct kit *k)
{
	kit_stop(k);
	EQ(uv_loop_close(&k->loop), 0);
	kit_remove(k);
}

static inline struct log log_new(void)
{
	struct log l = {.epoch = 1};

	id_new(l.session, "ses");
	return l;
}

/* The event of that number, whatever the log says. */
static inline struct event *log_event(const struct log *l, int64_t seq,
				      const char *type, const char *ctx,
				      const char *data)
{
	struct event *ev = event_new(&(struct event_spec){
		.session = l->session,
		.turn = l->turn,
		.type = type,
		.seq = seq,
		.epoch = l->epoch,
		.ts_ms = KIT_TIME + seq,
		.ctx = ctx,
		.ctx_len = ctx ? strlen(ctx) : 0,
		.data = data,
		.data_len = strlen(data),
	});

	OK(ev != NULL);
	return ev;
}

struct appended {
	bool done;
	int64_t acked;
	struct err e;
};

static inline void kit_on_appended(struct store_batch *b, int64_t acked,
				   const struct err *e)
{
	struct appended *a = b->arg;

	a->done = true;
	a->acked = acked;
	a->e = *e;
}

/* Append @ev and wait; @e may be NULL.  Return: what done() was told. */
static inline int64_t kit_append_list(struct kit *k, const char *session,
				      struct event_list *events, struct err *e)
{
	struct appended a = {0};
	struct store_batch *b = calloc(1, sizeof(*b));

	OK(b != NULL);
	TAILQ_INIT(&b->events);
	TAILQ_CONCAT(&b->events, events, link);
	strcpy(b->session, session);
	b->done = kit_on_appended;
	b->arg = &a;
	store_append(k->store, b);
	while (!a.done)
		uv_run(&k->loop, UV_RUN_ONCE);
	event_list_free(&b->events);
	free(b);
	if (e != NULL)
		*e = a.e;
	return a.acked;
}

static inline int64_t kit_append(struct kit *k, struct event *ev, struct err *e)
{
	struct event_list one = TAILQ_HEAD_INITIALIZER(one);
	char session[ID_MAX];

	strcpy(session, ev->session);
	TAILQ_INSERT_TAIL(&one, ev, link);
	return kit_append_list(k, session, &one, e);
}

/* Write the next event of a log, which must succeed. */
static inline void log_write(struct kit *k, struct log *l, const char *type,
			     const char *ctx, const char *data)
{
	struct err e = {0};
	struct event *ev = log_event(l, l->seq + 1, type, ctx, data);

	if (kit_append(k, ev, &e) != l->seq + 1)
		FAIL("append %s: %s", type, e.msg);
	l->seq++;
}

static inline void log_create(struct kit *k, struct log *l)
{
	log_write(k, l, "session.created", NULL,
		  "{\"vm\":\"vm_0123456789abcdef0123456789abcdef\","
		  "\"agent\":\"echo\",\"cwd\":\"/workspace\","
		  "\"create_hash\":\"00ff\"}");
}

/* Begin a turn: the events up to the running state. */
static inline void log_prompt(struct kit *k, struct log *l, int n)
{
	char data[80];

	id_new(l->turn, "trn");
	log_write(k, l, "input.message", NULL,
		  "{\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}");
	snprintf(data, sizeof(data), "{\"n\":%d,\"first_seq\":%lld}", n,
		 (long long)l->seq);
	log_write(k, l, "turn.started",
		  "{\"input\":\"msg_0123456789abcdef0123456789abcdef\"}", data);
}

/* First column of the first row, as text in a static buffer; "" if none. */
static inline const char *kit_ask(const struct kit *k, const char *sql,
				  const char *arg)
{
	static char answer[4096];
	autoreader struct reader *r = NULL;
	const char *args[] = {arg, NULL};
	char *s = NULL;
	struct err e = {0};

	if (reader_open(k->db, &r, &e) < 0 ||
	    reader_value(r, sql, args, &s, &e) < 0)
		FAIL("%s: %s", sql, e.msg);
	snprintf(answer, sizeof(answer), "%s", s ? s : "");
	free(s);
	return answer;
}

static inline void kit_print_finding(const char *session, int64_t seq,
				     const char *what, void *arg)
{
	(void)arg;
	fprintf(stderr, "# %s %lld: %s\n", session ? session : "file",
		(long long)seq, what);
}

/* The number of findings of reader_check(), each told on stderr. */
static inline int kit_check(const struct kit *k)
{
	autoreader struct reader *r = NULL;
	struct err e = {0};
	int n;

	if (reader_open(k->db, &r, &e) < 0)
		FAIL("%s", e.msg);
	n = reader_check(r, kit_print_finding, NULL, &e);
	if (n < 0)
		FAIL("%s", e.msg);
	return n;
}

#endif
