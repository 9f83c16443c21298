// SPDX-License-Identifier: Apache-2.0
/*
 * requests.c - What agents ask, for people
 */
#include <string.h>

#include "host/cli/cli.h"

#define WORDS_MAX 200 /* Characters of a name or a message. */

struct jv request_words(struct jv body)
{
	struct jv title = jv_path(body, "tool.title");

	if (!jv_is(title, JV_STRING))
		title = jv_get(body, "message");
	return jv_is(title, JV_STRING) ? title : jv_get(body, "name");
}

/* A string of a stranger, on one line; "-" when it is none. */
static void put(struct jv v)
{
	size_t len = 1;
	autofree char *s = jv_strdup(v, &len);
	autojw struct jw line = {0};

	cli_put_line(&line, s ? s : "-", len, WORDS_MAX);
	fputs(line.buf ? line.buf : "", stdout);
}

static void print_options(struct jv options)
{
	for (struct jv o = jv_first(options); jv_has(o);
	     o = jv_next(options, o)) {
		fputs("    ", stdout);
		put(jv_get(o, "optionId"));
		fputs("  ", stdout);
		put(jv_get(o, "name"));
		putchar('\n');
	}
}

static bool is_required(struct jv schema, struct jv key)
{
	struct jv list = jv_get(schema, "required");
	autofree char *name = jv_strdup(key, NULL);

	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (name != NULL && jv_eq(it, name))
			return true;
	return false;
}

/* What may be chosen: strings, or objects with a const. */
static void print_choices(struct jv list)
{
	const char *between = ": ";

	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		fputs(between, stdout);
		put(jv_is(it, JV_OBJECT) ? jv_get(it, "const") : it);
		between = ", ";
	}
}

static void print_field(struct jv schema, struct jv key)
{
	struct jv field = jv_value(key), items = jv_get(field, "items");

	fputs("    ", stdout);
	put(key);
	fputs("  ", stdout);
	put(jv_get(field, "type"));
	if (is_required(schema, key))
		fputs(", required", stdout);
	print_choices(jv_get(field, "enum"));
	print_choices(jv_get(field, "oneOf"));
	print_choices(jv_get(items, "enum"));
	print_choices(jv_get(items, "anyOf"));
	if (jv_is(jv_get(field, "title"), JV_STRING)) {
		fputs("  ", stdout);
		put(jv_get(field, "title"));
	}
	putchar('\n');
}

static void print_form(struct jv schema)
{
	struct jv fields = jv_get(schema, "properties");

	for (struct jv k = jv_first(fields); jv_has(k); k = jv_next(fields, k))
		print_field(schema, k);
}

/* The arguments, as they are written. */
static void print_call(const char *session, const char *id, struct jv body)
{
	size_t len;
	const char *raw = jv_raw(jv_get(body, "arguments"), &len);
	autojw struct jw line = {0};

	cli_put_line(&line, raw ? raw : "{}", raw ? len : 2, WORDS_MAX);
	printf("    %s\n", line.buf ? line.buf : "");
	printf("  hib answer %s %s --result TEXT\n", session, id);
	printf("  hib answer %s %s --error TEXT\n", session, id);
}

static void print_waiting(const char *session, struct jv row)
{
	struct jv body = jv_get(row, "body");
	bool permission = jv_eq(jv_get(row, "kind"), "permission");
	char id[ID_MAX] = "";

	(void)jv_strcpy(jv_get(row, "id"), id, sizeof(id));
	printf("\n%s %s: ", id,
	       jv_eq(jv_get(row, "kind"), "tool") ? "calls" : "asks");
	put(request_words(body));
	putchar('\n');
	if (jv_eq(jv_get(row, "kind"), "tool")) {
		print_call(session, id, body);
		return;
	}
	if (permission) {
		print_options(jv_get(body, "options"));
		printf("  hib answer %s %s OPTION\n", session, id);
		return;
	}
	if (jv_is(jv_get(body, "url"), JV_STRING)) {
		fputs("    ", stdout);
		put(jv_get(body, "url"));
		printf("\n  hib answer %s %s --accept\n", session, id);
	} else {
		print_form(jv_get(body, "schema"));
		printf("  hib answer %s %s --accept --field NAME=VALUE...\n",
		       session, id);
	}
	printf("  hib answer %s %s --decline\n", session, id);
}

/* The rows with a column that says what was asked. */
static void write_rows(struct jv rows, struct jw *w)
{
	static const char *const keys[] = {"id", "kind", "state",
					   "answered_by"};

	jw_arr(w);
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row)) {
		jw_obj(w);
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			jw_kvalue(w, keys[i], jv_get(row, keys[i]));
		jw_kvalue(w, "asked", request_words(jv_get(row, "body")));
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

void requests_print(const char *session, struct jv rows)
{
	static const struct column columns[] = {
		{"id", "ID", 36},	   {"kind", "KIND", 11},
		{"state", "STATE", 9},	   {"answered_by", "BY", 12},
		{"asked", "ASKED FOR", 0}, {NULL, NULL, 0},
	};
	autojw struct jw w = {0};
	autojson struct json j = {0};

	write_rows(rows, &w);
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0)
		return;
	cli_print_table(json_root(&j), columns);
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row))
		if (jv_eq(jv_get(row, "state"), "pending"))
			print_waiting(session, row);
}
