// SPDX-License-Identifier: Apache-2.0
/*
 * test_proc.c - Children: what they get, what they cannot see, how they end
 *
 * Run by an ordinary user, this program first makes itself uid 0 of a user and
 * mount namespace of its own: the place where hib-guest stands in a VM.
 */
#include "guest/proc.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "guest/reaper.h"
#include "guest/session_init.h"
#include "tests/tap.h"

#define MIB (1u << 20)

static const char *const plain_env[] = {
	"PATH=/usr/local/bin:/usr/bin:/bin",
	NULL,
};

/* All that is known of one child. */
struct run {
	uv_loop_t loop;
	struct proc *p;
	char out[16384], err[4096]; /* Lines, each with a ';' behind it. */
	char last[64];		    /* Line. */
	size_t n_lines, longest, n_bytes, n_err, longest_err;
	int started, overlong, drained, exits;
	struct proc_end end;

	/* What a case wants to do at an event. */
	void (*at_line)(struct run *r, const char *line);
	void (*at_start)(struct run *r);
	void (*at_drained)(struct run *r);
	void (*at_exit)(struct run *r);
};

static void add(char *to, size_t cap, const char *text, size_t n)
{
	size_t len = strlen(to);

	if (len + n + 2 < cap)
		snprintf(to + len, cap - len, "%.*s;", (int)n, text);
}

static void on_started(struct proc *p, void *arg)
{
	struct run *r = arg;

	OK(proc_pid(p) > 1);
	r->started++;
	if (r->at_start != NULL)
		r->at_start(r);
}

static void on_line(struct proc *p, char *line, size_t len, void *arg)
{
	struct run *r = arg;

	(void)p;
	EQ(r->exits, 0);
	EQ(line[len], '\0');
	r->n_lines++;
	if (len > r->longest)
		r->longest = len;
	snprintf(r->last, sizeof(r->last), "%s", line);
	add(r->out, sizeof(r->out), line, len);
	if (r->at_line != NULL)
		r->at_line(r, line);
}

static void on_bytes(struct proc *p, char *data, size_t n, void *arg)
{
	struct run *r = arg;

	(void)p;
	EQ(r->exits, 0);
	OK(r->n_bytes + n <= sizeof(r->out));
	memcpy(r->out + r->n_bytes, data, n);
	r->n_bytes += n;
}

static void on_err_line(struct proc *p, char *line, size_t len, void *arg)
{
	struct run *r = arg;

	(void)p;
	EQ(r->exits, 0);
	r->n_err++;
	if (len > r->longest_err)
		r->longest_err = len;
	add(r->err, sizeof(r->err), line, len);
}

static void on_overlong(struct proc *p, void *arg)
{
	struct run *r = arg;

	r->overlong++;
	proc_kill_all(p);
}

static void on_drained(struct proc *p, void *arg)
{
	struct run *r = arg;

	EQ(proc_queued(p), 0);
	r->drained++;
	if (r->at_drained != NULL)
		r->at_drained(r);
}

static void on_exit_event(struct proc *p, const struct proc_end *end, void *arg)
{
	struct run *r = arg;

	(void)p;
	r->exits++;
	r->end = *end;
	if (r->at_exit != NULL)
		r->at_exit(r);
}

static const struct proc_events events = {
	.started = on_started,
	.line = on_line,
	.bytes = on_bytes,
	.err_line = on_err_line,
	.overlong = on_overlong,
	.drained = on_drained,
	.exit = on_exit_event,
};

static void begin(struct run *r, const struct proc_spec *spec)
{
	struct err e = {0};

	EQ(uv_loop_init(&r->loop), 0);
	if (proc_spawn(&r->loop, spec, &events, r, &r->p, &e) < 0)
		FAIL("%s", e.msg);
	EQ(r->started + r->exits, 0);
}

static void finish(struct run *r)
{
	EQ(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&r->loop), 0);
	EQ(r->exits, 1);
}

static void run(struct run *r, const struct proc_spec *spec)
{
	begin(r, spec);
	finish(r);
}

#define SCRIPT(text)                        \
	(const char *const[])               \
	{                                   \
		"/bin/sh", "-c", text, NULL \
	}

/* Run a shell script to its end. */
static void run_script(struct run *r, const char *script, bool isolate)
{
	run(r, &(struct proc_spec){
		       .argv = SCRIPT(script),
		       .env = plain_env,
		       .cwd = "/",
		       .isolate = isolate,
	       });
}

/* Skip a case where the kernel refuses namespaces. */
static void need_namespaces(void)
{
	struct run r = {0};
	struct err e = {0};
	struct proc_spec spec = {
		.argv = SCRIPT(":"), .cwd = "/", .isolate = true};
	int code;

	EQ(uv_loop_init(&r.loop), 0);
	code = proc_spawn(&r.loop, &spec, &events, &r, &r.p, &e);
	EQ(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&r.loop), 0);
	if (code == 0 && r.end.failed == PROC_STEP_NONE)
		return;
	SKIP("%s", code < 0 ? e.msg : r.end.err.msg);
}

static void at_time(struct run *r, uv_timer_t *t, unsigned ms, uv_timer_cb cb)
{
	EQ(uv_timer_init(&r->loop, t), 0);
	t->data = r;
	EQ(uv_timer_start(t, cb, ms, 0), 0);
}

static void close_handle(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, NULL);
}

/* --- what a child gets --------------------------------------------------- */

TEST(environment_is_exactly_what_is_given)
{
	static const char want[] = "B=2\0A=\0C=x y\nz;$(id)\0B=again";
	const char *env[] = {"B=2", "A=", "C=x y\nz;$(id)", "B=again", NULL};
	const char *argv[] = {"/bin/cat", "/proc/self/environ", NULL};
	struct run r = {0};

	run(&r, &(struct proc_spec){.argv = argv,
				    .env = env,
				    .cwd = "/",
				    .out = PROC_STDOUT_BYTES});
	EQ(r.n_bytes, sizeof(want));
	EQ(memcmp(r.out, want, sizeof(want)), 0);
}

TEST(no_environment_is_an_empty_one)
{
	const char *argv[] = {"/usr/bin/env", NULL};
	struct run r = {0};

	run(&r, &(struct proc_spec){.argv = argv, .cwd = "/"});
	STR_EQ(r.out, "");
	EQ(r.end.code, 0);
}

TEST(arguments_are_literal)
{
	const char *argv[] = {"printf", "%s\n", "; exit 3", "$(id)",
			      "`a` 'b", "",	NULL};
	struct run r = {0};

	run(&r,
	    &(struct proc_spec){.argv = argv, .env = plain_env, .cwd = "/"});
	STR_EQ(r.out, "; exit 3;$(id);`a` 'b;;");
}

TEST(a_megabyte_of_environment_arrives)
{
	const char *env[32] = {0};
	struct run r = {0};
	char *big = malloc(64 << 10);

	OK(big != NULL);
	memset(big, 'x', 64 << 10);
	memcpy(big, "V=", 2);
	big[(64 << 10) - 1] = '\0';
	for (int i = 0; i < 16; i++)
		env[i] = big;
	run(&r, &(struct proc_spec){.argv = SCRIPT("wc -c </proc/self/environ"),
				    .env = env,
				    .cwd = "/"});
	STR_EQ(r.out, "1048576;");
	free(big);
}

TEST(stdin_and_descriptors_are_empty)
{
	int leaked = fcntl(1, F_DUPFD, 77); /* Without close-on-exec. */
	struct run r = {0};

	EQ(leaked, 77);
	run_script(&r, "cat; cd /proc/$$/fd; [ -e 2 ] && [ ! -e 77 ]", false);
	EQ(r.end.code, 0);
}

TEST(signals_and_limits_are_the_defaults)
{
	struct run r = {0};

	OK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	umask(077);
	run_script(&r,
		   "grep -E '^Sig(Blk|Ign)' /proc/$$/status | tr -d '\\t'; "
		   "umask; ulimit -c",
		   false);
	STR_EQ(r.out, "SigBlk:0000000000000000;SigIgn:0000000000000000;"
		      "0022;0;");
}

TEST(child_has_a_session_of_its_own)
{
	struct run r = {0};

	run_script(&r, "set -- $(cat /proc/$$/stat); [ $6 = $$ ] && echo $6",
		   false);
	EQ(r.n_lines, 1);
}

/* --- lines --------------------------------------------------------------- */

TEST(last_line_comes_before_exit)
{
	struct run r = {0};

	run_script(&r, "seq 1 50000; exit 7", false);
	EQ(r.n_lines, 50000);
	STR_EQ(r.last, "50000");
	EQ(r.started, 1);
	EQ(r.end.code, 7);
	EQ(r.end.signal, 0);
	EQ(r.end.failed, PROC_STEP_NONE);
}

TEST(stderr_comes_line_by_line)
{
	struct run r = {0};

	run_script(&r, "echo a >&2; printf 'b\\303(\\n\\nend' >&2", false);
	STR_EQ(r.err, "a;b\303(;;end;");
	STR_EQ(r.out, "");
}

TEST(long_stderr_lines_come_in_pieces)
{
	struct run r = {0};

	run_script(&r,
		   "{ head -c 65536 /dev/zero; echo; head -c 65537 /dev/zero; "
		   "echo; } | tr '\\0' x >&2",
		   false);
	EQ(r.n_err, 3);
	EQ(r.longest_err, PROC_ERR_LINE_MAX);
}

TEST(stderr_can_go_where_stdout_goes)
{
	struct run r = {0};

	run(&r, &(struct proc_spec){.argv = SCRIPT("echo a >&2; echo b"),
				    .env = plain_env,
				    .cwd = "/",
				    .merge_stderr = true});
	STR_EQ(r.out, "a;b;");
	STR_EQ(r.err, "");
}

TEST(a_line_of_16_mib_passes)
{
	struct run r = {0};

	run_script(&r, "head -c 16777216 /dev/zero | tr '\\0' x; echo", false);
	EQ(r.longest, 16 * MIB);
	EQ(r.overlong, 0);
	EQ(r.end.code, 0);
}

TEST(a_line_of_17_mib_is_overlong)
{
	struct run r = {0};

	run_script(&r, "echo a; head -c 17825792 /dev/zero | tr '\\0' x; echo",
		   false);
	STR_EQ(r.out, "a;");
	EQ(r.overlong, 1);
}

static size_t lines_at_pause;

static void resume_and_kill(uv_timer_t *t)
{
	struct run *r = t->data;

	/* At most one read of 64 KiB, two bytes a line. */
	OK(r->n_lines - lines_at_pause <= 32 * 1024);
	lines_at_pause = r->n_lines;
	proc_resume(r->p);
	proc_kill_all(r->p);
	close_handle(t);
}

static void pause_once(struct run *r, const char *line)
{
	static uv_timer_t t;

	(void)line;
	if (lines_at_pause > 0)
		return;
	lines_at_pause = r->n_lines;
	proc_pause(r->p);
	at_time(r, &t, 200, resume_and_kill);
}

TEST(pause_stops_a_flooding_child)
{
	struct run r = {.at_line = pause_once};

	run_script(&r, "yes", false);
	OK(r.n_lines > lines_at_pause);
	EQ(r.end.signal, SIGKILL);
}

static void just_resume(uv_timer_t *t)
{
	struct run *r = t->data;

	EQ(r->exits, 0);
	proc_resume(r->p);
	close_handle(t);
}

TEST(exit_waits_for_lines_that_are_paused)
{
	struct run r = {0};
	uv_timer_t t;

	begin(&r, &(struct proc_spec){.argv = SCRIPT("echo a; echo b"),
				      .env = plain_env,
				      .cwd = "/"});
	proc_pause(r.p);
	at_time(&r, &t, 200, just_resume);
	finish(&r);
	STR_EQ(r.out, "a;b;");
}

static void pause_and_end(uv_timer_t *t)
{
	struct run *r = t->data;

	proc_pause(r->p);
	proc_close_stdin(r->p);
	EQ(uv_timer_start(t, just_resume, 200, 0), 0);
}

TEST(exit_waits_though_both_outputs_are_closed)
{
	struct run r = {0};
	uv_timer_t t;

	begin(&r, &(struct proc_spec){.argv = SCRIPT("exec >&- 2>&-; read x; "
						     "exit 3"),
				      .env = plain_env,
				      .cwd = "/",
				      .want_stdin = true});
	at_time(&r, &t, 200, pause_and_end);
	finish(&r);
	EQ(r.end.code, 3);
}

/* --- stdin --------------------------------------------------------------- */

static void close_its_stdin(struct run *r)
{
	proc_close_stdin(r->p);
	EQ(proc_write(r->p, "x", 1), -EPIPE);
}

/* Until it has stopped itself there is nothing to continue: do it again. */
static void continue_it(uv_timer_t *t)
{
	struct run *r = t->data;

	if (r->drained > 0) {
		close_handle(t);
		return;
	}
	proc_kill(r->p, SIGCONT);
	EQ(uv_timer_start(t, continue_it, 20, 0), 0);
}

static void expect_queue(uv_timer_t *t)
{
	struct run *r = t->data;

	OK(proc_queued(r->p) > 7 * MIB);
	EQ(proc_write(r->p, "", PROC_STDIN_MAX), -ENOBUFS);
	continue_it(t);
}

TEST(stdin_waits_for_a_child_that_does_not_read)
{
	struct run r = {.at_drained = close_its_stdin};
	char *block = calloc(1, 4 * MIB);
	uv_timer_t t;

	OK(block != NULL);
	begin(&r, &(struct proc_spec){.argv = SCRIPT("kill -STOP $$; wc -c"),
				      .env = plain_env,
				      .cwd = "/",
				      .want_stdin = true});
	EQ(proc_write(r.p, block, 4 * MIB), 0);
	EQ(proc_write(r.p, block, 4 * MIB), 0);
	free(block);
	at_time(&r, &t, 200, expect_queue);
	finish(&r);
	STR_EQ(r.out, "8388608;");
	EQ(r.drained, 1);
}

TEST(writes_are_in_order)
{
	struct run r = {.at_drained = close_its_stdin};
	char line[16];

	begin(&r, &(struct proc_spec){.argv = SCRIPT("tail -n 1"),
				      .env = plain_env,
				      .cwd = "/",
				      .want_stdin = true});
	for (int i = 1; i <= 1000; i++) {
		int n = snprintf(line, sizeof(line), "%d\n", i);

		EQ(proc_write(r.p, line, (size_t)n), 0);
	}
	finish(&r);
	STR_EQ(r.out, "1000;");
}

static void write_again(struct run *r, const char *line)
{
	(void)line;
	(void)proc_write(r->p, "more", 4);
}

TEST(a_closed_stdin_is_survived)
{
	struct run r = {.at_line = write_again};

	begin(&r, &(struct proc_spec){.argv = SCRIPT("exec <&-; echo a; "
						     "sleep 0.1; echo b"),
				      .env = plain_env,
				      .cwd = "/",
				      .want_stdin = true});
	finish(&r);
	STR_EQ(r.out, "a;b;");
	EQ(r.end.code, 0);
}

/* --- the end ------------------------------------------------------------- */

TEST(signal_is_reported)
{
	struct run r = {0};

	run_script(&r, "kill -9 $$", false);
	EQ(r.end.signal, 9);
}

static void terminate(struct run *r, const char *line)
{
	if (strcmp(line, "up") == 0)
		proc_kill(r->p, SIGTERM);
}

static void signals_reach_the_program(bool isolate)
{
	struct run r = {.at_line = terminate};

	run_script(&r,
		   "trap 'echo got; exit 5' TERM; sleep 1000 & echo up; wait",
		   isolate);
	STR_EQ(r.out, "up;got;");
	EQ(r.end.code, 5);
}

TEST(kill_reaches_the_program)
{
	signals_reach_the_program(false);
}

static void kill_at_once(struct run *r)
{
	proc_kill_all(r->p);
}

TEST(kill_all_ends_a_process_group)
{
	struct run r = {.at_start = kill_at_once};

	run_script(&r, "sleep 1000 | cat", false);
	EQ(r.end.signal, SIGKILL);
}

static void expect_failure(const char *const *argv, const char *cwd,
			   enum proc_step step, int code)
{
	for (int isolate = 0; isolate <= 1; isolate++) {
		struct run r = {0};

		if (isolate)
			need_namespaces();
		run(&r, &(struct proc_spec){.argv = argv,
					    .env = plain_env,
					    .cwd = cwd,
					    .isolate = isolate});
		EQ(r.started, 0);
		EQ(r.end.failed, step);
		EQ(r.end.err.code, code);
		OK(strstr(r.end.err.msg, strerror(-code)) != NULL);
	}
}

TEST(a_missing_program_is_told)
{
	const char *argv[] = {"/no/such", NULL};
	const char *in_path[] = {"no-such-program", NULL};

	expect_failure(argv, "/", PROC_STEP_EXEC, -ENOENT);
	expect_failure(in_path, "/", PROC_STEP_EXEC, -ENOENT);
}

TEST(a_file_that_is_no_program_is_told)
{
	const char *argv[] = {"/etc/passwd", NULL};

	expect_failure(argv, "/", PROC_STEP_EXEC, -EACCES);
}

TEST(a_missing_cwd_is_told)
{
	const char *argv[] = {"/bin/true", NULL};

	expect_failure(argv, "/no/such", PROC_STEP_CWD, -ENOENT);
}

TEST(a_missing_init_fails_at_once)
{
	struct proc_spec spec = {
		.argv = SCRIPT(":"), .cwd = "/", .init = "/no/such"};
	struct run r = {0};
	struct err e = {0};

	EQ(uv_loop_init(&r.loop), 0);
	EQ(proc_spawn(&r.loop, &spec, &events, &r, &r.p, &e), -ENOENT);
	EQ(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&r.loop), 0);
	EQ(r.exits, 0);
}

static void abandon(bool paused)
{
	struct run r = {0};

	begin(&r, &(struct proc_spec){
			  .argv = SCRIPT("yes"), .env = plain_env, .cwd = "/"});
	if (paused)
		proc_pause(r.p);
	proc_abandon(r.p);
	EQ(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&r.loop), 0);
	EQ(r.exits + r.started, 0);
	EQ(r.n_lines, 0);
}

TEST(an_abandoned_child_is_silent)
{
	abandon(false);
	abandon(true);
}

TEST(a_pipe_held_open_elsewhere_does_not_delay_the_end)
{
	struct run r = {0};
	pid_t holder;

	run_script(&r, "setsid sleep 100 & echo $!; exit 4", false);
	EQ(r.end.code, 4);
	holder = atoi(r.last);
	OK(holder > 1);
	EQ(kill(holder, SIGKILL), 0); /* It was there still. */
}

/* --- isolation ----------------------------------------------------------- */

struct tree {
	char root[64];
	char fifo[80];
};

static void make_tree(struct tree *t)
{
	snprintf(t->root, sizeof(t->root), "/tmp/hib-proc-XXXXXX");
	OK(mkdtemp(t->root) != NULL);
	EQ(chmod(t->root, 0755), 0);
	snprintf(t->fifo, sizeof(t->fifo), "%s/fifo", t->root);
	EQ(mkfifo(t->fifo, 0666), 0);
	EQ(chmod(t->fifo, 0666), 0);
}

static void remove_tree(struct tree *t)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", t->root);
	EQ(system(command), 0);
}

static void kill_when_up(struct run *r, const char *line)
{
	if (strcmp(line, "up") == 0)
		proc_kill_all(r->p);
}

TEST(nothing_survives_kill_all)
{
	struct run r = {.at_line = kill_when_up};
	char script[512], byte;
	struct tree t;
	int fifo;

	need_namespaces();
	make_tree(&t);
	fifo = open(t.fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	OK(fifo >= 0);
	/* A daemon: own session, two forks, deaf to signals.  It holds the
	 * fifo open for as long as it lives. */
	snprintf(script, sizeof(script),
		 "trap '' TERM HUP INT; setsid sh -c '(exec 3>%s; echo up; "
		 "exec sleep 1000 >/dev/null 2>&1) &' & wait; sleep 1000",
		 t.fifo);
	run_script(&r, script, true);
	STR_EQ(r.out, "up;");
	EQ(r.end.signal, SIGKILL);
	EQ(read(fifo, &byte, 1), 0); /* No writer left. */
	close(fifo);
	remove_tree(&t);
}

TEST(nothing_survives_the_program)
{
	struct run r = {0};
	char script[512], byte;
	struct tree t;
	int fifo;

	need_namespaces();
	make_tree(&t);
	fifo = open(t.fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	OK(fifo >= 0);
	/* The program goes on when its child has opened the fifo. */
	snprintf(script, sizeof(script),
		 "{ setsid sh -c 'exec 3>%s; echo up; exec sleep 1000' & } | "
		 "read x; exit 3",
		 t.fifo);
	run_script(&r, script, true);
	EQ(r.end.code, 3);
	EQ(read(fifo, &byte, 1), 0);
	close(fifo);
	remove_tree(&t);
}

TEST(isolated_programs_get_signals)
{
	need_namespaces();
	signals_reach_the_program(true);
}

TEST(agent_is_uid_1000_without_capabilities)
{
	struct run r = {0};

	need_namespaces();
	run_script(&r,
		   "id -u; id -g; id -G; grep -E '^(Cap|NoNewPrivs|SigBlk)' "
		   "/proc/self/status | tr -d '\\t'",
		   true);
	/* Where groups cannot be set, those of the user stay, without names. */
	OK(strncmp(r.out, "1000;1000;1000", 14) == 0);
	STR_EQ(strstr(r.out, "SigBlk"),
	       "SigBlk:0000000000000000;"
	       "CapInh:0000000000000000;CapPrm:0000000000000000;"
	       "CapEff:0000000000000000;CapBnd:0000000000000000;"
	       "CapAmb:0000000000000000;NoNewPrivs:1;");
}

TEST(root_of_the_vm_can_be_kept)
{
	struct run r = {0};

	need_namespaces();
	run(&r, &(struct proc_spec){.argv = SCRIPT("id -u"),
				    .env = plain_env,
				    .cwd = "/",
				    .isolate = true,
				    .user = PROC_USER_SAME});
	STR_EQ(r.out, "0;");
}

TEST(agent_sees_only_its_own_processes)
{
	struct run r = {0};

	need_namespaces();
	run_script(&r, "echo $$; cd /proc; for p in [0-9]*; do echo $p; done",
		   true);
	STR_EQ(r.out, "2;1;2;");
}

TEST(agent_cannot_look_into_its_init)
{
	struct run r = {0};

	need_namespaces();
	run_script(&r,
		   "for f in environ maps mem fd/3 exe; do "
		   "head -c 1 /proc/1/$f 2>/dev/null | wc -c; done; "
		   "kill -9 1; kill -STOP 1; echo alive",
		   true);
	STR_EQ(r.out, "0;0;0;0;0;alive;");
	EQ(r.end.code, 0);
}

TEST(agent_can_debug_itself)
{
	struct run r = {0};

	need_namespaces();
	run_script(&r, "head -c 5 /proc/self/environ; echo", true);
	STR_EQ(r.out, "PATH=;");
}

static void look_for_secret(const char *root, const char *want)
{
	char state[96], script[512];
	const char *hide[] = {state, "/no/such", NULL};
	struct run r = {0};

	snprintf(state, sizeof(state), "%s/state", root);
	snprintf(script, sizeof(script),
		 "cat %s/secret 2>/dev/null; ls -A %s | wc -l; "
		 "grep -c ' %s ' /proc/mounts",
		 state, state, state);
	run(&r, &(struct proc_spec){.argv = SCRIPT(script),
				    .env = plain_env,
				    .cwd = "/",
				    .isolate = true,
				    .hide = hide});
	STR_EQ(r.out, want);
}

static void put_secret(const char *state)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/secret", state);
	f = fopen(path, "we");
	OK(f != NULL);
	fputs("s3cret\n", f);
	fclose(f);
}

TEST(hidden_folders_are_empty)
{
	struct tree t;
	char state[96];

	need_namespaces();
	make_tree(&t);
	snprintf(state, sizeof(state), "%s/state", t.root);
	EQ(mkdir(state, 0755), 0);

	/* A folder like any other is covered. */
	put_secret(state);
	look_for_secret(t.root, "0;1;");

	/* A mount is taken away first, for the child alone. */
	snprintf(state, sizeof(state), "%s/state/secret", t.root);
	EQ(unlink(state), 0);
	snprintf(state, sizeof(state), "%s/state", t.root);
	EQ(unshare(CLONE_NEWNS), 0);
	EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	EQ(mount("none", state, "tmpfs", 0, NULL), 0);
	put_secret(state);
	look_for_secret(t.root, "0;1;");
	put_secret(state); /* It is still there for us. */
	EQ(umount(state), 0);
	remove_tree(&t);
}

TEST(cwd_is_entered_as_the_agent)
{
	const char *argv[] = {"/bin/true", NULL};
	struct run r = {0};
	struct tree t;

	need_namespaces();
	make_tree(&t);
	EQ(chmod(t.root, 0), 0);
	run(&r,
	    &(struct proc_spec){.argv = argv, .cwd = t.root, .isolate = true});
	EQ(r.end.failed, PROC_STEP_CWD);
	EQ(r.end.err.code, -EACCES);
	EQ(chmod(t.root, 0700), 0);
	remove_tree(&t);
}

TEST(init_buries_a_thousand_orphans)
{
	struct run r = {0};

	need_namespaces();
	run_script(&r,
		   "i=0; while [ $i -lt 1000 ]; do (: &); i=$((i+1)); done; "
		   "while [ $(ls /proc | grep -c '^[0-9]') -gt 5 ]; "
		   "do sleep 0.01; done; cat /proc/[0-9]*/stat | grep -c ') Z'",
		   true);
	STR_EQ(r.out, "0;");
}

/* --- joining a session --------------------------------------------------- */

/* A program, and one that is started in its namespaces once it says "up". */
struct pair {
	struct run outer, inner;
	const char *script;	 /* Of the inner one. */
	const char *const *hide; /* From the outer one. */
	const struct quota *quota;
};
static struct pair pair;

static int spawn_inner(struct run *r, struct err *e)
{
	return proc_spawn(&r->loop,
			  &(struct proc_spec){.argv = SCRIPT(pair.script),
					      .env = plain_env,
					      .cwd = "/",
					      .isolate = true,
					      .quota = pair.quota,
					      .join = r->p},
			  &events, &pair.inner, &pair.inner.p, e);
}

static void spawn_when_up(struct run *r, const char *line)
{
	struct err e = {0};

	if (strcmp(line, "up") == 0 && spawn_inner(r, &e) < 0)
		FAIL("%s", e.msg);
}

static void close_outer_stdin(struct run *r)
{
	(void)r;
	if (pair.outer.exits == 0)
		proc_close_stdin(pair.outer.p);
}

static void begin_pair(const char *outer, const char *inner)
{
	need_namespaces();
	pair.script = inner;
	pair.outer.at_line = spawn_when_up;
	pair.inner.at_exit = close_outer_stdin;
	begin(&pair.outer, &(struct proc_spec){.argv = SCRIPT(outer),
					       .env = plain_env,
					       .cwd = "/",
					       .isolate = true,
					       .hide = pair.hide,
					       .quota = pair.quota,
					       .want_stdin = true});
}

/* With "cat" at its end the outer program lives as long as the inner one. */
static void run_pair(const char *outer, const char *inner)
{
	begin_pair(outer, inner);
	finish(&pair.outer);
	EQ(pair.inner.exits, 1);
}

TEST(joined_program_is_the_same_user)
{
	static const char who[] = "id -u; readlink /proc/self/ns/user; "
				  "grep ^CapEff /proc/self/status; echo up";
	char outer[128];

	snprintf(outer, sizeof(outer), "%s; cat", who);
	run_pair(outer, who);
	STR_EQ(pair.inner.out, pair.outer.out);
	OK(strncmp(pair.inner.out, "1000;", 5) == 0);
	EQ(pair.outer.end.code, 0);
}

TEST(joined_program_sees_what_the_session_sees)
{
	const char *hide[] = {NULL, NULL};
	char state[96], script[256];
	struct tree t;

	make_tree(&t);
	snprintf(state, sizeof(state), "%s/state", t.root);
	EQ(mkdir(state, 0755), 0);
	put_secret(state);
	hide[0] = state;
	pair.hide = hide;
	snprintf(script, sizeof(script),
		 "ls -A %s | wc -l; echo $$; "
		 "cd /proc; for p in [0-9]*; do echo $p; done",
		 state);
	run_pair("echo up; cat", script);
	STR_EQ(pair.inner.out, "0;2;1;2;");
	remove_tree(&t);
}

static void kill_outer_when_in(struct run *r, const char *line)
{
	(void)r;
	if (strcmp(line, "in") == 0)
		proc_kill_all(pair.outer.p);
}

static void end_outer_when_in(struct run *r, const char *line)
{
	if (strcmp(line, "in") == 0)
		close_outer_stdin(r);
}

static void kill_inner_when_in(struct run *r, const char *line)
{
	if (strcmp(line, "in") == 0)
		proc_kill_all(r->p);
}

/* A daemon in the joined program: own session, two forks, deaf to signals. */
static int begin_daemon(struct tree *t, const char *outer)
{
	static char script[512];
	int fifo;

	make_tree(t);
	fifo = open(t->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	OK(fifo >= 0);
	snprintf(script, sizeof(script),
		 "trap '' TERM HUP INT; setsid sh -c '(exec 3>%s; echo in; "
		 "exec sleep 1000 >/dev/null 2>&1) &' & wait; sleep 1000",
		 t->fifo);
	begin_pair(outer, script);
	return fifo;
}

static void end_daemon(struct tree *t, int fifo)
{
	char byte;

	finish(&pair.outer);
	EQ(pair.inner.exits, 1);
	STR_EQ(pair.inner.out, "in;");
	EQ(pair.inner.end.signal, SIGKILL);
	EQ(read(fifo, &byte, 1), 0); /* No writer left. */
	close(fifo);
	remove_tree(t);
}

TEST(killing_the_session_kills_what_joined_it)
{
	struct tree t;
	int fifo;

	pair.inner.at_line = kill_outer_when_in;
	fifo = begin_daemon(&t, "echo up; cat");
	end_daemon(&t, fifo);
	EQ(pair.outer.end.signal, SIGKILL);
}

TEST(the_end_of_the_session_ends_what_joined_it)
{
	struct tree t;
	int fifo;

	pair.inner.at_line = end_outer_when_in;
	fifo = begin_daemon(&t, "echo up; cat; exit 3");
	end_daemon(&t, fifo);
	EQ(pair.outer.end.code, 3);
}

TEST(killing_what_joined_leaves_the_session)
{
	struct tree t;
	int fifo;

	pair.inner.at_line = kill_inner_when_in;
	fifo = begin_daemon(&t, "echo up; cat; exit 4");
	end_daemon(&t, fifo);
	EQ(pair.outer.end.code, 4);
}

TEST(only_a_program_that_runs_can_be_joined)
{
	struct err e = {0};

	begin_pair("exit 0", ":");
	EQ(spawn_inner(&pair.outer, &e), -ESRCH);
	finish(&pair.outer);
	EQ(pair.inner.exits, 0);
}

/* --- quotas -------------------------------------------------------------- */

/* The outer program starts what it can, and says so when it can no more; then
 * the joined one finds no room either.  A shell that cannot fork ends. */
TEST(processes_are_limited_for_all_of_a_session)
{
	static const struct quota quota = {.processes = 20};

	pair.quota = &quota;
	run_pair("trap 'echo up; exec cat' EXIT; i=0; "
		 "while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 1000 & "
		 "done; echo all",
		 "sleep 0 & wait; echo in");
	OK(strstr(pair.outer.out, "19;20;up;") != NULL);
	STR_EQ(pair.inner.out, "");
	OK(pair.inner.end.code != 0);
}

static struct run third;

/* Once the first session is full, another one is started and gets full, too. */
static void fill_another(struct run *r, const char *line)
{
	static const char many[] =
		"i=0; while [ $i -lt 15 ]; do sleep 1000 & i=$((i+1)); done; "
		"echo up";
	struct err e = {0};

	if (strcmp(line, "up") == 0 &&
	    proc_spawn(&r->loop,
		       &(struct proc_spec){.argv = SCRIPT(many),
					   .env = plain_env,
					   .cwd = "/",
					   .isolate = true,
					   .quota = pair.quota},
		       &events, &third, &third.p, &e) < 0)
		FAIL("%s", e.msg);
}

TEST(another_session_has_a_count_of_its_own)
{
	static const struct quota quota = {.processes = 20};

	pair.quota = &quota;
	third.at_exit = close_outer_stdin;
	begin_pair("i=0; while [ $i -lt 15 ]; do sleep 1000 & i=$((i+1)); "
		   "done; echo up; cat",
		   NULL);
	pair.outer.at_line = fill_another;
	finish(&pair.outer);
	STR_EQ(third.err, "");
	STR_EQ(third.end.err.msg, "");
	STR_EQ(third.out, "up;");
	EQ(third.end.code, 0);
}

TEST(memory_and_files_are_limited_for_each_process)
{
	static const struct quota quota = {.memory_bytes = 64 * MIB,
					   .open_files = 33};
	struct run r = {0};

	need_namespaces();
	run(&r,
	    &(struct proc_spec){
		    .argv = SCRIPT(
			    "grep -E '^Max (data size|open files)' "
			    "/proc/self/limits | tr -s ' ' | cut -d' ' -f4,5"),
		    .env = plain_env,
		    .cwd = "/",
		    .isolate = true,
		    .quota = &quota});
	STR_EQ(r.out, "67108864 67108864;33 33;");
}

/* --- the reaper ---------------------------------------------------------- */

static void leave_orphans(int n)
{
	pid_t pid = fork();

	OK(pid >= 0);
	if (pid > 0)
		return;
	for (int i = 0; i < n; i++)
		if (fork() == 0)
			_exit(0);
	_exit(0);
}

static void stop_when_alone(uv_timer_t *t)
{
	siginfo_t si;

	if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0) {
		EQ(errno, ECHILD);
		close_handle(t);
	}
}

TEST(reaper_buries_a_thousand_orphans)
{
	struct reaper reaper;
	struct err e = {0};
	uv_loop_t loop;
	uv_timer_t t;

	EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	EQ(uv_loop_init(&loop), 0);
	EQ(reaper_start(&reaper, &loop, &e), 0);
	leave_orphans(1000);
	EQ(uv_timer_init(&loop, &t), 0);
	EQ(uv_timer_start(&t, stop_when_alone, 1, 1), 0);
	EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
	reaper_stop(&reaper);
	EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&loop), 0);
}

TEST(reaper_takes_no_exit_status)
{
	struct run r = {0};
	struct reaper reaper;
	struct err e = {0};

	begin(&r, &(struct proc_spec){.argv = SCRIPT("exit 7"),
				      .env = plain_env,
				      .cwd = "/"});
	EQ(reaper_start(&reaper, &r.loop, &e), 0);
	leave_orphans(10);
	EQ(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
	EQ(r.end.code, 7);
	EQ(r.end.signal, 0);
	reaper_stop(&reaper);
	finish(&r);
}

/* --- */

static void write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/* Where this is refused, the cases that need it skip themselves. */
static void stand_where_the_guest_stands(void)
{
	char uid_map[32], gid_map[32];

	snprintf(uid_map, sizeof(uid_map), "0 %u 1", geteuid());
	snprintf(gid_map, sizeof(gid_map), "0 %u 1", getegid());
	if (geteuid() == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return;
	write_map("/proc/self/setgroups", "deny");
	write_map("/proc/self/gid_map", gid_map);
	write_map("/proc/self/uid_map", uid_map);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		CASE(environment_is_exactly_what_is_given),
		CASE(no_environment_is_an_empty_one),
		CASE(arguments_are_literal),
		CASE(a_megabyte_of_environment_arrives),
		CASE(stdin_and_descriptors_are_empty),
		CASE(signals_and_limits_are_the_defaults),
		CASE(child_has_a_session_of_its_own),
		CASE(last_line_comes_before_exit),
		CASE(stderr_comes_line_by_line),
		CASE(long_stderr_lines_come_in_pieces),
		CASE(stderr_can_go_where_stdout_goes),
		CASE(a_line_of_16_mib_passes),
		CASE(a_line_of_17_mib_is_overlong),
		CASE(pause_stops_a_flooding_child),
		CASE(exit_waits_for_lines_that_are_paused),
		CASE(exit_waits_though_both_outputs_are_closed),
		CASE(stdin_waits_for_a_child_that_does_not_read),
		CASE(writes_are_in_order),
		CASE(a_closed_stdin_is_survived),
		CASE(signal_is_reported),
		CASE(kill_reaches_the_program),
		CASE(kill_all_ends_a_process_group),
		CASE(a_missing_program_is_told),
		CASE(a_file_that_is_no_program_is_told),
		CASE(a_missing_cwd_is_told),
		CASE(a_missing_init_fails_at_once),
		CASE(an_abandoned_child_is_silent),
		CASE(a_pipe_held_open_elsewhere_does_not_delay_the_end),
		CASE(nothing_survives_kill_all),
		CASE(nothing_survives_the_program),
		CASE(isolated_programs_get_signals),
		CASE(agent_is_uid_1000_without_capabilities),
		CASE(root_of_the_vm_can_be_kept),
		CASE(agent_sees_only_its_own_processes),
		CASE(agent_cannot_look_into_its_init),
		CASE(agent_can_debug_itself),
		CASE(hidden_folders_are_empty),
		CASE(cwd_is_entered_as_the_agent),
		CASE(init_buries_a_thousand_orphans),
		CASE(joined_program_is_the_same_user),
		CASE(joined_program_sees_what_the_session_sees),
		CASE(killing_the_session_kills_what_joined_it),
		CASE(the_end_of_the_session_ends_what_joined_it),
		CASE(killing_what_joined_leaves_the_session),
		CASE(only_a_program_that_runs_can_be_joined),
		CASE(processes_are_limited_for_all_of_a_session),
		CASE(another_session_has_a_count_of_its_own),
		CASE(memory_and_files_are_limited_for_each_process),
		CASE(reaper_buries_a_thousand_orphans),
		CASE(reaper_takes_no_exit_status),
	};

	if (argc > 1 && strcmp(argv[1], SESSION_INIT_ARG) == 0)
		return session_init_main();
	(void)signal(SIGPIPE, SIG_IGN);
	stand_where_the_guest_stands();
	return tap_main(cases, ARRAY_LEN(cases));
}
