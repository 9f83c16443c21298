// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_put.c - hib files put: files of this machine into a VM
 *
 * A folder is put with what is in it: folders, files and their permissions;
 * links, and what else is no file, are left out and told.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/commands.h"
#include "host/cli/progress.h"
#include "vfs/path.h"

struct put_options {
	const char *if_match, *mode;
	bool recursive, json, must_not_exist;
};

struct put {
	struct cli *c;
	const char *vm;
	const struct put_options *o;
	struct progress progress;
	int fd; /* Of the file that is sent. */
	int error;
	int status; /* The exit status. */
};

static int fail_local(const char *path)
{
	struct err e = {0};

	err_set(&e, -FAULT_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
	return cli_fail(&e);
}

static long give(char *buf, size_t cap, void *arg)
{
	struct put *p = arg;
	ssize_t n;

	do {
		if (!cli_wait_for(p->fd, POLLIN))
			return -1; /* As an interrupt of the call itself. */
		n = read(p->fd, buf, cap);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		p->error = errno;
	else
		progress_add(&p->progress, (size_t)n);
	return n;
}

/* Send what p->fd gives.  @mode: of the local file, or NULL. */
static int put_fd(struct put *p, const char *local, const char *to,
		  const char *mode)
{
	const struct hib_write_options o = {
		.size = sizeof(o),
		.etag = p->o->if_match,
		.must_not_exist = p->o->must_not_exist,
		.mode = p->o->mode ? p->o->mode : mode,
	};
	struct hib_error he;
	char *entry = NULL;
	int r;

	p->error = 0;
	progress_begin(&p->progress, to);
	r = hib_write_file(p->c->hib, p->vm, to, &o, give, p, &entry, &he);
	progress_end(&p->progress);
	errno = p->error;
	if (p->error != 0)
		return fail_local(local);
	if (r < 0)
		return cli_fail_hib(&he);
	if (p->o->json)
		cli_print(entry);
	hib_free(entry);
	return 0;
}

static int put_file(struct put *p, const char *local, const char *to)
{
	autoclose int fd = open(local, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char mode[8];

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_local(local);
	snprintf(mode, sizeof(mode), "%o", st.st_mode & 0777);
	p->fd = fd;
	return put_fd(p, local, to, S_ISREG(st.st_mode) ? mode : NULL);
}

static int put_tree(struct put *p, const char *local, const char *to);

static int put_entry(struct put *p, const char *local, const char *to,
		     const char *name)
{
	autofree char *from = NULL, *dest = NULL;
	struct stat st;

	if (asprintf(&from, "%s/%s", local, name) < 0 ||
	    asprintf(&dest, "%s/%s", to, name) < 0) {
		errno = ENOMEM;
		return fail_local(local);
	}
	if (lstat(from, &st) < 0)
		return fail_local(from);
	if (S_ISDIR(st.st_mode))
		return put_tree(p, from, dest);
	if (S_ISREG(st.st_mode))
		return put_file(p, from, dest);
	fprintf(stderr, "hib: %s is no file or folder, left out\n", from);
	return 0;
}

/* The whole of a folder; goes on after a failure, as cp(1) does. */
static int put_tree(struct put *p, const char *local, const char *to)
{
	DIR *d = opendir(local);
	struct dirent *en;
	struct hib_error he;
	int status = 0;

	if (d == NULL)
		return fail_local(local);
	if (hib_make_dir(p->c->hib, p->vm, to, true, NULL, &he) < 0) {
		closedir(d);
		return cli_fail_hib(&he);
	}
	while (!cli_was_interrupted() && (en = readdir(d)) != NULL) {
		int r;

		if (strcmp(en->d_name, ".") == 0 ||
		    strcmp(en->d_name, "..") == 0)
			continue;
		r = put_entry(p, local, to, en->d_name);
		status = r != 0 ? r : status;
	}
	closedir(d);
	return status;
}

/* Where it goes: PATH, or below it, if it ends in a slash, its own name. */
static char *place_of(const char *local, const char *path)
{
	size_t end = strlen(local), begin, n = path != NULL ? strlen(path) : 0;
	char *out = NULL;

	if (n > 0 && path[n - 1] != '/')
		return strdup(path);
	while (end > 1 && local[end - 1] == '/')
		end--;
	begin = end;
	while (begin > 0 && local[begin - 1] != '/')
		begin--;
	return asprintf(&out, "%s%.*s", path != NULL ? path : "",
			(int)(end - begin), local + begin) < 0
		       ? NULL
		       : out;
}

static int put_any(struct put *p, const char *local, const char *path)
{
	autofree char *to = NULL;
	struct stat st;

	if (strcmp(local, "-") == 0) {
		p->fd = STDIN_FILENO;
		return path != NULL ? put_fd(p, "standard input", path, NULL)
				    : cli_usage(p->c, "PATH is missing");
	}
	if (stat(local, &st) < 0)
		return fail_local(local);
	to = place_of(local, path);
	if (to == NULL) {
		errno = ENOMEM;
		return fail_local(local);
	}
	if (S_ISDIR(st.st_mode) && !p->o->recursive)
		return cli_usage(p->c, "%s is a folder: -r", local);
	return S_ISDIR(st.st_mode) ? put_tree(p, local, to)
				   : put_file(p, local, to);
}

int files_put_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, put_options, if_match, "if-match"),
		OPT(OPT_FLAG, put_options, must_not_exist, "must-not-exist"),
		OPT(OPT_TEXT, put_options, mode, "mode"),
		OPT_LETTER(OPT_FLAG, put_options, recursive, "recursive", 'r'),
		OPT(OPT_FLAG, put_options, json, "json"),
		OPT_END,
	};
	struct put_options o = {0};
	struct put p = {.c = c, .o = &o};
	int r = cli_act(c, argc, argv, opts, &o, 2, 3);

	if (r >= 0)
		return r;
	cli_catch_interrupts(c->hib);
	p.vm = c->argv[0];
	return put_any(&p, c->argv[1], c->argc > 2 ? c->argv[2] : NULL);
}
