/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets.h - Values that a user has given a name, and that are used by it
 *
 * A secret is sealed in the catalog (vault.h).  Where a session says
 * {"secret":NAME} instead of a string, in its environment or that of an MCP
 * server, or in a header, the value is taken from there each time that an agent
 * is started or a remote server is talked to, and is written down nowhere else.
 * So a secret that is set anew counts from the next start on.
 *
 * A guest is told which values it was given are secrets, to keep them out of
 * what it writes; of others it learns nothing.
 */
#ifndef HOST_DAEMON_SECRETS_H
#define HOST_DAEMON_SECRETS_H

#include "core/json.h"
#include "host/daemon/vault.h"
#include "host/views.h"

#define SECRET_NAME_MAX	 255
#define SECRET_VALUE_MAX (64u << 10)
#define SECRET_SCOPE	 VIEWS_SECRET_SCOPE

/* 1 to SECRET_NAME_MAX of letters, digits and ._- */
bool secret_name_is_good(const char *name);
/* Is it {"secret":NAME} and no more? */
bool secret_is_reference(struct jv v);

/* Values on their way out of the vault.  @vault and @reader are set by whoever
 * makes one; it ends with release_done(). */
struct release {
	struct vault *vault;
	struct reader *reader;
	struct jw values; /* A list of them, still open. */
};

void release_init(struct release *r, struct vault *v, struct reader *reader);
void release_done(struct release *r); /* Wipes. */

/* The value of a secret, to be wiped with vault_wipe().
 * -FAULT_AGENT_AUTH_REQUIRED, naming it, when there is none. */
int release_secret(struct release *r, struct jv reference, char **out,
		   struct err *e);
/* Write a string as it is, and a reference as its value, which is noted. */
int release_write(struct release *r, struct jv value, struct jw *w,
		  struct err *e);
/* The list of the values that were written. */
void release_write_values(const struct release *r, struct jw *w);

#endif
