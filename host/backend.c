// SPDX-License-Identifier: Apache-2.0
/*
 * backend.c - The backends there are, by name
 */
#include "host/backend.h"

#include <string.h>

const struct backend_ops *backend_find(const char *name)
{
	static const struct backend_ops *const all[] = {&backend_sandbox,
							&backend_qemu};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
