/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redact.h - Keep the secrets of a session out of what is written down
 *
 * The host says which of the values that a session was given are secrets.  The
 * guest knows them anyway, and no others, so it is here that they are found:
 * before an event is made, so that the log of the host and its hashes are those
 * of the guest.
 *
 * What a person reads when something went wrong (stderr, errors, calls of MCP
 * tools) has REDACTED in their place.  What an agent and its user say to each
 * other is needed again as it was: an event with a secret in it is only marked,
 * ctx.secret, unless the session is strict.
 *
 * Of a secret of several lines each line counts.  Texts shorter than
 * REDACT_BYTES_MIN are not looked for: they stand everywhere.
 */
#ifndef GUEST_REDACT_H
#define GUEST_REDACT_H

#include "core/json.h"

#define REDACTED	 "[redacted]"
#define REDACT_BYTES_MIN 6

struct redact; /* Opaque. */

enum redact_what { REDACT_PASS, REDACT_MARK, REDACT_CLEAN };

/**
 * redact_read() - Take over what a call says
 * @params: "secrets", a list of strings, and "redact", which may be "strict";
 *          both may be absent
 * @out:    Set on success: NULL when there is nothing to look for
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -ENOMEM.
 */
int redact_read(struct jv params, struct redact **out, struct err *e);
void redact_free(struct redact *r); /* Wipes.  NULL is allowed. */

/* What is to be done with an event.  @data: its JSON text.  @r: NULL: nothing. */
enum redact_what redact_event(const struct redact *r, const char *type,
			      const char *data, size_t len);
/* Write a value with REDACTED in the place of secrets in its strings; names of
 * members stay. */
void redact_write(const struct redact *r, struct jv v, struct jw *w);
/* The same with message and data of an error. */
void redact_err(const struct redact *r, struct err *e);

#endif
