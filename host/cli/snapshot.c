// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.c - hib snapshot, vm restore, and vm fork of a snapshot
 */
#include <string.h>

#include "host/cli/commands.h"
#include "host/views.h"

struct snapshot_options {
	const char *label, *kind;
	bool json, force;
};

static const struct opt json_only[] = {
	OPT(OPT_FLAG, snapshot_options, json, "json"),
	OPT_END,
};

int snapshot_create_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, snapshot_options, label, "label"),
		OPT(OPT_TEXT, snapshot_options, kind, "kind"),
		OPT(OPT_FLAG, snapshot_options, json, "json"),
		OPT_END,
	};
	struct snapshot_options o = {0};
	struct hib_snapshot_options s = {.size = sizeof(s)};
	autofree char *row = NULL;
	char id[HIB_ID_MAX];
	struct hib_error e;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	s.label = o.label;
	s.kind = o.kind;
	if (hib_snapshot_create(c->hib, c->argv[0], &s, id, &row, &e) < 0)
		return cli_fail_hib(&e);
	cli_print(o.json ? row : id);
	return 0;
}

/* The id of a VM that may be given by name; false: there is none. */
static bool find_vm(struct reader *r, const char *name, char id[ID_MAX],
		    struct err *e)
{
	autojw struct jw row = {0};
	autojson struct json j = {0};

	return views_vm(r, name, &row, e) == 0 &&
	       json_parse(&j, row.buf, row.len, e) == 0 &&
	       jv_strcpy(jv_get(json_root(&j), "id"), id, ID_MAX) > 0;
}

int snapshot_list_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"id", "ID", 36},
		{"kind", "KIND", 6},
		{"created_ms", "MADE", 19},
		{"size", "BYTES", 11},
		{"state", "STATE", 8},
		{"label", "LABEL", 0},
		{NULL, NULL, 0},
	};
	struct snapshot_options o = {0};
	autojw struct jw rows = {0};
	struct err e = {0};
	char vm[ID_MAX];
	bool of_one;
	int r = cli_look(c, argc, argv, json_only, &o, 0, 1);

	if (r >= 0)
		return r;
	of_one = c->argc > 0;
	jw_arr(&rows);
	if (c->reader != NULL &&
	    ((of_one && !find_vm(c->reader, c->argv[0], vm, &e)) ||
	     views_snapshots(c->reader, of_one ? vm : NULL, &rows, &e) < 0))
		return cli_fail(&e);
	jw_arr_end(&rows);
	return cli_print_rows(&rows, o.json, columns);
}

int snapshot_show_command(struct cli *c, int argc, char **argv)
{
	struct snapshot_options o = {0};
	autojson struct json j = {0};
	autojw struct jw row = {0};
	struct err e = {0};
	int r = cli_look(c, argc, argv, json_only, &o, 1, 1);

	if (r >= 0)
		return r;
	if (c->reader == NULL)
		err_set(&e, -FAULT_SNAPSHOT_NOT_FOUND, "%.64s is not here",
			c->argv[0]);
	else if (views_snapshot(c->reader, c->argv[0], &row, &e) == 0 &&
		 !o.json)
		(void)json_parse(&j, row.buf, row.len, &e);
	if (e.code < 0)
		return cli_fail(&e);
	if (o.json)
		return cli_print_json(&row);
	cli_print_object(json_root(&j));
	return 0;
}

int snapshot_remove_command(struct cli *c, int argc, char **argv)
{
	struct hib_error e;
	int r = cli_act(c, argc, argv, NULL, NULL, 1, 1);

	if (r >= 0)
		return r;
	return hib_snapshot_remove(c->hib, c->argv[0], &e) < 0
		       ? cli_fail_hib(&e)
		       : 0;
}

static void print_damage(struct jv damage)
{
	for (struct jv d = jv_first(damage); jv_has(d);
	     d = jv_next(damage, d)) {
		autofree char *words = jv_strdup(d, NULL);

		cli_print(words != NULL ? words : "");
	}
}

int snapshot_verify_command(struct cli *c, int argc, char **argv)
{
	struct snapshot_options o = {0};
	autojson struct json j = {0};
	autofree char *text = NULL;
	struct hib_error e;
	bool good;
	int r = cli_act(c, argc, argv, json_only, &o, 1, 1);

	if (r >= 0)
		return r;
	if (hib_snapshot_verify(c->hib, c->argv[0], &text, &e) < 0)
		return cli_fail_hib(&e);
	(void)json_parse(&j, text, strlen(text), NULL);
	good = jv_bool(jv_get(json_root(&j), "ok"), false);
	if (o.json)
		cli_print(text);
	else if (good)
		cli_print("ok");
	else
		print_damage(jv_get(json_root(&j), "damage"));
	return good ? 0 : EXIT_NEGATIVE;
}

int vm_restore_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, snapshot_options, force, "force"),
		OPT(OPT_FLAG, snapshot_options, json, "json"),
		OPT_END,
	};
	struct snapshot_options o = {0};
	char *row = NULL;
	struct hib_error e;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	r = hib_vm_restore(c->hib, c->argv[0], o.force, &row, &e);
	return cli_acted(r, row, o.json, &e);
}

int cli_fork_snapshot(struct cli *c, const char *what, int64_t n,
		      const char *name, bool json)
{
	struct hib_snapshot_fork_options o = {
		.size = sizeof(o), .n = (unsigned)n, .name = name};
	autofree char *text = NULL;
	autojson struct json j = {0};
	char vm[HIB_ID_MAX];
	struct hib_error e;
	struct jv vms;

	if (hib_snapshot_fork(c->hib, what, &o, &text, &e) < 0)
		return cli_fail_hib(&e);
	if (json) {
		cli_print(text);
		return 0;
	}
	(void)json_parse(&j, text, strlen(text), NULL);
	vms = jv_get(json_root(&j), "vms");
	for (struct jv v = jv_first(vms); jv_has(v); v = jv_next(vms, v))
		if (jv_strcpy(jv_get(v, "vm"), vm, sizeof(vm)) > 0)
			cli_print(vm);
	return 0;
}
