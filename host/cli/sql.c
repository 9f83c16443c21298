// SPDX-License-Identifier: Apache-2.0
/*
 * sql.c - hib sql: databases of a session
 */
#include <string.h>

#include "host/cli/commands.h"

#define SQL_MAX	  (1u << 20) /* Bytes read of a file. */
#define CELL_MAX  60	     /* Characters of a cell that are shown. */
#define CELLS_MAX 64	     /* Columns. */

struct sql_options {
	bool query, drop, json;
	int64_t timeout_ms;
};

/* --- a table ------------------------------------------------------------ */

/* One line of what a cell holds. */
static void put_cell(struct jw *w, struct jv v)
{
	autofree char *text = NULL;
	const char *raw;
	size_t len;

	jw_reset(w);
	if (jv_is(v, JV_STRING)) {
		text = jv_strdup(v, &len);
		if (text != NULL)
			cli_put_line(w, text, len, CELL_MAX);
	} else if (jv_is(v, JV_OBJECT)) {
		jw_lit(w, "(bytes)", 7);
	} else if (!jv_is(v, JV_NULL)) {
		raw = jv_raw(v, &len);
		jw_lit(w, raw, len);
	}
}

static void measure(struct jv row, int width[CELLS_MAX])
{
	autojw struct jw w = {0};
	size_t i = 0;

	for (struct jv c = jv_first(row); jv_has(c) && i < CELLS_MAX;
	     c = jv_next(row, c), i++) {
		put_cell(&w, c);
		if ((int)w.len > width[i])
			width[i] = (int)w.len;
	}
}

static void print_row(struct jv row, const int width[CELLS_MAX])
{
	autojw struct jw w = {0};
	size_t i = 0;

	for (struct jv c = jv_first(row); jv_has(c) && i < CELLS_MAX;
	     c = jv_next(row, c), i++) {
		bool last = !jv_has(jv_next(row, c));

		put_cell(&w, c);
		printf("%-*s%s", last ? 0 : width[i], w.buf ? w.buf : "",
		       last ? "\n" : "  ");
	}
}

static void print_table(struct jv result)
{
	struct jv columns = jv_get(result, "columns");
	struct jv rows = jv_get(result, "rows");
	int width[CELLS_MAX] = {0};

	if (jv_count(columns) == 0)
		return;
	measure(columns, width);
	for (struct jv r = jv_first(rows); jv_has(r); r = jv_next(rows, r))
		measure(r, width);
	print_row(columns, width);
	for (struct jv r = jv_first(rows); jv_has(r); r = jv_next(rows, r))
		print_row(r, width);
	if (jv_bool(jv_get(result, "truncated"), false))
		fprintf(stderr, "hib: there are more rows\n");
}

/* --- results ------------------------------------------------------------ */

static int print(const char *json, const struct sql_options *o,
		 void (*show)(struct jv result))
{
	autojson struct json j = {0};
	struct err e = {0};

	if (o->json) {
		cli_print(json);
		return 0;
	}
	if (json_parse(&j, json, strlen(json), &e) < 0)
		return cli_fail(&e);
	show(json_root(&j));
	return 0;
}

static void show_databases(struct jv result)
{
	static const struct column columns[] = {
		{"name", "DATABASE", 32},
		{"bytes", "BYTES", 0},
		{NULL, NULL, 0},
	};

	cli_print_table(jv_get(result, "databases"), columns);
}

static void show_schema(struct jv result)
{
	struct jv tables = jv_get(result, "tables");

	for (struct jv t = jv_first(tables); jv_has(t);
	     t = jv_next(tables, t)) {
		size_t len;
		autofree char *sql = jv_strdup(jv_get(t, "sql"), &len);

		if (sql == NULL)
			continue;
		cli_print_safe(stdout, sql, len);
		puts(";");
	}
}

/* --- the command -------------------------------------------------------- */

/* Numbers, true, false and null are what they are; all else is text. */
static void put_param(struct jw *w, const char *arg)
{
	autojson struct json j = {0};
	bool scalar = json_parse(&j, arg, strlen(arg), NULL) == 0 &&
		      !jv_is(json_root(&j), JV_STRING) &&
		      !jv_is(json_root(&j), JV_ARRAY) &&
		      !jv_is(json_root(&j), JV_OBJECT);

	if (scalar)
		jw_value(w, json_root(&j));
	else
		jw_str(w, arg);
}

static int run_sql(struct cli *c, const struct sql_options *o)
{
	struct hib_sql_options sql = {
		.size = sizeof(sql),
		.query = o->query,
		.timeout_ms = o->timeout_ms,
	};
	autojw struct jw params = {0};
	autofree char *text = NULL;
	struct hib_error e = {0};
	struct err bad = {0};
	char *json = NULL;
	int r;

	if (cli_text(c->argv[2], SQL_MAX + 1, &text, &bad) < 0)
		return cli_fail(&bad);
	jw_arr(&params);
	for (int i = 3; i < c->argc; i++)
		put_param(&params, c->argv[i]);
	jw_arr_end(&params);
	sql.params = params.buf;
	r = hib_sql(c->hib, c->argv[0], c->argv[1], text, &sql, &json, &e);
	r = r < 0 ? cli_fail_hib(&e) : print(json, o, print_table);
	hib_free(json);
	return r;
}

int sql_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, sql_options, query, "query"),
		OPT(OPT_FLAG, sql_options, drop, "drop"),
		OPT(OPT_NUMBER, sql_options, timeout_ms, "timeout-ms"),
		OPT(OPT_FLAG, sql_options, json, "json"),
		OPT_END,
	};
	struct sql_options o = {0};
	char *json = NULL;
	struct hib_error e = {0};
	int r = cli_act_on_session(c, argc, argv, opts, &o, 1, CLI_LIST_MAX);

	if (r >= 0)
		return r;
	if (o.drop && c->argc != 2)
		return cli_usage(c, "--drop takes a session and a database");
	if (o.drop)
		r = hib_sql_drop(c->hib, c->argv[0], c->argv[1], &e);
	else if (c->argc == 1)
		r = hib_sql_list(c->hib, c->argv[0], &json, &e);
	else if (c->argc == 2)
		r = hib_sql_schema(c->hib, c->argv[0], c->argv[1], &json, &e);
	else
		return run_sql(c, &o);
	if (r < 0)
		return cli_fail_hib(&e);
	r = o.drop ? 0
		   : print(json, &o,
			   c->argc == 1 ? show_databases : show_schema);
	hib_free(json);
	return r;
}
