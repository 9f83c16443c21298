// SPDX-License-Identifier: Apache-2.0
/*
 * sideloop.c - A second thread with a loop of its own
 *
 *	post --> in --> uv_async --> run ... end --> out --> uv_async --> done
 *
 * The two lists and the flag to stop are under one lock; each side takes a list
 * whole and works on it without.
 */
#include "guest/sideloop.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "guest/limits.h"

STAILQ_HEAD(job_list, sideloop_job);

struct sideloop {
	uv_loop_t loop;
	uv_async_t inbox;  /* On loop. */
	uv_async_t outbox; /* On the home loop. */
	pthread_t thread;
	bool running;	/* There is a thread. */
	unsigned n_out; /* Jobs posted and not done. */
	void (*stop)(void *arg);
	void *stop_arg;

	pthread_mutex_t lock;
	struct job_list in, ended;
	bool stopping;
};

/* --- the side loop --- */

static void run_jobs(struct sideloop *s)
{
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	struct sideloop_job *job;
	bool stopping;

	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&jobs, &s->in);
	stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);

	while ((job = STAILQ_FIRST(&jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&jobs, link);
		job->run(job);
	}
	if (!stopping || uv_is_closing((uv_handle_t *)&s->inbox))
		return;
	uv_close((uv_handle_t *)&s->inbox, NULL);
	if (s->stop != NULL)
		s->stop(s->stop_arg);
}

static void sideloop_on_inbox(uv_async_t *async)
{
	run_jobs(container_of(async, struct sideloop, inbox));
}

static void *sideloop_main(void *arg)
{
	struct sideloop *s = arg;

	uv_run(&s->loop, UV_RUN_DEFAULT);
	return NULL;
}

void sideloop_end(struct sideloop_job *job)
{
	struct sideloop *s = job->side;

	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->ended, job, link);
	pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->outbox);
}

/* --- the home loop --- */

static void finish_jobs(struct sideloop *s)
{
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	struct sideloop_job *job;

	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&jobs, &s->ended);
	pthread_mutex_unlock(&s->lock);

	while ((job = STAILQ_FIRST(&jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&jobs, link);
		s->n_out--;
		job->done(job);
	}
	if (s->n_out == 0)
		uv_unref((uv_handle_t *)&s->outbox);
}

static void sideloop_on_outbox(uv_async_t *async)
{
	finish_jobs(container_of(async, struct sideloop, outbox));
}

static void sideloop_on_free(uv_handle_t *h)
{
	struct sideloop *s = container_of(h, struct sideloop, outbox);

	pthread_mutex_destroy(&s->lock);
	free(s);
}

uv_loop_t *sideloop_loop(struct sideloop *s)
{
	return &s->loop;
}

void sideloop_post(struct sideloop *s, struct sideloop_job *job)
{
	job->side = s;
	if (s->n_out++ == 0)
		uv_ref((uv_handle_t *)&s->outbox);
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->in, job, link);
	pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->inbox);
}

int sideloop_open(uv_loop_t *home, struct sideloop **out, struct err *e)
{
	struct sideloop *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(e, -ENOMEM, "second loop: out of memory");
	r = uv_loop_init(&s->loop);
	if (r < 0) {
		free(s);
		return err_set(e, r, "second loop: %s", uv_strerror(r));
	}
	STAILQ_INIT(&s->in);
	STAILQ_INIT(&s->ended);
	pthread_mutex_init(&s->lock, NULL);
	/* Both fail only where the loop itself has no descriptors. */
	r = uv_async_init(&s->loop, &s->inbox, sideloop_on_inbox);
	assert(r == 0);
	r = uv_async_init(home, &s->outbox, sideloop_on_outbox);
	assert(r == 0);
	uv_unref((uv_handle_t *)&s->outbox);
	*out = s;
	return 0;
}

/* Signals are for the main thread. */
int sideloop_start(struct sideloop *s, struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	sigfillset(&all);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, SIDELOOP_STACK);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&s->thread, &attr, sideloop_main, s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (r != 0)
		return err_set(e, -r, "second loop: cannot start its thread");
	s->running = true;
	return 0;
}

void sideloop_close(struct sideloop *s, void (*stop)(void *arg), void *arg)
{
	if (s == NULL)
		return;
	s->stop = stop;
	s->stop_arg = arg;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->inbox);
	if (s->running)
		pthread_join(s->thread, NULL);
	else
		uv_run(&s->loop, UV_RUN_DEFAULT);
	finish_jobs(s);
	assert(s->n_out == 0);
	uv_loop_close(&s->loop);
	uv_close((uv_handle_t *)&s->outbox, sideloop_on_free);
}
