// SPDX-License-Identifier: Apache-2.0
/*
 * guest_host.c - The host's side of the guest channel, for unit tests
 */
#include "tests/guest_host.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/unixsock.h"
#include "tests/tap.h"

struct host host;

/* --- the host's side ------------------------------------------------------ */

void tick(struct host *h)
{
	uv_run(h->loop, UV_RUN_ONCE);
}

static void reply_on_head(struct h2_stream *s, int status, void *arg)
{
	struct reply *r = arg;

	(void)s;
	r->status = status;
}

static void reply_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct reply *r = arg;

	jw_lit(&r->text, data, n);
	h2_consume(s, n);
}

void reply_on_end(struct h2_stream *s, int rc, void *arg)
{
	struct reply *r = arg;

	(void)s;
	if (rc < 0)
		r->status = rc;
	r->done = true;
}

static const struct h2_stream_events reply_events = {
	.head = reply_on_head, .data = reply_on_data, .end = reply_on_end};

struct reply *begin_text(struct host *h, const char *path, const char *body)
{
	struct reply *r = calloc(1, sizeof(*r));

	OK(r != NULL);
	r->h = h;
	OK(h2_request(h->h2, "POST", path, body, strlen(body), false,
		      &reply_events, r) != NULL);
	return r;
}

struct reply *begin(struct host *h, const char *method, const char *fmt, ...)
{
	char path[128], *body;
	struct reply *r;
	va_list ap;

	va_start(ap, fmt);
	OK(vasprintf(&body, fmt, ap) >= 0);
	va_end(ap);
	snprintf(path, sizeof(path), "/call/%s", method);
	r = begin_text(h, path, body);
	free(body);
	return r;
}

struct reply *finish(struct reply *r)
{
	struct err e = {0};

	while (!r->done)
		tick(r->h);
	if (r->text.len > 0 &&
	    json_parse(&r->json, r->text.buf, r->text.len, &e) < 0)
		FAIL("answer is no JSON: %s: %s", e.msg, r->text.buf);
	r->v = json_root(&r->json);
	return r;
}

void drop(struct reply *r)
{
	json_done(&r->json);
	jw_done(&r->text);
	free(r);
}

void expect_ok(struct reply *r)
{
	finish(r);
	if (r->status != 200)
		FAIL("status %d: %s", r->status, r->text.buf);
}

void refused(struct reply *r, const char *name)
{
	char got[64] = "(none)";

	finish(r);
	(void)jv_strcpy(jv_path(r->v, "data.code"), got, sizeof(got));
	if (strcmp(got, name) != 0)
		FAIL("want %s, got %d %s", name, r->status, r->text.buf);
	drop(r);
}

void done(struct reply *r)
{
	expect_ok(r);
	drop(r);
}

bool str_is(struct jv v, const char *s)
{
	return jv_eq(v, s);
}

static int sync_on_line(char *line, size_t len, void *arg)
{
	struct host *h = arg;
	struct err e = {0};
	char ack[128];
	struct event *ev;

	if (event_parse(line, len, &ev, &e) < 0)
		FAIL("event: %s", e.msg);
	OK(h->n < EVENTS);
	h->events[h->n++] = ev;
	h->bytes += ev->len;
	if (h->silent || h->sync == NULL)
		return 0;
	snprintf(ack, sizeof(ack), "{\"ack\":{\"%s\":%lld}}\n", ev->session,
		 (long long)ev->seq);
	h2_write(h->sync, ack, strlen(ack));
	return 0;
}

static void sync_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct host *h = arg;

	h2_consume(s, n);
	EQ(lines_feed(&h->lines, data, n, sync_on_line, h), 0);
}

static void sync_on_end(struct h2_stream *s, int r, void *arg)
{
	struct host *h = arg;

	(void)r;
	if (h->sync == s)
		h->sync = NULL;
}

void sync_begin(struct host *h, const char *have)
{
	static const struct h2_stream_events ev = {.data = sync_on_data,
						   .end = sync_on_end};

	lines_init(&h->lines, EVENT_LINE_MAX);
	h->sync = h2_request(h->h2, "POST", "/sync", have, strlen(have), true,
			     &ev, h);
	OK(h->sync != NULL);
}

static void host_on_closed(struct h2 *c, int r, void *arg)
{
	struct host *h = arg;

	(void)r;
	if (h->h2 == c)
		h->h2 = NULL;
	h2_close(c);
}

static const struct h2_events h2_events = {.closed = host_on_closed};

void host_connect(struct host *h)
{
	uv_pipe_t *io = malloc(sizeof(*io));
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/run/api.sock", h->dir);
	while ((fd = unixsock_connect(path)) < 0)
		usleep(1000);
	uv_pipe_init(h->loop, io, 0);
	EQ(uv_pipe_open(io, fd), 0);
	EQ(h2_new((uv_stream_t *)io, false, &h2_events, h, &h->h2), 0);
}

/* Its program is beside ours, as make builds it. */
static void find_programs(struct host *h)
{
	char self[1024], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	OK(n > 0);
	self[n] = '\0';
	for (int i = 0; i < 2 && (slash = strrchr(self, '/')) != NULL; i++)
		*slash = '\0';
	snprintf(h->bin, sizeof(h->bin), "%s/libexec/hib-guest", self);
	snprintf(h->agent, sizeof(h->agent), "%s/libexec/echo-agent", self);
	snprintf(h->mcp, sizeof(h->mcp), "%s/tests/fake/mcp_server", self);
}

/* As fork(), into namespaces like those of a VM. */
static pid_t fork_isolated(void)
{
	const unsigned long user = geteuid() == 0 ? 0 : CLONE_NEWUSER;

	return (pid_t)syscall(SYS_clone,
			      user | CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0,
			      0, 0);
}

static void write_map(const char *path, unsigned outside)
{
	char map[32];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	snprintf(map, sizeof(map), "0 %u 1", outside);
	if (fd < 0 || write(fd, map, strlen(map)) < 0)
		_exit(126);
	close(fd);
}

/* No control group of the machine's is to be seen, and nothing left in /run. */
static void enter_isolation(uid_t uid, gid_t gid)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid != 0) {
		int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "deny", 4) < 0)
			_exit(126);
		close(fd);
		write_map("/proc/self/uid_map", uid);
		write_map("/proc/self/gid_map", gid);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/sys/fs/cgroup", "tmpfs", MS_RDONLY, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0)
		_exit(126);
}

void host_spawn(struct host *h)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	char state[96], run[96];

	snprintf(state, sizeof(state), "%s/state", h->dir);
	snprintf(run, sizeof(run), "%s/run", h->dir);
	h->pid = h->isolate ? fork_isolated() : fork();
	if (h->pid == 0 && h->isolate) {
		enter_isolation(uid, gid);
		execl(h->bin, h->bin, "--state", state, "--run", run,
		      "--log-level", "error", NULL);
		_exit(127);
	}
	if (h->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(h->bin, h->bin, "--state", state, "--run", run,
		      "--no-isolate", "--log-level", "error", NULL);
		_exit(127);
	}
	host_connect(h);
}

struct reply *hello(struct host *h)
{
	struct reply *r =
		begin_text(h, "/hello", "{\"version\":1,\"vm\":\"" VM "\"}");

	expect_ok(r);
	return r;
}

void host_serve(struct host *h)
{
	drop(hello(h));
	done(begin_text(h, "/start", "{\"generation\":1}"));
}

static void make_dirs(struct host *h)
{
	char path[96];

	strcpy(h->dir, "/tmp/hib-guest-XXXXXX");
	OK(mkdtemp(h->dir) != NULL);
	EQ(chmod(h->dir, 0755), 0); /* The agents may be another user's. */
	for (const char *const *p =
		     (const char *const[]){"state", "run", "work", NULL};
	     *p != NULL; p++) {
		snprintf(path, sizeof(path), "%s/%s", h->dir, *p);
		EQ(mkdir(path, 0755), 0);
	}
}

static void host_cleanup(void)
{
	char cmd[128];

	if (host.pid > 0)
		kill(host.pid, SIGKILL);
	snprintf(cmd, sizeof(cmd), "%s/state", host.dir);
	(void)umount2(cmd, MNT_DETACH); /* Where a case has mounted it. */
	snprintf(cmd, sizeof(cmd), "rm -rf %s", host.dir);
	if (host.dir[0] != '\0' && system(cmd) != 0)
		return;
}

struct host *host_new(void)
{
	struct host *h = &host;

	(void)signal(SIGPIPE, SIG_IGN);
	h->loop = uv_default_loop();
	find_programs(h);
	make_dirs(h);
	atexit(host_cleanup);
	return h;
}

bool small_disk(struct host *h)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/state", h->dir);
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", path, "tmpfs", 0, "size=6m") == 0;
}

void host_start(struct host *h)
{
	host_spawn(h);
	host_serve(h);
	sync_begin(h, "{\"have\":{}}\n");
}

struct host *up(void)
{
	struct host *h = host_new();

	host_start(h);
	return h;
}

struct host *up_isolated(void)
{
	struct host *h = host_new();

	h->isolate = true;
	host_start(h);
	return h;
}

long switches(const struct host *h)
{
	char cmd[128], line[64] = "";
	FILE *f;

	snprintf(cmd, sizeof(cmd),
		 "cat /proc/%d/task/*/status | awk '/ctxt/{n+=$2} END{print n}"
		 "'",
		 h->pid);
	f = popen(cmd, "r");
	OK(f != NULL && fgets(line, sizeof(line), f) != NULL);
	pclose(f);
	return atol(line);
}

void drop_events(struct host *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->events[i]);
	h->n = h->seen = h->bytes = 0;
}

void disconnect(struct host *h)
{
	struct h2 *c = h->h2;

	h->h2 = NULL;
	h->sync = NULL;
	h2_close(c);
	lines_done(&h->lines);
}

void down(struct host *h)
{
	int status;

	if (h->h2 != NULL)
		disconnect(h);
	kill(h->pid, SIGTERM);
	EQ(waitpid(h->pid, &status, 0), h->pid);
	h->pid = 0;
	EQ(status, 0);
	drop_events(h);
	uv_run(h->loop, UV_RUN_DEFAULT);
	uv_loop_close(h->loop);
}

void power_cut(struct host *h)
{
	if (h->h2 != NULL)
		disconnect(h);
	kill(h->pid, SIGKILL);
	EQ(waitpid(h->pid, NULL, 0), h->pid);
	drop_events(h);
}

/* --- events --------------------------------------------------------------- */

const struct event *await(struct host *h, const char *type)
{
	for (;;) {
		while (h->seen < h->n) {
			const struct event *ev = h->events[h->seen++];

			if (strcmp(ev->type, type) == 0)
				return ev;
		}
		tick(h);
	}
}

size_t count(const struct host *h, const char *session, const char *type)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		n += strcmp(h->events[i]->session, session) == 0 &&
		     (type == NULL || strcmp(h->events[i]->type, type) == 0);
	return n;
}

bool has(const struct event *ev, const char *text)
{
	return memmem(ev->data, ev->data_len, text, strlen(text)) != NULL;
}

void expect(const struct event *ev, const char *text)
{
	if (!has(ev, text))
		FAIL("%s has no %s: %s", ev->type, text, ev->line);
}

char *said(const struct host *h, size_t from)
{
	struct jw w = {0};

	for (size_t i = from; i < h->n; i++) {
		const struct event *ev = h->events[i];
		autojson struct json j = {0};
		struct jv up;
		char *text;

		if (strcmp(ev->type, "acp.update") != 0)
			continue;
		EQ(json_parse(&j, ev->data, ev->data_len, NULL), 0);
		up = jv_path(json_root(&j), "msg.params.update");
		text = jv_strdup(jv_path(up, "content.text"), NULL);
		if (str_is(jv_get(up, "sessionUpdate"),
			   "agent_message_chunk") &&
		    text != NULL)
			jw_lit(&w, text, strlen(text));
		free(text);
	}
	jw_lit(&w, "", 0);
	return w.buf != NULL ? w.buf : strdup("");
}

void check_log(const struct host *h, const char *session)
{
	int64_t seq = 0;
	char turn[ID_MAX] = "";
	bool over = true;

	for (size_t i = 0; i < h->n; i++) {
		const struct event *ev = h->events[i];

		if (strcmp(ev->session, session) != 0)
			continue;
		EQ(ev->seq, ++seq);
		if (strcmp(ev->type, "input.message") == 0) {
			OK(over);
			over = false;
			memcpy(turn, ev->turn, ID_MAX);
		}
		STR_EQ(ev->turn, over ? "" : turn);
		over |= strncmp(ev->type, "turn.", 5) == 0 &&
			strcmp(ev->type, "turn.started") != 0;
	}
}

/* --- calls ---------------------------------------------------------------- */

struct reply *create_as(struct host *h, const char *session, const char *args,
			const char *more)
{
	return begin(h, "session.create",
		     "{\"session\":\"%s\",\"create_hash\":\"aa\",\"cwd\":\"%s/"
		     "work\",\"agent\":{\"name\":\"echo\",\"command\":\"%s\","
		     "\"args\":[%s]}%s}",
		     session, h->dir, h->agent, args, more);
}

void create(struct host *h)
{
	done(create_as(h, SES, "", ""));
	await(h, "session.ready");
}

const char *mcp_local(const struct host *h, const char *more)
{
	static char text[4096];

	snprintf(text, sizeof(text),
		 ",\"mcp\":[{\"name\":\"a\",\"type\":\"local\",\"command\":"
		 "\"%s\",\"args\":[\"--legacy-only\"]%s}]",
		 h->mcp, more);
	return text;
}

struct reply *prompt_more(struct host *h, const char *text, const char *more)
{
	struct jw w = {0};
	struct reply *r;

	jw_str(&w, text);
	r = begin(h, "session.prompt",
		  "{\"session\":\"" SES "\",\"content\":[{\"type\":\"text\","
		  "\"text\":%s}]%s}",
		  w.buf, more);
	jw_done(&w);
	return r;
}

struct reply *prompt(struct host *h, const char *text)
{
	return prompt_more(h, text, "");
}

char *turn(struct host *h, const char *text)
{
	size_t from = h->n;

	done(prompt(h, text));
	await(h, "turn.completed");
	await(h, "session.state");
	return said(h, from);
}

void says(struct host *h, const char *text, const char *want)
{
	char *got = turn(h, text);

	STR_EQ(got, want);
	free(got);
}

struct reply *simple(struct host *h, const char *method, const char *more)
{
	return begin(h, method, "{\"session\":\"" SES "\"%s}", more);
}

void state_is(struct host *h, const char *state)
{
	struct reply *r = simple(h, "session.get", "");
	char got[32] = "";

	expect_ok(r);
	(void)jv_strcpy(jv_get(r->v, "state"), got, sizeof(got));
	STR_EQ(got, state);
	drop(r);
}

int64_t pid_of(struct host *h)
{
	struct reply *r = simple(h, "session.get", "");
	int64_t pid;

	expect_ok(r);
	pid = jv_int(jv_get(r->v, "pid"), 0);
	drop(r);
	return pid;
}

struct reply *resume(struct host *h, const char *args, const char *more)
{
	return begin(h, "session.resume",
		     "{\"session\":\"" SES "\",\"agent\":{\"name\":\"echo\","
		     "\"command\":\"%s\",\"args\":[%s]}%s}",
		     h->agent, args, more);
}

const char *ctx_of(const struct event *ev, const char *key, char out[ID_MAX])
{
	autojson struct json j = {0};

	EQ(json_parse(&j, ev->ctx, ev->ctx_len, NULL), 0);
	OK(jv_strcpy(jv_get(json_root(&j), key), out, ID_MAX) >= 0);
	return out;
}

struct reply *answer(struct host *h, const char *request, const char *option)
{
	return begin(h, "session.answer",
		     "{\"session\":\"" SES "\",\"request\":\"%s\","
		     "\"option\":\"%s\"}",
		     request, option);
}
