// SPDX-License-Identifier: Apache-2.0
/*
 * vm_marks.c - References of turns: refs/hib/<session>/<turn>
 *
 * A commit makes that of its own turn.  A turn that changed nothing has none:
 * the event that ends it tells the newest commit, and when that event is stored
 * the reference is made here.  What queues meanwhile is one job; what is lost
 * with hibd, or beyond MARKS_MAX, the log still tells.
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/vm_impl.h"
#include "vfs/commit.h"

#define LOG_COMPONENT "vm"
#define MARKS_MAX     1024 /* Waiting, of one VM. */

struct mark {
	STAILQ_ENTRY(mark) link;
	char session[ID_MAX], turn[ID_MAX];
	struct vfs_oid commit;
};

STAILQ_HEAD(mark_list, mark);

struct vm_marks {
	struct depot_job job;
	struct vm *vm;		  /* NULL: gone. */
	bool works;		  /* The job is under way. */
	struct mark_list at_work; /* The job's, */
	struct mark_list waiting; /* and for the next one. */
	unsigned n_waiting;
};

static void marks_go(struct vm_marks *ms);

/* --- on a thread of the pool -------------------------------------------- */

static bool has_mark(struct vfs_repo *repo, const struct mark *m)
{
	char name[2 * ID_MAX];
	struct vfs_oid there;

	snprintf(name, sizeof(name), "%s/%s", m->session, m->turn);
	return vfs_repo_resolve(repo, name, &there, NULL) == 0;
}

static int marks_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct vm_marks *ms = container_of(j, struct vm_marks, job);
	struct mark *m;

	/* One that names no commit is the guest's mistake, and no other's. */
	STAILQ_FOREACH (m, &ms->at_work, link) {
		if (!has_mark(repo, m))
			(void)vfs_commit_mark_turn(repo, m->session, m->turn,
						   &m->commit, e);
	}
	return e->code;
}

/* --- on the loop -------------------------------------------------------- */

static void list_free(struct mark_list *list)
{
	struct mark *m;

	while ((m = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		free(m);
	}
}

static void marks_on_done(struct depot_job *j, const struct err *e)
{
	struct vm_marks *ms = container_of(j, struct vm_marks, job);

	if (e->code < 0)
		log_debug("references of turns: %s", e->msg);
	list_free(&ms->at_work);
	ms->works = false;
	if (ms->vm == NULL)
		free(ms);
	else
		marks_go(ms);
}

static void marks_go(struct vm_marks *ms)
{
	if (ms->works || STAILQ_EMPTY(&ms->waiting))
		return;
	STAILQ_CONCAT(&ms->at_work, &ms->waiting);
	ms->n_waiting = 0;
	ms->works = true;
	ms->job.work = marks_work;
	ms->job.done = marks_on_done;
	depot_write(ms->vm->depot, &ms->job);
}

static struct vm_marks *marks_of(struct vm *vm)
{
	struct vm_marks *ms = vm->marks;

	if (ms != NULL)
		return ms;
	ms = calloc(1, sizeof(*ms));
	if (ms == NULL)
		return NULL;
	ms->vm = vm;
	STAILQ_INIT(&ms->at_work);
	STAILQ_INIT(&ms->waiting);
	vm->marks = ms;
	return ms;
}

/* The commit that an event tells. */
static bool read_commit(const struct event *ev, struct vfs_oid *out)
{
	autojson struct json j = {0};
	char hex[VFS_OID_HEX];

	return json_parse(&j, ev->data, ev->data_len, NULL) == 0 &&
	       jv_strcpy(jv_get(json_root(&j), "commit"), hex, sizeof(hex)) >
		       0 &&
	       vfs_oid_parse(hex, out) == 0;
}

void vm_mark_turn(struct vm *vm, const struct event *ev)
{
	struct vm_marks *ms;
	struct vfs_oid commit;
	struct mark *m;

	if (!read_commit(ev, &commit))
		return;
	ms = marks_of(vm);
	m = ms != NULL && ms->n_waiting < MARKS_MAX ? calloc(1, sizeof(*m))
						    : NULL;
	if (m == NULL)
		return;
	m->commit = commit;
	snprintf(m->session, sizeof(m->session), "%s", ev->session);
	snprintf(m->turn, sizeof(m->turn), "%s", ev->turn);
	STAILQ_INSERT_TAIL(&ms->waiting, m, link);
	ms->n_waiting++;
	marks_go(ms);
}

void vm_marks_free(struct vm *vm)
{
	struct vm_marks *ms = take_ptr(vm->marks);

	if (ms == NULL)
		return;
	list_free(&ms->waiting);
	ms->vm = NULL;
	if (!ms->works)
		free(ms);
}
