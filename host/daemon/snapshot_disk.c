// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_disk.c - The disk of a VM, from one folder to another
 *
 * The image of a VM that has a quota is mounted while that runs.  It is copied
 * while the file system is frozen: then all of it is in the file, and no part
 * changes meanwhile.  Where it is mounted only the VM's own processes see, and
 * what they show there may be anything: so it is asked which file is behind it.
 */
#include "host/daemon/snapshot_disk.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host/launched.h"
#include "host/sandbox/range.h"
#include "host/treecopy.h"

#define IMAGE	"disk.img"
#define MOUNTED "hib/vfs" /* In the VM. */

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

/* Is it the file system in the image of the VM @dir? */
static bool is_of_image(int fd, const char *dir)
{
	char path[64], want[PATH_MAX], got[PATH_MAX + 1];
	autoclose int file = -1;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || snprintf(want, sizeof(want), "%s/" IMAGE "\n",
					   dir) >= (int)sizeof(want))
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file",
		 major(st.st_dev), minor(st.st_dev));
	file = open(path, O_RDONLY | O_CLOEXEC);
	n = file < 0 ? -1 : read(file, got, sizeof(got) - 1);
	if (n < 0)
		return false;
	got[n] = '\0';
	return strcmp(got, want) == 0;
}

static int open_mounted(const char *dir, pid_t pid)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	char path[32];
	autoclose int root = -1, fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, MOUNTED, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	return is_of_image(fd, dir) ? take_fd(&fd) : -ESTALE;
}

void snapshot_disk_thaw(const char *dir, pid_t pid)
{
	autoclose int fd = open_mounted(dir, pid);

	if (fd >= 0)
		(void)ioctl(fd, FITHAW, 0);
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

static int copy_still_image(struct snapshot_disk *c, int from, int to)
{
	autoclose int mounted = -1;
	int r;

	if (c->machine == 0)
		return copy_image(c, from, to);
	mounted = open_mounted(c->from, c->machine);
	if (mounted < 0)
		return mounted;
	if (ioctl(mounted, FIFREEZE, 0) < 0)
		return -errno;
	r = copy_image(c, from, to);
	(void)ioctl(mounted, FITHAW, 0);
	return r;
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
	r = copy_still_image(c, from, to);
	return r < 0 ? err_set(e, r, "copy " IMAGE ": %s", strerror(-r)) : 0;
}
