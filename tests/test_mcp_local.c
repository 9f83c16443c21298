// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_local.c - MCP servers that are processes: start, requests, end, again
 *
 * The servers are tests/fake/mcp_server, without namespaces; what those add is
 * seen by f_mcp_servers.t.
 */
#include <limits.h>
#include <signal.h>

#include "guest/mcp_shared.h"
#include "guest/session_init.h"
#include "tests/tap.h"

struct kit {
	uv_loop_t loop;
	uv_timer_t timer;
	struct mcp_place place;
	struct mcp_config *config;
	struct upstream *u;
	struct mcp_sharing sharing;
	char log[4096]; /* A word and a space for each event. */
	char tail[512];
	struct err why; /* Of the last end. */
	int code, signal;
	unsigned n_said, n_dropped, n_done;
	char answer[4096]; /* Of the last request, or its status. */
	const char *until; /* uv_stop() at this word. */
	bool timed_out;
	bool ask_again; /* In the end of a request: another one. */
	int asked;	/* What came of that. */
};

static char server_path[PATH_MAX];

static void note(struct kit *k, const char *word)
{
	size_t len = strlen(k->log);

	if (len + strlen(word) + 2 < sizeof(k->log))
		sprintf(k->log + len, "%s ", word);
	if (k->until != NULL && strcmp(word, k->until) == 0)
		uv_stop(&k->loop);
}

static void keep_end(struct kit *k, const struct upstream_end *end)
{
	k->why = end->why;
	k->code = end->has_process ? end->code : -1;
	k->signal = end->signal;
	snprintf(k->tail, sizeof(k->tail), "%s",
		 end->tail != NULL ? end->tail : "");
}

static void on_starting(struct upstream *u, void *arg)
{
	EQ(u->state, UPSTREAM_STARTING);
	note(arg, "starting");
}

static void on_ready(struct upstream *u, bool fresh, void *arg)
{
	EQ(u->state, UPSTREAM_READY);
	OK(u->tools != NULL && u->info.capabilities != NULL);
	note(arg, fresh ? "ready" : "ready-same");
}

static void on_exited(struct upstream *u, const struct upstream_end *end,
		      void *arg)
{
	(void)u;
	keep_end(arg, end);
	note(arg, end->expected ? "ended" : "exited");
}

static void on_failed(struct upstream *u, const struct upstream_end *end,
		      void *arg)
{
	(void)u;
	keep_end(arg, end);
	note(arg, end->expected ? "ended" : "failed");
}

static void on_changed(struct upstream *u, const char *kind, void *arg)
{
	(void)u;
	(void)kind;
	note(arg, "changed");
}

static void on_said(struct upstream *u, const char *line, size_t len,
		    unsigned dropped, void *arg)
{
	struct kit *k = arg;

	(void)u;
	(void)line;
	OK(len <= MCP_STDERR_LINE);
	k->n_said++;
	k->n_dropped += dropped;
}

static const struct upstream_events events = {
	.starting = on_starting,
	.ready = on_ready,
	.exited = on_exited,
	.failed = on_failed,
	.changed = on_changed,
	.said = on_said,
};

static void on_time(uv_timer_t *t)
{
	struct kit *k = t->data;

	k->timed_out = true;
	uv_stop(&k->loop);
}

/* Run until an event of that name, or for so long. */
static bool wait_ms(struct kit *k, const char *word, unsigned ms)
{
	k->until = word;
	k->timed_out = false;
	uv_timer_start(&k->timer, on_time, ms, 0);
	uv_run(&k->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&k->timer);
	k->until = NULL;
	return !k->timed_out;
}

static void wait_for(struct kit *k, const char *word)
{
	if (!wait_ms(k, word, 30000))
		FAIL("no '%s': %s(%s)", word, k->log, k->why.msg);
}

/* @options: more members of the server, or "". */
static void kit_open(struct kit *k, const char *args, const char *options)
{
	autojson struct json j = {0};
	char text[2 * PATH_MAX + 1024];
	struct err e = {0};

	*k = (struct kit){0};
	snprintf(
		text, sizeof(text),
		"{\"mcp\":[{\"name\":\"a\",\"command\":\"%s\",\"args\":[%s]%s},"
		"{\"name\":\"b\",\"command\":\"%s\",\"args\":[%s]%s}]}",
		server_path, args, options, server_path, args, options);
	EQ(json_parse(&j, text, strlen(text), &e), 0);
	if (mcp_config_read(json_root(&j), "/", &k->config, &e) < 0)
		FAIL("%s", e.msg);
	EQ(uv_loop_init(&k->loop), 0);
	uv_timer_init(&k->loop, &k->timer);
	k->timer.data = k;
	k->place = (struct mcp_place){.loop = &k->loop, .capabilities = "{}"};
	mcp_sharing_init(&k->sharing);
}

static struct upstream *own(struct kit *k, struct upstream *u)
{
	OK(u != NULL);
	u->owner = &events;
	u->owner_arg = k;
	return u;
}

static void begin(struct kit *k, const char *args, const char *options)
{
	struct err e = {0};

	kit_open(k, args, options);
	k->u = own(k, mcp_local_new(&k->place, &k->config->specs[0]));
	EQ(k->u->state, UPSTREAM_OFF);
	EQ(upstream_start(k->u, &e), 0);
}

static void finish(struct kit *k)
{
	if (k->u != NULL)
		k->u->ops->free(k->u);
	mcp_sharing_done(&k->sharing);
	uv_close((uv_handle_t *)&k->timer, NULL);
	EQ(uv_run(&k->loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&k->loop), 0);
	mcp_config_free(k->config);
}

static void on_done(const struct upstream_answer *a, void *arg)
{
	struct kit *k = arg;
	struct jv text = jv_get(jv_first(jv_get(a->result, "content")), "text");
	size_t len;
	const char *raw = jv_raw(a->status == 0 ? a->result : a->error, &len);

	k->n_done++;
	if (a->status == 0 && jv_is(text, JV_STRING))
		(void)jv_strcpy(text, k->answer, sizeof(k->answer));
	else if (raw != NULL)
		snprintf(k->answer, sizeof(k->answer), "%.*s", (int)len, raw);
	else
		snprintf(k->answer, sizeof(k->answer), "%d %s", a->status,
			 a->why);
	if (k->ask_again) {
		struct upstream_request q = {
			.method = "ping", .done = on_done, .arg = k};
		struct upstream_call *c;

		k->ask_again = false;
		k->asked = upstream_ask(k->u, &q, &c, NULL);
	}
	note(k, "answer");
}

static struct upstream_call *call_of(struct kit *k, struct upstream *u,
				     const char *tool, const char *args)
{
	struct upstream_call *c = NULL;
	struct err e = {0};
	char params[512];

	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"arguments\":%s}",
		 tool, args);
	if (upstream_ask(u,
			 &(struct upstream_request){.method = "tools/call",
						    .params = params,
						    .done = on_done,
						    .arg = k},
			 &c, &e) < 0)
		FAIL("%s: %s", tool, e.msg);
	return c;
}

static const char *call(struct kit *k, const char *tool, const char *args)
{
	call_of(k, k->u, tool, args);
	wait_for(k, "answer");
	return k->answer;
}

/* --- start --------------------------------------------------------------- */

TEST(a_server_becomes_ready_with_its_tools)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	STR_EQ(k.log, "starting ready ");
	OK(strstr(k.u->tools, "\"echo\"") != NULL);
	EQ(strlen(k.u->tools_hash), 64);
	OK(k.u->pid > 0 && k.u->info.version[0] != '\0');
	STR_EQ(call(&k, "echo", "{\"message\":\"hi\"}"), "hi");
	finish(&k);
}

TEST(all_pages_of_tools_are_read)
{
	struct kit k;

	begin(&k, "\"--page\",\"7\",\"--many\",\"20\"", "");
	wait_for(&k, "ready");
	OK(strstr(k.u->tools, "\"tool_20\"") != NULL);
	OK(strstr(k.u->tools, "\"echo\"") != NULL);
	finish(&k);
}

TEST(both_eras_are_spoken)
{
	struct kit k;

	begin(&k, "\"--legacy-only\"", "");
	wait_for(&k, "ready");
	OK(!k.u->info.modern);
	finish(&k);
	begin(&k, "\"--modern-only\"", "");
	wait_for(&k, "ready");
	OK(k.u->info.modern);
	STR_EQ(call(&k, "echo", "{\"message\":\"m\"}"), "m");
	finish(&k);
}

TEST(banners_and_noise_are_skipped)
{
	struct kit k;

	begin(&k, "\"--banner\",\"Welcome\"", "");
	wait_for(&k, "ready");
	STR_EQ(call(&k, "noise", "{\"lines\":1000}"), "noisy");
	STR_EQ(call(&k, "bigline", "{}"), "long");
	STR_EQ(call(&k, "echo", "{\"message\":\"on\"}"), "on");
	finish(&k);
}

TEST(an_exit_at_start_is_told_with_its_words)
{
	struct kit k;

	begin(&k, "\"--stderr\",\"no licence\",\"--exit-on-start\",\"3\"", "");
	wait_for(&k, "failed");
	EQ(k.code, 3);
	STR_EQ(k.why.msg, "it exited with code 3");
	STR_EQ(k.tail, "\"no licence\\n\"");
	EQ(k.u->state, UPSTREAM_DOWN);
	OK(!wait_ms(&k, "starting", 400));
	finish(&k);
}

TEST(a_program_that_is_missing_is_told)
{
	struct kit k;
	struct err e = {0};

	kit_open(&k, "", "");
	free(k.config->specs[0].argv[0]);
	k.config->specs[0].argv[0] = strdup("/nowhere/server");
	k.u = own(&k, mcp_local_new(&k.place, &k.config->specs[0]));
	EQ(upstream_start(k.u, &e), 0);
	wait_for(&k, "failed");
	EQ(k.code, -1);
	OK(strstr(k.why.msg, "No such file") != NULL);
	finish(&k);
}

TEST(a_server_that_says_nothing_is_ended_in_time)
{
	struct kit k;

	begin(&k, "\"--deaf\",\"--ignore-eof\",\"--ignore-term\"",
	      ",\"startup_timeout_ms\":300");
	wait_for(&k, "failed");
	EQ(k.signal, SIGKILL);
	finish(&k);
}

/* --- requests ------------------------------------------------------------ */

TEST(requests_wait_for_a_lazy_server)
{
	struct kit k;

	kit_open(&k, "\"--slow-start\",\"100\"", "");
	k.u = own(&k, mcp_local_new(&k.place, &k.config->specs[0]));
	STR_EQ(call(&k, "echo", "{\"message\":\"late\"}"), "late");
	STR_EQ(k.log, "starting ready answer ");
	finish(&k);
}

TEST(requests_of_a_start_that_fails_end_with_its_reason)
{
	struct kit k;

	kit_open(&k, "\"--exit-on-start\",\"4\"", "");
	k.u = own(&k, mcp_local_new(&k.place, &k.config->specs[0]));
	call(&k, "echo", "{}");
	STR_EQ(k.answer, "-32 it exited with code 4");
	STR_EQ(k.log, "starting failed answer ");
	finish(&k);
}

TEST(a_request_ends_at_its_deadline)
{
	struct kit k;

	begin(&k, "", ",\"call_timeout_ms\":100");
	wait_for(&k, "ready");
	call(&k, "hang", "{}");
	OK(strstr(k.answer, "did not answer") != NULL);
	STR_EQ(call(&k, "echo", "{\"message\":\"on\"}"), "on");
	finish(&k);
}

TEST(a_forgotten_request_is_not_answered)
{
	struct kit k;
	struct upstream_call *c;

	begin(&k, "", "");
	wait_for(&k, "ready");
	c = call_of(&k, k.u, "slow", "{\"ms\":50}");
	upstream_forget(c, "enough");
	STR_EQ(call(&k, "slow", "{\"ms\":100}"), "slept 100");
	EQ(k.n_done, 1);
	EQ(k.u->n_calls, 0);
	finish(&k);
}

TEST(a_changed_list_is_read_again)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	call_of(&k, k.u, "add_tool", "{\"name\":\"fresh\"}");
	wait_for(&k, "changed");
	OK(strstr(k.u->tools, "\"fresh\"") != NULL);
	finish(&k);
}

TEST(a_quarter_of_a_mebibyte_on_stderr_stalls_nothing)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	STR_EQ(call(&k, "stderr",
		    "{\"text\":\"0123456789abcdef0123456789abcdef\","
		    "\"times\":8192}"),
	       "said");
	STR_EQ(call(&k, "echo", "{\"message\":\"on\"}"), "on");
	OK(k.n_said <= 2 * MCP_STDERR_BURST);
	finish(&k);
}

/* --- ends ---------------------------------------------------------------- */

TEST(a_server_that_ends_is_started_again)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	call(&k, "crash", "{\"code\":7}");
	STR_EQ(k.answer, "-32 it exited with code 7");
	EQ(k.code, 7);
	STR_EQ(k.log, "starting ready answer exited ");
	EQ(k.u->state, UPSTREAM_STARTING);
	STR_EQ(call(&k, "echo", "{\"message\":\"again\"}"), "again");
	STR_EQ(k.log,
	       "starting ready answer exited starting ready-same answer ");
	finish(&k);
}

/* Not with their own time, nor with the next start. */
TEST(calls_end_with_a_kill)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	for (int i = 0; i < 3; i++)
		call_of(&k, k.u, "hang", "{}");
	OK(!wait_ms(&k, "answer", 50));
	EQ(kill(k.u->pid, SIGKILL), 0);
	wait_for(&k, "exited");
	EQ(k.n_done, 3);
	STR_EQ(k.answer, "-32 it was killed by signal 9");
	finish(&k);
}

TEST(a_request_made_at_the_end_of_another_is_refused)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	k.ask_again = true;
	call(&k, "crash", "{}");
	EQ(k.asked, -EPIPE);
	wait_for(&k, "ready-same");
	EQ(k.n_done, 1);
	finish(&k);
}

TEST(one_that_closes_its_stdout_is_ended)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	call(&k, "close_stdout", "{}");
	STR_EQ(k.answer, "-32 it closed its stdout");
	wait_for(&k, "ready-same");
	finish(&k);
}

TEST(five_ends_in_a_minute_are_enough)
{
	static const char *const down = "-32 it exited with code 1";
	struct err e = {0};
	struct kit k;

	begin(&k, "", "");
	for (int i = 0; i < MCP_ENDS_MAX; i++) {
		wait_for(&k, i == 0 ? "ready" : "ready-same");
		call(&k, "crash", "{}");
		STR_EQ(k.answer, down);
		k.log[0] = '\0';
	}
	EQ(k.u->state, UPSTREAM_DOWN);
	EQ(upstream_start(k.u, &e), -EPIPE);
	OK(strstr(e.msg, "5 times") != NULL);
	finish(&k);
}

TEST(one_that_is_not_used_is_stopped_and_comes_back)
{
	struct kit k;

	begin(&k, "", ",\"idle_ms\":150");
	wait_for(&k, "ready");
	STR_EQ(call(&k, "slow", "{\"ms\":250}"), "slept 250");
	wait_for(&k, "ended");
	EQ(k.u->state, UPSTREAM_OFF);
	EQ(k.code, 0);
	STR_EQ(call(&k, "echo", "{\"message\":\"back\"}"), "back");
	finish(&k);
}

TEST(a_request_made_while_it_stops_waits_for_the_next)
{
	struct kit k;

	begin(&k, "\"--ignore-eof\"", "");
	wait_for(&k, "ready");
	k.u->ops->stop(k.u);
	EQ(k.u->state, UPSTREAM_STOPPING);
	STR_EQ(call(&k, "echo", "{\"message\":\"next\"}"), "next");
	STR_EQ(k.log, "starting ready ended starting ready-same answer ");
	finish(&k);
}

TEST(one_of_a_session_that_ends_is_not_begun_again)
{
	struct upstream_request q = {.method = "ping", .done = on_done};
	struct upstream_call *c;
	struct kit k;

	begin(&k, "\"--ignore-eof\"", "");
	wait_for(&k, "ready");
	k.u->over = true;
	k.u->ops->stop(k.u);
	STR_EQ(call(&k, "echo", "{\"message\":\"next\"}"),
	       "-32 its session is ending");
	STR_EQ(k.log, "starting ready ended answer ");
	EQ(upstream_ask(k.u, &q, &c, NULL), -EPIPE);
	finish(&k);
}

TEST(an_end_in_peace_ignored_becomes_a_kill)
{
	struct kit k;
	uint64_t from;

	begin(&k, "\"--ignore-eof\",\"--ignore-term\"", "");
	wait_for(&k, "ready");
	from = uv_hrtime();
	k.u->ops->stop(k.u);
	wait_for(&k, "ended");
	EQ(k.signal, SIGKILL);
	OK(uv_hrtime() - from >= 2 * MCP_END_STEP_MS * 1000000ull);
	finish(&k);
}

TEST(freeing_one_with_open_calls_is_silent)
{
	struct kit k;

	begin(&k, "", "");
	wait_for(&k, "ready");
	call_of(&k, k.u, "hang", "{}");
	finish(&k);
	EQ(k.n_done, 0);
	STR_EQ(k.log, "starting ready ");
}

/* --- shared -------------------------------------------------------------- */

/* It may wait to be buried. */
static bool is_gone(const char *pid)
{
	char path[128], state = 'Z';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	(void)fscanf(f, "%*d %*s %c", &state);
	fclose(f);
	return state == 'Z';
}

TEST(the_same_server_of_two_is_one_process)
{
	struct upstream *a, *b;
	struct err e = {0};
	char pid[64];
	struct kit k;

	kit_open(&k, "", ",\"shared\":true");
	a = own(&k, mcp_shared_new(&k.sharing, &k.place, &k.config->specs[0]));
	EQ(upstream_start(a, &e), 0);
	wait_for(&k, "ready");
	b = own(&k, mcp_shared_new(&k.sharing, &k.place, &k.config->specs[1]));
	EQ(upstream_start(b, &e), 0);
	wait_for(&k, "ready");
	k.u = a;
	snprintf(pid, sizeof(pid), "%.*s", (int)sizeof(pid) - 1,
		 call(&k, "pid", "{}"));
	k.u = b;
	STR_EQ(call(&k, "pid", "{}"), pid);
	a->ops->free(a);
	STR_EQ(call(&k, "echo", "{\"message\":\"still\"}"), "still");
	b->ops->free(b);
	k.u = NULL;
	while (!TAILQ_EMPTY(&k.sharing.ending)) /* Without us. */
		uv_run(&k.loop, UV_RUN_ONCE);
	OK(is_gone(pid));
	finish(&k);
}

TEST(a_crash_of_a_shared_one_is_told_to_all)
{
	struct upstream *a, *b;
	struct err e = {0};
	struct kit k;

	kit_open(&k, "", ",\"shared\":true");
	a = own(&k, mcp_shared_new(&k.sharing, &k.place, &k.config->specs[0]));
	b = own(&k, mcp_shared_new(&k.sharing, &k.place, &k.config->specs[1]));
	EQ(upstream_start(a, &e), 0);
	EQ(upstream_start(b, &e), 0);
	wait_for(&k, "ready");
	STR_EQ(k.log, "starting starting ready ready ");
	k.log[0] = '\0';
	call_of(&k, b, "hang", "{}");
	call_of(&k, a, "crash", "{}");
	wait_for(&k, "ready-same");
	EQ(k.n_done, 2);
	STR_EQ(k.answer, "-32 it exited with code 1");
	STR_EQ(k.log, "answer answer exited exited ready-same ready-same ");
	a->ops->free(a);
	b->ops->free(b);
	finish(&k);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		CASE(a_server_becomes_ready_with_its_tools),
		CASE(all_pages_of_tools_are_read),
		CASE(both_eras_are_spoken),
		CASE(banners_and_noise_are_skipped),
		CASE(an_exit_at_start_is_told_with_its_words),
		CASE(a_program_that_is_missing_is_told),
		CASE(a_server_that_says_nothing_is_ended_in_time),
		CASE(requests_wait_for_a_lazy_server),
		CASE(requests_of_a_start_that_fails_end_with_its_reason),
		CASE(a_request_ends_at_its_deadline),
		CASE(a_forgotten_request_is_not_answered),
		CASE(a_changed_list_is_read_again),
		CASE(a_quarter_of_a_mebibyte_on_stderr_stalls_nothing),
		CASE(a_server_that_ends_is_started_again),
		CASE(calls_end_with_a_kill),
		CASE(a_request_made_at_the_end_of_another_is_refused),
		CASE(one_that_closes_its_stdout_is_ended),
		CASE(five_ends_in_a_minute_are_enough),
		CASE(one_that_is_not_used_is_stopped_and_comes_back),
		CASE(a_request_made_while_it_stops_waits_for_the_next),
		CASE(one_of_a_session_that_ends_is_not_begun_again),
		CASE(an_end_in_peace_ignored_becomes_a_kill),
		CASE(freeing_one_with_open_calls_is_silent),
		CASE(the_same_server_of_two_is_one_process),
		CASE(a_crash_of_a_shared_one_is_told_to_all),
	};
	ssize_t n;

	if (argc > 1 && strcmp(argv[1], SESSION_INIT_ARG) == 0)
		return session_init_main();
	n = readlink("/proc/self/exe", server_path, sizeof(server_path) - 32);
	OK(n > 0);
	server_path[n] = '\0';
	strcpy(strrchr(server_path, '/'), "/fake/mcp_server");
	(void)signal(SIGPIPE, SIG_IGN);
	return tap_main(cases, ARRAY_LEN(cases));
}
