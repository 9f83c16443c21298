/* SPDX-License-Identifier: Apache-2.0 */
/*
 * type_filter.h - Which types of events a reader asked for
 */
#ifndef CORE_TYPE_FILTER_H
#define CORE_TYPE_FILTER_H

#include "core/event.h"
#include "core/reader.h"

struct type_pattern {
	char text[EVENT_TYPE_MAX]; /* Without its `*`. */
	size_t len;
	bool prefix;
};

struct type_filter {
	struct type_pattern types[READER_PATTERNS], exclude[READER_PATTERNS];
	unsigned n_types, n_exclude; /* n_types 0: all. */
};

/* Decode event_query's types and exclude, both may be NULL.  Return: 0 or
 * -FAULT_INVALID_ARGUMENT. */
int type_filter_init(struct type_filter *f, const char *types,
		     const char *exclude, struct err *e);

bool type_filter_passes(const struct type_filter *f, const char *type);
/* Does it pass everything? */
bool type_filter_is_open(const struct type_filter *f);

#endif
