/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.h - Which paths a pattern means
 *
 * As the JavaScript library `minimatch` with its option `dot`:
 *
 *	*	any characters of a name	**	any folders, as a whole name
 *	?	one character			[a-z] [!a] [[:alpha:]]
 *	{a,b}	one of them			{1..3} each of them
 *	\x	x itself			! before all: what does not match
 *
 * A pattern that begins with # matches nothing.  "+(..)" and the like are refused.
 */
#ifndef GUEST_GLOB_H
#define GUEST_GLOB_H

#include "core/err.h"

#define GLOB_PATTERN_MAX 4096 /* Bytes. */
#define GLOB_EXPAND_MAX	 256  /* Patterns that braces stand for. */
#define GLOB_BYTES_MAX	 (64u << 10)

struct glob; /* Opaque. */

/* Return: 0; -FAULT_INVALID_ARGUMENT when it is too long, stands for too many, or
 * is of a kind that is not known; -ENOMEM. */
int glob_new(const char *pattern, struct glob **out, struct err *e);
void glob_free(struct glob *g); /* NULL is allowed. */
/* @path: relative and plain. */
bool glob_match(const struct glob *g, const char *path);

#endif
