// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_get.c - hib files get: files of a VM onto this machine
 *
 * A file is written aside, and put into its place when all of it is there; what
 * is no file there (a pipe, a device) is written through.  Of a folder, everything
 * lands in a folder that is made for it, whatever names and links the VM invents:
 * each place is looked up beneath that folder and through no link, and links are
 * made as they are.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "host/cli/commands.h"
#include "host/cli/progress.h"
#include "host/files/workspace_live.h"
#include "vfs/aside.h"
#include "vfs/passing.h"

struct get_options {
	const char *at;
	bool recursive;
};

struct get {
	struct cli *c;
	const char *vm, *at;
	size_t skip; /* Of paths in the VM: the folder that is got. */
	int dir;     /* The folder here. */
	struct progress progress;
	int fd;
	bool through; /* It is no file of ours, and may make us wait. */
	struct err e; /* Of this machine. */
};

static int fail(struct get *g, const char *path)
{
	return err_set(&g->e, -FAULT_INVALID_ARGUMENT, "%.128s: %s", path,
		       strerror(errno));
}

/* A reader may take its time; a file does not. */
static ssize_t put(const struct get *g, const char *data, size_t n)
{
	if (!g->through)
		return write(g->fd, data, n);
	if (!cli_wait_for(g->fd, POLLOUT)) {
		errno = ECANCELED;
		return -1;
	}
	return write(g->fd, data, n < PIPE_BUF ? n : PIPE_BUF);
}

static int take(const char *data, size_t n, void *arg)
{
	struct get *g = arg;

	progress_add(&g->progress, n);
	while (n > 0) {
		ssize_t r = put(g, data, n);

		if (r < 0 && errno == ECANCELED)
			return err_set(&g->e, -FAULT_CANCELLED, "interrupted");
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fail(g, "write");
		data += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The bytes of @path into g->fd. */
static int fetch(struct get *g, const char *path)
{
	const struct hib_file_options o = {.size = sizeof(o), .at = g->at};
	struct hib_error he;
	int r;

	progress_begin(&g->progress, path);
	r = hib_read_file(g->c->hib, g->vm, path, &o, take, g, NULL, &he);
	progress_end(&g->progress);
	if (r < 0 && g->e.code == 0)
		err_set(&g->e, -he.code, "%s", he.message);
	return g->e.code;
}

/* Into @name in @dir, which is complete when it appears. */
static int get_file(struct get *g, const char *path, int dir, const char *name,
		    mode_t mode)
{
	char passing[VFS_PASSING_MAX];
	struct vfs_aside a;
	int r;

	if (vfs_passing_take(-1, name, passing) < 0 ||
	    vfs_aside_open(&a, dir, passing, 0600) < 0)
		return fail(g, name);
	g->fd = a.fd;
	r = fetch(g, path);
	if (r == 0 && (fchmod(a.fd, mode & 0777) < 0 ||
		       vfs_aside_put(&a, name, true) < 0))
		r = fail(g, name);
	vfs_aside_close(&a);
	return r;
}

static int get_through(struct get *g, const char *path, const char *local)
{
	int r;

	g->fd = open(local, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (g->fd < 0)
		return fail(g, local);
	g->through = true;
	r = fetch(g, path);
	if (close(g->fd) < 0 && r == 0)
		r = fail(g, local);
	return r;
}

/* --- a folder ----------------------------------------------------------- */

/* The folder that @path, below g->dir, is in. */
static int open_parent(struct get *g, char *path, char **name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	char *slash = strrchr(path, '/');

	*name = slash != NULL ? slash + 1 : path;
	if (slash != NULL)
		*slash = '\0';
	return (int)syscall(SYS_openat2, g->dir, slash != NULL ? path : ".",
			    &how, sizeof(how));
}

static int get_link(struct get *g, const struct live_entry *en, int dir,
		    const char *name)
{
	autofree char *target = jv_strdup(jv_get(en->row, "target"), NULL);

	if (target == NULL || target[0] == '\0' ||
	    symlinkat(target, dir, name) < 0)
		return fail(g, name);
	return 0;
}

static int get_entry(const struct live_entry *en, void *arg)
{
	struct get *g = arg;
	char path[VFS_PATH_MAX + 1], *name;
	autoclose int dir = -1;

	memcpy(path, en->path.text, sizeof(path));
	dir = open_parent(g, path + g->skip, &name);
	if (dir < 0)
		return fail(g, en->path.text);
	if (S_ISLNK(en->entry.mode))
		return get_link(g, en, dir, name);
	if (S_ISREG(en->entry.mode))
		return get_file(g, en->path.text, dir, name, en->entry.mode);
	if (!S_ISDIR(en->entry.mode))
		return 0;
	if (mkdirat(dir, name, 0700 | (en->entry.mode & 0777)) < 0)
		return fail(g, en->path.text);
	return 0;
}

static int get_folder(struct get *g, const struct vfs_path *from,
		      const char *local)
{
	int r;

	if (mkdir(local, 0777) < 0)
		return fail(g, local);
	g->dir = open(local, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (g->dir < 0)
		return fail(g, local);
	g->skip = from->len + (from->len > 0);
	r = workspace_live_walk(g->c, g->vm, from->text, g->at, VFS_PATH_MAX,
				get_entry, g, &g->e);
	close(g->dir);
	return r;
}

/* --- the command -------------------------------------------------------- */

static int get_to(struct get *g, const struct vfs_path *from, const char *local,
		  bool recursive)
{
	autofree char *text = NULL;
	autojson struct json j = {0};
	struct live_entry en;
	autoclose int dir = -1;
	const char *name;

	if (workspace_live_stat(g->c, g->vm, from->text, g->at, &en, &j, &text,
				&g->e) < 0)
		return g->e.code;
	if (S_ISDIR(en.entry.mode))
		return recursive
			       ? get_folder(g, from, local)
			       : err_set(&g->e, -FAULT_INVALID_ARGUMENT,
					 "/%.128s is a folder: -r", from->text);
	if (cli_is_written_through(local))
		return get_through(g, from->text, local);
	dir = cli_open_above(local, &name);
	if (dir < 0)
		return fail(g, local);
	return get_file(g, from->text, dir, name,
			S_ISREG(en.entry.mode) ? en.entry.mode : 0644);
}

/* Where it goes when nobody says: its own name, here. */
static const char *name_of(const struct vfs_path *p)
{
	const char *slash = strrchr(p->text, '/');

	return p->len == 0 ? "workspace" : slash != NULL ? slash + 1 : p->text;
}

int files_get_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, get_options, at, "at"),
		OPT_LETTER(OPT_FLAG, get_options, recursive, "recursive", 'r'),
		OPT_END,
	};
	struct get_options o = {0};
	struct get g = {.c = c};
	struct vfs_path from;
	const char *local;
	int r = cli_options(c, argc, argv, opts, &o, 2, 3);

	if (r < 0)
		r = workspace_path(c->argv[1], &from);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	cli_catch_interrupts(c->hib);
	g.vm = c->argv[0];
	g.at = o.at;
	local = c->argc > 2 ? c->argv[2] : name_of(&from);
	if (strcmp(local, "-") == 0) {
		g.fd = STDOUT_FILENO;
		g.through = true;
		r = fetch(&g, from.text);
	} else {
		r = get_to(&g, &from, local, o.recursive);
	}
	return r < 0 ? cli_fail(&g.e) : 0;
}
