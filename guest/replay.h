/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.h - The history that an agent repeats, held against the log
 *
 * An agent that loads a session tells its past again as updates.  The log has
 * that already, so they are counted and not stored; what the agent remembers is
 * compared with what is on record.  Only texts are compared, and of them only
 * the bytes that are no white space: agents cut messages into other chunks, drop
 * thoughts and describe tool calls anew.
 */
#ifndef GUEST_REPLAY_H
#define GUEST_REPLAY_H

#include "core/reader.h"

/* A running hash of a text, white space left out. */
struct replay_sum {
	uint64_t hash, bytes;
};

struct replay {
	int64_t since; /* What is told again stands behind this seq. */
	unsigned n_updates;
	struct replay_sum agent, user; /* What either said. */
};

void replay_begin(struct replay *r, int64_t since);
/* Does an update of this kind tell of the conversation?  Others are about the
 * session as it is now. */
bool replay_is_history(struct jv update);
void replay_add(struct replay *r, struct jv update);

enum replay_verdict {
	REPLAY_SAME,
	REPLAY_DIFFERS,
	REPLAY_UNKNOWN, /* The log is too long to be read for this. */
};
struct replay_result {
	enum replay_verdict agent;
	enum replay_verdict user; /* Unknown also if no text was repeated. */
};

/* Compare with the turns of the log. */
int replay_compare(const struct replay *r, struct reader *reader,
		   const char *session, struct replay_result *out,
		   struct err *e);

/* Write {"updates":N,"same":true|false|null}, and "user_same" when known. */
void replay_write(const struct replay *r, const struct replay_result *v,
		  struct jw *w);

#endif
