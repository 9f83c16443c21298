// SPDX-License-Identifier: Apache-2.0
/*
 * artifact.c - hib artifact get: a file that a session has made for its user
 */
#include "host/artifact.h"

#include <limits.h>
#include <string.h>

#include "host/cli/commands.h"
#include "vfs/browse.h"
#include "vfs/repo.h"

struct get {
	struct vfs_repo *repo;
	struct artifact artifact;
};

struct get_options {
	const char *output;
};

static int write_bytes(const void *data, size_t n, void *arg)
{
	FILE *f = arg;

	if (isatty(fileno(f)))
		cli_print_safe(f, data, n);
	else
		fwrite(data, 1, n, f);
	return ferror(f) ? -EIO : 0;
}

static int put_artifact(FILE *f, void *arg)
{
	const struct get *g = arg;
	uint64_t size;
	struct err e = {0};
	int r = vfs_browse_size(g->repo, &g->artifact.oid, &size, &e);

	if (r == 0)
		r = vfs_browse_read(g->repo, &g->artifact.oid, 0, size,
				    write_bytes, f, &e);
	if (r == -EIO || (r == 0 && fflush(f) != 0))
		err_set(&e, -errno, "artifact: %s", strerror(errno));
	return e.code < 0 ? cli_fail(&e) : 0;
}

int artifact_get_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT_LETTER(OPT_TEXT, get_options, output, "output", 'o'),
		OPT_END,
	};
	struct get_options o = {0};
	char path[PATH_MAX];
	struct err e = {0};
	struct get g = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 2, 2);

	if (r >= 0)
		return r;
	if (artifact_find(c->reader, c->argv[0], c->argv[1], &g.artifact, &e) <
	    0)
		return cli_fail(&e);
	snprintf(path, sizeof(path), "%s/%s/workspace.git", c->home.vms,
		 g.artifact.vm);
	if (vfs_repo_open(path, true, &g.repo, &e) < 0)
		return cli_fail(&e);
	r = cli_to_file(o.output ? o.output : "-", put_artifact, &g);
	vfs_repo_close(g.repo);
	return r;
}
