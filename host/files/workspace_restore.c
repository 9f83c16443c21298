// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_restore.c - hib files checkpoint, restore
 */
#include <string.h>

#include "host/cli/commands.h"

#define PATHS_MAX 1000

struct restore_options {
	bool json, force;
};

/* The row, or the one member of it that people want. */
static int print(bool json, char *row, const char *member)
{
	autofree char *text = row;
	autojson struct json j = {0};
	char hex[64];

	if (json) {
		cli_print(text);
		return 0;
	}
	if (json_parse(&j, text, strlen(text), NULL) == 0 &&
	    jv_strcpy(jv_get(json_root(&j), member), hex, sizeof(hex)) >= 0)
		cli_print(hex);
	return 0;
}

int files_checkpoint_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, restore_options, json, "json"),
		OPT_END,
	};
	struct restore_options o = {0};
	struct hib_error e;
	char *row = NULL;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (hib_checkpoint(c->hib, c->argv[0], &row, &e) < 0)
		return cli_fail_hib(&e);
	return print(o.json, row, "head");
}

int files_restore_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, restore_options, json, "json"),
		OPT(OPT_FLAG, restore_options, force, "force"),
		OPT_END,
	};
	struct restore_options o = {0};
	const char *paths[PATHS_MAX + 1] = {NULL};
	struct hib_error e;
	char *row = NULL;
	int r = cli_act(c, argc, argv, opts, &o, 2, PATHS_MAX + 2);

	if (r >= 0)
		return r;
	for (int i = 2; i < c->argc; i++)
		paths[i - 2] = c->argv[i];
	if (hib_restore_files(c->hib, c->argv[0], c->argv[1],
			      c->argc > 2 ? paths : NULL, o.force, &row,
			      &e) < 0)
		return cli_fail_hib(&e);
	return print(o.json, row, "head");
}
