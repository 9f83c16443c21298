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

const char *const scope_names[] = {
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
	for (size_t i = 0; i < SCOPES; i++) {
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
	for (size_t i = 0; i < SCOPES; i++) {
		if (strcmp(name, scope_names[i]) == 0) {
			*out = (enum scope)i;
			return true;
		}
	}
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "scope '%s': read, prompt, answer or admin", name);
	return false;
}

void token_create_route(struct op *op)
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

void health_route(struct op *op)
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

void shutdown_route(struct op *op)
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

void agents_route(struct op *op)
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

void types_route(struct op *op)
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
static const struct route upload = {
	.method = "PUT",
	.pattern = "/v1/vms/:vm/files/content",
	.scope = SCOPE_ADMIN,
};

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
	for (const struct route *r = routes; r->method != NULL; r++) {
		if (r->run == NULL || !route_matches(r->pattern, path))
			continue;
		*known_path = true;
		if (strcmp(r->method, method) == 0)
			return r;
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
