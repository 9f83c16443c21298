// SPDX-License-Identifier: Apache-2.0
/*
 * halt.c - Stop every process of the VM but ourselves, and continue them
 *
 * kill(-1) goes to each process that we may signal, in our PID namespace and
 * those below it.  What the processes do is read from /proc/PID/stat (proc(5)).
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
#include <unistd.h>

#define STAT_MAX   1024
#define PF_KTHREAD 0x00200000 /* linux/sched.h */

/* Some process, as /proc shows it. */
struct seen {
	pid_t pid;
	char state;
	bool kernel; /* A thread of the kernel. */
};

typedef int (*seen_cb)(const struct seen *s, void *arg);

/* The name of a program is in parentheses, and may have any in it. */
static bool parse_stat(const char *text, struct seen *s)
{
	const char *end = strrchr(text, ')');
	unsigned flags;

	if (end == NULL || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %u",
				  &s->state, &flags) != 2)
		return false;
	s->kernel = (flags & PF_KTHREAD) != 0;
	return true;
}

/* False: it is gone. */
static bool look_at(int proc, const char *name, struct seen *s)
{
	char path[300], text[STAT_MAX];
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/stat", name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	s->pid = (pid_t)strtol(name, NULL, 10);
	return parse_stat(text, s);
}

/* Each but us and the kernel's. */
static int each_process(seen_cb cb, void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	struct seen s;
	int r = 0;

	if (dir == NULL)
		return -errno;
	while (r == 0 && (d = readdir(dir)) != NULL)
		if (isdigit((unsigned char)d->d_name[0]) &&
		    look_at(dirfd(dir), d->d_name, &s) && s.pid != getpid() &&
		    !s.kernel)
			r = cb(&s, arg);
	closedir(dir);
	return r;
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

static int count_one(const struct seen *s, void *arg)
{
	struct halt_count *n = arg;

	if (s->state == 'D')
		n->waiting++;
	else if (strchr("TtZXx", s->state) == NULL)
		n->running++;
	return 0;
}

int halt_count(struct halt_count *out)
{
	*out = (struct halt_count){0};
	return getpid() == 1 ? each_process(count_one, out) : 0;
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
