// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - What agents are set to
 */
#include <string.h>

#include "host/lib/lib.h"

/* Send {"config":<what @w holds, an open object>}. */
static int patch(struct hib *h, const char *session, struct jw *w, char **json,
		 struct hib_error *e)
{
	struct err err = {0};
	int r;

	jw_obj_end(w);
	jw_obj_end(w);
	if (w->failed) {
		r = err_set(&err, -ENOMEM, "out of memory");
		return lib_result(r, &err, e);
	}
	return hib_update_session(h, session, w->buf, json, e);
}

static struct jw begin(void)
{
	struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "config");
	jw_obj(&w);
	return w;
}

static int set(struct hib *h, const char *session, const char *key,
	       const char *value, char **json, struct hib_error *e)
{
	autojw struct jw w = begin();

	jw_kstr(&w, key, value);
	return patch(h, session, &w, json, e);
}

int hib_set_model(struct hib *h, const char *session, const char *model,
		  char **json, struct hib_error *e)
{
	return set(h, session, "model", model, json, e);
}

int hib_set_mode(struct hib *h, const char *session, const char *mode,
		 char **json, struct hib_error *e)
{
	return set(h, session, "mode", mode, json, e);
}

int hib_set_thought_level(struct hib *h, const char *session, const char *level,
			  char **json, struct hib_error *e)
{
	return set(h, session, "thought", level, json, e);
}

int hib_set_config_option(struct hib *h, const char *session, const char *id,
			  const char *value, char **json, struct hib_error *e)
{
	autojw struct jw w = begin();

	jw_key(&w, "options");
	jw_obj(&w);
	jw_kstr(&w, id, value);
	jw_obj_end(&w);
	return patch(h, session, &w, json, e);
}

static int get(struct hib *h, const char *session, const char *key, char **json,
	       struct hib_error *e)
{
	struct jw path = path_session(session, "/config");
	autofree char *all = NULL;
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct err err = {0};
	int r = request_get(h, &path, &all, e);

	if (r < 0 || json == NULL)
		return r;
	r = json_parse(&j, all, strlen(all), &err);
	if (r < 0)
		return lib_result(r, &err, e);
	jw_value(&w, jv_get(json_root(&j), key));
	*json = jw_take(&w, NULL);
	if (*json == NULL)
		r = err_set(&err, -ENOMEM, "out of memory");
	return lib_result(r, &err, e);
}

int hib_get_modes(struct hib *h, const char *session, char **json,
		  struct hib_error *e)
{
	return get(h, session, "modes", json, e);
}

int hib_get_config_options(struct hib *h, const char *session, char **json,
			   struct hib_error *e)
{
	return get(h, session, "configOptions", json, e);
}
