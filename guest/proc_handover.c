// SPDX-License-Identifier: Apache-2.0
/*
 * proc_handover.c - A child process for the program that this one becomes
 *
 * What it needs goes as JSON: numbers of descriptors that stay open over
 * execve(2), and what has been read of a line.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base64.h"
#include "core/json.h"
#include "guest/proc_impl.h"

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
	proc_mute(p);
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
	proc_mute(p);
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
