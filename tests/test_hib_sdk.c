// SPDX-License-Identifier: Apache-2.0
/*
 * test_hib_sdk.c - libhib against a daemon that misbehaves, and the real one
 *
 * The false daemon is a process that answers each connection from a script: it
 * can drop connections, end streams, and come back, which the real one does only
 * by chance.  What the script needs to remember between connections is in
 * shared memory.
 */
#include "host/hib.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/tap.h"

#define SES "ses_0123456789abcdef0123456789abcdef"
#define REQ "req_0123456789abcdef0123456789abcdef"
#define TRN "trn_0123456789abcdef0123456789abcdef"
#define VM  "vm_0123456789abcdef0123456789abcdef"

/* --- a false daemon ----------------------------------------------------- */

struct shared {
	int n_connections;
	char keys[8][64]; /* Idempotency keys as they came. */
	int n_keys;
	char results[8][256]; /* Bodies of results of tools, as they came. */
	int n_results;
};

struct fake {
	char dir[64], sock[96];
	int fd;
	pid_t pid;
	struct shared *shared;
};

static void fake_open(struct fake *f)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	*f = (struct fake){.dir = "/tmp/hib-sdk-XXXXXX"};
	OK(mkdtemp(f->dir) != NULL);
	snprintf(f->sock, sizeof(f->sock), "%s/hibd.sock", f->dir);
	memcpy(a.sun_path, f->sock, strlen(f->sock) + 1);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EQ(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	EQ(listen(f->fd, 16), 0);
	f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	OK(f->shared != MAP_FAILED);
}

/* One request's head and body; false at the end of the connection. */
static bool fake_read(int fd, char *buf, size_t cap)
{
	size_t len = 0, want = 0;
	char *body = NULL, *length;

	while (body == NULL || len < want) {
		ssize_t n = read(fd, buf + len, cap - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		body = strstr(buf, "\r\n\r\n");
		length = strcasestr(buf, "content-length:");
		if (body != NULL)
			want = (size_t)(body + 4 - buf) +
			       (length ? strtoul(length + 15, NULL, 10) : 0);
	}
	return true;
}

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		_exit(1);
}

static void answer(int fd, int status, const char *json)
{
	char head[128];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
		 "Content-Length: %zu\r\n\r\n",
		 status, strlen(json));
	say(fd, head);
	say(fd, json);
}

static void remember_key(struct shared *s, const char *request)
{
	const char *key = strstr(request, "\"idempotencyKey\":\"");

	if (key != NULL && s->n_keys < 8)
		sscanf(key + 18, "%63[^\"]", s->keys[s->n_keys++]);
}

/* Serve each connection with @script until killed.  @script returns false to
 * close the connection. */
static void fake_start(struct fake *f,
		       bool (*script)(int fd, const char *request,
				      struct shared *s))
{
	f->pid = fork();
	if (f->pid > 0)
		return;
	signal(SIGCHLD, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept(f->fd, NULL, NULL);
		char request[16384];

		if (fork() != 0) {
			close(fd);
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		f->shared->n_connections++;
		while (fake_read(fd, request, sizeof(request)) &&
		       script(fd, request, f->shared))
			;
		_exit(0);
	}
}

static void fake_close(struct fake *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	close(f->fd);
	unlink(f->sock);
	rmdir(f->dir);
}

static struct hib *open_quick(const char *home, unsigned attempts)
{
	struct hib_options o = {
		.size = sizeof(o),
		.home = home,
		.no_autostart = true,
		.attempts = attempts,
	};
	struct hib_error e;
	struct hib *h = NULL;

	if (hib_open(&o, &h, &e) < 0)
		FAIL("%s", e.message);
	return h;
}

/* --- prompts ------------------------------------------------------------ */

/* The first two connections break after the prompt has arrived. */
static bool prompt_script(int fd, const char *request, struct shared *s)
{
	remember_key(s, request);
	if (s->n_keys < 3)
		return false;
	answer(fd, 200,
	       "{\"session\":\"" SES "\",\"turn\":\"" TRN "\",\"state\":"
	       "\"completed\",\"stopReason\":\"end_turn\",\"text\":\"hi\","
	       "\"usage\":{\"n\":1},\"error\":null,\"last_seq\":9}");
	return true;
}

TEST(a_prompt_is_repeated_with_the_same_key)
{
	struct fake f;
	struct hib *h;
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, prompt_script);
	h = open_quick(f.dir, 8);
	EQ(hib_send_prompt(h, SES, HIB_TEXT("x"), &reply, &e), 0);
	STR_EQ(reply.text, "hi");
	STR_EQ(reply.state, "completed");
	STR_EQ(reply.stop_reason, "end_turn");
	STR_EQ(reply.usage, "{\"n\":1}");
	OK(reply.error == NULL);
	EQ(reply.last_seq, 9);
	EQ(f.shared->n_keys, 3);
	STR_EQ(f.shared->keys[1], f.shared->keys[0]);
	STR_EQ(f.shared->keys[2], f.shared->keys[0]);
	hib_reply_done(&reply);
	hib_close(h);
	fake_close(&f);
}

static bool drop_script(int fd, const char *request, struct shared *s)
{
	(void)fd;
	(void)request;
	(void)s;
	return false;
}

TEST(F137_a_connection_cut_for_ever_is_an_error)
{
	struct fake f;
	struct hib *h;
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, drop_script);
	h = open_quick(f.dir, 3);
	EQ(hib_send_prompt(h, SES, HIB_TEXT("x"), &reply, &e),
	   -HIB_GUEST_UNREACHABLE);
	STR_EQ(e.name, "guest_unreachable");
	OK(strcmp(reply.state, "completed") != 0);
	hib_reply_done(&reply);
	EQ(hib_prompt_stream(h, SES, HIB_TEXT("x"), NULL, NULL, NULL, &reply,
			     &e),
	   -HIB_GUEST_UNREACHABLE);
	hib_reply_done(&reply);
	hib_close(h);
	fake_close(&f);
}

TEST(nobody_there_is_vm_unavailable)
{
	char dir[] = "/tmp/hib-sdk-XXXXXX";
	struct hib_error e;
	struct hib *h;
	char *json = NULL;

	OK(mkdtemp(dir) != NULL);
	h = open_quick(dir, 2);
	EQ(hib_health(h, &json, &e), -HIB_VM_UNAVAILABLE);
	EQ(hib_exit_code(&e), 8);
	OK(json == NULL);
	hib_close(h);
	rmdir(dir);
}

static bool refuse_script(int fd, const char *request, struct shared *s)
{
	(void)request;
	(void)s;
	answer(fd, 409,
	       "{\"code\":40901,\"message\":\"a turn runs\",\"data\":{\"code\":"
	       "\"turn_active\",\"retryable\":true,\"turn\":\"" TRN "\"}}");
	return true;
}

TEST(F231_an_error_keeps_code_name_message_and_data)
{
	struct fake f;
	struct hib *h;
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, refuse_script);
	h = open_quick(f.dir, 3);
	EQ(hib_send_prompt(h, SES, HIB_TEXT("x"), &reply, &e),
	   -HIB_TURN_ACTIVE);
	STR_EQ(e.name, "turn_active");
	STR_EQ(e.message, "a turn runs");
	OK(strstr(e.data, TRN) != NULL);
	EQ(hib_exit_code(&e), 7);
	EQ(f.shared->n_connections, 1);
	hib_reply_done(&reply);
	hib_close(h);
	fake_close(&f);
}

/* --- streams ------------------------------------------------------------ */

#define STREAM_HEAD                                                   \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"      \
	"Connection: close\r\n\r\nretry: 500\n\nevent: stream.open\n" \
	"data: {\"session\":\"" SES "\",\"last_seq\":0}\n\n"

static void send_event(int fd, int seq, const char *type, const char *turn,
		       const char *data)
{
	char line[1024];

	snprintf(line, sizeof(line),
		 "id: %d\nevent: %s\ndata: {\"v\":1,\"session\":\"" SES
		 "\",\"seq\":%d,\"epoch\":1,\"ts\":5,\"type\":\"%s\","
		 "\"turn\":\"%s\",\"data\":%s}\n\n",
		 seq, type, seq, type, turn, data);
	say(fd, line);
}

#define CHUNK(text)                                               \
	"{\"msg\":{\"params\":{\"update\":{\"sessionUpdate\":"    \
	"\"agent_message_chunk\",\"content\":{\"type\":\"text\"," \
	"\"text\":\"" text "\"}}}}}"

static int since_of(const char *request)
{
	const char *since = strstr(request, "since=");

	return since ? atoi(since + 6) : -1;
}

/* Eight events; the stream breaks, jumps, and has a gap on the way. */
static void send_log_event(int fd, int seq)
{
	static const struct {
		const char *type, *data;
	} log[] = {
		{NULL, NULL},
		{"input.message", "{\"id\":\"msg_1\"}"},
		{"turn.started", "{}"},
		{"acp.update", CHUNK("a")},
		{"acp.update", CHUNK("b ")},
		{"acp.update", CHUNK("c")},
		{"acp.update", CHUNK("d")},
		{"turn.completed", "{\"stop_reason\":\"end_turn\"}"},
	};

	send_event(fd, seq, log[seq].type, TRN, log[seq].data);
}

static bool stream_script(int fd, const char *request, struct shared *s)
{
	int since = since_of(request);

	if (strstr(request, "POST ") == request) {
		remember_key(s, request);
		answer(fd, 200,
		       "{\"session\":\"" SES "\",\"turn\":\"" TRN
		       "\",\"n\":1,\"seq\":1,\"input\":\"msg_1\"}");
		return true;
	}
	say(fd, STREAM_HEAD);
	if (since == 0) { /* Break off. */
		send_log_event(fd, 1);
		send_log_event(fd, 2);
		send_log_event(fd, 3);
		return false;
	}
	if (since == 3) { /* A gap that is told. */
		send_log_event(fd, 4);
		say(fd, "event: stream.gap\ndata: {\"from\":5,\"to\":5}\n\n");
		send_log_event(fd, 6);
		return false;
	}
	if (since == 4) { /* A number is missing; an old one comes again. */
		send_log_event(fd, 4);
		send_log_event(fd, 5);
		send_log_event(fd, 7);
		return false;
	}
	for (int seq = since + 1; seq <= 7; seq++)
		send_log_event(fd, seq);
	pause();
	return false;
}

struct pieces {
	char text[64], seqs[64];
};

static int add_piece(const char *text, size_t len, void *arg)
{
	struct pieces *p = arg;

	strncat(p->text, text, len);
	return 0;
}

static void add_seq(const struct hib_event *ev, void *arg)
{
	struct pieces *p = arg;

	snprintf(p->seqs + strlen(p->seqs), sizeof(p->seqs) - strlen(p->seqs),
		 "%d ", (int)ev->seq);
}

TEST(F054_pieces_are_the_text_over_breaks_and_gaps)
{
	struct fake f;
	struct hib *h;
	struct pieces p = {0};
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, stream_script);
	h = open_quick(f.dir, 4);
	if (hib_prompt_stream(h, SES, HIB_TEXT("x"), add_piece, add_seq, &p,
			      &reply, &e) < 0)
		FAIL("%s", e.message);
	STR_EQ(p.text, "ab cd");
	STR_EQ(reply.text, "ab cd");
	STR_EQ(p.seqs, "1 2 3 4 5 6 7 ");
	STR_EQ(reply.state, "completed");
	EQ(reply.first_seq, 1);
	EQ(reply.last_seq, 7);
	hib_reply_done(&reply);
	hib_close(h);
	fake_close(&f);
}

static bool destroyed_script(int fd, const char *request, struct shared *s)
{
	(void)request;
	(void)s;
	say(fd, STREAM_HEAD);
	send_log_event(fd, 1);
	say(fd, "event: stream.end\ndata: {\"reason\":\"destroyed\"}\n\n");
	return false;
}

struct ending {
	struct pieces pieces;
	int code;
};

static void on_end(const struct hib_error *e, void *arg)
{
	struct ending *end = arg;

	end->code = e->code;
}

static void wait_for_end(struct hib *h, const struct ending *end)
{
	while (end->code == 0)
		(void)hib_wait(h, -1);
}

TEST(a_subscription_ends_with_its_session)
{
	struct fake f;
	struct hib *h;
	struct ending end = {0};
	struct hib_subscribe s = {
		.size = sizeof(s),
		.on_event = add_seq,
		.on_end = on_end,
		.arg = &end,
	};
	struct hib_subscription *sub;
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, destroyed_script);
	h = open_quick(f.dir, 4);
	EQ(hib_on_event(h, SES, &s, &sub, &e), 0);
	wait_for_end(h, &end);
	EQ(end.code, HIB_SESSION_NOT_FOUND);
	STR_EQ(end.pieces.seqs, "1 ");
	hib_close(h);
	fake_close(&f);
}

TEST(a_subscription_gives_up_when_nobody_comes_back)
{
	struct fake f;
	struct hib *h;
	struct ending end = {0};
	struct hib_subscribe s = {
		.size = sizeof(s),
		.on_event = add_seq,
		.on_end = on_end,
		.arg = &end,
	};
	struct hib_subscription *sub;

	fake_open(&f);
	fake_start(&f, drop_script);
	h = open_quick(f.dir, 3);
	EQ(hib_on_event(h, SES, &s, &sub, NULL), 0);
	wait_for_end(h, &end);
	EQ(end.code, HIB_GUEST_UNREACHABLE);
	hib_close(h);
	fake_close(&f);
}

/* --- callbacks and interruption ----------------------------------------- */

static bool silent_script(int fd, const char *request, struct shared *s)
{
	(void)fd;
	(void)request;
	(void)s;
	pause();
	return false;
}

static struct hib *alarmed;

static void on_alarm(int number)
{
	(void)number;
	hib_interrupt(alarmed);
}

TEST(an_interrupt_ends_the_call)
{
	struct fake f;
	struct hib *h;
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, silent_script);
	h = alarmed = open_quick(f.dir, 3);
	signal(SIGALRM, on_alarm);
	ualarm(50000, 0);
	EQ(hib_send_prompt(h, SES, HIB_TEXT("x"), &reply, &e), -HIB_CANCELLED);
	hib_reply_done(&reply);
	hib_close(h);
	fake_close(&f);
}

static int nested_result;

static void call_inside(const struct hib_event *ev, void *arg)
{
	(void)ev;
	nested_result = hib_health(arg, NULL, NULL);
}

TEST(a_call_from_a_callback_is_refused)
{
	struct fake f;
	struct hib *h;
	struct hib_reply reply = {.size = sizeof(reply)};

	fake_open(&f);
	fake_start(&f, stream_script);
	h = open_quick(f.dir, 4);
	EQ(hib_prompt_stream(h, SES, HIB_TEXT("x"), NULL, call_inside, h,
			     &reply, NULL),
	   0);
	EQ(nested_result, -HIB_INVALID_ARGUMENT);
	hib_reply_done(&reply);
	hib_close(h);
	fake_close(&f);
}

/* Refuse with what was asked: the body, with ' for ". */
static bool mirror_script(int fd, const char *request, struct shared *s)
{
	const char *body = strstr(request, "\r\n\r\n") + 4;
	char json[1024];
	int n = snprintf(json, sizeof(json), "{\"code\":40000,\"message\":\"%s",
			 body);

	(void)s;
	for (char *p = json + 25; *p != '\0'; p++)
		if (*p == '"')
			*p = '\'';
	snprintf(json + n, sizeof(json) - (size_t)n, "\"}");
	answer(fd, 400, json);
	return true;
}

TEST(an_answer_says_what_was_given)
{
	static const struct {
		struct hib_answer a;
		const char *body;
	} cases[] = {
		{{.option = "o", .actor = "me"}, "{'option':'o','actor':'me'}"},
		{{.action = "accept", .content = "{\"a\":[1]}"},
		 "{'action':'accept','content':{'a':[1]}}"},
		{{.action = "decline"}, "{'action':'decline'}"},
		{{.actor = "me"}, "{'outcome':'cancelled','actor':'me'}"},
	};
	struct hib_session_options o = {.size = sizeof(o), .agent = "a"};
	struct hib_error e;
	struct fake f;
	struct hib *h;

	fake_open(&f);
	fake_start(&f, mirror_script);
	h = open_quick(f.dir, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hib_answer a = cases[i].a;

		a.size = sizeof(a);
		EQ(hib_answer(h, SES, REQ, &a, &e), -HIB_INVALID_ARGUMENT);
		STR_EQ(e.message, cases[i].body);
	}
	o.id = SES;
	o.policy = "deny";
	EQ(hib_create_session(h, &o, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	OK(strstr(e.message, "'policy':'deny'") != NULL);
	o.policy = "{\"default\":\"allow\"}";
	EQ(hib_create_session(h, &o, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	OK(strstr(e.message, "'policy':{'default':'allow'}") != NULL);
	hib_close(h);
	fake_close(&f);
}

/* --- functions of the program ------------------------------------------- */

#define REQ2 "req_0123456789abcdef0123456789abcde2"
#define WAITING                                                              \
	"[{\"id\":\"" REQ "\",\"kind\":\"tool\",\"state\":\"pending\","      \
	"\"asked_seq\":4,\"body\":{\"name\":\"add\",\"arguments\":{\"a\":1," \
	"\"b\":2}}},{\"id\":\"" REQ2                                         \
	"\",\"kind\":\"tool\",\"state\":\"answered\",\"asked_seq\":2,"       \
	"\"body\":{\"name\":\"add\",\"arguments\":{}}}]"

static void send_tool_event(int fd, int seq, const char *type, const char *req,
			    const char *data)
{
	char line[1024];

	snprintf(line, sizeof(line),
		 "id: %d\nevent: %s\ndata: {\"v\":1,\"session\":\"" SES
		 "\",\"seq\":%d,\"epoch\":1,\"ts\":5,\"type\":\"%s\","
		 "\"ctx\":{\"req\":\"%s\"},\"data\":%s}\n\n",
		 seq, type, seq, type, req, data);
	say(fd, line);
}

static void keep_results(struct shared *s, const char *request)
{
	const char *body = strstr(request, "\r\n\r\n");

	if (body != NULL && s->n_results < 8)
		snprintf(s->results[s->n_results++], sizeof(s->results[0]),
			 "%s", body + 4);
}

/* One call waits from before, one comes.  The first result is lost on its way,
 * the second one is refused once. */
static bool tools_script(int fd, const char *request, struct shared *s)
{
	if (strstr(request, "/stream?since=5 ") != NULL) {
		say(fd, STREAM_HEAD);
		send_tool_event(fd, 6, "tool.requested", REQ2,
				"{\"name\":\"add\",\"arguments\":"
				"{\"a\":20,\"b\":1}}");
		send_tool_event(fd, 7, "tool.resolved", REQ2,
				"{\"outcome\":\"cancelled\"}");
		pause();
	}
	if (strncmp(request, "POST", 4) == 0) {
		keep_results(s, request);
		if (s->n_results == 1)
			return false;
		if (s->n_results == 2)
			answer(fd, 413,
			       "{\"code\":41301,\"message\":\"too large\","
			       "\"data\":{\"code\":\"message_too_large\"}}");
	}
	if (strstr(request, "/requests") != NULL)
		answer(fd, 200, WAITING);
	else
		answer(fd, 200, "{\"last_seq\":5}");
	return true;
}

static struct {
	int n_called, n_cancelled;
	struct hib_tool_call *call;
	char arguments[64];
} tools;

static void on_add(struct hib_tool_call *call, void *arg)
{
	OK(arg == &tools);
	tools.n_called++;
	if (strcmp(call->id, REQ) == 0) {
		snprintf(tools.arguments, sizeof(tools.arguments), "%s",
			 call->arguments);
		hib_tool_result(call, "3");
	} else {
		tools.call = call;
	}
}

static void on_add_cancelled(struct hib_tool_call *call, void *arg)
{
	OK(arg == &tools);
	OK(call == tools.call);
	tools.n_cancelled++;
	hib_tool_error(call, "too late"); /* Goes nowhere. */
}

TEST(F156_calls_of_functions_are_answered_over_lost_connections)
{
	const struct hib_tool t = {
		.size = sizeof(t),
		.name = "add",
		.description = "Add",
		.schema = "{\"type\":\"object\"}",
		.call = on_add,
		.cancelled = on_add_cancelled,
		.arg = &tools,
	};
	struct fake f;
	struct hib *h;
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, tools_script);
	h = open_quick(f.dir, 8);
	EQ(hib_register_tool(h, SES, &t, &e), 0);
	while (f.shared->n_results < 3 || tools.n_cancelled == 0)
		EQ(hib_wait(h, 5000), 0);
	EQ(tools.n_called, 2);
	EQ(tools.n_cancelled, 1);
	STR_EQ(tools.arguments, "{\"a\":1,\"b\":2}");
	STR_EQ(f.shared->results[0], "{\"partial\":true,\"results\":[{\"id\":"
				     "\"" REQ "\",\"content\":\"3\"}]}");
	STR_EQ(f.shared->results[1], f.shared->results[0]);
	STR_EQ(f.shared->results[2],
	       "{\"partial\":true,\"results\":[{\"id\":\"" REQ
	       "\",\"error\":\"the result was refused: "
	       "message_too_large\"}]}");
	hib_close(h);
	fake_close(&f);
}

TEST(a_handle_closes_with_calls_that_are_open)
{
	const struct hib_tool t = {.size = sizeof(t),
				   .name = "add",
				   .call = on_add,
				   .arg = &tools};
	struct fake f;
	struct hib *h;
	struct hib_error e;

	fake_open(&f);
	fake_start(&f, tools_script);
	h = open_quick(f.dir, 8);
	EQ(hib_register_tool(h, SES, &t, &e), 0);
	while (tools.call == NULL)
		EQ(hib_wait(h, 5000), 0);
	hib_close(h);
	fake_close(&f);
}

TEST(wrong_arguments_never_reach_the_daemon)
{
	struct hib *h = open_quick("/nonexistent", 1);
	struct hib_session_options s = {.size = sizeof(s)};
	struct hib_session_options bad_env = {.size = sizeof(s), .agent = "a"};
	const char *const env[] = {"=x", NULL};
	struct hib_session_options unset = {.agent = "a"};
	struct hib_answer both = {
		.size = sizeof(both), .option = "o", .action = "decline"};
	struct hib_answer no_json = {
		.size = sizeof(no_json), .action = "accept", .content = "{"};
	struct hib_error e;

	bad_env.env = env;
	EQ(hib_get_session(h, "trn_1", false, NULL, &e), -HIB_INVALID_ID);
	EQ(hib_create_session(h, &s, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_create_session(h, &bad_env, NULL, NULL, &e),
	   -HIB_INVALID_ARGUMENT);
	EQ(hib_create_session(h, &unset, NULL, NULL, &e),
	   -HIB_INVALID_ARGUMENT);
	EQ(hib_answer_request(h, SES, "x", "y", &e), -HIB_INVALID_ID);
	EQ(hib_answer(h, SES, REQ, &both, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_answer(h, SES, REQ, &no_json, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_get_view(h, SES, "nosuch", NULL, &e), -HIB_INVALID_ARGUMENT);
	hib_close(h);
}

/* --- the real daemon ---------------------------------------------------- */

struct real {
	char dir[64];
	struct hib *h;
	const char *rest; /* Of the import. */
};

static bool real_open(struct real *r)
{
	static char hibd[512];
	struct hib_options o = {.size = sizeof(o)};
	struct hib_error e;
	const char *out = getenv("O");

	snprintf(hibd, sizeof(hibd), "%s/bin/hibd", out ? out : "o/dev");
	if (access(hibd, X_OK) < 0) {
		fprintf(stderr, "# no %s\n", hibd);
		return false;
	}
	setenv("HIB_HIBD", hibd, 1);
	strcpy(r->dir, "/tmp/hib-sdk-XXXXXX");
	OK(mkdtemp(r->dir) != NULL);
	o.home = r->dir;
	if (hib_open(&o, &r->h, &e) < 0)
		FAIL("%s", e.message);
	return true;
}

/* Its lock is free once the daemon has ended, which is before we are told so. */
static void real_close(struct real *r)
{
	char cmd[128];
	int lock;

	snprintf(cmd, sizeof(cmd), "%s/hibd.lock", r->dir);
	lock = open(cmd, O_RDONLY | O_CLOEXEC);
	OK(lock >= 0);
	EQ(hib_shutdown(r->h, false, NULL), 0);
	EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
	hib_close(r->h);
	close(lock);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", r->dir);
	EQ(system(cmd), 0);
}

static void kill_daemon(const struct real *r)
{
	char path[128];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/hibd.pid", r->dir);
	f = fopen(path, "r");
	OK(f != NULL && fscanf(f, "%d", &pid) == 1 && pid > 1);
	fclose(f);
	EQ(kill(pid, SIGKILL), 0);
}

static long give_import(char *buf, size_t cap, void *arg)
{
	struct real *r = arg;
	size_t n = strlen(r->rest);

	if (n > cap)
		n = cap;
	if (n > 7)
		n = 7; /* In small pieces. */
	memcpy(buf, r->rest, n);
	r->rest += n;
	return (long)n;
}

static const char log_text[] =
	"{\"hibernacle\":1,\"kind\":\"session\",\"session\":\"" SES "\"}\n"
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":1,\"epoch\":1,\"ts\":1,"
	"\"type\":\"session.created\",\"data\":{\"vm\":\"" VM "\",\"agent\":"
	"\"echo\",\"cwd\":\"/workspace\",\"create_hash\":\"00\"}}\n"
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":2,\"epoch\":1,\"ts\":2,"
	"\"type\":\"session.state\",\"data\":{\"from\":\"starting\",\"to\":"
	"\"suspended\"}}\n";

static void import_text(struct real *r, const char *text)
{
	struct hib_error e;
	char *row = NULL;

	r->rest = text;
	if (hib_import_session(r->h, give_import, r, &row, &e) < 0)
		FAIL("import: %s", e.message);
	OK(strstr(row, "\"id\":\"" SES "\"") != NULL);
	hib_free(row);
}

static void import_log(struct real *r)
{
	import_text(r, log_text);
}

static int gather(const char *data, size_t n, void *arg)
{
	strncat(arg, data, n);
	return 0;
}

TEST(the_daemon_is_started_and_a_session_goes_in_and_out)
{
	struct hib_message_query q = {
		.size = sizeof(q), .parts = "text,tool_call", .to_ms = 9};
	struct real r = {0};
	char out[4096] = "";
	char *json = NULL;
	struct hib_error e;
	struct pieces p = {0};

	if (!real_open(&r))
		return;
	if (hib_health(r.h, &json, &e) < 0)
		FAIL("health: %s", e.message);
	hib_free(json);
	import_log(&r);
	EQ(hib_export_session(r.h, SES, gather, out, &e), 0);
	STR_EQ(out, log_text);
	EQ(hib_get_session_events(r.h, SES, NULL, add_seq, &p, &e), 0);
	STR_EQ(p.seqs, "1 2 ");
	EQ(hib_get_sequenced_events(r.h, SES, NULL, &json, &e), 0);
	OK(strstr(json, "\"has_more\":false") != NULL);
	hib_free(json);
	EQ(hib_get_messages(r.h, SES, NULL, &json, &e), 0);
	STR_EQ(json, "[]");
	hib_free(json);
	EQ(hib_find_messages(r.h, SES, &q, &json, &e), 0);
	STR_EQ(json, "[]");
	hib_free(json);
	q.parts = "nonsense";
	EQ(hib_find_messages(r.h, SES, &q, NULL, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_list_persisted_sessions(r.h, NULL, &json, &e), 0);
	OK(strstr(json, SES) != NULL);
	hib_free(json);
	EQ(hib_get_view(r.h, SES, "turns", &json, &e), 0);
	STR_EQ(json, "[]");
	hib_free(json);
	real_close(&r);
}

static const char ready_log_text[] =
	"{\"hibernacle\":1,\"kind\":\"session\",\"session\":\"" SES "\"}\n"
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":1,\"epoch\":1,\"ts\":1,"
	"\"type\":\"session.created\",\"data\":{\"vm\":\"" VM "\",\"agent\":"
	"\"echo\",\"cwd\":\"/workspace\",\"create_hash\":\"00\"}}\n"
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":2,\"epoch\":1,\"ts\":2,"
	"\"type\":\"session.ready\",\"data\":{\"restore\":\"new\",\"modes\":"
	"{\"currentModeId\":\"a\",\"availableModes\":[{\"id\":\"a\"},"
	"{\"id\":\"b\"}]}}}\n"
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":3,\"epoch\":1,\"ts\":3,"
	"\"type\":\"session.state\",\"data\":{\"from\":\"idle\",\"to\":"
	"\"suspended\"}}\n";

TEST(F241_what_is_stored_is_searched_summed_up_and_marked)
{
	struct real r = {0};
	struct hib_search_options o = {.size = sizeof(o), .session = SES};
	struct hib_fork_options f = {.size = sizeof(f), .at = "nonsense"};
	char *json = NULL;
	struct hib_error e;

	if (!real_open(&r))
		return;
	import_log(&r);
	EQ(hib_search(r.h, "\"nothing of that\" kind", &o, &json, &e), 0);
	STR_EQ(json, "[]");
	hib_free(json);
	EQ(hib_search(r.h, "", NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_get_usage(r.h, SES, true, &json, &e), 0);
	OK(strstr(json, "\"sessions\":[{") != NULL);
	hib_free(json);
	EQ(hib_set_cursor(r.h, SES, "me", 2, &e), 0);
	EQ(hib_set_cursor(r.h, SES, "me", 3, &e), -HIB_CURSOR_AHEAD);
	EQ(hib_get_view(r.h, SES, "cursors", &json, &e), 0);
	OK(strstr(json, "\"name\":\"me\",\"seq\":2") != NULL);
	hib_free(json);
	EQ(hib_delete_cursor(r.h, SES, "me", &e), 0);
	EQ(hib_attach_session(r.h, SES, false, NULL, &e),
	   -HIB_SESSION_NOT_LIVE);
	EQ(hib_fork_session(r.h, SES, &f, NULL, NULL, &e), -HIB_INVALID_ID);
	EQ(hib_fork_session(r.h, SES, NULL, NULL, NULL, &e), -HIB_VM_NOT_FOUND);
	real_close(&r);
}

static void notes_are_kept(struct hib *h)
{
	struct hib_note_options o = {.size = sizeof(o), .must_not_exist = true};
	struct hib_note_list l = {.size = sizeof(l), .prefix = "a/"};
	char etag[64] = "", *json = NULL;
	struct hib_error e;

	EQ(hib_kv_set(h, SES, "a/b c", "v\n1", &o, &json, &e), 0);
	OK(sscanf(json, "{\"key\":\"a/b c\",\"etag\":\"%32[0-9a-f]\"}", etag) ==
	   1);
	hib_free(json);
	EQ(hib_kv_set(h, SES, "a/b c", "v2", &o, NULL, &e),
	   -HIB_ALREADY_EXISTS);
	o = (struct hib_note_options){.size = sizeof(o), .etag = etag};
	EQ(hib_kv_set(h, SES, "a/b c", "v2", &o, NULL, &e), 0);
	EQ(hib_kv_set(h, SES, "a/b c", "v3", &o, NULL, &e), -HIB_CAS_MISMATCH);
	EQ(hib_kv_get(h, SES, "a/b c", &json, &e), 0);
	OK(strstr(json, "\"value\":\"v2\"") != NULL);
	hib_free(json);
	EQ(hib_kv_list(h, SES, &l, &json, &e), 0);
	OK(strstr(json, "[{\"key\":\"a/b c\",\"bytes\":2,") == json);
	hib_free(json);
	EQ(hib_kv_delete(h, SES, "a/b c", NULL, &e), 0);
	EQ(hib_kv_get(h, SES, "a/b c", NULL, &e), -HIB_KEY_NOT_FOUND);
	EQ(hib_kv_get(h, SES, "", NULL, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_kv_set(h, SES, "a", "\xff", NULL, NULL, &e),
	   -HIB_INVALID_ARGUMENT);
}

static void memories_are_kept(struct hib *h)
{
	struct hib_note_options o = {
		.size = sizeof(o), .scope = "vm", .meta = "{\"by\":\"test\"}"};
	char *json = NULL;
	struct hib_error e;

	EQ(hib_memory_set(h, SES, "m", "of all", &o, NULL, &e), 0);
	EQ(hib_memory_set(h, SES, "m", "own", NULL, NULL, &e), 0);
	EQ(hib_memory_get(h, SES, "m", NULL, &json, &e), 0);
	OK(strstr(json, "\"value\":\"own\"") != NULL);
	hib_free(json);
	EQ(hib_memory_get(h, SES, "m", "vm", &json, &e), 0);
	OK(strstr(json, "\"meta\":{\"by\":\"test\"}") != NULL);
	hib_free(json);
	EQ(hib_memory_list(h, SES, NULL, &json, &e), 0);
	OK(strstr(json, "\"scope\":\"session\"") != NULL);
	hib_free(json);
	o.meta = NULL;
	EQ(hib_memory_delete(h, SES, "m", &o, &e), 0);
	EQ(hib_memory_get(h, SES, "m", "vm", NULL, &e), -HIB_KEY_NOT_FOUND);
	o.meta = "[";
	EQ(hib_memory_set(h, SES, "m", "x", &o, NULL, &e),
	   -HIB_INVALID_ARGUMENT);
}

TEST(F189_what_a_session_keeps_is_set_and_got)
{
	struct real r = {0};
	char *json = NULL;
	struct hib_error e;

	if (!real_open(&r))
		return;
	import_text(&r, log_text);
	notes_are_kept(r.h);
	memories_are_kept(r.h);
	EQ(hib_add_summary(r.h, SES, "in short", 0, 2, &json, &e), 0);
	STR_EQ(json, "{\"from_seq\":1,\"to_seq\":2}");
	hib_free(json);
	EQ(hib_get_view(r.h, SES, "summaries", &json, &e), 0);
	OK(strstr(json, "\"text\":\"in short\"") != NULL);
	hib_free(json);
	/* Databases are files of a VM, and its VM is not here. */
	EQ(hib_sql(r.h, SES, "d", "SELECT 1", NULL, NULL, &e),
	   -HIB_VM_NOT_FOUND);
	EQ(hib_sql_list(r.h, SES, NULL, &e), -HIB_VM_NOT_FOUND);
	real_close(&r);
}

TEST(F190_secrets_are_set_listed_and_removed)
{
	struct real r = {0};
	char *json = NULL;
	struct hib_error e;

	if (!real_open(&r))
		return;
	EQ(hib_list_secrets(r.h, &json, &e), 0);
	STR_EQ(json, "[]");
	hib_free(json);
	EQ(hib_set_secret(r.h, "git.hub-1", "a value", &e), 0);
	EQ(hib_list_secrets(r.h, &json, &e), 0);
	OK(strstr(json, "\"name\":\"git.hub-1\"") != NULL);
	OK(strstr(json, "a value") == NULL);
	hib_free(json);
	EQ(hib_set_secret(r.h, "a/b", "x", &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_set_secret(r.h, "empty", "", &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_delete_secret(r.h, "git.hub-1", &e), 0);
	EQ(hib_delete_secret(r.h, "git.hub-1", &e), -HIB_KEY_NOT_FOUND);
	real_close(&r);
}

TEST(F163_servers_are_looked_at_and_called)
{
	struct hib_mcp_call call = {.size = sizeof(call), .server = "files"};
	struct real r = {0};
	char *json = NULL;
	struct hib_error e;

	if (!real_open(&r))
		return;
	import_text(&r, log_text);
	EQ(hib_mcp_list(r.h, SES, &json, &e), 0);
	STR_EQ(json, "[]");
	hib_free(json);
	EQ(hib_mcp_tools(r.h, SES, "files", false, NULL, &e),
	   -HIB_KEY_NOT_FOUND);
	EQ(hib_mcp_call(r.h, SES, &call, NULL, &e), -HIB_INVALID_ARGUMENT);
	call.tool = "read";
	call.arguments = "{";
	EQ(hib_mcp_call(r.h, SES, &call, NULL, &e), -HIB_INVALID_ARGUMENT);
	call.arguments = "{}";
	EQ(hib_mcp_call(r.h, SES, &call, NULL, &e), -HIB_KEY_NOT_FOUND);
	real_close(&r);
}

TEST(F079_what_an_agent_offers_and_what_is_wanted)
{
	struct real r = {0};
	char *json = NULL;
	struct hib_error e;

	if (!real_open(&r))
		return;
	import_text(&r, ready_log_text);
	EQ(hib_get_modes(r.h, SES, &json, &e), 0);
	STR_EQ(json, "{\"currentModeId\":\"a\",\"availableModes\":["
		     "{\"id\":\"a\"},{\"id\":\"b\"}]}");
	hib_free(json);
	EQ(hib_get_config_options(r.h, SES, &json, &e), 0);
	STR_EQ(json, "null");
	hib_free(json);
	EQ(hib_set_mode(r.h, SES, "b", NULL, &e), 0);
	EQ(hib_set_model(r.h, SES, "m", NULL, &e), 0);
	EQ(hib_set_thought_level(r.h, SES, "high", NULL, &e), 0);
	EQ(hib_set_config_option(r.h, SES, "web", "true", &json, &e), 0);
	OK(strstr(json, "\"thought\":\"high\"") != NULL &&
	   strstr(json, "\"web\":\"true\"") != NULL);
	hib_free(json);
	EQ(hib_get_modes(r.h, SES, &json, &e), 0);
	OK(strstr(json, "\"currentModeId\":\"b\"") != NULL);
	hib_free(json);
	EQ(hib_set_mode(r.h, SES, "", NULL, &e), -HIB_INVALID_ARGUMENT);
	EQ(hib_set_mode(r.h, "ses_x", "b", NULL, &e), -HIB_INVALID_ID);
	real_close(&r);
}

static void wait_for_seqs(struct real *r, const struct pieces *p,
			  const char *want)
{
	while (strcmp(p->seqs, want) != 0) {
		(void)hib_wait(r->h, -1);
		OK(strlen(p->seqs) <= strlen(want));
	}
}

static void make_image(const char *home, const char *name)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/images", home);
	EQ(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/images/%s", home, name);
	EQ(mkdir(path, 0700), 0);
	strcat(path, "/manifest.json");
	f = fopen(path, "w");
	OK(f != NULL && fprintf(f, "{\"name\":\"%s\"}", name) > 0);
	fclose(f);
}

TEST(images_are_listed_with_their_folders)
{
	struct real r = {0};
	char *json = NULL, want[128];
	struct hib_error e;

	if (!real_open(&r))
		return;
	make_image(r.dir, "sdk-image");
	snprintf(want, sizeof(want), "\"path\":\"%s/images/sdk-image\"", r.dir);
	EQ(hib_image_list(r.h, &json, &e), 0);
	OK(strstr(json, "\"name\":\"sdk-image\"") != NULL);
	OK(strstr(json, want) != NULL);
	hib_free(json);
	real_close(&r);
}

TEST(a_vm_says_what_has_become_of_it)
{
	struct hib_vm_options o = {.size = sizeof(o), .no_boot = true};
	struct real r = {0};
	char *json = NULL, vm[HIB_ID_MAX];
	struct hib_error e;

	if (!real_open(&r))
		return;
	EQ(hib_vm_create(r.h, &o, vm, NULL, &e), 0);
	EQ(hib_vm_events(r.h, vm, &json, &e), 0);
	STR_EQ(json, "[]"); /* It was never on. */
	hib_free(json);
	EQ(hib_vm_destroy(r.h, vm, false, &e), 0);
	EQ(hib_vm_events(r.h, vm, NULL, &e), -HIB_VM_NOT_FOUND);
	real_close(&r);
}

TEST(F127_a_subscription_outlives_the_daemon)
{
	struct real r = {0};
	struct pieces p = {0};
	struct hib_subscribe s = {
		.size = sizeof(s), .on_event = add_seq, .arg = &p};
	struct hib_subscription *sub;
	struct hib_error e;

	if (!real_open(&r))
		return;
	import_log(&r);
	EQ(hib_on_event(r.h, SES, &s, &sub, &e), 0);
	wait_for_seqs(&r, &p, "1 2 ");
	EQ(hib_archive_session(r.h, SES, true, NULL, &e), 0);
	wait_for_seqs(&r, &p, "1 2 3 ");
	kill_daemon(&r);
	if (hib_archive_session(r.h, SES, false, NULL, &e) < 0)
		FAIL("%s", e.message);
	wait_for_seqs(&r, &p, "1 2 3 4 ");
	hib_unsubscribe(sub);
	EQ(hib_archive_session(r.h, SES, true, NULL, &e), 0);
	(void)hib_wait(r.h, 20);
	STR_EQ(p.seqs, "1 2 3 4 ");
	real_close(&r);
}

TESTS(CASE(a_prompt_is_repeated_with_the_same_key),
      CASE(F137_a_connection_cut_for_ever_is_an_error),
      CASE(nobody_there_is_vm_unavailable),
      CASE(F231_an_error_keeps_code_name_message_and_data),
      CASE(F054_pieces_are_the_text_over_breaks_and_gaps),
      CASE(a_subscription_ends_with_its_session),
      CASE(a_subscription_gives_up_when_nobody_comes_back),
      CASE(an_interrupt_ends_the_call), CASE(a_call_from_a_callback_is_refused),
      CASE(an_answer_says_what_was_given),
      CASE(F156_calls_of_functions_are_answered_over_lost_connections),
      CASE(a_handle_closes_with_calls_that_are_open),
      CASE(wrong_arguments_never_reach_the_daemon),
      CASE(the_daemon_is_started_and_a_session_goes_in_and_out),
      CASE(F241_what_is_stored_is_searched_summed_up_and_marked),
      CASE(F189_what_a_session_keeps_is_set_and_got),
      CASE(F190_secrets_are_set_listed_and_removed),
      CASE(F163_servers_are_looked_at_and_called),
      CASE(F079_what_an_agent_offers_and_what_is_wanted),
      CASE(images_are_listed_with_their_folders),
      CASE(a_vm_says_what_has_become_of_it),
      CASE(F127_a_subscription_outlives_the_daemon))
