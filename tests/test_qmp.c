// SPDX-License-Identifier: Apache-2.0
/*
 * test_qmp.c - QEMU's monitor: a real one, and one that means harm
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "host/qmp.h"
#include "tests/tap.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define GREETING \
	"{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":22}}}}\n"
#define ACCEPTED  "{\"return\":{},\"id\":1}\n"
#define MANY	  1000
#define WORDS_MAX 200

static struct {
	uv_loop_t loop;
	struct qmp *qmp;
	int peer; /* The other end, of the one that means harm. */
	bool ready, answered, broken;
	char version[QMP_VERSION_MAX];
	int events;
	struct err err;
	char result[WORDS_MAX];
} t;

static void on_ready(struct qmp *q, const char *version, void *arg)
{
	(void)q, (void)arg;
	t.ready = true;
	snprintf(t.version, sizeof(t.version), "%s", version);
}

static void on_event(struct qmp *q, const char *name, struct jv data, void *arg)
{
	(void)q, (void)name, (void)data, (void)arg;
	t.events++;
}

static void on_broken(struct qmp *q, const struct err *e, void *arg)
{
	(void)q, (void)arg;
	OK(!t.broken);
	t.broken = true;
	t.err = *e;
}

static void on_answer(struct qmp *q, const struct err *e, struct jv result,
		      void *arg)
{
	size_t n;
	const char *raw = jv_raw(result, &n);

	(void)q, (void)arg;
	OK(!t.answered);
	t.answered = true;
	t.err = *e;
	snprintf(t.result, sizeof(t.result), "%.*s", (int)n, raw ? raw : "");
}

static const struct qmp_events events = {
	.ready = on_ready,
	.event = on_event,
	.broken = on_broken,
};

static void begin(int fd)
{
	EQ(uv_loop_init(&t.loop), 0);
	t.qmp = qmp_open(&t.loop, fd, &events, NULL);
	OK(t.qmp != NULL);
}

static void end(void)
{
	qmp_close(take_ptr(t.qmp));
	EQ(uv_run(&t.loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&t.loop), 0);
}

static void wait_until(const bool *what)
{
	while (!*what)
		if (uv_run(&t.loop, UV_RUN_ONCE) == 0 && !*what)
			FAIL("it ended: %s", t.err.msg);
}

static void ask(const char *name, const char *arguments, int fd)
{
	t.answered = false;
	qmp_ask(t.qmp,
		&(struct qmp_command){
			.name = name, .arguments = arguments, .fd = fd},
		on_answer, NULL);
}

/* --- one that means harm --- */

static void meet_fake(void)
{
	int pair[2];

	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		      pair),
	   0);
	t.peer = pair[1];
	begin(pair[0]);
}

static void say(const char *text)
{
	EQ(send(t.peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void make_ready(void)
{
	meet_fake();
	say(GREETING ACCEPTED);
	wait_until(&t.ready);
	STR_EQ(t.version, "7.2.22");
}

/* What is said after the greeting, or instead of it, ends the connection. */
static void must_break(bool greeted, const char *text)
{
	memset(&t, 0, sizeof(t));
	if (greeted)
		make_ready();
	else
		meet_fake();
	say(text);
	wait_until(&t.broken);
	OK(t.err.code < 0);
	end();
	close(t.peer);
}

static void what_does_not_fit_ends_it(void)
{
	static const char *const before[] = {
		"\n",
		"HTTP/1.1 200 OK\n",
		"{\"QMP\":{}}\n",
		"{\"return\":{}}\n",
		"{\"return\":{},\"id\":1}\n",
		GREETING GREETING,
		GREETING "{\"return\":{},\"id\":2}\n",
		GREETING "{\"error\":{\"desc\":\"no\"},\"id\":1}\n",
	};
	static const char *const after[] = {
		GREETING,
		"{}\n",
		"[]\n",
		"{\"event\":7}\n",
		"{\"return\":{},\"id\":1}\n", /* Nothing was asked. */
		"{\"return\":{},\"id\":null}\n",
		"{\"return\":{}",
	};

	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		must_break(false, before[i]);
	for (size_t i = 0; i + 1 < ARRAY_LEN(after); i++)
		must_break(true, after[i]);

	/* Half a line, and it hangs up. */
	memset(&t, 0, sizeof(t));
	make_ready();
	say(after[ARRAY_LEN(after) - 1]);
	close(t.peer);
	wait_until(&t.broken);
	EQ(t.err.code, -ECONNRESET);
	end();
}

static void a_line_without_end_ends_it(void)
{
	static char much[4096];

	memset(much, ' ', sizeof(much) - 1);
	make_ready();
	for (int i = 0; i <= QMP_LINE_MAX / (int)sizeof(much) + 1; i++) {
		if (t.broken)
			break;
		(void)send(t.peer, much, sizeof(much) - 1, MSG_NOSIGNAL);
		(void)uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	wait_until(&t.broken);
	EQ(t.err.code, -EMSGSIZE);
	end();
}

static void words_of_an_error_are_plain(void)
{
	make_ready();
	ask("stop", NULL, -1);
	say("{\"error\":{\"class\":\"GenericError\",\"desc\":\"a\\u001b[31m\\nb\"}"
	    ",\"id\":2}\n");
	wait_until(&t.answered);
	STR_EQ(t.err.msg, "QEMU: a?[31m?b");
	end();
}

static void events_do_not_answer(void)
{
	make_ready();
	ask("stop", NULL, -1);
	for (int i = 0; i < MANY; i++) {
		(void)uv_run(&t.loop, UV_RUN_NOWAIT);
		say("{\"event\":\"STOP\",\"data\":{\"id\":2},\"timestamp\":{}}\n");
	}
	while (t.events < MANY)
		OK(uv_run(&t.loop, UV_RUN_ONCE) != 0);
	OK(!t.answered);
	say("{\"return\":{\"x\":1},\"id\":2}\n");
	wait_until(&t.answered);
	EQ(t.err.code, 0);
	STR_EQ(t.result, "{\"x\":1}");
	end();
}

/* It reads nothing: what we have to say does not wait for it. */
static void one_that_does_not_read_is_left(void)
{
	make_ready();
	for (int i = 2; !t.broken && i < 1 << 20; i++) {
		char answer[64];

		ask("query-status", NULL, -1);
		snprintf(answer, sizeof(answer), "{\"return\":{},\"id\":%d}\n",
			 i);
		say(answer);
		while (!t.answered && !t.broken)
			OK(uv_run(&t.loop, UV_RUN_ONCE) != 0 || t.broken);
	}
	OK(t.broken);
	EQ(t.err.code, -EPIPE);
	end();
}

/* --- a real one --- */

/* QEMU without a machine; it ends with this process.  Return: its monitor. */
static int start_qemu(void)
{
	int pair[2];
	char chardev[64];

	if (access(QEMU, X_OK) < 0)
		SKIP("no QEMU");
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	EQ(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)fcntl(pair[1], F_SETFD, 0);
		snprintf(chardev, sizeof(chardev), "socket,id=m,fd=%d",
			 pair[1]);
		execl(QEMU, QEMU, "-nodefaults", "-display", "none", "-M",
		      "none", "-chardev", chardev, "-mon",
		      "chardev=m,mode=control", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	return pair[0];
}

static void a_real_one_answers(void)
{
	int fd;

	begin(start_qemu());
	wait_until(&t.ready);
	OK(t.version[0] >= '1' && t.version[0] <= '9');
	ask("query-status", NULL, -1);
	wait_until(&t.answered);
	EQ(t.err.code, 0);
	OK(strstr(t.result, "\"running\"") != NULL);

	ask("no-such-command", NULL, -1);
	wait_until(&t.answered);
	OK(strstr(t.err.msg, "no-such-command") != NULL);

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ask("getfd", "{\"fdname\":\"state\"}", fd);
	wait_until(&t.answered);
	EQ(t.err.code, 0);
	close(fd);
	ask("getfd", "{\"fdname\":\"state\"}", -1);
	wait_until(&t.answered);
	OK(t.err.code < 0);

	ask("quit", NULL, -1);
	wait_until(&t.broken);
	end();
}

TESTS(CASE(what_does_not_fit_ends_it), CASE(a_line_without_end_ends_it),
      CASE(words_of_an_error_are_plain), CASE(events_do_not_answer),
      CASE(one_that_does_not_read_is_left), CASE(a_real_one_answers))
