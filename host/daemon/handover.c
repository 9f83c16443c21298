// SPDX-License-Identifier: Apache-2.0
/*
 * handover.c - What an agent is started with, beside its manifest
 *
 * Its environment and its MCP servers are given once, when a session is made,
 * and needed again at each cold start.  Both may hold secrets, so they are
 * sealed in the catalog under the session's id and live nowhere else on the
 * host: "env" is an object of variables, "mcp" is
 *
 *	{"vm":ID,"aggregate":true,"servers":[..]}
 *
 * with the servers as mcp_servers.h has them.  What is sealed refers to secrets
 * by name; their values are put in on the way to the guest, which is told them
 * once more as "secrets", so that it keeps them out of what it writes.
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/mcp_servers.h"
#include "host/daemon/routes.h"
#include "host/daemon/secrets.h"
#include "host/manifest.h"

#define ENV_MAX	      256
#define ENV_BYTES_MAX (128u << 10)

/* --- the environment ---------------------------------------------------- */

static bool env_name_is_good(const char *name)
{
	return name[0] != '\0' && strchr(name, '=') == NULL;
}

/* A member of env: NAME without '=', a string without NUL or a secret. */
static bool check_variable(struct op *op, struct jv key, struct jv value,
			   size_t *bytes)
{
	autofree char *name = jv_strdup(key, NULL);
	size_t len = 0;
	autofree char *text = jv_strdup(value, &len);
	bool ok = name != NULL && env_name_is_good(name) &&
		  (text != NULL ? strlen(text) == len
				: secret_is_reference(value));

	*bytes += (name ? strlen(name) : 0) + len + 2;
	if (ok)
		return true;
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "env: '%.80s' is not a name with a string or "
		  "{\"secret\":NAME}",
		  name ? name : "");
	return false;
}

static bool check_env(struct op *op, struct jv env)
{
	size_t bytes = 0;

	if (jv_has(env) && !jv_is(env, JV_OBJECT)) {
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

bool op_read_env(struct op *op)
{
	struct jv env = jv_get(op->in, "env");
	size_t len;
	const char *raw = jv_raw(env, &len);

	if (!check_env(op, env))
		return false;
	op->env = raw ? strndup(raw, len) : strdup("{}");
	if (op->env != NULL)
		return true;
	op_refuse(op, -ENOMEM, "env: out of memory");
	return false;
}

void op_put_env_names(struct op *op, struct jw *w)
{
	autojson struct json j = {0};
	struct jv env;

	(void)json_parse(&j, op->env, strlen(op->env), NULL);
	env = json_root(&j);
	jw_key(w, "env_names");
	jw_arr(w);
	for (struct jv k = jv_first(env); jv_has(k); k = jv_next(env, k))
		jw_value(w, k);
	jw_arr_end(w);
}

/* --- what the manifest requires ----------------------------------------- */

static bool has_secret(const struct op *op, struct jv name)
{
	autofree char *text = jv_strdup(name, NULL);
	const char *args[] = {SECRET_SCOPE, text, NULL};
	autofree char *found = NULL;

	return text != NULL &&
	       reader_value(
		       op->d->reader,
		       "SELECT name FROM secret WHERE scope=?1 AND name=?2",
		       args, &found, NULL) == 1;
}

/* Of a name, or a list of which one will do, the first that is a secret. */
static struct jv find_secret(const struct op *op, struct jv need)
{
	struct jv it = jv_first(need);

	if (!jv_is(need, JV_ARRAY))
		return has_secret(op, need) ? need : (struct jv){.i = -1};
	while (jv_has(it) && !has_secret(op, it))
		it = jv_next(need, it);
	return it;
}

/* Of what is missing, what can be taken from secrets. */
static void put_secrets(const struct op *op, struct jv missing, struct jw *w)
{
	for (struct jv it = jv_first(missing); jv_has(it);
	     it = jv_next(missing, it)) {
		struct jv found = find_secret(op, it);
		autofree char *name = jv_strdup(found, NULL);

		if (name == NULL)
			continue;
		jw_key(w, name);
		jw_obj(w);
		jw_kvalue(w, "secret", found);
		jw_obj_end(w);
	}
}

static void put_members(struct jv object, struct jw *w)
{
	for (struct jv k = jv_first(object); jv_has(k);
	     k = jv_next(object, k)) {
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
}

/* Add secrets that are called as what is missing to op->env. */
static int take_secrets(struct op *op, const char *missing, struct err *e)
{
	autojson struct json env = {0}, list = {0};
	autojw struct jw w = {0};

	if (json_parse(&env, op->env, strlen(op->env), e) < 0 ||
	    json_parse(&list, missing, strlen(missing), e) < 0)
		return e->code;
	jw_obj(&w);
	put_members(json_root(&env), &w);
	put_secrets(op, json_root(&list), &w);
	jw_obj_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "env: out of memory");
	vault_wipe(op->env);
	op->env = jw_take(&w, NULL);
	return 0;
}

static int find_missing(struct op *op, const char *agent,
			struct manifest_missing *out, struct err *e)
{
	autojson struct json j = {0};
	int r = json_parse(&j, op->env, strlen(op->env), e);

	return r < 0 ? r
		     : manifest_missing_env(&op->d->home, agent, json_root(&j),
					    out, e);
}

bool op_check_required(struct op *op, const char *agent)
{
	struct manifest_missing missing = {0};
	struct err e = {0};
	int r = find_missing(op, agent, &missing, &e);

	if (r == 0 && missing.names != NULL)
		r = take_secrets(op, missing.names, &e);
	manifest_missing_done(&missing);
	if (r == 0)
		r = find_missing(op, agent, &missing, &e);
	if (r == 0 && missing.names == NULL)
		return true;
	if (r == 0) {
		err_set(&e, -FAULT_AGENT_AUTH_REQUIRED,
			"agent %s needs more in its environment: %s", agent,
			missing.words);
		err_data(&e, "\"names\":%s", missing.names);
	}
	manifest_missing_done(&missing);
	op_fail(op, &e);
	return false;
}

/* --- MCP servers -------------------------------------------------------- */

static bool is_given(struct jv v)
{
	return jv_has(v) && !jv_is(v, JV_NULL);
}

static int write_mcp(struct op *op, struct jv aggregate, struct jw *w,
		     struct err *e)
{
	int r;

	if (is_given(aggregate) && !jv_is(aggregate, JV_BOOL))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mcpAggregate: true or false");
	jw_obj(w);
	if (jv_bool(aggregate, false))
		jw_kbool(w, "aggregate", true);
	jw_key(w, "servers");
	r = mcp_servers_read(jv_get(op->in, "mcpServers"), w, e);
	jw_obj_end(w);
	return r;
}

bool op_read_mcp(struct op *op)
{
	struct jv aggregate = jv_get(op->in, "mcpAggregate");
	autojw struct jw w = {0};
	struct err e = {0};

	if (!is_given(jv_get(op->in, "mcpServers")) && !is_given(aggregate))
		return true;
	if (write_mcp(op, aggregate, &w, &e) < 0) {
		op_fail(op, &e);
		return false;
	}
	op->mcp = jw_take(&w, NULL);
	return true;
}

/* As it was sealed for op->session.  Return: as vault_get(). */
static int get_sealed(const struct op *op, const char *name, char **out,
		      struct err *e)
{
	return vault_get(op->d->vault, op->d->reader, op->session, name, out,
			 e);
}

bool op_copy_mcp(struct op *op)
{
	struct err e = {0};

	if (is_given(jv_get(op->in, "mcpServers")))
		return true;
	vault_wipe(take_ptr(op->mcp)); /* "mcpAggregate" alone says nothing. */
	if (get_sealed(op, "mcp", &op->mcp, &e) >= 0)
		return true;
	op_fail(op, &e);
	return false;
}

/* --- sealing ------------------------------------------------------------ */

static int seal_mcp(struct op *op, struct change *c, const char *session,
		    const char *vm, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	int r = json_parse(&j, op->mcp, strlen(op->mcp), e);

	if (r < 0)
		return r;
	jw_obj(&w);
	jw_kstr(&w, "vm", vm);
	jw_kvalue(&w, "aggregate", jv_get(json_root(&j), "aggregate"));
	jw_kvalue(&w, "servers", jv_get(json_root(&j), "servers"));
	jw_obj_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "mcpServers: out of memory");
	r = vault_put(op->d->vault, c, session, "mcp", w.buf, e);
	explicit_bzero(w.buf, w.len);
	return r;
}

int op_seal(struct op *op, struct change *c, const char *session,
	    const char *vm, struct err *e)
{
	int r = vault_put(op->d->vault, c, session, "env", op->env, e);

	if (r == 0 && op->mcp != NULL)
		r = seal_mcp(op, c, session, vm, e);
	if (r < 0)
		return r;
	return vault_put(op->d->vault, c, session, "agent", op->agent, e);
}

/* --- to the guest ------------------------------------------------------- */

static int put_value(struct jv value, struct jw *w, void *arg, struct err *e)
{
	return release_write(arg, value, w, e);
}

static int write_env(const char *text, struct release *r, struct jw *w,
		     struct err *e)
{
	autojson struct json j = {0};
	int n = json_parse(&j, text, strlen(text), e);
	struct jv env = json_root(&j);

	jw_key(w, "env");
	jw_obj(w);
	for (struct jv k = jv_first(env); jv_has(k) && n == 0;
	     k = jv_next(env, k)) {
		jw_value(w, k);
		jw_lit(w, ":", 1);
		n = release_write(r, jv_value(k), w, e);
	}
	jw_obj_end(w);
	return n;
}

static int write_servers(const char *text, struct release *r, struct jw *w,
			 struct err *e)
{
	autojson struct json j = {0};
	int n = json_parse(&j, text, strlen(text), e);
	struct jv mcp = json_root(&j);

	if (n < 0)
		return n;
	if (jv_bool(jv_get(mcp, "aggregate"), false))
		jw_kbool(w, "mcp_aggregate", true);
	jw_key(w, "mcp");
	return mcp_servers_write(jv_get(mcp, "servers"), put_value, r, w, e);
}

/* @mcp: NULL: none.  @strict: secrets are kept out of what is said, too. */
static bool put_start(struct op *op, const char *env, const char *mcp,
		      bool strict)
{
	struct release r;
	struct err e = {0};
	int n;

	release_init(&r, op->d->vault, op->d->reader);
	n = write_env(env, &r, &op->params, &e);
	if (n == 0 && mcp != NULL)
		n = write_servers(mcp, &r, &op->params, &e);
	if (n == 0) {
		jw_key(&op->params, "secrets");
		release_write_values(&r, &op->params);
		if (strict)
			jw_kstr(&op->params, "redact", "strict");
	}
	release_done(&r);
	if (n == 0)
		return true;
	op_fail(op, &e);
	return false;
}

bool op_put_new_start(struct op *op)
{
	return put_start(op, op->env, op->mcp,
			 jv_eq(jv_path(op->in, "config.redact"), "strict"));
}

/* As it was made. */
static bool is_strict(const struct op *op)
{
	const char *args[] = {op->session, NULL};
	autofree char *how = NULL;

	return reader_value(op->d->reader,
			    "SELECT json_extract(config, '$.redact')"
			    " FROM session WHERE id=?1",
			    args, &how, NULL) == 1 &&
	       how != NULL && strcmp(how, "strict") == 0;
}

bool op_put_start(struct op *op)
{
	char *env = NULL, *mcp = NULL;
	struct err e = {0};
	bool ok = get_sealed(op, "env", &env, &e) >= 0 &&
		  get_sealed(op, "mcp", &mcp, &e) >= 0;

	if (ok)
		ok = put_start(op, env ? env : "{}", mcp, is_strict(op));
	else
		op_fail(op, &e);
	vault_wipe(env);
	vault_wipe(mcp);
	return ok;
}
