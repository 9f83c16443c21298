// SPDX-License-Identifier: Apache-2.0
/*
 * session_turn.c - Sessions: prompts, updates, the end of a turn
 *
 * A prompt is checked, then one batch holds input.message, turn.started, the
 * move to running and the agent's session/prompt; once it is stored the line
 * goes to the agent and the call is answered.  When the agent's answer has been
 * decoded and the turn's files are kept (session_files.c), the turn's terminal
 * event and the move to idle share a batch, too: no reader sees one without the
 * other.
 *
 * on_busy: a queued prompt is answered at once and waits for a completed turn.
 * Any other end empties the queue; the terminal event names the inputs that it
 * has dropped ("dropped":[..]).  interrupt cancels, and begins when the
 * cancelled turn has ended.  steer gives it to the agent at once, as one more
 * session/prompt of the same turn: ACP has no better way, and only agents whose
 * manifest says so take it.  Such a turn ends with the last of its answers, which
 * says how.
 *
 * Cancel: the agent is told, its open questions are answered "cancelled", and
 * it has CANCEL_GRACE_MS to answer the prompt, by whatever stop reason.  An
 * agent that does not is ended, and the session suspended: the next prompt
 * starts another one.  What comes from the agent after its turn names that turn
 * as ctx.late, until the next one begins.
 */
#include <string.h>

#include "core/log.h"
#include "core/messages.h"
#include "guest/limits.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

static uint64_t clock_ms(void)
{
	return uv_hrtime() / 1000000;
}

/*
 * The end of a turn.
 */

static void answer_cancellers(struct session *s)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&s->cancellers)) != NULL) {
		TAILQ_REMOVE(&s->cancellers, c, link);
		jw_obj(&c->result);
		jw_kstr(&c->result, "turn", s->turn.id);
		jw_obj_end(&c->result);
		call_reply_after(c, &s->journal);
	}
}

/* Only a completed turn drains the queue. */
static void drop_queue(struct session *s, struct jw *data)
{
	struct prompt *p;

	if (TAILQ_EMPTY(&s->queue))
		return;
	jw_key(data, "dropped");
	jw_arr(data);
	while ((p = TAILQ_FIRST(&s->queue)) != NULL) {
		TAILQ_REMOVE(&s->queue, p, link);
		jw_str(data, p->input);
		prompt_free(p);
	}
	jw_arr_end(data);
	s->n_queued = 0;
}

void session_end_turn(struct session *s, const char *type, struct jw *data)
{
	bool completed = strcmp(type, "turn.completed") == 0;
	autojw struct jw ctx = {0};

	uv_timer_stop(&s->timer);
	/* Nobody can change how the agent has answered. */
	if (s->answered.type != NULL) {
		session_stamp_answered(s);
		type = s->answered.type;
		data = &s->answered.data;
	} else {
		session_turn_cut(s);
	}
	confine_turn(s->confine, false, 0);
	session_cancel_asks(s);
	if (!completed)
		drop_queue(s, data);
	jw_obj_end(data);
	turn_write_ctx(s->turn.input, s->turn.actor, &ctx);
	journal_add_jw(&s->journal, type, ctx.failed ? NULL : ctx.buf, data);
	memcpy(s->journal.late, s->turn.id, ID_MAX);
	s->journal.turn[0] = '\0';
	answer_cancellers(s);
	leftovers_turn_ends(&s->leftovers);
	prompts_free(&s->steered);
	turn_done(&s->turn);
	s->answered.type = NULL;
	free(take_ptr(s->held_prompt));
}

void session_interrupt_turn(struct session *s, const char *reason)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "reason", reason);
	session_end_turn(s, "turn.interrupted", &w);
}

/* Of a turn that was cancelled and leaves its agent running. */
static void end_leftovers(struct session *s)
{
	unsigned n = terminals_kill_turn(&s->terminals, s->turn.n);

	if (n > 0)
		log_debug("%s: killed %u terminals of the cancelled turn",
			  s->id, n);
	leftovers_end(&s->leftovers, agent_pid(s->agent));
}

void session_end_answered(struct session *s)
{
	const char *type = s->answered.type;

	session_end_turn(s, type, NULL);
	session_move(s, SESSION_IDLE, type);
	session_settle(s);
}

static void write_cancelled(struct session *s, const struct rpc_answer *a,
			    struct jw *w)
{
	jw_kstr(w, "by", s->turn.cancel_by);
	jw_kstr(w, "reason",
		s->turn.cancel_reason[0] ? s->turn.cancel_reason : NULL);
	if (a == NULL)
		jw_kbool(w, "forced", true);
	else if (jv_has(a->error))
		jw_kvalue(w, "agent_error", a->error);
	else
		jw_kvalue(w, "stop_reason", jv_get(a->result, "stopReason"));
}

static void write_agent_error(struct jv error, struct jw *w)
{
	jw_key(w, "error");
	jw_obj(w);
	jw_kstr(w, "code", "agent_error");
	jw_kvalue(w, "message", jv_get(error, "message"));
	jw_kvalue(w, "agent_code", jv_get(error, "code"));
	if (jv_has(jv_get(error, "data")))
		jw_kvalue(w, "data", jv_get(error, "data"));
	jw_obj_end(w);
}

static void session_on_prompt_done(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;
	autojw struct jw w = {0};

	if (a->status == -ECANCELED || !turn_is_open(&s->turn) ||
	    --s->turn.n_prompts > 0)
		return;
	jw_obj(&w);
	if (s->turn.cancelling ||
	    jv_eq(jv_get(a->result, "stopReason"), "cancelled")) {
		write_cancelled(s, a, &w);
		end_leftovers(s);
		session_answered(s, "turn.cancelled", &w);
	} else if (jv_has(a->error)) {
		write_agent_error(a->error, &w);
		session_answered(s, "turn.failed", &w);
	} else {
		turn_write_result(&s->turn, a->result, clock_ms(), &w);
		session_answered(s, "turn.completed", &w);
	}
}

void session_on_update(const struct rpc_msg *m, void *arg)
{
	struct session *s = arg;

	session_note_config(s, m->params);
	if (session_is_prompted(s))
		turn_note(&s->turn, m->params, s->cwd, clock_ms());
}

/*
 * The beginning of a turn.
 */

void prompt_free(struct prompt *p)
{
	if (p == NULL)
		return;
	free(p->content);
	free(p);
}

void prompts_free(struct prompt_list *l)
{
	struct prompt *p;

	while ((p = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, p, link);
		prompt_free(p);
	}
}

static const char look_up_words[] =
	"[What is left out above can be looked up with the tool query_history "
	"of the MCP server \"history\".]\n\n";

/* What an agent must hear before the user: instructions, the past. */
static void write_before(struct session *s, struct jw *w)
{
	autofree char *preamble = NULL;
	struct err e = {0};

	if (s->instructions_due)
		acp_write_text(w, s->instructions);
	s->instructions_due = false;
	if (s->preamble_due &&
	    messages_preamble(s->guest->reader, s->id, PREAMBLE_MAX, &preamble,
			      &e) < 0)
		log_error("%s: no transcript: %s, continuing without it", s->id,
			  e.msg);
	if (preamble != NULL)
		acp_write_text(w, preamble);
	if (preamble != NULL && s->launch->mcp != NULL &&
	    mcp_config_has_builtin(s->launch->mcp, "history"))
		acp_write_text(w, look_up_words);
	s->preamble_due = false;
}

static void write_prompt(struct session *s, const struct prompt *p,
			 struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "sessionId", s->acp_id);
	jw_key(w, "prompt");
	jw_arr(w);
	write_before(s, w);
	/* The elements, without the brackets. */
	jw_raw(w, p->content + 1, strlen(p->content) - 2);
	jw_arr_end(w);
	jw_obj_end(w);
}

static void write_key(const struct prompt *p, struct jw *w)
{
	if (p->idem_key[0] == '\0')
		return;
	jw_kstr(w, "idem_key", p->idem_key);
	jw_kstr(w, "idem_hash", p->idem_hash);
}

/* The key of a prompt that starts a turn stands in turn.started. */
static int64_t record_input(struct session *s, const struct prompt *p,
			    const char *ctx, bool steers)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "id", p->input);
	jw_kraw(&w, "content", p->content);
	jw_kstr(&w, "via", steers ? "steer" : "prompt");
	if (steers)
		write_key(p, &w);
	jw_obj_end(&w);
	return journal_add_jw(&s->journal, "input.message", ctx, &w);
}

static void record_start(struct session *s, const struct prompt *p,
			 const char *ctx)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kint(&w, "n", s->turn.n);
	jw_kint(&w, "first_seq", s->turn.first_seq);
	write_key(p, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "turn.started", ctx, &w);
}

void session_send_prompt(struct session *s, const char *params)
{
	s->turn.n_prompts++;
	if (agent_call(s->agent, "session/prompt", params, 0,
		       session_on_prompt_done, s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

static void write_turn(const struct turn *t, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "turn", t->id);
	jw_kint(w, "n", t->n);
	jw_kint(w, "seq", t->first_seq);
	jw_kstr(w, "input", t->input);
	jw_obj_end(w);
}

/* Idle, and the prompt is checked: run it. */
static void begin_turn(struct session *s, struct prompt *p)
{
	autojw struct jw ctx = {0}, params = {0};
	struct call *c = take_ptr(p->call);

	session_end_replay(s);
	write_prompt(s, p, &params);
	turn_begin(&s->turn, ++s->n_turns, clock_ms());
	leftovers_turn_begins(&s->leftovers);
	confine_turn(s->confine, true, agent_pid(s->agent));
	memcpy(s->turn.input, p->input, ID_MAX);
	memcpy(s->turn.actor, p->actor, sizeof(p->actor));
	memcpy(s->turn.idem_key, p->idem_key, sizeof(p->idem_key));
	memcpy(s->turn.idem_hash, p->idem_hash, sizeof(p->idem_hash));
	turn_write_ctx(p->input, p->actor, &ctx);
	memcpy(s->journal.turn, s->turn.id, ID_MAX);
	if (ctx.failed || params.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	s->turn.first_seq = record_input(s, p, ctx.buf, false);
	record_start(s, p, ctx.buf);
	session_move(s, SESSION_RUNNING, "prompt");
	if (!params.failed && !session_hold_prompt(s, params.buf))
		session_send_prompt(s, params.buf);
	if (c != NULL) {
		write_turn(&s->turn, &c->result);
		call_reply_after(c, &s->journal);
	}
	prompt_free(p);
}

void session_settle(struct session *s)
{
	struct prompt *p = take_ptr(s->next);
	struct err e = {0};

	while (s->state == SESSION_IDLE) {
		if (p == NULL && (p = TAILQ_FIRST(&s->queue)) != NULL) {
			TAILQ_REMOVE(&s->queue, p, link);
			s->n_queued--;
		}
		if (p == NULL)
			return;
		if (acp_check_caps(&p->needs, &s->caps, &e) == 0) {
			begin_turn(s, take_ptr(p));
			return;
		}
		/* The agent that woke cannot take it. */
		if (p->call != NULL)
			call_fail_after(take_ptr(p->call), &s->journal, &e);
		prompt_free(take_ptr(p));
	}
	s->next = p;
}

/*
 * Prompts from the host.
 */

#define OF_INPUTS                                                \
	" WHERE e.session_n=(SELECT n FROM session WHERE id=?1)" \
	" AND e.type='input.message' AND e.type<>'acp.update'"   \
	" AND json_extract(e.data, "
#define INPUTS \
	" FROM event e JOIN turn t ON t.session_id=?1 AND t.id=e.turn_id" OF_INPUTS

static const char key_sql[] =
	"SELECT id, n, input_id, first_seq, lower(hex(idem_hash)) AS hash "
	"FROM turn WHERE session_id=?1 AND idem_key=?2";

/* Of a prompt that has steered a turn, which only its input tells. */
static const char steered_sql[] =
	"SELECT t.id, t.n, json_extract(e.data, '$.id') AS input_id, "
	"e.seq AS first_seq, json_extract(e.data, '$.idem_hash') AS hash" INPUTS
	"'$.idem_key')=?2";

static const char input_sql[] =
	"SELECT t.id, t.n, ?2 AS input_id, e.seq AS first_seq" INPUTS
	"'$.id')=?2";

static const char any_steered_sql[] =
	"SELECT 1 FROM event e" OF_INPUTS "'$.via')='steer' LIMIT 1";

static int same_hash(bool same, const char *key, struct err *e)
{
	if (same)
		return 1;
	return err_set(e, -FAULT_IDEMPOTENCY_MISMATCH,
		       "key '%.64s' was used for another prompt", key);
}

/* Is it the prompt that came as this input, with this key?  Return: 1; 0; or
 * the mismatch. */
static int is_same(const struct prompt_spec *spec, const char *input,
		   const char *key, const char *hash, struct err *e)
{
	if (spec->again && strcmp(input, spec->input) == 0)
		return 1;
	if (spec->idem_key == NULL || strcmp(key, spec->idem_key) != 0)
		return 0;
	return same_hash(strcmp(hash, spec->idem_hash) == 0, key, e);
}

static int is_same_prompt(const struct prompt_spec *spec,
			  const struct prompt *p, struct err *e)
{
	return is_same(spec, p->input, p->idem_key, p->idem_hash, e);
}

static void write_queued(const struct prompt *p, int64_t position, struct jw *w)
{
	jw_obj(w);
	jw_kbool(w, "queued", true);
	jw_kstr(w, "input", p->input);
	jw_kint(w, "position", position);
	jw_obj_end(w);
}

static void write_steered(const struct session *s, const struct prompt *p,
			  struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "turn", s->turn.id);
	jw_kint(w, "n", s->turn.n);
	jw_kint(w, "seq", p->seq);
	jw_kstr(w, "input", p->input);
	jw_kbool(w, "steered", true);
	jw_obj_end(w);
}

/* The same among those that steer the turn. */
static int find_steered(struct session *s, const struct prompt_spec *spec,
			struct call *c, struct err *e)
{
	const struct prompt *p;
	int r;

	TAILQ_FOREACH (p, &s->steered, link) {
		r = is_same_prompt(spec, p, e);
		if (r > 0)
			write_steered(s, p, &c->result);
		if (r != 0)
			return r;
	}
	return 0;
}

static int find_queued(struct session *s, const struct prompt_spec *spec,
		       struct call *c, struct err *e)
{
	const struct prompt *p;
	int64_t position = 0;
	int r;

	TAILQ_FOREACH (p, &s->queue, link) {
		position++;
		r = is_same_prompt(spec, p, e);
		if (r > 0)
			write_queued(p, position, &c->result);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The same among turns that ended.  @hash: of a key; NULL: any. */
static int find_stored(struct session *s, const char *sql, const char *what,
		       const char *hash, struct call *c, struct err *e)
{
	const char *const args[] = {s->id, what, NULL};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct jv row;
	int r = reader_rows(s->guest->reader, sql, args, &w, e);

	if (r <= 0)
		return r;
	if (w.failed || json_parse(&j, w.buf, w.len, e) < 0)
		return err_set(e, -ENOMEM, "session %s: out of memory", s->id);
	row = json_root(&j);
	r = same_hash(hash == NULL || jv_eq(jv_get(row, "hash"), hash), what,
		      e);
	if (r < 0)
		return r;
	jw_obj(&c->result);
	jw_kvalue(&c->result, "turn", jv_get(row, "id"));
	jw_kvalue(&c->result, "n", jv_get(row, "n"));
	jw_kvalue(&c->result, "seq", jv_get(row, "first_seq"));
	jw_kvalue(&c->result, "input", jv_get(row, "input_id"));
	jw_obj_end(&c->result);
	return 1;
}

/* Each look reads every input of the log: there is one if there is nothing to
 * be found, and not one for each prompt. */
static int find_stored_key(struct session *s, const struct prompt_spec *spec,
			   struct call *c, struct err *e)
{
	const char *const args[] = {s->id, NULL};
	autofree char *any = NULL;
	int r = find_stored(s, key_sql, spec->idem_key, spec->idem_hash, c, e);

	if (r == 0 && s->steering == STEERING_UNKNOWN) {
		r = reader_value(s->guest->reader, any_steered_sql, args, &any,
				 e);
		if (r >= 0)
			s->steering = r > 0 ? STEERING_ONCE : STEERING_NEVER;
		r = r < 0 ? r : 0;
	}
	return r != 0 || s->steering == STEERING_NEVER
		       ? r
		       : find_stored(s, steered_sql, spec->idem_key,
				     spec->idem_hash, c, e);
}

/* Was this very prompt accepted before?  Return: 1, and the earlier answer is
 * in the call; 0; or the mismatch. */
static int find_earlier(struct session *s, const struct prompt_spec *spec,
			struct call *c, struct err *e)
{
	const struct turn *t = &s->turn;
	int r = 0;

	if (spec->idem_key == NULL && !spec->again)
		return 0;
	if (turn_is_open(t))
		r = is_same(spec, t->input, t->idem_key, t->idem_hash, e);
	if (r > 0)
		write_turn(t, &c->result);
	if (r == 0)
		r = find_steered(s, spec, c, e);
	if (r == 0)
		r = find_queued(s, spec, c, e);
	if (r == 0 && spec->idem_key != NULL)
		r = find_stored_key(s, spec, c, e);
	if (r == 0 && spec->again)
		r = find_stored(s, input_sql, spec->input, NULL, c, e);
	return r;
}

/* It came before and waits until the session is idle: its answer goes to who
 * asks again. */
static bool take_over_next(struct session *s, const struct prompt_spec *spec,
			   struct call *c)
{
	struct call *lost;
	struct err e = {0};

	if (!spec->again || s->next == NULL ||
	    strcmp(s->next->input, spec->input) != 0)
		return false;
	lost = s->next->call;
	s->next->call = c;
	err_set(&e, -FAULT_GUEST_UNREACHABLE, "it was asked again");
	if (lost != NULL)
		call_fail(lost, &e);
	return true;
}

static int prompt_new(const struct prompt_spec *spec, struct prompt **out,
		      struct err *e)
{
	struct acp_content needs;
	struct prompt *p;
	const char *raw;
	size_t len;

	if (acp_check_content(spec->content, &needs, e) < 0)
		return e->code;
	p = calloc(1, sizeof(*p));
	raw = jv_raw(spec->content, &len);
	if (p != NULL)
		p->content = strndup(raw, len);
	if (p == NULL || p->content == NULL) {
		prompt_free(p);
		return err_set(e, -ENOMEM, "prompt: out of memory");
	}
	p->needs = needs;
	if (spec->input != NULL)
		session_copy(p->input, sizeof(p->input), spec->input);
	else
		id_new(p->input, "msg");
	session_copy(p->actor, sizeof(p->actor), spec->actor);
	session_copy(p->idem_key, sizeof(p->idem_key), spec->idem_key);
	session_copy(p->idem_hash, sizeof(p->idem_hash), spec->idem_hash);
	*out = p;
	return 0;
}

/* Run when the session has come to idle. */
static int begin_later(struct session *s, struct prompt *p, struct call *c)
{
	p->call = c;
	s->next = p;
	return 0;
}

static int enqueue(struct session *s, struct prompt *p, struct call *c,
		   struct err *e)
{
	if (s->n_queued == PROMPT_QUEUE_MAX) {
		prompt_free(p);
		return err_set(e, -FAULT_OVERLOADED,
			       "session %s: %d prompts are queued", s->id,
			       PROMPT_QUEUE_MAX);
	}
	TAILQ_INSERT_TAIL(&s->queue, p, link);
	s->n_queued++;
	write_queued(p, s->n_queued, &c->result);
	call_reply_after(c, &s->journal);
	return 0;
}

static void begin_cancel(struct session *s, const char *by, const char *reason);

/* Into the turn that runs. */
static int steer(struct session *s, struct prompt *p, struct call *c,
		 struct err *e)
{
	autojw struct jw ctx = {0}, params = {0};

	if (s->turn.n_prompts > PROMPT_QUEUE_MAX) {
		prompt_free(p);
		return err_set(e, -FAULT_OVERLOADED,
			       "session %s: %d prompts steer the turn", s->id,
			       PROMPT_QUEUE_MAX);
	}
	write_prompt(s, p, &params);
	turn_write_ctx(p->input, p->actor, &ctx);
	if (ctx.failed || params.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	s->steering = STEERING_ONCE;
	p->seq = record_input(s, p, ctx.buf, true);
	session_send_held(s);
	if (!params.failed)
		session_send_prompt(s, params.buf);
	write_steered(s, p, &c->result);
	call_reply_after(c, &s->journal);
	TAILQ_INSERT_TAIL(&s->steered, p, link);
	return 0;
}

static int prompt_busy(struct session *s, const struct prompt_spec *spec,
		       struct prompt *p, struct call *c, struct err *e)
{
	bool over; /* Nothing more can be said to the turn. */

	if (spec->on_busy == BUSY_QUEUE)
		return enqueue(s, p, c, e);
	if (spec->on_busy == BUSY_INTERRUPT && s->next == NULL) {
		begin_cancel(s, p->actor[0] ? p->actor : "client", "interrupt");
		return begin_later(s, p, c);
	}
	over = s->turn.cancelling || s->answered.type != NULL;
	if (spec->on_busy == BUSY_STEER && s->launch->quirks.steer && !over)
		return steer(s, p, c, e);
	prompt_free(p);
	if (spec->on_busy == BUSY_STEER && !over)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the agent cannot be steered");
	return session_allows(s, OP_PROMPT, e);
}

/* Suspended: wake first. */
static int prompt_asleep(struct session *s, struct prompt_spec *spec,
			 struct prompt *p, struct call *c, struct err *e)
{
	struct session_wake wake = {.launch = spec->launch};
	int r;

	begin_later(s, p, c);
	r = session_resume(s, &wake, NULL, e);
	spec->launch = wake.launch;
	/* A start that failed at once has answered the call. */
	if (r < 0)
		prompt_free(take_ptr(s->next));
	return r;
}

static bool is_in_turn(const struct session *s)
{
	return s->state == SESSION_RUNNING || s->state == SESSION_WAITING;
}

int session_prompt(struct session *s, struct prompt_spec *spec, struct call *c,
		   struct err *e)
{
	struct prompt *p = NULL;
	int r;

	if (take_over_next(s, spec, c))
		return 0;
	r = find_earlier(s, spec, c, e);
	if (r < 0)
		return r;
	if (r > 0) {
		call_reply_after(c, &s->journal);
		return 0;
	}
	if (!(is_in_turn(s) && spec->on_busy != BUSY_REJECT) &&
	    session_allows(s, OP_PROMPT, e) < 0)
		return e->code;
	if (prompt_new(spec, &p, e) < 0)
		return e->code;
	if (s->state == SESSION_SUSPENDED)
		return prompt_asleep(s, spec, p, c, e);
	if (acp_check_caps(&p->needs, &s->caps, e) < 0) {
		prompt_free(p);
		return e->code;
	}
	if (is_in_turn(s))
		return prompt_busy(s, spec, p, c, e);
	p->call = c;
	begin_turn(s, p);
	return 0;
}

/*
 * Cancel.
 */

void session_send_cancel(struct session *s)
{
	autojw struct jw w = {0};

	acp_write_session(&w, s->acp_id);
	if (w.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else
		agent_notify(s->agent, "session/cancel", w.buf);
	session_cancel_asks(s);
}

static void session_on_grace_over(uv_timer_t *t)
{
	struct session *s = t->data;
	autojw struct jw w = {0};
	struct session_wake wake = {0};
	struct err e = {0};

	log_info("%s: agent did not stop, ending it", s->id);
	jw_obj(&w);
	write_cancelled(s, NULL, &w);
	session_end_turn(s, "turn.cancelled", &w);
	session_move(s, SESSION_SUSPENDED, "cancel_timeout");
	session_end_agent(s, AGENT_END_TERM);
	/* A prompt that interrupts goes on with another agent. */
	if (s->next != NULL && session_resume(s, &wake, NULL, &e) < 0)
		session_fail_waiting(s, &e, false);
}

static void begin_cancel(struct session *s, const char *by, const char *reason)
{
	if (s->answered.type != NULL) {
		session_hurry_answered(s);
		return;
	}
	if (s->turn.cancelling)
		return;
	session_send_held(s);
	s->turn.cancelling = true;
	session_copy(s->turn.cancel_by, sizeof(s->turn.cancel_by), by);
	session_copy(s->turn.cancel_reason, sizeof(s->turn.cancel_reason),
		     reason);
	session_send_cancel(s);
	if (s->state == SESSION_WAITING)
		session_move(s, SESSION_RUNNING, "cancel");
	uv_timer_start(&s->timer, session_on_grace_over, CANCEL_GRACE_MS, 0);
}

int session_cancel(struct session *s, const char *turn, const char *by,
		   const char *reason, struct call *c, struct err *e)
{
	if (session_allows(s, OP_CANCEL, e) < 0)
		return e->code;
	if (turn != NULL && strcmp(turn, s->turn.id) != 0)
		return err_set(e, -FAULT_NO_TURN, "turn %.64s is not running",
			       turn);
	begin_cancel(s, by == NULL ? "client" : by, reason);
	TAILQ_INSERT_TAIL(&s->cancellers, c, link);
	return 0;
}
