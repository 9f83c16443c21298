// SPDX-License-Identifier: Apache-2.0
/*
 * cursor.c - hib cursor: how far a reader has come in a log, by name
 *
 * Looking reads the store; changing takes hibd.
 */
#include "host/cli/commands.h"
#include "host/views.h"

struct cursor_options {
	bool json;
};

static const struct opt cursor_opts[] = {
	OPT(OPT_FLAG, cursor_options, json, "json"),
	OPT_END,
};

int cli_cursor(struct cli *c, const char *session, const char *name,
	       int64_t *seq)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct err e = {0};

	*seq = 0;
	if (views_rows(c->reader, "cursors", session, &w, &e) < 0 ||
	    json_parse(&j, w.buf, w.len, &e) < 0)
		return cli_fail(&e);
	for (struct jv v = jv_first(json_root(&j)); jv_has(v);
	     v = jv_next(json_root(&j), v)) {
		if (!jv_eq(jv_get(v, "name"), name))
			continue;
		*seq = jv_int(jv_get(v, "seq"), 0);
		return 1;
	}
	return 0;
}

int cursor_list_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"name", "NAME", 20},
		{"seq", "SEQ", 8},
		{"updated_ms", "SET", 0},
		{NULL, NULL, 0},
	};
	struct cursor_options o = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, cursor_opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_rows(c->reader, "cursors", c->argv[0], &w, &e) < 0)
		return cli_fail(&e);
	return cli_print_rows(&w, o.json, columns);
}

int cursor_get_command(struct cli *c, int argc, char **argv)
{
	struct err e = {0};
	int64_t seq;
	int r = cli_read_session(c, argc, argv, NULL, NULL, 2, 2);

	if (r >= 0)
		return r;
	r = cli_cursor(c, c->argv[0], c->argv[1], &seq);
	if (r > 1)
		return r;
	if (r == 0) {
		err_set(&e, -FAULT_KEY_NOT_FOUND, "%s has no cursor %s",
			c->argv[0], c->argv[1]);
		return cli_fail(&e);
	}
	printf("%lld\n", (long long)seq);
	return 0;
}

int cursor_set_command(struct cli *c, int argc, char **argv)
{
	struct hib_error e;
	long long seq;
	char *end;
	int r = cli_options(c, argc, argv, NULL, NULL, 3, 3);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r >= 0)
		return r;
	errno = 0;
	seq = strtoll(c->argv[2], &end, 10);
	if (errno != 0 || end == c->argv[2] || *end != '\0' || seq < 0)
		return cli_usage(c, "'%s' is no number", c->argv[2]);
	r = cli_hib(c);
	if (r >= 0)
		return r;
	if (hib_set_cursor(c->hib, c->argv[0], c->argv[1], seq, &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}

int cursor_delete_command(struct cli *c, int argc, char **argv)
{
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, NULL, NULL, 2, 2);

	if (r >= 0)
		return r;
	if (hib_delete_cursor(c->hib, c->argv[0], c->argv[1], &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}
