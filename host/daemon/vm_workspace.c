// SPDX-License-Identifier: Apache-2.0
/*
 * vm_workspace.c - The files of a VM, as its host sees them
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/history.h"
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT	"vm"
#define COMMITS_TO_PACK 25 /* Between two looks whether there is work. */

void vm_put_workspace(const struct vm *vm, struct jw *w)
{
	const struct workspace *ws = &vm->workspace;

	jw_obj(w);
	jw_kint(w, "n", ws->n);
	jw_kstr(w, "base", ws->base[0] != '\0' ? ws->base : NULL);
	jw_kbool(w, "complete", ws->complete);
	jw_obj_end(w);
}

void vm_workspace_write_start(const struct vm *vm, struct jw *w)
{
	const struct workspace *ws = &vm->workspace;

	jw_obj(w);
	jw_kint(w, "n", ws->n);
	jw_kstr(w, "base", ws->base[0] != '\0' ? ws->base : NULL);
	jw_kbool(w, "complete", ws->was_complete && ws->was_noted);
	if (vm->mounts != NULL)
		jw_kraw(w, "mounts", vm->mounts);
	jw_obj_end(w);
}

void vm_workspace_read(struct vm *vm, struct jv workspace)
{
	struct workspace *ws = &vm->workspace;
	struct vfs_oid base;

	ws->n = jv_int(jv_get(workspace, "n"), 1);
	ws->complete = jv_bool(jv_get(workspace, "complete"), false);
	ws->noted = jv_bool(jv_get(workspace, "noted"), true);
	if (jv_strcpy(jv_get(workspace, "base"), ws->base, sizeof(ws->base)) <
		    0 ||
	    vfs_oid_parse(ws->base, &base) < 0)
		ws->base[0] = '\0';
}

struct depot *vm_depot(const struct vm *vm)
{
	return vm->depot;
}

int64_t vm_workspace_n(const struct vm *vm)
{
	return vm->workspace.n;
}

void vm_set_workspace(struct vm *vm, int64_t n, const struct vfs_oid *base)
{
	vm->workspace.n = n;
	vm->workspace.complete = true;
	vfs_oid_format(base, vm->workspace.base);
}

void vm_set_files(struct vm *vm, int64_t n, const char *base, bool complete)
{
	vm->workspace.n = n;
	vm->workspace.complete = vm->workspace.noted = complete;
	snprintf(vm->workspace.base, sizeof(vm->workspace.base), "%s", base);
}

void vm_change_workspace(struct change *c, const char *vm, int64_t n,
			 const struct vfs_oid *base)
{
	char hex[VFS_OID_HEX], data[128];

	vfs_oid_format(base, hex);
	change_add(c,
		   "UPDATE vm SET config=json_set(config,'$.workspace.n',"
		   "CAST(?2 AS INTEGER),'$.workspace.base',?3,"
		   "'$.workspace.complete',json('true')) WHERE id=?1",
		   3, vm, int_text(n), hex);
	snprintf(data, sizeof(data), "{\"n\":%lld,\"base\":\"%s\"}",
		 (long long)n, hex);
	change_add_vm_event(c, vm, "vm.restored", data);
}

void vm_note_files(struct vm *vm, struct jv workspace)
{
	struct jv head = jv_get(workspace, "head");
	bool complete =
		jv_has(workspace) && !jv_has(jv_get(workspace, "error"));
	char hex[VFS_OID_HEX] = "";
	autojw struct jw w = {0};
	struct vfs_oid oid;

	if (jv_strcpy(head, hex, sizeof(hex)) < 0 ||
	    vfs_oid_parse(hex, &oid) < 0)
		hex[0] = '\0';
	jw_obj(&w);
	jw_kstr(&w, "head", hex[0] != '\0' ? hex : NULL);
	jw_kbool(&w, "complete", complete);
	jw_obj_end(&w);
	snprintf(vm->slept, sizeof(vm->slept), "%s", w.buf ? w.buf : "");
	vm->workspace.complete = complete;
	vm->workspace.noted = jv_bool(jv_get(workspace, "noted"), true);
	if (!complete && jv_has(workspace))
		log_warn("%s: not all of its files are committed", vm->id);
}

const char *vm_slept(const struct vm *vm)
{
	return vm->slept;
}

void vm_change_complete(struct change *c, const struct vm *vm)
{
	change_add(c,
		   "UPDATE vm SET config=json_set(config,"
		   "'$.workspace.complete',json(?2),"
		   "'$.workspace.noted',json(?3)) WHERE id=?1",
		   3, vm->id, vm->workspace.complete ? "true" : "false",
		   vm->workspace.noted ? "true" : "false");
}

bool vm_is_complete(const struct vm *vm)
{
	return vm->workspace.complete;
}

/* --- committing all ----------------------------------------------------- */

struct committing {
	struct hibd *d;
	char vm[ID_MAX];
	vm_done_cb cb;
	void *arg;
};

static void committing_end(struct committing *k, const struct err *e)
{
	k->cb(k->d->stopping ? NULL : vm_find(k->d, k->vm), e, k->arg);
	free(k);
}

static void committing_on_made(const char *body, size_t len,
			       const struct err *e, void *arg)
{
	static const struct err none;

	(void)body;
	(void)len;
	/* A guest that keeps no commits has nothing that is missing there. */
	committing_end(arg,
		       e->code == -FAULT_CAPABILITY_UNSUPPORTED ? &none : e);
}

static void committing_on_up(struct vm *vm, const struct err *e, void *arg)
{
	if (e->code < 0)
		committing_end(arg, e);
	else
		link_call(vm->channel, "workspace.checkpoint", "{}",
			  committing_on_made, arg);
}

void vm_commit(struct vm *vm, vm_done_cb cb, void *arg)
{
	static const struct err none;
	struct committing *k;

	if (vm_is_asleep(vm) && vm->workspace.complete) {
		cb(vm, &none, arg);
		return;
	}
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		abort();
	*k = (struct committing){.d = vm->d, .cb = cb, .arg = arg};
	memcpy(k->vm, vm->id, ID_MAX);
	vm_need(vm, committing_on_up, k);
}

/* --- the host stream ---------------------------------------------------- */

static void vm_on_committed(const struct vfs_oid *head, void *arg)
{
	struct vm *vm = arg;

	(void)head;
	vm_touch(vm);
	if (++vm->commits % COMMITS_TO_PACK == 0)
		packer_want(vm->d->packer, vm->id);
}

static void vm_on_asked(struct objects_ask *q, void *arg)
{
	struct vm *vm = arg;

	vm_touch(vm);
	history_ask(vm, vm->d, q);
}

static const struct objects_events vm_objects_events = {
	.asked = vm_on_asked,
	.committed = vm_on_committed,
};

int vm_serve_objects(struct vm *vm)
{
	const struct objects_spec spec = {
		.loop = &vm->d->loop,
		.ops = vm->ops,
		.machine = vm->machine,
		.reader = vm->d->reader,
		.vault = vm->d->vault,
		.depot = vm->depot,
		.vm = vm->id,
		.dir = vm->dir,
	};

	vm->objects = objects_open(&spec, &vm_objects_events, vm);
	return vm->objects != NULL ? 0 : -ENOMEM;
}

void vm_close_objects(struct vm *vm)
{
	objects_close(take_ptr(vm->objects));
	depot_rest(vm->depot);
	if (!vm->d->stopping)
		packer_want(vm->d->packer, vm->id);
}
