// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_bridge.c - A guest and a remote MCP server, either of them hostile
 *
 * The guest is played here, at the other end of a socketpair; where the servers
 * are is told by the test in place of the vault.
 */
#include "host/daemon/mcp_bridge.h"

#include <signal.h>
#include <sys/socket.h>

#include "host/daemon/mcp_remotes.h"
#include "tests/mcp_http_kit.h"

#define SES "ses_0123456789abcdef0123456789abcdef"

/* One conversation of the guest. */
struct talk {
	struct h2_stream *s;
	int status;
	bool keeps; /* Reads nothing of the answers. */
	bool fin, over;
	char text[4096];
	size_t len, bytes;
};

static struct {
	uv_loop_t loop;
	struct kit kit;
	struct mcp_bridges *all;
	struct h2 *host, *guest;
	struct talk talks[MCP_BRIDGES_MAX + 1];
	int n_found, n_done, ticks;
	bool timed_out;
} t;

/* --- where the servers are ------------------------------------------------ */

int mcp_remote_find(struct vault *v, struct reader *r, const char *vm,
		    const char *session, const char *name,
		    struct mcp_remote *out, struct err *e)
{
	(void)v, (void)r;
	STR_EQ(vm, "vm_1");
	if (strcmp(session, SES) != 0 || strcmp(name, "none") == 0)
		return err_set(e, -FAULT_KEY_NOT_FOUND, "none");
	t.n_found++;
	*out = (struct mcp_remote){.sse = strcmp(name, "old") == 0};
	OK(asprintf(&out->url, "http://127.0.0.1:%d/%s", t.kit.port, name) > 0);
	out->headers = calloc(2, sizeof(*out->headers));
	out->headers[0].name = strdup("Authorization");
	out->headers[0].value = strdup(KIT_SECRET);
	return 0;
}

void mcp_remote_done(struct mcp_remote *m)
{
	t.n_done++;
	free(m->url);
	free(m->headers[0].name);
	free(m->headers[0].value);
	free(m->headers);
}

/* --- the guest ------------------------------------------------------------ */

static void talk_on_head(struct h2_stream *s, int status, void *arg)
{
	(void)s;
	((struct talk *)arg)->status = status;
}

static void talk_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct talk *talk = arg;
	size_t room = sizeof(talk->text) - talk->len - 1;
	size_t take = n < room ? n : room;

	memcpy(talk->text + talk->len, data, take);
	talk->len += take;
	talk->bytes += n;
	if (!talk->keeps)
		h2_consume(s, n);
}

static void talk_on_fin(struct h2_stream *s, void *arg)
{
	(void)s;
	((struct talk *)arg)->fin = true;
}

static void talk_on_end(struct h2_stream *s, int r, void *arg)
{
	struct talk *talk = arg;

	(void)s, (void)r;
	talk->over = true;
	talk->s = NULL;
}

static const struct h2_stream_events talk_events = {.head = talk_on_head,
						    .data = talk_on_data,
						    .fin = talk_on_fin,
						    .end = talk_on_end};

static struct talk *call(int i, const char *name)
{
	struct talk *talk = &t.talks[i];
	char path[256];

	*talk = (struct talk){0};
	snprintf(path, sizeof(path), "/mcp/%s", name);
	talk->s = h2_request(t.guest, "POST", path, NULL, 0, true, &talk_events,
			     talk);
	OK(talk->s != NULL);
	return talk;
}

static void say(struct talk *talk, const char *line)
{
	EQ(h2_write(talk->s, line, strlen(line)), 0);
	EQ(h2_write(talk->s, "\n", 1), 0);
}

/* --- the host ------------------------------------------------------------- */

static void nothing_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s, (void)r, (void)arg;
}

static void host_on_request(struct h2_stream *s, const char *method,
			    const char *path, void *arg)
{
	static const struct h2_stream_events nothing = {.end = nothing_on_end};
	struct err e = {0};

	(void)arg;
	STR_EQ(method, "POST");
	if (mcp_bridge_begin(t.all, s, path + strlen("/mcp/"), &e) == 0)
		return;
	OK(strstr(e.msg, "tok-5ecre7") == NULL);
	h2_stream_set(s, &nothing, NULL);
	h2_reply(s, fault_http_status(err_fault(e.code)), "{}", 2);
}

static void on_closed(struct h2 *c, int r, void *arg)
{
	(void)r, (void)arg;
	if (c == t.host)
		t.host = NULL;
	if (c == t.guest)
		t.guest = NULL;
	h2_close(c);
}

static const struct h2_events h2_events = {.request = host_on_request,
					   .closed = on_closed};

static struct h2 *end_of(int fd, bool server)
{
	uv_pipe_t *pipe = malloc(sizeof(*pipe));
	struct h2 *c;

	uv_pipe_init(&t.loop, pipe, 0);
	EQ(uv_pipe_open(pipe, fd), 0);
	EQ(h2_new((uv_stream_t *)pipe, server, &h2_events, NULL, &c), 0);
	return c;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
	t.timed_out = ++t.ticks > 1000;
}

#define RUN_UNTIL(condition)                                       \
	do {                                                       \
		uv_timer_t *tick_ = malloc(sizeof(*tick_));        \
		t.ticks = 0;                                       \
		uv_timer_init(&t.loop, tick_);                     \
		uv_timer_start(tick_, on_tick, 10, 10);            \
		while (!(condition) && !t.timed_out)               \
			uv_run(&t.loop, UV_RUN_ONCE);              \
		uv_close((uv_handle_t *)tick_, (uv_close_cb)free); \
		if (t.timed_out)                                   \
			FAIL("never: %s", #condition);             \
	} while (0)

static void begin(void)
{
	struct mcp_bridges_spec spec = {.loop = &t.loop, .vm = "vm_1"};
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	EQ(uv_loop_init(&t.loop), 0);
	kit_open(&t.kit, &t.loop);
	t.all = mcp_bridges_new(&spec);
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		      fd),
	   0);
	t.host = end_of(fd[0], true);
	t.guest = end_of(fd[1], false);
}

static void end(void)
{
	h2_close(t.guest);
	h2_close(t.host);
	mcp_bridges_free(t.all);
	EQ(t.n_found, t.n_done);
	http_server_close(t.kit.server, NULL, NULL);
	EQ(uv_run(&t.loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&t.loop), 0);
}

#define INIT \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{}}"
#define INITED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define CALL   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}"

TEST(lines_go_both_ways)
{
	struct talk *talk;

	begin();
	talk = call(0, SES "/mcp");
	say(talk, "junk");
	say(talk, "[]");
	say(talk, INIT);
	say(talk, INITED);
	say(talk, CALL);
	RUN_UNTIL(strstr(talk->text, "pretty") != NULL);
	EQ(talk->status, 200);
	OK(strncmp(talk->text,
		   "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":", 33) == 0);
	OK(strstr(talk->text, "}\n{\"jsonrpc\":\"2.0\",\"id\":1,") != NULL);
	OK(strstr(talk->text, "tok-5ecre7") == NULL);
	STR_EQ(kit_last(&t.kit, "POST")->auth, KIT_SECRET);
	STR_EQ(kit_last(&t.kit, "POST")->session, "ses-1");
	h2_fin(talk->s);
	RUN_UNTIL(talk->over);
	OK(talk->fin);
	RUN_UNTIL(*kit_last(&t.kit, "DELETE")->method != '\0');
	end();
}

TEST(what_a_server_refuses_is_answered)
{
	struct talk *talk;

	begin();
	talk = call(0, SES "/secret");
	say(talk, CALL);
	RUN_UNTIL(strstr(talk->text, "\"httpStatus\":401") != NULL);
	OK(strstr(talk->text, "tok-5ecre7") == NULL);
	end();
}

TEST(unknown_servers_are_refused)
{
	static const struct {
		const char *path;
		int status;
	} bad[] = {
		{SES "/none", 404},
		{"ses_00000000000000000000000000000000/mcp", 404},
		{"", 400},
		{SES, 400},
		{SES "/", 400},
		{SES "/../x", 400},
		{SES "/a/b", 400},
		{"/mcp", 400},
		{SES SES SES "/mcp", 400},
		{SES
		 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaa",
		 400},
	};
	struct talk *talk;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		talk = call(0, bad[i].path);
		RUN_UNTIL(talk->status != 0);
		EQ(talk->status, bad[i].status);
		h2_reset(talk->s);
		RUN_UNTIL(talk->over);
	}
	EQ(t.n_found, 0);
	EQ(t.kit.n_seen, 0);
	end();
}

TEST(open_bridges_are_bounded)
{
	begin();
	for (int i = 0; i < MCP_BRIDGES_MAX; i++)
		call(i, SES "/mcp");
	call(MCP_BRIDGES_MAX, SES "/mcp");
	RUN_UNTIL(t.talks[MCP_BRIDGES_MAX].status != 0);
	EQ(t.talks[MCP_BRIDGES_MAX].status, 429);
	EQ(t.talks[0].status, 200);
	h2_reset(t.talks[0].s);
	RUN_UNTIL(t.talks[0].over);
	call(0, SES "/mcp");
	RUN_UNTIL(t.talks[0].status == 200);
	end();
}

TEST(a_server_that_forgets_the_session_ends_it)
{
	struct talk *talk;

	begin();
	talk = call(0, SES "/lost");
	say(talk, INIT);
	say(talk, CALL);
	RUN_UNTIL(talk->fin);
	OK(strstr(talk->text, "\"httpStatus\":404") != NULL);
	h2_fin(talk->s);
	RUN_UNTIL(talk->over);
	end();
}

static void write_call(struct talk *talk, int id, size_t size)
{
	char head[128];
	char *pad = malloc(size);

	OK(pad != NULL);
	memset(pad, 'x', size);
	snprintf(head, sizeof(head),
		 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"m\",\"params\":"
		 "{\"pad\":\"",
		 id);
	EQ(h2_write(talk->s, head, strlen(head)), 0);
	EQ(h2_write(talk->s, pad, size), 0);
	EQ(h2_write(talk->s, "\"}}\n", 4), 0);
	free(pad);
}

/* The server takes nothing, the guest sends and sends. */
TEST(a_flood_keeps_only_the_guest_waiting)
{
	struct talk *talk, *other;
	size_t left;

	begin();
	talk = call(0, SES "/hold");
	for (int i = 0; i < 48; i++)
		write_call(talk, i, 1 << 20);
	RUN_UNTIL(t.kit.n_held >= 20);
	for (int i = 0; i < 200; i++)
		uv_run(&t.loop, UV_RUN_NOWAIT);
	left = h2_queued(talk->s);
	OK(left >
	   (48u << 20) - MCP_BRIDGES_QUEUE - H2_CONN_WINDOW - (2u << 20));
	/* Another bridge of the same guest still begins and ends. */
	other = call(1, SES "/mcp");
	RUN_UNTIL(other->status == 200);
	h2_reset(talk->s);
	RUN_UNTIL(talk->over);
	say(other, CALL);
	RUN_UNTIL(strstr(other->text, "pretty") != NULL);
	end();
}

/* A line that is too long is passed over, and so is one without an end. */
TEST(long_lines_do_not_break_it)
{
	struct talk *talk;

	begin();
	talk = call(0, SES "/mcp");
	write_call(talk, 1, MCP_LINE_MAX);
	say(talk, CALL);
	RUN_UNTIL(strstr(talk->text, "pretty") != NULL);
	EQ(t.kit.n_seen, 1);
	end();
}

/* Events for ever, and a guest that does not read them. */
TEST(a_guest_that_reads_nothing_stops_the_server)
{
	static const char begin_event[] =
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"m\"";
	struct talk *talk;
	char event[4096];
	size_t sent = 0;

	begin();
	talk = call(0, SES "/listen");
	talk->keeps = true;
	say(talk, INIT);
	say(talk, INITED);
	RUN_UNTIL(t.kit.listener != NULL);
	memset(event, ' ', sizeof(event));
	memcpy(event, begin_event, sizeof(begin_event) - 1);
	memcpy(event + sizeof(event) - 3, "}\n\n", 3);
	while (http_stream_queued(t.kit.listener) < (1u << 20) &&
	       sent < (64u << 20)) {
		http_stream_write(t.kit.listener, event, sizeof(event));
		sent += sizeof(event);
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	OK(sent < (32u << 20));
	OK(talk->bytes <= H2_WINDOW);
	talk->keeps = false;
	h2_consume(talk->s, talk->bytes);
	RUN_UNTIL(http_stream_queued(t.kit.listener) == 0);
	end();
}

TEST(a_guest_may_leave_at_any_moment)
{
	static const char *const names[] = {"mcp", "sse", "old", "hold",
					    "resume"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128];
		struct talk *talk;

		for (int turns = 0; turns < 12; turns++) {
			memset(&t, 0, sizeof(t));
			begin();
			snprintf(path, sizeof(path), SES "/%s", names[i]);
			talk = call(0, path);
			say(talk, INIT);
			say(talk, INITED);
			say(talk, CALL);
			for (int n = 0; n < turns; n++)
				uv_run(&t.loop, UV_RUN_NOWAIT);
			end();
		}
	}
}

TESTS(CASE(lines_go_both_ways), CASE(what_a_server_refuses_is_answered),
      CASE(unknown_servers_are_refused), CASE(open_bridges_are_bounded),
      CASE(a_server_that_forgets_the_session_ends_it),
      CASE(a_flood_keeps_only_the_guest_waiting),
      CASE(long_lines_do_not_break_it),
      CASE(a_guest_that_reads_nothing_stops_the_server),
      CASE(a_guest_may_leave_at_any_moment))
