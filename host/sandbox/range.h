/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range.h - The host uids and gids of a VM, when we run as root
 *
 * Each VM owns RANGE_IDS ids, 0 to 65535 inside, so that a process that breaks
 * out of one is nobody outside and is nobody to the other VMs.  The range follows
 * from the VM's id alone: nothing has to be stored, and a folder of a VM means
 * the same to the hibd that made its disk and to the launcher that maps it.  The
 * ranges are those that systemd sets aside for containers (UIDS-GIDS.md).  Two
 * VMs may meet in one range; they are then kept apart by their namespaces only.
 */
#ifndef HOST_SANDBOX_RANGE_H
#define HOST_SANDBOX_RANGE_H

#include <stdint.h>

#define RANGE_FIRST 524288u
#define RANGE_IDS   65536u
#define RANGE_COUNT 28664u /* The last one ends at 1879048191. */

#define RANGE_AGENT 1000u /* The agents' id inside. */

/* First host id of the VM of that id. */
static inline uint32_t range_base(const char *vm)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *vm != '\0'; vm++)
		hash = (hash ^ (uint8_t)*vm) * 16777619u;
	return RANGE_FIRST + hash % RANGE_COUNT * RANGE_IDS;
}

#endif
