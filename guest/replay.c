// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c - The history that an agent repeats, held against the log
 *
 * What the user said is taken from the prompts as they went to the agent, which
 * may have had instructions or a transcript in front.  Some agents repeat those
 * as they came, others without them or not at all: so the user's side is told
 * apart from the agent's own words, which decide.
 */
#include "guest/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/messages.h"
#include "guest/limits.h"

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

/* Turns that are not undone, with the number of their events. */
static const char turns_sql[] =
	"SELECT id, first_seq, last_seq FROM turn t WHERE session_id=?1 "
	"AND first_seq>CAST(?2 AS INTEGER) AND last_seq IS NOT NULL "
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND t.first_seq BETWEEN a.from_seq AND a.to_seq) ORDER BY n";

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* FNV-1a. */
static void sum_add(struct replay_sum *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (is_space(text[i]))
			continue;
		s->hash = (s->hash ^ (unsigned char)text[i]) * FNV_PRIME;
		s->bytes++;
	}
}

static void sum_add_string(struct replay_sum *s, struct jv text)
{
	size_t len;
	autofree char *bytes = jv_strdup(text, &len);

	if (bytes != NULL)
		sum_add(s, bytes, len);
}

static enum replay_verdict sum_compare(const struct replay_sum *a,
				       const struct replay_sum *b)
{
	return a->hash == b->hash && a->bytes == b->bytes ? REPLAY_SAME
							  : REPLAY_DIFFERS;
}

void replay_begin(struct replay *r, int64_t since)
{
	*r = (struct replay){.since = since,
			     .agent.hash = FNV_BASIS,
			     .user.hash = FNV_BASIS};
}

bool replay_is_history(struct jv update)
{
	static const char *const kinds[] = {
		"user_message_chunk",  "agent_message_chunk",
		"agent_thought_chunk", "tool_call",
		"tool_call_update",    "plan",
	};
	struct jv kind = jv_get(update, "sessionUpdate");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (jv_eq(kind, kinds[i]))
			return true;
	return false;
}

void replay_add(struct replay *r, struct jv update)
{
	struct jv kind = jv_get(update, "sessionUpdate");
	struct jv text = jv_path(update, "content.text");

	r->n_updates++;
	if (jv_eq(kind, "agent_message_chunk"))
		sum_add_string(&r->agent, text);
	else if (jv_eq(kind, "user_message_chunk"))
		sum_add_string(&r->user, text);
}

/*
 * The log's side.
 */

/* A prompt as the agent was given it. */
static int add_prompt(const struct event *ev, void *arg)
{
	struct replay *logged = arg;
	autojson struct json j = {0};
	struct jv msg, prompt;

	if (json_parse(&j, ev->data, ev->data_len, NULL) < 0)
		return 0;
	msg = jv_get(json_root(&j), "msg");
	prompt = jv_path(msg, "params.prompt");
	if (!jv_eq(jv_get(msg, "method"), "session/prompt"))
		return 0;
	for (struct jv b = jv_first(prompt); jv_has(b); b = jv_next(prompt, b))
		sum_add_string(&logged->user, jv_get(b, "text"));
	return 0;
}

static int add_turn(struct replay *logged, struct reader *reader,
		    const char *session, struct jv turn, struct err *e)
{
	autofree char *reply = NULL;
	char id[ID_MAX];
	struct event_query prompts = {
		.session = session,
		.turn = id,
		.since = jv_int(jv_get(turn, "first_seq"), 1) - 1,
		.types = "acp.request",
	};
	int r;

	if (jv_strcpy(jv_get(turn, "id"), id, sizeof(id)) < 0)
		return 0;
	r = reader_each_event(reader, &prompts, add_prompt, logged, e);
	if (r >= 0)
		r = messages_reply(reader, session, id, &reply, e);
	if (r < 0)
		return r;
	sum_add(&logged->agent, reply, strlen(reply));
	return 0;
}

/* Return: 1 when all was read, 0 when it is too much. */
static int read_turns(struct replay *logged, struct reader *reader,
		      const char *session, struct jv turns, struct err *e)
{
	int64_t n_events = 0;

	for (struct jv t = jv_first(turns); jv_has(t); t = jv_next(turns, t)) {
		int r;

		n_events += jv_int(jv_get(t, "last_seq"), 0) -
			    jv_int(jv_get(t, "first_seq"), 0);
		if (n_events > REPLAY_EVENTS_MAX)
			return 0;
		r = add_turn(logged, reader, session, t, e);
		if (r < 0)
			return r;
	}
	return 1;
}

int replay_compare(const struct replay *r, struct reader *reader,
		   const char *session, struct replay_result *out,
		   struct err *e)
{
	char from[24];
	const char *const args[] = {session, from, NULL};
	autojw struct jw rows = {0};
	autojson struct json j = {0};
	struct replay logged;
	int n;

	snprintf(from, sizeof(from), "%" PRId64, r->since);
	jw_arr(&rows);
	n = reader_rows(reader, turns_sql, args, &rows, e);
	jw_arr_end(&rows);
	if (n < 0)
		return n;
	if (rows.failed || json_parse(&j, rows.buf, rows.len, e) < 0)
		return err_set(e, -ENOMEM, "replay: out of memory");
	replay_begin(&logged, r->since);
	n = read_turns(&logged, reader, session, json_root(&j), e);
	if (n < 0)
		return n;
	*out = (struct replay_result){REPLAY_UNKNOWN, REPLAY_UNKNOWN};
	if (n == 0)
		return 0;
	out->agent = sum_compare(&r->agent, &logged.agent);
	if (r->user.bytes > 0)
		out->user = sum_compare(&r->user, &logged.user);
	return 0;
}

void replay_write(const struct replay *r, const struct replay_result *v,
		  struct jw *w)
{
	jw_obj(w);
	jw_kint(w, "updates", r->n_updates);
	jw_key(w, "same");
	if (v->agent == REPLAY_UNKNOWN)
		jw_null(w);
	else
		jw_bool(w, v->agent == REPLAY_SAME);
	if (v->user != REPLAY_UNKNOWN)
		jw_kbool(w, "user_same", v->user == REPLAY_SAME);
	jw_obj_end(w);
}
