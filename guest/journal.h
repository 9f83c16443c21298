/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - The writing end of one session's log
 *
 * A journal numbers events, gathers those of one turn of the loop into a batch,
 * has the store commit it, and then runs what was to wait for that: effects.
 *
 * The discipline of the whole daemon hangs on it.  State in memory moves at
 * once, when a message is decoded or a call accepted, and the events that say
 * so go into the open batch.  Whatever can be seen from outside (a line to an
 * agent, the answer to a call) is an effect: it happens after the commit of all
 * events made before it, in order, or is told that they are lost.
 *
 * Failure is sticky, as in a JSON writer: after a failed commit or without
 * memory the journal drops what it is given, its effects end with the error,
 * and once nothing is in flight its owner is told by @failed.  Then nothing of
 * the lost batches has happened: the owner reads the truth from the store and
 * calls journal_reset().
 */
#ifndef GUEST_JOURNAL_H
#define GUEST_JOURNAL_H

#include "core/store.h"
#include "guest/redact.h"

struct journal;

/* Something that waits for a commit; embedded in what it is about. */
struct journal_effect {
	/* @e: NULL when all before it is stored, else why it never will be.
	 * It may add events, but not free the journal. */
	void (*run)(struct journal_effect *ef, const struct err *e);
	TAILQ_ENTRY(journal_effect) link; /* Private. */
	int64_t after;			  /* Private: seq to be stored. */
};
TAILQ_HEAD(journal_effect_list, journal_effect);

/* What all journals share. */
struct journal_hub {
	struct store *store;
	/* A commit has succeeded; may be NULL. */
	void (*stored)(struct journal_hub *hub);
	/* Private. */
	TAILQ_HEAD(journal_list, journal) dirty;
	struct jw data;
};

struct journal {
	char session[ID_MAX];
	char turn[ID_MAX]; /* Stamped on every event; "" for none. */
	char late[ID_MAX]; /* The turn that ended last; "" for none. */
	int64_t epoch;
	int64_t last_seq;	      /* Of the events made. */
	int64_t stored_seq;	      /* Of the events committed. */
	const struct redact *secrets; /* Kept out of events; or NULL. */
	void (*failed)(struct journal *j, const struct err *e);

	/* Private. */
	struct journal_hub *hub;
	struct journal_batch *open;
	struct journal_effect_list effects;
	TAILQ_ENTRY(journal) link; /* In hub->dirty. */
	unsigned in_flight;	   /* Batches. */
	bool dirty, broken;
	bool lingers; /* The open batch. */
	struct err err;
};

void journal_hub_init(struct journal_hub *hub, struct store *store);
/* Hand the batches of this loop turn to the store, and let go of effects that
 * wait for nothing.  Called before and after the loop polls. */
void journal_hub_flush(struct journal_hub *hub);
void journal_hub_done(struct journal_hub *hub);

/* Begin after event @last_seq. */
void journal_init(struct journal *j, struct journal_hub *hub,
		  const char *session, int64_t last_seq, int64_t epoch);
/* Nothing may be in flight; effects end with -ECANCELED. */
void journal_done(struct journal *j);

/* Begin anew after a failure; not while something is in flight. */
void journal_reset(struct journal *j, int64_t last_seq, int64_t epoch);

/* The store has continued the log by itself, and may have renamed it; not while
 * something is open or in flight.  The turn and effects stay. */
void journal_rekey(struct journal *j, const char *session, int64_t last_seq,
		   int64_t epoch);

/* Nothing open, in flight or waiting. */
bool journal_is_quiet(const struct journal *j);
/* Nothing of it is with the store's writer. */
bool journal_is_landed(const struct journal *j);

/* Add an event.  @ctx: a JSON object or NULL; @data: a JSON object on one line.
 * What is said of secrets in guest/redact.h is done with it.  Return: its seq, or 0 when the journal is broken. */
int64_t journal_add(struct journal *j, const char *type, const char *ctx,
		    const char *data, size_t len);
/* The same with what a writer holds; it is reset.  Its failure breaks the
 * journal. */
int64_t journal_add_jw(struct journal *j, const char *type, const char *ctx,
		       struct jw *data);
/* An ACP message as it stands on the wire; borrowed for the call. */
struct journal_acp {
	const char *type;
	bool inward;
	bool foreign; /* It speaks of a session that is not this one. */
	const char *msg;
	size_t len;
};
/* Add one.  Between turns the event names the turn that it is late for. */
int64_t journal_add_acp(struct journal *j, const struct journal_acp *m);

/* Run @ef after the commit of what was added up to now: never during this call,
 * always exactly once. */
void journal_then(struct journal *j, struct journal_effect *ef);

/* What was added last may be committed together with what comes next, which is
 * near.  That, something added later that waits for the commit, or @on false ends
 * it. */
void journal_linger(struct journal *j, bool on);

/* Break the journal: its owner has no memory to go on. */
void journal_break(struct journal *j, int code, const char *why);

#endif
