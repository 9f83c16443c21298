// SPDX-License-Identifier: Apache-2.0
/*
 * session.c - The life of sessions
 */
#include <string.h>

#include "host/lib/lib.h"

static void put_kstr(struct jw *w, const char *key, const char *s)
{
	if (s != NULL)
		jw_kstr(w, key, s);
}

static void put_kint(struct jw *w, const char *key, int64_t n)
{
	if (n > 0)
		jw_kint(w, key, n);
}

/* --- create ------------------------------------------------------------- */

static void put_tags(struct jw *w, const char *const *tags)
{
	if (tags == NULL)
		return;
	jw_key(w, "tags");
	jw_arr(w);
	for (; *tags != NULL; tags++)
		jw_str(w, *tags);
	jw_arr_end(w);
}

/* Rules, or one word. */
static int put_policy(struct jw *w, const char *policy, struct err *e)
{
	if (policy == NULL || strchr("{\" \t\r\n", policy[0]) != NULL)
		return lib_put_json(w, "policy", policy, e);
	jw_kstr(w, "policy", policy);
	return 0;
}

static int create_body(struct hib *h, const struct hib_session_options *o,
		       const char *id, struct jw *w, struct err *e)
{
	int r;

	if (o->agent == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "no agent given");
	jw_obj(w);
	put_kstr(w, "id", id);
	jw_kstr(w, "agent", o->agent);
	put_kstr(w, "vm", o->vm);
	put_kstr(w, "cwd", o->cwd);
	put_kstr(w, "title", o->title);
	put_kstr(w, "net", o->net);
	put_kstr(w, "additionalInstructions", o->instructions);
	put_kint(w, "startTimeoutMs", o->start_timeout_ms);
	put_kint(w, "permissionTimeoutMs", o->permission_timeout_ms);
	put_kint(w, "ttlMs", o->ttl_ms);
	put_kstr(w, "idempotencyKey", o->idempotency_key);
	if (o->skip_os_instructions)
		jw_kbool(w, "skipOsInstructions", true);
	put_tags(w, o->tags);
	if (o->mcp_aggregate)
		jw_kbool(w, "mcpAggregate", true);
	r = lib_put_env(w, o->env, o->env_secrets, e);
	if (r == 0)
		r = lib_put_json(w, "mcpServers", o->mcp_servers, e);
	if (r == 0)
		r = lib_put_json(w, "config", o->config, e);
	if (r == 0)
		r = put_policy(w, o->policy, e);
	if (r == 0)
		r = lib_put_json(w, "initialFiles", o->initial_files, e);
	if (r == 0 && o->tools != NULL)
		r = lib_put_json(w, "tools", o->tools, e);
	else if (r == 0)
		tools_put(h, w);
	jw_obj_end(w);
	if (r == 0 && w->failed)
		r = err_set(e, -ENOMEM, "out of memory");
	return r;
}

static int choose_id(const char *given, char id[HIB_ID_MAX], struct err *e)
{
	if (given == NULL) {
		id_new(id, "ses");
		return 0;
	}
	if (!id_is(given, "ses"))
		return err_set(e, -FAULT_INVALID_ID, "'%.64s' is no session id",
			       given);
	memcpy(id, given, HIB_ID_MAX);
	return 0;
}

/* The key may be that of an earlier call, which has made another id. */
static void take_id(const char *answer, char id[HIB_ID_MAX])
{
	autojson struct json j = {0};
	char text[HIB_ID_MAX];

	if (answer != NULL &&
	    json_parse(&j, answer, strlen(answer), NULL) == 0 &&
	    jv_strcpy(jv_path(json_root(&j), "session.id"), text,
		      sizeof(text)) > 0)
		memcpy(id, text, sizeof(text));
}

int hib_create_session(struct hib *h, const struct hib_session_options *options,
		       char out_id[HIB_ID_MAX], char **json,
		       struct hib_error *e)
{
	struct hib_session_options o;
	struct jw path = {0}, body = {0};
	autofree char *answer = NULL;
	struct err err = {0};
	char id[HIB_ID_MAX];
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = choose_id(o.id, id, &err);
	if (r == 0)
		r = create_body(h, &o, id, &body, &err);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	jw_lit(&path, "/v1/sessions", 12);
	r = request_post(h, &path, &body, false, &answer, e);
	if (r < 0)
		return r;
	take_id(answer, id);
	if (out_id != NULL)
		memcpy(out_id, id, sizeof(id));
	if (json != NULL)
		*json = take_ptr(answer);
	return o.tools != NULL ? r : tools_attach(h, id, e);
}

/* --- before there is one -------------------------------------------------- */

static int prewarm(struct hib *h, struct jw *path,
		   const struct hib_session_options *options, char **json,
		   struct hib_error *e)
{
	struct hib_session_options o;
	struct jw body = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = create_body(h, &o, NULL, &body, &err);
	if (r == 0)
		return request_post(h, path, &body, false, json, e);
	jw_done(path);
	jw_done(&body);
	return lib_result(r, &err, e);
}

static struct jw path_warm(const char *image)
{
	struct jw path = {0};

	jw_lit(&path, "/v1/images/", 11);
	path_encoded(&path, image != NULL ? image : "");
	jw_lit(&path, "/warm", 5);
	return path;
}

int hib_image_list(struct hib *h, char **json, struct hib_error *e)
{
	struct jw path = {0};

	jw_lit(&path, "/v1/images", 10);
	return request_get(h, &path, json, e);
}

int hib_image_warm(struct hib *h, const char *image,
		   const struct hib_session_options *o, char **json,
		   struct hib_error *e)
{
	struct jw path = path_warm(image);

	return prewarm(h, &path, o, json, e);
}

int hib_image_cool(struct hib *h, const char *image, struct hib_error *e)
{
	struct jw path = path_warm(image);

	return request_delete(h, &path, e);
}

int hib_vm_prewarm(struct hib *h, const char *vm,
		   const struct hib_session_options *o, char **json,
		   struct hib_error *e)
{
	struct jw path = path_vm(vm, "/prewarm");

	return prewarm(h, &path, o, json, e);
}

/* --- fork --------------------------------------------------------------- */

/* A turn's id, or the number of an event. */
static int put_at(struct jw *w, const char *at, struct err *e)
{
	char *end;
	long long seq;

	if (at == NULL)
		return 0;
	if (id_is(at, "trn")) {
		jw_kstr(w, "at", at);
		return 0;
	}
	errno = 0;
	seq = strtoll(at, &end, 10);
	if (errno != 0 || end == at || *end != '\0')
		return err_set(e, -FAULT_INVALID_ID,
			       "'%.64s' is neither a turn id nor a seq", at);
	jw_kint(w, "at", seq);
	return 0;
}

static int fork_body(const struct hib_fork_options *o, const char *id,
		     struct jw *w, struct err *e)
{
	int r;

	jw_obj(w);
	jw_kstr(w, "id", id);
	put_kstr(w, "title", o->title);
	put_kstr(w, "agent", o->agent);
	put_kstr(w, "model", o->model);
	put_kstr(w, "workspace", o->workspace);
	put_kstr(w, "vm", o->vm);
	if (o->start)
		jw_kbool(w, "start", true);
	put_tags(w, o->tags);
	r = lib_put_env(w, o->env, o->env_secrets, e);
	if (r == 0)
		r = lib_put_json(w, "mcpServers", o->mcp_servers, e);
	if (r == 0)
		r = put_at(w, o->at, e);
	jw_obj_end(w);
	if (r == 0 && w->failed)
		r = err_set(e, -ENOMEM, "out of memory");
	return r;
}

int hib_fork_session(struct hib *h, const char *session,
		     const struct hib_fork_options *options,
		     char out_id[HIB_ID_MAX], char **json, struct hib_error *e)
{
	struct hib_fork_options o;
	struct jw path, body = {0};
	struct err err = {0};
	char id[HIB_ID_MAX];
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = choose_id(o.id, id, &err);
	if (r == 0)
		r = fork_body(&o, id, &body, &err);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	path = path_session(session, "/fork");
	r = request_post(h, &path, &body, false, json, e);
	if (r == 0 && out_id != NULL)
		memcpy(out_id, id, sizeof(id));
	return r;
}

/* --- look --------------------------------------------------------------- */

int hib_list_persisted_sessions(struct hib *h,
				const struct hib_list_options *options,
				char **json, struct hib_error *e)
{
	struct hib_list_options o;
	struct jw path = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	jw_lit(&path, "/v1/sessions", 12);
	path_query(&path, "state", o.state);
	path_query(&path, "vm", o.vm);
	path_query(&path, "tag", o.tag);
	path_query(&path, "cursor", o.cursor);
	path_query(&path, "archived", o.archived ? "1" : NULL);
	if (o.limit > 0)
		path_query_int(&path, "limit", o.limit);
	return request_get(h, &path, json, e);
}

int hib_get_session(struct hib *h, const char *session, bool live, char **json,
		    struct hib_error *e)
{
	struct jw path = path_session(session, "");

	path_query(&path, "live", live ? "1" : NULL);
	return request_get(h, &path, json, e);
}

int hib_get_requests(struct hib *h, const char *session, char **json,
		     struct hib_error *e)
{
	return hib_get_view(h, session, "requests", json, e);
}

/* --- change ------------------------------------------------------------- */

int hib_update_session(struct hib *h, const char *session, const char *patch,
		       char **json, struct hib_error *e)
{
	struct jw path = path_session(session, "");
	struct request q = {
		.method = "PATCH",
		.path = path.buf,
		.body = patch,
		.body_len = strlen(patch),
	};
	int r = request_json(h, &q, json, e);

	jw_done(&path);
	return r;
}

int hib_resume_session(struct hib *h, const char *session, const char *restore,
		       char **json, struct hib_error *e)
{
	struct jw path = path_session(session, "/resume");
	struct jw body = {0};

	jw_obj(&body);
	put_kstr(&body, "restore", restore);
	jw_obj_end(&body);
	return request_post(h, &path, &body, false, json, e);
}

static int post_force(struct hib *h, struct jw *path, bool force, char **json,
		      struct hib_error *e)
{
	struct jw body = {0};

	jw_obj(&body);
	jw_kbool(&body, "force", force);
	jw_obj_end(&body);
	return request_post(h, path, &body, false, json, e);
}

int hib_suspend_session(struct hib *h, const char *session, bool force,
			char **json, struct hib_error *e)
{
	struct jw path = path_session(session, "/suspend");

	return post_force(h, &path, force, json, e);
}

int hib_close_session(struct hib *h, const char *session, bool force,
		      char **json, struct hib_error *e)
{
	struct jw path = path_session(session, "/close");

	return post_force(h, &path, force, json, e);
}

int hib_archive_session(struct hib *h, const char *session, bool archived,
			char **json, struct hib_error *e)
{
	struct jw path =
		path_session(session, archived ? "/archive" : "/unarchive");

	return request_post(h, &path, NULL, false, json, e);
}

int hib_destroy_session(struct hib *h, const char *session, bool discard,
			struct hib_error *e)
{
	struct jw path = path_session(session, "");

	path_query(&path, "discard", discard ? "1" : NULL);
	return request_delete(h, &path, e);
}

static int answer_body(const struct hib_answer *a, struct jw *w, struct err *e)
{
	int r;

	if (a->option != NULL && a->action != NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "an answer has an option or an action");
	jw_obj(w);
	put_kstr(w, "option", a->option);
	put_kstr(w, "action", a->action);
	if (a->option == NULL && a->action == NULL)
		jw_kstr(w, "outcome", "cancelled");
	put_kstr(w, "actor", a->actor);
	r = lib_put_json(w, "content", a->content, e);
	jw_obj_end(w);
	return r;
}

int hib_answer(struct hib *h, const char *session, const char *request,
	       const struct hib_answer *answer, struct hib_error *e)
{
	struct hib_answer a;
	struct jw path = {0}, body = {0};
	struct err err = {0};
	int r = lib_options(&a, sizeof(a), answer, &err);

	if (r == 0)
		r = answer_body(&a, &body, &err);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	if (request != NULL && id_is(request, "req"))
		path = path_session(session, "/requests/");
	if (path.len > 0)
		jw_lit(&path, request, strlen(request));
	return request_post(h, &path, &body, true, NULL, e);
}

int hib_answer_request(struct hib *h, const char *session, const char *request,
		       const char *option, struct hib_error *e)
{
	const struct hib_answer a = {.size = sizeof(a), .option = option};

	return hib_answer(h, session, request, &a, e);
}

/* --- attach ------------------------------------------------------------- */

int hib_attach_session(struct hib *h, const char *session, bool read_only,
		       char **json, struct hib_error *e)
{
	struct jw path = path_session(session, "/attach"), body = {0};

	jw_obj(&body);
	jw_kbool(&body, "readOnly", read_only);
	jw_obj_end(&body);
	return request_post(h, &path, &body, false, json, e);
}

/* --- cursors ------------------------------------------------------------ */

/* Names that are none make a path that is none. */
static struct jw path_cursor(const char *session, const char *name)
{
	struct jw path = path_session(session, "/cursors/");

	if (path.len > 0 && name[0] != '\0' &&
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
		    '\0')
		jw_lit(&path, name, strlen(name));
	return path;
}

int hib_set_cursor(struct hib *h, const char *session, const char *name,
		   int64_t seq, struct hib_error *e)
{
	struct jw path = path_cursor(session, name), body = {0};
	struct request q = {.method = "PUT", .path = path.buf};
	int r;

	jw_obj(&body);
	jw_kint(&body, "seq", seq);
	jw_obj_end(&body);
	q.body = body.buf;
	q.body_len = body.len;
	r = request_json(h, &q, NULL, e);
	jw_done(&body);
	jw_done(&path);
	return r;
}

int hib_delete_cursor(struct hib *h, const char *session, const char *name,
		      struct hib_error *e)
{
	struct jw path = path_cursor(session, name);

	return request_delete(h, &path, e);
}

int hib_get_usage(struct hib *h, const char *session, bool tree, char **json,
		  struct hib_error *e)
{
	struct jw path = path_session(session, "/usage");

	path_query(&path, "tree", tree ? "1" : NULL);
	return request_get(h, &path, json, e);
}
