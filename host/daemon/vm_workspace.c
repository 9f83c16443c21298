// SPDX-License-Identifier: Apache-2.0
/*
 * vm_workspace.c - The files of a VM, as its host sees them
 */
#include "host/daemon/vm_impl.h"

void vm_workspace_write(const struct vm *vm, struct jw *w)
{
	const struct workspace *ws = &vm->workspace;

	jw_obj(w);
	jw_kint(w, "n", ws->n);
	jw_kstr(w, "base", ws->base[0] != '\0' ? ws->base : NULL);
	jw_obj_end(w);
}

void vm_workspace_read(struct vm *vm, struct jv workspace)
{
	struct workspace *ws = &vm->workspace;
	struct vfs_oid base;

	ws->n = jv_int(jv_get(workspace, "n"), 1);
	if (jv_strcpy(jv_get(workspace, "base"), ws->base, sizeof(ws->base)) <
		    0 ||
	    vfs_oid_parse(ws->base, &base) < 0)
		ws->base[0] = '\0';
}
