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
 * the session that it joined, or when the VM sleeps cold; then with all that
 * it has started.  One that cannot be started ends as in a shell: exit 127, or
 * 126 when it must not be executed, and the reason as its stderr.
 *
 * A warm sleep may take the channel away, and the stream with it.  So a freeze is
 * answered with how many bytes each stream was written ("exec_sent"), which the
 * host has taken before it puts the machine away; it names those that it will come
 * back to in the thaw ("execs"), and does so by POST /exec/attach {"exec":id}: the
 * lines go on where they were.  A program whose stream has ended and that is not
 * named ends with the thaw.
 */
#ifndef GUEST_EXEC_H
#define GUEST_EXEC_H

#include "core/h2.h"
#include "core/json.h"

struct guest;

/* Answer a request whose body is there.  @body: on the heap, taken over. */
void exec_serve(struct guest *g, struct h2_stream *s, char *body, size_t len);

/* The same of /exec/attach. */
void exec_attach(struct guest *g, struct h2_stream *s, char *body, size_t len);

/* The VM goes to sleep: end all. */
void execs_freeze(struct guest *g);
/* Paused: what was written to each stream, {id: bytes}. */
void execs_write_sent(const struct guest *g, struct jw *w);
/* About to go on: the host will come back to those in @ids, if it is a list. */
void execs_keep(struct guest *g, struct jv ids);
/* Going on, with all that is read again. */
void execs_go_on(struct guest *g);
/* How many run. */
unsigned execs_count(const struct guest *g);
/* Has all ended that was started? */
bool execs_have_ended(const struct guest *g);

#endif
