// SPDX-License-Identifier: Apache-2.0
/*
 * vm.c - A VM: its folder, its machine when it runs
 *
 * Boot: a new generation is written down, the backend powers the machine on,
 * the link comes up, and all who wait are told.
 *
 * The state in memory leads, the catalog follows in the order of the changes;
 * a hibd that was killed in between finds the machine itself (adopt) or its
 * absence, which is what counts.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/execs.h"
#include "host/daemon/vm_impl.h"
#include "host/daemon/warm.h"

#define LOG_COMPONENT "vm"

const char *const vm_state_names[] = {
	[VM_STOPPED] = "stopped",     [VM_BOOTING] = "booting",
	[VM_RUNNING] = "running",     [VM_SUSPENDING] = "suspending",
	[VM_SUSPENDED] = "suspended", [VM_RESUMING] = "resuming",
	[VM_FAILED] = "failed",
};

static const unsigned vm_moves[] = {
	[VM_STOPPED] = BIT(VM_BOOTING) | BIT(VM_RESUMING),
	[VM_BOOTING] = BIT(VM_RUNNING) | BIT(VM_FAILED) | BIT(VM_SUSPENDING) |
		       BIT(VM_STOPPED),
	[VM_RUNNING] = BIT(VM_SUSPENDING) | BIT(VM_STOPPED) | BIT(VM_FAILED),
	[VM_SUSPENDING] = BIT(VM_SUSPENDED) | BIT(VM_STOPPED) | BIT(VM_FAILED) |
			  BIT(VM_RUNNING),
	[VM_SUSPENDED] =
		BIT(VM_RESUMING) | BIT(VM_STOPPED) | BIT(VM_SUSPENDING),
	[VM_RESUMING] = BIT(VM_RUNNING) | BIT(VM_FAILED) | BIT(VM_SUSPENDING) |
			BIT(VM_STOPPED) | BIT(VM_SUSPENDED),
	[VM_FAILED] = BIT(VM_BOOTING) | BIT(VM_STOPPED) | BIT(VM_SUSPENDED) |
		      BIT(VM_RESUMING),
};

static void vm_on_up(struct link *l, void *arg);
static void vm_on_channel_failed(struct link *l, const struct err *e,
				 void *arg);
static bool vm_on_deaf(struct link *l, uint64_t silent_ms, void *arg);
static void vm_on_exited(struct machine *m, const char *detail, void *arg);

static const struct link_events channel_events = {
	.up = vm_on_up,
	.failed = vm_on_channel_failed,
	.thaw = vm_on_paused,
	.thawed = vm_on_thawed,
	.expects = vm_is_at_work,
	.deaf = vm_on_deaf,
};
const struct backend_events vm_machine_events = {
	.exited = vm_on_exited,
};

/* --- small things ------------------------------------------------------- */

const char *vm_id(const struct vm *vm)
{
	return vm->id;
}

const char *vm_dir(const struct vm *vm)
{
	return vm->dir;
}

enum vm_state vm_state(const struct vm *vm)
{
	return vm->state;
}

bool vm_is_off(const struct vm *vm)
{
	return vm_is_asleep(vm) && !vm_is_warm(vm);
}

bool vm_is_warm(const struct vm *vm)
{
	return vm->state == VM_SUSPENDED && vm->memory != VM_MEMORY_NONE;
}

bool vm_is_asleep(const struct vm *vm)
{
	return vm->state == VM_STOPPED || vm->state == VM_SUSPENDED ||
	       vm->state == VM_FAILED;
}

double vm_took_ms(const struct vm *vm)
{
	return vm->took_ms;
}

struct link *vm_link(struct vm *vm)
{
	return vm->channel;
}

pid_t vm_pid(const struct vm *vm)
{
	return vm->machine ? vm->ops->pid(vm->machine) : 0;
}

unsigned vms_running(const struct hibd *d)
{
	const struct vm *vm;
	unsigned n = 0;

	TAILQ_FOREACH (vm, &d->vms, link)
		n += !vm_is_asleep(vm) || vm->memory == VM_MEMORY_RAM;
	return n;
}

struct vm *vms_first(struct hibd *d)
{
	return TAILQ_FIRST(&d->vms);
}

struct vm *vms_next(struct vm *vm)
{
	return TAILQ_NEXT(vm, link);
}

struct vm *vm_find(struct hibd *d, const char *id_or_name)
{
	struct vm *vm;

	TAILQ_FOREACH (vm, &d->vms, link) {
		if (strcmp(vm->id, id_or_name) == 0 ||
		    (vm->name[0] != '\0' && strcmp(vm->name, id_or_name) == 0))
			return vm;
	}
	return NULL;
}

struct vm_spec vm_spec(const struct vm *vm)
{
	return (struct vm_spec){
		.id = vm->id,
		.dir = vm->dir,
		.image = vm->files,
		.libexec = vm->d->home.libexec,
		.agents = vm->d->home.agents,
		.net = vm->net,
		.mounts = vm->mounts,
		.quota = vm->quota,
		.memory = vm->mib,
		.cpus = (int)vm->cpus,
	};
}

/* --- waiters ------------------------------------------------------------ */

void vm_wait(struct waiter_list *l, struct vm *vm, vm_done_cb cb, void *arg)
{
	struct waiter *w = calloc(1, sizeof(*w));
	struct err e = {0};

	if (w == NULL) {
		err_set(&e, -ENOMEM, "%s: out of memory", vm->id);
		cb(vm, &e, arg);
		return;
	}
	w->cb = cb;
	w->arg = arg;
	STAILQ_INSERT_TAIL(l, w, link);
}

/* Tell all; a callback may queue anew. */
void vm_tell(struct waiter_list *l, struct vm *vm, const struct err *e)
{
	struct waiter_list now = STAILQ_HEAD_INITIALIZER(now);
	struct waiter *w;

	STAILQ_CONCAT(&now, l);
	while ((w = STAILQ_FIRST(&now)) != NULL) {
		STAILQ_REMOVE_HEAD(&now, link);
		w->cb(vm, e, w->arg);
		free(w);
	}
}

/* --- catalog ------------------------------------------------------------ */

struct change *vm_change(const struct vm *vm)
{
	struct change *c = change_new();
	autofree char *memory = vm_memory_write(vm);

	change_add(c,
		   "UPDATE vm SET state=?2, generation=?3, boot_id=?4, "
		   "last_error=?5, updated_ms=?6, last_seen_ms=?6, "
		   "config=CASE WHEN ?7 IS NULL THEN "
		   "json_remove(config,'$.memory') ELSE "
		   "json_set(config,'$.memory',json(?7)) END WHERE id=?1",
		   7, vm->id, vm_state_names[vm->state],
		   int_text(vm->generation),
		   vm->channel ? link_boot_id(vm->channel) : NULL,
		   vm->last_error[0] ? vm->last_error : NULL,
		   int_text(now_ms()), memory);
	return c;
}

void vm_change_tails(struct change *c, const char *vm, bool complete)
{
	change_add(c,
		   "UPDATE mirror SET tail_complete=?2 WHERE session_n IN "
		   "(SELECT n FROM session WHERE vm_id=?1)",
		   2, vm, complete ? "1" : "0");
}

void vm_move(struct vm *vm, enum vm_state next)
{
	assert(vm_moves[vm->state] & BIT(next));
	log_info("%s: %s -> %s", vm->id, vm_state_names[vm->state],
		 vm_state_names[next]);
	vm->state = next;
}

/* --- up ----------------------------------------------------------------- */

void vm_kill(struct vm *vm)
{
	if (vm->machine != NULL)
		vm->ops->kill(vm->machine);
}

void vm_deadline(struct vm *vm, uint64_t ms)
{
	uv_timer_start(&vm->timer, vm_on_timer, ms, 0);
}

void vm_fail_boot(struct vm *vm, const struct err *e)
{
	struct change *c;
	char data[ERR_MSG_MAX * 2];
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "reason", "error");
	jw_kstr(&w, "detail", e->msg);
	jw_obj_end(&w);
	snprintf(data, sizeof(data), "%s", w.buf ? w.buf : "{}");

	snprintf(vm->last_error, sizeof(vm->last_error), "%s", e->msg);
	log_error("%s: %s", vm->id, e->msg);
	vm_move(vm, VM_FAILED);
	execs_end(vm->d, vm->id);
	vm->off_later = false;
	c = vm_change(vm);
	vm_change_complete(c, vm);
	change_add_vm_event(c, vm->id, "vm.shutdown", data);
	change_submit(vm->d->store, c, NULL, NULL);
	vm_tell(&vm->up, vm, e);
	vm_tell(&vm->down, vm, e);
}

void vm_connect(struct vm *vm)
{
	autojw struct jw workspace = {0};
	struct link_spec spec = {
		.loop = &vm->d->loop,
		.ops = vm->ops,
		.machine = vm->machine,
		.mirror = vm->d->mirror,
		.reader = vm->d->reader,
		.vm = vm->id,
		.max_sessions = vm->max_sessions,
		.dir = vm->dir,
		.generation = vm->generation,
		.clone_of = vm_origin_clone_of(vm),
	};

	vm_workspace_write_start(vm, &workspace);
	spec.workspace = workspace.buf;
	if (!workspace.failed && vm_serve_objects(vm) == 0)
		vm->channel = link_open(&spec, &channel_events, vm);
	if (vm->channel != NULL)
		return;
	err_set(&vm->fault, -ENOMEM, "%s: out of memory", vm->id);
	vm->ops->kill(vm->machine);
}

static void vm_on_booted(struct machine *m, const struct err *e, void *arg)
{
	struct vm *vm = arg;

	vm->powering = false;
	if (vm->released) {
		if (m != NULL)
			vm->ops->release(m);
		vm_free(vm);
		return;
	}
	if (m == NULL) /* Nothing ran. */
		vm->workspace.complete = vm->workspace.was_complete;
	if (m == NULL && vm->state == VM_SUSPENDING) {
		vm_settle(vm);
		return;
	}
	if (m == NULL) {
		struct err wrapped = *e;

		if (err_fault(e->code) != FAULT_DISK_FULL)
			wrapped.code = -FAULT_VM_UNAVAILABLE;
		err_wrap(&wrapped, "boot");
		vm_fail_boot(vm, &wrapped);
		return;
	}
	vm->machine = m;
	if (vm->state == VM_SUSPENDING)
		vm_kill(vm);
	else
		vm_connect(vm);
}

void vm_begin(struct vm *vm, enum vm_state next)
{
	struct change *c;

	/* One that is gone by now is the backend's to complain of. */
	(void)image_files(&vm->d->home, vm->image, vm->files, NULL);
	vm_move(vm, next);
	vm->generation++;
	vm->began = uv_hrtime();
	vm->last_error[0] = '\0';
	vm->fault = (struct err){0};
	vm->gone_clean = vm->adopted = false;
	vm->workspace.was_complete = vm->workspace.complete;
	vm->workspace.was_noted = vm->workspace.noted;
	vm->workspace.complete = false;
	c = vm_change(vm);
	vm_change_complete(c, vm);
	vm_change_tails(c, vm->id, false);
	change_submit(vm->d->store, c, NULL, NULL);
}

void vm_boot(struct vm *vm)
{
	struct vm_spec spec = vm_spec(vm);

	vm_memory_forget(vm);
	if (vm->state == VM_FAILED && vm_origin_is_template(vm))
		warm_give_up(vm);
	if (vm_origin_has_memory(vm)) {
		vm_resume(vm);
		return;
	}
	vm_begin(vm, vm->state == VM_SUSPENDED ? VM_RESUMING : VM_BOOTING);
	vm->powering = true;
	vm->ops->boot(&vm->d->loop, &spec, &vm_machine_events, vm,
		      vm_on_booted);
}

/* It serves calls, and did so before: whatever waits goes on. */
static void vm_go_on(struct vm *vm)
{
	static const struct err none;

	uv_timer_stop(&vm->timer);
	execs_attach(vm->d, vm);
	if (vm->off_later) {
		vm->off_later = false;
		vm_off_now(vm);
		return;
	}
	vm_touch(vm);
	vm_tell(&vm->up, vm, &none);
}

/* It serves calls, since now. */
static void vm_is_up(struct vm *vm)
{
	bool warm = vm->memory != VM_MEMORY_NONE || vm_origin_has_memory(vm);
	bool resumed = vm->state == VM_RESUMING;
	struct change *c;
	char data[256];

	vm_move(vm, VM_RUNNING);
	vm->memory = VM_MEMORY_NONE;
	vm->took_ms = (double)(uv_hrtime() - vm->began) / 1e6;
	snprintf(data, sizeof(data),
		 "{\"ms\":%.3f,\"generation\":%lld,\"kind\":\"%s\","
		 "\"pid\":%d}",
		 vm->took_ms, (long long)vm->generation, warm ? "warm" : "cold",
		 (int)vm_pid(vm));
	c = vm_change(vm);
	if (!vm->adopted && !warm)
		change_add_vm_event(c, vm->id, "vm.booted", data);
	if (resumed)
		change_add_vm_event(c, vm->id, "vm.resumed", data);
	if (vm->origin != NULL)
		vm_origin_done(vm, c);
	change_submit(vm->d->store, c, NULL, NULL);
	vm_go_on(vm);
}

void vm_look_up(struct vm *vm)
{
	bool up = link_is_up(vm->channel) && vm->woken.open == 0;

	switch (vm->state) {
	case VM_BOOTING:
	case VM_RESUMING:
		if (up)
			vm_is_up(vm);
		break;
	case VM_RUNNING:
		if (up)
			vm_go_on(vm);
		break;
	case VM_SUSPENDED: /* It goes on, whoever said so. */
		if (up) {
			vm_move(vm, VM_RESUMING);
			vm_is_up(vm);
		}
		break;
	case VM_SUSPENDING: /* To be cold, and only now it can be told. */
		if ((up || link_is_paused(vm->channel)) && !vm->gone_clean &&
		    vm->barrier == NULL && !vm->powering)
			vm_freeze(vm);
		break;
	default:
		break;
	}
}

static void vm_on_up(struct link *l, void *arg)
{
	(void)l;
	vm_look_up(arg);
}

void vm_boot_if_wanted(struct vm *vm)
{
	if (vm->locked || STAILQ_EMPTY(&vm->up))
		return;
	if (vm_is_warm(vm))
		vm_resume(vm);
	else if (vm_is_off(vm))
		vm_boot(vm);
}

void vm_need(struct vm *vm, vm_done_cb cb, void *arg)
{
	static const struct err none;
	struct err e = {0};

	if (vm->d->stopping) {
		err_set(&e, -FAULT_DRAINING, "hibd stops");
		cb(vm, &e, arg);
		return;
	}
	vm_touch(vm);
	if (vm->state == VM_RUNNING && link_is_up(vm->channel) &&
	    vm->pause == VM_GOES_ON && vm->woken.open == 0) {
		cb(vm, &none, arg);
		return;
	}
	if (vm_is_asleep(vm) && vm->memory != VM_MEMORY_RAM &&
	    vms_running(vm->d) >= VM_RUNNING_MAX) {
		err_set(&e, -FAULT_OVERLOADED, "%d VMs run already",
			VM_RUNNING_MAX);
		err_data(&e, "\"retry_after_ms\":1000");
		cb(vm, &e, arg);
		return;
	}
	vm_wait(&vm->up, vm, cb, arg);
	vm_boot_if_wanted(vm);
}

void vm_lock(struct vm *vm)
{
	assert(vm_is_off(vm) && !vm->locked);
	vm->locked = true;
}

bool vm_is_leaving(const struct vm *vm)
{
	return vm->leaving;
}

bool vm_is_locked(const struct vm *vm)
{
	return vm->locked;
}

void vm_unlock(struct vm *vm)
{
	assert(vm->locked);
	vm->locked = false;
	vm_boot_if_wanted(vm);
}

/* --- lost --------------------------------------------------------------- */

static bool vm_crashes_too_often(struct vm *vm)
{
	uint64_t now = uv_now(&vm->d->loop);

	if (vm->crashes == 0 || now - vm->crashed_at > VM_CRASH_WINDOW_MS) {
		vm->crashed_at = now;
		vm->crashes = 0;
	}
	return ++vm->crashes > VM_CRASHES_MAX;
}

/* The machine ended while nobody asked for it. */
void vm_lost(struct vm *vm, const char *detail)
{
	struct err e = vm->fault;
	/* One that was taken over ran before, and maybe was on its way down. */
	bool booting = !vm->adopted &&
		       (vm->state == VM_BOOTING || vm->state == VM_RESUMING);
	struct change *c;
	autojw struct jw w = {0};

	if (e.code == 0)
		err_set(&e, -FAULT_VM_UNAVAILABLE, "the VM was lost: %s",
			detail);
	if (vm->state == VM_RESUMING && vm->memory != VM_MEMORY_NONE) {
		vm_memory_lost(vm, e.msg);
		vm_move(vm, VM_STOPPED);
		vm_boot(vm);
		return;
	}
	if (booting || vm->fault.code < 0 || vm_crashes_too_often(vm)) {
		vm_fail_boot(vm, &e);
		return;
	}
	vm_move(vm, VM_STOPPED);
	snprintf(vm->last_error, sizeof(vm->last_error), "%s", e.msg);
	jw_obj(&w);
	jw_kstr(&w, "reason", "error");
	jw_kstr(&w, "detail", detail);
	jw_obj_end(&w);
	c = vm_change(vm);
	change_add_vm_event(c, vm->id, "vm.shutdown", w.buf ? w.buf : "{}");
	change_submit(vm->d->store, c, NULL, NULL);
	vm_boot(vm);
}

/* It slept with its memory in RAM. */
static void vm_lost_asleep(struct vm *vm, const char *detail)
{
	vm_memory_lost(vm, detail);
	sweeper_look(vm->d->sweeper);
	vm_boot_if_wanted(vm);
}

static void vm_on_exited(struct machine *m, const char *detail, void *arg)
{
	struct vm *vm = arg;
	struct err e = {0};

	assert(m == vm->machine);
	vm->machine = NULL;
	uv_timer_stop(&vm->timer);
	vm_barrier_stop(vm);
	link_close(take_ptr(vm->channel));
	vm_close_objects(vm);
	log_info("%s: machine ended: %s", vm->id, detail);
	err_set(&e, -FAULT_VM_UNAVAILABLE, "the VM was lost: %s", detail);
	vm_pause_ended(vm, &e);
	if (vm->state == VM_SUSPENDING) {
		if (vm->memory == VM_MEMORY_RAM)
			vm_memory_lost(vm, detail);
		vm_settle(vm);
	} else if (vm->state == VM_SUSPENDED) {
		vm_lost_asleep(vm, detail);
	} else {
		vm_lost(vm, detail);
	}
}

static void vm_on_channel_failed(struct link *l, const struct err *e, void *arg)
{
	struct vm *vm = arg;

	(void)l;
	log_error("%s: %s", vm->id, e->msg);
	if (vm->fault.code == 0)
		vm->fault = *e;
	vm_kill(vm);
}

/* It may yet be found to live; and it can be ended like any other. */
static bool vm_on_deaf(struct link *l, uint64_t silent_ms, void *arg)
{
	struct vm *vm = arg;
	struct change *c;
	char data[64];

	(void)l;
	if (vm->ops->lacks_room != NULL && vm->ops->lacks_room(vm->dir)) {
		log_warn("%s: it waits for room on the host's disk", vm->id);
		return false;
	}
	c = change_new();
	snprintf(data, sizeof(data), "{\"silent_ms\":%llu}",
		 (unsigned long long)silent_ms);
	change_add_vm_event(c, vm->id, "vm.unresponsive", data);
	change_submit(vm->d->store, c, NULL, NULL);
	return true;
}
