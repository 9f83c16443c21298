// SPDX-License-Identifier: Apache-2.0
/*
 * halt.c - Stop every process of the VM but ourselves, and continue them
 *
 * kill(-1) goes to each process that we may signal, in our PID namespace and
 * those below it.  What their threads do is read from /proc/PID/task/TID/stat
 * (proc(5)); one that is in a system call that cannot be left (D) stops at its
 * end, and executes nothing of its own before.
 *
 * They are continued one by one, the youngest first: a shell that continues
 * before its child could see it stopped, and take it for a job that the user has
 * stopped.  Nobody forks meanwhile, so none is missed.
 */
#include "guest/halt.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define STAT_MAX   1024
#define PF_KTHREAD 0x00200000 /* linux/sched.h */

/* Some process, or one thread of it, as /proc shows it. */
struct seen {
	pid_t pid;
	char state;
	bool kernel; /* A thread of the kernel. */
	int threads; /* Of the process. */
	int dir;     /* That has it, by its pid; during the call. */
};

typedef int (*seen_cb)(const struct seen *s, void *arg);

/* The name of a program is in parentheses, and may have any in it. */
static bool parse_stat(const char *text, struct seen *s)
{
	const char *end = strrchr(text, ')');
	unsigned flags;

	if (end == NULL ||
	    sscanf(end + 1,
		   " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d "
		   "%*d %*d %*d %d",
		   &s->state, &flags, &s->threads) != 3)
		return false;
	s->kernel = (flags & PF_KTHREAD) != 0;
	return true;
}

/* The start of a small file below @dir.  Return: its length, 0: it is gone. */
static size_t read_start(int dir, const char *path, char *text, size_t cap)
{
	autoclose int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, cap - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* False: it is gone. */
static bool look_at(int dir, const char *name, struct seen *s)
{
	char path[300], text[STAT_MAX];

	snprintf(path, sizeof(path), "%s/stat", name);
	if (read_start(dir, path, text, sizeof(text)) == 0)
		return false;
	s->pid = (pid_t)strtol(name, NULL, 10);
	s->dir = dir;
	return parse_stat(text, s);
}

/* Each number that is the name of an entry of @fd, which is closed. */
static int each_of(int fd, seen_cb cb, void *arg)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;
	struct seen s;
	int r = 0;

	if (dir == NULL) {
		r = -errno;
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (d = readdir(dir)) != NULL)
		if (isdigit((unsigned char)d->d_name[0]) &&
		    look_at(dirfd(dir), d->d_name, &s) && s.pid != getpid() &&
		    !s.kernel)
			r = cb(&s, arg);
	closedir(dir);
	return r;
}

/* Each process but us and the kernel's. */
static int each_process(seen_cb cb, void *arg)
{
	return each_of(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), cb,
		       arg);
}

/*
 * Lists of them.
 */

static int keep(struct halt *h, pid_t pid)
{
	pid_t *grown;

	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 64 : 2 * h->cap;

		grown = realloc(h->before, cap * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		h->before = grown;
		h->cap = cap;
	}
	h->before[h->n++] = pid;
	return 0;
}

static int keep_stopped(const struct seen *s, void *arg)
{
	return s->state == 'T' ? keep(arg, s->pid) : 0;
}

static int keep_any(const struct seen *s, void *arg)
{
	return keep(arg, s->pid);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static void sort(struct halt *h)
{
	if (h->n > 0)
		qsort(h->before, h->n, sizeof(*h->before), by_pid);
}

static bool has(const struct halt *h, pid_t pid)
{
	return h->n > 0 && bsearch(&pid, h->before, h->n, sizeof(*h->before),
				   by_pid) != NULL;
}

static void forget(struct halt *h)
{
	free(h->before);
	*h = (struct halt){0};
}

/*
 * What is done to them.
 */

int halt_begin(struct halt *h)
{
	int r;

	if (getpid() != 1)
		return -EPERM; /* It would be the whole machine's processes. */
	r = each_process(keep_stopped, h);
	if (r < 0) {
		forget(h);
		return r;
	}
	sort(h);
	h->on = true;
	/* ESRCH: there is nobody. */
	if (kill(-1, SIGSTOP) == 0 || errno == ESRCH)
		return 0;
	r = -errno;
	halt_end(h);
	return r;
}

/* A parent in vfork(2) waits for a child that has stopped: it is as good as
 * stopped itself. */
static bool is_in_vfork(const struct seen *s)
{
	static const long calls[] = {
#ifdef SYS_vfork
		SYS_vfork,
#endif
		SYS_clone,
		SYS_clone3,
	};
	char path[32], text[32];
	long call;

	snprintf(path, sizeof(path), "%d/syscall", s->pid);
	if (read_start(s->dir, path, text, sizeof(text)) == 0)
		return false;
	call = strtol(text, NULL, 10);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		if (call == calls[i])
			return true;
	return false;
}

static int count_thread(const struct seen *s, void *arg)
{
	struct halt_count *n = arg;

	if (s->state != 'D')
		n->running += strchr("TtZXx", s->state) == NULL;
	else if (!is_in_vfork(s))
		n->waiting++;
	return 0;
}

/* What is said of a process is said of its first thread. */
static int count_process(const struct seen *s, void *arg)
{
	char path[32];
	int fd;

	if (s->threads <= 1)
		return count_thread(s, arg);
	snprintf(path, sizeof(path), "%d/task", s->pid);
	fd = openat(s->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? 0 : each_of(fd, count_thread, arg); /* It is gone. */
}

int halt_count(struct halt_count *out)
{
	*out = (struct halt_count){0};
	return getpid() == 1 ? each_process(count_process, out) : 0;
}

void halt_end(struct halt *h)
{
	struct halt all = {0};

	if (!h->on)
		return;
	if (each_process(keep_any, &all) < 0)
		(void)kill(-1,
			   SIGCONT); /* Better one too many than one left. */
	sort(&all);
	while (all.n-- > 0)
		if (!has(h, all.before[all.n]))
			(void)kill(all.before[all.n], SIGCONT);
	all.n = 0;
	forget(&all);
	forget(h);
}
