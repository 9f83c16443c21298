// SPDX-License-Identifier: Apache-2.0
/*
 * api_session.c - The life of sessions: create, look, change, end
 *
 * Who acts depends on who writes the log.  While the VM runs the guest does,
 * and hibd passes the call on and waits until it has stored what came of it.
 * While the VM is off and hibd holds the whole log, hibd writes the few events
 * that need no agent (close, archive).  When the log's tail is still in the
 * guest, the VM is woken so that the guest can act.
 */
#include <stdio.h>
#include <string.h>

#include "core/time.h"
#include "host/daemon/hostlog.h"
#include "host/daemon/routes.h"
#include "host/manifest.h"
#include "host/views.h"

#define TITLE_MAX	 1024
#define TAGS_MAX	 32
#define TAG_MAX		 64
#define CWD_MAX		 4096
#define AGENT_MAX	 64
#define ENV_MAX		 256
#define ENV_BYTES_MAX	 (128u << 10)
#define INSTRUCTIONS_MAX (256u << 10)
#define TIMEOUT_MAX_MS	 (24 * 3600 * 1000)
#define OS_INSTRUCTIONS                                                      \
	"You work in a sandbox of Hibernacle. /workspace holds the user's "  \
	"files and outlives this machine, which may sleep and wake between " \
	"prompts: processes end then, files stay. There is no network "      \
	"unless the user gave one.\n"
#define CWD_DEFAULT   "/workspace"
#define LIVE_MAX_HOST 256 /* Live sessions of all VMs. */

/* --- who acts ----------------------------------------------------------- */

static bool guest_acts(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (vm == NULL)
		return false;
	return !vm_is_off(vm) || !hostlog_tail_complete(op->d, &op->brief);
}

static void on_host_written(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_session(op);
}

static void call_on_answer(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	op_stored(arg, body, len, e, op_reply_session);
}

/* --- create: checks ----------------------------------------------------- */

static bool check_tags(struct op *op)
{
	struct jv tags = jv_get(op->in, "tags");
	char tag[TAG_MAX + 1];

	if (!jv_has(tags) || jv_is(tags, JV_NULL))
		return true;
	if (!jv_is(tags, JV_ARRAY) || jv_count(tags) > TAGS_MAX) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "tags: a list of at most %d strings", TAGS_MAX);
		return false;
	}
	for (struct jv t = jv_first(tags); jv_has(t); t = jv_next(tags, t)) {
		if (jv_strcpy(t, tag, sizeof(tag)) > 0)
			continue;
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "tags: strings of 1 to %d bytes", TAG_MAX);
		return false;
	}
	return true;
}

static bool env_name_is_good(const char *name)
{
	return name[0] != '\0' && strchr(name, '=') == NULL;
}

/* A member of env: NAME without '=', a string without NUL. */
static bool check_variable(struct op *op, struct jv key, struct jv value,
			   size_t *bytes)
{
	autofree char *name = jv_strdup(key, NULL);
	size_t len = 0;
	autofree char *text = jv_strdup(value, &len);
	bool ok = name != NULL && env_name_is_good(name) && text != NULL &&
		  strlen(text) == len;

	*bytes += (name ? strlen(name) : 0) + len + 2;
	if (ok)
		return true;
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "env: '%.80s' is not a name with a string", name ? name : "");
	return false;
}

static bool check_env(struct op *op)
{
	struct jv env = jv_get(op->in, "env");
	size_t bytes = 0;

	if (!jv_has(env))
		return true;
	if (!jv_is(env, JV_OBJECT)) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "env: an object of names and strings");
		return false;
	}
	for (struct jv k = jv_first(env); jv_has(k); k = jv_next(env, k)) {
		if (!check_variable(op, k, jv_value(k), &bytes))
			return false;
	}
	if (jv_count(env) <= ENV_MAX && bytes <= ENV_BYTES_MAX)
		return true;
	op_refuse(op, -FAULT_MESSAGE_TOO_LARGE,
		  "env: at most %d variables and %u bytes", ENV_MAX,
		  ENV_BYTES_MAX);
	return false;
}

/* --- create: what it is made of ----------------------------------------- */

struct creation {
	char *agent, *cwd, *title, *vm, *net, *instructions;
	bool skip_os;
	int64_t start_ms, permission_ms, ttl_ms;
	char hash[SHA256_HEX_MAX];
};

static void creation_done(struct creation *c)
{
	free(c->agent);
	free(c->cwd);
	free(c->title);
	free(c->vm);
	free(c->net);
	free(c->instructions);
}

static void env_names_write(struct jw *w, struct jv env)
{
	jw_arr(w);
	for (struct jv k = jv_first(env); jv_has(k); k = jv_next(env, k))
		jw_value(w, k);
	jw_arr_end(w);
}

/* The immutable options in one fixed order; their hash tells a repeated create
 * from a conflicting one. */
static void creation_hash(struct op *op, struct creation *c)
{
	autojw struct jw w = {0};

	jw_arr(&w);
	jw_str(&w, c->agent);
	jw_str(&w, c->cwd);
	jw_str(&w, c->vm);
	jw_value(&w, jv_get(op->in, "env"));
	jw_str(&w, c->instructions);
	jw_bool(&w, c->skip_os);
	jw_value(&w, jv_get(op->in, "config"));
	jw_value(&w, jv_get(op->in, "mcpServers"));
	jw_arr_end(&w);
	sha256_hex(c->hash, w.buf ? w.buf : "", w.len);
	if (w.buf != NULL)
		explicit_bzero(w.buf, w.len);
}

static bool creation_read(struct op *op, struct creation *c)
{
	if (!op_string(op, "agent", AGENT_MAX, &c->agent) ||
	    !op_string(op, "cwd", CWD_MAX, &c->cwd) ||
	    !op_string(op, "title", TITLE_MAX, &c->title) ||
	    !op_string(op, "vm", VM_NAME_MAX, &c->vm) ||
	    !op_string(op, "net", 8, &c->net) ||
	    !op_string(op, "additionalInstructions", INSTRUCTIONS_MAX,
		       &c->instructions) ||
	    !op_integer(op, "startTimeoutMs", 1, TIMEOUT_MAX_MS,
			&c->start_ms) ||
	    !op_integer(op, "permissionTimeoutMs", 0, TIMEOUT_MAX_MS,
			&c->permission_ms) ||
	    !op_integer(op, "ttlMs", 1, INT64_MAX / 2, &c->ttl_ms) ||
	    !check_tags(op) || !check_env(op))
		return false;
	if (c->agent == NULL) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT, "'agent' is missing");
		return false;
	}
	if (c->cwd == NULL)
		c->cwd = strdup(CWD_DEFAULT);
	if (c->cwd == NULL || c->cwd[0] != '/') {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "cwd '%.200s' is not absolute", c->cwd ? c->cwd : "");
		return false;
	}
	if (c->net != NULL && strcmp(c->net, "none") != 0 &&
	    strcmp(c->net, "host") != 0) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "net '%.20s': none or host", c->net);
		return false;
	}
	c->skip_os = jv_bool(jv_get(op->in, "skipOsInstructions"), false);
	creation_hash(op, c);
	return true;
}

/* What the agent's manifest requires and env does not have. */
static bool check_required(struct op *op, const struct creation *c)
{
	autofree char *missing = NULL;
	struct err e = {0};

	if (manifest_missing_env(&op->d->home, c->agent, jv_get(op->in, "env"),
				 &missing, &e) < 0) {
		op_fail(op, &e);
		return false;
	}
	if (missing == NULL)
		return true;
	err_set(&e, -FAULT_AGENT_AUTH_REQUIRED,
		"agent %s needs more in its environment: %s", c->agent,
		missing);
	err_data(&e, "\"names\":%s", missing);
	op_fail(op, &e);
	return false;
}

static void put_config(struct jw *w, struct jv config, bool skip_os)
{
	jw_key(w, "config");
	jw_obj(w);
	for (struct jv k = jv_first(config); jv_has(k);
	     k = jv_next(config, k)) {
		autofree char *key = jv_strdup(k, NULL);

		if (key != NULL && strcmp(key, "skipOsInstructions") != 0)
			jw_kvalue(w, key, jv_value(k));
	}
	if (skip_os)
		jw_kbool(w, "skipOsInstructions", true);
	jw_obj_end(w);
}

/* The runtime's own words, where the manifest wants them, then the user's. */
static void put_instructions(struct op *op, const struct creation *c)
{
	bool os = op->wants_os_instructions && !c->skip_os;
	autofree char *text = NULL;

	if (!os && c->instructions == NULL)
		return;
	if (asprintf(&text, "%s%s%s", os ? OS_INSTRUCTIONS : "",
		     os && c->instructions ? "\n" : "",
		     c->instructions ? c->instructions : "") < 0) {
		text = NULL;
		op->params.failed = true;
	}
	jw_kstr(&op->params, "instructions", text);
}

/* Members of session.create, but for agent and env, into op->params. */
static void creation_write(struct op *op, const struct creation *c)
{
	struct jv config = jv_get(op->in, "config");
	struct jw *w = &op->params;

	jw_kstr(w, "session", op->session);
	jw_kstr(w, "cwd", c->cwd);
	jw_kstr(w, "create_hash", c->hash);
	jw_kstr(w, "title", c->title);
	jw_key(w, "tags");
	if (jv_is(jv_get(op->in, "tags"), JV_ARRAY))
		jw_value(w, jv_get(op->in, "tags"));
	else
		jw_raw(w, "[]", 2);
	put_config(w, config, c->skip_os);
	put_instructions(op, c);
	jw_key(w, "env_names");
	env_names_write(w, jv_get(op->in, "env"));
	jw_kstr(w, "root", op->session);
	if (c->ttl_ms > 0)
		jw_kint(w, "expires_ms", now_ms() + c->ttl_ms);
	if (c->start_ms > 0)
		jw_kint(w, "start_timeout_ms", c->start_ms);
	if (c->permission_ms > 0)
		jw_kint(w, "permission_timeout_ms", c->permission_ms);
}

/* --- create: steps ------------------------------------------------------ */

static void create_reply(struct op *op)
{
	autojson struct json j = {0};
	autojw struct jw row = {0}, out = {0};
	struct err e = {0};
	struct jv result;

	if (views_session(op->d->reader, op->session, &row, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	(void)json_parse(&j, op->out.buf, op->out.len, NULL);
	result = json_root(&j);
	jw_obj(&out);
	jw_key(&out, "session");
	jw_raw(&out, row.buf, row.len);
	jw_kvalue(&out, "capabilities", jv_get(result, "capabilities"));
	jw_kvalue(&out, "agentInfo", jv_get(result, "agent_info"));
	jw_kvalue(&out, "modes", jv_get(result, "modes"));
	jw_kvalue(&out, "configOptions", jv_get(result, "config_options"));
	jw_obj_end(&out);
	if (out.failed)
		op_refuse(op, -ENOMEM, "answer: out of memory");
	else
		op_reply(op, out.buf, out.len);
}

static void create_on_cleared(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)vm;
	(void)e;
	op_fail(op, &op->err);
}

/* Refused: nothing stays behind.  A session whose agent did not start is there,
 * as failed, and is kept with what belongs to it. */
static void create_fail(struct op *op, const struct err *e)
{
	struct vm *vm = op->made_vm ? vm_find(op->d, op->vm) : NULL;
	struct change *c;

	op->err = *e;
	if (reader_session(op->d->reader, op->session, &op->brief, NULL) == 0 ||
	    err_fault(e->code) == FAULT_GUEST_UNREACHABLE) {
		op_fail(op, &op->err);
		return;
	}
	c = change_new();
	change_add(c, "DELETE FROM secret WHERE scope=?1", 1, op->session);
	change_submit(op->d->store, c, NULL, NULL);
	if (vm != NULL)
		vm_off(vm, VM_OFF_DESTROY, create_on_cleared, op);
	else
		op_fail(op, &op->err);
}

/* A failed start is an error to the caller and a session to the log. */
static void create_on_answer(const char *body, size_t len, const struct err *e,
			     void *arg)
{
	struct op *op = arg;

	jw_reset(&op->out);
	if (e->code == 0) {
		jw_lit(&op->out, body, len);
		op_stored(op, body, len, e, create_reply);
		return;
	}
	if (op_failed_seq(e) > 0)
		op_fail_stored(op, e);
	else
		create_fail(op, e);
}

static void create_call(struct op *op)
{
	op_call(op, "session.create", create_on_answer);
}

static void create_on_awake(struct vm *vm, const struct err *e, void *arg)
{
	(void)vm;
	if (e->code < 0)
		create_fail(arg, e);
	else
		create_call(arg);
}

/* The environment is sealed before the guest hears of it: a session that
 * exists can always be started again. */
static void create_on_sealed(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		create_fail(op, e);
	else
		vm_need(vm_find(op->d, op->vm), create_on_awake, op);
}

/* What starting the agent again takes: its environment and its command. */
static int seal(struct op *op, struct change *c, struct err *e)
{
	size_t len;
	const char *raw = jv_raw(jv_get(op->in, "env"), &len);
	char *env = strndup(raw ? raw : "{}", raw ? len : 2);
	int r;

	if (env == NULL)
		return err_set(e, -ENOMEM, "env: out of memory");
	r = vault_put(op->d->vault, c, op->session, "env", env, e);
	vault_wipe(env);
	if (r < 0)
		return r;
	return vault_put(op->d->vault, c, op->session, "agent", op->agent, e);
}

static void create_seal(struct op *op)
{
	struct change *c = change_new();
	struct err e = {0};

	if (seal(op, c, &e) < 0) {
		change_free(c);
		create_fail(op, &e);
		return;
	}
	change_submit(op->d->store, c, create_on_sealed, op);
}

static void create_on_vm(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	snprintf(op->vm, sizeof(op->vm), "%s", vm_id(vm));
	create_seal(op);
}

static void create_find_vm(struct op *op, const struct creation *c)
{
	struct vm_config cfg = {
		.backend = "sandbox",
		.image = "host",
		.net = c->net && strcmp(c->net, "host") == 0 ? VM_NET_HOST
							     : VM_NET_NONE,
		.idle_ms = VM_IDLE_MS,
	};
	struct vm *vm;

	if (c->vm == NULL) {
		op->made_vm = true;
		vm_create(op->d, &cfg, create_on_vm, op);
		return;
	}
	vm = vm_find(op->d, c->vm);
	if (vm == NULL) {
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is not here", c->vm);
		return;
	}
	snprintf(op->vm, sizeof(op->vm), "%s", vm_id(vm));
	create_seal(op);
}

static int count_live(const struct session_brief *b, void *arg)
{
	static const char *const live[] = {"starting", "idle", "running",
					   "waiting"};
	unsigned *n = arg;

	for (size_t i = 0; i < ARRAY_LEN(live); i++)
		*n += strcmp(b->state, live[i]) == 0;
	return 0;
}

static bool check_room(struct op *op)
{
	unsigned live = 0;

	(void)reader_sessions(op->d->reader, NULL, count_live, &live, NULL);
	if (live < LIVE_MAX_HOST)
		return true;
	op_refuse(op, -FAULT_LIMIT_SESSIONS,
		  "%d sessions are live on this host already", LIVE_MAX_HOST);
	return false;
}

static bool id_is_free(struct op *op)
{
	const char *args[] = {op->session, NULL};
	autofree char *found = NULL;

	if (reader_value(op->d->reader, "SELECT id FROM tombstone WHERE id=?1",
			 args, &found, NULL) != 1)
		return true;
	op_refuse(op, -FAULT_ALREADY_EXISTS, "%s was destroyed", op->session);
	return false;
}

/* The id exists: the same create again joins it, another one conflicts. */
static void create_again(struct op *op, const struct creation *c)
{
	const char *args[] = {op->session, NULL};
	autofree char *hash = NULL;

	memcpy(op->vm, op->brief.vm_id, sizeof(op->vm));
	if (reader_value(op->d->reader,
			 "SELECT lower(hex(create_hash)) FROM session "
			 "WHERE id=?1",
			 args, &hash, NULL) != 1 ||
	    strcmp(hash, c->hash) != 0) {
		op_refuse(op, -FAULT_SESSION_CONFLICT,
			  "%s exists with other options", op->session);
		return;
	}
	if (strcmp(op->brief.state, "starting") == 0) {
		op_wake(op, create_call);
		return;
	}
	if (views_created(op->d->reader, op->session, &op->out, &op->err) < 0)
		op_fail(op, &op->err);
	else
		op_reply_out(op);
}

static void create_begin(struct op *op, struct creation *c)
{
	if (!creation_read(op, c))
		return;
	jw_obj(&op->params);
	if (!op_put_new_agent(op, c->agent))
		return;
	if (reader_session(op->d->reader, op->session, &op->brief, NULL) == 0) {
		creation_write(op, c);
		jw_kvalue(&op->params, "env", jv_get(op->in, "env"));
		jw_obj_end(&op->params);
		create_again(op, c);
		return;
	}
	if (!id_is_free(op) || !check_required(op, c) || !check_room(op))
		return;
	creation_write(op, c);
	jw_key(&op->params, "env");
	if (jv_has(jv_get(op->in, "env")))
		jw_value(&op->params, jv_get(op->in, "env"));
	else
		jw_raw(&op->params, "{}", 2);
	jw_obj_end(&op->params);
	create_find_vm(op, c);
}

void session_create_route(struct op *op)
{
	struct creation c = {0};
	struct jv id = jv_get(op->in, "id");

	if (!jv_has(id) || jv_is(id, JV_NULL)) {
		id_new(op->session, "ses");
	} else if (jv_strcpy(id, op->session, ID_MAX) < 0 ||
		   !id_is(op->session, "ses")) {
		op_refuse(op, -FAULT_INVALID_ID, "'id' is no session id");
		return;
	}
	create_begin(op, &c);
	creation_done(&c);
}

/* --- look --------------------------------------------------------------- */

void session_list_route(struct op *op)
{
	struct views_filter f = {
		.state = http_query(op->r, "state"),
		.vm = http_query(op->r, "vm"),
		.tag = http_query(op->r, "tag"),
		.archived = http_query(op->r, "archived") != NULL,
		.cursor = http_query(op->r, "cursor"),
		.only = op->only[0] ? op->only : NULL,
	};
	const char *limit = http_query(op->r, "limit");
	struct vm *vm = f.vm ? vm_find(op->d, f.vm) : NULL;
	struct err e = {0};

	if (vm != NULL)
		f.vm = vm_id(vm);
	f.limit = limit ? (unsigned)strtoul(limit, NULL, 10) : 0;
	jw_arr(&op->out);
	if (views_sessions(op->d->reader, &f, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

/* Put members behind those of an object that is written already. */
static void extend_object(struct jw *w)
{
	if (w->len > 0 && w->buf[w->len - 1] == '}') {
		w->buf[--w->len] = '\0';
		w->comma = true;
	}
}

static void get_write_live(struct op *op, struct jv live)
{
	struct vm *vm = vm_find(op->d, op->vm);
	struct jw *w = &op->out;

	extend_object(w);
	jw_key(w, "live");
	jw_obj(w);
	jw_kbool(w, "vm", vm != NULL && !vm_is_off(vm));
	jw_kbool(w, "channel", vm != NULL && link_is_up(vm_link(vm)));
	jw_kbool(w, "agent", jv_int(jv_get(live, "pid"), 0) > 0);
	jw_kvalue(w, "pid", jv_get(live, "pid"));
	jw_kvalue(w, "guest_state", jv_get(live, "state"));
	jw_obj_end(w);
	jw_obj_end(w);
}

static void get_on_live(const char *body, size_t len, const struct err *e,
			void *arg)
{
	struct op *op = arg;
	autojson struct json j = {0};
	struct err bad = {0};
	struct jv live = {.i = -1};

	jw_reset(&op->out);
	if (views_session(op->d->reader, op->session, &op->out, &bad) < 0) {
		op_fail(op, &bad);
		return;
	}
	if (e->code == 0 && json_parse(&j, body, len, NULL) == 0)
		live = json_root(&j);
	get_write_live(op, live);
	op_reply_out(op);
}

void session_get_route(struct op *op)
{
	if (!op_load_session(op))
		return;
	if (http_query(op->r, "live") == NULL) {
		op_reply_session(op);
		return;
	}
	jw_obj(&op->params);
	jw_kstr(&op->params, "session", op->session);
	jw_obj_end(&op->params);
	op_call(op, "session.get", get_on_live);
}

/* --- change ------------------------------------------------------------- */

static void simple_call(struct op *op, const char *method, const char *reason)
{
	struct jw *w = &op->params;

	jw_reset(w);
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kbool(w, "force", jv_bool(jv_get(op->in, "force"), false));
	if (jv_is(jv_get(op->in, "reason"), JV_STRING))
		jw_kvalue(w, "reason", jv_get(op->in, "reason"));
	else
		jw_kstr(w, "reason", reason);
	jw_obj_end(w);
	op_call(op, method, call_on_answer);
}

static void update_data(struct op *op, struct jw *w)
{
	if (jv_is(jv_get(op->in, "title"), JV_STRING))
		jw_kvalue(w, "title", jv_get(op->in, "title"));
	if (jv_is(jv_get(op->in, "tags"), JV_ARRAY))
		jw_kvalue(w, "tags", jv_get(op->in, "tags"));
}

static void update_call(struct op *op)
{
	jw_obj(&op->params);
	jw_kstr(&op->params, "session", op->session);
	update_data(op, &op->params);
	jw_obj_end(&op->params);
	op_call(op, "session.update", call_on_answer);
}

static void update_by_host(struct op *op)
{
	struct hostlog_entry entry = {.type = "session.config"};

	jw_obj(&op->params);
	update_data(op, &op->params);
	jw_obj_end(&op->params);
	entry.data = op->params.buf;
	if (op->params.failed)
		op_refuse(op, -ENOMEM, "update: out of memory");
	else
		hostlog_append(op->d, &op->brief, &entry, 1, on_host_written,
			       op);
}

void session_update_route(struct op *op)
{
	static const char *const fixed[] = {"agent", "cwd",   "vm",
					    "env",   "image", "id"};
	autofree char *title = NULL;

	if (!op_load_session(op))
		return;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (!jv_has(jv_get(op->in, fixed[i])))
			continue;
		op_refuse(op, -FAULT_SESSION_CONFLICT,
			  "'%s' of a session never changes", fixed[i]);
		return;
	}
	if (!op_string(op, "title", TITLE_MAX, &title) || !check_tags(op))
		return;
	if (op->brief.archived_ms > 0)
		op_refuse(op, -FAULT_SESSION_ARCHIVED, "%s is archived",
			  op->session);
	else if (guest_acts(op))
		op_wake(op, update_call);
	else
		update_by_host(op);
}

void session_suspend_route(struct op *op)
{
	struct vm *vm;

	if (!op_load_session(op))
		return;
	vm = vm_find(op->d, op->vm);
	if (vm != NULL && !vm_is_off(vm))
		simple_call(op, "session.suspend", "suspend");
	else if (strcmp(op->brief.state, "closed") == 0)
		op_refuse(op, -FAULT_SESSION_CLOSED, "%s is closed",
			  op->session);
	else if (strcmp(op->brief.state, "failed") == 0)
		op_refuse(op, -FAULT_SESSION_FAILED, "%s has failed",
			  op->session);
	else if (strcmp(op->brief.state, "expired") == 0)
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
	else
		op_reply_session(op);
}

static void close_call(struct op *op)
{
	simple_call(op, "session.close", "closed");
}

static void close_by_host(struct op *op)
{
	struct hostlog_entry entries[2];
	char buf[256];
	unsigned n = hostlog_closing(&op->brief, "closed", buf, sizeof(buf),
				     entries);

	if (n == 0)
		op_reply_session(op);
	else
		hostlog_append(op->d, &op->brief, entries, n, on_host_written,
			       op);
}

void session_close_route(struct op *op)
{
	if (!op_load_session(op))
		return;
	if (guest_acts(op))
		op_wake(op, close_call);
	else
		close_by_host(op);
}

/* --- archive ------------------------------------------------------------ */

static void archive_by_host(struct op *op)
{
	bool on = strcmp(op->what, "archive") == 0;
	struct hostlog_entry entry = {
		.type = on ? "session.archived" : "session.unarchived",
		.data = "{}",
	};

	hostlog_append(op->d, &op->brief, &entry, 1, on_host_written, op);
}

static void archive_call(struct op *op)
{
	struct jw *w = &op->params;

	jw_reset(w);
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kbool(w, "archived", strcmp(op->what, "archive") == 0);
	jw_obj_end(w);
	op_call(op, "session.archive", call_on_answer);
}

void session_archive_route(struct op *op)
{
	if (!op_load_session(op))
		return;
	if ((op->brief.archived_ms > 0) == (strcmp(op->what, "archive") == 0))
		op_reply_session(op); /* As it is. */
	else if (guest_acts(op))
		op_wake(op, archive_call);
	else
		archive_by_host(op);
}

void session_unarchive_route(struct op *op)
{
	session_archive_route(op);
}

/* --- destroy ------------------------------------------------------------ */

static void destroy_on_purged(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0 && e->code != -FAULT_SESSION_NOT_FOUND) {
		op_fail(op, e);
		return;
	}
	hub_end_session(op->d->hub, op->session, "destroyed");
	op_reply_empty(op);
}

/* The tombstone first: what still comes from the guest is then dropped. */
static void destroy_on_host(struct op *op)
{
	struct change *c = change_new();
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "session", op->session);
	jw_obj_end(&w);
	change_add(c,
		   "INSERT OR IGNORE INTO tombstone(id, kind, destroyed_ms) "
		   "VALUES (?1, 'session', ?2)",
		   2, op->session, int_text(now_ms()));
	change_add_vm_event(c, op->vm, "session.destroyed",
			    w.buf ? w.buf : "{}");
	change_submit(op->d->store, c, NULL, NULL);
	store_purge(op->d->store, op->session, destroy_on_purged, op);
}

static void destroy_on_guest_purged(const char *body, size_t len,
				    const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)body;
	(void)len;
	if (e->code < 0 && e->code != -FAULT_SESSION_NOT_FOUND)
		op_fail(op, e);
	else
		destroy_on_host(op);
}

static void destroy_on_closed(const char *body, size_t len, const struct err *e,
			      void *arg)
{
	struct op *op = arg;

	(void)body;
	(void)len;
	if (e->code == -FAULT_SESSION_NOT_FOUND) {
		destroy_on_host(op);
		return;
	}
	if (e->code < 0) {
		op_fail(op, e);
		return;
	}
	op_call(op, "session.purge", destroy_on_guest_purged);
}

static void destroy_call(struct op *op)
{
	struct jw *w = &op->params;

	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kbool(w, "force", true);
	jw_kstr(w, "reason", "destroyed");
	jw_obj_end(w);
	op_call(op, "session.close", destroy_on_closed);
}

void session_destroy_route(struct op *op)
{
	struct vm *vm;

	if (!op_load_session(op))
		return;
	vm = vm_find(op->d, op->vm);
	if (vm != NULL && vm_is_off(vm) &&
	    !hostlog_tail_complete(op->d, &op->brief) &&
	    http_query(op->r, "discard") == NULL)
		op_refuse(op, -FAULT_TAIL_INCOMPLETE,
			  "the guest of %s may hold events that the host has "
			  "not; wake the VM, or discard them",
			  op->session);
	else if (vm != NULL)
		op_wake(op, destroy_call);
	else
		destroy_on_host(op);
}
