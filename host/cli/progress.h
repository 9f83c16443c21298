/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - How far something is that takes long, on a terminal
 */
#ifndef HOST_CLI_PROGRESS_H
#define HOST_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base.h"

struct progress {
	const char *name;
	uint64_t bytes;
	/* Private. */
	int64_t next_ms;
	bool shown;
};

/* Says nothing when standard error is no terminal, or when it is over soon.
 * @name: borrowed until the end. */
void progress_begin(struct progress *p, const char *name);
void progress_add(struct progress *p, size_t n);
/* The same in words of the caller. */
void progress_say(struct progress *p, const char *fmt, ...) printf_like(2, 3);
void progress_end(struct progress *p);

#endif
