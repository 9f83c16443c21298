// SPDX-License-Identifier: Apache-2.0
/*
 * vm_down.c - A VM that goes off: to sleep, stopped, or for good
 *
 * A cold sleep is a barrier (vm_barrier.c), and then the machine is powered off.
 * When that takes longer than VM_BARRIER_MS the machine is killed, and
 * mirror.tail_complete stays 0: the rest is in the guest's own store and comes
 * with the next boot.  A warm one is in vm_warm.c.
 *
 * Who wants more than what is under way gets that (enum vm_off is in that order);
 * who comes while the VM cannot be told waits until it can.
 */
#include <stdio.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/execs.h"
#include "host/daemon/snapshots.h"
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT "vm"

static void vm_on_poweroff(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	(void)body, (void)len, (void)e, (void)arg;
	/* The machine's end is what counts; the timer sees to it. */
}

void vm_power_off(struct vm *vm)
{
	vm->gone_clean = true;
	vm_deadline(vm, VM_BARRIER_MS);
	link_call(vm->channel, "poweroff", "{}", vm_on_poweroff, vm);
}

static void freeze_on_barrier(struct vm *vm, const struct err *e)
{
	if (e->code < 0) {
		log_warn("%s: %s; killed", vm->id, e->msg);
		vm_kill(vm);
	} else {
		vm_power_off(vm);
	}
}

void vm_freeze(struct vm *vm)
{
	vm->gone_clean = false;
	vm->memory = VM_MEMORY_NONE;
	vm_note_files(vm, (struct jv){.i = -1});
	if (link_is_up(vm->channel) || link_is_paused(vm->channel))
		vm_barrier(vm, vm->off > VM_OFF_SLEEP ? "stop" : "sleep", false,
			   freeze_on_barrier);
	else
		vm_kill(vm);
}

void vm_on_timer(uv_timer_t *t)
{
	struct vm *vm = t->data;

	if (vm->barrier != NULL) {
		vm_barrier_late(vm);
	} else if (vm->state == VM_SUSPENDING) {
		log_warn("%s: its end took over %d ms; killed", vm->id,
			 VM_BARRIER_MS);
		vm_kill(vm);
	} else if (vm->state == VM_RESUMING || link_is_paused(vm->channel)) {
		err_set(&vm->fault, -FAULT_VM_UNAVAILABLE,
			"the guest did not go on within %llu ms",
			(unsigned long long)vm->ops->wake_ms);
		vm_kill(vm);
	} else {
		vm_on_idle(vm);
	}
}

static void vm_on_destroyed(const struct err *e, void *arg)
{
	struct vm *vm = arg;
	struct waiter_list down = STAILQ_HEAD_INITIALIZER(down);
	struct err gone = {0};

	if (e->code < 0) {
		vm->leaving = false;
		vm_tell(&vm->down, vm, e);
		return;
	}
	err_set(&gone, -FAULT_VM_NOT_FOUND, "%s was destroyed", vm->id);
	vm_tell(&vm->up, vm, &gone);
	vm_remove_folder(vm);
	TAILQ_REMOVE(&vm->d->vms, vm, link);
	STAILQ_CONCAT(&down, &vm->down);
	vm_free(vm);
	vm_tell(&down, NULL, e);
}

static int check_snapshots(const struct vm *vm, struct err *e)
{
	return snapshots_in_use(vm->d, vm)
		       ? err_set(e, -FAULT_NOT_READY,
				 "a snapshot of %s is in use", vm->id)
		       : 0;
}

static void vm_destroy(struct vm *vm)
{
	struct change *c;
	struct err e = {0};

	if (check_snapshots(vm, &e) < 0) { /* Since it was asked for. */
		vm_tell(&vm->down, vm, &e);
		vm_boot_if_wanted(vm);
		return;
	}
	vm->leaving = true;
	c = change_new();
	change_add(c, "DELETE FROM vm WHERE id=?1", 1, vm->id);
	change_add(c, "DELETE FROM snapshot WHERE vm_id=?1", 1, vm->id);
	change_add(c, "DELETE FROM vm_event WHERE vm_id=?1", 1, vm->id);
	change_add(c,
		   "INSERT OR IGNORE INTO tombstone(id, kind, destroyed_ms) "
		   "VALUES (?1, 'vm', ?2)",
		   2, vm->id, int_text(now_ms()));
	change_submit(vm->d->store, c, vm_on_destroyed, vm);
}

/* From now on the host may write the logs of its sessions. */
static void vm_on_off_stored(const struct err *e, void *arg)
{
	struct hibd *d = arg;

	if (e->code < 0)
		log_warn("%s", e->msg);
	else
		sweeper_look(d->sweeper);
}

void vm_settle(struct vm *vm)
{
	static const char *const reasons[] = {
		[VM_OFF_WARM] = "sleep",      [VM_OFF_WARM_OR_COLD] = "sleep",
		[VM_OFF_SLEEP] = "sleep",     [VM_OFF_STOP] = "stop",
		[VM_OFF_DESTROY] = "destroy",
	};
	static const struct err none;
	bool sleeps = vm->off <= VM_OFF_SLEEP;
	enum vm_state to = sleeps ? VM_SUSPENDED : VM_STOPPED;
	struct change *c;
	char data[320];

	if (vm->memory != VM_MEMORY_NONE) {
		vm_settle_warm(vm);
		return;
	}
	vm_memory_forget(vm);
	execs_end(vm->d, vm->id);
	vm->took_ms = (double)(uv_hrtime() - vm->began) / 1e6;
	if (vm->state != to)
		vm_move(vm, to);
	c = vm_change(vm);
	if (vm->gone_clean)
		vm_change_tails(c, vm->id, true);
	vm_change_complete(c, vm);
	snprintf(data, sizeof(data),
		 "{\"reason\":\"%s\",\"kind\":\"cold\",\"memory\":null,"
		 "\"ms\":%.3f,\"tail_complete\":%s%s%s}",
		 reasons[vm->off], vm->took_ms,
		 vm->gone_clean ? "true" : "false",
		 vm->slept[0] != '\0' ? ",\"workspace\":" : "", vm->slept);
	if (sleeps)
		change_add_vm_event(c, vm->id, "vm.suspended", data);
	change_add_vm_event(c, vm->id, "vm.shutdown", data);
	if (vm->off == VM_OFF_DESTROY) {
		change_submit(vm->d->store, c, NULL, NULL);
		vm_destroy(vm);
		return;
	}
	change_submit(vm->d->store, c, vm_on_off_stored, vm->d);
	vm_tell(&vm->down, vm, &none);
	vm_boot_if_wanted(vm);
}

/* Return: 0, or why it cannot go off so. */
static int off_check(const struct vm *vm, enum vm_off how, struct err *e)
{
	if (vm->locked && how == VM_OFF_DESTROY)
		return err_set(e, -FAULT_NOT_READY,
			       "%s is being made or restored", vm->id);
	if (how == VM_OFF_DESTROY && check_snapshots(vm, e) < 0)
		return e->code;
	if (how == VM_OFF_WARM && !vm_can_sleep_warm(vm))
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "backend %s, or this guest, has no warm sleep",
			       vm->ops->name);
	return 0;
}

/* Is it as it would be then? */
static bool is_off_so(const struct vm *vm, enum vm_off how)
{
	return (vm_is_off(vm) && how <= VM_OFF_SLEEP) ||
	       (vm_is_warm(vm) && how <= VM_OFF_WARM_OR_COLD) ||
	       (vm->state == VM_STOPPED && how == VM_OFF_STOP);
}

void vm_off_now(struct vm *vm)
{
	vm->began = uv_hrtime();
	if (vm_is_off(vm)) {
		/* Nothing ran since: what was complete still is. */
		vm->gone_clean = false;
		vm->slept[0] = '\0';
		if (vm->off == VM_OFF_DESTROY)
			vm_destroy(vm);
		else
			vm_settle(vm);
	} else if (vm_is_warm(vm)) {
		vm_drop_memory(vm);
	} else if (vm->off <= VM_OFF_WARM_OR_COLD && vm_can_sleep_warm(vm)) {
		vm_suspend(vm);
	} else {
		vm_move(vm, VM_SUSPENDING);
		change_submit(vm->d->store, vm_change(vm), NULL, NULL);
		vm_freeze(vm);
	}
}

/* It has to be awake before it can be told; a boot is just cut off, by all but a
 * warm sleep. */
static bool off_has_to_wait(const struct vm *vm, enum vm_off how)
{
	if (vm_is_asleep(vm))
		return false;
	if (how <= VM_OFF_WARM_OR_COLD && vm_can_sleep_warm(vm))
		return vm->state != VM_RUNNING || !link_is_up(vm->channel) ||
		       vm->pause != VM_GOES_ON;
	return vm->pause != VM_GOES_ON ||
	       (vm->state == VM_RESUMING && vm->memory != VM_MEMORY_NONE);
}

void vm_off(struct vm *vm, enum vm_off how, vm_done_cb cb, void *arg)
{
	bool going = vm->state == VM_SUSPENDING || vm->off_later;
	struct err e = {0};

	if (off_check(vm, how, &e) < 0 || is_off_so(vm, how)) {
		if (cb != NULL)
			cb(vm, &e, arg);
		return;
	}
	if (cb != NULL)
		vm_wait(&vm->down, vm, cb, arg);
	if (!going || how > vm->off)
		vm->off = how;
	if (vm->state == VM_SUSPENDING)
		return;
	/* What waits for it to be awake may be more by now, which does not. */
	vm->off_later = off_has_to_wait(vm, vm->off);
	if (!vm->off_later)
		vm_off_now(vm);
}
