// SPDX-License-Identifier: Apache-2.0
/*
 * test_link.c - The host's end of the guest channel, against guests good and bad
 *
 * The guest is played here, on the other end of a socketpair: what it answers
 * to hello and what it sends on its event stream is each case's own.
 */
#include "host/daemon/link.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "core/h2.h"
#include "core/lines.h"
#include "host/daemon/hub.h"
#include "tests/tap.h"

#define VM  "vm_0123456789abcdef0123456789abcdef"
#define VM2 "vm_00000000000000000000000000000000"
#define SES "ses_0123456789abcdef0123456789abcdef"

#define TICK_MS 10 /* Of what watches a silent guest. */

static struct {
	uv_loop_t loop;
	char dir[64], path[96];
	struct store *store;
	struct reader *reader;
	struct hub *hub;
	struct mirror *mirror;
	struct link *link;

	/* The guest. */
	const char *hello;
	struct h2 *guest;
	uv_pipe_t *pipe; /* That it speaks on. */
	struct h2_stream *sync, *slow;
	struct lines lines;
	char fed[4096], have[512], acked[512], thaw[1024];
	int connects, started, thaws;
	bool mute; /* Do not accept connections. */
	void (*on_sync)(void);

	/* What the host reported. */
	int ups, failures, deaf;
	bool expects, waits;
	bool stays_paused;
	int64_t thawed_to; /* Of SES. */
	struct err failure;
	bool timed_out;
} t;

/* --- the guest ---------------------------------------------------------- */

static void guest_say(const char *line)
{
	EQ(h2_write(t.sync, line, strlen(line)), 0);
	EQ(h2_write(t.sync, "\n", 1), 0);
}

/* An event with the data given; type session.created for seq 1. */
static void guest_event(const char *session, int64_t seq, const char *vm)
{
	char line[512];

	if (seq == 1)
		snprintf(line, sizeof(line),
			 "{\"v\":1,\"session\":\"%s\",\"seq\":1,\"epoch\":1,"
			 "\"ts\":1,\"type\":\"session.created\",\"data\":{"
			 "\"vm\":\"%s\",\"agent\":\"echo\",\"cwd\":\"/\","
			 "\"create_hash\":\"00\",\"root\":\"%s\"}}",
			 session, vm, session);
	else
		snprintf(line, sizeof(line),
			 "{\"v\":1,\"session\":\"%s\",\"seq\":%lld,\"epoch\":1,"
			 "\"ts\":1,\"type\":\"agent.stderr\",\"data\":{"
			 "\"text\":\"%lld\"}}",
			 session, (long long)seq, (long long)seq);
	guest_say(line);
}

static int on_guest_line(char *line, size_t len, void *arg)
{
	(void)arg;
	EQ(strlen(line), len);
	if (strncmp(line, "{\"have\"", 7) == 0) {
		snprintf(t.have, sizeof(t.have), "%s", line);
		if (t.on_sync != NULL)
			t.on_sync();
	} else {
		snprintf(t.acked, sizeof(t.acked), "%s", line);
	}
	return 0;
}

static void sync_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	h2_consume(s, n);
	EQ(lines_feed(&t.lines, data, n, on_guest_line, arg), 0);
}

static void feed_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	size_t len = strlen(t.fed);

	(void)arg;
	h2_consume(s, n);
	OK(len + n < sizeof(t.fed));
	memcpy(t.fed + len, data, n);
	t.fed[len + n] = '\0';
}

static void feed_on_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_reply(s, 200, "{}", 2);
}

static void start_on_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	t.started++;
	h2_reply(s, 200, "{}", 2);
}

static void thaw_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)arg;
	h2_consume(s, n);
	snprintf(t.thaw, sizeof(t.thaw), "%.*s", (int)n, data);
}

#define HELLO_AS(vm, paused)                                  \
	"{\"version\":1,\"vm\":\"" vm "\",\"boot_id\":\"b\"," \
	"\"generation\":1,\"started\":true,\"paused\":" paused "}"

/* It is ours from now on. */
static void thaw_on_fin(struct h2_stream *s, void *arg)
{
	static const char answer[] = "{\"last_seq\":{\"" SES "\":7}}";

	(void)arg;
	t.thaws++;
	t.hello = HELLO_AS(VM, "false");
	h2_reply(s, 200, answer, sizeof(answer) - 1);
}

static void freeze_on_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_reply(s, 200, "{}", 2);
}

static void hello_on_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_reply(s, 200, t.hello, strlen(t.hello));
}

/* More than any answer may be, and not in whole frames. */
static void call_on_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_respond(s, 200);
	h2_write(s, "{", 1);
}

static void call_on_drained(struct h2_stream *s, void *arg)
{
	static const char rest[EXCHANGE_REPLY_MAX];

	(void)arg;
	h2_write(s, rest, sizeof(rest));
	h2_fin(s);
}

static void any_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	h2_consume(s, n);
}

static void any_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)r;
	(void)arg;
	if (s == t.sync)
		t.sync = NULL;
}

static const struct h2_stream_events on_hello = {
	.data = any_on_data, .fin = hello_on_fin, .end = any_on_end};
static const struct h2_stream_events on_feed = {
	.data = feed_on_data, .fin = feed_on_fin, .end = any_on_end};
static const struct h2_stream_events on_start = {
	.data = any_on_data, .fin = start_on_fin, .end = any_on_end};
static const struct h2_stream_events on_thaw = {
	.data = thaw_on_data, .fin = thaw_on_fin, .end = any_on_end};
static const struct h2_stream_events on_freeze = {
	.data = any_on_data, .fin = freeze_on_fin, .end = any_on_end};
static const struct h2_stream_events on_call = {.data = any_on_data,
						.fin = call_on_fin,
						.drained = call_on_drained,
						.end = any_on_end};
static const struct h2_stream_events on_slow = {.data = any_on_data,
						.end = any_on_end};
static const struct h2_stream_events on_sync = {.data = sync_on_data,
						.end = any_on_end};

static void guest_on_request(struct h2_stream *s, const char *method,
			     const char *path, void *arg)
{
	(void)arg;
	STR_EQ(method, "POST");
	if (strcmp(path, "/hello") == 0) {
		h2_stream_set(s, &on_hello, NULL);
	} else if (strcmp(path, "/feed") == 0) {
		h2_stream_set(s, &on_feed, NULL);
	} else if (strcmp(path, "/start") == 0) {
		h2_stream_set(s, &on_start, NULL);
	} else if (strcmp(path, "/call/thaw") == 0) {
		h2_stream_set(s, &on_thaw, NULL);
	} else if (strcmp(path, "/call/freeze") == 0) {
		h2_stream_set(s, &on_freeze, NULL);
	} else if (strcmp(path, "/call/slow") == 0) {
		t.slow = s;
		h2_stream_set(s, &on_slow, NULL);
	} else if (strncmp(path, "/call/", 6) == 0) {
		h2_stream_set(s, &on_call, NULL);
	} else {
		STR_EQ(path, "/sync");
		t.sync = s;
		h2_stream_set(s, &on_sync, NULL);
		h2_respond(s, 200);
	}
}

static void guest_on_closed(struct h2 *c, int r, void *arg)
{
	(void)r;
	(void)arg;
	if (t.guest == c)
		t.guest = NULL;
	h2_close(c);
}

static const struct h2_events guest_events = {.request = guest_on_request,
					      .closed = guest_on_closed};

/* Each connection is a fresh socketpair with a guest at its other end. */
static int fake_channel(struct machine *m, const char *name, struct err *e)
{
	uv_pipe_t *pipe = malloc(sizeof(*pipe));
	int fd[2];

	(void)m;
	(void)e;
	STR_EQ(name, "api");
	if (t.mute) {
		free(pipe);
		return -EAGAIN;
	}
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		      fd),
	   0);
	h2_close(t.guest);
	t.sync = NULL;
	lines_done(&t.lines);
	lines_init(&t.lines, 4096);
	uv_pipe_init(&t.loop, pipe, 0);
	EQ(uv_pipe_open(pipe, fd[1]), 0);
	EQ(h2_new((uv_stream_t *)pipe, true, &guest_events, NULL, &t.guest), 0);
	t.pipe = pipe;
	t.connects++;
	return fd[0];
}

static const struct backend_ops fake_backend = {
	.name = "fake", .wake_ms = 10000, .channel = fake_channel};

/* --- the host ----------------------------------------------------------- */

static void on_up(struct link *l, void *arg)
{
	(void)l;
	(void)arg;
	t.ups++;
}

static void on_failed(struct link *l, const struct err *e, void *arg)
{
	(void)l;
	(void)arg;
	t.failures++;
	t.failure = *e;
}

static bool on_paused(struct link *l, struct jw *params, void *arg)
{
	(void)arg;
	if (t.stays_paused)
		return false;
	jw_obj(params);
	(void)link_write_ahead(l, params);
	jw_obj_end(params);
	return true;
}

static void on_thawed(struct link *l, struct jv tails, void *arg)
{
	(void)l;
	(void)arg;
	t.thawed_to = jv_int(jv_get(tails, SES), 0);
}

static bool on_expects(struct link *l, void *arg)
{
	(void)l;
	(void)arg;
	return t.expects;
}

static bool on_deaf(struct link *l, uint64_t silent_ms, void *arg)
{
	(void)l;
	(void)arg;
	OK(silent_ms > TICK_MS);
	t.deaf++;
	return !t.waits;
}

static const struct link_events host_events = {.up = on_up,
					       .failed = on_failed,
					       .thaw = on_paused,
					       .thawed = on_thawed,
					       .expects = on_expects,
					       .deaf = on_deaf};

static void setup(const char *hello)
{
	struct err e = {0};

	snprintf(t.dir, sizeof(t.dir), "/tmp/test_link.XXXXXX");
	OK(mkdtemp(t.dir) != NULL);
	snprintf(t.path, sizeof(t.path), "%s/hib.db", t.dir);
	t.hello = hello;
	EQ(uv_loop_init(&t.loop), 0);
	EQ(store_open(&t.loop, t.path, STORE_HOST, &t.store, &e), 0);
	EQ(reader_open(t.path, &t.reader, &e), 0);
	t.mirror = mirror_new(t.store, t.reader);
	t.hub = hub_new(&t.loop, t.store, t.reader);
	lines_init(&t.lines, 4096);
}

static void connect_link(void)
{
	struct link_spec spec = {
		.loop = &t.loop,
		.ops = &fake_backend,
		.mirror = t.mirror,
		.reader = t.reader,
		.vm = VM,
		.clone_of = VM2,
		.dir = t.dir,
		.generation = 1,
		.tick_ms = TICK_MS,
	};

	t.link = link_open(&spec, &host_events, NULL);
	OK(t.link != NULL);
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	t.timed_out = true;
}

/* Run the loop until the condition holds. */
static void run_until(bool (*done)(void))
{
	uv_timer_t *deadline = malloc(sizeof(*deadline));

	uv_timer_init(&t.loop, deadline);
	uv_timer_start(deadline, on_deadline, 10000, 0);
	while (!done() && !t.timed_out)
		uv_run(&t.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)deadline, (uv_close_cb)free);
	OK(!t.timed_out);
}

static void teardown(void)
{
	char command[128];

	link_close(t.link);
	h2_close(t.guest);
	hub_close(t.hub, "test ends");
	store_close(t.store);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	mirror_free(t.mirror);
	reader_close(t.reader);
	lines_done(&t.lines);
	EQ(uv_loop_close(&t.loop), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	EQ(system(command), 0);
}

static int64_t stored(const char *session)
{
	struct session_brief b;

	return reader_session(t.reader, session, &b, NULL) == 0 ? b.last_seq
								: 0;
}

static bool is_up(void)
{
	return t.ups > 0;
}

static bool has_failed(void)
{
	return t.failures > 0;
}

static bool three_acked(void)
{
	return strstr(t.acked, SES "\":3") != NULL;
}

#define HELLO(sessions)                                       \
	"{\"version\":1,\"vm\":\"" VM "\",\"boot_id\":\"b\"," \
	"\"generation\":1,\"started\":false,\"sessions\":[" sessions "]}"

/* --- cases -------------------------------------------------------------- */

static void say_three(void)
{
	guest_event(SES, 1, VM);
	guest_event(SES, 2, VM);
	guest_event(SES, 3, VM);
}

TEST(events_are_stored_before_they_are_acked)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	EQ(stored(SES), 3);
	EQ(t.started, 1);
	EQ(t.ups, 1);
	teardown();
}

TEST(a_gap_is_refused_and_the_stream_begins_anew)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	/* Event 4 never comes; 5 must not be stored, and after a new hello the
	 * guest hears again what the host has. */
	t.have[0] = '\0';
	t.on_sync = NULL;
	t.hello = "{\"version\":1,\"vm\":\"" VM "\",\"started\":true}";
	guest_event(SES, 5, VM);
	while (t.have[0] == '\0')
		uv_run(&t.loop, UV_RUN_ONCE);
	EQ(stored(SES), 3);
	OK(strstr(t.have, SES "\":3") != NULL);
	EQ(t.failures, 0);
	teardown();
}

static void say_gap(void)
{
	guest_event(SES, 1, VM);
	guest_event(SES, 7, VM);
}

TEST(a_guest_that_always_sends_gaps_is_dropped)
{
	setup("{\"version\":1,\"vm\":\"" VM "\",\"started\":true}");
	t.on_sync = say_gap;
	connect_link();
	run_until(has_failed);
	EQ(err_fault(t.failure.code), FAULT_BAD_FRAME);
	EQ(stored(SES), 0);
	teardown();
}

static void say_foreign(void)
{
	guest_event(SES, 1, VM2);
}

TEST(a_session_of_another_vm_is_refused)
{
	setup(HELLO(""));
	t.on_sync = say_foreign;
	connect_link();
	run_until(has_failed);
	EQ(err_fault(t.failure.code), FAULT_BAD_FRAME);
	EQ(stored(SES), 0);
	teardown();
}

static void say_garbage(void)
{
	guest_say("{\"v\":1,\"session\":\"../../etc\"}");
}

TEST(garbage_is_a_bad_frame)
{
	setup(HELLO(""));
	t.on_sync = say_garbage;
	connect_link();
	run_until(has_failed);
	EQ(err_fault(t.failure.code), FAULT_BAD_FRAME);
	teardown();
}

TEST(a_lost_connection_is_made_again)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	t.on_sync = NULL;
	t.have[0] = '\0';
	t.hello = "{\"version\":1,\"vm\":\"" VM "\",\"started\":true}";
	h2_close(take_ptr(t.guest));
	while (t.ups < 2)
		uv_run(&t.loop, UV_RUN_ONCE);
	OK(strstr(t.have, SES "\":3") != NULL);
	teardown();
}

TEST(a_guest_that_lost_its_disk_is_given_the_log)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	link_close(t.link);
	t.ups = 0;
	t.on_sync = NULL;
	connect_link();
	run_until(is_up);
	OK(strstr(t.fed, "\"seq\":1,") != NULL);
	OK(strstr(t.fed, "\"seq\":3,") != NULL);
	EQ(t.fed[strlen(t.fed) - 1], '\n');
	teardown();
}

TEST(a_log_that_differs_is_not_followed)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	link_close(t.link);
	t.hello = HELLO("{\"id\":\"" SES "\",\"last_seq\":2,\"chain\":12345}");
	connect_link();
	run_until(has_failed);
	EQ(err_fault(t.failure.code), FAULT_CHAIN_DIVERGED);
	teardown();
}

TEST(another_vms_disk_is_refused)
{
	setup("{\"version\":1,\"vm\":\"" VM2 "\"}");
	connect_link();
	run_until(has_failed);
	EQ(t.ups, 0);
	teardown();
}

TEST(a_guest_that_is_too_new_is_told_as_such)
{
	setup("{\"version\":9,\"min_version\":8,\"vm\":\"" VM "\"}");
	connect_link();
	run_until(has_failed);
	EQ(err_fault(t.failure.code), FAULT_CAPABILITY_UNSUPPORTED);
	OK(strstr(t.failure.msg, "hibd is too old for the guest") != NULL);
	teardown();
}

static int call_code;

static void on_called(const char *body, size_t len, const struct err *e,
		      void *arg)
{
	(void)body;
	(void)len;
	(void)arg;
	call_code = e->code;
}

TEST(a_call_on_a_dead_link_ends_with_guest_unreachable)
{
	setup(HELLO(""));
	t.mute = true;
	connect_link();
	EQ(link_is_up(t.link), false);
	link_call(t.link, "session.get", "{}", on_called, NULL);
	EQ(call_code, -FAULT_GUEST_UNREACHABLE);
	teardown();
}

TEST(a_paused_guest_is_thawed_and_says_hello_again)
{
	setup(HELLO_AS(VM, "true"));
	connect_link();
	run_until(is_up);
	EQ(t.thaws, 1);
	EQ(t.thawed_to, 7);
	EQ(t.started, 1);
	OK(link_is_up(t.link));
	teardown();
}

TEST(one_that_stays_paused_takes_few_calls_until_it_is_thawed)
{
	setup(HELLO_AS(VM, "true"));
	t.on_sync = say_three;
	t.stays_paused = true;
	connect_link();
	run_until(three_acked);
	EQ(t.started, 0);
	OK(!link_is_up(t.link));
	OK(link_is_paused(t.link));
	link_call(t.link, "session.get", "{}", on_called, NULL);
	EQ(call_code, -FAULT_GUEST_UNREACHABLE);
	call_code = 1;
	link_call(t.link, "freeze", "{}", on_called, NULL);
	EQ(call_code, 1); /* On its way. */
	t.stays_paused = false;
	t.ups = 0;
	link_thaw(t.link);
	run_until(is_up);
	EQ(call_code, 0);
	EQ(t.thaws, 1);
	EQ(t.connects, 1);
	OK(link_is_up(t.link));
	teardown();
}

TEST(a_clone_may_call_itself_what_it_was_copied_from)
{
	setup(HELLO_AS(VM2, "true"));
	connect_link();
	run_until(is_up);
	EQ(t.thaws, 1);
	teardown();
}

TEST(so_may_one_that_has_its_disk_and_is_not_started)
{
	setup("{\"version\":1,\"vm\":\"" VM2
	      "\",\"boot_id\":\"b\",\"started\":false}");
	connect_link();
	run_until(is_up);
	EQ(t.thaws, 1);
	teardown();
}

TEST(but_only_until_it_is_thawed)
{
	setup(HELLO_AS(VM2, "false"));
	connect_link();
	run_until(has_failed);
	EQ(t.ups, 0);
	teardown();
}

/* The chain hash of an event that the host has stored. */
static int64_t chain_at(int64_t seq)
{
	struct session_brief b;

	EQ(reader_session(t.reader, SES, &b, NULL), 0);
	return reader_chain(t.reader, b.n, seq);
}

/* A guest with three events is lost, and comes back paused, with @seq events of
 * which the last one has the chain hash @chain. */
static void come_back_paused(int64_t seq, int64_t chain)
{
	static char hello[512];

	snprintf(hello, sizeof(hello),
		 "{\"version\":1,\"vm\":\"" VM "\",\"boot_id\":\"b\","
		 "\"started\":true,\"paused\":true,\"sessions\":[{\"id\":\"" SES
		 "\",\"last_seq\":%lld,\"chain\":%lld}]}",
		 (long long)seq, (long long)chain);
	t.hello = hello;
	t.on_sync = NULL;
	t.ups = 0;
	link_redial(t.link, "the test wants it");
}

TEST(one_that_was_set_back_goes_on_behind_our_log)
{
	char want[256];

	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	come_back_paused(2, chain_at(2));
	run_until(is_up);
	EQ(t.thaws, 1);
	snprintf(want, sizeof(want),
		 "{\"sessions\":{\"" SES "\":{\"next_seq\":4,"
		 "\"chain\":%lld,\"epoch\":2}}}",
		 (long long)chain_at(3));
	STR_EQ(t.thaw, want);
	EQ(t.failures, 0);
	teardown();
}

TEST(one_that_was_not_is_told_nothing_of_that)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	come_back_paused(3, chain_at(3));
	run_until(is_up);
	STR_EQ(t.thaw, "{}");
	teardown();
}

TEST(one_whose_log_differs_stays_paused)
{
	setup(HELLO(""));
	t.on_sync = say_three;
	connect_link();
	run_until(three_acked);
	come_back_paused(2, chain_at(2) + 1);
	run_until(has_failed);
	EQ(t.failure.code, -FAULT_CHAIN_DIVERGED);
	EQ(t.thaws, 0);
	teardown();
}

static bool was_called(void)
{
	return call_code != 0;
}

TEST(an_answer_that_is_too_long_is_a_bad_frame)
{
	setup(HELLO(""));
	connect_link();
	run_until(is_up);
	call_code = 0;
	link_call(t.link, "session.get", "{}", on_called, NULL);
	run_until(was_called);
	EQ(call_code, -FAULT_BAD_FRAME);
	EQ(link_is_up(t.link), true);
	teardown();
}

/* Let so many ticks pass. */
static void pass(unsigned ticks)
{
	uv_timer_t timer;

	uv_timer_init(&t.loop, &timer);
	uv_timer_start(&timer, on_deadline, (uint64_t)ticks * TICK_MS, 0);
	while (!t.timed_out)
		uv_run(&t.loop, UV_RUN_ONCE);
	t.timed_out = false;
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&t.loop, UV_RUN_NOWAIT);
}

static bool is_deaf(void)
{
	return t.deaf > 0;
}

static bool is_up_again(void)
{
	return t.ups > 1;
}

TEST(one_that_is_deaf_is_dialled_again_and_its_calls_end)
{
	setup(HELLO(""));
	connect_link();
	run_until(is_up);
	call_code = 0;
	link_call(t.link, "slow", "{}", on_called, NULL);
	uv_read_stop((uv_stream_t *)t.pipe);
	run_until(is_deaf);
	EQ(call_code, -FAULT_GUEST_UNREACHABLE);
	run_until(is_up_again);
	EQ(t.connects, 2);
	EQ(t.deaf, 1);
	EQ(t.failures, 0);
	teardown();
}

TEST(so_is_one_that_owes_events)
{
	setup(HELLO(""));
	connect_link();
	run_until(is_up);
	t.expects = true;
	uv_read_stop((uv_stream_t *)t.pipe);
	run_until(is_up_again);
	EQ(t.deaf, 1);
	teardown();
}

static bool is_asked(void)
{
	return t.slow != NULL;
}

TEST(one_that_is_slow_is_not_deaf)
{
	setup(HELLO(""));
	connect_link();
	run_until(is_up);
	call_code = 1;
	link_call(t.link, "slow", "{}", on_called, NULL);
	run_until(is_asked);
	pass(40);
	EQ(call_code, 1);
	h2_reply(t.slow, 200, "{}", 2);
	call_code = 1;
	while (call_code != 0)
		uv_run(&t.loop, UV_RUN_ONCE);
	EQ(t.deaf, 0);
	EQ(t.connects, 1);
	teardown();
}

TEST(one_that_owes_nothing_may_be_silent)
{
	setup(HELLO(""));
	connect_link();
	run_until(is_up);
	uv_read_stop((uv_stream_t *)t.pipe);
	pass(40);
	EQ(t.deaf, 0);
	EQ(t.connects, 1);
	OK(link_is_up(t.link));
	teardown();
}

static bool is_deaf_again(void)
{
	return t.deaf > 1;
}

TEST(one_that_waits_for_what_is_known_is_waited_for)
{
	setup(HELLO(""));
	connect_link();
	run_until(is_up);
	t.expects = t.waits = true;
	uv_read_stop((uv_stream_t *)t.pipe);
	run_until(is_deaf_again);
	EQ(t.connects, 1);
	OK(link_is_up(t.link));
	teardown();
}

static bool was_frozen(void)
{
	return call_code == 0;
}

TEST(so_may_one_that_is_paused_until_it_is_thawed)
{
	setup(HELLO_AS(VM, "false"));
	connect_link();
	run_until(is_up);
	t.expects = true;
	call_code = 1;
	link_call(t.link, "freeze", "{}", on_called, NULL);
	run_until(was_frozen);
	link_pause(t.link);
	uv_read_stop((uv_stream_t *)t.pipe);
	pass(40);
	EQ(t.deaf, 0);
	EQ(t.connects, 1);
	OK(link_is_paused(t.link));
	link_thaw(t.link);
	run_until(is_deaf);
	teardown();
}

TESTS(CASE(events_are_stored_before_they_are_acked),
      CASE(a_gap_is_refused_and_the_stream_begins_anew),
      CASE(a_guest_that_always_sends_gaps_is_dropped),
      CASE(a_session_of_another_vm_is_refused), CASE(garbage_is_a_bad_frame),
      CASE(a_lost_connection_is_made_again),
      CASE(a_guest_that_lost_its_disk_is_given_the_log),
      CASE(a_log_that_differs_is_not_followed),
      CASE(another_vms_disk_is_refused),
      CASE(a_guest_that_is_too_new_is_told_as_such),
      CASE(a_call_on_a_dead_link_ends_with_guest_unreachable),
      CASE(a_paused_guest_is_thawed_and_says_hello_again),
      CASE(one_that_stays_paused_takes_few_calls_until_it_is_thawed),
      CASE(a_clone_may_call_itself_what_it_was_copied_from),
      CASE(so_may_one_that_has_its_disk_and_is_not_started),
      CASE(but_only_until_it_is_thawed),
      CASE(one_that_was_set_back_goes_on_behind_our_log),
      CASE(one_that_was_not_is_told_nothing_of_that),
      CASE(one_whose_log_differs_stays_paused),
      CASE(an_answer_that_is_too_long_is_a_bad_frame),
      CASE(one_that_is_deaf_is_dialled_again_and_its_calls_end),
      CASE(so_is_one_that_owes_events), CASE(one_that_is_slow_is_not_deaf),
      CASE(one_that_owes_nothing_may_be_silent),
      CASE(so_may_one_that_is_paused_until_it_is_thawed),
      CASE(one_that_waits_for_what_is_known_is_waited_for))
