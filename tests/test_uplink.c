// SPDX-License-Identifier: Apache-2.0
/*
 * test_uplink.c - The guest's requests to a small host, and the second loop
 */
#include "guest/uplink.h"

#include <signal.h>
#include <sys/socket.h>

#include "core/h2.h"
#include "core/unixsock.h"
#include "guest/hostline.h"
#include "guest/sideloop.h"
#include "guest/workspace.h"
#include "tests/tap.h"

#define BULK	   (24u << 20) /* Bytes of a long body. */
#define BULK_CHUNK (64u << 10)
#define AHEAD	   (256u << 10) /* Bytes written ahead of the host. */

static uv_loop_t *loop;
static struct uplink *up;
static char dir[] = "/tmp/test_uplink.XXXXXX", path[64];

/* --- the host --- */

enum host_mode {
	HOST_ECHO,  /* Answers with what it got. */
	HOST_FAIL,  /* An error object. */
	HOST_EARLY, /* Answers before it has the body. */
	HOST_LEAVE, /* Hangs up instead of an answer, once. */
	HOST_MUTE,
	HOST_TALK, /* Gives every piece back as it comes. */
};

static struct {
	struct h2 *c;
	enum host_mode mode;
	int requests;
	size_t got, stalled;
	char path[H2_PATH_MAX + 1];
	struct h2_stream *slow; /* Whose window is opened by hand. */
} host;

static void host_on_fin(struct h2_stream *s, void *arg)
{
	static const char error[] = "{\"code\":-32010,\"message\":\"no such "
				    "object\",\"data\":{\"code\":"
				    "\"file_not_found\"}}";

	(void)arg;
	if (host.mode == HOST_FAIL)
		h2_reply(s, 404, error, strlen(error));
	else if (host.mode == HOST_ECHO)
		h2_reply(s, 200, host.path, strlen(host.path));
	else if (host.mode == HOST_TALK)
		h2_fin(s);
}

static void host_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)arg;
	host.got += n;
	if (host.mode == HOST_TALK)
		EQ(h2_write(s, data, n), 0);
	if (host.slow == s)
		host.stalled += n;
	else
		h2_consume(s, n);
}

static void host_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)r;
	(void)arg;
	if (host.slow == s)
		host.slow = NULL;
}

static void host_on_closed(struct h2 *c, int r, void *arg)
{
	(void)r;
	(void)arg;
	h2_close(c);
	host.c = NULL;
}

static void host_connect(void);

static void host_on_request(struct h2_stream *s, const char *method,
			    const char *p, void *arg)
{
	static const struct h2_stream_events ev = {
		.data = host_on_data,
		.fin = host_on_fin,
		.end = host_on_end,
	};

	(void)method;
	(void)arg;
	host.requests++;
	strcpy(host.path, p);
	h2_stream_set(s, &ev, NULL);
	if (strcmp(p, "/slow") == 0)
		host.slow = s;
	if (host.mode == HOST_TALK)
		h2_respond(s, 200);
	if (host.mode == HOST_EARLY)
		h2_reply(s, 200, "enough", 6);
	if (host.mode == HOST_LEAVE) {
		host.mode = HOST_ECHO;
		h2_close(take_ptr(host.c));
		host_connect();
	}
}

static void host_connect(void)
{
	static const struct h2_events ev = {
		.request = host_on_request,
		.closed = host_on_closed,
	};
	uv_pipe_t *io = malloc(sizeof(*io));
	int fd = unixsock_connect(path);

	OK(fd >= 0);
	uv_pipe_init(loop, io, 0);
	EQ(uv_pipe_open(io, fd), 0);
	EQ(h2_new((uv_stream_t *)io, true, &ev, NULL, &host.c), 0);
}

/* --- what the guest is told --- */

struct answer {
	int n_done, writable;
	int code; /* 0 or the error's. */
	size_t len;
	char body[64];
	struct uplink_request *q;
	size_t to_send, most; /* Most bytes that ever waited. */
};

static void on_done(const struct err *e, char *body, size_t n, void *arg)
{
	struct answer *a = arg;

	a->n_done++;
	a->code = e == NULL ? 0 : e->code;
	a->len = n;
	snprintf(a->body, sizeof(a->body), "%s", body);
	EQ(strnlen(body, n + 1), n);
}

static void on_writable(struct uplink_request *q, void *arg)
{
	static const char chunk[BULK_CHUNK];
	struct answer *a = arg;

	OK(q == a->q);
	a->writable++;
	while (a->to_send > 0 && uplink_queued(q) < AHEAD) {
		size_t n = a->to_send < BULK_CHUNK ? a->to_send : BULK_CHUNK;

		if (uplink_write(q, chunk, n) < 0)
			return;
		a->to_send -= n;
		if (uplink_queued(q) > a->most)
			a->most = uplink_queued(q);
	}
	if (a->to_send == 0)
		uplink_fin(q);
}

static const struct uplink_events events = {
	.writable = on_writable,
	.done = on_done,
};

static void ask(struct answer *a, const char *p, size_t max, uint64_t wait_ms)
{
	const struct uplink_spec spec = {
		.method = "GET",
		.path = p,
		.answer_max = max,
		.wait_ms = wait_ms,
		.ev = &events,
		.arg = a,
	};

	a->q = uplink_request(up, &spec);
	OK(a->q != NULL);
	EQ(a->n_done, 0);
}

static void post(struct answer *a, const char *p, size_t n)
{
	const struct uplink_spec spec = {
		.method = "POST",
		.path = p,
		.answer_max = 100,
		.streamed = true,
		.ev = &events,
		.arg = a,
	};

	a->to_send = n;
	a->q = uplink_request(up, &spec);
	OK(a->q != NULL);
	EQ(a->writable, 0);
}

/* --- set up, tear down --- */

static void begin(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	loop = uv_default_loop();
	OK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/host.sock", dir);
	EQ(uplink_open(loop, path, &up, NULL), 0);
}

static void finish(void)
{
	uplink_close(take_ptr(up));
	h2_close(take_ptr(host.c));
	uv_run(loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(loop), 0);
	(void)unlink(path);
	EQ(rmdir(dir), 0);
}

static void wait_done(const struct answer *a)
{
	while (a->n_done == 0)
		uv_run(loop, UV_RUN_ONCE);
	EQ(a->n_done, 1);
}

/* --- cases --- */

static void an_answer_is_collected(void)
{
	struct answer a = {0}, b = {0};

	begin();
	host_connect();
	ask(&a, "/tree/1", 100, 0);
	ask(&b, "/tree/22", 100, 0);
	wait_done(&a);
	wait_done(&b);
	EQ(a.code, 0);
	STR_EQ(a.body, "/tree/1");
	STR_EQ(b.body, "/tree/22");
	OK(uplink_is_up(up));
	finish();
}

static void a_request_waits_for_the_host(void)
{
	struct answer a = {0}, b = {0};

	begin();
	OK(!uplink_is_up(up));
	ask(&a, "/a", 100, 0);
	post(&b, "/b", 10);
	uv_run(loop, UV_RUN_NOWAIT);
	EQ(a.n_done + b.n_done + b.writable, 0);
	host_connect();
	wait_done(&a);
	wait_done(&b);
	EQ(a.code, 0);
	EQ(host.got, 10);
	finish();
}

static void a_host_that_does_not_come_is_unreachable(void)
{
	struct answer a = {0}, b = {0};

	begin();
	ask(&a, "/later", 100, 60000);
	ask(&b, "/soon", 100, 20);
	wait_done(&b);
	EQ(b.code, -FAULT_GUEST_UNREACHABLE);
	EQ(a.n_done, 0);
	finish();
	EQ(a.n_done, 1);
	EQ(a.code, -ECANCELED);
}

static void a_request_that_is_cut_off_is_made_again(void)
{
	struct answer a = {0};

	begin();
	host.mode = HOST_LEAVE;
	host_connect();
	ask(&a, "/again", 100, 0);
	wait_done(&a);
	EQ(a.code, 0);
	STR_EQ(a.body, "/again");
	EQ(host.requests, 2);
	finish();
}

static void a_body_that_is_cut_off_is_not_sent_again(void)
{
	struct answer a = {0};

	begin();
	host.mode = HOST_LEAVE;
	host_connect();
	post(&a, "/checkpoint", BULK);
	wait_done(&a);
	EQ(a.code, -FAULT_GUEST_UNREACHABLE);
	EQ(host.requests, 1);
	finish();
}

static void the_hosts_error_is_told(void)
{
	struct answer a = {0};

	begin();
	host.mode = HOST_FAIL;
	host_connect();
	ask(&a, "/tree/none", 1000, 0);
	wait_done(&a);
	EQ(a.code, -FAULT_FILE_NOT_FOUND);
	finish();
}

static void an_answer_has_a_limit(void)
{
	struct answer a = {0}, b = {0};

	begin();
	host_connect();
	ask(&a, "/1234567", 8, 0);
	ask(&b, "/12345678", 8, 0);
	wait_done(&a);
	wait_done(&b);
	EQ(a.code, 0);
	EQ(b.code, -FAULT_MESSAGE_TOO_LARGE);
	finish();
}

static void a_slow_host_holds_the_body_back(void)
{
	struct answer a = {0};

	begin();
	host_connect();
	post(&a, "/slow", BULK);
	while (host.got < H2_WINDOW)
		uv_run(loop, UV_RUN_ONCE);
	OK(a.to_send > BULK / 2);
	while (a.n_done == 0) {
		size_t n = host.stalled;

		host.stalled = 0;
		if (host.slow != NULL && n > 0)
			h2_consume(host.slow, n);
		uv_run(loop, UV_RUN_ONCE);
	}
	EQ(a.code, 0);
	EQ(host.got, BULK);
	OK(a.most <= AHEAD + BULK_CHUNK);
	finish();
}

static void an_answer_before_the_bodys_end_is_taken(void)
{
	struct answer a = {0};

	begin();
	host.mode = HOST_EARLY;
	host_connect();
	post(&a, "/checkpoint", 1u << 30);
	wait_done(&a);
	EQ(a.code, 0);
	STR_EQ(a.body, "enough");
	OK(a.to_send > 0);
	finish();
}

static void a_new_host_replaces_the_old_one(void)
{
	struct answer a = {0};
	struct h2 *old;

	begin();
	host.mode = HOST_MUTE;
	host_connect();
	ask(&a, "/a", 100, 0);
	while (host.requests == 0)
		uv_run(loop, UV_RUN_ONCE);
	old = host.c;
	host.mode = HOST_ECHO;
	host_connect();
	OK(host.c != old);
	wait_done(&a);
	EQ(a.code, 0);
	EQ(host.requests, 2);
	finish();
}

static void a_dropped_request_tells_nothing(void)
{
	struct answer a = {0}, b = {0}, c = {0};

	begin();
	ask(&a, "/waiting", 100, 0);
	uplink_drop(a.q);
	host.mode = HOST_MUTE;
	host_connect();
	ask(&b, "/open", 100, 0);
	while (host.requests == 0)
		uv_run(loop, UV_RUN_ONCE);
	uplink_drop(b.q);
	host.mode = HOST_ECHO;
	ask(&c, "/c", 100, 0);
	wait_done(&c);
	EQ(a.n_done + b.n_done, 0);
	EQ(c.code, 0);
	finish();
}

/* --- the second loop --- */

struct trip {
	struct sideloop_job job;
	uv_timer_t timer; /* On the side loop. */
	uv_thread_t ran, ended;
	int n_done;
};

static void trip_on_closed(uv_handle_t *h)
{
	sideloop_end(&container_of(h, struct trip, timer)->job);
}

static void trip_on_timer(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, trip_on_closed);
}

static void trip_run(struct sideloop_job *job)
{
	struct trip *t = container_of(job, struct trip, job);

	t->ran = uv_thread_self();
	uv_timer_init(sideloop_loop(job->side), &t->timer);
	uv_timer_start(&t->timer, trip_on_timer, 1, 0);
}

static void trip_run_at_once(struct sideloop_job *job)
{
	container_of(job, struct trip, job)->ran = uv_thread_self();
	sideloop_end(job);
}

static void trip_done(struct sideloop_job *job)
{
	struct trip *t = container_of(job, struct trip, job);

	t->ended = uv_thread_self();
	t->n_done++;
}

/* Says a word each time that it hears one. */
struct talk {
	struct answer a;
	unsigned heard;
};

static void talk_on_writable(struct uplink_request *q, void *arg)
{
	struct talk *t = arg;

	if (t->a.writable++ == 0)
		EQ(uplink_write(q, "word", 4), 0);
}

static void talk_on_data(struct uplink_request *q, char *data, size_t n,
			 void *arg)
{
	struct talk *t = arg;

	EQ(n, 4);
	EQ(memcmp(data, "word", 4), 0);
	if (++t->heard < 5)
		EQ(uplink_write(q, "word", 4), 0);
	else
		uplink_fin(q);
}

static void an_answer_may_come_in_pieces(void)
{
	static const struct uplink_events talk_events = {
		.writable = talk_on_writable,
		.data = talk_on_data,
		.done = on_done,
	};
	struct talk t = {0};
	struct uplink_spec spec = {
		.method = "POST",
		.path = "/mcp/x",
		.answer_max = 100,
		.streamed = true,
		.ev = &talk_events,
		.arg = &t,
	};

	begin();
	host.mode = HOST_TALK;
	host_connect();
	OK(uplink_request(up, &spec) != NULL);
	wait_done(&t.a);
	EQ(t.a.code, 0);
	EQ(t.a.len, 0);
	EQ(t.heard, 5);

	/* A refusal is told at the end, as ever. */
	t = (struct talk){0};
	host.mode = HOST_FAIL;
	t.a.q = uplink_request(up, &spec);
	while (t.a.writable == 0)
		uv_run(loop, UV_RUN_ONCE);
	uplink_fin(t.a.q);
	wait_done(&t.a);
	EQ(t.a.code, -FAULT_FILE_NOT_FOUND);
	EQ(t.heard, 0);
	finish();
}

/* --- conversations from the home loop --- */

static struct sideloop *side;

void workspace_run(struct workspace *ws, struct sideloop_job *job)
{
	(void)ws;
	sideloop_post(side, job);
}

uv_loop_t *workspace_loop(struct workspace *ws)
{
	(void)ws;
	return sideloop_loop(side);
}

struct uplink *workspace_uplink(struct workspace *ws)
{
	(void)ws;
	return up;
}

struct line {
	struct hostline *l;
	char heard[64];
	int n_ended, code;
};

static void line_on_data(char *data, size_t n, void *arg)
{
	struct line *t = arg;

	strncat(t->heard, data, n);
}

static void line_on_ended(const struct err *e, void *arg)
{
	struct line *t = arg;

	t->n_ended++;
	t->code = e == NULL ? 0 : e->code;
}

static void open_line(struct line *t, const char *to)
{
	static const struct hostline_events line_events = {line_on_data,
							   line_on_ended};

	t->l = hostline_open(&(struct hostline_spec){
		.home = loop, .path = to, .ev = &line_events, .arg = t});
	OK(t->l != NULL);
}

static void side_stop(void *arg)
{
	(void)arg;
	uplink_close(take_ptr(up));
}

/* The host is played on the home loop, the uplink is on the side. */
static void begin_side(enum host_mode mode)
{
	(void)signal(SIGPIPE, SIG_IGN);
	loop = uv_default_loop();
	OK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/host.sock", dir);
	EQ(sideloop_open(loop, &side, NULL), 0);
	EQ(uplink_open(sideloop_loop(side), path, &up, NULL), 0);
	EQ(sideloop_start(side, NULL), 0);
	host.mode = mode;
	host_connect();
}

static void finish_side(void)
{
	sideloop_close(side, side_stop, NULL);
	h2_close(take_ptr(host.c));
	uv_run(loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(loop), 0);
	(void)unlink(path);
	EQ(rmdir(dir), 0);
}

static void a_line_is_a_conversation(void)
{
	struct line a = {0}, b = {0};

	begin_side(HOST_TALK);
	open_line(&a, "/mcp/a");
	open_line(&b, "/mcp/b");
	EQ(hostline_write(a.l, "one ", 4), 0);
	EQ(hostline_write(b.l, "b", 1), 0);
	while (a.heard[0] == '\0' || b.heard[0] == '\0')
		uv_run(loop, UV_RUN_ONCE);
	EQ(hostline_write(a.l, "two", 3), 0);
	hostline_fin(a.l);
	hostline_drop(b.l);
	while (a.n_ended == 0)
		uv_run(loop, UV_RUN_ONCE);
	STR_EQ(a.heard, "one two");
	EQ(a.code, 0);
	EQ(b.n_ended, 0);
	finish_side();
	EQ(b.n_ended, 0);
}

static void a_line_that_is_refused_says_why(void)
{
	struct line a = {0}, b = {0};

	begin_side(HOST_FAIL);
	open_line(&a, "/mcp/a");
	hostline_fin(a.l);
	while (a.n_ended == 0)
		uv_run(loop, UV_RUN_ONCE);
	EQ(a.code, -FAULT_FILE_NOT_FOUND);
	host.mode = HOST_MUTE;
	open_line(&b, "/mcp/b");
	finish_side(); /* Ends with the guest. */
	EQ(b.n_ended, 1);
	EQ(b.code, -ECANCELED);
}

static void a_job_goes_over_and_comes_back(void)
{
	struct trip t[3] = {0};
	uv_thread_t self = uv_thread_self();
	struct sideloop *s;

	loop = uv_default_loop();
	EQ(sideloop_open(loop, &s, NULL), 0);
	EQ(sideloop_start(s, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		t[i].job.run = i == 1 ? trip_run_at_once : trip_run;
		t[i].job.done = trip_done;
		sideloop_post(s, &t[i].job);
	}
	/* Jobs keep the loop alive, and nothing else does. */
	uv_run(loop, UV_RUN_DEFAULT);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		EQ(t[i].n_done, 1);
		OK(!uv_thread_equal(&t[i].ran, &self));
		OK(uv_thread_equal(&t[i].ended, &self));
	}
	sideloop_close(s, NULL, NULL);
	uv_run(loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(loop), 0);
}

static void the_end_of_the_loop_waits_for_jobs(void)
{
	struct trip t = {.job = {.run = trip_run, .done = trip_done}};
	struct sideloop *s;

	loop = uv_default_loop();
	EQ(sideloop_open(loop, &s, NULL), 0);
	EQ(sideloop_start(s, NULL), 0);
	sideloop_post(s, &t.job);
	sideloop_close(s, NULL, NULL);
	EQ(t.n_done, 1);
	uv_run(loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(loop), 0);
}

TESTS(CASE(an_answer_is_collected), CASE(a_request_waits_for_the_host),
      CASE(a_host_that_does_not_come_is_unreachable),
      CASE(a_request_that_is_cut_off_is_made_again),
      CASE(a_body_that_is_cut_off_is_not_sent_again),
      CASE(the_hosts_error_is_told), CASE(an_answer_has_a_limit),
      CASE(a_slow_host_holds_the_body_back),
      CASE(an_answer_before_the_bodys_end_is_taken),
      CASE(a_new_host_replaces_the_old_one),
      CASE(a_dropped_request_tells_nothing), CASE(an_answer_may_come_in_pieces),
      CASE(a_line_is_a_conversation), CASE(a_line_that_is_refused_says_why),
      CASE(a_job_goes_over_and_comes_back),
      CASE(the_end_of_the_loop_waits_for_jobs))
