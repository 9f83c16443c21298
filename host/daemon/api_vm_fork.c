// SPDX-License-Identifier: Apache-2.0
/*
 * api_vm_fork.c - A VM like another, with its files
 *
 * The new VM borrows the committed objects of its source, so this costs the same
 * however much is in it.  It begins with the files of a turn or commit, or with
 * all that the source has: then it commits first.  One that is off is left alone,
 * unless it has files that it did not get to commit.
 *
 * Sessions are not forked here.  The answer says which there are, and where each
 * stood at that time: who wants them forks them into the new VM one by one.
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/depot.h"
#include "host/daemon/revision.h"
#include "host/daemon/routes.h"
#include "host/views.h"
#include "vfs/history.h"

struct vm_forking {
	struct depot_job job;
	struct op *op;
	struct revision rev; /* Its name is "" for the newest. */
	bool has_base;
	struct vfs_oid base;
	int64_t time_ms; /* Of the files, at the latest. */
	char source[ID_MAX];
	char *id, *name;
};

static void forking_free(struct vm_forking *f)
{
	free(f->id);
	free(f->name);
	free(f);
}

static void forking_fail(struct vm_forking *f, const struct err *e)
{
	op_fail(f->op, e);
	forking_free(f);
}

/* --- the answer --------------------------------------------------------- */

/* Sessions that a prompt would reach, and their last event at that time: the end
 * of a turn, or what stood before the first. */
static int put_sessions(struct vm_forking *f, struct jw *w, struct err *e)
{
	static const char sql[] =
		"SELECT s.id AS id, coalesce("
		"(SELECT max(t.last_seq) FROM turn t WHERE t.session_id=s.id"
		" AND t.ended_ms<=CAST(?2 AS INTEGER) AND NOT EXISTS ("
		"SELECT 1 FROM abandoned a WHERE a.session_id=s.id"
		" AND t.last_seq BETWEEN a.from_seq AND a.to_seq)),"
		"(SELECT min(t.first_seq)-1 FROM turn t WHERE t.session_id=s.id),"
		"s.last_seq) AS at FROM session s WHERE s.vm_id=?1"
		" AND s.created_ms<=CAST(?2 AS INTEGER)"
		" AND s.archived_ms IS NULL"
		" AND s.state NOT IN ('closed','expired','starting','closing')"
		" ORDER BY s.n";
	char time[24];
	const char *args[] = {f->source, time, NULL};
	int r;

	snprintf(time, sizeof(time), "%lld", (long long)f->time_ms);
	jw_key(w, "sessions");
	jw_arr(w);
	r = reader_rows(f->op->d->reader, sql, args, w, e);
	jw_arr_end(w);
	return r;
}

static void forking_on_created(struct vm *vm, const struct err *e, void *arg)
{
	struct vm_forking *f = arg;
	struct op *op = f->op;
	struct err bad = *e;

	jw_obj(&op->out);
	if (bad.code == 0) {
		jw_kstr(&op->out, "vm", vm_id(vm));
		jw_kstr(&op->out, "from", f->source);
		(void)put_sessions(f, &op->out, &bad);
	}
	jw_obj_end(&op->out);
	if (bad.code < 0)
		op_fail(op, &bad);
	else
		op_reply_out(op);
	forking_free(f);
}

/* --- the VM ------------------------------------------------------------- */

static int forking_work(struct depot_job *j, struct vfs_repo *repo,
			struct err *e)
{
	struct vm_forking *f = container_of(j, struct vm_forking, job);
	struct vfs_history_commit c;
	int r;

	if (f->rev.name[0] == '\0') {
		r = vfs_repo_head(repo, &f->base, e);
		f->has_base = r == 0;
		return r == -ENOENT ? 0 : r;
	}
	r = revision_resolve(&f->rev, repo, &f->base, e);
	if (r == 0)
		r = vfs_history_get(repo, &f->base, &c, e);
	if (r < 0)
		return r;
	f->has_base = true;
	if (f->time_ms == INT64_MAX) /* git keeps seconds. */
		f->time_ms = c.time_ms + 999;
	return 0;
}

static void forking_on_worked(struct depot_job *j, const struct err *e)
{
	struct vm_forking *f = container_of(j, struct vm_forking, job);
	struct vm *source = vm_find(f->op->d, f->source);
	bool empty = e->code == -FAULT_FILE_NOT_FOUND && f->rev.name[0] == '\0';
	struct err bad = *e;
	struct vm_config cfg;

	if (source == NULL && (e->code == 0 || empty))
		err_set(&bad, -FAULT_VM_NOT_FOUND, "%s is not here", f->source);
	else if (empty)
		bad.code = 0;
	if (bad.code < 0) {
		forking_fail(f, &bad);
		return;
	}
	vm_describe(source, &cfg);
	cfg.id = f->id;
	cfg.name = f->name;
	if (f->has_base) {
		cfg.fork_of = source;
		cfg.base = &f->base;
	}
	vm_create(f->op->d, &cfg, forking_on_created, f);
}

static void forking_resolve(struct vm_forking *f)
{
	struct vm *vm = vm_find(f->op->d, f->source);

	f->job.work = forking_work;
	f->job.done = forking_on_worked;
	if (vm != NULL)
		depot_read(vm_depot(vm), &f->job);
	else
		forking_on_worked(&f->job, &(struct err){0});
}

static void forking_on_committed(struct vm *vm, const struct err *e, void *arg)
{
	struct vm_forking *f = arg;

	(void)vm;
	if (e->code < 0)
		forking_fail(f, e);
	else
		forking_resolve(f);
}

/* --- the request -------------------------------------------------------- */

/* The end of a turn is the time of its files. */
static int64_t turn_end(struct op *op, const char *vm, const char *turn)
{
	const char *args[] = {turn, vm, NULL};
	autofree char *text = NULL;

	if (reader_value(op->d->reader,
			 "SELECT t.ended_ms FROM turn t JOIN session s ON "
			 "s.id=t.session_id WHERE t.id=?1 AND s.vm_id=?2 AND "
			 "t.ended_ms IS NOT NULL",
			 args, &text, NULL) != 1)
		return INT64_MAX;
	return strtoll(text, NULL, 10);
}

void vm_fork_route(struct op *op)
{
	struct vm *vm = op_vm(op);
	struct vm_forking *f;
	autofree char *at = NULL;
	struct err e = {0};

	if (vm == NULL || op_fork_snapshot(op, vm))
		return;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		abort();
	f->op = op;
	f->time_ms = INT64_MAX;
	if (!op_string(op, "at", VFS_REV_MAX, &at) ||
	    !op_string(op, "id", 64, &f->id) ||
	    !op_string(op, "name", 256, &f->name)) {
		forking_free(f);
		return;
	}
	memcpy(f->source, vm_id(vm), ID_MAX);
	if (at != NULL &&
	    revision_read(&f->rev, op->d->reader, f->source, at, &e) < 0) {
		forking_fail(f, &e);
	} else if (at != NULL) {
		f->time_ms = turn_end(op, f->source, at);
		forking_resolve(f);
	} else {
		vm_commit(vm, forking_on_committed, f);
	}
}
