// SPDX-License-Identifier: Apache-2.0
/*
 * store.c - The event log of many sessions in one SQLite file, and its writer
 *
 *	loop thread                         writer thread
 *	store_submit -> queued ----------->  takes all that is queued
 *	                                     BEGIN, each job's run, COMMIT
 *	on_done <------ uv_async <-- done <- the group, with results
 *	  each job's done, in order          checkpoint, if due
 *
 * Both lists are under one mutex, and nothing else is shared: the connection
 * belongs to the writer thread from store_open() to store_close().
 *
 * Jobs seldom fail, and savepoints cost more than the jobs themselves.  So a
 * group runs without them first.  When a job fails, the group is undone and runs
 * again, each job under a savepoint now, so that one that fails undoes itself
 * alone.  When the transaction as a whole fails (the disk is full, or broken),
 * every job of the group is told so: none of them is stored, whatever its own
 * run said.
 *
 * The write-ahead log is copied back by us, after a group was handed over, and
 * not by SQLite inside of COMMIT, where the group would wait for it.  It is given
 * more room when nothing has come for QUIET_MS, so that no group waits for that.
 *
 * A purge is done only when the log, too, has forgotten: it is truncated after
 * the commit.  A reader of another process can be in the way; then it is tried
 * again after each commit and each PURGE_RETRY_MS.
 */
#include "core/store.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/append.h"
#include "core/ballast.h"
#include "core/db.h"
#include "core/fork.h"
#include "core/headroom.h"
#include "core/purge.h"
#include "core/rekey.h"

#define WRITER_STACK	 (512u << 10)
#define CHECKPOINT_PAGES 1000	     /* Of the log; 8 MiB. */
#define LOG_PAGE_BYTES	 (24 + 8192) /* With the head of its frame. */
#define BUSY_MS		 5000	     /* As db.c sets it. */
#define PURGE_RETRY_MS	 1000
#define QUIET_MS	 10 /* Then it is time to make room in the log. */

STAILQ_HEAD(job_list, store_job);

enum control { BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, UNDO };

static const char *const control_sql[] = {
	[BEGIN] = "BEGIN IMMEDIATE", [COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",     [SAVEPOINT] = "SAVEPOINT job",
	[RELEASE] = "RELEASE job",   [UNDO] = "ROLLBACK TO job",
};

struct store {
	/* The loop's side. */
	uv_async_t async;
	enum store_role role;
	unsigned pending; /* Jobs submitted and not yet done. */
	void (*subscriber)(const struct store_batch *b, void *arg);
	void *subscriber_arg;
	struct job_list delivering;
	pthread_t thread;

	/* Between both. */
	pthread_mutex_t lock;
	pthread_cond_t wake;	/* For the writer: queued, or stop. */
	pthread_cond_t settled; /* For store_close(): a group is done. */
	struct job_list queued, done;
	bool stop;
	atomic_size_t queued_bytes;

	/* The writer's side. */
	sqlite3 *db;
	struct append append;
	struct ballast ballast;
	bool disk_full;	     /* A job of this group said so. */
	bool job_failed;     /* Not the transaction as a whole. */
	int log_pages;	     /* Of the write-ahead log after the last commit. */
	bool log_has_ghosts; /* Purged rows are still in it. */
	bool room_due;	     /* Something was written since it had room. */
};

/*
 * The writer thread.
 */

static int control(struct store *s, enum control what, struct err *e)
{
	return db_cache_run(&s->append.cache, e, control_sql[what], "");
}

/* SQLite itself ends a transaction that cannot go on. */
static bool in_transaction(const struct store *s)
{
	return sqlite3_get_autocommit(s->db) == 0;
}

static void roll_back(struct store *s, bool had_ghosts)
{
	if (in_transaction(s))
		(void)control(s, ROLLBACK, NULL);
	append_forget(&s->append);
	s->log_has_ghosts = had_ghosts;
}

static void clear(struct err *e)
{
	e->code = 0;
	e->msg[0] = e->data[0] = '\0';
}

static int run_job(struct store *s, struct store_job *j)
{
	int r;

	clear(&j->err);
	r = j->run(s->db, j, &j->err);
	if (r >= 0)
		clear(&j->err);
	else if (j->err.code != r)
		err_set(&j->err, r, "store: a job failed");
	s->disk_full |= r == -ENOSPC;
	return r < 0 ? r : 0;
}

/* Return: 0, also when the job failed and undid itself; an error that ends the
 * whole group. */
static int run_guarded(struct store *s, struct store_job *j)
{
	int r = control(s, SAVEPOINT, &j->err);

	if (r < 0)
		return r;
	r = run_job(s, j);
	if (!in_transaction(s))
		return r;
	if (r < 0) {
		append_forget(&s->append);
		r = control(s, UNDO, &j->err);
	}
	return r < 0 ? r : control(s, RELEASE, &j->err);
}

static int run_group(struct store *s, struct job_list *group, bool guarded,
		     struct err *e)
{
	struct store_job *j;
	int r = control(s, BEGIN, e);

	s->job_failed = false;
	if (r < 0)
		return r;
	STAILQ_FOREACH (j, group, link) {
		r = guarded ? run_guarded(s, j) : run_job(s, j);
		if (r < 0) {
			s->job_failed = true;
			*e = j->err;
			return r;
		}
	}
	r = control(s, COMMIT, e);
	return r < 0 ? r : 0;
}

static void fail_all(struct job_list *group, const struct err *e)
{
	struct store_job *j;

	STAILQ_FOREACH (j, group, link)
		j->err = *e;
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store *s = arg;

	(void)db;
	(void)name;
	s->log_pages = pages;
	return SQLITE_OK;
}

/* Empty the log, so that no byte of a purged row is left in it. */
static void banish_ghosts(struct store *s, int wait_ms)
{
	(void)sqlite3_busy_timeout(s->db, wait_ms);
	if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
				      NULL, NULL) == SQLITE_OK) {
		s->log_has_ghosts = false;
		s->log_pages = 0;
	}
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
}

static bool is_single(const struct job_list *group)
{
	return STAILQ_NEXT(STAILQ_FIRST(group), link) == NULL;
}

static void commit_group(struct store *s, struct job_list *group)
{
	struct err e = {0};
	bool had_ghosts = s->log_has_ghosts;
	int r;

	s->disk_full = false;
	r = run_group(s, group, false, &e);
	if (r < 0)
		roll_back(s, had_ghosts);
	if (r < 0 && s->job_failed && !is_single(group)) {
		r = run_group(s, group, true, &e);
		if (r < 0)
			roll_back(s, had_ghosts);
	}
	if (r < 0)
		fail_all(group, &e);
	if (r == -ENOSPC || s->disk_full)
		ballast_drop(&s->ballast);
	if (s->log_has_ghosts)
		banish_ghosts(s, had_ghosts ? 0 : STORE_PURGE_WAIT_MS);
}

/* What can wait until the group was handed over. */
static void tidy(struct store *s)
{
	if (!s->disk_full)
		ballast_hold(&s->ballast);
	if (s->log_pages < CHECKPOINT_PAGES)
		return;
	s->log_pages = 0;
	(void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
					NULL, NULL);
}

static size_t group_bytes(const struct job_list *group)
{
	struct store_job *j;
	size_t n = 0;

	STAILQ_FOREACH (j, group, link)
		n += j->bytes;
	return n;
}

static void hand_over(struct store *s, struct job_list *group)
{
	atomic_fetch_sub(&s->queued_bytes, group_bytes(group));
	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&s->done, group);
	pthread_cond_signal(&s->settled);
	pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->async);
}

static void make_room(struct store *s)
{
	s->room_due = false;
	if (!ballast_is_held(&s->ballast))
		return; /* The disk may be full. */
	(void)sqlite3_busy_timeout(s->db, 0);
	headroom_make(s->db, (size_t)s->log_pages * LOG_PAGE_BYTES,
		      CHECKPOINT_PAGES * LOG_PAGE_BYTES);
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
}

/* With the lock held.  Return: whether nothing came for so long. */
static bool stays_quiet(struct store *s, long ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_cond_timedwait(&s->wake, &s->lock, &until) == ETIMEDOUT;
}

/* With the lock held: until there is work, or it was time for something else. */
static void wait_for_work(struct store *s)
{
	if (!s->room_due && !s->log_has_ghosts) {
		pthread_cond_wait(&s->wake, &s->lock);
		return;
	}
	if (!stays_quiet(s, s->room_due ? QUIET_MS : PURGE_RETRY_MS))
		return;
	pthread_mutex_unlock(&s->lock);
	if (s->room_due)
		make_room(s);
	else
		banish_ghosts(s, 0);
	pthread_mutex_lock(&s->lock);
}

/* Return: false when the store closes and everything is written. */
static bool take_group(struct store *s, struct job_list *group)
{
	STAILQ_INIT(group);
	pthread_mutex_lock(&s->lock);
	while (STAILQ_EMPTY(&s->queued) && !s->stop)
		wait_for_work(s);
	STAILQ_CONCAT(group, &s->queued);
	pthread_mutex_unlock(&s->lock);
	return !STAILQ_EMPTY(group);
}

static void *writer(void *arg)
{
	struct store *s = arg;
	struct job_list group;

	tidy(s);
	s->room_due = true;
	while (take_group(s, &group)) {
		commit_group(s, &group);
		hand_over(s, &group);
		tidy(s);
		s->room_due = true;
	}
	if (s->log_has_ghosts)
		banish_ghosts(s, STORE_PURGE_WAIT_MS);
	return NULL;
}

/*
 * The loop.
 */

/* Run the callbacks of all groups that have come back.  One of them may close
 * the store, which comes here again. */
static void deliver(struct store *s)
{
	struct store_job *j;

	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&s->delivering, &s->done);
	pthread_mutex_unlock(&s->lock);

	while ((j = STAILQ_FIRST(&s->delivering)) != NULL) {
		struct err e = j->err; /* done() may free the job. */

		STAILQ_REMOVE_HEAD(&s->delivering, link);
		s->pending--;
		j->done(j, &e);
	}
	if (s->pending == 0)
		uv_unref((uv_handle_t *)&s->async);
}

static void on_async(uv_async_t *async)
{
	deliver(container_of(async, struct store, async));
}

void store_submit(struct store *s, struct store_job *j)
{
	if (s->pending++ == 0)
		uv_ref((uv_handle_t *)&s->async);
	atomic_fetch_add(&s->queued_bytes, j->bytes);
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->queued, j, link);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

size_t store_queued(const struct store *s)
{
	return atomic_load(&s->queued_bytes);
}

void store_subscribe(struct store *s,
		     void (*cb)(const struct store_batch *b, void *arg),
		     void *arg)
{
	s->subscriber = cb;
	s->subscriber_arg = arg;
}

/*
 * Appending.
 */

static int append_run(sqlite3 *db, struct store_job *j, struct err *e)
{
	struct store_batch *b = container_of(j, struct store_batch, job);

	(void)db;
	return append_batch(&b->store->append, b, e);
}

static void drop_stored_before(struct store_batch *b)
{
	for (; b->n_stored_before > 0; b->n_stored_before--) {
		struct event *ev = TAILQ_FIRST(&b->events);

		TAILQ_REMOVE(&b->events, ev, link);
		free(ev);
	}
}

static void append_done_cb(struct store_job *j, const struct err *e)
{
	struct store_batch *b = container_of(j, struct store_batch, job);
	struct store *s = b->store;

	if (e->code < 0) {
		b->done(b, e->code, e);
		return;
	}
	drop_stored_before(b);
	if (s->subscriber != NULL && !TAILQ_EMPTY(&b->events))
		s->subscriber(b, s->subscriber_arg);
	b->done(b, b->acked, e);
}

void store_append(struct store *s, struct store_batch *b)
{
	const struct event *ev;

	b->store = s;
	b->n_stored_before = 0;
	b->job = (struct store_job){.run = append_run, .done = append_done_cb};
	TAILQ_FOREACH (ev, &b->events, link)
		b->job.bytes += ev->len;
	store_submit(s, &b->job);
}

static int fork_run(sqlite3 *db, struct store_job *j, struct err *e)
{
	struct store_fork *f = container_of(j, struct store_fork, tail.job);
	int r = fork_log(&f->tail.store->append, f->source, &f->tail, e);

	return r == 0 && f->also != NULL ? f->also(db, f, e) : r;
}

void store_fork(struct store *s, struct store_fork *f)
{
	f->tail.store = s;
	f->tail.n_stored_before = 0;
	f->tail.fresh_only = true;
	f->tail.job =
		(struct store_job){.run = fork_run, .done = append_done_cb};
	store_submit(s, &f->tail.job);
}

/*
 * Sessions of a VM that was set back or cloned.
 */

static int rekey_run(sqlite3 *db, struct store_job *j, struct err *e)
{
	struct store_rekey *k = container_of(j, struct store_rekey, job);
	struct store *s = k->store;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < k->n; i++) {
		r = rekey_log(&s->append, &k->v[i], e);
		s->log_has_ghosts |= r > 0;
	}
	if (r >= 0 && k->also != NULL)
		r = k->also(db, k, e);
	return r < 0 ? r : 0;
}

static void rekey_done(struct store_job *j, const struct err *e)
{
	struct store_rekey *k = container_of(j, struct store_rekey, job);
	struct store *s = k->store;

	for (size_t i = 0; e->code >= 0 && i < k->n; i++) {
		struct store_batch *b = &k->v[i].tail;

		drop_stored_before(b);
		if (s->subscriber != NULL && !TAILQ_EMPTY(&b->events))
			s->subscriber(b, s->subscriber_arg);
	}
	k->done(k, e);
}

void store_rekey(struct store *s, struct store_rekey *k)
{
	k->store = s;
	k->job = (struct store_job){.run = rekey_run, .done = rekey_done};
	for (size_t i = 0; i < k->n; i++) {
		k->v[i].tail.store = s;
		k->v[i].tail.n_stored_before = 0;
	}
	store_submit(s, &k->job);
}

/*
 * Claims and purges: jobs of our own, on the heap.
 */

struct claim {
	struct store_job job;
	struct store *store;
	char session[ID_MAX];
	int64_t epoch;
	void (*done)(int64_t epoch, const struct err *e, void *arg);
	void *arg;
};

static int claim_run(sqlite3 *db, struct store_job *j, struct err *e)
{
	struct claim *c = container_of(j, struct claim, job);

	(void)db;
	return append_claim(&c->store->append, c->session, c->epoch, e);
}

static void claim_done(struct store_job *j, const struct err *e)
{
	struct claim *c = container_of(j, struct claim, job);

	c->done(e->code < 0 ? e->code : c->epoch, e, c->arg);
	free(c);
}

int store_claim(struct store *s, const char *session, int64_t epoch,
		void (*done)(int64_t epoch, const struct err *e, void *arg),
		void *arg)
{
	struct claim *c;

	if (!id_is(session, "ses"))
		return -FAULT_INVALID_ID;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	*c = (struct claim){.job = {.run = claim_run, .done = claim_done},
			    .store = s,
			    .epoch = epoch,
			    .done = done,
			    .arg = arg};
	strcpy(c->session, session);
	store_submit(s, &c->job);
	return 0;
}

struct purge {
	struct store_job job;
	struct store *store;
	char session[ID_MAX];
	void (*done)(const struct err *e, void *arg);
	void *arg;
};

static int purge_run(sqlite3 *db, struct store_job *j, struct err *e)
{
	struct purge *p = container_of(j, struct purge, job);
	struct store *s = p->store;
	int r = purge_session(db, p->session, s->role == STORE_HOST, e);

	append_forget(&s->append);
	if (r == 0)
		s->log_has_ghosts = true;
	return r;
}

static void purge_done(struct store_job *j, const struct err *e)
{
	struct purge *p = container_of(j, struct purge, job);

	p->done(e, p->arg);
	free(p);
}

int store_purge(struct store *s, const char *session,
		void (*done)(const struct err *e, void *arg), void *arg)
{
	struct purge *p;

	if (!id_is(session, "ses"))
		return -FAULT_INVALID_ID;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct purge){.job = {.run = purge_run, .done = purge_done},
			    .store = s,
			    .done = done,
			    .arg = arg};
	strcpy(p->session, session);
	store_submit(s, &p->job);
	return 0;
}

/*
 * Opening and closing.
 */

/* Signals are for the loop's thread. */
static int start_writer(struct store *s, struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, WRITER_STACK);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&s->thread, &attr, writer, s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (r != 0)
		return err_set(e, -r, "store: cannot start its thread: %s",
			       strerror(r));
	return 0;
}

static void release(struct store *s)
{
	append_done(&s->append);
	ballast_done(&s->ballast);
	db_close(s->db);
	s->db = NULL;
	(void)pthread_cond_destroy(&s->settled);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
}

static void on_close(uv_handle_t *h)
{
	free(container_of((uv_async_t *)h, struct store, async));
}

static struct store *new_store(enum store_role role)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return NULL;
	s->role = role;
	STAILQ_INIT(&s->queued);
	STAILQ_INIT(&s->done);
	STAILQ_INIT(&s->delivering);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->wake, &attr);
	(void)pthread_cond_init(&s->settled, &attr);
	(void)pthread_condattr_destroy(&attr);
	return s;
}

static int open_files(struct store *s, const char *path, struct err *e)
{
	bool host = s->role == STORE_HOST;
	int r = db_open(path, host ? DB_HOST : DB_GUEST, &s->db, e);

	if (r < 0)
		return r;
	(void)sqlite3_wal_hook(s->db, on_commit, s);
	append_init(&s->append, s->db, host);
	if (ballast_init(&s->ballast, path,
			 host ? STORE_BALLAST_HOST : STORE_BALLAST_GUEST) < 0)
		return err_set(e, -ENOMEM, "store: out of memory");
	return 0;
}

int store_open(uv_loop_t *loop, const char *path, enum store_role role,
	       struct store **out, struct err *e)
{
	struct store *s = new_store(role);
	int r;

	if (s == NULL)
		return err_set(e, -ENOMEM, "store: out of memory");
	r = open_files(s, path, e);
	if (r < 0) {
		release(s);
		free(s);
		return r;
	}
	r = uv_async_init(loop, &s->async, on_async);
	if (r < 0) {
		release(s);
		free(s);
		return err_set(e, r, "store: %s", uv_strerror(r));
	}
	uv_unref((uv_handle_t *)&s->async);
	r = start_writer(s, e);
	if (r < 0) {
		release(s);
		uv_close((uv_handle_t *)&s->async, on_close);
		return r;
	}
	*out = s;
	return 0;
}

/* Callbacks may submit more, which is written, too. */
static void drain(struct store *s)
{
	deliver(s);
	while (s->pending > 0) {
		pthread_mutex_lock(&s->lock);
		while (STAILQ_EMPTY(&s->done))
			pthread_cond_wait(&s->settled, &s->lock);
		pthread_mutex_unlock(&s->lock);
		deliver(s);
	}
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	drain(s);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->thread, NULL);
	release(s);
	uv_close((uv_handle_t *)&s->async, on_close);
}
