// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_file.c - hib snapshot export, import
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "host/bundle.h"
#include "host/cli/commands.h"
#include "host/tree.h"

/* --- export --------------------------------------------------------------- */

struct exporting {
	struct bundle_source b;
	struct err err;
};

static int export_write(FILE *f, void *arg)
{
	struct exporting *x = arg;

	return bundle_write(&x->b, fileno(f), &x->err) < 0 ? cli_fail(&x->err)
							   : 0;
}

/* Rows are asked of the store: it works without hibd, too. */
static int export_find(struct cli *c, struct snapshot *s, char **hashes,
		       struct err *e)
{
	const char *args[] = {c->argv[0], NULL};
	autofree char *text = NULL;

	if (c->reader == NULL ||
	    reader_value(c->reader, "SELECT manifest FROM snapshot WHERE id=?1",
			 args, &text, e) != 1)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "%.64s is not here", c->argv[0]);
	if (snapshot_read(s, text, strlen(text), e) < 0)
		return e->code;
	if (s->quota > 0)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "a VM that has a quota cannot be exported");
	if (reader_value(c->reader,
			 "SELECT hashes FROM snapshot WHERE id=?1 AND damage "
			 "IS NULL AND hashes IS NOT NULL",
			 args, hashes, e) != 1)
		return err_set(e, -FAULT_NOT_READY,
			       "%s is damaged, or its hashes are not taken yet",
			       s->id);
	return 0;
}

int snapshot_export_command(struct cli *c, int argc, char **argv)
{
	char folder[PATH_MAX], repository[PATH_MAX];
	autosnapshot struct snapshot s = {0};
	autofree char *hashes = NULL;
	struct exporting x = {0};
	int r = cli_look(c, argc, argv, NULL, NULL, 2, 2);

	if (r >= 0)
		return r;
	if (export_find(c, &s, &hashes, &x.err) < 0)
		return cli_fail(&x.err);
	snprintf(folder, sizeof(folder), "%s/%s/" SNAPSHOT_FOLDER "/%s",
		 c->home.vms, s.vm, s.id);
	snprintf(repository, sizeof(repository), "%s/%s/workspace.git",
		 c->home.vms, s.vm);
	x.b = (struct bundle_source){.reader = c->reader,
				     .s = &s,
				     .hashes = hashes,
				     .folder = folder,
				     .repository = repository};
	umask(077); /* It has what a home has. */
	return cli_to_file(c->argv[1], export_write, &x);
}

/* --- import --------------------------------------------------------------- */

struct import_options {
	bool json;
};

static long read_fd(char *buf, size_t cap, void *arg)
{
	return read(*(const int *)arg, buf, cap);
}

struct importing {
	char folder[PATH_MAX];
	char vm[HIB_ID_MAX];
	char (*sessions)[HIB_ID_MAX]; /* That are here now. */
	size_t n;
	char *row;
	int lock; /* Of the folder. */
};

/* One log.  Return: 0 or -code. */
static int import_log(struct cli *c, struct importing *m, int dir,
		      const char *name, struct hib_error *e)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char(*more)[HIB_ID_MAX] =
		reallocarray(m->sessions, m->n + 1, sizeof(*m->sessions));
	int r;

	if (more == NULL)
		abort();
	m->sessions = more;
	r = hib_import_session(c->hib, read_fd, &fd, NULL, e);
	if (r == 0)
		snprintf(m->sessions[m->n++], HIB_ID_MAX, "%.36s", name);
	return r;
}

static int import_logs(struct cli *c, struct importing *m, struct hib_error *e)
{
	char path[PATH_MAX + 16];
	const struct dirent *d;
	int r = 0;
	DIR *all;

	snprintf(path, sizeof(path), "%s/" BUNDLE_SESSIONS, m->folder);
	all = opendir(path);
	while (all != NULL && r == 0 && (d = readdir(all)) != NULL)
		if (d->d_name[0] != '.')
			r = import_log(c, m, dirfd(all), d->d_name, e);
	if (all != NULL)
		closedir(all);
	return r;
}

/* All that was unpacked, or nothing. */
static int import_all(struct cli *c, struct importing *m)
{
	struct hib_error e;
	int r = import_logs(c, m, &e);

	if (r == 0)
		r = hib_snapshot_import(c->hib, strrchr(m->folder, '/') + 1,
					m->vm, &m->row, &e);
	for (size_t i = 0; r < 0 && i < m->n; i++)
		(void)hib_destroy_session(c->hib, m->sessions[i], true, NULL);
	return r < 0 ? cli_fail_hib(&e) : 0;
}

/* Or it is taken for what one that was killed has left. */
static int import_lock(struct importing *m, struct err *e)
{
	m->lock = open(m->folder,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->lock < 0 || flock(m->lock, LOCK_EX) < 0)
		return err_set(e, -errno, "%s: %s", m->folder, strerror(errno));
	return 0;
}

static int import_unpack(struct cli *c, struct importing *m)
{
	autoclose int fd = open(c->argv[0], O_RDONLY | O_CLOEXEC);
	struct err e = {0};

	if (fd < 0)
		err_set(&e, -FAULT_INVALID_ARGUMENT, "%s: %s", c->argv[0],
			strerror(errno));
	else if (snprintf(m->folder, sizeof(m->folder),
			  "%s/" SNAPSHOT_IMPORT "XXXXXX",
			  c->home.root) >= (int)sizeof(m->folder) ||
		 mkdtemp(m->folder) == NULL)
		err_set(&e, -errno, "%s: %s", m->folder, strerror(errno));
	else if (import_lock(m, &e) == 0 &&
		 bundle_read(fd, m->folder, m->vm, &e) == 0)
		return 0;
	return cli_fail(&e);
}

int snapshot_import_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, import_options, json, "json"),
		OPT_END,
	};
	struct import_options o = {0};
	struct importing m = {.lock = -1};
	autojson struct json j = {0};
	char id[HIB_ID_MAX] = "";
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	id_new(m.vm, "vm");
	r = import_unpack(c, &m);
	if (r == 0)
		r = import_all(c, &m);
	if (m.folder[0] != '\0')
		(void)tree_remove(m.folder);
	close_fd(&m.lock);
	if (r == 0 && o.json)
		cli_print(m.row);
	else if (r == 0 && json_parse(&j, m.row, strlen(m.row), NULL) == 0 &&
		 jv_strcpy(jv_get(json_root(&j), "id"), id, sizeof(id)) > 0)
		cli_print(id);
	free(m.sessions);
	hib_free(m.row);
	return r;
}
