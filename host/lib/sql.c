// SPDX-License-Identifier: Apache-2.0
/*
 * sql.c - Databases of a session
 */
#include <string.h>

#include "host/lib/lib.h"

static struct jw path_sql(const char *session, const char *db)
{
	struct jw path = path_session(session, db != NULL ? "/sql/" : "/sql");

	if (path.len > 0 && db != NULL)
		path_encoded(&path, db);
	return path;
}

int hib_sql(struct hib *h, const char *session, const char *db, const char *sql,
	    const struct hib_sql_options *options, char **json,
	    struct hib_error *e)
{
	struct hib_sql_options o;
	struct jw path, body = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	jw_obj(&body);
	jw_kstr(&body, "op", o.query ? "query" : "execute");
	jw_kstr(&body, "sql", sql);
	if (r == 0)
		r = lib_put_json(&body, "params", o.params, &err);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	if (o.timeout_ms > 0)
		jw_kint(&body, "timeoutMs", o.timeout_ms);
	jw_obj_end(&body);
	path = path_sql(session, db);
	return request_post(h, &path, &body, !o.query, json, e);
}

int hib_sql_schema(struct hib *h, const char *session, const char *db,
		   char **json, struct hib_error *e)
{
	struct jw path = path_sql(session, db);

	return request_get(h, &path, json, e);
}

int hib_sql_list(struct hib *h, const char *session, char **json,
		 struct hib_error *e)
{
	struct jw path = path_sql(session, NULL);

	return request_get(h, &path, json, e);
}

int hib_sql_drop(struct hib *h, const char *session, const char *db,
		 struct hib_error *e)
{
	struct jw path = path_sql(session, db);

	return request_delete(h, &path, e);
}
