// SPDX-License-Identifier: Apache-2.0
/*
 * session_init.c - Process 1 of a session: fences, starts, reaps, ends
 *
 *	init     hides the daemon's folders, mounts /proc, forks
 *	program  enters a user namespace if its uid or the count of its
 *	         processes needs one, gives up privileges,
 *	         enters cwd, executes
 *	init     buries orphans, passes signals on and makes the inits of
 *	         programs that join until the program ends, reports how, and
 *	         exits: the kernel then kills every process left in the
 *	         namespace, whatever it did to get away
 *
 * The init of a program that joins is a copy of ours in a PID namespace of its
 * own below, with its own descriptors; from there on the two do not differ.  An
 * init ends when its status socket is closed: nobody waits for it any more.
 *
 * Each step that fails is reported with its errno by whoever took it, and ends
 * that process.  The init stays uid 0 and is not dumpable, so the program, even
 * when both have one uid outside the VM, can neither trace it nor read what it
 * holds.  Signals are never handled, only waited for: a process 1 is not killed
 * by its own descendants, and all it blocks is kept for it.
 *
 * Without namespaces (tests outside a VM) the program and its process group are
 * killed at the end; what left the group gets away.
 */
#include "guest/session_init.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "guest/idmap.h"
#include "guest/mcp_shim.h"
#include "guest/proc.h"

#define HIDDEN_LAYERS_MAX   16	 /* Mounts taken away, one on the other. */
#define FD_HIGH		    16	 /* Above every number that has a meaning. */
#define MAP_MAX		    1024 /* Bytes of a map of ids. */
#define PROCESSES_LEFT_MAX  256	 /* Of the daemon's limit, to itself... */
#define PROCESSES_LEFT_PART 8	 /* ...and no more than that part of it. */

struct init {
	struct init_spec spec;
	const char *group; /* cgroup.procs of the session's, or NULL. */
	const char *mcp;   /* Folder to be seen as MCP_SHIM_DIR, or NULL. */
	const char *cwd;
	char **argv, **env, **hide; /* NULL-terminated. */
	struct place files;
	pid_t program;
	int signals;	  /* signalfd(2) of all. */
	int user;	  /* User namespace of the program, or -1: ours. */
	int user_sock[2]; /* Between init and program while that is made. */
};

/* @fd: to be sent along, or -1. */
static int send_report(int status, struct init_report r, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {&r, sizeof(r)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (fd >= 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
	}
	return sendmsg(status, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void report(enum init_report_type type, int a, int b)
{
	(void)send_report(SESSION_INIT_STATUS_FD,
			  (struct init_report){(int32_t)type, a, b}, -1);
}

/* Report that @step failed, with errno, and end this process. */
static _Noreturn void fail(enum proc_step step)
{
	report(INIT_FAILED, (int)step, errno);
	_exit(127);
}

/* Point @n entries of a new vector at the strings from *at on.
 * Return: NULL when memory is out or the text ends too early. */
static char **take_strings(char **at, const char *end, uint32_t n)
{
	char **v = calloc((size_t)n + 1, sizeof(*v));

	for (uint32_t i = 0; v != NULL && i < n; i++) {
		char *nul = memchr(*at, '\0', (size_t)(end - *at));

		if (nul == NULL) {
			free(v);
			errno = EINVAL;
			return NULL;
		}
		v[i] = *at;
		*at = nul + 1;
	}
	return v;
}

/* The same of one string that is there or not; *out is NULL when it is not. */
static int take_string(char **at, const char *end, bool there, const char **out)
{
	char **v = take_strings(at, end, there);

	if (v == NULL)
		return -1;
	*out = v[0];
	free(v);
	return 0;
}

/* Map the spec; it stays for the life of the init. */
static int load(struct init *in)
{
	struct stat st;
	char *at, *end;

	if (fstat(SESSION_INIT_SPEC_FD, &st) < 0)
		return -1;
	errno = EINVAL;
	if ((size_t)st.st_size < sizeof(in->spec))
		return -1;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		  SESSION_INIT_SPEC_FD, 0);
	if (at == MAP_FAILED)
		return -1;
	end = at + st.st_size;

	memcpy(&in->spec, at, sizeof(in->spec));
	at += sizeof(in->spec);
	if (take_string(&at, end, in->spec.has_group, &in->group) < 0 ||
	    take_string(&at, end, in->spec.has_mcp, &in->mcp) < 0 ||
	    take_string(&at, end, true, &in->cwd) < 0)
		return -1;
	in->argv = take_strings(&at, end, in->spec.n_argv);
	in->env = take_strings(&at, end, in->spec.n_env);
	in->hide = take_strings(&at, end, in->spec.n_hide);
	if (!in->argv || !in->env || !in->hide ||
	    place_take(&at, end, in->spec.n_files, &in->files) < 0)
		return -1;
	return close(SESSION_INIT_SPEC_FD);
}

/* Leave nothing at @path: take its mounts away and cover what is below them,
 * which may be one more, locked since it came from outside the VM
 * (mount_namespaces(7)). */
static int hide(const char *path)
{
	for (int n = 0; n < HIDDEN_LAYERS_MAX; n++)
		if (umount2(path, MNT_DETACH) < 0)
			break;
	if (mount("none", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
		  "size=4k,mode=0555") == 0)
		return 0;
	return errno == ENOENT ? 0 : -1;
}

/* Show the session's own folder of sockets where that of all is hidden.  Nobody
 * below can change it or take it away. */
static int show_mcp(int folder)
{
	const unsigned long flags = MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", folder);
	if (mount(path, MCP_SHIM_DIR, NULL, MS_BIND, NULL) < 0)
		return -1;
	return mount(NULL, MCP_SHIM_DIR, NULL, MS_REMOUNT | flags, NULL);
}

static int mounts(const struct init *in)
{
	autoclose int mcp = -1;

	if (in->mcp != NULL) {
		mcp = open(in->mcp, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (mcp < 0)
			return -1;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -1;
	for (char **path = in->hide; *path != NULL; path++)
		if (hide(*path) < 0)
			return -1;
	if (mcp >= 0 && show_mcp(mcp) < 0)
		return -1;
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		     NULL);
}

static int write_text(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);

	if (fd < 0)
		return -1;
	return write(fd, text, n) == (ssize_t)n ? 0 : -1;
}

/* Our map @path with each id mapped to itself. */
static void same_ids(const char *path, char out[MAP_MAX])
{
	FILE *f = fopen(path, "re");
	unsigned inside, outside, n;
	size_t len = 0;

	out[0] = '\0';
	while (f != NULL && len < MAP_MAX &&
	       fscanf(f, "%u %u %u", &inside, &outside, &n) == 3)
		len += (size_t)snprintf(out + len, MAP_MAX - len, "%u %u %u\n",
					inside, inside, n);
	if (f != NULL)
		fclose(f);
}

static int write_map(pid_t program, const char *name, unsigned own)
{
	char path[64], map[MAP_MAX];

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	if (idmap_has_agent())
		same_ids(path, map);
	else
		snprintf(map, sizeof(map), "%d %u 1", SESSION_INIT_UID, own);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)program, name);
	return write_text(path, map);
}

/* In the init: all ids that we have are what they are for us, or the one uid
 * that we have becomes SESSION_INIT_UID in the program's user namespace.  As ours
 * is uid 0 of its namespace, CAP_SETFCAP is needed to map it
 * (user_namespaces(7)). */
static int map_user(pid_t program)
{
	if (write_map(program, "gid_map", getegid()) < 0)
		return -1;
	return write_map(program, "uid_map", geteuid());
}

/* In the init, while the program waits in its new user namespace, which is kept
 * for those that join. */
static int give_user(struct init *in)
{
	char path[64], word;

	if (read(in->user_sock[0], &word, 1) != 1)
		return 0; /* It has reported why. */
	if (map_user(in->program) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)in->program);
	in->user = open(path, O_RDONLY | O_CLOEXEC);
	if (in->user < 0)
		return -1;
	return write(in->user_sock[0], &word, 1) == 1 ? 0 : -1;
}

/* In the program. */
static int enter_user(const struct init *in)
{
	char word = 0;

	if (in->user >= 0)
		return setns(in->user, CLONE_NEWUSER);
	if (in->user_sock[1] < 0)
		return 0;
	if (unshare(CLONE_NEWUSER) < 0 ||
	    write(in->user_sock[1], &word, 1) != 1)
		return -1;
	if (read(in->user_sock[1], &word, 1) != 1)
		_exit(127); /* The init has reported why. */
	return 0;
}

static int drop_bounding(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	if (syscall(SYS_capset, &head, none) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Supplementary groups cannot be set where a namespace forbids it; then an
 * ordinary user made it, and its own groups are all there are. */
static int drop_groups(void)
{
	const gid_t gid = SESSION_INIT_UID;

	if (setgroups(1, &gid) < 0) {
		char word[8] = "";
		FILE *f = fopen("/proc/self/setgroups", "re");
		bool denied = f != NULL && fgets(word, sizeof(word), f) &&
			      strncmp(word, "deny", 4) == 0;

		if (f != NULL)
			fclose(f);
		if (!denied)
			return -1;
	}
	return setresgid(gid, gid, gid);
}

static int drop_user(const struct init *in)
{
	const uid_t uid = SESSION_INIT_UID;

	if (enter_user(in) < 0 || drop_bounding() < 0 || drop_groups() < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -1;
	return drop_capabilities();
}

static int limit(__rlimit_resource_t what, int64_t n)
{
	struct rlimit now;

	if (n == 0)
		return 0;
	if (getrlimit(what, &now) < 0)
		return -1;
	if ((rlim_t)n < now.rlim_max)
		now.rlim_max = (rlim_t)n;
	if (now.rlim_cur > now.rlim_max || what != RLIMIT_NOFILE)
		now.rlim_cur = now.rlim_max;
	return setrlimit(what, &now);
}

/* Processes are counted for each user of each user namespace apart, and again
 * for the namespaces above it (kernel/ucount.c).  So in one of the session's own
 * the limit is the session's. */
static int limit_self(const struct quota *q)
{
	if (limit(RLIMIT_NPROC, q->processes) < 0 ||
	    limit(RLIMIT_DATA, q->memory_bytes) < 0)
		return -1;
	return limit(RLIMIT_NOFILE, q->open_files);
}

/* The daemon is counted together with all sessions, and must be able to start one
 * that ends them.  A user namespace keeps to the limit that there is when it is
 * made, so this comes before. */
static int leave_processes(void)
{
	struct rlimit now;
	rlim_t left;

	if (getrlimit(RLIMIT_NPROC, &now) < 0)
		return -1;
	left = now.rlim_max / PROCESSES_LEFT_PART;
	if (left > PROCESSES_LEFT_MAX)
		left = PROCESSES_LEFT_MAX;
	return now.rlim_max == RLIM_INFINITY
		       ? 0
		       : limit(RLIMIT_NPROC, (int64_t)(now.rlim_max - left));
}

/* By the system call itself: the C library keeps two signals to itself, and
 * would pass on that somebody before us had ignored them.  All zeroes is the
 * kernel's struct sigaction for SIG_DFL. */
static void default_signals(void)
{
	static const unsigned long dfl[4];
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, dfl, NULL, NSIG / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What went wrong with which file is said where the program's own words go. */
static int place_files(const struct place *files)
{
	const char *path = NULL;
	int error;

	if (place_write(files, PLACE_HOME, &path) == 0)
		return 0;
	error = errno;
	dprintf(STDERR_FILENO, "hib-guest: " PLACE_HOME "/%s: %s\n", path,
		strerror(error));
	errno = error;
	return -1;
}

/* In the forked child: become the program. */
static _Noreturn void become_program(const struct init *in, pid_t parent)
{
	const struct rlimit no_core = {0, 0};

	report(INIT_HERE, 0, 0);
	setsid();
	umask(022);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	if (in->spec.drop_user && (leave_processes() < 0 || drop_user(in) < 0 ||
				   limit_self(&in->spec.quota) < 0))
		fail(PROC_STEP_USER);
	if (!in->spec.isolate) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
	}
	if (place_files(&in->files) < 0)
		fail(PROC_STEP_FILES);
	if (chdir(in->cwd) < 0)
		fail(PROC_STEP_CWD);

	default_signals();
	(void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	environ = in->env;
	execvp(in->argv[0], in->argv);
	fail(PROC_STEP_EXEC);
}

/* Wait until every copy of the write end of @pipe is closed. */
static void wait_closed(int pipe[2])
{
	char c;

	close(pipe[1]);
	while (read(pipe[0], &c, 1) < 0 && errno == EINTR)
		continue;
	close(pipe[0]);
}

/* The pipe closes when the program is executed or has reported its failure, so
 * that INIT_STARTED never comes before INIT_FAILED. */
static void start(struct init *in)
{
	bool new_user = in->spec.drop_user && in->user < 0 &&
			(in->spec.quota.processes > 0 || !idmap_has_agent());
	pid_t self = getpid();
	int executed[2];

	in->user_sock[0] = in->user_sock[1] = -1;
	if (pipe2(executed, O_CLOEXEC) < 0)
		fail(PROC_STEP_FORK);
	if (new_user && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				   in->user_sock) < 0)
		fail(PROC_STEP_USER);
	in->program = fork();
	if (in->program < 0)
		fail(PROC_STEP_FORK);
	if (in->program == 0)
		become_program(in, self);

	close_fd(&in->user_sock[1]);
	if (new_user && give_user(in) < 0)
		fail(PROC_STEP_USER);
	close_fd(&in->user_sock[0]);
	/* The other sides of its pipes must see when it closes them. */
	(void)close_range(STDIN_FILENO, STDERR_FILENO, 0);
	wait_closed(executed);
	report(INIT_STARTED, 0, 0);
}

/* Negative: to its process group. */
static void pass_signal(const struct init *in, int signal)
{
	if (signal < 0)
		(void)kill(-in->program, -signal);
	else
		(void)kill(in->program, signal);
}

/* Bury the dead, but leave the program's body: its number stays taken.
 * Return: whether the program has ended, and how in @si. */
static bool program_ended(const struct init *in, siginfo_t *si)
{
	for (;;) {
		si->si_pid = 0;
		if (waitid(P_ALL, 0, si, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		    si->si_pid == 0)
			return false;
		if (si->si_pid == in->program)
			return true;
		(void)waitpid(si->si_pid, NULL, 0);
	}
}

static void take_signal(const struct init *in)
{
	struct signalfd_siginfo si;

	if (read(in->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == (uint32_t)SESSION_INIT_SIGNAL)
		pass_signal(in, si.ssi_int);
	else if (si.ssi_signo != SIGCHLD)
		pass_signal(in, (int)si.ssi_signo);
}

static _Noreturn void be_init(struct init *in);

/* In the copy: put the descriptors in place and go on as any init.  They are
 * moved up first, or one could be overwritten before it is moved. */
static _Noreturn void be_joined(const struct init *in,
				const int fd[SESSION_INIT_FDS])
{
	struct init copy = {.user = in->user};
	int high[SESSION_INIT_FDS];

	for (int i = 0; i < SESSION_INIT_FDS; i++)
		high[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, FD_HIGH);
	if (in->user >= 0)
		copy.user = fcntl(in->user, F_DUPFD_CLOEXEC, FD_HIGH);
	for (int i = 0; i < SESSION_INIT_FDS; i++)
		if (dup2(high[i], i) < 0)
			_exit(127);
	if (copy.user >= 0)
		copy.user = dup2(copy.user, SESSION_INIT_FDS);
	(void)close_range(SESSION_INIT_FDS + (copy.user >= 0), ~0u, 0);
	be_init(&copy);
}

/* Return: the pid of an init that waits for the end of @told; -1. */
static pid_t clone_init(const struct init *in, const int fd[SESSION_INIT_FDS],
			int told[2], int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid != 0)
		return pid;
	wait_closed(told);
	be_joined(in, fd);
}

/* Make the init of a program that joins.  Its owner has to get its pidfd before
 * any report of its own. */
static void make_joined(const struct init *in, const int fd[SESSION_INIT_FDS])
{
	struct init_report r = {.type = INIT_BORN};
	int told[2] = {-1, -1};
	autoclose int pidfd = -1;
	pid_t pid = -1;

	if (pipe2(told, O_CLOEXEC) == 0)
		pid = clone_init(in, fd, told, &pidfd);
	if (pid < 0)
		r = (struct init_report){INIT_FAILED, PROC_STEP_INIT, errno};
	if (send_report(fd[SESSION_INIT_STATUS_FD], r, pidfd) < 0 && pid > 0)
		(void)kill(pid, SIGKILL);
	close_fd(&told[0]);
	close_fd(&told[1]);
}

/* Return: false when the socket is closed. */
static bool take_request(const struct init *in)
{
	_Alignas(struct cmsghdr) char
		control[CMSG_SPACE(SESSION_INIT_FDS * sizeof(int))];
	char word;
	struct iovec iov = {&word, 1};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(SESSION_INIT_STATUS_FD, &m,
			      MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd[SESSION_INIT_FDS];
	size_t n;

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	if (c == NULL || c->cmsg_type != SCM_RIGHTS)
		return true;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	/* With less there was no room for them; its owner sees them close. */
	if (n == SESSION_INIT_FDS)
		make_joined(in, fd);
	while (n > 0)
		close(fd[--n]);
	return true;
}

static void wait_for_end(const struct init *in, siginfo_t *end)
{
	struct pollfd fds[] = {
		{.fd = in->signals, .events = POLLIN},
		{.fd = SESSION_INIT_STATUS_FD, .events = POLLIN},
	};

	while (!program_ended(in, end)) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[0].revents != 0)
			take_signal(in);
		if (fds[1].revents != 0 && !take_request(in)) {
			pass_signal(in, -SIGKILL);
			_exit(127);
		}
	}
}

static void fence(struct init *in)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	(void)signal(SIGCHLD, SIG_DFL); /* Ignored, it would bury by itself. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, SESSION_INIT_NAME);
	(void)fcntl(SESSION_INIT_STATUS_FD, F_SETFD, FD_CLOEXEC);
	in->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in->signals < 0)
		fail(PROC_STEP_INIT);
}

static _Noreturn void be_init(struct init *in)
{
	siginfo_t end;

	fence(in);
	if (load(in) < 0)
		fail(PROC_STEP_INIT);
	if (in->group != NULL && write_text(in->group, "0") < 0)
		fail(PROC_STEP_GROUP);
	if (in->spec.isolate && mounts(in) < 0)
		fail(PROC_STEP_MOUNT);
	start(in);
	wait_for_end(in, &end);
	if (!in->spec.isolate)
		pass_signal(in, -SIGKILL);
	if (end.si_code == CLD_EXITED)
		report(INIT_ENDED, end.si_status, 0);
	else
		report(INIT_ENDED, 0, end.si_status);
	_exit(0);
}

int session_init_main(void)
{
	struct init in = {.user = -1};

	(void)close_range(SESSION_INIT_FDS, ~0u, 0);
	be_init(&in);
}
