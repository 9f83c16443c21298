// SPDX-License-Identifier: Apache-2.0
/*
 * idem.c - Requests that come again: what was answered to a key
 */
#include "host/daemon/idem.h"

#include <string.h>

#include "core/time.h"

/* One row: its result, and whether it is this request's. */
int idem_find(struct reader *r, const char *key, const char *method,
	      const char *hash, char **result, struct err *e)
{
	static const char sql[] =
		"SELECT (method=?2 AND CAST(hash AS TEXT)=?3)||result FROM idem"
		" WHERE key=?1 AND expires_ms>CAST(?4 AS INTEGER)";
	const char *args[] = {key, method, hash, int_text(now_ms()), NULL};
	autofree char *row = NULL;
	int n = reader_value(r, sql, args, &row, e);

	if (n <= 0)
		return n;
	if (row[0] != '1')
		return err_set(e, -FAULT_IDEMPOTENCY_MISMATCH,
			       "this key came with another request");
	*result = strdup(row + 1);
	return *result ? 1 : err_set(e, -ENOMEM, "out of memory");
}

void idem_add(struct change *c, const char *key, const char *method,
	      const char *hash, const char *result)
{
	const char *now = int_text(now_ms());

	change_add(c, "DELETE FROM idem WHERE expires_ms<=CAST(?1 AS INTEGER)",
		   1, now);
	change_add(c,
		   "INSERT INTO idem(key, method, hash, result, expires_ms)"
		   " VALUES(?1, ?2, CAST(?3 AS BLOB), ?4, ?5)",
		   5, key, method, hash, result,
		   int_text(now_ms() + IDEM_KEEP_MS));
}

void idem_drop(struct change *c, const char *key)
{
	change_add(c, "DELETE FROM idem WHERE key=?1", 1, key);
}
