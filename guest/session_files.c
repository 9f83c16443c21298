// SPDX-License-Identifier: Apache-2.0
/*
 * session_files.c - Sessions: what a turn does to the workspace
 *
 *	agent answers --> SETTLING --checkpoint--> turn.diff, terminal event
 *	                     |
 *	                     '--too long, cancelled--> terminal event alone,
 *	                               the diff later with ctx.late
 *
 * When the agent has answered its prompt the turn stays open until the host has
 * a commit of what it left, for WORKSPACE_TURN_MS at most.  What the agent says
 * in that time is late, as it is afterwards.  Then turn.diff, if anything
 * changed, artifact.created for each file that the session has asked for, the
 * terminal event with the commit, and the move to idle share a batch.  Whoever
 * ends a turn in that time ends it as the agent has answered.  The commit of the
 * answer itself is put off for WORKSPACE_LINGER_MS, so that of a turn that has
 * changed no file both are one.
 *
 * A turn that ends otherwise (its agent died, was killed, or sleeps) waits for
 * nothing: once the agent is gone, a checkpoint is made, and its diff is late.
 * So is that of a turn whose host was away; it is tried again until the next
 * checkpoint has taken its place.
 *
 * What the last boot has left uncommitted, of whichever turns, is committed once
 * the guest serves.
 *
 * What changed between turns is no turn's: when somebody else has written, or a
 * checkpoint is under way, the agent gets its prompt after one more.
 */
#include <string.h>

#include "core/log.h"
#include "guest/limits.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

/* A checkpoint for a turn.  Its session may be gone when it is done. */
struct turn_files {
	struct checkpoint c;
	struct guest *guest;
};

static bool has_files(const struct guest *g)
{
	return g->checkpoints != NULL && workspace_is_mounted(g->workspace);
}

static struct session *find_loaded(struct guest *g, const char *id)
{
	struct session *s;

	TAILQ_FOREACH (s, &g->sessions, link)
		if (strcmp(s->id, id) == 0)
			break;
	return s;
}

static struct turn_files *new_files(struct session *s, const char *reason)
{
	struct turn_files *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->guest = s->guest;
	f->c.reason = reason;
	f->c.wait_ms = WORKSPACE_HOST_MS;
	f->c.seq = s->journal.last_seq;
	memcpy(f->c.session, s->id, ID_MAX);
	return f;
}

static void files_free(struct turn_files *f)
{
	checkpoint_done(&f->c);
	free(f);
}

/*
 * Events.
 */

static bool has_diff(struct jv answer)
{
	return jv_int(jv_get(answer, "n_files"), 0) > 0;
}

/* One of the files that the session has asked for, as the host tells it. */
static void record_artifact(struct session *s, struct jv file, const char *ctx)
{
	static const char *const keys[] = {"name",     "name_b64", "path",
					   "path_b64", "oid",	   "size",
					   "sha256"};
	autojw struct jw w = {0};
	char id[ID_MAX];

	id_new(id, "art");
	jw_obj(&w);
	jw_kstr(&w, "id", id);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (jv_has(jv_get(file, keys[i])))
			jw_kvalue(&w, keys[i], jv_get(file, keys[i]));
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "artifact.created", ctx, &w);
}

static void record_artifacts(struct session *s, struct jv list, const char *ctx)
{
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v))
		record_artifact(s, v, ctx);
}

/* @ctx: of the event.  Nothing, when no file differs. */
static void record_diff(struct session *s, const struct checkpoint *c,
			const char *ctx)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	char hex[VFS_OID_HEX];
	struct jv answer;

	if (c->answer == NULL ||
	    json_parse(&j, c->answer, c->answer_len, NULL) < 0)
		return;
	answer = json_root(&j);
	if (!has_diff(answer))
		return;
	jw_obj(&w);
	jw_kvalue(&w, "commit", jv_get(answer, "commit"));
	jw_kstr(&w, "parent",
		c->from.has ? vfs_oid_format(&c->from.oid, hex) : NULL);
	jw_kvalue(&w, "files", jv_get(answer, "files"));
	jw_kvalue(&w, "n_files", jv_get(answer, "n_files"));
	if (jv_bool(jv_get(answer, "truncated"), false))
		jw_kbool(&w, "truncated", true);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "turn.diff", ctx, &w);
	record_artifacts(s, jv_get(answer, "artifacts"), ctx);
}

static void record_late(struct guest *g, const struct checkpoint *c)
{
	autojw struct jw ctx = {0};
	struct session *s;
	struct err e = {0};

	if (c->answer == NULL || !c->wants_diff)
		return;
	if (session_find(g, c->session, &s, &e) < 0) {
		log_debug("%s: %s", c->session, e.msg);
		return;
	}
	if (s->lost || s->purging || s->purge != NULL)
		return;
	jw_obj(&ctx);
	jw_kstr(&ctx, "late", c->turn);
	jw_obj_end(&ctx);
	if (!ctx.failed)
		record_diff(s, c, ctx.buf);
	guest_sweep_later(g);
}

/*
 * Late ones.
 */

void session_late_again(struct guest *g)
{
	if (g->late_files != NULL)
		uv_timer_start(&g->late_timer, guest_on_late_files,
			       CHECKPOINT_AGAIN_MS, 0);
}

static void files_on_late(struct checkpoint *c, const struct err *e)
{
	struct turn_files *f = container_of(c, struct turn_files, c);
	struct guest *g = f->guest;

	if (e == NULL) {
		record_late(g, c);
	} else if (e->code == -FAULT_GUEST_UNREACHABLE &&
		   g->state < GUEST_FREEZING) {
		/* The newest of them tells of the others, too. */
		if (g->late_files != NULL)
			files_free(g->late_files);
		g->late_files = f;
		if (g->state == GUEST_SERVING)
			session_late_again(g);
		return;
	}
	files_free(f);
}

void session_retry_files(struct guest *g)
{
	struct turn_files *f = take_ptr(g->late_files);

	uv_timer_stop(&g->late_timer);
	if (f == NULL)
		return;
	f->c.reason = "late";
	f->c.wait_ms = UPLINK_WAIT_MS;
	f->c.done = files_on_late;
	checkpoint_start(g->checkpoints, &f->c);
}

void guest_on_late_files(uv_timer_t *t)
{
	session_retry_files(container_of(t, struct guest, late_timer));
}

void session_leftover_files(struct guest *g)
{
	struct turn_files *f = has_files(g) ? calloc(1, sizeof(*f)) : NULL;

	if (f == NULL)
		return;
	f->guest = g;
	f->c.reason = "late";
	f->c.wait_ms = UPLINK_WAIT_MS;
	f->c.done = files_on_late;
	checkpoints_doubt(g->checkpoints);
	checkpoint_start(g->checkpoints, &f->c);
}

static void rename_files(struct turn_files *f, const char *from, const char *to)
{
	if (f != NULL && strcmp(f->c.session, from) == 0)
		memcpy(f->c.session, to, ID_MAX);
}

void session_rename_files(struct guest *g, const char *from, const char *to)
{
	struct session *s;

	rename_files(g->late_files, from, to);
	TAILQ_FOREACH (s, &g->sessions, link)
		rename_files(s->files_due, from, to);
}

void session_drop_files(struct guest *g)
{
	if (g->late_files != NULL)
		files_free(take_ptr(g->late_files));
}

/* Of a turn that has ended without one: when its agent writes no more. */
void session_late_files(struct session *s)
{
	struct turn_files *f = take_ptr(s->files_due);

	if (f == NULL)
		return;
	f->c.done = files_on_late;
	checkpoint_start(s->guest->checkpoints, &f->c);
}

/*
 * The end of a turn.
 */

static struct turn_files *files_of_turn(struct session *s, const char *reason)
{
	struct turn_files *f = new_files(s, reason);

	if (f == NULL)
		return NULL;
	memcpy(f->c.turn, s->turn.id, ID_MAX);
	f->c.n = s->turn.n;
	f->c.wants_diff = true;
	f->c.knows_from = s->knows_from;
	f->c.from = s->files_from;
	return f;
}

static void session_on_too_long(uv_timer_t *t)
{
	struct session *s = t->data;

	log_info("%s: the turn ends before its files are kept", s->id);
	session_end_answered(s);
}

/* The walk takes its time, and may have found something. */
static void session_on_lingered(uv_timer_t *t)
{
	struct session *s = t->data;

	journal_linger(&s->journal, false);
	uv_timer_start(&s->timer, session_on_too_long,
		       WORKSPACE_TURN_MS - WORKSPACE_LINGER_MS, 0);
}

static void write_commit(struct session *s, const struct checkpoint_commit *c)
{
	char hex[VFS_OID_HEX];

	if (c->has)
		jw_kstr(&s->answered.data, "commit",
			vfs_oid_format(&c->oid, hex));
}

static void files_on_turn(struct checkpoint *c, const struct err *e)
{
	struct turn_files *f = container_of(c, struct turn_files, c);
	struct session *s = find_loaded(f->guest, c->session);
	autojw struct jw ctx = {0};
	bool in_time;

	if (e != NULL && e->code == -ECANCELED) {
		files_free(f);
		return;
	}
	in_time = s != NULL && s->answered.type != NULL &&
		  strcmp(s->turn.id, c->turn) == 0;

	if (e == NULL && in_time) {
		session_stamp_answered(s);
		turn_write_ctx(s->turn.input, s->turn.actor, &ctx);
		record_diff(s, c, ctx.failed ? NULL : ctx.buf);
		write_commit(s, &c->head);
	}
	if (in_time)
		session_end_answered(s);
	if (e == NULL && in_time)
		files_free(f);
	else
		files_on_late(c, e);
}

bool session_is_prompted(const struct session *s)
{
	return turn_is_open(&s->turn) && s->answered.type == NULL;
}

void session_stamp_answered(struct session *s)
{
	memcpy(s->journal.turn, s->turn.id, ID_MAX);
}

void session_answered(struct session *s, const char *type, struct jw *data)
{
	struct turn_files *f = NULL;

	jw_done(&s->answered.data);
	s->answered.type = type;
	s->answered.data = *data;
	*data = (struct jw){0};
	if (has_files(s->guest))
		f = files_of_turn(s, "turn");
	if (f == NULL) {
		session_end_answered(s);
		return;
	}
	f->c.done = files_on_turn;
	memcpy(s->journal.late, s->turn.id, ID_MAX);
	s->journal.turn[0] = '\0';
	/* Mostly nothing has changed, which is known at once. */
	journal_linger(&s->journal, true);
	uv_timer_start(&s->timer, session_on_lingered, WORKSPACE_LINGER_MS, 0);
	checkpoint_start(s->guest->checkpoints, &f->c);
}

void session_hurry_answered(struct session *s)
{
	uv_timer_start(&s->timer, session_on_too_long, 0, 0);
}

void session_turn_cut(struct session *s)
{
	if (!has_files(s->guest))
		return;
	if (s->files_due != NULL)
		files_free(s->files_due);
	s->files_due = files_of_turn(s, "late");
	if (s->agent == NULL || s->agent_dead)
		session_late_files(s);
}

void session_forget_files(struct session *s)
{
	jw_done(&s->answered.data);
	s->answered.type = NULL;
	free(take_ptr(s->held_prompt));
	if (s->files_due != NULL)
		files_free(take_ptr(s->files_due));
}

/*
 * The beginning.
 */

void session_send_held(struct session *s)
{
	autofree char *params = take_ptr(s->held_prompt);

	if (params == NULL)
		return;
	uv_timer_stop(&s->timer);
	session_send_prompt(s, params);
}

static void session_on_held_too_long(uv_timer_t *t)
{
	session_send_held(t->data);
}

static void files_on_before(struct checkpoint *c, const struct err *e)
{
	struct turn_files *f = container_of(c, struct turn_files, c);
	struct session *s = find_loaded(f->guest, c->session);

	if (s != NULL && s->held_prompt != NULL &&
	    strcmp(s->turn.id, c->turn) == 0) {
		s->knows_from = e == NULL;
		if (e == NULL)
			s->files_from = c->head;
		session_send_held(s);
	}
	files_free(f);
}

bool session_hold_prompt(struct session *s, const char *params)
{
	struct guest *g = s->guest;
	struct turn_files *f;

	s->knows_from = false;
	if (!has_files(g))
		return false;
	s->knows_from = checkpoints_head(g->checkpoints, &s->files_from);
	if (g->late_files == NULL && !checkpoints_are_due(g->checkpoints))
		return false;
	f = new_files(s, "request");
	s->held_prompt = f == NULL ? NULL : strdup(params);
	if (s->held_prompt == NULL) {
		free(f);
		return false;
	}
	memcpy(f->c.turn, s->turn.id, ID_MAX);
	f->c.done = files_on_before;
	session_retry_files(g);
	uv_timer_start(&s->timer, session_on_held_too_long, WORKSPACE_TURN_MS,
		       0);
	checkpoint_start(g->checkpoints, &f->c);
	return true;
}
