// SPDX-License-Identifier: Apache-2.0
/*
 * artifact.c - Where the bytes of an artifact are
 */
#include "host/artifact.h"

#include <string.h>

#include "core/err.h"
#include "core/json.h"

/* The second condition on the type is for an index that leaves those out. */
static const char find_sql[] =
	"SELECT s.vm_id, json_extract(e.data,'$.oid') AS oid FROM session s "
	"JOIN event e ON e.session_n=s.n WHERE s.id=?1 AND "
	"e.type='artifact.created' AND e.type<>'acp.update' AND "
	"(json_extract(e.data,'$.id')=?2 OR json_extract(e.data,'$.path')=?2) "
	"ORDER BY e.seq DESC LIMIT 1";

int artifact_find(struct reader *r, const char *session, const char *what,
		  struct artifact *out, struct err *e)
{
	const char *args[] = {session, what, NULL};
	struct artifact a = {0};
	autojson struct json j = {0};
	autojw struct jw w = {0};
	char hex[VFS_OID_HEX];
	struct jv row;
	int n;

	if (!id_is(session, "ses"))
		return err_set(e, -FAULT_INVALID_ID, "'%.64s' is no session id",
			       session);
	n = reader_rows(r, find_sql, args, &w, e);
	if (n == 0)
		return err_set(e, -FAULT_FILE_NOT_FOUND,
			       "%s has no artifact '%.128s'", session, what);
	if (n > 0)
		n = json_parse(&j, w.buf, w.len, e);
	if (n < 0)
		return n;
	row = json_root(&j);
	if (jv_strcpy(jv_get(row, "vm_id"), a.vm, sizeof(a.vm)) < 0 ||
	    !id_is(a.vm, "vm") ||
	    jv_strcpy(jv_get(row, "oid"), hex, sizeof(hex)) < 0 ||
	    vfs_oid_parse(hex, &a.oid) < 0)
		return err_set(e, -FAULT_FILE_NOT_FOUND,
			       "artifact '%.128s' has no file", what);
	*out = a;
	return 0;
}
