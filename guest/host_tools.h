/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_tools.h - The functions of the user's program that an agent may call
 *
 *	[{"name":N,"description":D,"inputSchema":{..},"timeoutMs":T,
 *	  "title":..,"annotations":{..}}]
 *
 * Only their names and schemas are here; who runs them is outside the VM.  A name
 * is 1 to 64 of [A-Za-z0-9_-] and is there once.  Without a schema any object is
 * taken; without timeoutMs a call has HOST_TOOL_MS.  Other members are ignored.
 */
#ifndef GUEST_HOST_TOOLS_H
#define GUEST_HOST_TOOLS_H

#include "core/json.h"

/* Zero-initialised there are none, and no server for them. */
struct host_tools {
	char *text; /* The array as it was told; NULL: never told. */
	/* Private. */
	struct json doc;
};

/* Can they be taken?  Return: 0; -FAULT_INVALID_ARGUMENT, in words;
 * -FAULT_MESSAGE_TOO_LARGE. */
int host_tools_check(struct jv list, struct err *e);
/* Replace what there is by a copy of a list that was checked.
 * Return: 0; -ENOMEM, and nothing has changed. */
int host_tools_set(struct host_tools *t, struct jv list);
void host_tools_done(struct host_tools *t);

size_t host_tools_count(const struct host_tools *t);
/* The definition of one; absent: there is none.  Valid until the next set. */
struct jv host_tools_find(const struct host_tools *t, const char *name);
/* Its schema as JSON text, to be freed; NULL: memory is out. */
char *host_tool_schema(struct jv tool);
/* How long a call of it may take. */
int64_t host_tool_timeout(struct jv tool);
/* Write them as elements of an open array, as tools/list has them. */
void host_tools_write(const struct host_tools *t, struct jw *w);

#endif
