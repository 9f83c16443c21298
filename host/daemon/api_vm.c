// SPDX-License-Identifier: Apache-2.0
/*
 * api_vm.c - VMs: make, look, wake, put to sleep, remove
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/hostlog.h"
#include "host/daemon/initial_files.h"
#include "host/daemon/routes.h"
#include "host/daemon/snapshots.h"
#include "host/daemon/vm_mounts.h"
#include "host/daemon/warm.h"
#include "host/views.h"
#include "vfs/import.h"
#include "vfs/oid.h"

struct vm *op_vm(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (vm == NULL)
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is not here", op->vm);
	else
		memmove(op->vm, vm_id(vm), strlen(vm_id(vm)) + 1);
	return vm;
}

static void reply_vm(struct op *op)
{
	struct err e = {0};

	jw_reset(&op->out);
	if (views_vm(op->d->reader, op->vm, &op->out, &e) < 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

/* Answered once everything about the VM that was decided before is in the
 * catalog. */
static void vm_on_settled(const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)e;
	if (op->err.code < 0)
		op_fail(op, &op->err);
	else
		reply_vm(op);
}

void op_reply_vm(struct op *op)
{
	change_await(op->d->store, vm_on_settled, op);
}

static void vm_on_changed(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	op->err = *e;
	op_reply_vm(op);
}

void vm_list_route(struct op *op)
{
	struct err e = {0};

	jw_arr(&op->out);
	if (views_vms(op->d->reader, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

static void create_on_cleared(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	(void)e;
	op_fail(op, &op->err);
}

/* A VM without its files is none. */
static void create_on_files(const struct err *e, void *arg)
{
	struct op *op = arg;
	struct vm *vm = vm_find(op->d, op->vm);

	op->err = *e;
	if (e->code == 0)
		op_reply_vm(op);
	else if (vm == NULL)
		op_fail(op, &op->err);
	else
		vm_off(vm, VM_OFF_DESTROY, create_on_cleared, op);
}

static void create_on_up(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		create_on_files(e, op);
	else
		initial_files_put(vm, jv_get(op->in, "initialFiles"),
				  create_on_files, op);
}

static void create_on_progress(const struct vfs_import_progress *p, void *arg)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "stage", p->stage);
	jw_kint(&w, "n", (int64_t)p->n);
	jw_kint(&w, "total", (int64_t)p->total);
	jw_kint(&w, "bytes", (int64_t)p->bytes);
	jw_obj_end(&w);
	op_event(arg, "progress", &w);
}

/* One that does not go on from its template boots. */
static void create_on_running(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0 && op->was_warm && vm != NULL && vm_has_origin(vm)) {
		op->was_warm = false;
		warm_give_up(vm);
		vm_need(vm, create_on_running, op);
	} else if (jv_count(jv_get(op->in, "initialFiles")) > 0) {
		create_on_up(vm, e, op);
	} else {
		vm_on_changed(vm, e, op);
	}
}

static void create_on_warm(const struct err *e, void *arg)
{
	struct op *op = arg;
	struct vm *vm = vm_find(op->d, op->vm);

	if (e->code < 0)
		op_fail(op, e);
	else if (vm == NULL)
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is gone", op->vm);
	else
		vm_need(vm, create_on_running, op);
}

/* Boot it, or have it go on from the template of its image. */
static void create_start(struct op *op, struct vm *vm)
{
	struct vm_config cfg;
	struct warm warm;

	vm_describe(vm, &cfg);
	op->was_warm = jv_bool(jv_get(op->in, "template"), true) &&
		       !jv_is(jv_get(op->in, "workspace"), JV_STRING) &&
		       warm_find(op->d, &cfg, &warm);
	if (op->was_warm)
		warm_use(op->d, vm, &warm, create_on_warm, op);
	else
		vm_need(vm, create_on_running, op);
}

static void create_on_stored(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	snprintf(op->vm, sizeof(op->vm), "%s", vm_id(vm));
	if (jv_count(jv_get(op->in, "initialFiles")) > 0 ||
	    jv_bool(jv_get(op->in, "boot"), true))
		create_start(op, vm);
	else
		op_reply_vm(op);
}

void vm_create_route(struct op *op)
{
	autofree char *id = NULL, *name = NULL, *backend = NULL, *image = NULL,
		      *net = NULL, *workspace = NULL;
	struct vm_config cfg = {.idle_ms = VM_IDLE_MS,
				.cold_ms = VM_COLD_MS,
				.max_sessions = VM_SESSIONS};
	autojw struct jw mounts = {0};
	struct jv asked;
	struct err e = {0};

	if (!op_string(op, "id", 64, &id) ||
	    !op_string(op, "name", 256, &name) ||
	    !op_string(op, "backend", 32, &backend) ||
	    !op_string(op, "image", 4096, &image) ||
	    !op_string(op, "net", 8, &net) ||
	    !op_string(op, "workspace", VFS_IMPORT_WHAT_MAX, &workspace) ||
	    !op_integer(op, "quota", VM_QUOTA_MIN, INT64_MAX / 2, &cfg.quota) ||
	    !op_integer(op, "memory", VM_MIB_MIN, VM_MIB_MAX, &cfg.memory) ||
	    !op_integer(op, "cpus", 1, VM_CPUS_MAX, &cfg.cpus) ||
	    !op_integer(op, "idle_ms", 0, INT64_MAX / 2, &cfg.idle_ms) ||
	    !op_integer(op, "cold_ms", 0, INT64_MAX / 2, &cfg.cold_ms) ||
	    !op_integer(op, "max_sessions", 1, VM_SESSIONS_MAX,
			&cfg.max_sessions))
		return;
	if (net != NULL && strcmp(net, "none") != 0 &&
	    strcmp(net, "host") != 0) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT, "net '%s': none or host",
			  net);
		return;
	}
	if (!op_check_initial_files(op))
		return;
	if (vm_mounts_read(&op->d->home, jv_get(op->in, "mounts"), &mounts,
			   &e) < 0) {
		op_fail(op, &e);
		return;
	}
	cfg.mounts = mounts.buf;
	asked = jv_get(op->in, "mounts");
	cfg.mounts_asked = &asked;
	cfg.id = id;
	cfg.name = name;
	cfg.backend = backend ? backend : "sandbox";
	cfg.image = image ? image : "host";
	cfg.workspace = workspace;
	cfg.net = net && strcmp(net, "host") == 0 ? VM_NET_HOST : VM_NET_NONE;
	cfg.progress = create_on_progress;
	cfg.progress_arg = op;
	op_stream_if_wanted(op);
	vm_create(op->d, &cfg, create_on_stored, op);
}

/* --- look: the row, and where its files stand --------------------------- */

static void put_workspace(struct op *op, const struct vfs_oid *head)
{
	struct vm *vm = vm_find(op->d, op->vm);
	const char *mode = "";
	char hex[VFS_OID_HEX];

	if (vm == NULL)
		return;
	if (link_is_up(vm_link(vm)))
		mode = link_mode(vm_link(vm));
	op_extend(&op->out);
	jw_key(&op->out, "workspace");
	vm_put_workspace(vm, &op->out);
	op_extend(&op->out);
	jw_kstr(&op->out, "head",
		head != NULL ? vfs_oid_format(head, hex) : NULL);
	jw_kstr(&op->out, "mode", mode[0] != '\0' ? mode : NULL);
	jw_obj_end(&op->out);
	jw_obj_end(&op->out);
}

static void get_on_head(struct op *op, const struct vfs_oid *head)
{
	struct err e = {0};

	if (views_vm(op->d->reader, op->vm, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	put_workspace(op, head);
	op_reply_out(op);
}

void vm_get_route(struct op *op)
{
	struct vm *vm = op_vm(op);

	if (vm != NULL)
		op_find_head(op, vm, get_on_head);
}

void vm_events_route(struct op *op)
{
	struct err e = {0};

	if (op_vm(op) == NULL)
		return;
	jw_arr(&op->out);
	if (views_vm_events(op->d->reader, op->vm, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

void vm_wake_route(struct op *op)
{
	struct vm *vm = op_vm(op);

	if (vm != NULL)
		vm_need(vm, vm_on_changed, op);
}

/* --- asleep and awake ------------------------------------------------------ */

/* The row, and what has become of it; op->params: from what it was woken. */
static void power_on_settled(const struct err *e, void *arg)
{
	struct op *op = arg;
	const struct vm *vm = vm_find(op->d, op->vm);
	enum vm_memory memory = vm != NULL ? vm_memory(vm) : VM_MEMORY_NONE;
	struct jw *w = &op->out;
	struct err bad = {0};
	char ms[32];

	(void)e;
	if (views_vm(op->d->reader, op->vm, w, &bad) < 0) {
		op_fail(op, &bad);
		return;
	}
	op_extend(w);
	if (op->params.len > 0)
		jw_kraw(w, "kind", op->params.buf);
	else
		jw_kstr(w, "kind", memory != VM_MEMORY_NONE ? "warm" : "cold");
	jw_kstr(w, "memory", vm_memory_name(memory));
	snprintf(ms, sizeof(ms), "%.3f", vm != NULL ? vm_took_ms(vm) : 0);
	jw_kraw(w, "ms", ms);
	jw_obj_end(w);
	op_reply_out(op);
}

static void power_on_changed(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	if (e->code < 0)
		op_fail(op, e);
	else
		change_await(op->d->store, power_on_settled, op);
}

void vm_suspend_route(struct op *op)
{
	bool or_cold = jv_bool(jv_get(op->in, "or_cold"), false);
	struct vm *vm = op_vm(op);

	if (vm != NULL)
		vm_off(vm, or_cold ? VM_OFF_WARM_OR_COLD : VM_OFF_WARM,
		       power_on_changed, op);
}

void vm_resume_route(struct op *op)
{
	struct vm *vm = op_vm(op);

	if (vm == NULL)
		return;
	jw_str(&op->params, vm_is_warm(vm)  ? "warm"
			    : vm_is_off(vm) ? "cold"
					    : "none");
	vm_need(vm, power_on_changed, op);
}

/* The turns that a cold sleep cuts off: the caller is told which. */
static int note_open_turn(const struct session_brief *b, void *arg)
{
	struct op *op = arg;

	if (b->open_turn[0] != '\0')
		jw_str(&op->params, b->open_turn);
	return 0;
}

static void sleep_on_settled(const struct err *e, void *arg)
{
	struct op *op = arg;
	struct err bad = {0};
	struct jw *w = &op->out;
	const struct vm *vm;

	(void)e;
	jw_arr_end(&op->params);
	if (views_vm(op->d->reader, op->vm, w, &bad) < 0) {
		op_fail(op, &bad);
		return;
	}
	op_extend(w);
	jw_kstr(w, "kind", "cold");
	jw_kraw(w, "interrupted", op->params.buf);
	vm = vm_find(op->d, op->vm);
	if (vm != NULL && vm_slept(vm)[0] != '\0')
		jw_kraw(w, "workspace", vm_slept(vm));
	jw_obj_end(w);
	op_reply_out(op);
}

static void sleep_on_off(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	if (e->code < 0)
		op_fail(op, e);
	else
		change_await(op->d->store, sleep_on_settled, op);
}

static void op_vm_off(struct op *op, enum vm_off how)
{
	struct vm *vm = op_vm(op);

	if (vm == NULL)
		return;
	jw_arr(&op->params);
	(void)reader_sessions(op->d->reader, op->vm, note_open_turn, op, NULL);
	vm_off(vm, how, sleep_on_off, op);
}

void vm_sleep_route(struct op *op)
{
	op_vm_off(op, VM_OFF_SLEEP);
}

void vm_stop_route(struct op *op)
{
	op_vm_off(op, VM_OFF_STOP);
}

/* --- destroy: stop, close the logs, remove ------------------------------ */

static void destroy_on_gone(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_empty(op);
}

static void destroy_on_closed(const struct err *e, void *arg)
{
	struct op *op = arg;
	struct vm *vm = vm_find(op->d, op->vm);

	if (e->code < 0)
		op_fail(op, e);
	else if (vm == NULL)
		op_reply_empty(op);
	else
		vm_off(vm, VM_OFF_DESTROY, destroy_on_gone, op);
}

static void destroy_on_stopped(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	if (e->code < 0)
		op_fail(op, e);
	else
		hostlog_close_all(op->d, op->vm, "vm_destroyed",
				  destroy_on_closed, op);
}

void vm_destroy_route(struct op *op)
{
	struct vm *vm = op_vm(op);
	bool force = false;

	if (vm == NULL || !op_query_flag(op, "force", &force))
		return;
	if (!force && snapshots_any(op->d, op->vm))
		op_refuse(op, -FAULT_HAS_CHILDREN,
			  "%s has snapshots, which would go with it: remove "
			  "them, or use force",
			  op->vm);
	else if (snapshots_in_use(op->d, vm))
		op_refuse(op, -FAULT_NOT_READY, "a snapshot of %s is in use",
			  op->vm);
	else
		vm_off(vm, VM_OFF_STOP, destroy_on_stopped, op);
}
