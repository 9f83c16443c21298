// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_config.c - The MCP servers that a session wants: read and checked
 *
 * One pass over the array; the first member that is wrong refuses the call, and
 * its words begin with the server that it is about.
 */
#include "guest/mcp_config.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "guest/launch.h"
#include "guest/text.h"

#define NAME_CHARS                   \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789_-"

static const char *const type_names[] = {
	[MCP_LOCAL] = "local",
	[MCP_REMOTE] = "remote",
	[MCP_BUILTIN] = "builtin",
};

static const char *const transports[] = {
	[MCP_LOCAL] = "stdio",
	[MCP_REMOTE] = "http",
	[MCP_BUILTIN] = "builtin",
};

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "mcp: out of memory");
}

static bool is_given(struct jv v)
{
	return jv_has(v) && !jv_is(v, JV_NULL);
}

/*
 * Members.
 */

static int read_bool(struct jv v, const char *key, bool *io, struct err *e)
{
	struct jv b = jv_get(v, key);

	if (is_given(b) && !jv_is(b, JV_BOOL))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no boolean",
			       key);
	*io = jv_bool(b, *io);
	return 0;
}

static int read_ms(struct jv v, const char *key, int64_t min, int64_t *io,
		   struct err *e)
{
	struct jv n = jv_get(v, key);
	int64_t ms = jv_int(n, is_given(n) ? -1 : *io);

	if (ms < min || ms > UPSTREAM_TIME_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no number from %lld to %d", key,
			       (long long)min, UPSTREAM_TIME_MAX);
	*io = ms;
	return 0;
}

static int read_start(struct jv v, bool *lazy, struct err *e)
{
	struct jv start = jv_get(v, "start");

	*lazy = jv_eq(start, "lazy");
	if (*lazy || jv_eq(start, "eager") || !is_given(start))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "start is neither eager nor lazy");
}

static int read_globs(struct jv tools, const char *key, char ***out,
		      struct err *e)
{
	struct jv list = jv_get(tools, key);
	size_t n = jv_count(list), i = 0;

	if (!is_given(list))
		return 0;
	if (!jv_is(list, JV_ARRAY) || n > MCP_GLOBS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "tools.%s is no array of at most %d", key,
			       MCP_GLOBS_MAX);
	*out = calloc(n + 1, sizeof(**out));
	if (*out == NULL)
		return out_of_memory(e);
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it), i++) {
		if (text_take(it, "a glob of tools", &(*out)[i], e) < 0)
			return e->code;
		if (strlen((*out)[i]) > MCP_GLOB_MAX)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "a glob of tools has more than %d bytes",
				       MCP_GLOB_MAX);
	}
	return 0;
}

static int read_tools(struct jv v, struct mcp_spec *s, struct err *e)
{
	struct jv tools = jv_get(v, "tools");

	if (is_given(tools) && !jv_is(tools, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "tools is no object");
	if (read_globs(tools, "allow", &s->allow, e) < 0)
		return e->code;
	return read_globs(tools, "deny", &s->deny, e);
}

static int read_options(struct jv v, struct mcp_spec *s, struct err *e)
{
	s->startup_ms = UPSTREAM_STARTUP_MS;
	s->call_ms = UPSTREAM_CALL_MS;
	s->max_call_ms = UPSTREAM_MAX_CALL_MS;
	if (read_bool(v, "required", &s->required, e) < 0 ||
	    read_start(v, &s->lazy, e) < 0 ||
	    read_bool(v, "shared", &s->shared, e) < 0 ||
	    read_ms(v, "startup_timeout_ms", 1, &s->startup_ms, e) < 0 ||
	    read_ms(v, "call_timeout_ms", 1, &s->call_ms, e) < 0 ||
	    read_ms(v, "max_call_ms", 1, &s->max_call_ms, e) < 0 ||
	    read_ms(v, "idle_ms", 0, &s->idle_ms, e) < 0 ||
	    read_tools(v, s, e) < 0)
		return e->code;
	if (s->required && s->lazy)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "it cannot be required and start lazy");
	if (s->shared && s->type != MCP_LOCAL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "only a local server can be shared");
	if (s->max_call_ms < s->call_ms)
		s->max_call_ms = s->call_ms;
	return 0;
}

/*
 * What is run.
 */

static int read_argv(struct jv v, char ***out, struct err *e)
{
	struct jv args = jv_get(v, "args");
	size_t n = jv_count(args), i = 1;

	if (is_given(args) && (!jv_is(args, JV_ARRAY) || n > ARGS_MAX))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "args is no array of at most %d", ARGS_MAX);
	*out = calloc(n + 2, sizeof(**out));
	if (*out == NULL)
		return out_of_memory(e);
	if (text_take(jv_get(v, "command"), "command", &(*out)[0], e) < 0)
		return e->code;
	if ((*out)[0][0] == '\0')
		return err_set(e, -FAULT_INVALID_ARGUMENT, "command is empty");
	for (struct jv it = jv_first(args); jv_has(it);
	     it = jv_next(args, it), i++)
		if (text_take(it, "an argument", &(*out)[i], e) < 0)
			return e->code;
	return 0;
}

static int read_cwd(struct jv v, const char *otherwise, char **out,
		    struct err *e)
{
	struct jv cwd = jv_get(v, "cwd");

	if (is_given(cwd)) {
		if (text_take(cwd, "cwd", out, e) < 0)
			return e->code;
	} else {
		*out = strdup(otherwise);
		if (*out == NULL)
			return out_of_memory(e);
	}
	if ((*out)[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "cwd '%.128s' is not absolute", *out);
	return 0;
}

static int read_local(struct jv v, const char *cwd, struct mcp_spec *s,
		      struct err *e)
{
	if (read_argv(v, &s->argv, e) < 0 ||
	    launch_read_env(jv_get(v, "env"), &s->env, e) < 0)
		return e->code;
	return read_cwd(v, cwd, &s->cwd, e);
}

static int read_builtin(struct jv v, struct mcp_spec *s, struct err *e)
{
	struct jv builtin = jv_get(v, "builtin");

	if (!is_given(builtin))
		builtin = jv_get(v, "name");
	return text_take(builtin, "builtin", &s->builtin, e);
}

/*
 * One server.
 */

static int read_type(struct jv v, enum mcp_type *out, struct err *e)
{
	struct jv type = jv_get(v, "type");

	*out = MCP_LOCAL;
	if (!is_given(type))
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(type_names); i++)
		if (jv_eq(type, type_names[i])) {
			*out = i;
			return 0;
		}
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "type is none of local, remote, builtin");
}

static int read_name(struct jv v, const struct mcp_config *c,
		     struct mcp_spec *s, struct err *e)
{
	struct jv name = jv_get(v, "name");

	if (!is_given(name) && s->type == MCP_BUILTIN)
		name = jv_get(v, "builtin");
	if (jv_strcpy(name, s->name, sizeof(s->name)) < 1 ||
	    s->name[strspn(s->name, NAME_CHARS)] != '\0')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a name is 1 to %d of [A-Za-z0-9_-]",
			       MCP_NAME_MAX);
	if (mcp_config_find(c, s->name) != s)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "two servers have this name");
	return 0;
}

static int read_spec(struct jv v, const char *cwd, const struct mcp_config *c,
		     struct mcp_spec *s, struct err *e)
{
	if (!jv_is(v, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "it is no object");
	if (read_type(v, &s->type, e) < 0 || read_name(v, c, s, e) < 0 ||
	    read_options(v, s, e) < 0)
		return e->code;
	if (s->type == MCP_LOCAL)
		return read_local(v, cwd, s, e);
	return s->type == MCP_BUILTIN ? read_builtin(v, s, e) : 0;
}

static void spec_done(struct mcp_spec *s)
{
	text_list_free(s->allow);
	text_list_free(s->deny);
	text_list_free(s->argv);
	text_list_free(s->env);
	free(s->builtin);
	free(s->cwd);
}

/*
 * All of them.
 */

static void config_freep(struct mcp_config **c)
{
	mcp_config_free(*c);
}

int mcp_config_read(struct jv params, const char *cwd, struct mcp_config **out,
		    struct err *e)
{
	cleanup(config_freep) struct mcp_config *c = NULL;
	struct jv list = jv_get(params, "mcp");
	size_t n = is_given(list) ? jv_count(list) : 0;

	if ((is_given(list) && !jv_is(list, JV_ARRAY)) || n > MCP_SERVERS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mcp is no array of at most %d servers",
			       MCP_SERVERS_MAX);
	c = calloc(1, sizeof(*c) + n * sizeof(c->specs[0]));
	if (c == NULL)
		return out_of_memory(e);
	if (read_bool(params, "mcp_aggregate", &c->aggregate, e) < 0)
		return e->code;
	for (struct jv it = jv_first(list); c->n < n; it = jv_next(list, it)) {
		struct mcp_spec *s = &c->specs[c->n++];

		if (read_spec(it, cwd, c, s, e) < 0)
			return err_wrap(e, "mcp server %zu '%s'", c->n,
					s->name);
	}
	*out = take_ptr(c);
	return 0;
}

void mcp_config_free(struct mcp_config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		spec_done(&c->specs[i]);
	free(c);
}

const struct mcp_spec *mcp_config_find(const struct mcp_config *c,
				       const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->specs[i].name, name) == 0)
			return &c->specs[i];
	return NULL;
}

static bool same_list(char **a, char **b)
{
	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return *a == NULL && *b == NULL;
}

bool mcp_config_has_builtin(const struct mcp_config *c, const char *builtin)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->specs[i].type == MCP_BUILTIN &&
		    strcmp(c->specs[i].builtin, builtin) == 0)
			return true;
	return false;
}

int mcp_config_add_builtin(struct mcp_config **io, const char *name)
{
	struct mcp_config *c = *io;
	struct mcp_spec s = {
		.type = MCP_BUILTIN,
		.startup_ms = UPSTREAM_STARTUP_MS,
		.call_ms = UPSTREAM_TIME_MAX, /* It has deadlines of its own. */
		.max_call_ms = UPSTREAM_TIME_MAX,
	};

	if (mcp_config_find(c, name) != NULL || mcp_config_has_builtin(c, name))
		return 0;
	c = realloc(c, sizeof(*c) + (c->n + 1) * sizeof(c->specs[0]));
	if (c == NULL)
		return -ENOMEM;
	*io = c;
	s.builtin = strdup(name);
	if (s.builtin == NULL)
		return -ENOMEM;
	snprintf(s.name, sizeof(s.name), "%s", name);
	c->specs[c->n++] = s;
	return 0;
}

bool mcp_spec_runs_same(const struct mcp_spec *a, const struct mcp_spec *b)
{
	return same_list(a->argv, b->argv) && same_list(a->env, b->env) &&
	       strcmp(a->cwd, b->cwd) == 0 && a->startup_ms == b->startup_ms &&
	       a->idle_ms == b->idle_ms;
}

static char **copy_list(char **list)
{
	char **out;
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	out = calloc(n + 1, sizeof(*out));
	for (size_t i = 0; out != NULL && i < n; i++) {
		out[i] = strdup(list[i]);
		if (out[i] == NULL) {
			text_list_free(out);
			return NULL;
		}
	}
	return out;
}

struct mcp_spec *mcp_spec_copy(const struct mcp_spec *s)
{
	struct mcp_spec *c = malloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = *s;
	c->allow = c->deny = NULL;
	c->builtin = NULL;
	c->argv = copy_list(s->argv);
	c->env = copy_list(s->env);
	c->cwd = strdup(s->cwd);
	if (c->argv != NULL && c->env != NULL && c->cwd != NULL)
		return c;
	mcp_spec_free(c);
	return NULL;
}

void mcp_spec_free(struct mcp_spec *s)
{
	if (s == NULL)
		return;
	spec_done(s);
	free(s);
}

static bool matches(char **globs, const char *name)
{
	for (char **g = globs; *g != NULL; g++)
		if (fnmatch(*g, name, 0) == 0)
			return true;
	return false;
}

bool mcp_spec_allows(const struct mcp_spec *s, const char *tool)
{
	if (s->deny != NULL && matches(s->deny, tool))
		return false;
	return s->allow == NULL || matches(s->allow, tool);
}

const char *mcp_transport(const struct mcp_spec *s)
{
	return transports[s->type];
}

void mcp_spec_write(const struct mcp_spec *s, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "name", s->name);
	jw_kstr(w, "transport", mcp_transport(s));
	if (s->builtin != NULL)
		jw_kstr(w, "builtin", s->builtin);
	jw_kbool(w, "required", s->required);
	jw_kstr(w, "start", s->lazy ? "lazy" : "eager");
	if (s->shared)
		jw_kbool(w, "shared", true);
	jw_obj_end(w);
}
