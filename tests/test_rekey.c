// SPDX-License-Identifier: Apache-2.0
/*
 * test_rekey.c - A VM that was set back, or cloned, as its guest goes on
 */
#include "guest/rekey.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/session_impl.h"
#include "guest/sqldb.h"
#include "tests/rekey_kit.h"

#define SNP "snp_00000000000000000000000000000001"

/* What the host says to a VM that was set back. */
static int rewind_to_host(struct vm *v, const struct kit *host,
			  const char *session)
{
	char said[256];

	snprintf(said, sizeof(said),
		 "{\"%s\":{\"next_seq\":%lld,\"chain\":%lld,\"epoch\":%lld,"
		 "\"snapshot\":\"" SNP "\"}}",
		 session, (long long)last_seq(host, session) + 1,
		 (long long)last_chain(host, session),
		 (long long)kit_int(host,
				    "SELECT epoch+1 FROM session WHERE id=?1",
				    session));
	return rekey(v, NULL, said);
}

/*
 * Set back.
 */

TEST(F141_a_log_goes_on_behind_the_last_number_ever_used)
{
	struct vm old, back;
	struct kit host;
	struct log l, undone;

	vm_new(&old);
	kit_open(&host, STORE_HOST);
	l = log_ready(&old.k);
	log_write(&old.k, &l, "kv.set", NULL,
		  "{\"key\":\"b\",\"value\":\"1\"}");
	log_whole_turn(&old.k, &l, 1, "kept");
	log_state(&old.k, &l, "idle", "suspended");
	vm_from(&back, &old.k);
	undone = l;
	log_state(&old.k, &undone, "suspended", "idle");
	log_mixture(&old.k, &undone, 2);
	sync_log(&old.k, &host, l.session);

	EQ(rewind_to_host(&back, &host, l.session), 0);
	EQ(last_seq(&back.k, l.session), undone.seq + 1);
	sync_log(&back.k, &host, l.session);
	sides_are_equal(&back.k, &host, l.session);
	log_follow(&back, &l);
	EQ(l.epoch, 2);
	log_state(&back.k, &l, "suspended", "idle");
	log_whole_turn(&back.k, &l, 2, "anew");
	sync_log(&back.k, &host, l.session);
	sides_are_equal(&back.k, &host, l.session);
	{
		autofree char *a = messages_of(&back.k, l.session);
		autofree char *b = messages_of(&host, l.session);

		STR_EQ(a, b);
		OK(strstr(a, "kept") != NULL && strstr(a, "anew") != NULL);
	}
	/* What was abandoned is there, at the host. */
	EQ(kit_int(&host,
		   "SELECT count(*) FROM event e JOIN session s ON"
		   " s.n=e.session_n WHERE s.id=?1 AND e.type='turn.diff'",
		   l.session),
	   1);
	vm_end(&old);
	vm_end(&back);
	kit_close(&host);
}

TEST(an_open_turn_and_its_question_are_open_again)
{
	static const char ctx[] =
		"{\"req\":\"req_0123456789abcdef0123456789abcdef\"}";
	struct vm old, back;
	struct kit host;
	struct log l, undone;

	vm_new(&old);
	kit_open(&host, STORE_HOST);
	l = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	log_write(&old.k, &l, "permission.requested", ctx, "{\"options\":[]}");
	log_state(&old.k, &l, "running", "waiting");
	log_state(&old.k, &l, "waiting", "suspended");
	vm_from(&back, &old.k);
	undone = l;
	log_state(&old.k, &undone, "suspended", "waiting");
	log_write(&old.k, &undone, "permission.resolved", ctx,
		  "{\"outcome\":\"cancelled\",\"by\":\"cancel\"}");
	log_write(&old.k, &undone, "turn.interrupted", NULL,
		  "{\"reason\":\"vm_lost\"}");
	undone.turn[0] = '\0';
	log_state(&old.k, &undone, "waiting", "closed");
	log_write(&old.k, &undone, "session.closed", NULL, "{}");
	sync_log(&old.k, &host, l.session);
	STR_EQ(kit_ask(&host, "SELECT state FROM turn", NULL), "interrupted");

	EQ(rewind_to_host(&back, &host, l.session), 0);
	sync_log(&back.k, &host, l.session);
	sides_are_equal(&back.k, &host, l.session);
	STR_EQ(kit_ask(&host,
		       "SELECT state||suspended_from||wait_kind"
		       " FROM session",
		       NULL),
	       "suspendedwaitingpermission");
	STR_EQ(kit_ask(&host, "SELECT state FROM turn", NULL), "waiting");
	STR_EQ(kit_ask(&host, "SELECT state FROM request", NULL), "pending");
	STR_EQ(kit_ask(&host, "SELECT pending FROM mirror", NULL), "1");
	STR_EQ(kit_ask(&host,
		       "SELECT turn_id=(SELECT id FROM turn) FROM event"
		       " WHERE type='session.rewound'",
		       NULL),
	       "1");
	vm_end(&old);
	vm_end(&back);
	kit_close(&host);
}

TEST(rewinds_can_be_undone_themselves)
{
	struct vm a, b, c, d;
	struct kit host;
	struct log l, m;

	vm_new(&a);
	kit_open(&host, STORE_HOST);
	l = log_ready(&a.k);
	log_whole_turn(&a.k, &l, 1, "one");
	vm_from(&b, &a.k); /* At one. */
	log_whole_turn(&a.k, &l, 2, "two");
	sync_log(&a.k, &host, l.session);
	EQ(rewind_to_host(&b, &host, l.session), 0);
	m = l;
	log_follow(&b, &m);
	log_whole_turn(&b.k, &m, 2, "three");
	sync_log(&b.k, &host, l.session);
	vm_from(&c, &b.k); /* At one, three: made after the first rewind. */
	log_whole_turn(&b.k, &m, 3, "four");
	sync_log(&b.k, &host, l.session);
	sides_are_equal(&b.k, &host, l.session);

	/* To two: what the first rewind had undone. */
	vm_from(&d, &a.k);
	EQ(rewind_to_host(&d, &host, l.session), 0);
	sync_log(&d.k, &host, l.session);
	sides_are_equal(&d.k, &host, l.session);
	log_follow(&d, &l);
	log_whole_turn(&d.k, &l, 3, "five");
	sync_log(&d.k, &host, l.session);
	sides_are_equal(&d.k, &host, l.session);

	/* And to three again: it counts what that one has abandoned. */
	EQ(rewind_to_host(&c, &host, l.session), 0);
	sync_log(&c.k, &host, l.session);
	sides_are_equal(&c.k, &host, l.session);
	{
		autofree char *text = messages_of(&host, l.session);

		OK(strstr(text, "one") && strstr(text, "three"));
		OK(!strstr(text, "two") && !strstr(text, "four") &&
		   !strstr(text, "five"));
	}
	vm_end(&a);
	vm_end(&b);
	vm_end(&c);
	vm_end(&d);
	kit_close(&host);
}

TEST(nothing_is_said_where_nothing_is_abandoned)
{
	struct vm v;
	struct kit host;
	struct session *s;
	struct log l;
	struct err e = {0};

	vm_new(&v);
	kit_open(&host, STORE_HOST);
	l = log_ready(&v.k);
	sync_log(&v.k, &host, l.session);
	EQ(session_find(&v.g, l.session, &s, &e), 0);
	EQ(rewind_to_host(&v, &host, l.session), 0);
	EQ(last_seq(&v.k, l.session), l.seq);
	EQ(kit_int(&v.k, "SELECT epoch FROM session WHERE id=?1", l.session),
	   2);
	EQ(s->journal.epoch, 2);
	EQ(s->journal.last_seq, l.seq);
	vm_end(&v);
	kit_close(&host);
}

static void end_journal(struct vm *v, struct session *s)
{
	journal_hub_flush(&v->g.hub);
	while (!journal_is_landed(&s->journal))
		uv_run(&v->k.loop, UV_RUN_ONCE);
}

TEST(a_session_in_memory_writes_on)
{
	struct vm old, back;
	struct kit host;
	struct session *s;
	struct log l, undone;
	struct err e = {0};

	vm_new(&old);
	kit_open(&host, STORE_HOST);
	l = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	vm_from(&back, &old.k);
	undone = l;
	log_say(&old.k, &undone, "undone");
	sync_log(&old.k, &host, l.session);
	EQ(session_find(&back.g, l.session, &s, &e), 0);
	strcpy(s->journal.turn, l.turn);

	EQ(rewind_to_host(&back, &host, l.session), 0);
	EQ(s->journal.last_seq, undone.seq + 1);
	EQ(s->journal.stored_seq, undone.seq + 1);
	EQ(s->journal.epoch, 2);
	STR_EQ(s->journal.turn, l.turn);
	OK(journal_add(&s->journal, "turn.completed", NULL, "{}", 2) > 0);
	end_journal(&back, s);
	sync_log(&back.k, &host, l.session);
	sides_are_equal(&back.k, &host, l.session);
	vm_end(&old);
	vm_end(&back);
	kit_close(&host);
}

/*
 * Gaps that are none.
 */

static int64_t append_rewound(struct kit *k, const struct log *l, int64_t seq,
			      const char *type, const char *data, bool rewinds)
{
	struct store_batch b = {.rewinds = rewinds, .chain_before = 5};
	struct appended a = {0};
	struct event *ev = log_event(l, seq, type, NULL, data);

	TAILQ_INIT(&b.events);
	TAILQ_INSERT_TAIL(&b.events, ev, link);
	strcpy(b.session, l->session);
	b.done = kit_on_appended;
	b.arg = &a;
	store_append(k->store, &b);
	while (!a.done)
		uv_run(&k->loop, UV_RUN_ONCE);
	event_list_free(&b.events);
	return a.acked;
}

TEST(no_other_event_stands_behind_a_gap)
{
	static const char right[] = "{\"to_seq\":1,\"abandoned\":[2,4]}";
	static const struct {
		const char *type, *data;
		bool rewinds;
		int64_t epoch;
	} bad[] = {
		{"session.rewound", right, false, 2},
		{"session.rewound", right, true, 1},
		{"session.state", right, true, 2},
		{"session.rewound", "{}", true, 2},
		{"session.rewound", "{\"to_seq\":2,\"abandoned\":[2,4]}", true,
		 2},
		{"session.rewound", "{\"to_seq\":1,\"abandoned\":[3,4]}", true,
		 2},
		{"session.rewound", "{\"to_seq\":1,\"abandoned\":[2,3]}", true,
		 2},
		{"session.rewound", "{\"to_seq\":1,\"abandoned\":[2,4,5]}",
		 true, 2},
	};
	struct kit k, host;
	struct log l = log_new();

	kit_open(&k, STORE_GUEST);
	kit_open(&host, STORE_HOST);
	log_create(&k, &l);
	l.seq = 0;
	log_create(&host, &l);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		l.epoch = bad[i].epoch;
		EQ(append_rewound(&k, &l, 5, bad[i].type, bad[i].data,
				  bad[i].rewinds),
		   -FAULT_BAD_FRAME);
		EQ(last_seq(&k, l.session), 1);
	}
	l.epoch = 2;
	EQ(append_rewound(&host, &l, 5, "session.rewound", right, true),
	   -FAULT_BAD_FRAME);
	EQ(append_rewound(&k, &l, 5, "session.rewound", right, true), 5);
	EQ(kit_check(&k), 0);
	kit_close(&k);
	kit_close(&host);
}

/*
 * Clones.
 */

#define VM_A "vm_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define VM_B "vm_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* What the host does and says for a clone of @session. */
static int clone_session(struct vm *v, struct kit *host, const char *vm,
			 const char *session, char to[ID_MAX])
{
	struct err e = {0};
	char said[256];

	(void)host;
	(void)e;
	id_new(to, "ses");
	snprintf(said, sizeof(said),
		 "{\"%s\":{\"id\":\"%s\",\"snapshot\":\"" SNP "\"}}", session,
		 to);
	return rekey(v, vm, said);
}

TEST(F142_two_clones_go_on_in_the_middle_of_a_turn)
{
	struct vm old, a, b;
	struct kit host;
	struct log l, la, lb;

	vm_new(&old);
	kit_open(&host, STORE_HOST);
	l = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	log_say(&old.k, &l, "before");
	log_state(&old.k, &l, "running", "suspended");
	vm_from(&a, &old.k);
	vm_from(&b, &old.k);
	la = lb = l;
	EQ(clone_session(&a, &host, VM_A, l.session, la.session), 0);
	EQ(clone_session(&b, &host, VM_B, l.session, lb.session), 0);
	log_follow(&a, &la);
	log_follow(&b, &lb);
	EQ(la.seq, l.seq + 1);
	log_state(&a.k, &la, "suspended", "running");
	log_say(&a.k, &la, "in a");
	log_end(&a.k, &la);
	log_state(&b.k, &lb, "suspended", "running");
	log_say(&b.k, &lb, "in b");
	log_end(&b.k, &lb);
	log_end(&old.k, &l);
	sync_log(&old.k, &host, l.session);
	sync_log(&a.k, &host, la.session);
	sync_log(&b.k, &host, lb.session);
	sides_are_equal(&old.k, &host, l.session);
	sides_are_equal(&a.k, &host, la.session);
	sides_are_equal(&b.k, &host, lb.session);
	STR_EQ(kit_ask(&a.k, "SELECT v FROM meta WHERE k='vm_id'", NULL), VM_A);
	STR_EQ(a.g.vm, VM_A);
	STR_EQ(kit_ask(&host, "SELECT vm_id FROM session WHERE id=?1",
		       lb.session),
	       VM_B);
	STR_EQ(kit_ask(&host,
		       "SELECT state||stop_reason FROM turn WHERE"
		       " session_id=?1",
		       lb.session),
	       "completedend_turn");
	STR_EQ(kit_ask(&host, "SELECT acp_session_id FROM session WHERE id=?1",
		       lb.session),
	       "acp-1");
	vm_end(&old);
	vm_end(&a);
	vm_end(&b);
	kit_close(&host);
}

TEST(a_clone_in_memory_has_the_new_name)
{
	struct vm v;
	struct kit host;
	struct session *s;
	struct log l;
	char to[ID_MAX];
	struct err e = {0};

	vm_new(&v);
	kit_open(&host, STORE_HOST);
	l = log_ready(&v.k);
	log_write(&v.k, &l, "session.config", NULL,
		  "{\"ttl_ms\":999999999999}");
	log_begin(&v.k, &l, 1);
	EQ(session_find(&v.g, l.session, &s, &e), 0);
	strcpy(s->journal.turn, l.turn);
	EQ(clone_session(&v, &host, VM_A, l.session, to), 0);
	STR_EQ(s->id, to);
	STR_EQ(s->journal.session, to);
	EQ(s->expires_ms, 0);
	EQ(s->journal.last_seq, l.seq + 1);
	EQ(session_find(&v.g, l.session, &s, &e), -FAULT_SESSION_NOT_FOUND);
	EQ(session_find(&v.g, to, &s, &e), 0);
	OK(journal_add(&s->journal, "turn.completed", NULL, "{}", 2) > 0);
	end_journal(&v, s);
	sync_log(&v.k, &host, to);
	sides_are_equal(&v.k, &host, to);
	vm_end(&v);
	kit_close(&host);
}

static bool has_database(const struct vm *v, const char *session)
{
	char path[PATH_MAX];
	struct stat st;

	sqldb_folder(v->opt.state, session, path);
	strcat(path, "/x.db");
	return stat(path, &st) == 0;
}

TEST(databases_go_with_their_session)
{
	struct vm v;
	struct kit host;
	struct log l;
	char to[ID_MAX], cmd[256];

	vm_new(&v);
	kit_open(&host, STORE_HOST);
	l = log_ready(&v.k);
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/sql/%s && : >%s/sql/%s/x.db",
		 v.k.dir, l.session, v.k.dir, l.session);
	EQ(system(cmd), 0);
	EQ(clone_session(&v, &host, VM_A, l.session, to), 0);
	OK(has_database(&v, to) && !has_database(&v, l.session));
	vm_end(&v);
	kit_close(&host);
}

TEST(sessions_that_are_not_named_stay_behind)
{
	struct vm v;
	struct kit host;
	struct session *s;
	struct log l, other;
	char to[ID_MAX];
	struct err e = {0};

	vm_new(&v);
	kit_open(&host, STORE_HOST);
	l = log_ready(&v.k);
	other = log_ready(&v.k);
	EQ(session_find(&v.g, other.session, &s, &e), 0);
	EQ(clone_session(&v, &host, VM_A, l.session, to), 0);
	EQ(kit_int(&v.k, "SELECT count(*) FROM session", NULL), 1);
	EQ(session_find(&v.g, other.session, &s, &e), -FAULT_SESSION_NOT_FOUND);
	journal_hub_flush(&v.g.hub);
	/* Said again, it changes nothing. */
	EQ(rekey(&v, VM_A, "{}"), 0);
	EQ(kit_int(&v.k, "SELECT count(*) FROM session", NULL), 1);
	EQ(kit_check(&v.k), 0);
	vm_end(&v);
	kit_close(&host);
}

TEST(a_session_that_was_destroyed_is_forgotten)
{
	struct vm v;
	struct session *s;
	struct log l, other;
	char said[80];
	struct err e = {0};

	vm_new(&v);
	l = log_ready(&v.k);
	other = log_ready(&v.k);
	EQ(session_find(&v.g, l.session, &s, &e), 0);
	snprintf(said, sizeof(said), "{\"%s\":null}", l.session);
	EQ(rekey(&v, NULL, said), 0);
	OK(s->lost);
	journal_hub_flush(&v.g.hub);
	EQ(rekey(&v, NULL, said), 0);
	EQ(session_is_settled(s), true);
	(void)session_sweep(s);
	EQ(session_first(&v.g) == NULL, true);
	EQ(kit_int(&v.k, "SELECT count(*) FROM session", NULL), 1);
	EQ(last_seq(&v.k, other.session), other.seq);
	vm_end(&v);
}

TEST(what_cannot_be_done_changes_nothing)
{
	static const char *const bad[] = {
		"[]",
		"{\"x\":null}",
		"{\"SES\":1}",
		"{\"SES\":{}}",
		"{\"SES\":{\"next_seq\":99}}",
		"{\"SES\":{\"next_seq\":-1,\"chain\":1}}",
		"{\"SES\":{\"next_seq\":\"9\",\"chain\":1}}",
	};
	static const char *const bad_clone[] = {
		"{\"SES\":{}}",
		"{\"SES\":{\"id\":\"ses_1\"}}",
		"{\"SES\":{\"id\":\"TAKEN\"}}",
	};
	struct vm v;
	struct log l, taken;
	char said[256], *at;

	vm_new(&v);
	l = log_ready(&v.k);
	taken = log_ready(&v.k);
	for (size_t i = 0; i < ARRAY_LEN(bad) + ARRAY_LEN(bad_clone); i++) {
		const char *vm = i < ARRAY_LEN(bad) ? NULL : VM_A;

		strcpy(said,
		       vm == NULL ? bad[i] : bad_clone[i - ARRAY_LEN(bad)]);
		at = strstr(said, "TAKEN");
		if (at != NULL) {
			memmove(at + 36, at + 5, strlen(at + 5) + 1);
			memcpy(at, taken.session, 36);
		}
		at = strstr(said, "SES");
		if (at != NULL) {
			memmove(at + 36, at + 3, strlen(at + 3) + 1);
			memcpy(at, l.session, 36);
		}
		OK(rekey(&v, vm, said) < 0);
		EQ(last_seq(&v.k, l.session), l.seq);
		EQ(kit_int(&v.k, "SELECT count(*) FROM session", NULL), 2);
		STR_EQ(v.g.vm, VM_OLD);
	}
	EQ(kit_check(&v.k), 0);
	vm_end(&v);
}

TESTS(CASE(F141_a_log_goes_on_behind_the_last_number_ever_used),
      CASE(an_open_turn_and_its_question_are_open_again),
      CASE(rewinds_can_be_undone_themselves),
      CASE(nothing_is_said_where_nothing_is_abandoned),
      CASE(a_session_in_memory_writes_on),
      CASE(no_other_event_stands_behind_a_gap),
      CASE(F142_two_clones_go_on_in_the_middle_of_a_turn),
      CASE(a_clone_in_memory_has_the_new_name),
      CASE(databases_go_with_their_session),
      CASE(sessions_that_are_not_named_stay_behind),
      CASE(a_session_that_was_destroyed_is_forgotten),
      CASE(what_cannot_be_done_changes_nothing))
