/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.h - Run a program for the host, and tell what it writes
 *
 * POST /exec, with an object as in exec_spec.h.  The answer is lines, one object
 * each, of which the last says how it ended:
 *
 *	{"type":"stdout","data":text}		or data_b64, of what is no text
 *	{"type":"stderr",..}
 *	{"type":"result","result":{"exit":0,"signal":null,"timed_out":false,
 *	 "ms":12,"stdout_bytes":N,"stderr_bytes":N}}
 *	{"type":"error","error":an error's object}
 *
 * With "collect" there is only the last line, and a result has "stdout" and
 * "stderr" (or ".._b64"), the last bytes of each, with "stdout_truncated" and
 * "stderr_truncated".
 *
 * The program is nobody's: it runs in namespaces of its own, as the agents' user,
 * with the base environment and what was given; or in those of a session whose
 * agent lives.  It ends at the latest when nobody waits for it any more, with
 * the session that it joined, or when the VM goes to sleep; then with all that
 * it has started.  One that cannot be started ends as in a shell: exit 127, or
 * 126 when it must not be executed, and the reason as its stderr.
 */
#ifndef GUEST_EXEC_H
#define GUEST_EXEC_H

#include "core/h2.h"

struct guest;

/* Answer a request whose body is there.  @body: on the heap, taken over. */
void exec_serve(struct guest *g, struct h2_stream *s, char *body, size_t len);

/* The VM goes to sleep: end all. */
void execs_freeze(struct guest *g);
/* How many run. */
unsigned execs_count(const struct guest *g);
/* Has all ended that was started? */
bool execs_have_ended(const struct guest *g);

#endif
