// SPDX-License-Identifier: Apache-2.0
/*
 * history.c - What a guest asks of the history of its files
 */
#include "host/daemon/history.h"

#include <string.h>

#include "host/daemon/depot.h"
#include "host/daemon/restore.h"
#include "host/daemon/revision.h"
#include "vfs/diff.h"

/* A revision's name.  @otherwise: when there is none; NULL: there must be one. */
static int get_name(struct objects_ask *q, const char *key,
		    const char *otherwise, char out[VFS_REV_MAX + 1],
		    struct err *e)
{
	struct jv v = jv_get(q->in, key);

	if (!jv_has(v) && otherwise != NULL) {
		(void)stpcpy(out, otherwise);
		return 0;
	}
	if (jv_strcpy(v, out, VFS_REV_MAX + 1) <= 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s: a turn or a commit", key);
	return 0;
}

/* --- diff --------------------------------------------------------------- */

struct compare {
	struct depot_job job;
	struct objects_ask *ask;
	struct revision from, to;
	struct jw out;
};

static void put_oid(struct jw *w, const char *key, const struct vfs_oid *oid)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, key, vfs_oid_format(oid, hex));
}

static int compare_work(struct depot_job *j, struct vfs_repo *repo,
			struct err *e)
{
	struct compare *k = container_of(j, struct compare, job);
	struct vfs_diff_stats stats = {0};
	struct vfs_oid from, to;
	int r = revision_resolve(&k->from, repo, &from, e);

	if (r == 0)
		r = revision_resolve(&k->to, repo, &to, e);
	if (r < 0)
		return r;
	jw_obj(&k->out);
	put_oid(&k->out, "from", &from);
	put_oid(&k->out, "to", &to);
	jw_key(&k->out, "files");
	r = vfs_diff(repo, &from, &to, &stats, &k->out, e);
	jw_kint(&k->out, "n_files", (int64_t)stats.n_files);
	jw_kbool(&k->out, "truncated", stats.truncated);
	jw_obj_end(&k->out);
	return r;
}

static void compare_on_done(struct depot_job *j, const struct err *e)
{
	struct compare *k = container_of(j, struct compare, job);

	objects_answer(k->ask, e, &k->out);
	jw_done(&k->out);
	free(k);
}

static int begin_compare(struct vm *vm, struct hibd *d, struct objects_ask *q,
			 struct err *e)
{
	char from[VFS_REV_MAX + 1], to[VFS_REV_MAX + 1];
	struct compare *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return err_set(e, -ENOMEM, "diff: out of memory");
	if (get_name(q, "from", NULL, from, e) < 0 ||
	    get_name(q, "to", "HEAD", to, e) < 0 ||
	    revision_read(&k->from, d->reader, vm_id(vm), from, e) < 0 ||
	    revision_read(&k->to, d->reader, vm_id(vm), to, e) < 0) {
		free(k);
		return e->code;
	}
	k->ask = q;
	k->job.work = compare_work;
	k->job.done = compare_on_done;
	depot_read(vm_depot(vm), &k->job);
	return 0;
}

/* --- restore ------------------------------------------------------------ */

static void restore_on_done(const struct err *e, const struct jw *out,
			    void *arg)
{
	objects_answer(arg, e, out);
}

static int begin_restore(struct vm *vm, struct hibd *d, struct objects_ask *q,
			 struct err *e)
{
	char to[VFS_REV_MAX + 1];
	const struct restore_spec spec = {
		.vm = vm,
		.to = to,
		.paths = jv_get(q->in, "paths"),
	};

	if (get_name(q, "to", NULL, to, e) < 0)
		return e->code;
	if (!jv_is(spec.paths, JV_ARRAY))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "paths is no list");
	return restore_start(d, &spec, restore_on_done, q, e);
}

void history_ask(struct vm *vm, struct hibd *d, struct objects_ask *q)
{
	struct err e = {0};
	int r;

	if (strcmp(q->name, "diff") == 0)
		r = begin_compare(vm, d, q, &e);
	else if (strcmp(q->name, "restore") == 0)
		r = begin_restore(vm, d, q, &e);
	else
		r = err_set(&e, -FAULT_ROUTE_NOT_FOUND, "no route POST '/%s'",
			    q->name);
	if (r < 0)
		objects_answer(q, &e, NULL);
}
