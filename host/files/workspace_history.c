// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_history.c - hib files log, diff, show, changes
 */
#include <string.h>
#include <time.h>

#include "core/base64.h"
#include "host/cli/commands.h"
#include "host/files/workspace.h"
#include "vfs/diff.h"
#include "vfs/union.h"

#define SHORT_OID 12 /* Digits of an id that people are shown. */

struct history_options {
	const char *at, *since;
	int64_t limit;
	bool json;
};

/* --- commits ------------------------------------------------------------ */

static void put_commit(struct jw *w, const struct vfs_history_commit *c)
{
	char hex[VFS_OID_HEX];

	jw_kstr(w, "commit", vfs_oid_format(&c->id, hex));
	jw_kstr(w, "parent",
		c->has_parent ? vfs_oid_format(&c->parent, hex) : NULL);
	jw_kint(w, "time_ms", c->time_ms);
	jw_kstr(w, "session", c->session[0] ? c->session : NULL);
	jw_kstr(w, "turn", c->turn[0] ? c->turn : NULL);
	jw_kstr(w, "reason", c->reason[0] ? c->reason : NULL);
	if (c->seq > 0)
		jw_kint(w, "seq", c->seq);
}

struct log_rows {
	struct jw rows;
	bool json;
};

static int log_on_commit(const struct vfs_history_commit *c, void *arg)
{
	struct log_rows *l = arg;
	char hex[VFS_OID_HEX];

	jw_obj(&l->rows);
	put_commit(&l->rows, c);
	if (!l->json) {
		vfs_oid_format(&c->id, hex)[SHORT_OID] = '\0';
		jw_kstr(&l->rows, "short", hex);
	}
	jw_obj_end(&l->rows);
	return 0;
}

static int log_of(struct workspace *ws, const struct vfs_history_query *q,
		  bool json)
{
	static const struct column columns[] = {
		{"short", "COMMIT", SHORT_OID}, {"time_ms", "TIME", 19},
		{"reason", "REASON", 8},	{"turn", "TURN", 36},
		{"session", "SESSION", 0},	{NULL, NULL, 0},
	};
	struct log_rows l = {.json = json};
	struct err e = {0};
	int status;

	jw_arr(&l.rows);
	if (vfs_history_log(ws->repo, q, log_on_commit, &l, &e) < 0) {
		status = cli_fail(&e);
	} else {
		jw_arr_end(&l.rows);
		status = cli_print_rows(&l.rows, json, columns);
	}
	jw_done(&l.rows);
	return status;
}

int files_log_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, history_options, at, "at"),
		OPT(OPT_NUMBER, history_options, limit, "limit"),
		OPT(OPT_FLAG, history_options, json, "json"),
		OPT_END,
	};
	autoworkspace struct workspace ws = {0};
	struct history_options o = {0};
	struct vfs_history_query q;
	struct vfs_path path;
	int r = cli_options(c, argc, argv, opts, &o, 1, 2);

	if (r < 0 && c->argc > 1)
		r = workspace_path(c->argv[1], &path);
	if (r < 0)
		r = workspace_open(&ws, c, c->argv[0], o.at);
	if (r >= 0)
		return r;
	q = (struct vfs_history_query){
		.from = ws.commit,
		.path = c->argc > 1 ? path.text : NULL,
		.limit = (uint64_t)o.limit,
	};
	return log_of(&ws, &q, o.json);
}

/* --- patches for people --------------------------------------------------- */

/* How a line of a patch looks on a terminal that has colours. */
static const char *color_of(const char *line)
{
	static const struct {
		const char *begin, *color;
	} table[] = {
		{"+++", "\033[1m"}, {"---", "\033[1m"}, {"diff ", "\033[1m"},
		{"@@", "\033[36m"}, {"+", "\033[32m"},	{"-", "\033[31m"},
		{" ", ""},	    {"\\", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strncmp(line, table[i].begin, strlen(table[i].begin)) == 0)
			return table[i].color;
	return "\033[1m";
}

static void print_patch(const char *patch, size_t n)
{
	bool color = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
	const char *end = patch + n;

	while (patch < end) {
		const char *nl = memchr(patch, '\n', (size_t)(end - patch));
		size_t len = (size_t)((nl ? nl : end) - patch);
		const char *how = color ? color_of(patch) : "";

		fputs(how, stdout);
		cli_print_safe(stdout, patch, len);
		if (how[0] != '\0')
			fputs("\033[0m", stdout);
		if (nl != NULL)
			putchar('\n');
		patch += len + (nl != NULL);
	}
}

/* What no patch tells, in words. */
static void print_note(struct jv row, const char *path, size_t n)
{
	const char *what = NULL;
	char kind[16];

	fflush(stdout);
	if (jv_bool(jv_get(row, "binary"), false))
		what = "binary";
	else if (jv_bool(jv_get(row, "truncated"), false))
		what = "too large to be shown";
	else if (!jv_has(jv_get(row, "patch")))
		what = "permissions, or an empty folder";
	if (what == NULL)
		return;
	(void)jv_strcpy(jv_get(row, "kind"), kind, sizeof(kind));
	fputs("hib: ", stderr);
	cli_print_name(stderr, path, n);
	fprintf(stderr, ": %s, %s\n", kind, what);
}

static void print_row(struct jv row)
{
	autofree char *path = NULL, *patch = NULL;
	size_t path_len = 0, len = 0;
	struct jv bytes = jv_get(row, "patch_b64");

	path = jv_strdup(jv_get(row, "path"), &path_len);
	patch = jv_strdup(jv_has(bytes) ? bytes : jv_get(row, "patch"), &len);
	if (patch != NULL && (!jv_has(bytes) || base64_read(patch, &len) == 0))
		print_patch(patch, len);
	else if (path != NULL)
		print_note(row, path, path_len);
}

static int print_diff(const struct jw *files, const struct vfs_diff_stats *s)
{
	autojson struct json j = {0};
	struct err e = {0};
	struct jv rows;

	if (json_parse(&j, files->buf, files->len, &e) < 0)
		return cli_fail(&e);
	rows = json_root(&j);
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row))
		print_row(row);
	fflush(stdout);
	if (s->truncated)
		fprintf(stderr, "hib: %llu files changed, not all are shown\n",
			(unsigned long long)s->n_files);
	return 0;
}

/* --- diff, show --------------------------------------------------------- */

static int tell_diff(struct workspace *ws, const struct vfs_oid *from,
		     const struct vfs_history_commit *to, bool json)
{
	autojw struct jw files = {0}, w = {0};
	struct vfs_diff_stats stats;
	struct err e = {0};

	if (vfs_diff(ws->repo, from, &to->id, &stats, &files, &e) < 0)
		return cli_fail(&e);
	if (!json)
		return print_diff(&files, &stats);
	jw_obj(&w);
	put_commit(&w, to);
	jw_key(&w, "files");
	jw_raw(&w, files.buf, files.len);
	jw_kint(&w, "n_files", (int64_t)stats.n_files);
	if (stats.truncated)
		jw_kbool(&w, "truncated", true);
	jw_obj_end(&w);
	return cli_print_json(&w);
}

static int get_commit(struct workspace *ws, const struct vfs_oid *id,
		      struct vfs_history_commit *out)
{
	struct err e = {0};

	return vfs_history_get(ws->repo, id, out, &e) < 0 ? cli_fail(&e) : -1;
}

static const struct opt json_only[] = {
	OPT(OPT_FLAG, history_options, json, "json"),
	OPT_END,
};

int files_diff_command(struct cli *c, int argc, char **argv)
{
	autoworkspace struct workspace ws = {0};
	struct history_options o = {0};
	struct vfs_history_commit to;
	struct vfs_oid from;
	bool has_from = true;
	int r = cli_options(c, argc, argv, json_only, &o, 1, 3);

	if (r < 0)
		r = workspace_open(&ws, c, c->argv[0],
				   c->argc > 2 ? c->argv[2] : NULL);
	if (r < 0)
		r = get_commit(&ws, &ws.commit, &to);
	if (r < 0 && c->argc > 1) {
		r = workspace_resolve(&ws, c->argv[1], &from);
	} else if (r < 0) {
		has_from = to.has_parent;
		from = to.parent;
	}
	return r < 0 ? tell_diff(&ws, has_from ? &from : NULL, &to, o.json) : r;
}

static void print_commit(const struct vfs_history_commit *c)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};

	jw_obj(&w);
	put_commit(&w, c);
	jw_obj_end(&w);
	if (!w.failed && json_parse(&j, w.buf, w.len, NULL) == 0)
		cli_print_object(json_root(&j));
	putchar('\n');
}

int files_show_command(struct cli *c, int argc, char **argv)
{
	autoworkspace struct workspace ws = {0};
	struct history_options o = {0};
	struct vfs_history_commit to;
	int r = cli_options(c, argc, argv, json_only, &o, 1, 2);

	if (r < 0)
		r = workspace_open(&ws, c, c->argv[0],
				   c->argc > 1 ? c->argv[1] : NULL);
	if (r < 0)
		r = get_commit(&ws, &ws.commit, &to);
	if (r >= 0)
		return r;
	if (!o.json)
		print_commit(&to);
	return tell_diff(&ws, to.has_parent ? &to.parent : NULL, &to, o.json);
}

/* --- changes ------------------------------------------------------------ */

static void print_change(struct jv row)
{
	static const struct {
		const char *kind, *letter;
	} letters[] = {{"add", "A"},
		       {"modify", "M"},
		       {"delete", "D"},
		       {"rename", "R"}};
	autofree char *path = NULL, *old = NULL;
	size_t path_len = 0, old_len = 0;

	path = jv_strdup(jv_get(row, "path"), &path_len);
	old = jv_strdup(jv_get(row, "old_path"), &old_len);
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (jv_eq(jv_get(row, "kind"), letters[i].kind))
			printf("%s ", letters[i].letter);
	if (old != NULL) {
		cli_print_name(stdout, old, old_len);
		fputs(" -> ", stdout);
	}
	cli_print_name(stdout, path ? path : "", path_len);
	putchar('\n');
}

static int print_changes(const struct jw *rows, bool truncated)
{
	autojson struct json j = {0};
	struct err e = {0};
	struct jv all;

	if (json_parse(&j, rows->buf, rows->len, &e) < 0)
		return cli_fail(&e);
	all = json_root(&j);
	for (struct jv row = jv_first(all); jv_has(row);
	     row = jv_next(all, row))
		print_change(row);
	fflush(stdout);
	if (truncated)
		fputs("hib: too many changes, not all are shown\n", stderr);
	return 0;
}

int files_changes_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, history_options, since, "since"),
		OPT(OPT_TEXT, history_options, at, "at"),
		OPT(OPT_FLAG, history_options, json, "json"),
		OPT_END,
	};
	autoworkspace struct workspace ws = {0};
	struct history_options o = {0};
	struct vfs_union_stats stats;
	autojw struct jw rows = {0};
	struct vfs_oid since;
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0)
		r = workspace_open(&ws, c, c->argv[0], o.at);
	if (r < 0 && o.since != NULL)
		r = workspace_resolve(&ws, o.since, &since);
	if (r >= 0)
		return r;
	if (vfs_union(ws.repo, o.since ? &since : NULL, &ws.commit, &stats,
		      &rows, &e) < 0)
		return cli_fail(&e);
	return o.json ? cli_print_json(&rows)
		      : print_changes(&rows, stats.truncated);
}
