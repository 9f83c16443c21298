// SPDX-License-Identifier: Apache-2.0
/*
 * ids.c - Whose ids the sandbox runs with
 *
 * Started by root, the guest gets a range of host ids of its own (range.h).  An
 * ordinary user has only one id to give: the launcher enters a user namespace
 * that maps 0 to it, and from there all is done as by root, with a range of one.
 *
 * The guest is always one user namespace further in than the mounts that the
 * launcher made.  Mounts inherited across that border are locked: the guest's
 * root can neither remount them writable nor unmount them
 * (mount_namespaces(7)).
 */
#include "host/sandbox/ids.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/types.h>

#include "host/sandbox/range.h"

#define MAP_MAX 48 /* Bytes of one line of three numbers. */

static int write_proc(const struct box *b, const char *path, const char *text,
		      struct err *e)
{
	autoclose int fd = openat(b->proc, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(e, "open /proc", path);
	if (write(fd, text, strlen(text)) < 0)
		return fail(e, "write /proc", path);
	return 0;
}

static int enter_user_namespace(const struct box *b, struct err *e)
{
	char uids[MAP_MAX], gids[MAP_MAX];
	int r;

	snprintf(uids, sizeof(uids), "0 %" PRIu32 " 1", (uint32_t)geteuid());
	snprintf(gids, sizeof(gids), "0 %" PRIu32 " 1", (uint32_t)getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return fail(e, "create", "a user namespace");
	r = write_proc(b, "self/setgroups", "deny", e);
	if (r == 0)
		r = write_proc(b, "self/uid_map", uids, e);
	if (r == 0)
		r = write_proc(b, "self/gid_map", gids, e);
	return r;
}

int ids_leave_host(struct box *b, struct err *e)
{
	int r;

	b->as_root = geteuid() == 0;
	b->owner = b->as_root ? range_base(b->id) : 0;
	b->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->proc < 0)
		return fail(e, "open", "/proc");

	if (!b->as_root) {
		r = enter_user_namespace(b, e);
		if (r < 0)
			return r;
	} else if (unshare(CLONE_NEWNS) < 0) {
		return fail(e, "create", "a mount namespace");
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail(e, "make private", "/");
	return 0;
}

int ids_map_child(const struct box *b, pid_t pid, struct err *e)
{
	static const char *const files[] = {"uid_map", "gid_map"};
	char path[MAP_MAX], line[MAP_MAX];
	int r = 0;

	snprintf(line, sizeof(line), "0 %" PRIu32 " %u", b->owner,
		 b->as_root ? RANGE_IDS : 1);
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++) {
		snprintf(path, sizeof(path), "%d/%s", pid, files[i]);
		r = write_proc(b, path, line, e);
	}
	return r;
}

int ids_become_root(const struct box *b, struct err *e)
{
	/* An ordinary user may not drop groups, and keeps what it has. */
	if (b->as_root && setgroups(0, NULL) < 0)
		return fail(e, "drop", "supplementary groups");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return fail(e, "become", "root of the sandbox");
	return 0;
}
