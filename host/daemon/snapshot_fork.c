// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_fork.c - More VMs that are as one was
 *
 * Each is made by itself, all at once: folder and repository, which borrows the
 * objects of the source; the disk, if the snapshot has only that; then row and
 * logs in one transaction (lineage.h).  Of kind memory it goes on from the
 * snapshot at once.  Else, a sandbox is off like any new VM, and its guest finds
 * its logs when it boots; the disk of a machine has a store in it, so its guest
 * is told at once whose it is.  If one of them fails, none is there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/bulk.h"
#include "host/daemon/catalog.h"
#include "host/daemon/lineage.h"
#include "host/daemon/snapshot_disk.h"
#include "host/daemon/snapshots_impl.h"
#include "host/tree.h"

#define LOG_COMPONENT "snapshot"

struct forks;

struct forked {
	struct forks *all;
	uv_work_t work;
	char vm[ID_MAX]; /* "": not made yet. */
	char dir[PATH_MAX];
	bool stored; /* It is a VM like any other. */
	double ms;
	struct err err;
};

struct forks {
	struct hibd *d;
	struct snapshot s;
	char from[PATH_MAX];
	bool told;	  /* The guests are told who they are. */
	const char *name; /* Of the only one; or NULL. */
	unsigned n, open;
	bool held;
	uint64_t began;
	struct err err;
	snapshot_forked_cb cb;
	void *arg;
	struct forked v[];
};

static double ms_since(uint64_t began)
{
	return (double)(uv_hrtime() - began) / 1e6;
}

/* --- the answer -------------------------------------------------------------- */

static int put_sessions(const struct forks *f, const char *vm, struct jw *w)
{
	const char *args[] = {vm, NULL};
	struct err e = {0};

	jw_key(w, "sessions");
	jw_arr(w);
	(void)reader_rows(f->d->reader,
			  "SELECT forked_from AS \"from\", id FROM session "
			  "WHERE vm_id=?1 ORDER BY n",
			  args, w, &e);
	jw_arr_end(w);
	return e.code;
}

static void put_ms(struct jw *w, double ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", ms);
	jw_kraw(w, "ms", text);
}

static void write_answer(struct forks *f, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "snapshot", f->s.id);
	jw_kstr(w, "from", f->s.vm);
	jw_kstr(w, "kind", f->s.memory ? "memory" : "disk");
	jw_key(w, "vms");
	jw_arr(w);
	for (unsigned i = 0; i < f->n; i++) {
		jw_obj(w);
		jw_kstr(w, "vm", f->v[i].vm);
		put_ms(w, f->v[i].ms);
		if (put_sessions(f, f->v[i].vm, w) < 0)
			w->failed = true;
		jw_obj_end(w);
	}
	jw_arr_end(w);
	put_ms(w, ms_since(f->began));
	jw_obj_end(w);
	if (w->failed)
		err_set(&f->err, -ENOMEM, "fork: out of memory");
}

static void forks_end(struct forks *f)
{
	autojw struct jw out = {0};

	if (f->held)
		snapshots_release(f->d, f->s.id);
	if (f->err.code == 0)
		write_answer(f, &out);
	f->cb(&out, &f->err, f->arg);
	snapshot_done(&f->s);
	free(f);
}

static void forks_on_cleared(struct vm *vm, const struct err *e, void *arg)
{
	struct forks *f = arg;

	(void)vm;
	(void)e;
	if (--f->open == 0)
		forks_end(f);
}

/* All have ended.  Without one of them there is none. */
static void forks_settle(struct forks *f)
{
	f->open = 1;
	for (unsigned i = 0; i < f->n && f->err.code < 0; i++) {
		struct vm *vm = f->d->stopping || !f->v[i].stored
					? NULL
					: vm_find(f->d, f->v[i].vm);

		if (vm == NULL)
			continue;
		f->open++;
		vm_off(vm, VM_OFF_DESTROY, forks_on_cleared, f);
	}
	forks_on_cleared(NULL, NULL, f);
}

static void forked_end(struct forked *o)
{
	struct forks *f = o->all;

	o->ms = ms_since(f->began);
	if (o->err.code < 0 && f->err.code == 0)
		f->err = o->err;
	if (--f->open == 0)
		forks_settle(f);
}

/* --- one of them ------------------------------------------------------------- */

static struct vm *forked_vm(struct forked *o)
{
	struct vm *vm = o->all->d->stopping ? NULL : vm_find(o->all->d, o->vm);

	if (vm == NULL && o->err.code == 0)
		err_set(&o->err, -FAULT_DRAINING, "hibd stops");
	return vm;
}

static void forked_fail(struct forked *o)
{
	struct vm *vm = forked_vm(o);

	if (vm != NULL && !o->stored)
		vm_discard(vm, &o->err);
	forked_end(o);
}

static void forked_on_up(struct vm *vm, const struct err *e, void *arg)
{
	struct forked *o = arg;

	(void)vm;
	o->err = *e;
	forked_end(o);
}

/* Databases are in folders that have a session's name. */
static void rename_databases(struct forked *o)
{
	const char *args[] = {o->vm, NULL};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	char path[PATH_MAX];
	autoclose int dir = -1;

	if (snprintf(path, sizeof(path), "%s/disk/state/sql", o->dir) >=
	    (int)sizeof(path))
		return;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return;
	jw_arr(&w);
	(void)reader_rows(o->all->d->reader,
			  "SELECT forked_from, id FROM session WHERE vm_id=?1",
			  args, &w, NULL);
	jw_arr_end(&w);
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0)
		return;
	for (struct jv row = jv_first(json_root(&j)); jv_has(row);
	     row = jv_next(json_root(&j), row)) {
		char from[ID_MAX], to[ID_MAX];

		if (jv_strcpy(jv_get(row, "forked_from"), from, ID_MAX) > 0 &&
		    jv_strcpy(jv_get(row, "id"), to, ID_MAX) > 0)
			(void)renameat(dir, from, dir, to);
	}
}

static void forked_on_stored(const struct err *e, void *arg)
{
	struct forked *o = arg;
	struct vm *vm;

	o->err = *e;
	vm = forked_vm(o);
	if (e->code < 0 || vm == NULL) {
		forked_fail(o);
		return;
	}
	o->stored = true;
	if (!o->all->told)
		rename_databases(o);
	else if (vm_set_origin(vm, o->all->s.id, &o->err) < 0)
		log_error("%s: %s", o->vm, o->err.msg);
	vm_keep(vm);
	if (o->all->told && o->err.code == 0)
		vm_need(vm, forked_on_up, o);
	else
		forked_end(o);
}

static void forked_store(struct forked *o, struct vm *vm)
{
	const struct snapshot *s = &o->all->s;
	const struct lineage_spec spec = {
		.d = o->all->d,
		.vm = o->vm,
		.snapshot = s->id,
		.cursors = s->cursors,
	};
	struct change *c = change_new();
	char data[128];

	vm_set_files(vm, s->workspace_n, s->base, s->complete);
	vm_add_row(vm, c);
	change_add(c, "UPDATE vm SET from_snapshot=?2 WHERE id=?1", 2, o->vm,
		   s->id);
	if (o->all->told)
		vm_change_origin(c, o->vm, s->id);
	snprintf(data, sizeof(data), "{\"from\":\"%s\",\"snapshot\":\"%s\"}",
		 s->vm, s->id);
	change_add_vm_event(c, o->vm, "vm.forked", data);
	lineage_clone(&spec, c, !o->all->told, forked_on_stored, o);
}

/* In the place of the empty one. */
static void disk_work(uv_work_t *w)
{
	struct forked *o = container_of(w, struct forked, work);
	struct snapshot_disk disk = {
		.from = o->all->from,
		.to = o->dir,
		.from_vm = o->all->s.vm,
		.to_vm = o->vm,
		.stop = &o->all->d->stopping,
	};
	char path[PATH_MAX];
	int r = snprintf(path, sizeof(path), "%s/disk", o->dir) <
				(int)sizeof(path)
			? tree_remove(path)
			: -ENAMETOOLONG;

	if (r < 0)
		err_set(&o->err, r, "%s/disk: %s", o->dir, strerror(-r));
	else
		(void)snapshot_disk_copy(&disk, &o->err);
}

static void disk_on_done(uv_work_t *w, int status)
{
	struct forked *o = container_of(w, struct forked, work);
	struct vm *vm = forked_vm(o);

	(void)status;
	if (o->err.code < 0)
		forked_fail(o);
	else
		forked_store(o, vm);
}

static void forked_on_prepared(struct vm *vm, const struct err *e, void *arg)
{
	struct forked *o = arg;

	if (e->code < 0) {
		o->err = *e;
		forked_end(o);
		return;
	}
	memcpy(o->vm, vm_id(vm), ID_MAX);
	snprintf(o->dir, sizeof(o->dir), "%s", vm_dir(vm));
	if (o->all->s.memory)
		forked_store(o, vm);
	else
		bulk_queue(&o->all->d->loop, &o->work, disk_work, disk_on_done);
}

static void forked_begin(struct forked *o, const struct vm *source)
{
	const struct snapshot *s = &o->all->s;
	struct vfs_oid head;
	const struct vm_config cfg = {
		.name = o->all->name,
		.backend = s->backend,
		.image = s->image,
		.net = strcmp(s->net, "host") == 0 ? VM_NET_HOST : VM_NET_NONE,
		.idle_ms = s->idle_ms,
		.cold_ms = s->cold_ms,
		.max_sessions = s->max_sessions,
		.quota = s->quota,
		.memory = s->ram_mib,
		.cpus = s->cpus,
		.mounts = s->mounts,
		.fork_of = source,
		.base = vfs_oid_parse(s->head, &head) == 0 ? &head : NULL,
	};

	vm_prepare(o->all->d, &cfg, forked_on_prepared, o);
}

/* --- the request ------------------------------------------------------------- */

static int forks_check(struct forks *f, const char *id, unsigned n)
{
	const struct vm *source;
	int r = snapshots_find(f->d, id, &f->s, &f->err);

	if (r < 0)
		return r;
	source = vm_find(f->d, f->s.vm);
	if (n < 1 || n > SNAPSHOT_FORKS_MAX)
		return err_set(&f->err, -FAULT_INVALID_ARGUMENT,
			       "n %u: 1 to %d", n, SNAPSHOT_FORKS_MAX);
	if (n > 1 && f->name != NULL)
		return err_set(&f->err, -FAULT_INVALID_ARGUMENT,
			       "a name is for one VM");
	if (source == NULL)
		return err_set(&f->err, -FAULT_VM_NOT_FOUND, "%s is not here",
			       f->s.vm);
	f->told = f->s.memory || vm_keeps_memory(source);
	return snapshot_check_damage(f->d, id, &f->err);
}

void snapshot_fork(struct hibd *d, const char *id,
		   const struct snapshot_fork_spec *spec, snapshot_forked_cb cb,
		   void *arg)
{
	unsigned n = spec->n > SNAPSHOT_FORKS_MAX ? 0 : spec->n;
	struct forks *f = calloc(1, sizeof(*f) + n * sizeof(f->v[0]));

	if (f == NULL)
		abort();
	f->d = d;
	f->n = n;
	f->name = spec->name;
	f->began = uv_hrtime();
	f->cb = cb;
	f->arg = arg;
	if (forks_check(f, id, spec->n) < 0 ||
	    snapshots_dir(d, &f->s, "", f->from) < 0 ||
	    snapshots_hold(d, id, &f->err) < 0) {
		forks_end(f);
		return;
	}
	f->held = true;
	f->open = n + 1;
	for (unsigned i = 0; i < n; i++) {
		f->v[i].all = f;
		forked_begin(&f->v[i], vm_find(d, f->s.vm));
	}
	f->name = NULL; /* The caller's. */
	if (--f->open == 0)
		forks_settle(f);
}
