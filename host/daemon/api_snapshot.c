// SPDX-License-Identifier: Apache-2.0
/*
 * api_snapshot.c - Snapshots: make, look, check, remove
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
