// SPDX-License-Identifier: Apache-2.0
/*
 * test_prewarm.c - Agents that run before there is a session for them
 *
 * As test_guest.c.
 */
#include <signal.h>

#include "tests/guest_host.h"
#include "tests/tap.h"

#define LIMIT 4 /* PREWARMED_MAX */

static struct reply *prewarm(struct host *h, const char *args, const char *more)
{
	return begin(h, "prewarm",
		     "{\"cwd\":\"%s/work\",\"agent\":{\"name\":\"echo\","
		     "\"command\":\"%s\",\"args\":[%s]}%s}",
		     h->dir, h->agent, args, more);
}

/* It must succeed.  Return: the agent's pid. */
static pid_t prewarmed(struct host *h, const char *args, const char *more)
{
	struct reply *r = prewarm(h, args, more);
	pid_t pid;

	expect_ok(r);
	pid = (pid_t)jv_int(jv_get(r->v, "pid"), 0);
	OK(pid > 0);
	OK(str_is(jv_get(r->v, "agent"), "echo"));
	drop(r);
	return pid;
}

/* The same with a shell script in the place of an agent. */
static struct reply *prewarm_script(struct host *h, const char *script,
				    const char *more)
{
	autojw struct jw w = {0};

	jw_str(&w, script);
	return begin(h, "prewarm",
		     "{\"cwd\":\"%s/work\",\"agent\":{\"name\":\"sh\","
		     "\"command\":\"/bin/sh\",\"args\":[\"-c\",%s]}%s}",
		     h->dir, w.buf, more);
}

/* The guest reaps it without a word to us. */
static void wait_gone(pid_t pid)
{
	while (kill(pid, 0) == 0)
		usleep(1000);
}

TEST(a_session_takes_the_agent_that_waits)
{
	static const char *const order[] = {"session.created", "agent.started",
					    "acp.request",     "acp.response",
					    "acp.request",     "acp.response",
					    "session.ready",   "session.state"};
	struct host *h = up();
	pid_t pid = prewarmed(h, "", "");

	EQ(h->n, 0);
	create(h);
	await(h, "session.state");
	EQ(pid_of(h), pid);
	EQ(h->n, ARRAY_LEN(order));
	for (size_t i = 0; i < h->n; i++)
		STR_EQ(h->events[i]->type, order[i]);
	expect(h->events[1], "\"prewarmed_ms\":");
	expect(h->events[2], "\"method\":\"initialize\"");
	expect(h->events[4], "\"method\":\"session/new\"");
	says(h, "hello", "hello");
	check_log(h, SES);
	/* There was one. */
	done(create_as(h, SES2, "", ""));
	await(h, "agent.started");
	OK(!has(h->events[h->seen - 1], "prewarmed_ms"));
	down(h);
}

TEST(what_it_has_said_is_in_the_log_of_its_session)
{
	struct host *h = up();

	(void)prewarmed(h, "\"--banner\"", "");
	done(create_as(h, SES, "\"--banner\"", ""));
	await(h, "acp.request");
	expect(await(h, "agent.stderr"), "at your service");
	await(h, "acp.response");
	await(h, "session.ready");
	check_log(h, SES);
	down(h);
}

TEST(one_that_does_not_fit_is_not_touched)
{
	static const struct {
		const char *args, *more;
	} others[] = {
		{"\"--image\"", ""},
		{"", ",\"env\":{\"A\":\"2\"}"},
		{"", ""},
		{"", ",\"env\":{\"A\":\"1\"},\"config\":{\"limits\":"
		     "{\"open_files\":100}}"},
	};
	struct host *h = up();
	const char *env = ",\"env\":{\"A\":\"1\"}";
	pid_t pid = prewarmed(h, "", env);
	char id[ID_MAX];

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		snprintf(id, sizeof(id), "ses_%032zu", i + 10);
		done(create_as(h, id, others[i].args, others[i].more));
		await(h, "agent.started");
		OK(!has(h->events[h->seen - 1], "prewarmed_ms"));
	}
	done(create_as(h, SES, "", env));
	EQ(pid_of(h), pid);
	down(h);
}

TEST(instructions_among_the_arguments_have_to_fit_too)
{
	struct host *h = up();
	struct reply *r;
	pid_t pid = 0;

	for (int i = 0; i < 2; i++) {
		r = begin(h, i == 0 ? "prewarm" : "session.create",
			  "{\"session\":\"" SES "\",\"cwd\":\"%s/work\","
			  "\"agent\":{\"name\":\"echo\",\"command\":\"%s\","
			  "\"instructions\":{\"via\":\"env\",\"env\":\"I\"}},"
			  "\"instructions\":\"%s\"}",
			  h->dir, h->agent, i == 0 ? "one" : "two");
		expect_ok(r);
		if (i == 0)
			pid = (pid_t)jv_int(jv_get(r->v, "pid"), 0);
		drop(r);
	}
	OK(pid_of(h) != pid);
	says(h, "!env I", "two");
	down(h);
}

TEST(the_same_again_is_the_same_one_and_there_is_a_limit)
{
	struct host *h = up();
	struct reply *twice[2];
	char env[64];
	pid_t pid;

	/* Also while it starts. */
	for (size_t i = 0; i < 2; i++)
		twice[i] = prewarm(h, "\"--slow-start\",\"100\"", "");
	expect_ok(twice[0]);
	expect_ok(twice[1]);
	pid = (pid_t)jv_int(jv_get(twice[0]->v, "pid"), 0);
	EQ(jv_int(jv_get(twice[1]->v, "pid"), 0), pid);
	drop(twice[0]);
	drop(twice[1]);
	EQ(prewarmed(h, "\"--slow-start\",\"100\"", ""), pid);
	for (int i = 1; i < LIMIT; i++) {
		snprintf(env, sizeof(env), ",\"env\":{\"N\":\"%d\"}", i);
		(void)prewarmed(h, "", env);
	}
	refused(prewarm(h, "", ""), "limit_sessions");
	done(create_as(h, SES, "", env));
	(void)prewarmed(h, "", "");
	down(h);
}

TEST(failed_starts_name_their_reason_and_leave_nothing)
{
	struct host *h = up();

	refused(prewarm(h, "\"--no-answer\"", ",\"start_timeout_ms\":100"),
		"start_timeout");
	refused(prewarm(h, "\"--exit-on-start\",\"3\"", ""), "agent_exited");
	refused(prewarm(h, "\"--protocol\",\"9\"", ""), "agent_protocol_error");
	refused(prewarm_script(h, "exec /no/such/agent", ""), "agent_exited");
	refused(begin(h, "prewarm",
		      "{\"cwd\":\"/\",\"agent\":{\"name\":\"x\",\"command\":"
		      "\"/no/such/agent\"}}"),
		"agent_spawn_failed");
	refused(begin(h, "prewarm",
		      "{\"cwd\":\"/no/such/folder\",\"agent\":"
		      "{\"name\":\"x\",\"command\":\"x\"}}"),
		"cwd_not_found");
	refused(begin(h, "prewarm", "{}"), "invalid_argument");
	for (int i = 0; i < LIMIT; i++) {
		char env[64];

		snprintf(env, sizeof(env), ",\"env\":{\"N\":\"%d\"}", i);
		(void)prewarmed(h, "", env);
	}
	EQ(h->n, 0);
	down(h);
}

TEST(secrets_stay_out_of_what_is_told_of_a_failure)
{
	struct host *h = up();
	struct reply *r = finish(prewarm_script(
		h, "echo key is $KEY >&2; exit 3",
		",\"env\":{\"KEY\":\"sesame-opens\"},\"secrets\":[\"sesame-"
		"opens\"]"));

	OK(memmem(r->text.buf, r->text.len, "[redacted]", 10) != NULL);
	OK(memmem(r->text.buf, r->text.len, "sesame", 6) == NULL);
	drop(r);
	down(h);
}

TEST(one_that_dies_while_it_waits_is_forgotten)
{
	struct host *h = up();
	pid_t pid = prewarmed(h, "", ""), next;

	kill(pid, SIGKILL);
	while ((next = prewarmed(h, "", "")) == pid)
		continue;
	create(h);
	EQ(pid_of(h), next);
	says(h, "alive", "alive");
	down(h);
}

/* What is said before a session is held up to a limit, and asks for nothing. */
TEST(one_that_cannot_keep_still_is_ended)
{
	struct host *h = up();
	struct reply *r = prewarm_script(
		h,
		"read -r x; echo '{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":"
		"{\"protocolVersion\":1}}'; echo '{\"jsonrpc\":\"2.0\","
		"\"id\":7,\"method\":\"fs/read_text_file\"}'; read -r y",
		"");
	pid_t pid;

	expect_ok(r);
	pid = (pid_t)jv_int(jv_get(r->v, "pid"), 0);
	drop(r);
	wait_gone(pid);
	EQ(h->n, 0);
	down(h);
}

TEST(F212_it_is_there_after_a_pause)
{
	struct host *h = up();
	pid_t pid = prewarmed(h, "", "");

	done(begin(h, "freeze", "{\"warm\":true,\"reason\":\"suspend\"}"));
	refused(prewarm(h, "", ""), "draining");
	done(begin(h, "thaw",
		   "{\"generation\":2,\"now\":1700000000000,\"reason\":"
		   "\"resume\"}"));
	create(h);
	EQ(pid_of(h), pid);
	says(h, "still here", "still here");
	down(h);
}

TEST(F040_a_cold_sleep_ends_it)
{
	struct host *h = up();
	pid_t pid = prewarmed(h, "", "");
	struct reply *late = prewarm(h, "\"--no-answer\"", "");

	tick(h);
	done(begin(h, "freeze", "{\"reason\":\"sleep\"}"));
	refused(late, "draining");
	wait_gone(pid);
	down(h);
}

TESTS(CASE(a_session_takes_the_agent_that_waits),
      CASE(what_it_has_said_is_in_the_log_of_its_session),
      CASE(one_that_does_not_fit_is_not_touched),
      CASE(instructions_among_the_arguments_have_to_fit_too),
      CASE(the_same_again_is_the_same_one_and_there_is_a_limit),
      CASE(failed_starts_name_their_reason_and_leave_nothing),
      CASE(secrets_stay_out_of_what_is_told_of_a_failure),
      CASE(one_that_dies_while_it_waits_is_forgotten),
      CASE(one_that_cannot_keep_still_is_ended),
      CASE(F212_it_is_there_after_a_pause), CASE(F040_a_cold_sleep_ends_it))
