// SPDX-License-Identifier: Apache-2.0
/*
 * api_snapshot.c - Snapshots: make, look, check, give back, fork, remove
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/routes.h"
#include "host/daemon/snapshots.h"
#include "host/views.h"

static void reply_snapshot(struct op *op)
{
	struct err e = {0};

	jw_reset(&op->out);
	if (views_snapshot(op->d->reader, op->snapshot, &op->out, &e) < 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

void snapshot_list_route(struct op *op)
{
	struct err e = {0};
	bool of_one = op->vm[0] != '\0';

	if (of_one && op_vm(op) == NULL)
		return;
	jw_arr(&op->out);
	if (views_snapshots(op->d->reader, of_one ? op->vm : NULL, &op->out,
			    &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

void snapshot_get_route(struct op *op)
{
	reply_snapshot(op);
}

/* --- make ------------------------------------------------------------------ */

static void create_on_made(const char *id, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	memcpy(op->snapshot, id, ID_MAX);
	reply_snapshot(op);
}

/* False: the op has been answered. */
static bool read_kind(struct op *op, enum snapshot_kind *out)
{
	autofree char *kind = NULL;

	*out = SNAPSHOT_ANY;
	if (!op_string(op, "kind", 16, &kind))
		return false;
	if (kind == NULL)
		return true;
	*out = strcmp(kind, "memory") == 0 ? SNAPSHOT_MEMORY : SNAPSHOT_DISK;
	if (*out == SNAPSHOT_MEMORY || strcmp(kind, "disk") == 0)
		return true;
	op_refuse(op, -FAULT_INVALID_ARGUMENT, "kind '%s': memory or disk",
		  kind);
	return false;
}

void snapshot_create_route(struct op *op)
{
	autofree char *label = NULL;
	struct snapshot_spec spec = {.vm = op_vm(op)};

	if (spec.vm == NULL || !read_kind(op, &spec.kind) ||
	    !op_string(op, "label", SNAPSHOT_LABEL_MAX, &label))
		return;
	spec.label = label;
	snapshot_make(op->d, &spec, create_on_made, op);
}

/* --- check, remove --------------------------------------------------------- */

static void verify_on_checked(const struct jw *out, const struct err *e,
			      void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else if (out->failed)
		op_refuse(op, -ENOMEM, "out of memory");
	else
		op_reply(op, out->buf, out->len);
}

void snapshot_verify_route(struct op *op)
{
	snapshot_check(op->d, op->snapshot, verify_on_checked, op);
}

static void remove_on_done(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_empty(op);
}

void snapshot_remove_route(struct op *op)
{
	snapshot_remove(op->d, op->snapshot, remove_on_done, op);
}

/* --- give back -------------------------------------------------------------- */

static void restore_on_done(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_vm(op);
}

/* "snapshot" of the body, into op->snapshot.  False: the op was answered. */
static bool read_snapshot(struct op *op)
{
	autofree char *id = NULL;

	if (!op_string(op, "snapshot", 64, &id))
		return false;
	if (id != NULL && id_is(id, "snp")) {
		memcpy(op->snapshot, id, ID_MAX);
		return true;
	}
	op_refuse(op, -FAULT_INVALID_ID, "snapshot: '%.80s' is no snapshot id",
		  id != NULL ? id : "");
	return false;
}

static void restore_begin(struct op *op)
{
	snapshot_restore(op->d, op->snapshot,
			 jv_bool(jv_get(op->in, "force"), false),
			 restore_on_done, op);
}

/* The VM of op->snapshot.  False: the op was answered. */
static bool find_snapshot(struct op *op, char vm[ID_MAX])
{
	autosnapshot struct snapshot s = {0};
	struct err e = {0};

	if (snapshots_find(op->d, op->snapshot, &s, &e) < 0) {
		op_fail(op, &e);
		return false;
	}
	memcpy(vm, s.vm, ID_MAX);
	return true;
}

void vm_restore_snapshot_route(struct op *op)
{
	const struct vm *vm = op_vm(op);
	char of[ID_MAX];

	if (vm == NULL || !read_snapshot(op) || !find_snapshot(op, of))
		return;
	if (strcmp(of, vm_id(vm)) != 0)
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "%s is of %s: restore that, or fork it", op->snapshot,
			  of);
	else
		restore_begin(op);
}

void snapshot_restore_route(struct op *op)
{
	if (find_snapshot(op, op->vm))
		restore_begin(op);
}

/* --- fork ------------------------------------------------------------------- */

static void fork_on_removed(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0) /* A snapshot too many; the VMs are there. */
		op->warning = "the snapshot that they are of is still there";
	if (op->err.code < 0) {
		op_fail(op, &op->err);
		return;
	}
	op_extend(&op->out);
	op_put_warnings(op, &op->out);
	jw_obj_end(&op->out);
	op_reply_out(op);
}

static void fork_on_made(const struct jw *out, const struct err *e, void *arg)
{
	struct op *op = arg;

	op->err = *e;
	if (e->code == 0)
		jw_lit(&op->out, out->buf, out->len);
	if (op->made_snapshot)
		snapshot_remove(op->d, op->snapshot, fork_on_removed, op);
	else if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_out(op);
}

static void fork_begin(struct op *op)
{
	autofree char *name = NULL;
	struct snapshot_fork_spec spec;
	int64_t n = 1;

	if (!op_integer(op, "n", 1, SNAPSHOT_FORKS_MAX, &n) ||
	    !op_string(op, "name", 256, &name))
		return;
	spec = (struct snapshot_fork_spec){.n = (unsigned)n, .name = name};
	snapshot_fork(op->d, op->snapshot, &spec, fork_on_made, op);
}

static void fork_on_snapshot(const char *id, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	op->made_snapshot = true;
	memcpy(op->snapshot, id, ID_MAX);
	fork_begin(op);
}

bool op_fork_snapshot(struct op *op, struct vm *vm)
{
	const struct snapshot_spec spec = {
		.vm = vm,
		.kind = SNAPSHOT_MEMORY,
		.label = "for forks",
		.temporary = true,
	};
	autofree char *name = NULL;
	int64_t n;

	if (jv_has(jv_get(op->in, "snapshot"))) {
		if (read_snapshot(op))
			fork_begin(op);
		return true;
	}
	if (!jv_bool(jv_get(op->in, "memory"), false))
		return false;
	/* Checked before anything is made. */
	if (op_integer(op, "n", 1, SNAPSHOT_FORKS_MAX, &n) &&
	    op_string(op, "name", 256, &name))
		snapshot_make(op->d, &spec, fork_on_snapshot, op);
	return true;
}

void snapshot_fork_route(struct op *op)
{
	fork_begin(op);
}

/* --- import ----------------------------------------------------------------- */

void snapshot_import_route(struct op *op)
{
	autofree char *folder = NULL, *vm = NULL;

	if (!op_string(op, "folder", 64, &folder) ||
	    !op_string(op, "vm", 64, &vm))
		return;
	snapshot_import(op->d, folder != NULL ? folder : "",
			vm != NULL ? vm : "", create_on_made, op);
}
