/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages.h - The conversation as people read it: a fold of the event log
 *
 * Nothing of it is stored.  Abandoned ranges are left out.  A message is
 *
 *	{"role":"user"|"agent","turn":"trn_..","seq":N,"last_seq":N,"ts":ms,
 *	 "parts":[..]}
 *
 * one from each input.message and one for what the agent said in each turn (or
 * between turns: "turn" is null).  Parts stand in log order:
 *
 *	{"type":"text","text":..}        neighbouring chunks are one part
 *	{"type":"thinking","text":..}
 *	{"type":"image",..} {"type":"audio",..} {"type":"resource_link",..}
 *	{"type":"resource",..}           ACP content blocks as they came
 *	{"type":"tool_call","id":..,"title":..,"kind":..,"status":..,
 *	 "input":..,"output":..,"content":[..],"locations":[..]}
 *	                                 where the call began, as it ended;
 *	                                 status "unfinished": not before its turn
 *	{"type":"plan","entries":[..]}   the last one of the turn
 *	{"type":"other","update":{..}}   unknown kinds, kept
 *
 * Housekeeping updates (available_commands_update, current_mode_update,
 * config_option_update, session_info_update, usage_update) make no part, nor does
 * user_message_chunk, which repeats an input, nor what an agent says of a session
 * that is not this one.  A user's parts are the content
 * blocks of the prompt as they were given.
 */
#ifndef CORE_MESSAGES_H
#define CORE_MESSAGES_H

#include "core/reader.h"

struct messages_query {
	const char *session;
	const char *turn; /* Only this turn; NULL: all. */
	int64_t since;	  /* Only after this seq; 0: all. */
	int64_t to_seq;	  /* Only up to this seq; 0: all. */
};

/* Write the messages as values into @out, inside an array that the caller
 * opened.  Return: their number or a negative code. */
int messages_write(struct reader *r, const struct messages_query *q,
		   struct jw *out, struct err *e);

/* The agent's text of one turn, without thoughts: the reply.  Owned by the
 * caller; "" when there is none. */
int messages_reply(struct reader *r, const char *session, const char *turn,
		   char **out, struct err *e);

/* What a fresh agent is told of the conversation so far: the newest summary, then
 * the newest turns behind it that fit into @budget bytes, oldest first, after a
 * line that counts what was left out.  When not even the newest fits, it is cut.  A @budget below
 * MESSAGES_PREAMBLE_MIN counts as that.  Owned by the caller; NULL in *out when
 * no turn has ended. */
#define MESSAGES_PREAMBLE_MIN 1024
int messages_preamble(struct reader *r, const char *session, size_t budget,
		      char **out, struct err *e);

#endif
