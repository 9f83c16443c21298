// SPDX-License-Identifier: Apache-2.0
/*
 * vms.c - All VMs: made, found again when hibd starts, let go when it stops
 *
 * What the catalog says of a VM is a memory; what counts is whether its machine
 * runs.  One that does is taken over and, once its link is up, is as if this
 * hibd had booted it.  One that should run and does not is lost.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/time.h"
#include "host/bulk.h"
#include "host/daemon/graves.h"
#include "host/daemon/mount_files.h"
#include "host/daemon/vm_impl.h"
#include "vfs/import.h"

#define LOG_COMPONENT "vm"

/* --- folders ------------------------------------------------------------ */

struct sweep {
	uv_work_t work;
	uv_loop_t *loop;
	char *vms;
};

static void sweep_work(uv_work_t *w)
{
	struct sweep *s = w->data;

	graves_sweep(s->vms);
}

static void sweep_on_done(uv_work_t *w, int status)
{
	struct sweep *s = w->data;

	(void)status;
	free(s->vms);
	free(s);
}

static void sweep_begin(void *arg)
{
	struct sweep *s = arg;

	s->work.data = s;
	bulk_queue(s->loop, &s->work, sweep_work, sweep_on_done);
}

/* NULL: out of memory; the next start of hibd sweeps. */
static struct sweep *sweep_new(struct hibd *d)
{
	struct sweep *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = &d->loop;
	s->vms = strdup(d->home.vms);
	if (s->vms == NULL)
		free(take_ptr(s));
	return s;
}

void vms_sweep(struct hibd *d)
{
	struct sweep *s = sweep_new(d);

	if (s != NULL)
		sweep_begin(s);
}

void vm_remove_folder(struct vm *vm)
{
	struct sweep *s = sweep_new(vm->d);
	int r = graves_bury(vm->dir);

	if (r < 0)
		log_warn("%s: %s", vm->dir, strerror(-r));
	depot_close(take_ptr(vm->depot), s != NULL ? sweep_begin : NULL, s);
}

/* --- making ------------------------------------------------------------- */

static void vm_on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void vm_free(struct vm *vm)
{
	vm_marks_free(vm);
	vm_origin_free(vm);
	depot_close(vm->depot, NULL, NULL);
	free(take_ptr(vm->mounts));
	free(take_ptr(vm->template));
	uv_close((uv_handle_t *)&vm->timer, vm_on_timer_closed);
}

static struct vm *vm_new(struct hibd *d, const char *id)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	char path[PATH_MAX + 16];

	/* Without a few kilobytes nothing else would go on either. */
	if (vm == NULL)
		abort();
	vm->d = d;
	vm->state = VM_STOPPED;
	vm->created_ms = now_ms();
	vm->workspace.n = 1;
	vm->workspace.complete = vm->workspace.noted = true;
	STAILQ_INIT(&vm->up);
	STAILQ_INIT(&vm->down);
	if (id != NULL)
		snprintf(vm->id, sizeof(vm->id), "%s", id);
	else
		id_new(vm->id, "vm");
	snprintf(vm->dir, sizeof(vm->dir), "%s/%s", d->home.vms, vm->id);
	snprintf(path, sizeof(path), "%s/workspace.git", vm->dir);
	vm->depot = depot_new(&d->loop, path);
	if (vm->depot == NULL)
		abort();
	uv_timer_init(&d->loop, &vm->timer);
	vm->timer.data = vm;
	return vm;
}

static bool name_is_good(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n <= VM_NAME_MAX && name[n] == '\0' && name[0] != '-' &&
	       name[0] != '.' && !id_is(name, NULL);
}

static int vm_check_names(struct hibd *d, const char *id, const char *name,
			  struct err *e)
{
	if (id != NULL && vm_find(d, id) != NULL)
		return err_set(e, -FAULT_ALREADY_EXISTS, "%.40s exists", id);
	if (name != NULL && vm_find(d, name) != NULL)
		return err_set(e, -FAULT_ALREADY_EXISTS,
			       "a VM named %.80s exists", name);
	return 0;
}

static bool has_mkfs(void)
{
	return (access("/usr/sbin/mkfs.ext4", X_OK) == 0 ||
		access("/sbin/mkfs.ext4", X_OK) == 0) &&
	       access("/dev/loop-control", R_OK | W_OK) == 0;
}

static int vm_check(struct hibd *d, const struct vm_config *cfg, struct err *e)
{
	char files[IMAGE_PATH_MAX];
	int r = vm_check_names(d, cfg->id, cfg->name, e);

	if (r < 0)
		return r;
	if (cfg->id != NULL && !id_is(cfg->id, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "'%.40s' is no VM id",
			       cfg->id);
	if (cfg->name != NULL && !name_is_good(cfg->name))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "VM name '%.80s': letters, digits, . _ - only, "
			       "at most %d",
			       cfg->name, VM_NAME_MAX);
	if (backend_find(cfg->backend) == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "backend '%.40s' is unknown", cfg->backend);
	if (image_files(&d->home, cfg->image, files, e) < 0)
		return e->code;
	if (cfg->idle_ms < 0 || cfg->cold_ms < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "idle_ms %lld, cold_ms %lld",
			       (long long)cfg->idle_ms,
			       (long long)cfg->cold_ms);
	if (cfg->quota > 0 && (geteuid() != 0 || !has_mkfs()))
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "quota: only a daemon that runs as root can set "
			       "one, with mkfs.ext4 and loop devices");
	if (cfg->max_sessions < 1 || cfg->max_sessions > VM_SESSIONS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "max_sessions %lld: 1 to %d",
			       (long long)cfg->max_sessions, VM_SESSIONS_MAX);
	return 0;
}

static int vm_make_disk(struct vm *vm, const struct vm_config *cfg,
			struct err *e)
{
	struct vm_spec spec = vm_spec(vm);
	int r;

	if (mkdir(vm->dir, 0700) < 0)
		return err_set(e, -errno, "%s: %s", vm->dir, strerror(errno));
	r = graves_begin(vm->dir);
	if (r < 0)
		return err_set(e, r, "%s: %s", vm->dir, strerror(-r));
	r = vm->ops->create(&spec, e);
	if (r == 0 && cfg->mounts_asked != NULL)
		r = mount_files_write(vm->dir, *cfg->mounts_asked, e);
	if (r == 0 && cfg->fork_of != NULL)
		r = mount_files_share(cfg->fork_of->dir, vm->dir, e);
	return r;
}

/* A VM on its way into the list. */
struct creation {
	struct vm *vm;
	uv_work_t work;
	char *import, *source;	    /* One of them, or none. */
	struct import_watch *watch; /* Of the import; or NULL. */
	bool has_base;
	struct vfs_oid base;
	struct err err;
	vm_done_cb cb;
	void *arg;
};

static void creation_free(struct creation *cr)
{
	free(cr->import);
	free(cr->source);
	free(cr);
}

static void creation_fail(struct creation *cr, const struct err *e)
{
	struct err why = *e;

	vm_remove_folder(cr->vm);
	vm_free(cr->vm);
	cr->cb(NULL, &why, cr->arg);
	creation_free(cr);
}

/* The files are there: the VM, too. */
static void creation_list(struct creation *cr)
{
	static const struct err none;
	struct vm *vm = cr->vm;
	struct err e = {0};

	if (vm->d->stopping)
		err_set(&e, -FAULT_DRAINING, "hibd stops");
	else
		(void)vm_check_names(vm->d, vm->id,
				     vm->name[0] ? vm->name : NULL, &e);
	if (e.code < 0) {
		creation_fail(cr, &e);
		return;
	}
	if (cr->has_base)
		vfs_oid_format(&cr->base, vm->workspace.base);
	vm->locked = true;
	TAILQ_INSERT_TAIL(&vm->d->vms, vm, link);
	cr->cb(vm, &none, cr->arg);
	creation_free(cr);
}

/* A clone may take long, and hibd stops now. */
static int creation_go_on(const struct vfs_import_progress *p, void *arg)
{
	struct creation *cr = arg;

	if (cr->watch != NULL)
		import_watch_note(cr->watch, p);
	return atomic_load(&cr->vm->d->stopping);
}

static void creation_work(uv_work_t *w)
{
	struct creation *cr = w->data;
	const struct vm *vm = cr->vm;

	char path[PATH_MAX];

	if (cr->source != NULL)
		(void)graves_fork(cr->source, vm->dir, &cr->base, &cr->err);
	else if (snprintf(path, sizeof(path), "%s/workspace.git", vm->dir) <
		 (int)sizeof(path))
		(void)vfs_import(cr->import, path, creation_go_on, cr,
				 &cr->base, &cr->err);
}

static void creation_on_worked(uv_work_t *w, int status)
{
	struct creation *cr = w->data;

	(void)status;
	import_watch_free(take_ptr(cr->watch));
	if (cr->err.code < 0)
		creation_fail(cr, &cr->err);
	else
		creation_list(cr);
}

static void creation_begin(struct creation *cr, const struct vm_config *cfg)
{
	struct err e = {0};

	if (vm_make_disk(cr->vm, cfg, &e) < 0) {
		creation_fail(cr, &e);
		return;
	}
	if (cr->import == NULL && cr->source == NULL) {
		creation_list(cr);
		return;
	}
	if (cr->import != NULL && cfg->progress != NULL)
		cr->watch = import_watch_new(&cr->vm->d->loop, cfg->progress,
					     cfg->progress_arg);
	cr->has_base = true;
	cr->work.data = cr;
	(void)uv_queue_work(&cr->vm->d->loop, &cr->work, creation_work,
			    creation_on_worked);
}

static void vm_configure(struct vm *vm, const struct vm_config *cfg)
{
	vm->ops = backend_find(cfg->backend);
	vm->net = cfg->net;
	vm->idle_ms = cfg->idle_ms;
	vm->cold_ms = cfg->cold_ms;
	vm->max_sessions = cfg->max_sessions;
	vm->quota = cfg->quota;
	vm->mib = cfg->memory;
	vm->cpus = cfg->cpus;
	vm->mounts = cfg->mounts == NULL ? NULL : strdup(cfg->mounts);
	vm->template = cfg->template == NULL ? NULL : strdup(cfg->template);
	snprintf(vm->name, sizeof(vm->name), "%s", cfg->name ? cfg->name : "");
	snprintf(vm->image, sizeof(vm->image), "%s", cfg->image);
	(void)image_files(&vm->d->home, vm->image, vm->files, NULL);
}

void vm_describe(const struct vm *vm, struct vm_config *out)
{
	*out = (struct vm_config){
		.backend = vm->ops->name,
		.image = vm->image,
		.net = vm->net,
		.idle_ms = vm->idle_ms,
		.cold_ms = vm->cold_ms,
		.max_sessions = vm->max_sessions,
		.quota = vm->quota,
		.memory = vm->mib,
		.cpus = vm->cpus,
		.mounts = vm->mounts,
	};
}

void vm_prepare(struct hibd *d, const struct vm_config *cfg, vm_done_cb cb,
		void *arg)
{
	struct creation *cr;
	struct err e = {0};

	if (vm_check(d, cfg, &e) < 0) {
		cb(NULL, &e, arg);
		return;
	}
	cr = calloc(1, sizeof(*cr));
	if (cr == NULL)
		abort();
	*cr = (struct creation){.vm = vm_new(d, cfg->id), .cb = cb, .arg = arg};
	vm_configure(cr->vm, cfg);
	if (cfg->workspace != NULL)
		cr->import = strdup(cfg->workspace);
	if (cfg->fork_of != NULL && cfg->base != NULL) {
		cr->source = strdup(cfg->fork_of->dir);
		cr->base = *cfg->base;
	}
	creation_begin(cr, cfg);
}

void vm_add_row(const struct vm *vm, struct change *c)
{
	autojw struct jw config = {0};

	jw_obj(&config);
	jw_kstr(&config, "backend", vm->ops->name);
	jw_kstr(&config, "net", vm->net == VM_NET_HOST ? "host" : "none");
	jw_kint(&config, "idle_ms", vm->idle_ms);
	jw_kint(&config, "cold_ms", vm->cold_ms);
	jw_kint(&config, "max_sessions", vm->max_sessions);
	jw_key(&config, "workspace");
	vm_put_workspace(vm, &config);
	if (vm->quota > 0)
		jw_kint(&config, "quota", vm->quota);
	if (vm->mib > 0)
		jw_kint(&config, "mib", vm->mib);
	if (vm->cpus > 0)
		jw_kint(&config, "cpus", vm->cpus);
	if (vm->mounts != NULL)
		jw_kraw(&config, "mounts", vm->mounts);
	if (vm->template != NULL)
		jw_kraw(&config, "template", vm->template);
	jw_obj_end(&config);
	change_add(c,
		   "INSERT INTO vm(id, name, image, state, generation, config, "
		   "created_ms, updated_ms) VALUES "
		   "(?1, ?2, ?3, 'stopped', 0, ?4, ?5, ?5)",
		   5, vm->id, vm->name[0] ? vm->name : NULL, vm->image,
		   config.buf, int_text(vm->created_ms));
}

void vm_keep(struct vm *vm)
{
	int r = graves_made(vm->dir);

	if (r < 0)
		log_warn("%s: %s", vm->dir, strerror(-r));
	vm_unlock(vm);
}

void vm_discard(struct vm *vm, const struct err *why)
{
	TAILQ_REMOVE(&vm->d->vms, vm, link);
	vm_tell(&vm->up, vm, why);
	vm_tell(&vm->down, vm, why);
	vm_remove_folder(vm);
	vm_free(vm);
}

/* Making one by itself. */
struct making {
	struct hibd *d;
	struct vm *vm;
	vm_done_cb cb;
	void *arg;
};

static void making_end(struct making *m, struct vm *vm, const struct err *e)
{
	m->cb(vm, e, m->arg);
	free(m);
}

static void making_on_stored(const struct err *e, void *arg)
{
	struct making *m = arg;

	struct err stops = {0};

	if (m->d->stopping) { /* The VM has been let go of. */
		err_set(&stops, -FAULT_DRAINING, "hibd stops");
		making_end(m, NULL, &stops);
		return;
	}
	if (e->code < 0) {
		vm_discard(m->vm, e);
		making_end(m, NULL, e);
		return;
	}
	vm_keep(m->vm);
	making_end(m, m->vm, e);
}

static void making_on_prepared(struct vm *vm, const struct err *e, void *arg)
{
	struct making *m = arg;
	struct change *c;

	if (e->code < 0) {
		making_end(m, NULL, e);
		return;
	}
	m->vm = vm;
	c = change_new();
	vm_add_row(vm, c);
	change_submit(m->d->store, c, making_on_stored, m);
}

void vm_create(struct hibd *d, const struct vm_config *cfg, vm_done_cb cb,
	       void *arg)
{
	struct making *m = calloc(1, sizeof(*m));

	if (m == NULL)
		abort();
	*m = (struct making){.d = d, .cb = cb, .arg = arg};
	vm_prepare(d, cfg, making_on_prepared, m);
}

/* --- loading ------------------------------------------------------------ */

static enum vm_state state_from_name(const char *name)
{
	for (size_t i = 0; i < VM_STATES; i++) {
		if (strcmp(vm_state_names[i], name) == 0)
			return (enum vm_state)i;
	}
	return VM_STOPPED;
}

/* Its machine runs.  One that slept is left asleep; what was on its way up or
 * down goes on, and all who wait are told when the link is up. */
static void vm_take_over(struct vm *vm, enum vm_state was)
{
	log_info("%s: taken over, pid %d", vm->id, (int)vm_pid(vm));
	vm->adopted = true;
	vm->began = uv_hrtime();
	if (was == VM_SUSPENDED && vm->memory == VM_MEMORY_RAM) {
		vm_sleep_warm(vm);
	} else if (vm->memory != VM_MEMORY_NONE) {
		vm->state = VM_RESUMING;
		vm_deadline(vm, vm->ops->wake_ms);
	} else {
		vm->state = VM_BOOTING;
	}
	vm_connect(vm);
}

/* It has none.  Memory on disk makes it sleep, whatever it was about to do; a
 * memory that is not there, cold. */
static void vm_recover_asleep(struct vm *vm, enum vm_state was)
{
	struct err e = {0};

	if (vm_memory_is_there(vm, &e)) {
		vm->memory = VM_MEMORY_DISK;
		vm->state = VM_SUSPENDED;
		if (was != VM_SUSPENDED)
			change_submit(vm->d->store, vm_change(vm), NULL, NULL);
	} else if (vm->memory != VM_MEMORY_NONE && was == VM_SUSPENDED) {
		vm_memory_lost(vm, e.msg);
	} else {
		vm->memory = VM_MEMORY_NONE;
	}
}

/* hibd starts: what became of this VM? */
static void vm_recover(struct vm *vm, enum vm_state was)
{
	struct vm_spec spec = vm_spec(vm);
	struct err e = {0};

	if (vm->ops->adopt(&vm->d->loop, &spec, &vm_machine_events, vm,
			   &vm->machine, &e) == 0) {
		vm_take_over(vm, was);
		return;
	}
	vm_recover_asleep(vm, was);
	if (vm_is_asleep(vm))
		return;
	log_warn("%s: was %s, its machine is gone", vm->id,
		 vm_state_names[was]);
	vm->state = VM_RUNNING;
	vm_lost(vm, "hibd was not there when it ended");
}

/* A list as it stands in a row; NULL: none. */
static char *raw_text(struct jv v)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	return jv_is(v, JV_ARRAY) ? strndup(raw, n) : NULL;
}

static void vm_load(struct hibd *d, struct jv row)
{
	struct jv config = jv_get(row, "config");
	char id[ID_MAX], text[64];
	struct vm *vm;

	if (jv_strcpy(jv_get(row, "id"), id, sizeof(id)) < 0)
		return;
	vm = vm_new(d, id);
	if (jv_strcpy(jv_get(config, "backend"), text, sizeof(text)) < 0)
		text[0] = '\0';
	vm->ops = backend_find(text);
	if (vm->ops == NULL) {
		log_error("%s: backend '%s' is unknown here", id, text);
		vm_free(vm);
		return;
	}
	(void)jv_strcpy(jv_get(row, "name"), vm->name, sizeof(vm->name));
	(void)jv_strcpy(jv_get(row, "image"), vm->image, sizeof(vm->image));
	(void)image_files(&d->home, vm->image, vm->files, NULL);
	(void)jv_strcpy(jv_get(row, "last_error"), vm->last_error,
			sizeof(vm->last_error));
	vm->net = jv_eq(jv_get(config, "net"), "host") ? VM_NET_HOST
						       : VM_NET_NONE;
	vm->idle_ms = jv_int(jv_get(config, "idle_ms"), VM_IDLE_MS);
	vm->cold_ms = jv_int(jv_get(config, "cold_ms"), VM_COLD_MS);
	vm_memory_read(vm, jv_get(config, "memory"));
	vm->max_sessions = jv_int(jv_get(config, "max_sessions"), VM_SESSIONS);
	vm_workspace_read(vm, jv_get(config, "workspace"));
	vm->quota = jv_int(jv_get(config, "quota"), 0);
	vm->mib = jv_int(jv_get(config, "mib"), 0);
	vm->cpus = jv_int(jv_get(config, "cpus"), 0);
	vm->mounts = raw_text(jv_get(config, "mounts"));
	vm->generation = jv_int(jv_get(row, "generation"), 0);
	vm->created_ms = jv_int(jv_get(row, "created_ms"), 0);
	if (jv_strcpy(jv_get(row, "state"), text, sizeof(text)) < 0)
		text[0] = '\0';
	vm->state = state_from_name(text);
	TAILQ_INSERT_TAIL(&d->vms, vm, link);
	vm_origin_read(vm, jv_get(config, "origin"));
	vm_recover(vm, vm->state);
}

/* Does the catalog say so of this VM?  @sql: with ?1. */
static bool is_so(struct hibd *d, const char *sql, const char *vm)
{
	const char *args[] = {vm, NULL};
	autofree char *found = NULL;

	return reader_value(d->reader, sql, args, &found, NULL) == 1;
}

/* A folder without a row that was destroyed, or not made to its end; any other
 * one is a riddle, and kept. */
static void vm_bury(struct hibd *d, const char *id)
{
	char dir[PATH_MAX];

	if (is_so(d, "SELECT id FROM vm WHERE id=?1", id) ||
	    snprintf(dir, sizeof(dir), "%s/%s", d->home.vms, id) >=
		    (int)sizeof(dir))
		return;
	if (is_so(d, "SELECT id FROM tombstone WHERE id=?1", id) ||
	    graves_is_unmade(dir))
		(void)graves_bury(dir);
	else
		log_warn("%s: no VM is known that this is the folder of", dir);
}

/* What an earlier hibd did not get to. */
static void vms_bury(struct hibd *d)
{
	struct dirent *entry;
	DIR *all = opendir(d->home.vms);

	while (all != NULL && (entry = readdir(all)) != NULL) {
		if (id_is(entry->d_name, "vm"))
			vm_bury(d, entry->d_name);
	}
	if (all != NULL)
		closedir(all);
	vms_sweep(d);
}

int vms_load(struct hibd *d, struct err *e)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct jv rows;
	int r;

	jw_arr(&w);
	r = reader_rows(d->reader, "SELECT * FROM vm ORDER BY created_ms, id",
			NULL, &w, e);
	jw_arr_end(&w);
	if (r < 0)
		return r;
	if (w.failed)
		return err_set(e, -ENOMEM, "VMs: out of memory");
	r = json_parse(&j, w.buf, w.len, e);
	if (r < 0)
		return r;
	rows = json_root(&j);
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row))
		vm_load(d, row);
	vms_bury(d);
	return 0;
}

void vms_release(struct hibd *d)
{
	struct vm *vm;

	while ((vm = TAILQ_FIRST(&d->vms)) != NULL) {
		struct err e = {0};

		TAILQ_REMOVE(&d->vms, vm, link);
		err_set(&e, -FAULT_DRAINING, "hibd stops");
		link_close(take_ptr(vm->channel));
		vm_close_objects(vm);
		if (vm->machine != NULL)
			vm->ops->release(take_ptr(vm->machine));
		vm_tell(&vm->up, vm, &e);
		vm_tell(&vm->down, vm, &e);
		vm->released = true;
		if (!vm->powering)
			vm_free(vm);
	}
}
