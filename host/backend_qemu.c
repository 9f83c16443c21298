// SPDX-License-Identifier: Apache-2.0
/*
 * backend_qemu.c - A VM as a virtual machine
 *
 * QEMU runs in a sandbox of its own, made by the same launcher
 * (host/sandbox/machine.h).  The streams are virtio ports behind sockets that
 * QEMU listens on: who connects has to be greeted by the guest (core/greet.h).
 *
 * The machine's memory is the file VMDIR/memory/ram, which QEMU has mapped, so
 * that to keep it takes no copy (host/saved.h, host/qemu_save.c).
 *
 * A machine that an earlier hibd left is known by what is in VMDIR/memory: with a
 * `state` it does not run and is not needed, with a mark that it is being made it
 * is of no use, else it goes on, in case that it was stopped.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "host/kvm.h"
#include "host/machine_id.h"
#include "host/qemu.h"

#define LOG_COMPONENT "qemu"
#define WAKE_MS	      60000 /* Emulated, on a busy host. */
#define END_MS	      5000  /* Until a killed machine has ended. */

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

/* --- boot ------------------------------------------------------------------- */

/* A machine that boots forgets what another one knew. */
static int prepare_boot(struct qemu *v, struct err *e)
{
	autoclose int memory = qemu_open_memory(v, e);
	int r;

	if (memory < 0)
		return memory;
	saved_forget(v->spec.dir);
	r = qemu_make_ram(v, memory, e);
	return r < 0 ? r : saved_write(memory, &v->about, e);
}

static void find_root(const char *vm_dir, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.*s/../..", PATH_MAX - 8, vm_dir);
}

static void choose_accel(struct qemu *v, bool kvm_works)
{
	v->about = qemu_about(v);
	if (v->spec.accel == NULL && kvm_works)
		snprintf(v->about.accel, sizeof(v->about.accel), "kvm");
}

/* In the thread pool; the verdict is kept.  Return: 0 when KVM works. */
static int probe(const struct copying *c, struct err *e)
{
	struct kvm_verdict verdict;
	char root[PATH_MAX];

	find_root(c->dir, root);
	kvm_probe(root, c->image, c->libexec, &verdict);
	return verdict.works ? 0
			     : err_set(e, -FAULT_CAPABILITY_UNSUPPORTED, "%s",
				       verdict.why);
}

static void on_probed(struct qemu *v, const struct err *no_kvm)
{
	struct err e = {0};

	choose_accel(v, no_kvm->code == 0);
	if (prepare_boot(v, &e) < 0)
		qemu_on_booted(NULL, &e, v);
	else
		qemu_launch(v, false, NULL, qemu_on_booted);
}

static void qemu_boot(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg,
		      backend_boot_cb cb)
{
	struct qemu *v = qemu_new(loop, spec, ev, arg);
	const struct copying c = {.copy = probe, .done = on_probed};
	struct qemu_refusal no = {.booted = cb, .arg = arg};
	struct kvm_verdict verdict = {.works = false};
	char root[PATH_MAX];

	v->booted = cb;
	find_root(v->spec.dir, root);
	if (v->spec.accel == NULL && kvm_is_open(NULL) &&
	    kvm_recall(root, v->spec.image, &verdict) < 0) {
		qemu_copy(v, &c);
		return;
	}
	choose_accel(v, verdict.works);
	if (prepare_boot(v, &no.err) < 0) {
		qemu_free(v);
		qemu_refuse(loop, &no);
		return;
	}
	qemu_launch(v, false, NULL, qemu_on_booted);
}

/* --- a machine of an earlier hibd --------------------------------------------- */

static void end_machine(const struct vm_spec *spec)
{
	struct err e;
	pid_t pid;
	autoclose int fd = machine_id_open(spec->dir, &pid, &e);
	struct pollfd ended = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	(void)poll(&ended, 1, END_MS);
	machine_id_forget(spec->dir);
}

/* Its memory is kept, so it must never run again; or it is no machine yet. */
static void end_unwanted(const struct vm_spec *spec)
{
	struct err e;
	const bool loading = saved_is_loading(spec->dir);

	if (loading || saved_is_good(spec->dir, &e) == 0)
		end_machine(spec);
	if (loading)
		saved_forget(spec->dir);
}

static void read_about(struct qemu *v)
{
	struct err e;
	autoclose int dir = qemu_open_memory(v, &e);

	if (dir < 0 || saved_read(dir, &v->about, &e) < 0)
		log_warn("%s: it cannot be suspended: %s", v->spec.id, e.msg);
	v->is_private = dir >= 0 && faccessat(dir, SAVED_RAM, F_OK, 0) < 0;
}

static int qemu_adopt(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg,
		      struct machine **out, struct err *e)
{
	struct qemu *v;
	int r;

	end_unwanted(spec);
	v = qemu_new(loop, spec, ev, arg);
	r = launched_adopt(loop, spec, &qemu_events, v, &v->m, e);
	if (r < 0) {
		qemu_free(v);
		return r;
	}
	read_about(v);
	qemu_go_on(v);
	*out = v->m;
	return 0;
}

static void qemu_release(struct machine *m)
{
	struct qemu *v = launched_arg(m);

	launched_release(m);
	qemu_free(v);
}

static int qemu_has_memory(const struct vm_spec *spec, struct err *e)
{
	return saved_is_good(spec->dir, e);
}

static void qemu_forget(const struct vm_spec *spec)
{
	saved_forget(spec->dir);
}

/* What a machine waits for is less than what a new one is refused for. */
static bool qemu_lacks_room(const char *dir)
{
	struct statvfs fs;

	return statvfs(dir, &fs) == 0 &&
	       fs.f_bavail * fs.f_frsize >> 20 < QEMU_SPARE_MIB;
}

const struct backend_ops backend_qemu = {
	.name = "qemu",
	.greets = true,
	.wake_ms = WAKE_MS,
	.lacks_room = qemu_lacks_room,
	.create = qemu_create,
	.boot = qemu_boot,
	.adopt = qemu_adopt,
	.channel = launched_channel,
	.kill = launched_kill,
	.release = qemu_release,
	.pid = launched_pid,
	.suspend = qemu_suspend,
	.snapshot = qemu_snapshot,
	.resume = qemu_resume,
	.fits = qemu_fits,
	.has_memory = qemu_has_memory,
	.forget = qemu_forget,
};
