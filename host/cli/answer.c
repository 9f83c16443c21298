// SPDX-License-Identifier: Apache-2.0
/*
 * answer.c - hib answer, approve, deny
 */
#include <string.h>

#include "host/cli/commands.h"

struct answer_options {
	const char *content, *actor, *result, *error;
	struct opt_list fields;
	bool accept, decline, cancel, always;
};

#define ACTOR_OPT OPT(OPT_TEXT, answer_options, actor, "actor")

static int send_answer(struct cli *c, const char *request,
		       const struct hib_answer *a)
{
	struct hib_error e;

	if (hib_answer(c->hib, c->argv[0], request, a, &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}

/* --- what waits --------------------------------------------------------- */

/* The request that is meant: the one of that id, or the only one that waits. */
static int find_request(struct jv rows, const char *session, const char *id,
			struct jv *out, struct err *e)
{
	unsigned n = 0;

	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row)) {
		bool waits = jv_eq(jv_get(row, "state"), "pending");

		if (id != NULL ? jv_eq(jv_get(row, "id"), id) : waits) {
			*out = row;
			n++;
		}
	}
	if (n == 0 && id != NULL)
		return err_set(e, -FAULT_REQUEST_NOT_FOUND,
			       "request %.64s is not in %s", id, session);
	if (n == 0)
		return err_set(e, -FAULT_NOT_WAITING, "%s waits for nothing",
			       session);
	if (n > 1)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s waits for %u answers; name the request",
			       session, n);
	return 0;
}

/* Read it into @j.  Return: -1 to go on, else the exit status. */
static int load_request(struct cli *c, const char *id, char **text,
			struct json *j, struct jv *out)
{
	struct hib_error he;
	struct err e = {0};

	if (hib_get_requests(c->hib, c->argv[0], text, &he) < 0)
		return cli_fail_hib(&he);
	if (json_parse(j, *text, strlen(*text), &e) < 0 ||
	    find_request(json_root(j), c->argv[0], id, out, &e) < 0)
		return cli_fail(&e);
	return -1;
}

/* --- forms -------------------------------------------------------------- */

/* A value as the form's field wants it; what does not fit goes as text, and is
 * refused by who knows why. */
static void put_value(struct jw *w, struct jv field, const char *text)
{
	struct jv type = jv_get(field, "type");
	autojson struct json j = {0};
	struct jv v;

	if (jv_eq(type, "string") || jv_eq(type, "array") ||
	    json_parse(&j, text, strlen(text), NULL) < 0) {
		jw_str(w, text);
		return;
	}
	v = json_root(&j);
	if (jv_is(v, JV_NUMBER) || jv_is(v, JV_BOOL))
		jw_value(w, v);
	else
		jw_str(w, text);
}

static bool same_name(const char *a, const char *b, size_t n)
{
	return strncmp(a, b, n) == 0 && a[n] == '=';
}

/* The field @i of the list with all its values; one that was given before has
 * been written there. */
static void put_field(struct jw *w, struct jv fields, const struct opt_list *l,
		      size_t i)
{
	size_t n = strcspn(l->item[i], "=");
	autofree char *name = strndup(l->item[i], n);
	struct jv field = {.i = -1};
	bool list;

	for (size_t k = 0; k < i; k++)
		if (same_name(l->item[k], l->item[i], n))
			return;
	if (name == NULL) {
		w->failed = true;
		return;
	}
	field = jv_get(fields, name);
	list = jv_eq(jv_get(field, "type"), "array");
	jw_key(w, name);
	if (list)
		jw_arr(w);
	for (size_t k = i; k < l->n; k++) {
		if (!same_name(l->item[k], l->item[i], n) || (!list && k > i))
			continue;
		put_value(w, field, l->item[k] + n + 1);
	}
	if (list)
		jw_arr_end(w);
}

/* Return: -1 to go on, else the exit status. */
static int fill_form(struct cli *c, const struct opt_list *l, struct jw *w)
{
	struct jv row = {.i = -1}, fields;
	autofree char *text = NULL;
	autojson struct json j = {0};
	int r;

	for (size_t i = 0; i < l->n; i++)
		if (strchr(l->item[i], '=') == NULL)
			return cli_usage(c, "'%s' is not NAME=VALUE",
					 l->item[i]);
	r = load_request(c, c->argv[1], &text, &j, &row);
	if (r >= 0)
		return r;
	fields = jv_path(row, "body.schema.properties");
	jw_obj(w);
	for (size_t i = 0; i < l->n; i++)
		put_field(w, fields, l, i);
	jw_obj_end(w);
	return -1;
}

/* --- answer ------------------------------------------------------------- */

/* Without fields: an empty form, or none for a URL. */
static int accept_empty(struct cli *c, struct hib_answer *a)
{
	struct jv row = {.i = -1};
	autofree char *text = NULL;
	autojson struct json j = {0};
	int r = load_request(c, c->argv[1], &text, &j, &row);

	if (r >= 0)
		return r;
	a->content = jv_has(jv_path(row, "body.schema")) ? "{}" : NULL;
	return send_answer(c, c->argv[1], a);
}

static int accept_form(struct cli *c, const struct answer_options *o,
		       struct hib_answer *a)
{
	autojw struct jw w = {0};
	int r;

	a->action = "accept";
	a->content = o->content;
	if (o->content != NULL)
		return send_answer(c, c->argv[1], a);
	if (o->fields.n == 0)
		return accept_empty(c, a);
	r = fill_form(c, &o->fields, &w);
	if (r >= 0)
		return r;
	a->content = w.buf;
	return send_answer(c, c->argv[1], a);
}

/* Of a call of a function. */
static int send_result(struct cli *c, const struct answer_options *o)
{
	struct hib_tool_results r = {
		.size = sizeof(r),
		.partial = true,
		.actor = cli_actor(o->actor),
	};
	autojw struct jw w = {0};
	struct hib_error e;

	jw_arr(&w);
	jw_obj(&w);
	jw_kstr(&w, "id", c->argv[1]);
	if (o->result != NULL)
		jw_kstr(&w, "content", o->result);
	else
		jw_kstr(&w, "error", o->error);
	jw_obj_end(&w);
	jw_arr_end(&w);
	r.results = w.buf;
	if (hib_submit_tool_results(c->hib, c->argv[0], &r, &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}

static int check_usage(const struct cli *c, const struct answer_options *o)
{
	int n = (c->argc == 3) + o->accept + o->decline + o->cancel +
		(o->result != NULL) + (o->error != NULL);

	if (n != 1)
		return cli_usage(c, "an answer is OPTION, --accept, "
				    "--decline, --cancel, --result or --error");
	if (!o->accept && (o->content != NULL || o->fields.n > 0))
		return cli_usage(c, "--field and --content go with --accept");
	if (o->content != NULL && o->fields.n > 0)
		return cli_usage(c, "--field and --content exclude each other");
	return -1;
}

int answer_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, answer_options, accept, "accept"),
		OPT(OPT_FLAG, answer_options, decline, "decline"),
		OPT(OPT_FLAG, answer_options, cancel, "cancel"),
		OPT(OPT_LIST, answer_options, fields, "field"),
		OPT(OPT_TEXT, answer_options, content, "content"),
		OPT(OPT_TEXT, answer_options, result, "result"),
		OPT(OPT_TEXT, answer_options, error, "error"),
		ACTOR_OPT,
		OPT_END,
	};
	struct answer_options o = {0};
	struct hib_answer a = {.size = sizeof(a)};
	int r = cli_options(c, argc, argv, opts, &o, 2, 3);

	if (r < 0)
		r = check_usage(c, &o);
	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	a.actor = cli_actor(o.actor);
	if (o.result != NULL || o.error != NULL)
		return send_result(c, &o);
	if (o.accept)
		return accept_form(c, &o, &a);
	if (c->argc == 3)
		a.option = c->argv[2];
	else if (o.decline)
		a.action = "decline";
	return send_answer(c, c->argv[1], &a);
}

/* --- yes and no --------------------------------------------------------- */

/* A way to decide, by kinds of options. */
struct decision {
	const char *once[2], *always[2];
	const char *action; /* Of an elicitation. */
};

static const struct decision yes = {
	.once = {"allow_once", "allow_always"},
	.always = {"allow_always"},
	.action = "accept",
};
static const struct decision no = {
	.once = {"reject_once", "reject_always"},
	.always = {"reject_always"},
	.action = "decline",
};

/* The offered option of the first of these kinds.  NULL: none is offered. */
static char *find_option(struct jv request, const char *const kinds[2])
{
	struct jv options = jv_path(request, "body.options");

	for (int i = 0; i < 2 && kinds[i] != NULL; i++) {
		for (struct jv o = jv_first(options); jv_has(o);
		     o = jv_next(options, o)) {
			if (jv_eq(jv_get(o, "kind"), kinds[i]))
				return jv_strdup(jv_get(o, "optionId"), NULL);
		}
	}
	return NULL;
}

static int cannot(const char *what)
{
	struct err e = {0};

	err_set(&e, -FAULT_INVALID_ARGUMENT,
		"%s; see 'hib session requests' and use 'hib answer'", what);
	return cli_fail(&e);
}

/* A URL can be accepted as it is, a form must be filled in. */
static int decide_elicitation(struct cli *c, struct jv request, const char *id,
			      const struct decision *d, struct hib_answer *a)
{
	if (d == &yes && !jv_has(jv_path(request, "body.url")))
		return cannot("the agent asks for a form to be filled in");
	a->action = d->action;
	return send_answer(c, id, a);
}

static int decide(struct cli *c, const struct decision *d,
		  const struct answer_options *o)
{
	struct hib_answer a = {.size = sizeof(a), .actor = cli_actor(o->actor)};
	autofree char *text = NULL, *option = NULL;
	autojson struct json j = {0};
	struct jv request = {.i = -1};
	char id[ID_MAX];
	int r = load_request(c, c->argc > 1 ? c->argv[1] : NULL, &text, &j,
			     &request);

	if (r >= 0)
		return r;
	(void)jv_strcpy(jv_get(request, "id"), id, sizeof(id));
	if (jv_eq(jv_get(request, "kind"), "elicitation"))
		return decide_elicitation(c, request, id, d, &a);
	if (jv_eq(jv_get(request, "kind"), "tool"))
		return cannot("the agent calls a function");
	option = find_option(request, o->always ? d->always : d->once);
	/* A no that is not offered is no answer at all. */
	if (option == NULL && (d == &yes || o->always))
		return cannot("the agent does not offer that");
	a.option = option;
	return send_answer(c, id, &a);
}

int cli_decide(struct cli *c, bool approve)
{
	const struct answer_options o = {0};

	return decide(c, approve ? &yes : &no, &o);
}

static int decide_command(struct cli *c, int argc, char **argv,
			  const struct decision *d)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, answer_options, always, "always"),
		ACTOR_OPT,
		OPT_END,
	};
	struct answer_options o = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 2);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r < 0)
		r = cli_hib(c);
	return r >= 0 ? r : decide(c, d, &o);
}

int approve_command(struct cli *c, int argc, char **argv)
{
	return decide_command(c, argc, argv, &yes);
}

int deny_command(struct cli *c, int argc, char **argv)
{
	return decide_command(c, argc, argv, &no);
}
