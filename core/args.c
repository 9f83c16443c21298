// SPDX-License-Identifier: Apache-2.0
/*
 * args.c - Members of a request's parameters, checked
 */
#include "core/args.h"

#include <string.h>

int args_text(struct jv v, const char *name, size_t max, char **out,
	      struct err *e)
{
	autofree char *s = NULL;
	size_t len;

	*out = NULL;
	if (!jv_has(v))
		return 0;
	if (!jv_is(v, JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no string",
			       name);
	s = jv_strdup(v, &len);
	if (s == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	if (len > max || strlen(s) != len)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s has %zu bytes, or a NUL; %zu are allowed",
			       name, len, max);
	*out = take_ptr(s);
	return 0;
}
