// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_change.c - hib files rm, mv, cp, mkdir, grep, watch
 */
#include <string.h>

#include "host/cli/commands.h"
#include "host/files/workspace.h"
#include "vfs/path.h"

#define ARGS_MAX 65536

struct change_options {
	const char *include;
	int64_t limit;
	bool recursive, force, parents, regex, ignore_case, json;
};

/* Read the options, reach hibd.  Return: -1 to go on, else the exit status. */
static int begin(struct cli *c, int argc, char **argv, const struct opt *opts,
		 struct change_options *o, int min, int max)
{
	int r = cli_options(c, argc, argv, opts, o, min, max);

	return r < 0 ? cli_hib(c) : r;
}

/* The entry that a call gave, or its failure.  @text is freed. */
static int end(int r, const struct hib_error *he, char *text, bool json)
{
	int status = r < 0 ? cli_fail_hib(he) : 0;

	if (status == 0 && json)
		cli_print(text);
	hib_free(text);
	return status;
}

int files_rm_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_FLAG, change_options, recursive, "recursive",
			   'r'),
		OPT_LETTER(OPT_FLAG, change_options, force, "force", 'f'),
		OPT_END,
	};
	struct change_options o = {0};
	struct hib_error he;
	int status = 0, r = begin(c, argc, argv, opts, &o, 2, ARGS_MAX);

	if (r >= 0)
		return r;
	for (int i = 1; i < c->argc; i++) {
		r = hib_remove_file(c->hib, c->argv[0], c->argv[i], o.recursive,
				    &he);
		if (r < 0 && !(o.force && r == -HIB_FILE_NOT_FOUND))
			status = cli_fail_hib(&he);
	}
	return status;
}

/* @to, or in it, if it ends in a slash, the last name of @from. */
static char *place_of(const char *from, const char *to)
{
	struct vfs_path p;
	const char *name;
	char *out = NULL;
	size_t n = strlen(to);

	if (n == 0 || to[n - 1] != '/' ||
	    vfs_path_read(&p, from, strlen(from), NULL) < 0)
		return strdup(to);
	name = strrchr(p.text, '/');
	return asprintf(&out, "%s%s", to, name != NULL ? name + 1 : p.text) < 0
		       ? NULL
		       : out;
}

int files_mv_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_FLAG, change_options, force, "force", 'f'),
		OPT(OPT_FLAG, change_options, json, "json"),
		OPT_END,
	};
	struct change_options o = {0};
	autofree char *to = NULL;
	struct hib_error he;
	char *entry = NULL;
	int r = begin(c, argc, argv, opts, &o, 3, 3);

	if (r >= 0)
		return r;
	to = place_of(c->argv[1], c->argv[2]);
	r = hib_move_file(c->hib, c->argv[0], c->argv[1], to ? to : c->argv[2],
			  o.force, &entry, &he);
	return end(r, &he, entry, o.json);
}

int files_cp_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_FLAG, change_options, recursive, "recursive",
			   'r'),
		OPT_LETTER(OPT_FLAG, change_options, force, "force", 'f'),
		OPT(OPT_FLAG, change_options, json, "json"),
		OPT_END,
	};
	struct change_options o = {0};
	autofree char *to = NULL;
	struct hib_error he;
	char *entry = NULL;
	int r = begin(c, argc, argv, opts, &o, 3, 3);

	if (r >= 0)
		return r;
	to = place_of(c->argv[1], c->argv[2]);
	r = hib_copy_file(c->hib, c->argv[0], c->argv[1], to ? to : c->argv[2],
			  o.recursive, o.force, &entry, &he);
	return end(r, &he, entry, o.json);
}

int files_mkdir_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_FLAG, change_options, parents, "parents", 'p'),
		OPT(OPT_FLAG, change_options, json, "json"),
		OPT_END,
	};
	struct change_options o = {0};
	struct hib_error he;
	int status = 0, r = begin(c, argc, argv, opts, &o, 2, ARGS_MAX);

	if (r >= 0)
		return r;
	for (int i = 1; i < c->argc && status == 0; i++) {
		char *entry = NULL;

		r = hib_make_dir(c->hib, c->argv[0], c->argv[i], o.parents,
				 &entry, &he);
		status = end(r, &he, entry, o.json);
	}
	return status;
}

/* --- grep --------------------------------------------------------------- */

static void print_match(struct jv m)
{
	autofree char *text = NULL;
	struct vfs_path path;
	size_t n = 0;

	if (vfs_path_get(&path, m, "path", NULL) < 0)
		return;
	cli_print_name(stdout, path.text, path.len);
	printf(":%lld:", (long long)jv_int(jv_get(m, "line"), 0));
	text = jv_strdup(jv_get(m, "text"), &n);
	if (text != NULL)
		cli_print_safe(stdout, text, n);
	putchar('\n');
}

static int print_matches(const char *text)
{
	autojson struct json j = {0};
	struct err e = {0};
	struct jv list;

	if (json_parse(&j, text, strlen(text), &e) < 0)
		return cli_fail(&e);
	list = jv_get(json_root(&j), "matches");
	for (struct jv m = jv_first(list); jv_has(m); m = jv_next(list, m))
		print_match(m);
	if (jv_bool(jv_get(json_root(&j), "truncated"), false))
		fputs("hib: there may be more\n", stderr);
	return jv_count(list) > 0 ? 0 : EXIT_NEGATIVE;
}

int files_grep_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_FLAG, change_options, regex, "regex", 'E'),
		OPT_LETTER(OPT_FLAG, change_options, ignore_case, "ignore-case",
			   'i'),
		OPT(OPT_TEXT, change_options, include, "include"),
		OPT(OPT_NUMBER, change_options, limit, "limit"),
		OPT(OPT_FLAG, change_options, json, "json"),
		OPT_END,
	};
	struct change_options o = {0};
	struct hib_grep_options g = {.size = sizeof(g)};
	autofree char *found = NULL;
	struct hib_error he;
	int r = begin(c, argc, argv, opts, &o, 2, 3);

	if (r >= 0)
		return r;
	g.path = c->argc > 2 ? c->argv[2] : NULL;
	g.regex = o.regex;
	g.ignore_case = o.ignore_case;
	g.include = o.include;
	g.limit = o.limit < UINT32_MAX ? (unsigned)o.limit : UINT32_MAX;
	if (hib_grep_files(c->hib, c->argv[0], c->argv[1], &g, &found, &he) < 0)
		return cli_fail_hib(&he);
	if (!o.json)
		return print_matches(found);
	cli_print(found);
	return 0;
}

/* --- watch -------------------------------------------------------------- */

struct watching {
	bool json, over;
	struct hib_error he;
};

static void print_change(const struct hib_file_change *change, void *arg)
{
	const struct watching *w = arg;

	if (w->json) {
		cli_print(change->json);
	} else {
		printf("%-8s ", change->type);
		if (change->from[0] != '\0') {
			cli_print_name(stdout, change->from,
				       strlen(change->from));
			fputs(" -> ", stdout);
		}
		cli_print_name(stdout, change->path, strlen(change->path));
		fputs(change->directory ? "/\n" : "\n", stdout);
	}
	fflush(stdout);
}

static void watch_on_end(const struct hib_error *he, void *arg)
{
	struct watching *w = arg;

	w->he = *he;
	w->over = true;
}

int files_watch_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_FLAG, change_options, recursive, "recursive",
			   'r'),
		OPT(OPT_FLAG, change_options, json, "json"),
		OPT_END,
	};
	struct change_options o = {0};
	struct watching w = {0};
	struct hib_watch_options spec = {
		.size = sizeof(spec),
		.on_change = print_change,
		.on_end = watch_on_end,
		.arg = &w,
	};
	struct hib_watch *watch;
	int r = begin(c, argc, argv, opts, &o, 1, 2);

	if (r >= 0)
		return r;
	w.json = o.json;
	spec.path = c->argc > 1 ? c->argv[1] : NULL;
	spec.recursive = o.recursive;
	cli_catch_interrupts(c->hib);
	if (hib_watch_files(c->hib, c->argv[0], &spec, &watch, &w.he) < 0)
		return cli_fail_hib(&w.he);
	while (!w.over && !cli_was_interrupted() && !ferror(stdout))
		(void)hib_wait(c->hib, -1);
	if (!w.over)
		return cli_was_interrupted() ? EXIT_INTERRUPTED : 0;
	return w.he.code != 0 ? cli_fail_hib(&w.he) : 0;
}
