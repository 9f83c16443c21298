// SPDX-License-Identifier: Apache-2.0
/*
 * root.c - The root file system of a sandbox, from empty to closed
 *
 * The root is a small tmpfs, mounted for a moment on the VM's own folder (any
 * folder would do, this one exists) and entered by pivot_root(".", "."), after
 * which the host's root lies on top of ours and is detached (pivot_root(2),
 * NOTES).  The launcher fills it and makes it read-only.  It stays outside the
 * guest's user namespace, so all of that is locked for the guest.
 *
 * What the guest may change or unmount is mounted by its first process, inside:
 * the VM's folders, which the guest takes away from its agents' namespaces, and
 * scratch space, which has to belong to the guest's ids.
 *
 * The kernel lets a user namespace mount a new /proc only where an old one can
 * be seen whole (mount_too_revealing() in fs/namespace.c).  So the host's is in
 * place while ours is made, and goes before ours takes its place.
 */
#include "host/sandbox/root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "host/sandbox/etc.h"
#include "host/sandbox/group.h"
#include "host/sandbox/machine.h"
#include "host/sandbox/mounts.h"

/* tmpfs may take memory up to these sizes. */
#define ROOT_LIMITS "size=1m,nr_inodes=1k"
#define TMP_LIMITS  "size=2g,nr_inodes=256k"
#define RUN_LIMITS  "size=64m,nr_inodes=16k"
#define VAR_LIMITS  "size=1g,nr_inodes=128k"
#define SHM_LIMITS  "size=1g,nr_inodes=16k"

struct folder {
	const char *path;
	mode_t mode;
};

static const struct folder root_folders[] = {
	{"/", 0755},	    {"/dev", 0755},	  {"/dev/pts", 0755},
	{"/dev/shm", 0755}, {"/hib", 0755},	  {"/hib/lower", 0700},
	{"/hib/run", 0700}, {"/hib/state", 0700}, {"/hib/vfs", 0700},
	{"/home", 0755},    {"/opt", 0755},	  {"/proc", 0555},
	{"/root", 0700},    {"/run", 0755},	  {"/tmp", 0755},
	{"/var", 0755},	    {"/workspace", 0755},
};

static const struct folder group_folders[] = {
	{"/sys", 0755}, {"/sys/fs", 0755}, {GROUP_AT, 0555}};

static const struct folder scratch_folders[] = {
	{"/var/cache", 0755}, {"/var/lib", 0755},   {"/var/log", 0755},
	{"/var/tmp", 01777},  {"/run/lock", 01777},
};

static const struct {
	const char *link, *says;
} links[] = {
	{"/dev/fd", "/proc/self/fd"},	    {"/dev/ptmx", "pts/ptmx"},
	{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
};

#define SCRATCH (MS_NOSUID | MS_NODEV)

static const struct {
	const char *type, *at, *options;
	unsigned long flags;
} scratch[] = {
	{"tmpfs", "/tmp", "mode=1777," TMP_LIMITS, SCRATCH},
	{"tmpfs", "/run", "mode=755," RUN_LIMITS, SCRATCH},
	{"tmpfs", "/var", "mode=755," VAR_LIMITS, SCRATCH},
	{"tmpfs", "/dev/shm", "mode=1777," SHM_LIMITS, SCRATCH},
	{"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620",
	 MS_NOSUID | MS_NOEXEC},
};

int root_enter(const struct box *b, struct err *e)
{
	if (mount("tmpfs", b->dir, "tmpfs", SCRATCH, "mode=755," ROOT_LIMITS))
		return fail(e, "mount a tmpfs on", b->dir);
	if (chdir(b->dir) < 0)
		return fail(e, "enter", b->dir);
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return fail(e, "pivot root to", b->dir);
	if (umount2(".", MNT_DETACH) < 0)
		return fail(e, "detach", "the host's root");
	if (chdir("/") < 0)
		return fail(e, "enter", "/");
	return 0;
}

static int make_folders(const struct folder *f, size_t n, uint32_t owner,
			struct err *e)
{
	for (; n > 0; f++, n--) {
		if (mkdir(f->path, f->mode) < 0 && errno != EEXIST)
			return fail(e, "make folder", f->path);
		if (owner != 0 && lchown(f->path, owner, owner) < 0)
			return fail(e, "change owner of", f->path);
	}
	return 0;
}

/* An image may bring its own /etc; the host's is made of parts. */
static int make_etc(const struct box *b, struct err *e)
{
	static const struct folder etc = {"/etc", 0755};

	return box_is_host_image(b) ? make_folders(&etc, 1, b->owner, e) : 0;
}

static int make_links(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlink(links[i].says, links[i].link) < 0)
			return fail(e, "link", links[i].link);
	return 0;
}

int root_fill(struct box *b, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int r = make_folders(root_folders, ARRAY_LEN(root_folders), b->owner,
			     e);

	if (r == 0 && b->has_group)
		r = make_folders(group_folders, ARRAY_LEN(group_folders),
				 b->owner, e);
	if (r == 0 && b->boot != NULL)
		r = machine_make_points(b, e);
	if (r == 0)
		r = make_etc(b, e);
	if (r == 0)
		r = make_links(e);
	if (r == 0)
		r = mounts_make_points(b, e);
	if (r == 0)
		r = trees_place(&b->image_trees, b->owner, e);
	if (r == 0)
		r = etc_write(b, e);
	if (r < 0)
		return r;
	if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)))
		return fail(e, "make read-only", "/");
	return trees_place(&b->mount_trees, b->owner, e);
}

static int mount_scratch(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(scratch); i++)
		if (mount(scratch[i].type, scratch[i].at, scratch[i].type,
			  scratch[i].flags, scratch[i].options) < 0)
			return fail(e, "mount", scratch[i].at);
	return make_folders(scratch_folders, ARRAY_LEN(scratch_folders), 0, e);
}

/* A /proc of the guest's PID namespace, not yet in place. */
static int new_proc(void)
{
	autoclose int fs = fsopen("proc", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC,
		       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC);
}

static int replace_proc(struct err *e)
{
	autoclose int proc = new_proc();

	if (proc < 0)
		return fail(e, "create", "/proc");
	if (umount2("/proc", MNT_DETACH) < 0)
		return fail(e, "unmount", "the host's /proc");
	if (move_mount(proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH))
		return fail(e, "mount", "/proc");
	return 0;
}

int root_finish(struct box *b, struct err *e)
{
	int r = trees_place(&b->vm_trees, 0, e);

	if (r == 0)
		r = replace_proc(e);
	if (r == 0)
		r = mount_scratch(e);
	if (r == 0)
		r = group_mount(b, e);
	return r;
}
