// SPDX-License-Identifier: Apache-2.0
/*
 * launched.c - A machine that is a process, started by a launcher
 *
 * Boot: the launcher is spawned with a pipe for one line and
 * the console log as stderr; it says the pid of the machine's first process, which
 * is our child, and exits.  The machine is that process: a pidfd tells its end,
 * and SIGKILL to it ends all of it.  Who it is the launcher has
 * written to machine.json before it lets it run, so that the next hibd finds it,
 * whenever this one dies:
 *
 *	BOOTING ---------> RUNNING ---------> GONE
 *	   |    the line      |  pidfd readable, or released
 *	   '------------------+-----------------^
 *	     failed, or too late
 *
 * The console log is locked (flock(2)) through the very open file that the
 * machine keeps as its stderr, so the kernel holds the lock exactly as long as it
 * lives: two machines can never run on one disk.
 *
 * The `open` counter holds one for each libuv handle; the last close callback
 * frees the machine, after it has told of a boot that failed.
 *
 * VMDIR/run may be written by the guest and is not trusted: a socket there is
 * opened by descriptors, without following a link, and its server must be a
 * user of the VM.
 */
#include "host/launched.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/json.h"
#include "host/console.h"
#include "host/machine_id.h"
#include "host/sandbox/range.h"

#define BOOT_DEADLINE_MS 10000 /* Until the launcher has said its line. */
#define LINE_MAX_BYTES	 4096  /* Of that line. */
#define LAST_LINE_MAX	 160   /* Of the console log, in a report. */
#define DETAIL_MAX	 256
#define FD_PATH_MAX	 32
#define NUMBER_MAX	 24
#define ARGUMENTS_MAX	 40 /* Of a launcher. */

enum machine_state { MACHINE_BOOTING, MACHINE_RUNNING, MACHINE_GONE };

struct machine {
	enum machine_state state;
	unsigned open; /* Handles not yet closed. */
	char *dir;
	uint32_t uid;	 /* The guest's uid 0 on the host, */
	uint32_t n_uids; /* and how many follow. */
	pid_t pid;
	int pidfd;
	uv_poll_t exit_poll; /* Of pidfd. */
	struct console *console;

	/* While it boots. */
	int launcher_fd; /* Its pidfd. */
	uv_poll_t launcher_poll;
	uv_pipe_t pipe;
	uv_timer_t deadline;
	char line[LINE_MAX_BYTES];
	size_t n_line;
	backend_boot_cb boot_cb; /* NULL once called. */
	struct err err;

	struct backend_events ev;
	void *arg;
};

static int fail(struct err *e, const char *verb, const char *dir,
		const char *name)
{
	int code = -errno;

	return err_set(e, code, "%s %s/%s: %s", verb, dir, name,
		       strerror(-code));
}

static int open_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int code = -errno;

	return fd < 0 ? err_set(e, code, "open %s: %s", dir, strerror(-code))
		      : fd;
}

uint32_t launched_uid(const char *vm)
{
	return geteuid() == 0 ? range_base(vm) : geteuid();
}

int launched_folder(int dir, const char *name, mode_t mode, uint32_t owner)
{
	autoclose int fd = -1;

	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (geteuid() == 0 && fchown(fd, owner, owner) < 0)
		return -errno;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* --- the console log --- */

/* Return: a descriptor that is locked against a second guest. */
static int open_console(const char *vm_dir, struct err *e)
{
	autoclose int dir = open_dir(vm_dir, e);
	autoclose int fd = -1;
	struct stat st;

	if (dir < 0)
		return dir;
	fd = openat(dir, "console.log",
		    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return fail(e, "open", vm_dir, "console.log");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, -EBUSY,
					 "a guest runs on %s already", vm_dir)
			       : fail(e, "lock", vm_dir, "console.log");
	if (fstat(fd, &st) == 0 && st.st_size > CONSOLE_MAX_BYTES &&
	    ftruncate(fd, 0) < 0)
		return fail(e, "truncate", vm_dir, "console.log");
	return take_fd(&fd);
}

/* The guest wrote it: only plain characters reach whoever reads this. */
static void read_last_line(const char *vm_dir, char out[LAST_LINE_MAX])
{
	autoclose int dir = open_dir(vm_dir, NULL);
	autoclose int fd = dir < 0 ? -1
				   : openat(dir, "console.log",
					    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char tail[LAST_LINE_MAX];
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	off_t from = size < LAST_LINE_MAX - 1 ? 0 : size - (LAST_LINE_MAX - 1);
	ssize_t n = fd < 0 ? 0 : pread(fd, tail, LAST_LINE_MAX - 1, from);
	const char *line;

	out[0] = '\0';
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	tail[n] = '\0';
	line = memrchr(tail, '\n', (size_t)n);
	line = line == NULL ? tail : line + 1;
	for (; *line != '\0'; line++)
		*out++ = *line >= ' ' && *line < 0x7f ? *line : '?';
	*out = '\0';
}

/* --- life --- */

static struct machine *machine_new(const struct vm_spec *spec,
				   const struct backend_events *ev, void *arg)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->dir = strdup(spec->dir);
	if (m->dir == NULL) {
		free(m);
		return NULL;
	}
	m->pidfd = m->launcher_fd = -1;
	m->uid = launched_uid(spec->id);
	m->n_uids = geteuid() == 0 ? RANGE_IDS : 1;
	m->ev = *ev;
	m->arg = arg;
	return m;
}

static void machine_free(struct machine *m)
{
	if (m->boot_cb != NULL)
		m->boot_cb(NULL, &m->err, m->arg);
	close_fd(&m->pidfd);
	close_fd(&m->launcher_fd);
	free(m->dir);
	free(m);
}

static void machine_on_closed(uv_handle_t *h)
{
	struct machine *m = h->data;

	assert(m->open > 0);
	if (--m->open == 0)
		machine_free(m);
}

static void own(struct machine *m, uv_handle_t *h)
{
	h->data = m;
	m->open++;
}

static void close_handle(void *handle)
{
	uv_handle_t *h = handle;

	if (h->data != NULL && !uv_is_closing(h))
		uv_close(h, machine_on_closed);
}

/* The launcher closes when it has been reaped, which never takes long. */
static void machine_go(struct machine *m)
{
	assert(m->state != MACHINE_GONE);
	m->state = MACHINE_GONE;
	console_close(take_ptr(m->console));
	close_handle(&m->pipe);
	close_handle(&m->deadline);
	close_handle(&m->exit_poll);
}

static int machine_kill_process(const struct machine *m)
{
	return (int)syscall(SYS_pidfd_send_signal, m->pidfd, SIGKILL, NULL, 0);
}

/* What ended it; only a parent is told. */
static void describe_end(const struct machine *m, char out[DETAIL_MAX])
{
	char last[LAST_LINE_MAX], how[64] = "has exited";
	siginfo_t si = {.si_pid = 0};

	if (waitid(P_PIDFD, (id_t)m->pidfd, &si, WEXITED | WNOHANG) == 0 &&
	    si.si_pid != 0)
		snprintf(how, sizeof(how),
			 si.si_code == CLD_EXITED ? "exited with status %d"
						  : "killed by signal %d",
			 si.si_status);
	read_last_line(m->dir, last);
	snprintf(out, DETAIL_MAX, "%s%s%s", how, last[0] != '\0' ? ": " : "",
		 last);
}

static void machine_on_exit(uv_poll_t *h, int status, int events)
{
	struct machine *m = container_of(h, struct machine, exit_poll);
	char detail[DETAIL_MAX];

	(void)status;
	(void)events;
	describe_end(m, detail);
	machine_id_forget(m->dir);
	(void)uv_poll_stop(h);
	m->ev.exited(m, detail, m->arg);
	if (m->state != MACHINE_GONE)
		machine_go(m);
}

static int watch(struct machine *m, uv_loop_t *loop, struct err *e)
{
	int r = uv_poll_init(loop, &m->exit_poll, m->pidfd);

	if (r == 0) {
		own(m, (uv_handle_t *)&m->exit_poll);
		r = uv_poll_start(&m->exit_poll, UV_READABLE, machine_on_exit);
	}
	if (r < 0)
		return err_set(e, r, "watch process %d: %s", m->pid,
			       uv_strerror(r));
	m->console = console_watch(loop, m->dir);
	return 0;
}

/* --- boot --- */

static void boot_fail(struct machine *m)
{
	assert(m->err.code < 0);
	machine_go(m);
}

/* A guest that cannot be kept: we are its parent, so nobody else reaps it. */
static void discard_guest(const struct machine *m, pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitid(P_PID, (id_t)pid, NULL, WEXITED);
	machine_id_forget(m->dir);
}

/* The same, by what its launcher has written down; it is of this boot, since
 * this boot has the lock of the console log. */
static void discard_unreported(const struct machine *m)
{
	struct err e;
	pid_t pid;
	int fd = machine_id_open(m->dir, &pid, &e);

	if (fd < 0)
		return;
	discard_guest(m, pid);
	close(fd);
}

static int read_report(struct machine *m, struct err *e)
{
	autojson struct json j = {0};
	struct jv error;
	int64_t pid;

	if (m->n_line == 0) {
		discard_unreported(m);
		return err_set(e, -EIO, "the launcher of %s said nothing",
			       m->dir);
	}
	if (json_parse(&j, m->line, m->n_line, e) < 0)
		return err_wrap(e, "what the launcher said");
	pid = jv_int(jv_get(json_root(&j), "pid"), 0);
	error = jv_get(json_root(&j), "error");
	if (jv_has(error)) {
		if (pid > 1)
			discard_guest(m, (pid_t)pid);
		(void)err_read(e, error);
		return err_wrap(e, "start machine");
	}
	if (pid <= 1)
		return err_set(e, -EIO, "the launcher said no pid");
	m->pid = (pid_t)pid;
	return 0;
}

/* Nobody but us reaps the guest, so its pid stays its own. */
static int take_guest(struct machine *m, uv_loop_t *loop, struct err *e)
{
	m->pidfd = machine_id_open_pid(m->pid);
	if (m->pidfd < 0)
		return err_set(e, m->pidfd, "open process %d: %s", m->pid,
			       strerror(-m->pidfd));
	return watch(m, loop, e);
}

static void boot_finish(struct machine *m)
{
	backend_boot_cb cb = m->boot_cb;
	int r = read_report(m, &m->err);

	if (r == 0) {
		r = take_guest(m, m->pipe.loop, &m->err);
		if (r < 0)
			discard_guest(m, m->pid);
	}
	if (r < 0) {
		boot_fail(m);
		return;
	}
	close_handle(&m->pipe);
	close_handle(&m->deadline);
	m->state = MACHINE_RUNNING;
	m->boot_cb = NULL;
	cb(m, NULL, m->arg);
}

static void boot_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct machine *m = h->data;

	(void)suggested;
	*buf = uv_buf_init(m->line + m->n_line,
			   (unsigned)(sizeof(m->line) - m->n_line));
}

static void boot_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct machine *m = s->data;

	if (n > 0) {
		m->n_line += (size_t)n;
		if (memchr(buf->base, '\n', (size_t)n) == NULL)
			return;
	}
	if (n == 0)
		return;
	(void)uv_read_stop(s);
	boot_finish(m);
}

static void boot_on_deadline(uv_timer_t *t)
{
	struct machine *m = t->data;

	(void)syscall(SYS_pidfd_send_signal, m->launcher_fd, SIGKILL, NULL, 0);
	discard_unreported(m);
	(void)err_set(&m->err, -ETIMEDOUT,
		      "the launcher of %s took more than %d ms", m->dir,
		      BOOT_DEADLINE_MS);
	boot_fail(m);
}

static void launcher_on_exit(uv_poll_t *h, int status, int events)
{
	struct machine *m = h->data;

	(void)status;
	(void)events;
	(void)uv_poll_stop(h);
	(void)waitid(P_PIDFD, (id_t)m->launcher_fd, &(siginfo_t){0}, WEXITED);
	close_handle(h);
}

/* Append one; there is always room for the NULL behind it. */
static void put_argument(const char **argv, size_t *n, const char *argument)
{
	assert(*n < ARGUMENTS_MAX - 1);
	argv[(*n)++] = argument;
}

static void put_arguments(const struct launched_kind *kind,
			  const struct vm_spec *spec, const char *quota,
			  const char *argv[ARGUMENTS_MAX])
{
	const char *const usual[] = {
		kind->launcher,
		"--vm",
		spec->id,
		"--dir",
		spec->dir,
		"--image",
		spec->image,
		"--libexec",
		spec->libexec,
		"--agents",
		spec->agents,
		"--net",
		spec->net == VM_NET_HOST ? "host" : "none",
		"--quota",
		quota,
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		put_argument(argv, &n, usual[i]);
	if (spec->mounts != NULL) {
		put_argument(argv, &n, "--mounts");
		put_argument(argv, &n, spec->mounts);
	}
	for (const char *const *o = kind->options; o != NULL && *o != NULL; o++)
		put_argument(argv, &n, *o);
	argv[n] = NULL;
}

/* Of @path, with null as stdin, @line as stdout and @console as stderr.  Not
 * uv_spawn(): that copies our page tables, to throw them away at once. */
static int run_launcher(const char *path, const char *const *argv, int line,
			int console, pid_t *out)
{
	char *const *args = (char *const *)(uintptr_t)argv; /* Only read. */
	char *env[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int r;

	sigfillset(&all);
	sigemptyset(&none);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawn_file_actions_init(&files);
	r = -posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
					      O_RDONLY, 0);
	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(&files, line,
						      STDOUT_FILENO);
	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(&files, console,
						      STDERR_FILENO);
	if (r == 0)
		r = -posix_spawn(out, path, &files, &attr, args, env);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return r;
}

/* Its end is waited for, and what it says. */
static int follow_launcher(struct machine *m, uv_loop_t *loop, pid_t launcher,
			   int *line)
{
	int r;

	m->launcher_fd = machine_id_open_pid(launcher);
	if (m->launcher_fd < 0)
		return m->launcher_fd;
	r = uv_poll_init(loop, &m->launcher_poll, m->launcher_fd);
	if (r < 0)
		return r;
	own(m, (uv_handle_t *)&m->launcher_poll);
	r = uv_poll_start(&m->launcher_poll, UV_READABLE, launcher_on_exit);
	if (r == 0)
		r = uv_pipe_open(&m->pipe, *line);
	if (r == 0)
		*line = -1;
	return r;
}

/* One that cannot be followed must not start a machine. */
static void discard_launcher(pid_t launcher)
{
	(void)kill(launcher, SIGKILL);
	(void)waitid(P_PID, (id_t)launcher, NULL, WEXITED);
}

static int spawn(struct machine *m, const struct launched_kind *kind,
		 uv_loop_t *loop, const struct vm_spec *spec, int console)
{
	char path[PATH_MAX], quota[NUMBER_MAX];
	const char *argv[ARGUMENTS_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", spec->libexec,
			 kind->launcher);
	pid_t launcher;
	int line[2], r;

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(&m->err, -ENAMETOOLONG, "%s", spec->libexec);
	snprintf(quota, sizeof(quota), "%lld", (long long)spec->quota);
	put_arguments(kind, spec, quota, argv);
	if (pipe2(line, O_CLOEXEC) < 0)
		return err_set(&m->err, -errno, "make a pipe: %s",
			       strerror(errno));
	r = run_launcher(path, argv, line[1], console, &launcher);
	close(line[1]);
	if (r == 0) {
		r = follow_launcher(m, loop, launcher, &line[0]);
		if (r < 0)
			discard_launcher(launcher);
	}
	close_fd(&line[0]);
	return r < 0 ? err_set(&m->err, r, "run %s: %s", path, strerror(-r))
		     : 0;
}

static int boot_start(struct machine *m, const struct launched_kind *kind,
		      uv_loop_t *loop, const struct vm_spec *spec)
{
	autoclose int console = open_console(spec->dir, &m->err);
	int r;

	if (console < 0)
		return console;
	r = kind->prepare == NULL ? 0 : kind->prepare(spec, &m->err);
	if (r == 0)
		r = spawn(m, kind, loop, spec, console);
	if (r < 0)
		return r;
	r = uv_read_start((uv_stream_t *)&m->pipe, boot_on_alloc, boot_on_read);
	if (r == 0)
		r = uv_timer_start(&m->deadline, boot_on_deadline,
				   BOOT_DEADLINE_MS, 0);
	if (r < 0)
		return err_set(&m->err, r, "wait for the launcher: %s",
			       uv_strerror(r));
	return 0;
}

void launched_boot(const struct launched_kind *kind, uv_loop_t *loop,
		   const struct vm_spec *spec, const struct backend_events *ev,
		   void *arg, backend_boot_cb cb)
{
	struct machine *m = machine_new(spec, ev, arg);

	/* Without memory there is no handle whose callback could say so. */
	if (m == NULL)
		abort();
	m->boot_cb = cb;
	(void)uv_pipe_init(loop, &m->pipe, 0);
	own(m, (uv_handle_t *)&m->pipe);
	(void)uv_timer_init(loop, &m->deadline);
	own(m, (uv_handle_t *)&m->deadline);
	if (boot_start(m, kind, loop, spec) < 0)
		boot_fail(m);
}

int launched_adopt(uv_loop_t *loop, const struct vm_spec *spec,
		   const struct backend_events *ev, void *arg,
		   struct machine **out, struct err *e)
{
	struct machine *m;
	pid_t pid;
	int r = machine_id_open(spec->dir, &pid, e);

	if (r < 0)
		return r;
	m = machine_new(spec, ev, arg);
	if (m == NULL) {
		close(r);
		return err_set(e, -ENOMEM, "adopt %s: out of memory",
			       spec->dir);
	}
	m->pid = pid;
	m->pidfd = r;
	m->state = MACHINE_RUNNING;
	r = watch(m, loop, e);
	if (r < 0) {
		if (m->open > 0)
			machine_go(m);
		else
			machine_free(m);
		return r;
	}
	*out = m;
	return 0;
}

/* --- the channel --- */

static int open_socket_file(const struct machine *m, const char *name,
			    struct err *e)
{
	autoclose int dir = open_dir(m->dir, e);
	autoclose int run = -1;
	autoclose int fd = -1;
	struct stat st;

	if (dir < 0)
		return dir;
	run = openat(dir, "run", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run < 0)
		return fail(e, "open", m->dir, "run");
	fd = openat(run, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, -EAGAIN, "%s/run/%s is not there yet", m->dir,
			       name);
	if (fd < 0)
		return fail(e, "open", m->dir, name);
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return err_set(e, -ENOTSOCK, "%s/run/%s is no socket", m->dir,
			       name);
	return take_fd(&fd);
}

static int check_server(const struct machine *m, int fd, struct err *e)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return fail(e, "ask who serves", m->dir, "run");
	if (peer.uid < m->uid || peer.uid - m->uid >= m->n_uids)
		return err_set(e, -EPERM, "%s/run is served by uid %u", m->dir,
			       peer.uid);
	return 0;
}

int launched_channel(struct machine *m, const char *name, struct err *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	autoclose int file = -1;
	autoclose int fd = -1;
	char socket_name[FD_PATH_MAX];
	int r;

	snprintf(socket_name, sizeof(socket_name), "%s.sock", name);
	file = open_socket_file(m, socket_name, e);
	if (file < 0)
		return file;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(e, "make a socket for", m->dir, socket_name);
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", file);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno == ECONNREFUSED)
			errno = EAGAIN;
		return fail(e, "connect to", m->dir, socket_name);
	}
	r = check_server(m, fd, e);
	return r < 0 ? r : take_fd(&fd);
}

void launched_kill(struct machine *m)
{
	if (m->state == MACHINE_RUNNING)
		(void)machine_kill_process(m);
}

void launched_release(struct machine *m)
{
	if (m->state != MACHINE_GONE)
		machine_go(m);
}

pid_t launched_pid(const struct machine *m)
{
	return m->pid;
}

void *launched_arg(const struct machine *m)
{
	return m->arg;
}
