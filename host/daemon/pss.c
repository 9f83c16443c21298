// SPDX-License-Identifier: Apache-2.0
/*
 * pss.c - How much memory processes take, with all that they have started
 */
#include "host/daemon/pss.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"

#define DEPTH_MAX 64 /* Of processes that are looked up from one. */
#define LINE_MAX  512

struct process {
	pid_t pid, parent;
};

struct processes {
	struct process *item;
	size_t n, cap;
};

/* The first line of /proc/@pid/@file that begins with @key, behind that. */
static bool read_line(pid_t pid, const char *file, const char *key,
		      char out[LINE_MAX])
{
	char path[64], line[LINE_MAX];
	size_t len = strlen(key);
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		found = strncmp(line, key, len) == 0;
		if (found)
			memmove(out, line + len, strlen(line + len) + 1);
	}
	if (f != NULL)
		fclose(f);
	return found;
}

static int64_t pss_of(pid_t pid)
{
	char text[LINE_MAX];
	const char *second;

	if (read_line(pid, "smaps_rollup", "Pss:", text))
		return strtoll(text, NULL, 10) * 1024;
	/* Not ours to look into: total and resident pages. */
	if (!read_line(pid, "statm", "", text))
		return 0;
	second = strchr(text, ' ');
	return second == NULL
		       ? 0
		       : strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static int processes_add(struct processes *all, pid_t pid)
{
	char text[LINE_MAX];

	if (!read_line(pid, "status", "PPid:", text))
		return 0; /* It has ended. */
	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 256;
		void *grown = reallocarray(all->item, cap, sizeof(*all->item));

		if (grown == NULL)
			return -ENOMEM;
		all->item = grown;
		all->cap = cap;
	}
	all->item[all->n++] = (struct process){
		.pid = pid, .parent = (pid_t)strtol(text, NULL, 10)};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct process *p = a, *q = b;

	return (p->pid > q->pid) - (p->pid < q->pid);
}

static int processes_read(struct processes *all)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int r = dir == NULL ? -errno : 0;

	while (r == 0 && (entry = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0)
			r = processes_add(all, pid);
	}
	if (dir != NULL)
		closedir(dir);
	if (all->n > 0)
		qsort(all->item, all->n, sizeof(*all->item), compare);
	return r;
}

static bool is_below(const struct processes *all, pid_t pid, const pid_t *roots,
		     size_t n)
{
	for (unsigned depth = 0; depth < DEPTH_MAX && pid > 0; depth++) {
		const struct process key = {.pid = pid}, *p;

		for (size_t i = 0; i < n; i++)
			if (roots[i] == pid)
				return true;
		p = bsearch(&key, all->item, all->n, sizeof(key), compare);
		pid = p != NULL ? p->parent : 0;
	}
	return false;
}

int64_t pss_of_trees(const pid_t *roots, size_t n)
{
	struct processes all = {0};
	int64_t sum = 0;
	int r = processes_read(&all);

	for (size_t i = 0; r == 0 && i < all.n; i++)
		if (is_below(&all, all.item[i].pid, roots, n))
			sum += pss_of(all.item[i].pid);
	free(all.item);
	return r < 0 ? r : sum;
}
