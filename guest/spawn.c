// SPDX-License-Identifier: Apache-2.0
/*
 * spawn.c - Start a session init and hold the ends of its pipes
 *
 * clone() with CLONE_VM and CLONE_VFORK copies no page tables and stops only
 * the calling thread, for the time of one execve().  As the child shares our
 * memory it makes system calls and nothing else, on a stack of its own and
 * with all signals blocked, so that no handler of ours runs in it.  It puts
 * five descriptors in place and executes our own program again, which goes on
 * in session_init.c.  What to run travels in a memory file: an environment may
 * be larger than a pipe.
 *
 * A program that joins another's session is started by the init of that session,
 * which is told so by a message.  To enter its namespaces from here by setns(2)
 * would take a process of ours in reach of the agent's signals while we wait for
 * it: in a VM of an ordinary user both have one uid.
 *
 * The pipes are pipes and not sockets: programs open /dev/stdout again, which
 * fails with a socket.
 */
#include "guest/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest/session_init.h"

#define CHILD_STACK   (64u << 10)
#define STDOUT_PIPE   (256 << 10) /* Fewer wake-ups when an agent floods. */
#define CHILD_FD_HIGH 16	  /* Above every number that is a target. */

/* Shared with the child while we wait for its execve(). */
struct child {
	const char *init;
	int fd[SESSION_INIT_FDS]; /* To become 0 .. 4. */
	int error;		  /* errno of the child when it failed. */
};

static void close_pair(int pair[2])
{
	close_fd(&pair[0]);
	close_fd(&pair[1]);
}

static void child_done(struct child *c)
{
	for (int i = 0; i < SESSION_INIT_FDS; i++)
		close_fd(&c->fd[i]);
}

void spawn_done(struct spawn *s)
{
	close_fd(&s->pidfd);
	close_fd(&s->status);
	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
	*s = (struct spawn){-1, -1, -1, -1, -1};
}

static unsigned count(const char *const *v)
{
	unsigned n = 0;

	while (v != NULL && v[n] != NULL)
		n++;
	return n;
}

static size_t strings_size(const char *const *v)
{
	size_t n = 0;

	for (; v != NULL && *v != NULL; v++)
		n += strlen(*v) + 1;
	return n;
}

static char *strings_put(char *at, const char *const *v)
{
	for (; v != NULL && *v != NULL; v++)
		at = stpcpy(at, *v) + 1;
	return at;
}

static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, data, n);

		if (r < 0)
			return -errno;
		data += r;
		n -= (size_t)r;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* The spec as the init reads it.  Return: @len bytes, owned by the caller; NULL
 * when memory is out. */
static char *spec_block(const struct proc_spec *spec, size_t *len)
{
	const char *cwd[] = {spec->cwd, NULL};
	const char *group[] = {spec->isolate ? spec->group : NULL, NULL};
	const char *mcp[] = {spec->isolate ? spec->mcp : NULL, NULL};
	const char *const *hide = spec->isolate ? spec->hide : NULL;
	const struct place files = spec->isolate && spec->files != NULL
					   ? *spec->files
					   : (struct place){0};
	struct init_spec head = {
		.n_argv = count(spec->argv),
		.n_env = count(spec->env),
		.n_hide = count(hide),
		.n_files = (uint32_t)files.n,
		.has_group = group[0] != NULL,
		.has_mcp = mcp[0] != NULL,
		.isolate = spec->isolate,
		.drop_user = spec->isolate && spec->user == PROC_USER_AGENT,
		.quota = spec->quota != NULL ? *spec->quota : (struct quota){0},
	};
	size_t n = sizeof(head) + strings_size(group) + strings_size(mcp) +
		   strings_size(cwd) + strings_size(spec->argv) +
		   strings_size(spec->env) + strings_size(hide) +
		   place_size(&files);
	char *buf = malloc(n), *at;

	if (buf == NULL)
		return NULL;
	memcpy(buf, &head, sizeof(head));
	at = strings_put(buf + sizeof(head), group);
	at = strings_put(at, mcp);
	at = strings_put(at, cwd);
	at = strings_put(at, spec->argv);
	at = strings_put(at, spec->env);
	at = strings_put(at, hide);
	place_put(at, &files);
	*len = n;
	return buf;
}

/* The spec as a memory file.  Return: a descriptor or a negative errno. */
static int spec_file(const struct proc_spec *spec)
{
	size_t n = 0;
	autofree char *block = spec_block(spec, &n);
	autoclose int fd = memfd_create("session-spec", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (block == NULL)
		return -ENOMEM;
	r = write_all(fd, block, n);
	return r < 0 ? r : take_fd(&fd);
}

/* A pipe; the child's end goes to *child, ours to *ours. */
static int open_pipe(bool child_reads, int *child, int *ours)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*child = p[child_reads ? 0 : 1];
	*ours = p[child_reads ? 1 : 0];
	return 0;
}

static int open_null(int *child)
{
	*child = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *child < 0 ? -errno : 0;
}

static int open_stdio(const struct proc_spec *spec, struct child *c,
		      struct spawn *s)
{
	int r = spec->want_stdin ? open_pipe(true, &c->fd[0], &s->in)
				 : open_null(&c->fd[0]);

	if (r < 0)
		return r;
	r = spec->out == PROC_STDOUT_NONE
		    ? open_null(&c->fd[1])
		    : open_pipe(false, &c->fd[1], &s->out);
	if (r < 0)
		return r;
	if (s->out >= 0)
		(void)fcntl(s->out, F_SETPIPE_SZ, STDOUT_PIPE);
	if (!spec->merge_stderr)
		return open_pipe(false, &c->fd[2], &s->err);
	c->fd[2] = fcntl(c->fd[1], F_DUPFD_CLOEXEC, 3);
	return c->fd[2] < 0 ? -errno : 0;
}

/* Seqpacket: reports arrive whole.  SO_PASSCRED: each says which process sent
 * it, in our own numbering of pids. */
static int open_status(struct child *c, struct spawn *s)
{
	const int on = 1;
	int p[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) < 0)
		return -errno;
	if (setsockopt(p[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		close_pair(p);
		return -errno;
	}
	s->status = p[0];
	c->fd[SESSION_INIT_STATUS_FD] = p[1];
	return 0;
}

/* In the child: system calls only, see above.  It has its own table of
 * descriptors.  They are moved up first, or one could be overwritten before it
 * is moved. */
__attribute__((no_sanitize("address", "thread", "undefined"))) static int
spawn_child(void *arg)
{
	struct child *c = arg;
	const char *argv[] = {"hib-guest", SESSION_INIT_ARG, NULL};
	const char *env[] = {NULL};
	int high[SESSION_INIT_FDS];

	for (int i = 0; i < SESSION_INIT_FDS; i++) {
		high[i] = fcntl(c->fd[i], F_DUPFD_CLOEXEC, CHILD_FD_HIGH);
		if (high[i] < 0)
			goto fail;
	}
	for (int i = 0; i < SESSION_INIT_FDS; i++)
		if (dup2(high[i], i) < 0)
			goto fail;
	execve(c->init, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
fail:
	c->error = errno;
	return 127;
}

/* Return: 0 or a negative errno; the child is gone then. */
static int clone_child(struct child *c, bool isolate, int *pidfd)
{
	int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD |
		    (isolate ? CLONE_NEWPID | CLONE_NEWNS : 0);
	_Alignas(16) char stack[CHILD_STACK];
	autoclose int fd = -1;
	sigset_t all, saved;
	pid_t pid;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	pid = clone(spawn_child, stack + sizeof(stack), flags, c, &fd);
	r = pid < 0 ? -errno : -c->error;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (pid > 0 && r < 0)
		(void)waitpid(pid, NULL, 0);
	if (r == 0)
		*pidfd = take_fd(&fd);
	return r;
}

/* Have the init of another program start ours. */
static int send_to_init(const struct child *c, int status)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(c->fd))] = {0};
	char word = 0;
	struct iovec iov = {&word, 1};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(c->fd));
	memcpy(CMSG_DATA(h), c->fd, sizeof(c->fd));
	return sendmsg(status, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno
								    : 0;
}

static int start(const struct proc_spec *spec, const struct spawn *join,
		 struct child *c, struct spawn *s, struct err *e)
{
	const char *name = spec->argv[0];
	int r = open_stdio(spec, c, s);

	if (r == 0)
		r = open_status(c, s);
	if (r < 0)
		return err_set(e, r, "pipes of '%s': %s", name, strerror(-r));
	r = spec_file(spec);
	if (r < 0)
		return err_set(e, r, "arguments of '%s': %s", name,
			       strerror(-r));
	c->fd[SESSION_INIT_SPEC_FD] = r;
	r = join != NULL ? send_to_init(c, join->status)
			 : clone_child(c, spec->isolate, &s->pidfd);
	if (r < 0)
		return err_set(e, r, "session init of '%s': %s", name,
			       strerror(-r));
	return 0;
}

int spawn_start(const struct proc_spec *spec, const struct spawn *join,
		struct spawn *out, struct err *e)
{
	struct child c = {
		.init = spec->init != NULL ? spec->init : "/proc/self/exe",
		.fd = {-1, -1, -1, -1, -1},
	};
	struct spawn s = {-1, -1, -1, -1, -1};
	int r = start(spec, join, &c, &s, e);

	child_done(&c);
	if (r < 0)
		spawn_done(&s);
	else
		*out = s;
	return r;
}
