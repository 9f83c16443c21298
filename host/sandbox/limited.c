// SPDX-License-Identifier: Apache-2.0
/*
 * limited.c - A disk of a limited size for a VM
 *
 * The loop device keeps the very open file that it was given, and frees itself
 * when the file system is gone, which is when the last process of the VM is.  So
 * a lock (flock(2)) on that open file says exactly whether the image is in use:
 * a second mount of it, which would ruin it, waits for the end of the first.
 *
 * The image gets its name when it is complete; one that was being made when the
 * machine went down is made anew.
 *
 * One that came from another VM, as a copy, has files with the ids of that VM: it
 * is seen through an idmapped mount, and stays as it is.
 */
#include "host/sandbox/limited.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/sandbox/idmapped.h"
#include "host/sandbox/range.h"

#define IMAGE	      "disk.img"
#define IMAGE_NEW     "disk.img.new"
#define LOOP_TRIES    16  /* Others take free devices at the same time. */
#define LOCK_TRIES    100 /* For the machine before to be gone... */
#define LOCK_PAUSE_US 50000
#define LOOP_PATH_MAX 32
#define MKFS_MAX      32

/* Its inode tables are zero, as the file is new: nothing has to fill them. */
static const char mount_options[] = "discard,noinit_itable,errors=remount-ro";

static int run_mkfs(const char *file)
{
	static const char *const paths[] = {"/usr/sbin/mkfs.ext4",
					    "/sbin/mkfs.ext4"};
	const char *argv[] = {
		"mkfs.ext4",
		"-q",
		"-F",
		"-m",
		"0",
		"-E",
		"nodiscard,lazy_itable_init=1,lazy_journal_init=1",
		file,
		NULL};
	char *env[] = {NULL};

	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		/* Not written to; execve(2) is older than const. */
		(void)execve(paths[i], (char **)(uintptr_t)argv, env);
	_exit(127);
}

static int make_file_system(int dir, struct err *e)
{
	char path[MKFS_MAX];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (fchdir(dir) < 0)
			_exit(126);
		snprintf(path, sizeof(path), "./%s", IMAGE_NEW);
		run_mkfs(path);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail(e, "run", "mkfs.ext4");
	if (status != 0)
		return err_set(e, -EIO, "mkfs.ext4 failed with status %d",
			       WEXITSTATUS(status));
	return 0;
}

static int make_image(int dir, uint64_t size, uint32_t owner, struct err *e)
{
	autoclose int fd = openat(
		dir, IMAGE_NEW,
		O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    (owner != 0 && fchown(fd, owner, owner) < 0))
		return fail(e, "make", IMAGE_NEW);
	r = make_file_system(dir, e);
	if (r < 0)
		return r;
	if (fsync(fd) < 0 || renameat(dir, IMAGE_NEW, dir, IMAGE) < 0)
		return fail(e, "make", IMAGE);
	return 0;
}

int limited_make(const struct box *b, int dir, uint64_t size, struct err *e)
{
	if (faccessat(dir, IMAGE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return make_image(dir, size, b->owner, e);
}

/* Return: the image, locked against a second use. */
static int open_image(const struct box *b, int dir, struct err *e)
{
	autoclose int fd = -1;

	if (faccessat(dir, IMAGE, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    make_image(dir, b->quota, 0, e) < 0)
		return e->code;
	fd = openat(dir, IMAGE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(e, "open", IMAGE);
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			return fail(e, "lock", IMAGE);
		(void)usleep(LOCK_PAUSE_US);
	}
	return take_fd(&fd);
}

/* Return: a loop device over the image; its path in @path. */
static int make_loop(int image, char path[LOOP_PATH_MAX], struct err *e)
{
	struct loop_config config = {
		.fd = (unsigned)image,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};
	autoclose int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	for (int i = 0; control >= 0 && i < LOOP_TRIES; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		autoclose int fd = -1;

		if (n < 0)
			break;
		snprintf(path, LOOP_PATH_MAX, "/dev/loop%d", n);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return take_fd(&fd);
		if (errno != EBUSY)
			break;
	}
	return fail(e, "set up", "a loop device");
}

static int make_folder(int dir, const char *name, mode_t mode, uint32_t owner,
		       struct err *e)
{
	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return fail(e, "make folder", name);
	if (fchownat(dir, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(e, "change owner of", name);
	return 0;
}

/* As backend_sandbox makes them on a disk without a limit.  What is there may
 * have been the guest's, so only its own name is looked at. */
static int make_folders(const struct box *b, const char *at, struct err *e)
{
	autoclose int dir = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const uint32_t agent = b->owner + RANGE_AGENT;
	autoclose int home = -1;
	int r;

	if (dir < 0)
		return fail(e, "open", at);
	r = make_folder(dir, "vfs", 0700, b->owner, e);
	if (r == 0)
		r = make_folder(dir, "home", 0755, b->owner, e);
	if (r < 0)
		return r;
	home = openat(dir, "home",
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0)
		return fail(e, "open", "home");
	if (faccessat(home, "user", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return make_folder(home, "user", 0755, agent, e);
}

/* The same file system, mounted at the same place with ids changed. */
static int map_ids(const struct box *b, const char *at, uint32_t first,
		   struct err *e)
{
	const struct idmapped_ids ids[2] = {{first, b->owner, RANGE_IDS}};
	autoclose int tree =
		open_tree(AT_FDCWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 || idmapped_set(b, tree, ids, ids) < 0)
		return fail(e, "change the ids of", IMAGE);
	if (umount2(at, MNT_DETACH) < 0 ||
	    move_mount(tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(e, "mount", at);
	return 0;
}

/* Whose image was it made as?  A folder that we make says so. */
static int take_ids(const struct box *b, const char *at, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/vfs", at) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "%s", at);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(e, "stat", path);
	return st.st_uid == b->owner ? 0 : map_ids(b, at, st.st_uid, e);
}

static int mount_image(const struct box *b, int dir, struct err *e)
{
	autoclose int image = open_image(b, dir, e);
	autoclose int loop = -1;
	char device[LOOP_PATH_MAX], at[PATH_MAX];
	int r;

	if (image < 0)
		return image;
	loop = make_loop(image, device, e);
	if (loop < 0)
		return loop;
	if (mkdirat(dir, LIMITED_AT, 0700) < 0 && errno != EEXIST)
		return fail(e, "make folder", LIMITED_AT);
	snprintf(at, sizeof(at), "%s/%s", b->dir, LIMITED_AT);
	if (mount(device, at, "ext4", MS_NOSUID | MS_NODEV, mount_options) < 0)
		return fail(e, "mount", at);
	r = take_ids(b, at, e);
	return r < 0 ? r : make_folders(b, at, e);
}

int limited_mount(const struct box *b, struct err *e)
{
	autoclose int dir = -1;

	if (b->quota == 0)
		return 0;
	if (!b->as_root)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "a quota needs a daemon that runs as root");
	dir = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? fail(e, "open", b->dir) : mount_image(b, dir, e);
}
