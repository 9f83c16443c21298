/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtins.h - The servers inside the daemon, by name
 */
#ifndef GUEST_BUILTINS_H
#define GUEST_BUILTINS_H

#include "guest/builtin.h"

extern const struct builtin builtin_history;
extern const struct builtin builtin_host;
extern const struct builtin builtin_kv;
extern const struct builtin builtin_memory;
extern const struct builtin builtin_sql;
extern const struct builtin builtin_workspace;

/* NULL: there is none of that name. */
const struct builtin *builtin_find(const char *name);

#endif
