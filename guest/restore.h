/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - The ladder by which an agent gets its context back
 *
 *	native      the agent takes up a session of its own again: it says it
 *	            can, its id is stored, and a turn was completed on it.  Or it
 *	            forks the session that ours was forked from, while that has
 *	            not gone on
 *	transcript  a new session of the agent; the next prompt is preceded by
 *	            the conversation so far
 *	none        a new session that knows nothing: asked for, or there was
 *	            nothing to know
 *	new         the first start of all
 *
 * A native step that is refused, or that takes too long, falls to the next one.
 * No fact is taken from what a session has copied from another one: the agent's
 * session of the source is the source's.
 */
#ifndef GUEST_RESTORE_H
#define GUEST_RESTORE_H

#include "core/reader.h"
#include "guest/acp.h"

enum restore { RESTORE_NEW, RESTORE_NATIVE, RESTORE_TRANSCRIPT, RESTORE_NONE };

/* What the log says; read before the start. */
struct restore_facts {
	bool first;	/* There was no agent before. */
	bool want_none; /* The caller asked for a fresh mind. */
	bool has_turns;
	/* The ACP session that the agent may take up again, as a turn was
	 * completed on it, and one that it may fork; NULL: none.  Each knows
	 * what the log has behind a seq. */
	char *acp_session, *fork_source;
	int64_t acp_since, fork_since;
	bool native_refused; /* In this start. */
};

const char *restore_name(enum restore r);

/* Read the log's part of the facts; the others are left as they are.  Released
 * by restore_done(). */
int restore_read(struct reader *r, const char *session,
		 struct restore_facts *out, struct err *e);
void restore_done(struct restore_facts *f);

/* A native step: a method of the agent, and the ACP session that it is about. */
struct restore_native {
	const char *method;  /* NULL: there is none. */
	const char *session; /* Borrowed from the facts. */
	int64_t since;	     /* It knows the log behind this seq. */
};
struct restore_native restore_native(const struct restore_facts *f,
				     const struct acp_caps *caps);

/* The step to be taken now. */
enum restore restore_rung(const struct restore_facts *f,
			  const struct acp_caps *caps);

#endif
