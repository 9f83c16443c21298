// SPDX-License-Identifier: Apache-2.0
/*
 * bench_system.c - The whole system, timed from where a user stands
 *
 * Each figure is a median of its rounds, or one long run for rates, next to a
 * baseline measured in the same run: ratios carry over to other machines,
 * absolute times do not.  Runs in a state folder of its own.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/json.h"
#include "host/hib.h"

#define ROUNDS	     30
#define PROMPTS	     200
#define FLOOD_EVENTS 200000
#define FLOOD_BYTES  200
#define IDLE_SECONDS 5
#define FIGURES_MAX  24

extern char **environ;

/* One line of the report. */
struct figure {
	const char *name, *unit;
	double value;
	const char *baseline; /* NULL: none. */
	double base;
	const char *budget;
};

static struct {
	struct figure figures[FIGURES_MAX];
	size_t n;
	char home[64], bin[4096], libexec[4096];
	struct hib *h;
	char vm[HIB_ID_MAX];
} b;

/* --- tools -------------------------------------------------------------- */

static void die(const char *what, const struct hib_error *e)
{
	fprintf(stderr, "bench: %s: %s\n", what, e ? e->message : "failed");
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, c = *(const double *)y;

	return (a > c) - (a < c);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static void report(struct figure f)
{
	b.figures[b.n++] = f;
	fprintf(stderr, "  %s: %.3g %s\n", f.name, f.value, f.unit);
}

/* Run a program to its end, its output thrown away. */
static void run(const char *const *argv)
{
	char *const *args = (char *const *)(uintptr_t)argv; /* Only read. */
	posix_spawn_file_actions_t fa;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &fa, NULL, args, environ) != 0 ||
	    waitpid(pid, &status, 0) < 0 || status != 0)
		die(argv[0], NULL);
	posix_spawn_file_actions_destroy(&fa);
}

static double time_program(const char *const *argv, size_t rounds)
{
	double v[ROUNDS];

	for (size_t i = 0; i < rounds; i++) {
		double began = now_us();

		run(argv);
		v[i] = now_us() - began;
	}
	return median(v, rounds);
}

/* --- boot --------------------------------------------------------------- */

static void forget_vm(const char *vm)
{
	struct hib_error e;

	if (hib_vm_destroy(b.h, vm, true, &e) < 0)
		die("destroy a VM", &e);
}

static void bench_boot(void)
{
	const char *bwrap[] = {"bwrap", "--unshare-all", "--ro-bind", "/",
			       "/",	"/bin/true",	 NULL};
	double v[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		struct hib_vm_options o = {.size = sizeof(o)};
		char vm[HIB_ID_MAX];
		struct hib_error e;
		double began = now_us();

		if (hib_vm_create(b.h, &o, vm, NULL, &e) < 0)
			die("create a VM", &e);
		v[i] = (now_us() - began) / 1e3;
		forget_vm(vm);
	}
	report((struct figure){"VM create to hello, by the API", "ms",
			       median(v, ROUNDS), "bwrap --unshare-all true",
			       time_program(bwrap, ROUNDS) / 1e3,
			       "5 ms, 1.2 x"});
}

/* --- session ------------------------------------------------------------ */

/* An agent started by hand, with pipes. */
struct by_hand {
	pid_t pid;
	int in;
	FILE *out;
	char session[64];
};

static struct by_hand agent_start(void)
{
	char path[4200];
	char *argv[] = {path, NULL};
	posix_spawn_file_actions_t fa;
	int in[2], out[2];
	struct by_hand a;

	snprintf(path, sizeof(path), "%s/echo-agent", b.libexec);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe", NULL);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	if (posix_spawn(&a.pid, path, &fa, NULL, argv, environ) != 0)
		die(path, NULL);
	posix_spawn_file_actions_destroy(&fa);
	close(in[0]);
	close(out[1]);
	a.in = in[1];
	a.out = fdopen(out[0], "r");
	return a;
}

static void agent_say(struct by_hand *a, const char *line)
{
	if (write(a->in, line, strlen(line)) < 0)
		die("agent", NULL);
}

static char answer[1 << 20];

/* Lines until the answer to a request. */
static unsigned agent_until(struct by_hand *a, const char *id)
{
	unsigned n = 0;

	while (fgets(answer, sizeof(answer), a->out) != NULL) {
		n++;
		if (strstr(answer, id) == NULL)
			continue;
		if (strstr(answer, "\"result\"") != NULL)
			return n;
		if (strstr(answer, "\"error\"") != NULL)
			break;
	}
	die("agent by hand: no good answer", NULL);
	return 0;
}

static void agent_greet(struct by_hand *a)
{
	const char *at;

	agent_say(a, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","
		     "\"params\":{\"protocolVersion\":1}}\n");
	agent_until(a, "\"id\":0");
	agent_say(a, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/new\","
		     "\"params\":{\"cwd\":\"/\",\"mcpServers\":[]}}\n");
	agent_until(a, "\"id\":1");
	at = strstr(answer, "\"sessionId\":\"");
	if (at == NULL)
		die("agent by hand: no session", NULL);
	at += strlen("\"sessionId\":\"");
	snprintf(a->session, sizeof(a->session), "%.*s", (int)strcspn(at, "\""),
		 at);
}

static void agent_stop(struct by_hand *a)
{
	close(a->in);
	fclose(a->out);
	kill(a->pid, SIGKILL);
	waitpid(a->pid, NULL, 0);
}

static void new_session(char id[HIB_ID_MAX])
{
	struct hib_session_options o = {
		.size = sizeof(o), .agent = "echo", .vm = b.vm};
	struct hib_error e;

	if (hib_create_session(b.h, &o, id, NULL, &e) < 0)
		die("create a session", &e);
}

static void end_session(const char *id)
{
	struct hib_error e;

	if (hib_close_session(b.h, id, true, NULL, &e) < 0)
		die("close a session", &e);
}

static void bench_create(void)
{
	double v[ROUNDS], base[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		char id[HIB_ID_MAX];
		struct by_hand a;
		double began = now_us();

		new_session(id);
		v[i] = (now_us() - began) / 1e3;
		end_session(id);

		began = now_us();
		a = agent_start();
		agent_greet(&a);
		base[i] = (now_us() - began) / 1e3;
		agent_stop(&a);
	}
	report((struct figure){"createSession", "ms", median(v, ROUNDS),
			       "the agent by hand", median(base, ROUNDS),
			       "3 ms beyond it"});
}

/* --- prompt ------------------------------------------------------------- */

/* One append with fdatasync, on the same disk. */
static double time_sync(void)
{
	char path[96], block[400] = {0};
	double v[PROMPTS];
	int fd;

	snprintf(path, sizeof(path), "%s/log", b.home);
	fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	for (size_t i = 0; i < PROMPTS; i++) {
		double began = now_us();

		if (write(fd, block, sizeof(block)) < 0 || fdatasync(fd) < 0)
			die(path, NULL);
		v[i] = now_us() - began;
	}
	close(fd);
	return median(v, PROMPTS);
}

static void bench_prompt(const char *session)
{
	double v[PROMPTS];

	for (size_t i = 0; i < PROMPTS; i++) {
		struct hib_reply r = {.size = sizeof(r)};
		struct hib_error e;
		double began = now_us();

		if (hib_send_prompt(b.h, session, HIB_TEXT("hi"), &r, &e) < 0)
			die("prompt", &e);
		v[i] = now_us() - began;
		if (strcmp(r.text, "hi") != 0)
			die("prompt: another answer", NULL);
		hib_reply_done(&r);
	}
	report((struct figure){"prompt round trip, durable", "us",
			       median(v, PROMPTS), "one fdatasync", time_sync(),
			       "1 ms, 4 x"});
}

/* --- throughput --------------------------------------------------------- */

struct count {
	int64_t next;
	uint64_t n, gaps, chunks;
};

static void on_event(const struct hib_event *ev, void *arg)
{
	struct count *c = arg;

	c->gaps += c->next != 0 && ev->seq != c->next;
	c->next = ev->seq + 1;
	c->n++;
	c->chunks += strcmp(ev->type, "acp.update") == 0;
}

/* The agent into a pipe, read line by line: nothing stored. */
static double flood_by_hand(void)
{
	struct by_hand a = agent_start();
	char line[256];
	double began;
	unsigned n;

	agent_greet(&a);
	snprintf(line, sizeof(line),
		 "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session/prompt\","
		 "\"params\":{\"sessionId\":\"%s\",\"prompt\":[{\"type\":"
		 "\"text\",\"text\":\"!flood %d %d\"}]}}\n",
		 a.session, FLOOD_EVENTS, FLOOD_BYTES);
	began = now_us();
	agent_say(&a, line);
	n = agent_until(&a, "\"id\":2");
	began = now_us() - began;
	agent_stop(&a);
	return n / (began / 1e6);
}

static void bench_flood(const char *session)
{
	struct hib_prompt p = {.size = sizeof(p)};
	struct hib_reply r = {.size = sizeof(r)};
	struct count c = {0};
	char text[64];
	struct hib_error e;
	double began;

	snprintf(text, sizeof(text), "!flood %d %d", FLOOD_EVENTS, FLOOD_BYTES);
	p.text = text;
	began = now_us();
	if (hib_prompt_stream(b.h, session, &p, NULL, on_event, &c, &r, &e) < 0)
		die("flood", &e);
	began = now_us() - began;
	hib_reply_done(&r);
	report((struct figure){"events, agent to subscriber, stored twice",
			       "1/s", (double)c.n / (began / 1e6),
			       "the agent into a pipe", flood_by_hand(),
			       "100 000/s"});
	report((struct figure){"events lost of that run", "",
			       (double)(FLOOD_EVENTS - c.chunks + c.gaps), NULL,
			       0, "0"});
}

/* --- replay ------------------------------------------------------------- */

static double select_loop(const char *session)
{
	char path[96];
	sqlite3 *db;
	sqlite3_stmt *q;
	double began = now_us();
	uint64_t n = 0, bytes = 0;

	snprintf(path, sizeof(path), "%s/hib.db", b.home);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) !=
		    SQLITE_OK ||
	    sqlite3_prepare_v2(db,
			       "SELECT e.seq, e.type, e.data FROM event e JOIN "
			       "session s ON s.n=e.session_n WHERE s.id=?1 "
			       "ORDER BY e.seq",
			       -1, &q, NULL) != SQLITE_OK)
		die(path, NULL);
	sqlite3_bind_text(q, 1, session, -1, SQLITE_STATIC);
	for (; sqlite3_step(q) == SQLITE_ROW; n++)
		bytes += (uint64_t)sqlite3_column_bytes(q, 2);
	sqlite3_finalize(q);
	sqlite3_close(db);
	if (bytes == 0)
		die("select loop: nothing", NULL);
	return (double)n / ((now_us() - began) / 1e6);
}

static void bench_replay(const char *session)
{
	struct count c = {0};
	struct hib_error e;
	double began = now_us();

	if (hib_get_session_events(b.h, session, NULL, on_event, &c, &e) < 0)
		die("replay", &e);
	report((struct figure){"replay by the API", "1/s",
			       (double)c.n / ((now_us() - began) / 1e6),
			       "SQLite SELECT loop", select_loop(session),
			       "500 000/s"});
}

/* --- command, idle ------------------------------------------------------ */

static void bench_command(void)
{
	char hib[4200];
	const char *list[] = {hib, "session", "list", "--json", NULL};
	const char *yes[] = {"true", NULL};

	snprintf(hib, sizeof(hib), "%s/hib", b.bin);
	report((struct figure){"hib session list", "ms",
			       time_program(list, ROUNDS) / 1e3,
			       "fork and exec of true",
			       time_program(yes, ROUNDS) / 1e3, "10 ms"});
}

/* A number behind a key in /proc/PID/status, or 0. */
static long status_of(pid_t pid, const char *key)
{
	char path[64], line[256];
	long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			n = strtol(line + strlen(key) + 1, NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return n;
}

static pid_t number_in(const char *path, const char *key)
{
	char text[512] = "";
	const char *at;
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f != NULL)
		fclose(f);
	text[n] = '\0';
	at = strstr(text, key);
	return at ? (pid_t)strtol(at + strlen(key), NULL, 10) : 0;
}

static void bench_idle(void)
{
	static const char switches[] = "voluntary_ctxt_switches";
	char path[256];
	pid_t hibd, guest;
	long before_h, before_g;

	snprintf(path, sizeof(path), "%s/hibd.pid", b.home);
	hibd = number_in(path, "");
	snprintf(path, sizeof(path), "%s/vms/%s/machine.json", b.home, b.vm);
	guest = number_in(path, "\"pid\":");
	report((struct figure){"hib-guest RSS, idle", "MB",
			       (double)status_of(guest, "VmRSS:") / 1024, NULL,
			       0, "4 MB"});
	report((struct figure){"hibd RSS, one VM", "MB",
			       (double)status_of(hibd, "VmRSS:") / 1024, NULL,
			       0, NULL});
	before_g = status_of(guest, switches);
	before_h = status_of(hibd, switches);
	(void)poll(NULL, 0, IDLE_SECONDS * 1000);
	report((struct figure){"hib-guest wakeups, idle", "1/s",
			       (double)(status_of(guest, switches) - before_g) /
				       IDLE_SECONDS,
			       NULL, 0, "0"});
	report((struct figure){"hibd wakeups, idle", "1/s",
			       (double)(status_of(hibd, switches) - before_h) /
				       IDLE_SECONDS,
			       NULL, 0, "0"});
}

/* --- report ------------------------------------------------------------- */

static void print_json(void)
{
	autojw struct jw w = {0};
	char number[32];

	jw_arr(&w);
	for (size_t i = 0; i < b.n; i++) {
		const struct figure *f = &b.figures[i];

		jw_obj(&w);
		jw_kstr(&w, "name", f->name);
		snprintf(number, sizeof(number), "%.6g", f->value);
		jw_kraw(&w, "value", number);
		jw_kstr(&w, "unit", f->unit);
		jw_kstr(&w, "baseline", f->baseline);
		snprintf(number, sizeof(number), "%.6g", f->base);
		jw_kraw(&w, "baseline_value", f->baseline ? number : NULL);
		snprintf(number, sizeof(number), "%.4g", f->value / f->base);
		jw_kraw(&w, "ratio", f->baseline ? number : NULL);
		jw_kstr(&w, "budget", f->budget);
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	puts(w.buf);
}

static void print_table(void)
{
	printf("| what | measured | baseline | ratio | budget |\n"
	       "|---|---|---|---|---|\n");
	for (size_t i = 0; i < b.n; i++) {
		const struct figure *f = &b.figures[i];

		printf("| %s | %.3g %s |", f->name, f->value, f->unit);
		if (f->baseline != NULL)
			printf(" %s: %.3g %s | %.2f |", f->baseline, f->base,
			       f->unit, f->value / f->base);
		else
			printf(" | |");
		printf(" %s |\n", f->budget ? f->budget : "");
	}
}

static void begin(void)
{
	struct hib_options o = {.size = sizeof(o), .home = b.home};
	struct hib_vm_options vm = {.size = sizeof(vm)};
	const char *out = getenv("O");
	struct hib_error e;

	if (out == NULL)
		die("set O to the build tree, as `make bench` does", NULL);
	snprintf(b.bin, sizeof(b.bin), "%s/bin", out);
	snprintf(b.libexec, sizeof(b.libexec), "%s/libexec", out);
	snprintf(b.home, sizeof(b.home), "/var/tmp/hib-bench.XXXXXX");
	if (mkdtemp(b.home) == NULL)
		die(b.home, NULL);
	setenv("HIB_HOME", b.home, 1);
	if (hib_open(&o, &b.h, &e) < 0 ||
	    hib_vm_create(b.h, &vm, b.vm, NULL, &e) < 0)
		die("start", &e);
}

static void finish(void)
{
	const char *rm[] = {"rm", "-rf", b.home, NULL};
	struct hib_error e;

	forget_vm(b.vm);
	if (hib_shutdown(b.h, true, &e) < 0)
		die("stop", &e);
	hib_close(b.h);
	run(rm);
}

int main(int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	char session[HIB_ID_MAX];

	signal(SIGPIPE, SIG_IGN);
	begin();
	bench_idle();
	bench_boot();
	bench_create();
	new_session(session);
	bench_prompt(session);
	bench_flood(session);
	bench_replay(session);
	bench_command();
	end_session(session);
	finish();
	if (json)
		print_json();
	else
		print_table();
	return 0;
}
