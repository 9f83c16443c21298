// SPDX-License-Identifier: Apache-2.0
/*
 * progress.c - How much of a file is through, on a terminal
 */
#include "host/cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/time.h"
#include "host/cli/workspace.h"

#define EVERY_MS 200

void progress_begin(struct progress *p, const char *name)
{
	*p = (struct progress){.name = name, .next_ms = now_ms() + EVERY_MS};
}

void progress_add(struct progress *p, size_t n)
{
	int64_t now;

	p->bytes += n;
	if (!isatty(STDERR_FILENO))
		return;
	now = now_ms();
	if (now < p->next_ms)
		return;
	p->next_ms = now + EVERY_MS;
	p->shown = true;
	fprintf(stderr, "\r\033[K%8.1f MiB  ", (double)p->bytes / (1 << 20));
	workspace_print_name(stderr, p->name, strlen(p->name));
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	*p = (struct progress){0};
}
