// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_import.c - A VM and a snapshot of what was unpacked
 *
 * Who asks has unpacked a file (host/bundle.h) into a folder of HIB_HOME, and has
 * imported its sessions, which keep their ids.  Nothing in the folder is believed:
 * the manifest is read as a stranger's, the disk must have the hash that was
 * said, and neither folders of a host, be it as an image, nor its network come
 * with it.
 *
 * The VM is off and has that disk; the snapshot is its own, with a new id.  Both
 * rows, and the event by which each session says where it is now, are one
 * transaction.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/hex.h"
#include "core/log.h"
#include "core/time.h"
#include "host/bulk.h"
#include "host/bundle.h"
#include "host/daemon/catalog.h"
#include "host/daemon/snapshot_disk.h"
#include "host/daemon/snapshots_impl.h"
#include "host/tree.h"
#include "host/treecopy.h"
#include "vfs/bundle.h"

#define LOG_COMPONENT "snapshot"
#define PREFIX	      SNAPSHOT_IMPORT

struct taking_in {
	struct store_rekey store;
	struct hibd *d;
	uv_work_t work;
	struct change *more;
	struct snapshot s; /* As it says; then with its new names. */
	char folder[PATH_MAX], vm[ID_MAX], vm_dir[PATH_MAX];
	bool prepared;
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
	if (t->more != NULL)
		change_free(t->more);
	if (vm != NULL && t->prepared && t->err.code < 0)
		vm_discard(vm, &t->err);
	t->cb(t->err.code < 0 ? NULL : t->s.id, &t->err, t->arg);
	snapshot_done(&t->s);
	free(t);
}

/* --- is it what it says? ------------------------------------------------------ */

static int check_hash(struct taking_in *t, int folder)
{
	char text[BUNDLE_TEXT_MAX / 64], hex[2 * TREE_HASH_LEN + 1];
	autoclose int fd = openat(folder, BUNDLE_HASHES,
				  O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	autojson struct json j = {0};
	uint8_t hash[TREE_HASH_LEN];
	uint64_t bytes = 0;

	if (n <= 0 || json_parse(&j, text, (size_t)n, NULL) < 0)
		return err_set(&t->err, -FAULT_INVALID_ARGUMENT,
			       "it has no hashes");
	if (treecopy_hash(folder, "disk", hash, &bytes, &t->err) < 0)
		return t->err.code;
	hex_encode(hash, sizeof(hash), hex);
	for (struct jv f = jv_first(json_root(&j)); jv_has(f);
	     f = jv_next(json_root(&j), f))
		if (jv_eq(jv_get(f, "name"), "disk") &&
		    jv_eq(jv_get(f, "sha256"), hex))
			return 0;
	return err_set(&t->err, -FAULT_STORE_CORRUPT,
		       "its disk is not the one that was kept");
}

static int check_folder(struct taking_in *t)
{
	autoclose int fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
						   O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_set(&t->err, -errno, "%s: %s", t->folder,
			       strerror(errno));
	r = snapshot_load(&t->s, fd, &t->err);
	if (r < 0)
		return r;
	if (t->s.memory || t->s.quota > 0 ||
	    strcmp(t->s.backend, "sandbox") != 0)
		return err_set(&t->err, -FAULT_CAPABILITY_UNSUPPORTED,
			       "only the disk of a sandbox can be imported");
	if (t->s.image[0] == '/') /* Or it could choose what a VM reads here. */
		return err_set(&t->err, -FAULT_CAPABILITY_UNSUPPORTED,
			       "its image is a folder of another host");
	return check_hash(t, fd);
}

static void check_work(uv_work_t *w)
{
	struct taking_in *t = container_of(w, struct taking_in, work);
	int r = check_folder(t);

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
		vm_keep(vm);
		t->prepared = false;
		snapshot_check_later(t->d, t->s.id);
	}
	import_end(t);
}

static int import_also(struct sqlite3 *db, struct store_rekey *s, struct err *e)
{
	const struct taking_in *t = container_of(s, struct taking_in, store);

	return change_apply(t->more, db, e);
}

/* The session is in this VM now. */
static int add_session(struct taking_in *t, const char *id, int64_t cursor,
		       struct jw *cursors)
{
	struct store_rekey_one *o = &t->store.v[t->store.n];
	struct session_brief b;
	struct event *ev;
	char data[80];
	int r = reader_session(t->d->reader, id, &b, &t->err);

	if (r < 0)
		return r;
	if (b.last_seq != cursor || vm_find(t->d, b.vm_id) != NULL)
		return err_set(&t->err, -FAULT_ALREADY_EXISTS,
			       "%s is another one here", id);
	snprintf(data, sizeof(data), "{\"vm\":\"%s\"}", t->vm);
	ev = event_new(&(struct event_spec){.session = id,
					    .type = "session.imported",
					    .seq = cursor + 1,
					    .epoch = b.epoch + 1,
					    .ts_ms = now_ms(),
					    .data = data,
					    .data_len = strlen(data)});
	if (ev == NULL)
		return err_set(&t->err, -ENOMEM, "%s: out of memory", id);
	TAILQ_INIT(&o->tail.events);
	memcpy(o->tail.session, id, ID_MAX);
	o->how = STORE_KEEP;
	TAILQ_INSERT_TAIL(&o->tail.events, ev, link);
	t->store.n++;
	jw_kint(cursors, id, cursor + 1);
	return 0;
}

static int add_sessions(struct taking_in *t)
{
	autojson struct json j = {0};
	autojw struct jw cursors = {0};
	int r = json_parse(&j, t->s.cursors, strlen(t->s.cursors), &t->err);
	struct jv all = json_root(&j);

	t->store.v = calloc(jv_count(all) + 1, sizeof(*t->store.v));
	if (t->store.v == NULL)
		return err_set(&t->err, -ENOMEM, "out of memory");
	jw_obj(&cursors);
	for (struct jv k = jv_first(all); r == 0 && jv_has(k);
	     k = jv_next(all, k)) {
		char id[ID_MAX];

		(void)jv_strcpy(k, id, sizeof(id));
		r = add_session(t, id, jv_int(jv_value(k), 0), &cursors);
		if (r == -FAULT_SESSION_NOT_FOUND) /* It was destroyed. */
			r = t->err.code = 0;
	}
	jw_obj_end(&cursors);
	if (r < 0)
		return r;
	free(t->s.cursors);
	t->s.cursors = jw_take(&cursors, NULL);
	return t->s.cursors != NULL
		       ? 0
		       : err_set(&t->err, -ENOMEM, "out of memory");
}

static void store_rows(struct taking_in *t, struct vm *vm)
{
	vm_set_files(vm, t->s.workspace_n, t->s.base, t->s.complete);
	t->more = change_new();
	vm_add_row(vm, t->more);
	snapshot_add_row(t->more, &t->s, 0);
	change_add_vm_event(t->more, t->vm, "vm.imported", "{}");
	t->store.also = import_also;
	t->store.done = import_on_stored;
	store_rekey(t->d->store, &t->store);
}

/* --- folders -------------------------------------------------------------------- */

static int below(char out[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

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

/* The disk of the VM: a copy of that of the snapshot, in place of the empty one. */
static int take_disk(struct taking_in *t)
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

static int take_snapshot(struct taking_in *t)
{
	char path[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	autoclose int fd = -1;

	if (below(path, t->vm_dir, SNAPSHOT_FOLDER) < 0 ||
	    mkdir(path, 0700) < 0 || snapshots_dir(t->d, &t->s, "", path) < 0 ||
	    mkdir(path, 0700) < 0 || below(from, t->folder, "disk") < 0 ||
	    below(to, path, "disk") < 0 || rename(from, to) < 0)
		return err_set(&t->err, -errno, "%s: %s", path,
			       strerror(errno));
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
	snprintf(t->vm_dir, sizeof(t->vm_dir), "%s", vm_dir(vm));
	bulk_queue(&t->d->loop, &t->work, fill_work, fill_on_done);
}

static void check_on_done(uv_work_t *w, int status)
{
	struct taking_in *t = container_of(w, struct taking_in, work);
	struct snapshot *s = &t->s;
	struct vm_config cfg;

	(void)status;
	if (t->d->stopping && t->err.code == 0)
		err_set(&t->err, -FAULT_DRAINING, "hibd stops");
	if (t->err.code < 0 || add_sessions(t) < 0) {
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
