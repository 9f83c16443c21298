// SPDX-License-Identifier: Apache-2.0
/*
 * api.c - The HTTP API: routes, tokens, and what belongs to no other file
 *
 * A request without a token on the unix socket is the owner's: the socket's
 * mode is its lock.  A token narrows a request to one session and a scope; a
 * session outside it does not exist for it.  Over TCP a token is required.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/routes.h"
#include "host/manifest.h"

#define LOG_COMPONENT "api"
#define TOKEN_BYTES   32
#define TTL_MAX_MS    (3650LL * 24 * 3600 * 1000)

static void health_route(struct op *op);
static void shutdown_route(struct op *op);
static void agents_route(struct op *op);
static void types_route(struct op *op);
static void token_create_route(struct op *op);

/* `:vm`, `:id`, `:snp`, `:req` and `:mcp` stand for one segment; `*` and `:name` are any last
 * one, and `:key` is all that is left. */
static const struct route {
	const char *method, *pattern;
	enum scope scope;
	void (*run)(struct op *op);
} routes[] = {
	{"GET", "/v1/health", SCOPE_READ, health_route},
	{"GET", "/metrics", SCOPE_READ, metrics_route},
	{"POST", "/v1/shutdown", SCOPE_ADMIN, shutdown_route},
	{"GET", "/v1/vms", SCOPE_ADMIN, vm_list_route},
	{"POST", "/v1/vms", SCOPE_ADMIN, vm_create_route},
	{"GET", "/v1/vms/:vm", SCOPE_ADMIN, vm_get_route},
	{"DELETE", "/v1/vms/:vm", SCOPE_ADMIN, vm_destroy_route},
	{"GET", "/v1/vms/:vm/events", SCOPE_ADMIN, vm_events_route},
	{"POST", "/v1/vms/:vm/wake", SCOPE_ADMIN, vm_wake_route},
	{"POST", "/v1/vms/:vm/sleep", SCOPE_ADMIN, vm_sleep_route},
	{"POST", "/v1/vms/:vm/suspend", SCOPE_ADMIN, vm_suspend_route},
	{"POST", "/v1/vms/:vm/resume", SCOPE_ADMIN, vm_resume_route},
	{"POST", "/v1/vms/:vm/stop", SCOPE_ADMIN, vm_stop_route},
	{"POST", "/v1/vms/:vm/upgrade", SCOPE_ADMIN, vm_upgrade_route},
	{"POST", "/v1/vms/:vm/fork", SCOPE_ADMIN, vm_fork_route},
	{"POST", "/v1/vms/:vm/exec", SCOPE_ADMIN, vm_exec_route},
	{"POST", "/v1/vms/:vm/prewarm", SCOPE_ADMIN, vm_prewarm_route},
	{"POST", "/v1/vms/:vm/files/checkpoint", SCOPE_ADMIN,
	 vm_checkpoint_route},
	{"POST", "/v1/vms/:vm/files/restore", SCOPE_ADMIN, vm_restore_route},
	{"GET", "/v1/vms/:vm/files/list", SCOPE_READ, files_list_route},
	{"GET", "/v1/vms/:vm/files/stat", SCOPE_READ, files_stat_route},
	{"GET", "/v1/vms/:vm/files/content", SCOPE_READ, files_read_route},
	{"DELETE", "/v1/vms/:vm/files/content", SCOPE_ADMIN,
	 files_delete_route},
	{"GET", "/v1/vms/:vm/files/watch", SCOPE_READ, files_watch_route},
	{"POST", "/v1/vms/:vm/files/grep", SCOPE_READ, files_ask_route},
	{"POST", "/v1/vms/:vm/files/read", SCOPE_READ, files_ask_route},
	{"POST", "/v1/vms/:vm/files/write", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/files/mkdir", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/files/move", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/files/copy", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/files/remove", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/files/chmod", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/files/symlink", SCOPE_ADMIN, files_change_route},
	{"POST", "/v1/vms/:vm/restore", SCOPE_ADMIN, vm_restore_snapshot_route},
	{"GET", "/v1/vms/:vm/snapshots", SCOPE_ADMIN, snapshot_list_route},
	{"POST", "/v1/vms/:vm/snapshots", SCOPE_ADMIN, snapshot_create_route},
	{"GET", "/v1/snapshots", SCOPE_ADMIN, snapshot_list_route},
	{"POST", "/v1/snapshots/import", SCOPE_ADMIN, snapshot_import_route},
	{"GET", "/v1/snapshots/:snp", SCOPE_ADMIN, snapshot_get_route},
	{"DELETE", "/v1/snapshots/:snp", SCOPE_ADMIN, snapshot_remove_route},
	{"POST", "/v1/snapshots/:snp/restore", SCOPE_ADMIN,
	 snapshot_restore_route},
	{"POST", "/v1/snapshots/:snp/fork", SCOPE_ADMIN, snapshot_fork_route},
	{"POST", "/v1/snapshots/:snp/verify", SCOPE_ADMIN,
	 snapshot_verify_route},
	{"GET", "/v1/sessions", SCOPE_READ, session_list_route},
	{"POST", "/v1/sessions", SCOPE_ADMIN, session_create_route},
	{"GET", "/v1/sessions/:id", SCOPE_READ, session_get_route},
	{"PATCH", "/v1/sessions/:id", SCOPE_ADMIN, session_update_route},
	{"DELETE", "/v1/sessions/:id", SCOPE_ADMIN, session_destroy_route},
	{"POST", "/v1/sessions/:id/prompt", SCOPE_PROMPT, session_prompt_route},
	{"POST", "/v1/sessions/:id/cancel", SCOPE_PROMPT, session_cancel_route},
	{"POST", "/v1/sessions/:id/resume", SCOPE_ADMIN, session_resume_route},
	{"POST", "/v1/sessions/:id/attach", SCOPE_READ, session_attach_route},
	{"POST", "/v1/sessions/:id/fork", SCOPE_ADMIN, session_fork_route},
	{"POST", "/v1/sessions/:id/suspend", SCOPE_ADMIN,
	 session_suspend_route},
	{"POST", "/v1/sessions/:id/close", SCOPE_ADMIN, session_close_route},
	{"POST", "/v1/sessions/:id/archive", SCOPE_ADMIN,
	 session_archive_route},
	{"POST", "/v1/sessions/:id/unarchive", SCOPE_ADMIN,
	 session_unarchive_route},
	{"POST", "/v1/sessions/:id/requests/:req", SCOPE_ANSWER,
	 session_answer_route},
	{"PUT", "/v1/sessions/:id/tools", SCOPE_ADMIN, session_tools_route},
	{"POST", "/v1/sessions/:id/tools/results", SCOPE_ANSWER,
	 tool_results_route},
	{"POST", "/v1/sessions/:id/tools/progress", SCOPE_ANSWER,
	 tool_progress_route},
	{"GET", "/v1/sessions/:id/events", SCOPE_READ, session_events_route},
	{"GET", "/v1/sessions/:id/stream", SCOPE_READ, session_stream_route},
	{"GET", "/v1/sessions/:id/messages", SCOPE_READ,
	 session_messages_route},
	{"GET", "/v1/sessions/:id/export", SCOPE_READ, session_export_route},
	{"GET", "/v1/sessions/:id/config", SCOPE_READ, session_config_route},
	{"GET", "/v1/sessions/:id/usage", SCOPE_READ, session_usage_route},
	{"GET", "/v1/sessions/:id/cursors/:name", SCOPE_READ, cursor_get_route},
	{"PUT", "/v1/sessions/:id/cursors/:name", SCOPE_READ, cursor_set_route},
	{"DELETE", "/v1/sessions/:id/cursors/:name", SCOPE_READ,
	 cursor_delete_route},
	{"GET", "/v1/sessions/:id/kv", SCOPE_READ, kv_list_route},
	{"GET", "/v1/sessions/:id/kv/:key", SCOPE_READ, kv_get_route},
	{"PUT", "/v1/sessions/:id/kv/:key", SCOPE_PROMPT, kv_set_route},
	{"DELETE", "/v1/sessions/:id/kv/:key", SCOPE_PROMPT, kv_delete_route},
	{"GET", "/v1/sessions/:id/memory", SCOPE_READ, memory_list_route},
	{"GET", "/v1/sessions/:id/memory/:key", SCOPE_READ, memory_get_route},
	{"PUT", "/v1/sessions/:id/memory/:key", SCOPE_PROMPT, memory_set_route},
	{"DELETE", "/v1/sessions/:id/memory/:key", SCOPE_PROMPT,
	 memory_delete_route},
	{"POST", "/v1/sessions/:id/summaries", SCOPE_PROMPT, summary_add_route},
	{"GET", "/v1/sessions/:id/sql", SCOPE_READ, sql_list_route},
	{"GET", "/v1/sessions/:id/sql/:name", SCOPE_READ, sql_schema_route},
	{"POST", "/v1/sessions/:id/sql/:name", SCOPE_PROMPT, sql_run_route},
	{"DELETE", "/v1/sessions/:id/sql/:name", SCOPE_PROMPT, sql_drop_route},
	{"GET", "/v1/sessions/:id/artifacts/:name", SCOPE_READ,
	 artifact_get_route},
	{"GET", "/v1/sessions/:id/mcp/:mcp/tools", SCOPE_READ, mcp_tools_route},
	{"POST", "/v1/sessions/:id/mcp/:mcp/call", SCOPE_PROMPT,
	 mcp_call_route},
	{"POST", "/v1/sessions/:id/mcp/:mcp", SCOPE_PROMPT, mcp_door_route},
	{"GET", "/v1/sessions/:id/mcp/:mcp", SCOPE_PROMPT, mcp_door_route},
	{"DELETE", "/v1/sessions/:id/mcp/:mcp", SCOPE_PROMPT, mcp_door_route},
	{"GET", "/v1/sessions/:id/*", SCOPE_READ, session_rows_route},
	{"GET", "/v1/search", SCOPE_READ, search_route},
	{"GET", "/v1/secrets", SCOPE_ADMIN, secret_list_route},
	{"PUT", "/v1/secrets/:name", SCOPE_ADMIN, secret_set_route},
	{"DELETE", "/v1/secrets/:name", SCOPE_ADMIN, secret_delete_route},
	{"GET", "/v1/agents", SCOPE_READ, agents_route},
	{"GET", "/v1/images", SCOPE_READ, image_list_route},
	{"POST", "/v1/images/:image/warm", SCOPE_ADMIN, image_warm_route},
	{"DELETE", "/v1/images/:image/warm", SCOPE_ADMIN, image_cool_route},
	{"GET", "/v1/types", SCOPE_READ, types_route},
	{"POST", "/v1/tokens", SCOPE_ADMIN, token_create_route},
};

static const char *const scope_names[] = {
	[SCOPE_READ] = "read",
	[SCOPE_PROMPT] = "prompt",
	[SCOPE_ANSWER] = "answer",
	[SCOPE_ADMIN] = "admin",
};

/* --- matching ----------------------------------------------------------- */

/* Cut the next segment off @*path into @out.  Return: its length or -1. */
static int next_segment(const char **path, char *out, size_t cap)
{
	const char *p = *path;
	size_t n;

	if (*p != '/')
		return -1;
	p++;
	n = strcspn(p, "/");
	if (n >= cap)
		return -1;
	memcpy(out, p, n);
	out[n] = '\0';
	*path = p + n;
	return (int)n;
}

static bool route_matches(const char *pattern, const char *path)
{
	char want[64], got[256];

	while (*pattern != '\0' && *path != '\0') {
		if (strcmp(pattern, "/:key") == 0)
			return path[0] == '/' && path[1] != '\0';
		if (next_segment(&pattern, want, sizeof(want)) < 0 ||
		    next_segment(&path, got, sizeof(got)) <= 0)
			return false;
		if (want[0] != ':' && want[0] != '*' && strcmp(want, got) != 0)
			return false;
	}
	return *pattern == '\0' && *path == '\0';
}

/* Path parameters into the op; a malformed id answers it. */
static bool op_take_path(struct op *op, const char *pattern, const char *path)
{
	char want[64], got[256] = "";

	while (next_segment(&pattern, want, sizeof(want)) > 0 &&
	       next_segment(&path, got, sizeof(got)) > 0) {
		if (strcmp(want, ":vm") == 0) {
			if (snprintf(op->vm, sizeof(op->vm), "%s", got) >=
			    (int)sizeof(op->vm))
				op->vm[0] = '\0';
		} else if (strcmp(want, ":id") == 0) {
			if (!id_is(got, "ses")) {
				op_refuse(op, -FAULT_INVALID_ID,
					  "'%.80s' is no session id", got);
				return false;
			}
			memcpy(op->session, got, ID_MAX);
		} else if (strcmp(want, ":req") == 0) {
			if (!id_is(got, "req")) {
				op_refuse(op, -FAULT_INVALID_ID,
					  "'%.80s' is no request id", got);
				return false;
			}
			memcpy(op->request, got, ID_MAX);
		} else if (strcmp(want, ":snp") == 0) {
			if (!id_is(got, "snp")) {
				op_refuse(op, -FAULT_INVALID_ID,
					  "'%.80s' is no snapshot id", got);
				return false;
			}
			memcpy(op->snapshot, got, ID_MAX);
		} else if (strcmp(want, ":image") == 0) {
			snprintf(op->image, sizeof(op->image), "%.*s",
				 IMAGE_NAME_MAX, got);
		} else if (strcmp(want, ":mcp") == 0) {
			if (snprintf(op->server, sizeof(op->server), "%s",
				     got) >= (int)sizeof(op->server))
				op->server[0] = '\0';
		}
	}
	path = strrchr(http_path(op->r), '/');
	snprintf(op->what, sizeof(op->what), "%s", path ? path + 1 : "");
	return true;
}

/* --- tokens ------------------------------------------------------------- */

/* Ends with its session, unless it is only for reading. */
static bool token_is_over(const struct op *op, struct jv row)
{
	struct jv state = jv_get(row, "state");

	return jv_int(jv_get(row, "expires_ms"), 0) < now_ms() ||
	       (op->scope > SCOPE_READ &&
		(jv_eq(state, "closed") || jv_eq(state, "expired")));
}

/* The row of a token; hashes are kept, not tokens. */
static int token_find(struct op *op, const char *token)
{
	autojw struct jw w = {0};
	autojson struct json j = {0};
	char hash[SHA256_HEX_MAX], scope[16];
	const char *args[] = {hash, NULL};
	struct jv row;

	sha256_hex(hash, token, strlen(token));
	if (reader_rows(op->d->reader,
			"SELECT t.session_id, t.scope, t.expires_ms, s.state "
			"FROM token t LEFT JOIN session s ON s.id=t.session_id "
			"WHERE t.hash=CAST(?1 AS BLOB)",
			args, &w, NULL) != 1 ||
	    json_parse(&j, w.buf, w.len, NULL) < 0)
		return -1;
	row = json_root(&j);
	if (jv_strcpy(jv_get(row, "scope"), scope, sizeof(scope)) < 0)
		return -1;
	op->token_expires_ms = jv_int(jv_get(row, "expires_ms"), 0);
	if (jv_strcpy(jv_get(row, "session_id"), op->only, ID_MAX) < 0)
		op->only[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(scope_names); i++) {
		if (strcmp(scope, scope_names[i]) == 0) {
			op->scope = (enum scope)i;
			return token_is_over(op, row) ? -1 : 0;
		}
	}
	return -1;
}

static bool op_authorize(struct op *op, const struct route *route)
{
	static const char bearer[] = "Bearer ";
	const char *auth = http_header(op->r, "Authorization");

	if (auth == NULL && !http_is_tcp(op->r))
		return true;
	if (auth == NULL || strncmp(auth, bearer, strlen(bearer)) != 0 ||
	    token_find(op, auth + strlen(bearer)) < 0) {
		op_refuse(op, -FAULT_UNAUTHORIZED, "a valid token is needed");
		return false;
	}
	if (op->only[0] != '\0' && op->session[0] != '\0' &&
	    strcmp(op->only, op->session) != 0) {
		op_refuse(op, -FAULT_SESSION_NOT_FOUND, "%s is not here",
			  op->session);
		return false;
	}
	if (op->scope < route->scope ||
	    (op->only[0] != '\0' && op->session[0] == '\0' &&
	     route->scope > SCOPE_READ)) {
		op_refuse(op, -FAULT_FORBIDDEN,
			  "the token's scope '%s' does not allow this",
			  scope_names[op->scope]);
		return false;
	}
	return true;
}

static void token_on_stored(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_out(op);
}

void op_issue_token(struct change *c, const char *session, enum scope scope,
		    int64_t ttl_ms, struct jw *w)
{
	char token[2 * TOKEN_BYTES + 5] = "hib_", hash[SHA256_HEX_MAX];
	int64_t now = now_ms();

	random_hex(token + 4, TOKEN_BYTES);
	sha256_hex(hash, token, strlen(token));
	change_add(c, "DELETE FROM token WHERE expires_ms<CAST(?1 AS INTEGER)",
		   1, int_text(now));
	change_add(c,
		   "INSERT INTO token(hash, session_id, scope, expires_ms, "
		   "created_ms) VALUES (CAST(?1 AS BLOB), ?2, ?3, ?4, ?5)",
		   5, hash, session, scope_names[scope], int_text(now + ttl_ms),
		   int_text(now));
	jw_kstr(w, "token", token);
	jw_kint(w, "expires_ms", now + ttl_ms);
	jw_kstr(w, "scope", scope_names[scope]);
}

/* "scope" of the body, or read.  False: the op has been answered. */
static bool read_scope(struct op *op, enum scope *out)
{
	autofree char *name = NULL;

	*out = SCOPE_READ;
	if (!op_string(op, "scope", 16, &name))
		return false;
	if (name == NULL)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(scope_names); i++) {
		if (strcmp(name, scope_names[i]) == 0) {
			*out = (enum scope)i;
			return true;
		}
	}
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "scope '%s': read, prompt, answer or admin", name);
	return false;
}

static void token_create_route(struct op *op)
{
	autofree char *session = NULL;
	int64_t ttl = 24LL * 3600 * 1000;
	enum scope scope;
	struct change *c;

	if (!op_string(op, "session", ID_MAX, &session) ||
	    !read_scope(op, &scope) ||
	    !op_integer(op, "ttlMs", 1, TTL_MAX_MS, &ttl))
		return;
	if (session != NULL && !id_is(session, "ses")) {
		op_refuse(op, -FAULT_INVALID_ID, "'%s' is no session id",
			  session);
		return;
	}
	if (session != NULL) {
		memcpy(op->session, session, strlen(session) + 1);
		if (!op_load_session(op))
			return;
	}
	c = change_new();
	jw_obj(&op->out);
	op_issue_token(c, session, scope, ttl, &op->out);
	jw_obj_end(&op->out);
	change_submit(op->d->store, c, token_on_stored, op);
}

/* --- small routes ------------------------------------------------------- */

static void health_route(struct op *op)
{
	struct jw *w = &op->out;

	jw_obj(w);
	jw_kstr(w, "version", HIB_VERSION);
	jw_kint(w, "pid", getpid());
	jw_kstr(w, "home", op->d->home.root);
	jw_kint(w, "vms_running", vms_running(op->d));
	if (op->d->http_port > 0)
		jw_kint(w, "http_port", op->d->http_port);
	jw_obj_end(w);
	op_reply_out(op);
}

struct stopping {
	struct op *op;
	unsigned open;
};

/* Only now, so that the answer is not cut off. */
static void shutdown_on_answered(struct http_req *r, void *arg)
{
	(void)r;
	hibd_stop(arg);
}

static void shutdown_on_off(struct vm *vm, const struct err *e, void *arg)
{
	struct stopping *s = arg;
	struct hibd *d = s->op->d;
	struct http_req *r;

	(void)vm;
	(void)e;
	if (--s->open > 0)
		return;
	r = s->op->r;
	s->op->r = NULL;
	op_reply_empty(s->op);
	free(s);
	if (r == NULL) {
		hibd_stop(d);
		return;
	}
	http_on_end(r, shutdown_on_answered, d);
	http_reply(r, 200, "application/json", "{}", 2);
}

static void shutdown_route(struct op *op)
{
	const char *vms = http_query(op->r, "vms");
	struct stopping *s = calloc(1, sizeof(*s));
	struct vm *vm;

	if (s == NULL) {
		op_refuse(op, -ENOMEM, "shutdown: out of memory");
		return;
	}
	*s = (struct stopping){.op = op, .open = 1};
	if (vms != NULL && strcmp(vms, "stop") == 0) {
		for (vm = vms_first(op->d); vm != NULL; vm = vms_next(vm)) {
			if (vm_is_warm(vm) && vm_memory(vm) == VM_MEMORY_DISK)
				continue; /* Nothing of it runs. */
			s->open++;
			vm_off(vm, VM_OFF_SLEEP, shutdown_on_off, s);
		}
	}
	shutdown_on_off(NULL, NULL, s);
}

static void agents_route(struct op *op)
{
	struct err e = {0};

	jw_arr(&op->out);
	if (manifest_list(&op->d->home, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

static void types_route(struct op *op)
{
	jw_arr(&op->out);
	for (size_t i = 0; event_types[i] != NULL; i++)
		jw_str(&op->out, event_types[i]);
	jw_arr_end(&op->out);
	op_reply_out(op);
}

/* --- dispatch ----------------------------------------------------------- */

static bool is_import(const struct http_req *r)
{
	return strcmp(http_path(r), "/v1/import") == 0 &&
	       strcmp(http_method(r), "POST") == 0;
}

/* The content of a file of a VM. */
static const struct route upload = {"PUT", "/v1/vms/:vm/files/content",
				    SCOPE_ADMIN, NULL};

static bool is_upload(const struct http_req *r)
{
	return strcmp(http_method(r), upload.method) == 0 &&
	       route_matches(upload.pattern, http_path(r));
}

static bool begin_import(struct hibd *d, struct http_req *r, struct op *op)
{
	static const struct route import_route = {.scope = SCOPE_ADMIN};

	if (!op_authorize(op, &import_route))
		return false;
	op->r = NULL;
	op_reply_empty(op);
	return import_begin(d, r);
}

/* The right to send a body that is streamed is checked before it is read. */
static bool api_on_head(struct http_req *r, void *arg)
{
	struct hibd *d = arg;
	struct op *op;

	if (!is_import(r) && !is_upload(r))
		return false;
	op = op_new(d, r);
	if (op == NULL)
		return false;
	if (is_import(r))
		return begin_import(d, r, op);
	return op_take_path(op, upload.pattern, http_path(r)) &&
	       op_authorize(op, &upload) && files_put_begin(op);
}

static const struct route *find_route(const char *method, const char *path,
				      bool *known_path)
{
	*known_path = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!route_matches(routes[i].pattern, path))
			continue;
		*known_path = true;
		if (strcmp(routes[i].method, method) == 0)
			return &routes[i];
	}
	return NULL;
}

static void api_on_request(struct http_req *r, void *arg)
{
	struct hibd *d = arg;
	const struct route *route;
	struct err e = {0};
	bool known_path;
	struct op *op;

	if (is_import(r) && http_data(r) != NULL) {
		import_end(r);
		return;
	}
	if (is_upload(r) && http_data(r) != NULL) {
		files_upload_end(r);
		return;
	}
	route = find_route(http_method(r), http_path(r), &known_path);
	op = op_new(d, r);
	if (op == NULL) {
		err_set(&e, -ENOMEM, "out of memory");
		http_reply_err(r, &e);
		return;
	}
	if (route == NULL) {
		op_refuse(op,
			  known_path ? -FAULT_METHOD_UNKNOWN
				     : -FAULT_ROUTE_NOT_FOUND,
			  "%s %.100s is unknown", http_method(r), http_path(r));
		return;
	}
	if (!op_take_path(op, route->pattern, http_path(r)) ||
	    !op_authorize(op, route))
		return;
	/* Of what is passed on whole, others say what is wrong. */
	if (route->run != mcp_door_route && !jv_is(op->in, JV_OBJECT)) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "the body is no JSON object: %s",
			  op->err.code < 0 ? op->err.msg : "another type");
		return;
	}
	route->run(op);
}

const struct http_handler api_handler = {
	.head = api_on_head,
	.request = api_on_request,
};
