// SPDX-License-Identifier: Apache-2.0
/*
 * api_upgrade.c - Have the guest of a VM become the program that is installed now
 *
 * The guest answers when it is ready, and goes; the channel is made again, and
 * hello says how often it has been replaced.  A VM that is off has the newest one
 * as soon as it boots.
 */
#include "host/daemon/routes.h"

#include <stdio.h>
#include <string.h>

static void reply_upgraded(struct op *op, bool done, const char *build)
{
	jw_obj(&op->out);
	jw_kstr(&op->out, "vm", op->vm);
	jw_kbool(&op->out, "upgraded", done);
	jw_kstr(&op->out, "from", op->what[0] != '\0' ? op->what : NULL);
	jw_kstr(&op->out, "build", build);
	jw_obj_end(&op->out);
	op_reply_out(op);
}

static void upgrade_on_up(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else if (link_upgrades(vm_link(vm)) == 0)
		op_refuse(op, -FAULT_VM_UNAVAILABLE,
			  "%s was lost on the way, and booted again", op->vm);
	else
		reply_upgraded(op, true, link_build(vm_link(vm)));
}

static void upgrade_on_told(const char *body, size_t len, const struct err *e,
			    void *arg)
{
	struct op *op = arg;
	struct vm *vm = vm_find(op->d, op->vm);

	(void)body, (void)len;
	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	if (vm == NULL) {
		op_refuse(op, -FAULT_VM_NOT_FOUND, "%s is not here", op->vm);
		return;
	}
	link_redial(vm_link(vm), "its guest is replaced");
	vm_need(vm, upgrade_on_up, op);
}

static void upgrade_on_awake(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	snprintf(op->what, sizeof(op->what), "%s", link_build(vm_link(vm)));
	jw_obj(&op->params);
	jw_obj_end(&op->params);
	op_call(op, "reexec", upgrade_on_told);
}

void vm_upgrade_route(struct op *op)
{
	struct vm *vm = op_vm(op);

	if (vm == NULL)
		return;
	op->what[0] = '\0';
	if (vm_is_off(vm) && !vm_is_warm(vm))
		reply_upgraded(op, false, NULL);
	else
		op_wake(op, upgrade_on_awake);
}
