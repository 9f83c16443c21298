/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - Rules that answer an agent's permission requests in a user's place
 *
 * A policy is JSON: one of the actions "ask", "allow" and "deny", or
 *
 *	{"default": ACTION, "rules": [
 *		{"name": "no-etc", "path": "/etc", "action": "deny"},
 *		{"name": "reads", "kind": ["read", "search"], "action": "allow"}]}
 *
 * The first rule whose conditions all hold decides; one without conditions
 * holds always.  When none does the default decides, which is "ask" when it is
 * not there.
 *
 *	kind	a kind of tool as ACP has them, a list of such, or "*"
 *	title	a glob pattern for the title of the tool call
 *	path	a glob pattern for its paths
 *
 * Patterns are those of fnmatch(3); * and ? also match a slash.  A path pattern
 * that begins with a slash is for absolute paths, any other one for paths below
 * the session's working directory.  One that matches a folder holds for all in
 * it.  To allow, a path pattern has to match every path of the call, to ask or
 * to deny, one of them; it never holds for a call without paths.  Of a call that
 * is too large to be looked at in full a pattern that allows does not hold, one
 * that asks or denies does.
 *
 * All that is known of a call is what the agent says of it.  A policy saves
 * questions and keeps honest agents off; what bounds the others is the sandbox.
 */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include "core/json.h"

#define POLICY_BYTES_MAX (64u << 10) /* Of one policy. */
#define POLICY_RULES_MAX 256	     /* Of two that are joined, too. */
#define POLICY_NAME_MAX	 63	     /* Bytes of a rule's name. */
#define POLICY_GLOB_MAX	 1024	     /* Bytes of a pattern. */
#define POLICY_KIND_MAX	 15	     /* Bytes of a kind of tool. */
#define POLICY_DEFAULT	 "default"   /* In the place of a rule's name. */

enum policy_action { POLICY_ASK, POLICY_ALLOW, POLICY_DENY };

/* Is it a policy?  Return: 0; -FAULT_INVALID_ARGUMENT, in words that name the
 * rule, also past a limit above. */
int policy_check(struct jv policy, struct err *e);

/**
 * policy_join() - Make one policy of two
 * @first:  Checked; its rules come first and its default counts, if it has one
 * @second: Checked; either may be absent
 * @w:      Gets the value
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT when there are too many rules together.
 */
int policy_join(struct jv first, struct jv second, struct jw *w, struct err *e);

/* The kind of that name; "other" for any that is none. */
const char *policy_kind(struct jv name);

/* What is known of a tool call; borrowed. */
struct policy_call {
	const char *kind;	  /* As policy_kind() gives it. */
	const char *title;	  /* NULL: none. */
	const char *cwd;	  /* Absolute, without . and .. */
	const char *const *paths; /* The same, n_paths of them. */
	size_t n_paths;
	bool title_unclear, paths_unclear; /* There is more than told here. */
};

struct policy_verdict {
	enum policy_action action;
	char rule[POLICY_NAME_MAX + 1]; /* Or POLICY_DEFAULT. */
};

/* What the policy says of a call.  @policy: checked, or absent. */
void policy_decide(struct jv policy, const struct policy_call *call,
		   struct policy_verdict *out);

/* Make @path absolute and free of . and .. without a look at any file.  A
 * relative one is below @cwd.  Return: to be freed; NULL: out of memory. */
char *policy_path(const char *cwd, const char *path);

#endif
