/* SPDX-License-Identifier: Apache-2.0 */
/*
 * textedit.h - Replace passages of a text that a model has quoted
 *
 * A passage is found as it is, the first of several; else as whole lines that are
 * the same but for white space at their beginnings and ends, and then what
 * replaces it is indented as what was there.  Line ends become LF.  All as the
 * tool edit_file of npm's server-filesystem does it.
 */
#ifndef GUEST_TEXTEDIT_H
#define GUEST_TEXTEDIT_H

#include "core/base.h"

#define TEXTEDIT_STEPS_MAX (32u << 20) /* Lines compared with lines. */

struct text {
	char *s; /* On the heap; NUL-terminated, NULs may be in it. */
	size_t len;
};

/* CR LF becomes LF, in place. */
void textedit_line_ends(struct text *t);

/**
 * textedit_replace() - Replace one passage
 * @t:	 Text; changed on success only
 * @old: The passage
 * @new: What comes in its place
 *
 * All three have LF alone.  Return: 0; -ENOENT when it is not found; -E2BIG when
 * looking for it takes too long; -ENOMEM.
 */
int textedit_replace(struct text *t, const struct text *old,
		     const struct text *new);

#endif
