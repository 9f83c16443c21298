/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.h - What the processes of one session may use
 *
 * Asked for by config.limits of a session: {processes, memory_bytes,
 * cpu_percent, open_files}.  Threads count as processes; 100 percent are one
 * processor.
 */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H

#include "core/json.h"

#define QUOTA_PROCESSES_DEFAULT 2048 /* The others have no limit. */

struct quota {
	int64_t processes, memory_bytes, cpu_percent, open_files; /* 0: none */
};

/**
 * quota_read() - Check and take over what a session's config asks for
 * @config: The object; a limit that is absent has its default, 0 is none
 * @out:    Set on success
 * @e:      Set on failure
 *
 * Return: 0 or -FAULT_INVALID_ARGUMENT.
 */
int quota_read(struct jv config, struct quota *out, struct err *e);

#endif
