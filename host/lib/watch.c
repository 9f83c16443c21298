// SPDX-License-Identifier: Apache-2.0
/*
 * watch.c - Be told of changes to files of a VM
 *
 *	OPENING --open--> WATCHING --end, lost--> gone
 *
 * What happens while a connection is away could not be told afterwards, so a
 * watch that loses it ends, and its owner looks for himself before the next.
 */
#include <string.h>

#include "core/sse.h"
#include "host/lib/lib.h"

struct hib_watch {
	struct hib *h;
	TAILQ_ENTRY(hib_watch) link;
	struct hib_watch_options o;
	struct http_call *call; /* NULL once it has ended. */
	struct sse_reader sse;
	struct jw refusal; /* Body of an answer that is no stream. */
	int status;
	bool open;
	bool over;	/* The daemon said that nothing more comes. */
	bool closing;	/* No more callbacks. */
	bool opening;	/* hib_watch_files() runs, and frees it itself. */
	struct err err; /* Of the opening. */
};

static void watch_free(struct hib_watch *w)
{
	sse_reader_done(&w->sse);
	jw_done(&w->refusal);
	free(w);
}

/* --- events ------------------------------------------------------------- */

static void tell(struct hib_watch *w, const struct sse_event *ev)
{
	struct hib_file_change c = {.size = sizeof(c), .json = ev->data};
	autofree char *type = NULL, *path = NULL, *from = NULL;
	autojson struct json j = {0};

	if (json_parse(&j, ev->data, ev->len, NULL) < 0)
		return;
	type = jv_strdup(jv_get(json_root(&j), "type"), NULL);
	path = jv_strdup(jv_get(json_root(&j), "path"), NULL);
	from = jv_strdup(jv_get(json_root(&j), "from"), NULL);
	c.type = type ? type : "";
	c.path = path ? path : "";
	c.from = from ? from : "";
	c.directory = jv_bool(jv_get(json_root(&j), "directory"), false);
	w->o.on_change(&c, w->o.arg);
}

static void watch_on_sse(const struct sse_event *ev, void *arg)
{
	struct hib_watch *w = arg;

	if (w->closing)
		return;
	if (strcmp(ev->event, "open") == 0)
		w->open = true;
	else if (strcmp(ev->event, "end") == 0)
		w->over = true;
	else if (strcmp(ev->event, "change") == 0 ||
		 strcmp(ev->event, "overflow") == 0)
		tell(w, ev);
}

/* --- the call ----------------------------------------------------------- */

static void watch_on_head(struct http_call *c, int status, void *arg)
{
	struct hib_watch *w = arg;

	(void)c;
	w->status = status;
}

static void watch_on_body(struct http_call *c, char *data, size_t n, void *arg)
{
	struct hib_watch *w = arg;

	if (w->closing)
		return;
	if (w->status != 200) {
		if (n <= LIB_BODY_MAX - w->refusal.len)
			jw_lit(&w->refusal, data, n);
		return;
	}
	if (sse_reader_feed(&w->sse, data, n) < 0 && !w->closing)
		http_call_cancel(c);
}

static void read_refusal(struct hib_watch *w, int r)
{
	autojson struct json j = {0};

	if (r == -ENOENT || r == -ECONNREFUSED)
		err_set(&w->err, -FAULT_VM_UNAVAILABLE, "hibd is not running");
	else if (w->status == 200 || w->status == 0)
		err_set(&w->err, -FAULT_GUEST_UNREACHABLE,
			"the connection to hibd was lost");
	else if (w->refusal.len > 0 &&
		 json_parse(&j, w->refusal.buf, w->refusal.len, NULL) == 0)
		(void)err_read(&w->err, json_root(&j));
	else
		err_set(&w->err, -FAULT_INTERNAL, "watch: status %d",
			w->status);
}

static void watch_on_end(struct http_call *c, int r, void *arg)
{
	struct hib_watch *w = arg;
	struct hib_error out = {0};

	(void)c;
	w->call = NULL;
	if (w->closing) {
		watch_free(w);
		return;
	}
	if (!w->over)
		read_refusal(w, r);
	if (w->opening)
		return;
	TAILQ_REMOVE(&w->h->watches, w, link);
	w->closing = true;
	(void)lib_result(w->err.code, &w->err, &out);
	if (w->o.on_end != NULL)
		w->o.on_end(&out, w->o.arg);
	watch_free(w);
}

/* --- outside ------------------------------------------------------------ */

static int begin(struct hib_watch *w, const char *vm)
{
	static const struct http_call_ops ops = {
		.head = watch_on_head,
		.body = watch_on_body,
		.end = watch_on_end,
	};
	struct jw path = path_vm(vm, "/files/watch");
	struct http_call_spec spec = {
		.method = "GET",
		.headers = "Accept: text/event-stream\r\n",
	};

	path_query(&path, "path", w->o.path);
	path_query(&path, "recursive", w->o.recursive ? "1" : NULL);
	spec.path = path.buf;
	if (!path.failed && path.len > 0)
		w->call = http_call(w->h->http, &spec, &ops, w);
	jw_done(&path);
	return w->call != NULL ? 0
			       : err_set(&w->err, -FAULT_INVALID_ARGUMENT,
					 "watch: no VM, or out of memory");
}

/* Run the loop until it watches, or never will. */
static int await_open(struct hib_watch *w)
{
	w->opening = true;
	while (!w->open && w->call != NULL) {
		lib_run(w->h, UV_RUN_ONCE);
		if (lib_interrupted(w->h)) {
			err_set(&w->err, -FAULT_CANCELLED, "interrupted");
			break;
		}
	}
	w->opening = false;
	if (w->call == NULL && w->err.code == 0)
		err_set(&w->err, -FAULT_FILE_NOT_FOUND,
			"what was to be watched is gone");
	return w->err.code;
}

static int watch(struct hib *h, const char *vm,
		 const struct hib_watch_options *o, struct hib_watch **out,
		 struct err *e)
{
	struct request hello = {.method = "GET", .path = "/v1/health"};
	struct hib_watch *w;
	int r;

	if (o->on_change == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "no callback given");
	r = request_run(h, &hello, e); /* Starts the daemon, if need be. */
	jw_done(&hello.out);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	w->h = h;
	w->o = *o;
	sse_reader_init(&w->sse, watch_on_sse, w);
	TAILQ_INSERT_TAIL(&h->watches, w, link);
	r = begin(w, vm);
	if (r == 0)
		r = await_open(w);
	if (r < 0) {
		*e = w->err;
		hib_unwatch(w);
		return r;
	}
	*out = w;
	return 0;
}

int hib_watch_files(struct hib *h, const char *vm,
		    const struct hib_watch_options *options,
		    struct hib_watch **out, struct hib_error *e)
{
	struct hib_watch_options o;
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = watch(h, vm, &o, out, &err);
	return lib_result(r, &err, e);
}

void hib_unwatch(struct hib_watch *w)
{
	if (w == NULL || w->closing)
		return;
	w->closing = true;
	TAILQ_REMOVE(&w->h->watches, w, link);
	if (w->call != NULL)
		http_call_cancel(w->call); /* Frees it in watch_on_end(). */
	else
		watch_free(w);
}

void watches_close(struct hib *h)
{
	while (!TAILQ_EMPTY(&h->watches))
		hib_unwatch(TAILQ_FIRST(&h->watches));
}
