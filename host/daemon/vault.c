// SPDX-License-Identifier: Apache-2.0
/*
 * vault.c - Secrets at rest: libsodium's secretbox under a key file
 */
#include "host/daemon/vault.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/time.h"

#define VALUE_MAX (256u << 10) /* Longest value that is sealed. */

struct vault {
	unsigned char key[crypto_secretbox_KEYBYTES];
};

/* --- key file ----------------------------------------------------------- */

static int key_read(int fd, const char *path, struct vault *v, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if ((st.st_mode & 077) != 0)
		return err_set(e, -EACCES, "%s: others may read it; chmod 600",
			       path);
	if (read(fd, v->key, sizeof(v->key)) != (ssize_t)sizeof(v->key))
		return err_set(e, -EUCLEAN, "%s: not a key of %zu bytes", path,
			       sizeof(v->key));
	return 0;
}

static int key_write(int fd, const struct vault *v)
{
	ssize_t n = write(fd, v->key, sizeof(v->key));

	if (n != (ssize_t)sizeof(v->key))
		return n < 0 ? -errno : -ENOSPC;
	return fsync(fd) < 0 ? -errno : 0;
}

/* What was put into the folder of @path is there after a power cut. */
static int sync_folder(const char *path)
{
	autofree char *copy = strdup(path);
	autoclose int fd = -1;

	if (copy == NULL)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Made whole or not at all: written beside its place, then renamed into it.
 * Nothing is sealed under a key that is not on disk, so what was left beside it
 * is the key of nothing. */
static int key_make(const char *path, struct vault *v, struct err *e)
{
	char tmp[PATH_MAX];
	autoclose int fd = -1;
	int r;

	randombytes_buf(v->key, sizeof(v->key));
	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "%s: too long", path);
	(void)unlink(tmp);
	fd = open(tmp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", tmp, strerror(errno));
	r = key_write(fd, v);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r == 0)
		r = sync_folder(path);
	else
		(void)unlink(tmp);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

int vault_open(const char *key_path, struct vault **out, struct err *e)
{
	struct vault *v;
	autoclose int fd = -1;
	int r;

	if (sodium_init() < 0)
		return err_set(e, -ENOSYS, "libsodium does not start");
	v = sodium_malloc(sizeof(*v));
	if (v == NULL)
		return err_set(e, -ENOMEM, "vault: out of memory");
	fd = open(key_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		r = key_read(fd, key_path, v, e);
	else if (errno == ENOENT)
		r = key_make(key_path, v, e);
	else
		r = err_set(e, -errno, "%s: %s", key_path, strerror(errno));
	if (r < 0) {
		sodium_free(v);
		return r;
	}
	*out = v;
	return 0;
}

void vault_close(struct vault *v)
{
	sodium_free(v); /* Wipes. */
}

/* --- boxes -------------------------------------------------------------- */

int vault_put(struct vault *v, struct change *c, const char *scope,
	      const char *name, const char *value, struct err *e)
{
	unsigned char nonce[crypto_secretbox_NONCEBYTES];
	char nonce_hex[2 * sizeof(nonce) + 1];
	size_t len = strlen(value), box_len = len + crypto_secretbox_MACBYTES;
	autofree unsigned char *box = NULL;
	autofree char *hex = NULL;
	const char *now = int_text(now_ms());

	if (len > VALUE_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "%s: a secret of %zu bytes; at most %u", name,
			       len, VALUE_MAX);
	box = malloc(box_len);
	hex = malloc(2 * box_len + 1);
	if (box == NULL || hex == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	randombytes_buf(nonce, sizeof(nonce));
	crypto_secretbox_easy(box, (const unsigned char *)value, len, nonce,
			      v->key);
	sodium_bin2hex(nonce_hex, sizeof(nonce_hex), nonce, sizeof(nonce));
	sodium_bin2hex(hex, 2 * box_len + 1, box, box_len);
	change_add(c,
		   "INSERT INTO secret(scope, name, nonce, box, created_ms, "
		   "updated_ms) "
		   "VALUES (?1, ?2, CAST(?3 AS BLOB), CAST(?4 AS BLOB), ?5, "
		   "?5) ON CONFLICT DO UPDATE SET nonce=excluded.nonce, "
		   "box=excluded.box, updated_ms=excluded.updated_ms",
		   5, scope, name, nonce_hex, hex, now);
	return 0;
}

/* The columns hold hex digits, see vault_put(); rows show blobs as hex. */
static unsigned char *unhex(const char *hex, size_t *len)
{
	size_t n = strlen(hex);
	unsigned char *bin = malloc(n / 2 + 1);

	if (bin != NULL &&
	    sodium_hex2bin(bin, n / 2, hex, n, NULL, len, NULL) < 0) {
		free(bin);
		bin = NULL;
	}
	return bin;
}

int vault_get(struct vault *v, struct reader *r, const char *scope,
	      const char *name, char **out, struct err *e)
{
	const char *args[] = {scope, name, NULL};
	autofree char *box_hex = NULL, *nonce_hex = NULL;
	autofree unsigned char *box = NULL, *nonce = NULL;
	size_t box_len = 0, nonce_len = 0;
	char *value;
	int n;

	n = reader_value(r,
			 "SELECT CAST(box AS TEXT) FROM secret "
			 "WHERE scope=?1 AND name=?2",
			 args, &box_hex, e);
	if (n <= 0)
		return n;
	n = reader_value(r,
			 "SELECT CAST(nonce AS TEXT) FROM secret "
			 "WHERE scope=?1 AND name=?2",
			 args, &nonce_hex, e);
	if (n <= 0)
		return n;
	box = unhex(box_hex, &box_len);
	nonce = unhex(nonce_hex, &nonce_len);
	value = malloc(box_len + 1);
	if (value == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	if (box == NULL || nonce == NULL ||
	    nonce_len != crypto_secretbox_NONCEBYTES ||
	    crypto_secretbox_open_easy((unsigned char *)value, box, box_len,
				       nonce, v->key) < 0) {
		free(value);
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "secret %s of %s does not open with this key",
			       name, scope);
	}
	value[box_len - crypto_secretbox_MACBYTES] = '\0';
	*out = value;
	return 1;
}

void vault_wipe(char *value)
{
	if (value == NULL)
		return;
	sodium_memzero(value, strlen(value));
	free(value);
}

void sha256_hex(char out[SHA256_HEX_MAX], const char *bytes, size_t n)
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const unsigned char *)bytes, n);
	sodium_bin2hex(out, SHA256_HEX_MAX, hash, sizeof(hash));
}

void random_hex(char *out, size_t n)
{
	unsigned char bytes[64];

	if (n > sizeof(bytes))
		n = sizeof(bytes);
	randombytes_buf(bytes, n);
	sodium_bin2hex(out, 2 * n + 1, bytes, n);
}
