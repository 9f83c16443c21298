// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint_calls.c - Checkpoints that belong to no turn
 *
 * What a checkpoint before sleep does not get to the host stays on the VM's
 * disk, and is told by the next one.
 */
#include "guest/checkpoint_calls.h"

#include "core/log.h"
#include "guest/checkpoint.h"
#include "guest/limits.h"
#include "guest/session.h"

#define LOG_COMPONENT "checkpoint"
#define NO_WAIT_MS    1 /* Nobody is there. */

struct asked {
	struct checkpoint c;
	struct call *call;
};

/* One at most; the guest may go on without it. */
struct last_files {
	struct checkpoint c;
	struct guest *guest; /* NULL: it has been forgotten. */
	bool made;	     /* The checkpoint is over, ... */
	bool over;	     /* ...or is not waited for. */
	struct err err;
	bool changed, noted;
	struct checkpoint_commit head;
};

static bool has_files(const struct guest *g)
{
	return g->checkpoints != NULL && workspace_is_mounted(g->workspace);
}

static void write_result(struct jw *w, const struct checkpoint_commit *head,
			 bool changed)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, "head", head->has ? vfs_oid_format(&head->oid, hex) : NULL);
	jw_kbool(w, "changed", changed);
}

/*
 * On demand.
 */

static void asked_on_done(struct checkpoint *c, const struct err *e)
{
	struct asked *a = container_of(c, struct asked, c);

	if (e != NULL) {
		call_fail(a->call, e);
	} else {
		jw_obj(&a->call->result);
		write_result(&a->call->result, &c->head, c->changed);
		jw_obj_end(&a->call->result);
		call_reply(a->call);
	}
	checkpoint_done(c);
	free(a);
}

int guest_checkpoint(struct guest *g, struct call *c, struct err *e)
{
	struct asked *a;

	if (!has_files(g))
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "this VM keeps no commits of its workspace");
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return err_set(e, -ENOMEM, "checkpoint: out of memory");
	a->c.reason = "request";
	a->c.wait_ms = WORKSPACE_HOST_MS;
	a->c.done = asked_on_done;
	a->call = c;
	/* What a turn has left meanwhile is told as that turn's. */
	session_retry_files(g);
	checkpoint_start(g->checkpoints, &a->c);
	return 0;
}

/*
 * Before sleep.
 */

static void end_last(struct last_files *l)
{
	uv_timer_stop(&l->guest->late_timer);
	l->over = true;
	guest_on_slept(l->guest);
}

static void last_on_done(struct checkpoint *c, const struct err *e)
{
	struct last_files *l = container_of(c, struct last_files, c);

	checkpoint_done(c);
	l->made = true;
	if (l->guest == NULL) {
		free(l);
		return;
	}
	if (l->over)
		return;
	if (e != NULL) {
		log_warn("files stay unsent: %s", e->msg);
		l->err = *e;
	} else {
		l->head = c->head;
		l->changed = c->changed;
		l->noted = !checkpoints_are_doubtful(l->guest->checkpoints);
	}
	end_last(l);
}

static void guest_on_too_late(uv_timer_t *t)
{
	struct guest *g = container_of(t, struct guest, late_timer);

	log_warn("files stay unsent: the last checkpoint takes too long");
	err_set(&g->last_files->err, -FAULT_REQUEST_TIMEOUT,
		"the last checkpoint took over %d ms", WORKSPACE_FREEZE_MS);
	end_last(g->last_files);
}

bool guest_keep_last(struct guest *g)
{
	struct last_files *l = g->last_files;

	if (!has_files(g))
		return true;
	if (l != NULL)
		return l->over;
	l = g->last_files = calloc(1, sizeof(*l));
	if (l == NULL)
		return true;
	session_retry_files(g);
	l->guest = g;
	l->c.reason = "sleep";
	l->c.wait_ms = g->pause == NULL && TAILQ_EMPTY(&g->freezing)
			       ? NO_WAIT_MS
			       : WORKSPACE_HOST_MS;
	l->c.done = last_on_done;
	uv_timer_start(&g->late_timer, guest_on_too_late, WORKSPACE_FREEZE_MS,
		       0);
	checkpoint_start(g->checkpoints, &l->c);
	return false;
}

void guest_forget_last(struct guest *g)
{
	struct last_files *l = take_ptr(g->last_files);

	if (l == NULL)
		return;
	uv_timer_stop(&g->late_timer);
	if (l->made)
		free(l);
	else
		l->guest = NULL;
}

void guest_write_last(const struct guest *g, struct jw *w)
{
	const struct last_files *l = g->last_files;

	if (l == NULL)
		return;
	jw_key(w, "workspace");
	jw_obj(w);
	if (l->err.code < 0) {
		jw_key(w, "error");
		err_write(&l->err, w);
	} else {
		write_result(w, &l->head, l->changed);
		jw_kbool(w, "noted", l->noted);
	}
	jw_obj_end(w);
}
