// SPDX-License-Identifier: Apache-2.0
/*
 * vm_pause.c - Standing still for a snapshot
 *
 * The barrier of a warm sleep, but the VM stays RUNNING: its machine is copied and
 * goes on.  A channel that is lost meanwhile is made again and finds the guest
 * paused; whether it is thawed then, vm->pause says.
 */
#include "core/log.h"
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT "vm"

static void pauser_tell(struct vm *vm, const struct err *e)
{
	struct waiter w = vm->pauser;

	vm->pauser.cb = NULL;
	w.cb(vm, e, w.arg);
}

/* Whatever the guest does: it is to go on. */
static void pause_give_up(struct vm *vm, const struct err *e)
{
	log_warn("%s: %s, it goes on", vm->id, e->msg);
	vm->pause = VM_GOES_ON;
	vm_barrier_undo(vm, e);
	pauser_tell(vm, e);
	vm_look_up(vm);
}

static void pause_on_barrier(struct vm *vm, const struct err *e)
{
	static const struct err none;
	struct err cold = {0};

	if (e->code < 0) {
		pause_give_up(vm, e);
		return;
	}
	if (!link_is_paused(vm->channel)) {
		err_set(&cold, -FAULT_CAPABILITY_UNSUPPORTED,
			"the guest of %s cannot be paused", vm->id);
		vm_kill(vm); /* It has ended all that ran in it. */
		vm->pause = VM_GOES_ON;
		pauser_tell(vm, &cold);
		return;
	}
	vm->pause = VM_PAUSED;
	pauser_tell(vm, &none);
}

void vm_pause(struct vm *vm, vm_done_cb cb, void *arg)
{
	struct err e = {0};

	if (vm->state != VM_RUNNING || !link_is_up(vm->channel) ||
	    vm->pause != VM_GOES_ON) {
		err_set(&e, -FAULT_NOT_READY, "%s %s", vm->id,
			vm->state == VM_RUNNING ? "is paused already"
						: "does not run");
		cb(vm, &e, arg);
		return;
	}
	if (!link_can_pause(vm->channel)) {
		err_set(&e, -FAULT_CAPABILITY_UNSUPPORTED,
			"the guest of %s cannot be paused", vm->id);
		cb(vm, &e, arg);
		return;
	}
	vm->pause = VM_PAUSING;
	vm->pauser = (struct waiter){.cb = cb, .arg = arg};
	vm_barrier(vm, "snapshot", true, pause_on_barrier);
}

void vm_unpause(struct vm *vm)
{
	if (vm->pause != VM_PAUSED)
		return;
	vm->pause = VM_GOES_ON;
	vm->workspace.complete =
		false; /* What it writes now is not committed. */
	link_thaw(vm->channel);
	vm_deadline(vm, vm->ops->wake_ms);
}

void vm_pause_ended(struct vm *vm, const struct err *e)
{
	vm->pause = VM_GOES_ON;
	if (vm->pauser.cb != NULL)
		pauser_tell(vm, e);
}

bool vm_keeps_memory(const struct vm *vm)
{
	return vm->ops->snapshot != NULL;
}

void vm_copy_memory(struct vm *vm, const char *dir, backend_done_cb cb,
		    void *arg)
{
	struct err e = {0};

	if (vm->pause == VM_PAUSED && vm->machine != NULL) {
		vm->ops->snapshot(vm->machine, dir, cb, arg);
		return;
	}
	err_set(&e, -FAULT_VM_UNAVAILABLE, "%s does not stand still", vm->id);
	cb(&e, arg);
}
