// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_serve_call.c - hib mcp serve: calls, each on a thread of its own
 *
 *	call --thread--> the tool: blocking calls of libhib
 *	                  | progress, at most one message on its way
 *	                  '--done--> loop: answered, thread joined, gone
 *
 * What both threads look at is behind the lock of the job: the handle, so that a
 * cancel finds it there or not at all, the message, and whether it is done.  A
 * call that is cancelled ends as soon as libhib lets go of it; then it is
 * answered, and mcp/server.h sees to it that nobody hears it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <uv.h>

#include "core/content.h"
#include "host/cli/mcp_serve.h"
#include "mcp/server.h"

#define JOBS_MAX    64	 /* At a time. */
#define MESSAGE_MAX 1024 /* Bytes of a message of progress. */

struct serve_job {
	TAILQ_ENTRY(serve_job) link;
	struct serve_jobs *all;
	struct mcp_request *q;
	const struct serve_tool *tool;
	struct serve_call call;
	char *text; /* What doc was parsed from. */
	struct json doc;
	bool failed; /* call.err says why. */
	struct jw result;
	uint64_t n_told; /* Messages. */
	pthread_t thread;

	pthread_mutex_t lock;
	struct hib *h; /* NULL: none yet, or no more. */
	bool cancelled, by_client, done;
	char message[MESSAGE_MAX];
	bool has_message;
};
TAILQ_HEAD(job_list, serve_job);

struct serve_jobs {
	struct serve_jobs_spec spec;
	uv_async_t wake;
	struct job_list list;
	unsigned n;
};

/* --- on the thread ------------------------------------------------------- */

static void put_content(struct jw *w, const struct jw *text)
{
	jw_key(w, "content");
	jw_arr(w);
	content_text(w, text->buf, text->len);
	jw_arr_end(w);
}

static void write_failure(struct serve_job *j)
{
	const struct hib_error *e = &j->call.err;
	struct jw *w = &j->result;
	autojw struct jw text = {0};

	jw_lit(&text, e->message, strlen(e->message));
	jw_lit(&text, " (", 2);
	jw_lit(&text, e->name, strlen(e->name));
	jw_lit(&text, ")", 1);
	jw_reset(w);
	jw_obj(w);
	put_content(w, &text);
	jw_key(w, "structuredContent");
	jw_obj(w);
	jw_key(w, "error");
	jw_obj(w);
	jw_kstr(w, "code", e->name);
	jw_kstr(w, "message", e->message);
	jw_kraw(w, "data", e->data[0] != '\0' ? e->data : "{}");
	jw_obj_end(w);
	jw_obj_end(w);
	jw_kbool(w, "isError", true);
	jw_obj_end(w);
}

static void write_result(struct serve_job *j)
{
	struct serve_call *c = &j->call;
	struct jw *w = &j->result;

	jw_obj(w);
	put_content(w, c->text.len > 0 ? &c->text : &c->out);
	jw_kraw(w, "structuredContent", c->out.buf);
	jw_obj_end(w);
	if (!w->failed && !c->out.failed && !c->text.failed &&
	    w->len <= SERVE_RESULT_MAX)
		return;
	(void)serve_refuse(c, "the result is too large");
	write_failure(j);
}

/* A cancel that came before there was a handle counts, too. */
static int open_handle(struct serve_job *j)
{
	const struct hib_options o = {
		.size = sizeof(o),
		.home = j->all->spec.home,
		.token = j->all->spec.token,
	};
	struct serve_call *c = &j->call;

	if (hib_open(&o, &c->h, &c->err) < 0)
		return -1;
	pthread_mutex_lock(&j->lock);
	j->h = c->h;
	if (j->cancelled)
		hib_interrupt(j->h);
	pthread_mutex_unlock(&j->lock);
	return 0;
}

static void close_handle(struct serve_job *j)
{
	pthread_mutex_lock(&j->lock);
	j->h = NULL;
	pthread_mutex_unlock(&j->lock);
	hib_close(j->call.h);
}

static void *job_thread(void *arg)
{
	struct serve_job *j = arg;

	if (open_handle(j) < 0 || j->tool->run(&j->call) < 0)
		write_failure(j);
	else
		write_result(j);
	close_handle(j);
	pthread_mutex_lock(&j->lock);
	j->done = true;
	pthread_mutex_unlock(&j->lock);
	(void)uv_async_send(&j->all->wake);
	return NULL;
}

void serve_progress(struct serve_call *c, const char *message, size_t len)
{
	struct serve_job *j = c->job;

	if (len >= MESSAGE_MAX)
		len = MESSAGE_MAX - 1;
	pthread_mutex_lock(&j->lock);
	memcpy(j->message, message, len);
	j->message[len] = '\0';
	j->has_message = true;
	pthread_mutex_unlock(&j->lock);
	(void)uv_async_send(&j->all->wake);
}

bool serve_is_unwanted(struct serve_call *c)
{
	struct serve_job *j = c->job;
	bool unwanted;

	pthread_mutex_lock(&j->lock);
	unwanted = j->by_client;
	pthread_mutex_unlock(&j->lock);
	return unwanted;
}

int serve_refuse(struct serve_call *c, const char *fmt, ...)
{
	va_list ap;

	c->err = (struct hib_error){.code = HIB_INVALID_ARGUMENT,
				    .name = "invalid_argument"};
	va_start(ap, fmt);
	vsnprintf(c->err.message, sizeof(c->err.message), fmt, ap);
	va_end(ap);
	return -1;
}

/* --- arguments ----------------------------------------------------------- */

static bool is_given(struct jv v)
{
	return jv_has(v) && !jv_is(v, JV_NULL);
}

/* Keep a text for as long as the call. */
static int keep(struct serve_call *c, char *text, const char *key,
		const char **out)
{
	if (text == NULL || c->n_texts == SERVE_TEXTS_MAX) {
		free(text);
		return serve_refuse(c, "%s: out of memory", key);
	}
	c->texts[c->n_texts++] = text;
	*out = text;
	return 0;
}

int serve_text(struct serve_call *c, const char *key, const char **out)
{
	struct jv v = jv_get(c->args, key);
	size_t len = 0;
	char *text;

	*out = NULL;
	if (!is_given(v))
		return 0;
	text = jv_strdup(v, &len);
	if (text == NULL || strlen(text) != len) {
		free(text);
		return serve_refuse(c, "%s is no string, or has a NUL", key);
	}
	return keep(c, text, key, out);
}

int serve_need(struct serve_call *c, const char *key, const char **out)
{
	if (serve_text(c, key, out) < 0)
		return -1;
	return *out != NULL ? 0 : serve_refuse(c, "%s is missing", key);
}

static const char **new_list(struct serve_call *c, const char *key, size_t n)
{
	const char **list = NULL;

	if (n <= SERVE_LIST_MAX && c->n_lists < SERVE_TEXTS_MAX)
		list = calloc(n + 1, sizeof(*list));
	if (list != NULL)
		c->lists[c->n_lists++] = list;
	else
		(void)serve_refuse(c, "%s: more than %d", key, SERVE_LIST_MAX);
	return list;
}

static void free_lists(struct serve_call *c)
{
	for (size_t i = 0; i < c->n_lists; i++) {
		for (const char **p = c->lists[i]; *p != NULL; p++)
			free((void *)(uintptr_t)*p);
		free(c->lists[i]);
	}
}

int serve_texts(struct serve_call *c, const char *key, const char *const **out)
{
	struct jv v = jv_get(c->args, key);
	const char **list;
	size_t i = 0;

	*out = NULL;
	if (!is_given(v))
		return 0;
	if (!jv_is(v, JV_ARRAY))
		return serve_refuse(c, "%s is no list", key);
	list = new_list(c, key, jv_count(v));
	if (list == NULL)
		return -1;
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it)) {
		list[i] = jv_strdup(it, NULL);
		if (list[i++] == NULL)
			return serve_refuse(c, "%s: strings alone", key);
	}
	*out = list;
	return 0;
}

int serve_env(struct serve_call *c, const char *key, const char *const **out)
{
	struct jv v = jv_get(c->args, key);
	const char **list;
	size_t i = 0;

	*out = NULL;
	if (!is_given(v))
		return 0;
	if (!jv_is(v, JV_OBJECT))
		return serve_refuse(c, "%s is no object", key);
	list = new_list(c, key, jv_count(v));
	if (list == NULL)
		return -1;
	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k)) {
		autofree char *name = jv_strdup(k, NULL);
		autofree char *value = jv_strdup(jv_value(k), NULL);
		char *var = NULL;

		if (name == NULL || value == NULL ||
		    asprintf(&var, "%s=%s", name, value) < 0)
			return serve_refuse(c, "%s: strings alone", key);
		list[i++] = var;
	}
	*out = list;
	return 0;
}

int serve_number(struct serve_call *c, const char *key, int64_t *io)
{
	struct jv v = jv_get(c->args, key);
	int64_t n = jv_int(v, -1);

	if (!is_given(v))
		return 0;
	if (n < 0)
		return serve_refuse(c, "%s is no whole number of 0 or more",
				    key);
	*io = n;
	return 0;
}

bool serve_flag(const struct serve_call *c, const char *key)
{
	return jv_bool(jv_get(c->args, key), false);
}

int serve_take(struct serve_call *c, int r, const char *key, char *json)
{
	if (r < 0)
		return -1;
	if (key != NULL) {
		jw_obj(&c->out);
		jw_kraw(&c->out, key, json != NULL ? json : "null");
		jw_obj_end(&c->out);
	} else {
		jw_raw(&c->out, json != NULL ? json : "{}",
		       json != NULL ? strlen(json) : 2);
	}
	hib_free(json);
	return 0;
}

/* --- on the loop ---------------------------------------------------------- */

static void job_free(struct serve_job *j)
{
	struct serve_call *c = &j->call;

	for (size_t i = 0; i < c->n_texts; i++)
		free(c->texts[i]);
	free_lists(c);
	jw_done(&c->out);
	jw_done(&c->text);
	jw_done(&j->result);
	json_done(&j->doc);
	free(j->text);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

static void job_end(struct serve_job *j)
{
	(void)pthread_join(j->thread, NULL);
	TAILQ_REMOVE(&j->all->list, j, link);
	if (--j->all->n == 0)
		uv_unref((uv_handle_t *)&j->all->wake);
	if (j->result.failed)
		mcp_reply_error(j->q, RPC_INTERNAL, "out of memory", NULL);
	else
		mcp_reply_raw(j->q, j->result.buf, j->result.len);
	job_free(j);
}

static void job_look(struct serve_job *j)
{
	char message[MESSAGE_MAX] = "";
	bool tells, done;

	pthread_mutex_lock(&j->lock);
	tells = j->has_message;
	done = j->done;
	if (tells)
		memcpy(message, j->message, sizeof(message));
	j->has_message = false;
	pthread_mutex_unlock(&j->lock);
	if (tells)
		mcp_progress(j->q, (double)++j->n_told, -1, message);
	if (done)
		job_end(j);
}

static void jobs_on_wake(uv_async_t *h)
{
	struct serve_jobs *s = container_of(h, struct serve_jobs, wake);
	struct serve_job *j, *next;

	for (j = TAILQ_FIRST(&s->list); j != NULL; j = next) {
		next = TAILQ_NEXT(j, link);
		job_look(j);
	}
}

static void job_cancel(struct serve_job *j, bool by_client)
{
	pthread_mutex_lock(&j->lock);
	j->cancelled = true;
	j->by_client |= by_client;
	if (j->h != NULL)
		hib_interrupt(j->h);
	pthread_mutex_unlock(&j->lock);
}

void serve_jobs_cancel(struct mcp_request *q)
{
	if (q->data != NULL)
		job_cancel(q->data, true);
}

/* The arguments live as long as the job. */
static int take_args(struct serve_job *j, struct jv args)
{
	size_t len;
	const char *raw = jv_raw(args, &len);

	if (raw == NULL) {
		raw = "{}";
		len = 2;
	}
	j->text = strndup(raw, len);
	if (j->text == NULL)
		return -ENOMEM;
	if (json_parse(&j->doc, j->text, len, NULL) < 0 ||
	    !jv_is(json_root(&j->doc), JV_OBJECT))
		return -EINVAL;
	j->call.args = json_root(&j->doc);
	return 0;
}

static int job_start(struct serve_job *j)
{
	sigset_t all, before;
	int r;

	/* Signals are for the loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&j->thread, NULL, job_thread, j);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void refuse(struct mcp_request *q, const char *why)
{
	autojw struct jw w = {0}, text = {0};

	jw_lit(&text, why, strlen(why));
	jw_obj(&w);
	put_content(&w, &text);
	jw_kbool(&w, "isError", true);
	jw_obj_end(&w);
	mcp_reply(q, w.failed ? NULL : w.buf);
}

void serve_jobs_call(struct serve_jobs *s, struct mcp_request *q)
{
	autofree char *name = jv_strdup(jv_get(q->params, "name"), NULL);
	const struct serve_tool *tool = name != NULL ? serve_find(name) : NULL;
	struct serve_job *j;
	int r;

	if (tool == NULL) {
		mcp_reply_error(q, RPC_INVALID_PARAMS, "unknown tool", NULL);
		return;
	}
	j = s->n < JOBS_MAX ? calloc(1, sizeof(*j)) : NULL;
	if (j == NULL) {
		refuse(q, "too many calls are open");
		return;
	}
	pthread_mutex_init(&j->lock, NULL);
	j->all = s;
	j->q = q;
	j->tool = tool;
	j->call.job = j;
	r = take_args(j, jv_get(q->params, "arguments"));
	if (r == 0)
		r = job_start(j);
	if (r < 0) {
		refuse(q, r == -EINVAL ? "arguments is no object"
				       : "out of memory");
		job_free(j);
		return;
	}
	q->data = j;
	if (s->n++ == 0)
		uv_ref((uv_handle_t *)&s->wake);
	TAILQ_INSERT_TAIL(&s->list, j, link);
}

struct serve_jobs *serve_jobs_new(const struct serve_jobs_spec *spec)
{
	struct serve_jobs *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->spec = *spec;
	TAILQ_INIT(&s->list);
	uv_async_init(spec->loop, &s->wake, jobs_on_wake);
	uv_unref((uv_handle_t *)&s->wake);
	return s;
}

static void jobs_on_closed(uv_handle_t *h)
{
	free(container_of(h, struct serve_jobs, wake));
}

void serve_jobs_free(struct serve_jobs *s)
{
	struct serve_job *j;

	if (s == NULL)
		return;
	TAILQ_FOREACH (j, &s->list, link)
		job_cancel(j, false);
	while ((j = TAILQ_FIRST(&s->list)) != NULL)
		job_end(j);
	uv_close((uv_handle_t *)&s->wake, jobs_on_closed);
}
