// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - hib session set, hib session config
 */
#include "host/cli/config.h"

#include <string.h>

#include "core/settings.h"
#include "host/cli/commands.h"
#include "host/views.h"

/* --- wishes ------------------------------------------------------------- */

static int put_option(struct cli *c, struct jw *w, const char *option)
{
	const char *equals = strchr(option, '=');
	autofree char *id = NULL;

	if (equals == NULL || equals == option)
		return cli_usage(c, "--option %s: not ID=VALUE", option);
	id = strndup(option, (size_t)(equals - option));
	if (id == NULL)
		w->failed = true;
	else
		jw_kstr(w, id, equals + 1);
	return -1;
}

static int put_options(struct cli *c, struct jw *w, const struct opt_list *l)
{
	int r = -1;

	if (l->n == 0)
		return -1;
	jw_key(w, "options");
	jw_obj(w);
	for (size_t i = 0; r < 0 && i < l->n; i++)
		r = put_option(c, w, l->item[i]);
	jw_obj_end(w);
	return r;
}

bool wish_options_given(const struct wish_options *o)
{
	return o->model != NULL || o->mode != NULL || o->thought != NULL ||
	       o->options.n > 0;
}

int wish_options_write(struct cli *c, const struct wish_options *o,
		       struct jw *w)
{
	if (o->model != NULL)
		jw_kstr(w, "model", o->model);
	if (o->mode != NULL)
		jw_kstr(w, "mode", o->mode);
	if (o->thought != NULL)
		jw_kstr(w, "thought", o->thought);
	return put_options(c, w, &o->options);
}

/* --- set ---------------------------------------------------------------- */

struct set_options {
	struct wish_options wishes;
	bool json;
};

int session_set_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		WISH_OPTS(set_options, wishes),
		OPT(OPT_FLAG, set_options, json, "json"),
		OPT_END,
	};
	struct set_options o = {0};
	autojw struct jw patch = {0};
	char *json = NULL;
	struct hib_error e;
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0 && !wish_options_given(&o.wishes))
		r = cli_usage(c, "nothing to set is given");
	if (r < 0)
		r = cli_session_id(c->argv[0]);
	jw_obj(&patch);
	jw_key(&patch, "config");
	jw_obj(&patch);
	if (r < 0)
		r = wish_options_write(c, &o.wishes, &patch);
	jw_obj_end(&patch);
	jw_obj_end(&patch);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	r = hib_update_session(c->hib, c->argv[0], patch.buf ? patch.buf : "{}",
			       &json, &e);
	return cli_acted(r, json, o.json, &e);
}

/* --- config ------------------------------------------------------------- */

static void put_value(struct jw *line, struct jv v)
{
	size_t len;
	autofree char *text = jv_strdup(v, &len);
	const char *raw = jv_raw(v, &len);

	if (text != NULL)
		cli_put_line(line, text, strlen(text), SIZE_MAX);
	else if (raw != NULL)
		jw_lit(line, raw, len);
}

/* "small* large locked": the current one has the mark. */
static void put_choices(struct jw *line, struct jv list, const char *key,
			struct jv current)
{
	autofree char *now = jv_strdup(current, NULL);

	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		struct jv v = jv_get(it, key);

		if (jv_is(jv_get(it, "options"), JV_ARRAY))
			put_choices(line, jv_get(it, "options"), key, current);
		if (!jv_is(v, JV_STRING))
			continue;
		jw_lit(line, " ", 1);
		put_value(line, v);
		if (now != NULL && jv_eq(v, now))
			jw_lit(line, "*", 1);
	}
}

static void print_line(struct jw *line)
{
	if (!line->failed && line->buf != NULL)
		cli_print_safe(stdout, line->buf, line->len);
	cli_print("");
	jw_reset(line);
}

static void print_list(const char *name, struct jv list, const char *items,
		       const char *key, const char *current)
{
	autojw struct jw line = {0};

	if (!jv_is(list, JV_OBJECT))
		return;
	jw_lit(&line, name, strlen(name));
	jw_lit(&line, ":", 1);
	put_choices(&line, jv_get(list, items), key, jv_get(list, current));
	print_line(&line);
}

static void print_option(struct jv option)
{
	struct jv current = jv_get(option, "currentValue");
	struct jv choices = jv_get(option, "options");
	autojw struct jw line = {0};

	/* Of a type that this version does not know. */
	if (!jv_is(choices, JV_ARRAY) &&
	    !jv_eq(jv_get(option, "type"), "boolean"))
		return;
	put_value(&line, jv_get(option, "id"));
	if (jv_is(jv_get(option, "category"), JV_STRING)) {
		jw_lit(&line, " (", 2);
		put_value(&line, jv_get(option, "category"));
		jw_lit(&line, ")", 1);
	}
	jw_lit(&line, ":", 1);
	if (jv_is(choices, JV_ARRAY)) {
		put_choices(&line, choices, "value", current);
	} else {
		jw_lit(&line, " ", 1);
		put_value(&line, current);
	}
	print_line(&line);
}

static void print_config(struct jv v)
{
	struct jv options = jv_get(v, "configOptions");
	autojw struct jw line = {0};

	print_list("modes", jv_get(v, "modes"), "availableModes", "id",
		   "currentModeId");
	print_list("models", jv_get(v, "models"), "availableModels", "modelId",
		   "currentModelId");
	for (struct jv it = jv_first(options); jv_has(it);
	     it = jv_next(options, it))
		print_option(it);
	jw_lit(&line, "set: ", 5);
	put_value(&line, jv_get(v, "config"));
	print_line(&line);
}

int session_config_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, set_options, json, "json"),
		OPT_END,
	};
	struct set_options o = {0};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_config(c->reader, c->argv[0], &w, &e) < 0)
		return cli_fail(&e);
	if (o.json)
		return cli_print_json(&w);
	if (json_parse(&j, w.buf, w.len, &e) < 0)
		return cli_fail(&e);
	print_config(json_root(&j));
	return 0;
}
