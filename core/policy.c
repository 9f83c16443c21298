// SPDX-License-Identifier: Apache-2.0
/*
 * policy.c - Rules that answer an agent's permission requests in a user's place
 */
#include "core/policy.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char *const actions[] = {
	[POLICY_ASK] = "ask",
	[POLICY_ALLOW] = "allow",
	[POLICY_DENY] = "deny",
};

static const char *const kinds[] = {
	"read",	   "edit",  "delete", "move",	     "search",
	"execute", "think", "fetch",  "switch_mode", "other",
};

/* Return: the action, or -1. */
static int action_of(struct jv v)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (jv_eq(v, actions[i]))
			return (int)i;
	return -1;
}

static const char *find_kind(struct jv v)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (jv_eq(v, kinds[i]))
			return kinds[i];
	return NULL;
}

const char *policy_kind(struct jv name)
{
	const char *kind = find_kind(name);

	return kind != NULL ? kind : "other";
}

/* --- checks ------------------------------------------------------------- */

static bool is_kinds(struct jv v)
{
	if (!jv_is(v, JV_ARRAY))
		return jv_eq(v, "*") || find_kind(v) != NULL;
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it))
		if (find_kind(it) == NULL)
			return false;
	return jv_count(v) > 0;
}

static bool is_glob(struct jv v)
{
	char glob[POLICY_GLOB_MAX + 1];

	return jv_strcpy(v, glob, sizeof(glob)) > 0;
}

/* The paths that it is held against have no . and .. in them. */
static bool is_path_glob(struct jv v)
{
	char glob[POLICY_GLOB_MAX + 1], *rest = glob;
	const char *part;

	if (jv_strcpy(v, glob, sizeof(glob)) <= 0)
		return false;
	while ((part = strsep(&rest, "/")) != NULL)
		if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
			return false;
	return true;
}

static bool is_name(struct jv v)
{
	char name[POLICY_NAME_MAX + 1];

	return jv_strcpy(v, name, sizeof(name)) > 0;
}

static bool is_action(struct jv v)
{
	return action_of(v) >= 0;
}

static bool is_rules(struct jv v)
{
	return jv_is(v, JV_ARRAY) && jv_count(v) <= POLICY_RULES_MAX;
}

/* The members that an object may have, and what each is. */
struct member {
	const char *name;
	bool (*is_good)(struct jv v);
	const char *what;
	bool required;
};

static const struct member rule_members[] = {
	{"name", is_name, "a string of 1 to 63 bytes", true},
	{"action", is_action, "ask, allow or deny", true},
	{"kind", is_kinds, "a kind of tool, a list of them, or *", false},
	{"title", is_glob, "a pattern of 1 to 1024 bytes", false},
	{"path", is_path_glob, "a pattern of 1 to 1024 bytes without . and ..",
	 false},
	{0},
};

static const struct member policy_members[] = {
	{"default", is_action, "ask, allow or deny", false},
	{"rules", is_rules, "a list of at most 256 rules", false},
	{0},
};

static const struct member *find_member(const struct member *m, struct jv key)
{
	for (; m->name != NULL; m++)
		if (jv_eq(key, m->name))
			return m;
	return NULL;
}

/* @where: how messages name the object. */
static int check_members(struct jv object, const struct member *members,
			 const char *where, struct err *e)
{
	for (struct jv k = jv_first(object); jv_has(k);
	     k = jv_next(object, k)) {
		const struct member *m = find_member(members, k);
		autofree char *name = m == NULL ? jv_strdup(k, NULL) : NULL;

		if (m == NULL)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "%s: there is no '%.64s'", where,
				       name ? name : "");
		if (!m->is_good(jv_value(k)))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "%s: %s is not %s", where, m->name,
				       m->what);
	}
	for (; members->name != NULL; members++)
		if (members->required && !jv_has(jv_get(object, members->name)))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "%s: %s is missing", where,
				       members->name);
	return 0;
}

static int check_rule(struct jv rule, size_t n, struct err *e)
{
	char where[POLICY_NAME_MAX + 32], name[POLICY_NAME_MAX + 1];

	if (jv_strcpy(jv_get(rule, "name"), name, sizeof(name)) > 0)
		snprintf(where, sizeof(where), "policy: rule '%s'", name);
	else
		snprintf(where, sizeof(where), "policy: rule %zu", n);
	if (!jv_is(rule, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no object",
			       where);
	return check_members(rule, rule_members, where, e);
}

static int check_rules(struct jv rules, struct err *e)
{
	size_t n = 0;

	for (struct jv it = jv_first(rules); jv_has(it);
	     it = jv_next(rules, it)) {
		int r = check_rule(it, ++n, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int policy_check(struct jv policy, struct err *e)
{
	size_t len = 0;
	int r;

	(void)jv_raw(policy, &len);
	if (is_action(policy))
		return 0;
	if (!jv_is(policy, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "policy: neither ask, allow, deny nor rules");
	if (len > POLICY_BYTES_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "policy: more than %u bytes", POLICY_BYTES_MAX);
	r = check_members(policy, policy_members, "policy", e);
	return r < 0 ? r : check_rules(jv_get(policy, "rules"), e);
}

/* --- joining ------------------------------------------------------------ */

/* An action alone is a default. */
static struct jv default_of(struct jv policy)
{
	return is_action(policy) ? policy : jv_get(policy, "default");
}

static void write_rules(struct jv policy, struct jw *w)
{
	struct jv rules = jv_get(policy, "rules");

	for (struct jv it = jv_first(rules); jv_has(it);
	     it = jv_next(rules, it))
		jw_value(w, it);
}

int policy_join(struct jv first, struct jv second, struct jw *w, struct err *e)
{
	struct jv otherwise = default_of(first);

	if (jv_count(jv_get(first, "rules")) +
		    jv_count(jv_get(second, "rules")) >
	    POLICY_RULES_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "policy: more than %d rules with those of the "
			       "agent",
			       POLICY_RULES_MAX);
	if (!jv_has(otherwise))
		otherwise = default_of(second);
	jw_obj(w);
	if (jv_has(otherwise))
		jw_kvalue(w, "default", otherwise);
	jw_key(w, "rules");
	jw_arr(w);
	write_rules(first, w);
	write_rules(second, w);
	jw_arr_end(w);
	jw_obj_end(w);
	return 0;
}

/* --- deciding ----------------------------------------------------------- */

static bool kind_holds(struct jv want, const char *kind)
{
	if (!jv_has(want) || jv_eq(want, "*") || jv_eq(want, kind))
		return true;
	if (!jv_is(want, JV_ARRAY))
		return false;
	for (struct jv it = jv_first(want); jv_has(it); it = jv_next(want, it))
		if (jv_eq(it, kind))
			return true;
	return false;
}

static bool title_holds(struct jv want, const struct policy_call *call,
			enum policy_action action)
{
	char glob[POLICY_GLOB_MAX + 1];

	if (!jv_has(want))
		return true;
	if (call->title_unclear)
		return action != POLICY_ALLOW;
	return call->title != NULL && jv_strcpy(want, glob, sizeof(glob)) > 0 &&
	       fnmatch(glob, call->title, 0) == 0;
}

/* What a path is called from @cwd; NULL when it is elsewhere. */
static const char *below(const char *cwd, const char *path)
{
	size_t n = strcmp(cwd, "/") == 0 ? 0 : strlen(cwd);

	if (strncmp(path, cwd, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path[n] == '\0' || path[n + 1] == '\0' ? "." : path + n + 1;
}

static bool path_matches(const char *glob, const char *cwd, const char *path)
{
	if (strcmp(glob, "/") == 0)
		return true;
	if (glob[0] != '/')
		path = below(cwd, path);
	return path != NULL && fnmatch(glob, path, FNM_LEADING_DIR) == 0;
}

static bool path_holds(struct jv want, const struct policy_call *call,
		       enum policy_action action)
{
	char glob[POLICY_GLOB_MAX + 1];
	size_t n = 0;
	int len;

	if (!jv_has(want))
		return true;
	if (call->paths_unclear)
		return action != POLICY_ALLOW;
	len = jv_strcpy(want, glob, sizeof(glob));
	while (len > 1 && glob[len - 1] == '/')
		glob[--len] = '\0';
	for (size_t i = 0; i < call->n_paths && len > 0; i++)
		n += path_matches(glob, call->cwd, call->paths[i]);
	return n > 0 && (action != POLICY_ALLOW || n == call->n_paths);
}

static bool holds(struct jv rule, const struct policy_call *call,
		  enum policy_action action)
{
	return kind_holds(jv_get(rule, "kind"), call->kind) &&
	       title_holds(jv_get(rule, "title"), call, action) &&
	       path_holds(jv_get(rule, "path"), call, action);
}

static struct jv find_rule(struct jv rules, const struct policy_call *call)
{
	struct jv it;

	for (it = jv_first(rules); jv_has(it); it = jv_next(rules, it)) {
		int action = action_of(jv_get(it, "action"));

		if (action >= 0 && holds(it, call, (enum policy_action)action))
			break;
	}
	return it;
}

void policy_decide(struct jv policy, const struct policy_call *call,
		   struct policy_verdict *out)
{
	struct jv rule = find_rule(jv_get(policy, "rules"), call);
	int action = action_of(jv_has(rule) ? jv_get(rule, "action")
					    : default_of(policy));

	if (jv_strcpy(jv_get(rule, "name"), out->rule, sizeof(out->rule)) <= 0)
		strcpy(out->rule, POLICY_DEFAULT);
	out->action = action < 0 ? POLICY_ASK : (enum policy_action)action;
}

/* --- paths -------------------------------------------------------------- */

/* Add the parts of @path to the absolute one in @out, which ends at @len.
 * Return: its new end. */
static size_t add_parts(char *out, size_t len, const char *path)
{
	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 1 || (n == 1 && *path != '.')) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
		path += *path == '/';
	}
	return len;
}

char *policy_path(const char *cwd, const char *path)
{
	char *out = malloc(strlen(cwd) + strlen(path) + 3);
	size_t len = 0;

	if (out == NULL)
		return NULL;
	if (path[0] != '/')
		len = add_parts(out, len, cwd);
	len = add_parts(out, len, path);
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}
