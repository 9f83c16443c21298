// SPDX-License-Identifier: Apache-2.0
/*
 * exec.c - Run a program in a VM
 *
 * Without a callback the answer is the result.  With one it is a stream of what
 * the program writes, with the result at its end; a broken stream is an error,
 * and the daemon ends the program of whoever has gone.
 */
#include <string.h>

#include "core/base64.h"
#include "core/sse.h"
#include "core/utf8.h"
#include "host/lib/lib.h"

struct exec {
	const struct hib_exec_options *o;
	struct sse_reader sse;
	char *result; /* JSON, once it is there. */
	struct err err;
	bool over;
	int stopped; /* What the callback wants the call to end with. */
};

/* --- what is asked ------------------------------------------------------ */

/* JSON has no other strings. */
static int put_text(struct jw *w, const char *text, struct err *e)
{
	size_t n = strlen(text);

	if (utf8_span(text, n) != n)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "an argument is no UTF-8");
	jw_strn(w, text, n);
	return 0;
}

static int put_argv(struct jw *w, const char *const *argv, struct err *e)
{
	int r = 0;

	if (argv == NULL)
		return 0;
	jw_key(w, "argv");
	jw_arr(w);
	for (; *argv != NULL && r == 0; argv++)
		r = put_text(w, *argv, e);
	jw_arr_end(w);
	return r;
}

static int put_member(struct jw *w, const char *key, const char *text,
		      struct err *e)
{
	if (text == NULL)
		return 0;
	jw_key(w, key);
	return put_text(w, text, e);
}

static int put_options(struct jw *w, const struct hib_exec_options *o,
		       struct err *e)
{
	jw_obj(w);
	if (put_argv(w, o->argv, e) < 0 ||
	    put_member(w, "command", o->command, e) < 0 ||
	    put_member(w, "cwd", o->cwd, e) < 0 ||
	    put_member(w, "session", o->session, e) < 0 ||
	    lib_put_env(w, o->env, NULL, e) < 0)
		return e->code;
	if (o->input != NULL) {
		jw_key(w, "stdin_b64");
		base64_write(w, o->input, o->input_len);
	}
	if (o->timeout_ms != 0)
		jw_kint(w, "timeout_ms", o->timeout_ms);
	if (o->max_output != 0)
		jw_kint(w, "max_output", (int64_t)o->max_output);
	jw_obj_end(w);
	return w->failed ? err_set(e, -ENOMEM, "out of memory") : 0;
}

/* --- what comes back ---------------------------------------------------- */

/* Member @key, or the bytes of @b64_key.  NULL: there is none. */
static char *get_bytes(struct jv v, const char *key, const char *b64_key,
		       size_t *len)
{
	struct jv b64 = jv_get(v, b64_key);
	char *bytes = jv_strdup(jv_has(b64) ? b64 : jv_get(v, key), len);

	if (bytes != NULL && jv_has(b64) && base64_read(bytes, len) < 0)
		free(take_ptr(bytes));
	return bytes;
}

static int read_result(const char *json, struct hib_exec_result *out,
		       struct err *e)
{
	autojson struct json j = {0};
	struct hib_exec_result x = {.size = sizeof(x)};
	struct jv v;

	if (json == NULL || json_parse(&j, json, strlen(json), NULL) < 0)
		return err_set(e, -FAULT_BAD_FRAME,
			       "hibd has not said how the program ended");
	v = json_root(&j);
	x.exit = (int)jv_int(jv_get(v, "exit"), -1);
	if (jv_strcpy(jv_get(v, "signal"), x.signal, sizeof(x.signal)) < 0)
		x.signal[0] = '\0';
	x.timed_out = jv_bool(jv_get(v, "timed_out"), false);
	x.ms = jv_int(jv_get(v, "ms"), 0);
	x.out = get_bytes(v, "stdout", "stdout_b64", &x.out_len);
	x.err = get_bytes(v, "stderr", "stderr_b64", &x.err_len);
	x.out_truncated = jv_bool(jv_get(v, "stdout_truncated"), false);
	x.err_truncated = jv_bool(jv_get(v, "stderr_truncated"), false);
	x.size = out->size < sizeof(x) ? out->size : sizeof(x);
	memcpy(out, &x, x.size);
	return 0;
}

void hib_exec_result_done(struct hib_exec_result *result)
{
	size_t size;

	if (result == NULL)
		return;
	size = result->size;
	free(result->out);
	free(result->err);
	memset(result, 0, size);
	result->size = size;
}

/* --- as it comes -------------------------------------------------------- */

static void tell_output(struct exec *x, bool is_stderr, struct jv v)
{
	size_t len = 0;
	autofree char *bytes = get_bytes(v, "data", "data_b64", &len);

	if (bytes != NULL)
		x->stopped = x->o->on_output(is_stderr, bytes, len, x->o->arg);
}

static void exec_on_sse(const struct sse_event *ev, void *arg)
{
	autojson struct json j = {0};
	struct exec *x = arg;

	if (x->over || x->stopped != 0 ||
	    json_parse(&j, ev->data, ev->len, NULL) < 0)
		return;
	if (strcmp(ev->event, "stdout") == 0) {
		tell_output(x, false, json_root(&j));
	} else if (strcmp(ev->event, "stderr") == 0) {
		tell_output(x, true, json_root(&j));
	} else if (strcmp(ev->event, "result") == 0) {
		x->over = true;
		x->result = strndup(ev->data, ev->len);
	} else if (strcmp(ev->event, "error") == 0) {
		x->over = true;
		(void)err_read(&x->err, json_root(&j));
	}
}

static int exec_on_data(struct request *q, char *data, size_t n)
{
	struct exec *x = q->arg;
	int r = sse_reader_feed(&x->sse, data, n);

	return x->stopped != 0 ? -ECANCELED : r;
}

static int run_streamed(struct hib *h, struct request *q, struct exec *x,
			struct err *e)
{
	int r;

	q->headers = "Accept: text/event-stream\r\n";
	q->on_data = exec_on_data;
	q->arg = x;
	sse_reader_init(&x->sse, exec_on_sse, x);
	r = request_run(h, q, e);
	sse_reader_done(&x->sse);
	if (r == 0 && x->err.code < 0) {
		*e = x->err;
		r = e->code;
	}
	return r;
}

static int run_whole(struct hib *h, struct request *q, struct exec *x,
		     struct err *e)
{
	int r = request_run(h, q, e);

	if (r == 0)
		x->result = jw_take(&q->out, NULL);
	return r;
}

/* --- outside ------------------------------------------------------------ */

static int exec(struct hib *h, const char *vm, const struct hib_exec_options *o,
		struct hib_exec_result *result, struct err *e)
{
	autojw struct jw path = path_vm(vm, "/exec"), body = {0};
	struct request q = {.method = "POST", .once = true};
	struct exec x = {.o = o};
	int r = put_options(&body, o, e);

	if (r < 0)
		return r;
	if (path.len == 0)
		return err_set(e, -FAULT_INVALID_ID, "no VM is named");
	q.path = path.buf;
	q.body = body.buf;
	q.body_len = body.len;
	r = o->on_output != NULL ? run_streamed(h, &q, &x, e)
				 : run_whole(h, &q, &x, e);
	if (r == 0)
		r = read_result(x.result, result, e);
	free(x.result);
	jw_done(&q.out);
	return r;
}

int hib_exec(struct hib *h, const char *vm,
	     const struct hib_exec_options *options,
	     struct hib_exec_result *result, struct hib_error *e)
{
	struct hib_exec_options o;
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0 && result->size < sizeof(result->size))
		r = err_set(&err, -FAULT_INVALID_ARGUMENT,
			    "the size of a struct is not set");
	if (r == 0)
		r = exec(h, vm, &o, result, &err);
	return lib_result(r, &err, e);
}
