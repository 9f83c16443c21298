// SPDX-License-Identifier: Apache-2.0
/*
 * session.c - Sessions: the object, its states, small operations
 *
 * A session is in memory from its first use in a boot on.  It is loaded from
 * the rows that follow from its log, and never written anywhere but as events.
 *
 * A session that is closed, failed or expired leaves the memory once nothing of
 * it is on its way.
 */
#include "guest/session_impl.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "guest/sqlops.h"

#define LOG_COMPONENT "session"

const char *const session_state_names[SESSION_STATES] = {
	[SESSION_STARTING] = "starting",   [SESSION_IDLE] = "idle",
	[SESSION_RUNNING] = "running",	   [SESSION_WAITING] = "waiting",
	[SESSION_SUSPENDED] = "suspended", [SESSION_CLOSING] = "closing",
	[SESSION_CLOSED] = "closed",	   [SESSION_FAILED] = "failed",
	[SESSION_EXPIRED] = "expired",
};

/* Besides those of the model, starting ends as suspended when the VM sleeps or
 * was lost.  From suspended to what it was leads only the end of a pause. */
static const unsigned session_moves[SESSION_STATES] = {
	[SESSION_STARTING] = BIT(SESSION_IDLE) | BIT(SESSION_FAILED) |
			     BIT(SESSION_SUSPENDED) | BIT(SESSION_CLOSING) |
			     BIT(SESSION_EXPIRED),
	[SESSION_IDLE] = BIT(SESSION_RUNNING) | BIT(SESSION_SUSPENDED) |
			 BIT(SESSION_FAILED) | BIT(SESSION_CLOSING) |
			 BIT(SESSION_EXPIRED),
	[SESSION_RUNNING] = BIT(SESSION_WAITING) | BIT(SESSION_IDLE) |
			    BIT(SESSION_SUSPENDED) | BIT(SESSION_FAILED) |
			    BIT(SESSION_CLOSING) | BIT(SESSION_EXPIRED),
	[SESSION_WAITING] = BIT(SESSION_RUNNING) | BIT(SESSION_IDLE) |
			    BIT(SESSION_SUSPENDED) | BIT(SESSION_FAILED) |
			    BIT(SESSION_CLOSING) | BIT(SESSION_EXPIRED),
	[SESSION_SUSPENDED] = BIT(SESSION_STARTING) | BIT(SESSION_IDLE) |
			      BIT(SESSION_RUNNING) | BIT(SESSION_WAITING) |
			      BIT(SESSION_CLOSED) | BIT(SESSION_EXPIRED),
	[SESSION_CLOSING] = BIT(SESSION_CLOSED) | BIT(SESSION_EXPIRED),
	[SESSION_CLOSED] = BIT(SESSION_STARTING),
	[SESSION_FAILED] = BIT(SESSION_STARTING) | BIT(SESSION_CLOSED) |
			   BIT(SESSION_EXPIRED),
	[SESSION_EXPIRED] = 0,
};

/* Refusals, by operation and state; 0: allowed. */
static const int refusals[SESSION_OPS][SESSION_STATES] = {
	[OP_PROMPT] = {[SESSION_STARTING] = FAULT_NOT_READY,
		       [SESSION_RUNNING] = FAULT_TURN_ACTIVE,
		       [SESSION_WAITING] = FAULT_TURN_ACTIVE,
		       [SESSION_CLOSING] = FAULT_SESSION_CLOSING,
		       [SESSION_CLOSED] = FAULT_SESSION_CLOSED,
		       [SESSION_FAILED] = FAULT_SESSION_FAILED,
		       [SESSION_EXPIRED] = FAULT_SESSION_EXPIRED},
	[OP_CANCEL] = {[SESSION_STARTING] = FAULT_NO_TURN,
		       [SESSION_IDLE] = FAULT_NO_TURN,
		       [SESSION_SUSPENDED] = FAULT_NO_TURN,
		       [SESSION_CLOSING] = FAULT_NO_TURN,
		       [SESSION_CLOSED] = FAULT_NO_TURN,
		       [SESSION_FAILED] = FAULT_NO_TURN,
		       [SESSION_EXPIRED] = FAULT_NO_TURN},
	[OP_ANSWER] = {[SESSION_STARTING] = FAULT_NOT_WAITING,
		       [SESSION_IDLE] = FAULT_NOT_WAITING,
		       [SESSION_RUNNING] = FAULT_NOT_WAITING,
		       [SESSION_SUSPENDED] = FAULT_NOT_WAITING,
		       [SESSION_CLOSING] = FAULT_NOT_WAITING,
		       [SESSION_CLOSED] = FAULT_NOT_WAITING,
		       [SESSION_FAILED] = FAULT_NOT_WAITING,
		       [SESSION_EXPIRED] = FAULT_SESSION_EXPIRED},
	[OP_SUSPEND] = {[SESSION_STARTING] = FAULT_NOT_READY,
			[SESSION_RUNNING] = FAULT_TURN_ACTIVE,
			[SESSION_WAITING] = FAULT_TURN_ACTIVE,
			[SESSION_CLOSING] = FAULT_SESSION_CLOSING,
			[SESSION_CLOSED] = FAULT_SESSION_CLOSED,
			[SESSION_FAILED] = FAULT_SESSION_FAILED,
			[SESSION_EXPIRED] = FAULT_SESSION_EXPIRED},
	[OP_RESUME] = {[SESSION_CLOSING] = FAULT_SESSION_CLOSING,
		       [SESSION_EXPIRED] = FAULT_SESSION_EXPIRED},
	[OP_UPDATE] = {[SESSION_STARTING] = FAULT_NOT_READY,
		       [SESSION_CLOSING] = FAULT_SESSION_CLOSING,
		       [SESSION_EXPIRED] = FAULT_SESSION_EXPIRED},
	[OP_SET] = {[SESSION_STARTING] = FAULT_NOT_READY,
		    [SESSION_CLOSING] = FAULT_SESSION_CLOSING,
		    [SESSION_CLOSED] = FAULT_SESSION_CLOSED,
		    [SESSION_EXPIRED] = FAULT_SESSION_EXPIRED},
};

int session_allows(const struct session *s, enum session_op op, struct err *e)
{
	int fault = refusals[op][s->state];

	if (fault == 0)
		return 0;
	err_set(e, -fault, "session %s is %s", s->id,
		session_state_names[s->state]);
	if (fault == FAULT_TURN_ACTIVE)
		err_data(e, "\"turn\":\"%s\"", s->turn.id);
	return -fault;
}

void session_move(struct session *s, enum session_state to, const char *reason)
{
	autojw struct jw w = {0};

	assert(session_moves[s->state] & BIT(to));
	log_debug("%s: %s -> %s", s->id, session_state_names[s->state],
		  session_state_names[to]);
	jw_obj(&w);
	jw_kstr(&w, "from", session_state_names[s->state]);
	jw_kstr(&w, "to", session_state_names[to]);
	jw_kstr(&w, "reason", reason);
	if (to == SESSION_WAITING || s->paused_from == SESSION_WAITING)
		jw_kstr(&w, "wait_kind", session_wait_kind(s));
	if (to == SESSION_SUSPENDED)
		jw_kstr(&w, "suspended_from",
			session_state_names[session_is_paused(s)
						    ? s->paused_from
						    : SESSION_IDLE]);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.state", NULL, &w);
	s->state = to;
	s->retire = to == SESSION_CLOSED || to == SESSION_FAILED ||
		    to == SESSION_EXPIRED;
	if (s->retire)
		guest_sweep_later(s->guest);
}

void session_copy(char *out, size_t cap, const char *text)
{
	snprintf(out, cap, "%s", text == NULL ? "" : text);
}

bool session_is_live(const struct session *s)
{
	return BIT(s->state) & (BIT(SESSION_STARTING) | BIT(SESSION_IDLE) |
				BIT(SESSION_RUNNING) | BIT(SESSION_WAITING) |
				BIT(SESSION_CLOSING));
}

struct guest *session_guest(const struct session *s)
{
	return s->guest;
}

bool session_in_turn(const struct session *s)
{
	return session_is_prompted(s);
}

bool session_turn_from(const struct session *s, struct vfs_oid *out)
{
	if (!turn_is_open(&s->turn) || !s->knows_from || !s->files_from.has)
		return false;
	*out = s->files_from.oid;
	return true;
}

int session_site(struct guest *g, const char *id, struct session_site *out,
		 struct err *e)
{
	struct session *s;
	int r = session_find(g, id, &s, e);

	if (r < 0)
		return r;
	if (s->agent == NULL || s->agent_dead)
		return err_set(e, -FAULT_SESSION_NOT_LIVE,
			       "the agent of %s does not run", id);
	*out = (struct session_site){agent_proc(s->agent), &s->quota};
	return 0;
}

bool session_is_settled(const struct session *s)
{
	return s->agent == NULL &&
	       (journal_is_quiet(&s->journal) ||
		(s->stuck && journal_is_landed(&s->journal)));
}

/*
 * Errors.
 */

void session_write_error(const struct err *e, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "code", fault_name(err_fault(e->code)));
	jw_kstr(w, "message", e->msg);
	if (e->data[0] != '\0') {
		jw_lit(w, ",", 1);
		jw_lit(w, e->data, strlen(e->data));
	}
	jw_obj_end(w);
}

void session_record_error(struct session *s, const struct err *e)
{
	autojw struct jw w = {0};

	session_write_error(e, &w);
	journal_add_jw(&s->journal, "session.error", NULL, &w);
}

static void fail_call(struct session *s, struct call *c, const struct err *e,
		      bool now)
{
	struct err clean = *e;

	if (c == NULL)
		return;
	redact_err(s->journal.secrets, &clean);
	if (now)
		call_fail(c, &clean);
	else
		call_fail_after(c, &s->journal, &clean);
}

static void fail_list(struct session *s, struct call_list *l,
		      const struct err *e, bool now)
{
	struct call *c;

	while ((c = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, c, link);
		fail_call(s, c, e, now);
	}
}

void session_fail_waiting(struct session *s, const struct err *e, bool now)
{
	fail_list(s, &s->starters, e, now);
	fail_list(s, &s->cancellers, e, now);
	session_fail_config(s, e, now);
	if (s->next != NULL) {
		fail_call(s, take_ptr(s->next->call), e, now);
		prompt_free(take_ptr(s->next));
	}
	prompts_free(&s->queue);
	s->n_queued = 0;
}

void session_reply_state(struct session *s, struct call *c)
{
	jw_obj(&c->result);
	jw_kstr(&c->result, "state", session_state_names[s->state]);
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
}

/*
 * The object.
 */

static void session_on_closed(uv_handle_t *h)
{
	struct session *s = h->data;

	if (--s->open == 0)
		free(s);
}

static void session_free(struct session *s)
{
	struct err e = {0};

	err_set(&e, -FAULT_VM_UNAVAILABLE, "the guest is ending");
	session_mcp_end(s);
	session_fail_waiting(s, &e, true);
	call_list_fail(&s->enders, &e);
	fail_call(s, take_ptr(s->purge), &e, true);
	journal_done(&s->journal);
	session_drop_asks(s);
	prompts_free(&s->steered);
	session_serve_end(s);
	turn_done(&s->turn);
	session_forget_files(s);
	session_forget_agent(s);
	s->journal.secrets = NULL;
	launch_free(s->launch);
	free(s->agent_name);
	free(s->cwd);
	free(s->instructions);
	free(s->policy);
	always_done(&s->always);
	host_tools_done(&s->tools);
	free(s->acp_id);
	free(s->auth_methods);
	restore_done(&s->facts);
	jw_done(&s->refused);
	TAILQ_REMOVE(&s->guest->sessions, s, link);
	s->guest->n_gone++;
	uv_close((uv_handle_t *)&s->timer, session_on_closed);
	uv_close((uv_handle_t *)&s->ttl, session_on_closed);
	uv_close((uv_handle_t *)&s->leftovers.timer, session_on_closed);
}

void session_abandon(struct session *s)
{
	agent_abandon(take_ptr(s->agent));
	session_free(s);
}

struct session *session_new(struct guest *g, const char *id)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->guest = g;
	memcpy(s->id, id, ID_MAX);
	journal_init(&s->journal, &g->hub, id, 0, 1);
	s->journal.failed = session_on_lost;
	turn_done(&s->turn);
	session_serve_init(s);
	leftovers_init(&s->leftovers, g->loop, s->id);
	s->leftovers.timer.data = s;
	TAILQ_INIT(&s->asks);
	TAILQ_INIT(&s->tool_calls);
	TAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->steered);
	TAILQ_INIT(&s->starters);
	TAILQ_INIT(&s->enders);
	TAILQ_INIT(&s->cancellers);
	TAILQ_INIT(&s->config_jobs);
	TAILQ_INIT(&s->notes);
	uv_timer_init(g->loop, &s->timer);
	uv_timer_init(g->loop, &s->ttl);
	s->timer.data = s->ttl.data = s;
	s->open = 3;
	s->start_timeout_ms = START_TIMEOUT_MS;
	TAILQ_INSERT_TAIL(&g->sessions, s, link);
	return s;
}

struct journal *session_journal(struct session *s)
{
	return &s->journal;
}

const char *session_cwd(const struct session *s)
{
	return s->cwd;
}

struct session *session_first(const struct guest *g)
{
	return TAILQ_FIRST(&g->sessions);
}

struct session *session_next(struct session *s)
{
	return TAILQ_NEXT(s, link);
}

static struct session *in_memory(const struct guest *g, const char *id)
{
	struct session *s;

	TAILQ_FOREACH (s, &g->sessions, link)
		if (strcmp(s->id, id) == 0)
			break;
	return s;
}

bool session_id_is_live(const struct guest *g, const char *id)
{
	const struct session *s = in_memory(g, id);

	return s != NULL && session_is_live(s);
}

int64_t guest_live_sessions(const struct guest *g)
{
	const struct session *s;
	int64_t n = 0;

	TAILQ_FOREACH (s, &g->sessions, link)
		n += session_is_live(s);
	return n;
}

/*
 * Loading.
 */

static const char load_sql[] =
	"SELECT agent, cwd, config, lower(hex(create_hash)) AS create_hash, "
	"acp_session_id, agent_info, agent_caps, coalesce((SELECT max(t.n) "
	"FROM turn t WHERE t.session_id=session.id),0) AS n_turns "
	"FROM session WHERE id=?1";

enum session_state session_state_from_name(const char *name)
{
	for (unsigned i = 0; i < SESSION_STATES; i++)
		if (strcmp(session_state_names[i], name) == 0)
			return i;
	return SESSION_FAILED;
}

/* A JSON text kept apart; NULL for null. */
static char *copy_json(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return raw == NULL || jv_is(v, JV_NULL) ? NULL : strndup(raw, len);
}

static void take_row(struct session *s, struct jv row)
{
	struct jv config = jv_get(row, "config");
	struct jv caps = jv_get(row, "agent_caps");

	s->agent_name = jv_strdup(jv_get(row, "agent"), NULL);
	s->cwd = jv_strdup(jv_get(row, "cwd"), NULL);
	s->acp_id = jv_strdup(jv_get(row, "acp_session_id"), NULL);
	s->instructions = jv_strdup(jv_get(config, "instructions"), NULL);
	s->os_instructions = jv_bool(jv_get(config, "os_instructions"), false);
	(void)quota_read(config, &s->quota, NULL);
	s->permission_timeout_ms =
		jv_int(jv_get(config, "permission_timeout_ms"), 0);
	s->policy = copy_json(jv_get(config, "policy"));
	s->agent_info = copy_json(jv_get(row, "agent_info"));
	s->capabilities = copy_json(caps);
	s->n_turns = jv_int(jv_get(row, "n_turns"), 0);
	(void)jv_strcpy(jv_get(row, "create_hash"), s->create_hash,
			sizeof(s->create_hash));
}

static int load_row(struct session *s, struct err *e)
{
	const char *const args[] = {s->id, NULL};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	int r = reader_rows(s->guest->reader, load_sql, args, &w, e);

	if (r < 0)
		return r;
	if (r == 0 || w.failed || json_parse(&j, w.buf, w.len, e) < 0)
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "session %s cannot be read", s->id);
	take_row(s, json_root(&j));
	if (s->cwd == NULL || s->agent_name == NULL)
		return err_set(e, -ENOMEM, "session %s: out of memory", s->id);
	return session_load_always(s, e) < 0 ? e->code
					     : session_load_tools(s, e);
}

static int load(struct guest *g, const struct session_brief *b,
		struct session **out, struct err *e)
{
	struct session *s = session_new(g, b->id);
	int r;

	if (s == NULL)
		return err_set(e, -ENOMEM, "session %s: out of memory", b->id);
	s->state = session_state_from_name(b->state);
	s->journal.last_seq = s->journal.stored_seq = b->last_seq;
	s->journal.epoch = b->epoch;
	s->expires_ms = b->expires_ms;
	r = load_row(s, e);
	if (r < 0) {
		session_free(s);
		return r;
	}
	session_arm_ttl(s);
	s->retire = s->state == SESSION_CLOSED || s->state == SESSION_FAILED ||
		    s->state == SESSION_EXPIRED;
	if (s->retire)
		guest_sweep_later(g);
	*out = s;
	return 0;
}

int session_find(struct guest *g, const char *id, struct session **out,
		 struct err *e)
{
	struct session_brief b;
	struct session *s;
	int r;

	if (!id_is(id, "ses"))
		return err_set(e, -FAULT_INVALID_ID,
			       "'%.64s' is no id of a session", id);
	s = in_memory(g, id);
	if (s == NULL) {
		if (feed_brings(g, id))
			return err_set(e, -FAULT_SESSION_NOT_FOUND,
				       "session %s is on its way", id);
		r = reader_session(g->reader, id, &b, e);
		return r < 0 ? r : load(g, &b, out, e);
	}
	if (s->lost || s->purging)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "there is no session %s", id);
	if (s->stuck) {
		err_set(e, s->journal.err.code, "%s", s->journal.err.msg);
		session_retry(s);
		return e->code;
	}
	*out = s;
	return 0;
}

/*
 * Small operations.
 */

int session_get(struct session *s, struct call *c, struct err *e)
{
	struct jw *w = &c->result;
	const struct ask *a;

	(void)e;
	jw_obj(w);
	jw_kstr(w, "state", session_state_names[s->state]);
	jw_key(w, "pid");
	if (s->agent != NULL && agent_pid(s->agent) > 0)
		jw_int(w, agent_pid(s->agent));
	else
		jw_null(w);
	jw_kstr(w, "turn", turn_is_open(&s->turn) ? s->turn.id : NULL);
	jw_key(w, "pending");
	jw_arr(w);
	TAILQ_FOREACH (a, &s->asks, link)
		jw_str(w, a->id);
	jw_arr_end(w);
	jw_kint(w, "queued", s->n_queued);
	jw_obj_end(w);
	call_reply_after(c, &s->journal);
	return 0;
}

/*
 * Leaving.
 */

static void session_on_purged(const struct err *e, void *arg)
{
	struct session *s = arg;
	struct call *c = take_ptr(s->purge);

	s->purging = false;
	if (e != NULL && e->code < 0) {
		log_error("%s: cannot be purged: %s", s->id, e->msg);
		if (c != NULL)
			call_fail(c, e);
		return;
	}
	s->lost = s->retire = true;
	if (s->stuck)
		s->guest->stuck--;
	s->stuck = false;
	outbox_forget(s->guest->outbox, s->id);
	guest_sweep_later(s->guest);
	if (c != NULL)
		call_reply(c);
}

int session_purge(struct session *s, struct call *c, struct err *e)
{
	if (s->purge != NULL)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "session %s is being destroyed", s->id);
	if (session_is_live(s) && s->state != SESSION_CLOSING) {
		int r = session_close(s, CLOSE_KILL, "destroyed", NULL, e);

		if (r < 0)
			return r;
	}
	session_end_agent(s, AGENT_END_KILL);
	s->purge = c;
	guest_sweep_later(s->guest);
	return 0;
}

/* Its databases are removed. */
static void session_on_dropped(const char *json, const struct err *e, void *arg)
{
	struct session *s = arg;
	struct err oom = {0};

	(void)json;
	if (e == NULL &&
	    store_purge(s->guest->store, s->id, session_on_purged, s) >= 0)
		return;
	err_set(&oom, -ENOMEM, "out of memory");
	session_on_purged(e != NULL ? e : &oom, s);
}

static void begin_purge(struct session *s)
{
	const struct sql_ask drop = {.verb = SQL_DO_REMOVE,
				     .params = {.i = -1}};
	struct err e = {0};

	s->purging = true;
	if (sqlops_ask(s->guest->sql, s->id, &drop, session_on_dropped, s, NULL,
		       &e) < 0)
		session_on_purged(&e, s);
}

bool session_sweep(struct session *s)
{
	bool waits = s->purge != NULL || s->retire;

	if (!waits || s->purging || !session_is_settled(s))
		return waits && !s->purging;
	if (s->purge != NULL && !s->lost)
		begin_purge(s);
	else if (!s->stuck && TAILQ_EMPTY(&s->enders))
		session_free(s);
	return false;
}

/*
 * After the VM was set back or cloned.
 */

/* Where the old id names something of this boot (a control group, a socket, the
 * arguments of programs), it stays: nobody else has it. */
void session_rekey(struct session *s, const char *id, int64_t last_seq,
		   int64_t epoch)
{
	journal_rekey(&s->journal, id, last_seq, epoch);
	if (strcmp(s->id, id) == 0)
		return;
	log_info("%s: is %s in this VM", s->id, id);
	session_rename_files(s->guest, s->id, id);
	memcpy(s->id, id, ID_MAX);
	s->expires_ms = 0; /* As project.h says of forks. */
	session_arm_ttl(s);
}

void session_disown(struct session *s)
{
	s->lost = s->retire = true;
	/* What a log ends with that cannot be written to. */
	journal_break(&s->journal, -FAULT_SESSION_NOT_FOUND,
		      "it was destroyed");
}

void session_hold(struct session *s, bool on)
{
	if (s->agent != NULL)
		agent_pause(s->agent, on);
	mcp_entrance_pause(s->entrance, on);
}
