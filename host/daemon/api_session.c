// SPDX-License-Identifier: Apache-2.0
/*
 * api_session.c - The life of sessions: look, change, end
 *
 * Who acts depends on who writes the log.  While the VM runs the guest does,
 * and hibd passes the call on and waits until it has stored what came of it.
 * While the VM is off and hibd holds the whole log, hibd writes the few events
 * that need no agent (close, archive).  When the log's tail is still in the
 * guest, the VM is woken so that the guest can act; and so is one that sleeps
 * warm, whose guest goes on with that log.
 */
#include <stdio.h>
#include <string.h>

#include "core/settings.h"
#include "core/time.h"
#include "host/daemon/hostlog.h"
#include "host/daemon/routes.h"
#include "host/views.h"

/* --- who acts ----------------------------------------------------------- */

bool op_guest_acts(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (vm == NULL)
		return false;
	return !vm_is_off(vm) || !hostlog_tail_complete(op->d, &op->brief);
}

static void on_host_written(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_session(op);
}

static void call_on_answer(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	op_stored(arg, body, len, e, op_reply_session);
}

/* --- look --------------------------------------------------------------- */

void session_list_route(struct op *op)
{
	struct views_filter f = {
		.state = http_query(op->r, "state"),
		.vm = http_query(op->r, "vm"),
		.tag = http_query(op->r, "tag"),
		.cursor = http_query(op->r, "cursor"),
		.only = op->only[0] ? op->only : NULL,
	};
	const char *limit = http_query(op->r, "limit");
	struct vm *vm = f.vm ? vm_find(op->d, f.vm) : NULL;
	struct err e = {0};

	if (!op_query_flag(op, "archived", &f.archived))
		return;
	if (vm != NULL)
		f.vm = vm_id(vm);
	f.limit = limit ? (unsigned)strtoul(limit, NULL, 10) : 0;
	jw_arr(&op->out);
	if (views_sessions(op->d->reader, &f, &op->out, &e) < 0) {
		op_fail(op, &e);
		return;
	}
	jw_arr_end(&op->out);
	op_reply_out(op);
}

static void get_write_live(struct op *op, struct jv live)
{
	struct vm *vm = vm_find(op->d, op->vm);
	struct jw *w = &op->out;

	op_extend(w);
	jw_key(w, "live");
	jw_obj(w);
	jw_kbool(w, "vm", vm != NULL && !vm_is_asleep(vm));
	jw_kbool(w, "channel", vm != NULL && link_is_up(vm_link(vm)));
	jw_kbool(w, "agent", jv_int(jv_get(live, "pid"), 0) > 0);
	jw_kvalue(w, "pid", jv_get(live, "pid"));
	jw_kvalue(w, "guest_state", jv_get(live, "state"));
	jw_obj_end(w);
	jw_obj_end(w);
}

static void get_on_live(const char *body, size_t len, const struct err *e,
			void *arg)
{
	struct op *op = arg;
	autojson struct json j = {0};
	struct err bad = {0};
	struct jv live = {.i = -1};

	jw_reset(&op->out);
	if (views_session(op->d->reader, op->session, &op->out, &bad) < 0) {
		op_fail(op, &bad);
		return;
	}
	if (e->code == 0 && json_parse(&j, body, len, NULL) == 0)
		live = json_root(&j);
	get_write_live(op, live);
	op_reply_out(op);
}

void session_get_route(struct op *op)
{
	bool live = false;

	if (!op_load_session(op) || !op_query_flag(op, "live", &live))
		return;
	if (live)
		op_look(op, get_on_live);
	else
		op_reply_session(op);
}

/* From the log, so that nothing is woken for it. */
void session_config_route(struct op *op)
{
	struct err e = {0};

	if (views_config(op->d->reader, op->session, &op->out, &e) < 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

/* --- change ------------------------------------------------------------- */

static void write_simple(struct op *op, const char *reason)
{
	struct jw *w = &op->params;

	jw_reset(w);
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kbool(w, "force", jv_bool(jv_get(op->in, "force"), false));
	if (jv_is(jv_get(op->in, "reason"), JV_STRING))
		jw_kvalue(w, "reason", jv_get(op->in, "reason"));
	else
		jw_kstr(w, "reason", reason);
	jw_obj_end(w);
}

static void update_data(struct op *op, struct jw *w)
{
	if (jv_is(jv_get(op->in, "title"), JV_STRING))
		jw_kvalue(w, "title", jv_get(op->in, "title"));
	if (jv_is(jv_get(op->in, "tags"), JV_ARRAY))
		jw_kvalue(w, "tags", jv_get(op->in, "tags"));
	if (op->ttl_ms >= 0)
		jw_kint(w, "ttl_ms", op->ttl_ms);
}

static void update_call(struct op *op)
{
	jw_obj(&op->params);
	jw_kstr(&op->params, "session", op->session);
	update_data(op, &op->params);
	if (jv_has(jv_get(op->in, "config")))
		jw_kvalue(&op->params, "config", jv_get(op->in, "config"));
	jw_obj_end(&op->params);
	op_call(op, "session.update", call_on_answer);
}

static void update_by_host(struct op *op)
{
	struct hostlog_entry entry = {.type = "session.config"};

	jw_obj(&op->params);
	wish_write(jv_get(op->in, "config"), SIZE_MAX, &op->params);
	update_data(op, &op->params);
	jw_obj_end(&op->params);
	entry.data = op->params.buf;
	if (op->params.failed)
		op_refuse(op, -ENOMEM, "update: out of memory");
	else
		hostlog_append(op->d, &op->brief, &entry, 1, on_host_written,
			       op);
}

static bool check_wishes(struct op *op)
{
	struct err e = {0};

	if (wish_check(jv_get(op->in, "config"), true, &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
}

/* The fault that keeps this state from having wishes; 0: it may. */
static int config_refusal(struct op *op)
{
	struct wish first;

	if (!wish_at(jv_get(op->in, "config"), 0, &first))
		return 0;
	if (strcmp(op->brief.state, "closed") == 0)
		return FAULT_SESSION_CLOSED;
	return strcmp(op->brief.state, "expired") == 0 ? FAULT_SESSION_EXPIRED
						       : 0;
}

void session_update_route(struct op *op)
{
	static const char *const fixed[] = {"agent", "cwd",   "vm",
					    "env",   "image", "id"};
	autofree char *title = NULL;

	if (!op_load_session(op))
		return;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (!jv_has(jv_get(op->in, fixed[i])))
			continue;
		op_refuse(op, -FAULT_SESSION_CONFLICT,
			  "'%s' of a session never changes", fixed[i]);
		return;
	}
	op->ttl_ms = -1;
	if (!op_string(op, "title", TITLE_MAX, &title) || !op_tags(op) ||
	    !op_ttl(op, 0, &op->ttl_ms) || !check_wishes(op))
		return;
	if (op_is_expired(op))
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
	else if (op->brief.archived_ms > 0)
		op_refuse(op, -FAULT_SESSION_ARCHIVED, "%s is archived",
			  op->session);
	else if (config_refusal(op) != 0)
		op_refuse(op, -config_refusal(op), "%s is %s", op->session,
			  op->brief.state);
	else if (op_guest_acts(op))
		op_wake(op, update_call);
	else
		update_by_host(op);
}

static void suspend_call(struct op *op)
{
	write_simple(op, "suspend");
	op_call(op, "session.suspend", call_on_answer);
}

void session_suspend_route(struct op *op)
{
	struct vm *vm;

	if (!op_load_session(op))
		return;
	vm = vm_find(op->d, op->vm);
	if (vm != NULL && !vm_is_asleep(vm))
		op_wake(op, suspend_call);
	else if (strcmp(op->brief.state, "closed") == 0)
		op_refuse(op, -FAULT_SESSION_CLOSED, "%s is closed",
			  op->session);
	else if (strcmp(op->brief.state, "failed") == 0)
		op_refuse(op, -FAULT_SESSION_FAILED, "%s has failed",
			  op->session);
	else if (op_is_expired(op))
		op_refuse(op, -FAULT_SESSION_EXPIRED, "%s has expired",
			  op->session);
	else
		op_reply_session(op);
}

static void close_call(struct op *op)
{
	write_simple(op, "closed");
	op_call_again(op, "session.close", call_on_answer, close_call);
}

static void close_by_host(struct op *op)
{
	struct hostlog_entry entries[2];
	char buf[256];
	unsigned n = hostlog_closing(&op->brief, "closed", buf, sizeof(buf),
				     entries);

	if (n == 0)
		op_reply_session(op);
	else
		hostlog_append(op->d, &op->brief, entries, n, on_host_written,
			       op);
}

/* It is, in a VM that sleeps warm: nothing is to be done there. */
static bool is_over_asleep(struct op *op)
{
	const struct vm *vm = vm_find(op->d, op->vm);

	return vm != NULL && vm_is_warm(vm) &&
	       (strcmp(op->brief.state, "closed") == 0 ||
		strcmp(op->brief.state, "expired") == 0);
}

void session_close_route(struct op *op)
{
	if (!op_load_session(op))
		return;
	if (op_guest_acts(op) && !is_over_asleep(op))
		op_wake(op, close_call);
	else
		close_by_host(op);
}

/* --- archive ------------------------------------------------------------ */

static void archive_by_host(struct op *op)
{
	bool on = strcmp(op->what, "archive") == 0;
	struct hostlog_entry entry = {
		.type = on ? "session.archived" : "session.unarchived",
		.data = "{}",
	};

	hostlog_append(op->d, &op->brief, &entry, 1, on_host_written, op);
}

static void archive_call(struct op *op)
{
	struct jw *w = &op->params;

	jw_reset(w);
	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kbool(w, "archived", strcmp(op->what, "archive") == 0);
	jw_obj_end(w);
	op_call_again(op, "session.archive", call_on_answer, archive_call);
}

void session_archive_route(struct op *op)
{
	if (!op_load_session(op))
		return;
	if ((op->brief.archived_ms > 0) == (strcmp(op->what, "archive") == 0))
		op_reply_session(op); /* As it is. */
	else if (op_guest_acts(op))
		op_wake(op, archive_call);
	else
		archive_by_host(op);
}

void session_unarchive_route(struct op *op)
{
	session_archive_route(op);
}

/* --- destroy ------------------------------------------------------------ */

static void destroy_on_purged(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0 && e->code != -FAULT_SESSION_NOT_FOUND) {
		op_fail(op, e);
		return;
	}
	hub_end_session(op->d->hub, op->session, "destroyed");
	op_reply_empty(op);
}

/* The tombstone first: what still comes from the guest is then dropped. */
static void destroy_on_host(struct op *op)
{
	struct change *c = change_new();
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "session", op->session);
	jw_obj_end(&w);
	change_add(c,
		   "INSERT OR IGNORE INTO tombstone(id, kind, destroyed_ms) "
		   "VALUES (?1, 'session', ?2)",
		   2, op->session, int_text(now_ms()));
	change_add_vm_event(c, op->vm, "session.destroyed",
			    w.buf ? w.buf : "{}");
	change_submit(op->d->store, c, NULL, NULL);
	store_purge(op->d->store, op->session, destroy_on_purged, op);
}

static void destroy_on_guest_purged(const char *body, size_t len,
				    const struct err *e, void *arg)
{
	struct op *op = arg;

	(void)body;
	(void)len;
	if (e->code < 0 && e->code != -FAULT_SESSION_NOT_FOUND)
		op_fail(op, e);
	else
		destroy_on_host(op);
}

static void destroy_on_closed(const char *body, size_t len, const struct err *e,
			      void *arg)
{
	struct op *op = arg;

	(void)body;
	(void)len;
	if (e->code < 0 && e->code != -FAULT_SESSION_NOT_FOUND) {
		op_fail(op, e);
		return;
	}
	/* What it does not know may have left something there all the same. */
	op_call(op, "session.purge", destroy_on_guest_purged);
}

static void destroy_call(struct op *op)
{
	struct jw *w = &op->params;

	jw_obj(w);
	jw_kstr(w, "session", op->session);
	jw_kbool(w, "forget", true);
	jw_kstr(w, "reason", "destroyed");
	jw_obj_end(w);
	op->fed = true;
	op_call(op, "session.close", destroy_on_closed);
}

void session_destroy_route(struct op *op)
{
	bool discard = false;
	struct vm *vm;

	if (!op_load_session(op) || !op_query_flag(op, "discard", &discard))
		return;
	vm = vm_find(op->d, op->vm);
	if (vm != NULL && vm_is_off(vm) && !discard &&
	    !hostlog_tail_complete(op->d, &op->brief))
		op_refuse(op, -FAULT_TAIL_INCOMPLETE,
			  "the guest of %s may hold events that the host has "
			  "not; wake the VM, or discard them",
			  op->session);
	else if (vm != NULL)
		op_wake(op, destroy_call);
	else
		destroy_on_host(op);
}
