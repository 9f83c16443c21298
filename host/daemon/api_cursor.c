// SPDX-License-Identifier: Apache-2.0
/*
 * api_cursor.c - Named cursors: how far a reader has come in a log
 *
 * They belong to readers, not to the log: setting one is no event, needs no more
 * than the right to read, and works in every state of the session.  They go with
 * the session.
 */
#include <stdio.h>
#include <string.h>

#include "core/time.h"
#include "host/daemon/catalog.h"
#include "host/daemon/routes.h"

#define CURSOR_NAME_MAX 64
#define CURSORS_MAX	100 /* Of one session. */

static bool load(struct op *op)
{
	size_t n = strspn(op->what, "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (n == 0 || n > CURSOR_NAME_MAX || op->what[n] != '\0') {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "a cursor has a name of 1 to %d letters, digits and "
			  ". _ -",
			  CURSOR_NAME_MAX);
		return false;
	}
	return op_load_session(op);
}

/* Its row into op->out.  Return: 1; 0 when there is none; or an error. */
static int find(struct op *op, struct err *e)
{
	const char *args[] = {op->session, op->what, NULL};

	jw_reset(&op->out);
	return reader_rows(op->d->reader,
			   "SELECT name, seq, updated_ms FROM cursor"
			   " WHERE session_id=?1 AND name=?2",
			   args, &op->out, e);
}

/* The same, when there must be one.  False: the op has been answered. */
static bool need(struct op *op)
{
	struct err e = {0};
	int n = find(op, &e);

	if (n == 0)
		err_set(&e, -FAULT_KEY_NOT_FOUND, "%s has no cursor %s",
			op->session, op->what);
	if (n <= 0)
		op_fail(op, &e);
	return n > 0;
}

void cursor_get_route(struct op *op)
{
	if (load(op) && need(op))
		op_reply_out(op);
}

static void cursor_on_set(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else if (need(op))
		op_reply_out(op);
}

static bool has_room(struct op *op)
{
	const char *args[] = {op->session, op->what, NULL};
	autofree char *n = NULL;

	if (reader_value(op->d->reader,
			 "SELECT count(*) FROM cursor WHERE session_id=?1"
			 " AND name<>?2",
			 args, &n, NULL) != 1 ||
	    strtol(n, NULL, 10) < CURSORS_MAX)
		return true;
	op_refuse(op, -FAULT_QUOTA_EXCEEDED, "%s has %d cursors already",
		  op->session, CURSORS_MAX);
	return false;
}

static bool check_seq(struct op *op, int64_t seq)
{
	struct err e = {0};

	if (seq < 0) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT, "'seq' is missing");
		return false;
	}
	if (seq <= op->brief.last_seq)
		return true;
	err_set(&e, -FAULT_CURSOR_AHEAD, "session %s ends at event %lld",
		op->session, (long long)op->brief.last_seq);
	err_data(&e, "\"last_seq\":%lld", (long long)op->brief.last_seq);
	op_fail(op, &e);
	return false;
}

void cursor_set_route(struct op *op)
{
	int64_t seq = -1;
	struct change *c;

	if (!load(op) || !op_integer(op, "seq", 0, INT64_MAX, &seq) ||
	    !check_seq(op, seq) || !has_room(op))
		return;
	c = change_new();
	change_add(c,
		   "INSERT INTO cursor(session_id, name, seq, updated_ms)"
		   " SELECT id, ?2, ?3, ?4 FROM session WHERE id=?1"
		   " ON CONFLICT DO UPDATE SET seq=excluded.seq,"
		   "  updated_ms=excluded.updated_ms",
		   4, op->session, op->what, int_text(seq), int_text(now_ms()));
	change_submit(op->d->store, c, cursor_on_set, op);
}

static void cursor_on_deleted(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_empty(op);
}

void cursor_delete_route(struct op *op)
{
	struct change *c;

	if (!load(op) || !need(op))
		return;
	c = change_new();
	change_add(c, "DELETE FROM cursor WHERE session_id=?1 AND name=?2", 2,
		   op->session, op->what);
	change_submit(op->d->store, c, cursor_on_deleted, op);
}
