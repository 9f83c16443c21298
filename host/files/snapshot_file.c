// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_file.c - hib snapshot export, import
 */
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
	if (snapshot_check_events(s, e) < 0)
		return e->code;
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

struct importing {
	char folder[PATH_MAX];
	char vm[HIB_ID_MAX];
	int lock; /* Of the folder. */
};

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
	autofree char *row = NULL;
	char id[HIB_ID_MAX] = "";
	struct hib_error e;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	id_new(m.vm, "vm");
	r = import_unpack(c, &m);
	if (r == 0 && hib_snapshot_import(c->hib, strrchr(m.folder, '/') + 1,
					  m.vm, &row, &e) < 0)
		r = cli_fail_hib(&e);
	if (m.folder[0] != '\0')
		(void)tree_remove(m.folder);
	close_fd(&m.lock);
	if (r == 0 && o.json)
		cli_print(row);
	else if (r == 0 && json_parse(&j, row, strlen(row), NULL) == 0 &&
		 jv_strcpy(jv_get(json_root(&j), "id"), id, sizeof(id)) > 0)
		cli_print(id);
	return r;
}
