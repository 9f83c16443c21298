// SPDX-License-Identifier: Apache-2.0
/*
 * instruct.c - How an agent is told what its session wants of it
 */
#include "guest/instruct.h"

#include <string.h>

#include "guest/limits.h"
#include "guest/text.h"

static const char *const names[] = {
	[INSTRUCT_NONE] = "none", [INSTRUCT_SYSTEM_PROMPT] = "system_prompt",
	[INSTRUCT_META] = "meta", [INSTRUCT_ARGS] = "args",
	[INSTRUCT_ENV] = "env",	  [INSTRUCT_PREAMBLE] = "preamble",
};

const char *instruct_name(enum instruct_via via)
{
	return names[via];
}

/*
 * Reading.
 */

static int wrong(const char *what, struct err *e)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "agent: instructions: %s",
		       what);
}

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "agent: out of memory");
}

static int read_meta(struct jv v, struct instruct *in, struct err *e)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	if (!jv_is(v, JV_OBJECT))
		return wrong("meta is no object", e);
	in->meta = strndup(raw, len);
	return in->meta != NULL ? 0 : out_of_memory(e);
}

static int read_args(struct jv v, struct instruct *in, struct err *e)
{
	size_t n = jv_count(v), i = 0;

	if (!jv_is(v, JV_ARRAY) || n > ARGS_MAX)
		return wrong("args is no list, or too long", e);
	in->args = calloc(n + 1, sizeof(*in->args));
	if (in->args == NULL)
		return out_of_memory(e);
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it)) {
		if (text_take(it, "agent: instructions: an argument",
			      &in->args[i++], e) < 0)
			return e->code;
	}
	return 0;
}

static int read_env(struct jv v, struct instruct *in, struct err *e)
{
	if (text_take(v, "agent: instructions: env", &in->env, e) < 0)
		return e->code;
	if (in->env[0] == '\0' || strchr(in->env, '=') != NULL)
		return wrong("env is no name of a variable", e);
	return 0;
}

/* By the name of a way, which is also that of the member that says more. */
static const struct {
	enum instruct_via via;
	int (*read)(struct jv v, struct instruct *in, struct err *e);
} ways[] = {
	{INSTRUCT_META, read_meta},
	{INSTRUCT_ARGS, read_args},
	{INSTRUCT_ENV, read_env},
};

int instruct_read(struct jv v, struct instruct *out, struct err *e)
{
	struct instruct in = {0};

	if (!jv_has(v) || jv_is(v, JV_NULL)) {
		*out = in;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const char *name = names[ways[i].via];

		if (!jv_eq(jv_get(v, "via"), name))
			continue;
		in.via = ways[i].via;
		if (ways[i].read(jv_get(v, name), &in, e) < 0) {
			instruct_done(&in);
			return e->code;
		}
		*out = in;
		return 0;
	}
	return wrong("via is none of meta, args, env", e);
}

void instruct_done(struct instruct *in)
{
	text_list_free(in->args);
	free(in->meta);
	free(in->env);
	*in = (struct instruct){0};
}

/*
 * Telling.
 */

enum instruct_via instruct_choose(const struct instruct *in, const char *text,
				  bool has_system_prompt)
{
	if (text == NULL)
		return INSTRUCT_NONE;
	if (in->via == INSTRUCT_ARGS || in->via == INSTRUCT_ENV)
		return in->via;
	if (has_system_prompt)
		return INSTRUCT_SYSTEM_PROMPT;
	return in->via != INSTRUCT_NONE ? in->via : INSTRUCT_PREAMBLE;
}

static bool starts_with(const char *s, const char *word)
{
	return strncmp(s, word, strlen(word)) == 0;
}

char *instruct_fill(const char *template, const char *text)
{
	static const char as_text[] = "{text}", as_json[] = "{json}";
	struct jw out = {0};
	autojw struct jw json = {0};

	jw_str(&json, text);
	while (*template != '\0') {
		if (starts_with(template, as_text)) {
			jw_lit(&out, text, strlen(text));
			template += strlen(as_text);
		} else if (starts_with(template, as_json)) {
			jw_lit(&out, json.buf, json.len);
			template += strlen(as_json);
		} else {
			jw_lit(&out, template ++, 1);
		}
	}
	out.failed |= json.failed;
	return jw_take(&out, NULL);
}

static void write_string(struct jw *w, struct jv v, void *arg)
{
	const char *text = arg;
	autofree char *template = NULL, *filled = NULL;
	int r = text_take(v, "", &template, NULL);

	if (r == 0)
		filled = instruct_fill(template, text);
	if (filled != NULL)
		jw_str(w, filled);
	else if (r == -FAULT_INVALID_ARGUMENT)
		jw_value(w, v); /* It holds a NUL: ours do not. */
	else
		w->failed = true;
}

void instruct_write_meta(const struct instruct *in, const char *text,
			 struct jw *w)
{
	autojson struct json j = {0};

	if (json_parse(&j, in->meta, strlen(in->meta), NULL) < 0)
		w->failed = true; /* It was parsed before: no memory. */
	else
		jw_mapped(w, json_root(&j), write_string,
			  (void *)(uintptr_t)text);
}
