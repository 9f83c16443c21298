// SPDX-License-Identifier: Apache-2.0
/*
 * progress.c - How far something is that takes long, on a terminal
 */
#include "host/cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/time.h"
#include "host/cli/cli.h"

#define EVERY_MS 200

void progress_begin(struct progress *p, const char *name)
{
	*p = (struct progress){.name = name, .next_ms = now_ms() + EVERY_MS};
}

/* Is it time to say something?  Then the line is empty. */
static bool is_due(struct progress *p)
{
	int64_t now;

	if (!isatty(STDERR_FILENO))
		return false;
	now = now_ms();
	if (now < p->next_ms)
		return false;
	p->next_ms = now + EVERY_MS;
	p->shown = true;
	fputs("\r\033[K", stderr);
	return true;
}

void progress_add(struct progress *p, size_t n)
{
	p->bytes += n;
	if (!is_due(p))
		return;
	fprintf(stderr, "%8.1f MiB  ", (double)p->bytes / (1 << 20));
	cli_print_name(stderr, p->name, strlen(p->name));
	fflush(stderr);
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	if (!is_due(p))
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	*p = (struct progress){0};
}
