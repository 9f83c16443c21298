// SPDX-License-Identifier: Apache-2.0
/*
 * session_config.c - Sessions: what the agent is set to
 *
 * session.config holds what users asked for.  Of a live agent it is asked
 * first: the wishes of a call are held against what the agent offers, all of
 * them, then told one by one, each with a deadline; what the agent took is
 * recorded, and the call answered.  Should it refuse one, those before it are in
 * effect and recorded all the same, and the call fails with the agent's words.
 * Without an agent a wish is recorded at once, whatever it is.
 *
 * A new agent process is told what the log holds before the session is ready.
 * At the first start of all a wish that cannot be fulfilled fails the start, as
 * it is a mistake of whoever created the session.  At a later one the offers
 * may have changed since; session.ready then names it in "config_refused".
 *
 * An agent may change its mode or model by itself.  That is in the log as its
 * update, and what is shown as the current value.  It is no wish: the next
 * process is told again what users asked for.  So a mode that limits what an
 * agent may do is lifted by it for the life of its process at most.
 *
 *	session_update()          session_restore_config()
 *	      |                             |
 *	      v                             v
 *	    queue --first--> proceed ----> (wishes left?) --no--> finish
 *	                        ^               | ask
 *	                        '-- answer -----'
 */
#include <assert.h>
#include <string.h>

#include "guest/limits.h"
#include "guest/session_impl.h"

/* Wishes on their way to the agent. */
struct config_job {
	TAILQ_ENTRY(config_job) link;
	struct call *call; /* NULL: of a start, which owns the text. */
	char *text;
	struct json doc;
	struct jv config;
	size_t next; /* The first wish that is not fulfilled yet. */
	const char *method;
	struct settings_target target; /* What the agent was asked for. */
	struct jw refused;	       /* At a start. */
};

static void job_free(struct config_job *job)
{
	settings_target_done(&job->target);
	jw_done(&job->refused);
	json_done(&job->doc);
	free(job->text);
	free(job);
}

static struct config_job *take_job(struct session *s)
{
	struct config_job *job = TAILQ_FIRST(&s->config_jobs);

	TAILQ_REMOVE(&s->config_jobs, job, link);
	s->n_config_jobs--;
	return job;
}

void session_fail_config(struct session *s, const struct err *e, bool now)
{
	while (!TAILQ_EMPTY(&s->config_jobs)) {
		struct config_job *job = take_job(s);

		if (job->call != NULL && now)
			call_fail(job->call, e);
		else if (job->call != NULL)
			call_fail_after(job->call, &s->journal, e);
		job_free(job);
	}
}

/* Those of an agent that has ended since, and was started again: nobody waits
 * for them. */
static void drop_restores(struct session *s)
{
	while (!TAILQ_EMPTY(&s->config_jobs)) {
		struct config_job *job = take_job(s);

		assert(job->call == NULL);
		job_free(job);
	}
}

static void out_of_memory(struct session *s)
{
	journal_break(&s->journal, -ENOMEM, "out of memory");
}

/*
 * The end of a job.
 */

/* What a session.update says, with the first @n wishes of its config. */
static void record(struct session *s, struct jv params, size_t n)
{
	int64_t ttl_ms = jv_int(jv_get(params, "ttl_ms"), -1);
	autojw struct jw w = {0};

	jw_obj(&w);
	wish_write(jv_get(params, "config"), n, &w);
	if (jv_has(jv_get(params, "title")))
		jw_kvalue(&w, "title", jv_get(params, "title"));
	if (jv_has(jv_get(params, "tags")))
		jw_kvalue(&w, "tags", jv_get(params, "tags"));
	if (ttl_ms >= 0)
		jw_kint(&w, "ttl_ms", ttl_ms);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.config", NULL, &w);
	if (ttl_ms >= 0)
		session_set_ttl(s, ttl_ms);
}

/* Only the wishes. */
static void record_fulfilled(struct session *s, const struct config_job *job)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	wish_write(job->config, job->next, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.config", NULL, &w);
}

static void begin_job(struct session *s);

static void finish(struct session *s)
{
	struct config_job *job = take_job(s);
	struct call *c = take_ptr(job->call);

	if (c == NULL) {
		if (job->refused.len > 0) {
			jw_arr_end(&job->refused);
			s->config_refused = jw_take(&job->refused, NULL);
		}
		job_free(job);
		session_ready(s);
		return;
	}
	record(s, c->params, SIZE_MAX);
	call_reply_after(c, &s->journal);
	job_free(job);
	begin_job(s);
}

/* A call's wish was refused: the call has failed. */
static void fail_call(struct session *s, const struct err *e)
{
	struct config_job *job = take_job(s);
	struct call *c = take_ptr(job->call);

	if (job->next > 0) {
		record_fulfilled(s, job);
		call_fail_after(c, &s->journal, e);
	} else {
		call_fail(c, e);
	}
	job_free(job);
	begin_job(s);
}

/* What cannot be set any more at a later start. */
static void note_refused(struct config_job *job, const struct wish *w,
			 const struct err *e)
{
	struct jw *out = &job->refused;

	if (out->len == 0)
		jw_arr(out);
	jw_obj(out);
	jw_kstr(out, "setting", wish_key(w->kind));
	if (w->kind == WISH_OPTION)
		jw_kvalue(out, "id", w->id);
	jw_kvalue(out, "value", w->value);
	jw_key(out, "error");
	session_write_error(e, out);
	jw_obj_end(out);
}

/* Return: whether the job goes on without that wish. */
static bool survives(struct session *s, struct config_job *job,
		     const struct wish *w, const struct err *e)
{
	if (job->call != NULL) {
		fail_call(s, e);
		return false;
	}
	if (s->facts.first) {
		session_start_failed(s, e);
		return false;
	}
	note_refused(job, w, e);
	job->next++;
	return true;
}

/*
 * Telling the agent.
 */

static void proceed(struct session *s);

static int fault_of(const struct rpc_answer *a)
{
	if (a->status == -ETIMEDOUT)
		return FAULT_REQUEST_TIMEOUT;
	switch (jv_int(jv_get(a->error, "code"), RPC_INTERNAL)) {
	case RPC_METHOD_NOT_FOUND:
		return FAULT_CAPABILITY_UNSUPPORTED;
	case RPC_INVALID_PARAMS:
		return FAULT_INVALID_ARGUMENT;
	case ACP_AUTH_REQUIRED:
		return FAULT_AGENT_AUTH_REQUIRED;
	default:
		return FAULT_AGENT_PROTOCOL_ERROR;
	}
}

static void explain(const struct rpc_answer *a, const char *method,
		    struct err *e)
{
	autofree char *words = jv_strdup(jv_get(a->error, "message"), NULL);
	int64_t code = jv_int(jv_get(a->error, "code"), RPC_INTERNAL);
	int fault = fault_of(a);

	if (a->status == -ETIMEDOUT) {
		err_set(e, -fault, "agent did not answer %s within %d ms",
			method, ACP_SET_MS);
		return;
	}
	err_set(e, -fault, "agent refused %s: %lld %s", method, (long long)code,
		words == NULL ? "" : words);
	err_data(e, "\"agent_code\":%lld", (long long)code);
}

/* The answer to a change of an option has them all; others have nothing. */
static void take_answer(struct session *s, struct config_job *job,
			struct jv result)
{
	struct jv options = jv_get(result, "configOptions");
	int r;

	if (job->target.via == VIA_OPTION && jv_is(options, JV_ARRAY))
		r = settings_set_options(&s->settings, options);
	else
		r = settings_apply(&s->settings, &job->target);
	if (r < 0)
		out_of_memory(s);
	job->next++;
}

static void session_on_set(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;
	struct config_job *job = TAILQ_FIRST(&s->config_jobs);
	struct err e = {0};
	struct wish w;

	/* Whoever ended the agent has failed the jobs. */
	if (a->status == -ECANCELED || job == NULL)
		return;
	if (a->status == 0) {
		take_answer(s, job, a->result);
	} else {
		explain(a, job->method, &e);
		(void)wish_at(job->config, job->next, &w);
		if (!survives(s, job, &w, &e))
			return;
	}
	proceed(s);
}

/* Return: 0, and the answer follows; or why it was not even asked. */
static int ask(struct session *s, struct config_job *job, const struct wish *w,
	       struct err *e)
{
	autojw struct jw params = {0};

	settings_target_done(&job->target);
	if (settings_find(&s->settings, w, &job->target, e) < 0)
		return e->code;
	job->method = acp_write_set(&params, s->acp_id, &job->target);
	if (params.failed || agent_call(s->agent, job->method, params.buf,
					ACP_SET_MS, session_on_set, s) < 0)
		out_of_memory(s);
	return 0;
}

static void proceed(struct session *s)
{
	struct config_job *job = TAILQ_FIRST(&s->config_jobs);
	struct err e = {0};
	struct wish w;

	while (wish_at(job->config, job->next, &w)) {
		/* To take a wish back changes nothing in the agent. */
		if (jv_is(w.value, JV_NULL))
			job->next++;
		else if (ask(s, job, &w, &e) == 0 || !survives(s, job, &w, &e))
			return;
	}
	finish(s);
}

/* Nothing is told when anything of it is not offered. */
static int check_offers(const struct session *s, struct jv config,
			struct err *e)
{
	struct settings_target t;
	struct wish w;

	for (size_t i = 0; wish_at(config, i, &w); i++) {
		if (jv_is(w.value, JV_NULL))
			continue;
		if (settings_find(&s->settings, &w, &t, e) < 0)
			return e->code;
		settings_target_done(&t);
	}
	return 0;
}

/* Begin the first job, if there is one. */
static void begin_job(struct session *s)
{
	struct config_job *job = TAILQ_FIRST(&s->config_jobs);
	struct err e = {0};

	if (job == NULL)
		return;
	if (job->call != NULL && check_offers(s, job->config, &e) < 0)
		fail_call(s, &e);
	else
		proceed(s);
}

static void add_job(struct session *s, struct config_job *job)
{
	TAILQ_INSERT_TAIL(&s->config_jobs, job, link);
	if (s->n_config_jobs++ == 0)
		begin_job(s);
}

/*
 * Calls.
 */

static int queue_call(struct session *s, struct jv config, struct call *c,
		      struct err *e)
{
	struct config_job *job;

	if (s->n_config_jobs == CONFIG_JOBS_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "session %s: %d changes of its settings wait",
			       s->id, CONFIG_JOBS_MAX);
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return err_set(e, -ENOMEM, "config: out of memory");
	job->call = c;
	job->config = config;
	add_job(s, job);
	return 0;
}

int session_update(struct session *s, struct jv params, struct call *c,
		   struct err *e)
{
	struct jv config = jv_get(params, "config");
	struct wish first;
	bool wishes = wish_at(config, 0, &first);

	if (session_allows(s, wishes ? OP_SET : OP_UPDATE, e) < 0)
		return e->code;
	if (wishes && session_is_live(s))
		return queue_call(s, config, c, e);
	record(s, params, SIZE_MAX);
	call_reply_after(c, &s->journal);
	return 0;
}

/*
 * Starts.
 */

/* The wishes of the log; all of it is stored by the time an agent answers. */
static int read_job(struct session *s, struct config_job *job, struct err *e)
{
	const char *const args[] = {s->id, NULL};
	int r = reader_value(s->guest->reader,
			     "SELECT config FROM session WHERE id=?1", args,
			     &job->text, e);

	if (r < 0)
		return r;
	if (r == 0 ||
	    json_parse(&job->doc, job->text, strlen(job->text), e) < 0)
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "session %s: its config cannot be read", s->id);
	job->config = json_root(&job->doc);
	return 0;
}

void session_restore_config(struct session *s)
{
	struct config_job *job = calloc(1, sizeof(*job));
	struct err e = {0};

	if (job == NULL) {
		out_of_memory(s);
		return;
	}
	if (read_job(s, job, &e) < 0) {
		job_free(job);
		session_start_failed(s, &e);
		return;
	}
	drop_restores(s);
	/* A log from elsewhere may hold anything. */
	if (wish_check(job->config, false, NULL) < 0)
		job->config.i = -1;
	add_job(s, job);
}

/*
 * Updates.
 */

void session_note_config(struct session *s, struct jv params)
{
	if (settings_note(&s->settings, jv_get(params, "update")) < 0)
		out_of_memory(s);
}
