// SPDX-License-Identifier: Apache-2.0
/*
 * manifest_check.c - What a manifest may say
 *
 * One table has the members that are checked, by their path, each with a
 * predicate that is also true of a member that is not there.  What the guest
 * checks again when it is told of the agent (quirks, files) is checked here with
 * the same bounds, so that a wrong manifest is found by whoever writes it.
 */
#include <stdio.h>
#include <string.h>

#include "core/policy.h"
#include "host/manifest.h"

#define PIN_CHARS                    \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789._-"
#define QUIRK_MS_MAX 60000

static int wrong(const char *name, const char *what, struct err *e)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "manifest of %.64s: %s",
		       name, what);
}

bool manifest_name_is_good(const char *name)
{
	size_t n = strspn(name, PIN_CHARS);

	return n > 0 && n <= MANIFEST_NAME_MAX && name[n] == '\0' &&
	       name[0] != '.';
}

/* --- single values ------------------------------------------------------ */

/* A string that a C string can hold. */
static bool is_argument(struct jv v)
{
	size_t len = 0;
	autofree char *s = jv_strdup(v, &len);

	return s != NULL && strlen(s) == len;
}

static bool is_text(struct jv v)
{
	return is_argument(v) && !jv_eq(v, "");
}

static bool is_name(struct jv v)
{
	autofree char *name = is_text(v) ? jv_strdup(v, NULL) : NULL;

	return name != NULL && strchr(name, '=') == NULL;
}

static bool is_folder_name(struct jv v)
{
	autofree char *name = is_text(v) ? jv_strdup(v, NULL) : NULL;

	return name != NULL && manifest_name_is_good(name);
}

static bool is_flag(struct jv v)
{
	return jv_is(v, JV_BOOL);
}

static bool is_ms(struct jv v)
{
	int64_t n = jv_int(v, -1);

	return n >= 0 && n <= QUIRK_MS_MAX;
}

static bool is_object(struct jv v)
{
	return jv_is(v, JV_OBJECT);
}

static bool is_list_of(struct jv list, bool (*is_good)(struct jv v))
{
	if (!jv_is(list, JV_ARRAY))
		return false;
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v))
		if (!is_good(v))
			return false;
	return true;
}

static bool is_arguments(struct jv v)
{
	return is_list_of(v, is_argument);
}

/* A name, {"name":..} or {"any":[name..]}. */
static bool is_variable(struct jv v)
{
	struct jv any = jv_get(v, "any");

	if (!jv_is(v, JV_OBJECT))
		return is_name(v);
	if (jv_has(any))
		return is_list_of(any, is_name) && jv_count(any) > 0;
	return is_name(jv_get(v, "name"));
}

static bool is_variables(struct jv v)
{
	return is_list_of(v, is_variable);
}

/* --- packages ----------------------------------------------------------- */

/* One part of a package's name: no option of npm, no path, no address. */
static size_t part_len(const char *s)
{
	return s[0] == '.' || s[0] == '-' ? 0 : strspn(s, PIN_CHARS);
}

/* [@SCOPE/]NAME@VERSION, where the version is one and no range. */
static bool is_pin(struct jv v)
{
	autofree char *pin = is_text(v) ? jv_strdup(v, NULL) : NULL;
	const char *s = pin;

	if (s == NULL || strlen(s) > MANIFEST_PIN_MAX)
		return false;
	if (*s == '@') {
		size_t n = part_len(++s);

		if (n == 0 || s[n] != '/')
			return false;
		s += n + 1;
	}
	if (part_len(s) == 0)
		return false;
	s += part_len(s);
	return *s == '@' && s[1] >= '0' && s[1] <= '9' &&
	       s[1 + strspn(s + 1, PIN_CHARS)] == '\0';
}

static bool is_pins(struct jv v)
{
	return is_list_of(v, is_pin) && jv_count(v) > 0 &&
	       jv_count(v) <= MANIFEST_PINS_MAX;
}

/* --- files -------------------------------------------------------------- */

/* Below the home of agents, with no way out of it. */
static bool is_home_path(struct jv v)
{
	autofree char *path = is_text(v) ? jv_strdup(v, NULL) : NULL;
	size_t n = strlen(MANIFEST_HOME);

	if (path == NULL || strlen(path) > MANIFEST_PATH_MAX ||
	    strncmp(path, MANIFEST_HOME, n) != 0)
		return false;
	for (const char *part = path + n;; part = strchr(part, '/') + 1) {
		size_t len = strcspn(part, "/");

		if (len == 0 || strncmp(part, ".", len) == 0 ||
		    (len == 2 && strncmp(part, "..", 2) == 0))
			return false;
		if (part[len] == '\0')
			return true;
	}
}

/* Three or four octal digits, no bits but those of permission. */
static bool is_mode(struct jv v)
{
	char mode[5];
	int n = jv_strcpy(v, mode, sizeof(mode));

	return n >= 3 && strspn(mode, "01234567") == (size_t)n &&
	       (n == 3 || mode[0] == '0');
}

static bool is_content(struct jv v)
{
	size_t len = 0;
	autofree char *text = jv_strdup(v, &len);

	return text != NULL && len <= MANIFEST_FILE_MAX;
}

static bool is_file(struct jv v)
{
	struct jv mode = jv_get(v, "mode"), replace = jv_get(v, "replace");

	return is_home_path(jv_get(v, "path")) &&
	       is_content(jv_get(v, "content")) &&
	       (!jv_has(mode) || is_mode(mode)) &&
	       (!jv_has(replace) || is_flag(replace));
}

static bool is_files(struct jv v)
{
	return is_list_of(v, is_file) && jv_count(v) <= MANIFEST_FILES_MAX;
}

/* --- instructions ------------------------------------------------------- */

/* {"via":W, W:..}: an object for _meta, arguments, or a variable. */
static bool is_instructions(struct jv v)
{
	struct jv via = jv_get(v, "via");

	if (jv_eq(via, "meta"))
		return is_object(jv_get(v, "meta"));
	if (jv_eq(via, "args"))
		return is_arguments(jv_get(v, "args"));
	return jv_eq(via, "env") && is_name(jv_get(v, "env"));
}

/* --- the whole ---------------------------------------------------------- */

static const struct {
	const char *path;
	bool (*is_good)(struct jv v);
	const char *why;
} members[] = {
	{"title", is_argument, "title is no string"},
	{"version", is_text, "version is no text"},
	{"description", is_argument, "description is no string"},
	{"npm", is_pins, "npm is no list of NAME@VERSION"},
	{"args", is_arguments, "args is no list of strings"},
	{"env", is_variables, "env is no list of names of variables"},
	{"files", is_files,
	 "files is no list of paths below " MANIFEST_HOME " with contents"},
	{"os_instructions", is_flag, "os_instructions is not true or false"},
	{"instructions", is_instructions,
	 "instructions has no way that we know"},
	{"auth", is_object, "auth is no object"},
	{"auth.method", is_text, "auth.method is no text"},
	{"quirks", is_object, "quirks is no object"},
	{"quirks.no_fs", is_flag, "quirks.no_fs is not true or false"},
	{"quirks.no_terminal", is_flag,
	 "quirks.no_terminal is not true or false"},
	{"quirks.missing_empty", is_flag,
	 "quirks.missing_empty is not true or false"},
	{"quirks.no_load", is_flag, "quirks.no_load is not true or false"},
	{"quirks.steer", is_flag, "quirks.steer is not true or false"},
	{"quirks.late_replay_ms", is_ms,
	 "quirks.late_replay_ms is no time of up to 60000 ms"},
	{"quirks.exit_ms", is_ms,
	 "quirks.exit_ms is no time of up to 60000 ms"},
	{"disabled", is_flag, "disabled is not true or false"},
};

static int check_members(const char *name, struct jv m, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct jv v = jv_path(m, members[i].path);

		if (jv_has(v) && !members[i].is_good(v))
			return wrong(name, members[i].why, e);
	}
	return 0;
}

/* The document on one line: it travels in messages framed by lines. */
static void flatten(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n' || text[i] == '\r' || text[i] == '\t')
			text[i] = ' ';
}

int manifest_check(const char *name, char *text, size_t len, struct json *out,
		   struct err *e)
{
	struct err why = {0};
	struct jv m;
	int r;

	r = json_parse(out, text, len, &why);
	if (r == -ENOMEM)
		return err_set(e, -ENOMEM, "%s", why.msg);
	if (r < 0)
		return wrong(name, why.msg, e);
	m = json_root(out);
	if (!jv_eq(jv_get(m, "name"), name))
		return wrong(name, "its name is another", e);
	if (!is_text(jv_get(m, "command")))
		return wrong(name, "no command", e);
	if (check_members(name, m, e) < 0)
		return e ? e->code : -FAULT_INVALID_ARGUMENT;
	if (jv_has(jv_get(m, "npm")) && !is_folder_name(jv_get(m, "version")))
		return wrong(name, "npm needs a version that can name a folder",
			     e);
	if (jv_has(jv_get(m, "policy")) &&
	    policy_check(jv_get(m, "policy"), &why) < 0)
		return wrong(name, why.msg, e);
	flatten(text, len);
	return 0;
}

/* --- what is missing ---------------------------------------------------- */

static bool is_given(struct jv env, struct jv name)
{
	autofree char *key = jv_strdup(name, NULL);

	/* A value, or what says where it is taken from. */
	return key != NULL && (jv_is(jv_get(env, key), JV_STRING) ||
			       jv_is(jv_get(env, key), JV_OBJECT));
}

/* Is this variable there, or one of these? */
static bool is_satisfied(struct jv env, struct jv v)
{
	struct jv any = jv_get(v, "any");

	if (!jv_has(any))
		return is_given(env, jv_get(v, "name"));
	for (struct jv it = jv_first(any); jv_has(it); it = jv_next(any, it))
		if (is_given(env, it))
			return true;
	return false;
}

static void put_words(struct jw *w, struct jv name)
{
	autofree char *text = jv_strdup(name, NULL);

	if (text != NULL)
		jw_lit(w, text, strlen(text));
	w->failed |= text == NULL;
}

/* "A", or "A or B". */
static void put_choice(struct jw *w, struct jv v)
{
	if (!jv_is(v, JV_ARRAY)) {
		put_words(w, v);
		return;
	}
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it)) {
		if (it.i != jv_first(v).i)
			jw_lit(w, " or ", 4);
		put_words(w, it);
	}
}

int manifest_missing(struct jv manifest, struct jv env,
		     struct manifest_missing *out, struct err *e)
{
	struct jv list = jv_get(manifest, "env");
	autojw struct jw names = {0}, words = {0};

	jw_arr(&names);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		struct jv any = jv_get(v, "any");
		struct jv need = jv_has(any) ? any : jv_get(v, "name");

		if (!jv_bool(jv_get(v, "required"), false) ||
		    is_satisfied(env, v))
			continue;
		jw_value(&names, need);
		if (words.len > 0)
			jw_lit(&words, ", ", 2);
		put_choice(&words, need);
	}
	jw_arr_end(&names);
	if (names.failed || words.failed)
		return err_set(e, -ENOMEM, "manifest: out of memory");
	*out = (struct manifest_missing){0};
	if (words.len > 0) {
		out->names = jw_take(&names, NULL);
		out->words = jw_take(&words, NULL);
	}
	return 0;
}

void manifest_missing_done(struct manifest_missing *m)
{
	free(m->names);
	free(m->words);
	*m = (struct manifest_missing){0};
}
