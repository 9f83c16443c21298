// SPDX-License-Identifier: Apache-2.0
/*
 * vm.c - A VM: its folder, its machine when it runs, its sleep
 *
 * Boot: a new generation is written down, the backend powers the machine on,
 * the link comes up, and all who wait are told.
 *
 * Sleep is a barrier: the guest is frozen (it ends its agents, commits and says
 * how far each log goes), hibd waits until it has stored all of that, and only
 * then the machine is powered off.  When that takes longer than VM_BARRIER_MS
 * the machine is killed, and mirror.tail_complete stays 0: the rest is in the
 * guest's own store and comes with the next boot.
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
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT "vm"

const char *const vm_state_names[] = {
	[VM_STOPPED] = "stopped",     [VM_BOOTING] = "booting",
	[VM_RUNNING] = "running",     [VM_SUSPENDING] = "suspending",
	[VM_SUSPENDED] = "suspended", [VM_RESUMING] = "resuming",
	[VM_FAILED] = "failed",
};

static const unsigned vm_moves[] = {
	[VM_STOPPED] = BIT(VM_BOOTING),
	[VM_BOOTING] = BIT(VM_RUNNING) | BIT(VM_FAILED) | BIT(VM_SUSPENDING) |
		       BIT(VM_STOPPED),
	[VM_RUNNING] = BIT(VM_SUSPENDING) | BIT(VM_STOPPED) | BIT(VM_FAILED),
	[VM_SUSPENDING] = BIT(VM_SUSPENDED) | BIT(VM_STOPPED) | BIT(VM_FAILED),
	[VM_SUSPENDED] = BIT(VM_RESUMING) | BIT(VM_STOPPED),
	[VM_RESUMING] = BIT(VM_RUNNING) | BIT(VM_FAILED) | BIT(VM_SUSPENDING) |
			BIT(VM_STOPPED),
	[VM_FAILED] = BIT(VM_BOOTING) | BIT(VM_STOPPED) | BIT(VM_SUSPENDED),
};

static void vm_boot(struct vm *vm);
static void vm_settle(struct vm *vm);
static void vm_on_up(struct link *l, void *arg);
static void vm_on_channel_failed(struct link *l, const struct err *e,
				 void *arg);
static void vm_on_exited(struct machine *m, const char *detail, void *arg);

static const struct link_events channel_events = {
	.up = vm_on_up,
	.failed = vm_on_channel_failed,
};
const struct backend_events vm_machine_events = {
	.exited = vm_on_exited,
};

/* --- small things ------------------------------------------------------- */

const char *vm_id(const struct vm *vm)
{
	return vm->id;
}

enum vm_state vm_state(const struct vm *vm)
{
	return vm->state;
}

bool vm_is_off(const struct vm *vm)
{
	return vm->state == VM_STOPPED || vm->state == VM_SUSPENDED ||
	       vm->state == VM_FAILED;
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
		n += !vm_is_off(vm);
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
	};
}

/* --- waiters ------------------------------------------------------------ */

static void waiter_add(struct waiter_list *l, struct vm *vm, vm_done_cb cb,
		       void *arg)
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

/* The row as it is now; more statements may follow before the submit. */
static struct change *vm_change(const struct vm *vm)
{
	struct change *c = change_new();

	change_add(
		c,
		"UPDATE vm SET state=?2, generation=?3, boot_id=?4, "
		"last_error=?5, updated_ms=?6, last_seen_ms=?6 WHERE id=?1",
		6, vm->id, vm_state_names[vm->state], int_text(vm->generation),
		vm->channel ? link_boot_id(vm->channel) : NULL,
		vm->last_error[0] ? vm->last_error : NULL, int_text(now_ms()));
	return c;
}

static void change_add_tail(struct change *c, const char *vm, bool complete)
{
	change_add(c,
		   "UPDATE mirror SET tail_complete=?2 WHERE session_n IN "
		   "(SELECT n FROM session WHERE vm_id=?1)",
		   2, vm, complete ? "1" : "0");
}

static void vm_move(struct vm *vm, enum vm_state next)
{
	assert(vm_moves[vm->state] & BIT(next));
	log_info("%s: %s -> %s", vm->id, vm_state_names[vm->state],
		 vm_state_names[next]);
	vm->state = next;
}

/* --- up ----------------------------------------------------------------- */

static void vm_kill(struct vm *vm)
{
	if (vm->machine != NULL)
		vm->ops->kill(vm->machine);
}

static void vm_fail_boot(struct vm *vm, const struct err *e)
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

static void vm_boot(struct vm *vm)
{
	struct vm_spec spec = vm_spec(vm);
	struct change *c;

	/* One that is gone by now is the backend's to complain of. */
	(void)image_files(&vm->d->home, vm->image, vm->files, NULL);
	vm_move(vm, vm->state == VM_SUSPENDED ? VM_RESUMING : VM_BOOTING);
	vm->generation++;
	vm->boot_began = uv_hrtime();
	vm->last_error[0] = '\0';
	vm->fault = (struct err){0};
	vm->gone_clean = vm->adopted = false;
	vm->powering = true;
	vm->workspace.was_complete = vm->workspace.complete;
	vm->workspace.was_noted = vm->workspace.noted;
	vm->workspace.complete = false;
	c = vm_change(vm);
	vm_change_complete(c, vm);
	change_add_tail(c, vm->id, false);
	change_submit(vm->d->store, c, NULL, NULL);
	vm->ops->boot(&vm->d->loop, &spec, &vm_machine_events, vm,
		      vm_on_booted);
}

static void vm_on_timer(uv_timer_t *t);

void vm_touch(struct vm *vm)
{
	if (vm->state == VM_RUNNING && vm->idle_ms > 0)
		uv_timer_start(&vm->timer, vm_on_timer, (uint64_t)vm->idle_ms,
			       0);
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

static void vm_on_up(struct link *l, void *arg)
{
	static const struct err none;
	struct vm *vm = arg;
	char data[256];
	struct change *c;
	bool resumed = vm->state == VM_RESUMING;

	if (vm->state == VM_SUSPENDING)
		return;
	if (vm->state == VM_RUNNING) {
		vm_touch(vm);
		vm_tell(&vm->up, vm, &none);
		return;
	}
	vm_move(vm, VM_RUNNING);
	snprintf(data, sizeof(data),
		 "{\"ms\":%.3f,\"generation\":%lld,\"kind\":\"cold\","
		 "\"pid\":%d}",
		 (double)(uv_hrtime() - vm->boot_began) / 1e6,
		 (long long)vm->generation, (int)vm_pid(vm));
	(void)l;
	c = vm_change(vm);
	if (!vm->adopted)
		change_add_vm_event(c, vm->id, "vm.booted", data);
	if (resumed)
		change_add_vm_event(c, vm->id, "vm.resumed", data);
	change_submit(vm->d->store, c, NULL, NULL);
	vm_touch(vm);
	vm_tell(&vm->up, vm, &none);
}

static void vm_boot_if_wanted(struct vm *vm)
{
	if (vm_is_off(vm) && !vm->locked && !STAILQ_EMPTY(&vm->up))
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
	if (vm->state == VM_RUNNING && link_is_up(vm->channel)) {
		cb(vm, &none, arg);
		return;
	}
	if (vm_is_off(vm) && vms_running(vm->d) >= VM_RUNNING_MAX) {
		err_set(&e, -FAULT_OVERLOADED, "%d VMs run already",
			VM_RUNNING_MAX);
		err_data(&e, "\"retry_after_ms\":1000");
		cb(vm, &e, arg);
		return;
	}
	waiter_add(&vm->up, vm, cb, arg);
	vm_boot_if_wanted(vm);
}

void vm_lock(struct vm *vm)
{
	assert(vm_is_off(vm) && !vm->locked);
	vm->locked = true;
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

/* --- down --------------------------------------------------------------- */

static void vm_on_poweroff(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	(void)body, (void)len, (void)e, (void)arg;
	/* The machine's end is what counts; the timer sees to it. */
}

static void vm_drained(struct vm *vm)
{
	vm->gone_clean = true;
	link_call(vm->channel, "poweroff", "{}", vm_on_poweroff, vm);
}

static void vm_on_drained(const struct err *e, void *arg)
{
	struct vm *vm = arg;

	assert(vm->drains > 0);
	vm->drains--;
	if (e->code < 0)
		return; /* The barrier's own deadline decides. */
	if (vm->drains == 0 && vm->state == VM_SUSPENDING)
		vm_drained(vm);
}

/* {"last_seq":{ses:seq}}: wait until the host has stored all of it. */
static void vm_on_frozen(const char *body, size_t len, const struct err *e,
			 void *arg)
{
	struct vm *vm = arg;
	autojson struct json j = {0};
	struct jv seqs;
	char id[ID_MAX];

	if (e->code < 0 || json_parse(&j, body, len, NULL) < 0) {
		log_warn("%s: freeze: %s", vm->id,
			 e->code < 0 ? e->msg : "no JSON");
		vm_kill(vm);
		return;
	}
	vm_note_files(vm, jv_get(json_root(&j), "workspace"));
	seqs = jv_get(json_root(&j), "last_seq");
	vm->drains = 1; /* This function's own, given back at its end. */
	for (struct jv k = jv_first(seqs); jv_has(k); k = jv_next(seqs, k)) {
		int64_t seq = jv_int(jv_value(k), 0);

		if (jv_strcpy(k, id, sizeof(id)) < 0 || !id_is(id, "ses"))
			continue;
		vm->drains++;
		hub_await_seq(vm->d->hub, id, seq, VM_BARRIER_MS, vm_on_drained,
			      vm);
	}
	vm_on_drained(&(struct err){0}, vm);
}

/* Idle long enough, or the barrier takes too long. */
static int count_busy(const struct session_brief *b, void *arg)
{
	static const char *const busy[] = {"starting", "running", "waiting",
					   "closing"};
	unsigned *n = arg;

	for (size_t i = 0; i < ARRAY_LEN(busy); i++)
		*n += strcmp(b->state, busy[i]) == 0;
	return 0;
}

static void vm_on_timer(uv_timer_t *t)
{
	struct vm *vm = t->data;
	unsigned busy = vm->holds;

	if (vm->state == VM_SUSPENDING) {
		log_warn("%s: the barrier took over %d ms; killed", vm->id,
			 VM_BARRIER_MS);
		vm_kill(vm);
		return;
	}
	if (vm->state != VM_RUNNING)
		return;
	(void)reader_sessions(vm->d->reader, vm->id, count_busy, &busy, NULL);
	if (busy > 0)
		vm_touch(vm);
	else
		vm_off(vm, VM_OFF_SLEEP, NULL, NULL);
}

static void vm_on_destroyed(const struct err *e, void *arg)
{
	struct vm *vm = arg;
	struct waiter_list down = STAILQ_HEAD_INITIALIZER(down);
	struct err gone = {0};

	if (e->code < 0) {
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

static void vm_destroy(struct vm *vm)
{
	struct change *c = change_new();

	change_add(c, "DELETE FROM vm WHERE id=?1", 1, vm->id);
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

/* The machine is off, as wanted. */
static void vm_settle(struct vm *vm)
{
	static const char *const reasons[] = {
		[VM_OFF_SLEEP] = "sleep",
		[VM_OFF_STOP] = "stop",
		[VM_OFF_DESTROY] = "destroy",
	};
	static const struct err none;
	enum vm_state to = vm->off == VM_OFF_SLEEP ? VM_SUSPENDED : VM_STOPPED;
	struct change *c;
	char data[320];

	if (vm->state != to)
		vm_move(vm, to);
	c = vm_change(vm);
	if (vm->gone_clean)
		change_add_tail(c, vm->id, true);
	vm_change_complete(c, vm);
	snprintf(
		data, sizeof(data),
		"{\"reason\":\"%s\",\"kind\":\"cold\",\"tail_complete\":%s%s%s}",
		reasons[vm->off], vm->gone_clean ? "true" : "false",
		vm->slept[0] != '\0' ? ",\"workspace\":" : "", vm->slept);
	if (vm->off == VM_OFF_SLEEP)
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

static void vm_refuse_locked(struct vm *vm, vm_done_cb cb, void *arg)
{
	struct err e = {0};

	err_set(&e, -FAULT_NOT_READY, "%s is being made or restored", vm->id);
	if (cb != NULL)
		cb(vm, &e, arg);
}

void vm_off(struct vm *vm, enum vm_off how, vm_done_cb cb, void *arg)
{
	static const struct err none;
	char params[96];

	if (vm->locked && how == VM_OFF_DESTROY) {
		vm_refuse_locked(vm, cb, arg);
		return;
	}
	if ((vm_is_off(vm) && how == VM_OFF_SLEEP) ||
	    (vm->state == VM_STOPPED && how == VM_OFF_STOP)) {
		if (cb != NULL)
			cb(vm, &none, arg);
		return;
	}
	if (cb != NULL)
		waiter_add(&vm->down, vm, cb, arg);
	if (vm->state == VM_SUSPENDING) {
		if (how > vm->off)
			vm->off = how;
		return;
	}
	vm->off = how;
	if (vm_is_off(vm)) {
		/* Nothing ran since: what was complete still is. */
		vm->gone_clean = false;
		vm->slept[0] = '\0';
		if (how == VM_OFF_DESTROY)
			vm_destroy(vm);
		else
			vm_settle(vm);
		return;
	}
	vm_move(vm, VM_SUSPENDING);
	vm->gone_clean = false;
	vm_note_files(vm, (struct jv){.i = -1});
	change_submit(vm->d->store, vm_change(vm), NULL, NULL);
	uv_timer_start(&vm->timer, vm_on_timer, VM_BARRIER_MS, 0);
	if (!link_is_up(vm->channel)) {
		if (vm->machine != NULL)
			vm_kill(vm);
		return;
	}
	snprintf(params, sizeof(params),
		 "{\"reason\":\"%s\",\"deadline_ms\":%d}",
		 how == VM_OFF_SLEEP ? "sleep" : "stop", VM_BARRIER_MS);
	link_call(vm->channel, "freeze", params, vm_on_frozen, vm);
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
	bool booting = vm->state == VM_BOOTING || vm->state == VM_RESUMING;
	struct change *c;
	autojw struct jw w = {0};

	if (e.code == 0)
		err_set(&e, -FAULT_VM_UNAVAILABLE, "the VM was lost: %s",
			detail);
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

static void vm_on_exited(struct machine *m, const char *detail, void *arg)
{
	struct vm *vm = arg;

	assert(m == vm->machine);
	vm->machine = NULL;
	uv_timer_stop(&vm->timer);
	link_close(take_ptr(vm->channel));
	vm_close_objects(vm);
	hub_forget(vm->d->hub, vm); /* Drains that did not come in time. */
	vm->drains = 0;
	log_info("%s: machine ended: %s", vm->id, detail);
	if (vm->state == VM_SUSPENDING)
		vm_settle(vm);
	else
		vm_lost(vm, detail);
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
