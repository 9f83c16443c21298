// SPDX-License-Identifier: Apache-2.0
/*
 * session_diffs.c - hib session diffs: what turns did to files
 */
#include <stdio.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/commands.h"
#include "host/views.h"

struct diffs_options {
	const char *turn;
	bool json;
};

/* Rows of one turn; all of them without one. */
static void pick(struct jw *out, struct jv rows, const char *turn)
{
	jw_arr(out);
	for (struct jv it = jv_first(rows); jv_has(it); it = jv_next(rows, it))
		if (turn == NULL || jv_eq(jv_get(it, "turn_id"), turn))
			jw_value(out, it);
	jw_arr_end(out);
}

/* Patches are what git apply takes; of what has none a remark is left. */
static void print_row(struct jv row)
{
	autofree char *patch = jv_strdup(jv_get(row, "patch"), NULL);
	autofree char *path = jv_strdup(jv_get(row, "path"), NULL);
	autofree char *kind = jv_strdup(jv_get(row, "kind"), NULL);

	if (patch != NULL && patch[0] != '\0') {
		cli_print_safe(stdout, patch, strlen(patch));
		return;
	}
	printf("# %s ", kind != NULL ? kind : "");
	cli_print_safe(stdout, path != NULL ? path : "",
		       path != NULL ? strlen(path) : 0);
	putchar('\n');
}

int session_diffs_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, diffs_options, turn, "turn"),
		OPT(OPT_FLAG, diffs_options, json, "json"),
		OPT_END,
	};
	struct diffs_options o = {0};
	struct jv list;
	autojw struct jw rows = {0}, picked = {0};
	autojson struct json j = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_rows(c->reader, "diffs", c->argv[0], &rows, &e) < 0 ||
	    json_parse(&j, rows.buf, rows.len, &e) < 0)
		return cli_fail(&e);
	pick(&picked, json_root(&j), o.turn);
	if (o.json)
		return cli_print_json(&picked);
	if (json_parse(&j, picked.buf, picked.len, &e) < 0)
		return cli_fail(&e);
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		print_row(it);
	return 0;
}
