// SPDX-License-Identifier: Apache-2.0
/*
 * backend_sandbox.c - A VM as a set of namespaces
 *
 * What the machine is made of is the business of its launcher (host/sandbox/).
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/launched.h"
#include "host/sandbox/range.h"

#define WAKE_MS 10000

static int open_dir(const struct vm_spec *spec, struct err *e)
{
	int fd = open(spec->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_set(e, -errno, "open %s: %s", spec->dir,
				strerror(errno))
		      : fd;
}

static int sandbox_create(const struct vm_spec *spec, struct err *e)
{
	const uint32_t root = launched_uid(spec->id);
	const uint32_t agent = root + (geteuid() == 0 ? RANGE_AGENT : 0);
	const struct {
		const char *path;
		mode_t mode;
		uint32_t owner;
	} folders[] = {
		{"disk", 0755, geteuid()}, {"disk/state", 0700, root},
		{"run", 0700, root},	   {"disk/vfs", 0700, root},
		{"disk/home", 0755, root}, {"disk/home/user", 0755, agent},
	};
	autoclose int dir = open_dir(spec, e);

	if (dir < 0)
		return dir;
	if (spec->memory > 0 || spec->cpus > 0)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "memory and cpus are of virtual machines; a "
			       "session has limits of its own");
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		int r = launched_folder(dir, folders[i].path, folders[i].mode,
					folders[i].owner);

		if (r < 0)
			return err_set(e, r, "make %s/%s: %s", spec->dir,
				       folders[i].path, strerror(-r));
	}
	return 0;
}

/* A VM of an earlier version has its workspace as a plain folder; that is what
 * the guest would make of it.  Only the last step shows, so a boot that is
 * killed in the middle leaves the rest to the next one. */
static int move_old_workspace(const struct vm_spec *spec, struct err *e)
{
	const uint32_t root = launched_uid(spec->id);
	autoclose int dir = open_dir(spec, e);
	int r;

	if (dir < 0)
		return dir;
	if (faccessat(dir, "disk/workspace", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	r = launched_folder(dir, "disk/vfs", 0700, root);
	if (r < 0)
		return err_set(e, r, "make %s/disk/vfs: %s", spec->dir,
			       strerror(-r));
	if (renameat(dir, "disk/workspace", dir, "disk/vfs/upper") < 0)
		return err_set(e, -errno, "move %s/disk/workspace: %s",
			       spec->dir, strerror(errno));
	return 0;
}

static const struct launched_kind kind = {
	.launcher = "hib-sandbox",
	.prepare = move_old_workspace,
};

static void sandbox_boot(uv_loop_t *loop, const struct vm_spec *spec,
			 const struct backend_events *ev, void *arg,
			 backend_boot_cb cb)
{
	launched_boot(&kind, loop, spec, ev, arg, cb);
}

static int sandbox_adopt(uv_loop_t *loop, const struct vm_spec *spec,
			 const struct backend_events *ev, void *arg,
			 struct machine **out, struct err *e)
{
	return launched_adopt(loop, spec, ev, arg, out, e);
}

const struct backend_ops backend_sandbox = {
	.name = "sandbox",
	.wake_ms = WAKE_MS,
	.warm_in_place = true,
	.create = sandbox_create,
	.boot = sandbox_boot,
	.adopt = sandbox_adopt,
	.channel = launched_channel,
	.kill = launched_kill,
	.release = launched_release,
	.pid = launched_pid,
};
