// SPDX-License-Identifier: Apache-2.0
/*
 * api_create.c - createSession
 *
 * Everything is checked before anything is done.  Then, in this order: a VM if
 * none was given, the environment, the MCP servers and the agent's command
 * sealed into the catalog (a session that exists can always be started again),
 * the VM awake, the guest's session.create, and the answer once the host has
 * stored what the guest wrote.  A refusal leaves nothing behind; an agent that
 * does not start leaves a session in state failed, with its log.
 *
 * The id is made by the client or here.  The same id with the same immutable
 * options again joins the creation that runs, or answers what is.
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/policy.h"
#include "core/quota.h"
#include "core/settings.h"
#include "core/time.h"
#include "host/daemon/hostlog.h"
#include "host/daemon/idem.h"
#include "host/daemon/initial_files.h"
#include "host/daemon/routes.h"
#include "host/manifest.h"
#include "host/views.h"
#include "vfs/artifacts.h"

#define LOG_COMPONENT	 "api"
#define CWD_MAX		 4096
#define INSTRUCTIONS_MAX (255u << 10) /* With ours the guest takes 256. */
#define OS_INSTRUCTIONS                                                      \
	"You work in a sandbox of Hibernacle. /workspace holds the user's "  \
	"files and outlives this machine, which may sleep and wake between " \
	"prompts: processes end then, files stay. There is no network "      \
	"unless the user gave one.\n"
#define CWD_DEFAULT   "/workspace"
#define LIVE_MAX_HOST 256 /* Live sessions of all VMs. */

/* --- what it is made of ----------------------------------------- */

struct creation {
	char *agent, *cwd, *title, *vm, *net, *instructions, *key;
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
	free(c->key);
}

static struct jv policy_of(const struct op *op)
{
	struct jv policy = jv_get(op->in, "policy");

	if (jv_is(policy, JV_NULL))
		policy.i = -1;
	return policy;
}

static bool check_policy(struct op *op)
{
	struct err e = {0};

	if (!jv_has(policy_of(op)) || policy_check(policy_of(op), &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
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
	if (jv_has(jv_get(op->in, "mcpAggregate")))
		jw_value(&w, jv_get(op->in, "mcpAggregate"));
	if (jv_has(jv_get(op->in, "tools")))
		jw_value(&w, jv_get(op->in, "tools"));
	if (jv_has(policy_of(op)))
		jw_value(&w, policy_of(op));
	if (jv_has(jv_get(op->in, "initialFiles")))
		jw_value(&w, jv_get(op->in, "initialFiles"));
	jw_arr_end(&w);
	sha256_hex(c->hash, w.buf ? w.buf : "", w.len);
	if (w.buf != NULL)
		explicit_bzero(w.buf, w.len);
}

static int check_artifacts(struct jv config, struct err *e)
{
	struct jv patterns = jv_get(config, "artifacts");
	struct vfs_artifacts *a = NULL;
	int r = jv_has(patterns) ? vfs_artifacts_new(patterns, &a, e) : 0;

	vfs_artifacts_free(a);
	return r;
}

static int check_redact(struct jv config, struct err *e)
{
	struct jv how = jv_get(config, "redact");

	if (!jv_has(how) || jv_eq(how, "strict"))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "config.redact: \"strict\", or not there");
}

/* Whether the agent offers it is found out when it runs. */
static bool check_config(struct op *op)
{
	struct err e = {0};
	struct quota q;

	if (wish_check(jv_get(op->in, "config"), false, &e) == 0 &&
	    quota_read(jv_get(op->in, "config"), &q, &e) == 0 &&
	    check_artifacts(jv_get(op->in, "config"), &e) == 0 &&
	    check_redact(jv_get(op->in, "config"), &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
}

bool op_check_initial_files(struct op *op)
{
	struct err e = {0};

	if (initial_files_check(jv_get(op->in, "initialFiles"), &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
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
	    !op_string(op, "idempotencyKey", IDEM_CLIENT_KEY_MAX, &c->key) ||
	    !op_integer(op, "startTimeoutMs", 1, TIMEOUT_MAX_MS,
			&c->start_ms) ||
	    !op_integer(op, "permissionTimeoutMs", 0, TIMEOUT_MAX_MS,
			&c->permission_ms) ||
	    !op_ttl(op, 1, &c->ttl_ms) || !op_tags(op) || !op_read_env(op) ||
	    !op_read_mcp(op) || !check_policy(op))
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
	if (!check_config(op) || !op_check_initial_files(op))
		return false;
	c->skip_os = jv_bool(jv_get(op->in, "skipOsInstructions"), false);
	creation_hash(op, c);
	return true;
}

static bool wants_os(const struct op *op, const struct creation *c)
{
	return op->wants_os_instructions && !c->skip_os;
}

/* The user's, and what it says of the instructions. */
static void put_config(struct op *op, const struct creation *c)
{
	static const char *const ours[] = {"skipOsInstructions",
					   "os_instructions"};
	struct jv config = jv_get(op->in, "config");
	struct jw *w = &op->params;

	jw_key(w, "config");
	jw_obj(w);
	for (struct jv k = jv_first(config); jv_has(k);
	     k = jv_next(config, k)) {
		autofree char *key = jv_strdup(k, NULL);

		if (key != NULL && strcmp(key, ours[0]) != 0 &&
		    strcmp(key, ours[1]) != 0)
			jw_kvalue(w, key, jv_value(k));
	}
	if (c->skip_os)
		jw_kbool(w, ours[0], true);
	if (wants_os(op, c))
		jw_kbool(w, ours[1], true);
	jw_obj_end(w);
}

/* The session's rules, then the agent's, whose manifest was read. */
static bool put_policy(struct op *op)
{
	autojson struct json j = {0};
	struct err e = {0};

	if (op->policy == NULL && !jv_has(policy_of(op)))
		return true;
	jw_key(&op->params, "policy");
	if ((op->policy == NULL ||
	     json_parse(&j, op->policy, strlen(op->policy), &e) == 0) &&
	    policy_join(policy_of(op), json_root(&j), &op->params, &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
}

/* Blocks of one text, in this order: what holds for every session of the
 * runtime, unless it is not wanted, then the user's words. */
static void put_instructions(struct op *op, const struct creation *c)
{
	const char *const blocks[] = {
		wants_os(op, c) ? OS_INSTRUCTIONS : NULL,
		c->instructions,
	};
	autojw struct jw text = {0};

	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		if (blocks[i] == NULL || blocks[i][0] == '\0')
			continue;
		if (text.len > 0)
			jw_lit(&text, "\n", 1);
		jw_lit(&text, blocks[i], strlen(blocks[i]));
	}
	op->params.failed |= text.failed;
	if (text.len > 0)
		jw_kstr(&op->params, "instructions", text.buf);
}

/* Members of session.create, but for the agent, into op->params.  False: the op
 * has been answered. */
static bool creation_write(struct op *op, const struct creation *c)
{
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
	put_config(op, c);
	put_instructions(op, c);
	op_put_env_names(op, w);
	jw_kstr(w, "root", op->session[0] != '\0' ? op->session : NULL);
	if (jv_has(jv_get(op->in, "tools")))
		jw_kvalue(w, "tools", jv_get(op->in, "tools"));
	if (c->ttl_ms > 0)
		jw_kint(w, "expires_ms", now_ms() + c->ttl_ms);
	if (c->start_ms > 0)
		jw_kint(w, "start_timeout_ms", c->start_ms);
	if (c->permission_ms > 0)
		jw_kint(w, "permission_timeout_ms", c->permission_ms);
	if (!op_put_new_start(op))
		return false;
	jw_obj_end(w);
	return true;
}

/* --- steps ------------------------------------------------------ */

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
	op_put_warnings(op, &out);
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

static void create_on_dropped(const struct err *e, void *arg)
{
	struct op *op = arg;
	struct vm *vm = op->made_vm ? vm_find(op->d, op->vm) : NULL;

	if (e->code < 0)
		log_error("%s: what was sealed for it stays: %s", op->session,
			  e->msg);
	if (vm != NULL)
		vm_off(vm, VM_OFF_DESTROY, create_on_cleared, op);
	else
		op_fail(op, &op->err);
}

/* Refused: nothing stays behind, once that is told.  A session whose agent did not
 * start is there, as failed, and is kept with what belongs to it. */
static void create_fail(struct op *op, const struct err *e)
{
	autofree char *key = jv_strdup(jv_get(op->in, "idempotencyKey"), NULL);
	struct change *c;

	op->err = *e;
	if (reader_session(op->d->reader, op->session, &op->brief, NULL) == 0 ||
	    err_fault(e->code) == FAULT_GUEST_UNREACHABLE) {
		op_fail(op, &op->err);
		return;
	}
	c = change_new();
	change_add(c, "DELETE FROM secret WHERE scope=?1", 1, op->session);
	if (key != NULL)
		idem_drop(c, key);
	change_submit(op->d->store, c, create_on_dropped, op);
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
	op_call_again(op, "session.create", create_on_answer, create_call);
}

static void create_on_files(const struct err *e, void *arg)
{
	if (e->code < 0)
		create_fail(arg, e);
	else
		create_call(arg);
}

static void create_on_awake(struct vm *vm, const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		create_fail(op, e);
	else
		initial_files_put(vm, jv_get(op->in, "initialFiles"),
				  create_on_files, op);
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

static void create_seal(struct op *op)
{
	struct change *c = change_new();
	struct err e = {0};

	if (op_seal(op, c, op->session, op->vm, &e) < 0) {
		change_free(c);
		create_fail(op, &e);
		return;
	}
	change_submit(op->d->store, c, create_on_sealed, op);
}

static void create_on_vm(struct vm *vm, const struct err *e, void *arg)
{
	(void)vm;
	if (e->code < 0)
		create_fail(arg, e);
	else
		create_seal(arg);
}

/* A VM that is made for the session may be there from the same request. */
static void create_make_vm(struct op *op)
{
	struct vm_config cfg = {
		.id = op->vm,
		.backend = "sandbox",
		.image = "host",
		.net = jv_eq(jv_get(op->in, "net"), "host") ? VM_NET_HOST
							    : VM_NET_NONE,
		.idle_ms = VM_IDLE_MS,
		.max_sessions = VM_SESSIONS,
	};

	if (!op->made_vm || vm_find(op->d, op->vm) != NULL)
		create_seal(op);
	else
		vm_create(op->d, &cfg, create_on_vm, op);
}

/* Which VM it will be.  False: the op has been answered. */
static bool create_choose_vm(struct op *op, const struct creation *c)
{
	struct vm *vm = c->vm ? vm_find(op->d, c->vm) : NULL;

	op->made_vm = c->vm == NULL;
	if (vm != NULL) {
		snprintf(op->vm, sizeof(op->vm), "%s", vm_id(vm));
	} else if (op->made_vm) {
		if (op->vm[0] == '\0')
			id_new(op->vm, "vm");
	} else {
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is not here", c->vm);
		return false;
	}
	return true;
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

bool op_id_is_free(struct op *op, const char *id)
{
	const char *args[] = {id, NULL};
	autofree char *found = NULL;

	if (reader_value(op->d->reader, "SELECT id FROM tombstone WHERE id=?1",
			 args, &found, NULL) != 1)
		return true;
	op_refuse(op, -FAULT_ALREADY_EXISTS, "%s was destroyed", id);
	return false;
}

/* The id exists: the same create again joins it, another one conflicts. */
static void create_again(struct op *op, const struct creation *c)
{
	const char *args[] = {op->session, NULL};
	autofree char *hash = NULL;

	memcpy(op->vm, op->brief.vm_id, ID_MAX);
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
		if (creation_write(op, c))
			op_wake(op, create_call);
		return;
	}
	if (views_created(op->d->reader, op->session, &op->out, &op->err) < 0)
		op_fail(op, &op->err);
	else
		op_reply_out(op);
}

/* --- a request with a key ----------------------------------------------- */

static void create_begin(struct op *op);

/* All that is asked but for the key and an id that a library made. */
static void key_hash(struct op *op, char hash[SHA256_HEX_MAX])
{
	autojw struct jw w = {0};

	jw_obj(&w);
	for (struct jv k = jv_first(op->in); jv_has(k);
	     k = jv_next(op->in, k)) {
		autofree char *name = jv_strdup(k, NULL);

		if (name != NULL && strcmp(name, "idempotencyKey") != 0 &&
		    strcmp(name, "id") != 0)
			jw_kvalue(&w, name, jv_value(k));
	}
	jw_obj_end(&w);
	sha256_hex(hash, w.buf ? w.buf : "", w.len);
	if (w.buf != NULL)
		explicit_bzero(w.buf, w.len);
}

/* What a key has made, or is making, into the op.  Return: 1; 0 when it is new;
 * negative when the op has been answered. */
static int take_key(struct op *op, const struct creation *c, const char *hash)
{
	autofree char *result = NULL;
	autojson struct json j = {0};
	struct err e = {0};
	int r;

	if (c->key == NULL)
		return 0;
	r = idem_find(op->d->reader, c->key, "session.create", hash, &result,
		      &e);
	if (r > 0)
		r = json_parse(&j, result, strlen(result), &e) < 0 ? e.code : 1;
	if (r < 0)
		op_fail(op, &e);
	if (r > 0) {
		(void)jv_strcpy(jv_get(json_root(&j), "session"), op->session,
				ID_MAX);
		(void)jv_strcpy(jv_get(json_root(&j), "vm"), op->vm,
				sizeof(op->vm));
	}
	return r;
}

static void create_on_key(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code == -EEXIST) { /* The same request, a moment ago. */
		vault_wipe(take_ptr(op->agent));
		vault_wipe(take_ptr(op->env));
		vault_wipe(take_ptr(op->mcp));
		jw_reset(&op->params);
		create_begin(op);
	} else if (e->code < 0) {
		op_fail(op, e);
	} else {
		create_make_vm(op);
	}
}

static void write_key(struct op *op, const char *key, const char *hash)
{
	struct change *c = change_new();
	char result[128];

	snprintf(result, sizeof(result), "{\"session\":\"%s\",\"vm\":\"%s\"}",
		 op->session, op->vm);
	idem_add(c, key, "session.create", hash, result);
	change_submit(op->d->store, c, create_on_key, op);
}

/* --- all checks, then the first step ------------------------------------- */

static void create_checked(struct op *op, struct creation *c)
{
	char hash[SHA256_HEX_MAX];
	int known;

	key_hash(op, hash);
	known = take_key(op, c, hash);
	if (known < 0)
		return;
	jw_obj(&op->params);
	if (!op_put_new_agent(op, c->agent) || !put_policy(op))
		return;
	if (reader_session(op->d->reader, op->session, &op->brief, NULL) == 0) {
		create_again(op, c);
		return;
	}
	if (!op_id_is_free(op, op->session) ||
	    !op_check_required(op, c->agent) || !check_room(op) ||
	    !create_choose_vm(op, c) || !creation_write(op, c))
		return;
	if (c->key != NULL && known == 0)
		write_key(op, c->key, hash);
	else
		create_make_vm(op);
}

static void create_begin(struct op *op)
{
	struct creation c = {0};

	if (creation_read(op, &c))
		create_checked(op, &c);
	creation_done(&c);
}

bool op_put_creation(struct op *op)
{
	struct creation c = {0};
	bool ok = creation_read(op, &c);

	jw_obj(&op->params);
	ok = ok && op_put_new_agent(op, c.agent) &&
	     op_check_required(op, c.agent) && creation_write(op, &c);
	creation_done(&c);
	return ok;
}

void session_create_route(struct op *op)
{
	struct jv id = jv_get(op->in, "id");

	if (!jv_has(id) || jv_is(id, JV_NULL)) {
		id_new(op->session, "ses");
	} else if (jv_strcpy(id, op->session, ID_MAX) < 0 ||
		   !id_is(op->session, "ses")) {
		op_refuse(op, -FAULT_INVALID_ID, "'id' is no session id");
		return;
	}
	create_begin(op);
}
