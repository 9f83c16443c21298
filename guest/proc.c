// SPDX-License-Identifier: Apache-2.0
/*
 * proc.c - One child process, its pipes, and its end
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
 *
 * stdin: one write is in flight, what comes meanwhile is gathered and goes in
 * one write after it.
 */
#include "guest/proc.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/base64.h"
#include "core/json.h"
#include "core/lines.h"
#include "guest/session_init.h"
#include "guest/spawn.h"

#define READ_MAX   (64u << 10)
#define LINGER_MS  20
#define STDIN_KEEP (64u << 10) /* Larger buffers are freed when idle. */

enum proc_state { PROC_RUNNING, PROC_DRAINING, PROC_CLOSING };

struct buffer {
	char *data;
	size_t len, cap;
};

struct proc {
	enum proc_state state;
	bool isolate;
	bool paused;
	bool bytes;	  /* stdout is not cut into lines. */
	bool told;	  /* The init has reported an end. */
	bool kill_due;	  /* All, as soon as there is an init. */
	int signal_due;	  /* The same for a signal; 0: none. */
	bool close_stdin; /* Once all is written. */
	bool in_open, out_open, err_open;

	struct spawn sp;
	char *name, *cwd; /* For messages. */
	pid_t pid;
	struct proc_end end;

	unsigned open; /* Handles not yet closed. */
	uv_poll_t end_poll, status_poll;
	uv_pipe_t in, out, err;
	uv_timer_t linger;

	struct buffer flight; /* Being written by write_req, or empty. */
	struct buffer next;   /* To be written after it. */
	uv_write_t write_req;

	struct lines lines;
	size_t err_len; /* Bytes in err_buf: of a line begun. */

	const struct proc_events *ev;
	void *arg;
	char err_buf[PROC_ERR_LINE_MAX + 1];
	char rbuf[READ_MAX]; /* During one read event. */
};

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

static void close_stream(uv_pipe_t *pipe, bool *is_open)
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

static void proc_close(struct proc *p)
{
	p->state = PROC_CLOSING;
	close_stream(&p->in, &p->in_open);
	close_stream(&p->out, &p->out_open);
	close_stream(&p->err, &p->err_open);
	close_handle((uv_handle_t *)&p->end_poll);
	close_handle((uv_handle_t *)&p->status_poll);
	close_handle((uv_handle_t *)&p->linger);
}

static void proc_close_if_done(struct proc *p)
{
	if (p->state == PROC_DRAINING && !p->out_open && !p->err_open)
		proc_close(p);
}

/* --- stdout and stderr --------------------------------------------------- */

static void proc_on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	struct proc *p = h->data;

	(void)hint;
	*buf = uv_buf_init(p->rbuf, sizeof(p->rbuf));
}

static int proc_on_line(char *line, size_t len, void *arg)
{
	struct proc *p = arg;

	if (p->ev->line != NULL)
		p->ev->line(p, line, len, p->arg);
	return 0;
}

static void proc_out(struct proc *p, char *data, size_t n)
{
	if (p->bytes) {
		if (p->ev->bytes != NULL)
			p->ev->bytes(p, data, n, p->arg);
		return;
	}
	if (lines_feed(&p->lines, data, n, proc_on_line, p) == 0)
		return;
	close_stream(&p->out, &p->out_open);
	if (p->ev->overlong != NULL)
		p->ev->overlong(p, p->arg);
}

static void err_emit(struct proc *p)
{
	size_t len = p->err_len;

	p->err_buf[len] = '\0';
	p->err_len = 0;
	if (p->ev->err_line != NULL)
		p->ev->err_line(p, p->err_buf, len, p->arg);
}

/* Add part of a line, no newline in it. */
static void err_add(struct proc *p, const char *data, size_t n)
{
	while (n > 0) {
		size_t part = PROC_ERR_LINE_MAX - p->err_len;

		if (part == 0) {
			err_emit(p);
			continue;
		}
		if (part > n)
			part = n;
		memcpy(p->err_buf + p->err_len, data, part);
		p->err_len += part;
		data += part;
		n -= part;
	}
}

static void proc_err(struct proc *p, const char *data, size_t n)
{
	const char *end = data + n;

	if (p->ev->err_bytes != NULL) {
		p->ev->err_bytes(p, data, n, p->arg);
		return;
	}
	while (data < end) {
		const char *nl = memchr(data, '\n', (size_t)(end - data));

		err_add(p, data, (size_t)((nl != NULL ? nl : end) - data));
		if (nl == NULL)
			return;
		err_emit(p);
		data = nl + 1;
	}
}

static void proc_out_ended(struct proc *p)
{
	close_stream(&p->out, &p->out_open);
	if (p->ev->out_ended != NULL)
		p->ev->out_ended(p, p->arg);
	proc_close_if_done(p);
}

/* What stderr says last often has no newline. */
static void proc_err_ended(struct proc *p)
{
	if (p->err_open && p->err_len > 0)
		err_emit(p);
	close_stream(&p->err, &p->err_open);
	proc_close_if_done(p);
}

static void proc_on_out(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct proc *p = s->data;

	if (n > 0)
		proc_out(p, buf->base, (size_t)n);
	else if (n < 0)
		proc_out_ended(p);
	proc_close_if_done(p);
}

static void proc_on_err(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct proc *p = s->data;

	if (n > 0)
		proc_err(p, buf->base, (size_t)n);
	else if (n < 0)
		proc_err_ended(p);
}

static void proc_read_start(struct proc *p)
{
	if (p->out_open)
		uv_read_start((uv_stream_t *)&p->out, proc_on_alloc,
			      proc_on_out);
	if (p->err_open)
		uv_read_start((uv_stream_t *)&p->err, proc_on_alloc,
			      proc_on_err);
}

static bool is_quiet(const uv_pipe_t *pipe, bool is_open)
{
	struct pollfd pf = {.events = POLLIN};

	if (!is_open)
		return true;
	if (uv_fileno((const uv_handle_t *)pipe, &pf.fd) < 0)
		return true;
	return poll(&pf, 1, 0) == 0;
}

/* Reading goes on by itself while there is something to read.  A pipe that is
 * quiet though no one of ours can write to it is held open from elsewhere. */
static void proc_on_linger(uv_timer_t *t)
{
	struct proc *p = t->data;

	if (p->out_open && is_quiet(&p->out, true))
		proc_out_ended(p);
	if (p->state == PROC_DRAINING && is_quiet(&p->err, p->err_open))
		proc_err_ended(p);
	if (p->state == PROC_DRAINING && !p->paused)
		uv_timer_start(t, proc_on_linger, LINGER_MS, 0);
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
	close_stream(&p->in, &p->in_open);
	if (!p->paused)
		uv_timer_start(&p->linger, proc_on_linger, LINGER_MS, 0);
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

/* --- stdin --------------------------------------------------------------- */

static void proc_on_write(uv_write_t *req, int status);

static void buffer_empty(struct buffer *b)
{
	b->len = 0;
	if (b->cap <= STDIN_KEEP)
		return;
	free(b->data);
	*b = (struct buffer){0};
}

static int buffer_add(struct buffer *b, const char *data, size_t n)
{
	size_t cap = b->cap > 0 ? b->cap : 512;
	char *grown;

	while (cap - b->len < n)
		cap *= 2;
	if (cap != b->cap) {
		grown = realloc(b->data, cap);
		if (grown == NULL)
			return -ENOMEM;
		b->data = grown;
		b->cap = cap;
	}
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

/* Nobody reads it any more. */
static void proc_stdin_broken(struct proc *p)
{
	close_stream(&p->in, &p->in_open);
	buffer_empty(&p->next);
}

static void proc_flush(struct proc *p)
{
	struct buffer empty = p->flight;
	uv_buf_t buf;

	p->flight = p->next;
	p->next = empty;
	buf = uv_buf_init(p->flight.data, (unsigned)p->flight.len);
	if (uv_write(&p->write_req, (uv_stream_t *)&p->in, &buf, 1,
		     proc_on_write) == 0)
		return;
	buffer_empty(&p->flight);
	proc_stdin_broken(p);
}

static void proc_on_write(uv_write_t *req, int status)
{
	struct proc *p = req->data;

	buffer_empty(&p->flight);
	if (status < 0)
		proc_stdin_broken(p);
	if (p->state != PROC_RUNNING)
		return;
	if (p->next.len > 0) {
		proc_flush(p);
		return;
	}
	if (p->close_stdin)
		close_stream(&p->in, &p->in_open);
	if (p->ev->drained != NULL)
		p->ev->drained(p, p->arg);
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

static int proc_handles(struct proc *p)
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
static void proc_give_up(struct proc *p)
{
	siginfo_t si;

	p->ev = &no_events;
	if (p->sp.pidfd >= 0) {
		send_signal(p, SIGKILL, 0);
		(void)waitid(P_PIDFD, (id_t)p->sp.pidfd, &si, WEXITED);
	}
	proc_close(p);
}

static struct proc *proc_new(uv_loop_t *loop, const struct proc_spec *spec)
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
		p->ev = &no_events;
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

int proc_write(struct proc *p, const char *data, size_t n)
{
	int r;

	if (!p->in_open || p->close_stdin)
		return -EPIPE;
	if (n == 0)
		return 0;
	if (n > PROC_STDIN_MAX - proc_queued(p))
		return -ENOBUFS;
	r = buffer_add(&p->next, data, n);
	if (r == 0 && p->flight.len == 0)
		proc_flush(p);
	return r;
}

size_t proc_queued(const struct proc *p)
{
	return p->flight.len + p->next.len;
}

void proc_close_stdin(struct proc *p)
{
	p->close_stdin = true;
	if (p->flight.len == 0)
		close_stream(&p->in, &p->in_open);
}

void proc_pause(struct proc *p)
{
	p->paused = true;
	if (p->out_open)
		uv_read_stop((uv_stream_t *)&p->out);
	if (p->err_open)
		uv_read_stop((uv_stream_t *)&p->err);
	if (p->state != PROC_CLOSING)
		uv_timer_stop(&p->linger);
}

void proc_resume(struct proc *p)
{
	if (!p->paused)
		return;
	p->paused = false;
	proc_read_start(p);
	if (p->state == PROC_DRAINING)
		uv_timer_start(&p->linger, proc_on_linger, LINGER_MS, 0);
}

/* Have the init send @signal, to the process group when negative. */
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
	p->ev = &no_events;
	proc_kill_all(p);
	close_stream(&p->out, &p->out_open);
	close_stream(&p->err, &p->err_open);
	proc_close_if_done(p);
}

/* --- handing over -------------------------------------------------------- */

bool proc_may_hand_over(const struct proc *p)
{
	return p->state == PROC_RUNNING && p->pid != 0 && p->sp.pidfd >= 0 &&
	       !proc_is_ending(p) && proc_queued(p) == 0 && !p->close_stdin &&
	       p->in_open && p->out_open && p->err_open;
}

static int stream_fd(const uv_pipe_t *pipe)
{
	uv_os_fd_t fd = -1;

	return uv_fileno((const uv_handle_t *)pipe, &fd) < 0 ? -1 : fd;
}

static void put_bytes(struct jw *w, const char *key, const char *data, size_t n)
{
	jw_key(w, key);
	base64_write(w, data, n);
}

int proc_hand_over(struct proc *p, struct jw *w, struct err *e)
{
	struct spawn dup = {
		.pidfd = fcntl(p->sp.pidfd, F_DUPFD, STDERR_FILENO + 1),
		.status = fcntl(p->sp.status, F_DUPFD, STDERR_FILENO + 1),
		.in = fcntl(stream_fd(&p->in), F_DUPFD, STDERR_FILENO + 1),
		.out = fcntl(stream_fd(&p->out), F_DUPFD, STDERR_FILENO + 1),
		.err = fcntl(stream_fd(&p->err), F_DUPFD, STDERR_FILENO + 1),
	};

	if (dup.pidfd < 0 || dup.status < 0 || dup.in < 0 || dup.out < 0 ||
	    dup.err < 0) {
		spawn_done(&dup);
		return err_set(e, -EMFILE, "no descriptors for %s", p->name);
	}
	jw_obj(w);
	jw_kint(w, "pid", p->pid);
	jw_kbool(w, "isolate", p->isolate);
	jw_kstr(w, "name", p->name);
	jw_kstr(w, "cwd", p->cwd);
	jw_kint(w, "pidfd", dup.pidfd);
	jw_kint(w, "status", dup.status);
	jw_kint(w, "in", dup.in);
	jw_kint(w, "out", dup.out);
	jw_kint(w, "err", dup.err);
	put_bytes(w, "out_rest", p->lines.buf, p->lines.len);
	put_bytes(w, "err_rest", p->err_buf, p->err_len);
	jw_obj_end(w);
	p->ev = &no_events;
	proc_close(p);
	return 0;
}

static int take_fd_of(struct jv from, const char *key)
{
	int fd = (int)jv_int(jv_get(from, key), -1);

	return fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : fd;
}

static int take_rest(struct proc *p, struct jv from)
{
	autofree char *out = jv_strdup(jv_get(from, "out_rest"), NULL);
	autofree char *err = jv_strdup(jv_get(from, "err_rest"), NULL);
	size_t n_out = out != NULL ? strlen(out) : 0;
	size_t n_err = err != NULL ? strlen(err) : 0;

	if (out == NULL || err == NULL || base64_read(out, &n_out) < 0 ||
	    base64_read(err, &n_err) < 0 || n_err > PROC_ERR_LINE_MAX)
		return -EINVAL;
	memcpy(p->err_buf, err, n_err);
	p->err_len = n_err;
	return lines_feed(&p->lines, out, n_out, proc_on_line, p);
}

static struct spawn take_spawn(struct jv from)
{
	return (struct spawn){
		.pidfd = take_fd_of(from, "pidfd"),
		.status = take_fd_of(from, "status"),
		.in = take_fd_of(from, "in"),
		.out = take_fd_of(from, "out"),
		.err = take_fd_of(from, "err"),
	};
}

void proc_leave_behind(struct jv from)
{
	struct spawn sp = take_spawn(from);

	if (sp.pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, sp.pidfd, SIGKILL, NULL,
			      0);
	spawn_done(&sp);
}

int proc_take_over(uv_loop_t *loop, struct jv from,
		   const struct proc_events *ev, void *arg, struct proc **out,
		   struct err *e)
{
	autofree char *name = jv_strdup(jv_get(from, "name"), NULL);
	autofree char *cwd = jv_strdup(jv_get(from, "cwd"), NULL);
	const char *argv[] = {name != NULL ? name : "?", NULL};
	const struct proc_spec spec = {
		.argv = argv,
		.cwd = cwd != NULL ? cwd : "?",
		.isolate = jv_bool(jv_get(from, "isolate"), true),
	};
	struct proc *p = proc_new(loop, &spec);
	int r;

	if (p == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", argv[0]);
	p->open = 1;
	p->ev = &no_events;
	p->pid = (pid_t)jv_int(jv_get(from, "pid"), 0);
	p->sp = take_spawn(from);
	r = p->sp.status < 0 || p->sp.pidfd < 0 ? -EBADF : take_rest(p, from);
	if (r == 0)
		r = proc_handles(p);
	if (r < 0) {
		proc_give_up(p);
		return err_set(e, r, "take over %s: %s", argv[0], strerror(-r));
	}
	p->ev = ev;
	p->arg = arg;
	*out = p;
	return 0;
}
