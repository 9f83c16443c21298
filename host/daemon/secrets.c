// SPDX-License-Identifier: Apache-2.0
/*
 * secrets.c - Values that a user has given a name, and that are used by it
 */
#include "host/daemon/secrets.h"

#include <string.h>

bool secret_name_is_good(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n <= SECRET_NAME_MAX && strspn(name, good) == n;
}

bool secret_is_reference(struct jv v)
{
	char name[SECRET_NAME_MAX + 1];

	return jv_is(v, JV_OBJECT) && jv_count(v) == 1 &&
	       jv_strcpy(jv_get(v, "secret"), name, sizeof(name)) > 0 &&
	       secret_name_is_good(name);
}

void release_init(struct release *r, struct vault *v, struct reader *reader)
{
	*r = (struct release){.vault = v, .reader = reader};
	jw_arr(&r->values);
}

void release_done(struct release *r)
{
	if (r->values.buf != NULL)
		explicit_bzero(r->values.buf, r->values.len);
	jw_done(&r->values);
}

int release_secret(struct release *r, struct jv reference, char **out,
		   struct err *e)
{
	char name[SECRET_NAME_MAX + 1];
	int n;

	if (jv_strcpy(jv_get(reference, "secret"), name, sizeof(name)) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "no such secret");
	n = vault_get(r->vault, r->reader, SECRET_SCOPE, name, out, e);
	if (n != 0)
		return n < 0 ? n : 0;
	err_set(e, -FAULT_AGENT_AUTH_REQUIRED,
		"there is no secret %.200s; set it with: hib secret set", name);
	err_data(e, "\"names\":[\"%s\"]", name);
	return -FAULT_AGENT_AUTH_REQUIRED;
}

int release_write(struct release *r, struct jv value, struct jw *w,
		  struct err *e)
{
	char *secret = NULL;
	int n;

	if (jv_is(value, JV_STRING)) {
		jw_value(w, value);
		return 0;
	}
	n = release_secret(r, value, &secret, e);
	if (n < 0)
		return n;
	jw_str(w, secret);
	jw_str(&r->values, secret);
	vault_wipe(secret);
	return 0;
}

void release_write_values(const struct release *r, struct jw *w)
{
	jw_raw(w, r->values.buf, r->values.len);
	jw_lit(w, "]", 1);
	w->failed |= r->values.failed;
}
