// SPDX-License-Identifier: Apache-2.0
/*
 * workspace.c - /workspace: what it is made of, and its thread
 *
 * Mounting is one job of the second loop, which has nothing else to do until
 * then: it may block.
 *
 *	n is another --> begin anew: PLAIN, or OVERLAY of the commit
 *	PLAIN -------------------------------> bind upper/
 *	OVERLAY --> serve the commit by FUSE --> mount the overlay
 *	   '-- impossible here --v
 *	CHECKOUT --> fill upper/ --> SWEEP --> PLAIN
 *
 * Each arrow is in state.json before anything depends on it, so a boot after a
 * kill goes on where that one was.  On the very first one nothing does.
 */
#include "guest/workspace.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "guest/carry.h"
#include "guest/checkout.h"
#include "guest/idmap.h"
#include "guest/limits.h"
#include "guest/source.h"
#include "guest/workspace_disk.h"
#include "guest/workspace_mounts.h"
#include "vfs/passing.h"

#define LOG_COMPONENT "workspace"

/* What the host asks for. */
struct want {
	int64_t n;
	bool has_base;
	struct vfs_oid base;
	unsigned n_binds;
	char binds[BINDS_MAX][BIND_PATH_MAX + 1];
};

struct workspace {
	struct workspace_spec spec;
	int dir;     /* Of spec.vfs. */
	int passing; /* In it; or -1. */
	char cache[PATH_MAX];
	struct workspace_state state;
	bool mounted;
	struct sideloop *side;
	struct uplink *uplink; /* Of the second loop. */

	/* While it is being mounted. */
	struct sideloop_job job;
	bool mounting;
	struct want want;
	struct workspace_state now; /* Of the second loop; state follows. */
	bool save_due;		    /* Also of now, once it is mounted. */
	struct err err;
	void (*cb)(const struct err *e, void *arg);
	void *arg;

	uv_work_t overlay; /* On the second loop; struct err to err. */

	struct vfs_lower *lower; /* Of the second loop; NULL: none. */
	uv_work_t trash;	 /* On the second loop. */
	atomic_bool closing;
	uv_work_t settle; /* On the second loop. */
};

/* --- on the second loop --- */

static int fail(struct err *e, const char *verb, const char *path)
{
	int code = -errno;

	return err_set(e, code, "workspace: %s %s: %s", verb, path,
		       strerror(-code));
}

static int set_state(struct workspace *ws, const struct workspace_state *next,
		     struct err *e)
{
	int r = workspace_state_save(ws->dir, next, e);

	if (r == 0)
		ws->now = *next;
	return r;
}

static int set_mode(struct workspace *ws, enum workspace_mode mode,
		    struct err *e)
{
	struct workspace_state next = ws->now;

	next.mode = mode;
	return set_state(ws, &next, e);
}

/* The first time there may be files that whoever made the VM put there. */
static int begin_anew(struct workspace *ws, struct err *e)
{
	const struct want *want = &ws->want;
	const struct workspace_state next = {
		.n = want->n,
		.mode = want->has_base ? WORKSPACE_OVERLAY : WORKSPACE_PLAIN,
		.has_lower = want->has_base,
		.lower = want->base,
		.since = now_ms() / 1000,
		.carry = ws->now.n > 0,
	};
	bool first = ws->now.n == 0 && !want->has_base;
	int r = first ? workspace_disk_make(ws->dir, e)
		      : workspace_disk_reset(ws->dir, &ws->now, e);

	if (r < 0 || !first)
		return r < 0 ? r : set_state(ws, &next, e);
	/* Without a state the next boot would do the same. */
	ws->now = next;
	ws->save_due = true;
	return 0;
}

/* Make what is on the disk what the host wants. */
static int prepare(struct workspace *ws, struct err *e)
{
	int r = ws->want.n == ws->now.n ? workspace_disk_make(ws->dir, e)
					: begin_anew(ws, e);

	return r < 0 || ws->now.carry ? r : workspace_disk_drop_old(ws->dir, e);
}

/* A workspace begun anew takes over what is ignored, as far as that goes.
 * @below: the new files, or -1 when they are in upper/. */
static int take_over_ignored(struct workspace *ws, int below, struct err *e)
{
	struct workspace_state next = ws->now;
	struct err why = {0};
	int n;

	if (!ws->now.carry)
		return 0;
	n = carry_over(ws->dir, below, &why);
	if (n < 0)
		log_warn("ignored files: %s, continuing without", why.msg);
	else if (n > 0)
		log_info("%d ignored files or folders taken over", n);
	next.carry = false;
	if (set_state(ws, &next, e) < 0)
		return e->code;
	return workspace_disk_drop_old(ws->dir, e);
}

static void trash_work(uv_work_t *w)
{
	struct workspace *ws = container_of(w, struct workspace, trash);

	workspace_disk_empty_trash(ws->dir, &ws->closing);
}

static void trash_after(uv_work_t *w, int status)
{
	(void)w;
	(void)status;
}

/* Files that have a name in passing may be below a bind, too. */
static void sweep_passing(const struct workspace *ws)
{
	autoclose int root =
		open(ws->spec.at, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root >= 0)
		vfs_passing_sweep(ws->passing, root);
}

static void settle_work(uv_work_t *w)
{
	struct workspace *ws = container_of(w, struct workspace, settle);
	const struct want *want = &ws->want;

	for (unsigned i = 0; i < want->n_binds && ws->err.code == 0; i++)
		(void)workspace_bind(i, want->binds[i], &ws->err);
	if (ws->err.code == 0)
		sweep_passing(ws);
}

/* Whoever waits for the mount does not wait for what nothing depends on yet. */
static void mount_over(struct workspace *ws)
{
	const struct workspace_state first = ws->now;
	bool due = ws->save_due;
	struct err e = {0};

	ws->save_due = false;
	sideloop_end(&ws->job);
	if (due && workspace_state_save(ws->dir, &first, &e) < 0)
		log_warn("%s, continuing without", e.msg);
}

static void settle_after(uv_work_t *w, int status)
{
	struct workspace *ws = container_of(w, struct workspace, settle);

	(void)status;
	if (ws->err.code == 0)
		(void)uv_queue_work(sideloop_loop(ws->side), &ws->trash,
				    trash_work, trash_after);
	mount_over(ws);
}

/* ws->err says how it went so far.  Threads of the pool stay for good, so there
 * are none of them for nothing. */
static void mount_end(struct workspace *ws)
{
	bool busy = ws->want.n_binds > 0 || vfs_passing_any(ws->passing) ||
		    workspace_disk_has_trash(ws->dir);

	if (ws->err.code < 0 || !busy)
		mount_over(ws);
	else
		(void)uv_queue_work(sideloop_loop(ws->side), &ws->settle,
				    settle_work, settle_after);
}

static void mount_plain(struct workspace *ws)
{
	if (take_over_ignored(ws, -1, &ws->err) == 0)
		(void)workspace_mount_plain(ws->dir, ws->spec.at, &ws->err);
	mount_end(ws);
}

static void sweep(struct workspace *ws)
{
	/* A checkout that was killed has left files in work/. */
	if (checkout_sweep(ws->dir, &ws->err) < 0 ||
	    workspace_disk_drop_work(ws->dir, &ws->err) < 0 ||
	    set_mode(ws, WORKSPACE_PLAIN, &ws->err) < 0)
		mount_end(ws);
	else
		mount_plain(ws);
}

static void checkout_on_done(const struct err *e, void *arg)
{
	struct workspace *ws = arg;

	if (e != NULL)
		ws->err = *e;
	if (e != NULL || set_mode(ws, WORKSPACE_SWEEP, &ws->err) < 0)
		mount_end(ws);
	else
		sweep(ws);
}

static void check_out(struct workspace *ws)
{
	const struct checkout_spec spec = {
		.uplink = ws->uplink,
		.dir = ws->dir,
		.commit = ws->now.lower,
		.owner = idmap_agent(),
		.done = checkout_on_done,
		.arg = ws,
	};

	if (checkout_start(&spec, &ws->err) < 0)
		mount_end(ws);
}

/* Without FUSE, or without overlay: all files are put into upper/. */
static void do_without_overlay(struct workspace *ws, const struct err *why)
{
	log_info("checking all files out, as there is no overlay: %s",
		 why->msg);
	if (set_mode(ws, WORKSPACE_CHECKOUT, &ws->err) < 0)
		mount_end(ws);
	else
		check_out(ws);
}

static void overlay_work(uv_work_t *w)
{
	struct workspace *ws = container_of(w, struct workspace, overlay);
	const struct workspace_overlay o = {
		.vfs = ws->spec.vfs,
		.lower = ws->spec.lower,
		.at = ws->spec.at,
		.commit = ws->now.lower,
	};
	autoclose int below = workspace_open_lower(&o);

	if (take_over_ignored(ws, below, &ws->err) == 0)
		(void)workspace_mount_overlay(&o, &ws->err);
}

static void overlay_after(uv_work_t *w, int status)
{
	struct workspace *ws = container_of(w, struct workspace, overlay);
	struct err why = ws->err;

	(void)status;
	if (why.code != -EOPNOTSUPP) {
		mount_end(ws);
		return;
	}
	ws->err = (struct err){0};
	do_without_overlay(ws, &why);
}

static int serve_lower(struct workspace *ws, struct err *e)
{
	const struct vfs_lower_spec spec = {
		.ops = &source_ops,
		.source = ws->uplink,
		.uid = idmap_agent(),
		.gid = idmap_agent(),
		.mtime = ws->now.since,
		.cache = ws->cache,
	};
	int fuse = take_fd(&ws->spec.fuse_fd);

	if (ws->lower != NULL)
		return 0;
	if (fuse < 0)
		return err_set(e, -EOPNOTSUPP, "no /dev/fuse");
	return vfs_lower_open(sideloop_loop(ws->side), fuse, ws->spec.lower,
			      &spec, &ws->lower, e);
}

static void mount_overlay(struct workspace *ws)
{
	struct err why = {0};

	if (serve_lower(ws, &why) < 0)
		do_without_overlay(ws, &why);
	else
		(void)uv_queue_work(sideloop_loop(ws->side), &ws->overlay,
				    overlay_work, overlay_after);
}

static void workspace_mount_run(struct sideloop_job *job)
{
	struct workspace *ws = container_of(job, struct workspace, job);
	static void (*const go_on[])(struct workspace *) = {
		[WORKSPACE_PLAIN] = mount_plain,
		[WORKSPACE_OVERLAY] = mount_overlay,
		[WORKSPACE_CHECKOUT] = check_out,
		[WORKSPACE_SWEEP] = sweep,
	};

	if (prepare(ws, &ws->err) < 0)
		mount_end(ws);
	else
		go_on[ws->now.mode](ws);
}

static void lower_on_closed(void *arg)
{
	(void)arg;
}

static void workspace_on_stop(void *arg)
{
	struct workspace *ws = arg;

	/* First who asks, then who is asked. */
	if (ws->lower != NULL)
		vfs_lower_close(ws->lower, lower_on_closed, NULL);
	uplink_close(take_ptr(ws->uplink));
}

/* --- on the main loop --- */

static void workspace_mount_done(struct sideloop_job *job)
{
	struct workspace *ws = container_of(job, struct workspace, job);
	bool failed;

	if (atomic_load(&ws->closing))
		err_set(&ws->err, -ECANCELED, "the guest is ending");
	failed = ws->err.code < 0;
	ws->state = ws->now;
	ws->mounting = false;
	ws->mounted = !failed;
	if (!failed)
		log_info("generation %lld, %s", (long long)ws->state.n,
			 workspace_mode_names[ws->state.mode]);
	ws->cb(failed ? &ws->err : NULL, ws->arg);
}

static int read_base(struct jv base, struct want *out, struct err *e)
{
	char hex[VFS_OID_HEX];

	out->has_base = jv_has(base) && !jv_is(base, JV_NULL);
	if (out->has_base && (jv_strcpy(base, hex, sizeof(hex)) < 0 ||
			      vfs_oid_parse(hex, &out->base) < 0))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace: base is no id of a commit");
	return 0;
}

static int read_binds(struct jv mounts, struct want *out, struct err *e)
{
	if (jv_count(mounts) > BINDS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace: more than %d mounts", BINDS_MAX);
	for (struct jv v = jv_first(mounts); jv_has(v);
	     v = jv_next(mounts, v)) {
		char *at = out->binds[out->n_binds++];

		if (jv_strcpy(jv_get(v, "at"), at, BIND_PATH_MAX + 1) < 2 ||
		    at[0] != '/')
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "workspace: a mount without a path");
	}
	return 0;
}

static int read_want(const struct workspace *ws, struct jv v, struct want *out,
		     struct err *e)
{
	int r;

	*out = (struct want){.n = ws->state.n > 0 ? ws->state.n : 1};
	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	out->n = jv_int(jv_get(v, "n"), 0);
	if (out->n <= 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace: n is no number above 0");
	r = read_base(jv_get(v, "base"), out, e);
	return r < 0 ? r : read_binds(jv_get(v, "mounts"), out, e);
}

int workspace_mount(struct workspace *ws, struct jv want,
		    void (*cb)(const struct err *e, void *arg), void *arg,
		    struct err *e)
{
	int r;

	if (ws->mounting || ws->mounted)
		return err_set(e, -EALREADY, "workspace: mounted before");
	r = read_want(ws, want, &ws->want, e);
	if (r < 0)
		return r;
	ws->mounting = true;
	ws->now = ws->state;
	ws->err = (struct err){0};
	ws->cb = cb;
	ws->arg = arg;
	ws->job.run = workspace_mount_run;
	ws->job.done = workspace_mount_done;
	sideloop_post(ws->side, &ws->job);
	return 0;
}

void workspace_stay(struct workspace *ws)
{
	assert(ws->state.mode == WORKSPACE_PLAIN);
	ws->mounted = true;
}

bool workspace_is_mounted(const struct workspace *ws)
{
	return ws->mounted;
}

const struct workspace_state *workspace_state(const struct workspace *ws)
{
	return &ws->state;
}

void workspace_write(const struct workspace *ws, struct jw *w)
{
	const struct workspace_state *s = &ws->state;
	char hex[VFS_OID_HEX];

	jw_key(w, "workspace");
	jw_obj(w);
	jw_kint(w, "n", s->n);
	jw_kstr(w, "mode", workspace_mode_names[s->mode]);
	jw_kstr(w, "lower",
		s->has_lower ? vfs_oid_format(&s->lower, hex) : NULL);
	jw_obj_end(w);
}

void workspace_run(struct workspace *ws, struct sideloop_job *job)
{
	sideloop_post(ws->side, job);
}

uv_loop_t *workspace_loop(struct workspace *ws)
{
	return sideloop_loop(ws->side);
}

struct uplink *workspace_uplink(struct workspace *ws)
{
	return ws->uplink;
}

int workspace_dir(const struct workspace *ws)
{
	return ws->dir;
}

int workspace_passing(const struct workspace *ws)
{
	return ws != NULL ? ws->passing : -1;
}

/* --- life --- */

void workspace_close(struct workspace *ws)
{
	if (ws == NULL)
		return;
	atomic_store(&ws->closing, true);
	sideloop_close(ws->side, workspace_on_stop, ws);
	close_fd(&ws->spec.fuse_fd);
	close_fd(&ws->passing);
	close_fd(&ws->dir);
	free(ws);
}

static int open_all(struct workspace *ws, struct err *e)
{
	int r;

	ws->dir = open(ws->spec.vfs,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ws->dir < 0)
		return fail(e, "open", ws->spec.vfs);
	/* A full disk must not keep a VM from booting. */
	ws->passing = vfs_passing_open(ws->dir, idmap_agent());
	if (ws->passing < 0)
		log_warn("names in passing: %s, continuing without",
			 strerror(-ws->passing));
	r = workspace_state_load(ws->dir, &ws->state, e);
	if (r == 0)
		r = sideloop_open(ws->spec.loop, &ws->side, e);
	if (r < 0)
		return r;
	snprintf(ws->cache, sizeof(ws->cache), "%s/cache", ws->spec.vfs);
	r = uplink_open(sideloop_loop(ws->side), ws->spec.host, &ws->uplink, e);
	return r < 0 ? r : sideloop_start(ws->side, e);
}

int workspace_open(const struct workspace_spec *spec, struct workspace **out,
		   struct err *e)
{
	struct workspace *ws = calloc(1, sizeof(*ws));
	int r;

	if (ws == NULL)
		return err_set(e, -ENOMEM, "workspace: out of memory");
	ws->spec = *spec;
	ws->dir = ws->passing = -1;
	r = open_all(ws, e);
	if (r < 0) {
		workspace_close(ws);
		return r;
	}
	*out = ws;
	return 0;
}
