// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_disk.c - The disk of a VM, from one folder to another
 */
#include "host/daemon/snapshot_disk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/launched.h"
#include "host/sandbox/range.h"
#include "host/treecopy.h"

#define IMAGE "disk.img"

static bool is_wanted(const char *path)
{
	static const char *const without[] = {
		"state/guest.db", "vfs/cache/",	    "vfs/trash/",
		"vfs/work/",	  "vfs/vfs.db-shm", "vfs/vfs.db.ballast",
	};

	for (size_t i = 0; i < ARRAY_LEN(without); i++)
		if (strncmp(path, without[i], strlen(without[i])) == 0)
			return false;
	return true;
}

static int open_folder(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_set(e, -errno, "open %s: %s", path, strerror(errno))
		      : fd;
}

/* Its own file system has owners of its own, which stay. */
static int copy_image(struct snapshot_disk *c, int from, int to)
{
	autoclose int in =
		openat(from, IMAGE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int out = -1;
	struct stat st;
	int r;

	if (in < 0)
		return errno == ENOENT ? 0 : -errno;
	out = openat(to, IMAGE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0 || fstat(in, &st) < 0)
		return -errno;
	r = treecopy_file(in, out, c->stop, &c->bytes);
	if (r < 0)
		return r;
	if (geteuid() == 0 && fchown(out, st.st_uid, st.st_gid) < 0)
		return -errno;
	return fsync(out) < 0 ? -errno : 0;
}

int snapshot_disk_copy(struct snapshot_disk *c, struct err *e)
{
	autoclose int from = open_folder(c->from, e);
	autoclose int to = from < 0 ? -1 : open_folder(c->to, e);
	struct treecopy t = {
		.from_at = from,
		.from = "disk",
		.to_at = to,
		.to = "disk",
		.wants = is_wanted,
		.stop = c->stop,
	};
	int r;

	if (from < 0 || to < 0)
		return e->code;
	if (c->to_vm != NULL && geteuid() == 0) {
		t.first = launched_uid(c->from_vm);
		t.becomes = launched_uid(c->to_vm);
		t.n = RANGE_IDS;
	}
	r = treecopy(&t, e);
	c->bytes = t.bytes;
	if (r < 0)
		return r;
	r = copy_image(c, from, to);
	return r < 0 ? err_set(e, r, "copy " IMAGE ": %s", strerror(-r)) : 0;
}
