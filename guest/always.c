// SPDX-License-Identifier: Apache-2.0
/*
 * always.c - What a user has answered for always
 */
#include "guest/always.h"

#include <string.h>

#include "guest/limits.h"

static struct always *find(const struct always_memory *m, const char *kind,
			   const char *rule)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->item[i].kind, kind) == 0 &&
		    strcmp(m->item[i].rule, rule) == 0)
			return &m->item[i];
	return NULL;
}

const struct always *always_find(const struct always_memory *m,
				 const char *kind, const char *rule)
{
	return find(m, kind, rule);
}

bool always_add(struct always_memory *m, const struct always *a)
{
	struct always *item = find(m, a->kind, a->rule);

	if (item == NULL) {
		if (m->n == ALWAYS_MAX)
			return false;
		item = realloc(m->item, (m->n + 1) * sizeof(*item));
		if (item == NULL)
			return false;
		m->item = item;
		item += m->n++;
	}
	*item = *a;
	return true;
}

void always_done(struct always_memory *m)
{
	free(m->item);
	*m = (struct always_memory){0};
}

void always_write(const struct always *a, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "kind", a->kind);
	jw_kstr(w, "action", a->allow ? "allow" : "deny");
	if (strcmp(a->rule, POLICY_DEFAULT) != 0)
		jw_kstr(w, "rule", a->rule);
	jw_obj_end(w);
}

bool always_read(struct jv v, struct always *out)
{
	struct jv action = jv_get(v, "action");
	struct jv rule = jv_get(v, "rule");

	out->allow = jv_eq(action, "allow");
	strcpy(out->rule, POLICY_DEFAULT);
	if (jv_strcpy(jv_get(v, "kind"), out->kind, sizeof(out->kind)) <= 0 ||
	    (!out->allow && !jv_eq(action, "deny")))
		return false;
	return !jv_has(rule) ||
	       jv_strcpy(rule, out->rule, sizeof(out->rule)) > 0;
}
