/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups.h - Control groups for sessions, where the VM was given a tree
 *
 * Only version 2, with at least one controller that we use.  The tree is the
 * VM's own: its root is where the daemon was started, and the daemon moves into
 * a leaf of it, since a group with processes can have none below.
 */
#ifndef GUEST_CGROUPS_H
#define GUEST_CGROUPS_H

#include "core/id.h"
#include "core/quota.h"

#define CGROUPS_AT "/sys/fs/cgroup"

struct cgroups {
	int root; /* -1: there is no tree. */
	bool pids, memory, cpu;
};

/* One group; dir is -1 when there is none. */
struct cgroup {
	int dir;
	char name[ID_MAX];
};

/* Take the tree at CGROUPS_AT, if there is one. */
void cgroups_open(struct cgroups *c);
void cgroups_close(struct cgroups *c);

/**
 * cgroup_make() - Make a group with limits
 * @c:    The tree
 * @name: Of the group; one that an earlier boot has left is taken
 * @q:    What has no controller is not limited
 * @out:  Set on success, released by cgroup_remove()
 *
 * Return: 0; -ENOENT when there is no tree; another negative errno.
 */
int cgroup_make(const struct cgroups *c, const char *name,
		const struct quota *q, struct cgroup *out);
/* Kill what is in it, and remove it. */
void cgroup_remove(const struct cgroups *c, struct cgroup *g);

/* A file of the group, to be polled.  Return: a descriptor or -errno. */
int cgroup_open_file(const struct cgroup *g, const char *file);
/* The number behind @key in such a file; 0 when there is none. */
int64_t cgroup_read_key(int fd, const char *key);

#endif
