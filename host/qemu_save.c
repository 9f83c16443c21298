// SPDX-License-Identifier: Apache-2.0
/*
 * qemu_save.c - Keep what a machine knows
 *
 *	suspend:  stop, migrate to state.new, rename to state, kill QEMU
 *	snapshot: stop, migrate to state.new, copy memory and disk, rename, go on
 *
 * Whatever fails before the end, the machine goes on.  When hibd dies in between,
 * the next one finds a QEMU that has stopped, and continues it, but for one that
 * has its `state` in VMDIR/memory.
 *
 * The memory of a machine that has it privately is no file that could be kept or
 * copied, so it is migrated as well, into state.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "host/bulk.h"
#include "host/qemu.h"
#include "host/sandbox/machine.h"
#include "host/sparse.h"

#define LOG_COMPONENT "qemu"
#define MAX_BANDWIDTH "1099511627776" /* Bytes a second. */

/* --- both ------------------------------------------------------------------- */

static int open_state(struct qemu *v, const char *dir, struct err *e)
{
	v->folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->folder < 0)
		return err_set(e, -errno, "open %s: %s", dir, strerror(errno));
	(void)unlinkat(v->folder, QEMU_STATE_NEW, 0);
	v->state = openat(v->folder, QEMU_STATE_NEW,
			  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (v->state < 0)
		return err_set(e, -errno, "make %s/" QEMU_STATE_NEW ": %s", dir,
			       strerror(errno));
	return 0;
}

/* What may be under way is to continue the machine, of no use now. */
static int prepare_save(struct qemu *v, const char *dir, struct err *e)
{
	qemu_let_go(v);
	v->err = (struct err){0};
	v->snapshot = strdup(dir);
	v->about.ram_in_state = v->is_private;
	if (v->about.layout != MACHINE_LAYOUT)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the machine was booted by another version");
	if (v->snapshot == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", dir);
	return open_state(v, dir, e);
}

/* @keep: once the state is written. */
static void save(struct qemu *v,
		 int (*keep)(const char *version, void *arg, struct err *e),
		 qmp_run_cb cb)
{
	const struct qmp_step steps[] = {
		{.command = "migrate-set-capabilities",
		 .arguments = qemu_capabilities(&v->about)},
		/* Its own default is that of a network. */
		{.command = "migrate-set-parameters",
		 .arguments = "{\"max-bandwidth\":" MAX_BANDWIDTH "}"},
		{.command = "stop"},
		{.command = "getfd",
		 .arguments = "{\"fdname\":\"state\"}",
		 .fd = v->state,
		 .has_fd = true},
		{.command = "migrate",
		 .arguments = "{\"uri\":\"fd:state\"}",
		 .migrates = true,
		 .call = keep},
		{0}};

	v->run = qmp_run(v->loop, v->m, steps, cb, v);
}

static void save_fail(struct qemu *v, const struct err *e)
{
	v->err = *e;
	(void)unlinkat(v->folder, QEMU_STATE_NEW, 0);
	qemu_go_on(v);
}

static void begin(struct machine *m, const char *dir, backend_done_cb cb,
		  void *arg, int (*keep)(const char *, void *, struct err *),
		  qmp_run_cb saved)
{
	struct qemu *v = launched_arg(m);
	struct qemu_refusal no = {.done = cb, .arg = arg};

	if (prepare_save(v, dir, &no.err) < 0) {
		qemu_let_go(v);
		qemu_refuse(v->loop, &no);
		return;
	}
	v->done = cb;
	v->done_arg = arg;
	save(v, keep, saved);
}

static int rename_state(int dir, struct err *e)
{
	if (renameat(dir, QEMU_STATE_NEW, dir, SAVED_STATE) < 0)
		return err_set(e, -errno, "keep the machine's state: %s",
			       strerror(errno));
	return 0;
}

/* --- suspend ---------------------------------------------------------------- */

/* The state is written: from here on it is what counts. */
static int keep_state(const char *version, void *arg, struct err *e)
{
	struct qemu *v = arg;
	int r;

	snprintf(v->about.qemu, sizeof(v->about.qemu), "%s", version);
	saved_boot(v->about.boot);
	(void)unlinkat(v->folder, SAVED_SYNCED, 0);
	r = saved_write(v->folder, &v->about, e);
	return r < 0 ? r : rename_state(v->folder, e);
}

/* Brings a memory to the disk behind the suspend. */
struct syncing {
	uv_work_t work;
	char dir[PATH_MAX];
	int r;
};

static void syncing_work(uv_work_t *w)
{
	struct syncing *s = w->data;

	s->r = saved_sync(s->dir);
}

static void syncing_on_worked(uv_work_t *w, int status)
{
	struct syncing *s = w->data;

	(void)status;
	if (s->r < 0 && s->r != -ENOENT)
		log_warn("%s: its memory is not on the disk: %s", s->dir,
			 strerror(-s->r));
	free(s);
}

static void begin_sync(const struct qemu *v)
{
	struct syncing *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return;
	snprintf(s->dir, sizeof(s->dir), "%s", v->spec.dir);
	s->work.data = s;
	bulk_queue(v->loop, &s->work, syncing_work, syncing_on_worked);
}

static void on_suspended(const struct err *e, void *arg)
{
	struct qemu *v = arg;

	v->run = NULL;
	if (e->code < 0) {
		save_fail(v, e);
		return;
	}
	begin_sync(v);
	launched_kill(v->m);
	qemu_finish(v, e);
}

void qemu_suspend(struct machine *m, const char *dir, backend_done_cb cb,
		  void *arg)
{
	begin(m, dir, cb, arg, keep_state, on_suspended);
}

/* --- snapshot --------------------------------------------------------------- */

static int keep_version(const char *version, void *arg, struct err *e)
{
	struct qemu *v = arg;

	(void)e;
	snprintf(v->about.qemu, sizeof(v->about.qemu), "%s", version);
	v->about.boot[0] = '\0';
	return 0;
}

/* In the thread pool, while the machine stands still. */
static int fill_snapshot(const struct copying *c, struct err *e)
{
	autoclose int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int to =
		open(c->snapshot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dir < 0 || to < 0)
		return err_set(e, -errno, "open %s: %s", c->snapshot,
			       strerror(errno));
	if (c->with_ram)
		r = sparse_copy_file(dir, SAVED_AT "/" SAVED_RAM, to, SAVED_RAM,
				     e);
	if (r == 0)
		r = sparse_copy_file(dir, "disk/disk.img", to, "disk.img", e);
	if (r == 0)
		r = sparse_link_file(dir, SAVED_AT "/" SAVED_AGENTS, to,
				     SAVED_AGENTS, e);
	if (r == 0)
		r = saved_write(to, &c->about, e);
	return r < 0 ? r : rename_state(to, e);
}

static void on_filled(struct qemu *v, const struct err *e)
{
	if (e->code < 0)
		save_fail(v, e);
	else
		qemu_go_on(v);
}

static void on_stopped(const struct err *e, void *arg)
{
	struct qemu *v = arg;
	struct copying c = {.copy = fill_snapshot,
			    .done = on_filled,
			    .with_ram = !v->is_private,
			    .about = v->about};

	v->run = NULL;
	if (e->code < 0) {
		save_fail(v, e);
		return;
	}
	qemu_copy(v, &c);
}

void qemu_snapshot(struct machine *m, const char *dir, backend_done_cb cb,
		   void *arg)
{
	begin(m, dir, cb, arg, keep_version, on_stopped);
}
