// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_disk.c - The disk of a VM, from one folder to another
 *
 * The image of a VM that has a quota is mounted while that runs.  It is copied
 * while the file system is frozen: then all of it is in the file, and no part
 * changes meanwhile.  What the VM's processes see where it is mounted may be
 * anything, and may never answer: so the loop device is found by the file behind
 * it, and mounted once more, at no place.  It is the same file system, which stays
 * frozen until it is thawed, even when the VM and hibd are gone.
 */
#include "host/daemon/snapshot_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/launched.h"
#include "host/sandbox/range.h"
#include "host/treecopy.h"

#define IMAGE	   "disk.img"
#define MOUNTED	   "/sys/fs/ext4" /* A folder for each device. */
#define DEVICE_MAX 32

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

static bool is_over(const char *device, const struct stat *image)
{
	autoclose int fd = open(device, O_RDONLY | O_CLOEXEC);
	struct loop_info64 info;

	return fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0 &&
	       info.lo_device == image->st_dev &&
	       info.lo_inode == image->st_ino;
}

/* Only one that is mounted: a second file system over the image would ruin it. */
static int find_device(int dir, char path[DEVICE_MAX])
{
	const struct dirent *en;
	struct stat image;
	bool found = false;
	DIR *all;

	if (fstatat(dir, IMAGE, &image, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	all = opendir(MOUNTED);
	while (all != NULL && !found && (en = readdir(all)) != NULL)
		found = strncmp(en->d_name, "loop", 4) == 0 &&
			snprintf(path, DEVICE_MAX, "/dev/%s", en->d_name) <
				DEVICE_MAX &&
			is_over(path, &image);
	if (all != NULL)
		closedir(all);
	return found ? 0 : -ENODEV;
}

static int open_device(const char *device, bool read_only)
{
	autoclose int fs = fsopen("ext4", FSOPEN_CLOEXEC);
	autoclose int tree = -1;
	int root;

	if (fs < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
	    (read_only && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	tree = fsmount(fs, FSMOUNT_CLOEXEC,
		       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC);
	if (tree < 0)
		return -errno;
	root = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -errno : root;
}

/* Return: the root of the file system in the image in @dir, which is mounted. */
static int open_mounted(int dir)
{
	char device[DEVICE_MAX];
	int r = find_device(dir, device);

	if (r < 0)
		return r;
	r = open_device(device, false);
	/* As it is mounted already; an error in it makes it read-only. */
	return r == -EBUSY ? open_device(device, true) : r;
}

void snapshot_disk_thaw(const char *dir)
{
	autoclose int at = open_folder(dir, NULL);
	autoclose int mounted = at < 0 ? -1 : open_mounted(at);

	if (mounted >= 0)
		(void)ioctl(mounted, FITHAW, 0);
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

	if (!c->mounted)
		return copy_image(c, from, to);
	mounted = open_mounted(from);
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
