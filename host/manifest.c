// SPDX-License-Identifier: Apache-2.0
/*
 * manifest.c - Which agents there are and how each is started
 */
#include "host/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 512

/* Sorted names of what is there, each once. */
struct names {
	char name[NAMES_MAX][MANIFEST_NAME_MAX + 1];
	size_t n;
};

static bool name_is_good(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n <= MANIFEST_NAME_MAX && name[n] == '\0' &&
	       name[0] != '.';
}

/* --- files -------------------------------------------------------------- */

/* O_NONBLOCK: a fifo in its place does not hold us up. */
static int read_file(const char *path, char **out, size_t *len, struct err *e)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	autofree char *text = NULL;
	ssize_t n;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	text = malloc(MANIFEST_BYTES_MAX + 1);
	if (text == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	n = read(fd, text, MANIFEST_BYTES_MAX + 1);
	if (n < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (n > (ssize_t)MANIFEST_BYTES_MAX)
		return err_set(e, -E2BIG, "%s: larger than %u bytes", path,
			       MANIFEST_BYTES_MAX);
	text[n] = '\0';
	*len = (size_t)n;
	*out = take_ptr(text);
	return 0;
}

static int open_manifest(const struct home *h, const char *name, char **text,
			 size_t *len, struct err *e)
{
	const char *const dirs[] = {h->agents, h->manifests};
	char path[HOME_PATH_MAX + MANIFEST_NAME_MAX + 8];
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s.json", dirs[i], name);
		r = read_file(path, text, len, e);
	}
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void list_dir(const char *dir, struct names *l)
{
	DIR *d = opendir(dir);
	const struct dirent *ent;

	while (d != NULL && (ent = readdir(d)) != NULL) {
		size_t n = strlen(ent->d_name);
		char *slot;

		if (l->n == NAMES_MAX)
			break;
		slot = l->name[l->n];
		if (n < 6 || n - 5 > MANIFEST_NAME_MAX ||
		    strcmp(ent->d_name + n - 5, ".json") != 0)
			continue;
		snprintf(slot, MANIFEST_NAME_MAX + 1, "%.*s", (int)(n - 5),
			 ent->d_name);
		l->n += name_is_good(slot);
	}
	if (d != NULL)
		closedir(d);
}

static struct names *list_names(const struct home *h)
{
	struct names *l = calloc(1, sizeof(*l));
	size_t kept = 0;

	if (l == NULL)
		return NULL;
	list_dir(h->agents, l);
	list_dir(h->manifests, l);
	qsort(l->name, l->n, sizeof(l->name[0]), compare_names);
	for (size_t i = 0; i < l->n; i++) {
		if (kept > 0 && strcmp(l->name[kept - 1], l->name[i]) == 0)
			continue;
		memmove(l->name[kept++], l->name[i], sizeof(l->name[0]));
	}
	l->n = kept;
	return l;
}

/* --- checks ------------------------------------------------------------- */

static int wrong(const char *name, const char *what, struct err *e)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "manifest of %.64s: %s",
		       name, what);
}

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

static bool is_variable(struct jv v)
{
	autofree char *name = NULL;

	if (jv_is(v, JV_OBJECT))
		v = jv_get(v, "name");
	name = is_text(v) ? jv_strdup(v, NULL) : NULL;
	return name != NULL && strchr(name, '=') == NULL;
}

/* Absent, or a list of what @is_good allows. */
static bool is_list_of(struct jv list, bool (*is_good)(struct jv v))
{
	if (!jv_has(list))
		return true;
	if (!jv_is(list, JV_ARRAY))
		return false;
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v))
		if (!is_good(v))
			return false;
	return true;
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
	if (!is_list_of(jv_get(m, "args"), is_argument))
		return wrong(name, "args is no list of strings", e);
	if (!is_list_of(jv_get(m, "env"), is_variable))
		return wrong(name, "env is no list of names of variables", e);
	flatten(text, len);
	return 0;
}

int manifest_missing(const struct json *manifest, struct jv env, char **missing,
		     struct err *e)
{
	struct jv list = jv_get(json_root(manifest), "env");
	autojw struct jw w = {0};
	unsigned n = 0;

	jw_arr(&w);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		autofree char *key = jv_strdup(jv_get(v, "name"), NULL);

		if (key == NULL || !jv_bool(jv_get(v, "required"), false) ||
		    jv_is(jv_get(env, key), JV_STRING))
			continue;
		jw_str(&w, key);
		n++;
	}
	jw_arr_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "manifest: out of memory");
	*missing = n > 0 ? jw_take(&w, NULL) : NULL;
	return 0;
}

static bool is_disabled(const struct json *manifest)
{
	return jv_bool(jv_get(json_root(manifest), "disabled"), false);
}

/* --- by name ------------------------------------------------------------ */

/* One that is there and right, disabled or not.  -ENOENT when there is none. */
static int load(const struct home *h, const char *name, char **out_text,
		struct json *out, struct err *e)
{
	autofree char *text = NULL;
	size_t len = 0;
	int r;

	if (!name_is_good(name))
		return err_set(e, -ENOENT, "'%.64s' names no agent", name);
	r = open_manifest(h, name, &text, &len, e);
	if (r < 0)
		return r;
	r = manifest_check(name, text, len, out, e);
	if (r < 0)
		return r;
	*out_text = take_ptr(text);
	return 0;
}

/* Wrong ones are named: whoever asks for one is told what is wrong. */
static bool is_offered(const struct home *h, const char *name)
{
	autofree char *text = NULL;
	autojson struct json j = {0};

	return load(h, name, &text, &j, NULL) < 0 || !is_disabled(&j);
}

static int unknown(const struct home *h, const char *name, struct err *e)
{
	autofree struct names *l = list_names(h);
	char known[120] = "";
	autojw struct jw w = {0};

	jw_arr(&w);
	for (size_t i = 0; l != NULL && i < l->n; i++) {
		size_t n = strlen(known);

		if (!is_offered(h, l->name[i]))
			continue;
		jw_str(&w, l->name[i]);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
			 l->name[i]);
	}
	jw_arr_end(&w);
	err_set(e, -FAULT_AGENT_UNKNOWN,
		"agent '%.64s' is not installed; there are: %s", name, known);
	err_data(e, "\"agents\":%s", w.failed ? "[]" : w.buf);
	return -FAULT_AGENT_UNKNOWN;
}

/* As load(), but only what may be started. */
static int load_enabled(const struct home *h, const char *name, char **out_text,
			struct json *out, struct err *e)
{
	autofree char *text = NULL;
	int r = load(h, name, &text, out, e);

	if (r == -ENOENT || (r == 0 && is_disabled(out)))
		return unknown(h, name, e);
	if (r < 0)
		return r;
	*out_text = take_ptr(text);
	return 0;
}

int manifest_load(const struct home *h, const char *name, char **json,
		  struct err *e)
{
	autojson struct json j = {0};

	return load_enabled(h, name, json, &j, e);
}

int manifest_missing_env(const struct home *h, const char *name, struct jv env,
			 char **missing, struct err *e)
{
	autofree char *text = NULL;
	autojson struct json j = {0};
	int r = load_enabled(h, name, &text, &j, e);

	return r < 0 ? r : manifest_missing(&j, env, missing, e);
}

int manifest_list(const struct home *h, struct jw *out, struct err *e)
{
	autofree struct names *l = list_names(h);

	if (l == NULL)
		return err_set(e, -ENOMEM, "manifests: out of memory");
	for (size_t i = 0; i < l->n; i++) {
		autofree char *text = NULL;
		autojson struct json j = {0};
		struct err bad = {0};

		if (load(h, l->name[i], &text, &j, &bad) == 0) {
			jw_raw(out, text, strlen(text));
			continue;
		}
		jw_obj(out);
		jw_kstr(out, "name", l->name[i]);
		jw_kstr(out, "error", bad.msg);
		jw_obj_end(out);
	}
	return 0;
}
