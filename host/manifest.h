/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h - Which agents there are and how each is started
 *
 * A manifest is a JSON file NAME.json.  Those in HIB_HOME/agents/ come before
 * those that we ship.  Its members:
 *
 *	name         that of the file
 *	title, version, description	for people
 *	npm          ["NAME@VERSION", ..]: what `hib agent add` installs into
 *	             HIB_HOME/agents/NAME/VERSION, which VMs see below
 *	             /opt/agents; needs a version
 *	command, args	the program and its arguments
 *	env          list of what it takes: "VAR", or {"name":"VAR"}, with
 *	             "value" when it is set here, with "required":true when a
 *	             session must give it; {"any":["A","B"],"required":true}
 *	             when one of several must be given
 *	files        [{"path","content","mode","replace"}]: files below
 *	             /home/user that are there when it starts.  One that exists
 *	             stays as it is, unless "replace" is true.  mode: "0644"
 *	instructions	how it is told what a session is told: {"via":"meta",
 *	             "meta":{..}}, {"via":"args","args":[..]}, {"via":"env",
 *	             "env":"VAR"}
 *	             In their strings {text} is the text, {json} the same as a
 *	             JSON string.  Without: ACP's system prompt, if it has one,
 *	             else in front of the first prompt
 *	os_instructions	false: it is not told about the sandbox
 *	auth         {"method":ID}: the ACP method to log in with
 *	quirks       how it differs from the protocol: no_fs, no_terminal,
 *	             missing_empty, no_load, steer (true or false),
 *	             late_replay_ms (it repeats history so long after
 *	             session/load), exit_ms (from the end of its stdin to
 *	             SIGTERM; 0: at once)
 *	policy       rules for permissions (core/policy.h), behind those of a
 *	             session
 *	disabled     true: it cannot be started
 *
 * Members that we do not know are ignored.
 */
#ifndef HOST_MANIFEST_H
#define HOST_MANIFEST_H

#include "core/json.h"
#include "host/home.h"

#define MANIFEST_NAME_MAX  64
#define MANIFEST_BYTES_MAX (256u << 10)
#define MANIFEST_PINS_MAX  16
#define MANIFEST_PIN_MAX   255
#define MANIFEST_HOME	   "/home/user/"
#define MANIFEST_FILES_MAX 32
#define MANIFEST_PATH_MAX  255	       /* Bytes of a file's path. */
#define MANIFEST_FILE_MAX  (64u << 10) /* Bytes of its content. */

/* Can it name an agent and a folder? */
bool manifest_name_is_good(const char *name);

/**
 * manifest_check() - Is this text a manifest of that name?
 * @text: Hostile bytes; put on one line
 * @out:  The document in @text
 *
 * Every member that we know has its type; strings that become arguments or
 * variables hold no NUL; packages are pinned to one version; files stay below
 * the home.  Return: 0; -FAULT_INVALID_ARGUMENT and why; -ENOMEM.
 */
int manifest_check(const char *name, char *text, size_t len, struct json *out,
		   struct err *e);
/* What a session must still be given.  Both NULL when nothing is missing. */
struct manifest_missing {
	char *names; /* JSON list: names, and lists of which one name will do. */
	char *words; /* The same for people: "A, B or C". */
};
void manifest_missing_done(struct manifest_missing *m);

/* What a checked manifest requires and @env (an object, or absent) does not
 * have.  Return: 0; -ENOMEM. */
int manifest_missing(struct jv manifest, struct jv env,
		     struct manifest_missing *out, struct err *e);

/* Read and check one, disabled and installed or not.  @json: its text on one
 * line, owned by the caller.  -FAULT_AGENT_UNKNOWN, naming those that there are,
 * when there is none of that name; -FAULT_INVALID_ARGUMENT when the file is
 * wrong. */
int manifest_read(const struct home *h, const char *name, char **json,
		  struct err *e);

/* The same for a file at any path, whose name is the one in it.
 * -FAULT_INVALID_ARGUMENT also when there is no such file. */
int manifest_read_file(const char *path, char **json, struct err *e);

/* The same, but only one that may be started: -FAULT_AGENT_UNKNOWN also when it
 * is disabled or its packages are not installed. */
int manifest_load(const struct home *h, const char *name, char **json,
		  struct err *e);

/* manifest_missing() of an installed agent; errors as manifest_load(). */
int manifest_missing_env(const struct home *h, const char *name, struct jv env,
			 struct manifest_missing *out, struct err *e);

/* All of them as values, sorted by name, also those disabled, each with
 * "installed"; one that is wrong has only "name" and "error". */
int manifest_list(const struct home *h, struct jw *out, struct err *e);

#endif
