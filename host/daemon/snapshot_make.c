// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_make.c - A new snapshot
 *
 *	off	it is kept from booting, and its disk is copied
 *	asleep	with its memory: it is woken, and then as one that runs
 *	runs	it stands still (vm_pause()) while its disk is copied, or while
 *		the backend copies disk and memory; then it goes on
 *
 * What a sandbox's guest has stored of logs is not copied: the host has all of
 * it, and gives it to whoever boots from the copy.  So a log whose end the host
 * lacks is in the way.
 *
 * A machine writes to its disk when it likes: while it runs, only its memory says
 * what is on the disk.  So its disk alone is copied when it is off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/time.h"
#include "host/bulk.h"
#include "host/daemon/catalog.h"
#include "host/daemon/depot.h"
#include "host/daemon/snapshot_disk.h"
#include "host/daemon/snapshots_impl.h"
#include "host/tree.h"

#define LOG_COMPONENT "snapshot"

struct snapshotting {
	struct hibd *d;
	struct depot_job job; /* Finds the newest commit. */
	uv_work_t work;
	struct snapshot s;
	char vm_dir[PATH_MAX];
	char folder[PATH_MAX], fresh[PATH_MAX]; /* Its own, and before that. */
	bool mounted;				/* The image of its quota. */
	bool locked, paused;			/* We did. */
	uint64_t bytes, began;
	struct err err;
	snapshot_made_cb cb;
	void *arg;
};

static struct vm *making_vm(const struct snapshotting *m)
{
	return m->d->stopping ? NULL : vm_find(m->d, m->s.vm);
}

/* The VM may go on. */
static void making_let_go(struct snapshotting *m)
{
	struct vm *vm = making_vm(m);

	if (vm != NULL && m->locked)
		vm_unlock(vm);
	if (vm != NULL && m->paused)
		vm_unpause(vm);
	m->locked = m->paused = false;
}

static void making_end(struct snapshotting *m)
{
	making_let_go(m);
	m->cb(m->err.code < 0 ? NULL : m->s.id, &m->err, m->arg);
	snapshot_done(&m->s);
	free(m);
}

/* --- on a thread of the pool ------------------------------------------------ */

/* The folder of all snapshots and, in it, that of the new one. */
static int make_folders(const struct snapshotting *m, struct err *e)
{
	char all[PATH_MAX];

	if (snprintf(all, sizeof(all), "%s/" SNAPSHOT_FOLDER, m->vm_dir) >=
	    (int)sizeof(all))
		return err_set(e, -ENAMETOOLONG, "%s", m->vm_dir);
	if ((mkdir(all, 0700) < 0 && errno != EEXIST) ||
	    mkdir(m->fresh, 0700) < 0)
		return err_set(e, -errno, "make %s: %s", m->fresh,
			       strerror(errno));
	return 0;
}

/* Everything is there: it gets its name. */
static int finish_folder(struct snapshotting *m, struct err *e)
{
	autoclose int fd = open(m->fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int all = -1;
	int r = fd < 0 ? err_set(e, -errno, "open %s: %s", m->fresh,
				 strerror(errno))
		       : snapshot_save(&m->s, fd, e);

	if (r < 0)
		return r;
	all = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rename(m->fresh, m->folder) < 0 || all < 0 || fsync(all) < 0)
		return err_set(e, -errno, "make %s: %s", m->folder,
			       strerror(errno));
	return 0;
}

static void making_work(uv_work_t *w)
{
	struct snapshotting *m = container_of(w, struct snapshotting, work);
	struct snapshot_disk disk = {
		.from = m->vm_dir,
		.to = m->fresh,
		.mounted = m->mounted,
		.stop = &m->d->stopping,
	};
	int r = make_folders(m, &m->err);

	if (r < 0)
		return;
	if (!m->s.memory)
		r = snapshot_disk_copy(&disk, &m->err);
	m->bytes = disk.bytes;
	if (r == 0 && !m->s.memory)
		r = finish_folder(m, &m->err);
	if (r < 0)
		(void)tree_remove(m->fresh);
}

/* The backend has filled the folder. */
static void memory_work(uv_work_t *w)
{
	struct snapshotting *m = container_of(w, struct snapshotting, work);

	if (m->err.code == 0)
		(void)finish_folder(m, &m->err);
	if (m->err.code < 0)
		(void)tree_remove(m->fresh);
}

/* --- on the loop ------------------------------------------------------------ */

static void making_on_stored(const struct err *e, void *arg)
{
	struct snapshotting *m = arg;

	if (e->code < 0)
		m->err = *e; /* The folder is taken in at the next start. */
	else if (!m->d->stopping)
		snapshot_check_later(m->d, m->s.id);
	making_end(m);
}

static void making_store(struct snapshotting *m)
{
	struct change *c = change_new();
	autojw struct jw data = {0};

	snapshot_add_row(c, &m->s, (int64_t)m->bytes);
	jw_obj(&data);
	jw_kstr(&data, "snapshot", m->s.id);
	jw_kstr(&data, "kind", m->s.memory ? "memory" : "disk");
	jw_kstr(&data, "label", m->s.label[0] ? m->s.label : NULL);
	jw_kint(&data, "ms", (int64_t)((uv_hrtime() - m->began) / 1000000));
	jw_obj_end(&data);
	change_add_vm_event(c, m->s.vm, "vm.snapshot",
			    data.buf ? data.buf : "{}");
	change_submit(m->d->store, c, making_on_stored, m);
}

static void making_on_finished(uv_work_t *w, int status)
{
	struct snapshotting *m = container_of(w, struct snapshotting, work);

	(void)status;
	making_let_go(m);
	if (m->d->stopping && m->err.code == 0)
		err_set(&m->err, -FAULT_DRAINING, "hibd stops");
	if (m->err.code < 0)
		making_end(m);
	else
		making_store(m);
}

static void making_on_memory(const struct err *e, void *arg)
{
	struct snapshotting *m = arg;

	m->err = *e;
	making_let_go(m);
	(void)uv_queue_work(&m->d->loop, &m->work, memory_work,
			    making_on_finished);
}

static void making_on_worked(uv_work_t *w, int status)
{
	struct snapshotting *m = container_of(w, struct snapshotting, work);
	struct vm *vm = making_vm(m);
	struct err e = {0};

	if (!m->s.memory || m->err.code < 0) {
		making_on_finished(w, status);
		return;
	}
	if (vm != NULL) {
		vm_copy_memory(vm, m->fresh, making_on_memory, m);
		return;
	}
	err_set(&e, -FAULT_VM_NOT_FOUND, "%s is not here", m->s.vm);
	making_on_memory(&e, m);
}

static int head_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct snapshotting *m = container_of(j, struct snapshotting, job);
	struct vfs_oid head;
	int r = vfs_repo_head(repo, &head, e);

	if (r == 0)
		vfs_oid_format(&head, m->s.head);
	return r == -ENOENT ? 0 : r;
}

static void head_on_done(struct depot_job *j, const struct err *e)
{
	struct snapshotting *m = container_of(j, struct snapshotting, job);

	if (e->code < 0 && e->code != -FAULT_FILE_NOT_FOUND) {
		m->err = *e;
		making_end(m);
		return;
	}
	bulk_queue(&m->d->loop, &m->work, making_work, making_on_worked);
}

/* --- what is said of it ----------------------------------------------------- */

static int put_cursor(const struct session_brief *b, void *arg)
{
	jw_kint(arg, b->id, b->last_seq);
	return 0;
}

static int note_cursors(struct snapshotting *m)
{
	autojw struct jw w = {0};
	int r;

	jw_obj(&w);
	r = reader_sessions(m->d->reader, m->s.vm, put_cursor, &w, &m->err);
	jw_obj_end(&w);
	if (r < 0)
		return r;
	m->s.cursors = jw_take(&w, NULL);
	return m->s.cursors == NULL
		       ? err_set(&m->err, -ENOMEM, "snapshot: out of memory")
		       : 0;
}

static void note_workspace(struct snapshotting *m, const struct vm *vm)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct jv ws;

	vm_put_workspace(vm, &w);
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0)
		return;
	ws = json_root(&j);
	m->s.workspace_n = jv_int(jv_get(ws, "n"), 1);
	m->s.complete = jv_bool(jv_get(ws, "complete"), false);
	(void)jv_strcpy(jv_get(ws, "base"), m->s.base, sizeof(m->s.base));
}

static void note_config(struct snapshotting *m, const struct vm *vm)
{
	struct vm_config cfg;

	vm_describe(vm, &cfg);
	snprintf(m->s.backend, sizeof(m->s.backend), "%s", cfg.backend);
	snprintf(m->s.image, sizeof(m->s.image), "%s", cfg.image);
	snprintf(m->s.net, sizeof(m->s.net), "%s",
		 cfg.net == VM_NET_HOST ? "host" : "none");
	m->s.idle_ms = cfg.idle_ms;
	m->s.cold_ms = cfg.cold_ms;
	m->s.ram_mib = cfg.memory;
	m->s.cpus = cfg.cpus;
	m->s.max_sessions = cfg.max_sessions;
	m->s.quota = cfg.quota;
	m->s.mounts = cfg.mounts != NULL ? strdup(cfg.mounts) : NULL;
}

static void note_parent(struct snapshotting *m)
{
	const char *args[] = {m->s.vm, NULL};
	autofree char *parent = NULL;

	/* Of a fork it is one of another VM. */
	if (reader_value(m->d->reader,
			 "SELECT from_snapshot FROM vm WHERE id=?1 AND "
			 "from_snapshot IS NOT NULL",
			 args, &parent, NULL) == 1 &&
	    id_is(parent, "snp"))
		memcpy(m->s.parent, parent, ID_MAX);
}

static int check_spec(struct snapshotting *m, const struct snapshot_spec *spec)
{
	const struct vm *vm = spec->vm;

	if (spec->label != NULL && strlen(spec->label) > SNAPSHOT_LABEL_MAX)
		return err_set(&m->err, -FAULT_INVALID_ARGUMENT,
			       "label: at most %d bytes", SNAPSHOT_LABEL_MAX);
	if (vm_is_locked(vm))
		return err_set(&m->err, -FAULT_NOT_READY,
			       "%s is being made, copied or restored", m->s.vm);
	if (spec->kind == SNAPSHOT_MEMORY && !vm_keeps_memory(vm))
		return err_set(&m->err, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the memory of a sandbox cannot be kept as a "
			       "file: take one of kind disk");
	if (spec->kind == SNAPSHOT_MEMORY && vm_is_off(vm))
		return err_set(&m->err, -FAULT_CAPABILITY_UNSUPPORTED,
			       "%s is off and has no memory: wake it first, or "
			       "take one of kind disk",
			       m->s.vm);
	if (spec->kind == SNAPSHOT_DISK && vm_keeps_memory(vm) &&
	    !vm_is_off(vm))
		return err_set(&m->err, -FAULT_CAPABILITY_UNSUPPORTED,
			       "%s runs, and only its memory knows what is on "
			       "its disk: stop it first, or take one of kind "
			       "memory",
			       m->s.vm);
	return 0;
}

/* What follows from the request alone. */
static int prepare(struct snapshotting *m, const struct snapshot_spec *spec)
{
	int r;

	note_config(m, spec->vm);
	r = check_spec(m, spec);
	if (r < 0)
		return r;
	id_new(m->s.id, "snp");
	m->s.temporary = spec->temporary;
	m->s.memory = vm_keeps_memory(spec->vm) &&
		      (!vm_is_off(spec->vm) || vm_has_origin(spec->vm));
	m->s.created_ms = now_ms();
	snprintf(m->s.label, sizeof(m->s.label), "%s",
		 spec->label != NULL ? spec->label : "");
	snprintf(m->vm_dir, sizeof(m->vm_dir), "%s", vm_dir(spec->vm));
	if (snapshots_dir(m->d, &m->s, "", m->folder) < 0 ||
	    snapshots_dir(m->d, &m->s, ".new", m->fresh) < 0)
		return err_set(&m->err, -ENAMETOOLONG, "%s", m->vm_dir);
	return 0;
}

/* --- the instant ------------------------------------------------------------ */

/* The VM is off and locked, or stands still. */
static void making_begin(struct snapshotting *m, struct vm *vm)
{
	note_workspace(m, vm);
	note_parent(m);
	if (note_cursors(m) < 0) {
		making_end(m);
		return;
	}
	m->job.work = head_work;
	m->job.done = head_on_done;
	depot_read(vm_depot(vm), &m->job);
}

static void making_on_paused(struct vm *vm, const struct err *e, void *arg)
{
	struct snapshotting *m = arg;

	if (e->code < 0) {
		m->err = *e;
		making_end(m);
		return;
	}
	m->paused = true;
	m->mounted = m->s.quota > 0 && vm_pid(vm) > 0;
	making_begin(m, vm);
}

static void making_on_up(struct vm *vm, const struct err *e, void *arg)
{
	struct snapshotting *m = arg;

	if (e->code < 0) {
		m->err = *e;
		making_end(m);
		return;
	}
	m->began = uv_hrtime();
	vm_pause(vm, making_on_paused, m);
}

void snapshot_make(struct hibd *d, const struct snapshot_spec *spec,
		   snapshot_made_cb cb, void *arg)
{
	struct snapshotting *m = calloc(1, sizeof(*m));

	if (m == NULL)
		abort();
	m->d = d;
	m->cb = cb;
	m->arg = arg;
	m->began = uv_hrtime();
	memcpy(m->s.vm, vm_id(spec->vm), ID_MAX);
	if (prepare(m, spec) < 0) {
		making_end(m);
	} else if (!vm_is_off(spec->vm) || vm_has_origin(spec->vm)) {
		vm_need(spec->vm, making_on_up, m);
	} else if (snapshots_check_tails(d, m->s.vm, &m->err) < 0) {
		making_end(m);
	} else {
		vm_lock(spec->vm);
		m->locked = true;
		making_begin(m, spec->vm);
	}
}
