// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint.c - Tell the host what has changed in /workspace
 *
 *	main loop    second loop                 worker of the second loop's pool
 *	  | --job-->    | ------------------------>| walks, writes the change set
 *	  |             |<--bytes-- (pipe) --------|
 *	  |             | ==POST /checkpoint==> host
 *	  |             |--answer----------------->| commits the rows of vfs.db
 *	  |<--job done--|<-------------------------|
 *
 * The worker has vfs.db, and blocks as it likes.  Its rows and the newest commit
 * change in one transaction after the host has answered, so a kill in between
 * leaves the rows of the commit before: what they lack is told again, and be it
 * that there is nothing, because what the host had been told of is gone.  The
 * same when the disk is too full for them.
 *
 * The first change set of a workspace has no commit of ours to stand on: it is
 * told upon the commit that an overlay lies on, or from nothing.  The same when
 * the host does not know our newest commit (stale_epoch).
 */
#include "guest/checkpoint.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "guest/checkpoint_pipe.h"
#include "guest/limits.h"
#include "guest/workspace_mounts.h"
#include "vfs/collect.h"
#include "vfs/sent.h"

#define LOG_COMPONENT "checkpoint"

TAILQ_HEAD(checkpoint_list, checkpoint);

struct checkpoints {
	struct workspace *ws;
	char db[PATH_MAX];
	const char *lower, *view;
	struct checkpoint_list waiting; /* The first one runs. */
	bool stopped;
	bool touched;
	bool knows_head;
	struct checkpoint_commit head;
	/* The host may have a commit that vfs.db does not know.  It is also the
	 * worker's while one runs. */
	bool doubt;

	/* Of the one that runs. */
	struct sideloop_job job;
	uv_work_t work;
	struct checkpoint_pipe pipe;
	struct workspace_state state;
	bool running;
	/* The worker's. */
	struct checkpoint *now;
	struct vfs_sent *sent;		 /* Kept open. */
	struct checkpoint_commit base;	 /* Of the change set. */
	struct checkpoint_commit before; /* Newest when it began. */
	bool begun;			 /* Something is in the pipe. */
	struct err err;
};

/*
 * On the worker's thread.
 */

static void write_commit(struct jw *w, const char *key,
			 const struct checkpoint_commit *c)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, key, c->has ? vfs_oid_format(&c->oid, hex) : NULL);
}

/* The line before the change set. */
static int begin_body(struct checkpoints *cs)
{
	const struct checkpoint *c = cs->now;
	autojw struct jw w = {0};

	jw_obj(&w);
	write_commit(&w, "base", &cs->base);
	jw_kstr(&w, "session", c->wants_diff ? c->session : NULL);
	jw_kstr(&w, "turn", c->wants_diff ? c->turn : NULL);
	jw_kint(&w, "n", c->n);
	jw_kint(&w, "seq", c->seq);
	write_commit(&w, "diff_from", &cs->now->from);
	jw_kstr(&w, "reason", c->reason);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	if (w.failed)
		return -ENOMEM;
	cs->begun = cs->doubt = true;
	return checkpoint_pipe_write(&cs->pipe, w.buf, w.len);
}

static int collect_on_write(const char *data, size_t n, void *arg)
{
	struct checkpoints *cs = arg;
	int r = cs->begun ? 0 : begin_body(cs);

	return r < 0 ? r : checkpoint_pipe_write(&cs->pipe, data, n);
}

/* Walk, on top of cs->base. */
static int collect(struct checkpoints *cs, struct err *e)
{
	bool overlay = cs->state.mode == WORKSPACE_OVERLAY;
	autoclose int upper =
		openat(workspace_dir(cs->ws), "upper",
		       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int view =
		overlay ? open(cs->view, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	const struct workspace_overlay over = {.lower = cs->lower,
					       .commit = cs->state.lower};
	autoclose int lower = overlay ? workspace_open_lower(&over) : -1;
	struct vfs_collect_spec spec = {.upper = upper,
					.view = overlay ? view : upper,
					.lower = lower,
					.passing = workspace_passing(cs->ws),
					.sent = cs->sent,
					.from_nothing = !cs->base.has,
					.write = collect_on_write,
					.arg = cs};
	struct vfs_collect_result got;
	int r;

	if (upper < 0 || (overlay && (view < 0 || lower < 0)))
		return err_set(e, -errno, "workspace: %s", strerror(errno));
	r = vfs_collect(&spec, &got, e);
	if (r < 0)
		return r;
	log_debug("%llu entries, %llu told, %llu deleted, %llu skipped",
		  (unsigned long long)got.n_entries,
		  (unsigned long long)got.n_put,
		  (unsigned long long)got.n_deleted,
		  (unsigned long long)(got.n_special + got.n_unreadable +
				       got.n_passing));
	return 0;
}

/* The diff of the turn begins elsewhere than at the newest commit. */
static bool wants_other_diff(const struct checkpoints *cs)
{
	const struct checkpoint_commit *from = &cs->now->from;

	return cs->now->wants_diff && cs->before.has &&
	       !(from->has && vfs_oid_eq(&from->oid, &cs->before.oid));
}

/* All is told from nothing, which it has not been before. */
static bool starts_over(const struct checkpoints *cs)
{
	return !cs->base.has && cs->before.has;
}

/* There is nothing that our rows lack, and yet the host has to be asked. */
static int tell_nothing(struct checkpoints *cs)
{
	int r;

	if (cs->begun ||
	    !(cs->doubt || starts_over(cs) || wants_other_diff(cs)))
		return 0;
	r = begin_body(cs);
	return r < 0 ? r : checkpoint_pipe_write(&cs->pipe, "done\n", 5);
}

static int no_commit(struct err *e)
{
	return err_set(e, -EPROTO, "checkpoint: the host answered no commit");
}

/* Take the host's answer apart, as far as it is for us.  Parts of it become
 * events, which are one line. */
static int read_answer(struct checkpoints *cs, struct err *e)
{
	struct checkpoint *c = cs->now;
	autojson struct json j = {0};
	char hex[VFS_OID_HEX];
	struct jv commit;

	for (size_t i = 0; i < c->answer_len; i++)
		if (c->answer[i] == '\n' || c->answer[i] == '\r')
			c->answer[i] = ' ';
	if (json_parse(&j, c->answer, c->answer_len, NULL) < 0)
		return no_commit(e);
	commit = jv_get(json_root(&j), "commit");
	c->head.has = !jv_is(commit, JV_NULL); /* None: there are no files. */
	if (c->head.has && (jv_strcpy(commit, hex, sizeof(hex)) < 0 ||
			    vfs_oid_parse(hex, &c->head.oid) < 0))
		return no_commit(e);
	c->changed = jv_bool(jv_get(json_root(&j), "changed"), true);
	return 0;
}

/* The host has it: so say the rows.  If they cannot, for want of room, they stay
 * those of an older commit, on which the next change set stands. */
static int settle(struct checkpoints *cs, struct err *e)
{
	struct checkpoint *c = cs->now;
	struct err why = {0};
	int r = checkpoint_pipe_finish(&cs->pipe, true, &c->answer,
				       &c->answer_len, e);

	if (r == 0)
		r = read_answer(cs, e);
	if (r < 0)
		return r;
	if (vfs_sent_commit(cs->sent, c->head.has ? &c->head.oid : NULL, &why) <
	    0) {
		log_info("%s: committed, but not noted: %s", c->reason,
			 why.msg);
		vfs_sent_rollback(cs->sent);
		return 0;
	}
	cs->doubt = false;
	return 0;
}

static int attempt(struct checkpoints *cs, struct err *e)
{
	struct err why = {0};
	int r;

	cs->begun = false;
	r = collect(cs, e);
	if (r == 0)
		r = tell_nothing(cs);
	if (r == 0 && cs->begun)
		return settle(cs, e);
	if (r == 0) {
		cs->now->head = cs->before;
		return vfs_sent_commit(cs->sent, NULL, e);
	}
	/* The host knows better why it stopped listening. */
	if (cs->begun &&
	    checkpoint_pipe_finish(&cs->pipe, false, &cs->now->answer,
				   &cs->now->answer_len, &why) < 0 &&
	    r == -ECANCELED)
		*e = why;
	free(take_ptr(cs->now->answer));
	return e->code < 0 ? e->code
			   : err_set(e, r, "checkpoint: %s", strerror(-r));
}

/* Where the workspace began, before any checkpoint. */
static void base_on_lower(struct checkpoints *cs)
{
	cs->base = (struct checkpoint_commit){0};
	if (cs->state.mode == WORKSPACE_OVERLAY && cs->state.has_lower)
		cs->base = (struct checkpoint_commit){true, cs->state.lower};
}

/* No file has a row as long as there is no commit. */
static void begin_on_lower(struct checkpoints *cs)
{
	base_on_lower(cs);
	if (cs->state.has_lower)
		cs->before = (struct checkpoint_commit){true, cs->state.lower};
}

static int open_sent(struct checkpoints *cs, struct err *e)
{
	struct err none = {0};
	int64_t n;
	int r = cs->sent != NULL ? 0 : vfs_sent_open(cs->db, &cs->sent, e);

	if (r == 0)
		r = vfs_sent_generation(cs->sent, &n, e);
	if (r == 0 && n != cs->state.n)
		r = vfs_sent_reset(cs->sent, cs->state.n, e);
	if (r < 0)
		return r;
	r = vfs_sent_head(cs->sent, &cs->base.oid, &none);
	cs->base.has = r == 0;
	if (r < 0 && r != -ENOENT) {
		*e = none;
		return r;
	}
	cs->before = cs->base;
	if (!cs->base.has)
		begin_on_lower(cs);
	if (cs->knows_head)
		cs->before = cs->head;
	return 0;
}

/* Once more: what a failed attempt left is forgotten. */
static void begin_again(struct checkpoints *cs, struct err *e)
{
	vfs_sent_rollback(cs->sent);
	checkpoint_pipe_again(&cs->pipe);
	free(take_ptr(cs->now->answer));
	*e = (struct err){0};
}

static int make(struct checkpoints *cs, struct err *e)
{
	int r = open_sent(cs, e);

	if (!cs->now->knows_from)
		cs->now->from = cs->before;
	if (r < 0)
		return r;
	r = attempt(cs, e);
	if (r == -ENOSPC) {
		begin_again(cs, e);
		vfs_sent_make_room(cs->sent);
		r = attempt(cs, e);
	}
	if (r != -FAULT_STALE_EPOCH)
		return r;
	log_info("the host does not know our newest commit, sending all");
	begin_again(cs, e);
	base_on_lower(cs);
	r = vfs_sent_drop_below(cs->sent, "", e);
	return r < 0 ? r : attempt(cs, e);
}

static void checkpoint_work(uv_work_t *w)
{
	struct checkpoints *cs = container_of(w, struct checkpoints, work);

	struct err e = {0};

	if (make(cs, &e) == 0)
		return;
	cs->err = e;
	if (cs->sent != NULL)
		vfs_sent_rollback(cs->sent);
}

/*
 * On the second loop.
 */

static void checkpoint_on_closed(uv_handle_t *h)
{
	struct checkpoint_pipe *p =
		container_of(h, struct checkpoint_pipe, wake);

	sideloop_end(&container_of(p, struct checkpoints, pipe)->job);
}

static void checkpoint_after(uv_work_t *w, int status)
{
	struct checkpoints *cs = container_of(w, struct checkpoints, work);

	(void)status;
	checkpoint_pipe_close(&cs->pipe, checkpoint_on_closed);
}

static void checkpoint_run(struct sideloop_job *job)
{
	struct checkpoints *cs = container_of(job, struct checkpoints, job);
	int r = checkpoint_pipe_open(&cs->pipe);

	if (r == 0)
		r = uv_queue_work(workspace_loop(cs->ws), &cs->work,
				  checkpoint_work, checkpoint_after);
	assert(r == 0); /* Both fail only without descriptors for the loop. */
}

/*
 * On the main loop.
 */

static void run_next(struct checkpoints *cs);

static void checkpoint_finished(struct sideloop_job *job)
{
	struct checkpoints *cs = container_of(job, struct checkpoints, job);
	struct checkpoint *c = TAILQ_FIRST(&cs->waiting);
	struct err e = cs->err;

	TAILQ_REMOVE(&cs->waiting, c, link);
	cs->running = false;
	if (e.code == 0) {
		cs->head = c->head;
		cs->knows_head = true;
	} else {
		log_info("%s: no checkpoint: %s", c->reason, e.msg);
	}
	c->done(c, e.code < 0 ? &e : NULL);
	run_next(cs);
}

static void run_next(struct checkpoints *cs)
{
	struct checkpoint *c = TAILQ_FIRST(&cs->waiting);

	if (c == NULL || cs->running || cs->stopped)
		return;
	cs->running = true;
	cs->touched = false;
	cs->now = c;
	cs->err = (struct err){0};
	cs->state = *workspace_state(cs->ws);
	cs->pipe =
		(struct checkpoint_pipe){.ws = cs->ws, .wait_ms = c->wait_ms};
	cs->job = (struct sideloop_job){.run = checkpoint_run,
					.done = checkpoint_finished};
	workspace_run(cs->ws, &cs->job);
}

void checkpoint_start(struct checkpoints *cs, struct checkpoint *c)
{
	TAILQ_INSERT_TAIL(&cs->waiting, c, link);
	run_next(cs);
}

void checkpoint_done(struct checkpoint *c)
{
	free(c->answer);
	c->answer = NULL;
}

bool checkpoints_head(const struct checkpoints *cs,
		      struct checkpoint_commit *out)
{
	*out = cs->head;
	return cs->knows_head;
}

void checkpoints_touch(struct checkpoints *cs)
{
	cs->touched = true;
}

void checkpoints_doubt(struct checkpoints *cs)
{
	cs->doubt = true;
}

bool checkpoints_are_doubtful(const struct checkpoints *cs)
{
	return cs->doubt;
}

bool checkpoints_are_busy(const struct checkpoints *cs)
{
	return !TAILQ_EMPTY(&cs->waiting);
}

bool checkpoints_are_due(const struct checkpoints *cs)
{
	return cs->touched || !TAILQ_EMPTY(&cs->waiting);
}

struct checkpoints *checkpoints_new(struct workspace *ws, const char *vfs,
				    const char *lower, const char *view)
{
	struct checkpoints *cs = calloc(1, sizeof(*cs));

	if (cs == NULL)
		return NULL;
	cs->ws = ws;
	snprintf(cs->db, sizeof(cs->db), "%s/vfs.db", vfs);
	cs->lower = lower;
	cs->view = view;
	TAILQ_INIT(&cs->waiting);
	return cs;
}

void checkpoints_stop(struct checkpoints *cs)
{
	if (cs != NULL)
		cs->stopped = true;
}

void checkpoints_free(struct checkpoints *cs)
{
	struct checkpoint *c;
	struct err e = {0};

	if (cs == NULL)
		return;
	assert(!cs->running);
	err_set(&e, -ECANCELED, "the guest is ending");
	while ((c = TAILQ_FIRST(&cs->waiting)) != NULL) {
		TAILQ_REMOVE(&cs->waiting, c, link);
		c->done(c, &e);
	}
	vfs_sent_close(cs->sent);
	free(cs);
}
