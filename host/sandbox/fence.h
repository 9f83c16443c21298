/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.h - What the guest and all its descendants can never do
 */
#ifndef HOST_SANDBOX_FENCE_H
#define HOST_SANDBOX_FENCE_H

#include "core/err.h"

/* Put limits, capabilities and system calls of this process behind the fence.
 * Nothing that may still be needed is left after this but execve(2). */
int fence_close(struct err *e);

#endif
