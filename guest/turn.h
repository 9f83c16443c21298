/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn.h - What is known of the open turn of a session
 *
 * A turn begins with a prompt and ends once.  This part counts and remembers;
 * session_turn.c decides.
 */
#ifndef GUEST_TURN_H
#define GUEST_TURN_H

#include "core/id.h"
#include "core/json.h"
#include "guest/limits.h"
#include "guest/toolcalls.h"

#define TURN_TOOLS_MAX 1024 /* Different tool calls told apart. */
#define TURN_COST_MAX  127  /* Bytes of what an agent says it cost. */

struct turn {
	char id[ID_MAX]; /* "": no turn is open. */
	char input[ID_MAX];
	char actor[ACTOR_MAX + 1];
	char idem_key[IDEM_KEY_MAX + 1]; /* "": none. */
	char idem_hash[IDEM_HASH_MAX + 1];
	int64_t n, first_seq;
	unsigned n_prompts;	 /* Given to the agent and not answered. */
	uint64_t began_ms;	 /* Monotonic. */
	int64_t first_update_ms; /* After the beginning; -1: none yet. */
	char preview[PREVIEW_MAX + 1];
	size_t preview_len;
	bool preview_full;
	uint64_t *tools; /* Hashes of the tool calls seen. */
	size_t n_tools;
	struct toolcalls calls;
	/* The last usage_update; size 0: there was none. */
	int64_t context_used, context_size;
	char cost[TURN_COST_MAX + 1]; /* JSON object, or "". */
	bool cancelling;
	char cancel_by[ACTOR_MAX + 1];
	char cancel_reason[REASON_MAX + 1];
};

static inline bool turn_is_open(const struct turn *t)
{
	return t->id[0] != '\0';
}

/* Begin a new turn; now_ms is monotonic. */
void turn_begin(struct turn *t, int64_t n, uint64_t now_ms);
/* Take note of a session/update's params.  @cwd: the session's. */
void turn_note(struct turn *t, struct jv params, const char *cwd,
	       uint64_t now_ms);
/* Members of turn.completed into an open object. */
void turn_write_result(const struct turn *t, struct jv result, uint64_t now_ms,
		       struct jw *w);
/* {"input":..,"actor":..}; an empty @actor is left out. */
void turn_write_ctx(const char *input, const char *actor, struct jw *w);
/* Back to no turn. */
void turn_done(struct turn *t);

#endif
