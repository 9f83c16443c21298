// SPDX-License-Identifier: Apache-2.0
/*
 * idmapped.c - A mount whose files belong to others than on their disk
 *
 * The map is that of a user namespace, which lives in a process first: one that
 * does nothing.
 */
#include "host/sandbox/idmapped.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAP_MAX	  128 /* Bytes of a map of ids. */
#define PROC_PATH 64

static int write_map(const struct box *b, pid_t pid, const char *name,
		     const struct idmapped_ids ids[2])
{
	char path[PROC_PATH], map[MAP_MAX];
	autoclose int fd = -1;
	int n = 0;

	for (int i = 0; i < 2; i++)
		if (ids[i].n > 0)
			n += snprintf(map + n, sizeof(map) - (size_t)n,
				      "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
				      ids[i].from, ids[i].to, ids[i].n);
	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	fd = openat(b->proc, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, map, (size_t)n) != n ? -1 : 0;
}

static pid_t clone_holder(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL,
				   NULL, NULL, 0UL);

	while (pid == 0)
		pause();
	return pid;
}

/* Return: a user namespace with these maps, or -1. */
static int make_map(const struct box *b, const struct idmapped_ids uids[2],
		    const struct idmapped_ids gids[2])
{
	pid_t pid = clone_holder();
	char path[PROC_PATH];
	int fd = -1;

	if (pid < 0)
		return -1;
	snprintf(path, sizeof(path), "%d/ns/user", (int)pid);
	if (write_map(b, pid, "uid_map", uids) == 0 &&
	    write_map(b, pid, "gid_map", gids) == 0)
		fd = openat(b->proc, path, O_RDONLY | O_CLOEXEC);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return fd;
}

int idmapped_set(const struct box *b, int tree,
		 const struct idmapped_ids uids[2],
		 const struct idmapped_ids gids[2])
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
	autoclose int map = make_map(b, uids, gids);

	if (map < 0)
		return -1;
	attr.userns_fd = (unsigned)map;
	return mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr));
}
