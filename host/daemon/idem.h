/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idem.h - Requests that come again: what was answered to a key
 *
 * A key is the client's.  It is written down with what the request is going to
 * make before anything is made, so also a request that is repeated after hibd
 * was killed in the middle makes nothing twice.
 */
#ifndef HOST_DAEMON_IDEM_H
#define HOST_DAEMON_IDEM_H

#include "core/reader.h"
#include "host/daemon/catalog.h"

#define IDEM_CLIENT_KEY_MAX 255			 /* Bytes. */
#define IDEM_KEEP_MS	    (24LL * 3600 * 1000) /* Then it is forgotten. */

/* What the key stands for.  @hash: of the request, without its key.
 * Return: 1 and its text, owned by the caller; 0 when the key is new;
 * -FAULT_IDEMPOTENCY_MISMATCH when it came with another request. */
int idem_find(struct reader *r, const char *key, const char *method,
	      const char *hash, char **result, struct err *e);
/* Add to @c what remembers it; the change fails with -EEXIST when somebody else
 * was quicker. */
void idem_add(struct change *c, const char *key, const char *method,
	      const char *hash, const char *result);
/* Nothing was made after all. */
void idem_drop(struct change *c, const char *key);

#endif
