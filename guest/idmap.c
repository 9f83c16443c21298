// SPDX-License-Identifier: Apache-2.0
/*
 * idmap.c - Which ids there are in the VM
 */
#include "guest/idmap.h"

#include <stdio.h>

#include "guest/session_init.h"

/* Does /proc/self/{uid,gid}_map at @path have @id? */
static bool has(const char *path, unsigned id)
{
	unsigned inside, outside, n;
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f != NULL && !found &&
	       fscanf(f, "%u %u %u", &inside, &outside, &n) == 3)
		found = id >= inside && id - inside < n;
	if (f != NULL)
		fclose(f);
	return found;
}

bool idmap_has_agent(void)
{
	return has("/proc/self/uid_map", SESSION_INIT_UID) &&
	       has("/proc/self/gid_map", SESSION_INIT_UID);
}

unsigned idmap_agent(void)
{
	return idmap_has_agent() ? SESSION_INIT_UID : 0;
}
