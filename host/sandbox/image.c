// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - What a sandbox shows of the host, and what of it is the VM's own
 *
 * The image `host` is a short list: programs, libraries, and those parts of /etc
 * that programs need and that hold no secret and no habit of this machine's
 * user.  Any other image is a folder whose top-level folders are all shown but
 * for those that a VM always has of its own.
 */
#include "host/sandbox/image.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "host/sandbox/limited.h"
#include "host/sandbox/machine.h"

static const char *const host_dirs[] = {
	"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32",
};

/* A star at the end stands for any rest. */
static const char *const host_etc[] = {
	"alternatives",
	"ca-certificates",
	"ca-certificates.conf",
	"debian_version",
	"java-*",
	"ld.so.cache",
	"ld.so.conf",
	"ld.so.conf.d",
	"localtime",
	"mime.types",
	"nsswitch.conf",
	"os-release",
	"perl",
	"protocols",
	"python3*",
	"services",
	"ssl",
	"terminfo",
	"timezone",
};

/* What a VM has of its own, whatever its image brings. */
static const char *const own_dirs[] = {
	"dev", "hib", "home", "opt", "proc",	  "root",
	"run", "sys", "tmp",  "var", "workspace",
};

static const char *const own_opt[] = {"agents", "hib"};

static const char *const devices[] = {
	"full", "null", "random", "tty", "urandom", "zero",
};

static bool matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] == '*')
		return strncmp(pattern, name, n - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static bool has(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (matches(list[i], name))
			return true;
	return false;
}

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

/* Symbolic links are followed here: /etc/localtime shows what it names. */
static int take_host_etc(struct box *b, struct err *e)
{
	cleanup(close_dirp) DIR *etc = opendir("/etc");
	struct tree_source from = {.flags = TREE_OPTIONAL};
	const struct dirent *entry;
	int r = 0;

	if (etc == NULL)
		return fail(e, "read", "/etc");
	from.dir = dirfd(etc);
	while (r == 0 && (entry = readdir(etc)) != NULL) {
		from.path = entry->d_name;
		if (has(host_etc, ARRAY_LEN(host_etc), entry->d_name))
			r = trees_take(&b->image_trees, &from, "/etc",
				       entry->d_name, e);
	}
	return r;
}

static int take_host(struct box *b, struct err *e)
{
	autoclose int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (root < 0)
		return fail(e, "open", "/");
	for (size_t i = 0; i < ARRAY_LEN(host_dirs) && r == 0; i++)
		r = trees_take_entry(&b->image_trees, root, host_dirs[i], "",
				     e);
	return r < 0 ? r : take_host_etc(b, e);
}

/* Take the entries of an image's folder but for those of @own. */
static int take_entries(struct trees *t, DIR *dir, const char *under,
			const char *const *own, size_t n_own, struct err *e)
{
	const struct dirent *entry;
	int r = 0;

	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && !has(own, n_own, entry->d_name))
			r = trees_take_entry(t, dirfd(dir), entry->d_name,
					     under, e);
	return r;
}

/* /opt is ours, with what the image has in its own beside it. */
static int take_rootfs_opt(struct box *b, int root, struct err *e)
{
	int fd = openat(root, "opt",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup(close_dirp) DIR *opt = fd < 0 ? NULL : fdopendir(fd);

	if (opt == NULL)
		return 0;
	return take_entries(&b->image_trees, opt, "/opt", own_opt,
			    ARRAY_LEN(own_opt), e);
}

static int take_rootfs(struct box *b, struct err *e)
{
	cleanup(close_dirp) DIR *root = opendir(b->image);
	int r;

	if (root == NULL)
		return fail(e, "read the image", b->image);
	r = take_entries(&b->image_trees, root, "", own_dirs,
			 ARRAY_LEN(own_dirs), e);
	return r < 0 ? r : take_rootfs_opt(b, dirfd(root), e);
}

static int take_ours(struct box *b, struct err *e)
{
	const struct tree_source libexec = {
		.dir = AT_FDCWD,
		.path = b->libexec,
	};
	const struct tree_source agents = {
		.dir = AT_FDCWD,
		.path = b->agents,
	};
	int r = trees_take(&b->image_trees, &libexec, "/opt", "hib", e);

	return r < 0 ? r
		     : trees_take(&b->image_trees, &agents, "/opt", "agents",
				  e);
}

/* /dev/fuse opens for the guest only where it opens for everybody. */
static bool fuse_is_open(int dev)
{
	struct stat st;

	return fstatat(dev, "fuse", &st, 0) == 0 && S_ISCHR(st.st_mode) &&
	       (st.st_mode & 0006) == 0006;
}

static int take_devices(struct box *b, struct err *e)
{
	autoclose int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tree_source from = {.dir = dev,
				   .flags = TREE_DEVICE | TREE_NOFOLLOW};
	int r = 0;

	if (dev < 0)
		return fail(e, "open", "/dev");
	for (size_t i = 0; i < ARRAY_LEN(devices) && r == 0; i++) {
		from.path = devices[i];
		r = trees_take(&b->image_trees, &from, "/dev", devices[i], e);
	}
	if (r == 0 && fuse_is_open(dev)) {
		from.path = "fuse";
		r = trees_take(&b->image_trees, &from, "/dev", "fuse", e);
	}
	return r;
}

int image_take(struct box *b, struct err *e)
{
	int r = box_is_host_image(b) ? take_host(b, e) : take_rootfs(b, e);

	if (r == 0)
		r = take_ours(b, e);
	return r < 0 ? r : take_devices(b, e);
}

/* Mounts below the VM's folders are none of ours, so they stay outside. */
static int take_folders(struct box *b, struct err *e)
{
	const bool limited = b->quota > 0;
	const struct {
		const char *path, *under, *name;
	} folders[] = {
		{limited ? LIMITED_AT "/home" : "disk/home", "", "home"},
		{"disk/state", "/hib", "state"},
		{limited ? LIMITED_AT "/vfs" : "disk/vfs", "/hib", "vfs"},
		{"run", "/hib", "run"},
	};
	autoclose int dir = open(b->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tree_source from = {.dir = dir, .flags = TREE_NOFOLLOW};
	int r = 0;

	if (dir < 0)
		return fail(e, "open", b->dir);
	for (size_t i = 0; i < ARRAY_LEN(folders) && r == 0; i++) {
		from.path = folders[i].path;
		r = trees_take(&b->vm_trees, &from, folders[i].under,
			       folders[i].name, e);
	}
	return r;
}

/* The host's /proc goes along as the kernel's proof that we may mount one (see
 * root_finish()).  An ordinary user may not uncover what is mounted on parts
 * of it, hence has to take it whole. */
static int take_proc(struct box *b, struct err *e)
{
	const struct tree_source from = {.dir = AT_FDCWD,
					 .path = "/proc",
					 .flags = b->as_root ? TREE_ALONE : 0};

	return trees_take(&b->vm_trees, &from, "", "proc", e);
}

int image_take_vm(struct box *b, struct err *e)
{
	int r = b->boot != NULL ? machine_take(b, e) : take_folders(b, e);

	return r < 0 ? r : take_proc(b, e);
}
