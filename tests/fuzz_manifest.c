// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_manifest.c - A manifest that is taken can be sent and started
 *
 * It is on one line, says the same as before, and is taken again; its command
 * and arguments are strings that a program can be given; what it requires is
 * missing from an empty environment and from no other.
 */
#include "host/manifest.h"

#include <assert.h>
#include <string.h>

#define NAME "echo"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(struct jv v)
{
	size_t len;
	autofree char *s = jv_strdup(v, &len);

	assert(s != NULL && strlen(s) == len);
}

/* An environment with all the names of a list, and the first of each choice. */
static char *env_of(const char *names)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};

	assert(json_parse(&j, names, strlen(names), NULL) == 0);
	jw_obj(&w);
	for (struct jv v = jv_first(json_root(&j)); jv_has(v);
	     v = jv_next(json_root(&j), v)) {
		struct jv one = jv_is(v, JV_ARRAY) ? jv_first(v) : v;
		autofree char *name = jv_strdup(one, NULL);

		assert(name[0] != '\0' && strchr(name, '=') == NULL);
		jw_kstr(&w, name, "x");
	}
	jw_obj_end(&w);
	return jw_take(&w, NULL);
}

static void check_missing(const struct json *manifest)
{
	struct manifest_missing missing, still;
	autofree char *env = NULL;
	autojson struct json j = {0};
	const struct jv none = {.i = -1};

	assert(manifest_missing(json_root(manifest), none, &missing, NULL) ==
	       0);
	assert((missing.names == NULL) == (missing.words == NULL));
	if (missing.names == NULL)
		return;
	env = env_of(missing.names);
	manifest_missing_done(&missing);
	assert(env != NULL);
	assert(json_parse(&j, env, strlen(env), NULL) == 0);
	assert(manifest_missing(json_root(manifest), json_root(&j), &still,
				NULL) == 0);
	assert(still.names == NULL);
}

/* Files have a path below the home and no way out of it. */
static void check_files(struct jv files)
{
	for (struct jv v = jv_first(files); jv_has(v); v = jv_next(files, v)) {
		autofree char *path = jv_strdup(jv_get(v, "path"), NULL);

		assert(strncmp(path, MANIFEST_HOME, strlen(MANIFEST_HOME)) ==
		       0);
		assert(strstr(path, "/../") == NULL);
		assert(jv_is(jv_get(v, "content"), JV_STRING));
	}
}

static void check_taken(const struct json *j)
{
	struct jv m = json_root(j), args = jv_get(m, "args");

	assert(memchr(j->text, '\n', j->len) == NULL);
	assert(jv_eq(jv_get(m, "name"), NAME));
	check_string(jv_get(m, "command"));
	assert(!jv_eq(jv_get(m, "command"), ""));
	for (struct jv v = jv_first(args); jv_has(v); v = jv_next(args, v))
		check_string(v);
	check_files(jv_get(m, "files"));
	check_missing(j);
}

/* What was taken is taken again, and stays as it is. */
static void check_again(char *text, size_t size)
{
	autojw struct jw before = {0};
	autojson struct json j = {0};

	jw_lit(&before, text, size);
	assert(!before.failed);
	assert(manifest_check(NAME, text, size, &j, NULL) == 0);
	assert(memcmp(before.buf, text, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = malloc(size + 1);
	autojson struct json j = {0};
	struct err e = {0};
	int r;

	assert(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	r = manifest_check(NAME, text, size, &j, &e);
	assert(r == e.code);
	if (r < 0) {
		assert(r == -FAULT_INVALID_ARGUMENT && e.msg[0] != '\0');
		return 0;
	}
	check_taken(&j);
	check_again(text, size);
	return 0;
}
