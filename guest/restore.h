/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - The ladder by which an agent gets its context back
 *
 *	native      the agent loads its own session again: it says it can, its
 *	            id is stored, and a turn was completed on it
 *	transcript  a new session of the agent; the next prompt is preceded by
 *	            the conversation so far
 *	none        a new session that knows nothing: asked for, or there was
 *	            nothing to know
 *	new         the first start of all
 *
 * A refused native step falls to the next one.
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
	bool native_worth; /* A turn was completed on the stored ACP session. */
};

const char *restore_name(enum restore r);

/* Read the log's part of the facts. */
int restore_read(struct reader *r, const char *session,
		 struct restore_facts *out, struct err *e);

/* The method of the native step, or NULL when the agent has none. */
const char *restore_method(const struct acp_caps *caps);

/* Where to begin.  @acp_session: the stored id, or NULL. */
enum restore restore_first(const struct restore_facts *f,
			   const struct acp_caps *caps,
			   const char *acp_session);
/* Where to go when native was refused. */
enum restore restore_next(const struct restore_facts *f);

#endif
