/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linediff.h - What changed between two texts, as a unified diff
 *
 * The same as `createTwoFilesPatch` of the JavaScript library `diff` prints, line
 * by line: with four lines of context, an "Index:" line, and the headers "original"
 * and "modified".  Beyond LINEDIFF_EDITS_MAX lines that come or go the shortest
 * way is not looked for: what lies between the first and the last difference is
 * one change.
 */
#ifndef GUEST_LINEDIFF_H
#define GUEST_LINEDIFF_H

#include "core/json.h"

#define LINEDIFF_EDITS_MAX 1000

/**
 * linediff_write() - Compare two texts
 * @name: Of the file, for the headers
 * @out:  Bytes are appended as they are
 *
 * Return: 0 or -ENOMEM.
 */
int linediff_write(const char *name, const char *old, size_t old_len,
		   const char *new, size_t new_len, struct jw *out);

#endif
