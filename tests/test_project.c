// SPDX-License-Identifier: Apache-2.0
/*
 * test_project.c - The rows that follow from events
 */
#include "core/project.h"

#include <string.h>

#include "tests/store_kit.h"

#define VM    "vm_0123456789abcdef0123456789abcdef"
#define VM2   "vm_1123456789abcdef0123456789abcdef"
#define OTHER "ses_0123456789abcdef0123456789abcdef"
#define REQ   "req_0123456789abcdef0123456789abcdef"
#define REQ2  "req_1123456789abcdef0123456789abcdef"
#define LATE  "trn_9123456789abcdef0123456789abcdef"
#define SHA   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* The value of a column (an SQL expression) of the session's row. */
static void session_is(const struct kit *k, const struct log *l,
		       const char *column, const char *want)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT coalesce(%s, 'NULL') FROM session WHERE id=?1",
		 column);
	STR_EQ(kit_ask(k, sql, l->session), want);
}

static void turn_is(const struct kit *k, const struct log *l,
		    const char *column, const char *want)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT coalesce(%s, 'NULL') FROM turn WHERE id=?1", column);
	STR_EQ(kit_ask(k, sql, l->turn), want);
}

static void rows_are(const struct kit *k, const char *sql, const char *want)
{
	STR_EQ(kit_ask(k, sql, NULL), want);
}

static void state(struct kit *k, struct log *l, const char *from,
		  const char *to, const char *more)
{
	char data[160];

	snprintf(data, sizeof(data), "{\"from\":\"%s\",\"to\":\"%s\"%s}", from,
		 to, more);
	log_write(k, l, "session.state", NULL, data);
}

/* A session that is idle. */
static struct log begin(struct kit *k, enum store_role role)
{
	struct log l = log_new();

	kit_open(k, role);
	log_create(k, &l);
	state(k, &l, "starting", "idle", "");
	return l;
}

/* ... and in a turn. */
static struct log begin_turn(struct kit *k, enum store_role role)
{
	struct log l = begin(k, role);

	log_prompt(k, &l, 1);
	state(k, &l, "idle", "running", "");
	return l;
}

/*
 * session.*
 */

TEST(created_makes_the_row)
{
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_HOST);
	log_write(&k, &l, "session.created", NULL,
		  "{\"vm\":\"" VM "\",\"agent\":\"claude\",\"cwd\":\"/w\","
		  "\"env_names\":[\"A\"],\"config\":{\"model\":\"m\"},"
		  "\"create_hash\":\"" SHA "\",\"title\":\"T \\u00e9\","
		  "\"tags\":[\"x\"],\"parent\":\"" OTHER "\","
		  "\"root\":\"" OTHER "\",\"expires_ms\":99}");
	session_is(&k, &l, "state", "starting");
	session_is(&k, &l, "vm_id", VM);
	session_is(&k, &l, "agent", "claude");
	session_is(&k, &l, "cwd", "/w");
	session_is(&k, &l, "env_names", "[\"A\"]");
	session_is(&k, &l, "config", "{\"model\":\"m\"}");
	session_is(&k, &l, "lower(hex(create_hash))", SHA);
	session_is(&k, &l, "title", "T \xc3\xa9");
	session_is(&k, &l, "tags", "[\"x\"]");
	session_is(&k, &l, "parent_id", OTHER);
	session_is(&k, &l, "root_id", OTHER);
	session_is(&k, &l, "expires_ms", "99");
	session_is(&k, &l, "epoch", "1");
	session_is(&k, &l, "created_ms", "1763683200001");
	session_is(&k, &l, "updated_ms", "1763683200001");
	rows_are(&k, "SELECT count(*) FROM mirror", "1");
	kit_close(&k);
}

TEST(members_of_a_wrong_type_read_as_nothing)
{
	struct log l = log_new();
	struct kit k;

	kit_open(&k, STORE_GUEST);
	log_write(&k, &l, "session.created", NULL,
		  "{\"vm\":\"" OTHER "\",\"agent\":[],\"cwd\":7,"
		  "\"env_names\":{},\"config\":\"c\",\"create_hash\":\"0g\","
		  "\"title\":{},\"tags\":1,\"parent\":\"p\",\"root\":null,"
		  "\"expires_ms\":\"soon\"}");
	session_is(&k, &l, "vm_id", "");
	session_is(&k, &l, "agent", "");
	session_is(&k, &l, "cwd", "/");
	session_is(&k, &l, "env_names", "[]");
	session_is(&k, &l, "config", "{}");
	session_is(&k, &l, "length(create_hash)", "0");
	session_is(&k, &l, "title", "NULL");
	session_is(&k, &l, "tags", "[]");
	session_is(&k, &l, "parent_id", "NULL");
	session_is(&k, &l, "root_id=id", "1");
	session_is(&k, &l, "expires_ms", "NULL");
	kit_close(&k);
}

TEST(state_moves_only_by_session_state_and_to_legal_names)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	session_is(&k, &l, "state", "idle");
	log_write(&k, &l, "session.closed", NULL, "{\"reason\":\"x\"}");
	session_is(&k, &l, "state", "idle");
	log_write(&k, &l, "session.state", NULL,
		  "{\"from\":\"idle\",\"to\":\"dancing\"}");
	log_write(&k, &l, "session.state", NULL,
		  "{\"from\":\"dancing\",\"to\":\"failed\"}");
	log_write(&k, &l, "session.state", NULL, "{\"to\":[\"failed\"]}");
	session_is(&k, &l, "state", "idle");
	state(&k, &l, "idle", "failed", "");
	session_is(&k, &l, "state", "failed");
	kit_close(&k);
}

TEST(suspended_remembers_from_where)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_GUEST);

	state(&k, &l, "running", "waiting", ",\"wait_kind\":\"permission\"");
	session_is(&k, &l, "wait_kind", "permission");
	turn_is(&k, &l, "state", "waiting");
	state(&k, &l, "waiting", "suspended",
	      ",\"suspended_from\":\"waiting\"");
	session_is(&k, &l, "suspended_from", "waiting");
	session_is(&k, &l, "wait_kind", "permission");
	state(&k, &l, "suspended", "running", "");
	session_is(&k, &l, "suspended_from", "NULL");
	session_is(&k, &l, "wait_kind", "NULL");
	turn_is(&k, &l, "state", "running");
	state(&k, &l, "running", "suspended", ",\"suspended_from\":\"closed\"");
	session_is(&k, &l, "suspended_from", "idle");
	kit_close(&k);
}

TEST(a_turn_that_ends_asleep_leaves_nothing_to_go_on_with)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_GUEST);

	state(&k, &l, "running", "waiting", ",\"wait_kind\":\"permission\"");
	state(&k, &l, "waiting", "suspended",
	      ",\"suspended_from\":\"waiting\"");
	log_write(&k, &l, "turn.interrupted", NULL, "{\"reason\":\"vm_lost\"}");
	session_is(&k, &l, "state", "suspended");
	session_is(&k, &l, "suspended_from", "idle");
	session_is(&k, &l, "wait_kind", "NULL");
	kit_close(&k);
}

TEST(closing_and_archiving_leave_their_times)
{
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	state(&k, &l, "idle", "closed", "");
	log_write(&k, &l, "session.closed", NULL, "{}");
	session_is(&k, &l, "closed_ms", "1763683200004");
	log_write(&k, &l, "session.archived", NULL, "{}");
	session_is(&k, &l, "archived_ms", "1763683200005");
	log_write(&k, &l, "session.unarchived", NULL, "{}");
	session_is(&k, &l, "archived_ms", "NULL");
	state(&k, &l, "closed", "starting", "");
	session_is(&k, &l, "closed_ms", "NULL");
	log_write(&k, &l, "session.expired", NULL, "{}");
	session_is(&k, &l, "closed_ms", "1763683200008");
	kit_close(&k);
}

TEST(ready_fills_in_what_the_agent_said)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "session.ready", NULL,
		  "{\"acp_session_id\":\"abc\",\"agent_info\":{\"name\":\"x\"},"
		  "\"capabilities\":{\"loadSession\":true},"
		  "\"features\":[\"a\"]}");
	log_write(&k, &l, "session.ready", NULL, "{\"acp_session_id\":7}");
	session_is(&k, &l, "acp_session_id", "abc");
	session_is(&k, &l, "agent_info", "{\"name\":\"x\"}");
	session_is(&k, &l, "agent_caps", "{\"loadSession\":true}");
	session_is(&k, &l, "features", "[\"a\"]");
	kit_close(&k);
}

TEST(config_is_merged)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "session.config", NULL,
		  "{\"model\":\"m\",\"mode\":\"a\",\"title\":\"t\"}");
	log_write(&k, &l, "session.config", NULL,
		  "{\"mode\":\"b\",\"model\":null,\"tags\":[\"q\"],"
		  "\"ttl_ms\":1000}");
	session_is(&k, &l, "title", "t");
	session_is(&k, &l, "tags", "[\"q\"]");
	session_is(&k, &l, "expires_ms", "1763683201004");
	session_is(&k, &l, "json_extract(config, '$.mode')", "b");
	session_is(&k, &l, "json_extract(config, '$.model')", "NULL");
	log_write(&k, &l, "session.config", NULL, "{\"ttl_ms\":0}");
	session_is(&k, &l, "expires_ms", "NULL");
	log_write(&k, &l, "session.config", NULL,
		  "{\"ttl_ms\":9223372036854775807}");
	session_is(&k, &l, "expires_ms", "NULL");
	kit_close(&k);
}

TEST(config_and_strings_are_bounded)
{
	char *data = malloc(400000);
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	OK(data != NULL);
	for (int i = 0; i < 3; i++) {
		sprintf(data, "{\"k%d\":\"%0200000d\",\"title\":\"%09000d\"}",
			i, 0, 0);
		log_write(&k, &l, "session.config", NULL, data);
	}
	free(data);
	session_is(&k, &l, "length(config) < 270000", "1");
	session_is(&k, &l, "title", "NULL");
	kit_close(&k);
}

TEST(errors_stay_until_a_turn_completes)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_GUEST);

	log_write(&k, &l, "session.error", NULL, "{\"code\":\"x\"}");
	session_is(&k, &l, "last_error", "{\"code\":\"x\"}");
	log_write(&k, &l, "turn.completed", NULL,
		  "{\"stop_reason\":\"end_turn\"}");
	session_is(&k, &l, "last_error", "NULL");
	log_prompt(&k, &l, 2);
	log_write(&k, &l, "turn.failed", NULL,
		  "{\"error\":{\"code\":\"agent_error\"}}");
	session_is(&k, &l, "last_error", "{\"code\":\"agent_error\"}");
	turn_is(&k, &l, "error", "{\"code\":\"agent_error\"}");
	kit_close(&k);
}

TEST(a_fork_starts_with_a_clean_account)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_HOST);

	log_write(&k, &l, "permission.requested", "{\"req\":\"" REQ "\"}",
		  "{}");
	log_write(&k, &l, "turn.completed", NULL, "{\"usage\":{\"in\":3}}");
	l.turn[0] = '\0';
	log_write(&k, &l, "permission.requested", "{\"req\":\"" REQ2 "\"}",
		  "{}");
	log_write(&k, &l, "session.forked", NULL,
		  "{\"from\":\"" OTHER "\",\"at\":6,\"vm\":\"" VM2
		  "\",\"title\":\"copy\"}");
	session_is(&k, &l, "forked_from", OTHER);
	session_is(&k, &l, "forked_seq", "6");
	session_is(&k, &l, "vm_id", VM2);
	session_is(&k, &l, "title", "copy");
	session_is(&k, &l, "root_id=id", "1");
	session_is(&k, &l, "usage", "{}");
	session_is(&k, &l, "state", "suspended");
	session_is(&k, &l, "suspended_from", "idle");
	session_is(&k, &l, "acp_session_id", "NULL");
	rows_are(&k, "SELECT count(*) FROM request WHERE state='pending'", "0");
	rows_are(&k, "SELECT pending FROM mirror", "0");
	log_write(&k, &l, "session.imported", NULL, "{\"vm\":\"" VM "\"}");
	session_is(&k, &l, "vm_id", VM);
	kit_close(&k);
}

TEST(a_fork_may_have_another_agent)
{
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	log_write(&k, &l, "session.ready", NULL,
		  "{\"acp_session_id\":\"a-1\",\"capabilities\":{\"x\":1}}");
	log_write(&k, &l, "session.forked", NULL,
		  "{\"agent\":\"other\",\"resolved\":\"2.0\","
		  "\"tags\":[\"t\"],\"env_names\":[\"A\"],"
		  "\"create_hash\":\"ff\"}");
	session_is(&k, &l, "agent", "other");
	session_is(&k, &l, "agent_info", "{\"resolved\":\"2.0\"}");
	session_is(&k, &l, "agent_caps", "NULL");
	session_is(&k, &l, "acp_session_id", "NULL");
	session_is(&k, &l, "tags", "[\"t\"]");
	session_is(&k, &l, "env_names", "[\"A\"]");
	session_is(&k, &l, "hex(create_hash)", "FF");
	kit_close(&k);
}

TEST(a_rewind_undoes_what_began_in_the_abandoned_range)
{
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	id_new(l.turn, "trn");
	log_write(&k, &l, "turn.started", NULL, "{\"n\":1,\"idem_key\":\"k\"}");
	log_write(&k, &l, "acp.update", NULL, "{}");
	l.turn[0] = '\0';
	log_write(&k, &l, "session.rewound", NULL,
		  "{\"to_seq\":2,\"abandoned\":[3,9]}"); /* Not yet written. */
	rows_are(&k, "SELECT count(*) FROM abandoned", "0");
	log_write(&k, &l, "session.rewound", NULL,
		  "{\"to_seq\":2,\"abandoned\":[3,5]}");
	rows_are(&k, "SELECT from_seq||'-'||to_seq FROM abandoned", "3-5");
	rows_are(&k, "SELECT count(*) FROM turn", "0");
	rows_are(&k, "SELECT group_concat(seq) FROM v_active", "1,2,6");

	/* The guest counts its turns from the snapshot: 1 again. */
	id_new(l.turn, "trn");
	log_write(&k, &l, "turn.started", NULL, "{\"n\":1,\"idem_key\":\"k\"}");
	turn_is(&k, &l, "n", "1");
	log_write(&k, &l, "session.rewound", NULL, "{\"abandoned\":[3,7]}");
	rows_are(&k, "SELECT from_seq||'-'||to_seq FROM abandoned", "3-7");
	rows_are(&k, "SELECT count(*) FROM turn", "0");
	kit_close(&k);
}

/*
 * turn.*
 */

TEST(a_turn_has_a_row_from_start_to_end)
{
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	id_new(l.turn, "trn");
	log_write(&k, &l, "input.message", NULL,
		  "{\"content\":[{\"type\":\"text\",\"text\":\"do it\"}]}");
	log_write(&k, &l, "turn.started",
		  "{\"input\":\"msg_0123456789abcdef0123456789abcdef\"}",
		  "{\"n\":1,\"first_seq\":3,\"idem_key\":\"k\","
		  "\"idem_hash\":\"0aff\"}");
	turn_is(&k, &l, "state", "running");
	turn_is(&k, &l, "input_id", "msg_0123456789abcdef0123456789abcdef");
	turn_is(&k, &l, "first_seq", "3");
	turn_is(&k, &l, "hex(idem_hash)||idem_key", "0AFFk");
	session_is(&k, &l, "turn_count", "1");
	rows_are(&k, "SELECT preview FROM mirror", "do it");

	log_write(&k, &l, "turn.completed", NULL,
		  "{\"stop_reason\":\"end_turn\",\"usage\":{\"in\":5},"
		  "\"text_preview\":\"done\"}");
	turn_is(&k, &l, "state", "completed");
	turn_is(&k, &l, "stop_reason", "end_turn");
	turn_is(&k, &l, "last_seq", "5");
	turn_is(&k, &l, "ended_ms", "1763683200005");
	turn_is(&k, &l, "usage", "{\"in\":5}");
	rows_are(&k, "SELECT preview FROM mirror", "done");
	kit_close(&k);
}

TEST(every_end_of_a_turn_has_its_state)
{
	static const char *const ends[] = {"cancelled", "interrupted",
					   "failed"};
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	for (int i = 0; i < 3; i++) {
		char type[32];

		log_prompt(&k, &l, i + 1);
		snprintf(type, sizeof(type), "turn.%s", ends[i]);
		log_write(&k, &l, type, NULL, "{\"reason\":\"why\"}");
		turn_is(&k, &l, "state", ends[i]);
		turn_is(&k, &l, "stop_reason", "why");
	}
	kit_close(&k);
}

TEST(an_end_without_an_open_turn_is_stored_and_changes_nothing)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_GUEST);

	log_write(&k, &l, "turn.cancelled", NULL, "{}");
	log_write(&k, &l, "turn.completed", NULL, "{\"usage\":{\"in\":5}}");
	turn_is(&k, &l, "state", "cancelled");
	session_is(&k, &l, "usage", "{}");
	l.turn[0] = '\0';
	log_write(&k, &l, "turn.failed", NULL, "{\"error\":{\"code\":\"x\"}}");
	session_is(&k, &l, "last_error", "NULL");
	kit_close(&k);
}

TEST(usage_adds_up_member_by_member)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_prompt(&k, &l, 1);
	log_write(&k, &l, "turn.completed", NULL,
		  "{\"usage\":{\"in\":5,\"cost\":0.5,\"note\":\"x\"}}");
	log_prompt(&k, &l, 2);
	log_write(&k, &l, "turn.failed", NULL,
		  "{\"usage\":{\"in\":7,\"cost\":0.25,\"out\":1}}");
	session_is(&k, &l, "usage->>'in'", "12");
	session_is(&k, &l, "usage->>'out'", "1");
	session_is(&k, &l, "usage->>'cost'", "0.75");
	session_is(&k, &l, "usage->>'note'", "NULL");

	/* What would overflow is left out. */
	log_prompt(&k, &l, 3);
	log_write(&k, &l, "turn.completed", NULL,
		  "{\"usage\":{\"in\":9223372036854775807,\"out\":1e999,"
		  "\"cost\":-9223372036854775808}}");
	session_is(&k, &l, "usage->>'in'", "12");
	session_is(&k, &l, "usage->>'out'", "1");
	kit_close(&k);
}

TEST(diff_rows_follow_their_event)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_GUEST);

	log_write(&k, &l, "turn.diff", NULL,
		  "{\"files\":[{\"path\":\"a\",\"kind\":\"add\",\"new\":\"1\"},"
		  "{\"path\":\"b\",\"kind\":\"burn\"},7,{\"kind\":\"add\"},"
		  "{\"path\":\"c\",\"kind\":\"modify\",\"old\":\"1\","
		  "\"patch\":\"@@\"}]}");
	rows_are(&k,
		 "SELECT group_concat(path||kind||ifnull(old_oid,'')"
		 "||ifnull(patch,''), ' ') FROM diff",
		 "aadd cmodify1@@");
	log_write(&k, &l, "turn.diff", NULL, "{\"files\":{}}");
	/* Rows of the turn that it is late for; none of no turn. */
	l.turn[0] = '\0';
	log_write(&k, &l, "turn.diff", "{\"late\":\"" LATE "\"}",
		  "{\"files\":[{\"path\":\"a\",\"kind\":\"add\"}]}");
	log_write(&k, &l, "turn.diff", "{\"late\":\"7\"}",
		  "{\"files\":[{\"path\":\"z\",\"kind\":\"add\"}]}");
	rows_are(&k,
		 "SELECT group_concat(path) FROM diff WHERE turn_id='" LATE "'",
		 "a");
	rows_are(&k, "SELECT count(*) FROM diff", "3");
	kit_close(&k);
}

/*
 * Requests and the rest.
 */

TEST(requests_open_and_resolve_once)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_HOST);

	log_write(&k, &l, "permission.requested",
		  "{\"req\":\"" REQ "\",\"tool\":\"call_7\"}",
		  "{\"options\":[],\"deadline_ms\":77}");
	log_write(&k, &l, "tool.requested", "{\"req\":\"" REQ2 "\"}", "{}");
	log_write(&k, &l, "tool.requested", "{\"req\":\"" REQ2 "\"}", "{}");
	log_write(&k, &l, "elicitation.requested", "{\"req\":\"bad\"}", "{}");
	rows_are(&k,
		 "SELECT group_concat(kind||state||ifnull(tool_call_id,'')"
		 "||ifnull(deadline_ms,''), ' ') FROM request",
		 "permissionpendingcall_777 toolpending");
	rows_are(&k, "SELECT pending FROM mirror", "2");

	log_write(&k, &l, "permission.resolved", "{\"req\":\"" REQ "\"}",
		  "{\"outcome\":\"selected\",\"by\":\"client\"}");
	log_write(&k, &l, "permission.resolved", "{\"req\":\"" REQ "\"}",
		  "{\"outcome\":\"cancelled\",\"by\":\"late\"}");
	log_write(&k, &l, "tool.resolved", "{\"req\":\"" REQ2 "\"}",
		  "{\"outcome\":\"cancelled\",\"by\":\"timeout\"}");
	rows_are(&k,
		 "SELECT group_concat(state||answered_by, ' ') FROM request",
		 "answeredclient expiredtimeout");
	rows_are(&k, "SELECT pending FROM mirror", "0");
	kit_close(&k);
}

TEST(an_open_permission_names_the_wait)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_HOST);

	log_write(&k, &l, "elicitation.requested", "{\"req\":\"" REQ "\"}",
		  "{}");
	session_is(&k, &l, "wait_kind", "NULL");
	state(&k, &l, "running", "waiting", ",\"wait_kind\":\"elicitation\"");
	session_is(&k, &l, "wait_kind", "elicitation");
	log_write(&k, &l, "permission.requested", "{\"req\":\"" REQ2 "\"}",
		  "{}");
	session_is(&k, &l, "wait_kind", "permission");
	log_write(&k, &l, "permission.resolved", "{\"req\":\"" REQ2 "\"}",
		  "{\"outcome\":\"cancelled\"}");
	session_is(&k, &l, "wait_kind", "elicitation");
	log_write(&k, &l, "elicitation.resolved", "{\"req\":\"" REQ "\"}",
		  "{\"outcome\":\"accept\"}");
	state(&k, &l, "waiting", "running", "");
	session_is(&k, &l, "wait_kind", "NULL");
	kit_close(&k);
}

TEST(the_end_of_a_turn_ends_its_requests)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_HOST);

	log_write(&k, &l, "permission.requested", "{\"req\":\"" REQ "\"}",
		  "{}");
	log_write(&k, &l, "turn.interrupted", NULL, "{\"reason\":\"vm_lost\"}");
	rows_are(&k, "SELECT state FROM request", "cancelled");
	rows_are(&k, "SELECT pending FROM mirror", "0");
	log_write(&k, &l, "permission.resolved", "{\"req\":\"" REQ "\"}",
		  "{\"outcome\":\"cancelled\",\"by\":\"cancel\"}");
	rows_are(&k, "SELECT state||answered_by FROM request",
		 "cancelledcancel");
	kit_close(&k);
}

TEST(artifacts_memory_and_summaries)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "artifact.created", NULL,
		  "{\"id\":\"art_0123456789abcdef0123456789abcdef\","
		  "\"name\":\"n\",\"size\":3,\"sha256\":\"" SHA "\"}");
	log_write(&k, &l, "artifact.created", NULL,
		  "{\"id\":\"art_1123456789abcdef0123456789abcdef\","
		  "\"name\":\"n\",\"size\":3,\"sha256\":\"00\"}");
	rows_are(&k, "SELECT group_concat(name||size) FROM artifact", "n3");
	log_write(&k, &l, "memory.set", NULL,
		  "{\"key\":\"a\",\"value\":\"1\"}");
	log_write(&k, &l, "memory.set", NULL,
		  "{\"key\":\"a\",\"value\":{\"x\":2}}");
	rows_are(&k, "SELECT group_concat(key||value) FROM memory",
		 "a{\"x\":2}");
	log_write(&k, &l, "summary.created", NULL,
		  "{\"from_seq\":1,\"to_seq\":3,\"text\":\"s\"}");
	log_write(&k, &l, "summary.created", NULL,
		  "{\"from_seq\":5,\"to_seq\":3,\"text\":\"s\"}");
	rows_are(&k, "SELECT group_concat(to_seq||text) FROM summary", "3s");
	kit_close(&k);
}

TEST(keys_follow_the_log)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"a\",\"value\":\"1\"}");
	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"b\",\"value\":\"2\"}");
	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"a\",\"value\":\"3\"}");
	log_write(&k, &l, "kv.deleted", NULL, "{\"key\":\"b\"}");
	log_write(&k, &l, "kv.deleted", NULL, "{\"key\":\"none\"}");
	rows_are(&k, "SELECT group_concat(key||value) FROM kv", "a3");
	/* What we would not have written makes no row. */
	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"\",\"value\":\"1\"}");
	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"c\",\"value\":1}");
	log_write(&k, &l, "kv.set", NULL,
		  "{\"key\":\"d\",\"value\":\"x\\u0000\"}");
	log_write(&k, &l, "kv.set", NULL, "{\"key\":[],\"value\":\"x\"}");
	rows_are(&k, "SELECT group_concat(key||value) FROM kv", "a3");
	kit_close(&k);
}

TEST(a_rewind_undoes_what_was_noted)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);
	char data[64];
	int64_t from;

	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"a\",\"value\":\"1\"}");
	log_write(&k, &l, "memory.set", NULL,
		  "{\"key\":\"m\",\"value\":\"1\"}");
	log_write(&k, &l, "memory.set", NULL,
		  "{\"key\":\"v\",\"value\":\"1\",\"scope\":\"vm\",\"rev\":1}");
	from = l.seq + 1;
	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"a\",\"value\":\"2\"}");
	log_write(&k, &l, "kv.set", NULL, "{\"key\":\"b\",\"value\":\"2\"}");
	log_write(&k, &l, "memory.deleted", NULL, "{\"key\":\"m\"}");
	log_write(&k, &l, "memory.deleted", NULL,
		  "{\"key\":\"v\",\"scope\":\"vm\",\"rev\":2}");
	log_write(&k, &l, "summary.created", NULL,
		  "{\"from_seq\":1,\"to_seq\":3,\"text\":\"s\"}");
	rows_are(&k, "SELECT group_concat(key||value) FROM kv", "a2,b2");
	rows_are(&k, "SELECT value IS NULL FROM memory_shared", "1");
	snprintf(data, sizeof(data), "{\"abandoned\":[%lld,%lld]}",
		 (long long)from, (long long)l.seq);
	log_write(&k, &l, "session.rewound", NULL, data);
	rows_are(&k, "SELECT group_concat(key||value) FROM kv", "a1");
	rows_are(&k, "SELECT group_concat(key||value) FROM memory", "m1");
	rows_are(&k, "SELECT key||value||rev FROM memory_shared", "v11");
	rows_are(&k, "SELECT count(*) FROM summary", "0");
	kit_close(&k);
}

static void server_is(const struct kit *k, const char *want)
{
	rows_are(k,
		 "SELECT printf('%s %s %s %s %s', state, coalesce(pid, '-'),"
		 " coalesce(exit_code, '-'), coalesce(exit_signal, '-'),"
		 " coalesce(error, '-')) FROM mcp_server WHERE name='a'",
		 want);
}

TEST(servers_are_those_that_the_session_was_told_of)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "session.resuming", NULL,
		  "{\"mcp\":[{\"name\":\"a\",\"transport\":\"stdio\"},"
		  "{\"name\":\"k\",\"transport\":\"builtin\"},"
		  "{\"name\":\"x\",\"transport\":\"pigeon\"},7]}");
	rows_are(&k,
		 "SELECT group_concat(name||transport||state) FROM mcp_server",
		 "astdiooff,kbuiltinoff");
	log_write(&k, &l, "session.resuming", NULL, "{}");
	rows_are(&k, "SELECT count(*) FROM mcp_server", "2");
	log_write(&k, &l, "session.resuming", NULL, "{\"mcp\":[]}");
	rows_are(&k, "SELECT count(*) FROM mcp_server", "0");
	kit_close(&k);
}

TEST(a_server_is_what_it_did_last)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "mcp.starting", NULL,
		  "{\"name\":\"a\",\"transport\":\"stdio\"}");
	server_is(&k, "starting - - - -");
	log_write(&k, &l, "mcp.failed", NULL,
		  "{\"name\":\"a\",\"reason\":\"r\",\"code\":3,"
		  "\"stderr_tail\":\"t\"}");
	server_is(&k, "failed - 3 - r");
	session_is(&k, &l, "features", "[]");
	log_write(&k, &l, "mcp.starting", NULL, "{\"name\":\"a\"}");
	log_write(&k, &l, "mcp.ready", NULL,
		  "{\"name\":\"a\",\"pid\":7,\"ms\":3,\"era\":\"modern\","
		  "\"version\":\"v\",\"server\":{\"name\":\"s\"},"
		  "\"hash\":\"h1\",\"tools\":[{\"name\":\"t\"}]}");
	server_is(&k, "ready 7 - - -");
	session_is(&k, &l, "features", "[\"mcp\"]");
	log_write(&k, &l, "mcp.exited", NULL,
		  "{\"name\":\"a\",\"signal\":9,\"expected\":true}");
	server_is(&k, "exited - - 9 -");
	log_write(&k, &l, "mcp.ready", NULL,
		  "{\"name\":\"a\",\"hash\":\"h1\"}");
	log_write(&k, &l, "mcp.changed", NULL,
		  "{\"name\":\"a\",\"hash\":\"h2\"}");
	rows_are(&k, "SELECT hash||tools FROM mcp_server",
		 "h2[{\"name\":\"t\"}]");
	session_is(&k, &l, "features", "[\"mcp\"]");
	kit_close(&k);
}

TEST(without_an_agent_no_server_runs)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "mcp.starting", NULL, "{\"name\":\"a\"}");
	log_write(&k, &l, "mcp.ready", NULL, "{\"name\":\"a\",\"pid\":7}");
	state(&k, &l, "idle", "suspended", ",\"suspended_from\":\"idle\"");
	server_is(&k, "exited - - - -");
	kit_close(&k);
}

TEST(what_was_paused_with_its_session_runs_again)
{
	struct kit k;
	struct log l = begin(&k, STORE_GUEST);

	log_write(&k, &l, "mcp.starting", NULL, "{\"name\":\"a\"}");
	log_write(&k, &l, "mcp.ready", NULL,
		  "{\"name\":\"a\",\"pid\":7,\"hash\":\"h\"}");
	state(&k, &l, "idle", "suspended", ",\"suspended_from\":\"idle\"");
	log_write(&k, &l, "session.resumed", NULL, "{\"restore\":\"warm\"}");
	server_is(&k, "exited - - - -");
	log_write(&k, &l, "session.resumed", NULL,
		  "{\"restore\":\"warm\",\"mcp\":[7,{\"pid\":1},"
		  "{\"name\":\"none\"},{\"name\":\"a\",\"pid\":7}]}");
	server_is(&k, "ready 7 - - -");
	rows_are(&k, "SELECT hash FROM mcp_server", "h");
	rows_are(&k, "SELECT count(*) FROM mcp_server", "1");
	kit_close(&k);
}

TEST(questions_have_longer_when_their_session_was_paused)
{
	struct kit k;
	struct log l = begin_turn(&k, STORE_HOST);

	log_write(&k, &l, "permission.requested", "{\"req\":\"" REQ "\"}",
		  "{\"options\":[],\"deadline_ms\":77}");
	log_write(&k, &l, "tool.requested", "{\"req\":\"" REQ2 "\"}",
		  "{\"deadline_ms\":88}");
	log_write(&k, &l, "session.resumed", NULL,
		  "{\"restore\":\"warm\",\"paused_ms\":1000}");
	log_write(&k, &l, "session.resumed", NULL,
		  "{\"restore\":\"warm\",\"paused_ms\":-5}");
	rows_are(&k, "SELECT group_concat(deadline_ms, ' ') FROM request",
		 "1077 88");
	kit_close(&k);
}

TEST(preview_is_cut_at_a_character)
{
	char data[700], *p = data;
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	p = stpcpy(p, "{\"content\":[{\"type\":\"image\"},{\"type\":\"text\","
		      "\"text\":\"x");
	for (int i = 0; i < 150; i++)
		p = stpcpy(p, "\xc3\xa9");
	strcpy(p, "\"}]}");
	log_write(&k, &l, "input.message", NULL, data);
	rows_are(&k,
		 "SELECT length(preview)||' '||length(CAST(preview AS BLOB))"
		 " FROM mirror",
		 "100 199");
	kit_close(&k);
}

/*
 * Hostile and unknown events.
 */

TEST(unknown_types_are_stored_and_change_nothing)
{
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	log_write(&k, &l, "future.thing", NULL, "{\"to\":\"failed\"}");
	log_write(&k, &l, "session.created", NULL, "{\"agent\":\"evil\"}");
	session_is(&k, &l, "state", "idle");
	session_is(&k, &l, "agent", "echo");
	session_is(&k, &l, "last_seq", "4");
	kit_close(&k);
}

/* Every rule, with data in which each member has a type it should not have. */
TEST(no_type_stops_at_strange_data)
{
	static const char *const strange[] = {
		"{}",
		"{\"to\":null,\"files\":[[],{\"path\":[]}],\"abandoned\":[{},1],"
		"\"usage\":{\"a\":[],\"b\":{\"c\":1}},\"error\":[],\"n\":\"1\","
		"\"content\":[1,{\"type\":\"text\"}],\"value\":null,\"key\":1}",
		"{\"n\":-9223372036854775808,\"first_seq\":9223372036854775807,"
		"\"title\":\"\\u0000\",\"idem_key\":\"\\u0000\",\"ttl_ms\":-1,"
		"\"usage\":{\"\\u0000\":1,\"a\":1,\"a\":2},\"at\":-5,"
		"\"reason\":\"\\ud800\",\"abandoned\":[1,9223372036854775807],"
		"\"deadline_ms\":1e300,\"tags\":[[[]]]}",
	};
	struct kit k;
	struct log l = begin(&k, STORE_HOST);

	for (const char *const *t = event_types; *t != NULL; t++) {
		for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
			struct event *ev;

			id_new(l.turn, "trn");
			ev = log_event(&l, l.seq + 1, *t,
				       "{\"req\":7,\"tool\":{},\"input\":[]}",
				       strange[i]);
			if (kit_append(&k, ev, NULL) == l.seq + 1)
				l.seq++;
			else if (strcmp(*t, "turn.started") != 0)
				FAIL("%s was refused", *t);
		}
	}
	EQ(kit_check(&k), 0);
	kit_close(&k);
}

TESTS(CASE(created_makes_the_row),
      CASE(members_of_a_wrong_type_read_as_nothing),
      CASE(state_moves_only_by_session_state_and_to_legal_names),
      CASE(suspended_remembers_from_where),
      CASE(a_turn_that_ends_asleep_leaves_nothing_to_go_on_with),
      CASE(closing_and_archiving_leave_their_times),
      CASE(ready_fills_in_what_the_agent_said), CASE(config_is_merged),
      CASE(config_and_strings_are_bounded),
      CASE(errors_stay_until_a_turn_completes),
      CASE(a_fork_starts_with_a_clean_account),
      CASE(a_fork_may_have_another_agent),
      CASE(a_rewind_undoes_what_began_in_the_abandoned_range),
      CASE(a_turn_has_a_row_from_start_to_end),
      CASE(every_end_of_a_turn_has_its_state),
      CASE(an_end_without_an_open_turn_is_stored_and_changes_nothing),
      CASE(usage_adds_up_member_by_member), CASE(diff_rows_follow_their_event),
      CASE(requests_open_and_resolve_once),
      CASE(an_open_permission_names_the_wait),
      CASE(the_end_of_a_turn_ends_its_requests),
      CASE(artifacts_memory_and_summaries), CASE(keys_follow_the_log),
      CASE(a_rewind_undoes_what_was_noted),
      CASE(servers_are_those_that_the_session_was_told_of),
      CASE(a_server_is_what_it_did_last), CASE(without_an_agent_no_server_runs),
      CASE(what_was_paused_with_its_session_runs_again),
      CASE(questions_have_longer_when_their_session_was_paused),
      CASE(preview_is_cut_at_a_character),
      CASE(unknown_types_are_stored_and_change_nothing),
      CASE(no_type_stops_at_strange_data))
