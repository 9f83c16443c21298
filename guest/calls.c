// SPDX-License-Identifier: Apache-2.0
/*
 * calls.c - The methods that the host may call
 *
 * A method checks its params in full, then acts.  Its function returns 0 when
 * the call is or will be answered, else the failure to answer now.
 */
#include "guest/calls.h"

#include <string.h>

#include "core/args.h"
#include "core/settings.h"
#include "guest/checkpoint_calls.h"
#include "guest/host_tools.h"
#include "guest/limits.h"
#include "guest/mcp_channel.h"
#include "guest/pause.h"
#include "guest/prewarm.h"
#include "guest/reexec.h"
#include "guest/session.h"
#include "guest/sql_calls.h"

#define DEFAULT_CWD "/workspace"

/*
 * Params.
 */

/* An optional string of at most @max bytes; NULL in *out when absent. */
static int get_text(struct jv params, const char *key, size_t max, char **out,
		    struct err *e)
{
	struct jv v = jv_get(params, key);

	*out = NULL;
	return jv_is(v, JV_NULL) ? 0 : args_text(v, key, max, out, e);
}

/* The same, required. */
static int need_text(struct jv params, const char *key, size_t max, char **out,
		     struct err *e)
{
	if (get_text(params, key, max, out, e) < 0)
		return e->code;
	if (*out == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is missing",
			       key);
	return 0;
}

/* An optional object or array of bounded size. */
static int get_json(struct jv params, const char *key, enum jv_type type,
		    struct jv *out, struct err *e)
{
	struct jv v = jv_get(params, key);
	size_t len = 0;

	if (jv_is(v, JV_NULL))
		v.i = -1;
	(void)jv_raw(v, &len);
	if (jv_has(v) && (!jv_is(v, type) || len > CONFIG_BYTES_MAX))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s has a wrong type or more than %u bytes", key,
			       CONFIG_BYTES_MAX);
	*out = v;
	return 0;
}

static int check_tags(struct jv tags, struct err *e)
{
	char tag[TAG_BYTES_MAX + 1];

	if (jv_count(tags) > TAGS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "tags: more than %d",
			       TAGS_MAX);
	for (struct jv it = jv_first(tags); jv_has(it); it = jv_next(tags, it))
		if (jv_strcpy(it, tag, sizeof(tag)) < 0)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "tags: one is no string of up to %d "
				       "bytes",
				       TAG_BYTES_MAX);
	return 0;
}

static int find_session(struct guest *g, struct call *c, struct session **out,
			struct err *e)
{
	char id[ID_MAX];

	if (jv_strcpy(jv_get(c->params, "session"), id, sizeof(id)) < 0)
		return err_set(e, -FAULT_INVALID_ID,
			       "session is no id of a session");
	return session_find(g, id, out, e);
}

static int get_count(struct jv params, const char *key, int64_t *out,
		     struct err *e)
{
	struct jv v = jv_get(params, key);

	*out = jv_int(v, 0);
	if ((jv_has(v) && !jv_is(v, JV_NULL) && !jv_is(v, JV_NUMBER)) ||
	    *out < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no number of 0 or more", key);
	return 0;
}

/*
 * Methods.
 */

/* Strings of session.create, owned for the call. */
struct create_text {
	char *agent_name, *cwd, *hash, *title, *instructions, *policy, *parent,
		*root;
};

static void create_text_done(struct create_text *t)
{
	free(t->agent_name);
	free(t->cwd);
	free(t->hash);
	free(t->title);
	free(t->instructions);
	free(t->policy);
	free(t->parent);
	free(t->root);
}

static int get_policy(struct jv p, char **out, struct err *e)
{
	struct jv v = jv_get(p, "policy");
	size_t len;
	const char *raw = jv_raw(v, &len);

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	if (policy_check(v, e) < 0)
		return e->code;
	*out = strndup(raw, len);
	return *out == NULL ? err_set(e, -ENOMEM, "policy: out of memory") : 0;
}

/* They are kept as one document, which has to fit into a row. */
static int check_config_size(struct jv p, struct err *e)
{
	static const char *const parts[] = {"config", "instructions", "policy"};
	size_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t len = 0;

		(void)jv_raw(jv_get(p, parts[i]), &len);
		sum += len;
	}
	if (sum + CONFIG_BYTES_REST <= CONFIG_BYTES_MAX)
		return 0;
	return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
		       "config, instructions and policy together: %zu bytes, "
		       "at most %u",
		       sum, CONFIG_BYTES_MAX - CONFIG_BYTES_REST);
}

static int get_create_text(struct jv p, struct create_text *t, struct err *e)
{
	if (need_text(jv_get(p, "agent"), "name", 63, &t->agent_name, e) < 0 ||
	    get_text(p, "cwd", 4095, &t->cwd, e) < 0 ||
	    get_text(p, "create_hash", IDEM_HASH_MAX, &t->hash, e) < 0 ||
	    get_text(p, "title", TITLE_MAX, &t->title, e) < 0 ||
	    get_text(p, "instructions", CONFIG_BYTES_MAX, &t->instructions, e) <
		    0 ||
	    get_policy(p, &t->policy, e) < 0 || check_config_size(p, e) < 0 ||
	    get_text(p, "parent", ID_MAX, &t->parent, e) < 0 ||
	    get_text(p, "root", ID_MAX, &t->root, e) < 0)
		return e->code;
	if ((t->parent != NULL && !id_is(t->parent, "ses")) ||
	    (t->root != NULL && !id_is(t->root, "ses")))
		return err_set(e, -FAULT_INVALID_ID,
			       "parent or root is no id of a session");
	return 0;
}

/* Functions of the user's program; absent when there is no such member. */
static int get_tools(struct jv p, struct jv *out, struct err *e)
{
	*out = jv_get(p, "tools");
	if (jv_is(*out, JV_NULL))
		out->i = -1;
	return jv_has(*out) ? host_tools_check(*out, e) : 0;
}

static int get_create_rest(struct jv p, struct session_spec *s, struct err *e)
{
	if (get_json(p, "config", JV_OBJECT, &s->config, e) < 0 ||
	    wish_check(s->config, false, e) < 0 ||
	    get_tools(p, &s->tools, e) < 0 ||
	    quota_read(s->config, &s->quota, e) < 0 ||
	    get_json(p, "tags", JV_ARRAY, &s->tags, e) < 0 ||
	    check_tags(s->tags, e) < 0 ||
	    get_count(p, "expires_ms", &s->expires_ms, e) < 0 ||
	    get_count(p, "start_timeout_ms", &s->start_timeout_ms, e) < 0 ||
	    get_count(p, "permission_timeout_ms", &s->permission_timeout_ms,
		      e) < 0)
		return e->code;
	return 0;
}

static int create(struct guest *g, struct call *c, struct create_text *t,
		  struct err *e)
{
	struct jv p = c->params;
	struct session_spec s = {.agent = jv_get(p, "agent")};
	int r;

	if (jv_strcpy(jv_get(p, "session"), s.id, sizeof(s.id)) < 0 ||
	    !id_is(s.id, "ses"))
		return err_set(e, -FAULT_INVALID_ID,
			       "session is no id of a session");
	if (get_create_text(p, t, e) < 0 || get_create_rest(p, &s, e) < 0)
		return e->code;
	s.agent_name = t->agent_name;
	s.cwd = t->cwd != NULL ? t->cwd : DEFAULT_CWD;
	s.create_hash = t->hash != NULL ? t->hash : "";
	s.title = t->title;
	s.instructions = t->instructions;
	s.policy = t->policy;
	s.parent = t->parent;
	s.root = t->root;
	if (launch_read(p, s.cwd, &s.launch, e) < 0)
		return e->code;
	r = session_create(g, &s, c, e);
	launch_free(s.launch);
	return r;
}

static int call_create(struct guest *g, struct call *c, struct err *e)
{
	struct create_text t = {0};
	int r = create(g, c, &t, e);

	create_text_done(&t);
	return r;
}

/* What session.create has that is there before a session. */
static int prewarm_agent(struct guest *g, struct call *c, struct create_text *t,
			 struct err *e)
{
	struct prewarm_spec s = {0};
	struct jv p = c->params, config;
	int r;

	if (get_create_text(p, t, e) < 0 ||
	    get_json(p, "config", JV_OBJECT, &config, e) < 0 ||
	    quota_read(config, &s.quota, e) < 0 ||
	    get_count(p, "start_timeout_ms", &s.timeout_ms, e) < 0 ||
	    launch_read(p, t->cwd != NULL ? t->cwd : DEFAULT_CWD, &s.launch,
			e) < 0)
		return e->code;
	s.name = t->agent_name;
	s.instructions = t->instructions;
	r = prewarm_begin(g, &s, c, e);
	launch_free(s.launch);
	return r;
}

static int call_prewarm(struct guest *g, struct call *c, struct err *e)
{
	struct create_text t = {0};
	int r = prewarm_agent(g, c, &t, e);

	create_text_done(&t);
	return r;
}

/* What to start the agent with, if the call says. */
static int get_launch(struct session *s, struct jv p, struct launch **out,
		      struct err *e)
{
	*out = NULL;
	if (!jv_is(jv_get(p, "agent"), JV_OBJECT))
		return 0;
	return launch_read(p, session_cwd(s), out, e);
}

static int call_resume(struct guest *g, struct call *c, struct err *e)
{
	struct session_wake w = {
		.want_none = jv_eq(jv_get(c->params, "restore"), "none")};
	struct session *s;
	int r;

	if (find_session(g, c, &s, e) < 0 ||
	    get_count(c->params, "start_timeout_ms", &w.start_timeout_ms, e) <
		    0 ||
	    get_launch(s, c->params, &w.launch, e) < 0)
		return e->code;
	r = session_resume(s, &w, c, e);
	launch_free(w.launch);
	return r;
}

static const char *const busy_names[] = {
	[BUSY_REJECT] = "reject",
	[BUSY_QUEUE] = "queue",
	[BUSY_STEER] = "steer",
	[BUSY_INTERRUPT] = "interrupt",
};

static int get_busy(struct jv params, enum on_busy *out, struct err *e)
{
	struct jv v = jv_get(params, "on_busy");

	*out = BUSY_REJECT;
	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(busy_names); i++)
		if (jv_eq(v, busy_names[i])) {
			*out = i;
			return 0;
		}
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "on_busy is none of reject, queue, steer, interrupt");
}

/* The id of a prompt, which the host may give. */
static int get_input(struct jv params, char **out, struct err *e)
{
	if (get_text(params, "input", ID_MAX, out, e) < 0)
		return e->code;
	if (*out == NULL || id_is(*out, "msg"))
		return 0;
	return err_set(e, -FAULT_INVALID_ID, "input is no id of a message");
}

static int call_prompt(struct guest *g, struct call *c, struct err *e)
{
	struct prompt_spec p = {.content = jv_get(c->params, "content")};
	autofree char *key = NULL, *hash = NULL, *actor = NULL, *input = NULL;
	struct session *s;
	int r;

	if (find_session(g, c, &s, e) < 0 ||
	    get_input(c->params, &input, e) < 0 ||
	    get_busy(c->params, &p.on_busy, e) < 0 ||
	    get_text(c->params, "idem_key", IDEM_KEY_MAX, &key, e) < 0 ||
	    get_text(c->params, "idem_hash", IDEM_HASH_MAX, &hash, e) < 0 ||
	    get_text(c->params, "actor", ACTOR_MAX, &actor, e) < 0 ||
	    get_launch(s, c->params, &p.launch, e) < 0)
		return e->code;
	p.idem_key = key != NULL && key[0] != '\0' ? key : NULL;
	p.idem_hash = hash != NULL ? hash : "";
	p.actor = actor;
	p.input = input;
	p.again = input != NULL && jv_bool(jv_get(c->params, "again"), false);
	r = session_prompt(s, &p, c, e);
	launch_free(p.launch);
	return r;
}

static int call_cancel(struct guest *g, struct call *c, struct err *e)
{
	autofree char *turn = NULL, *by = NULL, *reason = NULL;
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    get_text(c->params, "turn", ID_MAX, &turn, e) < 0 ||
	    get_text(c->params, "by", ACTOR_MAX, &by, e) < 0 ||
	    get_text(c->params, "reason", REASON_MAX, &reason, e) < 0)
		return e->code;
	return session_cancel(s, turn, by, reason, c, e);
}

/* Strings of session.answer, owned for the call. */
struct answer_text {
	char *request, *option, *action, *outcome, *by;
};

static void answer_text_done(struct answer_text *t)
{
	free(t->request);
	free(t->option);
	free(t->action);
	free(t->outcome);
	free(t->by);
}

static int get_answer_text(struct jv p, struct answer_text *t, struct err *e)
{
	if (need_text(p, "request", ID_MAX, &t->request, e) < 0 ||
	    get_text(p, "option", OPTION_ID_MAX, &t->option, e) < 0 ||
	    get_text(p, "action", 64, &t->action, e) < 0 ||
	    get_text(p, "outcome", 64, &t->outcome, e) < 0 ||
	    get_text(p, "by", ACTOR_MAX, &t->by, e) < 0)
		return e->code;
	if ((t->option != NULL) + (t->action != NULL) + (t->outcome != NULL) !=
		    1 ||
	    (t->outcome != NULL && strcmp(t->outcome, "cancelled") != 0))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "an answer is an option, an action, or the "
			       "outcome cancelled");
	return 0;
}

static int answer(struct guest *g, struct call *c, struct answer_text *t,
		  struct err *e)
{
	struct answer an = {.content = jv_get(c->params, "content")};
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    get_answer_text(c->params, t, e) < 0)
		return e->code;
	if (jv_is(an.content, JV_NULL))
		an.content.i = -1;
	an.option = t->option;
	an.action = t->action;
	an.actor = t->by;
	return session_answer(s, t->request, &an, c, e);
}

static int call_answer(struct guest *g, struct call *c, struct err *e)
{
	struct answer_text t = {0};
	int r = answer(g, c, &t, e);

	answer_text_done(&t);
	return r;
}

static int call_suspend(struct guest *g, struct call *c, struct err *e)
{
	autofree char *reason = NULL;
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    get_text(c->params, "reason", REASON_MAX, &reason, e) < 0)
		return e->code;
	return session_suspend(s, jv_bool(jv_get(c->params, "force"), false),
			       reason, c, e);
}

static int call_close(struct guest *g, struct call *c, struct err *e)
{
	enum close_how how = CLOSE_ASK;
	autofree char *reason = NULL;
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    get_text(c->params, "reason", REASON_MAX, &reason, e) < 0)
		return e->code;
	if (jv_bool(jv_get(c->params, "forget"), false))
		how = CLOSE_FORGET;
	else if (jv_bool(jv_get(c->params, "force"), false))
		how = CLOSE_KILL;
	return session_close(s, how, reason, c, e);
}

static int call_archive(struct guest *g, struct call *c, struct err *e)
{
	struct session *s;

	if (find_session(g, c, &s, e) < 0)
		return e->code;
	return session_archive(s, jv_bool(jv_get(c->params, "archived"), true),
			       c, e);
}

static int call_update(struct guest *g, struct call *c, struct err *e)
{
	autofree char *title = NULL;
	struct session *s;
	struct jv v;

	if (find_session(g, c, &s, e) < 0 ||
	    get_text(c->params, "title", TITLE_MAX, &title, e) < 0 ||
	    get_json(c->params, "config", JV_OBJECT, &v, e) < 0 ||
	    wish_check(v, true, e) < 0 ||
	    get_json(c->params, "tags", JV_ARRAY, &v, e) < 0 ||
	    check_tags(v, e) < 0)
		return e->code;
	return session_update(s, c->params, c, e);
}

static int call_tools(struct guest *g, struct call *c, struct err *e)
{
	struct session *s;

	if (find_session(g, c, &s, e) < 0)
		return e->code;
	return session_set_tools(s, jv_get(c->params, "tools"), c, e);
}

static int call_tool_results(struct guest *g, struct call *c, struct err *e)
{
	struct tool_results r = {
		.list = jv_get(c->params, "results"),
		.partial = jv_bool(jv_get(c->params, "partial"), false)};
	autofree char *by = NULL;
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    get_text(c->params, "by", ACTOR_MAX, &by, e) < 0)
		return e->code;
	r.actor = by;
	return session_tool_results(s, &r, c, e);
}

static int call_tool_progress(struct guest *g, struct call *c, struct err *e)
{
	struct session *s;

	if (find_session(g, c, &s, e) < 0)
		return e->code;
	return session_tool_progress(s, c->params, c, e);
}

static int call_purge(struct guest *g, struct call *c, struct err *e)
{
	struct session *s;
	int r = find_session(g, c, &s, e);

	if (r == 0)
		return session_purge(s, c, e);
	if (r == -FAULT_SESSION_NOT_FOUND)
		guest_purge_sql(g, jv_get(c->params, "session"));
	return r;
}

static int call_get(struct guest *g, struct call *c, struct err *e)
{
	struct session *s;

	if (find_session(g, c, &s, e) < 0)
		return e->code;
	return session_get(s, c, e);
}

static void on_noted(struct session *s, const struct note *n,
		     const struct err *e, void *arg)
{
	struct call *c = arg;

	(void)s;
	if (e != NULL) {
		call_fail(c, e);
		return;
	}
	jw_obj(&c->result);
	note_put_result(n, &c->result);
	jw_obj_end(&c->result);
	call_reply_after(c, session_journal(s));
}

static int take_note(struct guest *g, struct call *c, enum note_kind kind,
		     struct err *e)
{
	autonote struct note n = {0};
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    note_read(kind, c->params, &n, e) < 0)
		return e->code;
	return session_note(s, &n, on_noted, c, e);
}

static int call_kv_set(struct guest *g, struct call *c, struct err *e)
{
	return take_note(g, c, NOTE_KV_SET, e);
}

static int call_kv_delete(struct guest *g, struct call *c, struct err *e)
{
	return take_note(g, c, NOTE_KV_DELETE, e);
}

static int call_memory_set(struct guest *g, struct call *c, struct err *e)
{
	return take_note(g, c, NOTE_MEMORY_SET, e);
}

static int call_memory_delete(struct guest *g, struct call *c, struct err *e)
{
	return take_note(g, c, NOTE_MEMORY_DELETE, e);
}

static int call_summary(struct guest *g, struct call *c, struct err *e)
{
	return take_note(g, c, NOTE_SUMMARY, e);
}

static int call_mcp_list(struct guest *g, struct call *c, struct err *e)
{
	struct session *s;

	if (find_session(g, c, &s, e) < 0)
		return e->code;
	return mcp_channel_list(s, c, e);
}

static int call_mcp_tools(struct guest *g, struct call *c, struct err *e)
{
	bool refresh = jv_bool(jv_get(c->params, "refresh"), false);
	autofree char *name = NULL;
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    need_text(c->params, "name", MCP_NAME_MAX, &name, e) < 0)
		return e->code;
	return mcp_channel_tools(s, name, refresh, c, e);
}

static int call_mcp_call(struct guest *g, struct call *c, struct err *e)
{
	struct mcp_channel_call spec = {0};
	autofree char *name = NULL, *tool = NULL;
	struct session *s;

	if (find_session(g, c, &s, e) < 0 ||
	    need_text(c->params, "name", MCP_NAME_MAX, &name, e) < 0 ||
	    need_text(c->params, "tool", MCP_TOOL_MAX, &tool, e) < 0 ||
	    get_count(c->params, "timeout_ms", &spec.timeout_ms, e) < 0)
		return e->code;
	spec.name = name;
	spec.tool = tool;
	spec.args = jv_get(c->params, "arguments");
	if (jv_is(spec.args, JV_NULL))
		spec.args.i = -1;
	if (jv_has(spec.args) && !jv_is(spec.args, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "arguments is no object");
	return mcp_channel_call(s, &spec, c, e);
}

static int call_fail_turns(struct guest *g, struct call *c, struct err *e)
{
	autofree char *code = NULL, *message = NULL;
	struct err why = {0};

	if (need_text(c->params, "code", 63, &code, e) < 0 ||
	    need_text(c->params, "message", ERR_MSG_MAX, &message, e) < 0)
		return e->code;
	err_set(&why, -(int)fault_from_name(code), "%s", message);
	sessions_fail_turns(g, &why);
	call_reply(c);
	return 0;
}

static int call_freeze(struct guest *g, struct call *c, struct err *e)
{
	autofree char *reason = NULL;

	if (get_text(c->params, "reason", REASON_MAX, &reason, e) < 0)
		return e->code;
	if (!jv_bool(jv_get(c->params, "warm"), false))
		return guest_freeze(g, reason, c, e);
	if (g->state >= GUEST_FREEZING)
		return err_set(e, -FAULT_DRAINING, "the VM goes to sleep");
	return guest_pause(g, c, e);
}

static int call_poweroff(struct guest *g, struct call *c, struct err *e)
{
	(void)e;
	guest_poweroff(g, c);
	return 0;
}

/* Also when it only will be again. */
#define AWAKE                                                          \
	(BIT(GUEST_SERVING) | BIT(GUEST_PAUSING) | BIT(GUEST_PAUSED) | \
	 BIT(GUEST_THAWING))

static const struct method {
	const char *name;
	int (*act)(struct guest *g, struct call *c, struct err *e);
	unsigned when; /* BIT()s of enum guest_state. */
} methods[] = {
	{"session.create", call_create, BIT(GUEST_SERVING)},
	{"prewarm", call_prewarm, BIT(GUEST_SERVING)},
	{"session.resume", call_resume, BIT(GUEST_SERVING)},
	{"session.prompt", call_prompt, BIT(GUEST_SERVING)},
	{"session.cancel", call_cancel, BIT(GUEST_SERVING)},
	{"session.answer", call_answer, BIT(GUEST_SERVING)},
	{"session.suspend", call_suspend, BIT(GUEST_SERVING)},
	{"session.close", call_close, BIT(GUEST_SERVING)},
	{"session.archive", call_archive, BIT(GUEST_SERVING)},
	{"session.update", call_update, BIT(GUEST_SERVING)},
	{"session.tools", call_tools, BIT(GUEST_SERVING)},
	{"tool.results", call_tool_results, BIT(GUEST_SERVING)},
	{"tool.progress", call_tool_progress, BIT(GUEST_SERVING)},
	{"session.purge", call_purge, BIT(GUEST_SERVING)},
	{"session.get", call_get, BIT(GUEST_SERVING)},
	{"mcp.list", call_mcp_list, BIT(GUEST_SERVING)},
	{"mcp.tools", call_mcp_tools, BIT(GUEST_SERVING)},
	{"mcp.call", call_mcp_call, BIT(GUEST_SERVING)},
	{"kv.set", call_kv_set, BIT(GUEST_SERVING)},
	{"kv.delete", call_kv_delete, BIT(GUEST_SERVING)},
	{"memory.set", call_memory_set, BIT(GUEST_SERVING)},
	{"memory.delete", call_memory_delete, BIT(GUEST_SERVING)},
	{"summary.add", call_summary, BIT(GUEST_SERVING)},
	{"sql", guest_sql, BIT(GUEST_SERVING)},
	{"sql.fork", guest_sql_fork, BIT(GUEST_SERVING)},
	{"fail_turns", call_fail_turns, BIT(GUEST_SERVING)},
	{"workspace.checkpoint", guest_checkpoint, BIT(GUEST_SERVING)},
	{"freeze", call_freeze,
	 AWAKE | BIT(GUEST_FREEZING) | BIT(GUEST_FROZEN)},
	{"thaw", guest_thaw, AWAKE | BIT(GUEST_NEW)},
	{"reexec", guest_reexec, BIT(GUEST_SERVING)},
	{"poweroff", call_poweroff, ~0u},
};

static const struct method *find_method(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

static int act(struct guest *g, const char *name, struct call *c, struct err *e)
{
	const struct method *m = find_method(name);

	if (m == NULL)
		return err_set(e, -FAULT_METHOD_UNKNOWN,
			       "there is no method '%.64s'", name);
	if ((m->when & BIT(g->state)) != 0)
		return m->act(g, c, e);
	if (g->state == GUEST_NEW)
		return err_set(e, -FAULT_NOT_READY,
			       "the guest has not been started");
	if (g->state == GUEST_UPGRADING)
		return err_set(e, -FAULT_DRAINING,
			       "the guest is being replaced");
	return err_set(e, -FAULT_DRAINING, "the VM goes to sleep");
}

void calls_dispatch(struct guest *g, const char *name, struct call *c)
{
	struct err e = {0};
	int r = act(g, name, c, &e);

	if (r < 0)
		call_fail(c, &e);
}
