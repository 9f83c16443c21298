// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_import.c - A VM and a snapshot of what was unpacked
 *
 * Who asks has unpacked a file (host/bundle.h) into a folder of HIB_HOME.  Nothing
 * in it is believed (snapshot_proof.h), and neither folders of a host nor its
 * network come with it.
 *
 * The VM is off; the snapshot is its own, with a new id.  Both rows, all logs,
 * whose sessions keep their ids, and the event by which each session of a sandbox
 * says where it is now, are one transaction.
 *
 *	sandbox		has a new id, and that disk
 *	machine		keeps its id, by which its guest knows itself: to that
 *			guest the VM was set back, and the logs are as it left
 *			them
 *	  disk		has that disk
 *	  memory	goes on from the snapshot when it is needed; what does
 *			not fit is refused
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/db.h"
#include "core/log.h"
#include "core/time.h"
#include "host/bulk.h"
#include "host/bundle.h"
#include "host/daemon/catalog.h"
#include "host/daemon/logfile.h"
#include "host/daemon/snapshot_disk.h"
#include "host/daemon/snapshot_proof.h"
#include "host/daemon/snapshots_impl.h"
#include "host/launched.h"
#include "host/saved.h"
#include "host/sparse.h"
#include "host/tree.h"
#include "vfs/bundle.h"

#define LOG_COMPONENT "snapshot"
#define PREFIX	      SNAPSHOT_IMPORT
#define IMAGE	      "disk.img"

/* Where a log ends that comes with it. */
struct end {
	char session[ID_MAX];
	int64_t last_seq, epoch;
};

struct taking_in {
	struct store_rekey store;
	struct end *ends;
	size_t n_ends;
	struct logfile log; /* Which is being stored. */
	struct hibd *d;
	uv_work_t work;
	struct change *more;
	struct snapshot s; /* As it says; then with its new names. */
	char folder[PATH_MAX], vm[ID_MAX], vm_dir[PATH_MAX];
	bool machine, prepared;
	struct err err;
	snapshot_made_cb cb;
	void *arg;
};

static struct vm *import_vm(const struct taking_in *t)
{
	return t->d->stopping ? NULL : vm_find(t->d, t->vm);
}

static void import_end(struct taking_in *t)
{
	struct vm *vm = import_vm(t);

	for (size_t i = 0; i < t->store.n; i++)
		event_list_free(&t->store.v[i].tail.events);
	free(t->store.v);
	free(t->ends);
	logfile_close(&t->log);
	if (t->more != NULL)
		change_free(t->more);
	if (vm != NULL && t->prepared && t->err.code < 0)
		vm_discard(vm, &t->err);
	t->cb(t->err.code < 0 ? NULL : t->s.id, &t->err, t->arg);
	snapshot_done(&t->s);
	free(t);
}

static int below(char out[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

/* --- is it what it says? ------------------------------------------------------ */

/* All of a log, up to its cursor. */
static int check_log(struct taking_in *t, struct logfile *l, int64_t cursor)
{
	struct event_list page = TAILQ_HEAD_INITIALIZER(page);
	bool more = true;

	while (more) {
		if (t->d->stopping)
			return err_set(&t->err, -FAULT_DRAINING, "hibd stops");
		if (logfile_next(l, &page, &t->err) < 0)
			return t->err.code;
		more = !TAILQ_EMPTY(&page);
		event_list_free(&page);
	}
	if (l->last_seq != cursor)
		return err_set(&t->err, -FAULT_INVALID_ARGUMENT,
			       "the log of %s ends elsewhere than it says",
			       l->session);
	t->ends[t->n_ends] =
		(struct end){.last_seq = cursor, .epoch = l->epoch};
	memcpy(t->ends[t->n_ends++].session, l->session, ID_MAX);
	return 0;
}

/* One that is not there was destroyed before. */
static int check_logs(struct taking_in *t)
{
	autojson struct json j = {0};
	int r = json_parse(&j, t->s.cursors, strlen(t->s.cursors), &t->err);
	struct jv all = json_root(&j);
	char folder[PATH_MAX];

	t->ends = calloc(jv_count(all) + 1, sizeof(*t->ends));
	if (t->ends == NULL || below(folder, t->folder, BUNDLE_SESSIONS) < 0)
		return err_set(&t->err, -ENOMEM, "out of memory");
	for (struct jv k = jv_first(all); r == 0 && jv_has(k);
	     k = jv_next(all, k)) {
		struct logfile l;
		char id[ID_MAX];

		(void)jv_strcpy(k, id, sizeof(id));
		r = logfile_open(&l, folder, id);
		if (r == 0)
			r = check_log(t, &l, jv_int(jv_value(k), 0));
		else
			r = r == -ENOENT ? 0 : err_set(&t->err, r, "%s", id);
		logfile_close(&l);
	}
	return r;
}

static void check_work(uv_work_t *w)
{
	struct taking_in *t = container_of(w, struct taking_in, work);
	int r = snapshot_prove(t->folder, &t->s, &t->err);

	if (r == 0)
		r = snapshot_check_events(&t->s, &t->err);
	if (r == 0)
		r = check_logs(t);
	/* Whoever made the file left something out. */
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		t->err.code = -FAULT_INVALID_ARGUMENT;
}

/* --- rows ---------------------------------------------------------------------- */

static void import_on_stored(struct store_rekey *s, const struct err *e)
{
	struct taking_in *t = container_of(s, struct taking_in, store);
	struct vm *vm;

	t->err = *e;
	vm = import_vm(t);
	if (vm != NULL && e->code == 0) {
		if (t->s.memory && vm_set_origin(vm, t->s.id, &t->err) < 0)
			log_error("%s: %s", t->vm, t->err.msg);
		vm_keep(vm);
		t->prepared = false;
		snapshot_check_later(t->d, t->s.id);
	}
	import_end(t);
}

/* On the writer thread, as in struct store_rekey_one. */
static int import_next(struct store_rekey_one *o, int64_t since,
		       struct event_list *out, struct err *e)
{
	struct taking_in *t = o->arg;
	char folder[PATH_MAX];
	int r = below(folder, t->folder, BUNDLE_SESSIONS);

	if (t->d->stopping)
		return err_set(e, -FAULT_DRAINING, "hibd stops");
	if (since == 0) {
		logfile_close(&t->log);
		if (r == 0)
			r = logfile_open(&t->log, folder, o->tail.session);
		if (r < 0)
			return err_set(e, r, "the log of %s: %s",
				       o->tail.session, strerror(-r));
	}
	return logfile_next(&t->log, out, e);
}

/* What was stored is all of it, and of this VM. */
static int settle_log(const struct taking_in *t, struct sqlite3 *db,
		      const struct end *end, struct err *e)
{
	static const char whole[] =
		"UPDATE mirror SET tail_complete=1 WHERE session_n=(SELECT n "
		"FROM session WHERE id=?1 AND last_seq=?2 AND vm_id=?3)";
	static const char alive[] = "DELETE FROM tombstone WHERE id=?1";
	int r = db_run(db, e, whole, "sis", end->session,
		       end->last_seq + !t->machine, t->vm);

	if (r == 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is of another VM", end->session);
	return r < 0 ? r : db_run(db, e, alive, "s", end->session);
}

static int import_also(struct sqlite3 *db, struct store_rekey *s, struct err *e)
{
	const struct taking_in *t = container_of(s, struct taking_in, store);

	for (size_t i = 0; i < t->n_ends; i++)
		if (settle_log(t, db, &t->ends[i], e) < 0)
			return e->code;
	return change_apply(t->more, db, e);
}

/* The session is in this VM now. */
static int add_event(struct taking_in *t, struct store_rekey_one *o,
		     const struct end *end)
{
	struct event *ev;
	char data[80];

	snprintf(data, sizeof(data), "{\"vm\":\"%s\"}", t->vm);
	ev = event_new(&(struct event_spec){.session = end->session,
					    .type = "session.imported",
					    .seq = end->last_seq + 1,
					    .epoch = end->epoch + 1,
					    .ts_ms = now_ms(),
					    .data = data,
					    .data_len = strlen(data)});
	if (ev == NULL)
		return err_set(&t->err, -ENOMEM, "out of memory");
	TAILQ_INSERT_TAIL(&o->tail.events, ev, link);
	return 0;
}

static int add_session(struct taking_in *t, const struct end *end)
{
	struct store_rekey_one *o = &t->store.v[t->store.n];
	struct session_brief b;
	int r = reader_session(t->d->reader, end->session, &b, &t->err);

	if (r != -FAULT_SESSION_NOT_FOUND)
		return r < 0 ? r
			     : err_set(&t->err, -FAULT_ALREADY_EXISTS,
				       "%s is here already", end->session);
	t->err = (struct err){0};
	o->how = STORE_LOAD;
	o->next = import_next;
	o->arg = t;
	memcpy(o->tail.session, end->session, ID_MAX);
	TAILQ_INIT(&o->tail.events);
	t->store.n++;
	return t->machine ? 0 : add_event(t, o, end);
}

/* Where the logs stand now.  The guest of a machine is to hear of those, too,
 * that were destroyed. */
static int move_cursors(struct taking_in *t)
{
	autojw struct jw cursors = {0};

	if (t->machine)
		return 0;
	jw_obj(&cursors);
	for (size_t i = 0; i < t->n_ends; i++)
		jw_kint(&cursors, t->ends[i].session, t->ends[i].last_seq + 1);
	jw_obj_end(&cursors);
	free(t->s.cursors);
	t->s.cursors = jw_take(&cursors, NULL);
	return t->s.cursors != NULL
		       ? 0
		       : err_set(&t->err, -ENOMEM, "out of memory");
}

static int add_sessions(struct taking_in *t)
{
	t->store.v = calloc(t->n_ends + 1, sizeof(*t->store.v));
	if (t->store.v == NULL)
		return err_set(&t->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < t->n_ends; i++)
		if (add_session(t, &t->ends[i]) < 0)
			return t->err.code;
	return move_cursors(t);
}

static void store_rows(struct taking_in *t, struct vm *vm)
{
	vm_set_files(vm, t->s.workspace_n, t->s.base, t->s.complete);
	t->more = change_new();
	vm_add_row(vm, t->more);
	snapshot_add_row(t->more, &t->s, 0);
	if (t->s.memory)
		vm_change_origin(t->more, t->vm, t->s.id);
	change_add_vm_event(t->more, t->vm, "vm.imported", "{}");
	t->store.also = import_also;
	t->store.done = import_on_stored;
	store_rekey(t->d->store, &t->store);
}

/* --- folders -------------------------------------------------------------------- */

static int take_commits(struct taking_in *t)
{
	autovfsrepo struct vfs_repo *repo = NULL;
	char path[PATH_MAX];
	autoclose int fd = -1;
	struct vfs_oid head;
	int r;

	if (vfs_oid_parse(t->s.head, &head) < 0)
		return t->s.base[0] == '\0'
			       ? 0
			       : err_set(&t->err, -FAULT_INVALID_ARGUMENT,
					 "it lacks its commits");
	if (below(path, t->folder, BUNDLE_PACK) < 0)
		return err_set(&t->err, -ENAMETOOLONG, "%s", t->folder);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(&t->err, -FAULT_INVALID_ARGUMENT,
			       "it lacks its commits");
	(void)below(path, t->vm_dir, "workspace.git");
	r = vfs_repo_create(path, &repo, &t->err);
	if (r == 0)
		r = vfs_bundle_read(repo, fd, &head, &t->err);
	if (r == 0 && t->s.base[0] != '\0')
		r = vfs_repo_resolve(repo, t->s.base, &head, &t->err);
	return r;
}

/* What is made when a machine boots is not of interest. */
static int take_machine_disk(struct taking_in *t)
{
	const uint32_t owner = launched_uid(t->vm);
	char path[PATH_MAX];
	autoclose int from = -1, to = -1;
	int r;

	if (below(path, t->folder, "disk") == 0)
		from = open(path,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below(path, t->vm_dir, "disk") == 0)
		to = open(path,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || to < 0)
		return err_set(&t->err, -errno, "%s: %s", path,
			       strerror(errno));
	r = sparse_copy_file(from, IMAGE, to, IMAGE, &t->err);
	if (r == 0 && geteuid() == 0 &&
	    fchownat(to, IMAGE, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_set(&t->err, -errno, "%s/" IMAGE ": %s", path,
			    strerror(errno));
	return r;
}

/* The disk of the VM: a copy of that of the snapshot, in place of the empty one. */
static int take_sandbox_disk(struct taking_in *t)
{
	struct snapshot_disk disk = {
		.from = t->folder, .to = t->vm_dir, .stop = &t->d->stopping};
	char path[PATH_MAX];
	int r = below(path, t->vm_dir, "disk");

	if (r == 0)
		r = tree_remove(path);
	return r < 0 ? err_set(&t->err, r, "%s: %s", path, strerror(-r))
		     : snapshot_disk_copy(&disk, &t->err);
}

/* Of kind memory it is made when the VM goes on. */
static int take_disk(struct taking_in *t)
{
	if (t->s.memory)
		return 0;
	return t->machine ? take_machine_disk(t) : take_sandbox_disk(t);
}

/* From what was unpacked to the snapshot. */
static int move_part(const struct taking_in *t, const char *to,
		     const char *name)
{
	char from[PATH_MAX], path[PATH_MAX];
	autoclose int fd = -1;

	if (below(from, t->folder, name) < 0 || below(path, to, name) < 0)
		return -ENAMETOOLONG;
	if (rename(from, path) < 0)
		return -errno;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Its disk/ is that of a VM that was just made: ours, but for the image. */
static int move_machine_disk(const struct taking_in *t, const char *to)
{
	const uint32_t owner = launched_uid(t->vm);
	autoclose int dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno
			: launched_folder(dir, "disk", 0755, geteuid());

	if (r == 0)
		r = move_part(t, to, "disk/" IMAGE);
	if (r == 0 && geteuid() == 0 &&
	    fchownat(dir, "disk/" IMAGE, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r;
}

/* QEMU, who is somebody else, reads that file itself; it holds no secrets. */
static int open_agents(const char *to)
{
	char path[PATH_MAX];
	int r = below(path, to, SAVED_AGENTS);

	if (r == 0 && chmod(path, 0644) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

static int move_parts(const struct taking_in *t, const char *to)
{
	int r = 0;

	if (!t->s.memory)
		return t->machine ? move_machine_disk(t, to)
				  : move_part(t, to, "disk");
	for (size_t i = 0; r == 0 && bundle_machine[i] != NULL; i++) {
		r = move_part(t, to, bundle_machine[i]);
		if (r == -ENOENT && snapshot_may_lack(bundle_machine[i]))
			r = 0;
	}
	return r < 0 ? r : open_agents(to);
}

static int take_snapshot(struct taking_in *t)
{
	char path[PATH_MAX];
	autoclose int fd = -1;
	int r;

	if (below(path, t->vm_dir, SNAPSHOT_FOLDER) < 0 ||
	    mkdir(path, 0700) < 0 || snapshots_dir(t->d, &t->s, "", path) < 0 ||
	    mkdir(path, 0700) < 0)
		return err_set(&t->err, -errno, "%s: %s", path,
			       strerror(errno));
	r = move_parts(t, path);
	if (r < 0)
		return err_set(&t->err, r, "%s: %s", path, strerror(-r));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(&t->err, -errno, "%s: %s", path,
				strerror(errno))
		      : snapshot_save(&t->s, fd, &t->err);
}

static void fill_work(uv_work_t *w)
{
	struct taking_in *t = container_of(w, struct taking_in, work);

	if (take_commits(t) == 0 && take_disk(t) == 0)
		(void)take_snapshot(t);
}

/* --- on the loop ------------------------------------------------------------------ */

static void fill_on_done(uv_work_t *w, int status)
{
	struct taking_in *t = container_of(w, struct taking_in, work);
	struct vm *vm = import_vm(t);

	(void)status;
	if (vm == NULL && t->err.code == 0)
		err_set(&t->err, -FAULT_DRAINING, "hibd stops");
	if (t->err.code < 0)
		import_end(t);
	else
		store_rows(t, vm);
}

static void import_on_prepared(struct vm *vm, const struct err *e, void *arg)
{
	struct taking_in *t = arg;

	t->err = *e;
	if (e->code < 0) {
		import_end(t);
		return;
	}
	t->prepared = true;
	if (t->s.memory && vm_fits(vm, t->folder, &t->err) < 0) {
		import_end(t);
		return;
	}
	snprintf(t->vm_dir, sizeof(t->vm_dir), "%s", vm_dir(vm));
	bulk_queue(&t->d->loop, &t->work, fill_work, fill_on_done);
}

/* One that was destroyed may have left what its forks borrow. */
static int check_vm(struct taking_in *t)
{
	char path[PATH_MAX];

	if (vm_find(t->d, t->vm) == NULL &&
	    below(path, t->d->home.vms, t->vm) == 0 && access(path, F_OK) < 0)
		return 0;
	return err_set(&t->err, -FAULT_ALREADY_EXISTS,
		       "%s is here already, or forks of it are", t->vm);
}

static void check_on_done(uv_work_t *w, int status)
{
	struct taking_in *t = container_of(w, struct taking_in, work);
	struct snapshot *s = &t->s;
	struct vm_config cfg;

	(void)status;
	t->machine = strcmp(s->backend, "sandbox") != 0;
	if (t->machine)
		memcpy(t->vm, s->vm, ID_MAX);
	if (t->d->stopping && t->err.code == 0)
		err_set(&t->err, -FAULT_DRAINING, "hibd stops");
	if (t->err.code < 0 || check_vm(t) < 0 || add_sessions(t) < 0) {
		import_end(t);
		return;
	}
	id_new(s->id, "snp");
	memcpy(s->vm, t->vm, ID_MAX);
	s->parent[0] = '\0';
	snprintf(s->net, sizeof(s->net), "none");
	free(take_ptr(s->mounts));
	cfg = (struct vm_config){
		.id = t->vm,
		.backend = s->backend,
		.image = s->image,
		.idle_ms = s->idle_ms,
		.cold_ms = s->cold_ms,
		.max_sessions = s->max_sessions,
		.memory = s->ram_mib,
		.cpus = s->cpus,
	};
	vm_prepare(t->d, &cfg, import_on_prepared, t);
}

static bool is_folder(const char *name)
{
	size_t n = strspn(name + (strncmp(name, PREFIX, 7) == 0 ? 7 : 0),
			  "abcdefghijklmnopqrstuvwxyz"
			  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

	return strncmp(name, PREFIX, 7) == 0 && n > 0 && name[7 + n] == '\0';
}

void snapshot_import(struct hibd *d, const char *folder, const char *vm,
		     snapshot_made_cb cb, void *arg)
{
	struct taking_in *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->d = d;
	t->cb = cb;
	t->arg = arg;
	if (!id_is(vm, "vm"))
		err_set(&t->err, -FAULT_INVALID_ID, "'%.64s' is no VM id", vm);
	else if (!is_folder(folder))
		err_set(&t->err, -FAULT_INVALID_ARGUMENT,
			"'%.80s' is no folder of an import", folder);
	else if (below(t->folder, d->home.root, folder) < 0)
		err_set(&t->err, -ENAMETOOLONG, "%s", folder);
	if (t->err.code < 0) {
		import_end(t);
		return;
	}
	memcpy(t->vm, vm, ID_MAX);
	bulk_queue(&d->loop, &t->work, check_work, check_on_done);
}
