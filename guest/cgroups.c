// SPDX-License-Identifier: Apache-2.0
/*
 * cgroups.c - Control groups for sessions, where the VM was given a tree
 */
#include "guest/cgroups.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/log.h"

#define LOG_COMPONENT "cgroups"
#define OWN_LEAF      "daemon"
#define CPU_PERIOD_US 100000
#define FILE_MAX      4096 /* Bytes of a file of the tree. */

static int write_file(int dir, const char *file, const char *text)
{
	autoclose int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, n) == (ssize_t)n ? 0 : -errno;
}

static int write_number(int dir, const char *file, int64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	return n > 0 ? write_file(dir, file, text) : 0;
}

/* All of a file; "" when it cannot be read. */
static void read_file(int fd, char text[FILE_MAX])
{
	ssize_t n = fd < 0 ? 0 : pread(fd, text, FILE_MAX - 1, 0);

	text[n > 0 ? n : 0] = '\0';
}

static bool enable(int root, const char *controller)
{
	char text[32];

	snprintf(text, sizeof(text), "+%s", controller);
	return write_file(root, "cgroup.subtree_control", text) == 0;
}

static int move_in(int root)
{
	char file[] = OWN_LEAF "/cgroup.procs";

	if (mkdirat(root, OWN_LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	return write_file(root, file, "0");
}

static bool is_tree(int root)
{
	struct statfs fs;

	return fstatfs(root, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

void cgroups_open(struct cgroups *c)
{
	autoclose int root =
		open(CGROUPS_AT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*c = (struct cgroups){.root = -1};
	if (root < 0 || !is_tree(root) || move_in(root) < 0)
		return;
	c->pids = enable(root, "pids");
	c->memory = enable(root, "memory");
	c->cpu = enable(root, "cpu");
	log_info("control groups:%s%s%s", c->pids ? " pids" : "",
		 c->memory ? " memory" : "", c->cpu ? " cpu" : "");
	if (c->pids || c->memory || c->cpu)
		c->root = take_fd(&root);
}

void cgroups_close(struct cgroups *c)
{
	close_fd(&c->root);
	c->root = -1;
}

static int write_cpu(int dir, int64_t percent)
{
	char text[64];

	snprintf(text, sizeof(text), "%lld %d",
		 (long long)(percent * CPU_PERIOD_US / 100), CPU_PERIOD_US);
	return percent > 0 ? write_file(dir, "cpu.max", text) : 0;
}

static int write_limits(const struct cgroups *c, int dir, const struct quota *q)
{
	int r = 0;

	if (c->pids)
		r = write_number(dir, "pids.max", q->processes);
	if (r == 0 && c->memory)
		r = write_number(dir, "memory.max", q->memory_bytes);
	/* Or it would go on in the swap. */
	if (r == 0 && c->memory && q->memory_bytes > 0)
		(void)write_file(dir, "memory.swap.max", "0");
	if (r == 0 && c->cpu)
		r = write_cpu(dir, q->cpu_percent);
	return r;
}

int cgroup_make(const struct cgroups *c, const char *name,
		const struct quota *q, struct cgroup *out)
{
	struct cgroup g = {.dir = -1};
	int r;

	if (c->root < 0)
		return -ENOENT;
	snprintf(g.name, sizeof(g.name), "%s", name);
	if (mkdirat(c->root, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	g.dir = openat(c->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = g.dir < 0 ? -errno : write_limits(c, g.dir, q);
	if (r < 0)
		cgroup_remove(c, &g);
	else
		*out = g;
	return r;
}

void cgroup_remove(const struct cgroups *c, struct cgroup *g)
{
	if (g->dir < 0)
		return;
	(void)write_file(g->dir, "cgroup.kill", "1");
	close_fd(&g->dir);
	g->dir = -1;
	if (unlinkat(c->root, g->name, AT_REMOVEDIR) < 0)
		log_debug("%s: its group stays: %s", g->name, strerror(errno));
}

int cgroup_open_file(const struct cgroup *g, const char *file)
{
	int fd = openat(g->dir, file, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int64_t cgroup_read_key(int fd, const char *key)
{
	char text[FILE_MAX], *rest = text, *line;
	size_t n = strlen(key);

	read_file(fd, text);
	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return strtoll(line + n, NULL, 10);
	return 0;
}
