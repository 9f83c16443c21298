// SPDX-License-Identifier: Apache-2.0
/*
 * budget.c - How much memory all VMs may take together
 *
 * One look at a time: it begins with the timer, reads /proc on a thread of the
 * pool, and ends with the timer set again, or first with a VM that sleeps.
 */
#include "host/daemon/budget.h"

#include <stdlib.h>

#include "core/log.h"
#include "host/daemon/daemon.h"
#include "host/daemon/pss.h"

#define LOG_COMPONENT "budget"

struct budget {
	struct hibd *d;
	int64_t bytes;
	uv_timer_t timer;
	uv_work_t work;
	bool closing;
	bool looking; /* The work is under way, */
	bool closed;  /* and the timer gone by then. */

	/* Of the work. */
	pid_t *pids;
	size_t n_pids;
	int64_t taken;
};

static void budget_on_timer(uv_timer_t *t);

static void look_again(struct budget *b, uint64_t ms)
{
	if (!b->closing)
		uv_timer_start(&b->timer, budget_on_timer, ms, 0);
}

/* The VM that would give back most willingly; NULL: there is none. */
static struct vm *least_used(const struct budget *b)
{
	struct vm *found = NULL;

	for (struct vm *vm = vms_first(b->d); vm != NULL; vm = vms_next(vm)) {
		if (vm_may_give_memory(vm) &&
		    (found == NULL || vm_used_at(vm) < vm_used_at(found)))
			found = vm;
	}
	return found;
}

static void budget_on_slept(struct vm *vm, const struct err *e, void *arg)
{
	struct budget *b = arg;

	if (vm != NULL && e->code < 0)
		log_warn("%s: %s", vm_id(vm), e->msg);
	/* One that cannot sleep now is not tried again at once. */
	look_again(b, e->code < 0 ? BUDGET_LOOK_MS : 1);
}

static void budget_judge(struct budget *b)
{
	struct vm *vm = b->taken > b->bytes ? least_used(b) : NULL;

	if (vm == NULL) {
		look_again(b, BUDGET_LOOK_MS);
		return;
	}
	log_info("VMs take %lld MiB of %lld: %s sleeps",
		 (long long)(b->taken >> 20), (long long)(b->bytes >> 20),
		 vm_id(vm));
	vm_give_memory(vm, budget_on_slept, b);
}

static void budget_work(uv_work_t *w)
{
	struct budget *b = w->data;

	b->taken = pss_of_trees(b->pids, b->n_pids);
}

static void budget_on_worked(uv_work_t *w, int status)
{
	struct budget *b = w->data;

	(void)status;
	b->looking = false;
	free(take_ptr(b->pids));
	if (b->closed)
		free(b);
	else if (!b->closing)
		budget_judge(b);
}

static void budget_on_timer(uv_timer_t *t)
{
	struct budget *b = t->data;
	size_t n = 0;

	for (struct vm *vm = vms_first(b->d); vm != NULL; vm = vms_next(vm))
		n += vm_pid(vm) > 0;
	b->pids = calloc(n + 1, sizeof(*b->pids));
	if (b->pids == NULL || n == 0) {
		free(take_ptr(b->pids));
		look_again(b, BUDGET_LOOK_MS);
		return;
	}
	b->n_pids = 0;
	for (struct vm *vm = vms_first(b->d); vm != NULL; vm = vms_next(vm)) {
		if (vm_pid(vm) > 0)
			b->pids[b->n_pids++] = vm_pid(vm);
	}
	b->looking = true;
	(void)uv_queue_work(&b->d->loop, &b->work, budget_work,
			    budget_on_worked);
}

struct budget *budget_new(struct hibd *d, int64_t bytes)
{
	struct budget *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->d = d;
	b->bytes = bytes;
	b->work.data = b;
	uv_timer_init(&d->loop, &b->timer);
	b->timer.data = b;
	look_again(b, BUDGET_LOOK_MS);
	return b;
}

static void budget_on_closed(uv_handle_t *h)
{
	struct budget *b = h->data;

	b->closed = true;
	if (!b->looking)
		free(b);
}

void budget_close(struct budget *b)
{
	if (b == NULL || b->closing)
		return;
	b->closing = true;
	uv_close((uv_handle_t *)&b->timer, budget_on_closed);
}
