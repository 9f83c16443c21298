// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.c - VMs as they were
 */
#include <string.h>

#include "host/lib/lib.h"

/* "/v1/snapshots/ID" and what follows. */
static struct jw path_snapshot(const char *id, const char *rest)
{
	struct jw w = {0};

	if (id == NULL || !id_is(id, "snp")) {
		w.failed = true;
		return w;
	}
	jw_lit(&w, "/v1/snapshots/", 14);
	jw_lit(&w, id, strlen(id));
	jw_lit(&w, rest, strlen(rest));
	return w;
}

static void put_kstr(struct jw *w, const char *key, const char *s)
{
	if (s != NULL)
		jw_kstr(w, key, s);
}

/* The id in an answer. */
static void take_id(const char *json, char id[HIB_ID_MAX])
{
	autojson struct json j = {0};

	id[0] = '\0';
	if (json_parse(&j, json, strlen(json), NULL) == 0)
		(void)jv_strcpy(jv_get(json_root(&j), "id"), id, HIB_ID_MAX);
}

int hib_snapshot_create(struct hib *h, const char *vm,
			const struct hib_snapshot_options *options,
			char id[HIB_ID_MAX], char **json, struct hib_error *e)
{
	struct hib_snapshot_options o;
	struct jw path, body = {0};
	struct err err = {0};
	autofree char *row = NULL;
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	path = path_vm(vm, "/snapshots");
	jw_obj(&body);
	put_kstr(&body, "label", o.label);
	put_kstr(&body, "kind", o.kind);
	jw_obj_end(&body);
	r = request_post(h, &path, &body, true, &row, e);
	if (r == 0 && id != NULL)
		take_id(row, id);
	if (r == 0 && json != NULL)
		*json = take_ptr(row);
	return r;
}

int hib_snapshot_list(struct hib *h, const char *vm, char **json,
		      struct hib_error *e)
{
	struct jw path = {0};

	if (vm != NULL)
		path = path_vm(vm, "/snapshots");
	else
		jw_lit(&path, "/v1/snapshots", 13);
	return request_get(h, &path, json, e);
}

int hib_snapshot_get(struct hib *h, const char *snapshot, char **json,
		     struct hib_error *e)
{
	struct jw path = path_snapshot(snapshot, "");

	return request_get(h, &path, json, e);
}

int hib_snapshot_verify(struct hib *h, const char *snapshot, char **json,
			struct hib_error *e)
{
	struct jw path = path_snapshot(snapshot, "/verify");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_snapshot_remove(struct hib *h, const char *snapshot,
			struct hib_error *e)
{
	struct jw path = path_snapshot(snapshot, "");

	return request_delete(h, &path, e);
}

int hib_vm_restore(struct hib *h, const char *snapshot, bool force, char **json,
		   struct hib_error *e)
{
	struct jw path = path_snapshot(snapshot, "/restore"), body = {0};

	jw_obj(&body);
	if (force)
		jw_kbool(&body, "force", true);
	jw_obj_end(&body);
	return request_post(h, &path, &body, true, json, e);
}

int hib_snapshot_fork(struct hib *h, const char *snapshot,
		      const struct hib_snapshot_fork_options *options,
		      char **json, struct hib_error *e)
{
	struct hib_snapshot_fork_options o;
	struct jw path, body = {0};
	struct err err = {0};
	bool of_vm = snapshot != NULL && !id_is(snapshot, "snp");
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	path = of_vm ? path_vm(snapshot, "/fork")
		     : path_snapshot(snapshot, "/fork");
	jw_obj(&body);
	if (of_vm)
		jw_kbool(&body, "memory", true);
	if (o.n > 0)
		jw_kint(&body, "n", o.n);
	put_kstr(&body, "name", o.name);
	jw_obj_end(&body);
	return request_post(h, &path, &body, true, json, e);
}

int hib_snapshot_import(struct hib *h, const char *folder, const char *vm,
			char **json, struct hib_error *e)
{
	struct jw path = {0}, body = {0};

	jw_lit(&path, "/v1/snapshots/import", 20);
	jw_obj(&body);
	jw_kstr(&body, "folder", folder);
	jw_kstr(&body, "vm", vm);
	jw_obj_end(&body);
	return request_post(h, &path, &body, true, json, e);
}
