// SPDX-License-Identifier: Apache-2.0
/*
 * manifest.c - Which agents there are and how each is started
 */
#include "host/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "host/install.h"

#define NAMES_MAX 512

/* Sorted names of what is there, each once. */
struct names {
	char name[NAMES_MAX][MANIFEST_NAME_MAX + 1];
	size_t n;
};

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
		l->n += manifest_name_is_good(slot);
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

/* --- by name ------------------------------------------------------------ */

static bool is_disabled(const struct json *manifest)
{
	return jv_bool(jv_get(json_root(manifest), "disabled"), false);
}

/* One that is there and right, disabled or not.  -ENOENT when there is none. */
static int load(const struct home *h, const char *name, char **out_text,
		struct json *out, struct err *e)
{
	autofree char *text = NULL;
	size_t len = 0;
	int r;

	if (!manifest_name_is_good(name))
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
	char known[140] = "";
	autojw struct jw w = {0};

	jw_arr(&w);
	for (size_t i = 0; l != NULL && i < l->n; i++) {
		size_t n = strlen(known);

		if (!is_offered(h, l->name[i]))
			continue;
		jw_str(&w, l->name[i]);
		if (n + strlen(l->name[i]) + 2 < sizeof(known))
			snprintf(known + n, sizeof(known) - n, "%s%s",
				 n ? ", " : "", l->name[i]);
	}
	jw_arr_end(&w);
	err_set(e, -FAULT_AGENT_UNKNOWN,
		"agent '%.64s' is not installed; there are: %s", name, known);
	err_data(e, "\"agents\":%s", w.failed ? "[]" : w.buf);
	return -FAULT_AGENT_UNKNOWN;
}

static int not_installed(const char *name, struct err *e)
{
	err_set(e, -FAULT_AGENT_UNKNOWN,
		"agent '%.64s' is not installed; run: hib agent add %.64s",
		name, name);
	err_data(e, "\"install\":\"hib agent add %s\"", name);
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
	if (!install_is_done(h, json_root(out)))
		return not_installed(name, e);
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
			 struct manifest_missing *out, struct err *e)
{
	autofree char *text = NULL;
	autojson struct json j = {0};
	int r = load_enabled(h, name, &text, &j, e);

	return r < 0 ? r : manifest_missing(json_root(&j), env, out, e);
}

int manifest_read(const struct home *h, const char *name, char **json,
		  struct err *e)
{
	autofree char *text = NULL;
	autojson struct json j = {0};
	int r = load(h, name, &text, &j, e);

	if (r == -ENOENT)
		return unknown(h, name, e);
	if (r < 0)
		return r;
	*json = take_ptr(text);
	return 0;
}

int manifest_read_file(const char *path, char **json, struct err *e)
{
	char name[MANIFEST_NAME_MAX + 1];
	autofree char *text = NULL;
	autojson struct json j = {0};
	size_t len = 0;

	if (read_file(path, &text, &len, e) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s: %s", path,
			       strerror(errno));
	if (json_parse(&j, text, len, NULL) < 0 ||
	    jv_strcpy(jv_get(json_root(&j), "name"), name, sizeof(name)) < 0 ||
	    !manifest_name_is_good(name))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s: no manifest of an agent", path);
	if (manifest_check(name, text, len, &j, e) < 0)
		return e ? e->code : -FAULT_INVALID_ARGUMENT;
	*json = take_ptr(text);
	return 0;
}

/* All that it says, and whether it could be started as far as packages go. */
static void write_listed(const struct home *h, struct jv m, struct jw *out)
{
	jw_obj(out);
	for (struct jv k = jv_first(m); jv_has(k); k = jv_next(m, k)) {
		if (jv_eq(k, "installed"))
			continue;
		jw_value(out, k);
		jw_lit(out, ":", 1);
		jw_value(out, jv_value(k));
	}
	jw_kbool(out, "installed", install_is_done(h, m));
	jw_obj_end(out);
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
			write_listed(h, json_root(&j), out);
			continue;
		}
		jw_obj(out);
		jw_kstr(out, "name", l->name[i]);
		jw_kstr(out, "error", bad.msg);
		jw_obj_end(out);
	}
	return 0;
}
