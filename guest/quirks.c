// SPDX-License-Identifier: Apache-2.0
/*
 * quirks.c - How an agent differs from what the protocol says
 */
#include "guest/quirks.h"

struct member {
	const char *name;
	size_t at;
};

static const struct member flags[] = {
	{"no_fs", offsetof(struct quirks, no_fs)},
	{"no_terminal", offsetof(struct quirks, no_terminal)},
	{"missing_empty", offsetof(struct quirks, missing_empty)},
	{"no_load", offsetof(struct quirks, no_load)},
	{"steer", offsetof(struct quirks, steer)},
};

static const struct member times[] = {
	{"late_replay_ms", offsetof(struct quirks, late_replay_ms)},
	{"exit_ms", offsetof(struct quirks, exit_ms)},
};

static bool is_given(struct jv v)
{
	return jv_has(v) && !jv_is(v, JV_NULL);
}

static int read_flags(struct jv v, struct quirks *q, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		struct jv flag = jv_get(v, flags[i].name);

		if (is_given(flag) && !jv_is(flag, JV_BOOL))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "agent: quirk %s is no boolean",
				       flags[i].name);
		*(bool *)((char *)q + flags[i].at) = jv_bool(flag, false);
	}
	return 0;
}

static int read_times(struct jv v, struct quirks *q, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct jv time = jv_get(v, times[i].name);
		int64_t ms = is_given(time) ? jv_int(time, -1) : 0;

		if (ms < 0 || ms > QUIRK_MS_MAX)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "agent: quirk %s is no number of 0 to "
				       "%d",
				       times[i].name, QUIRK_MS_MAX);
		*(int64_t *)((char *)q + times[i].at) = ms;
	}
	return 0;
}

int quirks_read(struct jv v, struct quirks *out, struct err *e)
{
	struct quirks q = {0};

	if (is_given(v) && !jv_is(v, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "agent: quirks is no object");
	if (read_flags(v, &q, e) < 0 || read_times(v, &q, e) < 0)
		return e->code;
	q.has_exit_ms = is_given(jv_get(v, "exit_ms"));
	*out = q;
	return 0;
}
