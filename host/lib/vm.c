// SPDX-License-Identifier: Apache-2.0
/*
 * vm.c - VMs, and the daemon that runs them
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "core/sse.h"
#include "host/lib/lib.h"

#define STOP_WAIT_MS 10000
#define STOP_STEP_MS 10

static struct jw path_of(const char *path)
{
	struct jw w = {0};

	jw_lit(&w, path, strlen(path));
	return w;
}

static void put_kstr(struct jw *w, const char *key, const char *s)
{
	if (s != NULL)
		jw_kstr(w, key, s);
}

/* "host:guest" or "host:guest:ro"; a path on the host may hold colons. */
static int put_mount(struct jw *w, const char *text, struct err *e)
{
	size_t n = strlen(text);
	bool ro = n > 3 && strcmp(text + n - 3, ":ro") == 0;
	const char *colon;

	n -= ro ? 3 : 0;
	colon = memrchr(text, ':', n);
	if (colon == NULL || colon == text || colon + 1 == text + n)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a mount is not host:guest or host:guest:ro");
	jw_obj(w);
	jw_key(w, "source");
	jw_strn(w, text, (size_t)(colon - text));
	jw_key(w, "target");
	jw_strn(w, colon + 1, n - (size_t)(colon + 1 - text));
	jw_kbool(w, "readOnly", ro);
	jw_obj_end(w);
	return 0;
}

static int put_mounts(struct jw *w, const char *const *mounts, struct err *e)
{
	int r = 0;

	if (mounts == NULL)
		return 0;
	jw_key(w, "mounts");
	jw_arr(w);
	for (; *mounts != NULL && r == 0; mounts++)
		r = put_mount(w, *mounts, e);
	jw_arr_end(w);
	return r;
}

/* --- with progress: the answer is the last event of a stream -------------- */

struct watched {
	const struct hib_vm_options *o;
	struct sse_reader sse;
	char *row;
	struct err err;
	bool over;
};

static void tell_progress(const struct watched *w, struct jv progress)
{
	struct hib_import_progress p = {
		.size = sizeof(p),
		.n = jv_int(jv_get(progress, "n"), 0),
		.total = jv_int(jv_get(progress, "total"), 0),
		.bytes = jv_int(jv_get(progress, "bytes"), 0),
	};
	autofree char *stage = jv_strdup(jv_get(progress, "stage"), NULL);

	p.stage = stage != NULL ? stage : "";
	w->o->on_import(&p, w->o->arg);
}

static void watched_on_sse(const struct sse_event *ev, void *arg)
{
	struct watched *w = arg;
	autojson struct json j = {0};

	if (w->over || json_parse(&j, ev->data, ev->len, NULL) < 0)
		return;
	if (strcmp(ev->event, "progress") == 0) {
		tell_progress(w, json_root(&j));
		return;
	}
	w->over = true;
	if (strcmp(ev->event, "error") == 0)
		(void)err_read(&w->err, json_root(&j));
	else
		w->row = strndup(ev->data, ev->len);
}

/* An attempt begins. */
static void watched_on_head(struct request *q)
{
	struct watched *w = q->arg;

	sse_reader_done(&w->sse);
	sse_reader_init(&w->sse, watched_on_sse, w);
}

static int watched_on_data(struct request *q, char *data, size_t n)
{
	struct watched *w = q->arg;

	return sse_reader_feed(&w->sse, data, n);
}

static int watched_result(struct watched *w, struct err *e)
{
	if (w->err.code < 0) {
		*e = w->err;
		return e->code;
	}
	if (!w->over)
		return err_set(e, -FAULT_GUEST_UNREACHABLE,
			       "hibd has not said what became of it");
	return w->row != NULL ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int post_watched(struct hib *h, const struct hib_vm_options *o,
			struct jw *path, struct jw *body, char **json,
			struct hib_error *e)
{
	struct watched w = {.o = o};
	struct request q = {
		.method = "POST",
		.path = path->buf,
		.body = body->buf,
		.body_len = body->len,
		.headers = "Accept: text/event-stream\r\n",
		.on_head = watched_on_head,
		.on_data = watched_on_data,
		.arg = &w,
	};
	struct err err = {0};
	int r;

	sse_reader_init(&w.sse, watched_on_sse, &w);
	r = request_run(h, &q, &err);
	if (r == 0)
		r = watched_result(&w, &err);
	if (r == 0 && json != NULL)
		*json = take_ptr(w.row);
	free(w.row);
	sse_reader_done(&w.sse);
	jw_done(&q.out);
	jw_done(path);
	jw_done(body);
	return lib_result(r, &err, e);
}

/* --- VMs ---------------------------------------------------------------- */

static int create_body(const struct hib_vm_options *o, char id[HIB_ID_MAX],
		       struct jw *body, struct err *e)
{
	int r;

	if (o->id != NULL && !id_is(o->id, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "'%.64s' is no VM id",
			       o->id);
	if (o->id != NULL)
		memcpy(id, o->id, strlen(o->id) + 1);
	else
		id_new(id, "vm");
	jw_obj(body);
	jw_kstr(body, "id", id);
	put_kstr(body, "name", o->name);
	put_kstr(body, "backend", o->backend);
	put_kstr(body, "image", o->image);
	put_kstr(body, "net", o->net);
	if (o->cold_ms != 0)
		jw_kint(body, "cold_ms", o->cold_ms < 0 ? 0 : o->cold_ms);
	if (o->idle_ms != 0)
		jw_kint(body, "idle_ms", o->idle_ms < 0 ? 0 : o->idle_ms);
	if (o->max_sessions != 0)
		jw_kint(body, "max_sessions", o->max_sessions);
	put_kstr(body, "workspace", o->workspace);
	if (o->quota != 0)
		jw_kint(body, "quota", o->quota);
	if (o->memory != 0)
		jw_kint(body, "memory", o->memory);
	if (o->cpus != 0)
		jw_kint(body, "cpus", o->cpus);
	if (o->no_boot)
		jw_kbool(body, "boot", false);
	if (o->no_template)
		jw_kbool(body, "template", false);
	r = put_mounts(body, o->mounts, e);
	if (r == 0)
		r = lib_put_json(body, "initialFiles", o->initial_files, e);
	jw_obj_end(body);
	return r;
}

int hib_vm_create(struct hib *h, const struct hib_vm_options *options,
		  char out_id[HIB_ID_MAX], char **json, struct hib_error *e)
{
	struct hib_vm_options o;
	struct jw path, body = {0};
	struct err err = {0};
	char id[HIB_ID_MAX];
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = create_body(&o, id, &body, &err);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	path = path_of("/v1/vms");
	if (o.on_import != NULL)
		r = post_watched(h, &o, &path, &body, json, e);
	else
		r = request_post(h, &path, &body, false, json, e);
	if (r == 0 && out_id != NULL)
		memcpy(out_id, id, sizeof(id));
	return r;
}

int hib_vm_list(struct hib *h, char **json, struct hib_error *e)
{
	struct jw path = path_of("/v1/vms");

	return request_get(h, &path, json, e);
}

int hib_vm_get(struct hib *h, const char *vm, char **json, struct hib_error *e)
{
	struct jw path = path_vm(vm, "");

	return request_get(h, &path, json, e);
}

int hib_vm_events(struct hib *h, const char *vm, char **json,
		  struct hib_error *e)
{
	struct jw path = path_vm(vm, "/events");

	return request_get(h, &path, json, e);
}

int hib_vm_wake(struct hib *h, const char *vm, char **json, struct hib_error *e)
{
	struct jw path = path_vm(vm, "/wake");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_vm_upgrade(struct hib *h, const char *vm, char **json,
		   struct hib_error *e)
{
	struct jw path = path_vm(vm, "/upgrade");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_vm_sleep(struct hib *h, const char *vm, char **json,
		 struct hib_error *e)
{
	struct jw path = path_vm(vm, "/sleep");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_vm_suspend(struct hib *h, const char *vm, bool or_cold, char **json,
		   struct hib_error *e)
{
	struct jw path = path_vm(vm, "/suspend"), body = {0};

	jw_obj(&body);
	jw_kbool(&body, "or_cold", or_cold);
	jw_obj_end(&body);
	return request_post(h, &path, &body, false, json, e);
}

int hib_vm_resume(struct hib *h, const char *vm, char **json,
		  struct hib_error *e)
{
	struct jw path = path_vm(vm, "/resume");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_vm_stop(struct hib *h, const char *vm, char **json, struct hib_error *e)
{
	struct jw path = path_vm(vm, "/stop");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_checkpoint(struct hib *h, const char *vm, char **json,
		   struct hib_error *e)
{
	struct jw path = path_vm(vm, "/files/checkpoint");

	return request_post(h, &path, NULL, true, json, e);
}

int hib_restore_files(struct hib *h, const char *vm, const char *to,
		      const char *const *paths, bool force, char **json,
		      struct hib_error *e)
{
	struct jw path = path_vm(vm, "/files/restore"), body = {0};

	jw_obj(&body);
	jw_kstr(&body, "to", to);
	if (paths != NULL) {
		jw_key(&body, "paths");
		jw_arr(&body);
		for (; *paths != NULL; paths++)
			jw_str(&body, *paths);
		jw_arr_end(&body);
	}
	if (force)
		jw_kbool(&body, "force", true);
	jw_obj_end(&body);
	return request_post(h, &path, &body, false, json, e);
}

/* --- fork --------------------------------------------------------------- */

static int fork_body(struct hib_vm_fork_options *o, char id[HIB_ID_MAX],
		     struct jw *body, struct err *e)
{
	if (o->id != NULL && !id_is(o->id, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "'%.64s' is no VM id",
			       o->id);
	if (o->id != NULL)
		memcpy(id, o->id, HIB_ID_MAX);
	else
		id_new(id, "vm");
	jw_obj(body);
	jw_kstr(body, "id", id);
	put_kstr(body, "name", o->name);
	put_kstr(body, "at", o->at);
	jw_obj_end(body);
	return 0;
}

/* One session into the new VM; a row of the answer. */
static int fork_one(struct hib *h, struct jv session, const char *vm,
		    struct jw *rows, struct hib_error *e)
{
	struct hib_fork_options f = {.size = sizeof(f), .vm = vm};
	char from[HIB_ID_MAX], at[24], id[HIB_ID_MAX];
	int r;

	if (jv_strcpy(jv_get(session, "id"), from, sizeof(from)) < 0)
		return 0;
	snprintf(at, sizeof(at), "%lld",
		 (long long)jv_int(jv_get(session, "at"), 0));
	f.at = at;
	r = hib_fork_session(h, from, &f, id, NULL, e);
	if (r < 0)
		return r;
	jw_obj(rows);
	jw_kstr(rows, "from", from);
	jw_kstr(rows, "id", id);
	jw_obj_end(rows);
	return 0;
}

/* All of them, or no VM. */
static int fork_sessions(struct hib *h, const char *vm, const char *made,
			 bool none, char **json, struct hib_error *e)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct jv sessions;
	int r = 0;

	(void)json_parse(&j, made, strlen(made), NULL);
	sessions = jv_get(json_root(&j), "sessions");
	jw_obj(&w);
	jw_kstr(&w, "vm", vm);
	jw_kvalue(&w, "from", jv_get(json_root(&j), "from"));
	jw_key(&w, "sessions");
	jw_arr(&w);
	for (struct jv s = jv_first(sessions); r == 0 && !none && jv_has(s);
	     s = jv_next(sessions, s))
		r = fork_one(h, s, vm, &w, e);
	jw_arr_end(&w);
	jw_obj_end(&w);
	if (r < 0) {
		(void)hib_vm_destroy(h, vm, true, NULL);
		return r;
	}
	if (json != NULL)
		*json = jw_take(&w, NULL);
	return 0;
}

int hib_vm_fork(struct hib *h, const char *vm,
		const struct hib_vm_fork_options *options,
		char out_id[HIB_ID_MAX], char **json, struct hib_error *e)
{
	struct hib_vm_fork_options o;
	struct jw path, body = {0};
	struct err err = {0};
	char id[HIB_ID_MAX];
	autofree char *made = NULL;
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = fork_body(&o, id, &body, &err);
	if (r < 0)
		return lib_result(r, &err, e);
	path = path_vm(vm, "/fork");
	r = request_post(h, &path, &body, false, &made, e);
	if (r == 0)
		r = fork_sessions(h, id, made, o.no_sessions, json, e);
	if (r == 0 && out_id != NULL)
		memcpy(out_id, id, sizeof(id));
	return r;
}

int hib_vm_destroy(struct hib *h, const char *vm, bool force,
		   struct hib_error *e)
{
	struct jw path = path_vm(vm, "");

	path_query(&path, "force", force ? "1" : NULL);
	return request_delete(h, &path, e);
}

/* --- the daemon --------------------------------------------------------- */

int hib_health(struct hib *h, char **json, struct hib_error *e)
{
	struct jw path = path_of("/v1/health");

	return request_get(h, &path, json, e);
}

/* hibd holds the lock as long as it lives. */
static int wait_until_gone(struct hib *h, struct err *e)
{
	char path[HOME_PATH_MAX + 16];
	autoclose int fd = -1;
	int r = 0;

	snprintf(path, sizeof(path), "%s/hibd.lock", h->home.root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	h->stopping = true;
	for (int ms = 0; fd >= 0 && r == 0; ms += STOP_STEP_MS) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			break;
		if (ms >= STOP_WAIT_MS)
			r = err_set(e, -FAULT_REQUEST_TIMEOUT,
				    "hibd does not end");
		else if (lib_pause(h, STOP_STEP_MS) < 0)
			r = err_set(e, -FAULT_CANCELLED, "interrupted");
	}
	h->stopping = false;
	return r;
}

int hib_shutdown(struct hib *h, bool vms, struct hib_error *e)
{
	struct jw path = path_of("/v1/shutdown");
	struct err err = {0};
	int r;

	path_query(&path, "vms", vms ? "stop" : NULL);
	r = request_post(h, &path, NULL, true, NULL, e);
	/* It may be gone before its answer has left. */
	if ((r < 0 && r != -HIB_GUEST_UNREACHABLE) || h->home.root[0] == '\0')
		return r;
	r = wait_until_gone(h, &err);
	return lib_result(r, &err, e);
}

int hib_list_agents(struct hib *h, char **json, struct hib_error *e)
{
	struct jw path = path_of("/v1/agents");

	return request_get(h, &path, json, e);
}

int hib_list_types(struct hib *h, char **json, struct hib_error *e)
{
	struct jw path = path_of("/v1/types");

	return request_get(h, &path, json, e);
}

int hib_create_token(struct hib *h, const char *session, const char *scope,
		     int64_t ttl_ms, char **json, struct hib_error *e)
{
	struct jw path = path_of("/v1/tokens");
	struct jw body = {0};

	jw_obj(&body);
	put_kstr(&body, "session", session);
	put_kstr(&body, "scope", scope);
	if (ttl_ms > 0)
		jw_kint(&body, "ttlMs", ttl_ms);
	jw_obj_end(&body);
	return request_post(h, &path, &body, true, json, e);
}
