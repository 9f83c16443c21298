// SPDX-License-Identifier: Apache-2.0
/*
 * notes.c - hib kv, hib memory, hib summary: what a session keeps
 *
 * Looking reads the store; changing takes hibd.
 */
#include "core/note.h"

#include <string.h>

#include "host/cli/commands.h"
#include "host/views.h"

struct notes_options {
	const char *prefix, *after, *scope, *meta, *etag;
	int64_t limit, from, to;
	bool must_not_exist, json;
};

#define JSON_OPT OPT(OPT_FLAG, notes_options, json, "json")

/* --- looking ------------------------------------------------------------ */

/* The value of @w's object as it is, or the object. */
static int print_note(struct jw *w, bool json)
{
	autojson struct json j = {0};
	autofree char *value = NULL;
	struct err e = {0};
	size_t len;

	if (json)
		return cli_print_json(w);
	if (json_parse(&j, w->buf, w->len, &e) < 0)
		return cli_fail(&e);
	value = jv_strdup(jv_get(json_root(&j), "value"), &len);
	if (value != NULL && isatty(STDOUT_FILENO))
		cli_print_safe(stdout, value, len);
	else if (value != NULL)
		fwrite(value, 1, len, stdout);
	putchar('\n');
	return 0;
}

static int get(struct cli *c, int argc, char **argv, bool memory)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, notes_options, scope, "scope"),
		JSON_OPT,
		OPT_END,
	};
	struct notes_options o = {0};
	autojw struct jw w = {0};
	enum note_scope scope;
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts + !memory, &o, 2, 2);

	if (r >= 0)
		return r;
	if (note_check_key(c->argv[1], strlen(c->argv[1]), &e) < 0 ||
	    note_scope_read(o.scope, &scope, &e) < 0)
		return cli_fail(&e);
	r = memory ? note_get_memory(c->reader, c->argv[0], scope, c->argv[1],
				     &w, &e)
		   : note_get_kv(c->reader, c->argv[0], c->argv[1], &w, &e);
	return r < 0 ? cli_fail(&e) : print_note(&w, o.json);
}

static int list(struct cli *c, int argc, char **argv, bool memory)
{
	static const struct column kv_columns[] = {
		{"key", "KEY", 32},	   {"bytes", "BYTES", 8},
		{"updated_ms", "SET", 20}, {"preview", "VALUE", 0},
		{NULL, NULL, 0},
	};
	static const struct column memory_columns[] = {
		{"key", "KEY", 32},	   {"scope", "SCOPE", 8},
		{"updated_ms", "SET", 20}, {"preview", "VALUE", 0},
		{NULL, NULL, 0},
	};
	static const struct opt opts[] = {
		OPT(OPT_TEXT, notes_options, scope, "scope"),
		OPT(OPT_TEXT, notes_options, prefix, "prefix"),
		OPT(OPT_TEXT, notes_options, after, "after"),
		OPT(OPT_NUMBER, notes_options, limit, "limit"),
		JSON_OPT,
		OPT_END,
	};
	struct notes_options o = {0};
	struct note_query q;
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts + !memory, &o, 1, 1);

	if (r >= 0)
		return r;
	q = (struct note_query){
		.prefix = o.prefix,
		.after = o.after,
		.limit = o.limit > NOTE_LIST ? NOTE_LIST : (unsigned)o.limit,
		.preview = NOTE_PREVIEW,
	};
	if (note_scope_read(o.scope, &q.scope, &e) < 0)
		return cli_fail(&e);
	jw_arr(&w);
	r = memory ? note_list_memory(c->reader, c->argv[0], &q, &w, &e)
		   : note_list_kv(c->reader, c->argv[0], &q, &w, &e);
	jw_arr_end(&w);
	if (r < 0)
		return cli_fail(&e);
	return cli_print_rows(&w, o.json, memory ? memory_columns : kv_columns);
}

int kv_get_command(struct cli *c, int argc, char **argv)
{
	return get(c, argc, argv, false);
}

int kv_list_command(struct cli *c, int argc, char **argv)
{
	return list(c, argc, argv, false);
}

int memory_get_command(struct cli *c, int argc, char **argv)
{
	return get(c, argc, argv, true);
}

int memory_list_command(struct cli *c, int argc, char **argv)
{
	return list(c, argc, argv, true);
}

int summary_list_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"from_seq", "FROM", 8},
		{"to_seq", "TO", 8},
		{"created_ms", "MADE", 20},
		{"text", "TEXT", 0},
		{NULL, NULL, 0},
	};
	static const struct opt opts[] = {JSON_OPT, OPT_END};
	struct notes_options o = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_rows(c->reader, "summaries", c->argv[0], &w, &e) < 0)
		return cli_fail(&e);
	return cli_print_rows(&w, o.json, columns);
}

/* --- changing ----------------------------------------------------------- */

/* The argument, what is in @FILE, or standard input for "-". */
static int value_of(const char *arg, size_t max, char **out)
{
	struct err e = {0};
	ssize_t n;

	if (strcmp(arg, "-") != 0)
		return cli_text(arg, max, out, &e) < 0 ? cli_fail(&e) : -1;
	n = cli_read(STDIN_FILENO, max, out);
	if (n >= 0)
		return -1;
	err_set(&e, -FAULT_INVALID_ARGUMENT, "standard input: %s",
		strerror((int)-n));
	return cli_fail(&e);
}

/* @json: Taken over; NULL unless it was wanted and @r is 0. */
static int print_result(int r, char *json, const struct hib_error *e)
{
	if (json != NULL)
		cli_print(json);
	hib_free(json);
	return r < 0 ? cli_fail_hib(e) : 0;
}

static int set(struct cli *c, int argc, char **argv, bool memory)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, notes_options, scope, "scope"),
		OPT(OPT_TEXT, notes_options, meta, "meta"),
		OPT(OPT_TEXT, notes_options, etag, "etag"),
		OPT(OPT_FLAG, notes_options, must_not_exist, "must-not-exist"),
		JSON_OPT,
		OPT_END,
	};
	struct notes_options o = {0};
	struct hib_note_options n = {.size = sizeof(n)};
	autofree char *value = NULL;
	char *json = NULL;
	struct hib_error e = {0};
	int r = cli_act_on_session(c, argc, argv, memory ? opts : opts + 2, &o,
				   3, 3);

	if (r < 0)
		r = value_of(c->argv[2], NOTE_VALUE_MAX + 1, &value);
	if (r >= 0)
		return r;
	n.scope = o.scope;
	n.meta = o.meta;
	n.etag = o.etag;
	n.must_not_exist = o.must_not_exist;
	r = (memory ? hib_memory_set : hib_kv_set)(c->hib, c->argv[0],
						   c->argv[1], value, &n,
						   o.json ? &json : NULL, &e);
	return print_result(r, json, &e);
}

static int delete_note(struct cli *c, int argc, char **argv, bool memory)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, notes_options, scope, "scope"),
		OPT(OPT_TEXT, notes_options, etag, "etag"),
		OPT_END,
	};
	struct notes_options o = {0};
	struct hib_note_options n = {.size = sizeof(n)};
	struct hib_error e = {0};
	int r = cli_act_on_session(c, argc, argv, opts + !memory, &o, 2, 2);

	if (r >= 0)
		return r;
	n.scope = o.scope;
	n.etag = o.etag;
	r = (memory ? hib_memory_delete : hib_kv_delete)(c->hib, c->argv[0],
							 c->argv[1], &n, &e);
	return r < 0 ? cli_fail_hib(&e) : 0;
}

int kv_set_command(struct cli *c, int argc, char **argv)
{
	return set(c, argc, argv, false);
}

int kv_delete_command(struct cli *c, int argc, char **argv)
{
	return delete_note(c, argc, argv, false);
}

int memory_set_command(struct cli *c, int argc, char **argv)
{
	return set(c, argc, argv, true);
}

int memory_delete_command(struct cli *c, int argc, char **argv)
{
	return delete_note(c, argc, argv, true);
}

int summary_add_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_NUMBER, notes_options, from, "from"),
		OPT(OPT_NUMBER, notes_options, to, "to"),
		JSON_OPT,
		OPT_END,
	};
	struct notes_options o = {0};
	autofree char *text = NULL;
	char *json = NULL;
	struct hib_error e = {0};
	int r = cli_act_on_session(c, argc, argv, opts, &o, 2, 2);

	if (r < 0)
		r = value_of(c->argv[1], NOTE_TEXT_MAX + 1, &text);
	if (r >= 0)
		return r;
	r = hib_add_summary(c->hib, c->argv[0], text, o.from, o.to,
			    o.json ? &json : NULL, &e);
	return print_result(r, json, &e);
}
