// SPDX-License-Identifier: Apache-2.0
/*
 * toolcalls.c - What the agent has said of the tool calls of a turn
 */
#include "guest/toolcalls.h"

#include <string.h>

#include "guest/limits.h"

/* Where tools have their paths. */
static const char *const path_keys[] = {
	"path",		 "file_path", "filePath",   "absolute_path",
	"notebook_path", "filename",  "directory",  "old_path",
	"new_path",	 "source",    "destination"};

static void toolcall_free(struct toolcall *c)
{
	free(c->id);
	free(c->title);
	for (size_t i = 0; i < c->n_paths; i++)
		free(c->paths[i]);
	free(c->paths);
	free(c);
}

static void drop(struct toolcalls *t, struct toolcall *c)
{
	TAILQ_REMOVE(&t->list, c, link);
	t->n--;
	t->bytes -= c->bytes;
	toolcall_free(c);
}

void toolcalls_done(struct toolcalls *t)
{
	while (t->n > 0)
		drop(t, TAILQ_FIRST(&t->list));
	*t = (struct toolcalls){0};
}

/* Make room, but keep @c. */
static void shrink(struct toolcalls *t, const struct toolcall *c)
{
	struct toolcall *old = TAILQ_FIRST(&t->list);

	while (old != c &&
	       (t->n > TOOL_CALLS_MAX || t->bytes > TOOL_CALLS_BYTES)) {
		struct toolcall *next = TAILQ_NEXT(old, link);

		drop(t, old);
		old = next;
	}
}

static struct toolcall *find(struct toolcalls *t, const char *id, size_t len)
{
	struct toolcall *c;

	if (t->n == 0)
		return NULL;
	TAILQ_FOREACH (c, &t->list, link)
		if (strlen(c->id) == len && memcmp(c->id, id, len) == 0)
			break;
	return c;
}

static struct toolcall *add(struct toolcalls *t, const char *id, size_t len)
{
	struct toolcall *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->id = strndup(id, len);
	if (c->id == NULL) {
		free(c);
		return NULL;
	}
	c->kind = "other";
	c->bytes = sizeof(*c) + len;
	if (t->n == 0)
		TAILQ_INIT(&t->list);
	TAILQ_INSERT_TAIL(&t->list, c, link);
	t->n++;
	t->bytes += c->bytes;
	return c;
}

static struct toolcall *find_or_add(struct toolcalls *t, struct jv id)
{
	struct toolcall *c;
	size_t len = 0;
	const char *raw = jv_raw(id, &len);

	if (!jv_is(id, JV_STRING) || len > TOOL_ID_MAX) {
		raw = "";
		len = 0;
	}
	c = find(t, raw, len);
	if (c != NULL && len == 0) {
		drop(t, c);
		c = NULL;
	}
	return c != NULL ? c : add(t, raw, len);
}

static void grow(struct toolcalls *t, struct toolcall *c, size_t bytes)
{
	c->bytes += bytes;
	t->bytes += bytes;
}

static void note_title(struct toolcalls *t, struct toolcall *c, struct jv title)
{
	char text[TOOL_TITLE_MAX + 1];
	int len = jv_strcpy(title, text, sizeof(text));

	if (!jv_is(title, JV_STRING))
		return;
	free(c->title);
	c->title = len < 0 ? NULL : strdup(text);
	c->title_unclear = c->title == NULL;
	if (len > 0)
		grow(t, c, (size_t)len);
}

/* A path of the agent as a policy wants it.  NULL: nobody can say which file
 * that is. */
static char *make_path(const char *cwd, const char *path)
{
	if (path[0] == '~' || strstr(path, "://") != NULL)
		return NULL;
	return policy_path(cwd, path);
}

static bool has_path(const struct toolcall *c, const char *path)
{
	for (size_t i = 0; i < c->n_paths; i++)
		if (strcmp(c->paths[i], path) == 0)
			return true;
	return false;
}

/* Return: whether it was taken over. */
static bool add_path(struct toolcalls *t, struct toolcall *c, char *path)
{
	char **grown;

	if (c->n_paths == TOOL_PATHS_MAX)
		return false;
	grown = realloc(c->paths, (c->n_paths + 1) * sizeof(*grown));
	if (grown == NULL)
		return false;
	c->paths = grown;
	c->paths[c->n_paths++] = path;
	grow(t, c, strlen(path) + sizeof(path));
	return true;
}

static void note_path(struct toolcalls *t, struct toolcall *c, struct jv v,
		      const char *cwd)
{
	char text[TOOL_PATH_MAX + 1];
	autofree char *path = NULL;
	int len = jv_strcpy(v, text, sizeof(text));

	if (!jv_is(v, JV_STRING) || len == 0)
		return;
	path = len > 0 ? make_path(cwd, text) : NULL;
	if (path != NULL && has_path(c, path))
		return;
	if (path == NULL || !add_path(t, c, path))
		c->paths_unclear = true;
	else
		(void)take_ptr(path);
}

static void note_paths(struct toolcalls *t, struct toolcall *c, struct jv call,
		       const char *cwd)
{
	struct jv list = jv_get(call, "locations");
	struct jv input = jv_get(call, "rawInput");

	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		note_path(t, c, jv_get(it, "path"), cwd);
	list = jv_get(call, "content");
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		note_path(t, c, jv_get(it, "path"), cwd);
	for (size_t i = 0; i < ARRAY_LEN(path_keys); i++)
		note_path(t, c, jv_get(input, path_keys[i]), cwd);
	list = jv_get(input, "paths");
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		note_path(t, c, it, cwd);
}

const struct toolcall *toolcalls_note(struct toolcalls *t, struct jv call,
				      const char *cwd)
{
	struct toolcall *c = find_or_add(t, jv_get(call, "toolCallId"));

	if (c == NULL)
		return NULL;
	if (jv_is(jv_get(call, "kind"), JV_STRING))
		c->kind = policy_kind(jv_get(call, "kind"));
	note_title(t, c, jv_get(call, "title"));
	note_paths(t, c, call, cwd);
	shrink(t, c);
	return c;
}
