// SPDX-License-Identifier: Apache-2.0
/*
 * api_notes.c - What a session keeps: keys, memories, summaries
 *
 * Reading is a look into the store.  Who writes depends on who writes the log
 * (api_session.c): the guest, or hibd while the VM is off.  A note of hibd's is
 * held against the rows that the one before it makes, so those of a session go
 * one by one, in the order in which they came.
 */
#include <string.h>

#include "core/note.h"
#include "host/daemon/hostlog.h"
#include "host/daemon/routes.h"
#include "host/views.h"

#define KEY_AT (sizeof("/v1/sessions/") - 1 + ID_MAX) /* Of "kv/KEY". */

struct noting {
	TAILQ_ENTRY(noting) link; /* In d->notes. */
	struct op *op;
	struct note note;
	bool begun;
};

/* "KEY" of /v1/sessions/ID/kv/KEY, decoded; it may hold a slash. */
static const char *path_key(const struct op *op)
{
	const char *rest = http_path(op->r) + KEY_AT;

	return rest + strcspn(rest, "/") + 1;
}

/* --- the guest writes --------------------------------------------------- */

static const char *method_of(const struct note *n)
{
	static const char *const methods[] = {
		[NOTE_KV_SET] = "kv.set",
		[NOTE_KV_DELETE] = "kv.delete",
		[NOTE_MEMORY_SET] = "memory.set",
		[NOTE_MEMORY_DELETE] = "memory.delete",
		[NOTE_SUMMARY] = "summary.add",
	};

	return methods[n->kind];
}

static void call_on_answer(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	struct op *op = arg;

	jw_reset(&op->out);
	jw_lit(&op->out, body, len);
	op_stored(op, body, len, e, op_reply_out);
}

static void call_once(struct op *op)
{
	op_call(op, op->method, call_on_answer);
}

/* A value set twice is what it was; a comparison is not, nor a deletion. */
static void call_again(struct op *op)
{
	op_call_again(op, op->method, call_on_answer, call_again);
}

static bool may_repeat(const struct note *n)
{
	return (n->kind == NOTE_KV_SET || n->kind == NOTE_MEMORY_SET) &&
	       n->etag[0] == '\0' && !n->must_not_exist;
}

/* --- hibd writes -------------------------------------------------------- */

static void noting_free(struct noting *n)
{
	note_done(&n->note);
	free(n);
}

/* Its turn is over. */
static struct op *noting_end(struct noting *n)
{
	struct op *op = n->op;

	TAILQ_REMOVE(&op->d->notes, n, link);
	noting_free(n);
	return op;
}

static void begin_next(struct hibd *d, const char *session);

static void on_written(const struct err *e, void *arg)
{
	struct noting *n = arg;
	struct hibd *d = n->op->d;
	char session[ID_MAX];
	struct op *op;

	memcpy(session, n->op->session, ID_MAX);
	jw_reset(&n->op->out);
	jw_obj(&n->op->out);
	note_put_result(&n->note, &n->op->out);
	jw_obj_end(&n->op->out);
	op = noting_end(n);
	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_out(op);
	begin_next(d, session);
}

/* Return: whether its turn goes on; else the op has been answered or passed to
 * the guest, and @n is no more. */
static bool noting_begin(struct noting *n)
{
	struct op *op = n->op;
	struct hostlog_entry entry = {.type = note_type(&n->note)};
	autojw struct jw w = {0};
	struct err e = {0};

	n->begun = true;
	if (reader_session(op->d->reader, op->session, &op->brief, &e) < 0 ||
	    (!op_guest_acts(op) &&
	     note_check(op->d->reader, op->session, &n->note, &e) < 0)) {
		op_fail(noting_end(n), &e);
		return false;
	}
	if (op_guest_acts(op)) {
		void (*call)(struct op *) =
			may_repeat(&n->note) ? call_again : call_once;

		op_wake(noting_end(n), call);
		return false;
	}
	note_write(&n->note, &w);
	if (w.failed) {
		op_refuse(noting_end(n), -ENOMEM, "note: out of memory");
		return false;
	}
	entry.data = w.buf;
	hostlog_append(op->d, &op->brief, &entry, 1, on_written, n);
	return true;
}

static struct noting *first_of(struct hibd *d, const char *session)
{
	struct noting *n;

	TAILQ_FOREACH (n, &d->notes, link)
		if (strcmp(n->op->session, session) == 0)
			break;
	return n;
}

static void begin_next(struct hibd *d, const char *session)
{
	struct noting *n;

	while ((n = first_of(d, session)) != NULL && !n->begun)
		if (noting_begin(n))
			break;
}

/* --- changing ----------------------------------------------------------- */

static bool may_change(struct op *op)
{
	if (op_is_expired(op))
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
	else if (op->brief.archived_ms > 0)
		op_refuse(op, -FAULT_SESSION_ARCHIVED, "%s is archived",
			  op->session);
	else
		return true;
	return false;
}

/* The body with the session and the key of the path. */
static void put_params(struct op *op, enum note_kind kind)
{
	const char *none = http_header(op->r, "If-None-Match");
	struct jw *w = &op->params;

	jw_obj(w);
	for (struct jv k = jv_first(op->in); jv_has(k);
	     k = jv_next(op->in, k)) {
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
	jw_kstr(w, "session", op->session);
	if (kind != NOTE_SUMMARY)
		jw_kstr(w, "key", path_key(op));
	if (kind == NOTE_MEMORY_DELETE && http_query(op->r, "scope") != NULL)
		jw_kstr(w, "scope", http_query(op->r, "scope"));
	if (none != NULL && strcmp(none, "*") == 0)
		jw_kbool(w, "must_not_exist", true);
	op_put_etag(w, http_header(op->r, "If-Match"));
	jw_obj_end(w);
}

/* Out of what the guest is sent, so that both take the same. */
static struct noting *read_note(struct op *op, enum note_kind kind,
				struct err *e)
{
	autojson struct json j = {0};
	struct noting *n = calloc(1, sizeof(*n));

	if (n == NULL || op->params.failed) {
		free(n);
		err_set(e, -ENOMEM, "note: out of memory");
		return NULL;
	}
	n->op = op;
	if (json_parse(&j, op->params.buf, op->params.len, e) == 0 &&
	    note_read(kind, json_root(&j), &n->note, e) == 0)
		return n;
	noting_free(n);
	return NULL;
}

static void change(struct op *op, enum note_kind kind)
{
	struct noting *n;
	struct err e = {0};

	if (!op_load_session(op) || !may_change(op))
		return;
	put_params(op, kind);
	n = read_note(op, kind, &e);
	if (n == NULL) {
		op_fail(op, &e);
		return;
	}
	op->method = method_of(&n->note);
	TAILQ_INSERT_TAIL(&op->d->notes, n, link);
	begin_next(op->d, op->session);
}

void kv_set_route(struct op *op)
{
	change(op, NOTE_KV_SET);
}

void kv_delete_route(struct op *op)
{
	change(op, NOTE_KV_DELETE);
}

void memory_set_route(struct op *op)
{
	change(op, NOTE_MEMORY_SET);
}

void memory_delete_route(struct op *op)
{
	change(op, NOTE_MEMORY_DELETE);
}

void summary_add_route(struct op *op)
{
	change(op, NOTE_SUMMARY);
}

/* --- reading ------------------------------------------------------------ */

/* The op is answered with what was written, or with @e. */
static void reply_read(struct op *op, const struct err *e)
{
	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_out(op);
}

static bool read_query(struct op *op, struct note_query *q)
{
	struct err e = {0};
	int64_t limit = 0;

	if (!op_load_session(op) || !op_query_number(op, "limit", &limit))
		return false;
	*q = (struct note_query){
		.prefix = http_query(op->r, "prefix"),
		.after = http_query(op->r, "after"),
		.limit = limit > NOTE_LIST ? NOTE_LIST : (unsigned)limit,
		.preview = NOTE_PREVIEW,
	};
	if (note_scope_read(http_query(op->r, "scope"), &q->scope, &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
}

void kv_list_route(struct op *op)
{
	struct note_query q;
	struct err e = {0};

	if (!read_query(op, &q))
		return;
	q.scope = NOTE_ANY;
	jw_arr(&op->out);
	(void)note_list_kv(op->d->reader, op->session, &q, &op->out, &e);
	jw_arr_end(&op->out);
	reply_read(op, &e);
}

void kv_get_route(struct op *op)
{
	struct err e = {0};

	if (!op_load_session(op))
		return;
	if (note_check_key(path_key(op), strlen(path_key(op)), &e) == 0)
		(void)note_get_kv(op->d->reader, op->session, path_key(op),
				  &op->out, &e);
	reply_read(op, &e);
}

void memory_list_route(struct op *op)
{
	struct note_query q;
	struct err e = {0};

	if (!read_query(op, &q))
		return;
	jw_arr(&op->out);
	(void)note_list_memory(op->d->reader, op->session, &q, &op->out, &e);
	jw_arr_end(&op->out);
	reply_read(op, &e);
}

void memory_get_route(struct op *op)
{
	struct note_query q;
	struct err e = {0};

	if (!read_query(op, &q))
		return;
	if (note_check_key(path_key(op), strlen(path_key(op)), &e) == 0)
		(void)note_get_memory(op->d->reader, op->session, q.scope,
				      path_key(op), &op->out, &e);
	reply_read(op, &e);
}
