// SPDX-License-Identifier: Apache-2.0
/*
 * type_filter.c - Which types of events a reader asked for
 *
 * A pattern must match a type that we know, so that a misspelt one is told and
 * not answered with nothing.  It may well match types of a newer writer, too.
 */
#include "core/type_filter.h"

#include <string.h>

static bool matches(const struct type_pattern *p, const char *type)
{
	if (p->prefix)
		return strncmp(type, p->text, p->len) == 0;
	return strcmp(type, p->text) == 0;
}

static bool matches_any(const struct type_pattern *p, unsigned n,
			const char *type)
{
	for (unsigned i = 0; i < n; i++)
		if (matches(&p[i], type))
			return true;
	return false;
}

static bool matches_known(const struct type_pattern *p)
{
	for (const char *const *t = event_types; *t != NULL; t++)
		if (matches(p, *t))
			return true;
	return false;
}

static int read_pattern(const char *s, size_t len, struct type_pattern *out,
			struct err *e)
{
	bool prefix = len > 0 && s[len - 1] == '*';

	*out = (struct type_pattern){.prefix = prefix, .len = len - prefix};
	if (len == 0 || out->len >= sizeof(out->text))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a type of events is empty or too long");
	memcpy(out->text, s, out->len);
	if (!matches_known(out))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "unknown type of events '%.*s'", (int)len, s);
	return 0;
}

static int read_list(const char *s, struct type_pattern out[READER_PATTERNS],
		     unsigned *n, struct err *e)
{
	*n = 0;
	while (s != NULL) {
		size_t len = strcspn(s, ",");
		int r;

		if (*n == READER_PATTERNS)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "more than %d types of events",
				       READER_PATTERNS);
		r = read_pattern(s, len, &out[(*n)++], e);
		if (r < 0)
			return r;
		s = s[len] == ',' ? s + len + 1 : NULL;
	}
	return 0;
}

int type_filter_init(struct type_filter *f, const char *types,
		     const char *exclude, struct err *e)
{
	int r = read_list(types, f->types, &f->n_types, e);

	return r < 0 ? r : read_list(exclude, f->exclude, &f->n_exclude, e);
}

bool type_filter_passes(const struct type_filter *f, const char *type)
{
	return (f->n_types == 0 || matches_any(f->types, f->n_types, type)) &&
	       !matches_any(f->exclude, f->n_exclude, type);
}

bool type_filter_is_open(const struct type_filter *f)
{
	return f->n_types == 0 && f->n_exclude == 0;
}
