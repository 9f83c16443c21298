/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - One request of the host, from its arrival to its answer
 *
 * A call is answered exactly once, at once or after the commit of a journal's
 * events; then it is no more.  While it waits for something it stands in the
 * list of whoever will answer it.  A host that goes away in the meantime
 * changes nothing: the answer then goes nowhere.
 */
#ifndef GUEST_CALL_H
#define GUEST_CALL_H

#include "core/h2.h"
#include "guest/journal.h"

struct call {
	TAILQ_ENTRY(call) link; /* For whoever makes it wait. */
	struct jv params;	/* Of body; absent when there was none. */
	struct jw result;	/* To be filled before call_reply...(). */
	struct err err;		/* Failing instead, if its code is < 0. */
	/* Runs when the answer is with the kernel, or its stream has ended
	 * otherwise; may be NULL. */
	void (*told)(void *arg);
	void *told_arg;

	/* Private. */
	struct h2_stream *stream; /* NULL once the host has gone. */
	char *body;
	struct json json;
	bool answered;
	struct journal_effect stored;
};
TAILQ_HEAD(call_list, call);

/**
 * call_new() - Take a request whose body is complete
 * @body: JSON or nothing; on the heap, owned by the call even when this fails;
 *        raw newlines in it are made spaces, so that parts of it can be events
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT when it is no object; -ENOMEM.
 */
int call_new(struct h2_stream *s, char *body, size_t len, struct call **out,
	     struct err *e);

/* Answer now: with the result, or {} if it is empty. */
void call_reply(struct call *c);
void call_fail(struct call *c, const struct err *e);

/* Answer with the result, or with c->err, once everything added to @j so far is
 * stored; if that fails, with the reason.  "last_seq" of the journal is put into
 * the result or the error's data: the host answers its own client when it has
 * stored that much. */
void call_reply_after(struct call *c, struct journal *j);
void call_fail_after(struct call *c, struct journal *j, const struct err *e);

/* Fail all calls of a list, now; it is empty afterwards. */
void call_list_fail(struct call_list *l, const struct err *e);

/* Answer a stream that is no call. */
void stream_fail(struct h2_stream *s, const struct err *e);

#endif
