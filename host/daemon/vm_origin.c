// SPDX-License-Identifier: Apache-2.0
/*
 * vm_origin.c - A VM that goes on from a snapshot
 *
 * Of one with memory its next boot is none: the backend makes a machine that is
 * what the snapshot's was, whose guest is paused and is thawed with what has
 * changed since: the time, and who it is.  One that has the disk alone of another
 * VM's boots, and its guest is told who it is before it starts.  That is written
 * down before, and taken away when it runs, so a hibd that dies in between does
 * it again.
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/lineage.h"
#include "host/daemon/snapshots.h"
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT "vm"

struct vm_origin {
	struct hibd *d;
	char dir[PATH_MAX]; /* The snapshot's folder. */
	bool template;	    /* It is of a template. */
	struct snapshot s;
};

void vm_origin_free(struct vm *vm)
{
	struct vm_origin *o = take_ptr(vm->origin);

	if (o == NULL)
		return;
	snapshots_release(o->d, o->s.id);
	snapshot_done(&o->s);
	free(o);
}

static bool is_template(struct hibd *d, const char *vm)
{
	const char *args[] = {vm, NULL};
	autofree char *found = NULL;

	return reader_value(d->reader,
			    "SELECT id FROM vm WHERE id=?1 AND "
			    "config->'$.template' IS NOT NULL",
			    args, &found, NULL) == 1;
}

static int origin_set(struct vm *vm, const char *snapshot, struct err *e)
{
	struct vm_origin *o = calloc(1, sizeof(*o));
	int r;

	if (o == NULL)
		abort();
	o->d = vm->d;
	r = snapshots_find(vm->d, snapshot, &o->s, e);
	if (r == 0)
		r = snapshots_dir(vm->d, &o->s, "", o->dir);
	if (r == 0)
		r = snapshots_hold(vm->d, snapshot, e);
	if (r < 0) {
		snapshot_done(&o->s);
		free(o);
		return r;
	}
	vm_origin_free(vm);
	o->template = is_template(vm->d, o->s.vm);
	vm->origin = o;
	return 0;
}

int vm_set_origin(struct vm *vm, const char *snapshot, struct err *e)
{
	return origin_set(vm, snapshot, e);
}

void vm_change_origin(struct change *c, const char *vm, const char *snapshot)
{
	change_add(c,
		   "UPDATE vm SET config=json_set(config,'$.origin',?2) WHERE "
		   "id=?1",
		   2, vm, snapshot);
}

void vm_origin_read(struct vm *vm, struct jv origin)
{
	struct err e = {0};
	char id[ID_MAX];

	if (jv_strcpy(origin, id, sizeof(id)) > 0 && origin_set(vm, id, &e) < 0)
		log_error("%s: %s", vm->id, e.msg);
}

void vm_origin_done(struct vm *vm, struct change *c)
{
	change_add(c,
		   "UPDATE vm SET config=json_remove(config,'$.origin') WHERE "
		   "id=?1",
		   1, vm->id);
	vm_origin_free(vm);
}

void vm_forget_origin(struct vm *vm)
{
	struct change *c = change_new();

	vm_origin_done(vm, c);
	change_submit(vm->d->store, c, NULL, NULL);
}

bool vm_has_origin(const struct vm *vm)
{
	return vm->origin != NULL;
}

bool vm_goes_on_from(const struct vm *vm, const char *snapshot)
{
	return vm->origin != NULL && strcmp(vm->origin->s.id, snapshot) == 0;
}

int vm_fits(const struct vm *vm, const char *dir, struct err *e)
{
	struct vm_spec spec = vm_spec(vm);

	return vm->ops->fits != NULL ? vm->ops->fits(&spec, dir, e) : 0;
}

bool vm_origin_has_memory(const struct vm *vm)
{
	return vm->origin != NULL && vm->origin->s.memory;
}

bool vm_origin_is_template(const struct vm *vm)
{
	return vm->origin != NULL && vm->origin->template;
}

const char *vm_origin_dir(const struct vm *vm)
{
	return vm->origin->dir;
}

const char *vm_origin_clone_of(const struct vm *vm)
{
	if (vm->origin == NULL || strcmp(vm->origin->s.vm, vm->id) == 0)
		return NULL;
	return vm->origin->s.vm;
}

int vm_origin_write_thaw(const struct vm *vm, struct jw *params, struct err *e)
{
	const struct vm_origin *o = vm->origin;
	const struct lineage_spec spec = {
		.d = vm->d,
		.vm = vm->id,
		.snapshot = o->s.id,
		.cursors = o->s.cursors,
	};

	if (vm_origin_clone_of(vm) != NULL)
		jw_kstr(params, "vm", vm->id);
	jw_key(params, "sessions");
	return vm_origin_clone_of(vm) != NULL
		       ? lineage_write_clone(&spec, params, e)
		       : lineage_write_rewind(&spec, params, e);
}
