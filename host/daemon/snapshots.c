// SPDX-License-Identifier: Apache-2.0
/*
 * snapshots.c - The snapshots there are: rows, removal, what a start finds
 *
 * Removal renames the folder to <snp>.gone, takes the row away, and then the
 * folder.  Killed in between, the row is there without a folder, and goes when
 * hibd starts.  A folder without a row is one that hibd was killed over before it
 * could write that down: it is whole, so it is taken in.
 */
#include "host/daemon/snapshots.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "host/bulk.h"
#include "host/daemon/catalog.h"
#include "host/daemon/snapshot_disk.h"
#include "host/daemon/snapshots_impl.h"
#include "host/tree.h"

#define LOG_COMPONENT "snapshot"

struct holding {
	LIST_ENTRY(holding) link;
	char id[ID_MAX];
	unsigned n;
	bool leaving; /* The one that holds it removes it. */
};

struct snapshots *snapshots_new(struct hibd *d)
{
	struct snapshots *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->d = d;
	LIST_INIT(&s->held);
	LIST_INIT(&s->setbacks);
	STAILQ_INIT(&s->checks);
	return s;
}

void snapshots_close(struct snapshots *s)
{
	struct holding *h;

	if (s == NULL)
		return;
	snapshot_checks_end(s);
	while ((h = LIST_FIRST(&s->held)) != NULL) {
		LIST_REMOVE(h, link);
		free(h);
	}
	free(s);
}

/* --- who uses them --------------------------------------------------------- */

static struct holding *holding_find(const struct hibd *d, const char *id)
{
	struct holding *h;

	LIST_FOREACH(h, &d->snapshots->held, link)
	if (strcmp(h->id, id) == 0)
		return h;
	return NULL;
}

static struct holding *holding_get(struct hibd *d, const char *id)
{
	struct holding *h = holding_find(d, id);

	if (h == NULL) {
		h = calloc(1, sizeof(*h));
		if (h == NULL)
			abort();
		snprintf(h->id, sizeof(h->id), "%s", id);
		LIST_INSERT_HEAD(&d->snapshots->held, h, link);
	}
	h->n++;
	return h;
}

int snapshots_hold(struct hibd *d, const char *id, struct err *e)
{
	const struct holding *h;
	autosnapshot struct snapshot s = {0};
	const struct vm *vm;
	int r;

	if (d->stopping)
		return err_set(e, -FAULT_DRAINING, "hibd stops");
	h = holding_find(d, id);
	r = snapshots_find(d, id, &s, e);
	if (r < 0)
		return r;
	vm = vm_find(d, s.vm);
	if ((h != NULL && h->leaving) || (vm != NULL && vm_is_leaving(vm)))
		return err_set(e, -FAULT_NOT_READY, "%s is being removed", id);
	(void)holding_get(d, id);
	return 0;
}

/* A temporary one that nobody uses, and whose maker may have died. */
struct orphan {
	struct hibd *d;
	char id[ID_MAX];
};

static void temporary_on_removed(const struct err *e, void *arg)
{
	(void)arg;
	if (e->code < 0)
		log_warn("%s", e->msg);
}

/* Its maker, if it lives, has removed it by now or is about to. */
static void orphan_on_stored(const struct err *e, void *arg)
{
	struct orphan *o = arg;
	autosnapshot struct snapshot s = {0};

	if (e->code == 0 && !o->d->stopping &&
	    snapshots_find(o->d, o->id, &s, NULL) == 0 &&
	    holding_find(o->d, o->id) == NULL)
		snapshot_remove(o->d, o->id, temporary_on_removed, NULL);
	free(o);
}

/* Not at once: whoever let go of it is in the middle of something. */
static void orphan_look(struct hibd *d, const char *id)
{
	autosnapshot struct snapshot s = {0};
	struct orphan *o;

	if (snapshots_find(d, id, &s, NULL) < 0 || !s.temporary)
		return;
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	o->d = d;
	memcpy(o->id, s.id, ID_MAX);
	change_await(d->store, orphan_on_stored, o);
}

void snapshots_release(struct hibd *d, const char *id)
{
	struct holding *h;
	bool leaving;

	if (d->snapshots == NULL) /* hibd stops. */
		return;
	h = holding_find(d, id);
	if (h == NULL || --h->n > 0)
		return;
	leaving = h->leaving;
	LIST_REMOVE(h, link);
	free(h);
	if (!leaving && !d->stopping)
		orphan_look(d, id);
}

bool snapshots_in_use(struct hibd *d, const struct vm *vm)
{
	const struct holding *h;

	if (d->snapshots == NULL) /* hibd stops. */
		return false;
	LIST_FOREACH(h, &d->snapshots->held, link)
	{
		autosnapshot struct snapshot s = {0};

		if (h->n > (unsigned)vm_goes_on_from(vm, h->id) &&
		    snapshots_find(d, h->id, &s, NULL) == 0 &&
		    strcmp(s.vm, vm_id(vm)) == 0)
			return true;
	}
	return false;
}

/* --- rows ------------------------------------------------------------------ */

int snapshots_dir(const struct hibd *d, const struct snapshot *s,
		  const char *tail, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s/" SNAPSHOT_FOLDER "/%s%s",
			 d->home.vms, s->vm, s->id, tail);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int snapshots_find(struct hibd *d, const char *id, struct snapshot *out,
		   struct err *e)
{
	const char *args[] = {id, NULL};
	autofree char *text = NULL;
	int r;

	if (!id_is(id, "snp"))
		return err_set(e, -FAULT_INVALID_ID,
			       "'%.80s' is no snapshot id", id);
	r = reader_value(d->reader, "SELECT manifest FROM snapshot WHERE id=?1",
			 args, &text, e);
	if (r == 0)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND, "%s is not here",
			       id);
	return r < 0 ? r : snapshot_read(out, text, strlen(text), e);
}

bool snapshots_any(struct hibd *d, const char *vm)
{
	const char *args[] = {vm, NULL};
	autofree char *found = NULL;

	return reader_value(d->reader,
			    "SELECT id FROM snapshot WHERE vm_id=?1 LIMIT 1",
			    args, &found, NULL) == 1;
}

int snapshots_check_tails(struct hibd *d, const char *vm, struct err *e)
{
	const char *args[] = {vm, NULL};
	autofree char *session = NULL;
	int r = reader_value(d->reader,
			     "SELECT s.id FROM session s JOIN mirror m ON "
			     "m.session_n=s.n WHERE s.vm_id=?1 AND "
			     "m.tail_complete=0 LIMIT 1",
			     args, &session, e);

	if (r != 1)
		return r;
	return err_set(e, -FAULT_TAIL_INCOMPLETE,
		       "the end of the log of %s is only in %s: wake it first",
		       session, vm);
}

void snapshot_add_row(struct change *c, const struct snapshot *s, int64_t size)
{
	autojw struct jw manifest = {0};

	snapshot_write(s, &manifest);
	change_add(
		c,
		"INSERT INTO snapshot(id, vm_id, parent_id, kind, label, "
		"manifest, cursors, size, created_ms) VALUES "
		"(?1, ?2, (SELECT id FROM snapshot WHERE id=?3), ?4, ?5, ?6, "
		"?7, ?8, ?9)",
		9, s->id, s->vm, s->parent[0] ? s->parent : NULL,
		s->memory ? "memory" : "disk", s->label[0] ? s->label : NULL,
		manifest.buf, s->cursors, int_text(size),
		int_text(s->created_ms));
	change_add(c, "UPDATE vm SET from_snapshot=?2 WHERE id=?1", 2, s->vm,
		   s->id);
}

/* Those that followed it follow what it followed. */
static void add_removal(struct change *c, const char *id)
{
	change_add(c,
		   "UPDATE snapshot SET parent_id=(SELECT parent_id FROM "
		   "snapshot WHERE id=?1) WHERE parent_id=?1",
		   1, id);
	change_add(c, "DELETE FROM snapshot WHERE id=?1", 1, id);
}

/* --- removal --------------------------------------------------------------- */

struct removal {
	struct hibd *d;
	uv_work_t work;
	char id[ID_MAX], dir[PATH_MAX], gone[PATH_MAX];
	bool held;
	struct err err;
	snapshot_done_cb cb;
	void *arg;
};

static void removal_end(struct removal *m)
{
	if (m->held)
		snapshots_release(m->d, m->id);
	m->cb(&m->err, m->arg);
	free(m);
}

static void removal_work(uv_work_t *w)
{
	struct removal *m = container_of(w, struct removal, work);
	int r = tree_remove(m->gone);

	/* The rest goes when hibd starts. */
	if (r < 0)
		log_warn("%s: %s", m->gone, strerror(-r));
}

static void removal_on_worked(uv_work_t *w, int status)
{
	(void)status;
	removal_end(container_of(w, struct removal, work));
}

static void removal_on_stored(const struct err *e, void *arg)
{
	struct removal *m = arg;

	m->err = *e;
	if (e->code < 0) {
		(void)rename(m->gone, m->dir);
		removal_end(m);
		return;
	}
	bulk_queue(&m->d->loop, &m->work, removal_work, removal_on_worked);
}

static int removal_check(struct hibd *d, const char *id, struct snapshot *s,
			 struct removal *m)
{
	struct vm *vm;

	if (d->stopping)
		return err_set(&m->err, -FAULT_DRAINING, "hibd stops");
	if (snapshots_find(d, id, s, &m->err) < 0)
		return m->err.code;
	vm = vm_find(d, s->vm);
	if (holding_find(d, id) != NULL || (vm != NULL && vm_is_locked(vm)))
		return err_set(&m->err, -FAULT_NOT_READY, "%s is in use", id);
	if (snapshots_dir(d, s, "", m->dir) < 0 ||
	    snapshots_dir(d, s, ".gone", m->gone) < 0)
		return err_set(&m->err, -ENAMETOOLONG, "%s", id);
	if (rename(m->dir, m->gone) < 0 && errno != ENOENT)
		return err_set(&m->err, -errno, "remove %s: %s", id,
			       strerror(errno));
	return 0;
}

void snapshot_remove(struct hibd *d, const char *id, snapshot_done_cb cb,
		     void *arg)
{
	struct removal *m = calloc(1, sizeof(*m));
	autosnapshot struct snapshot s = {0};
	struct change *c;

	if (m == NULL)
		abort();
	m->d = d;
	m->cb = cb;
	m->arg = arg;
	if (removal_check(d, id, &s, m) < 0) {
		removal_end(m);
		return;
	}
	memcpy(m->id, s.id, ID_MAX);
	m->held = holding_get(d, id)->leaving = true;
	c = change_new();
	add_removal(c, id);
	change_submit(d->store, c, removal_on_stored, m);
}

/* --- a start of hibd ------------------------------------------------------- */

struct taking {
	struct hibd *d;
	char id[ID_MAX];
};

static void taking_on_stored(const struct err *e, void *arg)
{
	struct taking *t = arg;

	if (e->code < 0)
		log_warn("%s: %s", t->id, e->msg);
	else if (!t->d->stopping)
		snapshot_check_later(t->d, t->id);
	free(t);
}

static void store_taken(struct hibd *d, const struct snapshot *s)
{
	struct taking *t = calloc(1, sizeof(*t));
	struct change *c = change_new();

	if (t == NULL)
		abort();
	t->d = d;
	memcpy(t->id, s->id, ID_MAX);
	snapshot_add_row(c, s, 0);
	change_submit(d->store, c, taking_on_stored, t);
}

/* A whole folder without a row. */
static void take_in(struct hibd *d, const char *vm, const char *id,
		    const char *dir)
{
	autoclose int fd =
		open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autosnapshot struct snapshot s = {0};
	struct err e = {0};

	if (fd < 0 || snapshot_load(&s, fd, &e) < 0 || strcmp(s.id, id) != 0 ||
	    strcmp(s.vm, vm) != 0) {
		log_warn("%s: no snapshot, but named so", dir);
		return;
	}
	if (s.temporary) {
		(void)tree_remove(dir);
		return;
	}
	log_info("%s: %s is taken in", vm, id);
	store_taken(d, &s);
}

static bool has_row(struct hibd *d, const char *id)
{
	const char *args[] = {id, NULL};
	autofree char *found = NULL;

	return reader_value(d->reader, "SELECT id FROM snapshot WHERE id=?1",
			    args, &found, NULL) != 0;
}

/* hibd was killed while it copied a disk. */
static void thaw_disk(const struct vm *vm)
{
	struct vm_config cfg;

	vm_describe(vm, &cfg);
	if (cfg.quota > 0)
		snapshot_disk_thaw(vm_dir(vm));
}

static void look_at_folders(struct hibd *d, const struct vm *vm)
{
	const struct dirent *en;
	char path[PATH_MAX];
	DIR *all;

	if (snprintf(path, sizeof(path), "%s/" SNAPSHOT_FOLDER, vm_dir(vm)) >=
	    (int)sizeof(path))
		return;
	all = opendir(path);
	while (all != NULL && (en = readdir(all)) != NULL) {
		if (!id_is(en->d_name, "snp") || has_row(d, en->d_name) ||
		    snprintf(path, sizeof(path), "%s/" SNAPSHOT_FOLDER "/%s",
			     vm_dir(vm), en->d_name) >= (int)sizeof(path))
			continue;
		take_in(d, vm_id(vm), en->d_name, path);
	}
	if (all != NULL)
		closedir(all);
}

/* Rows whose folder went, and those without hashes.  A VM that goes on from one
 * is not to boot with nothing: it says what it lacks. */
static void look_at_row(struct hibd *d, struct jv row)
{
	struct snapshot s = {0};
	char path[PATH_MAX];
	struct change *c;

	if (jv_strcpy(jv_get(row, "id"), s.id, sizeof(s.id)) < 0 ||
	    jv_strcpy(jv_get(row, "vm_id"), s.vm, sizeof(s.vm)) < 0 ||
	    snapshots_dir(d, &s, "", path) < 0)
		return;
	if (access(path, F_OK) == 0) {
		if (!jv_int(jv_get(row, "hashed"), 0))
			snapshot_check_later(d, s.id);
		return;
	}
	log_warn("%s: the files of %s are gone", s.vm, s.id);
	if (holding_find(d, s.id) != NULL)
		return;
	c = change_new();
	add_removal(c, s.id);
	change_submit(d->store, c, NULL, NULL);
}

static void look_at_rows(struct hibd *d)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct err e = {0};

	jw_arr(&w);
	(void)reader_rows(d->reader,
			  "SELECT id, vm_id, hashes IS NOT NULL AS hashed FROM "
			  "snapshot ORDER BY created_ms",
			  NULL, &w, &e);
	jw_arr_end(&w);
	if (e.code < 0 || w.failed || json_parse(&j, w.buf, w.len, &e) < 0) {
		log_warn("%s", e.msg);
		return;
	}
	for (struct jv row = jv_first(json_root(&j)); jv_has(row);
	     row = jv_next(json_root(&j), row))
		look_at_row(d, row);
}

/* Those whose maker died before it had removed them; a VM that has not gone on from
 * its own yet still holds it. */
static void remove_temporary(struct hibd *d)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	char id[ID_MAX];

	jw_arr(&w);
	(void)reader_rows(d->reader,
			  "SELECT id FROM snapshot WHERE "
			  "json_extract(manifest,'$.temporary')",
			  NULL, &w, NULL);
	jw_arr_end(&w);
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0)
		return;
	for (struct jv row = jv_first(json_root(&j)); jv_has(row);
	     row = jv_next(json_root(&j), row)) {
		if (jv_strcpy(jv_get(row, "id"), id, sizeof(id)) > 0 &&
		    holding_find(d, id) == NULL)
			snapshot_remove(d, id, temporary_on_removed, NULL);
	}
}

void snapshots_load(struct hibd *d)
{
	int n = snapshot_sweep(d->home.vms);

	if (snapshot_sweep_imports(d->home.root) > 0)
		log_info("imports that were cut off are removed");
	if (n < 0)
		log_warn("snapshots: %s", strerror(-n));
	else if (n > 0)
		log_info("%d half-made snapshots removed", n);
	look_at_rows(d);
	snapshot_restores_load(d);
	remove_temporary(d);
	for (struct vm *vm = vms_first(d); vm != NULL; vm = vms_next(vm)) {
		thaw_disk(vm);
		look_at_folders(d, vm);
	}
}
