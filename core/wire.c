// SPDX-License-Identifier: Apache-2.0
/*
 * wire.c - Which language host and guest speak
 */
#include "core/wire.h"

#include <limits.h>
#include <stdio.h>

const struct wire_versions wire_versions = {
	.min = WIRE_VERSION_MIN,
	.max = WIRE_VERSION,
};

void wire_write(struct jw *w)
{
	jw_kint(w, "version", wire_versions.max);
	jw_kint(w, "min_version", wire_versions.min);
}

/* "version 1", "versions 2 to 4" */
static void describe(const struct wire_versions *v, char out[64])
{
	if (v->min == v->max)
		snprintf(out, 64, "version %lld", (long long)v->max);
	else
		snprintf(out, 64, "versions %lld to %lld", (long long)v->min,
			 (long long)v->max);
}

static int too_old(const struct wire_versions *old, const char *who,
		   const struct wire_versions *new, const char *other,
		   struct err *e)
{
	char has[64], wants[64];

	describe(old, has);
	describe(new, wants);
	return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
		       "%s is too old for %s: it speaks %s of the guest "
		       "channel, not %s",
		       who, other, has, wants);
}

int wire_agree(const struct wire_versions *ours, struct jv hello,
	       const char *me, const char *peer, struct err *e)
{
	int64_t max = jv_int(jv_get(hello, "version"), 1);
	struct wire_versions theirs = {
		.min = jv_int(jv_get(hello, "min_version"), max),
		.max = max,
	};

	if (theirs.min < 1 || theirs.min > theirs.max || theirs.max > INT_MAX)
		return err_set(e, -FAULT_BAD_FRAME,
			       "%s speaks no version of the guest channel",
			       peer);
	if (theirs.max < ours->min)
		return too_old(&theirs, peer, ours, me, e);
	if (ours->max < theirs.min)
		return too_old(ours, me, &theirs, peer, e);
	return (int)(theirs.max < ours->max ? theirs.max : ours->max);
}
