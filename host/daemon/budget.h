/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - How much memory all VMs may take together
 *
 * Looked at every BUDGET_LOOK_MS.  Above it, the VM that has been idle for longest
 * sleeps so that it gives its memory back, and then it is looked at again; VMs in
 * which something goes on are left alone, whatever they take.
 */
#ifndef HOST_DAEMON_BUDGET_H
#define HOST_DAEMON_BUDGET_H

#include <stdint.h>

#define BUDGET_LOOK_MS 2000
#define BUDGET_MIB_MAX (1 << 24)

struct hibd;
struct budget; /* Opaque. */

/* NULL: out of memory. */
struct budget *budget_new(struct hibd *d, int64_t bytes);
/* Its handle closes on the loop, which frees it.  NULL is allowed. */
void budget_close(struct budget *b);

#endif
