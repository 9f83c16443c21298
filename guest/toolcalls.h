/* SPDX-License-Identifier: Apache-2.0 */
/*
 * toolcalls.h - What the agent has said of the tool calls of a turn
 *
 * A tool call is announced and updated bit by bit, and a permission request may
 * name no more than its id.  Kept is what a policy asks for: the last kind and
 * title, and every path that was ever named: in locations, in diffs, and in
 * the members of rawInput that tools use for paths.
 *
 * Bounded: the oldest calls are forgotten, and of one that says too much it is
 * known that there was more.
 */
#ifndef GUEST_TOOLCALLS_H
#define GUEST_TOOLCALLS_H

#include <sys/queue.h>

#include "core/policy.h"

struct toolcall {
	TAILQ_ENTRY(toolcall) link;
	char *id; /* JSON text; "": the call had none. */
	const char *kind;
	char *title; /* NULL: none. */
	char **paths;
	size_t n_paths, bytes;
	bool title_unclear, paths_unclear;
};

/* Zero-initialised is a valid empty list. */
struct toolcalls {
	TAILQ_HEAD(toolcall_list, toolcall) list;
	size_t n, bytes;
};

/**
 * toolcalls_note() - Add what @call says to what is known
 * @call: A tool_call, a tool_call_update or the toolCall of a request
 * @cwd:  What its relative paths are below
 *
 * A call without an id begins anew each time.
 *
 * Return: the call, owned by the list; NULL: out of memory.
 */
const struct toolcall *toolcalls_note(struct toolcalls *t, struct jv call,
				      const char *cwd);
void toolcalls_done(struct toolcalls *t);

#endif
