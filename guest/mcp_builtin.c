// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_builtin.c - One session's view of a server inside the daemon
 *
 *	call --> OPEN --answer--> ANSWERED --turn of the loop--> done, freed
 *	          |                   |
 *	          '-------cancel------'--> without an owner, freed once answered
 *
 * A tool answers whenever it likes, in the call that starts it or after its
 * session has gone.  An answer is kept until the loop comes by, so that nobody is
 * told of it while he is still asking.  Who cancels takes his call off the list;
 * the tool then answers to nobody.
 */
#include "guest/mcp_builtin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/args.h"
#include "core/content.h"

TAILQ_HEAD(builtin_call_list, builtin_call);

struct mcp_builtin {
	const struct builtin *builtin;
	struct session *session;
	struct builtin_call_list open, answered;
	uv_idle_t idle; /* Runs while there are answers. */
};

/*
 * The end of a call.
 */

static void call_free(struct builtin_call *q)
{
	json_done(&q->doc);
	jw_done(&q->result);
	free(q->text);
	free(q->name);
	free(q);
}

static const char no_memory[] =
	"{\"content\":[{\"type\":\"text\",\"text\":\"out of memory\"}],"
	"\"isError\":true}";

static void call_tell(struct builtin_call *q)
{
	if (q->result.failed || q->result.len == 0)
		q->done(no_memory, sizeof(no_memory) - 1, q->arg);
	else
		q->done(q->result.buf, q->result.len, q->arg);
	call_free(q);
}

/* A callback may do anything, freeing us too: then the list is empty. */
static void mcp_builtin_on_idle(uv_idle_t *h)
{
	struct mcp_builtin *m = container_of(h, struct mcp_builtin, idle);
	struct builtin_call *q;

	while ((q = TAILQ_FIRST(&m->answered)) != NULL) {
		TAILQ_REMOVE(&m->answered, q, link);
		q->owner = NULL;
		call_tell(q);
	}
	(void)uv_idle_stop(h);
}

/* q->result is complete. */
static void call_answer(struct builtin_call *q)
{
	struct mcp_builtin *m = q->owner;

	q->answered = true;
	if (m == NULL) {
		call_free(q);
		return;
	}
	TAILQ_REMOVE(&m->open, q, link);
	TAILQ_INSERT_TAIL(&m->answered, q, link);
	(void)uv_idle_start(&m->idle, mcp_builtin_on_idle);
}

static void call_disown(struct builtin_call *q)
{
	struct mcp_builtin *m = q->owner;

	TAILQ_REMOVE(q->answered ? &m->answered : &m->open, q, link);
	q->owner = NULL;
	if (q->answered)
		call_free(q);
	else if (q->cancelled != NULL)
		q->cancelled(q);
}

void mcp_builtin_cancel(struct builtin_call *q)
{
	call_disown(q);
}

/*
 * Answers.
 */

static void begin_content(struct jw *w)
{
	jw_obj(w);
	jw_key(w, "content");
	jw_arr(w);
}

static void write_text(struct jw *w, const char *text)
{
	content_text(w, text, strlen(text));
}

static void write_text_result(struct jw *w, const char *text, bool failed)
{
	begin_content(w);
	write_text(w, text);
	jw_arr_end(w);
	if (failed)
		jw_kbool(w, "isError", true);
	jw_obj_end(w);
}

static void write_value_result(struct jw *w, const char *json)
{
	begin_content(w);
	write_text(w, json);
	jw_arr_end(w);
	jw_kraw(w, "structuredContent", json);
	jw_obj_end(w);
}

/* The error object of err.h is the structured part. */
static void write_fault(struct jw *w, const struct err *e)
{
	begin_content(w);
	write_text(w, e->msg);
	jw_arr_end(w);
	jw_key(w, "structuredContent");
	jw_obj(w);
	jw_key(w, "error");
	err_write(e, w);
	jw_obj_end(w);
	jw_kbool(w, "isError", true);
	jw_obj_end(w);
}

void builtin_reply(struct builtin_call *q, const char *result)
{
	if (result != NULL)
		jw_raw(&q->result, result, strlen(result));
	call_answer(q);
}

void builtin_reply_value(struct builtin_call *q, const char *json)
{
	if (json != NULL)
		write_value_result(&q->result, json);
	call_answer(q);
}

printf_like(3, 0) static void answer_words(struct builtin_call *q, bool failed,
					   const char *fmt, va_list ap)
{
	autofree char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	else
		write_text_result(&q->result, text, failed);
	call_answer(q);
}

void builtin_text(struct builtin_call *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_words(q, false, fmt, ap);
	va_end(ap);
}

void builtin_error(struct builtin_call *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_words(q, true, fmt, ap);
	va_end(ap);
}

void builtin_fault(struct builtin_call *q, const struct err *e)
{
	write_fault(&q->result, e);
	call_answer(q);
}

static void call_on_stored(struct journal_effect *ef, const struct err *e)
{
	struct builtin_call *q = container_of(ef, struct builtin_call, stored);

	if (e != NULL) {
		jw_reset(&q->result);
		write_fault(&q->result, e);
	}
	call_answer(q);
}

void builtin_reply_after(struct builtin_call *q, struct journal *j,
			 const char *json, const char *text)
{
	if (json != NULL)
		write_value_result(&q->result, json);
	else
		write_text_result(&q->result, text, false);
	q->stored.run = call_on_stored;
	journal_then(j, &q->stored);
}

void builtin_progress(struct builtin_call *q, int64_t progress, int64_t total,
		      const char *message)
{
	autojw struct jw w = {0};

	if (q->owner == NULL || q->progress == NULL)
		return;
	jw_obj(&w);
	jw_kint(&w, "progress", progress);
	if (total > 0)
		jw_kint(&w, "total", total);
	if (message != NULL)
		jw_kstr(&w, "message", message);
	jw_obj_end(&w);
	if (!w.failed)
		q->progress(w.buf, q->arg);
}

/*
 * Arguments.
 */

static struct jv argument(const struct builtin_call *q, const char *key)
{
	struct jv v = jv_get(q->args, key);

	if (jv_is(v, JV_NULL))
		v.i = -1;
	return v;
}

int builtin_get_text(struct builtin_call *q, const char *key, size_t max,
		     char **out, struct err *e)
{
	return args_text(argument(q, key), key, max, out, e);
}

int builtin_need_text(struct builtin_call *q, const char *key, size_t max,
		      char **out, struct err *e)
{
	if (builtin_get_text(q, key, max, out, e) < 0)
		return e->code;
	if (*out == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is missing",
			       key);
	return 0;
}

int builtin_get_int(struct builtin_call *q, const char *key, int64_t min,
		    int64_t max, int64_t *io, struct err *e)
{
	struct jv v = argument(q, key);
	/* Out of the range, whatever it is. */
	int64_t other = min > INT64_MIN ? INT64_MIN : INT64_MAX;
	int64_t n = jv_int(v, other);

	if (!jv_has(v))
		return 0;
	if (n < min || n > max)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no whole number from %lld to %lld", key,
			       (long long)min, (long long)max);
	*io = n;
	return 0;
}

bool builtin_get_bool(struct builtin_call *q, const char *key, bool otherwise)
{
	return jv_bool(argument(q, key), otherwise);
}

/*
 * What is checked of the arguments for every tool.
 */

static bool is_type(struct jv v, struct jv type)
{
	static const struct {
		const char *name;
		enum jv_type type;
	} types[] = {
		{"string", JV_STRING},	{"number", JV_NUMBER},
		{"integer", JV_NUMBER}, {"boolean", JV_BOOL},
		{"array", JV_ARRAY},	{"object", JV_OBJECT},
	};

	if (jv_is(v, JV_NULL))
		return true; /* As absent. */
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (jv_eq(type, types[i].name))
			return jv_is(v, types[i].type);
	return true; /* Anything, or several. */
}

static int check_required(struct jv schema, struct jv args, struct err *e)
{
	struct jv list = jv_get(schema, "required");
	char key[128];

	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		struct jv v;

		(void)jv_strcpy(it, key, sizeof(key));
		v = jv_get(args, key);
		if (!jv_has(v) || jv_is(v, JV_NULL))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "%s is missing", key);
	}
	return 0;
}

static int check_types(struct jv schema, struct jv args, struct err *e)
{
	struct jv known = jv_get(schema, "properties");
	bool closed = !jv_bool(jv_get(schema, "additionalProperties"), true);
	char key[128];

	for (struct jv it = jv_first(args); jv_has(it);
	     it = jv_next(args, it)) {
		struct jv p = {.i = -1};

		if (jv_strcpy(it, key, sizeof(key)) >= 0)
			p = jv_get(known, key);
		if (!jv_has(p) && closed)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "there is no argument '%s'", key);
		if (!is_type(jv_value(it), jv_get(p, "type"))) {
			char type[16] = "";

			(void)jv_strcpy(jv_get(p, "type"), type, sizeof(type));
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "%s is no %s", key, type);
		}
	}
	return 0;
}

int builtin_check(struct builtin_call *q, const char *input_schema,
		  struct err *e)
{
	autojson struct json j = {0};
	int r = json_parse(&j, input_schema, strlen(input_schema), e);

	if (r < 0)
		return r;
	r = check_required(json_root(&j), q->args, e);
	return r < 0 ? r : check_types(json_root(&j), q->args, e);
}

/*
 * Calls.
 */

static const struct builtin_tool *find_tool(const struct builtin *b,
					    const char *name)
{
	for (size_t i = 0; i < b->n_tools; i++)
		if (strcmp(b->tools[i].name, name) == 0)
			return &b->tools[i];
	return NULL;
}

/* Copy the params, and find in them what a tool is called with. */
static int take_params(struct builtin_call *q, struct jv params, struct err *e)
{
	static const char nothing[] = "{}";
	struct jv args = jv_get(params, "arguments");
	size_t len = sizeof(nothing) - 1;
	const char *raw = nothing;

	if (!jv_is(jv_get(params, "name"), JV_STRING) ||
	    (jv_has(args) && !jv_is(args, JV_OBJECT)))
		return err_set(e, -EINVAL,
			       "name is no string or arguments no object");
	if (jv_has(args))
		raw = jv_raw(args, &len);
	q->name = jv_strdup(jv_get(params, "name"), NULL);
	q->text = strndup(raw, len);
	if (q->name == NULL || q->text == NULL ||
	    json_parse(&q->doc, q->text, len, e) < 0)
		return err_set(e, -ENOMEM, "call: out of memory");
	q->tool = q->name;
	q->args = json_root(&q->doc);
	return 0;
}

static void call_tool(struct builtin_call *q, const struct builtin_tool *t)
{
	struct err e = {0};

	if (builtin_check(q, t->input_schema, &e) < 0)
		builtin_fault(q, &e);
	else
		t->call(q);
}

static int call_start(struct builtin_call *q, struct err *e)
{
	const struct builtin *b = q->owner->builtin;
	const struct builtin_tool *t = find_tool(b, q->tool);

	if (t != NULL) {
		call_tool(q, t);
		return 0;
	}
	if (b->call != NULL && b->call(q))
		return 0;
	return err_set(e, -ENOENT, "%s has no tool '%.64s'", b->name, q->tool);
}

int mcp_builtin_call(struct mcp_builtin *m, struct jv params,
		     const struct mcp_builtin_caller *by,
		     struct builtin_call **out, struct err *e)
{
	struct builtin_call *q = calloc(1, sizeof(*q));
	int r;

	if (q == NULL)
		return err_set(e, -ENOMEM, "call: out of memory");
	q->session = m->session;
	q->done = by->done;
	q->progress = by->progress;
	q->arg = by->arg;
	r = take_params(q, params, e);
	if (r < 0) {
		call_free(q);
		return r;
	}
	q->owner = m;
	TAILQ_INSERT_TAIL(&m->open, q, link);
	r = call_start(q, e);
	if (r < 0) {
		TAILQ_REMOVE(&m->open, q, link);
		call_free(q);
		return r;
	}
	*out = q;
	return 0;
}

/*
 * The list.
 */

static void write_tool(const struct builtin_tool *t, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "name", t->name);
	if (t->title != NULL)
		jw_kstr(w, "title", t->title);
	jw_kstr(w, "description", t->description);
	jw_kraw(w, "inputSchema", t->input_schema);
	if (t->output_schema != NULL)
		jw_kraw(w, "outputSchema", t->output_schema);
	if (t->annotations != NULL)
		jw_kraw(w, "annotations", t->annotations);
	jw_obj_end(w);
}

void mcp_builtin_list(const struct mcp_builtin *m, struct jw *w)
{
	const struct builtin *b = m->builtin;

	jw_arr(w);
	for (size_t i = 0; i < b->n_tools; i++)
		write_tool(&b->tools[i], w);
	if (b->list != NULL)
		b->list(m->session, w);
	jw_arr_end(w);
}

/*
 * Life.
 */

struct mcp_builtin *mcp_builtin_new(uv_loop_t *loop, const struct builtin *b,
				    struct session *s)
{
	struct mcp_builtin *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->builtin = b;
	m->session = s;
	TAILQ_INIT(&m->open);
	TAILQ_INIT(&m->answered);
	(void)uv_idle_init(loop, &m->idle);
	return m;
}

static void mcp_builtin_on_closed(uv_handle_t *h)
{
	free(container_of(h, struct mcp_builtin, idle));
}

void mcp_builtin_free(struct mcp_builtin *m)
{
	struct builtin_call *q;

	if (m == NULL)
		return;
	while ((q = TAILQ_FIRST(&m->open)) != NULL) {
		q->session = NULL;
		call_disown(q);
	}
	while ((q = TAILQ_FIRST(&m->answered)) != NULL)
		call_disown(q);
	uv_close((uv_handle_t *)&m->idle, mcp_builtin_on_closed);
}
