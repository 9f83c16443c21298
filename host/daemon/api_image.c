// SPDX-License-Identifier: Apache-2.0
/*
 * api_image.c - What VMs boot, and agents that wait in them
 *
 * A template (warm.h) is made step by step: a VM, its boot, the guest's prewarm,
 * a snapshot, the end of the VM, and at last the row that says so; then those that
 * it takes the place of go.  Whatever fails removes what was made.
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/catalog.h"
#include "host/daemon/routes.h"
#include "host/daemon/snapshots.h"
#include "host/daemon/warm.h"

void image_list_route(struct op *op)
{
	struct err e = {0};

	if (image_list(&op->d->home, &op->out, &e) < 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

/* --- a template -------------------------------------------------------------- */

static void warm_on_cleared(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm, (void)e;
	op_fail(op, &op->err);
}

static void warm_fail(struct op *op, const struct err *e)
{
	struct vm *vm = vm_find(op->d, op->vm);

	op->err = *e;
	if (vm == NULL)
		op_fail(op, &op->err);
	else
		vm_off(vm, VM_OFF_DESTROY, warm_on_cleared, op);
}

/* False, and the op is answered: it was destroyed in the meantime. */
static bool warm_vm(struct op *op, struct vm **out)
{
	*out = vm_find(op->d, op->vm);
	if (*out == NULL)
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is gone", op->vm);
	return *out != NULL;
}

static void warm_on_stored(const struct err *e, void *arg)
{
	struct op *op = arg;
	autojw struct jw out = {0};

	if (e->code < 0) {
		warm_fail(op, e);
		return;
	}
	warm_drop(op->d, op->image, op->vm);
	jw_obj(&out);
	jw_kstr(&out, "image", op->image);
	jw_kvalue(&out, "agent", jv_get(op->in, "agent"));
	jw_kstr(&out, "vm", op->vm);
	jw_kstr(&out, "snapshot", op->snapshot);
	jw_obj_end(&out);
	op_reply(op, out.buf, out.len);
}

static void warm_on_off(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;
	struct change *c;

	(void)vm;
	if (e->code < 0) {
		warm_fail(op, e);
		return;
	}
	c = change_new();
	warm_add_snapshot(c, op->vm, op->snapshot);
	change_submit(op->d->store, c, warm_on_stored, op);
}

static void warm_on_snapshot(const char *id, const struct err *e, void *arg)
{
	struct op *op = arg;
	struct vm *vm;

	if (id == NULL) {
		warm_fail(op, e);
		return;
	}
	snprintf(op->snapshot, sizeof(op->snapshot), "%s", id);
	if (warm_vm(op, &vm))
		vm_off(vm, VM_OFF_STOP, warm_on_off, op);
}

static void warm_on_ready(const char *body, size_t len, const struct err *e,
			  void *arg)
{
	struct op *op = arg;
	struct snapshot_spec spec = {
		.kind = SNAPSHOT_MEMORY,
		.label = "prewarmed",
	};

	(void)body, (void)len;
	if (e->code < 0)
		warm_fail(op, e);
	else if (warm_vm(op, &spec.vm))
		snapshot_make(op->d, &spec, warm_on_snapshot, op);
}

static void warm_on_up(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	if (e->code < 0)
		warm_fail(op, e);
	else
		op_call(op, "prewarm", warm_on_ready);
}

static void warm_on_made(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	snprintf(op->vm, sizeof(op->vm), "%s", vm_id(vm));
	vm_need(vm, warm_on_up, op);
}

void image_warm_route(struct op *op)
{
	struct vm_config cfg = {
		.backend = "qemu",
		.image = op->image,
		.max_sessions = VM_SESSIONS,
		.cold_ms = VM_COLD_MS,
	};
	autofree char *agent = NULL;
	autojw struct jw template = {0};
	struct err e = {0};

	op->fed = true; /* It is about no session. */
	if (!op_put_creation(op) || !op_string(op, "agent", AGENT_MAX, &agent))
		return;
	if (warm_describe(op->d, op->image, agent, &template, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	cfg.template = template.buf;
	vm_create(op->d, &cfg, warm_on_made, op);
}

void image_cool_route(struct op *op)
{
	if (warm_is_needed(op->d, op->image)) {
		op_refuse(op, -FAULT_NOT_READY,
			  "a VM that has not run yet goes on from the template "
			  "of %s",
			  op->image);
		return;
	}
	warm_drop(op->d, op->image, NULL);
	op_reply_empty(op);
}
