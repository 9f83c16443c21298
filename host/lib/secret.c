// SPDX-License-Identifier: Apache-2.0
/*
 * secret.c - Secrets that the daemon keeps
 */
#include <string.h>

#include "host/lib/lib.h"

/* Into @path.  Names are of bytes that a path can have. */
static int path_secret(const char *name, struct jw *path, struct hib_error *e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	struct err err = {0};

	if (name == NULL || name[0] == '\0' || name[strspn(name, good)] != '\0')
		return lib_result(err_set(&err, -FAULT_INVALID_ARGUMENT,
					  "a secret's name is letters, digits "
					  "and . _ -"),
				  &err, e);
	jw_lit(path, "/v1/secrets/", 12);
	jw_lit(path, name, strlen(name));
	return 0;
}

int hib_set_secret(struct hib *h, const char *name, const char *value,
		   struct hib_error *e)
{
	struct jw path = {0}, body = {0};
	struct request q = {.method = "PUT"};
	int r = path_secret(name, &path, e);

	if (r < 0)
		return r;
	jw_obj(&body);
	jw_kstr(&body, "value", value);
	jw_obj_end(&body);
	q.path = path.buf;
	q.body = body.buf;
	q.body_len = body.len;
	r = request_json(h, &q, NULL, e);
	if (body.buf != NULL)
		explicit_bzero(body.buf, body.len);
	jw_done(&body);
	jw_done(&path);
	return r;
}

int hib_list_secrets(struct hib *h, char **json, struct hib_error *e)
{
	struct jw path = {0};

	jw_lit(&path, "/v1/secrets", 11);
	return request_get(h, &path, json, e);
}

int hib_delete_secret(struct hib *h, const char *name, struct hib_error *e)
{
	struct jw path = {0};
	int r = path_secret(name, &path, e);

	return r < 0 ? r : request_delete(h, &path, e);
}
