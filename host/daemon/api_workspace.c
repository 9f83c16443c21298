// SPDX-License-Identifier: Apache-2.0
/*
 * api_workspace.c - The files of a VM: checkpoint, restore
 *
 * A checkpoint wakes nothing: the files of a VM that is off have all been
 * committed when it went to sleep, or stay on its disk until it is up again.
 */

#include "host/daemon/depot.h"
#include "host/daemon/restore.h"
#include "host/daemon/routes.h"

/* --- checkpoint --------------------------------------------------------- */

struct look {
	struct depot_job job;
	struct op *op;
	op_head_cb next;
	struct vfs_oid head;
	bool has_head;
};

static int look_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct look *l = container_of(j, struct look, job);
	int r = vfs_repo_head(repo, &l->head, e);

	l->has_head = r == 0;
	return r == -ENOENT ? 0 : r;
}

static void look_on_done(struct depot_job *j, const struct err *e)
{
	struct look *l = container_of(j, struct look, job);

	if (e->code < 0 && e->code != -FAULT_FILE_NOT_FOUND)
		op_fail(l->op, e);
	else
		l->next(l->op, l->has_head ? &l->head : NULL);
	free(l);
}

void op_find_head(struct op *op, struct vm *vm, op_head_cb next)
{
	struct look *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		op_refuse(op, -ENOMEM, "out of memory");
		return;
	}
	l->job.work = look_work;
	l->job.done = look_on_done;
	l->op = op;
	l->next = next;
	depot_read(vm_depot(vm), &l->job);
}

static void put_oid(struct jw *w, const char *key, const struct vfs_oid *oid)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, key, oid != NULL ? vfs_oid_format(oid, hex) : NULL);
}

static void checkpoint_on_head(struct op *op, const struct vfs_oid *head)
{
	const struct vm *vm = vm_find(op->d, op->vm);

	jw_obj(&op->out);
	put_oid(&op->out, "head", head);
	jw_kbool(&op->out, "changed", false);
	jw_kbool(&op->out, "complete", vm == NULL || vm_is_complete(vm));
	jw_obj_end(&op->out);
	op_reply_out(op);
}

static void checkpoint_on_called(const char *body, size_t len,
				 const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply(op, body, len);
}

static void checkpoint_call(struct op *op)
{
	jw_obj(&op->params);
	jw_obj_end(&op->params);
	op_call(op, "workspace.checkpoint", checkpoint_on_called);
}

void vm_checkpoint_route(struct op *op)
{
	struct vm *vm = op_vm(op);

	if (vm == NULL)
		return;
	if (vm_is_asleep(vm))
		op_find_head(op, vm, checkpoint_on_head);
	else
		op_wake(op, checkpoint_call);
}

/* --- restore ------------------------------------------------------------ */

static void restore_on_done(const struct err *e, const struct jw *out,
			    void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else if (out->failed)
		op_refuse(op, -ENOMEM, "restore: out of memory");
	else
		op_reply(op, out->buf, out->len);
}

void vm_restore_route(struct op *op)
{
	struct restore_spec spec = {
		.paths = jv_get(op->in, "paths"),
		.force = jv_bool(jv_get(op->in, "force"), false),
	};
	autofree char *to = NULL;
	struct err e = {0};

	spec.vm = op_vm(op);
	if (spec.vm == NULL || !op_string(op, "to", VFS_REV_MAX, &to))
		return;
	if (to == NULL) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "to: a turn or a commit");
		return;
	}
	spec.to = to;
	if (restore_start(op->d, &spec, restore_on_done, op, &e) < 0)
		op_fail(op, &e);
}
