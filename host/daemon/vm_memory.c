// SPDX-License-Identifier: Apache-2.0
/*
 * vm_memory.c - The memory that a VM keeps while it sleeps
 *
 * In RAM it is its machine, paused.  On disk it is what the backend has put into
 * VMDIR/memory, which is used once.  The row tells others which it is, and since
 * when; what counts is what is there.
 */
#include <stdio.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/execs.h"
#include "host/daemon/vm_impl.h"

#define LOG_COMPONENT "vm"

enum vm_memory vm_memory(const struct vm *vm)
{
	return vm->memory;
}

const char *vm_memory_name(enum vm_memory memory)
{
	static const char *const names[] = {
		[VM_MEMORY_RAM] = "ram",
		[VM_MEMORY_DISK] = "disk",
	};

	return names[memory];
}

/* --- the row -------------------------------------------------------------- */

char *vm_memory_write(const struct vm *vm)
{
	autojw struct jw w = {0};

	if (vm->memory == VM_MEMORY_NONE)
		return NULL;
	jw_obj(&w);
	jw_kstr(&w, "kind", vm_memory_name(vm->memory));
	jw_kint(&w, "since", vm->slept_at_ms);
	jw_obj_end(&w);
	return jw_take(&w, NULL);
}

void vm_memory_read(struct vm *vm, struct jv memory)
{
	vm->memory = VM_MEMORY_NONE;
	for (int m = VM_MEMORY_RAM; m <= VM_MEMORY_DISK; m++) {
		if (jv_eq(jv_get(memory, "kind"), vm_memory_name(m)))
			vm->memory = m;
	}
	vm->slept_at_ms = jv_int(jv_get(memory, "since"), now_ms());
}

bool vm_memory_is_there(const struct vm *vm, struct err *e)
{
	struct vm_spec spec = vm_spec(vm);

	if (vm->ops->has_memory != NULL)
		return vm->ops->has_memory(&spec, e) == 0;
	err_set(e, -FAULT_VM_UNAVAILABLE, "its machine has ended");
	return false;
}

void vm_memory_path(const struct vm *vm, char dir[PATH_MAX])
{
	/* Paths of VMs are short: HIB_HOME is checked for that. */
	(void)snprintf(dir, PATH_MAX, "%.*s/memory", PATH_MAX - 16, vm->dir);
}

void vm_memory_forget(const struct vm *vm)
{
	struct vm_spec spec = vm_spec(vm);

	if (vm->ops->forget != NULL)
		vm->ops->forget(&spec);
}

/* --- without it ----------------------------------------------------------- */

/* Turns that were open in it are ended by the guest, when it boots: until then
 * the host must not write into their logs. */
static void change_open_turns(struct change *c, const char *vm)
{
	change_add(c,
		   "UPDATE mirror SET tail_complete=0 WHERE session_n IN "
		   "(SELECT s.n FROM session s JOIN turn t ON "
		   "t.session_id=s.id WHERE s.vm_id=?1 AND t.ended_ms IS NULL)",
		   1, vm);
}

void vm_memory_lost(struct vm *vm, const char *why)
{
	autojw struct jw w = {0};
	struct change *c;

	log_warn("%s: its memory is lost: %s", vm->id, why);
	vm->memory = VM_MEMORY_NONE;
	execs_end(vm->d, vm->id);
	jw_obj(&w);
	jw_kstr(&w, "reason", "memory_lost");
	jw_kstr(&w, "detail", why);
	jw_obj_end(&w);
	c = vm_change(vm);
	change_open_turns(c, vm->id);
	change_add_vm_event(c, vm->id, "vm.shutdown", w.buf ? w.buf : "{}");
	change_submit(vm->d->store, c, NULL, NULL);
	vm_memory_forget(vm);
}
