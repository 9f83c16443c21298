/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault.h - Secrets at rest: libsodium's secretbox under a key file
 *
 * The values of a session's environment are needed again whenever its agent is
 * started after a sleep, and may be keys.  They are kept in the table `secret`
 * as one JSON object (their order is part of the environment), scope = session
 * id, name = "env", sealed with XSalsa20-Poly1305 (crypto_secretbox_easy)
 * under a key of HIB_HOME/key, mode 0600, made at first use.
 */
#ifndef HOST_DAEMON_VAULT_H
#define HOST_DAEMON_VAULT_H

#include "core/reader.h"
#include "host/daemon/catalog.h"

struct vault; /* Opaque. */

/* Open the key file, or make it.  -EACCES when others may read it. */
int vault_open(const char *key_path, struct vault **out, struct err *e);
void vault_close(struct vault *v); /* Wipes the key.  NULL is allowed. */

/* Add to @c what stores @value under (@scope, @name). */
int vault_put(struct vault *v, struct change *c, const char *scope,
	      const char *name, const char *value, struct err *e);
/* Return: 1 and the value, NUL-terminated, owned by the caller, to be wiped
 * with vault_wipe(); 0 when there is none; -FAULT_STORE_CORRUPT when the box
 * does not open with our key. */
int vault_get(struct vault *v, struct reader *r, const char *scope,
	      const char *name, char **out, struct err *e);
/* Zero and free a value.  NULL is allowed. */
void vault_wipe(char *value);

/* Lower-case hex of the SHA-256 of some bytes. */
#define SHA256_HEX_MAX 65
void sha256_hex(char out[SHA256_HEX_MAX], const char *bytes, size_t n);
/* @n random bytes as hex; @out has 2n+1 bytes. */
void random_hex(char *out, size_t n);

#endif
