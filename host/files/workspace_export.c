// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_export.c - hib files export: a commit as a tar file or a repository
 */
#include <string.h>

#include "host/cli/commands.h"
#include "host/files/workspace.h"
#include "vfs/export.h"

struct export_options {
	const char *at, *tar, *git;
	bool bare, json;
};

static int write_file(const void *data, size_t n, void *arg)
{
	return fwrite(data, 1, n, arg) == n ? 0 : errno != 0 ? -errno : -EIO;
}

static int tar_to(FILE *f, void *arg)
{
	struct workspace *ws = arg;
	struct err e = {0};
	int r = vfs_export_tar(ws->repo, &ws->commit, write_file, f, &e);

	if (r == 0 && fflush(f) != 0)
		r = -errno;
	if (r == -EPIPE)
		return EXIT_NEGATIVE; /* Nobody reads it. */
	if (r < 0 && e.code == 0)
		err_set(&e, r, "export: %s", strerror(-r));
	return r < 0 ? cli_fail(&e) : 0;
}

static int export_tar(struct workspace *ws, const char *path)
{
	if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
		return cli_usage(ws->cli, "a tar file is nothing for a "
					  "terminal");
	return cli_to_file(path, tar_to, ws);
}

static int export_git(struct workspace *ws, const struct export_options *o)
{
	struct vfs_export_stats stats;
	struct err e = {0};

	if (vfs_export_git(ws->repo, &ws->commit, o->git, o->bare, &stats, &e) <
	    0)
		return cli_fail(&e);
	if (stats.n_skipped > 0)
		fputs("hib: left out: names that git refuses, as '.git'\n",
		      stderr);
	return 0;
}

/* What was exported, for programs. */
static int print_commit(const struct workspace *ws)
{
	autojw struct jw w = {0};
	char hex[VFS_OID_HEX];

	jw_obj(&w);
	jw_kstr(&w, "vm", ws->vm);
	jw_kstr(&w, "commit", vfs_oid_format(&ws->commit, hex));
	jw_obj_end(&w);
	return cli_print_json(&w);
}

int files_export_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, export_options, at, "at"),
		OPT(OPT_TEXT, export_options, tar, "tar"),
		OPT(OPT_TEXT, export_options, git, "git"),
		OPT(OPT_FLAG, export_options, bare, "bare"),
		OPT(OPT_FLAG, export_options, json, "json"),
		OPT_END,
	};
	autoworkspace struct workspace ws = {0};
	struct export_options o = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0 && (o.tar == NULL) == (o.git == NULL))
		r = cli_usage(c, "one of --tar and --git");
	if (r < 0 && o.json && o.tar != NULL && strcmp(o.tar, "-") == 0)
		r = cli_usage(c, "--json goes without --tar -");
	if (r < 0)
		r = workspace_open(&ws, c, c->argv[0], o.at);
	if (r >= 0)
		return r;
	r = o.tar ? export_tar(&ws, o.tar) : export_git(&ws, &o);
	return r == 0 && o.json ? print_commit(&ws) : r;
}
