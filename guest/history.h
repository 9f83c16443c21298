/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - What an agent may look up in the log of its session
 *
 * The answer is bounded, whatever the log holds, and says how to read on.  Reads
 * as much as it takes, so it is for a thread that may wait, with a reader of its
 * own.
 */
#ifndef GUEST_HISTORY_H
#define GUEST_HISTORY_H

#include "core/reader.h"

struct history_query {
	const char *session;
	/* Words and "phrases": in which events they were said.  NULL: read. */
	const char *text;
	/* Comma-separated types of events: read events instead of turns. */
	const char *types;
	const char *turn;     /* Its id or number; NULL: all. */
	int64_t since, until; /* Only events in between; 0: open. */
	bool oldest;	      /* First; else the newest. */
	unsigned limit;	      /* Hits, turns or events; 0: HISTORY_LIMIT. */
};

/**
 * history_write() - Answer as one JSON object
 *
 *	{"hits":[{"seq","turn","role","ts_ms","snippet"}]}
 *	{"turns":[{"turn","n","state","first_seq","last_seq","messages":
 *	  [{"role","seq","last_seq","text","cut"?}]}],"total_turns","next"?}
 *	{"events":[envelopes, or {"seq","type","turn","bytes"} of a large one],
 *	  "next"?}
 *
 * next has the member, since or until, with which the rest is asked for.
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_TURN_NOT_FOUND...
 */
int history_write(struct reader *r, const struct history_query *q,
		  struct jw *out, struct err *e);

#endif
