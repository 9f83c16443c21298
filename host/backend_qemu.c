// SPDX-License-Identifier: Apache-2.0
/*
 * backend_qemu.c - A VM as a virtual machine
 *
 * QEMU runs in a sandbox of its own, made by the same launcher
 * (host/sandbox/machine.h).  The streams are virtio ports behind sockets that
 * QEMU listens on: who connects has to be greeted by the guest (core/greet.h).
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/launched.h"

static int qemu_create(const struct vm_spec *spec, struct err *e)
{
	const struct {
		const char *path;
		uint32_t owner;
	} folders[] = {{"disk", geteuid()}, {"run", launched_uid(spec->id)}};
	autoclose int dir = open(spec->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_set(e, -errno, "open %s: %s", spec->dir,
			       strerror(errno));
	if (spec->image[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a machine boots from an image of its own: "
			       "'hib image build', then --image base");
	if (spec->net != VM_NET_NONE || spec->mounts != NULL)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the qemu backend has neither the host's "
			       "network nor its folders");
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		int r = launched_folder(dir, folders[i].path,
					i == 0 ? 0755 : 0700, folders[i].owner);

		if (r < 0)
			return err_set(e, r, "make %s/%s: %s", spec->dir,
				       folders[i].path, strerror(-r));
	}
	return 0;
}

static const struct launched_kind kind = {
	.launcher = "hib-sandbox",
	.option = "--machine",
};

static void qemu_boot(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg,
		      backend_boot_cb cb)
{
	launched_boot(&kind, loop, spec, ev, arg, cb);
}

static int qemu_adopt(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg,
		      struct machine **out, struct err *e)
{
	return launched_adopt(&kind, loop, spec, ev, arg, out, e);
}

const struct backend_ops backend_qemu = {
	.name = "qemu",
	.greets = true,
	.create = qemu_create,
	.boot = qemu_boot,
	.adopt = qemu_adopt,
	.channel = launched_channel,
	.kill = launched_kill,
	.release = launched_release,
	.pid = launched_pid,
};
