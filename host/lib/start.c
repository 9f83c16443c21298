// SPDX-License-Identifier: Apache-2.0
/*
 * start.c - Start the daemon when nobody serves the socket
 *
 * hibd becomes a grandchild in a session of its own: it outlives us, gets no
 * signals of our terminal and leaves no zombie with us.  It holds one end of a
 * pipe and writes a byte when it serves; when it gives up (another hibd was
 * quicker, a broken store) the pipe is closed without one.  Either way the
 * caller connects again and learns what is true.
 *
 * hibd stands beside the running program in an installation and in a build
 * tree; a program that is elsewhere finds it by $HIB_HIBD or PATH.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "host/lib/lib.h"

#define START_WAIT_MS 15000
#define READY_FD      3 /* In the daemon. */

struct spawn {
	char path[HOME_PATH_MAX + 16];
	const char *argv[6];
	int log_fd, ready_fd, null_fd;
};

static void find_program(const struct home *home, char *out, size_t cap)
{
	static const char *const places[] = {"", "/bin", "/../bin"};
	const char *given = getenv("HIB_HIBD");

	if (given != NULL && given[0] != '\0') {
		snprintf(out, cap, "%s", given);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(out, cap, "%s%s/hibd", home->bin, places[i]);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, cap, "hibd"); /* Somewhere in PATH. */
}

/* In the grandchild: nothing of ours but three descriptors and the pipe. */
static _Noreturn void become_daemon(const struct spawn *s)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(s->null_fd, STDIN_FILENO) < 0 ||
	    dup2(s->log_fd, STDOUT_FILENO) < 0 ||
	    dup2(s->log_fd, STDERR_FILENO) < 0)
		_exit(127);
	if (s->ready_fd == READY_FD)
		(void)fcntl(READY_FD, F_SETFD, 0);
	else if (dup2(s->ready_fd, READY_FD) < 0)
		_exit(127);
	(void)close_range(READY_FD + 1, ~0u, 0);
	execvp(s->path, (char *const *)(uintptr_t)s->argv);
	_exit(127);
}

/* Only calls that are safe after fork() in a program with threads. */
static int fork_twice(const struct spawn *s)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child > 0) {
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		return 0;
	}
	if (setsid() < 0)
		_exit(127);
	child = fork();
	if (child == 0)
		become_daemon(s);
	_exit(child < 0 ? 127 : 0);
}

/* --- waiting for it ----------------------------------------------------- */

static void ready_on_close(uv_handle_t *handle)
{
	struct hib *h = handle->data;

	close(h->ready_fd);
	h->ready_fd = -1;
	h->start = START_IDLE;
}

static void ready_stop(struct hib *h)
{
	if (h->start != START_WAITING)
		return;
	h->start = START_CLOSING;
	uv_close((uv_handle_t *)&h->ready, ready_on_close);
}

static void ready_on_poll(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	ready_stop(p->data);
}

/* Own the pipe's end and watch it. */
static int watch(struct hib *h, int fd, struct err *e)
{
	int r = uv_poll_init(&h->loop, &h->ready, fd);

	if (r < 0) {
		close(fd);
		return err_set(e, r, "start hibd: %s", uv_strerror(r));
	}
	h->ready.data = h;
	h->ready_fd = fd;
	h->start = START_WAITING;
	uv_poll_start(&h->ready, UV_READABLE | UV_DISCONNECT, ready_on_poll);
	return 0;
}

int start_daemon(struct hib *h, struct err *e)
{
	autoclose int null_fd = -1, log_fd = -1, ready_w = -1;
	struct spawn s = {.argv = {"hibd", "--home", h->home.root, "--ready-fd",
				   "3", NULL}};
	int fds[2], r;

	if (h->start != START_IDLE || h->stopping)
		return 0;
	r = home_make(&h->home, e);
	if (r < 0)
		return r;
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	log_fd = open(h->home.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
		      0600);
	if (null_fd < 0 || log_fd < 0)
		return err_set(e, -errno, "%s: %s", h->home.log,
			       strerror(errno));
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, -errno, "start hibd: %s", strerror(errno));
	ready_w = fds[1];
	find_program(&h->home, s.path, sizeof(s.path));
	s.log_fd = log_fd;
	s.null_fd = null_fd;
	s.ready_fd = ready_w;
	r = fork_twice(&s);
	if (r < 0) {
		close(fds[0]);
		return err_set(e, r, "start hibd: %s", strerror(-r));
	}
	return watch(h, fds[0], e);
}

static void limit_on_fire(uv_timer_t *t)
{
	struct hib *h = t->data;

	h->timer_fired = true;
}

int start_wait(struct hib *h)
{
	bool interrupted = false;

	h->timer_fired = false;
	uv_timer_start(&h->timer, limit_on_fire, START_WAIT_MS, 0);
	while (h->start != START_IDLE && !h->timer_fired && !interrupted) {
		lib_run(h, UV_RUN_ONCE);
		interrupted = lib_interrupted(h);
	}
	uv_timer_stop(&h->timer);
	return interrupted ? -ECANCELED : 0;
}

void start_close(struct hib *h)
{
	ready_stop(h);
}
