// SPDX-License-Identifier: Apache-2.0
/*
 * reexec.c - The daemon becomes its newer self, and keeps its children
 *
 *	REEXEC_WAIT   until no session starts or ends
 *	REEXEC_STILL  nothing is read from any process; what is under way comes to
 *	              its end, all that has happened is stored
 *	REEXEC_TOLD   the host has its answer: the loop stops
 *
 * Up to the answer it can be called off.  Then the daemon closes as at its end,
 * but for the agents, and execs.  The new program was asked before whether it
 * understands us; should the kernel not start it all the same, we start ourselves
 * again, by a descriptor.
 */
#include "guest/reexec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/log.h"
#include "guest/exec.h"
#include "guest/guest.h"
#include "guest/prewarm.h"
#include "guest/server.h"
#include "guest/session.h"
#include "guest/still.h"
#include "guest/workspace.h"

#define LOG_COMPONENT "upgrade"
#define TICK_MS	      1
#define WORDS_MAX     32	  /* Of a command line. */
#define HANDOVER_MAX  (64u << 20) /* Bytes of the file. */

enum reexec_stage { REEXEC_WAIT, REEXEC_STILL, REEXEC_TOLD };

struct reexec {
	struct guest *guest;
	enum reexec_stage stage;
	struct call *call;
	struct still still;
	uv_timer_t tick, deadline;
	unsigned open; /* Handles. */
	bool ticked;
};

static const char *program_of(const struct guest_options *opt)
{
	return opt->argv[0][0] == '/' ? opt->argv[0] : REEXEC_PROGRAM;
}

/*
 * May it be?
 */

/* Wait for a child whose pidfd this is. */
static int wait_child(int pidfd, int *out_status)
{
	struct pollfd pf = {.fd = pidfd, .events = POLLIN};
	siginfo_t si = {0};

	if (poll(&pf, 1, REEXEC_CHECK_MS) != 1) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		(void)waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED);
		return -ETIMEDOUT;
	}
	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED) < 0)
		return -errno;
	*out_status = si.si_code == CLD_EXITED ? si.si_status : -1;
	return 0;
}

/* Does the program understand what we hand over?  Older ones do not know the
 * option, and anything else is no program of ours. */
static bool takes_over(const char *program)
{
	char name[] = "hib-guest", option[] = "--" REEXEC_CHECK_ARG;
	char format[16];
	char *argv[] = {name, option, format, NULL}, *env[] = {NULL};
	autoclose int pidfd = -1;
	int status = -1;
	pid_t pid;

	snprintf(format, sizeof(format), "%d", REEXEC_FORMAT);
	pid = fork();
	if (pid == 0) {
		(void)close_range(STDIN_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
		execve(program, argv, env);
		_exit(127);
	}
	if (pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd >= 0 && wait_child(pidfd, &status) == 0 && status == 0;
}

/* What would be cut. */
static bool is_at_work(const struct guest *g)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (session_is_at_work(s))
			return true;
	return execs_count(g) > 0;
}

static int check(const struct guest *g, struct err *e)
{
	const struct workspace_state *ws =
		g->workspace != NULL ? workspace_state(g->workspace) : NULL;

	if (g->opt->machine)
		return err_set(
			e, -FAULT_CAPABILITY_UNSUPPORTED,
			"a machine has the programs of its start; put it "
			"to sleep and wake it");
	if (ws != NULL && ws->mode != WORKSPACE_PLAIN)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the guest serves the files of this workspace; "
			       "put the VM to sleep and wake it");
	if (is_at_work(g))
		return err_set(e, -FAULT_TURN_ACTIVE,
			       "a turn, a program or a terminal runs");
	if (!takes_over(program_of(g->opt)))
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "%s cannot take over", program_of(g->opt));
	return 0;
}

/*
 * The steps.
 */

static void reexec_on_closed(uv_handle_t *h)
{
	struct reexec *r = h->data;

	if (--r->open == 0)
		free(r);
}

static void release(struct reexec *r)
{
	still_done(&r->still);
	r->guest->reexec = NULL;
	uv_close((uv_handle_t *)&r->tick, reexec_on_closed);
	uv_close((uv_handle_t *)&r->deadline, reexec_on_closed);
}

static void undo(struct reexec *r, const char *why)
{
	struct guest *g = r->guest;
	struct err e = {0};

	log_warn("called off: %s", why);
	err_set(&e, -FAULT_NOT_READY, "the guest cannot be replaced: %s", why);
	if (r->call != NULL)
		call_fail(take_ptr(r->call), &e);
	if (r->still.loop != NULL)
		still_end(&r->still);
	g->state = GUEST_SERVING;
	release(r);
}

void reexec_end(struct guest *g)
{
	if (g->reexec != NULL)
		undo(g->reexec, "the VM goes to sleep");
}

static const char *busy_session(const struct guest *g, bool still)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (!session_may_hand_over(s))
			return "a session is busy";
	if (still || !prewarm_is_busy(g))
		return TAILQ_EMPTY(&g->feeds) && g->late_files == NULL
			       ? NULL
			       : "the host has not taken all yet";
	return "an agent is being prewarmed";
}

static const char *busy_work(const struct guest *g)
{
	if (store_queued(g->store) > 0)
		return "the log is being stored";
	return guest_busy_work(g);
}

static bool is_exempt(const uv_handle_t *h, void *arg)
{
	const struct reexec *r = arg;

	return h == (const uv_handle_t *)&r->tick ||
	       h == (const uv_handle_t *)&r->deadline ||
	       server_owns(r->guest->server, h);
}

static void reexec_on_tick(uv_timer_t *t)
{
	struct reexec *r = t->data;

	r->ticked = true; /* The step is taken before the loop waits again. */
}

static void reexec_on_deadline(uv_timer_t *t)
{
	struct reexec *r = t->data;
	bool still = r->stage == REEXEC_STILL;
	const char *why = busy_session(r->guest, still);

	if (why == NULL)
		why = busy_work(r->guest);
	undo(r, why != NULL ? why : "it takes too long");
}

static void reexec_on_told(void *arg)
{
	struct guest *g = arg;

	g->becoming = true;
	uv_stop(g->loop);
}

static void tell(struct reexec *r)
{
	struct call *c = take_ptr(r->call);

	uv_timer_stop(&r->deadline);
	r->stage = REEXEC_TOLD;
	jw_obj(&c->result);
	jw_kstr(&c->result, "build", HIB_VERSION);
	jw_obj_end(&c->result);
	c->told = reexec_on_told;
	c->told_arg = r->guest;
	call_reply(c);
}

void reexec_step(struct guest *g)
{
	struct reexec *r = g->reexec;

	if (r == NULL)
		return;
	if (r->stage == REEXEC_WAIT && busy_session(g, false) == NULL) {
		if (still_begin(&r->still, g->loop, is_exempt, r) < 0) {
			undo(r, "out of memory");
			return;
		}
		r->stage = REEXEC_STILL;
		r->ticked = false;
		uv_timer_start(&r->tick, reexec_on_tick, 0, TICK_MS);
	}
	if (r->stage == REEXEC_STILL && r->ticked &&
	    busy_session(g, true) == NULL && busy_work(g) == NULL)
		tell(r);
}

int guest_reexec(struct guest *g, struct call *c, struct err *e)
{
	struct reexec *r;
	struct session *s;

	if (check(g, e) < 0)
		return e->code;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_set(e, -ENOMEM, "upgrade: out of memory");
	r->guest = g;
	r->call = c;
	uv_timer_init(g->loop, &r->tick);
	uv_timer_init(g->loop, &r->deadline);
	r->tick.data = r->deadline.data = r;
	r->open = 2;
	uv_timer_start(&r->deadline, reexec_on_deadline, REEXEC_MS, 0);
	g->reexec = r;
	g->state = GUEST_UPGRADING;
	for (s = session_first(g); s != NULL; s = session_next(s))
		session_leave_behind(s, "upgrade");
	return 0;
}

/*
 * Over to the new program.
 */

/* One that cannot be handed over ends with us. */
static void write_sessions(struct guest *g, struct jw *w)
{
	struct session *s;

	jw_key(w, "sessions");
	jw_arr(w);
	for (s = session_first(g); s != NULL; s = session_next(s)) {
		autojw struct jw one = {0};
		struct err e = {0};
		int r = session_hand_over(s, &one, &e);

		if (r > 0 && !one.failed)
			jw_raw(w, one.buf, one.len);
		else if (r != 0)
			log_error("a session is left behind: %s", e.msg);
	}
	jw_arr_end(w);
}

int reexec_write(struct guest *g, struct err *e)
{
	autoclose int file = memfd_create("hib-handover", 0);
	autojw struct jw w = {0};

	release(g->reexec);
	if (file < 0)
		return err_set(e, -errno, "upgrade: no file");
	jw_obj(&w);
	jw_kint(&w, "format", REEXEC_FORMAT);
	jw_kstr(&w, "boot_id", g->boot_id);
	jw_kint(&w, "generation", g->generation);
	jw_kint(&w, "max_sessions", g->max_sessions);
	jw_kint(&w, "upgrades", g->upgrades + 1);
	write_sessions(g, &w);
	jw_obj_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "upgrade: out of memory");
	if (write(file, w.buf, w.len) != (ssize_t)w.len)
		return err_set(e, -EIO, "upgrade: the file is not whole");
	return take_fd(&file);
}

/* The words of before, but for descriptors that were given with them.
 * Return: their number. */
static size_t copy_words(char *const *argv, char **out)
{
	size_t n = 0;

	for (size_t i = 0; argv[i] != NULL && n < WORDS_MAX; i++) {
		if (strcmp(argv[i], "--fuse-fd") == 0 ||
		    strcmp(argv[i], "--" REEXEC_OPTION) == 0)
			i += argv[i + 1] != NULL;
		else
			out[n++] = argv[i];
	}
	return n;
}

void reexec_go(const struct guest_options *opt, int file)
{
	autoclose int old = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	char option[] = "--" REEXEC_OPTION, fd[16];
	char *argv[WORDS_MAX + 3], *env[] = {NULL};
	size_t n = copy_words(opt->argv, argv);

	snprintf(fd, sizeof(fd), "%d", file);
	argv[n] = option;
	argv[n + 1] = fd;
	argv[n + 2] = NULL;
	execve(program_of(opt), argv, env);
	log_error("%s: %s, going on as before", program_of(opt),
		  strerror(errno));
	(void)syscall(SYS_execveat, old, "", argv, env, AT_EMPTY_PATH);
	log_error("cannot go on: %s", strerror(errno));
}

/*
 * The new program.
 */

static char *read_file(int fd, size_t *out_len)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > HANDOVER_MAX)
		return NULL;
	text = malloc((size_t)st.st_size);
	if (text == NULL ||
	    pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
		free(text);
		return NULL;
	}
	*out_len = (size_t)st.st_size;
	return text;
}

static void take_sessions(struct guest *g, struct jv list)
{
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		struct err e = {0};

		if (session_take_over(g, v, &e) < 0)
			log_error("a session is left behind: %s", e.msg);
	}
}

static int take(struct guest *g, int file, struct err *e)
{
	size_t len = 0;
	autofree char *text = read_file(file, &len);
	autojson struct json j = {0};
	struct jv from;

	if (text == NULL || json_parse(&j, text, len, e) < 0)
		return err_set(e, -EINVAL, "nothing was handed over");
	from = json_root(&j);
	if (jv_int(jv_get(from, "format"), 0) != REEXEC_FORMAT)
		return err_set(e, -EINVAL, "what was handed over is unknown");
	(void)jv_strcpy(jv_get(from, "boot_id"), g->boot_id,
			sizeof(g->boot_id));
	g->generation = jv_int(jv_get(from, "generation"), 0);
	g->max_sessions = jv_int(jv_get(from, "max_sessions"), 1);
	g->upgrades = jv_int(jv_get(from, "upgrades"), 0);
	if (g->workspace != NULL)
		workspace_stay(g->workspace);
	take_sessions(g, jv_get(from, "sessions"));
	return 0;
}

int reexec_take(struct guest *g, int file, struct err *e)
{
	int r = take(g, file, e);

	close(file);
	if (r < 0 && g->opt->isolate)
		(void)kill(-1, SIGKILL);
	if (r < 0)
		return r;
	g->state = GUEST_SERVING;
	r = guest_settle_rest(g, e);
	session_leftover_files(g);
	log_info("hib-guest " HIB_VERSION " has taken over");
	return r;
}
