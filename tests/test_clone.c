// SPDX-License-Identifier: Apache-2.0
/*
 * test_clone.c - The guest daemon goes on as a clone, or as one set back
 *
 * As test_guest.c.  What becomes of memory between a freeze and a thaw is no matter
 * of the guest: here it just stays.
 */
#include "tests/guest_host.h"
#include "tests/tap.h"

#define VM2   "vm_00000000000000000000000000000002"
#define SNP   "snp_00000000000000000000000000000001"
#define CLONE "{\"version\":1,\"vm\":\"" VM2 "\",\"clone_of\":\"" VM "\"}"
#define NAMES                                                          \
	"\"vm\":\"" VM2 "\",\"sessions\":{\"" SES2 "\":{\"id\":\"" SES \
	"\",\"snapshot\":\"" SNP "\"}}"

/* Session SES2, with an MCP server and a database; a clone calls it SES. */
static void create_original(struct host *h)
{
	done(create_as(h, SES2, "", mcp_local(h, "")));
	await(h, "session.ready");
	done(begin(h, "sql",
		   "{\"session\":\"" SES2 "\",\"op\":\"execute\",\"db\":"
		   "\"notes\",\"sql\":\"CREATE TABLE t AS SELECT 7 AS n\"}"));
}

static struct reply *prompt_original(struct host *h, const char *text)
{
	return begin(h, "session.prompt",
		     "{\"session\":\"" SES2 "\",\"content\":[{\"type\":"
		     "\"text\",\"text\":\"%s\"}]}",
		     text);
}

static void database_is_there(struct host *h)
{
	struct reply *r = simple(h, "sql",
				 ",\"op\":\"query\",\"db\":\"notes\","
				 "\"sql\":\"SELECT n FROM t\"");

	expect_ok(r);
	OK(strstr(r->text.buf, "7") != NULL);
	drop(r);
}

/* Another host comes, and finds @vm. */
static void meet(struct host *h, const char *vm)
{
	struct reply *r;

	disconnect(h);
	drop_events(h);
	host_connect(h);
	r = begin_text(h, "/hello", CLONE);
	expect_ok(r);
	OK(str_is(jv_get(r->v, "vm"), vm));
	drop(r);
}

static void freeze(struct host *h)
{
	done(begin(h, "freeze", "{\"warm\":true,\"reason\":\"snapshot\"}"));
}

TEST(F142_F158_a_clone_goes_on_in_the_middle_of_a_turn)
{
	struct host *h = up();
	const struct event *ev;
	struct reply *r;
	char req[ID_MAX];

	create_original(h);
	done(prompt_original(h, "!ask t1 Delete"));
	ctx_of(await(h, "permission.requested"), "req", req);
	await(h, "session.state");
	freeze(h);
	meet(h, VM);
	done(begin(h, "thaw",
		   "{\"generation\":2,\"reason\":\"fork\"," NAMES "}"));
	r = begin_text(h, "/hello", CLONE);
	expect_ok(r);
	OK(str_is(jv_get(r->v, "vm"), VM2));
	OK(strstr(r->text.buf, SES) != NULL &&
	   strstr(r->text.buf, SES2) == NULL);
	drop(r);
	sync_begin(h, "{\"have\":{}}\n");
	ev = await(h, "session.forked");
	expect(ev, "\"from\":\"" SES2 "\"");
	expect(ev, "\"vm\":\"" VM2 "\"");
	expect(ev, "\"snapshot\":\"" SNP "\",\"warm\":true,"
		   "\"suspended_from\":\"waiting\"");
	EQ(ev->epoch, 2);
	expect(await(h, "session.resumed"), "\"restore\":\"warm\"");
	expect(await(h, "session.state"), "\"to\":\"waiting\"");
	refused(begin(h, "session.get", "{\"session\":\"" SES2 "\"}"),
		"session_not_found");
	done(answer(h, req, "allow_once"));
	await(h, "turn.completed");
	await(h, "session.state");
	says(h, "after", "after");
	database_is_there(h);
	check_log(h, SES);
	EQ(count(h, SES2, NULL), 0);
	down(h);
}

TEST(its_agent_reaches_its_servers)
{
	struct host *h = up();
	char *text;

	create_original(h);
	freeze(h);
	meet(h, VM);
	done(begin(h, "thaw", "{" NAMES "}"));
	sync_begin(h, "{\"have\":{}}\n");
	await(h, "session.resumed");
	await(h, "session.state");
	/* What it was told names the old id. */
	text = turn(h, "!mcp");
	OK(strstr(text, SES2) != NULL);
	free(text);
	text = turn(h, "!mcp call a echo {\"message\":\"hi\"}");
	OK(strstr(text, "hi") != NULL);
	free(text);
	EQ(count(h, SES, "mcp.call"), 1);
	/* So does a shim that is started now. */
	free(turn(h, "!mcp close a"));
	free(turn(h, "!mcp open a"));
	text = turn(h, "!mcp call a echo {\"message\":\"again\"}");
	OK(strstr(text, "again") != NULL);
	free(text);
	check_log(h, SES);
	down(h);
}

TEST(F141_a_guest_that_was_set_back_goes_on_behind_all_numbers)
{
	struct host *h = up();
	const struct event *ev;
	struct reply *r;
	int64_t seq;

	create(h);
	says(h, "one", "one");
	r = begin(h, "freeze", "{\"warm\":true,\"reason\":\"snapshot\"}");
	expect_ok(r);
	seq = jv_int(jv_path(r->v, "last_seq." SES), 0);
	drop(r);
	r = begin(h, "thaw",
		  "{\"reason\":\"restore\",\"sessions\":{\"" SES
		  "\":{\"next_seq\":%lld,\"chain\":77,\"epoch\":5,"
		  "\"snapshot\":\"" SNP "\"}}}",
		  (long long)seq + 11);
	expect_ok(r);
	EQ(jv_int(jv_path(r->v, "last_seq." SES), 0), seq + 13);
	drop(r);
	ev = await(h, "session.rewound");
	EQ(ev->seq, seq + 11);
	EQ(ev->epoch, 5);
	expect(ev, "\"snapshot\":\"" SNP "\"");
	expect(await(h, "session.resumed"), "\"restore\":\"warm\"");
	await(h, "session.state");
	says(h, "two", "two");
	state_is(h, "idle");
	down(h);
}

TEST(a_session_that_the_host_has_destroyed_ends)
{
	struct host *h = up();
	pid_t pid;

	create(h);
	pid = (pid_t)pid_of(h);
	freeze(h);
	done(begin(h, "thaw", "{\"sessions\":{\"" SES "\":null}}"));
	refused(simple(h, "session.get", ""), "session_not_found");
	while (kill(pid, 0) == 0)
		usleep(1000);
	down(h);
}

TEST(a_disk_of_another_vm_is_renamed_before_the_start)
{
	struct host *h = up();
	struct reply *r;

	create_original(h);
	done(prompt_original(h, "!ask t1 Delete"));
	await(h, "permission.requested");
	power_cut(h);
	host_spawn(h);
	refused(begin_text(h, "/hello", "{\"version\":1,\"vm\":\"" VM2 "\"}"),
		"session_conflict");
	r = begin_text(h, "/hello", CLONE);
	expect_ok(r);
	OK(!jv_bool(jv_get(r->v, "started"), true));
	drop(r);
	done(begin(h, "thaw", "{" NAMES "}"));
	done(begin(h, "thaw", "{" NAMES "}"));
	r = begin_text(h, "/hello", CLONE);
	expect_ok(r);
	OK(str_is(jv_get(r->v, "vm"), VM2));
	drop(r);
	done(begin_text(h, "/start", "{\"generation\":2}"));
	sync_begin(h, "{\"have\":{}}\n");
	OK(!has(await(h, "session.forked"), "\"warm\""));
	await(h, "turn.interrupted");
	database_is_there(h);
	done(resume(h, "", ""));
	says(h, "after", "after");
	EQ(count(h, SES, "session.forked"), 1);
	check_log(h, SES);
	down(h);
}

TESTS(CASE(F142_F158_a_clone_goes_on_in_the_middle_of_a_turn),
      CASE(its_agent_reaches_its_servers),
      CASE(F141_a_guest_that_was_set_back_goes_on_behind_all_numbers),
      CASE(a_session_that_the_host_has_destroyed_ends),
      CASE(a_disk_of_another_vm_is_renamed_before_the_start))
