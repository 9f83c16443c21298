// SPDX-License-Identifier: Apache-2.0
/*
 * warm.c - Images whose VMs begin with an agent that runs already
 */
#include "host/daemon/warm.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/catalog.h"
#include "host/daemon/snapshots.h"
#include "host/daemon/vm.h"
#include "host/views.h"

#define LOG_COMPONENT "warm"

/* --- one that fits ----------------------------------------------------------- */

/* What the memory has in it, or the disk beside it, is not to be chosen. */
static bool is_plain(const struct vm_config *cfg)
{
	return strcmp(cfg->backend, "qemu") == 0 && cfg->net == VM_NET_NONE &&
	       cfg->quota == 0 && cfg->memory == 0 && cfg->cpus == 0 &&
	       cfg->mounts == NULL && cfg->workspace == NULL &&
	       cfg->fork_of == NULL;
}

static int read_rows(struct hibd *d, struct jw *text, struct json *rows)
{
	struct err e = {0};

	jw_arr(text);
	if (views_warm(d->reader, text, &e) < 0)
		return e.code;
	jw_arr_end(text);
	return json_parse(rows, text->buf, text->len, &e);
}

/* The files of a new VM are those of the template: none. */
static bool has_no_files(struct hibd *d, const char *id)
{
	autosnapshot struct snapshot s = {0};

	return snapshots_find(d, id, &s, NULL) == 0 && s.memory &&
	       s.base[0] == '\0' && s.head[0] == '\0';
}

static bool take(struct hibd *d, struct jv row, const char *fingerprint,
		 struct warm *out)
{
	return jv_eq(jv_get(row, "fingerprint"), fingerprint) &&
	       jv_strcpy(jv_get(row, "snapshot"), out->snapshot, ID_MAX) > 0 &&
	       jv_strcpy(jv_get(row, "agent"), out->agent, sizeof(out->agent)) >
		       0 &&
	       has_no_files(d, out->snapshot);
}

bool warm_find(struct hibd *d, const struct vm_config *cfg, struct warm *out)
{
	char fingerprint[FINGERPRINT_MAX];
	autojw struct jw text = {0};
	autojson struct json rows = {0};

	if (!is_plain(cfg) || read_rows(d, &text, &rows) < 0)
		return false;
	for (struct jv v = jv_first(json_root(&rows)); jv_has(v);
	     v = jv_next(json_root(&rows), v))
		if (jv_eq(jv_get(v, "image"), cfg->image))
			return fingerprint_take(&d->home, cfg->image,
						fingerprint, NULL) == 0 &&
			       take(d, v, fingerprint, out);
	return false;
}

/* --- using it ---------------------------------------------------------------- */

struct use {
	struct hibd *d;
	char vm[ID_MAX];
	struct warm warm;
	warm_cb cb;
	void *arg;
};

static void use_on_stored(const struct err *e, void *arg)
{
	struct use *u = arg;
	struct vm *vm = vm_find(u->d, u->vm);
	struct err why = {0};

	if (e->code == 0 && vm != NULL &&
	    vm_set_origin(vm, u->warm.snapshot, &why) < 0) {
		log_warn("%s: %s, booting it", u->vm, why.msg);
		vm_forget_origin(vm);
	}
	snapshots_release(u->d, u->warm.snapshot);
	u->cb(e, u->arg);
	free(u);
}

void warm_use(struct hibd *d, struct vm *vm, const struct warm *w, warm_cb cb,
	      void *arg)
{
	struct use *u;
	struct change *c;
	char data[192];
	struct err e = {0};

	if (snapshots_hold(d, w->snapshot, &e) < 0) {
		log_info("%s: %s, booting it", vm_id(vm), e.msg);
		cb(&(struct err){0}, arg);
		return;
	}
	u = calloc(1, sizeof(*u));
	c = change_new();
	if (u == NULL)
		abort();
	*u = (struct use){.d = d, .warm = *w, .cb = cb, .arg = arg};
	snprintf(u->vm, sizeof(u->vm), "%s", vm_id(vm));
	vm_change_origin(c, u->vm, w->snapshot);
	change_add(c, "UPDATE vm SET from_snapshot=?2 WHERE id=?1", 2, u->vm,
		   w->snapshot);
	snprintf(data, sizeof(data), "{\"snapshot\":\"%s\",\"agent\":\"%s\"}",
		 w->snapshot, w->agent);
	change_add_vm_event(c, u->vm, "vm.prewarmed", data);
	change_submit(d->store, c, use_on_stored, u);
}

/* Its disk may be the template's by now, whose guest knows another VM. */
void warm_give_up(struct vm *vm)
{
	char path[PATH_MAX];

	log_warn("%s: does not go on from its template, booting it", vm_id(vm));
	vm_forget_origin(vm);
	if (snprintf(path, sizeof(path), "%s/disk/disk.img", vm_dir(vm)) <
	    (int)sizeof(path))
		(void)unlink(path);
}

/* --- making one -------------------------------------------------------------- */

int warm_describe(struct hibd *d, const char *image, const char *agent,
		  struct jw *out, struct err *e)
{
	char fingerprint[FINGERPRINT_MAX];
	int r = fingerprint_take(&d->home, image, fingerprint, e);

	if (r < 0)
		return r;
	jw_obj(out);
	jw_kstr(out, "image", image);
	jw_kstr(out, "agent", agent);
	jw_kstr(out, "fingerprint", fingerprint);
	jw_obj_end(out);
	return out->failed ? err_set(e, -ENOMEM, "image: out of memory") : 0;
}

void warm_add_snapshot(struct change *c, const char *vm, const char *snapshot)
{
	char now[32];

	snprintf(now, sizeof(now), "%lld", (long long)now_ms());
	change_add(c,
		   "UPDATE vm SET config=json_set(config,"
		   "'$.template.snapshot',?2,'$.template.created_ms',"
		   "CAST(?3 AS INTEGER)) WHERE id=?1",
		   3, vm, snapshot, now);
}

/* --- removing ---------------------------------------------------------------- */

static void drop_on_gone(struct vm *vm, const struct err *e, void *arg)
{
	(void)vm, (void)arg;
	if (e->code < 0) /* Until hibd starts. */
		log_info("a template stays: %s", e->msg);
}

/* A template, if it is of that image; NULL: of any. */
static struct vm *find_template(struct hibd *d, struct jv row,
				const char *image)
{
	char id[ID_MAX];

	if (jv_strcpy(jv_get(row, "vm"), id, sizeof(id)) < 0 ||
	    (image != NULL && !jv_eq(jv_get(row, "image"), image)))
		return NULL;
	return vm_find(d, id);
}

bool warm_is_needed(struct hibd *d, const char *image)
{
	autojw struct jw text = {0};
	autojson struct json rows = {0};

	if (read_rows(d, &text, &rows) < 0)
		return false;
	for (struct jv v = jv_first(json_root(&rows)); jv_has(v);
	     v = jv_next(json_root(&rows), v)) {
		const struct vm *vm = find_template(d, v, image);

		if (vm != NULL && snapshots_in_use(d, vm))
			return true;
	}
	return false;
}

static void drop(struct hibd *d, struct jv row, const char *image,
		 const char *keep)
{
	struct vm *vm = find_template(d, row, image);

	if (vm != NULL && (keep == NULL || strcmp(keep, vm_id(vm)) != 0))
		vm_off(vm, VM_OFF_DESTROY, drop_on_gone, NULL);
}

void warm_drop(struct hibd *d, const char *image, const char *keep)
{
	autojw struct jw text = {0};
	autojson struct json rows = {0};

	if (read_rows(d, &text, &rows) < 0)
		return;
	for (struct jv v = jv_first(json_root(&rows)); jv_has(v);
	     v = jv_next(json_root(&rows), v))
		drop(d, v, image, keep);
}

/* The newest of an image come first. */
static bool has_newer(struct jv rows, struct jv row)
{
	char image[PATH_MAX];

	if (jv_strcpy(jv_get(row, "image"), image, sizeof(image)) < 0)
		return false;
	for (struct jv v = jv_first(rows); v.i != row.i; v = jv_next(rows, v))
		if (jv_eq(jv_get(v, "image"), image))
			return true;
	return false;
}

void warm_load(struct hibd *d)
{
	autojw struct jw text = {0};
	autojson struct json rows = {0};

	if (read_rows(d, &text, &rows) < 0)
		return;
	for (struct jv v = jv_first(json_root(&rows)); jv_has(v);
	     v = jv_next(json_root(&rows), v))
		if (!jv_is(jv_get(v, "snapshot"), JV_STRING) ||
		    has_newer(json_root(&rows), v))
			drop(d, v, NULL, NULL);
}
