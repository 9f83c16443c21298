// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint.c - A checkpoint on its way from a guest into the repository
 *
 * The body is one line of JSON and a change set.  What arrives is collected; a
 * piece of CHECKPOINT_PIECE bytes, or the rest at the end, is one job.  The first
 * job begins the commit and takes the lane, the last one ends it, and then the
 * bytes of the pieces between are given back to the stream's window: so a guest
 * never has more than a window of memory of ours for each of its checkpoints.
 *
 *	COLLECT --piece--> WORK --more--> COLLECT
 *	   |                 '--done--> ANSWERED
 *	   '--- refused, failed, late: ANSWERED, or reset
 *
 * A small one is one job.  A guest that leaves or stalls in the middle loses
 * it: the repository has nothing of a checkpoint before its last byte.  The lane
 * is its only as long as a piece takes at most CHECKPOINT_PIECE_MS to come.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/time.h"
#include "host/daemon/objects_impl.h"
#include "vfs/artifacts.h"
#include "vfs/commit.h"
#include "vfs/diff.h"

#define LOG_COMPONENT "checkpoint"

enum phase { COLLECT, WORK, ANSWERED };

/* What its first line says. */
struct head {
	struct vfs_oid base, diff_from;
	bool has_base, has_diff_from, wants_diff;
	char session[ID_MAX], turn[ID_MAX], reason[16];
	int64_t n, seq;
};

struct checkpoint {
	struct depot_job job;
	struct objects *owner;	  /* NULL once the stream has ended. */
	struct h2_stream *stream; /* The same. */
	struct depot *depot;
	enum phase phase;
	uv_timer_t late;
	struct head head;
	struct vfs_artifacts *artifacts; /* Or NULL: none are wanted. */
	bool got_head, fin, holds;
	uint64_t bytes;
	struct jw in; /* Not yet given to a job. */

	/* Of the job at work. */
	struct jw piece;
	bool last;
	struct vfs_commit *commit; /* NULL: not begun, or ended. */
	struct vfs_commit_result result;
	struct jw out; /* The answer. */
};

/* --- on a thread of the pool -------------------------------------------- */

static int commit_begin(struct checkpoint *c, struct vfs_repo *repo,
			struct err *e)
{
	const struct head *h = &c->head;
	const struct vfs_commit_spec spec = {
		.base = h->has_base ? &h->base : NULL,
		.session = h->session[0] ? h->session : NULL,
		.turn = h->turn[0] ? h->turn : NULL,
		.reason = h->reason,
		.n = h->n,
		.seq = h->seq,
		.time_ms = now_ms(),
	};

	return vfs_commit_begin(repo, &spec, &c->commit, e);
}

static void put_oid(struct jw *w, const char *key, const struct vfs_oid *oid)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, key, oid != NULL ? vfs_oid_format(oid, hex) : NULL);
}

/* What the turn has changed.  The commit is made: without this it is one all
 * the same. */
static void put_diff(struct checkpoint *c, struct vfs_repo *repo)
{
	const struct head *h = &c->head;
	autojw struct jw files = {0};
	struct vfs_diff_stats stats = {0};
	struct err e = {0};
	int r;

	if (!h->wants_diff || !c->result.has_commit)
		return;
	r = vfs_diff(repo, h->has_diff_from ? &h->diff_from : NULL,
		     &c->result.commit, &stats, &files, &e);
	if (r < 0)
		log_debug("diff: %s", e.msg);
	jw_kraw(&c->out, "files", r < 0 ? "[]" : files.buf);
	jw_kint(&c->out, "n_files", (int64_t)stats.n_files);
	jw_kbool(&c->out, "truncated", r < 0 || stats.truncated);
}

/* Those of its files that the session has patterns for; the same holds. */
static void put_artifacts(struct checkpoint *c, struct vfs_repo *repo)
{
	const struct head *h = &c->head;
	autojw struct jw list = {0};
	struct err e = {0};
	uint64_t more = 0;
	int r;

	if (c->artifacts == NULL || !h->wants_diff || !c->result.has_commit)
		return;
	r = vfs_artifacts_find(c->artifacts, repo,
			       h->has_diff_from ? &h->diff_from : NULL,
			       &c->result.commit, &list, &more, &e);
	if (r < 0)
		log_warn("%s: artifacts: %s", h->session, e.msg);
	else
		jw_kraw(&c->out, "artifacts", list.buf);
	if (more > 0)
		log_warn("%s: %llu artifacts too many are left out", h->session,
			 (unsigned long long)more);
}

static int commit_end(struct checkpoint *c, struct vfs_repo *repo,
		      struct err *e)
{
	int r = vfs_commit_end(c->commit, &c->result, e);

	if (r < 0)
		return r;
	jw_obj(&c->out);
	put_oid(&c->out, "commit",
		c->result.has_commit ? &c->result.commit : NULL);
	put_oid(&c->out, "parent",
		c->result.has_parent ? &c->result.parent : NULL);
	jw_kbool(&c->out, "changed", c->result.changed);
	put_diff(c, repo);
	put_artifacts(c, repo);
	jw_obj_end(&c->out);
	return c->out.failed ? err_set(e, -ENOMEM, "checkpoint: out of memory")
			     : 0;
}

static int piece_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct checkpoint *c = container_of(j, struct checkpoint, job);
	int r = 0;

	if (c->commit == NULL)
		r = commit_begin(c, repo, e);
	if (r == 0 && c->piece.len > 0)
		r = vfs_commit_feed(c->commit, c->piece.buf, c->piece.len, e);
	if (r == 0 && c->last)
		r = commit_end(c, repo, e);
	if (r < 0 || c->last) {
		vfs_commit_free(c->commit);
		c->commit = NULL;
	}
	return r;
}

static int drop_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct checkpoint *c = container_of(j, struct checkpoint, job);

	(void)repo;
	(void)e;
	vfs_commit_free(take_ptr(c->commit));
	return 0;
}

/* --- on the loop -------------------------------------------------------- */

static void checkpoint_on_closed(uv_handle_t *h)
{
	struct checkpoint *c = h->data;

	jw_done(&c->in);
	jw_done(&c->piece);
	jw_done(&c->out);
	vfs_artifacts_free(c->artifacts);
	free(c);
}

/* After a job, for the next one. */
static void keep_lane(struct checkpoint *c)
{
	if (!c->holds)
		depot_hold(c->depot);
	c->holds = true;
}

/* A job that was cancelled has left its commit. */
static void give_lane_back(struct checkpoint *c)
{
	vfs_commit_free(take_ptr(c->commit));
	if (c->holds)
		depot_release(c->depot);
	c->holds = false;
}

/* Nothing runs and nobody listens. */
static void checkpoint_free(struct checkpoint *c)
{
	give_lane_back(c);
	uv_close((uv_handle_t *)&c->late, checkpoint_on_closed);
}

static void drop_on_done(struct depot_job *j, const struct err *e)
{
	(void)e;
	checkpoint_free(container_of(j, struct checkpoint, job));
}

/* Give up what has been begun. */
static void checkpoint_drop(struct checkpoint *c)
{
	if (c->commit == NULL) {
		checkpoint_free(c);
		return;
	}
	c->job.work = drop_work;
	c->job.done = drop_on_done;
	depot_next(c->depot, &c->job);
}

static void checkpoint_on_late(uv_timer_t *t)
{
	struct checkpoint *c = t->data;

	if (c->phase != ANSWERED)
		log_warn("%s: a checkpoint has stalled, given up",
			 c->owner->vm);
	h2_reset(c->stream);
}

static void checkpoint_wait(struct checkpoint *c)
{
	uv_timer_start(&c->late, checkpoint_on_late, CHECKPOINT_PIECE_MS, 0);
}

/* Answer with an error.  What still comes is read, for a while, and dropped: a
 * client may look for the answer only when it has said all. */
static void checkpoint_refuse(struct checkpoint *c, const struct err *e)
{
	c->phase = ANSWERED;
	objects_refuse(c->stream, e);
	h2_consume(c->stream, c->in.len);
	jw_reset(&c->in);
	checkpoint_wait(c);
}

static void checkpoint_answer(struct checkpoint *c)
{
	struct objects *o = c->owner;

	c->phase = ANSWERED;
	uv_timer_stop(&c->late);
	h2_reply(c->stream, 200, c->out.buf, c->out.len);
	if (c->result.changed)
		o->ev->committed(&c->result.commit, o->arg);
}

static void checkpoint_go(struct checkpoint *c);

static void piece_on_done(struct depot_job *j, const struct err *e)
{
	struct checkpoint *c = container_of(j, struct checkpoint, job);
	size_t n = c->piece.len;

	if (e->code == 0 && !c->last)
		keep_lane(c);
	else
		give_lane_back(c);
	jw_reset(&c->piece);
	if (c->stream == NULL) {
		checkpoint_drop(c);
		return;
	}
	h2_consume(c->stream, n);
	if (e->code < 0) {
		log_info("%s: checkpoint: %s", c->owner->vm, e->msg);
		checkpoint_refuse(c, e);
	} else if (c->last) {
		checkpoint_answer(c);
	} else {
		c->phase = COLLECT;
		checkpoint_wait(c);
		checkpoint_go(c);
	}
}

/* Is there a piece to work on? */
static void checkpoint_go(struct checkpoint *c)
{
	struct jw empty = c->piece;

	if (c->phase != COLLECT || !c->got_head ||
	    (!c->fin && c->in.len < CHECKPOINT_PIECE))
		return;
	uv_timer_stop(&c->late);
	c->phase = WORK;
	c->piece = c->in;
	c->in = empty;
	c->last = c->fin;
	c->job.work = piece_work;
	c->job.done = piece_on_done;
	if (c->holds)
		depot_next(c->depot, &c->job);
	else
		depot_write(c->depot, &c->job);
}

/* --- the first line ----------------------------------------------------- */

/* A commit or null. */
static int read_oid(struct jv head, const char *key, struct vfs_oid *out,
		    bool *has, struct err *e)
{
	struct jv v = jv_get(head, key);
	char hex[VFS_OID_HEX];

	*has = jv_has(v) && !jv_is(v, JV_NULL);
	if (*has &&
	    (jv_strcpy(v, hex, sizeof(hex)) < 0 || vfs_oid_parse(hex, out) < 0))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "checkpoint: '%s' is no commit", key);
	return 0;
}

/* An id or null. */
static int read_id(struct jv head, const char *key, const char *prefix,
		   char out[ID_MAX], struct err *e)
{
	struct jv v = jv_get(head, key);

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	if (jv_strcpy(v, out, ID_MAX) < 0 || !id_is(out, prefix))
		return err_set(e, -FAULT_INVALID_ID,
			       "checkpoint: '%s' is no id", key);
	return 0;
}

static int read_reason(struct jv head, char out[16], struct err *e)
{
	static const char *const reasons[] = {"turn", "sleep", "request",
					      "late"};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (!jv_eq(jv_get(head, "reason"), reasons[i]))
			continue;
		snprintf(out, 16, "%s", reasons[i]);
		return 0;
	}
	return err_set(e, -FAULT_INVALID_ARGUMENT, "checkpoint: no reason");
}

static int read_head(struct jv j, struct head *h, struct err *e)
{
	int r = read_oid(j, "base", &h->base, &h->has_base, e);

	if (r == 0)
		r = read_oid(j, "diff_from", &h->diff_from, &h->has_diff_from,
			     e);
	if (r == 0)
		r = read_id(j, "session", "ses", h->session, e);
	if (r == 0)
		r = read_id(j, "turn", "trn", h->turn, e);
	if (r == 0)
		r = read_reason(j, h->reason, e);
	h->n = jv_int(jv_get(j, "n"), 0);
	h->seq = jv_int(jv_get(j, "seq"), 0);
	if (r == 0 && (h->n < 0 || h->seq < 0 ||
		       (h->turn[0] != '\0' && h->session[0] == '\0')))
		r = err_set(e, -FAULT_INVALID_ARGUMENT,
			    "checkpoint: whose turn?");
	h->wants_diff = h->turn[0] != '\0' && jv_has(jv_get(j, "diff_from"));
	return r;
}

/* A guest commits for its own sessions. */
static int check_session(const struct checkpoint *c, struct err *e)
{
	const struct objects *o = c->owner;
	struct session_brief b;
	int r;

	if (c->head.session[0] == '\0')
		return 0;
	r = reader_session(o->spec.reader, c->head.session, &b, e);
	if (r == 0 && strcmp(b.vm_id, o->vm) != 0)
		r = err_set(e, -FAULT_SESSION_NOT_FOUND,
			    "session %s is not here", c->head.session);
	return r;
}

/* The patterns of the session; those that do not read are none. */
static void load_artifacts(struct checkpoint *c)
{
	const char *args[] = {c->head.session, NULL};
	autofree char *patterns = NULL;
	autojson struct json j = {0};
	struct err e = {0};

	if (!c->head.wants_diff ||
	    reader_value(c->owner->spec.reader,
			 "SELECT json_extract(config,'$.artifacts') "
			 "FROM session WHERE id=?1",
			 args, &patterns, &e) <= 0 ||
	    patterns == NULL || patterns[0] == '\0')
		return;
	if (json_parse(&j, patterns, strlen(patterns), &e) < 0 ||
	    vfs_artifacts_new(json_root(&j), &c->artifacts, &e) < 0)
		log_warn("%s: %s", c->head.session, e.msg);
}

/* Cut the first line off what has come. */
static int take_head(struct checkpoint *c, struct err *e)
{
	char *lf = c->in.len > 0 ? memchr(c->in.buf, '\n', c->in.len) : NULL;
	size_t n = lf != NULL ? (size_t)(lf - c->in.buf) + 1 : c->in.len;
	autojson struct json j = {0};
	int r;

	if (n > CHECKPOINT_HEAD_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "checkpoint: its first line is too long");
	if (lf == NULL)
		return c->fin ? err_set(e, -FAULT_BAD_FRAME,
					"checkpoint: it is empty")
			      : 0;
	r = json_parse(&j, c->in.buf, n, e);
	if (r < 0) {
		e->code = -FAULT_BAD_FRAME;
		return e->code;
	}
	r = read_head(json_root(&j), &c->head, e);
	if (r == 0)
		r = check_session(c, e);
	if (r < 0)
		return r;
	load_artifacts(c);
	memmove(c->in.buf, c->in.buf + n, c->in.len - n);
	c->in.len -= n;
	h2_consume(c->stream, n);
	c->got_head = true;
	return 0;
}

/* --- the stream --------------------------------------------------------- */

static void checkpoint_come(struct checkpoint *c)
{
	struct err e = {0};

	if (c->phase != ANSWERED && !c->got_head && take_head(c, &e) < 0)
		checkpoint_refuse(c, &e);
	else
		checkpoint_go(c);
}

static void checkpoint_on_data(struct h2_stream *s, char *data, size_t n,
			       void *arg)
{
	struct checkpoint *c = arg;

	c->bytes += n;
	if (c->bytes > CHECKPOINT_BYTES_MAX) {
		h2_reset(s);
		return;
	}
	if (c->phase == ANSWERED) {
		h2_consume(s, n);
		return;
	}
	jw_lit(&c->in, data, n);
	if (c->in.failed)
		h2_reset(s);
	else
		checkpoint_come(c);
}

static void checkpoint_on_fin(struct h2_stream *s, void *arg)
{
	struct checkpoint *c = arg;

	(void)s;
	c->fin = true;
	checkpoint_come(c);
}

static void checkpoint_on_end(struct h2_stream *s, int r, void *arg)
{
	struct checkpoint *c = arg;

	(void)s;
	if (r < 0 && c->phase != ANSWERED)
		log_debug("%s: checkpoint: %s", c->owner->vm, strerror(-r));
	c->owner->checkpoints--;
	c->owner = NULL;
	c->stream = NULL;
	uv_timer_stop(&c->late);
	if (c->phase != WORK) /* Else the end of its job sees to it. */
		checkpoint_drop(c);
}

static const struct h2_stream_events checkpoint_events = {
	.data = checkpoint_on_data,
	.fin = checkpoint_on_fin,
	.end = checkpoint_on_end,
};

static void refused_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s, (void)r, (void)arg;
}

static const struct h2_stream_events refused_events = {.end = refused_on_end};

void checkpoint_begin(struct objects *o, struct h2_stream *s)
{
	struct checkpoint *c = NULL;
	struct err e = {0};

	if (o->checkpoints < CHECKPOINTS_MAX)
		c = calloc(1, sizeof(*c));
	if (c == NULL) {
		h2_stream_set(s, &refused_events, NULL);
		err_set(&e, -FAULT_OVERLOADED, "%d checkpoints are under way",
			CHECKPOINTS_MAX);
		objects_refuse(s, &e);
		return;
	}
	o->checkpoints++;
	c->owner = o;
	c->stream = s;
	c->depot = o->spec.depot;
	uv_timer_init(o->spec.loop, &c->late);
	c->late.data = c;
	h2_stream_set(s, &checkpoint_events, c);
	checkpoint_wait(c);
}
