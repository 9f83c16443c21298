// SPDX-License-Identifier: Apache-2.0
/*
 * stall.c - Have a thread give up what does not come
 */
#include "vfs/stall.h"

#include <errno.h>
#include <time.h>

#define AGAIN_MS 50 /* Between two signals. */

static void on_stall_signal(int number)
{
	(void)number; /* What it interrupts is all. */
}

static struct timespec in_ms(unsigned ms)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Wait until it is over.  Return: false when the time is up before. */
static bool is_over(struct stall *s, unsigned ms)
{
	const struct timespec end = in_ms(ms);
	int r = 0;

	while (!s->over && r == 0)
		r = pthread_cond_clockwait(&s->changed, &s->lock,
					   CLOCK_MONOTONIC, &end);
	return s->over;
}

static void *stall_look(void *arg)
{
	struct stall *s = arg;
	unsigned seen;

	pthread_mutex_lock(&s->lock);
	do {
		seen = s->ticks;
	} while (!is_over(s, s->silent_ms) && s->ticks != seen);
	s->stalled = !s->over;
	while (!s->over) {
		(void)pthread_kill(s->waits, STALL_SIGNAL);
		(void)is_over(s, AGAIN_MS);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Without SA_RESTART: a call that it interrupts ends. */
static void take_signal(sigset_t *set)
{
	const struct sigaction a = {.sa_handler = on_stall_signal};

	sigaction(STALL_SIGNAL, &a, NULL);
	sigemptyset(set);
	sigaddset(set, STALL_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

int stall_begin(struct stall *s, unsigned silent_ms)
{
	sigset_t set, before;
	int r;

	*s = (struct stall){.waits = pthread_self(), .silent_ms = silent_ms};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	take_signal(&set);
	/* Other signals are for other threads. */
	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, &before);
	r = pthread_create(&s->looks, NULL, stall_look, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		return 0;
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	return -r;
}

void stall_tick(struct stall *s)
{
	pthread_mutex_lock(&s->lock);
	s->ticks++;
	pthread_mutex_unlock(&s->lock);
}

bool stall_end(struct stall *s)
{
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->looks, NULL);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	return s->stalled;
}
