// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_restore.c - A VM is as it was
 *
 *	1  VMDIR/restore gets a copy of the snapshot's disk, whole or not at all.
 *	   Then the VM is stopped and kept from booting.  What only its disk has,
 *	   the end of a log or files that are not committed, is in the way, but
 *	   for force; if it cannot go on from here its files and logs are as they
 *	   were, and it is booted again if it was not off, but what ran in it has
 *	   ended.  A hibd that is killed here leaves it off;
 *	2  the row says that this is wanted ("restoring"): from here on it is done,
 *	   by the next hibd if this one is killed;
 *	3  that disk takes the place of the VM's, which is kept in VMDIR/restore;
 *	4  refs/heads/main names the snapshot's commit, so history goes on there,
 *	   and refs/hib/restored/<snapshot>-<what was left> the other one;
 *	5  each log says what of it is abandoned (lineage.h);
 *	6  the row says that it was done, and the VM may boot;
 *	7  VMDIR/restore is removed.
 *
 * Each step that is done again finds what it did.  Of kind memory the backend
 * makes the disk, when the VM goes on from the snapshot (vm_set_origin()): then
 * there is nothing to copy, and step 3 does nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "host/bulk.h"
#include "host/daemon/catalog.h"
#include "host/daemon/depot.h"
#include "host/daemon/lineage.h"
#include "host/daemon/snapshot_disk.h"
#include "host/daemon/snapshots_impl.h"
#include "host/tree.h"
#include "vfs/refs.h"

#define LOG_COMPONENT "snapshot"
#define NEW	      "restore.new" /* Below VMDIR. */
#define READY	      "restore"
#define LEFT	      ".old" /* What a disk is called that was put aside. */

struct setback {
	LIST_ENTRY(setback) link;
	struct hibd *d;
	uv_work_t work;
	struct depot_job job; /* Moves the branch. */
	struct snapshot s;
	char vm_dir[PATH_MAX], from[PATH_MAX];
	bool locked, held;
	bool runs; /* It is to run afterwards. */
	bool ran;  /* It did before. */
	bool force;
	struct err err;
	snapshot_done_cb cb; /* NULL: nobody waits. */
	void *arg;
};

static struct vm *setback_vm(const struct setback *k)
{
	return k->d->stopping ? NULL : vm_find(k->d, k->s.vm);
}

static void setback_end(struct setback *k)
{
	struct vm *vm = setback_vm(k);

	if (vm != NULL && k->locked)
		vm_unlock(vm);
	if (k->d->snapshots != NULL)
		LIST_REMOVE(k, link);
	if (k->held)
		snapshots_release(k->d, k->s.id);
	if (k->err.code < 0)
		log_warn("%s: restore: %s", k->s.vm, k->err.msg);
	if (k->cb != NULL)
		k->cb(&k->err, k->arg);
	snapshot_done(&k->s);
	free(k);
}

static void setback_queue(struct setback *k, void (*work)(uv_work_t *w),
			  void (*done)(uv_work_t *w, int status))
{
	bulk_queue(&k->d->loop, &k->work, work, done);
}

static int path_below(const struct setback *k, const char *name,
		      char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s/%s", k->vm_dir, name) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

/* --- the end ---------------------------------------------------------------- */

/* 7: nobody needs what was put aside. */
static void clear_work(uv_work_t *w)
{
	struct setback *k = container_of(w, struct setback, work);
	char path[PATH_MAX];

	if (path_below(k, READY, path) == 0)
		(void)tree_remove(path);
	if (path_below(k, NEW, path) == 0)
		(void)tree_remove(path);
}

static void clear_on_done(uv_work_t *w, int status)
{
	(void)status;
	setback_end(container_of(w, struct setback, work));
}

static void setback_clear(struct setback *k)
{
	if (k->d->stopping)
		setback_end(k);
	else
		setback_queue(k, clear_work, clear_on_done);
}

static void disk_on_rewound(const struct err *e, void *arg)
{
	struct setback *k = arg;

	if (e->code < 0)
		log_error("%s: %s", k->s.vm, e->msg);
	setback_clear(k);
}

/* Another QEMU than this one has made the memory, which only it could say, when
 * the disk was the snapshot's already: so it is as of kind disk. */
static void setback_without_memory(struct setback *k, struct vm *vm)
{
	const struct lineage_spec spec = {
		.d = k->d,
		.vm = k->s.vm,
		.snapshot = k->s.id,
		.cursors = k->s.cursors,
	};

	vm_lock(vm);
	k->locked = true;
	vm_forget_origin(vm);
	vm_set_files(vm, k->s.workspace_n, k->s.base, false);
	lineage_rewind(&spec, false, disk_on_rewound, k);
}

static void setback_on_up(struct vm *vm, const struct err *e, void *arg)
{
	struct setback *k = arg;

	k->err = *e;
	if (e->code == -FAULT_CAPABILITY_UNSUPPORTED && vm != NULL &&
	    vm_is_off(vm) && !vm_is_locked(vm) && !k->d->stopping)
		setback_without_memory(k, vm);
	else
		setback_clear(k);
}

static void done_on_stored(const struct err *e, void *arg)
{
	struct setback *k = arg;
	struct vm *vm = setback_vm(k);

	k->err = *e;
	if (vm == NULL || e->code < 0) {
		setback_end(k);
		return;
	}
	if (k->s.memory && vm_set_origin(vm, k->s.id, &k->err) < 0) {
		setback_end(k);
		return;
	}
	k->locked = false;
	vm_unlock(vm);
	if (k->runs)
		vm_need(vm, setback_on_up, k);
	else
		setback_clear(k);
}

/* 6 */
static void store_done(struct setback *k)
{
	struct change *c = change_new();
	autojw struct jw data = {0};

	change_add(c,
		   "UPDATE vm SET config=json_remove(config,'$.restoring') "
		   "WHERE id=?1",
		   1, k->s.vm);
	if (k->s.memory)
		vm_change_origin(c, k->s.vm, k->s.id);
	jw_obj(&data);
	jw_kstr(&data, "snapshot", k->s.id);
	jw_kstr(&data, "kind", k->s.memory ? "memory" : "disk");
	jw_kint(&data, "n", k->s.workspace_n);
	jw_kstr(&data, "base", k->s.base[0] ? k->s.base : NULL);
	jw_obj_end(&data);
	change_add_vm_event(c, k->s.vm, "vm.restored",
			    data.buf ? data.buf : "{}");
	change_submit(k->d->store, c, done_on_stored, k);
}

/* --- what cannot be taken back ---------------------------------------------- */

static void setback_on_rewound(const struct err *e, void *arg)
{
	struct setback *k = arg;

	k->err = *e;
	if (e->code < 0 || k->d->stopping)
		setback_end(k);
	else
		store_done(k);
}

/* 5 */
static void branch_on_moved(struct depot_job *j, const struct err *e)
{
	struct setback *k = container_of(j, struct setback, job);
	const struct lineage_spec spec = {
		.d = k->d,
		.vm = k->s.vm,
		.snapshot = k->s.id,
		.cursors = k->s.cursors,
	};

	if (e->code < 0 && e->code != -FAULT_FILE_NOT_FOUND)
		k->err = *e;
	if (k->err.code < 0 || k->d->stopping)
		setback_end(k);
	else
		lineage_rewind(&spec, k->s.memory, setback_on_rewound, k);
}

/* 4 */
static int branch_move(struct depot_job *j, struct vfs_repo *repo,
		       struct err *e)
{
	struct setback *k = container_of(j, struct setback, job);
	struct vfs_oid head, was;
	char path[PATH_MAX], ref[160], left[VFS_OID_HEX];
	int r = path_below(k, "workspace.git", path);

	if (k->s.head[0] == '\0' || r < 0)
		return r;
	(void)vfs_oid_parse(k->s.head, &head);
	r = vfs_repo_head(repo, &was, e);
	if (r < 0 || vfs_oid_eq(&was, &head))
		return r;
	snprintf(ref, sizeof(ref), "refs/hib/restored/%s-%s", k->s.id,
		 vfs_oid_format(&was, left));
	r = vfs_refs_set(path, ref, &was, e);
	return r < 0 ? r : vfs_refs_set(path, VFS_REF_MAIN, &head, e);
}

/* 3: one of the disks, unless that was done. */
static int swap_disk(const struct setback *k, const char *name)
{
	char now[PATH_MAX], fresh[PATH_MAX], left[PATH_MAX + 8];
	int r = path_below(k, name, now);

	if (r < 0 || snprintf(fresh, sizeof(fresh), "%s/" READY "/%s",
			      k->vm_dir, name) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	snprintf(left, sizeof(left), "%s" LEFT, fresh);
	if (access(fresh, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (access(left, F_OK) < 0 && rename(now, left) < 0 && errno != ENOENT)
		return -errno;
	return rename(fresh, now) < 0 ? -errno : 0;
}

static int sync_folder(const struct setback *k)
{
	autoclose int fd = open(k->vm_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static void swap_work(uv_work_t *w)
{
	struct setback *k = container_of(w, struct setback, work);
	int r = swap_disk(k, "disk");

	if (r == 0)
		r = swap_disk(k, "disk.img");
	if (r == 0)
		r = sync_folder(k);
	if (r < 0)
		err_set(&k->err, r, "%s: disk: %s", k->s.vm, strerror(-r));
}

static void swap_on_done(uv_work_t *w, int status)
{
	struct setback *k = container_of(w, struct setback, work);
	struct vm *vm = setback_vm(k);

	(void)status;
	if (k->err.code < 0 || vm == NULL) {
		setback_end(k);
		return;
	}
	k->job.work = branch_move;
	k->job.done = branch_on_moved;
	depot_write(vm_depot(vm), &k->job);
}

static void setback_go_on(struct setback *k, struct vm *vm)
{
	/* Without a commit nothing else names these files. */
	vm_set_files(vm, k->s.workspace_n, k->s.base,
		     k->s.complete && k->s.head[0] != '\0');
	setback_queue(k, swap_work, swap_on_done);
}

/* --- what can ---------------------------------------------------------------- */

static void undo_on_back(struct vm *vm, const struct err *e, void *arg)
{
	struct setback *k = arg;

	(void)vm;
	if (e->code < 0)
		log_warn("%s: %s", k->s.vm, e->msg);
	setback_clear(k);
}

/* It comes to nothing: the disk is as it was, and the VM boots if it was up. */
static void setback_undo(struct setback *k)
{
	struct vm *vm = setback_vm(k);

	if (vm == NULL || !k->ran) {
		setback_clear(k);
		return;
	}
	if (k->locked)
		vm_unlock(vm);
	k->locked = false;
	vm_need(vm, undo_on_back, k);
}

static void wanted_on_stored(const struct err *e, void *arg)
{
	struct setback *k = arg;
	struct vm *vm = setback_vm(k);

	k->err = *e;
	if (e->code < 0 || vm == NULL)
		setback_undo(k);
	else
		setback_go_on(k, vm);
}

/* 2 */
static void store_wanted(struct setback *k)
{
	struct change *c = change_new();

	change_add(c,
		   "UPDATE vm SET from_snapshot=?2, config=json_set("
		   "json_remove(config,'$.memory'),'$.restoring',?2,"
		   "'$.workspace.n',CAST(?3 AS INTEGER),'$.workspace.base',?4,"
		   "'$.workspace.complete',json(?5)) WHERE id=?1",
		   5, k->s.vm, k->s.id, int_text(k->s.workspace_n),
		   k->s.base[0] ? k->s.base : NULL,
		   k->s.complete && k->s.head[0] ? "true" : "false");
	change_submit(k->d->store, c, wanted_on_stored, k);
}

/* Would anything be lost that is nowhere else? */
static int check_kept(struct setback *k, const struct vm *vm)
{
	if (!vm_is_complete(vm))
		return err_set(&k->err, -FAULT_NOT_READY,
			       "the newest files of %s are not committed; wake "
			       "it and try again, or give them up by force",
			       k->s.vm);
	return snapshots_check_tails(k->d, k->s.vm, &k->err);
}

/* How it went off has been stored by now. */
static void off_on_stored(const struct err *e, void *arg)
{
	struct setback *k = arg;
	struct vm *vm = setback_vm(k);

	k->err = *e;
	if (vm == NULL && e->code == 0)
		err_set(&k->err, -FAULT_DRAINING, "hibd stops");
	if (k->err.code < 0 || (!k->force && check_kept(k, vm) < 0)) {
		setback_undo(k);
		return;
	}
	store_wanted(k);
}

static void setback_on_off(struct vm *vm, const struct err *e, void *arg)
{
	struct setback *k = arg;

	k->err = *e;
	if (e->code == 0 && (vm_is_locked(vm) || !vm_is_off(vm)))
		err_set(&k->err, -FAULT_NOT_READY, "%s is in use", k->s.vm);
	if (k->err.code < 0) {
		setback_undo(k);
		return;
	}
	vm_lock(vm);
	k->locked = true;
	change_await(k->d->store, off_on_stored, k);
}

static int find_turn(const struct session_brief *b, void *arg)
{
	if (b->open_turn[0] != '\0')
		memcpy(arg, b->open_turn, ID_MAX);
	return ((char *)arg)[0] != '\0';
}

static int check_turns(struct setback *k)
{
	char turn[ID_MAX] = "";

	(void)reader_sessions(k->d->reader, k->s.vm, find_turn, turn, NULL);
	if (turn[0] == '\0')
		return 0;
	err_set(&k->err, -FAULT_TURN_ACTIVE, "turn %s runs in %s", turn,
		k->s.vm);
	err_data(&k->err, "\"turn\":\"%s\"", turn);
	return k->err.code;
}

/* The copy is there. */
static void setback_stop(struct setback *k)
{
	struct vm *vm = setback_vm(k);

	if (vm == NULL)
		err_set(&k->err, -FAULT_DRAINING, "hibd stops");
	else if (vm_is_locked(vm))
		err_set(&k->err, -FAULT_NOT_READY, "%s is in use", k->s.vm);
	if (k->err.code < 0 || (!k->force && check_turns(k) < 0)) {
		setback_clear(k);
		return;
	}
	k->ran = !vm_is_off(vm);
	k->runs = k->s.memory || k->ran;
	vm_off(vm, VM_OFF_STOP, setback_on_off, k);
}

/* 1 */
static void take_work(uv_work_t *w)
{
	struct setback *k = container_of(w, struct setback, work);
	char fresh[PATH_MAX], ready[PATH_MAX];
	struct snapshot_disk disk = {
		.from = k->from, .to = fresh, .stop = &k->d->stopping};
	int r = path_below(k, NEW, fresh);

	if (r == 0)
		r = path_below(k, READY, ready);
	if (r == 0)
		r = tree_remove(fresh);
	if (r == 0)
		r = tree_remove(ready);
	if (r == 0 && mkdir(fresh, 0700) < 0)
		r = -errno;
	if (r < 0) {
		err_set(&k->err, r, "%s: %s", fresh, strerror(-r));
		return;
	}
	if (!k->s.memory && snapshot_disk_copy(&disk, &k->err) < 0)
		return;
	if (rename(fresh, ready) < 0 || sync_folder(k) < 0)
		err_set(&k->err, -errno, "%s: %s", ready, strerror(errno));
}

static void take_on_done(uv_work_t *w, int status)
{
	struct setback *k = container_of(w, struct setback, work);

	(void)status;
	if (k->err.code == 0)
		setback_stop(k);
	else
		setback_clear(k);
}

/* --- the request ------------------------------------------------------------- */

static int setback_prepare(struct setback *k, const char *snapshot)
{
	struct vm *vm;
	int r = snapshots_find(k->d, snapshot, &k->s, &k->err);

	if (r == 0)
		r = snapshots_dir(k->d, &k->s, "", k->from);
	if (r < 0)
		return r;
	vm = vm_find(k->d, k->s.vm);
	if (vm == NULL)
		return err_set(&k->err, -FAULT_VM_NOT_FOUND, "%s is not here",
			       k->s.vm);
	snprintf(k->vm_dir, sizeof(k->vm_dir), "%s", vm_dir(vm));
	return 0;
}

static struct setback *setback_new(struct hibd *d)
{
	struct setback *k = calloc(1, sizeof(*k));

	if (k == NULL)
		abort();
	k->d = d;
	LIST_INSERT_HEAD(&d->snapshots->setbacks, k, link);
	return k;
}

/* By another one. */
static bool is_being_set_back(const struct setback *k)
{
	const struct setback *other;

	LIST_FOREACH(other, &k->d->snapshots->setbacks, link)
	if (other != k && strcmp(other->s.vm, k->s.vm) == 0)
		return true;
	return false;
}

void snapshot_restore(struct hibd *d, const char *id, bool force,
		      snapshot_done_cb cb, void *arg)
{
	struct setback *k = setback_new(d);

	k->cb = cb;
	k->arg = arg;
	if (setback_prepare(k, id) < 0 ||
	    snapshot_check_damage(d, id, &k->err) < 0 ||
	    (k->s.memory &&
	     vm_fits(vm_find(d, k->s.vm), k->from, &k->err) < 0) ||
	    (!force && check_turns(k) < 0)) {
		setback_end(k);
		return;
	}
	if (vm_is_locked(vm_find(d, k->s.vm)) || is_being_set_back(k)) {
		err_set(&k->err, -FAULT_NOT_READY, "%s is in use", k->s.vm);
		setback_end(k);
		return;
	}
	if (snapshots_hold(d, id, &k->err) < 0) {
		setback_end(k);
		return;
	}
	k->force = force;
	k->held = true;
	setback_queue(k, take_work, take_on_done);
}

/* --- a start of hibd ---------------------------------------------------------- */

/* Its row says that it is wanted. */
static void setback_resume(struct hibd *d, struct vm *vm, const char *snapshot)
{
	struct setback *k = setback_new(d);

	if (setback_prepare(k, snapshot) < 0 ||
	    strcmp(k->s.vm, vm_id(vm)) != 0 || !vm_is_off(vm) ||
	    snapshots_hold(d, snapshot, &k->err) < 0) {
		log_error("%s: a restore of %s cannot be ended", vm_id(vm),
			  snapshot);
		setback_end(k);
		return;
	}
	log_info("%s: going on with the restore of %s", vm_id(vm), snapshot);
	k->held = k->locked = true;
	vm_lock(vm);
	setback_go_on(k, vm);
}

/* What is left of one that came to nothing, or is over. */
static void setback_sweep(struct hibd *d, const struct vm *vm)
{
	struct setback *k = setback_new(d);
	char ready[PATH_MAX], fresh[PATH_MAX];

	memcpy(k->s.vm, vm_id(vm), ID_MAX);
	snprintf(k->vm_dir, sizeof(k->vm_dir), "%s", vm_dir(vm));
	if (path_below(k, READY, ready) == 0 &&
	    path_below(k, NEW, fresh) == 0 &&
	    (access(ready, F_OK) == 0 || access(fresh, F_OK) == 0))
		setback_queue(k, clear_work, clear_on_done);
	else
		setback_end(k);
}

void snapshot_restores_load(struct hibd *d)
{
	for (struct vm *vm = vms_first(d); vm != NULL; vm = vms_next(vm)) {
		const char *args[] = {vm_id(vm), NULL};
		autofree char *snapshot = NULL;

		if (reader_value(d->reader,
				 "SELECT json_extract(config,'$.restoring') "
				 "FROM vm WHERE id=?1 AND json_extract(config,"
				 "'$.restoring') IS NOT NULL",
				 args, &snapshot, NULL) == 1)
			setback_resume(d, vm, snapshot);
		else
			setback_sweep(d, vm);
	}
}
