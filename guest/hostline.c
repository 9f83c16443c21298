// SPDX-License-Identifier: Apache-2.0
/*
 * hostline.c - A conversation with the host, for the main loop
 *
 *	home loop                              side loop
 *	  write, fin, drop --out, under lock--> wake --> uplink
 *	  data <-- in, under lock -- come <------------- data
 *	  ended <----------------- the job's end <------ done
 *
 * The whole is a job of the side loop, which ends with the request and the handle
 * that wakes it; so at its end nothing there knows of it any more.  `open` says
 * whether the side may still be woken.
 */
#include "guest/hostline.h"

#include <pthread.h>
#include <string.h>

#include "core/h2.h"
#include "core/json.h"
#include "guest/uplink.h"
#include "guest/workspace.h"

struct hostline {
	struct sideloop_job job;
	struct workspace *ws;
	char *path;

	/* Of the home loop. */
	const struct hostline_events *ev; /* NULL: it was dropped. */
	void *arg;
	uv_async_t come;

	/* Of the side loop. */
	uv_async_t wake;
	struct uplink_request *request; /* NULL: over. */
	bool writable;

	pthread_mutex_t lock;
	bool open; /* `wake` is there. */
	bool fin, drop;
	bool overflow; /* More came than was taken. */
	struct jw out, in;
	struct err end; /* Of the request; code 0: in order. */
};

static void hostline_free(struct hostline *l)
{
	pthread_mutex_destroy(&l->lock);
	jw_done(&l->out);
	jw_done(&l->in);
	free(l->path);
	free(l);
}

/*
 * On the side loop.
 */

static void side_on_closed(uv_handle_t *h)
{
	struct hostline *l = container_of(h, struct hostline, wake);

	sideloop_end(&l->job);
}

/* The request is over, or never was. */
static void side_end(struct hostline *l)
{
	l->request = NULL;
	pthread_mutex_lock(&l->lock);
	l->open = false;
	pthread_mutex_unlock(&l->lock);
	uv_close((uv_handle_t *)&l->wake, side_on_closed);
}

static void side_drop(struct hostline *l)
{
	uplink_drop(l->request);
	side_end(l);
}

/* Hand on what was written. */
static void side_send(struct hostline *l)
{
	struct jw out;
	bool fin, drop;

	pthread_mutex_lock(&l->lock);
	out = l->out;
	l->out = (struct jw){0};
	fin = l->fin;
	drop = l->drop;
	pthread_mutex_unlock(&l->lock);
	if (drop) {
		side_drop(l);
	} else {
		if (out.len > 0)
			(void)uplink_write(l->request, out.buf, out.len);
		if (fin)
			uplink_fin(l->request);
	}
	jw_done(&out);
}

static void side_on_wake(uv_async_t *h)
{
	struct hostline *l = container_of(h, struct hostline, wake);
	bool drop;

	if (l->request == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	drop = l->drop;
	pthread_mutex_unlock(&l->lock);
	if (l->writable)
		side_send(l);
	else if (drop)
		side_drop(l);
}

static void side_on_writable(struct uplink_request *q, void *arg)
{
	struct hostline *l = arg;

	(void)q;
	if (l->writable)
		return;
	l->writable = true;
	side_send(l);
}

static void side_on_data(struct uplink_request *q, char *data, size_t n,
			 void *arg)
{
	struct hostline *l = arg;
	bool full;

	(void)q;
	pthread_mutex_lock(&l->lock);
	if (l->in.len + n <= HOSTLINE_MAX)
		jw_lit(&l->in, data, n);
	else
		l->overflow = true;
	full = l->overflow || l->in.failed;
	pthread_mutex_unlock(&l->lock);
	(void)uv_async_send(&l->come);
	if (!full)
		return;
	err_set(&l->end, -FAULT_MESSAGE_TOO_LARGE,
		"the host sends faster than it is read");
	side_drop(l);
}

static void side_on_done(const struct err *e, char *body, size_t n, void *arg)
{
	struct hostline *l = arg;

	(void)body;
	(void)n;
	if (e != NULL)
		l->end = *e;
	side_end(l);
}

static void side_run(struct sideloop_job *job)
{
	static const struct uplink_events events = {
		.writable = side_on_writable,
		.data = side_on_data,
		.done = side_on_done,
	};
	struct hostline *l = container_of(job, struct hostline, job);
	const struct uplink_spec spec = {
		.method = "POST",
		.path = l->path,
		.answer_max = H2_HEAD_MAX, /* Of an error. */
		.streamed = true,
		.ev = &events,
		.arg = l,
	};
	bool drop;
	struct uplink *u = workspace_uplink(l->ws);

	(void)uv_async_init(workspace_loop(l->ws), &l->wake, side_on_wake);
	pthread_mutex_lock(&l->lock);
	drop = l->drop;
	l->open = true;
	pthread_mutex_unlock(&l->lock);
	if (!drop && u != NULL)
		l->request = uplink_request(u, &spec);
	if (l->request != NULL)
		return;
	err_set(&l->end, u == NULL ? -ECANCELED : -ENOMEM,
		"POST %.64s: the guest is ending, or has no memory", l->path);
	side_end(l);
}

/*
 * On the home loop.
 */

static void tell_data(struct hostline *l)
{
	struct jw in;

	pthread_mutex_lock(&l->lock);
	in = l->in;
	l->in = (struct jw){0};
	pthread_mutex_unlock(&l->lock);
	if (in.len > 0 && l->ev != NULL)
		l->ev->data(in.buf, in.len, l->arg);
	jw_done(&in);
}

static void home_on_come(uv_async_t *h)
{
	tell_data(container_of(h, struct hostline, come));
}

static void home_on_closed(uv_handle_t *h)
{
	hostline_free(container_of(h, struct hostline, come));
}

static void home_done(struct sideloop_job *job)
{
	struct hostline *l = container_of(job, struct hostline, job);

	tell_data(l);
	if (l->ev != NULL)
		l->ev->ended(l->end.code == 0 ? NULL : &l->end, l->arg);
	l->ev = NULL;
	uv_close((uv_handle_t *)&l->come, home_on_closed);
}

/* Under the lock. */
static void wake_side(struct hostline *l)
{
	if (l->open)
		(void)uv_async_send(&l->wake);
}

int hostline_write(struct hostline *l, const char *data, size_t n)
{
	int r = 0;

	pthread_mutex_lock(&l->lock);
	if (l->out.len + n > HOSTLINE_MAX)
		r = -ENOBUFS;
	else
		jw_lit(&l->out, data, n);
	if (l->out.failed)
		r = -ENOMEM;
	wake_side(l);
	pthread_mutex_unlock(&l->lock);
	return r;
}

void hostline_fin(struct hostline *l)
{
	pthread_mutex_lock(&l->lock);
	l->fin = true;
	wake_side(l);
	pthread_mutex_unlock(&l->lock);
}

void hostline_drop(struct hostline *l)
{
	l->ev = NULL;
	pthread_mutex_lock(&l->lock);
	l->drop = true;
	wake_side(l);
	pthread_mutex_unlock(&l->lock);
}

struct hostline *hostline_open(const struct hostline_spec *spec)
{
	struct hostline *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	*l = (struct hostline){
		.job = {.run = side_run, .done = home_done},
		.ws = spec->ws,
		.path = strdup(spec->path),
		.ev = spec->ev,
		.arg = spec->arg,
	};
	if (l->path == NULL ||
	    uv_async_init(spec->home, &l->come, home_on_come) < 0) {
		free(l->path);
		free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	/* An idle line keeps no loop alive. */
	uv_unref((uv_handle_t *)&l->come);
	workspace_run(spec->ws, &l->job);
	return l;
}
