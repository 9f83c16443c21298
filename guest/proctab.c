// SPDX-License-Identifier: Apache-2.0
/*
 * proctab.c - All processes of the VM at one moment
 */
#include "guest/proctab.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define STAT_MAX  1024 /* Bytes of a /proc/PID/stat. */
#define DEPTH_MAX 1024 /* Of a family, beyond which it is a circle. */

/* The name stands in parentheses and may hold any, see proc(5). */
static bool parse(char *text, struct proctab_entry *e)
{
	char *name = strchr(text, '('), *end = strrchr(text, ')');
	unsigned long long start;
	int parent, sid, threads;
	char state;

	if (name == NULL || end == NULL || end < name)
		return false;
	*end = '\0';
	if (sscanf(end + 1,
		   " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
		   "%*d %*d %d %*d %llu",
		   &state, &parent, &sid, &threads, &start) != 5)
		return false;
	snprintf(e->name, sizeof(e->name), "%s", name + 1);
	e->parent = parent;
	e->sid = sid;
	e->threads = threads;
	e->start = start;
	e->zombie = state == 'Z' || state == 'X';
	return true;
}

static bool read_entry(int proc, const char *pid, struct proctab_entry *e)
{
	char path[64], text[STAT_MAX];
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%.32s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	e->pid = (pid_t)strtol(pid, NULL, 10);
	return parse(text, e);
}

static struct proctab_entry *next_entry(struct proctab *t)
{
	size_t cap = t->cap > 0 ? 2 * t->cap : 256;
	struct proctab_entry *grown;

	if (t->n < t->cap)
		return &t->v[t->n];
	grown = realloc(t->v, cap * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	t->v = grown;
	t->cap = cap;
	return &t->v[t->n];
}

static int by_pid(const void *a, const void *b)
{
	const struct proctab_entry *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

int proctab_read(struct proctab *t)
{
	DIR *d = opendir("/proc");
	const struct dirent *ent;
	int r = d == NULL ? -errno : 0;

	t->n = 0;
	while (r == 0 && (ent = readdir(d)) != NULL) {
		struct proctab_entry *e;

		if (ent->d_name[0] < '0' || ent->d_name[0] > '9')
			continue;
		e = next_entry(t);
		if (e == NULL)
			r = -ENOMEM;
		else if (read_entry(dirfd(d), ent->d_name, e))
			t->n++;
	}
	if (d != NULL)
		closedir(d);
	if (t->n > 0)
		qsort(t->v, t->n, sizeof(*t->v), by_pid);
	return r;
}

void proctab_done(struct proctab *t)
{
	free(t->v);
	*t = (struct proctab){0};
}

const struct proctab_entry *proctab_find(const struct proctab *t, pid_t pid)
{
	const struct proctab_entry key = {.pid = pid};

	return t->n == 0 ? NULL
			 : bsearch(&key, t->v, t->n, sizeof(key), by_pid);
}

const struct proctab_entry *proctab_child_of(const struct proctab *t,
					     const struct proctab_entry *e,
					     pid_t above)
{
	for (int i = 0; e != NULL && i < DEPTH_MAX; i++) {
		if (e->parent == above)
			return e;
		e = proctab_find(t, e->parent);
	}
	return NULL;
}

int proctab_open(const struct proctab_entry *e)
{
	autoclose int proc = open("/proc", O_PATH | O_CLOEXEC);
	autoclose int fd = (int)syscall(SYS_pidfd_open, e->pid, 0);
	struct proctab_entry now = {0};
	char pid[16];

	if (fd < 0)
		return -errno;
	/* If this is still the one, then it was when we opened it. */
	snprintf(pid, sizeof(pid), "%d", (int)e->pid);
	if (!read_entry(proc, pid, &now) || now.start != e->start)
		return -ESRCH;
	return take_fd(&fd);
}

uint64_t proctab_now(void)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * hz + (uint64_t)t.tv_nsec * hz / 1000000000u;
}
