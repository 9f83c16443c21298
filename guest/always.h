/* SPDX-License-Identifier: Apache-2.0 */
/*
 * always.h - What a user has answered for always
 *
 * An answer of kind allow_always or reject_always counts for later permission
 * requests of the same kind of tool, as far as they would be asked for the same
 * reason: by the same rule of the policy, or by its default.  It stands in the
 * event that resolves the request, as
 *
 *	"remember": {"kind": "edit", "action": "allow"[, "rule": "NAME"]}
 *
 * and is read from there again.
 */
#ifndef GUEST_ALWAYS_H
#define GUEST_ALWAYS_H

#include "core/policy.h"

struct always {
	char kind[POLICY_KIND_MAX + 1];
	char rule[POLICY_NAME_MAX + 1]; /* That had it asked. */
	bool allow;
};

/* Zero-initialised is a valid empty one. */
struct always_memory {
	struct always *item;
	size_t n;
};

/* Put in, in the place of what was there for the same kind and rule.
 * Return: false when there is no room. */
bool always_add(struct always_memory *m, const struct always *a);
/* Return: NULL when nothing was said. */
const struct always *always_find(const struct always_memory *m,
				 const char *kind, const char *rule);
void always_done(struct always_memory *m);

/* The value of "remember". */
void always_write(const struct always *a, struct jw *w);
/* Return: false when it is none. */
bool always_read(struct jv v, struct always *out);

#endif
