// SPDX-License-Identifier: Apache-2.0
/*
 * proc.c - One child process and its end
 *
 *	PROC_RUNNING   the init lives: its reports, its pipes
 *	PROC_DRAINING  the init and its namespace are gone: what the pipes hold
 *	PROC_CLOSING   both outputs are at their end: handles close
 *
 * How the program ended is told by its init over the status socket; that it and
 * all it started is gone, by the pidfd of the init.  Only then are the pipes
 * sure to hold everything that was written, and they are read to their end.  A
 * pipe may have no end: a descriptor of it can be handed to a process outside
 * the namespace.  So once nothing is in them for LINGER_MS they count as ended.
 *
 * A proc that joins another is made by that one's init, and is PROC_RUNNING
 * without a pidfd until that has said so.  A signal waits for it; the end of its
 * status socket says that it never will be.
 *
 * The `open` counter has one for each libuv handle; the last close callback
 * tells the exit and frees the proc, and nothing else does.
 */
#include "guest/proc.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "guest/proc_impl.h"
#include "guest/session_init.h"

static const struct proc_events no_events;

static const char *const step_words[] = {
	[PROC_STEP_NONE] = "no step",
	[PROC_STEP_INIT] = "session init",
	[PROC_STEP_MOUNT] = "mounts",
	[PROC_STEP_GROUP] = "control group",
	[PROC_STEP_FORK] = "fork",
	[PROC_STEP_USER] = "user",
	[PROC_STEP_FILES] = "files in its home",
};

/* --- the end ------------------------------------------------------------- */

static void proc_free(struct proc *p)
{
	spawn_done(&p->sp);
	lines_done(&p->lines);
	free(p->flight.data);
	free(p->next.data);
	free(p->name);
	free(p->cwd);
	free(p);
}

static void proc_on_closed(uv_handle_t *h)
{
	struct proc *p = h->data;

	assert(p->open > 0);
	if (--p->open > 0)
		return;
	assert(p->state == PROC_CLOSING);
	if (p->ev->exit != NULL)
		p->ev->exit(p, &p->end, p->arg);
	proc_free(p);
}

void proc_close_stream(uv_pipe_t *pipe, bool *is_open)
{
	if (!*is_open)
		return;
	*is_open = false;
	uv_close((uv_handle_t *)pipe, proc_on_closed);
}

static void close_handle(uv_handle_t *h)
{
	if (h->data != NULL && !uv_is_closing(h))
		uv_close(h, proc_on_closed);
}

void proc_close(struct proc *p)
{
	p->state = PROC_CLOSING;
	proc_close_stream(&p->in, &p->in_open);
	proc_close_stream(&p->out, &p->out_open);
	proc_close_stream(&p->err, &p->err_open);
	close_handle((uv_handle_t *)&p->end_poll);
	close_handle((uv_handle_t *)&p->status_poll);
	close_handle((uv_handle_t *)&p->linger);
}

void proc_close_if_done(struct proc *p)
{
	if (p->state == PROC_DRAINING && !p->paused && !p->out_open &&
	    !p->err_open)
		proc_close(p);
}

void proc_mute(struct proc *p)
{
	p->ev = &no_events;
}

/* --- the init ------------------------------------------------------------ */

static void send_signal(struct proc *p, int signal, int value)
{
	siginfo_t si = {.si_signo = signal, .si_code = SI_QUEUE};

	si.si_value.sival_int = value;
	(void)syscall(SYS_pidfd_send_signal, p->sp.pidfd, signal, &si, 0);
}

static void proc_failed(struct proc *p, enum proc_step step, int code)
{
	const char *why = strerror(-code);

	p->told = true;
	p->end.failed = step;
	if (step == PROC_STEP_CWD)
		err_set(&p->end.err, code, "cwd '%s': %s", p->cwd, why);
	else if (step == PROC_STEP_EXEC)
		err_set(&p->end.err, code, "start '%s': %s", p->name, why);
	else
		err_set(&p->end.err, code, "start '%s': %s: %s", p->name,
			step_words[step], why);
}

static void proc_report(struct proc *p, const struct init_report *r, pid_t from)
{
	if (p->end.failed != PROC_STEP_NONE)
		return;

	switch ((enum init_report_type)r->type) {
	case INIT_BORN:
		break; /* What came with it says all. */
	case INIT_HERE:
		p->pid = from;
		break;
	case INIT_FAILED:
		proc_failed(p, (enum proc_step)r->a, -r->b);
		break;
	case INIT_STARTED:
		if (p->ev->started != NULL)
			p->ev->started(p, p->arg);
		break;
	case INIT_ENDED:
		p->told = true;
		p->end.code = r->a;
		p->end.signal = r->b;
		break;
	}
}

/* Take what came with a report: the pidfd of a new init.
 * Return: the sender's pid that the kernel attached, in our numbering; 0
 * without one. */
static pid_t take_control(struct proc *p, struct msghdr *m)
{
	struct ucred cred = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
		} else if (c->cmsg_type == SCM_RIGHTS) {
			close_fd(&p->sp.pidfd);
			memcpy(&p->sp.pidfd, CMSG_DATA(c), sizeof(int));
		}
	}
	return cred.pid;
}

/* Handle the next report.  Return: 1; 0 when the init has no more to say or
 * makes no sense; -EAGAIN when there is none now. */
static int proc_read_report(struct proc *p)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) +
					      CMSG_SPACE(sizeof(int))];
	struct init_report r;
	struct iovec iov = {&r, sizeof(r)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(p->sp.status, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t from;

	if (n < 0)
		return -EAGAIN;
	from = take_control(p, &m);
	if (n != (ssize_t)sizeof(r))
		return 0;
	proc_report(p, &r, from);
	return 1;
}

/* Wait for the init.  A reaper may have done it, or it is the child of another
 * init; then its status is lost, which matters only for an init that died
 * without a report. */
static void proc_reap(struct proc *p)
{
	siginfo_t si = {0};
	bool exited = p->sp.pidfd < 0 ||
		      (waitid(P_PIDFD, (id_t)p->sp.pidfd, &si, WEXITED) == 0 &&
		       si.si_code == CLD_EXITED);

	if (p->told)
		return;
	if (exited)
		proc_failed(p, PROC_STEP_INIT, -ECHILD);
	else
		p->end.signal = SIGKILL;
}

static void proc_gone(struct proc *p)
{
	uv_poll_stop(&p->status_poll);
	while (proc_read_report(p) > 0)
		continue;
	proc_reap(p);

	p->state = PROC_DRAINING;
	proc_close_stream(&p->in, &p->in_open);
	if (!p->paused)
		proc_linger(p);
	proc_close_if_done(p);
}

static void proc_on_end(uv_poll_t *h, int status, int events)
{
	(void)status;
	(void)events;
	uv_poll_stop(h);
	proc_gone(h->data);
}

static int proc_watch(struct proc *p, uv_poll_t *h, int fd, uv_poll_cb cb)
{
	int r = uv_poll_init(p->linger.loop, h, fd);

	if (r < 0)
		return r;
	h->data = p;
	p->open++;
	return uv_poll_start(h, UV_READABLE, cb);
}

/* There is an init now: what waited for it is sent. */
static void proc_born(struct proc *p)
{
	if (proc_watch(p, &p->end_poll, p->sp.pidfd, proc_on_end) < 0) {
		p->kill_due = true;
		proc_gone(p); /* It is not waited for. */
	}
	if (p->kill_due)
		send_signal(p, SIGKILL, 0);
	else if (p->signal_due != 0)
		send_signal(p, SESSION_INIT_SIGNAL, p->signal_due);
}

static void proc_on_status(uv_poll_t *h, int status, int events)
{
	struct proc *p = h->data;
	int r = status < 0 ? 0 : proc_read_report(p);

	(void)events;
	if (p->sp.pidfd >= 0 && p->end_poll.data == NULL)
		proc_born(p);
	if (r != 0)
		return;
	uv_poll_stop(h);
	if (p->sp.pidfd < 0)
		proc_gone(p);
}

/* --- start --------------------------------------------------------------- */

/* The descriptor goes to the handle. */
static int proc_pipe(struct proc *p, uv_pipe_t *h, int *fd, bool *is_open)
{
	int r;

	if (*fd < 0)
		return 0;
	r = uv_pipe_init(p->linger.loop, h, 0);
	if (r < 0)
		return r;
	h->data = p;
	p->open++;
	*is_open = true;
	r = uv_pipe_open(h, *fd);
	if (r == 0)
		*fd = -1;
	return r;
}

int proc_handles(struct proc *p)
{
	int r = proc_pipe(p, &p->in, &p->sp.in, &p->in_open);

	if (r == 0)
		r = proc_pipe(p, &p->out, &p->sp.out, &p->out_open);
	if (r == 0)
		r = proc_pipe(p, &p->err, &p->sp.err, &p->err_open);
	if (r == 0)
		r = proc_watch(p, &p->status_poll, p->sp.status,
			       proc_on_status);
	if (r == 0 && p->sp.pidfd >= 0)
		r = proc_watch(p, &p->end_poll, p->sp.pidfd, proc_on_end);
	if (r == 0)
		proc_read_start(p);
	return r;
}

/* The init runs but cannot be watched.  Its end is near: wait for it here.  One
 * that another makes ends when it finds its status socket closed. */
void proc_give_up(struct proc *p)
{
	siginfo_t si;

	proc_mute(p);
	if (p->sp.pidfd >= 0) {
		send_signal(p, SIGKILL, 0);
		(void)waitid(P_PIDFD, (id_t)p->sp.pidfd, &si, WEXITED);
	}
	proc_close(p);
}

struct proc *proc_new(uv_loop_t *loop, const struct proc_spec *spec)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->sp = (struct spawn){-1, -1, -1, -1, -1};
	lines_init(&p->lines,
		   spec->line_max > 0 ? spec->line_max : PROC_LINE_MAX);
	p->isolate = spec->isolate;
	p->bytes = spec->out == PROC_STDOUT_BYTES;
	p->write_req.data = p;
	p->name = strdup(spec->argv[0]);
	p->cwd = strdup(spec->cwd);
	if (p->name == NULL || p->cwd == NULL) {
		proc_free(p);
		return NULL;
	}
	uv_timer_init(loop, &p->linger);
	p->linger.data = p;
	return p;
}

static int start(struct proc *p, const struct proc_spec *spec, struct err *e)
{
	const struct proc *join = spec->isolate ? spec->join : NULL;

	if (join == NULL)
		return spawn_start(spec, NULL, &p->sp, e);
	if (join->state != PROC_RUNNING || join->pid == 0)
		return err_set(e, -ESRCH, "%s: its session has ended",
			       spec->argv[0]);
	return spawn_start(spec, &join->sp, &p->sp, e);
}

int proc_spawn(uv_loop_t *loop, const struct proc_spec *spec,
	       const struct proc_events *ev, void *arg, struct proc **out,
	       struct err *e)
{
	struct proc *p = proc_new(loop, spec);
	int r;

	if (p == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", spec->argv[0]);
	p->open = 1;
	r = start(p, spec, e);
	if (r < 0) {
		proc_mute(p);
		proc_close(p);
		return r;
	}
	r = proc_handles(p);
	if (r < 0) {
		proc_give_up(p);
		return err_set(e, r, "%s: %s", spec->argv[0], uv_strerror(r));
	}
	p->ev = ev;
	p->arg = arg;
	*out = p;
	return 0;
}

/* The init reports the end of its program before its own. */
bool proc_is_ending(const struct proc *p)
{
	struct pollfd pf = {.fd = p->sp.status, .events = POLLIN};

	return p->state != PROC_RUNNING || p->told || poll(&pf, 1, 0) > 0;
}

pid_t proc_pid(const struct proc *p)
{
	return p->pid;
}

static void proc_signal(struct proc *p, int signal)
{
	if (p->state != PROC_RUNNING)
		return;
	if (p->sp.pidfd < 0)
		p->signal_due = signal;
	else
		send_signal(p, SESSION_INIT_SIGNAL, signal);
}

void proc_kill(struct proc *p, int signal)
{
	proc_signal(p, signal);
}

void proc_kill_all(struct proc *p)
{
	if (!p->isolate)
		proc_signal(p, -SIGKILL);
	else if (p->sp.pidfd < 0)
		p->kill_due = true;
	else if (p->state == PROC_RUNNING)
		send_signal(p, SIGKILL, 0);
}

void proc_abandon(struct proc *p)
{
	proc_mute(p);
	proc_kill_all(p);
	p->paused = false;
	proc_close_stream(&p->out, &p->out_open);
	proc_close_stream(&p->err, &p->err_open);
	proc_close_if_done(p);
}
