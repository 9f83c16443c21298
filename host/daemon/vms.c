// SPDX-License-Identifier: Apache-2.0
/*
 * vms.c - All VMs: made, found again when hibd starts, let go when it stops
 *
 * What the catalog says of a VM is a memory; what counts is whether its machine
 * runs.  One that does is taken over and, once its link is up, is as if this
 * hibd had booted it.  One that should run and does not is lost.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/vm_impl.h"
#include "host/tree.h"

#define LOG_COMPONENT "vm"

/* --- folders ------------------------------------------------------------ */

struct removal {
	uv_work_t work;
	char dir[PATH_MAX];
};

/* Files of a guest: symbolic links are removed, never followed. */
static void removal_work(uv_work_t *w)
{
	struct removal *r = w->data;
	int error = tree_remove(r->dir);

	if (error < 0)
		log_warn("%s: %s", r->dir, strerror(-error));
}

static void removal_on_done(uv_work_t *w, int status)
{
	(void)status;
	free(w->data);
}

/* The folder moves aside at once and goes away off the loop. */
void vm_remove_folder(struct vm *vm)
{
	struct removal *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return;
	if (snprintf(r->dir, sizeof(r->dir), "%s.gone", vm->dir) >=
		    (int)sizeof(r->dir) ||
	    rename(vm->dir, r->dir) < 0) {
		free(r);
		return;
	}
	r->work.data = r;
	if (uv_queue_work(&vm->d->loop, &r->work, removal_work,
			  removal_on_done) < 0)
		free(r);
}

/* --- making ------------------------------------------------------------- */

static void vm_on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void vm_free(struct vm *vm)
{
	uv_close((uv_handle_t *)&vm->timer, vm_on_timer_closed);
}

static struct vm *vm_new(struct hibd *d, const char *id)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (vm == NULL)
		return NULL;
	vm->d = d;
	vm->state = VM_STOPPED;
	vm->created_ms = now_ms();
	vm->workspace.n = 1;
	STAILQ_INIT(&vm->up);
	STAILQ_INIT(&vm->down);
	if (id != NULL)
		snprintf(vm->id, sizeof(vm->id), "%s", id);
	else
		id_new(vm->id, "vm");
	snprintf(vm->dir, sizeof(vm->dir), "%s/%s", d->home.vms, vm->id);
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

static int vm_check(struct hibd *d, const struct vm_config *cfg, struct err *e)
{
	struct stat st;

	if (cfg->id != NULL && !id_is(cfg->id, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "'%.40s' is no VM id",
			       cfg->id);
	if (cfg->id != NULL && vm_find(d, cfg->id) != NULL)
		return err_set(e, -FAULT_ALREADY_EXISTS, "%s exists", cfg->id);
	if (cfg->name != NULL && !name_is_good(cfg->name))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "VM name '%.80s': letters, digits, . _ - only, "
			       "at most %d",
			       cfg->name, VM_NAME_MAX);
	if (cfg->name != NULL && vm_find(d, cfg->name) != NULL)
		return err_set(e, -FAULT_ALREADY_EXISTS, "a VM named %s exists",
			       cfg->name);
	if (backend_find(cfg->backend) == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "backend '%.40s' is unknown", cfg->backend);
	if (strcmp(cfg->image, "host") != 0 &&
	    (cfg->image[0] != '/' || stat(cfg->image, &st) < 0 ||
	     !S_ISDIR(st.st_mode)))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "image '%.200s' is neither 'host' nor a rootfs "
			       "directory",
			       cfg->image);
	if (cfg->idle_ms < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "idle_ms %lld",
			       (long long)cfg->idle_ms);
	if (cfg->max_sessions < 1 || cfg->max_sessions > VM_SESSIONS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "max_sessions %lld: 1 to %d",
			       (long long)cfg->max_sessions, VM_SESSIONS_MAX);
	return 0;
}

static int vm_make_disk(struct vm *vm, struct err *e)
{
	struct vm_spec spec = vm_spec(vm);
	int r;

	if (mkdir(vm->dir, 0700) < 0)
		return err_set(e, -errno, "%s: %s", vm->dir, strerror(errno));
	r = vm->ops->create(&spec, e);
	if (r < 0)
		(void)tree_remove(vm->dir);
	return r;
}

struct creation {
	struct vm *vm;
	vm_done_cb cb;
	void *arg;
};

static void vm_on_row_stored(const struct err *e, void *arg)
{
	struct creation *cr = arg;
	struct vm *vm = cr->vm;

	if (e->code < 0) {
		TAILQ_REMOVE(&vm->d->vms, vm, link);
		vm_remove_folder(vm);
		vm_free(vm);
		vm = NULL;
	}
	cr->cb(vm, e, cr->arg);
	free(cr);
}

static void vm_insert_row(struct vm *vm, struct creation *cr)
{
	struct change *c = change_new();
	autojw struct jw config = {0};

	jw_obj(&config);
	jw_kstr(&config, "backend", vm->ops->name);
	jw_kstr(&config, "net", vm->net == VM_NET_HOST ? "host" : "none");
	jw_kint(&config, "idle_ms", vm->idle_ms);
	jw_kint(&config, "max_sessions", vm->max_sessions);
	jw_key(&config, "workspace");
	vm_workspace_write(vm, &config);
	jw_obj_end(&config);
	change_add(c,
		   "INSERT INTO vm(id, name, image, state, generation, config, "
		   "created_ms, updated_ms) VALUES "
		   "(?1, ?2, ?3, 'stopped', 0, ?4, ?5, ?5)",
		   5, vm->id, vm->name[0] ? vm->name : NULL, vm->image,
		   config.buf, int_text(vm->created_ms));
	change_submit(vm->d->store, c, vm_on_row_stored, cr);
}

void vm_create(struct hibd *d, const struct vm_config *cfg, vm_done_cb cb,
	       void *arg)
{
	struct err e = {0};
	struct creation *cr;
	struct vm *vm;

	if (vm_check(d, cfg, &e) < 0) {
		cb(NULL, &e, arg);
		return;
	}
	vm = vm_new(d, cfg->id);
	cr = calloc(1, sizeof(*cr));
	if (vm == NULL || cr == NULL)
		abort(); /* Out of memory for a few hundred bytes. */
	vm->ops = backend_find(cfg->backend);
	vm->net = cfg->net;
	vm->idle_ms = cfg->idle_ms;
	vm->max_sessions = cfg->max_sessions;
	snprintf(vm->name, sizeof(vm->name), "%s", cfg->name ? cfg->name : "");
	snprintf(vm->image, sizeof(vm->image), "%s", cfg->image);
	if (vm_make_disk(vm, &e) < 0) {
		vm_free(vm);
		free(cr);
		cb(NULL, &e, arg);
		return;
	}
	TAILQ_INSERT_TAIL(&d->vms, vm, link);
	*cr = (struct creation){.vm = vm, .cb = cb, .arg = arg};
	vm_insert_row(vm, cr);
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

/* hibd starts: what became of this VM? */
static void vm_recover(struct vm *vm, enum vm_state was)
{
	struct vm_spec spec = vm_spec(vm);
	struct err e = {0};
	int r;

	r = vm->ops->adopt(&vm->d->loop, &spec, &vm_machine_events, vm,
			   &vm->machine, &e);
	if (r == 0) {
		log_info("%s: taken over, pid %d", vm->id, (int)vm_pid(vm));
		/* BOOTING until the link is up: then all who wait are told. */
		vm->state = VM_BOOTING;
		vm->adopted = true;
		vm->boot_began = uv_hrtime();
		vm_connect(vm);
		return;
	}
	if (was == VM_STOPPED || was == VM_SUSPENDED || was == VM_FAILED)
		return;
	log_warn("%s: was %s, its machine is gone", vm->id,
		 vm_state_names[was]);
	vm->state = VM_RUNNING;
	vm_lost(vm, "hibd was not there when it ended");
}

static void vm_load(struct hibd *d, struct jv row)
{
	struct jv config = jv_get(row, "config");
	char id[ID_MAX], text[64];
	struct vm *vm;

	if (jv_strcpy(jv_get(row, "id"), id, sizeof(id)) < 0)
		return;
	vm = vm_new(d, id);
	if (vm == NULL)
		abort();
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
	(void)jv_strcpy(jv_get(row, "last_error"), vm->last_error,
			sizeof(vm->last_error));
	vm->net = jv_eq(jv_get(config, "net"), "host") ? VM_NET_HOST
						       : VM_NET_NONE;
	vm->idle_ms = jv_int(jv_get(config, "idle_ms"), VM_IDLE_MS);
	vm->max_sessions = jv_int(jv_get(config, "max_sessions"), VM_SESSIONS);
	vm_workspace_read(vm, jv_get(config, "workspace"));
	vm->generation = jv_int(jv_get(row, "generation"), 0);
	vm->created_ms = jv_int(jv_get(row, "created_ms"), 0);
	if (jv_strcpy(jv_get(row, "state"), text, sizeof(text)) < 0)
		text[0] = '\0';
	vm->state = state_from_name(text);
	TAILQ_INSERT_TAIL(&d->vms, vm, link);
	vm_recover(vm, vm->state);
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
		if (vm->machine != NULL)
			vm->ops->release(take_ptr(vm->machine));
		vm_tell(&vm->up, vm, &e);
		vm_tell(&vm->down, vm, &e);
		vm->released = true;
		if (!vm->powering)
			vm_free(vm);
	}
}
