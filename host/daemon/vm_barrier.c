// SPDX-License-Identifier: Apache-2.0
/*
 * vm_barrier.c - What comes before each sleep, and before a snapshot
 *
 * The guest is frozen: it takes no calls any more, ends its agents or, for a warm
 * one, stops them where they are, commits, and says how far each log goes.  hibd
 * then waits until it has stored all of that, and has all that programs which are
 * run from outside have written.  What takes longer than VM_BARRIER_MS is given up.
 *
 * A freeze whose answer nobody waits for ends with the channel, which its owner
 * closes or dials again: so no answer is ever taken for that of a later one.
 */
#include <stdio.h>

#include "host/daemon/execs.h"
#include "host/daemon/vm_impl.h"

/* --- the ends of logs ---------------------------------------------------- */

static void tails_on_one(const struct err *e, void *arg)
{
	struct vm_tails *t = arg;

	if (e->code < 0)
		t->err = *e;
	if (--t->open == 0)
		t->done(t->vm, &t->err);
}

static void tails_forget(struct vm *vm, struct vm_tails *t)
{
	hub_forget(vm->d->hub, t);
	t->open = 0;
}

void vm_tails_await(struct vm_tails *t, struct vm *vm, struct jv seqs)
{
	char id[ID_MAX];

	tails_forget(vm, t); /* Those of an earlier answer. */
	t->vm = vm;
	t->err = (struct err){0};
	t->open = 1; /* This function's own, given back at its end. */
	for (struct jv k = jv_first(seqs); jv_has(k); k = jv_next(seqs, k)) {
		int64_t seq = jv_int(jv_value(k), 0);

		if (jv_strcpy(k, id, sizeof(id)) < 0 || !id_is(id, "ses"))
			continue;
		t->open++;
		hub_await_seq(vm->d->hub, id, seq, VM_BARRIER_MS, tails_on_one,
			      t);
	}
	tails_on_one(&(struct err){0}, t);
}

/* --- the barrier --------------------------------------------------------- */

void vm_barrier_stop(struct vm *vm)
{
	tails_forget(vm, &vm->last);
	tails_forget(vm, &vm->woken);
	vm->execs_due = false;
	vm->barrier = NULL;
}

static void barrier_end(struct vm *vm, const struct err *e)
{
	vm_barrier_cb done = vm->barrier;
	struct err why = *e; /* It may be in the VM. */

	uv_timer_stop(&vm->timer);
	vm_barrier_stop(vm);
	if (why.code < 0)
		execs_expect(vm->d, vm->id, (struct jv){0});
	done(vm, &why);
}

/* The logs are stored, up to where it stands still. */
static void barrier_on_stored(struct vm *vm, const struct err *e)
{
	vm->execs_due = e->code == 0 && execs_are_behind(vm->d, vm->id);
	if (!vm->execs_due)
		barrier_end(vm, e);
}

void vm_execs_came(struct vm *vm)
{
	static const struct err none;

	if (vm->execs_due && !execs_are_behind(vm->d, vm->id))
		barrier_end(vm, &none);
}

void vm_barrier_late(struct vm *vm)
{
	struct err e = {0};

	err_set(&e, -FAULT_REQUEST_TIMEOUT,
		"%s did not stand still within %d ms", vm->id, VM_BARRIER_MS);
	tails_forget(vm, &vm->last);
	barrier_end(vm, &e);
}

/* {"last_seq":{ses:seq},..}: wait until the host has stored all of it. */
static void barrier_on_frozen(const char *body, size_t len, const struct err *e,
			      void *arg)
{
	struct vm *vm = arg;
	autojson struct json j = {0};
	struct err bad = *e;

	if (vm->barrier == NULL)
		return;
	if (bad.code == 0 && json_parse(&j, body, len, &bad) < 0)
		bad.code = -FAULT_BAD_FRAME;
	if (bad.code < 0) {
		err_wrap(&bad, "freeze");
		barrier_end(vm, &bad);
		return;
	}
	/* A guest that does not know of it is frozen as for a cold one. */
	if (vm->barrier_is_warm &&
	    jv_bool(jv_get(json_root(&j), "warm"), false))
		link_pause(vm->channel);
	execs_expect(vm->d, vm->id, jv_get(json_root(&j), "exec_sent"));
	vm_note_files(vm, jv_get(json_root(&j), "workspace"));
	vm_tails_await(&vm->last, vm, jv_get(json_root(&j), "last_seq"));
}

void vm_barrier(struct vm *vm, const char *reason, bool warm,
		vm_barrier_cb done)
{
	char params[128];

	vm->barrier = done;
	vm->barrier_is_warm = warm;
	vm->last.done = barrier_on_stored;
	vm_deadline(vm, VM_BARRIER_MS);
	snprintf(params, sizeof(params),
		 "{\"reason\":\"%s\",\"deadline_ms\":%d%s}", reason,
		 VM_BARRIER_MS, warm ? ",\"warm\":true" : "");
	link_call(vm->channel, "freeze", params, barrier_on_frozen, vm);
}

void vm_barrier_undo(struct vm *vm, const struct err *e)
{
	if (link_is_paused(vm->channel))
		link_thaw(vm->channel);
	else if (e->code == -FAULT_REQUEST_TIMEOUT)
		link_redial(vm->channel, e->msg);
}
