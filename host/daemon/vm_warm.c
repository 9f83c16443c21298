// SPDX-License-Identifier: Apache-2.0
/*
 * vm_warm.c - Sleep that keeps the memory, and waking from it
 *
 * Asleep: the barrier, after which the guest is paused, and then either nothing,
 * for a machine that is a set of stopped processes, or the backend writes its
 * memory to disk and ends it.  A barrier that is not passed leaves the VM running.
 *
 * Awake: the machine is resumed if it has to be, the guest thawed with a new
 * generation, and all who wait are told when the host has stored what the guest
 * wrote of that.  The link does the thaw: at once when it is up, or when it has
 * come that far (vm_on_paused()).
 *
 * What prevents a wake (the machine has died, its state cannot be used, the guest
 * does not thaw) costs the memory, not the VM: it boots.  But where the disk has no
 * room for the memory, the VM sleeps on, and who woke it is told; one that is stopped
 * or destroyed does without.
 *
 * From warm to cold the machine is resumed too, but the guest is not thawed by
 * us: it is frozen as for any cold sleep, so its agents end as they should and
 * its turns are ended in their logs.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/hex.h"
#include "core/log.h"
#include "core/time.h"
#include "host/daemon/execs.h"
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT "vm"
#define ENTROPY_BYTES 64

bool vm_can_sleep_warm(const struct vm *vm)
{
	return (vm->ops->warm_in_place || vm->ops->suspend != NULL) &&
	       link_can_pause(vm->channel);
}

/* --- asleep --------------------------------------------------------------- */

/* The VM stays awake. */
static void suspend_fail(struct vm *vm, const struct err *e)
{
	log_warn("%s: %s, it stays awake", vm->id, e->msg);
	vm_move(vm, VM_RUNNING);
	change_submit(vm->d->store, vm_change(vm), NULL, NULL);
	vm_barrier_undo(vm, e);
	vm_tell(&vm->down, vm, e);
	vm_look_up(vm);
}

/* May be cold, too: what is in its way is not in the way of that. */
static void suspend_or_cold(struct vm *vm, const struct err *e)
{
	bool unknown = e->code == -FAULT_GUEST_UNREACHABLE ||
		       e->code == -FAULT_REQUEST_TIMEOUT;

	if (vm->off > VM_OFF_WARM_OR_COLD ||
	    (vm->off == VM_OFF_WARM_OR_COLD && !unknown))
		vm_freeze(vm);
	else
		suspend_fail(vm, e);
}

static void suspend_on_written(const struct err *e, void *arg)
{
	struct vm *vm = arg;

	vm->powering = false;
	if (vm->released)
		vm_free(vm);
	else if (vm->machine == NULL)
		return; /* It died, and that has been dealt with. */
	else if (e->code < 0)
		suspend_or_cold(vm, e);
	else
		vm->memory = VM_MEMORY_DISK;
}

static void write_memory(struct vm *vm)
{
	char dir[PATH_MAX];

	vm_memory_path(vm, dir);
	vm->powering = true;
	vm->ops->suspend(vm->machine, dir, suspend_on_written, vm);
}

static void suspend_on_barrier(struct vm *vm, const struct err *e)
{
	if (e->code < 0) {
		suspend_or_cold(vm, e);
	} else if (vm->off > VM_OFF_WARM_OR_COLD) {
		vm_freeze(vm); /* Somebody wants more than that by now. */
	} else if (!link_is_paused(vm->channel)) {
		vm_power_off(vm); /* It is frozen as for a cold sleep. */
	} else if (vm->ops->warm_in_place) {
		vm->memory = VM_MEMORY_RAM;
		vm_settle(vm);
	} else {
		write_memory(vm);
	}
}

void vm_suspend(struct vm *vm)
{
	struct err e = {0};

	if (vm->state != VM_RUNNING || !link_is_up(vm->channel)) {
		err_set(&e, -FAULT_NOT_READY, "%s does not run yet", vm->id);
		vm_tell(&vm->down, vm, &e);
		return;
	}
	vm->began = uv_hrtime();
	vm->gone_clean = false;
	vm_move(vm, VM_SUSPENDING);
	change_submit(vm->d->store, vm_change(vm), NULL, NULL);
	vm_barrier(vm, "suspend", true, suspend_on_barrier);
}

/* What has slept long enough gives its RAM back. */
static void cold_timer(struct vm *vm)
{
	int64_t left = vm->cold_ms - (now_ms() - vm->slept_at_ms);

	if (vm->memory == VM_MEMORY_RAM && vm->cold_ms > 0)
		vm_deadline(vm, left > 0 ? (uint64_t)left : 0);
}

void vm_sleep_warm(struct vm *vm)
{
	if (vm->state != VM_SUSPENDED)
		vm_move(vm, VM_SUSPENDED);
	cold_timer(vm);
}

void vm_settle_warm(struct vm *vm)
{
	static const struct err none;
	struct change *c;
	char data[160];

	vm->slept_at_ms = now_ms();
	vm->took_ms = (double)(uv_hrtime() - vm->began) / 1e6;
	vm_sleep_warm(vm);
	c = vm_change(vm);
	vm_change_tails(c, vm->id, true);
	vm_change_complete(c, vm);
	snprintf(data, sizeof(data),
		 "{\"reason\":\"suspend\",\"kind\":\"warm\",\"memory\":\"%s\","
		 "\"ms\":%.3f}",
		 vm_memory_name(vm->memory), vm->took_ms);
	change_add_vm_event(c, vm->id, "vm.suspended", data);
	change_submit(vm->d->store, c, NULL, NULL);
	sweeper_look(vm->d->sweeper);
	if (vm->off > VM_OFF_WARM_OR_COLD) {
		vm_drop_memory(vm);
		return;
	}
	vm_tell(&vm->down, vm, &none);
	vm_boot_if_wanted(vm);
}

/* --- awake ---------------------------------------------------------------- */

/* There is no room for its memory: it sleeps on, as it was. */
static void resume_put_off(struct vm *vm, const struct err *e)
{
	const bool began = vm->state == VM_RESUMING;
	const bool ends = vm->off_later && vm->off >= VM_OFF_STOP;
	struct change *c;

	log_warn("%s: %s, it sleeps on", vm->id, e->msg);
	uv_timer_stop(&vm->timer);
	vm_move(vm, VM_SUSPENDED);
	vm->off_later = false;
	if (began)
		vm->workspace.complete = vm->workspace.was_complete;
	c = vm_change(vm);
	vm_change_tails(c, vm->id, true);
	vm_change_complete(c, vm);
	change_submit(vm->d->store, c, NULL, NULL);
	vm_tell(&vm->up, vm, e);
	if (ends)
		vm_off_now(vm);
	else
		vm_tell(&vm->down, vm, e);
}

/* The machine is there again, or it is not: boot. */
static void resume_on_machine(struct machine *m, const struct err *e, void *arg)
{
	struct vm *vm = arg;

	vm->powering = false;
	if (vm->released) {
		if (m != NULL)
			vm->ops->release(m);
		vm_free(vm);
		return;
	}
	if (m != NULL) {
		vm->machine = m;
		if (vm->origin != NULL)
			vm_deadline(vm, vm->ops->wake_ms);
		if (vm->state == VM_SUSPENDING)
			vm->memory = VM_MEMORY_NONE;
		vm_connect(vm);
		return;
	}
	if (vm->origin != NULL && vm->state == VM_RESUMING) {
		vm_fail_boot(vm, e);
		return;
	}
	if (err_fault(e->code) == FAULT_DISK_FULL &&
	    (vm->state != VM_SUSPENDING || vm->off < VM_OFF_STOP)) {
		resume_put_off(vm, e);
		return;
	}
	vm_memory_lost(vm, e->msg);
	if (vm->state == VM_SUSPENDING) {
		vm_settle(vm);
		return;
	}
	vm_move(vm, VM_STOPPED);
	vm_boot(vm);
}

static void resume_machine(struct vm *vm)
{
	struct vm_spec spec = vm_spec(vm);
	char dir[PATH_MAX];

	if (vm->origin == NULL) /* Else its disk is copied first. */
		vm_deadline(vm, vm->ops->wake_ms);
	if (vm->memory == VM_MEMORY_RAM)
		return;
	vm->powering = true;
	if (vm->origin != NULL) {
		vm->ops->resume(&vm->d->loop, &spec, vm_origin_dir(vm), false,
				&vm_machine_events, vm, resume_on_machine);
		return;
	}
	vm_memory_path(vm, dir);
	vm->ops->resume(&vm->d->loop, &spec, dir, true, &vm_machine_events, vm,
			resume_on_machine);
}

void vm_resume(struct vm *vm)
{
	vm_begin(vm, VM_RESUMING);
	resume_machine(vm);
	link_thaw(vm->channel);
}

static const char *thaw_reason(const struct vm *vm)
{
	if (vm->origin != NULL)
		return vm_origin_clone_of(vm) != NULL ? "fork" : "restore";
	return vm->state == VM_RUNNING ? "snapshot" : "resume";
}

bool vm_on_paused(struct link *l, struct jw *params, void *arg)
{
	const struct vm *vm = arg;
	unsigned char entropy[ENTROPY_BYTES];
	char hex[2 * ENTROPY_BYTES + 1];
	struct err e = {0};

	if (vm->state != VM_BOOTING && vm->state != VM_RESUMING &&
	    (vm->state != VM_RUNNING || vm->pause != VM_GOES_ON))
		return false;
	/* Up to 256 bytes it neither fails nor falls short (getrandom(2)). */
	(void)!getrandom(entropy, sizeof(entropy), 0);
	hex_encode(entropy, sizeof(entropy), hex);
	jw_obj(params);
	jw_kint(params, "generation", vm->generation);
	jw_kint(params, "now", now_ms());
	jw_kstr(params, "entropy", hex);
	jw_kstr(params, "reason", thaw_reason(vm));
	jw_key(params, "execs");
	execs_write(vm->d, vm->id, params);
	if (vm->origin == NULL && link_write_ahead(l, params))
		log_warn("%s: its guest was set back, by none of us", vm->id);
	if (vm->origin != NULL && vm_origin_write_thaw(vm, params, &e) < 0) {
		log_error("%s: thaw: %s", vm->id, e.msg);
		return false;
	}
	jw_obj_end(params);
	return true;
}

static void resume_on_stored(struct vm *vm, const struct err *e)
{
	if (e->code < 0)
		log_warn("%s: %s", vm->id, e->msg);
	vm_look_up(vm);
}

void vm_on_thawed(struct link *l, struct jv tails, void *arg)
{
	struct vm *vm = arg;

	(void)l;
	vm->woken.done = resume_on_stored;
	vm_tails_await(&vm->woken, vm, tails);
}

/* --- from warm to cold ---------------------------------------------------- */

void vm_drop_memory(struct vm *vm)
{
	struct change *c;

	vm->began = uv_hrtime();
	vm->gone_clean = false;
	vm_move(vm, VM_SUSPENDING);
	c = vm_change(vm);
	vm_change_tails(c, vm->id, false);
	change_submit(vm->d->store, c, NULL, NULL);
	resume_machine(vm);
	vm_look_up(vm);
}
