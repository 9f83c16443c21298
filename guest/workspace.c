// SPDX-License-Identifier: Apache-2.0
/*
 * workspace.c - /workspace: what it is made of, and its thread
 *
 * Mounting is one job of the second loop, which has nothing else to do until
 * then: it may block.
 */
#include "guest/workspace.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "core/log.h"
#include "guest/limits.h"
#include "guest/workspace_disk.h"

#define LOG_COMPONENT "workspace"

/* What the host asks for. */
struct want {
	int64_t n;
	bool has_base;
	struct vfs_oid base;
};

struct workspace {
	struct workspace_spec spec;
	int dir; /* Of spec.vfs. */
	struct workspace_state state;
	bool mounted;
	struct sideloop *side;
	struct uplink *uplink; /* Of the second loop. */

	/* While it is being mounted. */
	struct sideloop_job job;
	bool mounting;
	struct want want;
	struct workspace_state now; /* Of the second loop; state follows. */
	struct err err;
	void (*cb)(const struct err *e, void *arg);
	void *arg;

	uv_work_t trash; /* On the second loop. */
	volatile bool closing;
};

/* --- on the second loop --- */

static int fail(struct err *e, const char *verb, const char *path)
{
	int code = -errno;

	return err_set(e, code, "workspace: %s %s: %s", verb, path,
		       strerror(-code));
}

static int begin_anew(struct workspace *ws, struct err *e)
{
	struct workspace_state next = {.n = ws->want.n};
	bool adopt = ws->now.n == 0; /* Whoever made the VM put files there. */
	int r = adopt ? workspace_disk_make(ws->dir, e)
		      : workspace_disk_reset(ws->dir, e);

	if (r == 0)
		r = workspace_state_save(ws->dir, &next, e);
	if (r == 0)
		ws->now = next;
	return r;
}

/* Make what is on the disk what the host wants. */
static int prepare(struct workspace *ws, struct err *e)
{
	int r = ws->want.n == ws->now.n ? workspace_disk_make(ws->dir, e)
					: begin_anew(ws, e);

	return r < 0 ? r : workspace_disk_drop_old(ws->dir, e);
}

static int mount_plain(const struct workspace *ws, struct err *e)
{
	autoclose int tree = open_tree(ws->dir, "upper",
				       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					       AT_SYMLINK_NOFOLLOW);

	if (tree < 0)
		return fail(e, "open", "upper");
	if (move_mount(tree, "", AT_FDCWD, ws->spec.at,
		       MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(e, "mount", ws->spec.at);
	return 0;
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

static void workspace_mount_run(struct sideloop_job *job)
{
	struct workspace *ws = container_of(job, struct workspace, job);

	if (prepare(ws, &ws->err) == 0 && mount_plain(ws, &ws->err) == 0)
		(void)uv_queue_work(sideloop_loop(ws->side), &ws->trash,
				    trash_work, trash_after);
	sideloop_end(job);
}

static void workspace_on_stop(void *arg)
{
	struct workspace *ws = arg;

	uplink_close(ws->uplink);
}

/* --- on the main loop --- */

static void workspace_mount_done(struct sideloop_job *job)
{
	struct workspace *ws = container_of(job, struct workspace, job);
	bool failed;

	if (ws->closing)
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

static int read_want(const struct workspace *ws, struct jv v, struct want *out,
		     struct err *e)
{
	struct jv base = jv_get(v, "base");
	char hex[VFS_OID_HEX];

	*out = (struct want){.n = ws->state.n > 0 ? ws->state.n : 1};
	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	out->n = jv_int(jv_get(v, "n"), 0);
	if (out->n <= 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace: n is no number above 0");
	out->has_base = jv_has(base) && !jv_is(base, JV_NULL);
	if (out->has_base && (jv_strcpy(base, hex, sizeof(hex)) < 0 ||
			      vfs_oid_parse(hex, &out->base) < 0))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace: base is no id of a commit");
	return 0;
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

struct uplink *workspace_uplink(struct workspace *ws)
{
	return ws->uplink;
}

int workspace_dir(const struct workspace *ws)
{
	return ws->dir;
}

/* --- life --- */

void workspace_close(struct workspace *ws)
{
	if (ws == NULL)
		return;
	ws->closing = true;
	sideloop_close(ws->side, workspace_on_stop, ws);
	close_fd(&ws->dir);
	free(ws);
}

static int open_all(struct workspace *ws, struct err *e)
{
	char path[PATH_MAX];
	int r;

	ws->dir = open(ws->spec.vfs,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ws->dir < 0)
		return fail(e, "open", ws->spec.vfs);
	r = workspace_state_load(ws->dir, &ws->state, e);
	if (r == 0)
		r = sideloop_open(ws->spec.loop, &ws->side, e);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/host.sock", ws->spec.run);
	r = uplink_open(sideloop_loop(ws->side), path, &ws->uplink, e);
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
	ws->dir = -1;
	r = open_all(ws, e);
	if (r < 0) {
		workspace_close(ws);
		return r;
	}
	*out = ws;
	return 0;
}
