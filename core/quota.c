// SPDX-License-Identifier: Apache-2.0
/*
 * quota.c - What the processes of one session may use
 */
#include "core/quota.h"

#define BYTES_MAX (INT64_C(1) << 50)

static const struct {
	const char *name;
	size_t at;
	int64_t otherwise, max;
} members[] = {
	{"processes", offsetof(struct quota, processes),
	 QUOTA_PROCESSES_DEFAULT, 4 << 20},
	{"memory_bytes", offsetof(struct quota, memory_bytes), 0, BYTES_MAX},
	{"cpu_percent", offsetof(struct quota, cpu_percent), 0, 100 * 4096},
	{"open_files", offsetof(struct quota, open_files), 0, 1 << 20},
};

int quota_read(struct jv config, struct quota *out, struct err *e)
{
	struct jv limits = jv_get(config, "limits");
	struct quota q = {0};

	if (jv_has(limits) && !jv_is(limits, JV_NULL) &&
	    !jv_is(limits, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "config: limits is no object");
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct jv v = jv_get(limits, members[i].name);
		int64_t n = jv_has(v) && !jv_is(v, JV_NULL)
				    ? jv_int(v, -1)
				    : members[i].otherwise;

		if (n < 0 || n > members[i].max)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "config: limits: %s is no number of 0 "
				       "to %lld",
				       members[i].name,
				       (long long)members[i].max);
		*(int64_t *)(void *)((char *)&q + members[i].at) = n;
	}
	*out = q;
	return 0;
}
