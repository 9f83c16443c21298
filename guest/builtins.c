// SPDX-License-Identifier: Apache-2.0
/*
 * builtins.c - The servers inside the daemon, by name
 */
#include "guest/builtins.h"

#include <string.h>

static const struct builtin *const builtins[] = {
	&builtin_history, &builtin_host,      &builtin_kv, &builtin_memory,
	&builtin_sql,	  &builtin_workspace, NULL,
};

const struct builtin *builtin_find(const char *name)
{
	for (const struct builtin *const *b = builtins; *b != NULL; b++)
		if (strcmp((*b)->name, name) == 0)
			return *b;
	return NULL;
}
