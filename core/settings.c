// SPDX-License-Identifier: Apache-2.0
/*
 * settings.c - What an agent's session can be set to, and what it is set to
 *
 * Config options supersede modes and models.  An agent that offers both should
 * keep them equal; one that does not is helped: whichever of the two was heard
 * of last is written into the other one.
 */
#include "core/settings.h"

#include <string.h>

#define VALUES_MAX 1500 /* Bytes of the values named in an error. */

/*
 * Wishes.
 */

static const char *const keys[] = {
	[WISH_MODEL] = "model",
	[WISH_THOUGHT] = "thought",
	[WISH_MODE] = "mode",
	[WISH_OPTION] = "options",
};

const char *wish_key(enum wish_kind k)
{
	return keys[k];
}

/* A string without U+0000 of at most @max bytes? */
static bool is_text(struct jv v, size_t max)
{
	size_t len, raw;
	autofree char *s = NULL;

	(void)jv_raw(v, &raw);
	if (!jv_is(v, JV_STRING) || raw > 6 * max + 2)
		return false;
	s = jv_strdup(v, &len);
	return s != NULL && len > 0 && len <= max && strlen(s) == len;
}

static int check_options(struct jv options, struct err *e)
{
	if (jv_is(options, JV_NULL) || !jv_has(options))
		return 0;
	if (!jv_is(options, JV_OBJECT) || jv_count(options) > WISH_OPTIONS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "config: options is no object of at most %d",
			       WISH_OPTIONS_MAX);
	for (struct jv k = jv_first(options); jv_has(k);
	     k = jv_next(options, k)) {
		struct jv v = jv_value(k);

		if (is_text(k, WISH_ID_MAX) &&
		    (is_text(v, WISH_VALUE_MAX) || jv_is(v, JV_BOOL) ||
		     jv_is(v, JV_NULL)))
			continue;
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "config: an option is neither a short string "
			       "nor a boolean");
	}
	return 0;
}

static bool is_wish_key(struct jv key)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (jv_eq(key, keys[i]))
			return true;
	return false;
}

int wish_check(struct jv config, bool strict, struct err *e)
{
	if (!jv_has(config) || jv_is(config, JV_NULL))
		return 0;
	if (!jv_is(config, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "config is no object");
	for (size_t i = 0; i < WISH_OPTION; i++) {
		struct jv v = jv_get(config, keys[i]);

		if (jv_has(v) && !jv_is(v, JV_NULL) &&
		    !is_text(v, WISH_VALUE_MAX))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "config: %s is no short string",
				       keys[i]);
	}
	for (struct jv k = jv_first(config); strict && jv_has(k);
	     k = jv_next(config, k))
		if (!is_wish_key(k))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "config holds more than model, mode, "
				       "thought and options");
	return check_options(jv_get(config, "options"), e);
}

bool wish_at(struct jv config, size_t i, struct wish *out)
{
	struct jv options = jv_get(config, keys[WISH_OPTION]), k;

	for (unsigned kind = 0; kind < WISH_OPTION; kind++) {
		struct jv v = jv_get(config, keys[kind]);

		if (!jv_has(v) || i-- > 0)
			continue;
		*out = (struct wish){.kind = kind, .id.i = -1, .value = v};
		return true;
	}
	for (k = jv_first(options); jv_has(k) && i > 0; i--)
		k = jv_next(options, k);
	if (!jv_has(k))
		return false;
	*out = (struct wish){
		.kind = WISH_OPTION, .id = k, .value = jv_value(k)};
	return true;
}

void wish_write(struct jv config, size_t n, struct jw *w)
{
	bool in_options = false;
	struct wish wish;

	for (size_t i = 0; i < n && wish_at(config, i, &wish); i++) {
		if (wish.kind != WISH_OPTION) {
			jw_kvalue(w, keys[wish.kind], wish.value);
			continue;
		}
		if (!in_options) {
			jw_key(w, keys[WISH_OPTION]);
			jw_obj(w);
		}
		in_options = true;
		jw_value(w, wish.id);
		jw_lit(w, ":", 1);
		jw_value(w, wish.value);
	}
	if (in_options)
		jw_obj_end(w);
}

/*
 * Keeping up.
 */

void settings_done(struct settings *s)
{
	free(s->modes);
	free(s->models);
	free(s->options);
	*s = (struct settings){0};
}

/* Put the text of a value that has type @t and a sane size into *out; NULL for
 * any other. */
static int copy(struct jv v, enum jv_type t, char **out)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	*out = NULL;
	if (!jv_is(v, t) || len > SETTINGS_BYTES_MAX)
		return 0;
	*out = strndup(raw, len);
	return *out == NULL ? -ENOMEM : 0;
}

/* Write an object again, with another value of one member. */
static void write_with(struct jw *w, struct jv object, const char *key,
		       const char *value)
{
	jw_obj(w);
	for (struct jv k = jv_first(object); jv_has(k);
	     k = jv_next(object, k)) {
		if (jv_eq(k, key))
			continue;
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
	jw_kraw(w, key, value);
	jw_obj_end(w);
}

static int replace(char **text, struct jw *w)
{
	char *made = jw_take(w, NULL);

	if (made == NULL)
		return -ENOMEM;
	free(*text);
	*text = made;
	return 0;
}

/* Set a member of an object's text.  NULL has no members. */
static int set_member(char **text, const char *key, const char *value)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};

	if (*text == NULL)
		return 0;
	if (json_parse(&j, *text, strlen(*text), NULL) < 0)
		return -ENOMEM;
	write_with(&w, json_root(&j), key, value);
	return replace(text, &w);
}

/* The current mode or model, if it is a string of an option's category. */
static int follow_option(struct settings *s, struct jv option)
{
	autofree char *value = NULL;

	if (copy(jv_get(option, "currentValue"), JV_STRING, &value) < 0)
		return -ENOMEM;
	if (value == NULL)
		return 0;
	if (jv_eq(jv_get(option, "category"), "mode"))
		return set_member(&s->modes, "currentModeId", value);
	if (jv_eq(jv_get(option, "category"), "model"))
		return set_member(&s->models, "currentModelId", value);
	return 0;
}

static int follow_options(struct settings *s)
{
	autojson struct json j = {0};
	struct jv list;

	if (s->options == NULL || (s->modes == NULL && s->models == NULL))
		return 0;
	if (json_parse(&j, s->options, strlen(s->options), NULL) < 0)
		return -ENOMEM;
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (follow_option(s, it) < 0)
			return -ENOMEM;
	return 0;
}

int settings_set(struct settings *s, struct jv modes, struct jv models,
		 struct jv options)
{
	struct settings new = {0};

	if (copy(modes, JV_OBJECT, &new.modes) < 0 ||
	    copy(models, JV_OBJECT, &new.models) < 0 ||
	    copy(options, JV_ARRAY, &new.options) < 0 ||
	    follow_options(&new) < 0) {
		settings_done(&new);
		return -ENOMEM;
	}
	settings_done(s);
	*s = new;
	return 0;
}

int settings_set_options(struct settings *s, struct jv options)
{
	char *text;

	if (copy(options, JV_ARRAY, &text) < 0)
		return -ENOMEM;
	if (text == NULL)
		return 0;
	free(s->options);
	s->options = text;
	return follow_options(s);
}

/* Give the first option whose @key is @text a new value. */
static int set_option(struct settings *s, const char *key, const char *text,
		      const char *value)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	bool found = false;
	struct jv list;

	if (s->options == NULL)
		return 0;
	if (json_parse(&j, s->options, strlen(s->options), NULL) < 0)
		return -ENOMEM;
	list = json_root(&j);
	jw_arr(&w);
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		if (found || !jv_eq(jv_get(it, key), text)) {
			jw_value(&w, it);
			continue;
		}
		write_with(&w, it, "currentValue", value);
		found = true;
	}
	jw_arr_end(&w);
	return replace(&s->options, &w);
}

/* Some agents say modeId, as the protocol's text once did. */
static int note_mode(struct settings *s, struct jv update)
{
	struct jv mode = jv_get(update, "currentModeId");
	autofree char *value = NULL;

	if (!jv_is(mode, JV_STRING))
		mode = jv_get(update, "modeId");
	if (copy(mode, JV_STRING, &value) < 0)
		return -ENOMEM;
	if (value == NULL)
		return 0;
	if (set_member(&s->modes, "currentModeId", value) < 0)
		return -ENOMEM;
	return set_option(s, "category", "mode", value);
}

int settings_note(struct settings *s, struct jv update)
{
	struct jv kind = jv_get(update, "sessionUpdate");

	if (jv_eq(kind, "current_mode_update"))
		return note_mode(s, update);
	if (jv_eq(kind, "config_option_update"))
		return settings_set_options(s, jv_get(update, "configOptions"));
	return 0;
}

/*
 * Wishes against offers.
 */

/* What can be chosen, while it is looked through. */
struct choice {
	const char *want; /* Decoded. */
	struct jv found;  /* Absent: it is not among them. */
	struct jw names;  /* Members of a list, for the error. */
	size_t n;
};

static void look_at(struct choice *c, struct jv value)
{
	if (!jv_is(value, JV_STRING))
		return;
	c->n++;
	if (!jv_has(c->found) && jv_eq(value, c->want))
		c->found = value;
	if (c->names.len < VALUES_MAX)
		jw_value(&c->names, value);
}

/* Values of a select option, in groups or not; of modes, of models. */
static void look_through(struct choice *c, struct jv list, const char *key)
{
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		struct jv group = jv_get(it, "options");

		look_at(c, jv_get(it, key));
		for (struct jv g = jv_first(group); jv_has(g);
		     g = jv_next(group, g))
			look_at(c, jv_get(g, key));
	}
}

static int not_offered(const struct choice *c, const char *what, struct err *e)
{
	const char *names = c->names.buf;

	if (c->n == 0)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the agent offers no choice of %s", what);
	err_set(e, -FAULT_INVALID_ARGUMENT, "%s '%.64s' is none of [%s]", what,
		c->want, names == NULL ? "" : names);
	err_data(e, "\"values\":[%s]", names == NULL ? "" : names);
	return -FAULT_INVALID_ARGUMENT;
}

/* Choose @c->want from a list into out->value. */
static int choose(struct choice *c, struct jv list, const char *key,
		  const char *what, char **out, struct err *e)
{
	int r;

	c->found.i = -1;
	look_through(c, list, key);
	if (jv_has(c->found))
		r = copy(c->found, JV_STRING, out);
	else
		r = not_offered(c, what, e);
	jw_done(&c->names);
	return r == -ENOMEM ? err_set(e, r, "config: out of memory") : r;
}

/* As a word, too: who types a command does not know what is a boolean. */
static int choose_bool(struct jv value, const char *id,
		       struct settings_target *out, struct err *e)
{
	bool yes = jv_bool(value, false) || jv_eq(value, "true");

	if (!yes && !jv_is(value, JV_BOOL) && !jv_eq(value, "false"))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "option '%.64s' is true or false", id);
	out->boolean = true;
	out->value = strdup(yes ? "true" : "false");
	return out->value == NULL ? err_set(e, -ENOMEM, "config: out of memory")
				  : 0;
}

static int find_in_option(struct jv option, const struct wish *w,
			  struct settings_target *out, struct err *e)
{
	autofree char *id = jv_strdup(jv_get(option, "id"), NULL);
	autofree char *want = jv_strdup(w->value, NULL);
	struct choice c = {.want = want};

	if (copy(jv_get(option, "id"), JV_STRING, &out->id) < 0 || id == NULL)
		return err_set(e, -ENOMEM, "config: out of memory");
	if (jv_eq(jv_get(option, "type"), "boolean"))
		return choose_bool(w->value, id, out, e);
	if (want == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "option '%.64s' takes a string", id);
	return choose(&c, jv_get(option, "options"), "value", id, &out->value,
		      e);
}

/* An option that can be set: of a type that we know. */
static bool is_option(struct jv option)
{
	struct jv type = jv_get(option, "type");

	return jv_is(jv_get(option, "id"), JV_STRING) &&
	       (jv_eq(type, "boolean") || jv_eq(type, "select"));
}

static struct jv option_by(struct jv list, const char *key, const char *text)
{
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (is_option(it) && jv_eq(jv_get(it, key), text))
			return it;
	return (struct jv){.i = -1};
}

static int no_such_option(struct jv list, const char *id, struct err *e)
{
	struct choice c = {.want = id, .found.i = -1};
	int r;

	look_through(&c, list, "id");
	r = not_offered(&c, "option", e);
	jw_done(&c.names);
	return r;
}

/* Modes or models, where no option is for them. */
static int find_in_list(const char *text, const struct wish *w,
			struct settings_target *out, struct err *e)
{
	bool mode = w->kind == WISH_MODE;
	autofree char *want = jv_strdup(w->value, NULL);
	autojson struct json j = {0};
	struct choice c = {.want = want};
	struct jv root = {.i = -1};

	if (want == NULL ||
	    (text != NULL && json_parse(&j, text, strlen(text), NULL) < 0))
		return err_set(e, -ENOMEM, "config: out of memory");
	if (text != NULL)
		root = json_root(&j);
	out->via = mode ? VIA_MODES : VIA_MODELS;
	return choose(&c,
		      jv_get(root, mode ? "availableModes" : "availableModels"),
		      mode ? "id" : "modelId", keys[w->kind], &out->value, e);
}

static int find(const struct settings *s, const struct wish *w,
		struct settings_target *out, struct err *e)
{
	static const char *const categories[] = {
		[WISH_MODEL] = "model",
		[WISH_MODE] = "mode",
		[WISH_THOUGHT] = "thought_level",
	};
	const char *text = s->options == NULL ? "[]" : s->options;
	autofree char *id = jv_strdup(w->id, NULL);
	autojson struct json j = {0};
	struct jv option;

	if (json_parse(&j, text, strlen(text), NULL) < 0 ||
	    (w->kind == WISH_OPTION && id == NULL))
		return err_set(e, -ENOMEM, "config: out of memory");
	option = w->kind == WISH_OPTION ? option_by(json_root(&j), "id", id)
					: option_by(json_root(&j), "category",
						    categories[w->kind]);
	if (jv_has(option))
		return find_in_option(option, w, out, e);
	if (w->kind == WISH_OPTION)
		return no_such_option(json_root(&j), id, e);
	if (w->kind == WISH_THOUGHT)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the agent offers no choice of thought level");
	return find_in_list(w->kind == WISH_MODE ? s->modes : s->models, w, out,
			    e);
}

int settings_find(const struct settings *s, const struct wish *w,
		  struct settings_target *out, struct err *e)
{
	struct settings_target t = {0};
	int r = find(s, w, &t, e);

	if (r < 0)
		settings_target_done(&t);
	else
		*out = t;
	return r;
}

void settings_target_done(struct settings_target *t)
{
	free(t->id);
	free(t->value);
	*t = (struct settings_target){0};
}

int settings_apply(struct settings *s, const struct settings_target *t)
{
	autojson struct json j = {0};
	autofree char *id = NULL;

	if (t->via == VIA_MODES)
		return set_member(&s->modes, "currentModeId", t->value);
	if (t->via == VIA_MODELS)
		return set_member(&s->models, "currentModelId", t->value);
	if (json_parse(&j, t->id, strlen(t->id), NULL) < 0)
		return -ENOMEM;
	id = jv_strdup(json_root(&j), NULL);
	if (id == NULL || set_option(s, "id", id, t->value) < 0)
		return -ENOMEM;
	return follow_options(s);
}
