// SPDX-License-Identifier: Apache-2.0
/*
 * api_exec.c - Run a program in a VM and pass on what it writes
 *
 * The body goes to the guest as it is (guest/exec_spec.h says what is in it).
 * Who accepts text/event-stream gets the events "stdout" and "stderr" as the
 * program writes, and at last "result", or "error"; who does not gets the result
 * alone, with the last bytes of both.
 *
 * A client that leaves ends the program.  One that is slow slows it down: what it
 * has not taken stays unread at the guest.  While a program runs its VM is not
 * idle.
 *
 * Over a warm sleep a program has no stream, and its client waits (execs.h).
 */
#include <stdio.h>
#include <string.h>

#include "core/lines.h"
#include "core/sse.h"
#include "host/daemon/execs.h"
#include "host/daemon/files.h"
#include "host/daemon/routes.h"

#define EXEC_PATH     "/exec"
#define ATTACH_PATH   "/exec/attach"
#define EXEC_LINE_MAX (64u << 20) /* Both outputs, however they are escaped. */

struct exec {
	LIST_ENTRY(exec) link;
	struct hibd *d;
	char id[ID_MAX], vm[ID_MAX];
	struct http_req *r;	  /* NULL once it is answered, or gone. */
	struct h2_stream *stream; /* NULL once it has ended. */
	bool events;		  /* What it writes is told as it comes. */
	bool begun;		  /* Their head is out. */
	int status;
	struct jw refusal; /* Body of an answer that is no stream of lines. */
	struct lines lines;
	size_t owed;   /* Bytes that the client has not taken. */
	uint64_t got;  /* Bytes that have come, */
	uint64_t sent; /* and those that were sent before.. */
	bool paused;   /* ..the guest paused, as it says. */
};

static void exec_free(struct exec *x)
{
	struct vm *vm = x->d->stopping ? NULL : vm_find(x->d, x->vm);

	if (x->r != NULL || x->stream != NULL)
		return;
	LIST_REMOVE(x, link);
	if (vm != NULL)
		vm_unhold(vm);
	jw_done(&x->refusal);
	lines_done(&x->lines);
	free(x);
}

/* --- the client --------------------------------------------------------- */

/* Its side is over. */
static struct http_req *take_request(struct exec *x)
{
	struct http_req *r = take_ptr(x->r);

	http_on_end(r, NULL, NULL);
	return r;
}

static void exec_on_gone(struct http_req *r, void *arg)
{
	struct exec *x = arg;

	(void)r;
	x->r = NULL;
	if (x->stream != NULL)
		h2_reset(x->stream);
	exec_free(x);
}

static void exec_on_drained(struct http_req *r, void *arg)
{
	struct exec *x = arg;
	size_t n = x->owed;

	(void)r;
	x->owed = 0;
	if (x->stream != NULL && n > 0)
		h2_consume(x->stream, n);
}

static void begin_events(struct exec *x)
{
	if (!x->begun)
		http_stream_begin(x->r, 200, "text/event-stream",
				  exec_on_drained, x);
	x->begun = true;
}

static void send_event(struct exec *x, const char *event, const char *data,
		       size_t len)
{
	autojw struct jw w = {0};

	begin_events(x);
	sse_write(&w, -1, event, data, len);
	if (w.failed)
		http_stream_abort(take_request(x));
	else
		http_stream_write(x->r, w.buf, w.len);
}

static void answer(struct exec *x, struct jv result)
{
	size_t len;
	const char *json = jv_raw(result, &len);

	if (!x->events) {
		http_reply(take_request(x), 200, "application/json", json, len);
		return;
	}
	send_event(x, "result", json, len);
	if (x->r != NULL)
		http_stream_end(take_request(x));
}

static void refuse(struct exec *x, const struct err *e)
{
	autojw struct jw w = {0};

	if (!x->begun) {
		http_reply_err(take_request(x), e);
		return;
	}
	err_write(e, &w);
	send_event(x, "error", w.buf, w.len);
	if (x->r != NULL)
		http_stream_end(take_request(x));
}

/* --- the guest ---------------------------------------------------------- */

static int exec_on_line(char *line, size_t len, void *arg)
{
	autojson struct json j = {0};
	struct exec *x = arg;
	struct err e = {0};
	struct jv type, root;

	if (x->r == NULL)
		return 0;
	if (json_parse(&j, line, len, NULL) < 0)
		return -EPROTO;
	root = json_root(&j);
	type = jv_get(root, "type");
	if (x->events && jv_eq(type, "stdout"))
		send_event(x, "stdout", line, len);
	else if (x->events && jv_eq(type, "stderr"))
		send_event(x, "stderr", line, len);
	else if (jv_eq(type, "result") && jv_has(jv_get(root, "result")))
		answer(x, jv_get(root, "result"));
	else if (jv_eq(type, "error") &&
		 err_read(&e, jv_get(root, "error")) < 0)
		refuse(x, &e);
	return 0;
}

static void exec_on_head(struct h2_stream *s, int status, void *arg)
{
	struct exec *x = arg;

	(void)s;
	x->status = status;
	if (status == 200 && x->events && x->r != NULL)
		begin_events(x);
}

static bool is_behind(const struct exec *x)
{
	return x->stream != NULL && x->paused && x->got < x->sent;
}

static void exec_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct exec *x = arg;
	struct vm *vm = vm_find(x->d, x->vm);

	x->owed += n;
	x->got += n;
	if (x->status != 200 && x->refusal.len + n <= FILES_ERROR_MAX)
		jw_lit(&x->refusal, data, n);
	else if (x->status == 200 &&
		 lines_feed(&x->lines, data, n, exec_on_line, x) < 0)
		h2_reset(s);
	if (x->r == NULL || !x->begun || is_behind(x) ||
	    http_stream_queued(x->r) < FILES_QUEUE_MAX)
		exec_on_drained(x->r, x);
	if (x->paused && vm != NULL)
		vm_execs_came(vm);
}

/* It has ended without a last line. */
static void read_refusal(const struct exec *x, int r, struct err *e)
{
	autojson struct json j = {0};

	if (x->status != 0 && x->status != 200 && x->refusal.len > 0 &&
	    json_parse(&j, x->refusal.buf, x->refusal.len, NULL) == 0)
		(void)err_read(e, json_root(&j));
	else
		err_set(e, -FAULT_GUEST_UNREACHABLE,
			"the channel to the guest broke: %s",
			strerror(r < 0 ? -r : EPROTO));
}

/* The VM has been put to sleep, and with it the channel. */
static bool sleeps(const struct vm *vm)
{
	return vm != NULL &&
	       (vm_state(vm) == VM_SUSPENDING || vm_is_asleep(vm));
}

static void refuse_asleep(struct exec *x)
{
	struct err e = {0};

	err_set(&e, -FAULT_VM_UNAVAILABLE,
		"%s was put to sleep, which ends what was run in it from "
		"outside",
		x->vm);
	refuse(x, &e);
}

/* Its stream has ended.  Return: whether it may go on all the same; see
 * execs_attach(). */
static bool goes_on(struct exec *x, int r, const struct vm *vm)
{
	struct err e = {0};

	if (x->r == NULL)
		return false;
	if (r == 0 || !sleeps(vm)) {
		read_refusal(x, r, &e);
		refuse(x, &e);
		return false;
	}
	if (x->paused && x->got >= x->sent)
		return true;
	refuse_asleep(x);
	return false;
}

static void exec_on_end(struct h2_stream *s, int r, void *arg)
{
	struct exec *x = arg;
	struct vm *vm = x->d->stopping ? NULL : vm_find(x->d, x->vm);

	(void)s;
	x->stream = NULL;
	if (!goes_on(x, r, vm))
		exec_free(x);
	if (vm != NULL && link_is_paused(vm_link(vm)))
		vm_execs_came(vm);
}

static const struct h2_stream_events exec_events = {
	.head = exec_on_head,
	.data = exec_on_data,
	.end = exec_on_end,
};

/* --- over a sleep ------------------------------------------------------- */

/* Does it wait for its VM to wake? */
static bool is_apart(const struct exec *x, const char *vm)
{
	return x->stream == NULL && strcmp(x->vm, vm) == 0;
}

/* No guest has more on its way than the longest line. */
static bool can_be_sent(const struct exec *x, int64_t n)
{
	return n >= 0 && (uint64_t)n <= x->got + EXEC_LINE_MAX;
}

void execs_expect(struct hibd *d, const char *vm, struct jv sent)
{
	struct exec *x;

	LIST_FOREACH(x, &d->execs, link)
	{
		struct jv said = jv_get(sent, x->id);
		int64_t n = jv_int(said, 0);

		if (x->stream == NULL || strcmp(x->vm, vm) != 0)
			continue;
		x->paused = jv_has(said) && can_be_sent(x, n);
		x->sent = (uint64_t)n;
		if (jv_has(said) && !x->paused)
			h2_reset(x->stream);
		if (is_behind(x)) /* It comes, however slow the client is. */
			exec_on_drained(x->r, x);
	}
}

bool execs_are_behind(struct hibd *d, const char *vm)
{
	const struct exec *x;

	LIST_FOREACH(x, &d->execs, link)
	if (strcmp(x->vm, vm) == 0 && is_behind(x))
		return true;
	return false;
}

void execs_write(struct hibd *d, const char *vm, struct jw *w)
{
	const struct exec *x;

	jw_arr(w);
	LIST_FOREACH(x, &d->execs, link)
	if (is_apart(x, vm))
		jw_str(w, x->id);
	jw_arr_end(w);
}

static void attach(struct exec *x, struct vm *vm)
{
	char body[ID_MAX + 16];
	int n = snprintf(body, sizeof(body), "{\"exec\":\"%s\"}", x->id);

	x->status = 0;
	x->stream = link_stream(vm_link(vm), ATTACH_PATH, body, (size_t)n,
				false, &exec_events, x);
	if (x->stream != NULL)
		return;
	refuse_asleep(x);
	exec_free(x);
}

void execs_attach(struct hibd *d, struct vm *vm)
{
	struct exec *x, *next;

	for (x = LIST_FIRST(&d->execs); x != NULL; x = next) {
		next = LIST_NEXT(x, link);
		if (strcmp(x->vm, vm_id(vm)) != 0)
			continue;
		x->paused = false;
		if (x->stream == NULL)
			attach(x, vm);
	}
}

void execs_end(struct hibd *d, const char *vm)
{
	struct exec *x, *next;

	for (x = LIST_FIRST(&d->execs); x != NULL; x = next) {
		next = LIST_NEXT(x, link);
		if (!is_apart(x, vm))
			continue;
		refuse_asleep(x);
		exec_free(x);
	}
}

/* --- the beginning ------------------------------------------------------ */

static bool wants_events(const struct op *op)
{
	const char *accept = http_header(op->r, "Accept");

	return accept != NULL && strstr(accept, "text/event-stream") != NULL;
}

static void put_params(struct op *op, bool collect, const char *id)
{
	struct jw *w = &op->params;

	jw_value(w, op->in);
	op_extend(w);
	w->comma = jv_count(op->in) > 0;
	jw_kbool(w, "collect", collect);
	jw_kstr(w, "exec", id);
	jw_obj_end(w);
}

/* The VM is up. */
static void exec_start(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);
	struct exec *x = calloc(1, sizeof(*x));
	bool events = op->r != NULL && wants_events(op);

	if (x != NULL)
		id_new(x->id, "exe");
	put_params(op, !events, x != NULL ? x->id : NULL);
	if (op->r == NULL || x == NULL || vm == NULL || op->params.failed) {
		free(x);
		op_refuse(op, -ENOMEM, "exec: out of memory");
		return;
	}
	x->d = op->d;
	x->events = events;
	memcpy(x->vm, vm_id(vm), ID_MAX);
	lines_init(&x->lines, EXEC_LINE_MAX);
	x->stream = link_stream(vm_link(vm), EXEC_PATH, op->params.buf,
				op->params.len, false, &exec_events, x);
	vm_hold(vm);
	LIST_INSERT_HEAD(&op->d->execs, x, link);
	if (x->stream == NULL) {
		exec_free(x);
		op_refuse(op, -FAULT_GUEST_UNREACHABLE,
			  "the channel to the guest is down");
		return;
	}
	x->r = take_ptr(op->r);
	op_reply_empty(op);
	http_on_end(x->r, exec_on_gone, x);
}

void vm_exec_route(struct op *op)
{
	if (op_vm(op) != NULL)
		op_wake(op, exec_start);
}
