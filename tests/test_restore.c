// SPDX-License-Identifier: Apache-2.0
/*
 * test_restore.c - What the log says of an agent's context, and of its replays
 */
#include "guest/replay.h"
#include "guest/restore.h"
#include "tests/store_kit.h"

#define READY(how, acp) \
	"{\"restore\":\"" how "\",\"acp_session_id\":\"" acp "\"}"
#define UPDATE(kind, text)                                                \
	"{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":"        \
	"\"session/update\",\"params\":{\"sessionId\":\"x\",\"update\":"  \
	"{\"sessionUpdate\":\"" kind "\",\"content\":{\"type\":\"text\"," \
	"\"text\":\"" text "\"}}}}}"

static const struct acp_caps can_load = {.load = true};
static const struct acp_caps can_resume = {.load = true, .resume = true};
static const struct acp_caps can_fork = {.load = true, .fork = true};

/* A turn in which the agent says that. */
static void log_turn(struct kit *k, struct log *l, int n, const char *says,
		     const char *end)
{
	log_prompt(k, l, n);
	log_write(k, l, "acp.request", NULL,
		  "{\"dir\":\"out\",\"msg\":{\"id\":1,\"method\":"
		  "\"session/prompt\",\"params\":{\"prompt\":[{\"type\":"
		  "\"text\",\"text\":\"he llo\"}]}}}");
	log_write(k, l, "acp.update", NULL, says);
	log_write(k, l, end, NULL, "{}");
	l->turn[0] = '\0';
}

static void log_talk(struct kit *k, struct log *l)
{
	log_create(k, l);
	log_write(k, l, "session.ready", NULL, READY("new", "acp-1"));
	log_turn(k, l, 1, UPDATE("agent_message_chunk", "one"),
		 "turn.completed");
}

static struct restore_facts facts_of(const struct kit *k, const char *session)
{
	autoreader struct reader *r = NULL;
	struct restore_facts f = {0};
	struct err e = {0};

	if (reader_open(k->db, &r, &e) < 0 ||
	    restore_read(r, session, &f, &e) < 0)
		FAIL("%s", e.msg);
	return f;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Is that what the agent's native step would be about? */
static bool native_is(const struct kit *k, const struct log *l,
		      const struct acp_caps *caps, const char *method,
		      const char *acp)
{
	struct restore_facts f = facts_of(k, l->session);
	struct restore_native n = restore_native(&f, caps);
	bool same = same_text(n.method, method) && same_text(n.session, acp);

	if (!same)
		fprintf(stderr, "# %s %s\n", n.method ? n.method : "-",
			n.session ? n.session : "-");
	restore_done(&f);
	return same;
}

TEST(a_turn_completed_on_it_makes_a_session_worth_loading)
{
	struct kit k;
	struct log l = log_new();
	struct restore_facts f;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_write(&k, &l, "session.ready", NULL, READY("new", "acp-1"));
	OK(native_is(&k, &l, &can_load, NULL, NULL));
	f = facts_of(&k, l.session);
	OK(!f.has_turns);
	EQ(restore_rung(&f, &can_load), RESTORE_NONE);
	log_turn(&k, &l, 1, UPDATE("agent_message_chunk", "one"),
		 "turn.failed");
	OK(native_is(&k, &l, &can_load, NULL, NULL));
	log_turn(&k, &l, 2, UPDATE("agent_message_chunk", "two"),
		 "turn.completed");
	OK(native_is(&k, &l, &can_load, "session/load", "acp-1"));
	OK(native_is(&k, &l, &can_resume, "session/resume", "acp-1"));
	kit_close(&k);
}

TEST(rungs_are_tried_from_the_top)
{
	struct kit k;
	struct log l = log_new();
	const struct acp_caps none = {0};
	struct restore_facts f;

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &l);
	f = facts_of(&k, l.session);
	EQ(restore_rung(&f, &can_load), RESTORE_NATIVE);
	EQ(restore_rung(&f, &none), RESTORE_TRANSCRIPT);
	f.native_refused = true;
	EQ(restore_rung(&f, &can_load), RESTORE_TRANSCRIPT);
	f.native_refused = false;
	f.want_none = true;
	EQ(restore_rung(&f, &can_load), RESTORE_NONE);
	f.first = true;
	EQ(restore_rung(&f, &can_load), RESTORE_NEW);
	restore_done(&f);
	kit_close(&k);
}

TEST(turns_on_an_older_session_of_the_agent_do_not_count)
{
	struct kit k;
	struct log l = log_new();

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &l);
	log_write(&k, &l, "session.ready", NULL, READY("native", "acp-1"));
	OK(native_is(&k, &l, &can_load, "session/load", "acp-1"));
	log_write(&k, &l, "session.ready", NULL, READY("transcript", "acp-2"));
	OK(native_is(&k, &l, &can_load, NULL, NULL));
	log_turn(&k, &l, 2, UPDATE("agent_message_chunk", "two"),
		 "turn.completed");
	OK(native_is(&k, &l, &can_load, "session/load", "acp-2"));
	kit_close(&k);
}

TEST(turns_that_were_undone_do_not_count)
{
	struct kit k;
	struct log l = log_new();
	struct restore_facts f;
	char data[96];

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &l);
	snprintf(data, sizeof(data), "{\"to_seq\":2,\"abandoned\":[3,%lld]}",
		 (long long)l.seq);
	log_write(&k, &l, "session.rewound", NULL, data);
	OK(native_is(&k, &l, &can_load, NULL, NULL));
	f = facts_of(&k, l.session);
	OK(!f.has_turns);
	kit_close(&k);
}

/*
 * Forks.
 */

/* A copy of @source, as a fork leaves it. */
static struct log log_fork(struct kit *k, const struct log *source,
			   const char *acp)
{
	struct log l = log_new();
	char data[256];

	log_talk(k, &l);
	snprintf(data, sizeof(data),
		 "{\"from\":\"%s\",\"at\":%lld,\"native\":{\"acp_session_id\":"
		 "\"%s\",\"last_seq\":%lld}}",
		 source->session, (long long)source->seq, acp,
		 (long long)source->seq);
	log_write(k, &l, "session.forked", NULL, data);
	return l;
}

TEST(a_fork_never_loads_the_session_of_its_source)
{
	struct kit k;
	struct log source = log_new(), l;
	struct restore_facts f;

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &source);
	l = log_fork(&k, &source, "acp-1");
	OK(native_is(&k, &l, &can_resume, NULL, NULL));
	f = facts_of(&k, l.session);
	EQ(restore_rung(&f, &can_load), RESTORE_TRANSCRIPT);
	restore_done(&f);
	kit_close(&k);
}

TEST(a_fork_may_have_it_forked_while_neither_went_on)
{
	struct kit k;
	struct log source = log_new(), l, other;

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &source);
	l = log_fork(&k, &source, "acp-1");
	OK(native_is(&k, &l, &can_fork, "session/fork", "acp-1"));
	/* The agent's session of the source is another by now. */
	other = log_fork(&k, &source, "acp-0");
	OK(native_is(&k, &other, &can_fork, NULL, NULL));
	/* It had its own, and has said something since. */
	log_write(&k, &l, "session.ready", NULL, READY("native", "acp-2"));
	OK(native_is(&k, &l, &can_fork, "session/fork", "acp-1"));
	log_turn(&k, &l, 2, UPDATE("agent_message_chunk", "two"),
		 "turn.completed");
	OK(native_is(&k, &l, &can_fork, "session/load", "acp-2"));
	kit_close(&k);
}

TEST(a_source_that_went_on_is_not_forked)
{
	struct kit k;
	struct log source = log_new(), l;

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &source);
	l = log_fork(&k, &source, "acp-1");
	log_prompt(&k, &source, 2);
	OK(native_is(&k, &l, &can_fork, NULL, NULL));
	kit_close(&k);
}

/*
 * Replays.
 */

static void replay_text(struct replay *r, const char *update)
{
	autojson struct json j = {0};
	struct jv v;

	EQ(json_parse(&j, update, strlen(update), NULL), 0);
	v = jv_path(json_root(&j), "msg.params.update");
	OK(replay_is_history(v));
	replay_add(r, v);
}

static struct replay_result compare(const struct kit *k, const struct log *l,
				    const struct replay *r)
{
	autoreader struct reader *reader = NULL;
	struct replay_result v;
	struct err e = {0};

	if (reader_open(k->db, &reader, &e) < 0 ||
	    replay_compare(r, reader, l->session, &v, &e) < 0)
		FAIL("%s", e.msg);
	return v;
}

TEST(the_same_words_in_other_cuts_are_the_same)
{
	struct kit k;
	struct log l = log_new();
	struct replay r;
	struct replay_result v;

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &l);
	log_turn(&k, &l, 2, UPDATE("agent_message_chunk", "t w o\\n"),
		 "turn.interrupted");
	replay_begin(&r, 0);
	replay_text(&r, UPDATE("agent_thought_chunk", "hm"));
	replay_text(&r, UPDATE("agent_message_chunk", "\\n o"));
	replay_text(&r, UPDATE("agent_message_chunk", "ne two"));
	v = compare(&k, &l, &r);
	EQ(v.agent, REPLAY_SAME);
	EQ(v.user, REPLAY_UNKNOWN);
	replay_text(&r, UPDATE("user_message_chunk", "hello hello"));
	EQ(compare(&k, &l, &r).user, REPLAY_SAME);
	replay_text(&r, UPDATE("user_message_chunk", "?"));
	EQ(compare(&k, &l, &r).user, REPLAY_DIFFERS);
	EQ(compare(&k, &l, &r).agent, REPLAY_SAME);
	EQ(r.n_updates, 5);
	kit_close(&k);
}

TEST(only_what_the_agent_can_know_is_compared)
{
	struct kit k;
	struct log l = log_new();
	struct replay r;
	int64_t since;
	char data[96];

	kit_open(&k, STORE_GUEST);
	log_talk(&k, &l);
	since = l.seq;
	log_write(&k, &l, "acp.update", NULL,
		  UPDATE("agent_message_chunk", "between turns"));
	log_turn(&k, &l, 2, UPDATE("agent_message_chunk", "two"),
		 "turn.completed");
	snprintf(data, sizeof(data), "{\"to_seq\":%lld,\"abandoned\":[%lld,",
		 (long long)l.seq, (long long)l.seq + 1);
	log_turn(&k, &l, 3, UPDATE("agent_message_chunk", "undone"),
		 "turn.completed");
	snprintf(data + strlen(data), sizeof(data) - strlen(data), "%lld]}",
		 (long long)l.seq);
	log_write(&k, &l, "session.rewound", NULL, data);
	replay_begin(&r, since);
	replay_text(&r, UPDATE("agent_message_chunk", "two"));
	EQ(compare(&k, &l, &r).agent, REPLAY_SAME);
	r.since = 0;
	EQ(compare(&k, &l, &r).agent, REPLAY_DIFFERS);
	kit_close(&k);
}

TEST(what_is_said_of_others_is_not_compared)
{
	struct kit k;
	struct log l = log_new();
	struct replay r;

	kit_open(&k, STORE_GUEST);
	log_create(&k, &l);
	log_prompt(&k, &l, 1);
	log_write(&k, &l, "acp.update", "{\"foreign\":true}",
		  UPDATE("agent_message_chunk", "not mine"));
	log_write(&k, &l, "turn.completed", NULL, "{}");
	replay_begin(&r, 0);
	EQ(compare(&k, &l, &r).agent, REPLAY_SAME);
	kit_close(&k);
}

TEST(the_result_is_told_in_words)
{
	const struct replay r = {.n_updates = 3};
	autojw struct jw w = {0};

	replay_write(&r, &(struct replay_result){REPLAY_SAME, REPLAY_DIFFERS},
		     &w);
	OK(strcmp(w.buf, "{\"updates\":3,\"same\":true,\"user_same\":false}") ==
	   0);
	jw_reset(&w);
	replay_write(&r,
		     &(struct replay_result){REPLAY_UNKNOWN, REPLAY_UNKNOWN},
		     &w);
	OK(strcmp(w.buf, "{\"updates\":3,\"same\":null}") == 0);
}

TESTS(CASE(a_turn_completed_on_it_makes_a_session_worth_loading),
      CASE(rungs_are_tried_from_the_top),
      CASE(turns_on_an_older_session_of_the_agent_do_not_count),
      CASE(turns_that_were_undone_do_not_count),
      CASE(a_fork_never_loads_the_session_of_its_source),
      CASE(a_fork_may_have_it_forked_while_neither_went_on),
      CASE(a_source_that_went_on_is_not_forked),
      CASE(the_same_words_in_other_cuts_are_the_same),
      CASE(only_what_the_agent_can_know_is_compared),
      CASE(what_is_said_of_others_is_not_compared),
      CASE(the_result_is_told_in_words))
