// SPDX-License-Identifier: Apache-2.0
/*
 * test_pause.c - The guest daemon stands still, and goes on
 *
 * As test_guest.c.  Where processes are to be stopped the guest is process 1 of
 * namespaces of its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "guest/limits.h"
#include "tests/guest_host.h"
#include "tests/tap.h"

static struct reply *freeze(struct host *h)
{
	return begin(h, "freeze", "{\"warm\":true,\"reason\":\"suspend\"}");
}

static struct reply *thaw(struct host *h)
{
	return begin(h, "thaw",
		     "{\"generation\":2,\"now\":1700000000000,\"reason\":"
		     "\"resume\"}");
}

/* What the log of SES ends with, as an answer says. */
static int64_t last_seq(const struct reply *r)
{
	return jv_int(jv_path(r->v, "last_seq." SES), 0);
}

static void paused_is(struct host *h, bool want)
{
	struct reply *r = hello(h);

	EQ(jv_bool(jv_get(r->v, "paused"), !want), want);
	OK(!jv_bool(jv_get(r->v, "frozen"), true));
	drop(r);
}

TEST(F212_a_pause_is_told_refuses_calls_and_ends)
{
	struct host *h = up();
	struct reply *r;
	int64_t seq;

	create(h);
	says(h, "before", "before");
	paused_is(h, false);
	r = freeze(h);
	expect_ok(r);
	seq = last_seq(r);
	OK(jv_bool(jv_get(r->v, "warm"), false));
	EQ(jv_int(jv_get(r->v, "execs"), -1), 0);
	drop(r);
	expect(await(h, "session.state"),
	       "\"from\":\"idle\",\"to\":\"suspended\",\"reason\":\"suspend\","
	       "\"suspended_from\":\"idle\"");
	EQ(h->events[h->n - 1]->seq, seq);
	paused_is(h, true);
	refused(prompt(h, "no"), "draining");
	refused(simple(h, "session.get", ""), "draining");
	refused(begin_text(h, "/start", "{\"generation\":1}"), "draining");
	/* Said again: the same. */
	r = freeze(h);
	expect_ok(r);
	EQ(last_seq(r), seq);
	drop(r);
	r = thaw(h);
	expect_ok(r);
	EQ(last_seq(r), seq + 2);
	drop(r);
	expect(await(h, "session.resumed"), "\"restore\":\"warm\"");
	expect(await(h, "session.state"),
	       "\"from\":\"suspended\",\"to\":\"idle\",\"reason\":\"resume\"");
	paused_is(h, false);
	r = thaw(h);
	expect_ok(r);
	EQ(last_seq(r), seq + 2);
	drop(r);
	says(h, "after", "after");
	check_log(h, SES);
	down(h);
}

/* Pause, and see that nothing comes any more; then go on. */
static void nap(struct host *h)
{
	struct reply *r = freeze(h);
	int64_t seq;

	expect_ok(r);
	seq = last_seq(r);
	drop(r);
	while (h->events[h->n - 1]->seq < seq)
		tick(h);
	EQ(h->events[h->n - 1]->seq, seq);
	STR_EQ(h->events[h->n - 1]->type, "session.state");
	done(thaw(h));
}

static size_t numbered(const struct host *h)
{
	char want[32];
	size_t k = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->events[i]->type, "acp.update") != 0)
			continue;
		snprintf(want, sizeof(want), "\"i=%zu ", ++k);
		expect(h->events[i], want);
	}
	return k;
}

static bool turn_is_over(const struct host *h)
{
	return count(h, SES, "turn.completed") > 0;
}

/* Return: how often. */
static unsigned stream_and_nap(struct host *h)
{
	unsigned n_naps = 0;

	create(h);
	done(prompt(h, "!flood 20000 100 12"));
	while (!turn_is_over(h)) {
		for (long n = random() % 4; n >= 0 && !turn_is_over(h); n--)
			tick(h);
		if (turn_is_over(h))
			break;
		nap(h);
		n_naps++;
	}
	EQ(count(h, SES, "session.resumed"), n_naps);
	EQ(numbered(h), 20000);
	check_log(h, SES);
	down(h);
	return n_naps;
}

TEST(F212_F118_pauses_of_a_stream_lose_and_double_nothing)
{
	srandom((unsigned)time(NULL));
	OK(stream_and_nap(up_isolated()) >= 20);
}

TEST(pauses_of_a_stream_whose_processes_go_on_lose_nothing)
{
	(void)stream_and_nap(up());
}

/* --- processes ------------------------------------------------------------ */

struct process {
	pid_t pid, parent;
	char state;
};

static bool read_process(const char *pid, struct process *p)
{
	char path[300], text[1024];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p->pid = (pid_t)atol(pid);
	return n > 0 && sscanf(strrchr(text, ')') + 1, " %c %d", &p->state,
			       &p->parent) == 2;
}

static size_t read_processes(struct process *all, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	size_t n = 0;

	OK(dir != NULL);
	while (n < max && (d = readdir(dir)) != NULL)
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' &&
		    read_process(d->d_name, &all[n]))
			n++;
	closedir(dir);
	return n;
}

/* Is it started by @top, or by what that has started? */
static bool is_below(pid_t top, const struct process *p,
		     const struct process *all, size_t n)
{
	pid_t parent = p->parent;

	for (unsigned depth = 0; parent > 1 && depth < 100; depth++) {
		size_t i = 0;

		if (parent == top)
			return true;
		while (i < n && all[i].pid != parent)
			i++;
		parent = i < n ? all[i].parent : 0;
	}
	return false;
}

/* How many processes of the guest are in none of those states. */
static size_t others_than(const struct host *h, const char *states)
{
	static struct process all[16384];
	size_t n = read_processes(all, ARRAY_LEN(all)), found = 0;

	for (size_t i = 0; i < n; i++)
		found += is_below(h->pid, &all[i], all, n) &&
			 strchr(states, all[i].state) == NULL;
	return found;
}

/* Once nothing wakes any more: a store makes room in its log a moment after the
 * last commit. */
static long switches_at_rest(const struct host *h)
{
	long now = switches(h), last;

	do {
		last = now;
		usleep(50000);
		now = switches(h);
	} while (now != last);
	return now;
}

TEST(nothing_runs_and_nothing_wakes_during_a_pause)
{
	struct host *h = up_isolated();
	long before;

	create(h);
	done(prompt(h,
		    "!helper while :; do :; done;;!termbg while :; do echo x; "
		    "done;;!flood 20000 100 1"));
	await(h, "acp.response");
	done(freeze(h));
	EQ(others_than(h, "TZ"), 0);
	before = switches_at_rest(h);
	usleep(500000);
	EQ(others_than(h, "TZ"), 0);
	OK(switches(h) - before <= 1);
	done(thaw(h));
	OK(others_than(h, "TZ") > 0);
	done(simple(h, "session.close", ",\"force\":true"));
	down(h);
}

TEST(what_forks_in_a_loop_is_stopped_whole)
{
	struct host *h = up_isolated();

	create(h);
	done(prompt(h, "!helper while :; do (:) & (exec true) & wait; done;;"
		       "!helper while :; do sh -c 'true & true'; done"));
	await(h, "turn.completed");
	for (int i = 0; i < 30; i++) {
		done(freeze(h));
		EQ(others_than(h, "TZD"), 0);
		done(thaw(h));
	}
	says(h, "well", "well");
	down(h);
}

TEST(what_its_user_has_stopped_stays_stopped)
{
	struct host *h = up_isolated();

	create(h);
	done(prompt(h, "!helper sleep 100 & kill -STOP $!; wait"));
	await(h, "turn.completed");
	while (others_than(h, "SRDIZ") == 0)
		usleep(1000);
	nap(h);
	says(h, "!sleep 20", "");
	EQ(others_than(h, "SRDIZ"), 1);
	down(h);
}

/* --- what waits goes on ---------------------------------------------------- */

TEST(F158_a_permission_is_answered_after_a_pause)
{
	struct host *h = up_isolated();
	char req[ID_MAX];

	create(h);
	done(prompt(h, "!ask call_1 Delete"));
	ctx_of(await(h, "permission.requested"), "req", req);
	await(h, "session.state");
	done(freeze(h));
	expect(await(h, "session.state"), "\"suspended_from\":\"waiting\"");
	refused(answer(h, req, "allow_once"), "draining");
	done(thaw(h));
	expect(await(h, "session.state"),
	       "\"to\":\"waiting\",\"reason\":\"resume\",\"wait_kind\":"
	       "\"permission\"");
	done(answer(h, req, "allow_once"));
	expect(await(h, "permission.resolved"), "\"by\":\"client\"");
	expect(await(h, "turn.completed"), "end_turn");
	EQ(count(h, SES, "permission.requested"), 1);
	check_log(h, SES);
	down(h);
}

/* The time before the pause and that after it are all that it had. */
TEST(timers_keep_what_they_had_left)
{
	struct host *h = up_isolated();
	uint64_t ms;

	done(create_as(h, SES, "", ",\"permission_timeout_ms\":1500"));
	await(h, "session.ready");
	ms = uv_hrtime() / 1000000;
	done(prompt(h, "!ask call_1 Delete"));
	await(h, "permission.requested");
	done(freeze(h));
	ms = uv_hrtime() / 1000000 - ms;
	usleep(1600000);
	ms = uv_hrtime() / 1000000 - ms;
	done(thaw(h));
	expect(await(h, "permission.resolved"), "\"by\":\"timeout\"");
	OK(uv_hrtime() / 1000000 - ms >= 1400);
	await(h, "turn.completed");
	down(h);
}

TEST(calls_to_an_agent_keep_their_deadline)
{
	struct host *h = up_isolated();
	struct reply *r;

	done(create_as(h, SES, "\"--deaf-set\"", ""));
	await(h, "session.ready");
	r = simple(h, "session.update", ",\"config\":{\"mode\":\"plan\"}");
	await(h, "acp.request");
	nap(h);
	OK(!r->done);
	says(h, "still there", "still there");
	done(simple(h, "session.close", ",\"force\":true"));
	finish(r);
	drop(r);
	down(h);
}

TEST(a_session_expires_at_its_time_also_while_paused)
{
	struct host *h = up_isolated();

	create(h);
	done(simple(h, "session.update", ",\"ttl_ms\":1500"));
	done(freeze(h));
	usleep(1700000);
	EQ(count(h, SES, "session.expired"), 0);
	done(thaw(h));
	await(h, "session.resumed");
	await(h, "session.expired");
	check_log(h, SES);
	down(h);
}

TEST(terminals_and_programs_of_the_host_go_on)
{
	struct host *h = up_isolated();
	struct reply *r, *x;

	create(h);
	x = begin_text(h, "/exec",
		       "{\"argv\":[\"sh\",\"-c\",\"echo one; sleep 1; "
		       "echo two\"],\"collect\":true,\"cwd\":\"/\"}");
	done(prompt(h, "!term sh -c 'echo a; sleep 1; echo b'"));
	await(h, "acp.response");
	r = freeze(h);
	expect_ok(r);
	EQ(jv_int(jv_get(r->v, "execs"), -1), 1);
	drop(r);
	usleep(1200000);
	OK(!x->done);
	done(thaw(h));
	await(h, "turn.completed");
	expect_ok(x);
	OK(strstr(x->text.buf, "one\\ntwo") != NULL);
	drop(x);
	check_log(h, SES);
	down(h);
}

/* A program of the host's whose output is taken or not. */
struct slow {
	struct reply r;
	struct h2_stream *stream;
	size_t left; /* Bytes that came and are not taken. */
	bool takes;
};

static void slow_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct slow *x = arg;

	jw_lit(&x->r.text, data, n);
	if (x->takes)
		h2_consume(s, n);
	else
		x->left += n;
}

static const struct h2_stream_events slow_events = {.data = slow_on_data,
						    .end = reply_on_end};

#define EXE "exe_00000000000000000000000000000001"

static void slow_begin(struct host *h, struct slow *x)
{
	static const char body[] =
		"{\"exec\":\"" EXE "\",\"cwd\":\"/\",\"argv\":[\"sh\",\"-c\","
		"\"yes | head -c 10000000\"]}";

	x->r.h = h;
	x->stream = h2_request(h->h2, "POST", "/exec", body, strlen(body),
			       false, &slow_events, x);
	OK(x->stream != NULL);
	while (x->left < H2_WINDOW)
		tick(h);
}

/* Pause.  Return: how much the guest has sent. */
static size_t freeze_sent(struct host *h)
{
	struct reply *r = freeze(h);
	int64_t n;

	expect_ok(r);
	n = jv_int(jv_path(r->v, "exec_sent." EXE), 0);
	drop(r);
	return (size_t)n;
}

TEST(a_program_whose_reader_was_slow_says_nothing_during_a_pause)
{
	struct host *h = up();
	struct slow x = {0};
	size_t sent = 0, again;

	/* Until it is read no more. */
	slow_begin(h, &x);
	while ((again = freeze_sent(h)) > sent) {
		sent = again;
		done(thaw(h));
	}
	x.takes = true;
	h2_consume(x.stream, x.left);
	while (x.r.text.len < sent)
		tick(h);
	for (int i = 0; i < 5; i++)
		paused_is(h, true);
	EQ(x.r.text.len, sent);
	done(thaw(h));
	while (!x.r.done)
		tick(h);
	OK(strstr(x.r.text.buf, "\"stdout_bytes\":10000000,") != NULL);
	jw_done(&x.r.text);
	down(h);
}

TEST(a_call_of_an_mcp_server_goes_on)
{
	struct host *h = up_isolated();
	char mcp[4096];
	struct reply *r;

	snprintf(mcp, sizeof(mcp),
		 ",\"mcp\":[{\"name\":\"a\",\"type\":\"local\",\"command\":"
		 "\"%s\"}]",
		 h->mcp);
	done(create_as(h, SES, "", mcp));
	await(h, "mcp.ready");
	r = simple(h, "mcp.call",
		   ",\"name\":\"a\",\"tool\":\"slow\",\"arguments\":{\"ms\":"
		   "1500},\"timeout_ms\":2500");
	done(prompt(h, "!mcp call a slow {\"ms\":1500}"));
	await(h, "turn.started");
	done(freeze(h));
	expect(await(h, "session.state"), "\"to\":\"running\"");
	usleep(2600000);
	OK(!r->done);
	EQ(count(h, SES, "mcp.call"), 0);
	done(thaw(h));
	expect(await(h, "session.resumed"), "\"mcp\":[{\"name\":\"a\"");
	expect_ok(r);
	drop(r);
	await(h, "turn.completed");
	EQ(count(h, SES, "mcp.exited"), 0);
	check_log(h, SES);
	down(h);
}

/* The child of a session's init, which is a child of the guest. */
static pid_t find_agent(const struct host *h)
{
	static struct process all[16384];
	size_t n = read_processes(all, ARRAY_LEN(all));

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			if (all[i].parent == h->pid &&
			    all[k].parent == all[i].pid)
				return all[k].pid;
	FAIL("there is no agent");
}

TEST(an_agent_that_is_killed_during_a_pause_is_missed_afterwards)
{
	struct host *h = up_isolated();
	size_t n;

	create(h);
	done(prompt(h, "!hang"));
	await(h, "turn.started");
	done(freeze(h));
	n = h->n;
	EQ(kill(find_agent(h), SIGKILL), 0);
	while (others_than(h, "TZ") > 0)
		usleep(1000);
	paused_is(h, true);
	EQ(h->n, n);
	done(thaw(h));
	await(h, "session.resumed");
	expect(await(h, "turn.failed"), "agent_exited");
	expect(await(h, "session.state"), "\"to\":\"failed\"");
	check_log(h, SES);
	down(h);
}

/* --- the way in and out ----------------------------------------------------- */

TEST(a_session_that_starts_or_closes_is_waited_for)
{
	struct host *h = up_isolated();
	struct reply *c, *f;

	c = create_as(h, SES, "\"--slow-start\",\"200\"", "");
	f = freeze(h);
	expect_ok(f);
	drop(f);
	OK(c->done);
	done(c);
	EQ(count(h, SES, "session.ready"), 1);
	done(thaw(h));
	done(prompt(h, "!ignoreterm"));
	await(h, "turn.completed");
	c = simple(h, "session.close", "");
	f = freeze(h);
	done(f);
	OK(c->done);
	done(c);
	done(thaw(h));
	EQ(count(h, SES, "session.resumed"), 1);
	check_log(h, SES);
	down(h);
}

TEST(a_pause_that_takes_too_long_is_none)
{
	struct host *h = up_isolated();
	struct reply *c;

	c = create_as(h, SES, "\"--slow-start\",\"2000\"", "");
	refused(begin(h, "freeze", "{\"warm\":true,\"deadline_ms\":50}"),
		"not_ready");
	paused_is(h, false);
	done(c);
	says(h, "well", "well");
	EQ(count(h, SES, "session.resumed"), 0);
	refused(begin(h, "freeze", "{\"warm\":true,\"deadline_ms\":0}"),
		"invalid_argument");
	down(h);
}

TEST(a_thaw_calls_a_pause_off)
{
	struct host *h = up_isolated();
	struct reply *c, *f;

	c = create_as(h, SES, "\"--slow-start\",\"200\"", "");
	f = freeze(h);
	done(thaw(h));
	refused(f, "not_ready");
	done(c);
	says(h, "well", "well");
	down(h);
}

TEST(a_wrong_thaw_changes_nothing)
{
	struct host *h = up();

	create(h);
	done(freeze(h));
	refused(begin(h, "thaw", "{\"entropy\":\"00\"}"), "invalid_argument");
	refused(begin(h, "thaw", "{\"vm\":\"me\"}"), "invalid_id");
	refused(begin(h, "thaw", "{\"sessions\":[]}"), "invalid_argument");
	refused(begin(h, "thaw", "{\"generation\":-1}"), "invalid_argument");
	refused(begin(h, "thaw", "{\"hostname\":\"a b\"}"), "invalid_argument");
	paused_is(h, true);
	nap(h);
	down(h);
}

TEST(a_lost_host_comes_back_to_a_paused_guest)
{
	struct host *h = up_isolated();
	struct reply *r;

	create(h);
	done(prompt(h, "!flood 3000 100"));
	await(h, "acp.update");
	h->silent = true;
	done(freeze(h));
	disconnect(h);
	drop_events(h);
	h->silent = false;
	host_connect(h);
	paused_is(h, true);
	sync_begin(h, "{\"have\":{}}\n");
	r = freeze(h);
	expect_ok(r);
	while (h->n < (size_t)last_seq(r))
		tick(h);
	drop(r);
	check_log(h, SES);
	/* The answer to a thaw is lost, and its connection. */
	r = thaw(h);
	await(h, "session.resumed");
	disconnect(h);
	drop(r);
	host_connect(h);
	paused_is(h, false);
	done(thaw(h));
	drop_events(h);
	sync_begin(h, "{\"have\":{}}\n");
	await(h, "turn.completed");
	EQ(numbered(h), 3000);
	check_log(h, SES);
	down(h);
}

TEST(an_agent_that_is_held_back_stays_so)
{
	struct host *h = up_isolated();

	create(h);
	done(prompt(h, "!flood 12000 1000"));
	h->silent = true;
	while (h->bytes < UNACKED_MAX)
		tick(h);
	nap(h);
	EQ(count(h, SES, "turn.completed"), 0);
	disconnect(h);
	drop_events(h);
	h->silent = false;
	host_connect(h);
	sync_begin(h, "{\"have\":{}}\n");
	await(h, "turn.completed");
	EQ(numbered(h), 12000);
	check_log(h, SES);
	down(h);
}

TEST(a_paused_guest_can_be_put_to_cold_sleep)
{
	struct host *h = up_isolated();

	create(h);
	done(prompt(h, "!hang"));
	await(h, "turn.started");
	done(freeze(h));
	done(begin(h, "freeze", "{\"reason\":\"sleep\"}"));
	await(h, "session.resumed");
	expect(await(h, "turn.interrupted"), "sleep");
	check_log(h, SES);
	refused(thaw(h), "draining");
	refused(freeze(h), "draining");
	down(h);
}

TEST(a_paused_guest_ends_by_a_signal)
{
	struct host *h = up_isolated();

	create(h);
	done(prompt(h, "!hang"));
	await(h, "turn.started");
	done(freeze(h));
	down(h);
}

TEST(F043_the_memory_of_a_paused_guest_is_lost)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!ask call_1 Delete"));
	await(h, "permission.requested");
	done(freeze(h));
	power_cut(h);
	host_start(h);
	expect(await(h, "permission.resolved"), "\"cancelled\"");
	expect(await(h, "turn.interrupted"), "vm_lost");
	state_is(h, "suspended");
	check_log(h, SES);
	drop_events(h);
	down(h);
}

static void fill_disk(const struct host *h)
{
	static const char block[4096];
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/state/filler", h->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	OK(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		continue;
	close(fd);
}

/* The log grows with each commit: its store can hold no ballast, and without it
 * makes no room beforehand. */
static void without_room(const struct host *h)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/state/guest.db.ballast", h->dir);
	EQ(mkdir(path, 0700), 0);
}

static void empty_disk(const struct host *h)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/state/filler", h->dir);
	EQ(unlink(path), 0);
}

TEST(F119_a_pause_that_cannot_be_stored_is_none)
{
	struct host *h = host_new();
	struct reply *r;

	if (!small_disk(h))
		SKIP("no small disk: %s", strerror(errno));
	without_room(h);
	host_start(h);
	create(h);
	done(prompt(h, "!sleep 100000"));
	await(h, "acp.request");
	fill_disk(h);
	/* Up to some event the log has room in what it has. */
	for (;;) {
		r = finish(begin(h, "freeze",
				 "{\"warm\":true,\"deadline_ms\":1000}"));
		if (r->status != 200)
			break;
		drop(r);
		drop(finish(thaw(h)));
	}
	OK(str_is(jv_path(r->v, "data.code"), "not_ready"));
	drop(r);
	paused_is(h, false);
	empty_disk(h);
	drop(finish(simple(h, "session.get", "")));
	while (count(h, SES, "turn.failed") == 0)
		tick(h);
	check_log(h, SES);
	down(h);
}

TESTS(CASE(F212_a_pause_is_told_refuses_calls_and_ends),
      CASE(F212_F118_pauses_of_a_stream_lose_and_double_nothing),
      CASE(pauses_of_a_stream_whose_processes_go_on_lose_nothing),
      CASE(nothing_runs_and_nothing_wakes_during_a_pause),
      CASE(what_forks_in_a_loop_is_stopped_whole),
      CASE(what_its_user_has_stopped_stays_stopped),
      CASE(F158_a_permission_is_answered_after_a_pause),
      CASE(timers_keep_what_they_had_left),
      CASE(calls_to_an_agent_keep_their_deadline),
      CASE(a_session_expires_at_its_time_also_while_paused),
      CASE(terminals_and_programs_of_the_host_go_on),
      CASE(a_program_whose_reader_was_slow_says_nothing_during_a_pause),
      CASE(a_call_of_an_mcp_server_goes_on),
      CASE(an_agent_that_is_killed_during_a_pause_is_missed_afterwards),
      CASE(a_session_that_starts_or_closes_is_waited_for),
      CASE(a_pause_that_takes_too_long_is_none), CASE(a_thaw_calls_a_pause_off),
      CASE(a_wrong_thaw_changes_nothing),
      CASE(a_lost_host_comes_back_to_a_paused_guest),
      CASE(an_agent_that_is_held_back_stays_so),
      CASE(a_paused_guest_can_be_put_to_cold_sleep),
      CASE(a_paused_guest_ends_by_a_signal),
      CASE(F043_the_memory_of_a_paused_guest_is_lost),
      CASE(F119_a_pause_that_cannot_be_stored_is_none))
