/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h - Which agents there are and how each is started
 *
 * A manifest is a JSON file NAME.json: name, title, version, description,
 * command, args (list), env (list of names, or of {"name":..,"required":true} or
 * {"name":..,"value":..}), os_instructions (true: the agent is told about the
 * sandbox it works in), disabled.  Those in HIB_HOME/agents/ come before those that we ship.  Members
 * that we do not know are ignored.
 */
#ifndef HOST_MANIFEST_H
#define HOST_MANIFEST_H

#include "core/json.h"
#include "host/home.h"

#define MANIFEST_NAME_MAX  64
#define MANIFEST_BYTES_MAX (256u << 10)

/**
 * manifest_check() - Is this text a manifest of that name?
 * @text: Hostile bytes; put on one line
 * @out:  The document in @text
 *
 * Command, arguments and names of variables hold no NUL, and the command is not
 * empty.  Return: 0; -FAULT_INVALID_ARGUMENT and why; -ENOMEM.
 */
int manifest_check(const char *name, char *text, size_t len, struct json *out,
		   struct err *e);
/* What a checked manifest requires and @env (an object, or absent) does not
 * have: a JSON list of names, owned by the caller, or NULL when nothing is
 * missing.  Return: 0; -ENOMEM. */
int manifest_missing(const struct json *manifest, struct jv env, char **missing,
		     struct err *e);

/* Read and check one.  @json: its text on one line, owned by the caller.
 * -FAULT_AGENT_UNKNOWN, naming those that there are, when there is none of that
 * name or it is disabled; -FAULT_INVALID_ARGUMENT when the file is wrong. */
int manifest_load(const struct home *h, const char *name, char **json,
		  struct err *e);

/* manifest_missing() of an installed agent; errors as manifest_load(). */
int manifest_missing_env(const struct home *h, const char *name, struct jv env,
			 char **missing, struct err *e);

/* All of them as values, sorted by name, also those disabled; one that is wrong
 * has only "name" and "error". */
int manifest_list(const struct home *h, struct jw *out, struct err *e);

#endif
