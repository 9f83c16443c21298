// SPDX-License-Identifier: Apache-2.0
/*
 * ask.c - A question of the agent, or of an MCP server, that somebody must answer
 *
 * What differs between the kinds stands in one table: how a request is taken,
 * how an answer is checked and told.
 */
#include "guest/ask.h"

#include <string.h>

#include "core/time.h"
#include "guest/acp.h"
#include "guest/form.h"
#include "guest/limits.h"

static char *copy_raw(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return strndup(raw, len);
}

static bool is_text(struct jv v, size_t max)
{
	size_t len = 0;

	(void)jv_raw(v, &len);
	return jv_is(v, JV_STRING) && len <= max;
}

struct answer answer_cancelled(const char *by)
{
	return (struct answer){.content = {.i = -1}, .by = by};
}

bool answer_is_reserved(const char *by)
{
	static const char *const names[] = {"policy", "timeout", "cancel",
					    "agent", "server"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(by, names[i]) == 0)
			return true;
	return false;
}

static bool is_cancel(const struct answer *an)
{
	return an->option == NULL &&
	       (an->action == NULL || strcmp(an->action, "cancel") == 0);
}

static bool is_accept(const struct answer *an)
{
	return an->action != NULL && strcmp(an->action, "accept") == 0;
}

/*
 * Permissions.
 */

static bool has_option_ids(struct jv options)
{
	size_t n = jv_count(options);
	char id[OPTION_ID_MAX + 1];

	if (!jv_is(options, JV_ARRAY) || n == 0 || n > OPTIONS_MAX)
		return false;
	for (struct jv it = jv_first(options); jv_has(it);
	     it = jv_next(options, it))
		if (jv_strcpy(jv_get(it, "optionId"), id, sizeof(id)) < 0)
			return false;
	return true;
}

static int take_permission(struct ask *a, struct jv params, struct err *e)
{
	struct jv options = jv_get(params, "options");

	if (!has_option_ids(options))
		return err_set(e, -EINVAL,
			       "the request offers no list of options");
	a->form = copy_raw(options);
	return a->form == NULL ? -ENOMEM : 0;
}

static struct jv tool_of_permission(struct jv params)
{
	return jv_path(params, "toolCall.toolCallId");
}

static void write_permission(const struct ask *a, struct jv params,
			     struct jw *w)
{
	(void)a;
	jw_kvalue(w, "options", jv_get(params, "options"));
	jw_kvalue(w, "tool", jv_get(params, "toolCall"));
}

/* The option of that id among those offered; absent: there is none. */
static struct jv find_option(const struct json *options, const char *id)
{
	struct jv list = json_root(options), it;

	for (it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (jv_eq(jv_get(it, "optionId"), id))
			break;
	return it;
}

static int check_permission(const struct ask *a, const struct answer *an,
			    struct err *e)
{
	autojson struct json j = {0};

	if (an->action != NULL && strcmp(an->action, "cancel") != 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "request %s is answered by an option", a->id);
	if (an->option == NULL)
		return 0;
	if (json_parse(&j, a->form, strlen(a->form), e) < 0)
		return err_set(e, -ENOMEM, "answer: out of memory");
	if (!jv_has(find_option(&j, an->option)))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "request %s does not offer '%.64s'", a->id,
			       an->option);
	return 0;
}

static void write_selected(const struct ask *a, const struct answer *an,
			   struct jw *w)
{
	autojson struct json j = {0};
	struct jv kind = {.i = -1};

	if (json_parse(&j, a->form, strlen(a->form), NULL) == 0)
		kind = jv_get(find_option(&j, an->option), "kind");
	jw_kstr(w, "outcome", "selected");
	jw_kstr(w, "option", an->option);
	if (jv_is(kind, JV_STRING))
		jw_kvalue(w, "option_kind", kind);
}

static void reply_permission(const struct answer *an, struct jw *w)
{
	acp_write_outcome(w, an->option);
}

/*
 * Elicitations.
 */

static int take_url(struct ask *a, struct jv params, struct err *e)
{
	char id[ELICITATION_MAX + 1];

	if (jv_strcpy(jv_get(params, "elicitationId"), id, sizeof(id)) < 0 ||
	    !is_text(jv_get(params, "url"), QUESTION_MAX))
		return err_set(e, -EINVAL,
			       "the request has no elicitationId or no url");
	a->elicitation = strdup(id);
	return a->elicitation == NULL ? -ENOMEM : 0;
}

/* A form is what the Model Context Protocol means by no mode at all. */
static bool is_form(struct jv params)
{
	struct jv mode = jv_get(params, "mode");

	return !jv_has(mode) || jv_is(mode, JV_NULL) || jv_eq(mode, "form");
}

static int take_elicitation(struct ask *a, struct jv params, struct err *e)
{
	struct jv schema = jv_get(params, "requestedSchema");

	if (!is_text(jv_get(params, "message"), QUESTION_MAX))
		return err_set(e, -EINVAL, "the request has no message");
	if (jv_eq(jv_get(params, "mode"), "url"))
		return take_url(a, params, e);
	if (!is_form(params))
		return err_set(e, -EINVAL, "the mode is neither form nor url");
	if (form_check_schema(schema, e) < 0)
		return -EINVAL;
	a->form = copy_raw(schema);
	return a->form == NULL ? -ENOMEM : 0;
}

static struct jv tool_of_elicitation(struct jv params)
{
	return jv_get(params, "toolCallId");
}

static void write_elicitation(const struct ask *a, struct jv params,
			      struct jw *w)
{
	bool form = is_form(params);

	if (a->tool != NULL)
		jw_kraw(w, "tool", a->tool);
	jw_kstr(w, "mode", form ? "form" : "url");
	jw_kvalue(w, "message", jv_get(params, "message"));
	if (form) {
		jw_kvalue(w, "schema", jv_get(params, "requestedSchema"));
		return;
	}
	jw_kvalue(w, "url", jv_get(params, "url"));
	jw_kvalue(w, "elicitation_id", jv_get(params, "elicitationId"));
}

static int check_accept(const struct ask *a, struct jv content, struct err *e)
{
	autojson struct json j = {0};
	size_t len = 0;

	(void)jv_raw(content, &len);
	if (a->form == NULL && jv_has(content))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content: request %s is a URL, which is "
			       "accepted without",
			       a->id);
	if (a->form == NULL)
		return 0;
	if (len > ANSWER_BYTES_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content has more than %u bytes",
			       ANSWER_BYTES_MAX);
	if (json_parse(&j, a->form, strlen(a->form), e) < 0)
		return err_set(e, -ENOMEM, "answer: out of memory");
	return form_check(json_root(&j), content, e);
}

static int check_elicitation(const struct ask *a, const struct answer *an,
			     struct err *e)
{
	if (an->option != NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "request %s is answered by an action: accept, "
			       "decline or cancel",
			       a->id);
	if (is_accept(an))
		return check_accept(a, an->content, e);
	if (!is_cancel(an) && strcmp(an->action, "decline") != 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "action '%.64s' is none of accept, decline, "
			       "cancel",
			       an->action);
	if (jv_has(an->content))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content goes with the action accept only");
	return 0;
}

static void write_action(const struct ask *a, const struct answer *an,
			 struct jw *w)
{
	(void)a;
	jw_kstr(w, "outcome", an->action);
	if (jv_has(an->content))
		jw_kvalue(w, "content", an->content);
}

static void reply_elicitation(const struct answer *an, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "action", is_cancel(an) ? "cancel" : an->action);
	if (jv_has(an->content))
		jw_kvalue(w, "content", an->content);
	jw_obj_end(w);
}

/*
 * Either.
 */

static const struct kind {
	const char *name, *requested, *resolved;
	int (*take)(struct ask *a, struct jv params, struct err *e);
	struct jv (*tool_of)(struct jv params);
	void (*write_request)(const struct ask *a, struct jv params,
			      struct jw *w);
	int (*check)(const struct ask *a, const struct answer *an,
		     struct err *e);
	/* An answer that is not cancelled. */
	void (*write_answer)(const struct ask *a, const struct answer *an,
			     struct jw *w);
	void (*reply)(const struct answer *an, struct jw *w);
} kinds[] = {
	[ASK_PERMISSION] = {"permission", "permission.requested",
			    "permission.resolved", take_permission,
			    tool_of_permission, write_permission,
			    check_permission, write_selected, reply_permission},
	[ASK_ELICITATION] = {"elicitation", "elicitation.requested",
			     "elicitation.resolved", take_elicitation,
			     tool_of_elicitation, write_elicitation,
			     check_elicitation, write_action,
			     reply_elicitation},
};

const char *ask_kind_name(enum ask_kind kind)
{
	return kinds[kind].name;
}

const char *ask_requested_type(enum ask_kind kind)
{
	return kinds[kind].requested;
}

const char *ask_resolved_type(enum ask_kind kind)
{
	return kinds[kind].resolved;
}

static void ask_on_closed(uv_handle_t *h)
{
	struct ask *a = container_of(h, struct ask, timer);

	free(a->rpc_id);
	free(a->tool);
	free(a->form);
	free(a->elicitation);
	free(a);
}

void ask_free(struct ask *a)
{
	uv_close((uv_handle_t *)&a->timer, ask_on_closed);
}

static int take(struct ask *a, const struct rpc_msg *m, struct err *e)
{
	struct jv tool = kinds[a->kind].tool_of(m->params);

	if (is_text(tool, TOOL_ID_MAX)) {
		a->tool = copy_raw(tool);
		if (a->tool == NULL)
			return -ENOMEM;
	}
	if (jv_has(m->id)) {
		a->rpc_id = copy_raw(m->id);
		if (a->rpc_id == NULL)
			return -ENOMEM;
	}
	return kinds[a->kind].take(a, m->params, e);
}

int ask_new(uv_loop_t *loop, enum ask_kind kind, const struct rpc_msg *m,
	    struct ask **out, struct err *e)
{
	struct ask *a = calloc(1, sizeof(*a));
	int r;

	if (a == NULL)
		return err_set(e, -ENOMEM, "request: out of memory");
	a->kind = kind;
	id_new(a->id, "req");
	uv_timer_init(loop, &a->timer);
	r = take(a, m, e);
	if (r == 0)
		*out = a;
	else
		ask_free(a);
	return r == -ENOMEM ? err_set(e, r, "request: out of memory") : r;
}

static void ask_on_timer(uv_timer_t *t)
{
	struct ask *a = container_of(t, struct ask, timer);

	a->expired(a, a->arg);
}

void ask_set_timeout(struct ask *a, int64_t timeout_ms)
{
	if (timeout_ms <= 0)
		return;
	a->deadline_ms = now_ms() + timeout_ms;
	uv_timer_start(&a->timer, ask_on_timer, (uint64_t)timeout_ms, 0);
}

bool ask_option_kind(const struct ask *a, const char *option, char *out,
		     size_t cap)
{
	autojson struct json j = {0};

	return json_parse(&j, a->form, strlen(a->form), NULL) == 0 &&
	       jv_strcpy(jv_get(find_option(&j, option), "kind"), out, cap) > 0;
}

char *ask_pick(const struct ask *a, const char *const kinds_wanted[2])
{
	autojson struct json j = {0};
	struct jv list;

	if (json_parse(&j, a->form, strlen(a->form), NULL) < 0)
		return NULL;
	list = json_root(&j);
	for (int i = 0; i < 2; i++)
		for (struct jv it = jv_first(list); jv_has(it);
		     it = jv_next(list, it))
			if (jv_eq(jv_get(it, "kind"), kinds_wanted[i]))
				return jv_strdup(jv_get(it, "optionId"), NULL);
	return NULL;
}

int ask_check(const struct ask *a, const struct answer *an, struct err *e)
{
	return kinds[a->kind].check(a, an, e);
}

void ask_write_ctx(const struct ask *a, const char *input, const char *actor,
		   struct jw *w)
{
	jw_obj(w);
	if (input[0] != '\0')
		jw_kstr(w, "input", input);
	jw_kstr(w, "req", a->id);
	if (a->tool != NULL)
		jw_kraw(w, "tool", a->tool);
	if (actor != NULL)
		jw_kstr(w, "actor", actor);
	jw_obj_end(w);
}

void ask_write_request(const struct ask *a, const struct rpc_msg *m,
		       struct jw *w)
{
	kinds[a->kind].write_request(a, m->params, w);
	if (jv_has(m->id))
		jw_kvalue(w, "rpc_id", m->id);
	if (a->deadline_ms > 0)
		jw_kint(w, "deadline_ms", a->deadline_ms);
}

void ask_write_answer(const struct ask *a, const struct answer *an,
		      struct jw *w)
{
	if (is_cancel(an))
		jw_kstr(w, "outcome", "cancelled");
	else
		kinds[a->kind].write_answer(a, an, w);
	jw_kstr(w, "by", an->by);
	if (an->rule != NULL)
		jw_kstr(w, "rule", an->rule);
	if (an->reason != NULL)
		jw_kstr(w, "reason", an->reason);
	if (an->remember != NULL) {
		jw_key(w, "remember");
		always_write(an->remember, w);
	}
}

void ask_write_reply(const struct ask *a, const struct answer *an, struct jw *w)
{
	kinds[a->kind].reply(an, w);
}
