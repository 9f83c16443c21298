// SPDX-License-Identifier: Apache-2.0
/*
 * qemu_resume.c - Go on from what a machine knew
 *
 *	in place:	launch, read state, remove it, let the machine run
 *	of a snapshot:	copy its disk, launch, read state, let the machine run
 *
 * In place the memory is VMDIR/memory/ram again, and a state is used once.  A
 * snapshot stays as it is: its memory is mapped privately, so that all machines
 * made of it share the pages that they do not change.  Where the memory is within
 * the state, it becomes a file of the machine's own.
 *
 * A machine that is being made of a snapshot has a mark, VMDIR/memory/loading,
 * until it runs: when hibd dies first, the next one ends it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/kvm.h"
#include "host/qemu.h"
#include "host/sparse.h"

#define DISK	 "disk/disk.img"
#define DISK_NEW "disk/disk.img.new"

/* --- the state -------------------------------------------------------------- */

static int check_version(const char *version, void *arg, struct err *e)
{
	const struct qemu *v = arg;
	struct saved now = v->about;

	snprintf(now.qemu, sizeof(now.qemu), "%s", version);
	return saved_fits(&v->about, &now, e);
}

/* From here on there is a machine and no memory of one, or no mark. */
static int consume(const char *version, void *arg, struct err *e)
{
	struct qemu *v = arg;
	const char *name = v->snapshot != NULL ? SAVED_LOADING : SAVED_STATE;

	(void)version;
	if (unlinkat(v->folder, name, 0) < 0)
		return err_set(e, -errno, "take the machine's %s: %s", name,
			       strerror(errno));
	(void)unlinkat(v->folder, SAVED_SYNCED, 0);
	v->about.ram_in_state = false;
	return 0;
}

static void on_resumed(const struct err *e, void *arg)
{
	struct qemu *v = arg;
	backend_boot_cb cb;

	v->run = NULL;
	if (e->code < 0) {
		v->err = *e;
		launched_kill(v->m);
		return;
	}
	qemu_let_go(v);
	cb = take_ptr(v->booted);
	cb(v->m, e, v->arg);
}

static void on_incoming(struct machine *m, const struct err *e, void *arg)
{
	struct qemu *v = arg;
	const struct qmp_step steps[] = {
		{.call = check_version},
		{.command = "migrate-set-capabilities",
		 .arguments = qemu_capabilities(&v->about)},
		{.command = "getfd",
		 .arguments = "{\"fdname\":\"state\"}",
		 .fd = v->state,
		 .has_fd = true},
		{.command = "migrate-incoming",
		 .arguments = "{\"uri\":\"fd:state\"}",
		 .migrates = true,
		 .call = consume},
		{.command = "cont"},
		{0}};

	if (m == NULL) {
		qemu_on_booted(m, e, v);
		return;
	}
	v->m = m;
	v->run = qmp_run(v->loop, m, steps, on_resumed, v);
}

static int open_state(struct qemu *v, int dir, struct err *e)
{
	v->state = openat(dir, SAVED_STATE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return v->state < 0 ? err_set(e, -errno, "open the machine's state: %s",
				      strerror(errno))
			    : 0;
}

/* Does the memory in @dir fit? */
static int read_about(struct qemu *v, int dir, struct err *e)
{
	struct saved now = qemu_about(v);
	int r = saved_read(dir, &v->about, e);

	memcpy(now.qemu, v->about.qemu, sizeof(now.qemu));
	if (v->spec.accel == NULL)
		memcpy(now.accel, v->about.accel, sizeof(now.accel));
	if (r == 0)
		r = saved_fits(&v->about, &now, e);
	if (r == 0 && strcmp(v->about.accel, "kvm") == 0 && !kvm_is_open(NULL))
		r = err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			    "the memory is of a machine with accel 'kvm', "
			    "which may not be used here");
	return r;
}

int qemu_fits(const struct vm_spec *spec, const char *dir, struct err *e)
{
	struct qemu v = {.spec = *spec};
	autoclose int from = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return from < 0
		       ? err_set(e, -errno, "open %s: %s", dir, strerror(errno))
		       : read_about(&v, from, e);
}

/* --- in place --------------------------------------------------------------- */

static int prepare_own(struct qemu *v, struct err *e)
{
	int r = saved_is_good(v->spec.dir, e);

	if (r < 0)
		return r;
	v->folder = qemu_open_memory(v, e);
	if (v->folder < 0)
		return v->folder;
	r = read_about(v, v->folder, e);
	if (r == 0)
		r = open_state(v, v->folder, e);
	if (r == 0)
		r = v->about.ram_in_state ? qemu_make_ram(v, v->folder, e)
					  : qemu_check_room(v, v->folder, e);
	return r;
}

/* --- of a snapshot ---------------------------------------------------------- */

/* In the thread pool. */
static int copy_disk(const struct copying *c, struct err *e)
{
	autoclose int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int from =
		open(c->snapshot, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0 || from < 0)
		return err_set(e, -errno, "open %s: %s", c->snapshot,
			       strerror(errno));
	(void)unlinkat(dir, DISK_NEW, 0);
	r = sparse_copy_file(from, "disk.img", dir, DISK_NEW, e);
	if (r == 0)
		r = sparse_link_file(from, SAVED_AGENTS, dir,
				     SAVED_AT "/" SAVED_AGENTS, e);
	if (r < 0)
		return r;
	if ((geteuid() == 0 && fchownat(dir, DISK_NEW, c->owner, c->owner,
					AT_SYMLINK_NOFOLLOW) < 0) ||
	    renameat(dir, DISK_NEW, dir, DISK) < 0)
		return err_set(e, -errno, "make " DISK ": %s", strerror(errno));
	return 0;
}

/* The VM's memory is empty, but for a mark and what it will fit. */
static int clear_memory(struct qemu *v, struct err *e)
{
	autoclose int mark = -1;

	v->folder = qemu_open_memory(v, e);
	if (v->folder < 0)
		return v->folder;
	saved_forget(v->spec.dir);
	(void)unlinkat(v->folder, SAVED_AGENTS, 0);
	mark = openat(v->folder, SAVED_LOADING,
		      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (mark < 0)
		return err_set(e, -errno, "make %s/" SAVED_AT ": %s",
			       v->spec.dir, strerror(errno));
	return saved_write(v->folder, &v->about, e);
}

static int prepare_snapshot(struct qemu *v, struct err *e)
{
	autoclose int from =
		open(v->snapshot, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (from < 0)
		return err_set(e, -errno, "open %s: %s", v->snapshot,
			       strerror(errno));
	r = read_about(v, from, e);
	if (r == 0)
		r = open_state(v, from, e);
	if (r == 0)
		r = clear_memory(v, e);
	if (r == 0 && v->about.ram_in_state)
		r = qemu_make_ram(v, v->folder, e);
	return r;
}

static void on_copied(struct qemu *v, const struct err *e)
{
	char ram[PATH_MAX];

	if (e->code < 0) {
		saved_forget(v->spec.dir);
		qemu_on_booted(NULL, e, v);
		return;
	}
	snprintf(ram, sizeof(ram), "%.*s/" SAVED_RAM, PATH_MAX - 8,
		 v->snapshot);
	v->is_private = !v->about.ram_in_state;
	qemu_launch(v, true, v->is_private ? ram : NULL, on_incoming);
}

/* --- both ------------------------------------------------------------------- */

void qemu_resume(uv_loop_t *loop, const struct vm_spec *spec, const char *dir,
		 bool shared, const struct backend_events *ev, void *arg,
		 backend_boot_cb cb)
{
	struct qemu *v = qemu_new(loop, spec, ev, arg);
	const struct copying c = {.copy = copy_disk, .done = on_copied};
	struct qemu_refusal no = {.booted = cb, .arg = arg};

	if (!shared)
		v->snapshot = strdup(dir);
	if ((shared ? prepare_own(v, &no.err) : prepare_snapshot(v, &no.err)) <
	    0) {
		qemu_free(v);
		qemu_refuse(loop, &no);
		return;
	}
	v->booted = cb;
	if (shared)
		qemu_launch(v, true, NULL, on_incoming);
	else
		qemu_copy(v, &c);
}
