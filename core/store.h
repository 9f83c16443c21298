/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - The event log of many sessions in one SQLite file, and its writer
 *
 * All writes go through one thread, which commits whatever has queued while the
 * last commit ran (natural batching, no timer), with synchronous=FULL.  What a
 * callback reports as stored is on disk.
 *
 * Invariants (kept by triggers, too):
 *   - A session's events are numbered 1, 2, 3... without gaps or repeats.  (In
 *     a guest's store that was set back there is a gap before session.rewound.)
 *   - An event, once stored, is never changed.
 *   - The rows of session, turn, request... follow from the events alone and
 *     change in the same transaction (project.h).  So the host's mirror and an
 *     import have the same rows as the guest without being told.
 *
 * The door has five calls: store_append(), store_claim(), store_subscribe()
 * here, reader_events() and reader_sessions() in reader.h.  Another engine
 * would have to offer these five.
 *
 * When the disk is full a commit fails, its jobs are told -ENOSPC, and a
 * ballast file of STORE_BALLAST_... bytes beside the database is given up so that
 * the few events that say so still find room; it is filled again when a later
 * commit shows that there is space.
 */
#ifndef CORE_STORE_H
#define CORE_STORE_H

#include <sys/queue.h>
#include <uv.h>

#include "core/event.h"

#define STORE_BALLAST_GUEST (1u << 20)
/* Also for what a guest holds back when the host is full: 8 MiB of events, as
 * rows here and in its own store on the same disk, each with its log.  See
 * mirror.c. */
#define STORE_BALLAST_HOST  (32u << 20)
#define STORE_PURGE_WAIT_MS 200

struct sqlite3;
struct store; /* Opaque. */

enum store_role { STORE_GUEST, STORE_HOST };

/* Open, creating or migrating as needed, and start the writer thread.
 * @loop: where callbacks run.  Missing folders are not made.
 * Return: 0; -EUCLEAN not our database; -EBUSY; -EROFS; -ENOSPC... */
int store_open(uv_loop_t *loop, const char *path, enum store_role role,
	       struct store **out, struct err *e);
/* Write what is queued, stop the thread, close.  Blocks for the last commit.
 * Callbacks of queued jobs run during this call, and what they submit is
 * written, too.  The store's loop handle then closes on the loop.  NULL is
 * allowed. */
void store_close(struct store *s);

/*
 * A job: work for the writer thread inside the next transaction, under a
 * savepoint of its own.  The base of appends and of the host's catalog writes.
 * Owned by the caller, in place until done() was called.
 */
struct store_job {
	/* On the writer thread.  A negative result undoes this job alone.  May
	 * be called twice: when a job that shares its transaction fails, all of
	 * them are undone and run again. */
	int (*run)(struct sqlite3 *db, struct store_job *j, struct err *e);
	/* On the loop, after the commit or the failure (e->code < 0).  Jobs are
	 * done in the order they were submitted. */
	void (*done)(struct store_job *j, const struct err *e);
	/* Private. */
	STAILQ_ENTRY(store_job) link;
	struct err err;
	size_t bytes;
};
/* Queue it.  Like all calls here: on the loop's thread.  The store keeps the
 * loop alive while jobs are under way, and not otherwise. */
void store_submit(struct store *s, struct store_job *j);

/* Events of one session, in order. */
struct store_batch {
	struct store_job job; /* Private; set by store_append(). */
	struct store *store;  /* Private. */
	char session[ID_MAX];
	struct event_list events; /* Freed with event_list_free() by owner. */
	/*
	 * On the loop, after subscribers were told.  @acked: highest seq stored
	 * of this session; negative: nothing of the batch was stored.
	 *   -FAULT_BAD_FRAME      seq gap: e->data has "last_seq"; or an event
	 *                         that the schema refuses
	 *   -FAULT_CHAIN_DIVERGED an event that was stored before differs
	 *   -FAULT_STALE_EPOCH    older epoch than the session's
	 *   -FAULT_SESSION_NOT_FOUND, -FAULT_ALREADY_EXISTS (seq 1 twice with
	 *   other content), -ENOSPC, -FAULT_STORE_ERROR...
	 */
	void (*done)(struct store_batch *b, int64_t acked, const struct err *e);
	void *arg;
	bool fresh_only; /* In: an event stored before is an error (-EEXIST)
			  * instead of being compared and dropped. */
	/* In, for a guest's store that was set back: the first event is the
	 * session.rewound that says so.  It may stand behind a gap, which its
	 * to_seq and abandoned name just so, in a new epoch; chain_before is
	 * the chain hash of the event before it, which the host has.  Else
	 * -FAULT_BAD_FRAME, as for every other gap. */
	bool rewinds;
	int64_t chain_before;
	/* Private. */
	int64_t acked;
	size_t n_stored_before; /* At the head of events. */
};
/* Append.  Events up to the session's last_seq are compared by chain hash and,
 * once the rest is stored, dropped from the list (and freed).  The first event
 * of an unknown session must be session.created, seq 1. */
void store_append(struct store *s, struct store_batch *b);

/* The beginning of a log as a log of its own, under another id. */
struct store_fork {
	/* What follows the copy: at least one event; the seq of the first says
	 * where the copy ends.  Used as for store_append(), done() included. */
	struct store_batch tail;
	char source[ID_MAX];
	/* More for the same transaction, on the writer thread, after the
	 * events; NULL: nothing.  As store_job's run. */
	int (*also)(struct sqlite3 *db, struct store_fork *f, struct err *e);
};
/*
 * Copy events 1.. of @source with their seq, epoch, time, turn, type, ctx, data
 * and chain, add the tail, all in one transaction: the new session is there
 * whole or not at all, and the source is not written to.  Memory is bounded
 * whatever the length; subscribers are told of the tail alone.  Owned by the
 * caller, in place until tail.done() was called, which is also told
 *   -FAULT_SESSION_NOT_FOUND  the source is not here
 *   -FAULT_CURSOR_GONE	       it does not have all of those events
 *   -EEXIST		       a session of the new id is there
 */
void store_fork(struct store *s, struct store_fork *f);

/* What becomes of one session when its VM was set back or cloned. */
struct store_rekey_one {
	enum {
		STORE_KEEP,   /* It stays as it is; the tail's name is its. */
		STORE_RENAME, /* It is called as the tail from now on. */
		STORE_COPY, /* Its events up to @to are copied to the tail's. */
		STORE_LOAD, /* The tail's is new, with the events of next(). */
		STORE_PURGE, /* As store_purge(), of the tail's. */
	} how;
	char from[ID_MAX]; /* For rename and copy. */
	int64_t to;	   /* For copy. */
	/* For load: put the events after @since into @out, in order, as many as
	 * are at hand; none at the end.  On the writer thread, and maybe all
	 * over again.  Return: 0 or an error. */
	int (*next)(struct store_rekey_one *o, int64_t since,
		    struct event_list *out, struct err *e);
	void *arg;     /* For next(). */
	int64_t epoch; /* As store_claim(), unless it is 0. */
	/* What is added then, as by store_append(); it may hold no event, and
	 * its done() is not called. */
	struct store_batch tail;
};

/* All sessions of a VM at once. */
struct store_rekey {
	struct store_job job; /* Private. */
	struct store *store;  /* Private. */
	struct store_rekey_one *v;
	size_t n;
	/* More for the same transaction, on the writer thread, at its end;
	 * NULL: nothing. */
	int (*also)(struct sqlite3 *db, struct store_rekey *r, struct err *e);
	/* On the loop, after subscribers were told of the tails; e->code is
	 * negative when nothing of it was done. */
	void (*done)(struct store_rekey *r, const struct err *e);
	void *arg;
};
/*
 * Do what is said of each session, in order, in one transaction.  Owned by the
 * caller, in place until done(), which may also be told the errors of
 * store_append() and store_fork(), and
 *   -FAULT_SESSION_NOT_FOUND  one that is to be kept, renamed or copied is not
 *			       here (purging none is fine)
 *   -EEXIST		       there is a session of the new id
 */
void store_rekey(struct store *s, struct store_rekey *r);

/* Become the writer of a session: sets its epoch to @epoch if that is higher,
 * else -FAULT_STALE_EPOCH.  Asynchronous like all writes; @done on the loop.
 * Return: 0; -FAULT_INVALID_ID or -ENOMEM, and then @done is not called. */
int store_claim(struct store *s, const char *session, int64_t epoch,
		void (*done)(int64_t epoch, const struct err *e, void *arg),
		void *arg);

/* Tell @cb, on the loop, of each batch's newly stored events (in order, before
 * the batch's done).  One subscriber; the host fans out from there. */
void store_subscribe(struct store *s,
		     void (*cb)(const struct store_batch *b, void *arg),
		     void *arg);

/* Bytes of events queued and not yet committed: for back-pressure. */
size_t store_queued(const struct store *s);

/* Remove every trace of a session: its rows in all tables of the role, zeroed
 * on disk (secure_delete), the write-ahead log truncated.  @done gets
 * -FAULT_SESSION_NOT_FOUND when it is unknown.  Should another process be
 * reading for longer than STORE_PURGE_WAIT_MS, @done is told of success before
 * the log is truncated; that follows as soon as the reader is gone.
 * Return: as store_claim(). */
int store_purge(struct store *s, const char *session,
		void (*done)(const struct err *e, void *arg), void *arg);

#endif
