// SPDX-License-Identifier: Apache-2.0
/*
 * vm_idle.c - A VM that sleeps by itself
 *
 * After idle_ms without anything that goes on in it, warm where it can; and what
 * has slept in RAM for cold_ms gives that back.  A turn that runs keeps it awake,
 * also while it waits for an answer, and so does whoever holds it (vm_hold());
 * sessions that are only open do not.
 */
#include <assert.h>
#include <string.h>

#include "host/daemon/vm_impl.h"

static void idle_start(struct vm *vm)
{
	if (vm->state == VM_RUNNING && vm->idle_ms > 0 && vm->barrier == NULL &&
	    !link_is_paused(vm->channel))
		vm_deadline(vm, (uint64_t)vm->idle_ms);
}

void vm_touch(struct vm *vm)
{
	vm->used_at = uv_now(&vm->d->loop);
	idle_start(vm);
}

uint64_t vm_used_at(const struct vm *vm)
{
	return vm->used_at;
}

void vm_hold(struct vm *vm)
{
	vm->holds++;
	vm_touch(vm);
}

void vm_unhold(struct vm *vm)
{
	assert(vm->holds > 0);
	vm->holds--;
	vm_touch(vm);
}

/* Does its agent work? */
static bool is_at_work(const struct session_brief *b)
{
	static const char *const at_work[] = {"starting", "running", "closing"};

	for (size_t i = 0; i < ARRAY_LEN(at_work); i++)
		if (strcmp(b->state, at_work[i]) == 0)
			return true;
	return false;
}

static int count_busy(const struct session_brief *b, void *arg)
{
	unsigned *n = arg;

	*n += is_at_work(b) || strcmp(b->state, "waiting") == 0;
	return 0;
}

bool vm_is_busy(const struct vm *vm)
{
	unsigned busy = vm->holds + (vm->pause != VM_GOES_ON);

	(void)reader_sessions(vm->d->reader, vm->id, count_busy, &busy, NULL);
	return busy > 0;
}

static int find_work(const struct session_brief *b, void *arg)
{
	bool *found = arg;

	*found = *found || is_at_work(b);
	return 0;
}

bool vm_is_at_work(struct link *l, void *arg)
{
	const struct vm *vm = arg;
	bool found = false;

	(void)l;
	(void)reader_sessions(vm->d->reader, vm->id, find_work, &found, NULL);
	return found;
}

static int find_open_turn(const struct session_brief *b, void *arg)
{
	bool *found = arg;

	*found = *found || b->open_turn[0] != '\0';
	return 0;
}

static bool has_open_turn(const struct vm *vm)
{
	bool found = false;

	(void)reader_sessions(vm->d->reader, vm->id, find_open_turn, &found,
			      NULL);
	return found;
}

bool vm_may_give_memory(const struct vm *vm)
{
	if (vm->state == VM_SUSPENDED)
		return vm->memory == VM_MEMORY_RAM && !has_open_turn(vm);
	return vm->state == VM_RUNNING && link_is_up(vm->channel) &&
	       !vm_is_busy(vm);
}

void vm_give_memory(struct vm *vm, vm_done_cb cb, void *arg)
{
	bool to_disk = !vm->ops->warm_in_place && vm_can_sleep_warm(vm);

	vm_off(vm, to_disk ? VM_OFF_WARM_OR_COLD : VM_OFF_SLEEP, cb, arg);
}

void vm_on_idle(struct vm *vm)
{
	if (vm->state == VM_SUSPENDED)
		vm_off(vm, VM_OFF_SLEEP, NULL, NULL);
	else if (vm_is_busy(vm))
		idle_start(vm);
	else
		vm_off(vm, VM_OFF_WARM_OR_COLD, NULL, NULL);
}
