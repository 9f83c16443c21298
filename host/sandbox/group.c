// SPDX-License-Identifier: Apache-2.0
/*
 * group.c - A control group for the VM, where the host lets us have one
 *
 *	<the highest group above ours that we may change>
 *	    hibernacle/
 *	        <vm>/		the guest's: its files belong to its root
 *
 * For root that is the root of the hierarchy, for an ordinary user what a
 * service manager has delegated to it.  The host's own limits on the groups above
 * hold in any case.
 *
 * A group can only be removed when its processes are gone, after us.  So whoever
 * starts the next VM removes those that are empty; a lock on the folder keeps it
 * from taking one that is being made.
 */
#include "host/sandbox/group.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define OURS	  "hibernacle"
#define TEXT_MAX  4096 /* Bytes of a file that is read here. */
#define DEPTH_MAX 32   /* Of our group below the root. */

static const char *const controllers[] = {"pids", "memory", "cpu"};

/* Where version 2 is, alone or beside version 1. */
static int open_hierarchy(void)
{
	static const char *const places[] = {"/sys/fs/cgroup",
					     "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		autoclose int fd =
			open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && fstatfs(fd, &fs) == 0 &&
		    fs.f_type == CGROUP2_SUPER_MAGIC)
			return take_fd(&fd);
	}
	return -1;
}

static void read_text(int dir, const char *path, char text[TEXT_MAX])
{
	autoclose int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, TEXT_MAX - 1);

	text[n > 0 ? n : 0] = '\0';
}

static bool write_text(int dir, const char *path, const char *text)
{
	autoclose int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	ssize_t n = (ssize_t)strlen(text);

	return fd >= 0 && write(fd, text, (size_t)n) == n;
}

/* Our own group, as a path below the hierarchy; "" for its root. */
static void own_group(const struct box *b, char path[TEXT_MAX])
{
	char text[TEXT_MAX], *rest = text, *line;

	path[0] = '\0';
	read_text(b->proc, "self/cgroup", text);
	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, "0::/", 4) == 0)
			snprintf(path, TEXT_MAX, "%s", line + 4);
}

static int open_dir(int dir, const char *path)
{
	return openat(dir, path,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool may_change(int dir)
{
	return faccessat(dir, "cgroup.procs", W_OK, 0) == 0 &&
	       faccessat(dir, "cgroup.subtree_control", W_OK, 0) == 0;
}

/* The highest group on the way down to ours that we may change, from where on we
 * may change all: a process can only be moved below it.  -1: none. */
static int open_base(const struct box *b)
{
	autoclose int root = open_hierarchy();
	char path[TEXT_MAX], *rest = path, *name;
	int base = -1, depth = 0;

	if (root < 0)
		return -1;
	own_group(b, path);
	while (!may_change(root) && (name = strsep(&rest, "/")) != NULL &&
	       name[0] != '\0' && depth++ < DEPTH_MAX) {
		int below = open_dir(root, name);

		close_fd(&root);
		root = below;
		if (root < 0)
			return -1;
	}
	base = may_change(root) ? take_fd(&root) : -1;
	return base;
}

/* Let the groups below have the controllers.  Return: whether any was there. */
static bool pass_on(int dir)
{
	bool any = false;
	char text[16];

	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		snprintf(text, sizeof(text), "+%s", controllers[i]);
		any |= write_text(dir, "cgroup.subtree_control", text);
	}
	return any;
}

static void remove_below(int dir, const char *name, int depth)
{
	int fd = open_dir(dir, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && depth > 0 && (ent = readdir(d)) != NULL)
		if (ent->d_type == DT_DIR && ent->d_name[0] != '.')
			remove_below(dirfd(d), ent->d_name, depth - 1);
	if (d != NULL)
		closedir(d);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

/* VMs that have ended: what still has a process in it stays. */
static void remove_empty(int ours)
{
	int fd = fcntl(ours, F_DUPFD_CLOEXEC, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && (ent = readdir(d)) != NULL)
		if (ent->d_type == DT_DIR && ent->d_name[0] != '.')
			remove_below(ours, ent->d_name, 2);
	if (d != NULL)
		closedir(d);
}

/* What the owner of a delegated group may write (cgroups(7), delegation). */
static bool give_away(int dir, uint32_t owner)
{
	static const char *const files[] = {".", "cgroup.procs",
					    "cgroup.subtree_control",
					    "cgroup.threads"};

	for (size_t i = 0; owner != 0 && i < ARRAY_LEN(files); i++)
		if (fchownat(dir, files[i], owner, owner, 0) < 0)
			return false;
	return true;
}

static bool make_group(int ours, const struct box *b)
{
	autoclose int dir = -1;
	char most[16];

	if (mkdirat(ours, b->id, 0755) < 0 && errno != EEXIST)
		return false;
	dir = open_dir(ours, b->id);
	snprintf(most, sizeof(most), "%d", VM_PROCESSES_MAX);
	if (dir >= 0)
		(void)write_text(dir, "pids.max", most); /* It stays ours. */
	if (dir >= 0 && give_away(dir, b->owner) &&
	    write_text(dir, "cgroup.procs", "0"))
		return true;
	(void)unlinkat(ours, b->id, AT_REMOVEDIR);
	return false;
}

void group_enter(struct box *b)
{
	autoclose int base = open_base(b);
	autoclose int ours = -1;

	if (base < 0 || !pass_on(base) ||
	    (mkdirat(base, OURS, 0755) < 0 && errno != EEXIST))
		return;
	ours = open_dir(base, OURS);
	if (ours < 0 || !pass_on(ours) || flock(ours, LOCK_EX) < 0)
		return;
	remove_empty(ours);
	b->has_group = make_group(ours, b);
}

int group_mount(const struct box *b, struct err *e)
{
	if (!b->has_group)
		return 0;
	if (mount("cgroup2", GROUP_AT, "cgroup2",
		  MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return fail(e, "mount", GROUP_AT);
	return 0;
}
