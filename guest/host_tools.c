// SPDX-License-Identifier: Apache-2.0
/*
 * host_tools.c - The functions of the user's program that an agent may call
 */
#include "guest/host_tools.h"

#include <string.h>

#include "guest/limits.h"

#define ANY_OBJECT "{\"type\":\"object\"}"

static bool is_name(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_-";

	return *name != '\0' && name[strspn(name, letters)] == '\0';
}

static bool is_absent(struct jv v)
{
	return !jv_has(v) || jv_is(v, JV_NULL);
}

static int check_schema(struct jv schema, const char *name, struct err *e)
{
	if (is_absent(schema) || (jv_is(schema, JV_OBJECT) &&
				  jv_eq(jv_get(schema, "type"), "object")))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "tool %s: inputSchema is no schema of an object", name);
}

static int check_timeout(struct jv v, const char *name, struct err *e)
{
	int64_t ms = jv_int(v, -1);

	if (is_absent(v) || (ms > 0 && ms <= HOST_TOOL_MS_MAX))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "tool %s: timeoutMs is not from 1 to %d", name,
		       HOST_TOOL_MS_MAX);
}

static int check_tool(struct jv t, char name[HOST_TOOL_NAME_MAX + 1],
		      struct err *e)
{
	struct jv notes = jv_get(t, "annotations");
	struct jv title = jv_get(t, "title");

	if (jv_strcpy(jv_get(t, "name"), name, HOST_TOOL_NAME_MAX + 1) < 0 ||
	    !is_name(name))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "tools: a name is no string of 1 to %d letters, "
			       "digits, _ and -",
			       HOST_TOOL_NAME_MAX);
	if (!jv_is(jv_get(t, "description"), JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "tool %s: description is no string", name);
	if ((!is_absent(notes) && !jv_is(notes, JV_OBJECT)) ||
	    (!is_absent(title) && !jv_is(title, JV_STRING)))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "tool %s: title is no string, or annotations "
			       "are no object",
			       name);
	if (check_schema(jv_get(t, "inputSchema"), name, e) < 0)
		return e->code;
	return check_timeout(jv_get(t, "timeoutMs"), name, e);
}

/* Is there one of that name before @end? */
static bool is_taken(struct jv list, struct jv end, const char *name)
{
	for (struct jv it = jv_first(list); it.i != end.i;
	     it = jv_next(list, it))
		if (jv_eq(jv_get(it, "name"), name))
			return true;
	return false;
}

int host_tools_check(struct jv list, struct err *e)
{
	char name[HOST_TOOL_NAME_MAX + 1];
	size_t len = 0;

	(void)jv_raw(list, &len);
	if (!jv_is(list, JV_ARRAY) || jv_count(list) > HOST_TOOLS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "tools are no array of at most %d",
			       HOST_TOOLS_MAX);
	if (len > HOST_TOOLS_BYTES)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "tools have %zu bytes, at most %u", len,
			       HOST_TOOLS_BYTES);
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		if (check_tool(it, name, e) < 0)
			return e->code;
		if (is_taken(list, it, name))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "tools: there are two called %s", name);
	}
	return 0;
}

int host_tools_set(struct host_tools *t, struct jv list)
{
	struct host_tools fresh = {0};
	size_t len;
	const char *raw = jv_raw(list, &len);

	fresh.text = strndup(raw, len);
	if (fresh.text == NULL)
		return -ENOMEM;
	if (json_parse(&fresh.doc, fresh.text, len, NULL) < 0) {
		host_tools_done(&fresh);
		return -ENOMEM;
	}
	host_tools_done(t);
	*t = fresh;
	return 0;
}

void host_tools_done(struct host_tools *t)
{
	json_done(&t->doc);
	free(t->text);
	*t = (struct host_tools){0};
}

static struct jv all(const struct host_tools *t)
{
	const struct jv none = {.i = -1};

	return t->text == NULL ? none : json_root(&t->doc);
}

size_t host_tools_count(const struct host_tools *t)
{
	return jv_count(all(t));
}

struct jv host_tools_find(const struct host_tools *t, const char *name)
{
	struct jv list = all(t), it;

	for (it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (jv_eq(jv_get(it, "name"), name))
			break;
	return it;
}

static const char *schema_text(struct jv tool, size_t *len)
{
	struct jv schema = jv_get(tool, "inputSchema");

	if (!is_absent(schema))
		return jv_raw(schema, len);
	*len = sizeof(ANY_OBJECT) - 1;
	return ANY_OBJECT;
}

char *host_tool_schema(struct jv tool)
{
	size_t len;
	const char *text = schema_text(tool, &len);

	return strndup(text, len);
}

int64_t host_tool_timeout(struct jv tool)
{
	return jv_int(jv_get(tool, "timeoutMs"), HOST_TOOL_MS);
}

static void write_tool(struct jv tool, struct jw *w)
{
	struct jv title = jv_get(tool, "title");
	struct jv notes = jv_get(tool, "annotations");
	size_t len;
	const char *schema = schema_text(tool, &len);

	jw_obj(w);
	jw_kvalue(w, "name", jv_get(tool, "name"));
	if (!is_absent(title))
		jw_kvalue(w, "title", title);
	jw_kvalue(w, "description", jv_get(tool, "description"));
	jw_key(w, "inputSchema");
	jw_raw(w, schema, len);
	if (!is_absent(notes))
		jw_kvalue(w, "annotations", notes);
	jw_obj_end(w);
}

void host_tools_write(const struct host_tools *t, struct jw *w)
{
	struct jv list = all(t);

	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		write_tool(it, w);
}
