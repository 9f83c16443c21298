/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id.h - Names of things: a prefix and 32 hex digits of a UUIDv7 (RFC 9562)
 *
 *	ses_019353e4a7c07b3e8f1a2b3c4d5e6f70
 *
 * The time comes first, so ids sort by birth.  The random bits are asked of the
 * kernel each time: no pool of ours has to be renewed when a VM wakes or is
 * cloned.
 */
#ifndef CORE_ID_H
#define CORE_ID_H

#include "core/base.h"

#define ID_MAX 37 /* Bytes of the longest id with its NUL: "ses_" + 32. */

/* @prefix: one of vm ses trn msg req exe art sch snp cmt pre. */
void id_new(char out[ID_MAX], const char *prefix);

/* Is @s a well-formed id of that kind (NULL: of any kind)? */
bool id_is(const char *s, const char *prefix);

#endif
