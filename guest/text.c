// SPDX-License-Identifier: Apache-2.0
/*
 * text.c - Strings of messages as argv, environments and paths can hold them
 */
#include "guest/text.h"

#include <string.h>

int text_take(struct jv v, const char *what, char **out, struct err *e)
{
	autofree char *s = NULL;
	size_t len;

	if (!jv_is(v, JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no string",
			       what);
	s = jv_strdup(v, &len);
	if (s == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", what);
	if (strlen(s) != len)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s holds a NUL character", what);
	*out = take_ptr(s);
	return 0;
}

void text_list_free(char **list)
{
	for (char **s = list; s != NULL && *s != NULL; s++)
		free(*s);
	free(list);
}
