// SPDX-License-Identifier: Apache-2.0
/*
 * launch.c - What an agent is started with: command line, environment, folder
 *
 * Strings of the call may hold U+0000, which no argv or environment can carry:
 * such a call is refused.
 */
#include "guest/launch.h"

#include <string.h>
#include <sys/stat.h>

#include "guest/cgroups.h"
#include "guest/limits.h"
#include "guest/mcp_shim.h"
#include "guest/text.h"

static const char *const base_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/home/user",
	"LANG=C.UTF-8",
	"TERM=dumb",
	"USER=user",
};

const char *const launch_hide[] = {"/hib/state", "/hib/run",	"/hib/vfs",
				   "/hib/lower", "/hib/mounts", CGROUPS_AT,
				   MCP_SHIM_DIR, NULL};

/* Variables being gathered. */
struct env_list {
	char **vars;
	size_t n, n_given, bytes;
};

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "agent: out of memory");
}

static size_t name_len(const char *var)
{
	return (size_t)(strchrnul(var, '=') - var);
}

static size_t find_var(const struct env_list *l, const char *var)
{
	size_t n = name_len(var), i;

	for (i = 0; i < l->n; i++)
		if (strncmp(l->vars[i], var, n + 1) == 0)
			break;
	return i;
}

/* Put a "NAME=value" in its place; it is owned by the list afterwards. */
static void put_var(struct env_list *l, char *var)
{
	size_t i = find_var(l, var);

	if (i == l->n)
		l->n++;
	else
		free(l->vars[i]);
	l->vars[i] = var;
}

static char *join_var(const char *name, const char *value)
{
	char *var = malloc(strlen(name) + strlen(value) + 2);

	if (var != NULL)
		stpcpy(stpcpy(stpcpy(var, name), "="), value);
	return var;
}

static int add_var(struct env_list *l, struct jv key, struct jv val,
		   struct err *e)
{
	autofree char *name = NULL, *value = NULL;
	char *var;

	if (text_take(key, "the name of a variable", &name, e) < 0 ||
	    text_take(val, "the value of a variable", &value, e) < 0)
		return e->code;
	if (name[0] == '\0' || strchr(name, '=') != NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "env: '%.64s' is no name of a variable", name);
	l->bytes += strlen(name) + strlen(value) + 2;
	if (++l->n_given > ENV_VARS_MAX || l->bytes > ENV_BYTES_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "env: more than %d variables or %u bytes",
			       ENV_VARS_MAX, ENV_BYTES_MAX);
	var = join_var(name, value);
	if (var == NULL)
		return out_of_memory(e);
	put_var(l, var);
	return 0;
}

static int add_vars(struct env_list *l, struct jv env, struct err *e)
{
	if (!jv_has(env) || jv_is(env, JV_NULL))
		return 0;
	if (!jv_is(env, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "env is no object");
	for (struct jv k = jv_first(env); jv_has(k); k = jv_next(env, k))
		if (add_var(l, k, jv_value(k), e) < 0)
			return e->code;
	return 0;
}

/* Begin a list with the base, and room for more. */
static int put_base(struct env_list *l, struct err *e)
{
	l->vars = calloc(ARRAY_LEN(base_env) + ENV_VARS_MAX + 1,
			 sizeof(*l->vars));
	if (l->vars == NULL)
		return out_of_memory(e);
	for (size_t i = 0; i < ARRAY_LEN(base_env); i++) {
		char *var = strdup(base_env[i]);

		if (var == NULL)
			return out_of_memory(e);
		put_var(l, var);
	}
	return 0;
}

static int take_env(struct launch *l, struct jv agent, struct jv env,
		    struct err *e)
{
	struct env_list list = {0};
	int r = put_base(&list, e);

	if (r == 0)
		r = add_vars(&list, jv_get(agent, "env"), e);
	if (r == 0)
		r = add_vars(&list, env, e);
	l->n_base = ARRAY_LEN(base_env);
	l->env = list.vars;
	l->n_env = list.n;
	return r;
}

int launch_read_env(struct jv env, char ***out, struct err *e)
{
	struct env_list list = {0};
	int r = put_base(&list, e);

	if (r == 0)
		r = add_vars(&list, env, e);
	if (r < 0)
		text_list_free(list.vars);
	else
		*out = list.vars;
	return r;
}

int launch_extend_env(const struct launch *l, struct jv vars, char ***out,
		      struct err *e)
{
	struct env_list list = {0};

	if (jv_count(vars) > ENV_VARS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "env: more than %d variables", ENV_VARS_MAX);
	list.vars = calloc(l->n_env + ENV_VARS_MAX + 1, sizeof(*list.vars));
	if (list.vars == NULL)
		return out_of_memory(e);
	for (; list.n < l->n_env; list.n++) {
		list.vars[list.n] = strdup(l->env[list.n]);
		if (list.vars[list.n] == NULL) {
			text_list_free(list.vars);
			return out_of_memory(e);
		}
	}
	for (struct jv it = jv_first(vars); jv_has(it); it = jv_next(vars, it))
		if (add_var(&list, jv_get(it, "name"), jv_get(it, "value"), e) <
		    0) {
			text_list_free(list.vars);
			return e->code;
		}
	*out = list.vars;
	return 0;
}

static int take_argv(struct launch *l, struct jv agent, struct err *e)
{
	struct jv args = jv_get(agent, "args");
	size_t n = jv_count(args), i = 1;

	if (jv_has(args) && !jv_is(args, JV_ARRAY))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "agent: args is no array");
	if (n > ARGS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "agent: more than %d arguments", ARGS_MAX);
	l->argv = calloc(n + 2, sizeof(*l->argv));
	if (l->argv == NULL)
		return out_of_memory(e);
	if (text_take(jv_get(agent, "command"), "agent: command", &l->argv[0],
		      e) < 0)
		return e->code;
	if (l->argv[0][0] == '\0')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "agent: command is empty");
	for (struct jv it = jv_first(args); jv_has(it); it = jv_next(args, it))
		if (text_take(it, "agent: an argument", &l->argv[i++], e) < 0)
			return e->code;
	return 0;
}

static int take_cwd(struct launch *l, const char *cwd, struct err *e)
{
	struct stat st;

	if (cwd[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "cwd '%.128s' is not absolute", cwd);
	if (stat(cwd, &st) < 0)
		return err_set(e, -FAULT_CWD_NOT_FOUND, "cwd '%.128s': %s", cwd,
			       strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(e, -FAULT_CWD_NOT_FOUND,
			       "cwd '%.128s' is no folder", cwd);
	l->cwd = strdup(cwd);
	return l->cwd != NULL ? 0 : out_of_memory(e);
}

static int take_auth(struct launch *l, struct jv auth, struct err *e)
{
	if (!jv_has(auth) || jv_is(auth, JV_NULL))
		return 0;
	return text_take(jv_get(auth, "method"), "agent: auth method", &l->auth,
			 e);
}

int launch_new(struct jv agent, struct jv env, const char *cwd,
	       struct launch **out, struct err *e)
{
	autolaunch struct launch *l = NULL;

	if (!jv_is(agent, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "agent is no object");
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return out_of_memory(e);
	if (take_argv(l, agent, e) < 0 || take_env(l, agent, env, e) < 0 ||
	    take_cwd(l, cwd, e) < 0 ||
	    take_auth(l, jv_get(agent, "auth"), e) < 0 ||
	    quirks_read(jv_get(agent, "quirks"), &l->quirks, e) < 0 ||
	    place_read(jv_get(agent, "files"), &l->files, e) < 0 ||
	    instruct_read(jv_get(agent, "instructions"), &l->instruct, e) < 0)
		return e->code;
	*out = take_ptr(l);
	return 0;
}

void launch_free(struct launch *l)
{
	if (l == NULL)
		return;
	text_list_free(l->argv);
	text_list_free(l->env);
	free(l->cwd);
	free(l->auth);
	place_done(&l->files);
	instruct_done(&l->instruct);
	mcp_config_free(l->mcp);
	redact_free(l->secrets);
	free(l->source);
	free(l);
}

static char *keep_source(struct jv params)
{
	static const char *const keys[] = {
		"agent", "env", "mcp", "mcp_aggregate", "secrets", "redact"};
	struct jw w = {0};

	jw_obj(&w);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct jv v = jv_get(params, keys[i]);

		if (jv_has(v))
			jw_kvalue(&w, keys[i], v);
	}
	jw_obj_end(&w);
	return jw_take(&w, NULL);
}

int launch_read(struct jv params, const char *cwd, struct launch **out,
		struct err *e)
{
	autolaunch struct launch *l = NULL;

	if (launch_new(jv_get(params, "agent"), jv_get(params, "env"), cwd, &l,
		       e) < 0 ||
	    mcp_config_read(params, cwd, &l->mcp, e) < 0 ||
	    redact_read(params, &l->secrets, e) < 0)
		return e->code;
	l->source = keep_source(params);
	if (l->source == NULL)
		return err_set(e, -ENOMEM, "agent: out of memory");
	*out = take_ptr(l);
	return 0;
}

static size_t count(char **list)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	return n;
}

/* All or nothing: argv is ours only with every argument in it. */
static int add_args(struct launch *l, const char *text)
{
	size_t n = count(l->argv), n_more = count(l->instruct.args);
	char **argv = calloc(n + n_more + 1, sizeof(*argv));

	if (argv == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_more; i++) {
		argv[i] = instruct_fill(l->instruct.args[i], text);
		if (argv[i] == NULL) {
			text_list_free(argv);
			return -ENOMEM;
		}
	}
	memmove(argv + n, argv, n_more * sizeof(*argv));
	memcpy(argv, l->argv, n * sizeof(*argv));
	free(l->argv);
	l->argv = argv;
	return 0;
}

/* Behind the others, where it also wins over one of its name. */
static int add_instruct_var(struct launch *l, const char *text)
{
	struct env_list list = {.n = l->n_env};
	char *var = join_var(l->instruct.env, text);

	list.vars = realloc(l->env, (l->n_env + 2) * sizeof(*list.vars));
	if (list.vars != NULL)
		l->env = list.vars;
	if (var == NULL || list.vars == NULL) {
		free(var);
		return -ENOMEM;
	}
	list.vars[list.n + 1] = NULL;
	put_var(&list, var);
	list.vars[list.n] = NULL;
	l->n_env = list.n;
	return 0;
}

int launch_tell(struct launch *l, const char *text, struct err *e)
{
	enum instruct_via via = instruct_choose(&l->instruct, text, false);
	int r = 0;

	if (l->told || text == NULL)
		return 0;
	if (via == INSTRUCT_ARGS)
		r = add_args(l, text);
	else if (via == INSTRUCT_ENV)
		r = add_instruct_var(l, text);
	if (r < 0)
		return out_of_memory(e);
	l->told = true;
	return 0;
}

static bool is_same_list(char **a, char **b)
{
	for (; *a != NULL && *b != NULL; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return *a == *b;
}

/* Of what is said to it before it has a session, and of how it is ended. */
static bool are_same_quirks(const struct quirks *a, const struct quirks *b)
{
	return a->no_fs == b->no_fs && a->no_terminal == b->no_terminal &&
	       a->has_exit_ms == b->has_exit_ms && a->exit_ms == b->exit_ms;
}

bool launch_starts_same(const struct launch *a, const struct launch *b)
{
	return is_same_list(a->argv, b->argv) && is_same_list(a->env, b->env) &&
	       strcmp(a->cwd, b->cwd) == 0 &&
	       are_same_quirks(&a->quirks, &b->quirks) &&
	       place_is_same(&a->files, &b->files);
}

/* A base variable is named when it has another value than the base's. */
void launch_write_env_names(const struct launch *l, struct jw *w)
{
	jw_arr(w);
	for (size_t i = 0; i < l->n_env; i++)
		if (i >= l->n_base || strcmp(l->env[i], base_env[i]) != 0)
			jw_strn(w, l->env[i], name_len(l->env[i]));
	jw_arr_end(w);
}

void launch_write_argv(const struct launch *l, struct jw *w)
{
	jw_arr(w);
	for (char **s = l->argv; *s != NULL; s++)
		jw_str(w, *s);
	jw_arr_end(w);
}
