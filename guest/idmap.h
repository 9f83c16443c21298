/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap.h - Which ids there are in the VM
 */
#ifndef GUEST_IDMAP_H
#define GUEST_IDMAP_H

#include "core/base.h"

/* Whether the VM's map has the user SESSION_INIT_UID; else it has one id only, which agents
 * see as that in a user namespace of their own. */
bool idmap_has_agent(void);
/* The id, here, that agents' files have. */
unsigned idmap_agent(void);

#endif
