// SPDX-License-Identifier: Apache-2.0
/*
 * restore.c - Give a VM files that it had
 *
 * A restore of everything is a new generation of the workspace.  The VM commits
 * what it has (one that is off is booted for that if it has such files), sleeps,
 * is kept from booting, and then, in this order:
 *
 *	refs/hib/restored/<n> names the head that was left;
 *	refs/heads/main names the commit, so history goes on from there;
 *	the catalog has generation n+1 with that commit as base.
 *
 * Files that cannot be committed stop it, unless it is forced: they would be lost.
 *
 * The last one is the restore: killed before it, the VM has the files it had, and
 * its next commit merely has another parent.  The guest finds the new generation
 * when it boots, and begins with an empty upper layer: nothing is copied, however
 * large the workspace is.
 *
 * A restore of some paths is a commit that takes them from another.  When the VM
 * is off, that commit is made, and begins a generation like any other.  While it
 * runs nothing is stopped: what is there is committed, the paths that differ are
 * brought back one by one (putback.h), and that is committed.
 */
#include "host/daemon/restore.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/catalog.h"
#include "host/daemon/depot.h"
#include "host/daemon/putback.h"
#include "host/daemon/retake.h"
#include "host/daemon/revision.h"
#include "vfs/refs.h"

#define LOG_COMPONENT	  "files"
#define RESTORE_PATHS_MAX 1000

struct restore {
	struct depot_job job;
	struct hibd *d;
	restore_cb cb;
	void *arg;
	const char *path; /* Of the repository; the depot's. */
	char vm[ID_MAX];
	struct revision rev;
	struct retake paths; /* None: everything. */
	bool force;	     /* Whatever is lost. */
	bool ran;	     /* Boot it again. */
	bool live;	     /* It is not stopped; of some paths. */
	struct steps steps;  /* Then. */
	int64_t n;	     /* The generation that is left, or that stays. */
	struct vfs_oid commit, base, was;
	bool has_was;
};

static void put_oid(struct jw *w, const char *key, const struct vfs_oid *oid)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, key, oid != NULL ? vfs_oid_format(oid, hex) : NULL);
}

static void restore_end(struct restore *s, const struct err *e)
{
	autojw struct jw out = {0};

	jw_obj(&out);
	jw_kstr(&out, "vm", s->vm);
	jw_kint(&out, "n", s->live ? s->n : s->n + 1);
	put_oid(&out, "head", &s->base);
	put_oid(&out, "from", &s->commit);
	put_oid(&out, "was", s->has_was ? &s->was : NULL);
	jw_obj_end(&out);
	s->cb(e, &out, s->arg);
	steps_done(&s->steps);
	retake_done(&s->paths);
	free(s);
}

static void restore_on_up(struct vm *vm, const struct err *e, void *arg)
{
	(void)vm;
	restore_end(arg, e);
}

/* It is done, or it is not: the VM may boot. */
static void restore_unlock(struct restore *s, const struct err *e)
{
	struct vm *vm = s->d->stopping ? NULL : vm_find(s->d, s->vm);

	if (vm == NULL) {
		restore_end(s, e);
		return;
	}
	vm_unlock(vm);
	if (s->ran && e->code == 0)
		vm_need(vm, restore_on_up, s);
	else
		restore_end(s, e);
}

static void restore_on_stored(const struct err *e, void *arg)
{
	struct restore *s = arg;
	struct vm *vm = s->d->stopping ? NULL : vm_find(s->d, s->vm);

	if (vm != NULL && e->code == 0)
		vm_set_workspace(vm, s->n + 1, &s->base);
	restore_unlock(s, e);
}

static int restore_work(struct depot_job *j, struct vfs_repo *repo,
			struct err *e)
{
	struct restore *s = container_of(j, struct restore, job);
	char ref[64];
	int r = vfs_repo_head(repo, &s->was, e);

	s->has_was = r == 0;
	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(ref, sizeof(ref), "refs/hib/restored/%lld", (long long)s->n);
	r = s->has_was ? vfs_refs_set(s->path, ref, &s->was, e) : 0;
	if (r < 0)
		return r;
	if (s->paths.n > 0)
		return retake_commit(&s->paths, repo, &s->commit, &s->base, e);
	s->base = s->commit;
	return vfs_refs_set(s->path, VFS_REF_MAIN, &s->base, e);
}

static void restore_on_worked(struct depot_job *j, const struct err *e)
{
	struct restore *s = container_of(j, struct restore, job);
	struct err stops = {0};
	struct change *c;

	if (s->d->stopping && e->code == 0) {
		err_set(&stops, -FAULT_DRAINING, "hibd stops");
		e = &stops;
	}
	if (e->code < 0) {
		restore_unlock(s, e);
		return;
	}
	c = change_new();
	vm_change_workspace(c, s->vm, s->n + 1, &s->base);
	change_submit(s->d->store, c, restore_on_stored, s);
}

static void restore_on_back(struct vm *vm, const struct err *e, void *arg)
{
	(void)vm;
	(void)arg;
	if (e->code < 0)
		log_warn("%s", e->msg);
}

/* The VM is off, and has files that only its disk has: they come first. */
static void restore_refuse(struct restore *s, struct vm *vm)
{
	struct err e = {0};

	err_set(&e, -FAULT_NOT_READY,
		"the newest files of %s are not committed; try again, or give "
		"them up by force",
		s->vm);
	if (s->ran)
		vm_need(vm, restore_on_back, NULL);
	restore_end(s, &e);
}

static void restore_on_off(struct vm *vm, const struct err *e, void *arg)
{
	struct restore *s = arg;
	struct err busy = {0};

	if (e->code == 0 && vm_is_locked(vm))
		err_set(&busy, -FAULT_NOT_READY, "%s is being made or restored",
			s->vm);
	if (e->code < 0 || busy.code < 0) {
		restore_end(s, e->code < 0 ? e : &busy);
		return;
	}
	if (!s->force && !vm_is_complete(vm)) {
		restore_refuse(s, vm);
		return;
	}
	vm_lock(vm);
	s->n = vm_workspace_n(vm);
	s->path = depot_path(vm_depot(vm));
	s->job.work = restore_work;
	s->job.done = restore_on_worked;
	depot_write(vm_depot(vm), &s->job);
}

static int find_turn(const struct session_brief *b, void *arg)
{
	char *turn = arg;

	if (b->open_turn[0] != '\0')
		memcpy(turn, b->open_turn, ID_MAX);
	return turn[0] != '\0';
}

/* Is there a turn that the restore would cut off? */
static bool restore_may(struct restore *s, struct vm *vm, struct err *e)
{
	char turn[ID_MAX] = "";

	if (vm_is_off(vm) || s->force)
		return true;
	(void)reader_sessions(s->d->reader, s->vm, find_turn, turn, NULL);
	if (turn[0] == '\0')
		return true;
	err_set(e, -FAULT_TURN_ACTIVE, "turn %s runs in %s", turn, s->vm);
	err_data(e, "\"turn\":\"%s\"", turn);
	return false;
}

/* --- restore of some paths while the VM runs ---------------------------- */

static void live_on_found(struct depot_job *j, const struct err *e)
{
	restore_end(container_of(j, struct restore, job), e);
}

static int live_find(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	return vfs_repo_head(repo, &container_of(j, struct restore, job)->base,
			     e);
}

/* The restore is ended when it cannot go on with @vm. */
static bool live_may(struct restore *s, const struct vm *vm,
		     const struct err *e)
{
	struct err why = *e;

	if (why.code == 0 && vm == NULL)
		err_set(&why, -FAULT_VM_NOT_FOUND, "%s is not here", s->vm);
	if (why.code < 0)
		restore_end(s, &why);
	return why.code == 0;
}

static void live_on_kept(struct vm *vm, const struct err *e, void *arg)
{
	struct restore *s = arg;

	if (!live_may(s, vm, e))
		return;
	s->job.work = live_find;
	s->job.done = live_on_found;
	depot_read(vm_depot(vm), &s->job);
}

static void live_on_put(const struct err *e, void *arg)
{
	struct restore *s = arg;
	struct vm *vm = s->d->stopping ? NULL : vm_find(s->d, s->vm);

	if (live_may(s, vm, e))
		vm_commit(vm, live_on_kept, s);
}

static int live_compare(struct depot_job *j, struct vfs_repo *repo,
			struct err *e)
{
	struct restore *s = container_of(j, struct restore, job);
	int r = vfs_repo_head(repo, &s->was, e);

	s->has_was = r == 0;
	if (r < 0)
		return r;
	return steps_find(&s->paths, repo, &s->was, &s->commit, &s->steps, e);
}

static void live_on_compared(struct depot_job *j, const struct err *e)
{
	struct restore *s = container_of(j, struct restore, job);

	if (e->code < 0)
		restore_end(s, e);
	else
		putback_start(s->d, s->vm, &s->steps, live_on_put, s);
}

static void live_begin(struct restore *s, struct vm *vm)
{
	s->n = vm_workspace_n(vm);
	s->job.work = live_compare;
	s->job.done = live_on_compared;
	depot_read(vm_depot(vm), &s->job);
}

/* --- which of them ------------------------------------------------------ */

/* Most is committed before the VM goes to sleep, which does not wait for long. */
static void restore_on_committed(struct vm *vm, const struct err *e, void *arg)
{
	struct restore *s = arg;
	struct err bad = *e;

	if (bad.code == 0 && vm == NULL)
		err_set(&bad, -FAULT_VM_NOT_FOUND, "%s is not here", s->vm);
	if (bad.code < 0) {
		err_wrap(&bad, "the newest files of %s are not committed",
			 s->vm);
		restore_end(s, &bad);
	} else if (s->live) {
		live_begin(s, vm);
	} else {
		vm_off(vm, VM_OFF_SLEEP, restore_on_off, s);
	}
}

/* What sleeps warm goes on, and its paths are restored as in any that runs. */
static void restore_on_awake(struct vm *vm, const struct err *e, void *arg)
{
	if (e->code < 0)
		restore_on_committed(vm, e, arg);
	else
		vm_commit(vm, restore_on_committed, arg);
}

static int resolve_work(struct depot_job *j, struct vfs_repo *repo,
			struct err *e)
{
	struct restore *s = container_of(j, struct restore, job);
	int r = revision_resolve(&s->rev, repo, &s->commit, e);

	/* While it runs, a path may be there and in no commit yet. */
	return r < 0 || s->live ? r
				: retake_check(&s->paths, repo, &s->commit, e);
}

static void resolve_on_done(struct depot_job *j, const struct err *e)
{
	struct restore *s = container_of(j, struct restore, job);
	struct vm *vm = s->d->stopping ? NULL : vm_find(s->d, s->vm);
	struct err bad = *e;

	if (bad.code == 0 && vm == NULL)
		err_set(&bad, -FAULT_VM_NOT_FOUND, "%s is not here", s->vm);
	if (bad.code < 0 || (!s->live && !restore_may(s, vm, &bad))) {
		restore_end(s, &bad);
		return;
	}
	s->ran = !vm_is_asleep(vm);
	if (s->force && !s->live)
		vm_off(vm, VM_OFF_SLEEP, restore_on_off, s);
	else if (s->live)
		vm_need(vm, restore_on_awake, s);
	else
		vm_commit(vm, restore_on_committed, s);
}

static int take_paths(struct restore *s, struct jv paths, struct err *e)
{
	if (!jv_has(paths) || jv_is(paths, JV_NULL))
		return 0;
	if (!jv_is(paths, JV_ARRAY) || jv_count(paths) == 0 ||
	    jv_count(paths) > RESTORE_PATHS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "paths: a list of 1 to %d strings",
			       RESTORE_PATHS_MAX);
	for (struct jv p = jv_first(paths); jv_has(p); p = jv_next(paths, p)) {
		int r = retake_add(&s->paths, p, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int restore_start(struct hibd *d, const struct restore_spec *spec,
		  restore_cb cb, void *arg, struct err *e)
{
	struct restore *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_set(e, -ENOMEM, "restore: out of memory");
	s->d = d;
	s->cb = cb;
	s->arg = arg;
	s->force = spec->force;
	memcpy(s->vm, vm_id(spec->vm), ID_MAX);
	if (revision_read(&s->rev, d->reader, s->vm, spec->to, e) < 0 ||
	    take_paths(s, spec->paths, e) < 0) {
		retake_done(&s->paths);
		free(s);
		return e->code;
	}
	s->live = s->paths.n > 0 && !vm_is_off(spec->vm);
	s->job.work = resolve_work;
	s->job.done = resolve_on_done;
	depot_read(vm_depot(spec->vm), &s->job);
	return 0;
}
