// SPDX-License-Identifier: Apache-2.0
/*
 * test_guest.c - The guest daemon, driven over its channel without any VM
 *
 * Each case starts a real hib-guest (--no-isolate): see guest_host.h.
 */
#include <signal.h>

#include "tests/guest_host.h"
#include "tests/tap.h"

/* --- cases ---------------------------------------------------------------- */

TEST(hello_tells_who_we_are_and_refuses_another_vm)
{
	struct host *h = host_new();
	struct reply *r;

	host_spawn(h);
	refused(create_as(h, SES, "", ""), "not_ready");
	r = hello(h);
	OK(str_is(jv_get(r->v, "vm"), VM));
	OK(!jv_bool(jv_get(r->v, "started"), true));
	drop(r);
	refused(begin_text(h, "/hello",
			   "{\"vm\":\"vm_0000000000000000000000000"
			   "0000002\"}"),
		"session_conflict");
	refused(begin_text(h, "/hello",
			   "{\"vm\":\"" VM "\",\"version\":9,"
			   "\"min_version\":8}"),
		"capability_unsupported");
	done(begin_text(h, "/start", "{\"generation\":3}"));
	r = hello(h);
	OK(jv_bool(jv_get(r->v, "started"), false));
	drop(r);
	refused(begin_text(h, "/call/nonsense", "{}"), "method_unknown");
	refused(begin_text(h, "/elsewhere", "{}"), "route_not_found");
	refused(begin_text(h, "/call/session.get", "{"), "invalid_argument");
	down(h);
}

TEST(F045_create_starts_an_agent_and_logs_it_in_order)
{
	static const char *const order[] = {"session.created", "agent.started",
					    "acp.request",     "acp.response",
					    "acp.request",     "acp.response",
					    "session.ready",   "session.state"};
	struct host *h = up();
	struct reply *r = create_as(h, SES, "", ",\"title\":\"T\"");

	expect_ok(r);
	OK(str_is(jv_get(r->v, "state"), "idle"));
	OK(str_is(jv_path(r->v, "agent_info.name"), "echo"));
	drop(r);
	await(h, "session.state");
	EQ(h->n, ARRAY_LEN(order));
	for (size_t i = 0; i < h->n; i++)
		STR_EQ(h->events[i]->type, order[i]);
	expect(h->events[0], "\"title\":\"T\"");
	expect(h->events[6], "\"restore\":\"new\"");
	check_log(h, SES);
	/* The same again is the same; another is a conflict. */
	done(create_as(h, SES, "", ""));
	refused(begin(h, "session.create",
		      "{\"session\":\"" SES
		      "\",\"create_hash\":\"bb\",\"cwd\":\"/\","
		      "\"agent\":{\"name\":\"e\",\"command\":\"x\"}}"),
		"session_conflict");
	EQ(count(h, SES, NULL), ARRAY_LEN(order));
	down(h);
}

TEST(F048_environment_is_the_base_then_the_agents_then_the_sessions)
{
	struct host *h = up();

	done(begin(h, "session.create",
		   "{\"session\":\"" SES "\",\"cwd\":\"/\",\"agent\":{"
		   "\"name\":\"echo\",\"command\":\"%s\",\"env\":{\"A\":\"1\","
		   "\"TERM\":\"vt\"}},\"env\":{\"B\":\"x=y\",\"A\":\"2\"}}",
		   h->agent));
	await(h, "session.ready");
	says(h, "!env",
	     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	     "\nHOME=/home/user\nLANG=C.UTF-8\nTERM=vt\nUSER=user\nA=2\nB=x=y");
	expect(h->events[0], "\"env_names\":[\"TERM\",\"A\",\"B\"]");
	down(h);
}

TEST(F049_cwd_must_exist_and_is_where_the_agent_runs)
{
	struct host *h = up();
	char want[96];

	refused(begin(h, "session.create",
		      "{\"session\":\"" SES "\",\"cwd\":\"/no/such\",\"agent\":"
		      "{\"name\":\"echo\",\"command\":\"%s\"}}",
		      h->agent),
		"cwd_not_found");
	refused(simple(h, "session.get", ""), "session_not_found");
	create(h);
	snprintf(want, sizeof(want), "%s/work", h->dir);
	says(h, "!cwd", want);
	down(h);
}

TEST(F046_bad_arguments_are_refused_and_leave_nothing)
{
	struct host *h = up();
	struct jw env = {0};
	char name[16];

	jw_lit(&env, ",\"env\":{", 8);
	for (int i = 0; i < 257; i++) {
		snprintf(name, sizeof(name), "V%d", i);
		jw_kstr(&env, name, "");
	}
	jw_lit(&env, "}", 1);
	refused(create_as(h, SES, "", env.buf), "invalid_argument");
	jw_done(&env);
	refused(create_as(h, "ses_1", "", ""), "invalid_id");
	refused(create_as(h, SES, "3", ""), "invalid_argument");
	refused(create_as(h, SES, "", ",\"env\":{\"A=B\":\"\"}"),
		"invalid_argument");
	refused(create_as(h, SES, "", ",\"env\":{\"A\":\"x\\u0000\"}"),
		"invalid_argument");
	refused(create_as(h, SES, "", ",\"tags\":[1]"), "invalid_argument");
	refused(simple(h, "session.get", ""), "session_not_found");
	EQ(h->n, 0);
	down(h);
}

TEST(F028_a_missing_program_fails_the_session_with_errno_words)
{
	struct host *h = up();

	refused(begin(h, "session.create",
		      "{\"session\":\"" SES "\",\"cwd\":\"/\",\"agent\":{"
		      "\"name\":\"x\",\"command\":\"/no/such/agent\"}}"),
		"agent_spawn_failed");
	expect(await(h, "session.error"), "No such file");
	expect(await(h, "session.state"), "\"to\":\"failed\"");
	state_is(h, "failed");
	down(h);
}

TEST(F037_a_start_without_an_answer_ends_with_start_timeout)
{
	struct host *h = up();

	refused(create_as(h, SES, "\"--no-answer\"",
			  ",\"start_timeout_ms\":200"),
		"start_timeout");
	state_is(h, "failed");
	down(h);
}

TEST(failed_handshakes_name_their_reason)
{
	struct host *h = up();
	struct reply *r = create_as(h, "ses_00000000000000000000000000000002",
				    "\"--exit-on-start\",\"3\"", "");

	finish(r);
	OK(str_is(jv_path(r->v, "data.code"), "agent_exited"));
	EQ(jv_int(jv_path(r->v, "data.exit"), -1), 3);
	drop(r);
	refused(create_as(h, "ses_00000000000000000000000000000003",
			  "\"--fail-new\",\"-32000\"", ""),
		"agent_auth_required");
	refused(create_as(h, "ses_00000000000000000000000000000004",
			  "\"--protocol\",\"2\"", ""),
		"agent_protocol_error");
	done(create_as(h, SES, "\"--banner\"", ""));
	down(h);
}

TEST(F052_a_prompt_is_a_turn_logged_in_order)
{
	static const char *const order[] = {"input.message", "turn.started",
					    "session.state", "acp.request"};
	struct host *h = up();
	size_t from;
	const struct event *ev;

	create(h);
	await(h, "session.state");
	from = h->n;
	says(h, "hi", "hi");
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		STR_EQ(h->events[from + i]->type, order[i]);
	expect(h->events[from], "\"content\":[{\"type\":\"text\",\"text\":\"hi"
				"\"}]");
	STR_EQ(h->events[h->n - 3]->type, "acp.response");
	ev = h->events[h->n - 2];
	STR_EQ(ev->type, "turn.completed");
	expect(ev, "\"stop_reason\":\"end_turn\"");
	expect(ev, "\"text_preview\":\"hi\"");
	expect(h->events[h->n - 1], "\"to\":\"idle\"");
	check_log(h, SES);
	down(h);
}

TEST(F030_a_second_prompt_is_refused_and_writes_nothing)
{
	struct host *h = up();
	struct reply *r;
	size_t n;

	create(h);
	done(prompt(h, "!sleep 60000"));
	await(h, "acp.request");
	n = h->n;
	r = prompt(h, "again");
	finish(r);
	EQ(r->status, 409);
	OK(str_is(jv_path(r->v, "data.turn"), h->events[n - 1]->turn));
	drop(r);
	state_is(h, "running");
	EQ(h->n, n);
	down(h);
}

TEST(F086_one_of_100_prompts_is_accepted)
{
	struct host *h = up();
	struct reply *r[100];
	int ok = 0, busy = 0;

	create(h);
	for (int i = 0; i < 100; i++)
		r[i] = prompt(h, "!sleep 300");
	for (int i = 0; i < 100; i++) {
		finish(r[i]);
		ok += r[i]->status == 200;
		busy += r[i]->status == 409;
		drop(r[i]);
	}
	EQ(ok, 1);
	EQ(busy, 99);
	await(h, "turn.completed");
	EQ(count(h, SES, "turn.started"), 1);
	down(h);
}

TEST(F087_a_prompt_on_each_turn_completed_is_never_refused)
{
	struct host *h = up();

	create(h);
	for (int i = 0; i < 100; i++) {
		done(prompt(h, "x"));
		await(h, "turn.completed");
	}
	EQ(count(h, SES, "turn.completed"), 100);
	check_log(h, SES);
	down(h);
}

TEST(F055_cancel_ends_the_turn_and_keeps_the_process)
{
	struct host *h = up();
	struct reply *r;
	int64_t pid;

	create(h);
	pid = pid_of(h);
	done(prompt(h, "!sleep 60000"));
	r = simple(h, "session.cancel", ",\"by\":\"me\"");
	expect_ok(r);
	OK(str_is(jv_get(r->v, "turn"), await(h, "turn.cancelled")->turn));
	drop(r);
	expect(h->events[h->seen - 1], "\"by\":\"me\"");
	says(h, "next", "next");
	EQ(pid_of(h), pid);
	refused(simple(h, "session.cancel", ""), "no_turn"); /* F056 */
	down(h);
}

TEST(an_agent_that_ignores_cancel_is_ended_and_replaced)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!ignorecancel;;!sleep 60000"));
	await(h, "acp.request");
	done(simple(h, "session.cancel", ""));
	expect(await(h, "turn.cancelled"), "\"forced\":true");
	expect(await(h, "session.state"), "\"to\":\"suspended\"");
	free(turn(h, "back"));
	check_log(h, SES);
	down(h);
}

TEST(F035_F038_a_permission_waits_for_its_answer)
{
	static const char *const edges[] = {
		"\"to\":\"running\"", "\"to\":\"waiting\"",
		"\"to\":\"running\"", "\"to\":\"idle\""};
	struct host *h = up();
	char req[ID_MAX], input[ID_MAX];
	const struct event *ev;
	size_t from, edge = 0;
	char *text;

	create(h);
	await(h, "session.state");
	from = h->n;
	done(prompt(h, "!ask t1 Delete"));
	ev = await(h, "permission.requested");
	ctx_of(ev, "req", req);
	ctx_of(ev, "input", input);
	state_is(h, "waiting");
	refused(answer(h, req, "no-such-option"), "invalid_argument");
	refused(answer(h, "req_0", "allow_once"), "request_not_found");
	done(begin(h, "session.answer",
		   "{\"session\":\"" SES "\",\"request\":\"%s\","
		   "\"outcome\":\"cancelled\"}",
		   req));
	refused(answer(h, req, "allow_once"), "not_waiting");
	ev = await(h, "permission.resolved");
	expect(ev, "\"outcome\":\"cancelled\"");
	await(h, "turn.completed");
	await(h, "session.state");
	text = said(h, from);
	STR_EQ(text, "outcome: cancelled");
	free(text);
	for (size_t i = from; i < h->n; i++)
		if (strcmp(h->events[i]->type, "session.state") == 0)
			expect(h->events[i], edges[edge++]);
	EQ(edge, ARRAY_LEN(edges));
	check_log(h, SES);
	down(h);
}

TEST(several_permissions_are_open_at_once)
{
	struct host *h = up();
	char req[3][ID_MAX];

	create(h);
	await(h, "session.state");
	done(prompt(h, "!ask3"));
	for (int i = 0; i < 3; i++)
		ctx_of(await(h, "permission.requested"), "req", req[i]);
	done(answer(h, req[1], "allow_once"));
	done(answer(h, req[0], "reject_once"));
	state_is(h, "waiting");
	done(answer(h, req[2], "allow_always"));
	await(h, "turn.completed");
	down(h);
}

TEST(a_permission_without_an_answer_expires)
{
	struct host *h = up();

	done(create_as(h, SES, "", ",\"permission_timeout_ms\":100"));
	done(prompt(h, "!ask t1 Delete"));
	expect(await(h, "permission.requested"), "\"deadline_ms\":");
	expect(await(h, "permission.resolved"), "\"by\":\"timeout\"");
	await(h, "turn.completed");
	down(h);
}

TEST(cancel_resolves_open_permissions)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!ask t1 Delete"));
	await(h, "permission.requested");
	done(simple(h, "session.cancel", ""));
	expect(await(h, "permission.resolved"), "\"by\":\"cancel\"");
	await(h, "turn.cancelled");
	down(h);
}

/* One row of the table of the model. */
struct row {
	const char *op, *more;
	const char *answers[9]; /* By state; NULL: not tried, it is allowed. */
};

enum {
	STARTING,
	IDLE,
	RUNNING,
	WAITING,
	SUSPENDED,
	CLOSING,
	CLOSED,
	FAILED,
	EXPIRED
};

static const struct row table[] = {
	{"session.prompt",
	 ",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]",
	 {"not_ready", NULL, "turn_active", "turn_active", NULL,
	  "session_closing", "session_closed", "session_failed",
	  "session_expired"}},
	{"session.cancel",
	 "",
	 {"no_turn", "no_turn", NULL, NULL, "no_turn", "no_turn", "no_turn",
	  "no_turn", "no_turn"}},
	{"session.answer",
	 ",\"request\":\"req_1\",\"outcome\":\"cancelled\"",
	 {"not_waiting", "not_waiting", "not_waiting", "request_not_found",
	  "not_waiting", "not_waiting", "not_waiting", "not_waiting",
	  "session_expired"}},
	{"session.suspend",
	 "",
	 {"not_ready", NULL, "turn_active", "turn_active", NULL,
	  "session_closing", "session_closed", "session_failed",
	  "session_expired"}},
	{"session.resume",
	 "",
	 {NULL, NULL, NULL, NULL, NULL, "session_closing", NULL, NULL,
	  "session_expired"}},
};

static void try_table(struct host *h, int state)
{
	size_t n = count(h, SES, NULL);

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].answers[state] != NULL)
			refused(simple(h, table[i].op, table[i].more),
				table[i].answers[state]);
	EQ(count(h, SES, NULL), n);
}

TEST(F042_every_state_and_operation_answers_as_the_table)
{
	struct host *h = up();
	struct reply *r;

	r = create_as(h, SES, "\"--slow-start\",\"300\"", "");
	await(h, "agent.started");
	try_table(h, STARTING);
	done(r);
	await(h, "session.ready");
	await(h, "session.state");
	try_table(h, IDLE);
	done(prompt(h, "!sleep 60000"));
	await(h, "acp.request");
	try_table(h, RUNNING);
	done(simple(h, "session.cancel", ""));
	done(prompt(h, "!ask t T"));
	await(h, "permission.requested");
	await(h, "session.state");
	try_table(h, WAITING);
	done(simple(h, "session.suspend", ",\"force\":true"));
	await(h, "agent.exited");
	try_table(h, SUSPENDED);
	done(simple(h, "session.suspend", ""));
	done(simple(h, "session.resume", ""));
	done(prompt(h, "!ignoreterm;;!stdinstop;;!sleep 60000"));
	r = simple(h, "session.close", "");
	while (count(h, SES, "turn.cancelled") < 2)
		tick(h);
	await(h, "turn.cancelled");
	state_is(h, "closing");
	try_table(h, CLOSING);
	done(simple(h, "session.close", ",\"force\":true"));
	done(r);
	await(h, "session.closed");
	try_table(h, CLOSED);
	done(simple(h, "session.close", ""));
	done(resume(h, "", ""));
	done(prompt(h, "!crash"));
	await(h, "session.error");
	await(h, "session.state");
	while (count(h, SES, "agent.exited") < 3)
		tick(h);
	try_table(h, FAILED);
	check_log(h, SES);
	down(h);
}

TEST(F027_a_session_expires_at_its_time)
{
	struct host *h = up();
	char more[64];

	snprintf(more, sizeof(more), ",\"expires_ms\":%lld",
		 (long long)(time(NULL) + 2) * 1000);
	done(create_as(h, SES, "", more));
	done(prompt(h, "!sleep 60000"));
	expect(await(h, "turn.interrupted"), "\"reason\":\"ttl\"");
	await(h, "session.expired");
	await(h, "agent.exited");
	try_table(h, EXPIRED);
	done(simple(h, "session.close", ""));
	check_log(h, SES);
	down(h);
}

/* A zombie has ended; who buries it is not our matter here. */
static bool is_running(pid_t pid)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd),
		 "grep -q 'State:.[RSD]' /proc/%d/status "
		 "2>/dev/null",
		 pid);
	return system(cmd) == 0;
}

TEST(F059_close_ends_the_agent_and_keeps_the_log)
{
	struct host *h = up();
	pid_t pid;

	create(h);
	pid = (pid_t)pid_of(h);
	says(h, "hi", "hi");
	done(simple(h, "session.close", ",\"reason\":\"done\""));
	expect(await(h, "session.closed"), "\"reason\":\"done\"");
	OK(!is_running(pid));
	state_is(h, "closed");
	EQ(count(h, SES, "agent.exited"), 1);
	check_log(h, SES);
	down(h);
}

TEST(F062_close_by_force_ends_an_agent_that_ignores_sigterm)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!ignoreterm;;!stdinstop;;!sleep 60000"));
	await(h, "acp.request");
	done(simple(h, "session.close", ",\"force\":true"));
	state_is(h, "closed");
	down(h);
}

/* Is the text in any file of the state folder? */
static bool on_disk(struct host *h, const char *text)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "grep -qar %s %s/state", text, h->dir);
	return system(cmd) == 0;
}

TEST(F060_purge_leaves_nothing_on_the_disk)
{
	struct host *h = up();

	create(h);
	says(h, "marker-4711-xyzzy", "marker-4711-xyzzy");
	OK(on_disk(h, "marker-4711-xyzzy"));
	done(simple(h, "session.purge", ""));
	refused(simple(h, "session.get", ""), "session_not_found");
	OK(!on_disk(h, "marker-4711-xyzzy"));
	down(h);
}

TEST(F061_a_prompt_wakes_a_suspended_session)
{
	struct host *h = up();
	size_t from;
	char *text;

	create(h);
	says(h, "blue", "blue");
	done(simple(h, "session.suspend", ""));
	state_is(h, "suspended");
	from = h->n;
	done(prompt(h, "what did I say"));
	expect(await(h, "session.resumed"), "\"restore\":\"transcript\"");
	await(h, "turn.started");
	await(h, "turn.completed");
	text = said(h, from);
	OK(strstr(text, "blue") != NULL);
	free(text);
	check_log(h, SES);
	down(h);
}

TEST(F058_resume_of_a_live_session_starts_nothing)
{
	struct host *h = up();
	struct reply *r;
	int64_t pid;
	size_t n;

	create(h);
	await(h, "session.state");
	pid = pid_of(h);
	n = h->n;
	r = simple(h, "session.resume", "");
	expect_ok(r);
	OK(str_is(jv_get(r->v, "restore"), "live"));
	drop(r);
	EQ(pid_of(h), pid);
	EQ(h->n, n);
	down(h);
}

TEST(F057_after_a_lost_vm_the_transcript_is_told_again)
{
	struct host *h = up();
	struct reply *r;
	char *text;

	create(h);
	says(h, "the word is plum", "the word is plum");
	power_cut(h);
	host_start(h);
	state_is(h, "suspended");
	refused(prompt(h, "x"), "session_not_live");
	r = resume(h, "", "");
	expect_ok(r);
	OK(str_is(jv_get(r->v, "restore"), "transcript"));
	EQ(jv_int(jv_get(r->v, "epoch"), 0), 2);
	drop(r);
	await(h, "session.resumed");
	text = turn(h, "what did I say");
	OK(strstr(text, "plum") != NULL);
	free(text);
	check_log(h, SES);
	down(h);
}

TEST(F057_a_native_resume_replays_nothing_into_the_log)
{
	struct host *h = up();
	char args[160];
	struct reply *r;
	char *text;

	snprintf(args, sizeof(args), "\"--load\",\"--store\",\"%s/work\"",
		 h->dir);
	done(create_as(h, SES, args, ""));
	await(h, "session.ready");
	says(h, "pear", "pear");
	done(simple(h, "session.suspend", ""));
	r = simple(h, "session.resume", "");
	expect_ok(r);
	OK(str_is(jv_get(r->v, "restore"), "native"));
	drop(r);
	text = turn(h, "what did I say");
	OK(strstr(text, "pear") != NULL);
	free(text);
	done(simple(h, "session.suspend", ""));
	r = simple(h, "session.resume", ",\"restore\":\"none\"");
	expect_ok(r);
	OK(str_is(jv_get(r->v, "restore"), "none"));
	drop(r);
	check_log(h, SES);
	down(h);
}

TEST(F039_F043_a_killed_daemon_leaves_no_turn_open)
{
	struct host *h = up();
	size_t n;

	create(h);
	done(prompt(h, "!ask t T"));
	await(h, "permission.requested");
	power_cut(h);
	host_start(h);
	state_is(h, "suspended");
	expect(await(h, "permission.resolved"), "\"by\":\"cancel\"");
	expect(await(h, "turn.interrupted"), "\"reason\":\"vm_lost\"");
	expect(await(h, "session.state"), "\"suspended_from\":\"idle\"");
	n = h->n;
	done(begin_text(h, "/start", "{}"));
	EQ(h->n, n);
	check_log(h, SES);
	down(h);
}

TEST(T12_an_agent_that_dies_fails_the_turn_and_the_session)
{
	struct host *h = up();
	const struct event *ev;

	create(h);
	done(prompt(h, "!stderr last words;;!sleep 50;;!exit 7"));
	ev = await(h, "turn.failed");
	expect(ev, "\"code\":\"agent_exited\"");
	expect(ev, "\"exit\":7");
	expect(ev, "last words");
	expect(await(h, "agent.exited"), "\"code\":7");
	await(h, "session.error");
	expect(await(h, "session.state"), "\"to\":\"failed\"");
	EQ(count(h, SES, "agent.stderr"), 1);
	refused(prompt(h, "x"), "session_failed");
	done(resume(h, "", ""));
	free(turn(h, "again"));
	check_log(h, SES);
	down(h);
}

TEST(lines_that_are_no_acp_are_kept_and_bounded)
{
	struct host *h = up();

	create(h);
	free(turn(h, "!garbage;;!badutf8;;!say ok"));
	OK(count(h, SES, "agent.stderr") > 0);
	free(turn(h, "!bigline 9000000"));
	free(turn(h, "!wrongid"));
	free(turn(h, "!unknownupdate"));
	done(prompt(h, "!toolong 17000000"));
	expect(await(h, "turn.failed"), "agent_protocol_error");
	state_is(h, "failed");
	check_log(h, SES);
	down(h);
}

TEST(stderr_is_recorded_up_to_a_rate)
{
	struct host *h = up();
	struct jw w = {0};

	create(h);
	for (int i = 0; i < 1000; i++)
		jw_lit(&w, "!stderr x;;", 11);
	jw_lit(&w, "!say ok", 7);
	free(turn(h, w.buf));
	jw_done(&w);
	free(turn(h, "!sleep 1100;;!stderr tail"));
	h->seen = 0;
	while (!has(await(h, "agent.stderr"), "\"dropped\":"))
		continue;
	OK(count(h, SES, "agent.stderr") < 500);
	down(h);
}

TEST(F089_stop_reasons_are_recorded_as_they_are)
{
	static const char *const stops[] = {"end_turn", "max_tokens",
					    "max_turn_requests", "refusal",
					    "something_new"};
	struct host *h = up();
	char text[64];

	create(h);
	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		snprintf(text, sizeof(text), "!stop %s", stops[i]);
		done(prompt(h, text));
		snprintf(text, sizeof(text), "\"stop_reason\":\"%s\"",
			 stops[i]);
		expect(await(h, "turn.completed"), text);
	}
	done(prompt(h, "!stop cancelled"));
	await(h, "turn.cancelled");
	down(h);
}

TEST(F034_an_agents_error_fails_the_turn_not_the_session)
{
	struct host *h = up();
	const struct event *ev;

	create(h);
	done(prompt(h, "!error 400 no model"));
	ev = await(h, "turn.failed");
	expect(ev, "\"code\":\"agent_error\"");
	expect(ev, "no model");
	state_is(h, "idle");
	says(h, "fine", "fine");
	down(h);
}

TEST(F094_F095_a_completed_turn_is_summed_up)
{
	struct host *h = up();
	const struct event *ev;

	create(h);
	done(prompt(h, "!tool a Read;;!tool b Edit;;!usage 10 20;;!say gr\u00fc"
		       "n"));
	ev = await(h, "turn.completed");
	expect(ev, "\"tool_calls\":2");
	expect(ev, "\"text_preview\":\"gr\u00fcn\"");
	expect(ev, "\"inputTokens\":10");
	down(h);
}

static void same_turn(struct reply *a, struct reply *b)
{
	char one[ID_MAX], two[ID_MAX];

	OK(jv_strcpy(jv_get(a->v, "turn"), one, sizeof(one)) > 0);
	OK(jv_strcpy(jv_get(b->v, "turn"), two, sizeof(two)) > 0);
	STR_EQ(one, two);
	EQ(jv_int(jv_get(a->v, "seq"), 1), jv_int(jv_get(b->v, "seq"), 2));
}

TEST(a_repeated_prompt_is_answered_as_before)
{
	struct host *h = up();
	struct reply *a, *b;

	create(h);
	a = prompt_more(h, "hi", ",\"idem_key\":\"k\",\"idem_hash\":\"ab\"");
	expect_ok(a);
	b = prompt_more(h, "hi", ",\"idem_key\":\"k\",\"idem_hash\":\"ab\"");
	expect_ok(b);
	same_turn(a, b);
	drop(b);
	await(h, "turn.completed");
	b = prompt_more(h, "hi", ",\"idem_key\":\"k\",\"idem_hash\":\"ab\"");
	expect_ok(b);
	same_turn(a, b);
	drop(a);
	drop(b);
	refused(prompt_more(h, "ho",
			    ",\"idem_key\":\"k\",\"idem_hash\":\"cd\""),
		"idempotency_mismatch");
	EQ(count(h, SES, "turn.started"), 1);
	down(h);
}

#define INPUT "msg_019353e4a7c07b3e8f1a2b3c4d5e6f70"

static struct reply *prompt_again(struct host *h, const char *more)
{
	char all[256];

	snprintf(all, sizeof(all), ",\"input\":\"" INPUT "\"%s", more);
	return prompt_more(h, "hi", all);
}

TEST(a_prompt_whose_answer_was_lost_is_answered_once)
{
	struct host *h = up();
	struct reply *a, *b;

	create(h);
	refused(prompt_more(h, "hi", ",\"input\":\"" SES "\""), "invalid_id");
	a = prompt_again(h, ",\"again\":true");
	expect_ok(a);
	OK(jv_eq(jv_get(a->v, "input"), INPUT));
	await(h, "turn.completed");
	b = prompt_again(h, ",\"again\":true");
	expect_ok(b);
	same_turn(a, b);
	OK(jv_eq(jv_get(b->v, "input"), INPUT));
	drop(a);
	drop(b);
	done(prompt_more(h, "!sleep 300", ""));
	a = prompt_again(h, ",\"again\":true,\"on_busy\":\"queue\"");
	expect_ok(a);
	drop(a);
	EQ(count(h, SES, "turn.started"), 2);
	down(h);
}

TEST(a_queued_prompt_whose_answer_was_lost_is_queued_once)
{
	struct host *h = up();

	create(h);
	done(prompt_more(h, "!sleep 300", ""));
	done(prompt_again(h, ",\"on_busy\":\"queue\""));
	done(prompt_again(h, ",\"again\":true,\"on_busy\":\"queue\""));
	await(h, "turn.completed");
	await(h, "turn.completed");
	done(prompt_again(h, ",\"again\":true"));
	EQ(count(h, SES, "turn.started"), 2);
	down(h);
}

TEST(a_prompt_that_interrupts_is_taken_over_by_who_asks_again)
{
	struct host *h = up();
	struct reply *a, *b;

	create(h);
	done(prompt_more(h, "!sleep 300", ""));
	a = prompt_again(h, ",\"on_busy\":\"interrupt\"");
	b = prompt_again(h, ",\"again\":true,\"on_busy\":\"interrupt\"");
	expect_ok(b);
	refused(a, "guest_unreachable");
	drop(b);
	await(h, "turn.completed");
	EQ(count(h, SES, "turn.started"), 2);
	down(h);
}

TEST(F088_queue_runs_after_and_steer_is_refused)
{
	struct host *h = up();
	struct reply *r;
	size_t from;
	char *text;

	create(h);
	from = h->n;
	done(prompt(h, "!sleep 100;;!say one "));
	r = prompt_more(h, "two ", ",\"on_busy\":\"queue\"");
	expect_ok(r);
	EQ(jv_int(jv_get(r->v, "position"), 0), 1);
	drop(r);
	done(prompt_more(h, "three", ",\"on_busy\":\"queue\""));
	refused(prompt_more(h, "x", ",\"on_busy\":\"steer\""),
		"capability_unsupported");
	for (int i = 0; i < 3; i++)
		await(h, "turn.completed");
	text = said(h, from);
	STR_EQ(text, "one two three");
	free(text);
	/* A turn that does not complete empties it. */
	done(prompt(h, "!sleep 60000"));
	done(prompt_more(h, "never", ",\"on_busy\":\"queue\""));
	done(simple(h, "session.cancel", ""));
	expect(await(h, "turn.cancelled"), "\"dropped\":[\"msg_");
	state_is(h, "idle");
	check_log(h, SES);
	down(h);
}

TEST(interrupt_cancels_and_goes_on)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!sleep 60000"));
	done(prompt_more(h, "now", ",\"on_busy\":\"interrupt\""));
	expect(await(h, "turn.cancelled"), "\"reason\":\"interrupt\"");
	expect(await(h, "turn.completed"), "\"text_preview\":\"now\"");
	check_log(h, SES);
	down(h);
}

TEST(F097_late_updates_name_the_old_turn)
{
	struct host *h = up();
	char late[ID_MAX], turn_id[ID_MAX];

	create(h);
	done(prompt(h, "!lateupdates 3;;!sleep 60000"));
	await(h, "acp.request");
	done(simple(h, "session.cancel", ""));
	memcpy(turn_id, await(h, "turn.cancelled")->turn, ID_MAX);
	for (int i = 0; i < 3; i++) {
		const struct event *ev = await(h, "acp.update");

		STR_EQ(ev->turn, "");
		STR_EQ(ctx_of(ev, "late", late), turn_id);
	}
	state_is(h, "idle");
	down(h);
}

TEST(F040_freeze_ends_everything_and_refuses_the_rest)
{
	struct host *h = up();
	struct reply *r;
	pid_t pid;

	create(h);
	pid = (pid_t)pid_of(h);
	done(prompt(h, "!ask t T"));
	await(h, "permission.requested");
	r = begin(h, "freeze", "{\"reason\":\"sleep\"}");
	expect_ok(r);
	expect(await(h, "turn.interrupted"), "\"reason\":\"sleep\"");
	await(h, "agent.exited");
	EQ(jv_int(jv_path(r->v, "last_seq." SES), 0), h->events[h->n - 1]->seq);
	drop(r);
	OK(!is_running(pid));
	refused(prompt(h, "x"), "draining");
	drop(hello(h));
	check_log(h, SES);
	done(begin(h, "poweroff", "{}"));
	EQ(waitpid(h->pid, NULL, 0), h->pid);
	host_spawn(h);
	host_serve(h);
	state_is(h, "suspended");
	down(h);
}

TEST(F118_F105_5000_updates_arrive_in_order_and_none_is_missing)
{
	struct host *h = up();
	size_t i, k = 0;
	char want[32];

	create(h);
	done(prompt(h, "!flood 5000 50"));
	await(h, "turn.completed");
	for (i = 0; i < h->n; i++) {
		if (strcmp(h->events[i]->type, "acp.update") != 0)
			continue;
		snprintf(want, sizeof(want), "\"i=%zu ", ++k);
		expect(h->events[i], want);
	}
	EQ(k, 5000);
	check_log(h, SES);
	down(h);
}

TEST(F098_a_turn_goes_on_without_the_host)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!flood 3000 100"));
	disconnect(h);
	drop_events(h);
	host_connect(h);
	sync_begin(h, "{\"have\":{}}\n");
	await(h, "turn.completed");
	EQ(count(h, SES, "acp.update"), 3000);
	check_log(h, SES);
	/* From the middle. */
	disconnect(h);
	drop_events(h);
	host_connect(h);
	sync_begin(h, "{\"have\":{\"" SES "\":3000}}\n");
	EQ(await(h, "acp.update")->seq, 3001);
	down(h);
}

TEST(an_unconfirmed_flood_stops_and_goes_on)
{
	struct host *h = up();
	size_t n;

	create(h);
	h->silent = true;
	done(prompt(h, "!flood 20000 1000"));
	/* It stops by itself: nothing more comes in half a second. */
	do {
		n = h->n;
		for (int i = 0; i < 50; i++) {
			uv_run(h->loop, UV_RUN_NOWAIT);
			usleep(10000);
		}
	} while (n != h->n);
	OK(h->bytes < (12u << 20));
	EQ(count(h, SES, "turn.completed"), 0);
	h->silent = false;
	disconnect(h);
	drop_events(h);
	host_connect(h);
	sync_begin(h, "{\"have\":{}}\n");
	await(h, "turn.completed");
	EQ(count(h, SES, "acp.update"), 20000);
	check_log(h, SES);
	down(h);
}

TEST(instructions_are_told_once_before_the_first_prompt)
{
	struct host *h = up();

	done(create_as(h, SES, "", ",\"instructions\":\"Be brief.\""));
	await(h, "session.ready");
	says(h, "!preamble", "Be brief.");
	says(h, "!preamble", "");
	expect(h->events[0], "\"instructions\":\"Be brief.\"");
	down(h);
}

TEST(F053_an_image_needs_an_agent_that_takes_it)
{
	struct host *h = up();
	size_t n;

	create(h);
	await(h, "session.state");
	n = h->n;
	refused(simple(h, "session.prompt",
		       ",\"content\":[{\"type\":\"image\",\"data\":\"AA==\","
		       "\"mimeType\":\"image/png\"}]"),
		"capability_unsupported");
	refused(simple(h, "session.prompt", ",\"content\":[]"),
		"invalid_argument");
	state_is(h, "idle");
	EQ(h->n, n);
	down(h);
}

TEST(at_most_32_sessions_are_live)
{
	struct host *h = up();
	struct reply *r[32];
	char id[ID_MAX];

	for (int i = 0; i < 32; i++) {
		snprintf(id, sizeof(id), "ses_%032x", i + 16);
		r[i] = create_as(h, id, "", "");
	}
	for (int i = 0; i < 32; i++)
		done(r[i]);
	refused(create_as(h, SES, "", ""), "limit_sessions");
	down(h);
}

/* The log of a suspended session, as a host writes it. */
#define FED_LOG(ses)                                                     \
	"{\"v\":1,\"session\":\"" ses                                    \
	"\",\"seq\":1,\"epoch\":1,\"ts\":1,\"type\":\"session.created\"" \
	",\"data\":{\"vm\":\"" VM "\",\"agent\":\"echo\",\"cwd\":\"/\"," \
	"\"env_names\":[],\"config\":{},\"create_hash\":\"aa\"}}\n"      \
	"{\"v\":1,\"session\":\"" ses                                    \
	"\",\"seq\":2,\"epoch\":1,\"ts\":1,\"type\":\"session.state\","  \
	"\"data\":{\"from\":\"starting\",\"to\":\"suspended\","          \
	"\"suspended_from\":\"idle\",\"reason\":\"x\"}}\n"

TEST(feed_takes_what_the_host_wrote)
{
	static const char body[] = FED_LOG(SES);
	struct host *h = host_new();
	struct reply *r;

	host_spawn(h);
	drop(hello(h));
	r = begin_text(h, "/feed", body);
	expect_ok(r);
	EQ(jv_int(jv_path(r->v, "last_seq." SES), 0), 2);
	drop(r);
	refused(begin_text(h, "/feed", "nonsense\n"), "bad_frame");
	done(begin_text(h, "/start", "{}"));
	refused(begin_text(h, "/feed", body), "session_conflict");
	sync_begin(h, "{\"have\":{}}\n");
	state_is(h, "suspended");
	done(resume(h, "", ""));
	says(h, "hi", "hi");
	check_log(h, SES);
	down(h);
}

TEST(a_late_feed_brings_one_unknown_session_or_nothing)
{
	static const char body[] = FED_LOG(SES);
	struct host *h = up();

	refused(begin_text(h, "/feed", FED_LOG(SES) "nonsense\n"), "bad_frame");
	refused(begin_text(h, "/feed", FED_LOG(SES) FED_LOG(SES2)),
		"bad_frame");
	refused(simple(h, "session.get", ""), "session_not_found");
	done(begin_text(h, "/feed", body));
	refused(begin_text(h, "/feed", body), "session_conflict");
	state_is(h, "suspended");
	done(resume(h, "", ""));
	says(h, "hi", "hi");
	OK(h->n > 0);
	EQ(h->events[0]->seq, 3); /* What the host gave does not come back. */
	down(h);
}

TEST(F119_a_full_disk_fails_the_turn_and_loses_nothing_shown)
{
	struct host *h = host_new();
	size_t n;

	if (!small_disk(h))
		SKIP("no small disk: %s", strerror(errno));
	host_start(h);
	create(h);
	done(prompt(h, "!flood 20000 1000"));
	expect(await(h, "turn.failed"), "\"code\":\"disk_full\"");
	expect(await(h, "session.state"), "\"to\":\"suspended\"");
	check_log(h, SES);
	n = h->n;
	/* What was shown is there after a restart. */
	power_cut(h);
	host_spawn(h);
	drop(hello(h));
	sync_begin(h, "{\"have\":{}}\n");
	while (h->n < n)
		tick(h);
	check_log(h, SES);
	down(h);
}

TEST(an_idle_daemon_does_not_wake)
{
	struct host *h = up();
	long before;

	create(h);
	says(h, "hi", "hi");
	sleep(1);
	before = switches(h);
	sleep(1);
	OK(switches(h) - before <= 2);
	down(h);
}

TEST(F102_a_resolution_leads_to_request_tool_turn_and_input)
{
	struct host *h = up();
	char req[ID_MAX], got[ID_MAX], input[ID_MAX];
	const struct event *ev;

	create(h);
	done(prompt(h, "!ask call_9 Delete"));
	ev = await(h, "input.message");
	ctx_of(ev, "input", input);
	ctx_of(await(h, "permission.requested"), "req", req);
	done(answer(h, req, "allow_once"));
	ev = await(h, "permission.resolved");
	STR_EQ(ctx_of(ev, "req", got), req);
	STR_EQ(ctx_of(ev, "input", got), input);
	STR_EQ(ctx_of(ev, "tool", got), "call_9");
	OK(ev->turn[0] != '\0');
	await(h, "turn.completed");
	down(h);
}

/* --- MCP ------------------------------------------------------------------ */

static void create_with_mcp(struct host *h, const char *more)
{
	done(create_as(h, SES, "", mcp_local(h, more)));
	await(h, "session.ready");
}

static void F248_the_host_calls_tools_of_a_session(void)
{
	struct host *h = up();
	struct reply *r;

	create_with_mcp(h, ",\"tools\":{\"deny\":[\"env\"]}");
	r = simple(h, "mcp.list", "");
	expect_ok(r);
	OK(str_is(jv_get(jv_first(jv_get(r->v, "servers")), "name"), "a"));
	drop(r);
	r = simple(h, "mcp.tools", ",\"name\":\"a\",\"refresh\":true");
	expect_ok(r);
	OK(str_is(jv_get(jv_first(jv_get(r->v, "tools")), "name"), "echo"));
	OK(strstr(r->text.buf, "\"env\"") == NULL);
	drop(r);
	r = simple(h, "mcp.call",
		   ",\"name\":\"a\",\"tool\":\"echo\",\"arguments\":{"
		   "\"message\":\"hi\"}");
	expect_ok(r);
	OK(str_is(jv_get(jv_first(jv_path(r->v, "result.content")), "text"),
		  "hi"));
	OK(jv_int(jv_get(r->v, "last_seq"), 0) > 0);
	drop(r);
	expect(await(h, "mcp.call"), "\"tool\":\"echo\"");
	refused(simple(h, "mcp.call",
		       ",\"name\":\"a\",\"tool\":\"hang\",\"timeout_ms\":50"),
		"request_timeout");
	refused(simple(h, "mcp.call", ",\"name\":\"a\",\"tool\":\"env\""),
		"invalid_argument");
	refused(simple(h, "mcp.call", ",\"name\":\"b\",\"tool\":\"env\""),
		"invalid_argument");
	refused(simple(h, "mcp.call",
		       ",\"name\":\"a\",\"tool\":\"crash\",\"arguments\":{"
		       "\"code\":3}"),
		"mcp_start_failed");
	done(simple(h, "session.close", ""));
	refused(simple(h, "mcp.tools", ",\"name\":\"a\""), "session_not_live");
	down(h);
}

static void tools_of_a_builtin_are_listed_and_called(void)
{
	struct host *h = up();
	struct reply *r;

	done(create_as(h, SES, "",
		       ",\"mcp\":[{\"type\":\"builtin\",\"builtin\":\"kv\","
		       "\"name\":\"keys\",\"start\":\"lazy\"}]"));
	await(h, "session.ready");
	for (int i = 0; i < 2; i++) { /* Not yet known; known. */
		r = simple(h, "mcp.tools",
			   ",\"name\":\"keys\",\"refresh\":true");
		expect_ok(r);
		OK(jv_count(jv_get(r->v, "tools")) > 1);
		drop(r);
	}
	r = simple(h, "mcp.call", ",\"name\":\"keys\",\"tool\":\"nothing\"");
	refused(r, "invalid_argument");
	down(h);
}

static void talk_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct reply *r = arg;

	h2_consume(s, n);
	jw_lit(&r->text, data, n);
}

static void the_host_speaks_mcp_to_a_server(void)
{
	static const struct h2_stream_events talk_events = {
		.data = talk_on_data, .end = reply_on_end};
	static const char lines[] =
		"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","
		"\"params\":{\"protocolVersion\":\"2025-11-25\","
		"\"capabilities\":{},\"clientInfo\":{\"name\":\"t\","
		"\"version\":\"1\"}}}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"tools/call\","
		"\"params\":{\"name\":\"slow\",\"arguments\":{\"ms\":20}}}\n";
	struct host *h = up();
	struct reply r = {.h = h};
	struct h2_stream *s;

	create_with_mcp(h, "");
	s = h2_request(h->h2, "POST", "/mcp/" SES "/a", lines, strlen(lines),
		       false, &talk_events, &r);
	OK(s != NULL);
	while (!r.done) /* Its end waits for the last answer. */
		tick(h);
	OK(strstr(r.text.buf, "\"id\":0,\"result\":{\"protocolVersion\"") !=
	   NULL);
	OK(strstr(r.text.buf, "\"id\":\"x\",\"result\"") != NULL);
	jw_done(&r.text);
	refused(begin_text(h, "/mcp/" SES "/b", ""), "invalid_argument");
	refused(begin_text(h, "/mcp/" SES2 "/a", ""), "session_not_found");
	down(h);
}

TESTS(CASE(hello_tells_who_we_are_and_refuses_another_vm),
      CASE(F045_create_starts_an_agent_and_logs_it_in_order),
      CASE(F048_environment_is_the_base_then_the_agents_then_the_sessions),
      CASE(F049_cwd_must_exist_and_is_where_the_agent_runs),
      CASE(F046_bad_arguments_are_refused_and_leave_nothing),
      CASE(F028_a_missing_program_fails_the_session_with_errno_words),
      CASE(F037_a_start_without_an_answer_ends_with_start_timeout),
      CASE(failed_handshakes_name_their_reason),
      CASE(F052_a_prompt_is_a_turn_logged_in_order),
      CASE(F030_a_second_prompt_is_refused_and_writes_nothing),
      CASE(F086_one_of_100_prompts_is_accepted),
      CASE(F087_a_prompt_on_each_turn_completed_is_never_refused),
      CASE(F055_cancel_ends_the_turn_and_keeps_the_process),
      CASE(an_agent_that_ignores_cancel_is_ended_and_replaced),
      CASE(F035_F038_a_permission_waits_for_its_answer),
      CASE(several_permissions_are_open_at_once),
      CASE(a_permission_without_an_answer_expires),
      CASE(cancel_resolves_open_permissions),
      CASE(F042_every_state_and_operation_answers_as_the_table),
      CASE(F027_a_session_expires_at_its_time),
      CASE(F059_close_ends_the_agent_and_keeps_the_log),
      CASE(F062_close_by_force_ends_an_agent_that_ignores_sigterm),
      CASE(F060_purge_leaves_nothing_on_the_disk),
      CASE(F061_a_prompt_wakes_a_suspended_session),
      CASE(F058_resume_of_a_live_session_starts_nothing),
      CASE(F057_after_a_lost_vm_the_transcript_is_told_again),
      CASE(F057_a_native_resume_replays_nothing_into_the_log),
      CASE(F039_F043_a_killed_daemon_leaves_no_turn_open),
      CASE(T12_an_agent_that_dies_fails_the_turn_and_the_session),
      CASE(lines_that_are_no_acp_are_kept_and_bounded),
      CASE(stderr_is_recorded_up_to_a_rate),
      CASE(F089_stop_reasons_are_recorded_as_they_are),
      CASE(F034_an_agents_error_fails_the_turn_not_the_session),
      CASE(F094_F095_a_completed_turn_is_summed_up),
      CASE(a_repeated_prompt_is_answered_as_before),
      CASE(a_prompt_whose_answer_was_lost_is_answered_once),
      CASE(a_queued_prompt_whose_answer_was_lost_is_queued_once),
      CASE(a_prompt_that_interrupts_is_taken_over_by_who_asks_again),
      CASE(F088_queue_runs_after_and_steer_is_refused),
      CASE(interrupt_cancels_and_goes_on),
      CASE(F097_late_updates_name_the_old_turn),
      CASE(F040_freeze_ends_everything_and_refuses_the_rest),
      CASE(F118_F105_5000_updates_arrive_in_order_and_none_is_missing),
      CASE(F098_a_turn_goes_on_without_the_host),
      CASE(an_unconfirmed_flood_stops_and_goes_on),
      CASE(instructions_are_told_once_before_the_first_prompt),
      CASE(F053_an_image_needs_an_agent_that_takes_it),
      CASE(at_most_32_sessions_are_live), CASE(feed_takes_what_the_host_wrote),
      CASE(a_late_feed_brings_one_unknown_session_or_nothing),
      CASE(F119_a_full_disk_fails_the_turn_and_loses_nothing_shown),
      CASE(an_idle_daemon_does_not_wake),
      CASE(F248_the_host_calls_tools_of_a_session),
      CASE(tools_of_a_builtin_are_listed_and_called),
      CASE(the_host_speaks_mcp_to_a_server),
      CASE(F102_a_resolution_leads_to_request_tool_turn_and_input))
