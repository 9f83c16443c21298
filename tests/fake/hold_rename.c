// SPDX-License-Identifier: Apache-2.0
/*
 * hold_rename.c - Hold a program in the moment before it renames a file
 *
 *	hold_rename PID..
 *
 * Of the processes, and all that they start, the first thread to rename a file
 * whose name begins with ".hib-" stops there; the others go on.  "ready" is
 * printed when the processes are watched, then "held NAME".  At the end of
 * standard input the first process is killed, and all that is watched has to end
 * with it, before that thread can do anything.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"

#define PREFIX	 ".hib-"
#define TEXT_MAX 512
#define OPTIONS                                                             \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | \
	 PTRACE_O_TRACEVFORK)
#define SYSCALL_STOP (SIGTRAP | 0x80)

/* glibc's <sys/ptrace.h> and the kernel's do not go together. */
static long trace(long request, pid_t pid, size_t addr, size_t data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* One that has ended meanwhile is none of those that matter. */
static void seize(pid_t tid)
{
	if (tid <= 0 || (trace(PTRACE_SEIZE, tid, 0, OPTIONS) == 0 &&
			 trace(PTRACE_INTERRUPT, tid, 0, 0) == 0))
		return;
	if (errno != ESRCH) {
		perror("hold_rename: seize");
		exit(1);
	}
}

static void seize_threads(const char *pid)
{
	const struct dirent *entry;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	d = opendir(path);
	while (d != NULL && (entry = readdir(d)) != NULL)
		seize(atoi(entry->d_name));
	if (d != NULL)
		closedir(d);
}

/* A name in the memory of a thread. */
static void read_text(pid_t tid, uint64_t at, char out[TEXT_MAX])
{
	char path[64];
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : pread(fd, out, TEXT_MAX - 1, (off_t)at);
	out[n < 0 ? 0 : n] = '\0';
}

/* Is the thread about to rename what we wait for? */
static bool is_due(pid_t tid, char name[TEXT_MAX])
{
	struct ptrace_syscall_info info = {0};
	const char *last;
	int arg;

	if (trace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), (size_t)&info) <
		    0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	switch (info.entry.nr) {
#ifdef SYS_rename
	case SYS_rename:
		arg = 0;
		break;
#endif
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_renameat2:
		arg = 1;
		break;
	default:
		return false;
	}
	read_text(tid, info.entry.args[arg], name);
	last = strrchr(name, '/');
	return strncmp(last != NULL ? last + 1 : name, PREFIX,
		       strlen(PREFIX)) == 0;
}

static void kill_when_told(pid_t pid)
{
	char c;

	if (fork() != 0)
		return;
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	kill(pid, SIGKILL);
	_exit(0);
}

/* Let a thread go on behind a stop.  The signal is its own, but for those that
 * stand for our tracing. */
static void go_on(pid_t tid, int status, long request)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		trace(PTRACE_LISTEN, tid, 0, 0); /* It is stopped for others. */
		return;
	}
	if (event != 0 || sig == SYSCALL_STOP || sig == SIGTRAP)
		sig = 0;
	trace(request, tid, 0, (size_t)sig);
}

int main(int argc, char **argv)
{
	char name[TEXT_MAX];
	bool held = false;
	int status;
	pid_t tid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		seize_threads(argv[i]);
	puts("ready");
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status))
			continue;
		if (!held && WSTOPSIG(status) == SYSCALL_STOP &&
		    is_due(tid, name)) {
			held = true;
			printf("held %s\n", name);
			kill_when_told(atoi(argv[1]));
			continue;
		}
		go_on(tid, status, held ? PTRACE_CONT : PTRACE_SYSCALL);
	}
	return held ? 0 : 1;
}
